// System V semaphores: semget(2), semop(2), semtimedop(2), semctl(2).

import { E2BIG, EAGAIN, EFAULT, EIDRM, EINTR, EINVAL, ENOSPC, ERANGE } from '../abi/errno.ts';
import {
  GETALL,
  GETNCNT,
  GETPID,
  GETVAL,
  GETZCNT,
  IPC_INFO,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  SEM_INFO,
  SEM_STAT,
  SEM_STAT_ANY,
  SEMAEM,
  SEMBUF_SIZE,
  SEMID_SIZE,
  SEMINFO_SIZE,
  SEMMNI,
  SEMMNS,
  SEMMSL,
  SEMOPM,
  SEMUME,
  SEMUSZ,
  SEMVMX,
  SETALL,
  SETVAL,
} from '../abi/ipc.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { block, setTimeoutOnce, timedOut } from '../kernel/block.ts';
import { MAY_READ_IPC, MAY_WRITE_IPC } from '../kernel/ipc/ids.ts';
import { objectsOf } from '../kernel/ipc/objects.ts';
import {
  refused,
  removeSemaphoreSet,
  SEMAPHORES_MAX,
  type SemaphoreOperation,
  SemaphoreSet,
  semaphoreCount,
} from '../kernel/ipc/semaphores.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { readTimespec } from '../kernel/time-arguments.ts';
import { i32, u16 } from '../platform/arena.ts';

/** semget(2) */
export function semget(task: Task, key: number, count: number, flags: number): number {
  if (count < 0 || count > SEMMSL) return -EINVAL;
  const { credentials } = task;
  const make = (): SemaphoreSet | number => {
    if (count === 0) return -EINVAL;
    if (semaphoreCount() + count > SEMAPHORES_MAX) return -ENOSPC;
    return new SemaphoreSet(key | 0, flags, credentials, count);
  };
  const fits = (set: SemaphoreSet): number => (count > set.values.length ? -EINVAL : 0);
  return objectsOf(task).semaphoreSets.get(key | 0, flags, credentials, SEMMNI, make, fits);
}

/** semop(2) */
export function semop(task: Task, semid: number, operations: UserAddress, count: number): number {
  return semtimedop(task, semid, operations, count, NULL);
}

/** semtimedop(2): all or nothing; not made again after a signal. */
export function semtimedop(
  task: Task,
  semid: number,
  address: UserAddress,
  count: number,
  timeout: UserAddress,
): number {
  if (count < 1 || semid < 0) return -EINVAL;
  if (count > SEMOPM) return -E2BIG;
  const limit = timeout === 0 ? Number.POSITIVE_INFINITY : readTimespec(task, timeout);
  if (limit < 0) return limit;
  const operations = readOperations(task, address, count);
  if (typeof operations === 'number') return operations;
  if (task.resumed) {
    const before = task.pendingObject as SemaphoreSet;
    before.waitsNoMore(task);
    if (before.removed) return -EIDRM;
  }
  const set = objectsOf(task).semaphoreSets.find(semid);
  if (!set) return -EINVAL;
  const allowed = set.check(
    task.credentials,
    operations.some(({ amount }) => amount !== 0) ? MAY_WRITE_IPC : MAY_READ_IPC,
  );
  if (allowed < 0) return allowed;
  const result = set.operate(operations, task.group);
  if (typeof result === 'number') return result;
  const r = refused(result);
  if (r < 0) return r;
  setTimeoutOnce(task, limit);
  if (timedOut(task)) return -EAGAIN;
  task.pendingObject = set;
  set.waits(task, result);
  return block(task, set.queue, 1, EINTR);
}

function readOperations(task: Task, address: UserAddress, count: number): SemaphoreOperation[] | number {
  const at = task.memory.in(address, count * SEMBUF_SIZE);
  if (at < 0) return at;
  return Array.from({ length: count }, (_, index) => {
    const i = (at + index * SEMBUF_SIZE) >>> 1;
    return { number: u16[i], amount: (u16[i + 1] << 16) >> 16, flags: (u16[i + 2] << 16) >> 16 };
  });
}

