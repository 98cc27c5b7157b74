// Stops of a traced thread (ptrace(2)), all on its way from a ring back to its program, where its registers can be read
// and changed. `completeTraced` takes the place of answer.ts's `complete`; when something is to be reported it walks
// through the phases of tracing.ts, one stop at a time:
//
//   settle    the registers are brought into their place: a patched call is promoted, orders are carried out, results copied
//   event     fork, vfork, clone, exec
//   exit      the end of a call, under PTRACE_SYSCALL; a single step over one
//   signals   each signal before it is acted on, group-stops, PTRACE_INTERRUPT
//   restart   a call that a signal broke off and that no handler saw goes on
//   release   the registers are written back, and the thread goes on
//
// A stop is a withheld answer (state TRACED). The tracer's request puts the task on the run queue, and the walk goes on.

import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOINTR, ERESTARTSYS } from '../../abi/errno.ts';
import {
  PTRACE_EVENT_EXIT,
  PTRACE_EVENT_STOP,
  PTRACE_EVENT_VFORK,
  PTRACE_EVENTMSG_SYSCALL_EXIT,
  PTRACE_O_TRACEEXIT,
  PTRACE_SYSCALL,
  REG_ORIG_RAX,
  REG_RAX,
  REG_RIP,
} from '../../abi/ptrace.ts';
import {
  SA_RESTART,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGKILL,
  SIGTRAP,
  TRAP_BRKPT,
  TRAP_HWBKPT,
  TRAP_TRACE,
} from '../../abi/signal.ts';
import { orderCount } from '../../platform/answer.ts';
import { ACT_ASK_AGAIN, ACT_SET_RETURN, ACT_SLOWLY } from '../../platform/layout.ts';
import { beginAnswer, completeUntraced, isRestartCode, sendUnsignalled } from '../answer.ts';
import { vforkOrdersDone } from '../clone.ts';
import { endTask, killGroup } from '../exit.ts';
import { numberIn } from '../pid-namespaces.ts';
import { makeRunnable } from '../run-queue.ts';
import { pushFrame, resetDelivery } from '../signal-delivery.ts';
import {
  bitHigh,
  bitLow,
  hasDeliverableSignal,
  type SignalAction,
  type SignalInfo,
  signalInfo,
} from '../signal-state.ts';
import { dequeueSignal, ignoredByDefault, notifyTask, restoreMask, sparesInit } from '../signals.ts';
import { isStopSignal, stopGroup } from '../stop.ts';
import { BLOCKED, SERVING, type Task } from '../task.ts';
import { continueCall, inject, stopAtEntry } from './calls.ts';
import { load, notify, stop, stopForEvent } from './stop.ts';
import {
  callFlag,
  goesInSteps,
  isStep,
  PHASE_BEGIN,
  PHASE_EVENT,
  PHASE_EXIT,
  PHASE_FRAME,
  PHASE_IDLE,
  PHASE_RELEASE,
  PHASE_RESTART,
  PHASE_SIGNALS,
  STOP_ENTER,
  STOP_EVENT,
  STOP_EXIT,
  STOP_GROUP,
  STOP_LAST,
  STOP_NONE,
  STOP_SECCOMP,
  STOP_SIGNAL,
  STOP_VFORK,
  type Tracing,
} from './tracing.ts';

const SYS_RT_SIGRETURN = 15;
const SYS_FUTEX = 202;
const SYS_RESTART_SYSCALL = 219;

// ---- leaving a call ----

/** Ends the pending call or report of a traced thread; as `complete` of answer.ts. */
export function completeTraced(task: Task, tracing: Tracing, result: number, act: number): void {
  task.state = SERVING;
  const interrupted = act === ACT_SET_RETURN && isRestartCode(result);
  if (tracing.tracer === null) {
    tracing.call = -1;
    return completeUntraced(task, result, act);
  }
  if (!interrupted && result !== -EINTR) restoreMask(task);
  if (!mustStop(task, tracing, interrupted)) return passOn(task, tracing, result, act);
  tracing.result = result;
  tracing.act = act;
  const { slot } = task.memory;
  if (tracing.settled && orderCount(slot) === 0) {
    if (task.memory.flushAll() < 0 && act === ACT_SET_RETURN && !interrupted) tracing.result = -14;
    begin(task, tracing);
    return;
  }
  tracing.phase = PHASE_BEGIN;
  tracing.awaiting = true;
  if (interrupted) return sendUnsignalled(task, 0, ACT_ASK_AGAIN);
  tracing.act = 0;
  sendUnsignalled(task, result, act | ACT_ASK_AGAIN);
}

