// npm run bench:goals: what the sandbox costs, beside the same things without it. Every figure is taken natively and in the
// sandbox by turns, in several rounds of one run, because machines have moods and neighbours; printed are lower quartiles
// and their ratio.
//
//   npm run bench:goals -- [--rounds N] [--only NAME,NAME] [--json]

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');
const SOURCE = join(import.meta.dirname, 'micro.c');
const WORK_SCRIPT = join(import.meta.dirname, 'work.sh');
const COMMAND_TIMEOUT_MS = 120_000;
/** Times micro.c's counts: enough for the sentry's compilers to have settled. */
const SCALE = '1';
const IDLE_SETTLE_MS = 1500;
const IDLE_SECONDS = 5;

/** What is to be reached: at most `most` (in the figure's unit), or at most `ratio` times native. */
interface Goal {
  readonly most?: number;
  readonly ratio?: number;
}

interface Figure {
  readonly name: string;
  readonly what: string;
  readonly unit: string;
  readonly native: number | null;
  readonly sandbox: number | null;
  readonly goal: Goal;
}

/** Options of `cloister do` with which every call traps and rings: what a call costs that the fast path does not know. */
const DOORBELL = ['--no-patch', '--spin', 'off'];

/** Operations of micro.c, in µs. */
const OPERATIONS: readonly (readonly [name: string, what: string, goal: Goal, options?: readonly string[]])[] = [
  ['cpu1000', 'computation', { ratio: 1.03 }],
  ['clock_gettime', 'clock_gettime', { ratio: 1.1 }],
  ['getppid', 'getppid, which the stub answers', { most: 0.7 }],
  ['getpgid', 'getpgid, by trap and doorbell', { most: 9 }, DOORBELL],
  ['getpgid', 'getpgid', { most: 9 }],
  ['read4k', 'pread of 4 KiB, by trap and doorbell', { most: 10 }, DOORBELL],
  ['read4k', 'pread of 4 KiB', { most: 10 }],
  ['write4k', 'pwrite of 4 KiB', {}],
  ['openclose', 'open + close', {}],
  ['stat', 'stat', {}],
  ['creatunlink', 'creat + close + unlink', {}],
  ['devnull64', 'write to /dev/null', {}],
  ['yield', 'sched_yield', {}],
  ['pipe_pp', 'pipe ping-pong', { most: 20 }],
  ['unix_pp', 'Unix socket ping-pong', { most: 20 }],
  ['futex_pp', 'futex ping-pong', {}],
  ['tcp_pp', 'TCP ping-pong', { most: 25 }],
  ['connect', 'connection made, accepted and closed', { most: 100 }],
  ['fork', 'fork + exit + wait', { ratio: 3 }],
  ['forkexec', 'fork + exec + exit + wait, static', { ratio: 3 }],
  ['thread', 'thread create + join', {}],
  ['mmap1M', 'mmap + touch + munmap of 1 MiB', { ratio: 1.2 }],
  ['compute1', 'a computing thread, per call', {}],
  ['compute2', 'two computing threads, per call', { ratio: 1 / 0.9 }],
];

/** Whole commands, in ms. The sandbox's figure includes its start and end. */
const COMMANDS: readonly (readonly [name: string, command: readonly string[], goal: Goal])[] = [
  ['true', ['true'], { most: 90 }],
  ['find', ['find', '/', '-xdev'], {}],
  ['python3', ['python3', '-c', 'import this'], {}],
];

/** Pieces of work of work.sh, in ms; their programs come from Debian's packages, and who has them not gets no figure. */
const WORK: readonly (readonly [name: string, what: string, goal: Goal])[] = [
  ['read-1M', 'reads of 1 MiB, 256 in all', { ratio: 2 }],
  ['write-1M', 'writes of 1 MiB, 256 in all', {}],
  ['getdents', 'listing 10,000 files, ten times', {}],
  ['find', 'find / -xdev, again', { ratio: 6 }],
  ['tar', 'tar c /usr/share, again', { ratio: 4 }],
  ['untar', 'unpacking 10,000 files', {}],
  ['sqlite', 'sqlite: 100,000 rows, 20 transactions', {}],
  ['git-status', 'git status of 10,000 files', {}],
  ['python', 'python3 importing much', {}],
  ['redis', 'redis: 50,000 GETs, 50 clients', { ratio: 1 / 0.35 }],
  ['connections', '5,000 connections, accepted and closed', {}],
  ['iperf3', 'iperf3: 2 GB', { most: 2000 }],
];

