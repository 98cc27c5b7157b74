// Sending signals (signal(7)): who gets them, what is dropped at once, who is woken or interrupted. Delivery, when a
// task is about to go back to its program, is in signal-delivery.ts; stopping and continuing in stop.ts.

import {
  SI_KERNEL,
  SI_QUEUE,
  SI_TKILL,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
} from '../abi/signal.ts';
import { host } from '../host/calls.ts';
import { INTERRUPT_SIGNAL } from '../platform/layout.ts';
import { killGroup, leavesCore } from './exit.ts';
import { kernel } from './kernel.ts';
import { recallMask } from './own-answers.ts';
import { tracerOf, trapSeized } from './ptrace/tracing.ts';
import { makeRunnable } from './run-queue.ts';
import type { ProcessGroup } from './sessions.ts';
import { bitHigh, bitLow, type SignalInfo, sanitizeMaskLow } from './signal-state.ts';
import { continueGroup, isStopSignal } from './stop.ts';
import { BLOCKED, DEAD, RUNNING, type Task, type ThreadGroup } from './task.ts';
import { summon } from './unheard.ts';

const STOP_BITS = bitLow(SIGSTOP) | bitLow(SIGTSTP) | bitLow(SIGTTIN) | bitLow(SIGTTOU);

/** Whether the default action of a signal is to be ignored. */
export function ignoredByDefault(signo: number): boolean {
  return signo === SIGCHLD || signo === SIGCONT || signo === SIGURG || signo === SIGWINCH;
}

/** Sends a signal to a process: any thread that does not block it takes it, `preferred` before others. */
export function sendSignalToGroup(group: ThreadGroup, info: SignalInfo, preferred: Task | null = null): void {
  if (group.status >= 0) return;
  for (const task of group.threads) recallMask(task);
  if (sparesInit(group, info) && !isHeld(group.leader, info.signo)) return;
  prepare(group, info.signo);
  if (isDropped(group, null, info.signo)) return;
  group.pending.add(info);
  group.signalQueue.wake(1);
  notifyGroup(group, info.signo, preferred);
}

/** Sends a signal to one thread. */
export function sendSignalToTask(task: Task, info: SignalInfo): void {
  const group = task.group;
  if (group.status >= 0 || task.state === DEAD) return;
  recallMask(task);
  if (sparesInit(group, info) && !isHeld(task, info.signo)) return;
  prepare(group, info.signo);
  if (isDropped(group, task, info.signo)) return;
  task.pending.add(info);
  group.signalQueue.wake(1);
  if (isFatal(task, info.signo) && !isHeld(task, info.signo)) killGroup(group, info.signo, null);
  else if (!isMasked(task, info.signo)) notifyTask(task);
}

export function sendSignalToProcessGroup(processGroup: ProcessGroup, info: SignalInfo): void {
  for (const group of [...processGroup.members]) sendSignalToGroup(group, { ...info });
}

/**
 * The first process gets from the others only signals that it has a handler for (pid_namespaces(7)): else any of them
 * could end the sandbox. What it sends itself, and what comes from outside, it gets. One that it blocks stays pending
 * (it may wait for it) and does nothing when it is delivered. The first process of a namespace made later gets no signal
 * that it has no handler for but faults, and SIGKILL and SIGSTOP from above.
 */
export function sparesInit(group: ThreadGroup, { signo, code, pid }: SignalInfo): boolean {
  const { init, level } = group.pidNamespace;
  if (group !== init) return false;
  if (level > 0) {
    if (group.actions.get(signo).handler !== SIG_DFL || (code > 0 && code !== SI_KERNEL)) return false;
    return !((signo === SIGKILL || signo === SIGSTOP) && (code === SI_KERNEL || pid === 0));
  }
  if (pid === group.localPid) return false;
  if (code !== SI_USER && code !== SI_QUEUE && code !== SI_TKILL) return false;
  return group.actions.get(signo).handler === SIG_DFL;
}

/** What sending does before anything else: SIGCONT continues, and it and stop signals cancel each other. */
function prepare(group: ThreadGroup, signo: number): void {
  if (signo === SIGCONT) {
    discardEverywhere(group, STOP_BITS);
    continueGroup(group);
    for (const task of group.threads) if (task.tracing !== null) trapSeized(task, task.tracing);
  } else if (isStopSignal(signo)) {
    discardEverywhere(group, bitLow(SIGCONT));
  }
}

function discardEverywhere(group: ThreadGroup, low: number): void {
  group.pending.discard(low, 0);
  for (const task of group.threads) task.pending.discard(low, 0);
}

