// fcntl(2)'s record locks: struct flock in and out, and the waiting of F_SETLKW. The locks are in vfs/locks.ts.

import { EAGAIN, EBADF, EDEADLK, EINVAL, EOVERFLOW } from '../abi/errno.ts';
import {
  F_GETLK,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_RDLCK,
  F_SETLKW,
  F_UNLCK,
  F_WRLCK,
  FLOCK_LEN,
  FLOCK_PID,
  FLOCK_SIZE,
  FLOCK_START,
  FLOCK_TYPE,
  FLOCK_WHENCE,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from '../abi/fcntl.ts';
import { POLLIN } from '../abi/poll.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { block, WAIT } from '../kernel/block.ts';
import { kernel } from '../kernel/kernel.ts';
import { initialPids, numberIn } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { i32, readS64, u16, writeU64 } from '../platform/arena.ts';
import { awaitRangeLock, conflictingRange, isLockType, lockQueue, setRangeLock, stopAwaiting } from '../vfs/locks.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const OFFSET_MAX = 2 ** 63;
const NO_PID = -1 as Pid;

/** F_GETLK, F_SETLK, F_SETLKW and their OFD forms; `address` is a struct flock. */
export function fcntlLock(task: Task, file: OpenFile, command: number, address: UserAddress): number {
  const at = task.memory.in(address, FLOCK_SIZE);
  if (at < 0) return at;
  const type = u16[(at + FLOCK_TYPE) >>> 1];
  const whence = u16[(at + FLOCK_WHENCE) >>> 1];
  const length = readS64(at + FLOCK_LEN);
  const pid = i32[(at + FLOCK_PID) >>> 2];
  const base = lockBase(file, whence);
  if (base < 0) return base;
  let start = base + readS64(at + FLOCK_START);
  if (!isLockType(type)) return -EINVAL;
  let end = length > 0 ? start + length - 1 : Infinity;
  if (length < 0) {
    end = start - 1;
    start += length;
  }
  if (start < 0) return -EINVAL;
  if (end !== Infinity && end >= OFFSET_MAX) return -EOVERFLOW;
  const ofd = command === F_OFD_GETLK || command === F_OFD_SETLK || command === F_OFD_SETLKW;
  if (ofd && pid !== 0) return -EINVAL;
  const owner = ofd ? file : task.files;
  const owningPid = ofd ? NO_PID : task.group.pid;
  if (command === F_GETLK || command === F_OFD_GETLK) return tell(task, file, owner, address, type, start, end);
  if ((type === F_RDLCK && !file.readable) || (type === F_WRLCK && !file.writable)) return -EBADF;
  const r = setRangeLock(file.inode, owner, owningPid, type, start, end);
  if (r !== -EAGAIN || (command !== F_SETLKW && command !== F_OFD_SETLKW)) return r;
  if (!ofd && awaitRangeLock(file.inode, owner, type, start, end) < 0) return -EDEADLK;
  const waits = block(task, lockQueue(file.inode), POLLIN);
  if (waits !== WAIT) stopAwaiting(owner);
  return waits;
}

/** What the start of a lock counts from. */
function lockBase(file: OpenFile, whence: number): number {
  if (whence === SEEK_SET) return 0;
  if (whence === SEEK_CUR) return file.position;
  if (whence !== SEEK_END) return -EINVAL;
  const r = file.inode.refresh();
  return r < 0 ? r : file.inode.size;
}

/** The number of who holds a lock, for the task; 0 when it is not to be seen, -1 where no process does. */
function holder(task: Task, pid: Pid): number {
  return task.pidNamespace === initialPids || pid < 0 ? pid : numberIn(task.pidNamespace, kernel.groups.get(pid));
}

/** F_GETLK: the first lock in the way, or F_UNLCK in the struct as it was. */
function tell(
  task: Task,
  file: OpenFile,
  owner: object,
  address: UserAddress,
  type: number,
  start: number,
  end: number,
): number {
  if (type === F_UNLCK) return -EINVAL;
  const lock = conflictingRange(file.inode, owner, type, start, end);
  if (!lock) {
    const at = task.memory.out(address, 2);
    if (at < 0) return at;
    u16[at >>> 1] = F_UNLCK;
    return 0;
  }
  const at = task.memory.out(address, FLOCK_SIZE);
  if (at < 0) return at;
  u16[(at + FLOCK_TYPE) >>> 1] = lock.type;
  u16[(at + FLOCK_WHENCE) >>> 1] = SEEK_SET;
  i32[(at + 4) >>> 2] = 0;
  writeU64(at + FLOCK_START, lock.start);
  writeU64(at + FLOCK_LEN, lock.end === Infinity ? 0 : lock.end - lock.start + 1);
  i32[(at + FLOCK_PID) >>> 2] = holder(task, lock.pid);
  i32[(at + FLOCK_PID + 4) >>> 2] = 0;
  return 0;
}
