// Who traces whom (ptrace(2)), and what is remembered of a traced thread between its stops. How it stops and goes on is
// in stops.ts, its registers in registers.ts.

import { CAP_SYS_PTRACE } from '../../abi/capability.ts';
import { EPERM } from '../../abi/errno.ts';
import {
  PTRACE_CONT,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACESECCOMP,
  PTRACE_O_TRACESYSGOOD,
  PTRACE_SEIZE,
  PTRACE_SINGLESTEP,
  PTRACE_SYSCALL,
  PTRACE_SYSEMU,
  PTRACE_SYSEMU_SINGLESTEP,
} from '../../abi/ptrace.ts';
import { SI_KERNEL, SIGKILL, SIGSTOP } from '../../abi/signal.ts';
import { capable } from '../../base/credentials.ts';
import { unpatch } from '../../mm/patches.ts';
import { ACT_SET_RETURN } from '../../platform/layout.ts';
import { mayInspect } from '../credentials.ts';
import { showOwnAnswers } from '../own-answers.ts';
import { makeRunnable } from '../run-queue.ts';
import { type SignalInfo, signalInfo } from '../signal-state.ts';
import { notifyTask, sendSignalToGroup, sendSignalToTask } from '../signals.ts';
import { DEAD, RESUMED, RUNNING, STOPPED, type Task, TRACED } from '../task.ts';
import { DebugRegisters } from './debug-registers.ts';
import { Registers } from './registers.ts';

/** Options that PTRACE_SETOPTIONS takes. */
export const KNOWN_OPTIONS = 0xff | PTRACE_O_EXITKILL;

// What a traced thread is stopped for.
export const STOP_NONE = 0;
export const STOP_ENTER = 1;
export const STOP_EXIT = 2;
export const STOP_SIGNAL = 3;
export const STOP_EVENT = 4;
export const STOP_SECCOMP = 5;
/** Group-stops and PTRACE_EVENT_STOP. */
export const STOP_GROUP = 6;
/** PTRACE_EVENT_VFORK, before the parent waits for its child. */
export const STOP_VFORK = 7;
/** PTRACE_EVENT_EXIT. */
export const STOP_LAST = 8;

// What comes next on a thread's way back to its program.
export const PHASE_IDLE = 0;
/** The registers are in their place: they can be read. */
export const PHASE_BEGIN = 1;
export const PHASE_EVENT = 2;
export const PHASE_EXIT = 3;
export const PHASE_SIGNALS = 4;
export const PHASE_RESTART = 5;
/** A handler's frame has been written. */
export const PHASE_FRAME = 6;
export const PHASE_RELEASE = 7;

/** The traced side of a thread: `task.tracing`. It outlives its tracer until the host thread has been told. */
export class Tracing {
  tracer: Task | null;
  seized: boolean;
  options: number;

  // ---- the stop that it is in, or was in last ----
  stop = STOP_NONE;
  /** What wait(2) reports above the low byte of the status: signal, 0x80 of TRACESYSGOOD, event << 8. */
  code = 0;
  /** No wait has taken note of the stop yet. */
  unreported = false;
  /** PTRACE_LISTEN: it stays stopped, and only news ends that. */
  listening = false;
  /** PTRACE_GETEVENTMSG */
  message = 0;
  /** PTRACE_GETSIGINFO; null in a group-stop. */
  info: SignalInfo | null = null;

  // ---- how it goes on ----
  /** The request that resumed it last. */
  mode = PTRACE_CONT;
  /** The signal that came with it. */
  injected = 0;
  /** A stop without a signal is due: PTRACE_INTERRUPT, or its group stops or continues. */
  trap = false;
  /** A signal about what the program did itself: before all others. */
  fault: SignalInfo | null = null;
  /** An event to be reported before the call ends; 0 for none. */
  event = 0;
  eventMessage = 0;

  // ---- the way back to the program ----
  phase = PHASE_IDLE;
  /** Number of the call that is being served, -1 outside of calls. */
  call = -1;
  result = 0;
  act = 0;
  /** The registers of the pending ring lie where H_CONTEXT says. */
  settled = false;
  /** The stub was sent to carry out orders, and comes back with KIND_ORDERS. */
  awaiting = false;
  /** The call that is entered is the tracer's to make (PTRACE_SYSEMU). */
  emulated = false;
  /** The call goes on after a signal: it is entered a second time. */
  restarting = false;
  /** The filters have already sent this call to the tracer. */
  judged = false;
  /** The host makes the pending call, in the thread's stub. */
  onHost = false;
  /** Every call of the host thread traps (ORDER_TRAP_ALL). */
  trapsAll = false;
  /** PTRACE_EVENT_EXIT has been reported. */
  exitReported = false;
  /** Wait status with which it was about to end when it stopped for that, and whether its whole group was. */
  endStatus = 0;
  endsGroup = false;
  /** Wait status of a thread that has ended and that its tracer has not waited for; -1 before that. */
  zombie = -1;
  readonly registers = new Registers();
  readonly debug = new DebugRegisters();

  constructor(tracer: Task, seized: boolean, options: number) {
    this.tracer = tracer;
    this.seized = seized;
    this.options = options;
  }
}

export function stopsAtCalls(mode: number): boolean {
  return mode === PTRACE_SYSCALL || mode === PTRACE_SYSEMU || mode === PTRACE_SYSEMU_SINGLESTEP;
}

export function isStep(mode: number): boolean {
  return mode === PTRACE_SINGLESTEP || mode === PTRACE_SYSEMU_SINGLESTEP;
}

