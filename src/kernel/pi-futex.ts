// Futexes with priority inheritance (futex(2), FUTEX_LOCK_PI and its kin). Their words hold the owner's thread id, which
// only the sentry knows, so they are served here; all the other operations are the host's.
//
// A word belongs to the program while it has no waiters: it sets it from 0 to its id and back by itself. So before
// anybody waits, the waiter's stub sets FUTEX_WAITERS in it atomically (a host futex call that does nothing else), and
// from then on only the sentry changes it. Waiters are served in their order: no policies here are real-time on the
// host, so that there is no priority to inherit.

import { EAGAIN, EDEADLK, EFAULT, EINVAL, EPERM, ERESTARTNOINTR, ESRCH, ETIMEDOUT } from '../abi/errno.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, FUTEX_WAKE_OP } from '../abi/futex.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { allocateScratch, u32 } from '../platform/arena.ts';
import { hostProcLines } from '../platform/host-proc.ts';
import { block, timedOut, WAIT } from './block.ts';
import { taskExitHooks } from './exit-hooks.ts';
import { askHost, hostAnswer } from './host-memory.ts';
import { makeRunnable } from './run-queue.ts';
import type { Task } from './task.ts';

const SYS_FUTEX = 202;
/** FUTEX_OP_OR of 1 << 31, which is FUTEX_WAITERS; its comparison, with -1, never has anybody woken. */
const OR_WAITERS = 0xa001ffff;
/** The word changes under our hands as long as it is fought for; then the program may try again. */
const MAX_ATTEMPTS = 64;

/** A futex that tasks wait for, or are about to. It exists only as long as they do. */
class PiFutex {
  readonly key: string;
  readonly mm: AddressSpace | null;
  owner: Task | null = null;
  readonly waiters: PiWait[] = [];
  /** Whose stubs are setting FUTEX_WAITERS: it stays set for them, or they might never find it so. */
  readonly markers = new Set<PiWait>();

  constructor(mm: AddressSpace | null, key: string) {
    this.mm = mm;
    this.key = key;
  }
}

/** A wait for a futex, or first (FUTEX_WAIT_REQUEUE_PI) for being moved to one. */
class PiWait {
  readonly task: Task;
  /** Where it lies in the task's memory. */
  readonly address: UserAddress;
  futex: PiFutex | null = null;
  granted = false;
  /** Waits at this key to be moved; null once it was. */
  source: { readonly mm: AddressSpace | null; readonly key: string; readonly target: string } | null = null;

  constructor(task: Task, address: UserAddress) {
    this.task = task;
    this.address = address;
  }
}

/** Futexes in memory that processes share, by file and offset; private ones are kept by address space. */
const shared = new Map<string, PiFutex>();
const privates = new WeakMap<AddressSpace, Map<string, PiFutex>>();
/** Waits of FUTEX_WAIT_REQUEUE_PI that were not moved yet, oldest first. */
const requeueable: PiWait[] = [];

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) ...(.) ([0-9a-f]+) (\S+ \d+)/;

/** What tells a futex from others: the address, or for shared memory the file and the offset. */
function keyOf(task: Task, address: number, isPrivate: boolean): { mm: AddressSpace | null; key: string } {
  if (!isPrivate) {
    for (const line of hostProcLines(`${task.mm.hostPid}/maps`)) {
      const parts = MAPPING.exec(line);
      if (!parts) continue;
      const start = Number.parseInt(parts[1], 16);
      if (address < start || address >= Number.parseInt(parts[2], 16)) continue;
      if (parts[3] === 's') return { mm: null, key: `${parts[5]} ${Number.parseInt(parts[4], 16) + address - start}` };
      break;
    }
  }
  return { mm: task.mm, key: String(address) };
}

function tableOf(mm: AddressSpace | null): Map<string, PiFutex> {
  if (mm === null) return shared;
  let table = privates.get(mm);
  if (!table) {
    table = new Map();
    privates.set(mm, table);
  }
  return table;
}

/** The word, or -EFAULT. */
function readWord(task: Task, address: UserAddress): number {
  const at = allocateScratch(4);
  if (at < 0) return at;
  return task.memory.read(address, at, 4) < 0 ? -EFAULT : u32[at >>> 2];
}

/** 0 or -EFAULT. */
function writeWord(task: Task, address: UserAddress, value: number): number {
  const at = allocateScratch(4);
  if (at < 0) return at;
  u32[at >>> 2] = value;
  return task.memory.write(address, at, 4);
}

/** The owner that a word names, to the task. */
function ownerOf(task: Task, word: number): Task | undefined {
  return task.pidNamespace.tasks.get((word & FUTEX_TID_MASK) as Pid);
}

