// Tasks whose blocked call is to be retried. Waking only queues the task here; the event loop retries the calls once
// the handler that did the waking is done, so no handler ever runs inside another.

import { addInvariant } from '../base/invariants.ts';
import type { Task } from './task.ts';

const BLOCKED = 2;
const RESUMED = 7;

/** Tasks in the order they came; emptied by its count, because setting an array's length is a call into the engine. */
interface Queue {
  readonly tasks: (Task | null)[];
  count: number;
}

let queue: Queue = { tasks: [], count: 0 };
let spare: Queue = { tasks: [], count: 0 };
let later: Queue = { tasks: [], count: 0 };
let spareLater: Queue = { tasks: [], count: 0 };

function append(to: Queue, task: Task): void {
  task.queued = true;
  to.tasks[to.count++] = task;
}

function empty(from: Queue, visit: (task: Task) => void): void {
  for (let i = 0; i < from.count; i++) {
    const task = from.tasks[i];
    from.tasks[i] = null;
    if (task) visit(task);
  }
  from.count = 0;
}

/** Queues a blocked task for a retry of its call, or one that its tracer lets go. Harmless when it is neither, or queued. */
export function makeRunnable(task: Task): void {
  if ((task.state !== BLOCKED && task.state !== RESUMED) || task.queued) return;
  append(queue, task);
}

export function hasRunnable(): boolean {
  return queue.count > 0;
}

/** Takes the queued tasks; those queued while the caller works on them come with the next call. */
export function takeRunnable(visit: (task: Task) => void): void {
  const taken = queue;
  queue = spare;
  spare = taken;
  empty(taken, visit);
}

/** Queues a blocked task whose call is to go on when others have had a turn. */
export function makeRunnableLater(task: Task): void {
  append(later, task);
}

export function hasLater(): boolean {
  return later.count > 0;
}

/** Takes those whose calls are to go on now. */
export function takeLater(visit: (task: Task) => void): void {
  const taken = later;
  later = spareLater;
  spareLater = taken;
  empty(taken, visit);
}

addInvariant((fail) => {
  const seen = new Set<Task>();
  for (const { tasks, count } of [queue, later]) {
    for (const task of tasks.slice(0, count)) {
      if (task === null || seen.has(task)) fail('a task stands in the run queue twice, or is none');
      else if (!task.queued) fail(`task ${task.tid} stands in the run queue and does not know it`);
      if (task) seen.add(task);
    }
  }
});
