// POSIX timers (timer_create(2)). One signal of a timer is queued at a time; the timer is wound up again when that is
// taken, and the intervals that passed meanwhile are its overruns. CPU clocks are looked at when they could have
// reached the time that is waited for.

import { EAGAIN } from '../abi/errno.ts';
import { RLIMIT_SIGPENDING } from '../abi/resource.ts';
import { SI_TIMER } from '../abi/signal.ts';
import { type Clock, ClockWatch, monotonicClock, readClock, WALL } from './clocks.ts';
import { CpuTimerTarget } from './cpu-timer-target.ts';
import { kernel } from './kernel.ts';
import { type SignalInfo, signalInfo } from './signal-state.ts';
import { sendSignalToGroup, sendSignalToTask } from './signals.ts';
import { DEAD, type Task, type ThreadGroup } from './task.ts';
import { armTimer, cancelTimer, Timer, type TimerTarget } from './timers.ts';

const INT_MAX = 0x7fffffff;
/** Timers of one process, whatever its limit says: they take the sentry's memory. */
const MAX_TIMERS = 65536;
/** Shortest time between two expiries whose signal is ignored. */
const IGNORED_PERIOD = 1e6;

/** How a timer tells of its expiry (sigevent(3type)). */
export interface TimerEvent {
  /** 0 for SIGEV_NONE. */
  signo: number;
  valueLow: number;
  valueHigh: number;
  /** Thread that gets the signal (SIGEV_THREAD_ID), or null for the process. */
  thread: Task | null;
}

export class PosixTimer implements TimerTarget {
  readonly id: number;
  readonly group: ThreadGroup;
  readonly clock: Clock;
  /** The clock that the present expiry is a time of: relative times do not follow a wall clock that is set. */
  private timing: Clock;
  readonly event: TimerEvent;
  readonly timer = new Timer(this);
  private readonly watch = new ClockWatch();
  private readonly taker: CpuTimerTarget;
  /** ns; 0 for a single shot. */
  interval = 0;
  /** When it expires next by its clock, or did last; 0 when it is off. */
  expiry = 0;
  /** Its signal, from the sending until it is taken. */
  private queued: SignalInfo | null = null;
  private overruns = 0;
  /** Overruns of the signal that was taken last. */
  lastOverruns = 0;

  constructor(id: number, group: ThreadGroup, clock: Clock, event: TimerEvent) {
    this.id = id;
    this.group = group;
    this.clock = this.timing = clock;
    this.event = event;
    this.taker = new CpuTimerTarget(clock);
  }

  /** timer_settime(2): a value of 0 turns it off; `absolute` is a time of its clock. */
  set(value: number, interval: number, absolute: boolean): void {
    this.stop();
    this.interval = interval;
    if (value === 0) return;
    this.timing = absolute || this.clock.kind !== WALL ? this.clock : monotonicClock;
    const now = readClock(this.timing);
    this.expiry = absolute ? value : now + value;
    this.overruns = 0;
    if (this.event.signo !== 0) armTimer(this.timer, this.watch.nextLook(this.timing, now, this.expiry));
  }

  /** Turns it off; a signal that was sent and not yet taken is withdrawn. */
  stop(): void {
    cancelTimer(this.timer);
    this.expiry = 0;
    if (!this.queued) return;
    this.group.pending.remove(this.queued);
    this.event.thread?.pending.remove(this.queued);
    this.queued = null;
  }

  /** Time left in ns; 0 when it is off. */
  remaining(): number {
    if (this.expiry === 0) return 0;
    const silent = this.event.signo === 0;
    const now = readClock(this.timing);
    let left = this.expiry - now;
    if (left <= 0 && this.interval > 0 && (silent || this.queued)) left += this.periodsUntil(now) * this.interval;
    if (left > 0) return left;
    return silent ? 0 : 1;
  }

