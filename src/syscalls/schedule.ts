// Scheduling attributes: priorities, policies, CPU masks (sched(7), getpriority(2), ioprio_set(2)). They are kept and
// reported; see src/kernel/scheduling.ts for what they do.

import { E2BIG, EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import {
  IOPRIO_WHO_PROCESS,
  PRIO_PGRP,
  PRIO_PROCESS,
  PRIO_USER,
  SCHED_DEADLINE,
  SCHED_FIFO,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
} from '../abi/sched.ts';
import { NULL, type Pid, type UserAddress } from '../base/brands.ts';
import { kernel } from '../kernel/kernel.ts';
import { findTask, numberIn } from '../kernel/pid-namespaces.ts';
import {
  allCpus,
  checkIoPriority,
  cpuMaskSize,
  type Deadline,
  effectiveIoPriority,
  isPolicy,
  isRealTime,
  NICE_MAX,
  NICE_MIN,
  overrides,
  ownsScheduling,
  setIoPriority,
  setNice,
  setPolicy,
} from '../kernel/scheduling.ts';
import type { Task } from '../kernel/task.ts';
import { uidFrom } from '../kernel/user-namespaces.ts';
import { i32, readU64, u8, u32, writeU64 } from '../platform/arena.ts';
import { H_CPU, SLOT_SIZE } from '../platform/layout.ts';

function find(task: Task, pid: number): Task | undefined {
  return pid === 0 ? task : findTask(task, pid);
}

// ---- nice values ----

export function getpriority(task: Task, which: number, who: number): number {
  const targets = selectTasks(task, which, who, PRIO_PROCESS);
  if (typeof targets === 'number') return targets;
  let lowest = NICE_MAX + 1;
  for (const target of targets) lowest = Math.min(lowest, target.scheduling.nice);
  return lowest > NICE_MAX ? -ESRCH : 20 - lowest;
}

export function setpriority(task: Task, which: number, who: number, priority: number): number {
  const nice = Math.max(NICE_MIN, Math.min(NICE_MAX, priority));
  return setAll(selectTasks(task, which, who, PRIO_PROCESS), (target) => setNice(task, target, nice));
}

/** The last failure counts; none at all is ESRCH. */
function setAll(targets: readonly Task[] | number, set: (target: Task) => number): number {
  if (typeof targets === 'number') return targets;
  let result = -ESRCH;
  for (const target of targets) {
    const r = set(target);
    if (r < 0 || result === -ESRCH) result = r;
  }
  return result;
}

/** The threads of a process, process group or user; `first` is the number that stands for a process. */
function selectTasks(task: Task, which: number, who: number, first: number): readonly Task[] | number {
  switch (which - first) {
    case PRIO_PROCESS: {
      const target = find(task, who);
      return target ? [target] : [];
    }
    case PRIO_PGRP: {
      const group = who === 0 ? task.group.processGroup : task.pidNamespace.processGroups.get(who as Pid);
      return group ? [...group.members].flatMap((member) => [...member.threads]) : [];
    }
    case PRIO_USER: {
      const uid = who === 0 ? task.credentials.uid : uidFrom(task, who >>> 0);
      return [...kernel.tasks.values()].filter(
        (target) => target.credentials.uid === uid && numberIn(task.pidNamespace, target) !== 0,
      );
    }
    default:
      return -EINVAL;
  }
}

// ---- policies ----

export function sched_getscheduler(task: Task, pid: number): number {
  if (pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  return target.scheduling.policy | (target.scheduling.resetOnFork ? SCHED_RESET_ON_FORK : 0);
}

export function sched_getparam(task: Task, pid: number, param: UserAddress): number {
  if (param === NULL || pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const at = task.memory.out(param, 4);
  if (at < 0) return at;
  i32[at >>> 2] = target.scheduling.priority;
  return 0;
}

export function sched_setscheduler(task: Task, pid: number, policy: number, param: UserAddress): number {
  if (policy < 0) return -EINVAL;
  const resetOnFork = (policy & SCHED_RESET_ON_FORK) !== 0;
  return setByParam(task, pid, param, policy & ~SCHED_RESET_ON_FORK, resetOnFork);
}

export function sched_setparam(task: Task, pid: number, param: UserAddress): number {
  return setByParam(task, pid, param, -1, false);
}

/** A policy of -1 keeps what the target has. */
function setByParam(task: Task, pid: number, param: UserAddress, policy: number, resetOnFork: boolean): number {
  if (param === NULL || pid < 0) return -EINVAL;
  const at = task.memory.in(param, 4);
  if (at < 0) return at;
  const priority = i32[at >>> 2];
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const { scheduling } = target;
  return setPolicy(task, target, {
    policy: policy < 0 ? scheduling.policy : policy,
    priority,
    nice: scheduling.nice,
    resetOnFork: policy < 0 ? scheduling.resetOnFork : resetOnFork,
    deadline: null,
  });
}

export function sched_get_priority_max(_task: Task, policy: number): number {
  if (policy === SCHED_FIFO || policy === SCHED_RR) return 99;
  return isPolicy(policy) ? 0 : -EINVAL;
}

export function sched_get_priority_min(_task: Task, policy: number): number {
  if (policy === SCHED_FIFO || policy === SCHED_RR) return 1;
  return isPolicy(policy) ? 0 : -EINVAL;
}

/** ns: a turn of SCHED_RR, as sched_rr_timeslice_ms has it. */
const RR_SLICE = 100e6;

/** Time slices of the other policies are no fixed length: zero. */
export function sched_rr_get_interval(task: Task, pid: number, address: UserAddress): number {
  if (pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const at = task.memory.out(address, 16);
  if (at < 0) return at;
  writeU64(at, 0);
  writeU64(at + 8, target.scheduling.policy === SCHED_RR ? RR_SLICE : 0);
  return 0;
}

// struct sched_attr: u32 size, u32 policy, u64 flags, s32 nice, u32 priority, u64 runtime, deadline, period, u32 clamps
const ATTR_SIZE_VER0 = 48;
const ATTR_SIZE = 56;
const PAGE_SIZE = 4096;
const SCHED_FLAG_RESET_ON_FORK = 1;
const SCHED_FLAG_RECLAIM = 2;
const SCHED_FLAG_DL_OVERRUN = 4;
const SCHED_FLAG_KEEP_POLICY = 8;
const SCHED_FLAG_KEEP_PARAMS = 16;
/** Those, and the two of deadline tasks; utilization clamps are not there, as without CONFIG_UCLAMP_TASK. */
const SCHED_FLAGS =
  SCHED_FLAG_RESET_ON_FORK |
  SCHED_FLAG_RECLAIM |
  SCHED_FLAG_DL_OVERRUN |
  SCHED_FLAG_KEEP_POLICY |
  SCHED_FLAG_KEEP_PARAMS;

export function sched_setattr(task: Task, pid: number, address: UserAddress, flags: number): number {
  if (address === NULL || pid < 0 || flags !== 0) return -EINVAL;
  const sizeAt = task.memory.in(address, 4);
  if (sizeAt < 0) return sizeAt;
  const size = u32[sizeAt >>> 2] || ATTR_SIZE_VER0;
  if (size < ATTR_SIZE_VER0 || size > PAGE_SIZE) return refuseAttrSize(task, address);
  const at = task.memory.in(address, size);
  if (at < 0) return at;
  for (let i = ATTR_SIZE; i < size; i++) if (u8[at + i] !== 0) return refuseAttrSize(task, address);
  const word = at >>> 2;
  const policy = i32[word + 1];
  const attrFlags = readU64(at + 8);
  const nice = Math.max(NICE_MIN, Math.min(NICE_MAX, i32[word + 4]));
  const priority = u32[word + 5];
  if (policy < 0 || attrFlags > 0xff || attrFlags & ~SCHED_FLAGS) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const { scheduling } = target;
  return setPolicy(task, target, {
    policy: attrFlags & SCHED_FLAG_KEEP_POLICY ? scheduling.policy : policy,
    priority: attrFlags & SCHED_FLAG_KEEP_PARAMS ? scheduling.priority : priority,
    nice: attrFlags & SCHED_FLAG_KEEP_PARAMS ? scheduling.nice : nice,
    resetOnFork: (attrFlags & SCHED_FLAG_RESET_ON_FORK) !== 0,
    deadline: attrFlags & SCHED_FLAG_KEEP_PARAMS ? scheduling.deadline : readDeadline(at, attrFlags),
  });
}

/** Where no period is given, it is the deadline. */
function readDeadline(at: number, attrFlags: number): Deadline {
  const deadline = readU64(at + 32);
  return {
    runtime: readU64(at + 24),
    deadline,
    period: readU64(at + 40) || deadline,
    flags: attrFlags & (SCHED_FLAG_RECLAIM | SCHED_FLAG_DL_OVERRUN),
  };
}

/** Tells the caller what size would have been right. */
function refuseAttrSize(task: Task, address: UserAddress): number {
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  u32[at >>> 2] = ATTR_SIZE;
  return -E2BIG;
}

export function sched_getattr(task: Task, pid: number, address: UserAddress, size: number, flags: number): number {
  if (address === NULL || pid < 0 || size > PAGE_SIZE || size < ATTR_SIZE_VER0 || flags !== 0) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const length = Math.min(size, ATTR_SIZE);
  const at = task.memory.out(address, length);
  if (at < 0) return at;
  u8.fill(0, at, at + length);
  const { policy, priority, nice, resetOnFork, deadline } = target.scheduling;
  u32[at >>> 2] = length;
  u32[(at >>> 2) + 1] = policy;
  writeU64(at + 8, (resetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0) | deadline.flags);
  // Each policy tells what it goes by.
  if (policy === SCHED_DEADLINE) {
    writeU64(at + 24, deadline.runtime);
    writeU64(at + 32, deadline.deadline);
    writeU64(at + 40, deadline.period);
  } else if (isRealTime(policy)) u32[(at >>> 2) + 5] = priority;
  else i32[(at >>> 2) + 4] = nice;
  return 0;
}

// ---- CPUs ----

export function sched_setaffinity(task: Task, pid: number, size: number, mask: UserAddress): number {
  const length = Math.min(size, cpuMaskSize());
  const at = task.memory.in(mask, length);
  if (at < 0) return at;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  if (!ownsScheduling(task, target) && !overrides(task, target)) return -EPERM;
  const words = allCpus();
  let any = 0;
  for (let i = 0; i < words.length; i++) {
    let asked = 0;
    for (let byte = 0; byte < 4 && 4 * i + byte < length; byte++) asked |= u8[at + 4 * i + byte] << (8 * byte);
    words[i] = (words[i] & asked) >>> 0;
    any |= words[i];
  }
  if (any === 0) return -EINVAL;
  target.scheduling.affinity = words;
  return 0;
}

export function sched_getaffinity(task: Task, pid: number, size: number, mask: UserAddress): number {
  if (size * 8 < kernel.cpuCount || size & 7) return -EINVAL;
  const target = find(task, pid);
  if (!target) return -ESRCH;
  const length = Math.min(size, cpuMaskSize());
  const at = task.memory.out(mask, length);
  if (at < 0) return at;
  u8.fill(0, at, at + length);
  const words = target.scheduling.affinity ?? allCpus();
  for (let i = 0; i < words.length; i++) u32[(at >>> 2) + i] = words[i];
  return length;
}

/** The CPU that the stub wrote down when it rang; the program may have moved since, as always. */
export function getcpu(task: Task, cpu: UserAddress, node: UserAddress): number {
  if (cpu !== NULL) {
    const at = task.memory.out(cpu, 4);
    if (at < 0) return at;
    const reported = u32[((task.memory.slot * SLOT_SIZE) >>> 2) + H_CPU];
    u32[at >>> 2] = reported < kernel.cpuCount ? reported : 0;
  }
  if (node !== NULL) {
    const at = task.memory.out(node, 4);
    if (at < 0) return at;
    u32[at >>> 2] = 0;
  }
  return 0;
}

// ---- priorities of disk access ----

export function ioprio_set(task: Task, which: number, who: number, value: number): number {
  const r = checkIoPriority(task, value);
  if (r < 0) return r;
  return setAll(selectTasks(task, which, who, IOPRIO_WHO_PROCESS), (target) => setIoPriority(task, target, value));
}

export function ioprio_get(task: Task, which: number, who: number): number {
  const targets = selectTasks(task, which, who, IOPRIO_WHO_PROCESS);
  if (typeof targets === 'number') return targets;
  if (targets.length === 0) return -ESRCH;
  if (which === IOPRIO_WHO_PROCESS) return targets[0].scheduling.ioPriority;
  // Of several, the best: the lowest number.
  return Math.min(...targets.map(effectiveIoPriority));
}
