// Tasks that run and have not rung yet. A new thread or process does not ring for its own sake: it says in its slot which
// host thread it is (H_HOST_TID) and goes to its program, unless it finds that it is asked to ring first (H_HELLO). Whoever
// needs it before its first ring (a signal, /proc, a tracer, the end of its maker) finds it here. The guest can write what it
// likes into the slot: a process is believed only if the memory of that one names the slot, too, and a thread only if it is one
// of its process.

import type { HostPid } from '../base/brands.ts';
import { type AddressSpace, setHostPidFinder } from '../mm/address-space.ts';
import { allocateScratch, i32, markScratch, releaseScratch, u32 } from '../platform/arena.ts';
import { hostProcLines, hostProcNumbers } from '../platform/host-proc.ts';
import { BLOCK_SIZE, BLOCK_SLOT_INDEX, BLOCKS_ADDR, H_HELLO, H_HOST_TID, SLOT_SIZE } from '../platform/layout.ts';
import { native } from '../platform/native.ts';
import { watchAddressSpace } from './address-spaces.ts';
import type { Task } from './task.ts';

const NOBODY = 0 as HostPid;
/** The last of a thread's numbers in the host's /proc/PID/status is that in its own pid namespace. */
const NAMESPACE_PID = /^NSpid:.*\t(\d+)$/;

/** Before the order to make it: whether the new task is to ring before it goes to its program. */
export function askForHello(task: Task, wanted: boolean): void {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  u32[header + H_HOST_TID] = 0;
  u32[header + H_HELLO] = wanted ? 1 : 0;
}

/** Has a task that may not have begun ring first. True if it has begun: it is found, and has to be interrupted. */
export function summon(task: Task): boolean {
  if (findTask(task)) return true;
  if (task.memory.slot < 0) return false;
  // A store that all see before the load that follows.
  Atomics.store(u32, ((task.memory.slot * SLOT_SIZE) >>> 2) + H_HELLO, 1);
  return findTask(task);
}

/** Whether the task's host thread is known, if need be by what its slot says. */
export function findTask(task: Task): boolean {
  if (task.knownTid !== 0) return true;
  const { mm, block, memory } = task;
  const tid = claimedTid(task);
  if (tid <= 0) return false;
  const found = mm.knownPid === 0 ? findFirstThread(tid, block, memory.slot) : findThread(mm.knownPid, tid);
  if (found === NOBODY) return false;
  if (mm.knownPid === 0) watchAddressSpace(mm, found, block);
  task.knownTid = found;
  return true;
}

/** What the task's slot says, 0 if it has not begun. The number is one of the guests' pid namespace, which is below ours. */
function claimedTid({ memory: { slot } }: Task): number {
  return slot < 0 ? 0 : i32[((slot * SLOT_SIZE) >>> 2) + H_HOST_TID];
}

/** By how much our number of a thread was more than its own the last time: both count up, and mostly together. */
let apart = 0;

/** The first ring of a task has told how it is known to us. */
export function noteNumbers(task: Task): void {
  const tid = claimedTid(task);
  if (tid > 0) apart = task.knownTid - tid;
}

function findFirstThread(tid: number, block: number, slot: number): HostPid {
  const likely = (tid + apart) as HostPid;
  if (likely > 0 && namesSlot(likely, block, slot)) return likely;
  return (hostProcNumbers('.').find((pid) => namesSlot(pid as HostPid, block, slot)) ?? NOBODY) as HostPid;
}

function findThread(process: HostPid, tid: number): HostPid {
  const isIt = (candidate: number): boolean =>
    hostProcLines(`${process}/task/${candidate}/status`).some((line) => NAMESPACE_PID.exec(line)?.[1] === `${tid}`);
  if (isIt(tid + apart)) return (tid + apart) as HostPid;
  return (hostProcNumbers(`${process}/task`).find(isIt) ?? NOBODY) as HostPid;
}

/** Whether the block in the memory of a host process is that of the slot's thread. */
function namesSlot(hostPid: HostPid, block: number, slot: number): boolean {
  const mark = markScratch();
  const at = allocateScratch(4);
  const address = BLOCKS_ADDR + block * BLOCK_SIZE + BLOCK_SLOT_INDEX;
  const names = at >= 0 && native.vmRead(hostPid, address, at, 4) === 4 && u32[at >>> 2] === slot;
  releaseScratch(mark);
  return names;
}

/** The same for an address space whose process was ordered: that is its only task's. */
export function findProcess(mm: AddressSpace): boolean {
  if (mm.knownPid !== 0) return true;
  for (const task of mm.tasks) return findTask(task);
  return false;
}

/** Whether a process that was ordered has begun and is gone without a word. */
export function hasVanished(mm: AddressSpace): boolean {
  for (const task of mm.tasks) return claimedTid(task) > 0 && !findTask(task) && hostProcNumbers('.').length > 0;
  return false;
}

setHostPidFinder(findProcess);
