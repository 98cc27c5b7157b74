// Kernel timers: a binary heap by monotonic deadline. The sentry's native wait ends at the first deadline; due timers
// are fired by the clock before the next call is taken, so that a busy guest cannot starve them.

import { addInvariant } from '../base/invariants.ts';

export interface TimerTarget {
  expire(timer: Timer): void;
}

export class Timer {
  readonly target: TimerTarget;
  /** Absolute CLOCK_MONOTONIC, ns. */
  deadline = 0;
  /** Place in the heap, -1 when not armed. */
  index = -1;

  constructor(target: TimerTarget) {
    this.target = target;
  }

  get armed(): boolean {
    return this.index >= 0;
  }
}

const heap: Timer[] = [];

/** Deadline of the next timer in ns, Infinity if there is none. */
export function nextDeadline(): number {
  return heap.length ? heap[0].deadline : Number.POSITIVE_INFINITY;
}

/** Arms (or re-arms) a timer for an absolute monotonic time. */
export function armTimer(timer: Timer, deadline: number): void {
  if (timer.index >= 0) cancelTimer(timer);
  timer.deadline = deadline;
  heap.push(timer);
  siftUp(heap.length - 1, timer);
}

export function cancelTimer(timer: Timer): void {
  const at = timer.index;
  if (at < 0) return;
  timer.index = -1;
  const last = heap.pop() as Timer;
  if (last === timer) return;
  siftUp(at, last);
  siftDown(last.index, last);
}

/** So many timers are fired at a time; the others that are due come when others have had a turn. */
const MOST_AT_ONCE = 256;

/** Fires the timers that are due at `now` (ns), the first first. */
export function fireTimers(now: number): void {
  for (let fired = 0; fired < MOST_AT_ONCE && heap.length && heap[0].deadline <= now; fired++) {
    const timer = heap[0];
    cancelTimer(timer);
    timer.target.expire(timer);
  }
}

function siftUp(from: number, timer: Timer): void {
  let at = from;
  while (at > 0) {
    const up = (at - 1) >> 1;
    if (heap[up].deadline <= timer.deadline) break;
    place(heap[up], at);
    at = up;
  }
  place(timer, at);
}

function siftDown(from: number, timer: Timer): void {
  let at = from;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1].deadline < heap[child].deadline) child++;
    if (heap[child].deadline >= timer.deadline) break;
    place(heap[child], at);
    at = child;
  }
  place(timer, at);
}

function place(timer: Timer, at: number): void {
  heap[at] = timer;
  timer.index = at;
}

addInvariant((fail) => {
  for (const [index, timer] of heap.entries()) {
    if (timer.index !== index) fail(`a timer at ${index} believes to be at ${timer.index}`);
    if (heap[(index - 1) >> 1]?.deadline > timer.deadline) fail(`the timer at ${index} is due before the one above it`);
    if (Number.isNaN(timer.deadline)) fail('a timer has no deadline');
  }
});
