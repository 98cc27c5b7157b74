// What is left of futexes for the sentry (futex(2), set_robust_list(2)): the host runs the ordinary operations on the
// program's own memory; those with priority inheritance are served here, since the word holds thread ids.

import { EFAULT, EINTR, EINVAL, ENOSYS, EPERM, ERESTARTSYS, ESRCH } from '../abi/errno.ts';
import {
  FUTEX_CLOCK_REALTIME,
  FUTEX_CMD_MASK,
  FUTEX_CMP_REQUEUE,
  FUTEX_CMP_REQUEUE_PI,
  FUTEX_LOCK_PI,
  FUTEX_LOCK_PI2,
  FUTEX_PRIVATE_FLAG,
  FUTEX_TRYLOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_WAIT_BITSET,
  FUTEX_WAIT_REQUEUE_PI,
  FUTEX_WAITV_SIZE,
  FUTEX_WAKE_BITSET,
  FUTEX2_PRIVATE,
  FUTEX2_SIZE_U32,
} from '../abi/futex.ts';
import { RSEQ_FLAG_UNREGISTER, RSEQ_SIZE } from '../abi/misc.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../abi/time.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import { mayInspect } from '../kernel/credentials.ts';
import { callHost, hostAnswer, outOfBounds, waitOnHost } from '../kernel/host-memory.ts';
import { lockPi, requeuePi, unlockPi, waitRequeuePi } from '../kernel/pi-futex.ts';
import { hasDeliverableSignal } from '../kernel/signal-state.ts';
import { NO_RSEQ, type Task } from '../kernel/task.ts';
import { readTimeout } from '../kernel/wait-arguments.ts';
import { readU64, u32, writeU64 } from '../platform/arena.ts';

const ROBUST_LIST_HEAD_SIZE = 24;

/** Reached only for operations that the table's rule does not let the host run. */
export function futex(
  task: Task,
  address: UserAddress,
  op: number,
  value: number,
  timeout: UserAddress,
  target: UserAddress,
  expected: number,
): number {
  const command = op & FUTEX_CMD_MASK;
  const isPrivate = (op & FUTEX_PRIVATE_FLAG) !== 0;
  const realTime = (op & FUTEX_CLOCK_REALTIME) !== 0;
  const timed = command === FUTEX_WAIT_REQUEUE_PI || command === FUTEX_LOCK_PI2;
  if (realTime && !timed) return -ENOSYS;
  if ((timed || command === FUTEX_LOCK_PI) && timeout !== 0) {
    const r = setDeadline(task, timeout, realTime || command === FUTEX_LOCK_PI);
    if (r < 0) return r;
  }
  switch (command) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return lockPi(task, address, isPrivate, false);
    case FUTEX_TRYLOCK_PI:
      return lockPi(task, address, isPrivate, true);
    case FUTEX_UNLOCK_PI:
      return unlockPi(task, address, isPrivate);
    case FUTEX_WAIT_REQUEUE_PI:
      return waitRequeuePi(task, address, value, target, isPrivate);
    case FUTEX_CMP_REQUEUE_PI:
      // An int where the others have a pointer.
      if (timeout >= 2 ** 31) return -EINVAL;
      return requeuePi(task, address, expected, target, value, timeout, isPrivate);
    default:
      return -ENOSYS;
  }
}

/** Sets the call's deadline from an absolute time, the first time round. 0, -EINVAL or -EFAULT. */
function setDeadline(task: Task, address: UserAddress, realTime: boolean): number {
  if (task.resumed) return 0;
  const time = readTimeout(task, address);
  if (time < 0) return time;
  task.deadline = realTime
    ? monotonicNow() + time - host.clock_gettime(CLOCK_REALTIME)
    : time - task.namespaces.time.monotonic;
  return 0;
}

const SYS_FUTEX = 202;
const SYS_FUTEX_WAITV = 449;
/** `progress` of a call that waits on the host; the result is there when the handler runs again. */
const WAITING = 1;

/**
 * Waits on the host, by the thread's own stub: its word alone would not say which call was cut short. The timeout is
 * absolute, so a restart is the same call. EINTR becomes a restart by SA_RESTART's rules.
 */
function waitNative(task: Task, nr: number, a: number, b: number, c: number, d: number, e: number, f = 0): number {
  if (task.progress !== WAITING) {
    if (hasDeliverableSignal(task)) return -ERESTARTSYS;
    task.progress = WAITING;
    return waitOnHost(task, nr, a, b, c, d, e, f);
  }
  task.progress = 0;
  const result = hostAnswer(task);
  return result === -EINTR ? -ERESTARTSYS : result;
}

