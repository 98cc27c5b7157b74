// Clocks by their ids (clock_gettime(2)): the host's wall and monotonic clocks, and CPU clocks of the sandbox's own
// processes and threads, whose dynamic ids hold virtual pids. All times are numbers of nanoseconds; wall-clock time is
// good to 256 ns that way.

import { EINVAL, EOPNOTSUPP } from '../abi/errno.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCK_THREAD_CPUTIME_ID,
} from '../abi/time.ts';
import type { Pid } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import { kernel } from './kernel.ts';
import type { TimeNamespace } from './namespaces.ts';
import type { Task, ThreadGroup } from './task.ts';
import { processCpuTime, processUserTime, threadCpuTime } from './usage.ts';

/** What a clock counts. */
export const WALL = 0;
export const PROCESS_CPU = 1;
export const PROCESS_USER = 2;
export const THREAD_CPU = 3;

export interface Clock {
  readonly kind: number;
  /** Id on the host of a WALL clock. */
  readonly id: number;
  /** What it is ahead of the host's (time_namespaces(7)), in ns. */
  readonly offset: number;
  /** Process or thread of a CPU clock. */
  readonly group: ThreadGroup | null;
  readonly thread: Task | null;
}

const PER_THREAD = 4;
const WHICH = 3;
const CLOCKFD = 3;
const VIRT = 1;

const hostClocks: (Clock | null)[] = [
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
  CLOCK_TAI,
].reduce<(Clock | null)[]>((clocks, id) => {
  clocks[id] = { kind: WALL, id, offset: 0, group: null, thread: null };
  return clocks;
}, []);

/** What relative times are measured by: it cannot be set. */
export const monotonicClock = hostClocks[CLOCK_MONOTONIC] as Clock;

/** The clock of an id, or -EINVAL. Alarm clocks need a real-time clock device, which the sandbox has not. */
export function findClock(task: Task, id: number): Clock | number {
  if (id < 0) return findCpuClock(task, id);
  if (id === CLOCK_PROCESS_CPUTIME_ID) return cpuClock(PROCESS_CPU, task.group);
  if (id === CLOCK_THREAD_CPUTIME_ID) return threadClock(task);
  const { time } = task.namespaces;
  return (time.initial ? null : shiftedClock(time, id)) ?? hostClocks[id] ?? -EINVAL;
}

/** A clock of a time namespace that is not the host's; null for those that all have in common. */
function shiftedClock(time: TimeNamespace, id: number): Clock | null {
  const offset = clockOffset(time, id);
  return offset === 0 ? null : { kind: WALL, id, offset, group: null, thread: null };
}

/** What a clock is ahead of the host's in a time namespace, in ns. */
export function clockOffset({ monotonic, boottime }: TimeNamespace, id: number): number {
  switch (id) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
      return monotonic;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
      return boottime;
    default:
      return 0;
  }
}

/** A clock that can time something: -EOPNOTSUPP for those that can only be read. */
export function findTimingClock(task: Task, id: number): Clock | number {
  switch (id) {
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
      return -EOPNOTSUPP;
    default:
      return findClock(task, id);
  }
}

/** ~pid in the upper bits, then whether it is a thread, then which time. */
function findCpuClock(task: Task, id: number): Clock | number {
  const which = id & WHICH;
  const pid = ~(id >> 3) as Pid;
  if (which === CLOCKFD) return -EINVAL;
  if (id & PER_THREAD) {
    const thread = pid === 0 ? task : task.pidNamespace.tasks.get(pid);
    return thread && thread.group === task.group ? threadClock(thread) : -EINVAL;
  }
  const group = pid === 0 || pid === task.localTid ? task.group : task.pidNamespace.groups.get(pid);
  if (!group) return -EINVAL;
  return cpuClock(which === VIRT ? PROCESS_USER : PROCESS_CPU, group);
}

function cpuClock(kind: number, group: ThreadGroup): Clock {
  return { kind, id: -1, offset: 0, group, thread: null };
}

function threadClock(thread: Task): Clock {
  return { kind: THREAD_CPU, id: -1, offset: 0, group: thread.group, thread };
}

/** A clock's time in ns. */
export function readClock(clock: Clock): number {
  if (clock.kind === WALL) return host.clock_gettime(clock.id) + clock.offset;
  if (clock.kind === THREAD_CPU) return threadCpuTime(clock.thread as Task);
  return clock.kind === PROCESS_USER
    ? processUserTime(clock.group as ThreadGroup)
    : processCpuTime(clock.group as ThreadGroup);
}

/** CPU clocks are looked at no more often than this, as with Linux's ticks. */
const CPU_TICK = 1e6;

/**
 * When to look at a clock again that is to reach a time. A wall clock gets there by itself; CPU time passes at most as
 * fast as the process has threads on CPUs, and while it does not pass at all, it is looked at less and less often.
 */
export class ClockWatch {
  private seen = -1;
  private pause = CPU_TICK;
  /** Longest pause between two looks at an idle process, ns. */
  readonly longestPause: number;

  constructor(longestPause = 64e6) {
    this.longestPause = longestPause;
  }

  /** Monotonic time of the next look; `now` is the clock's own time and `target` the one it is to reach. */
  nextLook(clock: Clock, now: number, target: number): number {
    const left = Math.max(0, target - now);
    if (clock.kind === WALL) return monotonicNow() + left;
    this.pause = now === this.seen ? Math.min(2 * this.pause, this.longestPause) : CPU_TICK;
    this.seen = now;
    const threads =
      clock.kind === THREAD_CPU ? 1 : Math.min((clock.group as ThreadGroup).threads.size, kernel.cpuCount);
    return monotonicNow() + Math.max(left / Math.max(1, threads), this.pause);
  }
}