/** The first process of a container has no default actions. What it blocks it may read from a signalfd all the same. */
function isDroppedByInit(group: ThreadGroup, signo: number): boolean {
  if (group !== kernel.init || !kernel.initUnkillable || group.actions.get(signo).handler !== SIG_DFL) return false;
  for (const thread of group.threads) if (isHeld(thread, signo)) return false;
  return true;
}

/** Ignored signals vanish unless somebody blocks them (and may change their mind, or read a signalfd). */
function isDropped(group: ThreadGroup, task: Task | null, signo: number): boolean {
  if (isDroppedByInit(group, signo)) return true;
  if (signo === SIGKILL || signo === SIGSTOP) return false;
  // A tracer is shown what is ignored, too.
  if (tracerOf(task ?? group.leader) !== null) return false;
  const { handler } = group.actions.get(signo);
  if (handler !== SIG_IGN && !(handler === SIG_DFL && ignoredByDefault(signo))) return false;
  if (task) return !isHeld(task, signo);
  for (const thread of group.threads) if (isHeld(thread, signo)) return false;
  return true;
}

/** Whether a thread blocks a signal. */
export function isMasked(task: Task, signo: number): boolean {
  return (task.maskLow & bitLow(signo)) !== 0 || (task.maskHigh & bitHigh(signo)) !== 0;
}

/**
 * Whether a thread blocks a signal now or will when its call ends. sigtimedwait(2) lets through what it waits for: that
 * is neither dropped nor fatal, but taken by the call.
 */
function isHeld(task: Task, signo: number): boolean {
  if (isMasked(task, signo)) return true;
  if (!task.hasSavedMask || signo === SIGKILL) return false;
  return (task.savedMaskLow & bitLow(signo)) !== 0 || (task.savedMaskHigh & bitHigh(signo)) !== 0;
}

/**
 * Whether the default action ends the process and no thread needs to run for that, as for a core file. What is stopped
 * has to continue first.
 */
function isFatal(task: Task, signo: number): boolean {
  const { group } = task;
  if (signo === SIGKILL) return true;
  if (group.stopped || tracerOf(task) !== null || leavesCore(group, signo)) return false;
  return group.actions.get(signo).handler === SIG_DFL && !ignoredByDefault(signo) && !isStopSignal(signo);
}

function notifyGroup(group: ThreadGroup, signo: number, preferred: Task | null): void {
  const task = preferred && !isMasked(preferred, signo) ? preferred : chooseTask(group, signo);
  if (!task) return;
  if (isFatal(task, signo) && !isHeld(task, signo)) killGroup(group, signo, null);
  else notifyTask(task);
}

/** The thread that will take a process-directed signal: the leader if it may, else any; null if all block it. */
function chooseTask(group: ThreadGroup, signo: number): Task | null {
  const { leader } = group;
  if (group.threads.has(leader) && (signo === SIGKILL || !isMasked(leader, signo))) return leader;
  for (const task of group.threads) if (signo === SIGKILL || !isMasked(task, signo)) return task;
  return null;
}

/** Makes a task look at its pending signals soon: retries a blocked call, interrupts a running thread. */
export function notifyTask(task: Task): void {
  if (task.state === BLOCKED) makeRunnable(task);
  else if (task.state === RUNNING) interruptTask(task);
}

/** Sends the reserved host signal to a thread that runs guest code, so that it reports in. */
export function interruptTask(task: Task): void {
  if (task.interrupting) return;
  task.interrupting = true;
  if (summon(task)) host.tgkill(task.mm.hostPid, task.hostTid, INTERRUPT_SIGNAL);
}

/** Changes the mask for the length of a call (sigsuspend, ppoll, …); the old one comes back when the call ends. */
export function setTemporaryMask(task: Task, low: number, high: number): void {
  if (task.hasSavedMask) return;
  task.savedMaskLow = task.maskLow;
  task.savedMaskHigh = task.maskHigh;
  task.hasSavedMask = true;
  task.maskLow = sanitizeMaskLow(low);
  task.maskHigh = high;
}

/** Brings back the mask that `setTemporaryMask` saved; nothing to do if none was. */
export function restoreMask(task: Task): void {
  if (!task.hasSavedMask) return;
  task.hasSavedMask = false;
  task.maskLow = task.savedMaskLow;
  task.maskHigh = task.savedMaskHigh;
}

/** Removes and returns the next signal the task may take now (its own before the process's), or null. */
export function dequeueSignal(task: Task, maskLow: number, maskHigh: number): SignalInfo | null {
  const own = task.pending.firstUnmasked(maskLow, maskHigh);
  const shared = task.group.pending.firstUnmasked(maskLow, maskHigh);
  if (own === 0 && shared === 0) return null;
  const fromOwn = shared === 0 || (own !== 0 && own <= shared);
  const info = fromOwn ? task.pending.take(own) : task.group.pending.take(shared);
  info?.timer?.signalTaken(info);
  return info;
}
