// What the calls that wait for a while share: a timeout read from the guest, and a signal mask for the length of the
// call (ppoll, pselect6, epoll_pwait, …).

import { EINVAL } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { readS64, u32 } from '../platform/arena.ts';
import { WAIT } from './block.ts';
import { restoreMask, setTemporaryMask } from './signals.ts';
import type { Task } from './task.ts';

const SIGSET_SIZE = 8;
const NANOSECONDS = 1e9;

/** A struct timespec as nanoseconds (Infinity for a null pointer), or -EFAULT, -EINVAL. */
export function readTimeout(task: Task, address: UserAddress): number {
  if (address === 0) return Number.POSITIVE_INFINITY;
  const at = task.memory.in(address, 16);
  if (at < 0) return at;
  const seconds = readS64(at);
  const nanoseconds = readS64(at + 8);
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= NANOSECONDS) return -EINVAL;
  return seconds * NANOSECONDS + nanoseconds;
}

/** Puts the mask at `address` (if any) in place of the task's until the call ends. 0, -EINVAL or -EFAULT. */
export function borrowMask(task: Task, address: UserAddress, size: number): number {
  if (address === 0) return 0;
  if (size !== SIGSET_SIZE) return -EINVAL;
  const at = task.memory.in(address, SIGSET_SIZE);
  if (at < 0) return at;
  setTemporaryMask(task, u32[at >> 2] | 0, u32[(at >> 2) + 1] | 0);
  return 0;
}

/**
 * Gives the task's own mask back unless the call still waits or ends for a signal (`interrupted` is the code it ends
 * with then), whose handler is to run under the borrowed one. Returns `result`.
 */
export function returnMask(task: Task, result: number, interrupted: number): number {
  if (result !== WAIT && result !== -interrupted) restoreMask(task);
  return result;
}
