// The life of address spaces on the host's side: a host process that lives for a while is watched by a pidfd; when its
// last task has left it, it must be gone soon, whatever its stub does with the order to exit. Slots and stub blocks of
// threads that end are used again within the same address space.

import { EMFILE, ENFILE, ENOMEM } from '../abi/errno.ts';
import { POLLIN } from '../abi/poll.ts';
import { SIGKILL } from '../abi/signal.ts';
import type { HostFd, HostPid } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { flushAnswers } from '../platform/answer.ts';
import { allocateScratch, markScratch, releaseScratch, u32 } from '../platform/arena.ts';
import { unwatchHostFd, watchHostFd } from '../platform/host-events.ts';
import { BLOCK_SIZE, BLOCK_SLOT_INDEX, BLOCKS_ADDR, MAX_BLOCKS } from '../platform/layout.ts';
import { native } from '../platform/native.ts';
import { clearGone, freeSlot, isGone, setOwner } from '../platform/slots.ts';
import { addressSpaceDied } from './exit.ts';
import type { Task } from './task.ts';
import { armTimer, Timer } from './timers.ts';
import { findProcess, hasVanished } from './unheard.ts';

/** Ends the host process of `mm` for good if it is still there when the grace is over. */
const GRACE = 100e6;
/** Patience with threads that were told to report in, and with processes that were ordered, however busy the host is. */
const PATIENCE = 2e9;

/** ns that a process lives before a pidfd watches it, at the least; twice as long at the most. Most do not live so long. */
const YOUTH = 20e6;
const NO_PIDFD = -1 as HostFd;

/**
 * A host process. A young one has no pidfd yet: its pid is its own as long as the host's pids have not all been used once,
 * and where that may not hold any more, its memory says whose it is.
 */
class HostProcess {
  pidfd = NO_PIDFD;
  readonly hostPid: HostPid;
  /** Null when the address space was buried before there was a pidfd. */
  mm: AddressSpace | null;
  /** Where the block of its first thread names that thread's slot, and what its slots are. */
  private readonly markAddress: number;
  slots: ReadonlySet<number>;
  /** When patience is over with one that was buried young. */
  end = 0;

  constructor(mm: AddressSpace, hostPid: HostPid, block: number) {
    this.mm = mm;
    this.hostPid = hostPid;
    this.markAddress = BLOCKS_ADDR + block * BLOCK_SIZE + BLOCK_SLOT_INDEX;
    this.slots = mm.slots;
  }

  /** A pidfd of it, NO_PIDFD if it is gone, or -EMFILE and the like. */
  open(): HostFd {
    const pidfd = host.pidfd_open(this.hostPid, 0) as HostFd;
    if (pidfd < 0) return lacksResources(pidfd) ? pidfd : NO_PIDFD;
    if (this.isItself()) return pidfd;
    host.close(pidfd);
    return NO_PIDFD;
  }

  /** From now on its end is seen. False if it cannot be. */
  watch(): boolean {
    if (this.pidfd !== NO_PIDFD) return true;
    const pidfd = this.open();
    if (pidfd === NO_PIDFD) this.ended();
    if (pidfd < 0) return false;
    forgetYoung(this);
    this.pidfd = pidfd;
    watchHostFd(pidfd, POLLIN, this);
    return true;
  }

  /** What cannot be read is ending, or its first thread has ended. */
  private isItself(): boolean {
    const mark = markScratch();
    const at = allocateScratch(4);
    const isOther =
      at >= 0 && native.vmRead(this.hostPid, this.markAddress, at, 4) === 4 && !this.slots.has(u32[at >>> 2]);
    releaseScratch(mark);
    return !isOther;
  }

  ready(): void {
    unwatchHostFd(this.pidfd);
    host.close(this.pidfd);
    this.ended();
  }

  private ended(): void {
    const { mm } = this;
    forgetYoung(this);
    if (mm === null) return;
    processes.delete(mm);
    leaving.delete(mm);
    if (mm.tasks.size > 0) addressSpaceDied(mm.tasks);
    // It may have died before it made the children that were ordered from it.
    for (const [child, maker] of expected) if (maker === mm && !findProcess(child)) expectEnd(child);
  }
}

function lacksResources(errno: number): boolean {
  return errno === -EMFILE || errno === -ENFILE || errno === -ENOMEM;
}

function forgetYoung(process: HostProcess): void {
  young.delete(process);
  youngBefore.delete(process);
}

/** Without a pidfd, since the last turn of their timer and before. */
let young = new Set<HostProcess>();
let youngBefore = new Set<HostProcess>();
const coming = new Timer({ expire: growUp });
const processes = new Map<AddressSpace, HostProcess>();
/** Address spaces whose process was ordered from the stub of another, and has not rung yet. */
const expected = new Map<AddressSpace, AddressSpace>();
/** Address spaces whose process must end, or appear, with the time when patience is over. */
const leaving = new Map<AddressSpace, number>();
/** Processes that were buried young, in the order in which patience with them ends. */
const departed: HostProcess[] = [];
const sweeper = new Timer({ expire: sweep });

