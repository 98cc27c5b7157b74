// The event loop: one native wait over rings, host descriptors, kernel timers and Node's own loop. Kernel work runs
// here, synchronously; when libuv has work, the loop returns to it and is called again by setImmediate.

import { POLLIN } from '../abi/poll.ts';
import { monotonicNow } from '../base/clock.ts';
import { hasLater, hasRunnable, takeLater, takeRunnable } from '../kernel/run-queue.ts';
import type { Task } from '../kernel/task.ts';
import { fireTimers, nextDeadline } from '../kernel/timers.ts';
import { flushAnswers, takeUnsent } from '../platform/answer.ts';
import { deliverHostEvents, watchHostFd } from '../platform/host-events.ts';
import { NEXT_EVENTS, NEXT_GONE, NEXT_STRANGER, NEXT_TIMEOUT, native } from '../platform/native.ts';
import { prepareSlots, slotsPrepared } from '../platform/slots.ts';
import { blanksMissing, refillBlanks } from '../platform/zygote.ts';
import { retryCall } from '../syscalls/dispatch.ts';
import type { Checker } from './invariants.ts';
import { serveRing } from './rings.ts';
import { callName, ringName, type Turns } from './turns.ts';

const FOREVER = -1;
const NOW = 0;
/** What is later than this, in 292 years, must not be waited for: its nanoseconds are more than 63 bits. */
const LONGEST = 9.2e18;
/** How long libuv may be kept waiting for its own timers, in ns, at the least. */
const MILLISECOND = 1e6;

let libuvReady = false;
let onGuestsGone: () => void = () => {};

/** For --stats: measures every piece of work. */
let turns: Turns | null = null;

export function measureTurns(value: Turns): void {
  turns = value;
}

/** For tests: whether everything holds, between turns. */
let checker: Checker | null = null;

export function checkInvariants(value: Checker): void {
  checker = value;
}

/** What is to happen when no guest process is left although init has not ended. */
export function setGuestsGoneHook(hook: () => void): void {
  onGuestsGone = hook;
}

/** Starts the loop; it runs until the process exits. */
export function startLoop(): void {
  watchHostFd(native.uvBackend(), POLLIN, {
    ready() {
      libuvReady = true;
    },
  });
  native.clock[0] = monotonicNow();
  turn();
}

/** Works until libuv wants its turn. */
function turn(): void {
  libuvReady = false;
  // An immediate that libuv must not wait for is work to it, so while we ask and work, this one is not counted.
  const next = setImmediate(turn).unref();
  const libuv = native.uvTimeout();
  const libuvDeadline = libuv < 0 ? Number.POSITIVE_INFINITY : monotonicNow() + Math.max(libuv, 1) * MILLISECOND;
  while (!libuvReady && step(libuvDeadline));
  flushAnswers();
  next.ref();
}

/** One wait and what it brings. False when libuv's timer is due. */
function step(libuvDeadline: number): boolean {
  const slot = native.next(takeUnsent(), timeoutUntil(libuvDeadline));
  const ring = checker !== null && slot >= 0 ? `${slot} ${ringName(slot)}` : '';
  if (turns) measuredStep(turns, slot);
  else if (slot >= 0) serveRing(slot);
  else if (slot === NEXT_EVENTS) deliverHostEvents();
  else if (slot === NEXT_GONE) onGuestsGone();
  const now = native.clock[0];
  if (nextDeadline() <= now) {
    if (turns) turns.measure('timers', () => fireTimers(now));
    else fireTimers(now);
  }
  if (hasRunnable()) retryRunnable();
  if (hasLater()) takeLater(retryOn);
  if (slot === NEXT_TIMEOUT || slot === NEXT_STRANGER) maintain();
  if (checker !== null) checker.turn(ring);
  return now < libuvDeadline;
}

function measuredStep(measure: Turns, slot: number): void {
  if (slot >= 0) measure.measure(ringName(slot), () => serveRing(slot));
  else if (slot === NEXT_EVENTS) measure.measure('host events', deliverHostEvents);
  else if (slot === NEXT_GONE) onGuestsGone();
}

/** Nanoseconds the wait may last. Idle work that is still to be done makes it return at once, after all rings. */
function timeoutUntil(libuvDeadline: number): number {
  if (hasRunnable() || hasLater() || blanksMissing() || !slotsPrepared()) return NOW;
  const deadline = Math.min(nextDeadline(), libuvDeadline);
  if (deadline === Number.POSITIVE_INFINITY) return FOREVER;
  // The clock as the last wait read it: a host call less per call served, for a few microseconds of lateness.
  return Math.min(Math.max(0, deadline - native.clock[0]), LONGEST);
}

/** What is done while nobody waits: blanks and slots are made ahead. */
function maintain(): void {
  if (blanksMissing()) refillBlanks();
  else if (!slotsPrepared()) prepareSlots();
}

function retryRunnable(): void {
  for (let rounds = 0; hasRunnable() && rounds < 64; rounds++) {
    takeRunnable(retryAgain);
  }
}

function retryAgain(task: Task): void {
  retry(task, ' again');
}

function retryOn(task: Task): void {
  retry(task, ' on');
}

function retry(task: Task, how: string): void {
  if (turns) turns.measure(callName(task.nr) + how, () => retryCall(task));
  else retryCall(task);
}
