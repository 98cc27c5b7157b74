// What is left of futexes for the sentry (futex(2), set_robust_list(2)): the host runs the ordinary operations on the
// program's own memory; those with priority inheritance are refused, since the word would have to hold host thread ids.

import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../abi/errno.ts';
import { RSEQ_FLAG_UNREGISTER, RSEQ_SIZE } from '../abi/misc.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { mayInspect } from '../kernel/credentials.ts';
import { callHost, outOfBounds } from '../kernel/host-memory.ts';
import type { Task } from '../kernel/task.ts';
import { writeU64 } from '../platform/arena.ts';

const ROBUST_LIST_HEAD_SIZE = 24;

/** Reached only for operations that the table's rule does not let the host run. */
export function futex(_task: Task): number {
  return -ENOSYS;
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
  else if (flags !== 0 && same && task.rseq.signature === signature)
    task.rseq = { address: 0, length: 0, signature: 0 };
  return callHost(task, SYS_RSEQ, address, length, flags, signature);
}
