// Looking into other processes: process_vm_readv(2), process_vm_writev(2), kcmp(2).

import { EBADF, EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '../abi/errno.ts';
import { IOV_MAX } from '../abi/fcntl.ts';
import {
  KCMP_EPOLL_TFD,
  KCMP_FILE,
  KCMP_FILES,
  KCMP_FS,
  KCMP_IO,
  KCMP_SIGHAND,
  KCMP_SYSVSEM,
  KCMP_VM,
} from '../abi/misc.ts';
import type { Fd, Pid, UserAddress } from '../base/brands.ts';
import { mayInspect } from '../kernel/credentials.ts';
import { hasUndo } from '../kernel/ipc/objects.ts';
import { findTask } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { showOriginals } from '../mm/patches.ts';
import { allocateScratch, readU64 } from '../platform/arena.ts';

const CHUNK = 64 << 10;
const RW_MAX = 0x7ffff000;

/** A vector of the caller's: addresses and lengths in turn. */
function readVector(task: Task, address: UserAddress, count: number): number[] | number {
  if (!(count >= 0 && count <= IOV_MAX)) return -EINVAL;
  const at = task.memory.in(address, count * 16);
  if (at < 0) return at;
  const vector: number[] = [];
  for (let i = 0; i < count; i++) {
    const length = readU64(at + i * 16 + 8);
    if (length >= 2 ** 63) return -EINVAL;
    vector.push(readU64(at + i * 16), length);
  }
  return vector;
}

/** process_vm_readv(2) */
export function process_vm_readv(
  task: Task,
  pid: Pid,
  local: UserAddress,
  localCount: number,
  remote: UserAddress,
  remoteCount: number,
  flags: number,
): number {
  return transfer(task, pid, local, localCount, remote, remoteCount, flags, false);
}

/** process_vm_writev(2) */
export function process_vm_writev(
  task: Task,
  pid: Pid,
  local: UserAddress,
  localCount: number,
  remote: UserAddress,
  remoteCount: number,
  flags: number,
): number {
  return transfer(task, pid, local, localCount, remote, remoteCount, flags, true);
}

function transfer(
  task: Task,
  pid: Pid,
  local: UserAddress,
  localCount: number,
  remote: UserAddress,
  remoteCount: number,
  flags: number,
  writes: boolean,
): number {
  if (flags !== 0) return -EINVAL;
  const own = readVector(task, local, localCount);
  if (typeof own === 'number') return own;
  if (own.length === 0) return 0;
  const its = readVector(task, remote, remoteCount);
  if (typeof its === 'number') return its;
  const target = findTask(task, pid);
  if (!target || target.group.status >= 0) return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  return writes ? copy(task, own, target, its) : copy(target, its, task, own);
}

/** Copies along two vectors, from task to task, until one ends or memory is not there: bytes, or -EFAULT for none. */
function copy(from: Task, source: number[], to: Task, destination: number[]): number {
  const at = allocateScratch(CHUNK);
  if (at < 0) return at;
  let done = 0;
  let [i, j] = [0, 0];
  while (i < source.length && j < destination.length && done < RW_MAX) {
    const n = Math.min(source[i + 1], destination[j + 1], CHUNK, RW_MAX - done);
    if (n > 0) {
      const got = from.memory.readSome(source[i] as UserAddress, at, n);
      if (got > 0) showOriginals(from.mm, source[i], at, got);
      if (got <= 0 || to.memory.write(destination[j] as UserAddress, at, got) < 0) return done > 0 ? done : -EFAULT;
      done += got;
      if (got < n) return done;
      source[i] += n;
      source[i + 1] -= n;
      destination[j] += n;
      destination[j + 1] -= n;
    }
    if (source[i + 1] === 0) i += 2;
    if (j < destination.length && destination[j + 1] === 0) j += 2;
  }
  return done;
}

const serials = new WeakMap<object, number>();
let lastSerial = 0;

/** Any order of kernel objects will do, as long as it stays. */
function serial(object: object): number {
  let number = serials.get(object);
  if (number === undefined) {
    number = ++lastSerial;
    serials.set(object, number);
  }
  return number;
}

/** 0 for the same, 1 for less, 2 for greater. */
function compare(a: object, b: object): number {
  return a === b ? 0 : serial(a) < serial(b) ? 1 : 2;
}

/** kcmp(2): whether two tasks share a resource. */
export function kcmp(task: Task, pid1: Pid, pid2: Pid, type: number, index1: number, index2: number): number {
  const a = task.pidNamespace.tasks.get(pid1);
  const b = task.pidNamespace.tasks.get(pid2);
  if (!a || !b) return -ESRCH;
  if (!mayInspect(task, a) || !mayInspect(task, b)) return -EPERM;
  switch (type) {
    case KCMP_FILE: {
      const first = a.files.get(index1 as Fd);
      const second = b.files.get(index2 as Fd);
      return first && second ? compare(first, second) : -EBADF;
    }
    case KCMP_VM:
      return compare(a.mm, b.mm);
    case KCMP_FILES:
      return compare(a.files, b.files);
    case KCMP_FS:
      return compare(a.fs, b.fs);
    case KCMP_SIGHAND:
      return compare(a.group.actions, b.group.actions);
    // There are no contexts of input and output here: nobody has one.
    case KCMP_IO:
      return 0;
    case KCMP_SYSVSEM:
      return hasUndo(a.group) || hasUndo(b.group) ? compare(a.group, b.group) : 0;
    case KCMP_EPOLL_TFD:
      return -EOPNOTSUPP;
    default:
      return -EINVAL;
  }
}
