// Locking memory (mlock(2), mlock2(2), mlockall(2)): done on the host by the thread's own stub, within RLIMIT_MEMLOCK
// here and within the limit that the sandbox itself was started with.

import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from '../abi/mman.ts';
import { RLIMIT_MEMLOCK } from '../abi/resource.ts';
import { capable } from '../base/credentials.ts';
import { callHost, outOfBounds, PAGE_SIZE } from '../kernel/host-memory.ts';
import { mayLock } from '../kernel/locked-memory.ts';
import type { Task } from '../kernel/task.ts';
import { hostMappings } from '../mm/host-maps.ts';

const SYS_MUNLOCK = 150;
const SYS_MLOCKALL = 151;
const SYS_MUNLOCKALL = 152;
const SYS_MLOCK2 = 325;

/** Bytes of the whole pages that a range touches. */
function pages(address: number, length: number): number {
  return Math.ceil(((address % PAGE_SIZE) + length) / PAGE_SIZE) * PAGE_SIZE;
}

/** 1 for a range to hand on, 0 for one that has wrapped around to nothing, or -errno. */
function checkRange(address: number, size: number): number {
  const start = address - (address % PAGE_SIZE);
  if (size === 0 || size >= 2 ** 64) return 0;
  if (start + size >= 2 ** 64) return -EINVAL;
  return outOfBounds(start, size) ? -ENOMEM : 1;
}

export function mlock(task: Task, address: number, length: number): number {
  return lock(task, address, length, 0);
}

export function mlock2(task: Task, address: number, length: number, flags: number): number {
  if (flags & ~MLOCK_ONFAULT) return -EINVAL;
  return lock(task, address, length, flags);
}

function lock(task: Task, address: number, length: number, flags: number): number {
  const size = pages(address, length);
  const r = mayLock(task, size);
  if (r < 0) return r;
  const wrong = checkRange(address, size);
  if (wrong <= 0) return wrong;
  return callHost(task, SYS_MLOCK2, address, length, flags);
}

export function munlock(task: Task, address: number, length: number): number {
  const size = pages(address, length);
  const wrong = checkRange(address, size);
  if (wrong <= 0) return wrong;
  return callHost(task, SYS_MUNLOCK, address, length);
}

/** The host locks the stub's few pages too; lockedMemory() leaves them out. */
export function mlockall(task: Task, flags: number): number {
  if (flags === 0 || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags === MCL_ONFAULT) return -EINVAL;
  if (!capable(task.credentials, CAP_IPC_LOCK)) {
    const limit = task.group.limits.soft[RLIMIT_MEMLOCK];
    if (limit === 0) return -EPERM;
    if (flags & MCL_CURRENT && mappedMemory(task) > limit) return -ENOMEM;
  }
  task.mm.lockedAll = true;
  return callHost(task, SYS_MLOCKALL, flags);
}

export function munlockall(task: Task): number {
  return callHost(task, SYS_MUNLOCKALL);
}

/** Bytes that the program has mapped, all told. */
function mappedMemory(task: Task): number {
  let total = 0;
  for (const { start, end } of hostMappings(task.mm, null)) if (!outOfBounds(start, end - start)) total += end - start;
  return total;
}