/** Nothing to report: it goes on, also in a group that is stopped, if its tracer has let it. */
function passOn(task: Task, tracing: Tracing, result: number, act: number): void {
  tracing.call = -1;
  const masked = task.hasSavedMask;
  restoreMask(task);
  sendUnsignalled(task, result, act);
  // What the temporary mask kept away is looked at as soon as the thread has gone on.
  if (masked && hasDeliverableSignal(task)) notifyTask(task);
}

function mustStop(task: Task, tracing: Tracing, interrupted: boolean): boolean {
  if (interrupted || tracing.onHost || tracing.event !== 0 || tracing.fault !== null) return true;
  if (tracing.call >= 0 && (tracing.mode === PTRACE_SYSCALL || goesInSteps(tracing))) return true;
  return hasDeliverableSignal(task);
}

/** KIND_ORDERS of a thread that was sent to carry out orders. */
export function tracedOrdersDone(task: Task, tracing: Tracing): void {
  tracing.awaiting = false;
  tracing.settled = true;
  beginAnswer(task);
  if (tracing.phase === PHASE_FRAME) {
    // At the first instruction of a handler, outside of any call.
    tracing.call = -1;
    if (!load(task, tracing)) return;
    tracing.registers.words[REG_ORIG_RAX] = 0xffffffffffffffffn;
    tracing.phase = PHASE_SIGNALS;
    if (isStep(tracing.mode) && tracing.tracer !== null) return notify(task, tracing, STOP_EVENT, SIGTRAP);
    return advance(task, tracing);
  }
  begin(task, tracing);
}

/** The registers are where they can be read, the results where the program wants them. */
function begin(task: Task, tracing: Tracing): void {
  if (!load(task, tracing)) return;
  const { registers } = tracing;
  if (tracing.call === SYS_RT_SIGRETURN) tracing.registers.words[REG_ORIG_RAX] = 0xffffffffffffffffn;
  else registers.words[REG_ORIG_RAX] = BigInt.asUintN(64, BigInt(tracing.call));
  if (tracing.act === ACT_SET_RETURN) registers.put(REG_RAX, BigInt(tracing.result));
  if (tracing.onHost && tracing.call === SYS_FUTEX && resultOf(tracing) === -EINTR) {
    registers.put(REG_RAX, BigInt(-ERESTARTSYS));
  }
  tracing.onHost = false;
  tracing.phase = PHASE_EVENT;
  advance(task, tracing);
}

/** rax as a number, exact for what a call can fail with. */
function resultOf({ registers }: Tracing): number {
  return Number(BigInt.asIntN(64, registers.get(REG_RAX)));
}

// ---- the walk ----

/** Goes on from the phase that is due until the thread stops again or is let go. */
export function advance(task: Task, tracing: Tracing): void {
  for (;;) {
    if (tracing.tracer === null) return leaveTracer(task, tracing);
    switch (tracing.phase) {
      case PHASE_EVENT:
        tracing.phase = PHASE_EXIT;
        if (tracing.event === 0) break;
        reportEvent(task, tracing);
        return;
      case PHASE_EXIT:
        tracing.phase = PHASE_SIGNALS;
        if (reportExit(task, tracing)) return;
        break;
      case PHASE_SIGNALS:
        if (takeSignals(task, tracing)) return;
        tracing.phase = PHASE_RESTART;
        break;
      case PHASE_RESTART:
        tracing.phase = PHASE_RELEASE;
        if (restart(task, tracing)) return;
        break;
      default:
        return release(task, tracing);
    }
  }
}

