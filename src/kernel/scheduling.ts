// Scheduling attributes of a task (sched(7), nice(2), ioprio_set(2)): kept and reported as Linux does, and inherited.
// They do not move the host's scheduler: the sandbox competes as a whole, under its cgroup. Real-time policies are
// refused, as on a kernel whose cgroup has no real-time bandwidth.

import { CAP_SYS_ADMIN, CAP_SYS_NICE } from '../abi/capability.ts';
import { EACCES, EINVAL, EPERM } from '../abi/errno.ts';
import { RLIMIT_NICE, RLIMIT_RTPRIO } from '../abi/resource.ts';
import { SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR } from '../abi/sched.ts';
import { capable } from '../base/credentials.ts';
import { isSubset } from './credentials.ts';
import { kernel } from './kernel.ts';
import type { Task } from './task.ts';

export const NICE_MIN = -20;
export const NICE_MAX = 19;
/** Default of PR_SET_TIMERSLACK, ns. */
export const DEFAULT_TIMER_SLACK = 50000;

/** CPUs that the kernel has masks for. */
const WORD_BITS = 32;

export class Scheduling {
  policy = SCHED_OTHER;
  nice = 0;
  /** SCHED_RESET_ON_FORK: children start with nothing of this. */
  resetOnFork = false;
  /** CPUs it may run on, as words of 32 bits; null for all there are. */
  affinity: readonly number[] | null = null;
  /** ioprio_set(2): class and level, 0 while never set. */
  ioPriority = 0;
  /** PR_SET_TIMERSLACK in ns, and what 0 resets it to. */
  timerSlack = DEFAULT_TIMER_SLACK;
  defaultTimerSlack = DEFAULT_TIMER_SLACK;

  /** Takes over what a child gets from its parent. */
  inherit(parent: Scheduling): void {
    this.affinity = parent.affinity;
    this.ioPriority = parent.ioPriority;
    this.timerSlack = this.defaultTimerSlack = parent.timerSlack;
    if (!parent.resetOnFork) {
      this.policy = parent.policy;
      this.nice = parent.nice;
    } else if (parent.nice > 0) {
      this.nice = parent.nice;
    }
  }
}

// ---- CPUs ----

/** Words of the mask of all CPUs of the sandbox. */
export function allCpus(): number[] {
  const words: number[] = [];
  for (let left = kernel.cpuCount; left > 0; left -= WORD_BITS) {
    words.push(left >= WORD_BITS ? 0xffffffff : 2 ** left - 1);
  }
  return words;
}

/** Bytes of a CPU mask as the kernel's own: whole 64-bit words. */
export function cpuMaskSize(): number {
  return 8 * Math.ceil(kernel.cpuCount / 64);
}

// ---- permissions ----

/** Whether a task may change another's scheduling as far as its owner goes. */
export function ownsScheduling(task: Task, target: Task): boolean {
  const { euid } = task.credentials;
  return euid === target.credentials.uid || euid === target.credentials.euid;
}

/** A task may not touch another that holds capabilities it lacks, unless it has CAP_SYS_NICE. */
export function maySchedule(task: Task, target: Task): boolean {
  return isSubset(target.credentials.permitted, task.credentials.permitted) || capable(task.credentials, CAP_SYS_NICE);
}

/** Whether the nice value is no lower than it is or RLIMIT_NICE allows, or privilege overrides. */
export function mayLowerNice(task: Task, target: Task, nice: number): boolean {
  return nice >= target.scheduling.nice || withinNiceLimit(target, nice) || capable(task.credentials, CAP_SYS_NICE);
}

function withinNiceLimit(target: Task, nice: number): boolean {
  return 20 - nice <= target.group.limits.soft[RLIMIT_NICE];
}

/** setpriority(2) for one task: 0, -EPERM or -EACCES. `nice` is in range. */
export function setNice(task: Task, target: Task, nice: number): number {
  if (!ownsScheduling(task, target) && !capable(task.credentials, CAP_SYS_NICE)) return -EPERM;
  if (!mayLowerNice(task, target, nice)) return -EACCES;
  if (!maySchedule(task, target)) return -EPERM;
  target.scheduling.nice = nice;
  return 0;
}