/** Whether calls that the host would serve have to come to the sentry. */
export function needsEveryCall(tracing: Tracing): boolean {
  return tracing.tracer !== null && (tracing.mode !== PTRACE_CONT || tracing.debug.active);
}

/** Whether the thread goes on in single steps: its tracer's, or those that stand in for debug registers. */
export function goesInSteps(tracing: Tracing): boolean {
  return tracing.tracer !== null && (isStep(tracing.mode) || tracing.debug.active);
}

/** 0x80 when call stops are to be told from others. */
export function callFlag(tracing: Tracing): number {
  return tracing.options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0;
}

/** The task that traces another now, or null. */
export function tracerOf(task: Task): Task | null {
  return task.tracing === null ? null : task.tracing.tracer;
}

export function reportsSeccomp(task: Task): boolean {
  return task.tracing?.tracer != null && (task.tracing.options & PTRACE_O_TRACESECCOMP) !== 0;
}

/** Whether nobody of less power than a set-user-id program traces the task: it may gain what the program gives. */
export function tracedByWeaker(task: Task): boolean {
  const tracer = tracerOf(task);
  return tracer !== null && !capable(tracer.credentials, CAP_SYS_PTRACE);
}

/** From now on `tracer` traces `task`. */
export function link(tracer: Task, task: Task, seized: boolean, options: number): Tracing {
  // One that was let go a moment ago may still be on its way.
  task.tracing ??= new Tracing(tracer, seized, options);
  const { tracing } = task;
  tracing.tracer = tracer;
  tracing.seized = seized;
  tracing.options = options;
  tracing.exitReported = false;
  if (task.state !== RESUMED) tracing.stop = STOP_NONE;
  if (task.asked) tracing.call = task.nr;
  if (task.state !== RUNNING && (task.state !== STOPPED || task.withheldAct & ACT_SET_RETURN)) {
    // In the middle of a call; one that trapped left its registers where they can be read.
    tracing.call = task.nr;
    tracing.settled = task.trappedAt !== 0;
  }
  tracer.tracees ??= new Set();
  tracer.tracees.add(task);
  task.everyCall = true;
  showOwnAnswers(task);
  unpatch(task.mm);
  return tracing;
}

/** Nobody traces the task any more. Its `tracing` goes when the host thread has been told; `zombie`: at once. */
export function unlink(task: Task): void {
  const { tracing } = task;
  if (tracing === null || tracing.tracer === null) return;
  tracing.tracer.tracees?.delete(task);
  tracing.tracer = null;
  tracing.mode = PTRACE_CONT;
  tracing.trap = false;
  tracing.debug.clear();
  tracing.event = 0;
  task.everyCall = false;
  if (task.state === DEAD) task.tracing = null;
  else showOwnAnswers(task);
}

/** PTRACE_ATTACH, PTRACE_SEIZE: 0 or -EPERM. */
export function attach(tracer: Task, task: Task, request: number, options: number): number {
  if (task.group === tracer.group || task.state === DEAD || task.doomed) return -EPERM;
  if (!mayInspect(tracer, task) || tracerOf(task) !== null) return -EPERM;
  const tracing = link(tracer, task, request === PTRACE_SEIZE, options);
  if (task.state === STOPPED) {
    // From a stop of its group right into one of the tracer's.
    tracing.trap = true;
    task.state = RESUMED;
    makeRunnable(task);
  }
  if (!tracing.seized) sendSignalToTask(task, signalInfo(SIGSTOP, SI_KERNEL));
  return 0;
}

/**
 * PTRACE_INTERRUPT, or SIGCONT was sent: a seized thread stops to tell of it, after the stop that it may be in; one that
 * only listens does so at once.
 */
export function trapSeized(task: Task, tracing: Tracing): void {
  if (tracing.tracer === null || !tracing.seized) return;
  tracing.trap = true;
  if (task.state !== TRACED) notifyTask(task);
  else if (tracing.listening) resume(task, tracing.mode, 0);
}

/** Its group stops: a traced thread does so in its tracer's sight; one that nobody traces any more is interrupted. */
export function trapForStop(task: Task, tracing: Tracing): void {
  tracing.trap = tracing.tracer !== null;
  if (task.state === RUNNING || tracing.trap) notifyTask(task);
}

/** A stopped thread goes on once the handler that is at work is done. */
export function resume(task: Task, mode: number, signo: number): void {
  const { tracing } = task;
  if (tracing === null) return;
  tracing.mode = mode;
  tracing.injected = signo;
  tracing.unreported = false;
  tracing.listening = false;
  task.state = RESUMED;
  makeRunnable(task);
}

/** PTRACE_DETACH, or the tracer is gone. A stopped thread goes on, a stopped group's goes back to that stop. */
export function detach(task: Task, signo: number): void {
  const stopped = task.state === TRACED;
  unlink(task);
  if (stopped) resume(task, PTRACE_CONT, signo);
}

/** A thread that traces others ends: they are let go, or killed (PTRACE_O_EXITKILL). Called for every thread that ends. */
export function letTraceesGo(tracer: Task, zombieGone: (task: Task) => void): void {
  if (tracer.tracees === null) return;
  for (const task of [...tracer.tracees]) {
    const kill = ((task.tracing?.options ?? 0) & PTRACE_O_EXITKILL) !== 0;
    if (task.state === DEAD) {
      unlink(task);
      zombieGone(task);
    } else {
      detach(task, 0);
      if (kill) sendSignalToGroup(task.group, signalInfo(SIGKILL, SI_KERNEL));
    }
  }
  tracer.tracees = null;
}
