// Security modules (lsm_list_modules(2), lsm_get_self_attr(2)): there is the one that every kernel has, capabilities,
// and it has no attributes.

import { E2BIG, EFAULT, EINVAL, EOPNOTSUPP } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { u32, writeU64 } from '../platform/arena.ts';

const LSM_ID_CAPABILITY = 100;
const LSM_FLAG_SINGLE = 1;
const ID_SIZE = 8;

export function lsm_list_modules(task: Task, ids: UserAddress, size: UserAddress, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const sizeAt = task.memory.in(size, 4);
  if (sizeAt < 0) return sizeAt;
  const room = u32[sizeAt >>> 2];
  const needAt = task.memory.out(size, 4);
  if (needAt < 0) return needAt;
  u32[needAt >>> 2] = ID_SIZE;
  if (room < ID_SIZE) return -E2BIG;
  const at = task.memory.out(ids, ID_SIZE);
  if (at < 0) return at;
  writeU64(at, LSM_ID_CAPABILITY);
  return 1;
}

export function lsm_get_self_attr(
  task: Task,
  attribute: number,
  context: UserAddress,
  size: UserAddress,
  flags: number,
): number {
  if (attribute === 0 || size === 0 || flags & ~LSM_FLAG_SINGLE) return -EINVAL;
  if (task.memory.in(size, 4) < 0) return -EFAULT;
  return flags !== 0 && context === 0 ? -EINVAL : -EOPNOTSUPP;
}

/** -E2BIG and -EINVAL say what is wrong with the attribute before anybody is asked for it. */
export function lsm_set_self_attr(
  _task: Task,
  _attribute: number,
  _context: UserAddress,
  size: number,
  flags: number,
): number {
  if (flags !== 0 || size < 32) return -EINVAL;
  return size > 4096 ? -E2BIG : -EOPNOTSUPP;
}
