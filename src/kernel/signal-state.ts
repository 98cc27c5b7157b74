// Signal state as data: pending sets with their siginfo, dispositions, and the question whether anything is
// deliverable. Masks are two 32-bit words: signals 1–32 in the low one, 33–64 in the high one.

import { SA_RESTORER, SIG_DFL, SIG_IGN, SIGKILL, SIGSTOP } from '../abi/signal.ts';
import type { Task } from './task.ts';

/** What siginfo_t carries, by the union's members that are in use for the code. */
export interface SignalInfo {
  signo: number;
  code: number;
  errno: number;
  pid: number;
  uid: number;
  status: number;
  /** si_value (SI_QUEUE, SI_TIMER) or si_addr (faults), as a 64-bit number in two words. */
  valueLow: number;
  valueHigh: number;
  /** si_utime, si_stime of SIGCHLD in clock ticks; timer id and overrun of SI_TIMER; si_arch of SYS_SECCOMP. */
  utime: number;
  stime: number;
  /** POSIX timer to be told when its signal is taken, else null. */
  timer: SignalTimer | null;
}

/** A timer that is wound up again when its signal is taken. */
export interface SignalTimer {
  signalTaken(info: SignalInfo): void;
}

export function bitLow(signo: number): number {
  return signo <= 32 ? 1 << (signo - 1) : 0;
}

export function bitHigh(signo: number): number {
  return signo > 32 ? 1 << (signo - 33) : 0;
}

/** Makes a SignalInfo with the fields that are not zero given. */
export function signalInfo(signo: number, code: number, fields?: Partial<SignalInfo>): SignalInfo {
  return {
    signo,
    code,
    errno: 0,
    pid: 0,
    uid: 0,
    status: 0,
    valueLow: 0,
    valueHigh: 0,
    utime: 0,
    stime: 0,
    timer: null,
    ...fields,
  };
}

const SIGRTMIN = 32;

/** A pending set: standard signals once each, real-time signals queued. */
export class PendingSignals {
  low = 0;
  high = 0;
  readonly queue: SignalInfo[] = [];

  has(signo: number): boolean {
    return (this.low & bitLow(signo)) !== 0 || (this.high & bitHigh(signo)) !== 0;
  }

  /** Adds a signal; a standard one that is pending already is dropped. */
  add(info: SignalInfo): boolean {
    if (info.signo < SIGRTMIN && this.has(info.signo)) return false;
    this.low |= bitLow(info.signo);
    this.high |= bitHigh(info.signo);
    this.queue.push(info);
    return true;
  }

  /** Lowest pending signal that is in neither mask word, or 0. */
  firstUnmasked(maskLow: number, maskHigh: number): number {
    const low = this.low & ~maskLow;
    if (low !== 0) return 32 - Math.clz32(low & -low);
    const high = this.high & ~maskHigh;
    return high !== 0 ? 64 - Math.clz32(high & -high) : 0;
  }

  /** Removes and returns the oldest instance of a signal. */
  take(signo: number): SignalInfo | null {
    const index = this.queue.findIndex((info) => info.signo === signo);
    if (index < 0) return null;
    const [info] = this.queue.splice(index, 1);
    if (!this.queue.some((other) => other.signo === signo)) {
      this.low &= ~bitLow(signo);
      this.high &= ~bitHigh(signo);
    }
    return info;
  }

  /** Forgets one instance, if it is still there. */
  remove(info: SignalInfo): void {
    const index = this.queue.indexOf(info);
    if (index < 0) return;
    this.queue.splice(index, 1);
    if (this.queue.some((other) => other.signo === info.signo)) return;
    this.low &= ~bitLow(info.signo);
    this.high &= ~bitHigh(info.signo);
  }

  /** Forgets every instance of the signals in the mask words. */
  discard(low: number, high: number): void {
    if ((this.low & low) === 0 && (this.high & high) === 0) return;
    this.low &= ~low;
    this.high &= ~high;
    for (let i = this.queue.length - 1; i >= 0; i--) {
      if (!this.has(this.queue[i].signo)) this.queue.splice(i, 1);
    }
  }
}

export interface SignalAction {
  readonly handler: number;
  /** SA_* (the kernel's 64-bit flags fit 32). */
  readonly flags: number;
  readonly restorer: number;
  readonly maskLow: number;
  readonly maskHigh: number;
}

