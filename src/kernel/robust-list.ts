// Robust futexes (set_robust_list(2), get_robust_list(2), the kernel's robust-futexes document): when a thread ends,
// every lock on its list whose word names it is marked FUTEX_OWNER_DIED, and a waiter is to be woken. Futexes are the
// host's, keyed by the guest's memory, so the wake-up is an order to the ending thread itself. The list lies in guest
// memory: it is read with bounds, each word once.

import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from '../abi/futex.ts';
import type { UserAddress } from '../base/brands.ts';
import { allocateScratch, markScratch, readS64, readU64, releaseScratch, u32 } from '../platform/arena.ts';
import { H_ROBUST_HEAD, H_ROBUST_READ, SLOT_SIZE } from '../platform/layout.ts';
import type { Task } from './task.ts';

/** ROBUST_LIST_LIMIT: a list longer than this is a loop. */
const LIST_LIMIT = 2048;

/** struct robust_list_head */
const HEAD_SIZE = 24;
const SYS_EXIT = 60;
const SYS_EXIT_GROUP = 231;

const NONE: readonly number[] = [];

/** Walks the ending task's list; returns the futexes to wake. Faults end the walk silently, as in Linux. */
export function walkRobustList(task: Task): readonly number[] {
  const head = task.robustList;
  if (head === 0) return NONE;
  const wakes: number[] = [];
  task.robustList = 0 as UserAddress;
  const mark = markScratch();
  const at = allocateScratch(HEAD_SIZE);
  if (at >= 0 && readHead(task, head, at)) {
    const offset = readS64(at + 8);
    const pending = readU64(at + 16);
    let entry = readU64(at);
    for (let n = 0; n < LIST_LIMIT && untag(entry) !== head; n++) {
      const next = task.memory.read(untag(entry) as UserAddress, at, 8) === 0 ? readU64(at) : -1;
      if (entry !== pending && !markDead(task, entry, offset, at, wakes)) break;
      if (next < 0) break;
      entry = next;
    }
    if (pending !== 0) markDead(task, pending, offset, at, wakes);
  }
  releaseScratch(mark);
  return wakes;
}

/** The head of the list: the stub has sent it along with a call that ends the thread, else it is fetched. */
function readHead(task: Task, head: UserAddress, at: number): boolean {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  const ends = task.nr === SYS_EXIT || task.nr === SYS_EXIT_GROUP;
  if (!ends || u32[header + H_ROBUST_READ] !== 1) return task.memory.read(head, at, HEAD_SIZE) === 0;
  u32[header + H_ROBUST_READ] = 0;
  u32.copyWithin(at >>> 2, header + H_ROBUST_HEAD, header + H_ROBUST_HEAD + HEAD_SIZE / 4);
  return true;
}

/** Bit 0 of an entry says that it is a PI futex. */
function untag(entry: number): number {
  return entry - (entry % 2);
}

function markDead(task: Task, entry: number, offset: number, at: number, wakes: number[]): boolean {
  const address = untag(entry) + offset;
  if (address % 4 !== 0 || task.memory.read(address as UserAddress, at, 4) < 0) return false;
  const word = u32[at >>> 2];
  if ((word & FUTEX_TID_MASK) !== task.localTid) return true;
  u32[at >>> 2] = ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0;
  if (task.memory.write(address as UserAddress, at, 4) < 0) return false;
  // Who waits for one with priority inheritance is given it (pi-futex.ts).
  if (word & FUTEX_WAITERS && entry % 2 === 0) wakes.push(address);
  return true;
}
