// Clocks. Time inside the kernel is CLOCK_MONOTONIC in nanoseconds as a number (exact for 104 days of uptime, then to
// a few nanoseconds); wall-clock time is seconds plus nanoseconds, because nanoseconds since 1970 exceed 2^53.

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

/** Current wall-clock time into `into`, to a quarter of a microsecond. */
export function stampNow(into: Timestamp): void {
  // Not performance.now(): to load that costs 3 ms of the start.
  const now = host.clock_gettime(CLOCK_REALTIME);
  into.seconds = Math.floor(now / 1e9);
  // Rounded, the quotient may reach the next second already.
  into.nanoseconds = Math.max(0, now - into.seconds * 1e9);
}
