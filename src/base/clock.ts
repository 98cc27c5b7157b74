// Clocks. Time inside the kernel is CLOCK_MONOTONIC in nanoseconds as a number (exact for 104 days of uptime, then to
// a few nanoseconds); wall-clock time is seconds plus nanoseconds, because nanoseconds since 1970 exceed 2^53.

import { onAddonLoaded } from '../host/addon.ts';
import { host } from '../host/calls.ts';

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;

/** Monotonic time in nanoseconds. */
export function monotonicNow(): number {
  return host.clock_gettime(CLOCK_MONOTONIC);
}

/** Wall-clock time in microseconds since 1970, for timestamps of inodes. */
export function realtimeSeconds(): number {
  return Date.now() / 1000;
}

export interface Timestamp {
  seconds: number;
  nanoseconds: number;
}

/** [0] changes with every wait of the loop. */
let turnClock: Float64Array | null = null;
let stampedTurn = -1;
const stamp: Timestamp = { seconds: 0, nanoseconds: 0 };

onAddonLoaded((exports) => {
  turnClock = (exports as { clock: Float64Array }).clock;
});

/**
 * Current wall-clock time into `into`, to a quarter of a microsecond. It is read once for each call that is served: what one
 * call changes has one time.
 */
export function stampNow(into: Timestamp): void {
  if (turnClock === null || turnClock[0] !== stampedTurn) {
    // Not performance.now(): to load that costs 3 ms of the start.
    const now = host.clock_gettime(CLOCK_REALTIME);
    stamp.seconds = Math.floor(now / 1e9);
    // Rounded, the quotient may reach the next second already.
    stamp.nanoseconds = Math.max(0, now - stamp.seconds * 1e9);
    if (turnClock !== null) stampedTurn = turnClock[0];
  }
  into.seconds = stamp.seconds;
  into.nanoseconds = stamp.nanoseconds;
}
