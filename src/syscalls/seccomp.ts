// seccomp(2). prctl(2) has the older way to the same.

import { EFAULT, EINVAL, EOPNOTSUPP } from '../abi/errno.ts';
import {
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_GET_ACTION_AVAIL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_SET_MODE_FILTER,
  SECCOMP_SET_MODE_STRICT,
} from '../abi/seccomp.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { enterStrictMode } from '../kernel/seccomp.ts';
import { installUserFilter } from '../kernel/seccomp-user.ts';
import type { Task } from '../kernel/task.ts';
import { u32 } from '../platform/arena.ts';

/** Those that take effect here. A listener (NEW_LISTENER) is not to be had: as before Linux 5.0. */
const FLAGS =
  SECCOMP_FILTER_FLAG_TSYNC |
  SECCOMP_FILTER_FLAG_LOG |
  SECCOMP_FILTER_FLAG_SPEC_ALLOW |
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH;

const ACTIONS = [
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_LOG,
  SECCOMP_RET_ALLOW,
];

/** seccomp(2) */
export function seccomp(task: Task, operation: number, flags: number, args: UserAddress): number {
  switch (operation) {
    case SECCOMP_SET_MODE_STRICT:
      return flags !== 0 || args !== NULL ? -EINVAL : enterStrictMode(task);
    case SECCOMP_SET_MODE_FILTER:
      return flags & ~FLAGS ? -EINVAL : installUserFilter(task, args, flags);
    case SECCOMP_GET_ACTION_AVAIL:
      return flags !== 0 ? -EINVAL : hasAction(task, args);
    default:
      return -EINVAL;
  }
}

function hasAction(task: Task, address: UserAddress): number {
  const at = task.memory.in(address, 4);
  if (at < 0) return -EFAULT;
  return ACTIONS.includes(u32[at >>> 2]) ? 0 : -EOPNOTSUPP;
}