const DEFAULT_ACTION: SignalAction = { handler: SIG_DFL, flags: 0, restorer: 0, maskLow: 0, maskHigh: 0 };
/** Index is the signal number. */
const ALL_DEFAULT: readonly SignalAction[] = new Array(65).fill(DEFAULT_ACTION);

/** Which signals do what they do by default: as at first, or set so again by a C library, which adds its restorer. */
export interface DefaultActions {
  readonly plainLow: number;
  readonly plainHigh: number;
  readonly restoredLow: number;
  readonly restoredHigh: number;
  readonly restorer: number;
}

export const NO_DEFAULTS: DefaultActions = {
  plainLow: 0,
  plainHigh: 0,
  restoredLow: 0,
  restoredHigh: 0,
  restorer: 0,
};

/** Dispositions of a thread group (or shared by CLONE_SIGHAND). */
export class SignalActions {
  users = 1;
  /** Never changed in place: copies share it. */
  private actions = ALL_DEFAULT;
  private known: DefaultActions | null = null;

  get(signo: number): SignalAction {
    return this.actions[signo];
  }

  set(signo: number, action: SignalAction): void {
    this.actions = this.actions.with(signo, action);
    this.known = null;
  }

  copy(): SignalActions {
    const copy = new SignalActions();
    copy.actions = this.actions;
    copy.known = this.known;
    return copy;
  }

  /** What exec does: handlers become default, ignored signals stay ignored. */
  resetHandlers(): void {
    this.actions = this.actions.map(({ handler }) =>
      handler === SIG_IGN ? { ...DEFAULT_ACTION, handler } : DEFAULT_ACTION,
    );
    this.known = null;
  }

  /** The same object until something changes. */
  get defaults(): DefaultActions {
    this.known ??= summarize(this.actions);
    return this.known;
  }

  /** Takes over what was set to its default again: only signals that are there now, with a restorer or without. */
  adopt(fresh: DefaultActions): void {
    const { plainLow, plainHigh, restoredLow, restoredHigh } = this.defaults;
    const restored = { ...DEFAULT_ACTION, flags: SA_RESTORER, restorer: fresh.restorer };
    const actions = [...this.actions];
    for (let signo = 1; signo <= 64; signo++) {
      if (!has(plainLow | restoredLow, plainHigh | restoredHigh, signo)) continue;
      if (has(fresh.restoredLow, fresh.restoredHigh, signo)) actions[signo] = restored;
      else if (has(fresh.plainLow, fresh.plainHigh, signo)) actions[signo] = DEFAULT_ACTION;
    }
    this.actions = actions;
    this.known = null;
  }
}

function has(low: number, high: number, signo: number): boolean {
  return (low & bitLow(signo)) !== 0 || (high & bitHigh(signo)) !== 0;
}

function summarize(actions: readonly SignalAction[]): DefaultActions {
  const found = { plainLow: 0, plainHigh: 0, restoredLow: 0, restoredHigh: 0, restorer: 0 };
  for (let signo = 1; signo <= 64; signo++) {
    const { handler, flags, restorer, maskLow, maskHigh } = actions[signo];
    if (handler !== SIG_DFL || maskLow !== 0 || maskHigh !== 0) continue;
    if (flags === 0 && restorer === 0) {
      found.plainLow |= bitLow(signo);
      found.plainHigh |= bitHigh(signo);
    } else if (flags === SA_RESTORER && restorer !== 0 && (found.restorer === 0 || found.restorer === restorer)) {
      found.restoredLow |= bitLow(signo);
      found.restoredHigh |= bitHigh(signo);
      found.restorer = restorer;
    }
  }
  return found;
}

/** Whether a signal is pending for the task that its mask lets through. */
export function hasDeliverableSignal(task: Task): boolean {
  if (task.doomed) return true;
  if (task.tracing !== null && (task.tracing.trap || task.tracing.fault !== null)) return true;
  const shared = task.group.pending;
  const low = (task.pending.low | shared.low) & ~task.maskLow;
  const high = (task.pending.high | shared.high) & ~task.maskHigh;
  return low !== 0 || high !== 0;
}

/** A mask without the two signals that cannot be blocked. */
export function sanitizeMaskLow(low: number): number {
  return low & ~(bitLow(SIGKILL) | bitLow(SIGSTOP));
}
