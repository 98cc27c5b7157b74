// CPU time, faults and memory that tasks have used (getrusage(2), times(2), CPU clocks). The host accounts for them: a
// process of ours is a host process from one exec to the next, so its usage is what it left behind plus the host's
// clock of the process it runs in now. A vfork child that still runs in its parent's process is counted there.

import {
  RUSAGE_INBLOCK,
  RUSAGE_MAJFLT,
  RUSAGE_MAXRSS,
  RUSAGE_MINFLT,
  RUSAGE_NIVCSW,
  RUSAGE_NVCSW,
  RUSAGE_OUBLOCK,
  RUSAGE_SIZE,
  RUSAGE_STIME,
  RUSAGE_UTIME,
} from '../abi/resource.ts';
import type { HostPid, UserAddress } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { u8, writeU64 } from '../platform/arena.ts';
import type { Task, ThreadGroup } from './task.ts';

export class Usage {
  /** ns. */
  userTime = 0;
  systemTime = 0;
  minorFaults = 0;
  majorFaults = 0;
  /** KiB. */
  maxResident = 0;
  voluntarySwitches = 0;
  involuntarySwitches = 0;
  blocksIn = 0;
  blocksOut = 0;

  clear(): void {
    this.userTime = this.systemTime = 0;
    this.minorFaults = this.majorFaults = this.maxResident = 0;
    this.voluntarySwitches = this.involuntarySwitches = 0;
    this.blocksIn = this.blocksOut = 0;
  }

  add(other: Usage): void {
    this.userTime += other.userTime;
    this.systemTime += other.systemTime;
    this.minorFaults += other.minorFaults;
    this.majorFaults += other.majorFaults;
    this.maxResident = Math.max(this.maxResident, other.maxResident);
    this.voluntarySwitches += other.voluntarySwitches;
    this.involuntarySwitches += other.involuntarySwitches;
    this.blocksIn += other.blocksIn;
    this.blocksOut += other.blocksOut;
  }
}

/** What only the host's procfs knows. Both add to a cleared `into`. */
export interface HostUsageReader {
  /** Faults, memory and switches of a host process; its times are read from its clocks. */
  process(hostPid: HostPid, into: Usage): void;
  /** Times, faults and switches of one of its threads. */
  thread(hostPid: HostPid, hostTid: HostPid, into: Usage): void;
  /** CPU time of a thread in ns, which costs less to know. */
  threadTime(hostPid: HostPid, hostTid: HostPid): number;
}

let reader: HostUsageReader | null = null;

/** Passes in the reader of the host's procfs. Without it only times are known, and threads have none of their own. */
export function setHostUsageReader(hostReader: HostUsageReader): void {
  reader = hostReader;
}

// ---- CPU time ----

const CLOCK_PROF = 0;
const CLOCK_VIRT = 1;
const CLOCK_SCHED = 2;
/**
 * From this much CPU time on, memory and faults are asked for when a process ends: it costs two files of procfs. Of every
 * process once somebody has asked what children used.
 */
const WORTH_READING = 2e6;
let childrenWanted = false;

/** Somebody asks for the usage of children. */
export function wantChildUsage(): void {
  childrenWanted = true;
}

/** One of the clocks of a host process in ns; 0 when it is gone. */
function hostClock(hostPid: HostPid, which: number): number {
  const time = host.clock_gettime((~hostPid << 3) | which);
  return Math.max(time, 0);
}

/** The host process that a group has to itself, or 0: none yet, or one of the parent that it was forked from by vfork. */
function ownHostPid(group: ThreadGroup): HostPid {
  const { mm } = group.leader;
  if (group.usageClosed) return 0 as HostPid;
  for (const first of mm.tasks) return first.group === group ? mm.hostPid : (0 as HostPid);
  return 0 as HostPid;
}

/** CPU time of a process since its start, in ns. */
export function processCpuTime(group: ThreadGroup): number {
  const { pastUsage } = group;
  const hostPid = ownHostPid(group);
  return pastUsage.userTime + pastUsage.systemTime + (hostPid ? hostClock(hostPid, CLOCK_SCHED) : 0);
}

/** The part of it that was spent in user mode, in ns, as exact as the host's ticks. */
export function processUserTime(group: ThreadGroup): number {
  addHostTimes(ownHostPid(group), scratch);
  const time = group.pastUsage.userTime + scratch.userTime;
  scratch.clear();
  return time;
}

