// Trees and names that are hard to bear, in a root that the host changes at the same time: bytes pass through unharmed,
// depth and number are borne, what the image plants stays a thing of the sandbox, and no exchange of a directory for a
// link at any moment leads out.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { compile, sharedDirectory } from './programs.ts';
import { Sandbox } from './sandbox.ts';

const TOKEN = `secret-${process.pid}-${Date.now()}`;
const RACE_SECONDS = 2;
const directory = sharedDirectory();
const program = compile('names', directory);
const server = createServer();

function makeRoot(name: string): string {
  const root = join(directory, name);
  mkdirSync(root, { recursive: true });
  makeBusyboxRoot(root);
  copyFileSync(program, join(root, 'bin/names'));
  for (const below of ['work', 'planted', 'shared']) mkdirSync(join(root, below));
  writeFileSync(join(root, 'marker'), `${name}\n`);
  return root;
}

before(async () => {
  writeFileSync(join(directory, 'secret'), `${TOKEN}\n`);
});
after(() => server.close());

test('names and trees', async () => {
  const root = makeRoot('plain');
  execFileSync('mkfifo', [join(root, 'planted/fifo')]);
  if (process.getuid?.() === 0) {
    const nodes = { disk: 'b 254 0', mem: 'c 1 1', tty1: 'c 4 1', zero: 'c 1 5' };
    for (const [name, node] of Object.entries(nodes)) {
      execFileSync('mknod', [join(root, 'planted', name), ...node.split(' ')]);
    }
  }
  // A path of the host may be too long for a socket's address.
  process.chdir(join(root, 'planted'));
  await new Promise<void>((resolve) => server.listen('socket', resolve));
  process.chdir('/');
  const sandbox = new Sandbox(['--root', root, '--overlay', 'none']);
  const { output } = await sandbox.run('names /work');
  assert.equal(output, '0 surprises\n', sandbox.errors);
  const names = readdirSync(join(root, 'work'), { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  for (const name of ['new\nline', '\xff\xfe invalid', '\xc3', '\xed\xa0\x80', 'n'.repeat(255)]) {
    assert.ok(names.includes(name), JSON.stringify(name));
  }
  // The guest that has the image's FIFO open is no reader of the host's.
  await sandbox.run('exec 9<>/planted/fifo');
  const written = spawnSync('dd', ['if=/dev/zero', `of=${join(root, 'planted/fifo')}`, 'oflag=nonblock', 'count=1']);
  assert.notEqual(written.status, 0);
  await sandbox.assertWell();
  assert.equal(await sandbox.end(), 42);
});

test('a root that is exchanged while it is in use', async () => {
  const root = makeRoot('first');
  const other = makeRoot('second');
  const sandbox = new Sandbox(['--root', root]);
  assert.equal((await sandbox.run('cat /marker')).output, 'first\n');
  for (let i = 0; i < 20; i++) {
    renameSync(root, `${root}.away`);
    if (i % 2) renameSync(other, root);
    else symlinkSync('/', root);
    const { output } = await sandbox.run('cat /marker /../marker /proc/self/root/marker /secret 2>&1 | sort | uniq -c');
    assert.match(output, /^ *1 cat: .*No such file.*\n *3 first\n$/);
    if (i % 2) renameSync(root, other);
    else rmSync(root);
    renameSync(`${root}.away`, root);
  }
  assert.equal(await sandbox.end(), 42);
});

test('directories that are exchanged for links during a walk', async () => {
  // In the sandboxes `shared` is a mount whose real parent holds the secret.
  const shared = join(directory, 'shared');
  mkdirSync(join(shared, 'swap/inner'), { recursive: true });
  const roots = ['left', 'right'].map(makeRoot);
  const sandboxes = roots.map((root) => new Sandbox(['--root', root, '--bind', `${shared}:/shared`]));
  const races = sandboxes.map((sandbox) => sandbox.run(`names race /shared ${TOKEN} ${RACE_SECONDS}`));
  let going = true;
  const ended = Promise.all(races).finally(() => {
    going = false;
  });
  const targets = ['..', '../..', directory, '/', join(directory, 'secret')];
  for (let i = 0; going; i++) {
    const link = join(shared, 'link');
    try {
      symlinkSync(targets[i % targets.length] as string, link);
      renameSync(join(shared, 'swap'), join(shared, `aside${i % 3}`));
      renameSync(link, join(shared, 'swap'));
      if (i % 4 === 0) await sleep(1);
      renameSync(join(shared, 'swap'), link);
      renameSync(join(shared, `aside${i % 3}`), join(shared, 'swap'));
      mkdirSync(join(shared, 'swap/inner'), { recursive: true });
    } catch {
      // The guests rename as well: what they left is cleared away.
      rmSync(join(shared, 'swap'), { force: true, recursive: true });
    }
    rmSync(link, { force: true, recursive: true });
    if (i % 50 === 0) await sleep(0);
  }
  for (const { output } of await ended) assert.match(output, /^raced, 0 escapes\n$/);
  assert.equal(readFileSync(join(directory, 'secret'), 'utf8'), `${TOKEN}\n`);
  for (const sandbox of sandboxes) assert.equal(await sandbox.end(), 42);
});