/** Whether waiting for `owner` would be waiting for oneself. */
function isDeadlock(task: Task, owner: Task): boolean {
  let at: Task | null = owner;
  for (let depth = 0; at !== null && depth < 1024; depth++) {
    if (at === task) return true;
    at = at.piWait instanceof PiWait ? (at.piWait.futex?.owner ?? null) : null;
  }
  return false;
}

/**
 * FUTEX_LOCK_PI, FUTEX_LOCK_PI2; with `tries` FUTEX_TRYLOCK_PI. The deadline is in `task.deadline`. 0, WAIT, ASKED or
 * -errno.
 */
export function lockPi(task: Task, address: UserAddress, isPrivate: boolean, tries: boolean): number {
  if (address % 4 !== 0) return -EINVAL;
  if (task.piWait instanceof PiWait) {
    if (!isMarker(task.piWait)) return continueWait(task, task.piWait, -ERESTARTNOINTR);
    leave(task.piWait);
    if (hostAnswer(task) < 0) return -EFAULT;
  }
  const word = readWord(task, address);
  if (word < 0) return word;
  const marked = (word & FUTEX_WAITERS) !== 0;
  if ((word & FUTEX_TID_MASK) === task.localTid) return -EDEADLK;
  const { mm, key } = keyOf(task, address, isPrivate);
  const futex = tableOf(mm).get(key);
  if ((word & FUTEX_TID_MASK) === 0 && marked) return take(task, address, word, futex);
  const owner = word & FUTEX_TID_MASK ? ownerOf(task, word) : null;
  if (owner === undefined) return -ESRCH;
  if (owner !== null && tries) return -EAGAIN;
  if (!marked) return mark(task, address, mm, key);
  if (owner === null || isDeadlock(task, owner)) return -EDEADLK;
  return enqueue(new PiWait(task, address), mm, key, owner);
}

/** Has the task's own stub set FUTEX_WAITERS. */
function mark(task: Task, address: UserAddress, mm: AddressSpace | null, key: string): number {
  if (task.progress++ >= MAX_ATTEMPTS) return -EAGAIN;
  const marker = new PiWait(task, address);
  marker.futex = futexAt(mm, key);
  marker.futex.markers.add(marker);
  task.piWait = marker;
  return askHost(task, SYS_FUTEX, address, FUTEX_WAKE_OP, 0, 0, address, OR_WAITERS);
}

function isMarker(wait: PiWait): boolean {
  return wait.futex?.markers.has(wait) ?? false;
}

function futexAt(mm: AddressSpace | null, key: string): PiFutex {
  const table = tableOf(mm);
  let futex = table.get(key);
  if (!futex) {
    futex = new PiFutex(mm, key);
    table.set(key, futex);
  }
  return futex;
}

function forgetUnused(futex: PiFutex): void {
  if (futex.waiters.length === 0 && futex.markers.size === 0) tableOf(futex.mm).delete(futex.key);
}

/** Nobody has it, and the mark keeps the program's hands off it. */
function take(task: Task, address: UserAddress, word: number, futex: PiFutex | undefined): number {
  const waits = futex !== undefined && futex.waiters.length + futex.markers.size > 0;
  if (futex) futex.owner = task;
  const kept = word & FUTEX_OWNER_DIED;
  return writeWord(task, address, (task.localTid | kept | (waits ? FUTEX_WAITERS : 0)) >>> 0);
}

function enqueue(wait: PiWait, mm: AddressSpace | null, key: string, owner: Task): number {
  const futex = futexAt(mm, key);
  futex.owner = owner;
  futex.waiters.push(wait);
  wait.futex = futex;
  wait.task.piWait = wait;
  return continueWait(wait.task, wait, -ERESTARTNOINTR);
}

/** Looks what has become of a wait; `interrupted` is what a signal makes of it. */
function continueWait(task: Task, wait: PiWait, interrupted: number): number {
  if (wait.granted) {
    task.piWait = null;
    return 0;
  }
  if (timedOut(task)) {
    leave(wait);
    return -ETIMEDOUT;
  }
  const r = block(task, null, 0, -interrupted);
  if (r !== WAIT) leave(wait);
  return r;
}

/** A wait is given up. What it has set in the word stays, and costs a call at most. */
function leave(wait: PiWait): void {
  wait.task.piWait = null;
  const waiting = requeueable.indexOf(wait);
  if (waiting >= 0) requeueable.splice(waiting, 1);
  const { futex } = wait;
  if (!futex) return;
  const index = futex.waiters.indexOf(wait);
  if (index >= 0) futex.waiters.splice(index, 1);
  futex.markers.delete(wait);
  forgetUnused(futex);
}

