// What `events` prints of a container's cgroups, in the form that runc gave it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupState } from './state.ts';

export function cgroupStatistics(cgroups: CgroupState): object {
  return cgroups.version === 2 ? unified(cgroups.directories[''] ?? '') : legacy(cgroups.directories);
}

/** How many processes were killed because the container's memory had run out. */
export function oomKills({ version, directories }: CgroupState): number {
  const file = version === 2 ? 'memory.events' : 'memory.oom_control';
  return table(read(version === 2 ? directories[''] : directories.memory, file)).oom_kill ?? 0;
}

function read(directory: string | undefined, file: string): string | null {
  if (directory === undefined) return null;
  try {
    return readFileSync(join(directory, file), 'latin1');
  } catch {
    return null; // the controller is not there, or the kernel has no such file
  }
}

/** A number; 0 where there is none. "max" is the largest. */
function number(text: string | null): number {
  const value = text?.trim() ?? '';
  return value === 'max' ? Number.MAX_SAFE_INTEGER : Number(value) || 0;
}

/** "name value" lines. */
function table(text: string | null): Record<string, number> {
  const entries = (text ?? '').split('\n').map((line) => line.split(' '));
  return Object.fromEntries(entries.filter(({ length }) => length === 2).map(([name, value]) => [name, Number(value)]));
}

function legacy(directories: CgroupState['directories']): object {
  const { cpu, cpuacct, memory, pids } = directories;
  const throttling = table(read(cpu, 'cpu.stat'));
  const raw = table(read(memory, 'memory.stat'));
  const entry = (prefix: string) => ({
    limit: number(read(memory, `${prefix}.limit_in_bytes`)),
    usage: number(read(memory, `${prefix}.usage_in_bytes`)),
    max: number(read(memory, `${prefix}.max_usage_in_bytes`)),
    failcnt: number(read(memory, `${prefix}.failcnt`)),
  });
  return {
    cpu: {
      usage: {
        total: number(read(cpuacct, 'cpuacct.usage')),
        percpu: (read(cpuacct, 'cpuacct.usage_percpu') ?? '').trim().split(/\s+/).map(Number),
        kernel: number(read(cpuacct, 'cpuacct.usage_sys')),
        user: number(read(cpuacct, 'cpuacct.usage_user')),
      },
      throttling: {
        periods: throttling.nr_periods ?? 0,
        throttledPeriods: throttling.nr_throttled ?? 0,
        throttledTime: throttling.throttled_time ?? 0,
      },
    },
    memory: {
      cache: raw.cache ?? 0,
      usage: entry('memory'),
      swap: entry('memory.memsw'),
      kernel: entry('memory.kmem'),
      kernelTCP: entry('memory.kmem.tcp'),
      raw,
    },
    pids: { current: number(read(pids, 'pids.current')), limit: number(read(pids, 'pids.max')) },
  };
}

function unified(directory: string): object {
  const usage = table(read(directory, 'cpu.stat'));
  const raw = table(read(directory, 'memory.stat'));
  return {
    cpu: {
      usage: {
        total: (usage.usage_usec ?? 0) * 1000,
        kernel: (usage.system_usec ?? 0) * 1000,
        user: (usage.user_usec ?? 0) * 1000,
      },
      throttling: {
        periods: usage.nr_periods ?? 0,
        throttledPeriods: usage.nr_throttled ?? 0,
        throttledTime: (usage.throttled_usec ?? 0) * 1000,
      },
    },
    memory: {
      cache: raw.file ?? 0,
      usage: {
        limit: number(read(directory, 'memory.max')),
        usage: number(read(directory, 'memory.current')),
        max: number(read(directory, 'memory.peak')),
      },
      raw,
    },
    pids: { current: number(read(directory, 'pids.current')), limit: number(read(directory, 'pids.max')) },
  };
}
