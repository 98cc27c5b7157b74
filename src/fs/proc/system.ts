// The files of /proc that tell of the machine and the kernel: meminfo, cpuinfo, stat, uptime and so on.

import {
  SYSINFO_BUFFERRAM,
  SYSINFO_FREERAM,
  SYSINFO_FREESWAP,
  SYSINFO_LOADS,
  SYSINFO_MEM_UNIT,
  SYSINFO_SHAREDRAM,
  SYSINFO_SIZE,
  SYSINFO_TOTALRAM,
  SYSINFO_TOTALSWAP,
} from '../../abi/misc.ts';
import { monotonicNow } from '../../base/clock.ts';
import { host } from '../../host/calls.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids } from '../../kernel/pid-namespaces.ts';
import { RUNNING, SERVING } from '../../kernel/task.ts';
import { OS_RELEASE, OS_TYPE, OS_VERSION } from '../../kernel/version.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u32 } from '../../platform/arena.ts';
import { hostProcLines, readHostProc } from '../../platform/host-proc.ts';
import { controllersText } from '../sys/cgroup-v1.ts';
import type { Tree } from '../virtual/directory.ts';
import type { TextSource } from '../virtual/inode.ts';
import { heldLocks } from './locks.ts';

const NS = 1e9;

/** A file that reads what a function gives. */
export function text(read: () => string | number): TextSource<null> {
  return { mode: 0o444, read };
}

/** Fields of sysinfo(2) by their offsets, or null. */
function machine(): ((offset: number) => number) | null {
  const mark = markScratch();
  const at = allocateScratch(SYSINFO_SIZE);
  if (at < 0 || host.sysinfo(at) < 0) {
    releaseScratch(mark);
    return null;
  }
  const values = new Map<number, number>();
  for (let offset = 0; offset < SYSINFO_MEM_UNIT; offset += 8) values.set(offset, readU64(at + offset));
  values.set(SYSINFO_MEM_UNIT, u32[(at + SYSINFO_MEM_UNIT) >> 2]);
  releaseScratch(mark);
  return (offset) => values.get(offset) ?? 0;
}

/** Memory of the machine in bytes. */
export function totalMemory(): number {
  const field = machine();
  return field ? field(SYSINFO_TOTALRAM) * field(SYSINFO_MEM_UNIT) : 0;
}

function memInfo(): string | number {
  const hosts = readHostProc('meminfo');
  if (typeof hosts === 'string') return hosts;
  const field = machine();
  if (!field) return '';
  const kilobytes = (offset: number): number => Math.floor((field(offset) * field(SYSINFO_MEM_UNIT)) / 1024);
  const free = kilobytes(SYSINFO_FREERAM);
  const buffers = kilobytes(SYSINFO_BUFFERRAM);
  const rows: [string, number][] = [
    ['MemTotal', kilobytes(SYSINFO_TOTALRAM)],
    ['MemFree', free],
    ['MemAvailable', free + buffers],
    ['Buffers', buffers],
    ['Cached', kilobytes(SYSINFO_SHAREDRAM)],
    ['SwapCached', 0],
    ['SwapTotal', kilobytes(SYSINFO_TOTALSWAP)],
    ['SwapFree', kilobytes(SYSINFO_FREESWAP)],
    ['Shmem', kilobytes(SYSINFO_SHAREDRAM)],
  ];
  return rows.map(([name, value]) => `${`${name}:`.padEnd(16)}${String(value).padStart(8)} kB\n`).join('');
}

/** The host's description of its processors: it does not change while the sandbox lives. */
let processors: string | null = null;

/** One paragraph for each CPU of the sandbox, numbered from 0. */
function cpuInfo(): string {
  if (processors !== null) return processors;
  const hosts = readHostProc('cpuinfo');
  const paragraphs = typeof hosts === 'string' ? hosts.split('\n\n').filter((p) => p.trim() !== '') : [];
  processors = '';
  for (let cpu = 0; cpu < kernel.cpuCount; cpu++) {
    const paragraph = paragraphs[cpu] ?? paragraphs[0] ?? 'processor\t: 0';
    processors += `${paragraph.replace(/^processor\t: \d+/, `processor\t: ${cpu}`)}\n\n`;
  }
  return processors;
}

