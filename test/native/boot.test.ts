// The launcher and the stub, end to end but without a kernel: tiny-sentry.ts plays a scene inside the real cage. And what
// the launcher says when it cannot build one.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KIND_FAULT, KIND_ORDER_FAIL, KIND_ORDERS, KIND_SIGNAL_FAIL } from '../../src/platform/layout.ts';

const { EFAULT, EINVAL, ENOSYS, EROFS } = constants.errno;
const { SIGCONT, SIGILL, SIGSEGV, SIGTERM, SIGTSTP, SIGUSR1, SIGWINCH } = constants.signals;
const top = join(import.meta.dirname, '../..');
const boot = join(top, 'dist/boot');
const NEXT_STRANGER = -4;

let directory: string;
let rootfs: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-boot-'));
  chmodSync(directory, 0o755); // the ordinary user of one test must get in
  rootfs = join(directory, 'rootfs');
  mkdirSync(rootfs);
  writeFileSync(join(rootfs, 'marker'), '');
});

after(() => rmSync(directory, { recursive: true }));

interface Runtime {
  readonly node: string;
  readonly libraries: readonly string[];
}

function bootArguments(...more: string[]): string[] {
  const runtime = JSON.parse(readFileSync(join(top, 'dist/runtime.json'), 'utf8')) as Runtime;
  const sources = ['test/native/tiny-sentry.ts', 'package.json', 'src/host/addon.ts', 'src/host/calls.ts'];
  sources.push('src/platform/layout.ts', 'src/platform/native.ts');
  return [
    `--rootfs=${rootfs}`,
    '--rootfs-ro=1',
    `--runtime=${runtime.node}:/node`,
    ...runtime.libraries.map((library) => `--runtime=${library}`),
    ...sources.map((file) => `--runtime=${join(top, file)}:/${file}`),
    `--runtime=${join(top, 'dist/cloister.node')}:/cloister.node`,
    `--stub=${join(top, 'dist/stub')}`,
    '--spec-fd=3',
    '--node=/node',
    '--script=/test/native/tiny-sentry.ts',
    '--caps=8000001b',
    ...more,
  ];
}

/** The scene as the spec's descriptor. */
function specOf(scene: string): number {
  const path = join(directory, `spec-${scene}`);
  writeFileSync(path, scene);
  return openSync(path, 'r');
}

