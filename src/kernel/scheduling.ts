// Scheduling attributes of a task (sched(7), nice(2), ioprio_set(2)): kept and reported as Linux does, and inherited.
// They do not move the host's scheduler: the sandbox competes as a whole, under its cgroup. Who may have which policy,
// real-time and deadline ones too, is decided by Linux's rules.

import { CAP_SYS_ADMIN, CAP_SYS_NICE } from '../abi/capability.ts';
import { EACCES, EBUSY, EINVAL, EPERM } from '../abi/errno.ts';
import { RLIMIT_NICE, RLIMIT_RTPRIO } from '../abi/resource.ts';
import { SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR } from '../abi/sched.ts';
import { capable, capableIn } from '../base/credentials.ts';
import { isSubset } from './credentials.ts';
import { kernel } from './kernel.ts';
import type { Task } from './task.ts';

export const NICE_MIN = -20;
export const NICE_MAX = 19;
/** Default of PR_SET_TIMERSLACK, ns. */
export const DEFAULT_TIMER_SLACK = 50000;

/** CPUs that the kernel has masks for. */
const WORD_BITS = 32;

/** What a deadline task asks for (sched(7)), ns; flags are SCHED_FLAG_RECLAIM and SCHED_FLAG_DL_OVERRUN. */
export interface Deadline {
  readonly runtime: number;
  readonly deadline: number;
  readonly period: number;
  readonly flags: number;
}

const NO_DEADLINE: Deadline = { runtime: 0, deadline: 0, period: 0, flags: 0 };

export class Scheduling {
  policy = SCHED_OTHER;
  /** Of a real-time policy: 1 to 99; else 0. */
  priority = 0;
  deadline = NO_DEADLINE;
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
      this.priority = parent.priority;
      this.nice = parent.nice;
    } else if (parent.nice > 0 && !isRealTime(parent.policy) && parent.policy !== SCHED_DEADLINE) {
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

/** Whether a task has CAP_SYS_NICE over another. */
export function overrides(task: Task, target: Task): boolean {
  return capableIn(target.credentials.user, task.credentials, CAP_SYS_NICE);
}

/** Whether a task may change another's scheduling as far as its owner goes. */
export function ownsScheduling(task: Task, target: Task): boolean {
  const { euid } = task.credentials;
  return euid === target.credentials.uid || euid === target.credentials.euid;
}

/** A task may not touch another that holds capabilities it lacks, unless it has CAP_SYS_NICE. */
export function maySchedule(task: Task, target: Task): boolean {
  return isSubset(target.credentials.permitted, task.credentials.permitted) || overrides(task, target);
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
  if (!ownsScheduling(task, target) && !overrides(task, target)) return -EPERM;
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
  deadline: Deadline | null;
}

/** Changes the policy of a task (sched_setscheduler(2), sched_setattr(2)): 0, -EINVAL, -EPERM or -EBUSY. */
export function setPolicy(task: Task, target: Task, wanted: Policy): number {
  const { policy, priority } = wanted;
  const current = target.scheduling;
  const realTime = isRealTime(policy);
  if (!isPolicy(policy)) return -EINVAL;
  if (policy === SCHED_DEADLINE && !isDeadline(wanted.deadline ?? NO_DEADLINE)) return -EINVAL;
  if (realTime ? priority < 1 || priority > 99 : priority !== 0) return -EINVAL;
  if (!capable(task.credentials, CAP_SYS_NICE) && needsPrivilege(task, target, wanted)) return -EPERM;
  if (!maySchedule(task, target)) return -EPERM;
  if (policy === SCHED_DEADLINE && !admits(target, wanted.deadline ?? NO_DEADLINE)) return -EBUSY;
  current.policy = policy;
  current.priority = priority;
  current.deadline = (policy === SCHED_DEADLINE && wanted.deadline) || NO_DEADLINE;
  current.resetOnFork = wanted.resetOnFork;
  if (policy === SCHED_OTHER || policy === SCHED_BATCH) current.nice = wanted.nice;
  return 0;
}

function needsPrivilege(task: Task, target: Task, { policy, priority, nice, resetOnFork }: Policy): boolean {
  const current = target.scheduling;
  const fair = policy === SCHED_OTHER || policy === SCHED_BATCH;
  if (fair && nice < current.nice && !withinNiceLimit(target, nice)) return true;
  if (isRealTime(policy)) {
    const limit = target.group.limits.soft[RLIMIT_RTPRIO];
    if (policy !== current.policy && limit === 0) return true;
    if (priority > current.priority && priority > limit) return true;
  }
  if (policy === SCHED_DEADLINE) return true;
  if (current.policy === SCHED_IDLE && policy !== SCHED_IDLE && !withinNiceLimit(target, current.nice)) return true;
  if (!ownsScheduling(task, target)) return true;
  return current.resetOnFork && !resetOnFork;
}

export function isRealTime(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

/** The shortest runtime, and the bounds of a period, ns. */
const RUNTIME_MIN = 1024;
const PERIOD_MIN = 100e3;
const PERIOD_MAX = 4194304e3;

function isDeadline({ runtime, deadline, period }: Deadline): boolean {
  if (deadline === 0 || runtime < RUNTIME_MIN) return false;
  const cycle = period || deadline;
  return cycle >= deadline && deadline >= runtime && cycle >= PERIOD_MIN && cycle <= PERIOD_MAX;
}

/** Deadline tasks may have 95% of the CPUs between them. */
const BANDWIDTH = 0.95;

function admits(target: Task, wanted: Deadline): boolean {
  let sum = wanted.runtime / (wanted.period || wanted.deadline);
  for (const other of kernel.tasks.values()) {
    const { policy, deadline } = other.scheduling;
    if (other !== target && policy === SCHED_DEADLINE) sum += deadline.runtime / deadline.period;
  }
  return sum <= BANDWIDTH * kernel.cpuCount;
}

export function isPolicy(policy: number): boolean {
  return (policy >= SCHED_OTHER && policy <= SCHED_BATCH) || policy === SCHED_IDLE || policy === SCHED_DEADLINE;
}

/** The priority that /proc/PID/stat shows: below zero for what goes before all others. */
export function shownPriority({ policy, priority, nice }: Scheduling): number {
  if (policy === SCHED_DEADLINE) return -101;
  return isRealTime(policy) ? -1 - priority : 20 + nice;
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
  if (!allowed && !overrides(task, target)) return -EPERM;
  if (!maySchedule(task, target)) return -EPERM;
  target.scheduling.ioPriority = value;
  return 0;
}

/** The priority its disk accesses have: as set, else by policy and nice value. */
export function effectiveIoPriority(task: Task): number {
  const { ioPriority, policy, nice } = task.scheduling;
  if (ioPriority >>> IOPRIO_CLASS_SHIFT !== IOPRIO_CLASS_NONE) return ioPriority;
  let ioClass = policy === SCHED_IDLE ? IOPRIO_CLASS_IDLE : IOPRIO_CLASS_BE;
  if (isRealTime(policy) || policy === SCHED_DEADLINE) ioClass = IOPRIO_CLASS_RT;
  return (ioClass << IOPRIO_CLASS_SHIFT) | Math.floor((nice + 20) / 5);
}
