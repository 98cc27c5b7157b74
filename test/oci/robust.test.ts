// Containers in numbers and under fire: many at a time, many one after the other (nothing of which may stay: no process,
// mount, cgroup, file, nor a descriptor of a sandbox that goes on), and with the command line, the launcher,
// its init or the sentry killed at any moment. Whatever happens, `delete --force` removes everything there was of a
// container, and no other is harmed. Here in short; `npm run robust` does it at length.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
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
import { isDeepStrictEqual } from 'node:util';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const AT_LENGTH = process.env.CLOISTER_ROBUST === '1';
const PARALLEL = AT_LENGTH ? 50 : 6;
const LOOPS = AT_LENGTH ? 500 : 4;
const KILLS = AT_LENGTH ? 200 : 6;
const TIMEOUT = 120_000;
/** Of this run: cgroups are the machine's. */
const PREFIX = `robust-${process.pid}-`;
const BYSTANDER = `${PREFIX}bystander`;

const scratch = mkdtempSync(join(tmpdir(), 'cloister-robust-'));
const bundle = join(scratch, 'bundle');
const root = join(scratch, 'state');

before(() => {
  mkdirSync(join(scratch, 'tmp'));
  process.env.TMPDIR = join(scratch, 'tmp');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
  writeConfig(['sleep', '100000']);
  cloister('create', '-b', bundle, BYSTANDER);
  cloister('start', BYSTANDER);
});

after(() => {
  for (const id of readdirSync(root)) cloister('delete', '--force', id);
  rmSync(scratch, { recursive: true });
});

function writeConfig(args: readonly string[], paths: Readonly<Record<string, string>> = {}): void {
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    process: { args, cwd: '/', env: ['PATH=/bin'] },
    mounts: [{ destination: '/proc', type: 'proc' }],
    linux: { namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type, path: paths[type] })) },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}

/** Nobody reads what these print: a pipe would be kept open by the container. */
function cloister(...args: string[]): number | null {
  return spawnSync(CLOISTER, ['--root', root, ...args], { stdio: 'ignore', timeout: TIMEOUT }).status;
}

function start(...args: string[]): ChildProcess {
  return spawn(CLOISTER, ['--root', root, ...args], { stdio: 'ignore' });
}

async function statusOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const [status] = (await once(child, 'exit')) as [number | null];
  return status;
}

/** Pids of processes with all these words on their command lines. */
function processesOf(...words: readonly string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return words.every((word) => line.includes(word));
      } catch {
        return false;
      }
    });
}

/** What is left of containers, the bystander aside: directories, processes, mounts, cgroups. */
function remains(): string[] {
  const left = readdirSync(root).filter((id) => id !== BYSTANDER);
  for (const pid of processesOf('boot', `--control-directory=${root}/`)) {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(BYSTANDER)) left.push(`process ${pid}`);
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n');
  left.push(...mounts.filter((line) => line.includes(scratch)));
  for (const controller of ['memory', 'pids', 'freezer', '']) {
    const directory = join('/sys/fs/cgroup', controller);
    const names = existsSync(directory) ? readdirSync(directory) : [];
    left.push(
      ...names
        .filter((name) => name.startsWith(PREFIX) && name !== BYSTANDER)
        .map((name) => `cgroup ${join(directory, name)}`),
    );
  }
  return left;
}

/** Descriptors that a process has open, by kind. */
function descriptorsOf(pid: number): { slots: number; pidfds: number; others: number } {
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
  const slots = links.filter((link) => link.startsWith('/memfd:slot')).length;
  const pidfds = links.filter((link) => link === 'anon_inode:[pidfd]').length;
  return { slots, pidfds, others: links.length - slots - pidfds };
}

/**
 * What the bystander's launcher, init, zygote and sentry have open, and all files below the scratch. Processes are made
 * ahead, several at a time, and each has a slot: counted are the slots without one.
 */
function openAndFiles(): { descriptors: unknown[]; files: unknown[] } {
  const [launcher = 0] = processesOf('boot', `${root}/${BYSTANDER}`);
  const [init = 0] = childrenOf([launcher]);
  const inner = childrenOf([init]);
  const sentry = inner.find(isSentry) ?? assert.fail('no sentry');
  const zygote = inner.find((pid) => pid !== sentry) ?? assert.fail('no zygote');
  const processes = childrenOf([zygote]).length;
  const { slots, ...rest } = descriptorsOf(sentry);
  return {
    descriptors: [...[launcher, init, zygote].map(descriptorsOf), { idleSlots: slots - processes, ...rest }],
    files: readdirSync(scratch, { recursive: true }).filter((name) => !String(name).startsWith('bundle/rootfs/')),
  };
}

