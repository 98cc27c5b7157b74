// Pods as containerd and CRI-O make them: a sandbox, and containers that join it by annotations. Each has its own files and
// pids; network, host name and System V objects are shared.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-pod-'));
const root = join(scratch, 'state');
const output = join(scratch, 'output');
const skip = process.geteuid?.() !== 0 && 'containers of a pod need root';

before(() => {
  if (skip) return;
  bundle('pause', ['sleep', '1000'], annotations('sandbox'));
  succeed('create', '-b', join(scratch, 'pause'), 'pod');
  succeed('start', 'pod');
});
after(() => {
  for (const id of skip ? [] : readdirSync(root).sort()) run('delete', '--force', id);
  rmSync(scratch, { recursive: true });
});

function run(...args: string[]): { status: number | null; text: string } {
  const fd = openSync(output, 'w');
  const { status } = spawnSync(CLOISTER, ['--root', root, ...args], { stdio: ['ignore', fd, fd], timeout: 60_000 });
  closeSync(fd);
  return { status, text: readFileSync(output, 'utf8') };
}

function succeed(...args: string[]): string {
  const { status, text } = run(...args);
  assert.equal(status, 0, `${args.join(' ')}: ${text}`);
  return text;
}

function annotations(type: string): object {
  return { 'io.kubernetes.cri.container-type': type, 'io.kubernetes.cri.sandbox-id': 'pod' };
}

/** A bundle with a root file system of its own, as containerd describes it. */
function bundle(name: string, args: readonly string[], notes: object, changes: object = {}): string {
  const directory = join(scratch, name);
  if (!existsSync(directory)) {
    mkdirSync(join(directory, 'rootfs'), { recursive: true });
    makeBusyboxRoot(join(directory, 'rootfs'));
  }
  mkdirSync(join(directory, 'rootfs/etc'), { recursive: true });
  writeFileSync(join(directory, 'rootfs/etc/name'), `${name}\n`);
  const joined = (type: string) => ({ type, path: `/proc/1/ns/${type === 'network' ? 'net' : type}` });
  const isSandbox = name === 'pause';
  const config = {
    ociVersion: '1.1.0',
    hostname: isSandbox ? 'pod-host' : undefined,
    root: { path: 'rootfs' },
    process: { args, cwd: '/', env: ['PATH=/bin'] },
    annotations: notes,
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/dev', type: 'tmpfs', options: ['mode=755'] },
    ],
    linux: {
      cgroupsPath: `cloister-${process.pid}-${name}`, // cgroups are the machine's
      namespaces: isSandbox
        ? ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }))
        : [{ type: 'mount' }, { type: 'pid' }, ...['ipc', 'uts', 'network'].map(joined)],
    },
    ...changes,
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  return directory;
}

function status(id: string): string {
  return (JSON.parse(succeed('state', id)) as { status: string }).status;
}

test('containers of a pod: own files and pids, shared network and host name', { skip }, async () => {
  const server = 'while :; do echo from $(cat /etc/name) | nc -l -p 8080; done >/dev/null 2>&1';
  const one = bundle('one', ['sh', '-c', server], annotations('container'));
  const shared = join(scratch, 'shared');
  mkdirSync(shared);
  writeFileSync(join(shared, 'file'), 'bound\n');
  const mounts = [
    { destination: '/proc', type: 'proc' },
    { destination: '/dev', type: 'tmpfs', options: ['mode=755'] },
    { destination: '/mnt', source: shared, options: ['bind', 'ro'] },
  ];
  const two = bundle('two', ['sh', '-c', 'cat /mnt/file >/out; sleep 2000; true'], annotations('container'), {
    mounts,
  });
  for (const [id, directory] of [
    ['one', one],
    ['two', two],
  ] as const) {
    succeed('create', '-b', directory, id);
    assert.equal(status(id), 'created');
    succeed('start', id);
    assert.equal(status(id), 'running');
  }
  assert.equal(succeed('exec', 'two', 'sh', '-c', 'cat /etc/name; hostname'), 'two\npod-host\n');
  assert.equal(succeed('exec', 'one', 'cat', '/etc/name'), 'one\n');
  const ask = 'for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 8080 </dev/null 2>/dev/null && break; sleep 0.2; done';
  assert.equal(succeed('exec', 'two', 'sh', '-c', ask), 'from one\n');
  assert.match(succeed('exec', 'two', 'cat', '/proc/1/cmdline'), /^sh\0-c\0cat/);
  assert.equal(run('exec', 'two', 'touch', '/mnt/file').status, 1);
  assert.equal(readFileSync(join(two, 'rootfs/out'), 'utf8'), 'bound\n');

  const pids = (id: string) => JSON.parse(succeed('ps', '-f', 'json', id)) as number[];
  assert.equal(pids('two').length, 2);
  assert.equal(pids('pod').length, 1);
  succeed('kill', 'two', 'KILL');
  for (let tries = 0; tries < 100 && status('two') !== 'stopped'; tries++) await sleep(20);
  assert.equal(status('two'), 'stopped');
  assert.equal(status('one'), 'running');
  succeed('delete', 'two');
  succeed('create', '-b', two, 'two');
  succeed('delete', '--force', 'two');
  succeed('delete', '--force', 'one');
  assert.equal(status('pod'), 'running');
  assert.equal(pids('pod').length, 1);
});

test('the exit status of a container of a pod, and one whose program is not there', { skip }, () => {
  const three = bundle('three', ['sh', '-c', 'cat /proc/self/stat | cut -d" " -f1; exit 7'], annotations('container'));
  assert.equal(run('run', '-b', three, 'three').status, 7);
  bundle('three', ['nonesuch'], annotations('container'));
  const { status: failed, text } = run('create', '-b', three, 'three');
  assert.equal(failed, 127);
  assert.match(text, /executable file not found/);
  assert.deepEqual(readdirSync(root), ['pod']);
});

test('pids that are shared with the sandbox', { skip }, () => {
  const linux = {
    cgroupsPath: `cloister-${process.pid}-four`,
    namespaces: ['mount', 'network'].map((type) => ({ type })).concat([{ type: 'pid', path: '/x' } as never]),
  };
  const four = bundle('four', ['sh', '-c', 'cat /proc/1/comm'], annotations('container'), { linux });
  const { status: ended, text } = run('run', '-b', four, 'four');
  assert.deepEqual({ ended, text: text.replaceAll(/^cloister: warning.*\n/gm, '') }, { ended: 0, text: 'sleep\n' });
});