interface Sample {
  readonly status: number | null;
  readonly output: string;
  readonly ms: number;
}

function run(command: readonly string[]): Sample {
  const start = performance.now();
  const result = spawnSync(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: COMMAND_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 28,
  });
  return { status: result.status, output: result.stdout.toString('latin1'), ms: performance.now() - start };
}

/** One sample natively and one in the sandbox; NaN when the command failed. */
function pair(
  command: readonly string[],
  options: readonly string[],
  value: (sample: Sample) => number,
): [number, number] {
  return [value(run(command)), value(run([CLOISTER, 'do', ...options, '--', ...command]))];
}

function lowerQuartile(samples: readonly number[]): number | null {
  const sorted = samples.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[sorted.length >> 2];
}

/** Rounds of native and sandbox by turns. */
function compare(
  rounds: number,
  command: readonly string[],
  options: readonly string[],
  value: (sample: Sample) => number,
): (number | null)[] {
  const pairs = Array.from({ length: rounds }, () => pair(command, options, value));
  return [lowerQuartile(pairs.map((one) => one[0])), lowerQuartile(pairs.map((one) => one[1]))];
}

function microseconds(sample: Sample): number {
  const ns = /^\S+ (\d+) \d+$/m.exec(sample.output);
  return ns ? Number(ns[1]) / 1000 : Number.NaN;
}

function milliseconds(sample: Sample): number {
  // find ends with 1 when something vanishes under it.
  return sample.status === 0 || sample.status === 1 ? sample.ms : Number.NaN;
}

/** The same for work.sh, which tells its time itself. Each run has an empty directory to work in. */
function compareWork(rounds: number, directory: string, name: string): (number | null)[] {
  const time = (before: readonly string[]): number => {
    mkdirSync(directory);
    const script = 'cd "$1" && exec sh "$2" "$3"';
    const { status, output } = run([...before, 'sh', '-c', script, 'sh', directory, WORK_SCRIPT, name]);
    rmSync(directory, { recursive: true });
    return status === 0 ? Number(output) : Number.NaN;
  };
  const pairs = Array.from({ length: rounds }, () => [time([]), time([CLOISTER, 'do', '--'])]);
  return [lowerQuartile(pairs.map((one) => one[0])), lowerQuartile(pairs.map((one) => one[1]))];
}

// ---- an idle sandbox ----

/** Every process below `root`, itself included. */
function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended while we looked.
    }
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/** Proportional set size of a process in MB; pages it shares with others count in parts. */
function proportionalSize(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0) / 1024;
}

/** Nanoseconds on a CPU so far, all threads. */
function cpuTime(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
  }
  return ns;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Memory in MB and CPU in percent of everything that `cloister do sleep` started, while it sleeps. */
