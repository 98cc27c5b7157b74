// The head start of `run` and `do` (native/boot/front.c): what was begun on a guess is used, or leaves nothing behind.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-front-'));
const bundle = join(scratch, 'bundle');
const root = join(scratch, 'state');
const PREFIX = `front-${process.pid}-`;
/** A hierarchy of version 1: with others `run` has no head start, and the same must hold. */
const HIERARCHY = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].find((path) => existsSync(`${path}/cgroup.procs`));

before(() => {
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
});
after(() => rmSync(scratch, { recursive: true }));

type Namespace = { readonly type: string; readonly path?: string };
const NAMESPACES: readonly Namespace[] = ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }));

interface Changes {
  readonly linux?: object;
  readonly [field: string]: unknown;
}

function configure(args: readonly string[], changes: Changes = {}): void {
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc' }],
    process: { args, cwd: '/', env: ['PATH=/bin'] },
    ...changes,
    linux: { namespaces: NAMESPACES, ...changes.linux },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}

const COMMAND = ['--root', root, 'run', '-b', bundle];

function run(id: string, ...before: string[]): { status: number | null; signal: string | null; text: string } {
  const { status, signal, stdout, stderr } = spawnSync(CLOISTER, [...before, ...COMMAND, `${PREFIX}${id}`], {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  return { status, signal, text: stdout + stderr };
}

/** Directories of containers of ours, and their cgroups in those hierarchies where we are at the top. */
function remains(): string[] {
  const hierarchies = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/pids', '/sys/fs/cgroup'].filter((path) =>
    existsSync(path),
  );
  const cgroups = hierarchies.flatMap((path) => readdirSync(path).filter((name) => name.startsWith(PREFIX)));
  return [...(existsSync(root) ? readdirSync(root) : []), ...cgroups];
}

test('whatever was guessed, the container is what its configuration says', () => {
  const cases: readonly (readonly [name: string, expected: RegExp, args: readonly string[], changes: Changes])[] = [
    ['plain', /^1\n$/, ['sh', '-c', 'echo $$'], {}],
    ['own path', /^here\n$/, ['echo', 'here'], { linux: { cgroupsPath: `/${PREFIX}own` } }],
    // The glance finds this one first.
    ['misled', /^here\n$/, ['echo', 'here'], { annotations: { a: 'x', cgroupsPath: `${PREFIX}misled` } }],
    [
      'host',
      /^here\n$/,
      ['echo', 'here'],
      { linux: { namespaces: NAMESPACES.filter(({ type }) => type !== 'network') } },
    ],
    [
      'scored',
      /^600\n$/,
      ['cat', '/proc/self/oom_score_adj'],
      { process: { args: ['cat', '/proc/self/oom_score_adj'], cwd: '/', env: ['PATH=/bin'], oomScoreAdj: 600 } },
    ],
    ['named', /^there\n$/, ['hostname'], { hostname: 'there' }],
    ['hooked', /^here\n$/, ['echo', 'here'], { hooks: { poststop: [{ path: '/bin/true' }] } }],
    ['limited', /^here\n$/, ['echo', 'here'], { linux: { resources: { memory: { limit: 128 << 20 } } } }],
    [
      'mapped',
      /^\s+0 +100000 +1000\n$/,
      ['cat', '/proc/self/uid_map'],
      {
        linux: {
          namespaces: [...NAMESPACES, { type: 'user' }],
          uidMappings: [{ containerID: 0, hostID: 100000, size: 1000 }],
          gidMappings: [{ containerID: 0, hostID: 100000, size: 1000 }],
        },
      },
    ],
  ];
  for (const [name, expected, args, changes] of cases) {
    configure(args, changes);
    const { status, text } = run(name.replace(' ', '-'));
    assert.match(text, expected, name);
    assert.equal(status, 0, name);
    assert.deepEqual(remains(), [], name);
  }
});

test('other ways of serving calls, and a status of its own', () => {
  configure(['sh', '-c', 'exit 7']);
  assert.equal(run('ptrace', '--platform=ptrace').status, 7);
  writeFileSync(join(scratch, 'settings.json'), JSON.stringify({ platform: 'ptrace' }));
  process.env.CLOISTER_CONFIG = join(scratch, 'settings.json');
  assert.equal(run('settings').status, 7); // which nothing on the command line tells of
  writeFileSync(join(scratch, 'settings.json'), JSON.stringify({ network: 'host' }));
  const { stdout, stderr } = spawnSync(CLOISTER, ['do', '--', 'echo', 'here'], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(stdout, 'here\n', stderr);
  delete process.env.CLOISTER_CONFIG;
  assert.deepEqual(remains(), []);
});

test('what is refused leaves nothing', () => {
  configure(['true'], { process: { cwd: 'relative', args: ['true'] } });
  const { status, text } = run('refused');
  assert.match(text, /^cloister: config.json: process.cwd: /);
  assert.equal(status, 1);
  configure(['nonesuch']);
  assert.equal(run('missing').status, 127);
  assert.deepEqual(remains(), []);
});

test('cgroups that were there are not ours to remove', { skip: HIERARCHY === undefined }, () => {
  const cgroup = join(HIERARCHY ?? '', `${PREFIX}there`);
  mkdirSync(cgroup);
  try {
    configure(['true'], { process: { cwd: 'relative', args: ['true'] }, linux: { cgroupsPath: `/${PREFIX}there` } });
    assert.equal(run('there').status, 1);
    assert.ok(existsSync(cgroup));
    configure(['true'], { linux: { cgroupsPath: `/${PREFIX}there` } });
    assert.equal(run('there').status, 0);
  } finally {
    if (existsSync(cgroup)) rmdirSync(cgroup);
  }
});

test('programs do not see how they were started', () => {
  const { stdout } = spawnSync(CLOISTER, ['do', '--', 'env'], { encoding: 'utf8', timeout: 60_000 });
  // The transport may be asked for in the environment of all tests (npm run test:ptrace).
  assert.doesNotMatch(stdout, /CLOISTER(?!_PLATFORM=)/);
});

function start(id: string): ChildProcess {
  return spawn(CLOISTER, [...COMMAND, `${PREFIX}${id}`], { stdio: 'ignore' });
}

async function ended(child: ChildProcess): Promise<readonly [number | null, string | null]> {
  if (child.exitCode !== null || child.signalCode !== null) return [child.exitCode, child.signalCode];
  return (await once(child, 'exit')) as [number | null, string | null];
}

function commandLineOf(child: ChildProcess): number {
  try {
    const text = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1');
    const pids = text.split(' ').filter(Boolean).map(Number);
    return pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--snapshot-blob')) ?? 0;
  } catch {
    return 0;
  }
}

/** Processes may take a moment to end. */
async function nothingRemains(what: string): Promise<void> {
  for (let tries = 0; tries < 100 && remains().length > 0; tries++) {
    for (const id of existsSync(root) ? readdirSync(root) : []) {
      spawnSync(CLOISTER, ['--root', root, 'delete', '--force', id], { timeout: 60_000 });
    }
    await sleep(20);
  }
  assert.deepEqual(remains(), [], what);
}

test('killed at any moment, it or the command line, nothing remains that delete --force does not remove', async () => {
  configure(['sleep', '5']); // which as the first process does not mind SIGTERM
  for (let delay = 0; delay < 60; delay += 10) {
    for (const victim of ['SIGTERM', 'SIGKILL', 'command line'] as const) {
      const child = start('killed');
      await sleep(delay);
      const pid = victim === 'command line' ? commandLineOf(child) : (child.pid ?? 0);
      if (pid > 0) process.kill(pid, victim === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL');
      if (pid === 0) child.kill('SIGKILL');
      await ended(child);
      await nothingRemains(`${victim} after ${delay} ms`);
    }
  }
});
