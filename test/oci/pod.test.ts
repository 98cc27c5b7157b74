// Containers that share a sandbox: pods as containerd and CRI-O make them, where containers join by annotations, and
// containers that name namespaces of others by path. Each has its own files, and what it does not share.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
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
  return text.replaceAll(/^cloister: warning.*\n/gm, '');
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
  const isSandbox = name === 'pause';
  const pid = isSandbox ? 0 : pidOf('pod');
  const joined = (type: string) => ({ type, path: `/proc/${pid}/ns/${type === 'network' ? 'net' : type}` });
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

function pidOf(id: string): number {
  return (JSON.parse(succeed('state', id)) as { pid: number }).pid;
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

/** A container outside of pods, in the namespaces that are listed. */
function joining(name: string, args: readonly string[], namespaces: readonly object[], resources?: object): string {
  const linux = { cgroupsPath: `cloister-${process.pid}-${name}`, namespaces, resources };
  const mounts = [
    { destination: '/proc', type: 'proc' },
    { destination: '/dev', type: 'tmpfs', options: ['mode=755'] },
    { destination: '/cgroup', type: 'cgroup' },
  ];
  const program = { args, cwd: '/', env: ['PATH=/bin'], oomScoreAdj: 321 };
  return bundle(name, args, {}, { hostname: 'its-own', linux, mounts, process: program });
}

const KINDS = ['ipc', 'network', 'pid', 'uts'] as const;
const SHOW =
  'cd /proc/self/ns; for n in ipc net pid uts; do readlink $n; done; hostname; ip -o link | grep -c LOOPBACK,UP';

/** Namespaces of these kinds by path, new ones of the others. */
function namespacesOf(id: string, ...kinds: readonly string[]): object[] {
  const path = (type: string) => `/proc/${pidOf(id)}/ns/${type === 'network' ? 'net' : type}`;
  return [{ type: 'mount' }, ...KINDS.map((type) => (kinds.includes(type) ? { type, path: path(type) } : { type }))];
}

test("another container's namespaces by path", { skip }, () => {
  const its = succeed('exec', 'pod', 'sh', '-c', SHOW).split('\n');
  for (const kinds of [[...KINDS], ['ipc'], ['pid'], ['uts']]) {
    const directory = joining('joins', ['sh', '-c', SHOW], namespacesOf('pod', ...kinds));
    const lines = succeed('run', '-b', directory, 'joins').split('\n');
    assert.deepEqual(
      KINDS.filter((_, index) => lines[index] === its[index]),
      kinds,
    );
    assert.deepEqual(lines.slice(4, 6), [kinds.includes('uts') ? 'pod-host' : 'its-own', '1']);
  }
});

test('namespaces of a container that has joined itself, and what others see of it', { skip }, async () => {
  const first = joining('first', ['sleep', '3000'], namespacesOf('pod', 'ipc'));
  succeed('create', '-b', first, 'first');
  succeed('start', 'first');
  const its = succeed('exec', 'first', 'sh', '-c', SHOW).split('\n');
  const second = joining(
    'second',
    ['sh', '-c', `${SHOW}; cat /proc/1/cmdline`],
    namespacesOf('first', 'pid', 'network'),
  );
  const lines = succeed('run', '-b', second, 'second').split('\n');
  assert.deepEqual([lines[1], lines[2], lines[6]], [its[1], its[2], 'sleep\x003000\0']);
  assert.notEqual(lines[3], its[3]);
  // Clients copy files by the mount namespace and the root of the process that they know, and join its network.
  const pid = pidOf('first');
  assert.equal(readFileSync(`/proc/${pid}/root/etc/name`, 'utf8'), 'first\n');
  for (const kind of ['net', 'ipc', 'uts', 'mnt']) {
    const name = readlinkSync(`/proc/${pid}/ns/${kind}`);
    assert.notEqual(name, readlinkSync(`/proc/self/ns/${kind}`));
    assert.equal(name === readlinkSync(`/proc/${pidOf('pod')}/ns/${kind}`), kind === 'ipc', kind);
  }
  succeed('delete', '--force', 'first');
});

test('namespaces that cannot be joined are refused by name', { skip }, () => {
  bundle(
    'pause',
    ['sleep', '1000'],
    {},
    { hostname: 'other', linux: { cgroupsPath: `cloister-${process.pid}-other` } },
  );
  succeed('create', '-b', join(scratch, 'pause'), 'other');
  const own = [{ type: 'mount' }, { type: 'network' }];
  const of = (id: string, type: string) => ({ type, path: `/proc/${pidOf(id)}/ns/${type}` });
  const cases: readonly (readonly [namespaces: readonly object[], pattern: RegExp])[] = [
    [
      [...own, { type: 'ipc', path: '/nonesuch' }],
      /namespaces\[2\]\.path: \/nonesuch is no ipc namespace of a running/,
    ],
    [[...own, of('pod', 'ipc'), of('other', 'uts')], /namespaces\[3\]\.path: .* in the sandbox other, .* here pod/],
    [[{ type: 'mount', path: `/proc/${pidOf('pod')}/ns/mnt` }], /namespaces\[0\]\.path: joining a mount namespace/],
    [[{ type: 'mount' }, of('pod', 'ipc')], /linux\.namespaces: the host's network cannot be had in the sandbox pod/],
    [
      [{ type: 'mount' }, of('pod', 'ipc'), { type: 'network', path: '/proc/self/ns/net' }],
      /namespaces\[2\]\.path: the sandbox pod has another network, .*--network container:pod/,
    ],
  ];
  for (const [namespaces, pattern] of cases) {
    const { status: failed, text } = run('create', '-b', joining('joins', ['true'], namespaces), 'joins');
    assert.equal(failed, 1);
    assert.match(text, pattern);
  }
  // That of pids is the host's in what stands for a container, here of another --root.
  const elsewhere = joining('joins', ['true'], [...own, of('pod', 'pid')]);
  const others = run('--root', join(scratch, 'other'), 'create', '-b', elsewhere, 'joins');
  run('--root', join(scratch, 'other'), 'delete', '--force', 'joins');
  assert.deepEqual([others.status, /is no pid namespace of a running/.test(others.text)], [1, true]);
  // The caller's own are the host's, which no container has: it gets its own.
  const hosts = joining('joins', ['sh', '-c', 'hostname'], [...own, { type: 'uts', path: '/proc/self/ns/uts' }]);
  assert.match(run('run', '-b', hosts, 'joins').text, /host's uts namespace cannot be shared(.|\n)*its-own\n$/);
  succeed('delete', '--force', 'other');
  assert.deepEqual(readdirSync(root), ['pod']);
});

test('a container has its own cgroup on the host, with its limits, and can be paused by itself', { skip }, () => {
  const resources = { memory: { limit: 32 << 20 }, pids: { limit: 5 }, cpu: { quota: 50_000, period: 100_000 } };
  const count = 'sleep 4000 & while :; do echo >>/count; sleep 0.01; done';
  const counts = joining('counts', ['sh', '-c', count], namespacesOf('pod', 'network', 'pid'), resources);
  succeed('create', '-b', counts, 'counts');
  succeed('start', 'counts');
  const show =
    'cat /cgroup/memory.max /cgroup/pids.max /cgroup/cpu.max /cgroup/cgroup.procs /proc/1/comm; cat /proc/1/cgroup';
  const [memory, pids, cpu, ...procs] = succeed('exec', 'counts', 'sh', '-c', show).trim().split('\n');
  assert.deepEqual([memory, pids, cpu], [String(32 << 20), '5', '50000 100000']);
  assert.deepEqual([procs.length > 3, procs.includes('1'), procs.at(-2)], [true, false, 'sleep']);
  const place = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, 'latin1');
  const lasting = (JSON.parse(succeed('ps', '-f', 'json', 'counts')) as number[]).slice(0, 2);
  assert.equal(lasting.length, 2);
  for (const pid of lasting) {
    assert.equal(place(pid), place(pidOf('counts')));
    assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1'), '321\n');
  }
  assert.notEqual(place(pidOf('counts')), place(pidOf('pod')));
  succeed('pause', 'counts');
  assert.deepEqual([status('counts'), status('pod')], ['paused', 'running']);
  const size = () => succeed('exec', 'pod', 'true') + readFileSync(join(counts, 'rootfs/count')).length;
  assert.equal(size(), size());
  succeed('resume', 'counts');
  succeed('update', '--memory', '64m', 'counts');
  assert.equal(succeed('exec', 'counts', 'cat', '/cgroup/memory.max'), `${64 << 20}\n`);
  assert.match(run('exec', 'counts', 'sh', '-c', 'sleep 9 & sleep 9 & sleep 9 &').text, /can't fork/);
  // What it has started ends with it, also among the pids of another.
  succeed('delete', '--force', 'counts');
  assert.equal((JSON.parse(succeed('ps', '-f', 'json', 'pod')) as number[]).length, 1);
  const hungry = ['sh', '-c', 'exec tail </dev/zero'];
  assert.equal(
    run('run', '-b', joining('hungry', hungry, namespacesOf('pod', 'network'), resources), 'hungry').status,
    137,
  );
  assert.equal(status('pod'), 'running');
});

test('a first process that reads its signals from a signalfd gets those it blocks', { skip }, async () => {
  const source = join(scratch, 'waits.c');
  writeFileSync(source, SIGNALFD);
  const waits = bundle('pause', ['/waits'], {}, { linux: { cgroupsPath: `cloister-${process.pid}-waits` } });
  execFileSync('cc', ['-static', '-o', join(waits, 'rootfs/waits'), source]);
  succeed('create', '-b', waits, 'waits');
  succeed('start', 'waits');
  await sleep(200);
  succeed('kill', 'waits', 'TERM');
  for (let tries = 0; tries < 100 && status('waits') !== 'stopped'; tries++) await sleep(20);
  assert.equal(status('waits'), 'stopped');
  succeed('delete', 'waits');
});

const SIGNALFD = `#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>
int main(void) {
  sigset_t all;
  char info[128];
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, 0);
  return read(signalfd(-1, &all, 0), info, sizeof info) == sizeof info ? 0 : 1;
}
`;