async function measureIdle(): Promise<Figure[]> {
  const child = spawn(CLOISTER, ['do', '--', 'sleep', String(IDLE_SECONDS + 60)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('close', resolve));
  await sleep(IDLE_SETTLE_MS);
  const tree = processTree(child.pid as number);
  const before = sum(tree.map(cpuTime));
  const start = performance.now();
  await sleep(IDLE_SECONDS * 1000);
  const spent = sum(tree.map(cpuTime)) - before;
  const percent = spent / 1e4 / (performance.now() - start);
  const memory = sum(tree.map(proportionalSize));
  child.kill('SIGKILL');
  await ended;
  return [
    {
      name: 'idle-pss',
      what: 'memory of an idle sandbox, PSS',
      unit: 'MB',
      native: null,
      sandbox: memory,
      goal: { most: 60 },
    },
    {
      name: 'idle-cpu',
      what: 'CPU of an idle sandbox',
      unit: '%',
      native: null,
      sandbox: percent,
      goal: { most: 0.05 },
    },
  ];
}

// ---- idle connections ----

const CONNECTIONS = 10_000;
/** Opens $1 connections to itself, says so to the fifo $2, and keeps them. */
const HOLDER = `
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
server = socket.create_server(("127.0.0.1", 0))
held = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(int(sys.argv[1]))]
print(flush=True, file=open(sys.argv[2], "w"))
time.sleep(60)`;

/** KiB of heap that the sentry has at its end, when a process still holds so many connections. */
function heapWith(connections: number, directory: string): number {
  const script = 'mkfifo "$1/ready" && { python3 -c "$2" "$3" "$1/ready" & } && read -r line <"$1/ready"';
  const command = ['sh', '-c', script, 'sh', directory, HOLDER, String(connections)];
  const { stderr } = spawnSync(CLOISTER, ['do', '--stats', '--', ...command], {
    encoding: 'latin1',
    timeout: COMMAND_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  rmSync(join(directory, 'ready'), { force: true });
  return Number(/(\d+) KiB of heap/.exec(stderr)?.[1] ?? Number.NaN);
}

/** What a connection within the sandbox costs the sentry, both ends together. */
function measureConnections(directory: string): Figure {
  const more = heapWith(CONNECTIONS, directory) - heapWith(0, directory);
  return {
    name: 'idle-connections',
    what: 'heap of an idle connection, both ends',
    unit: 'KB',
    native: null,
    sandbox: Number.isNaN(more) ? null : (more * 1.024) / CONNECTIONS,
    goal: { most: 4 },
  };
}

// ---- the report ----

/** Whether the goal is reached; null where there is none. */
function reached(figure: Figure): boolean | null {
  const { native, sandbox, goal } = figure;
  if (goal.most !== undefined) return sandbox !== null && sandbox <= goal.most;
  if (goal.ratio !== undefined) return sandbox !== null && native !== null && sandbox <= goal.ratio * native;
  return null;
}

function shortNumber(value: number | null): string {
  if (value === null) return '-';
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3);
}

function ratioOf(figure: Figure): number | null {
  return figure.native === null || figure.sandbox === null ? null : figure.sandbox / figure.native;
}

function goalText(goal: Goal, unit: string): string {
  if (goal.most !== undefined) return `≤ ${goal.most} ${unit}`;
  return goal.ratio === undefined ? '' : `≤ ${goal.ratio.toFixed(2)} ×`;
}

function line(figure: Figure): string {
  const ratio = ratioOf(figure);
  const verdict = reached(figure);
  return [
    figure.what.padEnd(38),
    shortNumber(figure.native).padStart(9),
    shortNumber(figure.sandbox).padStart(9),
    figure.unit.padEnd(2),
    (ratio === null ? '' : `${ratio.toFixed(2)} ×`).padStart(9),
    goalText(figure.goal, figure.unit).padStart(10),
    verdict === null ? '' : verdict ? 'yes' : 'NO',
  ]
    .join('  ')
    .trimEnd();
}

function machine(): string {
  return `${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`;
}

function buildMicro(directory: string): string {
  const binary = join(directory, 'micro');
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread'];
  const result = spawnSync('cc', [...flags, SOURCE, '-o', binary], { stdio: 'inherit' });
  if (result.status !== 0) throw new Error('micro.c does not build');
  return binary;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' }, json: { type: 'boolean' } },
  });
  const rounds = Number(values.rounds);
  const only = values.only?.split(',');
  const wanted = (name: string): boolean => only === undefined || only.includes(name);
  const figures: Figure[] = [];
  const report = (figure: Figure): void => {
    figures.push(figure);
    if (!values.json) console.log(line(figure));
  };
  if (!values.json) {
    console.log(`${machine()}; lower quartiles of ${rounds} rounds\n`);
    console.log(`${''.padEnd(38)}     native  in sandbox      ratio        goal  reached`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'cloister-bench-'));
  try {
    const micro = buildMicro(directory);
    for (const [name, what, goal, options = []] of OPERATIONS.filter(([name]) => wanted(name))) {
      const command = [micro, '-s', SCALE, '-d', directory, name];
      const [native, sandbox] = compare(rounds, command, options, microseconds);
      report({ name: [name, ...options].join(' '), what, unit: 'µs', native, sandbox, goal });
    }
    for (const [name, command, goal] of COMMANDS.filter(([name]) => wanted(name))) {
      const [native, sandbox] = compare(rounds, command, [], milliseconds);
      report({ name, what: command.join(' '), unit: 'ms', native, sandbox, goal });
    }
    for (const [name, what, goal] of WORK.filter(([name]) => wanted(name))) {
      const [native, sandbox] = compareWork(Math.ceil(rounds / 2), join(directory, 'work'), name);
      report({ name, what, unit: 'ms', native, sandbox, goal });
    }
    if (wanted('idle-connections')) report(measureConnections(directory));
    if (wanted('idle')) for (const figure of await measureIdle()) report(figure);
  } finally {
    rmSync(directory, { recursive: true });
  }
  if (values.json) console.log(JSON.stringify({ machine: machine(), rounds, figures }, null, 2));
}

await main();
