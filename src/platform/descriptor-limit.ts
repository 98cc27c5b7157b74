// How many descriptors the sentry may have, for those who keep some only because they may be of use again.

import { readHostProc } from './host-proc.ts';

/** Where nobody tells, it is what few systems fall below. */
const USUAL = 1024;

let limit = 0;

/** The sentry's RLIMIT_NOFILE. Asked for when there are many of something, and not before: it takes reading a file. */
export function descriptorLimit(): number {
  if (limit > 0) return limit;
  const limits = readHostProc(`${process.pid}/limits`);
  const found = typeof limits === 'string' ? /^Max open files +(\d+|unlimited)/m.exec(limits) : null;
  limit = found === null ? USUAL : found[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(found[1]);
  return limit;
}
