// Blocking. A handler whose operation cannot go on calls `block` and returns its result: WAIT when the task now waits,
// or a negative restart code when a signal is pending. When a queue wakes, the deadline comes or a signal arrives, the
// handler runs again from its start with `task.resumed` set; so it must try its operation before it blocks, and keep
// what it has already done in `task.progress`. Nothing about a wait lives in a closure.
//
//   const n = file.read(at, count, position);
//   if (n === -EAGAIN && !file.nonblocking) return block(task, file.waitQueue, POLLIN);

import { ERESTARTSYS } from '../abi/errno.ts';
import { monotonicNow } from '../base/clock.ts';
import { WaitEntry, type WaitQueue } from '../base/wait-queue.ts';
import { hasDeliverableSignal } from './signal-state.ts';
import { BLOCKED, type Task } from './task.ts';
import { armTimer, cancelTimer } from './timers.ts';

/** Result of a handler whose task now waits; it will be called again. */
export const WAIT = -65536;
/** Result of a handler that has answered (or will answer) by itself: exit, exec, clone, sigreturn. */
export const ANSWERED = -65537;
/** Result of a handler that has ordered something of its thread's stub; it will be called again when that is done. */
export const ASKED = -65538;

/** Adds a queue to those the task will wait on; `commitBlock` then makes it wait. For poll-like calls. */
export function waitOn(task: Task, queue: WaitQueue, events: number, exclusive = false): void {
  let entry = task.waits[task.waitCount];
  if (!entry) {
    entry = new WaitEntry(task);
    task.waits.push(entry);
  }
  task.waitCount++;
  queue.add(entry, events, exclusive);
}

/**
 * Makes the task wait on the queues added so far and until `task.deadline`. Returns WAIT, or -`restart`
 * (ERESTARTSYS, ERESTARTNOHAND, EINTR, …) with nothing waited on when a signal is pending.
 */
export function commitBlock(task: Task, restart: number = ERESTARTSYS): number {
  if (hasDeliverableSignal(task)) {
    cancelWaits(task);
    return -restart;
  }
  task.state = BLOCKED;
  if (task.deadline !== Number.POSITIVE_INFINITY) armTimer(task.timeout, task.deadline);
  return WAIT;
}

/** Waits on one queue (or on none: for the deadline or a signal). */
export function block(task: Task, queue: WaitQueue | null, events: number, restart: number = ERESTARTSYS): number {
  if (queue) waitOn(task, queue, events);
  return commitBlock(task, restart);
}

/** Sets the call's deadline the first time round: `timeout` in ns from now, Infinity for none. */
export function setTimeoutOnce(task: Task, timeout: number): void {
  if (!task.resumed) task.deadline = timeout === Number.POSITIVE_INFINITY ? timeout : monotonicNow() + timeout;
}

/** Whether the call's deadline has passed. */
export function timedOut(task: Task): boolean {
  return task.deadline !== Number.POSITIVE_INFINITY && monotonicNow() >= task.deadline;
}

/** Takes the task off every queue and its timer: before a retry, at the end of a call, at death. */
export function cancelWaits(task: Task): void {
  for (let i = 0; i < task.waitCount; i++) {
    const entry = task.waits[i];
    entry.queue?.remove(entry);
  }
  task.waitCount = 0;
  if (task.timeout.armed) cancelTimer(task.timeout);
}
