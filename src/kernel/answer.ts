// The end of a call: what happens between a handler's result and the thread going on. Signals are delivered, restart
// codes turned into a restart or EINTR, stops and deaths take effect here, and only here.

import { EAGAIN, EFAULT, EINTR, ENOENT, ERESTART_RESTARTBLOCK, ERESTARTNOINTR, ERESTARTSYS } from '../abi/errno.ts';
import { SA_RESTART, SIG_DFL, SIG_IGN, SIGKILL } from '../abi/signal.ts';
import { sweepSites } from '../mm/patches.ts';
import { clearOrders, flushAnswers, order, orderCount, sendAnswer, writeAnswer } from '../platform/answer.ts';
import { ACT_RESTART, ACT_SET_RETURN, ORDER_PATCH } from '../platform/layout.ts';
import { native } from '../platform/native.ts';
import { cancelWaits } from './block.ts';
import { exitDoomed, killGroup } from './exit.ts';
import { lendMask } from './own-answers.ts';
import { prepareAnswer } from './ptrace/stop.ts';
import { completeTraced, completeWithFault } from './ptrace/stops.ts';
import { makeRunnable } from './run-queue.ts';
import { DELIVERED_FATAL, deliverSignals, hasDeliveredFrame, resetDelivery } from './signal-delivery.ts';
import { bitHigh, bitLow, hasDeliverableSignal, type SignalInfo } from './signal-state.ts';
import { restoreMask } from './signals.ts';
import { BLOCKED, RUNNING, SERVING, STOPPED, type Task } from './task.ts';

/** Starts a fresh answer for a task whose slot waits. */
export function beginAnswer(task: Task): void {
  clearOrders(task.memory.slot);
  task.memory.beginAnswer();
}

/**
 * Ends the pending call (or report) of a task. `act` are the ACT_* flags for the registers: ACT_SET_RETURN for an
 * ordinary result, 0 to leave them alone (interrupts, faults), ACT_ORDER_RETURN when an order sets rax.
 */
export function complete(task: Task, result: number, act: number = ACT_SET_RETURN): void {
  if (task.waitCount > 0 || task.timeout.armed) cancelWaits(task);
  if (task.doomed) return exitDoomed(task);
  if (task.tracing !== null) return completeTraced(task, task.tracing, result, act);
  completeUntraced(task, result, act);
}

/** The codes with which a call asks to be made again after a signal; no program ever sees them. */
export function isRestartCode(result: number): boolean {
  return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;
}

/** The same for a task that no tracer stops now. */
export function completeUntraced(task: Task, result: number, act: number): void {
  if (!task.hasSavedMask && !task.group.stopped && !isRestartCode(result)) {
    if (!hasDeliverableSignal(task)) return send(task, act, result);
  }
  completeSlowly(task, result, act);
}

function completeSlowly(task: Task, result: number, act: number): void {
  task.state = SERVING;
  const interrupted = act === ACT_SET_RETURN && isRestartCode(result);
  // A call that was not cut short gives back its temporary mask before signals are looked at.
  if (!interrupted && result !== -EINTR) restoreMask(task);
  resetDelivery();
  if (deliverSignals(task) === DELIVERED_FATAL) return;
  if (interrupted) {
    if (hasDeliveredFrame()) {
      act = restartsUnder(result) ? ACT_RESTART : ACT_SET_RETURN;
      result = -EINTR;
    } else if (!task.group.stopped) {
      return retryAfterSignal(task, result);
    } else {
      // Stopped in the middle of a call that waits: it goes on waiting when the group continues.
      return withhold(task, ACT_SET_RETURN, result);
    }
  }
  if (!hasDeliveredFrame()) restoreMask(task);
  if (task.group.stopped) return withhold(task, act, result);
  send(task, act, result);
}

/**
 * Ends the pending call or report with a signal about what the program did, its registers left alone. Such a signal
 * cannot be ignored or blocked without ending the process.
 */
export function completeWithSignal(task: Task, info: SignalInfo): void {
  if (task.tracing !== null) return completeWithFault(task, task.tracing, info);
  const { signo } = info;
  const { handler } = task.group.actions.get(signo);
  const masked = (task.maskLow & bitLow(signo)) !== 0 || (task.maskHigh & bitHigh(signo)) !== 0;
  if (masked || handler === SIG_DFL || handler === SIG_IGN) return killGroup(task.group, signo, task, info);
  task.pending.add(info);
  complete(task, 0, 0);
}

const SYS_FUTEX = 202;

let firstHandlerFlags = 0;

/** Told by delivery: SA_* of the handler that runs first decides whether the call is restarted. */
export function noteHandlerFlags(flags: number): void {
  firstHandlerFlags = flags;
}

function restartsUnder(result: number): boolean {
  if (result === -ERESTARTNOINTR) return true;
  return result === -ERESTARTSYS && (firstHandlerFlags & SA_RESTART) !== 0;
}

/** No handler ran after all (ignored, stopped and continued): the call is retried where it was. */
function retryAfterSignal(task: Task, result: number): void {
  // A futex wait is the host's: the program makes it again.
  if (task.nr === SYS_FUTEX) return send(task, ACT_RESTART, result);
  task.state = BLOCKED;
  makeRunnable(task);
}

function withhold(task: Task, act: number, result: number): void {
  task.state = STOPPED;
  task.withheldAct = act;
  task.withheldReturn = result;
}

/** The group was continued: the withheld answer is given after all. */
export function resumeStopped(task: Task): void {
  const result = task.withheldReturn;
  const act = task.withheldAct;
  if (act === ACT_SET_RETURN && isRestartCode(result)) return retryAfterSignal(task, result);
  complete(task, result, act);
}

/** Answers without looking at signals: the thread comes back (ACT_ASK_AGAIN) before its program goes on. */
export function sendUnsignalled(task: Task, result: number, act: number): void {
  send(task, act, result);
}

function send(task: Task, act: number, result: number): void {
  const { memory } = task;
  if (memory.flush() < 0 && act === ACT_SET_RETURN) result = -EFAULT;
  task.state = RUNNING;
  lendMask(task);
  if (task.trappedAt !== 0) considerPatch(task, act);
  if (task.tracing !== null) prepareAnswer(task, task.tracing);
  writeAnswer(memory.slot, act, result, memory.outCount, task.mm.tasks.size === 1);
  if (task.sentDescriptor < 0) return sendAnswer(memory.slot);
  flushAnswers();
  sendWithDescriptor(task);
}

/** A plain answer to a call that trapped may take the order along to patch its site. */
function considerPatch(task: Task, act: number): void {
  const next = task.trappedAt;
  task.trappedAt = 0;
  const { sites } = task.mm;
  if (!sites) return;
  if (task.directRead === 0 && (act !== ACT_SET_RETURN || orderCount(task.memory.slot) > 0)) return;
  const place = sites.countTrap(next);
  if (sites.isCrowded) sweepSites(task.mm);
  if (place >= 0) order(task.memory.slot, ORDER_PATCH, next, place);
}

/** Answers together with the descriptor. A call that was taken without a ring has to ring first. */
export function sendWithDescriptor(task: Task): void {
  const r = native.addfd(task.memory.slot, task.sentDescriptor, task.sentDescriptorAs, true);
  if (r === -EAGAIN) return native.want(task.memory.slot);
  task.dropDescriptor();
  // The thread waits for ever, unless it was killed meanwhile.
  if (r < 0 && r !== -ENOENT) killGroup(task.group, SIGKILL, null);
}
