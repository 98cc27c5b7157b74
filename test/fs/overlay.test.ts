// What an overlay must keep true: the lower tree never changes, everything seems as if it did.

import assert from 'node:assert/strict';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { Guest, hostTree, memoryTree, overlayTree, setUpHost, temporaryDirectory } from '../support/file-tree.ts';

type Context = { after(fn: () => void): void };

const ENOENT = -2;
const EXDEV = -18;
const ENOTEMPTY = -39;

before(setUpHost);

function lowerTree(context: Context): string {
  const base = temporaryDirectory(context);
  for (const name of ['lower', 'lower/d', 'lower/d/sub', 'lower/e', 'upper']) mkdirSync(join(base, name));
  writeFileSync(join(base, 'lower/file'), 'below');
  writeFileSync(join(base, 'lower/d/one'), '1');
  writeFileSync(join(base, 'lower/d/two'), '2');
  writeFileSync(join(base, 'lower/d/sub/deep'), 'deep');
  linkSync(join(base, 'lower/file'), join(base, 'lower/hard'));
  symlinkSync('file', join(base, 'lower/soft'));
  utimesSync(join(base, 'lower/file'), 1000, 2000);
  return base;
}

/** Everything about a host tree that a test could change. */
function snapshot(path: string): string {
  const status = lstatSync(path);
  const line = `${path} ${status.mode} ${status.uid} ${status.nlink} ${status.mtimeMs}`;
  if (!status.isDirectory()) return status.isFile() ? `${line} ${readFileSync(path)}` : line;
  return [
    line,
    ...readdirSync(path)
      .sort()
      .map((name) => snapshot(join(path, name))),
  ].join('\n');
}

for (const kind of ['upper in memory', 'upper directory', 'upper directory without nameless files']) {
  const persistent = kind !== 'upper in memory';
  describe(kind, () => {
    const make = (context: Context, base = lowerTree(context)) => {
      const upper = persistent ? hostTree(join(base, 'upper')) : memoryTree();
      const overlay = overlayTree(hostTree(join(base, 'lower'), true), upper, persistent);
      overlay.keepsNameless = kind === 'upper directory';
      return { base, guest: new Guest(overlay) };
    };

    test('the lower tree stays as it is', (t) => {
      const { base, guest } = make(t);
      const before = snapshot(join(base, 'lower'));
      guest.put('/file', 'above');
      guest.call('unlink', '/d/one');
      guest.call('chmod', '/d/two', 0o600);
      guest.call('rename', '/d/sub/deep', '/moved');
      guest.call('rmdir', '/e');
      guest.call('mkdir', '/e', 0o755);
      guest.put('/d/new', 'new');
      guest.call('unlink', '/soft');
      guest.call('chown', '/d', 5, 5);
      assert.equal(snapshot(join(base, 'lower')), before);
      assert.equal(guest.cat('/file'), 'above');
      assert.deepEqual(guest.list('/d'), ['new', 'sub', 'two']);
      assert.deepEqual(guest.list('/d/sub'), []);
      assert.deepEqual(guest.list('/'), ['d', 'e', 'file', 'hard', 'moved']);
    });

    test('removed names are hidden and can be made anew', (t) => {
      const { guest } = make(t);
      assert.equal(guest.call('unlink', '/file'), 0);
      assert.equal(guest.cat('/file'), ENOENT);
      guest.put('/file', 'again');
      assert.equal(guest.cat('/file'), 'again');
      assert.equal(guest.call('rmdir', '/d'), ENOTEMPTY);
      for (const name of ['/d/one', '/d/two', '/d/sub/deep']) assert.equal(guest.call('unlink', name), 0);
      assert.equal(guest.call('rmdir', '/d/sub'), 0);
      assert.equal(guest.call('rmdir', '/d'), 0);
      assert.equal(guest.call('mkdir', '/d', 0o755), 0);
      assert.deepEqual(guest.list('/d'), []);
      assert.equal(guest.cat('/d/one'), ENOENT);
      assert.equal(guest.call('rmdir', '/d'), 0);
      assert.deepEqual(guest.list('/'), ['e', 'file', 'hard', 'soft']);
    });

    test('an open reader sees what is written after the copy', (t) => {
      const { guest } = make(t);
      const reader = guest.open('/file');
      assert.equal(guest.read(reader, 2), 'be');
      const writer = guest.open('/file', 2);
      assert.equal(guest.write(writer, 'BELOW!'), 6);
      assert.equal(guest.read(reader), 'LOW!');
      const before = guest.stat('/file');
      const after = guest.fstat(reader);
      assert.deepEqual(before, after);
      assert.equal(guest.call('close', writer), 0);
      assert.equal(guest.call('close', reader), 0);
    });

    test('attributes survive the copy', (t) => {
      const { guest } = make(t);
      const before = guest.stat('/file');
      assert.equal(guest.call('chmod', '/file', 0o640), 0);
      const after = guest.stat('/file');
      assert.ok(typeof before === 'object' && typeof after === 'object');
      assert.deepEqual([after.ino, after.size, after.mtime], [before.ino, before.size, 2000]);
      assert.equal(guest.cat('/file'), 'below');
      const fd = guest.open('/file', 1);
      const opened = guest.fstat(fd);
      assert.ok(typeof opened === 'object');
      assert.equal(opened.mtime, 2000);
    });

    test('truncation on opening copies no data', (t) => {
      const { guest } = make(t);
      const fd = guest.open('/file', 0o1001);
      assert.equal(guest.write(fd, 'x'), 1);
      assert.equal(guest.cat('/file'), 'x');
    });

    test('files can be renamed and linked', (t) => {
      const { guest } = make(t);
      assert.equal(guest.call('rename', '/d/one', '/d/three'), 0);
      assert.equal(guest.cat('/d/three'), '1');
      assert.equal(guest.cat('/d/one'), ENOENT);
      assert.equal(guest.call('rename', '/d/three', '/d/two'), 0);
      assert.equal(guest.cat('/d/two'), '1');
      assert.equal(guest.call('link', '/d/two', '/e/linked'), 0);
      assert.equal(guest.cat('/e/linked'), '1');
      assert.deepEqual(guest.list('/d'), ['sub', 'two']);
    });

    test('symbolic links from below lead on', (t) => {
      const { guest } = make(t);
      assert.equal(guest.cat('/soft'), 'below');
      guest.put('/soft', 'through');
      assert.equal(guest.cat('/file'), 'through');
      assert.equal(guest.readlink('/soft'), 'file');
    });
  });
}