/** Waits for one of several futexes (futex_waitv(2)). */
export function futex_waitv(
  task: Task,
  waiters: UserAddress,
  count: number,
  flags: number,
  timeout: UserAddress,
  clock: number,
): number {
  return waitNative(task, SYS_FUTEX_WAITV, waiters, count, flags, timeout, clock);
}

// The newer calls are the older ones under other names as long as words have 32 bits; the stub need not be able to make
// both. Words that go by a NUMA node are not supported.

/** The modifier of the older operations, or -EINVAL for flags that are none, or not supported. */
function modifierOf(flags: number): number {
  return (flags & ~FUTEX2_PRIVATE) === FUTEX2_SIZE_U32 ? flags & FUTEX2_PRIVATE : -EINVAL;
}

const isWord = (value: number): boolean => value <= 0xffffffff;

/** Wakes those who wait with a bit of the mask (futex_wake(2)). */
export function futex_wake(task: Task, address: UserAddress, mask: number, count: number, flags: number): number {
  const modifier = modifierOf(flags);
  if (modifier < 0 || !isWord(mask) || mask === 0) return -EINVAL;
  if (count === 0) return address % 4 === 0 ? 0 : -EINVAL;
  return callHost(task, SYS_FUTEX, address, FUTEX_WAKE_BITSET | modifier, count, 0, 0, mask);
}

/** Wakes some of those who wait at the first word, and has others wait at the second (futex_requeue(2)). */
export function futex_requeue(task: Task, waiters: UserAddress, flags: number, wake: number, requeue: number): number {
  if (flags !== 0 || waiters === 0) return -EINVAL;
  const at = task.memory.in(waiters, 2 * FUTEX_WAITV_SIZE);
  if (at < 0) return at;
  const value = readU64(at);
  const word = at >>> 2;
  const modifier = modifierOf(u32[word + 4]);
  if (modifier < 0 || u32[word + 4] !== u32[word + 10] || u32[word + 5] !== 0 || u32[word + 11] !== 0) return -EINVAL;
  if (!isWord(value) || !isWord(readU64(at + FUTEX_WAITV_SIZE)) || wake < 0 || requeue < 0) return -EINVAL;
  const [from, to] = [readU64(at + 8), readU64(at + FUTEX_WAITV_SIZE + 8)];
  return callHost(task, SYS_FUTEX, from, FUTEX_CMP_REQUEUE | modifier, wake, requeue, to, value);
}

/** Waits as long as the word is the value (futex_wait(2)). */
export function futex_wait(
  task: Task,
  address: UserAddress,
  value: number,
  mask: number,
  flags: number,
  timeout: UserAddress,
  clock: number,
): number {
  const modifier = modifierOf(flags);
  if (modifier < 0 || !isWord(value) || !isWord(mask) || mask === 0) return -EINVAL;
  if (timeout !== 0 && clock !== CLOCK_REALTIME && clock !== CLOCK_MONOTONIC) return -EINVAL;
  const real = timeout !== 0 && clock === CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0;
  return waitNative(task, SYS_FUTEX, address, FUTEX_WAIT_BITSET | modifier | real, value, timeout, 0, mask);
}

export function set_robust_list(task: Task, head: UserAddress, length: number): number {
  if (length !== ROBUST_LIST_HEAD_SIZE) return -EINVAL;
  task.robustList = head;
  return 0;
}

export function get_robust_list(task: Task, pid: number, head: UserAddress, length: UserAddress): number {
  const target = pid === 0 ? task : task.pidNamespace.tasks.get(pid as Pid);
  if (!target) return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  const lengthAt = task.memory.out(length, 8);
  if (lengthAt < 0) return lengthAt;
  writeU64(lengthAt, ROBUST_LIST_HEAD_SIZE);
  const at = task.memory.out(head, 8);
  if (at < 0) return at;
  writeU64(at, target.robustList);
  return 0;
}

/** What the filter's rule leaves over: commands and flags that are not there (membarrier(2)). */
export function membarrier(_task: Task): number {
  return -EINVAL;
}

const SYS_RSEQ = 334;

/** Registers a restartable sequence on the host (rseq(2)), whose scheduler has to know of it. */
export function rseq(task: Task, address: UserAddress, length: number, flags: number, signature: number): number {
  if (flags & ~RSEQ_FLAG_UNREGISTER) return -EINVAL;
  if (outOfBounds(address, length)) return -EFAULT;
  const same = task.rseq.address === address && task.rseq.length === length;
  if (flags === 0 && task.rseq.address === 0 && address % RSEQ_SIZE === 0 && length >= RSEQ_SIZE)
    task.rseq = { address, length, signature };
  else if (flags !== 0 && same && task.rseq.signature === signature) task.rseq = NO_RSEQ;
  return callHost(task, SYS_RSEQ, address, length, flags, signature);
}
