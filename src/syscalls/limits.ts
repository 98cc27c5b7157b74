// Resource limits and usage: getrlimit(2), prlimit(2), getrusage(2), times(2).

import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import {
  RLIM_NLIMITS,
  RLIMIT_CPU,
  RLIMIT_NOFILE,
  RLIMIT_SIZE,
  RUSAGE_CHILDREN,
  RUSAGE_SELF,
  RUSAGE_THREAD,
} from '../abi/resource.ts';
import { TMS_SIZE, USER_HZ } from '../abi/time.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable, capableIn } from '../base/credentials.ts';
import { watchCpuLimit } from '../kernel/interval-timers.ts';
import { openLimit } from '../kernel/limits.ts';
import { findTask } from '../kernel/pid-namespaces.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';
import { groupUsage, threadUsage, Usage, wantChildUsage, writeUsage } from '../kernel/usage.ts';
import { readU64, u32, writeU64 } from '../platform/arena.ts';

const NONE = 0xffffffff;

export function getrlimit(task: Task, resource: number, address: UserAddress): number {
  if (!isResource(resource)) return -EINVAL;
  const { soft, hard } = task.group.limits;
  return putLimit(task, address, soft[resource], hard[resource]);
}

export function setrlimit(task: Task, resource: number, address: UserAddress): number {
  const at = task.memory.in(address, RLIMIT_SIZE);
  if (at < 0) return at;
  return setLimit(task, task.group, resource, readLimit(at), readLimit(at + 8));
}

export function prlimit64(task: Task, pid: number, resource: number, fresh: UserAddress, old: UserAddress): number {
  let soft = 0;
  let hard = 0;
  if (fresh !== NULL) {
    const at = task.memory.in(fresh, RLIMIT_SIZE);
    if (at < 0) return at;
    soft = readLimit(at);
    hard = readLimit(at + 8);
  }
  const target = pid === 0 ? task : findTask(task, pid);
  if (!target) return -ESRCH;
  if (target !== task && !mayLimit(task, target)) return -EPERM;
  if (!isResource(resource)) return -EINVAL;
  const { limits } = target.group;
  const oldSoft = limits.soft[resource];
  const oldHard = limits.hard[resource];
  const r = fresh === NULL ? 0 : setLimit(task, target.group, resource, soft, hard);
  return r < 0 || old === NULL ? r : putLimit(task, old, oldSoft, oldHard);
}

function isResource(resource: number): boolean {
  return resource >= 0 && resource < RLIM_NLIMITS;
}

/** Values from 2^63 on are all "no limit" here: nothing can tell them apart by using them up. */
function readLimit(at: number): number {
  const value = readU64(at);
  return value >= 2 ** 63 ? Number.POSITIVE_INFINITY : value;
}

function putLimit(task: Task, address: UserAddress, soft: number, hard: number): number {
  const at = task.memory.out(address, RLIMIT_SIZE);
  if (at < 0) return at;
  writeLimit(at, soft);
  writeLimit(at + 8, hard);
  return 0;
}

function writeLimit(at: number, value: number): void {
  if (value !== Number.POSITIVE_INFINITY) writeU64(at, value);
  else u32[at >>> 2] = u32[(at >>> 2) + 1] = NONE;
}

function setLimit(task: Task, group: ThreadGroup, resource: number, soft: number, hard: number): number {
  if (!isResource(resource) || soft > hard) return -EINVAL;
  const { limits } = group;
  if (resource === RLIMIT_NOFILE && hard > openLimit.most) return -EPERM;
  if (hard > limits.hard[resource] && !capable(task.credentials, CAP_SYS_RESOURCE)) return -EPERM;
  limits.set(resource, soft, hard);
  if (resource === RLIMIT_CPU) watchCpuLimit(group);
  return 0;
}

function mayLimit(task: Task, target: Task): boolean {
  const own = task.credentials;
  const its = target.credentials;
  const same =
    own.uid === its.euid &&
    own.uid === its.suid &&
    own.uid === its.uid &&
    own.gid === its.egid &&
    own.gid === its.sgid &&
    own.gid === its.gid;
  return same || capableIn(its.user, own, CAP_SYS_RESOURCE);
}

const usage = new Usage();

export function getrusage(task: Task, who: number, address: UserAddress): number {
  switch (who) {
    case RUSAGE_SELF:
      groupUsage(task.group, usage);
      return writeUsage(task, usage, address);
    case RUSAGE_THREAD:
      threadUsage(task, usage);
      return writeUsage(task, usage, address);
    case RUSAGE_CHILDREN:
      wantChildUsage();
      return writeUsage(task, task.group.childUsage, address);
    default:
      return -EINVAL;
  }
}

const TICK = 1e9 / USER_HZ;

export function times(task: Task, address: UserAddress): number {
  if (address !== NULL) {
    const at = task.memory.out(address, TMS_SIZE);
    if (at < 0) return at;
    groupUsage(task.group, usage);
    const { childUsage } = task.group;
    writeU64(at, Math.floor(usage.userTime / TICK));
    writeU64(at + 8, Math.floor(usage.systemTime / TICK));
    writeU64(at + 16, Math.floor(childUsage.userTime / TICK));
    writeU64(at + 24, Math.floor(childUsage.systemTime / TICK));
  }
  return Math.floor(monotonicNow() / TICK);
}