/** What sched_setscheduler(2) and its kin ask for. */
export interface Policy {
  policy: number;
  priority: number;
  nice: number;
  resetOnFork: boolean;
}

/** Changes the policy of a task (sched_setscheduler(2), sched_setattr(2)): 0, -EINVAL or -EPERM. */
export function setPolicy(task: Task, target: Task, wanted: Policy): number {
  const { policy, priority } = wanted;
  const current = target.scheduling;
  const realTime = policy === SCHED_FIFO || policy === SCHED_RR;
  if (!isPolicy(policy)) return -EINVAL;
  if (realTime ? priority < 1 || priority > 99 : priority !== 0) return -EINVAL;
  if (!capable(task.credentials, CAP_SYS_NICE) && needsPrivilege(task, target, wanted)) return -EPERM;
  if (!maySchedule(task, target)) return -EPERM;
  if (realTime || policy === SCHED_DEADLINE) return -EPERM;
  current.policy = policy;
  current.resetOnFork = wanted.resetOnFork;
  if (policy === SCHED_OTHER || policy === SCHED_BATCH) current.nice = wanted.nice;
  return 0;
}

function needsPrivilege(task: Task, target: Task, { policy, nice, resetOnFork }: Policy): boolean {
  const current = target.scheduling;
  const fair = policy === SCHED_OTHER || policy === SCHED_BATCH;
  if (fair && nice < current.nice && !withinNiceLimit(target, nice)) return true;
  if ((policy === SCHED_FIFO || policy === SCHED_RR) && target.group.limits.soft[RLIMIT_RTPRIO] === 0) return true;
  if (policy === SCHED_DEADLINE) return true;
  if (current.policy === SCHED_IDLE && policy !== SCHED_IDLE && !withinNiceLimit(target, current.nice)) return true;
  if (!ownsScheduling(task, target)) return true;
  return current.resetOnFork && !resetOnFork;
}

export function isPolicy(policy: number): boolean {
  return (policy >= SCHED_OTHER && policy <= SCHED_BATCH) || policy === SCHED_IDLE || policy === SCHED_DEADLINE;
}

// ---- priorities of disk access ----

const IOPRIO_CLASS_SHIFT = 13;
const IOPRIO_CLASS_NONE = 0;
const IOPRIO_CLASS_RT = 1;
const IOPRIO_CLASS_BE = 2;
const IOPRIO_CLASS_IDLE = 3;
const IOPRIO_LEVELS = 8;

/** Whether the task may use the value (ioprio_set(2)): 0, -EINVAL or -EPERM. */
export function checkIoPriority(task: Task, value: number): number {
  const level = value & (IOPRIO_LEVELS - 1);
  switch (value >>> IOPRIO_CLASS_SHIFT) {
    case IOPRIO_CLASS_RT:
      return capable(task.credentials, CAP_SYS_NICE) || capable(task.credentials, CAP_SYS_ADMIN) ? 0 : -EPERM;
    case IOPRIO_CLASS_BE:
    case IOPRIO_CLASS_IDLE:
      return 0;
    case IOPRIO_CLASS_NONE:
      return level === 0 ? 0 : -EINVAL;
    default:
      return -EINVAL;
  }
}

/** ioprio_set(2) for one task: 0 or -EPERM. */
export function setIoPriority(task: Task, target: Task, value: number): number {
  const own = task.credentials;
  const allowed = own.euid === target.credentials.uid || own.uid === target.credentials.uid;
  if (!allowed && !capable(own, CAP_SYS_NICE)) return -EPERM;
  if (!maySchedule(task, target)) return -EPERM;
  target.scheduling.ioPriority = value;
  return 0;
}

/** The priority its disk accesses have: as set, else by policy and nice value. */
export function effectiveIoPriority(task: Task): number {
  const { ioPriority, policy, nice } = task.scheduling;
  if (ioPriority >>> IOPRIO_CLASS_SHIFT !== IOPRIO_CLASS_NONE) return ioPriority;
  const ioClass = policy === SCHED_IDLE ? IOPRIO_CLASS_IDLE : IOPRIO_CLASS_BE;
  return (ioClass << IOPRIO_CLASS_SHIFT) | Math.floor((nice + 20) / 5);
}
