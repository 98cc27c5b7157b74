// Clocks and sleeping: clock_gettime(2), gettimeofday(2), nanosleep(2), clock_nanosleep(2), adjtimex(2). Programs read
// the common clocks through the vDSO; these serve those that do not.

import { EINVAL, EOPNOTSUPP, EPERM, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from '../abi/errno.ts';
import {
  CLOCK_REALTIME,
  CLOCK_THREAD_CPUTIME_ID,
  TIMER_ABSTIME,
  TIMESPEC_SIZE,
  TIMEVAL_SIZE,
  TIMEZONE_SIZE,
} from '../abi/time.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import { block, setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import { type Clock, ClockWatch, findClock, findTimingClock, readClock, THREAD_CPU, WALL } from '../kernel/clocks.ts';
import type { Task } from '../kernel/task.ts';
import { putTimespec, putTimeval, readTimespec, timevalAt, writeTimespec } from '../kernel/time-arguments.ts';
import { i32, u8, u32, writeU64 } from '../platform/arena.ts';

export function time(task: Task, address: UserAddress): number {
  const seconds = Math.floor(host.clock_gettime(CLOCK_REALTIME) / 1e9);
  if (address !== NULL) {
    const at = task.memory.out(address, 8);
    if (at < 0) return at;
    writeU64(at, seconds);
  }
  return seconds;
}

/** The sandbox's kernel has no time zone, as with Linux unless somebody has set one. */
export function gettimeofday(task: Task, tv: UserAddress, tz: UserAddress): number {
  if (tv !== NULL) {
    const at = task.memory.out(tv, TIMEVAL_SIZE);
    if (at < 0) return at;
    putTimeval(at, host.clock_gettime(CLOCK_REALTIME));
  }
  if (tz !== NULL) {
    const at = task.memory.out(tz, TIMEZONE_SIZE);
    if (at < 0) return at;
    u8.fill(0, at, at + TIMEZONE_SIZE);
  }
  return 0;
}

export function clock_gettime(task: Task, id: number, address: UserAddress): number {
  const clock = findClock(task, id);
  if (typeof clock === 'number') return clock;
  return writeTimespec(task, address, readClock(clock));
}

export function clock_getres(task: Task, id: number, address: UserAddress): number {
  const clock = findClock(task, id);
  if (typeof clock === 'number') return clock;
  if (address === NULL) return 0;
  const at = task.memory.out(address, TIMESPEC_SIZE);
  if (at < 0) return at;
  if (clock.kind === WALL) return host.clock_getres(clock.id, at);
  putTimespec(at, 1);
  return 0;
}

// ---- sleeping ----

export function nanosleep(task: Task, request: UserAddress, remain: UserAddress): number {
  return sleepFor(task, request, remain);
}

export function clock_nanosleep(
  task: Task,
  id: number,
  flags: number,
  request: UserAddress,
  remain: UserAddress,
): number {
  const clock = findTimingClock(task, id);
  if (typeof clock === 'number') return clock;
  if (id === CLOCK_THREAD_CPUTIME_ID) return -EOPNOTSUPP;
  if (clock.kind === THREAD_CPU && clock.thread === task) return -EINVAL;
  if (clock.kind === WALL && !(flags & TIMER_ABSTIME)) return sleepFor(task, request, remain);
  return sleepUntil(task, clock, request, flags & TIMER_ABSTIME ? NULL : remain, (flags & TIMER_ABSTIME) !== 0);
}

/** A relative sleep. What is left of it is told to a program that a signal wakes early. */
function sleepFor(task: Task, request: UserAddress, remain: UserAddress): number {
  const duration = readTimespec(task, request);
  if (duration < 0) return duration;
  setTimeoutOnce(task, duration);
  if (timedOut(task)) return 0;
  const r = block(task, null, 0, ERESTART_RESTARTBLOCK);
  return r === WAIT || remain === NULL ? r : tellRemaining(task, remain, task.deadline - monotonicNow(), r);
}

function tellRemaining(task: Task, remain: UserAddress, left: number, result: number): number {
  const r = writeTimespec(task, remain, Math.max(0, left));
  return r < 0 ? r : result;
}

/** A sleep that goes by a clock: absolute, or of CPU time. */
interface ClockSleep {
  readonly target: number;
  readonly watch: ClockWatch;
}

/** The clock is looked at again after each wake: it may have been set, or CPU time may not have passed. */
function sleepUntil(task: Task, clock: Clock, request: UserAddress, remain: UserAddress, absolute: boolean): number {
  const time = readTimespec(task, request);
  if (time < 0) return time;
  const now = readClock(clock);
  task.pendingObject ??= { target: absolute ? time : now + time, watch: new ClockWatch() } satisfies ClockSleep;
  const { target, watch } = task.pendingObject as ClockSleep;
  if (now >= target) return 0;
  task.deadline = watch.nextLook(clock, now, target);
  const r = block(task, null, 0, absolute ? ERESTARTNOHAND : ERESTART_RESTARTBLOCK);
  return r === WAIT || remain === NULL ? r : tellRemaining(task, remain, target - now, r);
}

// ---- the discipline of the clock ----

// struct timex, byte offsets
const TIMEX_SIZE = 208;
const TIMEX_MAXERROR = 24;
const TIMEX_ESTERROR = 32;
const TIMEX_STATUS = 40;
const TIMEX_CONSTANT = 48;
const TIMEX_PRECISION = 56;
const TIMEX_TOLERANCE = 64;
const TIMEX_TIME = 72;
const TIMEX_TICK = 88;
const ADJ_OFFSET = 1;
const ADJ_ADJTIME = 0x8000;
const ADJ_OFFSET_SS_READ = 0xa001;
const STA_UNSYNC = 0x40;
const TIME_ERROR = 5;
const PHASE_LIMIT = 16000000;

/** Read-only. What is answered is what Linux says of a clock that nobody has disciplined since the boot. */
export function adjtimex(task: Task, address: UserAddress): number {
  const from = task.memory.in(address, TIMEX_SIZE);
  if (from < 0) return from;
  const modes = u32[from >>> 2];
  if (modes & ADJ_ADJTIME && !(modes & ADJ_OFFSET)) return -EINVAL;
  if (modes !== 0 && modes !== ADJ_OFFSET_SS_READ) return -EPERM;
  const at = task.memory.out(address, TIMEX_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + TIMEX_SIZE);
  u32[at >>> 2] = modes;
  writeU64(at + TIMEX_MAXERROR, PHASE_LIMIT);
  writeU64(at + TIMEX_ESTERROR, PHASE_LIMIT);
  i32[(at + TIMEX_STATUS) >>> 2] = STA_UNSYNC;
  writeU64(at + TIMEX_CONSTANT, 2);
  writeU64(at + TIMEX_PRECISION, 1);
  writeU64(at + TIMEX_TOLERANCE, 32768000);
  putTimeval(at + TIMEX_TIME, host.clock_gettime(CLOCK_REALTIME));
  writeU64(at + TIMEX_TICK, 10000);
  return TIME_ERROR;
}

export function clock_adjtime(task: Task, id: number, address: UserAddress): number {
  if (id === CLOCK_REALTIME) return adjtimex(task, address);
  const clock = findClock(task, id);
  return typeof clock === 'number' ? clock : -EOPNOTSUPP;
}

/** settimeofday(2): the clock is the host's, but nonsense is told apart from what may not be. */
export function settimeofday(task: Task, tv: UserAddress, tz: UserAddress): number {
  if (tv !== 0) {
    const at = task.memory.in(tv, TIMEVAL_SIZE);
    if (at < 0) return at;
    const time = timevalAt(at);
    if (time < 0) return time;
  }
  const zone = tz === 0 ? 0 : task.memory.in(tz, TIMEZONE_SIZE);
  return zone < 0 ? zone : -EPERM;
}

/** clock_settime(2): as settimeofday */
export function clock_settime(task: Task, id: number, tp: UserAddress): number {
  // Of CPU clocks those with a number of their own are asked at all.
  if (id >= 0 && id !== CLOCK_REALTIME) return -EINVAL;
  const time = readTimespec(task, tp);
  if (time < 0) return time;
  const clock = findClock(task, id);
  return typeof clock === 'number' ? clock : -EPERM;
}
