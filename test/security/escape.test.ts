// A secret file beside a small root file system: nothing that a guest can name leads there (escape.c), whatever links and
// device nodes the host has planted in the root, and the host's sockets are out of reach.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { compile, sharedDirectory } from './programs.ts';
import { Sandbox } from './sandbox.ts';

const TOKEN = `secret-${process.pid}-${Date.now()}`;
const directory = sharedDirectory();
const program = compile('escape', directory);
const secret = join(directory, 'outside', 'secret');
const root = join(directory, 'outside', 'root');
const server = createServer();
const abstractServer = createServer();
let port = 0;

before(async () => {
  mkdirSync(root, { recursive: true });
  makeBusyboxRoot(root);
  writeFileSync(secret, `${TOKEN}\n`);
  copyFileSync(program, join(root, 'bin/escape'));
  for (const name of ['work', 'planted']) {
    mkdirSync(join(root, name));
    chmodSync(join(root, name), 0o777);
  }
  const links = {
    absolute: secret,
    relative: '../../secret',
    through: '../planted/../../secret',
    'self-root': `/proc/self/root${secret}`,
    'init-root': `/proc/1/root/../..${secret}`,
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, 'planted', name));
  const nodes = ['c 1 1', 'c 1 2', 'c 1 4', 'c 10 223', 'c 10 232', 'b 1 0', 'b 7 0', 'b 8 0', 'b 254 0', 'b 259 0'];
  for (const [i, node] of nodes.entries()) spawnSync('mknod', [join(root, `planted/device${i}`), ...node.split(' ')]);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
  await new Promise<void>((resolve) => abstractServer.listen(`\0cloister-${port}`, resolve));
});

after(() => {
  server.close();
  abstractServer.close();
});

test('the program notices when it reads the secret', () => {
  const output = execFileSync(program, [secret, TOKEN, '0', 'outside'], { encoding: 'utf8' });
  assert.match(output, /^ESCAPED: its own name/);
});

for (const overlay of ['memory', 'none']) {
  test(`no name leads out of the root (overlay ${overlay})`, async () => {
    const sandbox = new Sandbox(['--root', root, '--overlay', overlay]);
    const { output, status } = await sandbox.run(`/bin/escape ${secret} ${TOKEN} ${port}`, 120_000);
    assert.doesNotMatch(output, /ESCAPED/);
    assert.equal(status, 0, output);
    assert.ok(Number(/^(\d+) tricks$/m.exec(output)?.[1]) > 5000, output);
    assert.doesNotMatch(sandbox.errors, /bug/);
    const { output: processes } = await sandbox.run('ls -d /proc/[0-9]*');
    assert.ok(processes.split('\n').length < 12, `processes of others: ${processes}`);
    assert.equal(await sandbox.end(), 42);
  });
}