/** FUTEX_UNLOCK_PI: hands the lock to whoever waits longest. */
export function unlockPi(task: Task, address: UserAddress, isPrivate: boolean): number {
  const word = readWord(task, address);
  if (word < 0) return word;
  if ((word & FUTEX_TID_MASK) !== task.localTid) return -EPERM;
  if (address % 4 !== 0) return -EINVAL;
  const { mm, key } = keyOf(task, address, isPrivate);
  const futex = tableOf(mm).get(key);
  if (!futex || futex.waiters.length === 0) return writeWord(task, address, futex ? FUTEX_WAITERS : 0);
  return handOver(futex, 0);
}

/** Gives a futex to its first waiter, with these bits in the word besides. 0 or -EFAULT. */
function handOver(futex: PiFutex, bits: number): number {
  const wait = futex.waiters[0];
  // The word is the same in every mapping; the waiter's is there.
  const r = writeWord(wait.task, wait.address, (wait.task.localTid | FUTEX_WAITERS | bits) >>> 0);
  futex.waiters.shift();
  futex.owner = wait.task;
  wait.granted = true;
  wait.futex = null;
  forgetUnused(futex);
  makeRunnable(wait.task);
  return r;
}

/** FUTEX_WAIT_REQUEUE_PI: waits at `address` until it is moved to the futex at `target` and has that. */
export function waitRequeuePi(
  task: Task,
  address: UserAddress,
  value: number,
  target: UserAddress,
  isPrivate: boolean,
): number {
  if (address % 4 !== 0 || target % 4 !== 0 || address === target) return -EINVAL;
  if (task.piWait instanceof PiWait) {
    // Once it was moved, what it waited for at first is no longer so.
    return continueWait(task, task.piWait, task.piWait.source ? -ERESTARTNOINTR : -EAGAIN);
  }
  const word = readWord(task, address);
  if (word < 0) return word;
  if (word !== value) return -EAGAIN;
  const from = keyOf(task, address, isPrivate);
  const to = keyOf(task, target, isPrivate);
  const wait = new PiWait(task, target);
  wait.source = { ...from, target: to.key };
  requeueable.push(wait);
  task.piWait = wait;
  return continueWait(task, wait, -ERESTARTNOINTR);
}

/** FUTEX_CMP_REQUEUE_PI: the first who waits there gets the futex if it is free, up to `most` others wait for it. */
export function requeuePi(
  task: Task,
  address: UserAddress,
  expected: number,
  target: UserAddress,
  wakes: number,
  most: number,
  isPrivate: boolean,
): number {
  if (address === target || wakes !== 1 || most < 0) return -EINVAL;
  if (address % 4 !== 0 || target % 4 !== 0) return -EINVAL;
  if (task.piWait instanceof PiWait) {
    leave(task.piWait);
    if (hostAnswer(task) < 0) return -EFAULT;
  }
  const value = readWord(task, address);
  if (value < 0) return value;
  if (value !== expected) return -EAGAIN;
  const from = keyOf(task, address, isPrivate);
  const to = keyOf(task, target, isPrivate);
  const waits = requeueable.filter(({ source }) => source?.mm === from.mm && source?.key === from.key);
  if (waits.length === 0) return 0;
  if (waits.some(({ source }) => source?.target !== to.key)) return -EINVAL;
  let word = readWord(task, target);
  if (word < 0) return word;
  if (!(word & FUTEX_WAITERS)) return mark(task, target, to.mm, to.key);
  let moved = 0;
  if ((word & FUTEX_TID_MASK) === 0) {
    const [first] = waits.splice(0, 1);
    word = (first.task.localTid | FUTEX_WAITERS | (word & FUTEX_OWNER_DIED)) >>> 0;
    const r = writeWord(task, target, word);
    if (r < 0) return r;
    requeueable.splice(requeueable.indexOf(first), 1);
    first.source = null;
    first.granted = true;
    makeRunnable(first.task);
    moved++;
  }
  const owner = ownerOf(task, word);
  if (!owner) return moved > 0 ? moved : -ESRCH;
  for (const wait of waits.slice(0, most + 1 - moved)) {
    move(wait, to.mm, to.key, owner);
    moved++;
  }
  return moved;
}

function move(wait: PiWait, mm: AddressSpace | null, key: string, owner: Task): void {
  requeueable.splice(requeueable.indexOf(wait), 1);
  wait.source = null;
  const futex = futexAt(mm, key);
  futex.owner = owner;
  futex.waiters.push(wait);
  wait.futex = futex;
}

/** A thread ends: it waits no more, and what it had goes to the next with the news of its death. */
taskExitHooks.push((task) => {
  if (task.piWait instanceof PiWait) leave(task.piWait);
  for (const table of [shared, privates.get(task.mm)]) {
    if (!table || table.size === 0) continue;
    for (const futex of [...table.values()])
      if (futex.owner === task && futex.waiters.length > 0) handOver(futex, FUTEX_OWNER_DIED);
  }
});