/** A process was ordered from the stub of `maker`'s. */
export function expectProcess(mm: AddressSpace, maker: AddressSpace): void {
  expected.set(mm, maker);
  if (!coming.armed) armTimer(coming, monotonicNow() + YOUTH);
}

/**
 * First ring of a process, on `block`: its notification is pending, so the pid is its own. Or it was found (unheard.ts). If it
 * is not the first thread of a process, which an honest stub's is, that is seen when it is old enough for a pidfd.
 */
export function watchAddressSpace(mm: AddressSpace, hostPid: HostPid, block: number): void {
  expected.delete(mm);
  mm.knownPid = hostPid;
  const process = new HostProcess(mm, hostPid, block);
  processes.set(mm, process);
  young.add(process);
  if (!coming.armed) armTimer(coming, monotonicNow() + YOUTH);
}

/** Processes that have lived for a while are watched from now on. */
function growUp(): void {
  for (const mm of expected.keys()) if (hasVanished(mm)) addressSpaceDied(mm.tasks);
  const grown = youngBefore;
  youngBefore = new Set();
  for (const process of grown) if (!process.watch() && process.mm && processes.has(process.mm)) young.add(process);
  [young, youngBefore] = [youngBefore, young];
  if (youngBefore.size > 0 || expected.size > 0) armTimer(coming, monotonicNow() + YOUTH);
}

/** The last task has left: slots go back, the host process must go. */
export function buryAddressSpace(mm: AddressSpace): void {
  flushAnswers();
  const process = processes.get(mm);
  if (process?.pidfd === NO_PIDFD) depart(mm, process);
  for (const slot of mm.slots) freeSlot(slot);
  mm.slots.clear();
  mm.spareSlots.length = 0;
  mm.text?.release();
  mm.text = null;
  for (const context of mm.aioContexts.values()) context.end();
  mm.aioContexts.clear();
  expected.delete(mm);
  if (processes.has(mm)) leaving.set(mm, monotonicNow() + GRACE);
  if (process && !sweeper.armed) armTimer(sweeper, monotonicNow() + GRACE);
}

/** One that was buried young is looked after without its address space, unless others still depend on its end. */
function depart(mm: AddressSpace, process: HostProcess): void {
  for (const [child, maker] of expected) if (maker === mm && !findProcess(child) && process.watch()) return;
  process.slots = new Set(mm.slots);
  process.mm = null;
  process.end = monotonicNow() + GRACE;
  forgetYoung(process);
  processes.delete(mm);
  departed.push(process);
}

/** A thread of `mm` was told to report in and end: with all others told the same, the process will not be waited for. */
export function expectEnd(mm: AddressSpace): void {
  if (leaving.has(mm)) return;
  leaving.set(mm, monotonicNow() + PATIENCE);
  if (!sweeper.armed) armTimer(sweeper, monotonicNow() + PATIENCE);
}

/** Kills the host process of an address space at once. */
export function killAddressSpace(mm: AddressSpace): void {
  findProcess(mm);
  const process = processes.get(mm);
  if (process?.watch()) host.pidfd_send_signal(process.pidfd, SIGKILL);
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
  endDeparted(now);
  let next = departed.length > 0 ? Math.max(departed[0].end, now + GRACE / 10) : Number.POSITIVE_INFINITY;
  for (const end of leaving.values()) next = Math.min(next, Math.max(end, now + GRACE));
  if (next < Number.POSITIVE_INFINITY) armTimer(sweeper, next);
}

/** Almost all of them are gone. */
function endDeparted(now: number): void {
  while (departed.length > 0 && departed[0].end <= now) {
    const process = departed.shift() as HostProcess;
    const pidfd = process.open();
    if (pidfd === NO_PIDFD) continue;
    if (pidfd >= 0) {
      host.pidfd_send_signal(pidfd, SIGKILL);
      host.close(pidfd);
    }
    // Until it is seen to be gone.
    process.end = now + GRACE;
    departed.push(process);
  }
}

/** Patience with `mm` is over. */
function endAddressSpace(mm: AddressSpace): void {
  if (!findProcess(mm) || !processes.has(mm)) {
    leaving.delete(mm);
    // Ordered, and never made.
    if (mm.knownPid === 0 && mm.tasks.size > 0) addressSpaceDied(mm.tasks);
  } else if (everyTaskDoomed(mm)) killAddressSpace(mm);
  else leaving.delete(mm);
}

function everyTaskDoomed(mm: AddressSpace): boolean {
  for (const task of mm.tasks) if (!task.doomed) return false;
  return true;
}
