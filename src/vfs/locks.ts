// File locks: POSIX record locks (fcntl(2) F_SETLK, owned by a descriptor table), open file description locks
// (F_OFD_SETLK, owned by the open file) and flock(2). All live on the inode. A lock that is not to be had answers
// -EAGAIN; who waits stands on the queue, which is woken whenever something is unlocked.

import { EAGAIN, EDEADLK, ENOLCK } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_UN } from '../abi/fcntl.ts';
import { POLLIN } from '../abi/poll.ts';
import type { Pid } from '../base/brands.ts';
import { addInvariant } from '../base/invariants.ts';
import { WaitQueue } from '../base/wait-queue.ts';
import type { Inode } from './inode.ts';

/** A range lock, its bounds inclusive; `end` Infinity reaches to the end of the file, however far it grows. */
export interface RangeLock {
  readonly owner: object;
  /** Process that made it; -1 for open file description locks. */
  readonly pid: Pid;
  /** F_RDLCK or F_WRLCK. */
  readonly type: number;
  start: number;
  end: number;
}

export interface WholeLock {
  readonly file: object;
  /** Process that made it. */
  readonly pid: Pid;
  readonly exclusive: boolean;
}

/** A lease (fs/leases.ts). */
export interface Lease {
  readonly file: object;
  /** Process that made it. */
  readonly pid: Pid;
  /** F_RDLCK or F_WRLCK. */
  readonly type: number;
  /** What it must become (F_RDLCK or F_UNLCK) by the deadline (monotonic, ns); null while nobody wants it gone. */
  breaksTo: number | null;
  deadline: number;
}

export class FileLocks {
  ranges: RangeLock[] = [];
  whole: WholeLock[] = [];
  leases: Lease[] = [];
  readonly queue = new WaitQueue();
}

/** For deadlock detection: which owner each waiting owner of a POSIX lock waits for. */
const waitsFor = new Map<object, object>();

const locked = new Set<Inode>();

/** Inodes on which there may be locks, for /proc/locks. */
export function lockedInodes(): Iterable<Inode> {
  return locked;
}

function locksOf(inode: Inode): FileLocks {
  if (inode.locks) return inode.locks;
  locked.add(inode);
  inode.locks = new FileLocks();
  return inode.locks;
}

/** The queue that is woken when a lock on the inode is given up. */
export function lockQueue(inode: Inode): WaitQueue {
  return locksOf(inode).queue;
}

/** A lock of another owner that stands in the way of this one, or null. */
export function conflictingRange(
  inode: Inode,
  owner: object,
  type: number,
  start: number,
  end: number,
): RangeLock | null {
  if (!inode.locks || type === F_UNLCK) return null;
  for (const lock of inode.locks.ranges) {
    if (lock.owner === owner || lock.end < start || lock.start > end) continue;
    if (type === F_WRLCK || lock.type === F_WRLCK) return lock;
  }
  return null;
}

/** Range locks on all files, and how many there may be: they take the sentry's memory, and each is looked at by the next. */
let rangesInAll = 0;
const RANGES_MOST = 1 << 15;

function setRanges(locks: FileLocks, ranges: RangeLock[]): void {
  rangesInAll += ranges.length - locks.ranges.length;
  locks.ranges = ranges;
}

/**
 * Sets or (F_UNLCK) clears a range lock of `owner`; 0, -EAGAIN when another owner's lock conflicts, or -ENOLCK when there are
 * too many.
 */
export function setRangeLock(inode: Inode, owner: object, pid: Pid, type: number, start: number, end: number): number {
  waitsFor.delete(owner);
  if (conflictingRange(inode, owner, type, start, end)) return -EAGAIN;
  if (type === F_UNLCK && !inode.locks) return 0;
  const locks = locksOf(inode);
  if (rangesInAll + 2 > RANGES_MOST && (type !== F_UNLCK || isSplit(locks, owner, start, end))) return -ENOLCK;
  carve(locks, owner, start, end);
  if (type !== F_UNLCK) insert(locks, { owner, pid, type, start, end });
  // Also a downgrade from write to read lets others in.
  released(inode);
  return 0;
}

/** Notes that `owner` will wait for a POSIX lock. 0, or -EDEADLK when that would close a circle of waiting owners. */
export function awaitRangeLock(inode: Inode, owner: object, type: number, start: number, end: number): number {
  const blocker = conflictingRange(inode, owner, type, start, end);
  if (!blocker) return 0;
  for (let at: object | undefined = blocker.owner; at; at = waitsFor.get(at)) {
    if (at === owner) return -EDEADLK;
  }
  waitsFor.set(owner, blocker.owner);
  return 0;
}

/** Ends the wait noted by `awaitRangeLock` without a lock. */
export function stopAwaiting(owner: object): void {
  waitsFor.delete(owner);
}

