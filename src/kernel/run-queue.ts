// Tasks whose blocked call is to be retried. Waking only queues the task here; the event loop retries the calls once
// the handler that did the waking is done, so no handler ever runs inside another.

import type { Task } from './task.ts';

const BLOCKED = 2;
const RESUMED = 7;
let queue: Task[] = [];
let spare: Task[] = [];
let later: Task[] = [];
let spareLater: Task[] = [];

/** Queues a blocked task for a retry of its call, or one that its tracer lets go. Harmless when it is neither, or queued. */
export function makeRunnable(task: Task): void {
  if ((task.state !== BLOCKED && task.state !== RESUMED) || task.queued) return;
  task.queued = true;
  queue.push(task);
}

export function hasRunnable(): boolean {
  return queue.length > 0;
}

/** Takes the queued tasks; those queued while the caller works on them come with the next call. */
export function takeRunnable(): readonly Task[] {
  const taken = queue;
  queue = spare;
  queue.length = 0;
  spare = taken;
  return taken;
}

/** Queues a blocked task whose call is to go on when others have had a turn. */
export function makeRunnableLater(task: Task): void {
  task.queued = true;
  later.push(task);
}

export function hasLater(): boolean {
  return later.length > 0;
}

/** Takes those whose calls are to go on now. */
export function takeLater(): readonly Task[] {
  const taken = later;
  later = spareLater;
  later.length = 0;
  spareLater = taken;
  return taken;
}
