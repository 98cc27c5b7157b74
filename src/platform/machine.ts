// What the sentry asks the host about the machine once, at boot.

import { host } from '../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u8, u32 } from '../platform/arena.ts';

let total = 0;

/** The machine's memory in bytes (sysinfo(2)). */
export function memoryTotal(): number {
  if (total === 0) {
    const mark = markScratch();
    const at = allocateScratch(112);
    if (host.sysinfo(at) === 0) total = readU64(at + 32) * u32[(at + 104) >>> 2];
    releaseScratch(mark);
  }
  return total;
}

/** How many CPUs the sentry may run on, and so the sandbox. */
export function countCpus(): number {
  const mark = markScratch();
  const at = allocateScratch(128);
  const n = host.sched_getaffinity(0, 128, at);
  let count = 0;
  for (let i = 0; i < 8 * n; i++) if (u8[at + (i >> 3)] & (1 << (i & 7))) count++;
  releaseScratch(mark);
  return Math.max(1, count);
}