/** Whether cutting [start, end] out of the owner's locks makes two of one. */
function isSplit({ ranges }: FileLocks, owner: object, start: number, end: number): boolean {
  return ranges.some((lock) => lock.owner === owner && lock.start < start && lock.end > end);
}

/** Cuts [start, end] out of the owner's locks, splitting those that reach beyond it. */
function carve(locks: FileLocks, owner: object, start: number, end: number): void {
  const kept: RangeLock[] = [];
  for (const lock of locks.ranges) {
    if (lock.owner !== owner || lock.end < start || lock.start > end) {
      kept.push(lock);
      continue;
    }
    if (lock.start < start) kept.push({ ...lock, end: start - 1 });
    if (lock.end > end) kept.push({ ...lock, start: end + 1 });
  }
  setRanges(locks, kept);
}

/** Adds a lock, merged with the owner's adjacent ones of the same type, in order of their starts. */
function insert(locks: FileLocks, lock: RangeLock): void {
  const kept: RangeLock[] = [];
  for (const other of locks.ranges) {
    const touches = other.start <= lock.end + 1 && lock.start <= other.end + 1;
    if (other.owner === lock.owner && other.type === lock.type && touches) {
      lock.start = Math.min(lock.start, other.start);
      lock.end = Math.max(lock.end, other.end);
    } else {
      kept.push(other);
    }
  }
  kept.push(lock);
  kept.sort((a, b) => a.start - b.start);
  setRanges(locks, kept);
}

/** flock(2) for an open file: LOCK_SH, LOCK_EX or LOCK_UN. 0 or -EAGAIN. A failed conversion loses the old lock. */
export function setWholeLock(inode: Inode, file: object, pid: Pid, operation: number): number {
  if (operation === LOCK_UN && !inode.locks) return 0;
  const locks = locksOf(inode);
  const exclusive = operation === LOCK_EX;
  const held = locks.whole.find((lock) => lock.file === file);
  if (held && operation !== LOCK_UN && held.exclusive === exclusive) return 0;
  if (held) {
    locks.whole = locks.whole.filter((lock) => lock !== held);
    released(inode);
  }
  if (operation === LOCK_UN) return 0;
  if (locks.whole.some((lock) => exclusive || lock.exclusive)) return -EAGAIN;
  locksOf(inode).whole.push({ file, pid, exclusive });
  return 0;
}

const NO_LEASES: readonly Lease[] = [];

/** The leases on an inode. */
export function leasesOn(inode: Inode): readonly Lease[] {
  return inode.locks?.leases ?? NO_LEASES;
}

/** Replaces the lease of an open file, or with null takes it away. */
export function changeLease(inode: Inode, file: object, lease: Lease | null): void {
  const locks = locksOf(inode);
  locks.leases = locks.leases.filter((one) => one.file !== file);
  if (lease) locks.leases.push(lease);
  released(inode);
}

/** Drops the POSIX locks of a descriptor table on an inode: it closed a descriptor for it. */
export function releaseRangeLocks(inode: Inode, owner: object): void {
  const locks = inode.locks;
  if (!locks) return;
  const kept = locks.ranges.filter((lock) => lock.owner !== owner);
  if (kept.length === locks.ranges.length) return;
  setRanges(locks, kept);
  released(inode);
}

/** Drops the flock and the open file description locks of an open file that goes away. */
export function releaseFileLocks(inode: Inode, file: object): void {
  const locks = inode.locks;
  if (!locks) return;
  locks.whole = locks.whole.filter((lock) => lock.file !== file);
  setRanges(
    locks,
    locks.ranges.filter((lock) => lock.owner !== file),
  );
  locks.leases = locks.leases.filter((lease) => lease.file !== file);
  released(inode);
}

/** Lets waiters try again, and forgets the lock state when nothing is left of it. */
function released(inode: Inode): void {
  const locks = inode.locks;
  if (!locks) return;
  locks.queue.wake(POLLIN);
  if (locks.ranges.length > 0 || locks.whole.length > 0 || locks.leases.length > 0 || !locks.queue.empty) return;
  inode.locks = null;
  locked.delete(inode);
}

export const isLockType = (type: number): boolean => type === F_RDLCK || type === F_WRLCK || type === F_UNLCK;

addInvariant((fail) => {
  let sum = 0;
  for (const { locks } of locked) {
    const ranges = locks?.ranges ?? [];
    sum += ranges.length;
    for (const [index, lock] of ranges.entries()) {
      if (!(lock.start <= lock.end)) fail(`a lock from ${lock.start} to ${lock.end}`);
      for (const other of ranges.slice(index + 1)) {
        if (other.end < lock.start || other.start > lock.end) continue;
        if (other.owner === lock.owner) fail('two locks of one owner overlap');
        else if (lock.type === F_WRLCK || other.type === F_WRLCK) fail('two locks exclude each other');
      }
    }
  }
  if (sum !== rangesInAll) fail(`${sum} range locks, counted ${rangesInAll}`);
});
