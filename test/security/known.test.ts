// Escapes from other runtimes that became known (known.c, and containers made for it), tried with an observer on the host.
// In the names of the tests is what they go by: CVE-2019-5736, CVE-2024-21626, CVE-2025-31133, CVE-2022-0185, Dirty COW,
// Dirty Pipe, Leaky Vessels.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CLOISTER, TOP } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { compile, sharedDirectory } from './programs.ts';
import { Sandbox } from './sandbox.ts';

const directory = sharedDirectory();
const program = compile('known', directory);
const guarded = join(directory, 'guarded');
const bundle = join(directory, 'bundle');
const outside = join(directory, 'outside');
const states = join(directory, 'states');
const CONTENT = 'what only its owner may write\n'.repeat(200);
const victim = spawn('sleep', ['1000'], { uid: 65534, gid: 65534 });

before(() => {
  writeFileSync(guarded, CONTENT);
  chmodSync(guarded, 0o644);
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret\n');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
});
after(() => victim.kill('SIGKILL'));

/** Everything of Cloister's that a sandbox runs or reads on the host, and what the kernel is told by files. */
function fingerprint(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(join(TOP, 'dist')).sort()) hash.update(readFileSync(join(TOP, 'dist', name)));
  hash.update(readFileSync(process.execPath));
  hash.update(readFileSync('/proc/sys/kernel/core_pattern')).update(readFileSync(guarded));
  return hash.digest('hex');
}

for (const [who, prefix] of [
  ['root', []],
  ['an ordinary user', ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'XDG_RUNTIME_DIR=/tmp']],
] as const) {
  test(`CVE-2019-5736, CVE-2024-21626, CVE-2022-0185, Dirty COW, Dirty Pipe and others hold for ${who}`, async () => {
    const before = fingerprint();
    const sandbox = new Sandbox(['--bind', `${directory}:${directory}:ro`], prefix);
    const { output, status } = await sandbox.run(`${program} ${directory} </dev/null 2>&1`, 100_000);
    assert.equal(status, 0, output + sandbox.errors);
    assert.equal(output, 'metadata: ENETUNREACH ENETUNREACH\nheld\n', sandbox.errors);
    await sandbox.assertWell();
    assert.equal(await sandbox.end(), 42);
    assert.equal(fingerprint(), before, 'a file of the host has changed');
    assert.equal(victim.exitCode ?? victim.signalCode, null, 'a process of the host was ended');
    assert.equal(existsSync('/tmp/cloister-escape'), false);
  });
}

let count = 0;

/** Runs a container of the bundle to its end; what it printed. */
function container(args: readonly string[], changes: object = {}): { status: number | null; text: string } {
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    process: { args, cwd: '/', env: ['PATH=/bin'] },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
    ],
    linux: { namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })) },
    ...changes,
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const command = ['--root', states, 'run', '--bundle', bundle, `known-${process.pid}-${count++}`];
  const { status, stdout, stderr } = spawnSync(CLOISTER, command, { encoding: 'utf8', timeout: 60_000 });
  return { status, text: `${stdout}${stderr}` };
}

test('CVE-2024-21626: a working directory that is a descriptor of the runtime', () => {
  for (const fd of [3, 7, 8, 11]) {
    const cwd = `/proc/self/fd/${fd}`;
    const process = { args: ['sh', '-c', 'pwd; cat ../../../../../etc/hostname ../secret'], cwd, env: ['PATH=/bin'] };
    const { status, text } = container([], { process });
    assert.notEqual(status, 0, text);
    assert.doesNotMatch(text, /secret\n/);
    // Nothing but the runtime's word that there is no such directory, or a program that sees its own root only.
    assert.match(text, /working directory|No such file/, text);
  }
});

test('CVE-2025-31133: an image whose /dev/null is something else, under masked paths', () => {
  const rootfs = join(bundle, 'rootfs');
  const linux = {
    namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })),
    maskedPaths: ['/proc/meminfo', '/proc/sys/kernel/core_pattern'],
  };
  const mounts = [{ destination: '/proc', type: 'proc', source: 'proc' }];
  const { text: masked } = container(['cat', '/proc/meminfo'], { linux });
  assert.equal(masked, '');
  for (const target of ['/proc/meminfo', '/proc/sys/kernel/core_pattern', '../../outside/secret', '/proc/1/root/dev']) {
    symlinkSync(target, join(rootfs, 'dev/null'));
    const { status, text } = container(['cat', '/proc/meminfo'], { linux, mounts });
    rmSync(join(rootfs, 'dev/null'));
    assert.notEqual(status, 0, text);
    assert.match(text, /cannot mask/);
  }
});

test('Leaky Vessels, CVE-2021-30465: mounts on links that lead out of the root', () => {
  const rootfs = join(bundle, 'rootfs');
  const links = { up: '../../../outside', absolute: outside, magic: '/proc/self/root/../../outside', self: 'self' };
  for (const [name, target] of Object.entries(links)) {
    symlinkSync(target, join(rootfs, name));
    const mounts = [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: `/${name}`, type: 'tmpfs', source: 'tmpfs' },
      { destination: `/${name}/below`, type: 'tmpfs', source: 'tmpfs' },
      { destination: `/${name}/../../../..${outside}/made`, type: 'tmpfs', source: 'tmpfs' },
    ];
    const { text } = container(['sh', '-c', `touch /${name}/mine /${name}/below/mine; ls /${name}/`], { mounts });
    assert.doesNotMatch(text, /secret/);
    assert.deepEqual(readdirSync(outside), ['secret'], `${name}: ${text}`);
    rmSync(join(rootfs, name));
  }
});
