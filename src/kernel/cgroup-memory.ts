// What processes of a cgroup have of memory, and limits on that (memory.max). The host knows both only for the sandbox as
// a whole, so limits of cgroups that programs make are watched: every so often the memory of their processes is added up,
// and if it is too much the largest of them is killed, as the host's own killer does it. Between two looks a process can
// have more than its limit, but never more than the sandbox's.

import { SIGKILL } from '../abi/signal.ts';
import type { HostPid } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { hostProcLines } from '../platform/host-proc.ts';
import type { Cgroup } from './cgroups.ts';
import { killGroup } from './exit.ts';
import { kernel } from './kernel.ts';
import type { ThreadGroup } from './task.ts';
import { armTimer, Timer } from './timers.ts';

const MILLISECOND = 1e6;
/** How often limits are looked after, in ns: where memory grows or is more than half of the limit, and where not. */
const SOON = 50 * MILLISECOND;
const SELDOM = 500 * MILLISECOND;

export interface MemoryUse {
  readonly anon: number;
  readonly file: number;
  readonly shmem: number;
}

/** Processes that are in a cgroup, or below as well. */
export function membersOf(cgroup: Cgroup, below = false): ThreadGroup[] {
  const counts = (group: ThreadGroup): boolean => group.status < 0 && (below ? cgroup.holds(group) : cgroup.has(group));
  return [...kernel.groups.values()].filter(counts);
}

function addressSpaces(groups: readonly ThreadGroup[]): Set<HostPid> {
  const spaces = new Set<HostPid>();
  for (const { threads } of groups) for (const { mm } of threads) spaces.add(mm.hostPid);
  return spaces;
}

/** Memory that processes have now, in bytes, as the host counts it; of what several share, each has the whole. */
function memoryOfGroups(groups: readonly ThreadGroup[]): MemoryUse {
  const sum = { anon: 0, file: 0, shmem: 0 };
  for (const pid of addressSpaces(groups)) {
    for (const line of hostProcLines(`${pid}/status`)) {
      const bytes = Number.parseInt(line.slice(line.indexOf(':') + 1), 10) * 1024;
      if (line.startsWith('RssAnon:')) sum.anon += bytes;
      else if (line.startsWith('RssFile:')) sum.file += bytes;
      else if (line.startsWith('RssShmem:')) sum.shmem += bytes;
    }
  }
  return sum;
}

export function memoryOf(cgroup: Cgroup): MemoryUse {
  return memoryOfGroups(membersOf(cgroup, true));
}

/** What counts for a limit, of what several share each its part: dearer to know. Pages of files can be had again. */
function sharesOf(groups: readonly ThreadGroup[]): number {
  let sum = 0;
  for (const pid of addressSpaces(groups)) {
    for (const line of hostProcLines(`${pid}/smaps_rollup`)) {
      if (line.startsWith('Pss_Anon:') || line.startsWith('Pss_Shmem:')) {
        sum += Number.parseInt(line.slice(line.indexOf(':') + 1), 10) * 1024;
      }
    }
  }
  return sum;
}

/** Told of each cgroup in which somebody was killed. */
export const memoryHooks: ((cgroup: Cgroup) => void)[] = [];

/** The cgroups that have a limit, and what each had when it was last looked at. */
const limited = new Map<Cgroup, number>();
let pause = SOON;

const timer = new Timer({
  expire() {
    let near = false;
    for (const cgroup of limited.keys()) near = lookAfter(cgroup) || near;
    pause = near ? SOON : Math.min(2 * pause, SELDOM);
    if (limited.size > 0) armTimer(timer, monotonicNow() + pause);
  },
});

/** Sets memory.max, in bytes; Infinity takes it away. */
export function limitMemory(cgroup: Cgroup, most: number): void {
  cgroup.memory.max = most;
  if (most === Number.POSITIVE_INFINITY) limited.delete(cgroup);
  else limited.set(cgroup, 0);
  pause = SOON;
  if (limited.size > 0) armTimer(timer, monotonicNow() + pause);
}

/** Kills somebody if there is too much. Whether to look again soon. */
function lookAfter(cgroup: Cgroup): boolean {
  const members = membersOf(cgroup, true);
  const { anon, shmem } = memoryOfGroups(members);
  const { max } = cgroup.memory;
  const before = limited.get(cgroup) ?? 0;
  limited.set(cgroup, anon + shmem);
  if (anon + shmem > max && sharesOf(members) > max) killSomebody(cgroup, members);
  return anon + shmem > max / 2 || anon + shmem > before;
}

function killSomebody(cgroup: Cgroup, members: readonly ThreadGroup[]): void {
  const victims = cgroup.memory.killsAll ? members : [largest(members)];
  for (const group of victims) if (group) killGroup(group, SIGKILL, null);
  for (let at: Cgroup | null = cgroup; at; at = at.parent) {
    at.memory.exceeded++;
    at.memory.kills += victims.length;
    at.memory.events.note();
    for (const hook of memoryHooks) hook(at);
  }
}

/** Who has the most, as far as oom_score_adj leaves it: -1000 spares a process, 1000 is all of the limit on top. */
function largest(members: readonly ThreadGroup[]): ThreadGroup | undefined {
  let most = 0;
  let victim: ThreadGroup | undefined;
  for (const group of members) {
    const { anon, shmem } = memoryOfGroups([group]);
    const points = (anon + shmem) * (1 + group.oomScoreAdjust / 1000);
    if (points > most) {
      most = points;
      victim = group;
    }
  }
  return victim;
}