/** The same, once it has not changed for a while: connections are closed, processes made ahead, blanks looked at. */
async function settled(): Promise<ReturnType<typeof openAndFiles>> {
  let last = openAndFiles();
  for (let same = 0, tries = 0; same < 5 && tries < 100; tries++) {
    await sleep(50);
    const now = openAndFiles();
    same = isDeepStrictEqual(now, last) ? same + 1 : 0;
    last = now;
  }
  // One is the zygote's, four are ready for the next; the only program is looked after by a pidfd.
  assert.deepEqual(last.descriptors[3], { ...(last.descriptors[3] as object), idleSlots: 5, pidfds: 1 });
  return last;
}

function bystanderRuns(): void {
  const { stdout } = spawnSync(CLOISTER, ['--root', root, 'state', BYSTANDER], { encoding: 'utf8' });
  assert.equal((JSON.parse(stdout) as { status: string }).status, 'running');
}

test(`${PARALLEL} containers at a time`, async () => {
  writeConfig(['true']);
  const children = Array.from({ length: PARALLEL }, (_, index) => start('run', '-b', bundle, `${PREFIX}${index}`));
  const statuses = await Promise.all(children.map(statusOf));
  assert.deepEqual(
    statuses,
    statuses.map(() => 0),
  );
  assert.deepEqual(remains(), []);
});

test(`${LOOPS} containers one after the other`, async () => {
  writeConfig(['sleep', '1000']);
  assert.equal(cloister('exec', BYSTANDER, 'true'), 0);
  const before = await settled();
  for (let index = 0; index < LOOPS; index++) {
    const id = `${PREFIX}${index}`;
    assert.equal(cloister('create', '-b', bundle, id), 0);
    assert.equal(cloister('start', id), 0);
    assert.equal(cloister('kill', id, 'KILL'), 0);
    assert.equal(cloister('delete', '--force', id), 0);
    assert.equal(cloister('exec', BYSTANDER, 'true'), 0);
  }
  assert.deepEqual(remains(), []);
  assert.deepEqual(await settled(), before);
});

test(`${LOOPS} containers that join a sandbox, one after the other`, { skip: process.geteuid?.() !== 0 }, async () => {
  const { pid } = JSON.parse(readFileSync(join(root, BYSTANDER, 'state.json'), 'utf8')) as { pid: number };
  writeConfig(['sleep', '1000'], { ipc: `/proc/${pid}/ns/ipc` });
  const before = await settled();
  for (let index = 0; index < LOOPS; index++) {
    const id = `${PREFIX}${index}`;
    assert.equal(cloister('create', '-b', bundle, id), 0);
    assert.equal(cloister('start', id), 0);
    if (index % 2 === 0) assert.equal(cloister('kill', id, 'KILL'), 0);
    assert.equal(cloister('delete', '--force', id), 0);
  }
  assert.deepEqual(remains(), []);
  assert.deepEqual(await settled(), before);
});

/** Whom to kill: a process of ours by what is on its command line. */
const VICTIMS: readonly ((id: string) => number[])[] = [
  (id) => processesOf('cli.js', root, id),
  (id) => processesOf('boot', `${root}/${id}`).slice(0, 1), // the launcher
  (id) => processesOf('boot', `${root}/${id}`).slice(1), // its init, and what stands for an exec
  (id) => childrenOf(processesOf('boot', `${root}/${id}`)).filter((pid) => isSentry(pid)),
];

/** Node: the other children of init are guests. */
function isSentry(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('/node');
  } catch {
    return false;
  }
}

function childrenOf(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => {
    try {
      return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

/** The life of a container, as far as it gets. */
async function live(id: string): Promise<void> {
  for (const args of [
    ['create', '-b', bundle, id],
    ['start', id],
    ['exec', id, 'true'],
    ['exec', '--detach', id, 'sleep', '1000'],
    ['kill', id, 'KILL'],
    ['delete', id],
  ]) {
    if ((await statusOf(start(...args))) !== 0) return;
  }
}

test(`${KILLS} times SIGKILL at any moment`, async () => {
  writeConfig(['sleep', '1000']);
  for (let index = 0; index < KILLS; index++) {
    const id = `${PREFIX}${index}`;
    const life = live(id);
    await sleep(Math.random() * 700);
    const victims = VICTIMS[index % VICTIMS.length]?.(id) ?? [];
    for (const pid of victims) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    await life;
    assert.equal(cloister('delete', '--force', id), 0, `${index}`);
    for (let tries = 0; tries < 100 && remains().length > 0; tries++) await sleep(20);
    assert.deepEqual(remains(), [], `${index}`);
  }
  bystanderRuns();
});
