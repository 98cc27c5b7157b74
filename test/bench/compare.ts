// npm run bench: what single operations cost natively, in Cloister's several ways, and in whichever other sandboxes and
// container runtimes are installed. All take part in every round by turns; printed are medians over the rounds.
//
//   npm run bench -- [--rounds N] [--scale S] [--only NAME,NAME] [--json] [--write]
//
// --write keeps table and chart as docs/bench.json and docs/bench.svg: to be done on a machine that does nothing else.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chart } from './chart.ts';

const TOP = join(import.meta.dirname, '../..');
const CLOISTER = join(TOP, 'bin/cloister');
const SOURCE = join(import.meta.dirname, 'micro.c');
const RUN_TIMEOUT_MS = 60_000;
/** No further round is begun after this: the whole stays below four minutes. */
const BUDGET_MS = 190_000;

/** Operations of micro.c that are compared, with their names for people. */
const OPERATIONS: readonly (readonly [name: string, what: string])[] = [
  ['getppid', 'getppid'],
  ['getpgid', 'getpgid'],
  ['clock_gettime', 'clock_gettime'],
  ['devnull64', 'write to /dev/null'],
  ['read4k', 'pread of 4 KiB'],
  ['write4k', 'pwrite of 4 KiB'],
  ['readv', 'preadv of 2 × 2 KiB'],
  ['sendfile', 'sendfile of 64 KiB'],
  ['stat', 'stat'],
  ['openclose', 'open + close'],
  ['creatunlink', 'creat + close + unlink'],
  ['pollread', 'write + poll + read, pipe'],
  ['sendrecvmsg', 'sendmsg + recvmsg'],
  ['pipe_pp', 'pipe ping-pong'],
  ['unix_pp', 'Unix socket ping-pong'],
  ['tcp_pp', 'TCP ping-pong'],
  ['futex_pp', 'futex ping-pong'],
  ['yield', 'sched_yield'],
  ['thread', 'thread create + join'],
  ['fork', 'fork + exit + wait'],
  ['forkexec', 'fork + exec + wait'],
  ['mmap1M', 'mmap + touch 1 MiB'],
];

export interface Row {
  readonly name: string;
  readonly what: string;
  /** µs by participant; null where it failed. */
  readonly medians: Readonly<Record<string, number | null>>;
}

interface Participant {
  readonly name: string;
  /** The command line that runs micro with these arguments. */
  command(args: readonly string[]): readonly string[];
}

/** A bundle for OCI runtimes: micro, a password file, and file systems in memory. */
function makeBundle(directory: string, micro: string): string {
  const rootfs = join(directory, 'rootfs');
  for (const name of ['etc', 'tmp', 'proc', 'dev']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(micro, join(rootfs, 'micro'));
  copyFileSync('/etc/passwd', join(rootfs, 'etc/passwd'));
  return directory;
}

/** Writes the bundle's configuration for these arguments. */
function configure(bundle: string, args: readonly string[]): void {
  const namespaces = ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type }));
  const mounts = [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
    { destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
  ];
  const process = { cwd: '/', args, env: ['PATH=/'], user: { uid: 0, gid: 0 }, noNewPrivileges: true };
  const config = { ociVersion: '1.0.2', root: { path: 'rootfs' }, process, mounts, linux: { namespaces } };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}

function participants(directory: string, micro: string): Participant[] {
  const bundle = makeBundle(directory, micro);
  const rootfs = join(bundle, 'rootfs');
  const cloister = (name: string, ...options: string[]): Participant => ({
    name,
    command: (args) => [CLOISTER, 'do', ...options, '--', micro, '-d', '/tmp', ...args],
  });
  const oci = (runtime: string): Participant => ({
    name: runtime,
    command(args) {
      configure(bundle, ['/micro', '-d', '/tmp', ...args]);
      return [runtime, 'run', '--bundle', bundle, `cloister-bench-${process.pid}`];
    },
  });
  const bwrap = [
    'bwrap',
    '--unshare-all',
    '--bind',
    rootfs,
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--tmpfs',
    '/tmp',
  ];
  return [
    { name: 'native', command: (args) => [micro, '-d', '/dev/shm', ...args] },
    cloister('cloister'),
    cloister('--spin off', '--spin', 'off'),
    cloister('--no-patch', '--no-patch'),
    cloister('ptrace', '--platform', 'ptrace'),
    { name: 'bwrap', command: (args) => [...bwrap, '/micro', '-d', '/tmp', ...args] },
    oci('runc'),
    oci('crun'),
    {
      name: 'runsc',
      command: (args) => ['runsc', '--network=none', '--ignore-cgroups', 'do', micro, '-d', '/tmp', ...args],
    },
    { name: 'proot', command: (args) => ['proot', '-r', '/', '-w', '/', micro, '-d', '/dev/shm', ...args] },
  ];
}