  expire(): void {
    const now = readClock(this.timing);
    if (now < this.expiry) {
      armTimer(this.timer, this.watch.nextLook(this.timing, now, this.expiry));
      return;
    }
    const info = this.send();
    const { thread } = this.event;
    if (this.group.exitStatus >= 0 || thread?.state === DEAD) return;
    const pending = thread ? thread.pending : this.group.pending;
    if (pending.queue.includes(info)) this.queued = info;
    else if (this.interval > 0) this.windUp(now + IGNORED_PERIOD);
    if (this.interval === 0 && this.queued === null) this.expiry = 0;
  }

  get isQueued(): boolean {
    return this.queued !== null;
  }

  private send(): SignalInfo {
    const { signo, valueLow, valueHigh, thread } = this.event;
    const info = signalInfo(signo, SI_TIMER, { valueLow, valueHigh, utime: this.id, timer: this });
    if (thread) sendSignalToTask(thread, info);
    else sendSignalToGroup(this.group, info, this.taker.choose(this.group, signo));
    return info;
  }

  /** Its signal is being taken: overruns are counted and the next expiry is set. */
  signalTaken(info: SignalInfo): void {
    if (this.queued !== info) return;
    this.queued = null;
    if (this.interval > 0) this.windUp(readClock(this.timing));
    else this.expiry = 0;
    this.lastOverruns = Math.min(this.overruns, INT_MAX);
    this.overruns = 0;
    info.stime = this.lastOverruns;
  }

  /** Moves the expiry to the first multiple of the interval after `time`. */
  private windUp(time: number): void {
    const periods = this.periodsUntil(time);
    this.overruns += Math.max(0, periods - 1);
    this.expiry += periods * this.interval;
    armTimer(this.timer, this.watch.nextLook(this.timing, time, this.expiry));
  }

  private periodsUntil(time: number): number {
    return Math.floor(Math.max(0, time - this.expiry) / this.interval) + 1;
  }
}

/** As many signals are queued in all, whatever limits there are: they take the sentry's memory. */
const QUEUED_MOST = 1 << 17;

/**
 * Whether as many signals are queued for the process's user as RLIMIT_SIGPENDING allows, or in all as there may be. A timer
 * counts for the one that it will send, queued or not.
 */
export function signalsExhausted({ leader, limits }: ThreadGroup): boolean {
  const limit = limits.soft[RLIMIT_SIGPENDING];
  const { uid } = leader.credentials;
  let count = 0;
  let inAll = 0;
  for (const group of kernel.groups.values()) {
    let queued = group.posixTimers.size + group.pending.queue.length;
    for (const thread of group.threads) queued += thread.pending.queue.length;
    inAll += queued;
    if (group.leader.credentials.uid === uid) count += queued;
  }
  if (inAll >= QUEUED_MOST) return true;
  if (count < limit) return false;
  for (const group of kernel.groups.values()) {
    if (group.leader.credentials.uid !== uid) continue;
    for (const timer of group.posixTimers.values()) if (timer.isQueued) count--;
  }
  return count >= limit;
}

/** Makes a timer for a process, or -EAGAIN when it has too many. The default event is SIGALRM with the timer's id. */
export function createPosixTimer(group: ThreadGroup, clock: Clock, event: TimerEvent | null, signo: number) {
  const { posixTimers } = group;
  if (posixTimers.size >= MAX_TIMERS || signalsExhausted(group)) return -EAGAIN;
  while (posixTimers.has(group.nextTimerId)) group.nextTimerId = nextId(group.nextTimerId);
  const id = group.nextTimerId;
  group.nextTimerId = nextId(id);
  const timer = new PosixTimer(id, group, clock, event ?? { signo, valueLow: id, valueHigh: 0, thread: null });
  posixTimers.set(id, timer);
  return timer;
}

function nextId(id: number): number {
  return id === INT_MAX ? 0 : id + 1;
}

export function deletePosixTimer(timer: PosixTimer): void {
  timer.stop();
  timer.group.posixTimers.delete(timer.id);
}

/** exec and exit: no timer outlives the program that made it. */
export function deletePosixTimers(group: ThreadGroup): void {
  for (const timer of group.posixTimers.values()) timer.stop();
  group.posixTimers.clear();
  group.nextTimerId = 0;
}
