// The same expectations of every filesystem that stores files: host directories (cached and revalidated), tmpfs, and
// overlays on memory and on a host directory.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { Superblock } from '../../src/vfs/inode.ts';
import {
  AT_FDCWD,
  Guest,
  hostTree,
  memoryTree,
  overlayTree,
  setUpHost,
  temporaryDirectory,
} from '../support/file-tree.ts';

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_APPEND = 0o2000;
const O_TMPFILE = 0o20200000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const ENOENT = -2;
const EEXIST = -17;
const ENOTDIR = -20;
const EISDIR = -21;
const EINVAL = -22;
const ENOTEMPTY = -39;
const ELOOP = -40;

type Context = { after(fn: () => void): void };

const KINDS: Record<string, (context: Context) => Superblock> = {
  tmpfs: () => memoryTree(),
  host: (context) => hostTree(temporaryDirectory(context)),
  'shared host': (context) => hostTree(temporaryDirectory(context), false, false),
  'overlay on memory': (context) => overlayTree(hostTree(temporaryDirectory(context), true), memoryTree(), false),
  'overlay on a directory': (context) => {
    const base = temporaryDirectory(context);
    for (const name of ['lower', 'upper']) mkdirSync(join(base, name));
    return overlayTree(hostTree(join(base, 'lower'), true), hostTree(join(base, 'upper')), true);
  },
};

before(setUpHost);