function reportEvent(task: Task, tracing: Tracing): void {
  const { event, eventMessage } = tracing;
  tracing.event = 0;
  stopForEvent(task, tracing, STOP_EVENT, event, eventMessage);
}

/** True: it stops at the end of its call. */
function reportExit(task: Task, tracing: Tracing): boolean {
  if (tracing.call < 0) return false;
  if (tracing.mode === PTRACE_SYSCALL) {
    notify(task, tracing, STOP_EXIT, SIGTRAP | callFlag(tracing), SIGTRAP, PTRACE_EVENTMSG_SYSCALL_EXIT);
    return true;
  }
  if (tracing.debug.active && tracing.debug.isHit(task, Number(tracing.registers.get(REG_RIP)), isStep(tracing.mode))) {
    tracing.fault = trapAt(tracing, TRAP_HWBKPT);
  } else if (isStep(tracing.mode)) tracing.fault = trapAt(tracing, TRAP_BRKPT);
  return false;
}

function trapAt({ registers }: Tracing, code: number): SignalInfo {
  const ip = registers.get(REG_RIP);
  const [valueLow, valueHigh] = [Number(ip & 0xffffffffn), Number(ip >> 32n)];
  return signalInfo(SIGTRAP, code, { valueLow, valueHigh });
}

/** Signals one by one, group-stops, interrupts. True: it stopped, or is gone; the walk goes on from here later. */
function takeSignals(task: Task, tracing: Tracing): boolean {
  for (;;) {
    if (tracing.trap) {
      tracing.trap = false;
      if (reportTrap(task, tracing)) return true;
      continue;
    }
    const info = nextSignal(task, tracing);
    if (info === null) return false;
    if (info.signo === SIGKILL) {
      killGroup(task.group, SIGKILL, task);
      return true;
    }
    stop(task, tracing, STOP_SIGNAL, info.signo, info);
    return true;
  }
}

function nextSignal(task: Task, tracing: Tracing): SignalInfo | null {
  const { fault } = tracing;
  tracing.fault = null;
  return fault ?? dequeueSignal(task, task.maskLow, task.maskHigh);
}

/** A group-stop, or (for seized threads) a stop without one. False: there is nothing to stop for any more. */
function reportTrap(task: Task, tracing: Tracing): boolean {
  const { group } = task;
  if (group.stopped) {
    const { stopSignal } = group;
    if (tracing.seized) notify(task, tracing, STOP_GROUP, stopSignal | (PTRACE_EVENT_STOP << 8), stopSignal);
    else stop(task, tracing, STOP_GROUP, stopSignal, null);
    return true;
  }
  if (!tracing.seized) return false;
  notify(task, tracing, STOP_GROUP, SIGTRAP | (PTRACE_EVENT_STOP << 8));
  return true;
}

/** The tracer has seen a signal: what it made of it takes effect. True: the thread is gone, stopped or in a handler. */
function actOnSignal(task: Task, tracing: Tracing): boolean {
  const signo = tracing.injected;
  tracing.injected = 0;
  if (signo === 0) return false;
  const info = tracing.info?.signo === signo ? tracing.info : tracersSignal(task, tracing, signo);
  if ((task.maskLow & bitLow(signo)) !== 0 || (task.maskHigh & bitHigh(signo)) !== 0) {
    task.pending.add(info);
    return false;
  }
  const action = task.group.actions.get(signo);
  if (action.handler === SIG_IGN || sparesInit(task.group, info)) return false;
  if (action.handler !== SIG_DFL) {
    runHandler(task, tracing, info, action);
    return true;
  }
  if (isStopSignal(signo)) {
    if (stopGroup(task.group, signo)) tracing.trap = true;
    return false;
  }
  if (ignoredByDefault(signo)) return false;
  tracing.registers.store(task);
  if (reportEnd(task, tracing, signo, true)) return true;
  killGroup(task.group, signo, task);
  return true;
}

