// capget(2) and capset(2), in the three versions of their header.

import {
  _LINUX_CAPABILITY_VERSION_1,
  _LINUX_CAPABILITY_VERSION_2,
  _LINUX_CAPABILITY_VERSION_3,
  CAP_DATA_SIZE,
  CAP_HEADER_SIZE,
} from '../abi/capability.ts';
import { EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import { NULL, type Pid, type UserAddress } from '../base/brands.ts';
import { type CapabilitySet, NO_CAPABILITIES } from '../base/credentials.ts';
import { capabilitySet, commitCredentials, setCapabilities } from '../kernel/credentials.ts';
import type { Task } from '../kernel/task.ts';
import { i32, u32 } from '../platform/arena.ts';

/** Words of 32 capabilities that the version has; -EINVAL when there is none, and the header gets ours. */
function readVersion(task: Task, header: UserAddress, version: number): number {
  if (version === _LINUX_CAPABILITY_VERSION_1) return 1;
  if (version === _LINUX_CAPABILITY_VERSION_2 || version === _LINUX_CAPABILITY_VERSION_3) return 2;
  const at = task.memory.out(header, 4);
  if (at < 0) return at;
  u32[at >>> 2] = _LINUX_CAPABILITY_VERSION_3;
  return -EINVAL;
}

export function capget(task: Task, header: UserAddress, data: UserAddress): number {
  const at = task.memory.in(header, CAP_HEADER_SIZE);
  if (at < 0) return at;
  const version = u32[at >>> 2];
  const pid = i32[(at >>> 2) + 1];
  const words = readVersion(task, header, version);
  if (data === NULL && words === -EINVAL) return 0;
  if (words < 0) return words;
  if (pid < 0) return -EINVAL;
  const target = pid === 0 ? task : task.pidNamespace.tasks.get(pid as Pid);
  if (!target) return -ESRCH;
  if (data === NULL) return 0;
  const to = task.memory.out(data, words * CAP_DATA_SIZE);
  if (to < 0) return to;
  const { effective, permitted, inheritable } = target.credentials;
  [effective, permitted, inheritable].forEach((set, i) => {
    u32[(to >>> 2) + i] = set.low;
    if (words === 2) u32[(to >>> 2) + 3 + i] = set.high;
  });
  return 0;
}

export function capset(task: Task, header: UserAddress, data: UserAddress): number {
  const at = task.memory.in(header, CAP_HEADER_SIZE);
  if (at < 0) return at;
  const version = u32[at >>> 2];
  const pid = i32[(at >>> 2) + 1];
  const words = readVersion(task, header, version);
  if (words < 0) return words;
  if (pid !== 0 && pid !== task.localTid) return -EPERM;
  const from = task.memory.in(data, words * CAP_DATA_SIZE);
  if (from < 0) return from;
  const set = (i: number): CapabilitySet =>
    capabilitySet(u32[(from >>> 2) + i], words === 2 ? u32[(from >>> 2) + 3 + i] : NO_CAPABILITIES.high);
  const fresh = setCapabilities(task.credentials, set(0), set(1), set(2));
  if (typeof fresh === 'number') return fresh;
  commitCredentials(task, fresh);
  return 0;
}
