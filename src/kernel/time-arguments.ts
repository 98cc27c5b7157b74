// Times as programs lay them down: struct timespec, timeval, itimerspec, itimerval, read to and written from
// nanoseconds.

import { EINVAL } from '../abi/errno.ts';
import { TIMESPEC_SIZE } from '../abi/time.ts';
import type { UserAddress } from '../base/brands.ts';
import { readS64, writeU64 } from '../platform/arena.ts';
import type { Task } from './task.ts';

const SECOND = 1e9;
const MICROSECOND = 1000;
/** Times beyond this, some 292 years, are as good as never. */
const LONGEST = 9.2e18;

/** A struct timespec at an arena offset in ns, or -EINVAL. */
export function timespecAt(at: number): number {
  const seconds = readS64(at);
  const nanoseconds = readS64(at + 8);
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= SECOND) return -EINVAL;
  return Math.min(seconds * SECOND + nanoseconds, LONGEST);
}

/** A struct timeval at an arena offset in ns, or -EINVAL. */
export function timevalAt(at: number): number {
  const seconds = readS64(at);
  const microseconds = readS64(at + 8);
  if (seconds < 0 || microseconds < 0 || microseconds >= SECOND / MICROSECOND) return -EINVAL;
  return Math.min(seconds * SECOND + microseconds * MICROSECOND, LONGEST);
}

/** Reads a struct timespec of the guest: ns, -EFAULT or -EINVAL. */
export function readTimespec(task: Task, address: UserAddress): number {
  const at = task.memory.in(address, TIMESPEC_SIZE);
  return at < 0 ? at : timespecAt(at);
}

/** Stores ns as a struct timespec at an arena offset. */
export function putTimespec(at: number, time: number): void {
  const seconds = Math.floor(time / SECOND);
  writeU64(at, seconds);
  writeU64(at + 8, Math.floor(time - seconds * SECOND));
}

/** Stores ns as a struct timeval at an arena offset. */
export function putTimeval(at: number, time: number): void {
  const seconds = Math.floor(time / SECOND);
  writeU64(at, seconds);
  writeU64(at + 8, Math.floor((time - seconds * SECOND) / MICROSECOND));
}

/** Writes a struct timespec for the guest. 0 or -errno. */
export function writeTimespec(task: Task, address: UserAddress, time: number): number {
  const at = task.memory.out(address, TIMESPEC_SIZE);
  if (at < 0) return at;
  putTimespec(at, time);
  return 0;
}