const scratch = new Usage();

/** CPU time of a thread in ns. */
export function threadCpuTime(task: Task): number {
  const { group, mm } = task;
  if (group.threads.size === 1 && mm.tasks.size === 1) return processCpuTime(group);
  return reader?.threadTime(mm.hostPid, task.hostTid) ?? 0;
}

/** Adds the times of a host process, split as the host does: the exact sum in the proportion of the counted ticks. */
function addHostTimes(hostPid: HostPid, into: Usage): void {
  if (hostPid === 0) return;
  const total = hostClock(hostPid, CLOCK_SCHED);
  const userTicks = hostClock(hostPid, CLOCK_VIRT);
  const allTicks = hostClock(hostPid, CLOCK_PROF);
  const user = allTicks > 0 ? Math.round(total * (userTicks / allTicks)) : total;
  into.userTime += user;
  into.systemTime += total - user;
}

// ---- usage of groups and threads ----

/** Adds what the group's present host process has used. */
function addLiveUsage(group: ThreadGroup, into: Usage): void {
  const hostPid = ownHostPid(group);
  if (hostPid === 0) return;
  addHostTimes(hostPid, into);
  reader?.process(hostPid, into);
}

/** Fills in what a process has used (RUSAGE_SELF). */
export function groupUsage(group: ThreadGroup, into: Usage): void {
  into.clear();
  into.add(group.pastUsage);
  addLiveUsage(group, into);
}

/** Fills in what a thread has used (RUSAGE_THREAD). */
export function threadUsage(task: Task, into: Usage): void {
  into.clear();
  if (task.group.threads.size === 1) groupUsage(task.group, into);
  else reader?.thread(task.mm.hostPid, task.hostTid, into);
}

/** The group is about to leave its host process, by exec or for good: what it used there is written down. */
export function bankUsage(group: ThreadGroup): void {
  const hostPid = ownHostPid(group);
  if (hostPid === 0) return;
  const { pastUsage } = group;
  addHostTimes(hostPid, pastUsage);
  if (childrenWanted || pastUsage.userTime + pastUsage.systemTime >= WORTH_READING) reader?.process(hostPid, pastUsage);
}

/** The group ends: its usage is what it has been so far. */
export function closeUsage(group: ThreadGroup): void {
  bankUsage(group);
  group.usageClosed = true;
}

/** The parent has waited for a child that ended: its usage, and that of its own children, count for the parent. */
export function collectChildUsage(child: ThreadGroup): void {
  const { parent } = child;
  if (!parent) return;
  parent.childUsage.add(child.pastUsage);
  parent.childUsage.add(child.childUsage);
}

// ---- struct rusage ----

const reported = new Usage();

/** Writes the usage of a child and its children as wait4(2) does. 0 or -errno. */
export function writeGroupUsage(task: Task, group: ThreadGroup, address: UserAddress): number {
  groupUsage(group, reported);
  reported.add(group.childUsage);
  return writeUsage(task, reported, address);
}

/** Lays down a struct rusage for the guest. 0 or -errno. */
export function writeUsage(task: Task, usage: Usage, address: UserAddress): number {
  const at = task.memory.out(address, RUSAGE_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + RUSAGE_SIZE);
  writeTimeval(at + RUSAGE_UTIME, usage.userTime);
  writeTimeval(at + RUSAGE_STIME, usage.systemTime);
  writeU64(at + RUSAGE_MAXRSS, usage.maxResident);
  writeU64(at + RUSAGE_MINFLT, usage.minorFaults);
  writeU64(at + RUSAGE_MAJFLT, usage.majorFaults);
  writeU64(at + RUSAGE_INBLOCK, usage.blocksIn);
  writeU64(at + RUSAGE_OUBLOCK, usage.blocksOut);
  writeU64(at + RUSAGE_NVCSW, usage.voluntarySwitches);
  writeU64(at + RUSAGE_NIVCSW, usage.involuntarySwitches);
  return 0;
}

function writeTimeval(at: number, nanoseconds: number): void {
  const seconds = Math.floor(nanoseconds / 1e9);
  writeU64(at, seconds);
  writeU64(at + 8, Math.floor((nanoseconds - seconds * 1e9) / 1000));
}