test('in memory, lower directories can be renamed and linked files stay one', (t) => {
  const base = lowerTree(t);
  const guest = new Guest(overlayTree(hostTree(join(base, 'lower'), true), memoryTree(), false));
  assert.equal(guest.call('rename', '/d', '/e'), 0);
  assert.equal(guest.cat('/e/sub/deep'), 'deep');
  guest.put('/e/sub/deep', 'changed');
  assert.equal(guest.cat('/e/sub/deep'), 'changed');
  assert.deepEqual(guest.list('/'), ['e', 'file', 'hard', 'soft']);
  assert.equal(guest.call('mkdir', '/d', 0o755), 0);
  assert.deepEqual(guest.list('/d'), []);
  assert.equal(guest.call('renameat2', -100, '/d', -100, '/e', 2), 0);
  assert.deepEqual(guest.list('/d'), ['one', 'sub', 'two']);
  guest.put('/hard', 'both');
  assert.equal(guest.cat('/file'), 'both');
  const status = guest.stat('/file');
  assert.ok(typeof status === 'object');
  assert.equal(status.nlink, 2);
  assert.equal(guest.call('unlink', '/file'), 0);
  assert.equal(guest.cat('/hard'), 'both');
  assert.equal(guest.call('rename', '/hard', '/last'), 0);
  assert.equal(guest.cat('/last'), 'both');
  assert.deepEqual(guest.list('/'), ['d', 'e', 'last', 'soft']);
});

test('what an upper directory holds is there again in the next sandbox', (t) => {
  const base = lowerTree(t);
  const start = () => new Guest(overlayTree(hostTree(join(base, 'lower'), true), hostTree(join(base, 'upper')), true));
  const first = start();
  first.put('/file', 'kept');
  assert.equal(first.call('unlink', '/d/one'), 0);
  assert.equal(first.call('unlink', '/d/sub/deep'), 0);
  assert.equal(first.call('rmdir', '/d/sub'), 0);
  assert.equal(first.call('mkdir', '/d/sub', 0o755), 0);
  assert.equal(first.call('rename', '/d', '/x'), EXDEV);
  assert.equal(first.call('rmdir', '/e'), 0);
  const second = start();
  assert.equal(second.cat('/file'), 'kept');
  assert.deepEqual(second.list('/d'), ['sub', 'two']);
  assert.deepEqual(second.list('/d/sub'), []);
  assert.deepEqual(second.list('/'), ['d', 'file', 'hard', 'soft']);
});
