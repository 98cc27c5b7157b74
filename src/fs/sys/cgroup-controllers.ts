// The files of version 2's controllers in cgroups that programs make: tasks are bounded exactly, memory as
// kernel/cgroup-memory.ts can; CPU time is only counted, and no share of it can be set.

import { EINVAL, EOPNOTSUPP } from '../../abi/errno.ts';
import { limitMemory, memoryOf } from '../../kernel/cgroup-memory.ts';
import { boundTasks, type Cgroup, countTasks } from '../../kernel/cgroups.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { TextSource } from '../virtual/inode.ts';
import { file } from './cgroup-file.ts';

export type CgroupFiles = Readonly<Record<string, TextSource<Cgroup>>>;

const PAGE = 4096;

export const limitText = (value: number | null): string =>
  value === null || value === Number.POSITIVE_INFINITY ? 'max' : String(value);

/** A number of at most so many digits, or `max`; -EINVAL. */
function readLimit(text: string, digits: number): number {
  const word = text.trim();
  if (word === 'max') return Number.POSITIVE_INFINITY;
  return /^\d+$/.test(word) && word.length <= digits ? Number(word) : -EINVAL;
}

/** Bytes, of which whole pages count, with the suffixes of memparse. */
function readBytes(text: string): number {
  const [, number, suffix] = /^([0-9]{1,15}|max)([kKmMgGtT]?)$/.exec(text.trim()) ?? [];
  if (number === undefined) return -EINVAL;
  if (number === 'max') return suffix === '' ? Number.POSITIVE_INFINITY : -EINVAL;
  const bytes = Number(number) * 1024 ** ' kmgt'.indexOf(suffix.toLowerCase() || ' ');
  return Math.floor(bytes / PAGE) * PAGE;
}

/** What can be shown but not set; setting it to what it is changes nothing. */
export function fixed(read: (cgroup: Cgroup) => string): TextSource<Cgroup> {
  return file(
    (cgroup) => `${read(cgroup)}\n`,
    (cgroup, text) => (text.trim() === read(cgroup) ? 0 : -EOPNOTSUPP),
  );
}

export function setMemoryLimit(cgroup: Cgroup, text: string): number {
  const bytes = readBytes(text);
  if (bytes < 0) return bytes;
  limitMemory(cgroup, bytes);
  return 0;
}

export function memoryStatistics(cgroup: Cgroup): string {
  const { anon, file: mapped, shmem } = memoryOf(cgroup);
  return `anon ${anon}\nfile ${mapped + shmem}\nshmem ${shmem}\n`;
}

export function memoryInAll(cgroup: Cgroup): number {
  const { anon, file: mapped, shmem } = memoryOf(cgroup);
  return anon + mapped + shmem;
}

const TASKS: CgroupFiles = {
  'pids.current': file((cgroup) => `${countTasks(cgroup, kernel.groups.values())}\n`),
  'pids.max': file(
    (cgroup) => `${limitText(cgroup.pidsMax)}\n`,
    (cgroup, text) => {
      const limit = readLimit(text, 9);
      if (limit < 0) return limit;
      boundTasks(cgroup, limit);
      return 0;
    },
  ),
};

const MEMORY: CgroupFiles = {
  'memory.current': file((cgroup) => `${memoryInAll(cgroup)}\n`),
  'memory.events': {
    ...file(
      ({ memory: { exceeded, kills } }) => `low 0\nhigh 0\nmax ${exceeded}\noom ${exceeded}\noom_kill ${kills}\n`,
    ),
    changes: ({ memory }) => memory.events,
  },
  'memory.high': fixed(() => 'max'),
  'memory.low': fixed(() => '0'),
  'memory.max': file(({ memory }) => `${limitText(memory.max)}\n`, setMemoryLimit),
  'memory.min': fixed(() => '0'),
  'memory.oom.group': file(
    ({ memory }) => `${memory.killsAll ? 1 : 0}\n`,
    ({ memory }, text) => {
      if (!/^[01]$/.test(text.trim())) return -EINVAL;
      memory.killsAll = text.trim() === '1';
      return 0;
    },
  ),
  'memory.stat': file(memoryStatistics),
  'memory.swap.current': file(() => '0\n'),
  // There is nothing to swap to, so whatever is allowed is held.
  'memory.swap.max': file(
    ({ memory }) => `${limitText(memory.swapMax)}\n`,
    ({ memory }, text) => {
      const bytes = readBytes(text);
      if (bytes < 0) return bytes;
      memory.swapMax = bytes;
      return 0;
    },
  ),
};

const CPU: CgroupFiles = {
  'cpu.max': fixed(() => 'max 100000'),
  'cpu.weight': fixed(() => '100'),
  'cpu.weight.nice': fixed(() => '0'),
};

/** By controller, what the children of a cgroup have that has it enabled. */
export const CONTROLLERS: Readonly<Record<string, CgroupFiles>> = { cpu: CPU, memory: MEMORY, pids: TASKS };
