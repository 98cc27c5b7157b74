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
    if (this.mm.tasks.size > 0) addressSpaceDied(this.mm.tasks);
  }
}

const processes = new Map<AddressSpace, HostProcess>();
/** Address spaces without tasks whose process must end, with the time when patience is over. */
const leaving = new Map<AddressSpace, number>();
const sweeper = new Timer({ expire: sweep });

/** First ring of a process: from now on its death is seen. Its notification is pending, so the pid is its own. */
export function watchAddressSpace(mm: AddressSpace, hostPid: HostPid): void {
  mm.hostPid = hostPid;
  const pidfd = host.pidfd_open(hostPid, 0);
  if (pidfd < 0) throw new Error(`pidfd_open of a guest process failed with errno ${-pidfd}`);
  const process = new HostProcess(mm, pidfd as HostFd);
  processes.set(mm, process);
  watchHostFd(process.pidfd, POLLIN, process);
}

/** The last task has left: slots go back, the host process must go. */
export function buryAddressSpace(mm: AddressSpace): void {
  flushAnswers();
  for (const slot of mm.slots) freeSlot(slot);
  mm.slots.clear();
  mm.spareSlots.length = 0;
  if (!processes.has(mm)) return;
  leaving.set(mm, monotonicNow() + GRACE);
  if (!sweeper.armed) armTimer(sweeper, monotonicNow() + GRACE);
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
  let next = Number.POSITIVE_INFINITY;
  for (const [mm, end] of leaving) {
    if (!processes.has(mm)) leaving.delete(mm);
    else if (end <= now) killAddressSpace(mm);
    next = Math.min(next, Math.max(end, now + GRACE));
  }
  if (leaving.size > 0) armTimer(sweeper, next);
}