function play(scene: string, ...more: string[]): unknown {
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', specOf(scene)];
  const { status, stdout, stderr } = spawnSync(boot, bootArguments(...more), {
    stdio,
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.equal(status, 7, stderr);
  return JSON.parse(stdout);
}

function refuse(...args: string[]): string {
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', specOf('fork')];
  const { status, stderr } = spawnSync(boot, args, { stdio, encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 125, stderr);
  return stderr;
}

/** bootArguments without the options that start like one of these. */
const without = (...names: string[]): string[] =>
  bootArguments().filter((argument) => !names.some((name) => argument.startsWith(`--${name}=`)));

describe('what the launcher refuses', () => {
  test('a root file system that is not there, or no directory', () => {
    assert.match(refuse(...without('rootfs'), '--rootfs=/no/such'), /the root file system \/no\/such: No such file/);
    assert.match(refuse(...without('rootfs'), '--rootfs=/etc/passwd'), /\/etc\/passwd: Not a directory/);
  });

  test('a bind source, a runtime file, a stub that are not there', () => {
    assert.match(refuse(...bootArguments('--bind=a:/no/such')), /bind mount, \/no\/such: No such file/);
    assert.match(refuse(...bootArguments('--runtime=/no/such')), /sentry needs, \/no\/such: No such file/);
    assert.match(refuse(...without('stub'), '--stub=/no/such'), /stub \/no\/such: No such file.*\n.*npm run build/);
  });

  test('options that are missing, unknown or malformed', () => {
    for (const name of ['rootfs', 'stub', 'spec-fd', 'node', 'script']) {
      assert.match(refuse(...without(name)), new RegExp(`missing option: --${name}`));
    }
    assert.match(refuse('--bogus'), /unknown option: --bogus/);
    assert.match(refuse(...bootArguments('--uidmap=1:2')), /bad id map.*: 1:2/);
    assert.match(refuse(...without('spec-fd'), '--spec-fd=99'), /not an open descriptor: 99/);
    assert.match(refuse(...bootArguments('--bind=nocolon')), /bad --bind/);
  });

  test('a network namespace that is none', () => {
    assert.match(refuse(...bootArguments('--netns=/no/such')), /network namespace \/no\/such: No such file/);
  });

  test('id maps that leave root out', () => {
    const args = bootArguments('--uidmap=5:5:1', '--gidmap=5:5:1');
    if (process.geteuid?.() === 0) assert.match(refuse(...args), /become root.*\n.*inside id 0/);
  });
});

describe('the stub', () => {
  test('forks blanks, whose death is seen', () => {
    const { again, ...rest } = play('fork') as { again: number };
    assert.deepEqual(rest, { elf: [4, 'ELF'], death: 'gone', reply: -constants.errno.ENOENT });
    assert.equal(again, 2);
  });

  test('carries a system call and its result', () => {
    assert.deepEqual(play('call'), { first: [39, 22], second: [231, 1234], death: 'gone' });
  });

  test('makes a call again when it is told to', () => {
    assert.deepEqual(play('restart'), { nr: 39, rip: 22, death: 'gone' });
  });

  test('captures arguments by the copy plan', () => {
    const vector = play('capture') as { seen: string[][] };
    assert.deepEqual(vector.seen.slice(0, 6), [
      ['hello'],
      [String(-EFAULT)],
      [],
      ['hello.'],
      [String(-constants.errno.ENAMETOOLONG)],
      [],
    ]);
    assert.deepEqual(vector.seen[6].slice(1), ['hel', String(-EFAULT)]);
    assert.deepEqual(vector.seen[7], []);
  });

  test('copies results out, or answers EFAULT', () => {
    assert.deepEqual(play('results'), { written: ['done'], faulted: -EFAULT, death: 'gone' });
  });

  test('reports an order that fails', () => {
    assert.deepEqual(play('orders'), {
      error: [KIND_ORDER_FAIL, 1, -EINVAL],
      copy: [KIND_ORDER_FAIL, 0, -EFAULT],
      unknown: [KIND_ORDER_FAIL, 0, -EINVAL],
      refused: KIND_FAULT,
      death: 'gone',
    });
  });

  test('gives an order the last word on the result, failed or not, and goes on', () => {
    assert.deepEqual(play('orderReturn'), { kind: KIND_ORDERS, result: -EINVAL, written: 1, death: 'gone' });
  });

  test('reports faults', () => {
    assert.deepEqual(play('fault'), {
      illegal: [KIND_FAULT, SIGILL, 0, 0],
      death: 'gone',
      memory: [SIGSEGV, 0x1234, 0, 0],
      secondDeath: 'gone',
    });
  });

  test('tells foreign system calls apart', () => {
    assert.deepEqual(play('foreign'), { int80: 0xffffffff, x32: 0x40000001, death: 'gone' });
  });

  test('interrupts a program that computes', () => {
    assert.deepEqual(play('interrupt'), { odd: [], death: 'gone' });
  });

  test('writes a signal frame and takes it apart: registers and vector state come back', () => {
    assert.deepEqual(play('signal'), { sigreturn: [15, 0x1234, 2], exit: [231, 77], death: 'gone' });
  });

  test('reports a frame that has no stack', () => {
    assert.deepEqual(play('badFrame'), { kind: KIND_SIGNAL_FAIL, death: 'gone' });
  });

  test('starts threads with a slot of their own', () => {
    assert.deepEqual(play('thread'), { rang: true, apart: true, results: [0, true], death: 'gone' });
  });

  test("refuses rings in another's name", () => {
    const refused = [NEXT_STRANGER, true, true, -ENOSYS];
    assert.deepEqual(play('forged'), {
      name: refused,
      number: refused,
      none: refused,
      beyond: refused,
      victim: [0, 'gone'],
      blank: 'gone',
    });
  });

  test('a guest that unmaps its own slot dies alone', () => {
    assert.deepEqual(play('selfDestruction'), { death: 'gone', next: true });
  });
});

describe('the cage', () => {
  test('holds only the root file system, and no rights but the kept ones', () => {
    const view = play('view') as Record<'rootfs' | 'root' | 'init' | 'sentry' | 'zygote', unknown[]>;
    assert.deepEqual(view.rootfs, [false, true, -EROFS]);
    assert.deepEqual(view.root, []);
    const rights = (kept: string, filters: number) => [
      ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}:\t${kept.padStart(16, '0')}`),
      'NoNewPrivs:\t1',
      `Seccomp:\t${filters}`,
    ];
    assert.deepEqual(view.init, rights('', 0));
    assert.deepEqual(view.sentry, rights('8000001b', 2));
    assert.deepEqual(view.zygote, rights('', 2));
  });

  test('binds directories and files', () => {
    const { binds } = play('streams', `--bind=d:${directory}`, '--bind=f:/etc/passwd:ro') as { binds: string[] };
    assert.deepEqual(binds, ['--bind-fd=d:', '--bind-file-fd=f:']);
  });

  test('doubles pipes, and only pipes', () => {
    const args = bootArguments().map((argument) => `'${argument}'`);
    const spec = `3<${directory}/spec-streams`;
    specOf('streams');
    const script = `echo | ${boot} ${args.join(' ')} ${spec} 2>/dev/null | cat`;
    const { options } = JSON.parse(execFileSync('sh', ['-c', script], { encoding: 'utf8' })) as { options: string[] };
    assert.deepEqual(options, ['--stdio-fd=0', '--stdio-fd=1']);
  });

  test('works for an ordinary user', { skip: process.geteuid?.() !== 0 && 'root only' }, () => {
    const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', specOf('call')];
    const options = { stdio, encoding: 'utf8', uid: 12345, gid: 12345 } as const;
    const { status, stdout, stderr } = spawnSync(boot, bootArguments(), options);
    assert.equal(status, 7, stderr);
    assert.deepEqual(JSON.parse(stdout), { first: [39, 22], second: [231, 1234], death: 'gone' });
  });
});

/** Starts a scene that waits; resolves when it does. */
async function startWaiting(): Promise<ChildProcess> {
  const child = spawn(boot, bootArguments(), { stdio: ['ignore', 'pipe', 'inherit', specOf('wait')] });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

/** All processes below one, by /proc. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  if (children === '') return [];
  return children.split(' ').flatMap((child) => [Number(child), ...descendants(Number(child))]);
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

async function assertAllDie(pids: readonly number[]): Promise<void> {
  for (let i = 0; i < 100 && pids.some(isAlive); i++) await sleep(20);
  assert.deepEqual(pids.filter(isAlive), []);
}

describe('life and death', () => {
  test('signals are forwarded, the exit status comes back', async () => {
    const child = await startWaiting();
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
    });
    const closed = new Promise((resolve) => child.once('close', resolve));
    for (const signal of [SIGWINCH, SIGUSR1, SIGTERM]) {
      process.kill(child.pid ?? 0, signal);
      await sleep(50);
    }
    assert.equal(await closed, 7);
    assert.deepEqual(JSON.parse(text), { signals: [SIGWINCH, SIGUSR1, SIGTERM] });
  });

  test('stops and continues with the sandbox', async () => {
    const child = await startWaiting();
    const pid = child.pid ?? 0;
    const state = (): string => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1][0];
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
    });
    const closed = new Promise((resolve) => child.once('close', resolve));
    process.kill(pid, SIGTSTP);
    for (let i = 0; i < 100 && state() !== 'T'; i++) await sleep(10);
    assert.equal(state(), 'T');
    process.kill(pid, SIGCONT);
    await sleep(50);
    process.kill(pid, SIGTERM);
    await closed;
    assert.deepEqual(JSON.parse(text), { signals: [SIGTSTP, SIGCONT, SIGTERM] });
  });

  test('a killed launcher takes everything along', async () => {
    const child = await startWaiting();
    const pids = descendants(child.pid ?? 0);
    assert.ok(pids.length >= 3, `${pids}`);
    child.kill('SIGKILL');
    await assertAllDie(pids);
  });

  test('a killed sentry takes the guests along', async () => {
    const child = await startWaiting();
    const pids = descendants(child.pid ?? 0);
    const sentry = pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('/node'));
    process.kill(sentry ?? 0, 'SIGKILL');
    const status = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(status, 137);
    await assertAllDie(pids);
  });

  test('a sentry that crashes is named', () => {
    const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', specOf('crash')];
    const { status, stderr } = spawnSync(boot, bootArguments(), { stdio, encoding: 'utf8' });
    assert.equal(status, 128 + SIGSEGV);
    assert.match(stderr, /the sentry was killed by signal 11/);
  });

  test('an idle sandbox uses no CPU', async () => {
    const child = await startWaiting();
    const pids = [child.pid ?? 0, ...descendants(child.pid ?? 0)];
    const used = (): number =>
      pids.reduce((sum, pid) => {
        const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
        return sum + Number(fields[11]) + Number(fields[12]);
      }, 0);
    await sleep(200);
    const before = used();
    await sleep(1500);
    assert.ok(used() - before <= 1, `${used() - before} ticks`);
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  });
});

test('the stub is one segment, and nothing in it is writable', () => {
  const headers = execFileSync('readelf', ['-lW', join(top, 'dist/stub')], { encoding: 'utf8' });
  const segments = headers.match(/^\s+LOAD.*$/gm) ?? [];
  assert.equal(segments.length, 1);
  assert.match(segments[0] ?? '', /0x00007e0000000000 .* R E /);
});