/** semctl(2); `arg` is a value or an address, by command. */
export function semctl(task: Task, semid: number, semnum: number, command: number, arg: UserAddress): number {
  if (semid < 0) return -EINVAL;
  switch (command) {
    case IPC_INFO:
    case SEM_INFO:
      return information(task, command, arg);
    case SEM_STAT:
    case SEM_STAT_ANY:
    case IPC_STAT:
      return status(task, semid, command, arg);
    case IPC_SET:
    case IPC_RMID:
      return manage(task, semid, command, arg);
    case GETALL:
    case SETALL:
      return all(task, semid, command, arg);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
    case SETVAL:
      return one(task, semid, semnum, command, arg);
    default:
      return -EINVAL;
  }
}

/** struct seminfo: limits, or for SEM_INFO what there is. */
function information(task: Task, command: number, address: UserAddress): number {
  const at = task.memory.out(address, SEMINFO_SIZE);
  if (at < 0) return at;
  const { semaphoreSets } = objectsOf(task);
  const used = command === SEM_INFO ? [semaphoreSets.count, semaphoreCount()] : [SEMUSZ, SEMAEM];
  const fields = [SEMMNS, SEMMNI, SEMMNS, SEMMNS, SEMMSL, SEMOPM, SEMUME, used[0], SEMVMX, used[1]];
  fields.forEach((value, index) => {
    i32[(at >>> 2) + index] = value;
  });
  return semaphoreSets.highest;
}

function status(task: Task, id: number, command: number, address: UserAddress): number {
  const byIndex = command !== IPC_STAT;
  const { semaphoreSets } = objectsOf(task);
  const set = byIndex ? semaphoreSets.at(id) : semaphoreSets.find(id);
  if (!set) return -EINVAL;
  const allowed = command === SEM_STAT_ANY ? 0 : set.check(task.credentials, MAY_READ_IPC);
  if (allowed < 0) return allowed;
  const at = task.memory.out(address, SEMID_SIZE);
  if (at < 0) return at;
  set.put(at, task);
  return byIndex ? set.id : 0;
}

/** IPC_SET and IPC_RMID, for owners. */
function manage(task: Task, id: number, command: number, address: UserAddress): number {
  const at = command === IPC_SET ? task.memory.in(address, SEMID_SIZE) : 0;
  if (at < 0) return at;
  const set = objectsOf(task).semaphoreSets.find(id);
  if (!set) return -EINVAL;
  const allowed = set.checkOwner(task.credentials);
  if (allowed < 0) return allowed;
  if (command === IPC_SET) return set.setPermissions(at, task);
  removeSemaphoreSet(objectsOf(task).semaphoreSets, set);
  return 0;
}

function all(task: Task, id: number, command: number, address: UserAddress): number {
  const set = objectsOf(task).semaphoreSets.find(id);
  if (!set) return -EINVAL;
  const allowed = set.check(task.credentials, command === SETALL ? MAY_WRITE_IPC : MAY_READ_IPC);
  if (allowed < 0) return allowed;
  const { values } = set;
  if (command === GETALL) {
    const at = task.memory.out(address, values.length * 2);
    if (at < 0) return at === -EFAULT ? at : -EINVAL;
    u16.set(values, at >>> 1);
    return 0;
  }
  const at = task.memory.in(address, values.length * 2);
  if (at < 0) return at;
  const wanted = u16.slice(at >>> 1, (at >>> 1) + values.length);
  if (wanted.some((value) => value > SEMVMX)) return -ERANGE;
  wanted.forEach((value, number) => {
    set.set(number, value, task.group.identity);
  });
  set.queue.wake(1);
  return 0;
}

/** Commands on a single semaphore of the set. */
function one(task: Task, id: number, number: number, command: number, arg: number): number {
  const set = objectsOf(task).semaphoreSets.find(id);
  if (!set) return -EINVAL;
  const value = arg | 0;
  if (command === SETVAL && (value < 0 || value > SEMVMX)) return -ERANGE;
  if (number < 0 || number >= set.values.length) return -EINVAL;
  const allowed = set.check(task.credentials, command === SETVAL ? MAY_WRITE_IPC : MAY_READ_IPC);
  if (allowed < 0) return allowed;
  switch (command) {
    case GETVAL:
      return set.values[number];
    case GETPID:
      return numberIn(task.pidNamespace, set.pids[number]);
    case GETNCNT:
      return set.countWaiting(number, false);
    case GETZCNT:
      return set.countWaiting(number, true);
    default:
      set.set(number, value, task.group.identity);
      set.queue.wake(1);
      return 0;
  }
}