function tracersSignal(task: Task, { tracer }: Tracing, signo: number): SignalInfo {
  return signalInfo(signo, SI_USER, {
    pid: numberIn(task.pidNamespace, tracer?.group),
    uid: tracer?.credentials.uid ?? 0,
  });
}

/** A handler's frame is written by the stub; before that the call's end is settled as SA_RESTART says. */
function runHandler(task: Task, tracing: Tracing, info: SignalInfo, action: SignalAction): void {
  const { registers } = tracing;
  const code = restartCode(tracing);
  if (code !== 0) {
    if (code === ERESTARTNOINTR || (code === ERESTARTSYS && action.flags & SA_RESTART)) makeAgain(tracing);
    else registers.put(REG_RAX, BigInt(-EINTR));
  }
  tracing.call = -1;
  tracing.registers.store(task);
  beginAnswer(task);
  resetDelivery();
  pushFrame(task, info, action);
  tracing.phase = PHASE_FRAME;
  tracing.awaiting = true;
  sendUnsignalled(task, 0, ACT_SLOWLY | ACT_ASK_AGAIN);
}

/** ERESTART* that the call ended with, if the tracer has left it so; else 0. */
function restartCode(tracing: Tracing): number {
  const number = BigInt.asIntN(64, tracing.registers.get(REG_ORIG_RAX));
  const result = resultOf(tracing);
  return number >= 0n && isRestartCode(result) ? -result : 0;
}

/** The program makes its call again, from the instruction itself. */
function makeAgain({ registers }: Tracing): void {
  registers.put(REG_RAX, registers.get(REG_ORIG_RAX));
  registers.put(REG_RIP, registers.get(REG_RIP) - 2n);
}

/** No handler ran. True: the call goes on where it was. */
function restart(task: Task, tracing: Tracing): boolean {
  const code = tracing.call >= 0 ? restartCode(tracing) : 0;
  if (code === 0) {
    restoreMask(task);
    return false;
  }
  if (mustStartAfresh(task, tracing, code)) {
    makeAgain(tracing);
    return false;
  }
  tracing.registers.store(task);
  tracing.restarting = true;
  if (tracing.mode === PTRACE_SYSCALL) {
    stopAtEntry(task, tracing, code === ERESTART_RESTARTBLOCK ? SYS_RESTART_SYSCALL : tracing.call);
    return true;
  }
  retry(task, tracing);
  return true;
}

export function retry(task: Task, tracing: Tracing): void {
  tracing.restarting = false;
  tracing.phase = PHASE_IDLE;
  task.state = BLOCKED;
  makeRunnable(task);
}

/** Nobody traces it any more: it ends its call as everybody does. */
function leaveTracer(task: Task, tracing: Tracing): void {
  const { registers } = tracing;
  if (tracing.fault !== null) task.pending.add(tracing.fault);
  tracing.fault = null;
  const code = tracing.phase !== PHASE_FRAME && tracing.call >= 0 ? restartCode(tracing) : 0;
  const again = code !== 0 && mustStartAfresh(task, tracing, code);
  if (again) makeAgain(tracing);
  registers.store(task);
  tracing.phase = PHASE_IDLE;
  tracing.call = -1;
  if (code !== 0 && !again) completeUntraced(task, -code, ACT_SET_RETURN);
  else completeUntraced(task, 0, ACT_SLOWLY);
}

/** The host's own calls, and those that the tracer has changed, are made again by the program. */
function mustStartAfresh(task: Task, { registers, call, result }: Tracing, code: number): boolean {
  const same = registers.get(REG_ORIG_RAX) === BigInt(call) && Number(registers.get(REG_RIP)) === task.rip;
  return call === SYS_FUTEX || !same || result !== -code;
}

/** The thread goes on, single-stepping or not. */
function release(task: Task, tracing: Tracing): void {
  tracing.registers.stepping = goesInSteps(tracing);
  tracing.debug.orderWatches(task, isStep(tracing.mode));
  tracing.registers.store(task);
  tracing.phase = PHASE_IDLE;
  tracing.call = -1;
  sendUnsignalled(task, 0, ACT_SLOWLY);
}

