// Interval timers of a process (setitimer(2), alarm(2)) and the watch over its CPU limit (RLIMIT_CPU). ITIMER_REAL is
// wound up again when its signal is taken, not when it is sent, so that a short interval cannot flood a process that
// does not get to run. CPU times are looked at when they could have been reached.

import { RLIMIT_CPU } from '../abi/resource.ts';
import { SI_KERNEL, SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU } from '../abi/signal.ts';
import { CLOCK_MONOTONIC, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, NSEC_PER_SEC } from '../abi/time.ts';
import { type Clock, ClockWatch, PROCESS_CPU, PROCESS_USER, readClock, WALL } from './clocks.ts';
import { CpuTimerTarget } from './cpu-timer-target.ts';
import { type SignalInfo, signalInfo } from './signal-state.ts';
import { sendSignalToGroup } from './signals.ts';
import type { ThreadGroup } from './task.ts';
import { armTimer, cancelTimer, Timer, type TimerTarget } from './timers.ts';

/** By ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. */
const SIGNALS = [SIGALRM, SIGVTALRM, SIGPROF];

/** Shortest time between two firings whose signal nobody takes. */
const IGNORED_PERIOD = 1e6;

class IntervalTimer implements TimerTarget {
  readonly which: number;
  readonly group: ThreadGroup;
  readonly clock: Clock;
  readonly timer = new Timer(this);
  private readonly watch = new ClockWatch();
  private readonly taker: CpuTimerTarget;
  /** ns; 0 for a single shot. */
  interval = 0;
  /** When it expires next by its clock, or did last; 0 when it is off. */
  expiry = 0;

  constructor(which: number, group: ThreadGroup) {
    this.which = which;
    this.group = group;
    const kind = which === ITIMER_REAL ? WALL : which === ITIMER_VIRTUAL ? PROCESS_USER : PROCESS_CPU;
    this.clock = { kind, id: CLOCK_MONOTONIC, offset: 0, group, thread: null };
    this.taker = new CpuTimerTarget(this.clock);
  }

  /** Time left in ns, 0 when it is off; one that is due still has a microsecond. */
  remaining(): number {
    return this.expiry === 0 ? 0 : Math.max(1000, this.expiry - readClock(this.clock));
  }

  set(value: number, interval: number): void {
    cancelTimer(this.timer);
    this.interval = value === 0 ? 0 : interval;
    this.expiry = 0;
    if (value === 0) return;
    const now = readClock(this.clock);
    this.expiry = now + value;
    armTimer(this.timer, this.watch.nextLook(this.clock, now, this.expiry));
  }

  expire(): void {
    const now = readClock(this.clock);
    if (now < this.expiry) {
      armTimer(this.timer, this.watch.nextLook(this.clock, now, this.expiry));
      return;
    }
    const info = signalInfo(SIGNALS[this.which], SI_KERNEL);
    const waits = this.which === ITIMER_REAL && this.interval > 0;
    if (waits) info.timer = this;
    sendSignalToGroup(this.group, info, this.taker.choose(this.group, info.signo));
    if (this.group.exitStatus >= 0) return;
    if (this.interval === 0) this.expiry = 0;
    else if (!waits || !this.group.pending.queue.includes(info)) this.windUp(now, waits ? IGNORED_PERIOD : 0);
  }

  /** Its signal was taken: the next one is due at the next multiple of the interval. */
  signalTaken(_info: SignalInfo): void {
    if (this.expiry !== 0 && !this.timer.armed) this.windUp(readClock(this.clock), 0);
  }

  private windUp(now: number, atLeast: number): void {
    const periods = Math.floor(Math.max(0, now + atLeast - this.expiry) / this.interval) + 1;
    this.expiry += periods * this.interval;
    armTimer(this.timer, this.watch.nextLook(this.clock, now, this.expiry));
  }
}

/** Sends SIGXCPU for each second beyond the soft limit, SIGKILL at the hard one. */
class CpuLimit implements TimerTarget {
  readonly group: ThreadGroup;
  readonly clock: Clock;
  readonly timer = new Timer(this);
  private readonly watch = new ClockWatch(NSEC_PER_SEC);

  constructor(group: ThreadGroup) {
    this.group = group;
    this.clock = { kind: PROCESS_CPU, id: -1, offset: 0, group, thread: null };
  }

  expire(): void {
    const { group } = this;
    const { soft, hard } = group.limits;
    const now = readClock(this.clock);
    if (now >= hard[RLIMIT_CPU] * NSEC_PER_SEC) {
      sendSignalToGroup(group, signalInfo(SIGKILL, SI_KERNEL));
      return;
    }
    if (now >= soft[RLIMIT_CPU] * NSEC_PER_SEC) {
      soft[RLIMIT_CPU] = Math.floor(now / NSEC_PER_SEC) + 1;
      sendSignalToGroup(group, signalInfo(SIGXCPU, SI_KERNEL));
      if (group.exitStatus >= 0) return;
    }
    this.arm(now);
  }

  arm(now: number): void {
    const { soft, hard } = this.group.limits;
    const target = Math.min(soft[RLIMIT_CPU], hard[RLIMIT_CPU]) * NSEC_PER_SEC;
    if (target === Number.POSITIVE_INFINITY) cancelTimer(this.timer);
    else armTimer(this.timer, this.watch.nextLook(this.clock, now, target));
  }
}

/** The interval timers of one process. */
export class IntervalTimers {
  readonly timers: readonly [IntervalTimer, IntervalTimer, IntervalTimer];
  readonly cpuLimit: CpuLimit;

  constructor(group: ThreadGroup) {
    this.timers = [
      new IntervalTimer(ITIMER_REAL, group),
      new IntervalTimer(ITIMER_VIRTUAL, group),
      new IntervalTimer(ITIMER_PROF, group),
    ];
    this.cpuLimit = new CpuLimit(group);
  }

  cancel(): void {
    for (const { timer } of this.timers) cancelTimer(timer);
    cancelTimer(this.cpuLimit.timer);
  }
}

function timersOf(group: ThreadGroup): IntervalTimers {
  group.intervalTimers ??= new IntervalTimers(group);
  return group.intervalTimers;
}

/** Time left of a timer (ITIMER_*) in ns; 0 when it is off. */
export function intervalTimerValue(group: ThreadGroup, which: number): number {
  return group.intervalTimers?.timers[which].remaining() ?? 0;
}

/** Interval of a timer in ns. */
export function intervalTimerInterval(group: ThreadGroup, which: number): number {
  return group.intervalTimers?.timers[which].interval ?? 0;
}

/** Sets a timer to go off after `value` ns (0: never) and every `interval` ns from then on (0: once). */
export function setIntervalTimer(group: ThreadGroup, which: number, value: number, interval: number): void {
  if (value === 0 && !group.intervalTimers) return;
  timersOf(group).timers[which].set(value, interval);
}

/** Starts or stops the watch over RLIMIT_CPU: to be called when the limit was set or inherited. */
export function watchCpuLimit(group: ThreadGroup): void {
  const limited = Number.isFinite(group.limits.soft[RLIMIT_CPU]) || Number.isFinite(group.limits.hard[RLIMIT_CPU]);
  if (!limited && !group.intervalTimers) return;
  const { cpuLimit } = timersOf(group);
  cpuLimit.arm(readClock(cpuLimit.clock));
}