for (const [kind, make] of Object.entries(KINDS)) {
  describe(kind, () => {
    test('files are made, written, read, appended to and truncated', (t) => {
      const guest = new Guest(make(t));
      guest.put('/a', 'hello');
      assert.equal(guest.cat('/a'), 'hello');
      const fd = guest.open('/a', O_RDWR | O_APPEND);
      assert.equal(guest.write(fd, ' world'), 6);
      assert.equal(guest.call('lseek', fd, 0, 1), 11);
      assert.equal(guest.call('ftruncate', fd, 5), 0);
      assert.equal(guest.call('lseek', fd, 0, 0), 0);
      assert.equal(guest.read(fd), 'hello');
      assert.equal(guest.call('ftruncate', fd, 7), 0);
      assert.equal(guest.cat('/a'), 'hello\0\0');
      assert.equal(guest.call('close', fd), 0);
      assert.equal(guest.open('/a', O_CREAT | O_EXCL | 1), EEXIST);
      assert.equal(guest.open('/none'), ENOENT);
      assert.equal(guest.open('/a/'), ENOTDIR);
      assert.equal(guest.open('/a/b'), ENOTDIR);
      assert.equal(guest.open('/', 1), EISDIR);
      guest.put('/a', 'x');
      assert.equal(guest.cat('/a'), 'x');
    });

    test('the umask and the maker are applied', (t) => {
      const guest = new Guest(make(t));
      guest.put('/a', '', 0o666);
      const a = guest.stat('/a');
      assert.ok(typeof a === 'object');
      assert.equal(a.mode, 0o100644);
      assert.equal(guest.call('umask', 0), 0o022);
      assert.equal(guest.call('mkdir', '/d', 0o777), 0);
      const d = guest.stat('/d');
      assert.ok(typeof d === 'object');
      assert.equal(d.mode, 0o40777);
    });

    test('big files', (t) => {
      const guest = new Guest(make(t));
      const fd = guest.open('/big', O_RDWR | O_CREAT);
      const chunk = 'x'.repeat(65536);
      const at = guest.task.memory.put(chunk);
      for (let i = 0; i < 40; i++) assert.equal(guest.call('write', fd, at, chunk.length), chunk.length);
      const status = guest.fstat(fd);
      assert.ok(typeof status === 'object');
      assert.equal(status.size, 40 * 65536);
      assert.equal(guest.call('pread64', fd, at, 65536, 39 * 65536 + 1), 65535);
      assert.equal(guest.call('lseek', fd, 2 ** 33, 0), 2 ** 33);
      assert.equal(guest.write(fd, 'end'), 3);
      assert.equal(guest.call('lseek', fd, 0, 2), 2 ** 33 + 3);
      assert.equal(guest.call('close', fd), 0);
    });

    test('directories', (t) => {
      const guest = new Guest(make(t));
      assert.equal(guest.call('mkdir', '/d', 0o755), 0);
      assert.equal(guest.call('mkdir', '/d', 0o755), EEXIST);
      assert.equal(guest.call('mkdir', '/d/e/f', 0o755), ENOENT);
      const names = Array.from({ length: 100 }, (_, i) => `name${i}`.padEnd(20, 'x')).sort();
      for (const name of names) guest.put(`/d/${name}`, name);
      assert.deepEqual(guest.list('/d'), names);
      assert.equal(guest.call('rmdir', '/d'), ENOTEMPTY);
      for (const name of names) assert.equal(guest.call('unlink', `/d/${name}`), 0);
      assert.deepEqual(guest.list('/d'), []);
      assert.equal(guest.call('unlink', '/d'), EISDIR);
      assert.equal(guest.call('rmdir', '/d'), 0);
      assert.equal(guest.call('rmdir', '/d'), ENOENT);
      assert.equal(guest.call('rmdir', '/.'), EINVAL);
    });

    test('a removed file lives on while it is open', (t) => {
      const guest = new Guest(make(t));
      const fd = guest.open('/a', O_RDWR | O_CREAT);
      assert.equal(guest.call('unlink', '/a'), 0);
      assert.equal(guest.open('/a'), ENOENT);
      assert.equal(guest.write(fd, 'still'), 5);
      assert.equal(guest.call('fchmod', fd, 0o600), 0);
      const status = guest.fstat(fd);
      assert.ok(typeof status === 'object');
      assert.equal(status.nlink, 0);
      assert.equal(status.size, 5);
      assert.equal(status.mode, 0o100600);
      guest.call('lseek', fd, 0, 0);
      assert.equal(guest.read(fd), 'still');
      assert.equal(guest.call('close', fd), 0);
    });

    test('rename', (t) => {
      const guest = new Guest(make(t));
      guest.put('/a', 'a');
      guest.put('/b', 'b');
      assert.equal(guest.call('rename', '/a', '/b'), 0);
      assert.equal(guest.cat('/b'), 'a');
      assert.equal(guest.open('/a'), ENOENT);
      guest.put('/a', 'new');
      assert.equal(guest.call('renameat2', AT_FDCWD, '/a', AT_FDCWD, '/b', 1), EEXIST);
      assert.equal(guest.call('renameat2', AT_FDCWD, '/a', AT_FDCWD, '/b', 2), 0);
      assert.equal(guest.cat('/a'), 'a');
      assert.equal(guest.cat('/b'), 'new');
      guest.call('mkdir', '/d', 0o755);
      guest.call('mkdir', '/d/sub', 0o755);
      guest.put('/d/sub/f', 'deep');
      assert.equal(guest.call('rename', '/d', '/d/sub/x'), EINVAL);
      assert.equal(guest.call('rename', '/a', '/d'), EISDIR);
      assert.equal(guest.call('rename', '/d', '/a'), ENOTDIR);
      assert.equal(guest.call('rename', '/d', '/e'), 0);
      assert.equal(guest.cat('/e/sub/f'), 'deep');
      assert.equal(guest.open('/d'), ENOENT);
      guest.call('mkdir', '/empty', 0o755);
      assert.equal(guest.call('rename', '/empty', '/e'), ENOTEMPTY);
      assert.equal(guest.call('rename', '/e', '/empty'), 0);
      assert.equal(guest.cat('/empty/sub/f'), 'deep');
      assert.deepEqual(guest.list('/'), ['a', 'b', 'empty']);
    });

    test('hard links', (t) => {
      const guest = new Guest(make(t));
      guest.put('/a', 'one');
      assert.equal(guest.call('link', '/a', '/b'), 0);
      assert.equal(guest.call('link', '/a', '/b'), EEXIST);
      const a = guest.stat('/a');
      const b = guest.stat('/b');
      assert.ok(typeof a === 'object' && typeof b === 'object');
      assert.equal(a.ino, b.ino);
      assert.equal(a.nlink, 2);
      guest.put('/b', 'two');
      assert.equal(guest.cat('/a'), 'two');
      assert.equal(guest.call('unlink', '/a'), 0);
      assert.equal(guest.cat('/b'), 'two');
      const rest = guest.stat('/b');
      assert.ok(typeof rest === 'object');
      assert.equal(rest.nlink, 1);
    });

    test('symbolic links', (t) => {
      const guest = new Guest(make(t));
      guest.call('mkdir', '/d', 0o755);
      guest.put('/d/f', 'found');
      assert.equal(guest.call('symlink', 'd', '/l'), 0);
      assert.equal(guest.call('symlink', '/d/../l/f', '/m'), 0);
      assert.equal(guest.cat('/l/f'), 'found');
      assert.equal(guest.cat('/m'), 'found');
      assert.equal(guest.readlink('/m'), '/d/../l/f');
      assert.equal(guest.open('/m', O_NOFOLLOW), ELOOP);
      assert.equal(guest.open('/l', O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
      guest.call('symlink', 'loop', '/loop');
      assert.equal(guest.open('/loop'), ELOOP);
      assert.equal(guest.call('symlink', 'new', '/dangling'), 0);
      guest.put('/dangling', 'made');
      assert.equal(guest.cat('/new'), 'made');
      assert.equal(guest.call('unlink', '/l'), 0);
      assert.equal(guest.cat('/d/f'), 'found');
    });

    test('attributes', (t) => {
      const guest = new Guest(make(t));
      guest.put('/a', 'a');
      assert.equal(guest.call('chmod', '/a', 0o4711), 0);
      assert.equal(guest.call('chown', '/a', 7, 8), 0);
      const times = guest.task.memory.allocate(32);
      guest.task.memory.view.setBigInt64(times, 1000n, true);
      guest.task.memory.view.setBigInt64(times + 16, 2000n, true);
      assert.equal(guest.call('utimensat', AT_FDCWD, '/a', times, 0), 0);
      const a = guest.stat('/a');
      assert.ok(typeof a === 'object');
      assert.deepEqual([a.mode, a.uid, a.gid, a.mtime], [0o100711, 7, 8, 2000]);
    });

    test('nameless files get a name', (t) => {
      const guest = new Guest(make(t));
      const fd = guest.open('/', O_TMPFILE | O_RDWR, 0o600);
      if (fd === -95 || fd === -22) return t.skip('the host has no O_TMPFILE here');
      assert.ok(fd >= 0, String(fd));
      assert.equal(guest.write(fd, 'tmp'), 3);
      assert.deepEqual(guest.list('/'), []);
      assert.equal(guest.call('linkat', fd, '', AT_FDCWD, '/named', 0x1000), 0);
      assert.equal(guest.cat('/named'), 'tmp');
    });

    test('working directory', (t) => {
      const guest = new Guest(make(t));
      guest.call('mkdir', '/d', 0o755);
      guest.call('mkdir', '/d/e', 0o755);
      assert.equal(guest.call('chdir', '/d/e'), 0);
      assert.equal(guest.getcwd(), '/d/e');
      guest.put('f', 'here');
      assert.equal(guest.cat('/d/e/f'), 'here');
      assert.equal(guest.cat('../e/./f'), 'here');
      assert.equal(guest.call('rename', '/d', '/x'), 0);
      assert.equal(guest.getcwd(), '/x/e');
      assert.equal(guest.call('unlink', 'f'), 0);
      assert.equal(guest.call('rmdir', '/x/e'), 0);
      assert.equal(guest.getcwd(), ENOENT);
      assert.equal(guest.open('new', O_CREAT | 1), ENOENT);
    });

    test('a FIFO is a FIFO', (t) => {
      const guest = new Guest(make(t));
      assert.equal(guest.call('mknod', '/p', 0o10644, 0), 0);
      const status = guest.stat('/p');
      assert.ok(typeof status === 'object');
      assert.equal(status.mode, 0o10644);
      const reader = guest.open('/p', 0o4000);
      const writer = guest.open('/p', 0o4001);
      assert.ok(reader >= 0 && writer >= 0);
      assert.equal(guest.write(writer, 'pipe'), 4);
      assert.equal(guest.read(reader), 'pipe');
    });
  });
}
