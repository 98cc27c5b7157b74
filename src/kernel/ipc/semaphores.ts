// System V semaphore sets (semop(2)): several semaphores changed at once or not at all, and what SEM_UNDO takes back
// when a process ends.

import { EAGAIN, EFBIG, ENOSPC, ERANGE } from '../../abi/errno.ts';
import {
  IPC_NOWAIT,
  SEM_UNDO,
  SEMAEM,
  SEMID_CTIME,
  SEMID_NSEMS,
  SEMID_OTIME,
  SEMID_SIZE,
  SEMVMX,
} from '../../abi/ipc.ts';
import type { Credentials } from '../../base/credentials.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { u8, writeU64 } from '../../platform/arena.ts';
import type { Numbered } from '../pid-namespaces.ts';
import { BLOCKED, type Task, type ThreadGroup } from '../task.ts';
import { IpcObject, type IpcTable, nowSeconds } from './ids.ts';

export interface SemaphoreOperation {
  readonly number: number;
  readonly amount: number;
  readonly flags: number;
}

/** A call that could not go on: EAGAIN if it must not wait, else the semaphore it waits for. */
export interface Obstacle {
  readonly number: number;
  /** It waits for zero; otherwise for a higher value. */
  readonly forZero: boolean;
  readonly mayWait: boolean;
}

export class SemaphoreSet extends IpcObject {
  readonly values: Uint16Array;
  /** Who changed each semaphore last. */
  readonly pids: (Numbered | null)[];
  operationTime = 0;
  /** Woken when a value changes and when the set goes. */
  readonly queue = new WaitQueue();
  /** What each process gets back at its end, by semaphore. */
  readonly undo = new Map<ThreadGroup, Map<number, number>>();
  /** What blocked tasks wait for; entries of tasks that no longer do are dropped when somebody asks. */
  private readonly waiting = new Map<Task, Obstacle>();

  constructor(key: number, mode: number, owner: Credentials, count: number) {
    super(key, mode, owner);
    this.values = new Uint16Array(count);
    this.pids = new Array(count).fill(null);
    total += count;
  }

  /** Makes all operations: 0, -ERANGE, -EFBIG, or what stands in the way, with nothing done. */
  operate(operations: readonly SemaphoreOperation[], group: ThreadGroup): number | Obstacle {
    const result = new Map<number, number>();
    for (const { number, amount, flags } of operations) {
      if (number >= this.values.length) return -EFBIG;
      const value = result.get(number) ?? this.values[number];
      const mayWait = (flags & IPC_NOWAIT) === 0;
      if (amount === 0 ? value !== 0 : value + amount < 0) return { number, forZero: amount === 0, mayWait };
      if (value + amount > SEMVMX) return -ERANGE;
      result.set(number, value + amount);
    }
    const r = this.noteUndo(operations, group);
    if (r < 0) return r;
    for (const [number, value] of result) this.values[number] = value;
    for (const { number } of operations) this.pids[number] = group.identity;
    this.operationTime = nowSeconds();
    if (operations.some(({ amount }) => amount !== 0)) this.queue.wake(1);
    return 0;
  }

  private noteUndo(operations: readonly SemaphoreOperation[], group: ThreadGroup): number {
    const undone = operations.filter(({ flags, amount }) => flags & SEM_UNDO && amount !== 0);
    if (undone.length === 0) return 0;
    if (adjustments + undone.length > ADJUSTMENTS_MAX) return -ENOSPC;
    const before = this.undo.get(group);
    const adjust = new Map(before);
    for (const { number, amount } of undone) {
      const value = (adjust.get(number) ?? 0) - amount;
      if (value < -SEMAEM - 1 || value > SEMAEM) return -ERANGE;
      adjust.set(number, value);
    }
    adjustments += adjust.size - (before?.size ?? 0);
    this.undo.set(group, adjust);
    return 0;
  }

  /** SETVAL and SETALL: what was to be undone of these semaphores is forgotten. */
  set(number: number, value: number, by: Numbered): void {
    this.values[number] = value;
    this.pids[number] = by;
    for (const adjust of this.undo.values()) if (adjust.delete(number)) adjustments--;
    this.changeTime = nowSeconds();
  }

  /** A process has ended: what it asked to be undone is, as far as values allow. */
  takeBack(group: ThreadGroup): void {
    const adjust = this.undo.get(group);
    if (!adjust) return;
    this.undo.delete(group);
    adjustments -= adjust.size;
    for (const [number, amount] of adjust) {
      if (amount === 0) continue;
      this.values[number] = Math.max(0, Math.min(SEMVMX, this.values[number] + amount));
      this.pids[number] = group.identity;
    }
    this.operationTime = nowSeconds();
    this.queue.wake(1);
  }

  waits(task: Task, obstacle: Obstacle): void {
    this.waiting.set(task, obstacle);
  }

  /** GETNCNT and GETZCNT: how many tasks wait for a semaphore to rise, or to be zero. */
  countWaiting(number: number, forZero: boolean): number {
    let count = 0;
    for (const [task, obstacle] of this.waiting) {
      if (task.state !== BLOCKED || task.pendingObject !== this) this.waiting.delete(task);
      else if (obstacle.number === number && obstacle.forZero === forZero) count++;
    }
    return count;
  }

  /** The call of a task that waited is over. */
  waitsNoMore(task: Task): void {
    this.waiting.delete(task);
  }

  /** Lays down a struct semid64_ds. */
  put(at: number, viewer: Task): void {
    u8.fill(0, at, at + SEMID_SIZE);
    this.putPermissions(at, viewer);
    writeU64(at + SEMID_OTIME, this.operationTime);
    writeU64(at + SEMID_CTIME, this.changeTime);
    writeU64(at + SEMID_NSEMS, this.values.length);
  }
}

let total = 0;
/** Adjustments that are kept for the ends of processes; so many at most, as they take the sentry's memory. */
let adjustments = 0;
const ADJUSTMENTS_MAX = 1 << 20;
/** So many semaphores at most, whatever SEMMNS says, for the same reason. */
export const SEMAPHORES_MAX = 1 << 22;

/** Semaphores in all sets. */
export function semaphoreCount(): number {
  return total;
}

/** The set goes; whoever waits at it is told. */
export function removeSemaphoreSet(table: IpcTable<SemaphoreSet>, set: SemaphoreSet): void {
  table.remove(set);
  total -= set.values.length;
  for (const adjust of set.undo.values()) adjustments -= adjust.size;
  set.queue.wake(1);
}

/** -EAGAIN for a call that must not wait. */
export function refused(obstacle: Obstacle): number {
  return obstacle.mayWait ? 0 : -EAGAIN;
}