// ---- going on after a stop ----

/** The tracer's request, or its end, has put the task on the run queue. */
export function continueTraced(task: Task, tracing: Tracing): void {
  task.state = SERVING;
  const { stop: kind } = tracing;
  tracing.stop = STOP_NONE;
  if (kind === STOP_NONE) {
    // Attached while its group was stopped: the answer that was withheld is still there.
    return completeTraced(task, tracing, task.withheldReturn, task.withheldAct);
  }
  beginAnswer(task);
  tracing.stop = kind;
  switch (kind) {
    case STOP_ENTER:
    case STOP_SECCOMP:
      return continueCall(task, tracing);
    case STOP_VFORK:
      tracing.registers.store(task);
      return vforkOrdersDone(task);
    case STOP_LAST:
      return endTask(task, tracing.endStatus, tracing.endsGroup);
    case STOP_EXIT:
      if (!inject(task, tracing)) return;
      break;
    case STOP_SIGNAL:
      if (actOnSignal(task, tracing)) return;
      break;
  }
  advance(task, tracing);
}

// ---- what the rest of the kernel reports ----

/** PTRACE_EVENT_VFORK, before the parent waits. True: it stopped. */
export function stopForVfork(parent: Task, tracing: Tracing): boolean {
  if (tracing.tracer === null || tracing.event !== PTRACE_EVENT_VFORK) return false;
  tracing.event = 0;
  tracing.settled = true;
  if (!load(parent, tracing)) return true;
  tracing.registers.words[REG_ORIG_RAX] = BigInt(tracing.call);
  stopForEvent(parent, tracing, STOP_VFORK, PTRACE_EVENT_VFORK, tracing.eventMessage);
  return true;
}

/** PTRACE_EVENT_EXIT. True: it stopped; it ends when the tracer lets it. `status` is a wait status. */
export function reportEnd(task: Task, tracing: Tracing, status: number, wholeGroup: boolean): boolean {
  if (tracing.tracer === null || tracing.exitReported) return false;
  if (!(tracing.options & PTRACE_O_TRACEEXIT) || task.doomed) return false;
  tracing.exitReported = true;
  tracing.endStatus = status;
  tracing.endsGroup = wholeGroup;
  // One that hides its registers ends without being looked at.
  if (!tracing.settled || !tracing.registers.load(task)) return false;
  tracing.registers.words[REG_ORIG_RAX] = BigInt.asUintN(64, BigInt(tracing.call));
  stopForEvent(task, tracing, STOP_LAST, PTRACE_EVENT_EXIT, status);
  return true;
}

/** A signal about what the program did itself: it comes first, and cannot be blocked. */
export function completeWithFault(task: Task, tracing: Tracing, info: SignalInfo): void {
  const { signo } = info;
  if (signo === SIGTRAP && info.code === TRAP_TRACE && tracing.debug.active && tracing.tracer !== null) {
    // Woken by the stub, or a step of the tracer's. What has changed may be no news: then the thread goes on.
    const step = isStep(tracing.mode);
    const hit = tracing.debug.isHit(task, task.rip, step);
    if (!hit && !step) return passOn(task, tracing, 0, 0);
    if (hit) info.code = TRAP_HWBKPT;
  }
  const action = task.group.actions.get(signo);
  const masked = (task.maskLow & bitLow(signo)) !== 0 || (task.maskHigh & bitHigh(signo)) !== 0;
  if (masked || action.handler === SIG_IGN) task.group.actions.set(signo, { ...action, handler: SIG_DFL });
  task.maskLow &= ~bitLow(signo);
  task.maskHigh &= ~bitHigh(signo);
  tracing.fault = info;
  completeTraced(task, tracing, 0, 0);
}

/** A report that is no call: an interrupt, a fault, a hello. `call` is that of a native wait that was cut short, or -1. */
export function reportArrived(tracing: Tracing, call: number): void {
  tracing.call = call;
  tracing.settled = true;
  tracing.onHost = false;
  tracing.restarting = false;
  tracing.phase = PHASE_IDLE;
}
