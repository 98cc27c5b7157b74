// The life of address spaces on the host's side: a host process is watched by a pidfd from its first ring on; when its
// last task has left it, it must be gone soon, whatever its stub does with the order to exit. Slots and stub blocks of
// threads that end are used again within the same address space.

import { POLLIN } from '../abi/poll.ts';
import { SIGKILL } from '../abi/signal.ts';
import type { HostFd, HostPid } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { flushAnswers } from '../platform/answer.ts';
import { unwatchHostFd, watchHostFd } from '../platform/host-events.ts';
import { MAX_BLOCKS } from '../platform/layout.ts';
import { clearGone, freeSlot, isGone, setOwner } from '../platform/slots.ts';
import { addressSpaceDied } from './exit.ts';
import type { Task } from './task.ts';
import { armTimer, Timer } from './timers.ts';

/** Ends the host process of `mm` for good if it is still there when the grace is over. */
const GRACE = 100e6;
/** Patience with threads that were told to report in, and with processes that were ordered, however busy the host is. */
const PATIENCE = 2e9;

/** A host process under watch. Lives from the first ring until the host says that the process is gone. */
class HostProcess {
  readonly pidfd: HostFd;
  readonly mm: AddressSpace;

  constructor(mm: AddressSpace, pidfd: HostFd) {
    this.mm = mm;
    this.pidfd = pidfd;
  }

  ready(): void {
    unwatchHostFd(this.pidfd);
    host.close(this.pidfd);
    processes.delete(this.mm);
    leaving.delete(this.mm);
    if (this.mm.tasks.size > 0) addressSpaceDied(this.mm.tasks);
    // It may have died before it made the children that were ordered from it.
    for (const [child, maker] of expected) if (maker === this.mm) expectEnd(child);
  }
}

const processes = new Map<AddressSpace, HostProcess>();
/** Address spaces whose process was ordered from the stub of another, and has not rung yet. */
const expected = new Map<AddressSpace, AddressSpace>();
/** Address spaces whose process must end, or appear, with the time when patience is over. */
const leaving = new Map<AddressSpace, number>();
const sweeper = new Timer({ expire: sweep });

/** A process was ordered from the stub of `maker`'s. */
export function expectProcess(mm: AddressSpace, maker: AddressSpace): void {
  expected.set(mm, maker);
}

/**
 * First ring of a process: from now on its death is seen. Its notification is pending, so the pid is its own. False if
 * it was killed meanwhile, or is not the first thread of a process, which an honest stub's is.
 */
export function watchAddressSpace(mm: AddressSpace, hostPid: HostPid): boolean {
  expected.delete(mm);
  const pidfd = host.pidfd_open(hostPid, 0);
  if (pidfd < 0) return false;
  mm.hostPid = hostPid;
  const process = new HostProcess(mm, pidfd as HostFd);
  processes.set(mm, process);
  watchHostFd(process.pidfd, POLLIN, process);
  return true;
}

/** The last task has left: slots go back, the host process must go. */
export function buryAddressSpace(mm: AddressSpace): void {
  flushAnswers();
  for (const slot of mm.slots) freeSlot(slot);
  mm.slots.clear();
  mm.spareSlots.length = 0;
  mm.text?.release();
  mm.text = null;
  for (const context of mm.aioContexts.values()) context.end();
  mm.aioContexts.clear();
  expected.delete(mm);
  if (!processes.has(mm)) return;
  leaving.set(mm, monotonicNow() + GRACE);
  if (!sweeper.armed) armTimer(sweeper, monotonicNow() + GRACE);
}

/** A thread of `mm` was told to report in and end: with all others told the same, the process will not be waited for. */
export function expectEnd(mm: AddressSpace): void {
  if (leaving.has(mm)) return;
  leaving.set(mm, monotonicNow() + PATIENCE);
  if (!sweeper.armed) armTimer(sweeper, monotonicNow() + PATIENCE);
}

/** Kills the host process of an address space at once. */
export function killAddressSpace(mm: AddressSpace): void {
  const process = processes.get(mm);
  if (process) host.pidfd_send_signal(process.pidfd, SIGKILL);
}

/** A thread has left an address space that lives on: its slot and block serve the next thread there. */
export function buryThread(task: Task): void {
  const { slot } = task.memory;
  setOwner(slot, null, -1);
  task.mm.spareSlots.push(slot);
  task.mm.spareBlocks.push(task.block);
}

/** A slot and block of an ended thread whose host thread has made its last store; -1 if there is none. */
export function takeSpareSlot(mm: AddressSpace): number {
  const index = mm.spareSlots.findIndex(isGone);
  if (index < 0) return -1;
  const [slot] = mm.spareSlots.splice(index, 1);
  const [block] = mm.spareBlocks.splice(index, 1);
  clearGone(slot);
  mm.blocks.delete(block);
  return slot;
}

/** A stub block that no thread of the address space uses, or -1 when all are taken. */
export function allocateBlock(mm: AddressSpace): number {
  for (let block = 0; block < MAX_BLOCKS; block++) {
    if (mm.blocks.has(block)) continue;
    mm.blocks.add(block);
    return block;
  }
  return -1;
}

function sweep(): void {
  const now = monotonicNow();
  for (const [mm, end] of leaving) if (end <= now) endAddressSpace(mm);
  let next = Number.POSITIVE_INFINITY;
  for (const end of leaving.values()) next = Math.min(next, Math.max(end, now + GRACE));
  if (leaving.size > 0) armTimer(sweeper, next);
}

/** Patience with `mm` is over. */
function endAddressSpace(mm: AddressSpace): void {
  if (!processes.has(mm)) {
    leaving.delete(mm);
    // Ordered, and never made.
    if (mm.hostPid === 0 && mm.tasks.size > 0) addressSpaceDied(mm.tasks);
  } else if (everyTaskDoomed(mm)) killAddressSpace(mm);
  else leaving.delete(mm);
}

function everyTaskDoomed(mm: AddressSpace): boolean {
  for (const task of mm.tasks) if (!task.doomed) return false;
  return true;
}