/** Nanoseconds by operation; empty when it cannot be run. */
function run(participant: Participant, args: readonly string[]): Map<string, number> {
  const [command = '', ...rest] = participant.command(args);
  const result = spawnSync(command, rest, {
    // Pipes: runsc gives what it has for its input and output to nobody, and that would be the machine's /dev/null.
    stdio: ['pipe', 'pipe', 'pipe'],
    encoding: 'latin1',
    timeout: RUN_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const lines = (result.stdout ?? '').matchAll(/^(\w+) (\d+) \d+$/gm);
  return new Map([...lines].map(([, name, ns]) => [name, Number(ns)]));
}

export function median(samples: readonly number[]): number | null {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted.length === 0 ? null : (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function shortNumber(value: number | null): string {
  if (value === null) return '-';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(names: readonly string[], rows: readonly Row[]): string {
  const head = ['µs'.padEnd(26), ...names.map((name) => name.padStart(10))].join(' ');
  const lines = rows.map(({ what, medians }) =>
    [what.padEnd(26), ...names.map((name) => shortNumber(medians[name] ?? null).padStart(10))].join(' '),
  );
  return [head, ...lines].join('\n');
}

/** How many times as fast as another, geometric mean over the rows that both have. */
function meanRatio(rows: readonly Row[], name: string, other: string): number | null {
  const logs = rows.flatMap(({ medians }) => {
    const [a, b] = [medians[name], medians[other]];
    return a && b ? [Math.log(b / a)] : [];
  });
  return logs.length === 0 ? null : Math.exp(logs.reduce((sum, one) => sum + one, 0) / logs.length);
}

function build(directory: string): string {
  const micro = join(directory, 'micro');
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread'];
  const { status } = spawnSync('cc', [...flags, SOURCE, '-o', micro], { stdio: 'inherit' });
  if (status !== 0) throw new Error('micro.c does not build');
  return micro;
}

function measure(directory: string, operations: readonly string[], scale: string, rounds: number) {
  const micro = build(directory);
  // Who is not installed, or cannot run here, does not take part.
  const able = participants(directory, micro).filter((one) => run(one, ['-s', '0.001', 'getppid']).size === 1);
  const samples = new Map<string, number[]>();
  const start = performance.now();
  let round = 0;
  for (; round < rounds; round++) {
    if (round > 0 && ((performance.now() - start) / round) * (round + 1) > BUDGET_MS) break;
    for (const one of able) {
      for (const [name, ns] of run(one, ['-s', scale, ...operations])) {
        const key = `${one.name} ${name}`;
        samples.set(key, [...(samples.get(key) ?? []), ns / 1000]);
      }
    }
  }
  const rows: Row[] = OPERATIONS.filter(([name]) => operations.includes(name)).map(([name, what]) => ({
    name,
    what,
    medians: Object.fromEntries(able.map((one) => [one.name, median(samples.get(`${one.name} ${name}`) ?? [])])),
  }));
  return { names: able.map(({ name }) => name), rows, rounds: round };
}

function main(): void {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      scale: { type: 'string', default: '0.2' },
      only: { type: 'string' },
      json: { type: 'boolean' },
      write: { type: 'boolean' },
    },
  });
  const operations = values.only?.split(',') ?? OPERATIONS.map(([name]) => name);
  const directory = mkdtempSync(join(tmpdir(), 'cloister-bench-'));
  try {
    const { names, rows, rounds } = measure(directory, operations, values.scale, Number(values.rounds));
    const machine = `${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`;
    const result = JSON.stringify({ machine, rounds, unit: 'µs', names, rows }, null, 2);
    if (values.json) console.log(result);
    else {
      console.log(`${machine}; medians of ${rounds} rounds\n\n${table(names, rows)}\n`);
      for (const other of ['native', 'runsc', 'proot']) {
        const ratio = meanRatio(rows, 'cloister', other);
        if (ratio !== null) console.log(`cloister: ${ratio.toFixed(2)} times as fast as ${other} (geometric mean)`);
      }
    }
    if (values.write) {
      writeFileSync(join(TOP, 'docs/bench.json'), `${result}\n`);
      const shown = ['native', 'cloister', 'ptrace', 'runsc', 'proot'].filter((name) => names.includes(name));
      writeFileSync(join(TOP, 'docs/bench.svg'), chart(shown, rows, machine));
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) main();