/** A number from a CPU's paragraph of cpuinfo (`core id`), or `otherwise`. */
export function cpuField(cpu: number, name: string, otherwise: number): number {
  const line = cpuInfo()
    .split('\n\n')
    [cpu]?.split('\n')
    .find((candidate) => candidate.startsWith(`${name}\t`));
  return line ? Number.parseInt(line.slice(line.indexOf(':') + 1), 10) : otherwise;
}

/** Seconds that the sandbox has been up, for the reader. */
export function uptime(): number {
  const ahead = kernel.current?.namespaces.time.boottime ?? 0;
  return Math.max(0, monotonicNow() - kernel.bootTime + ahead) / NS;
}

function countRunning(): number {
  let running = 0;
  for (const task of kernel.tasks.values()) if (task.state === RUNNING || task.state === SERVING) running++;
  return running;
}

/** /proc/stat: CPU time as the machine has spent it, the rest the sandbox's own. */
function kernelStat(): string {
  const lines = hostProcLines('stat');
  const cpus = lines.filter((line) => line.startsWith('cpu'));
  const none = ' 0 0 0 0 0 0 0 0 0 0';
  let shown = `${cpus[0] ?? `cpu ${none}`}\n`;
  for (let cpu = 0; cpu < kernel.cpuCount; cpu++) {
    const line = cpus.find((candidate) => candidate.startsWith(`cpu${cpu} `));
    shown += `${line ?? `cpu${cpu}${none}`}\n`;
  }
  const switches = lines.find((line) => line.startsWith('ctxt ')) ?? 'ctxt 0';
  const booted = Math.floor(Date.now() / 1000 - uptime());
  return (
    `${shown}intr 0\n${switches}\nbtime ${booted}\nprocesses ${kernel.forks}\n` +
    `procs_running ${countRunning()}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n`
  );
}

function uptimeText(): string {
  const up = uptime();
  const idle = hostProcLines('stat')
    .filter((line) => /^cpu\d/.test(line))
    .slice(0, kernel.cpuCount)
    .reduce((sum, line) => sum + Number(line.split(' ')[4]) / 100, 0);
  return `${up.toFixed(2)} ${Math.min(idle, up * kernel.cpuCount).toFixed(2)}\n`;
}

const LOAD_UNIT = 65536;

function loadAverage(): string {
  const field = machine();
  const load = (i: number): string => ((field?.(SYSINFO_LOADS + 8 * i) ?? 0) / LOAD_UNIT).toFixed(2);
  return `${load(0)} ${load(1)} ${load(2)} ${countRunning()}/${kernel.tasks.size} ${(kernel.current?.pidNamespace ?? initialPids).lastPid}\n`;
}

/** Names of the filesystem types, in the order in which sysfs(2) numbers them. */
export const FILESYSTEMS: readonly string[] = [
  'sysfs',
  'tmpfs',
  'proc',
  'devpts',
  'overlay',
  'pipefs',
  'ramfs',
  'sockfs',
  'mqueue',
  'cgroup',
  'cgroup2',
];

const DEVICES = `Character devices:
  1 mem
  4 tty
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
136 pts

Block devices:
`;

/** Files of the root of /proc. */
export const SYSTEM_FILES: Tree = {
  cgroups: text(controllersText),
  cmdline: text(() => '\n'),
  consoles: text(() => ''),
  cpuinfo: text(cpuInfo),
  devices: text(() => DEVICES),
  diskstats: text(() => ''),
  filesystems: text(() => FILESYSTEMS.map((name) => `nodev\t${name}\n`).join('')),
  interrupts: text(() => `${' '.repeat(11)}${cpuHeadings()}\n`),
  loadavg: text(loadAverage),
  locks: text(heldLocks),
  meminfo: text(memInfo),
  misc: text(() => ''),
  modules: text(() => ''),
  partitions: text(() => 'major minor  #blocks  name\n\n'),
  stat: text(kernelStat),
  swaps: text(() => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'),
  uptime: text(uptimeText),
  vmstat: text(() => readHostProc('vmstat')),
  version: text(() => `${OS_TYPE} version ${OS_RELEASE} (cloister@cloister) ${OS_VERSION}\n`),
};

function cpuHeadings(): string {
  let headings = '';
  for (let cpu = 0; cpu < kernel.cpuCount; cpu++) headings += `CPU${cpu}`.padEnd(11);
  return headings;
}
