// Directory entries for getdents(2) and getdents64(2), laid down straight where they are copied to the guest from.

import { EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR } from '../abi/errno.ts';
import { FAN_ACCESS_PERM } from '../abi/fanotify.ts';
import { IN_ACCESS } from '../abi/misc.ts';
import type { UserAddress } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { IO_CHUNK, u8, u16, writeBytes, writeU64 } from '../platform/arena.ts';
import { askPermission, notifyFile } from '../vfs/notify.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const INT_MAX = 0x7fffffff;
const NAME_64 = 19;
const NAME_OLD = 18;

// Where the entries of the call being served go.
let start = 0;
let next = 0;
let end = 0;
let full = false;

function put64(name: string, ino: number, type: number, offset: number): boolean {
  const length = (NAME_64 + name.length + 1 + 7) & ~7;
  if (next + length > end) {
    full = true;
    return false;
  }
  const at = next;
  writeU64(at, ino);
  writeU64(at + 8, offset);
  u16[(at + 16) >>> 1] = length;
  u8[at + 18] = type;
  writeBytes(at + NAME_64, name);
  u8.fill(0, at + NAME_64 + name.length, at + length);
  next = at + length;
  return true;
}

/** struct linux_dirent: the type is in the last byte. */
function putOld(name: string, ino: number, type: number, offset: number): boolean {
  const length = (NAME_OLD + name.length + 2 + 7) & ~7;
  if (next + length > end) {
    full = true;
    return false;
  }
  const at = next;
  writeU64(at, ino);
  writeU64(at + 8, offset);
  u16[(at + 16) >>> 1] = length;
  writeBytes(at + NAME_OLD, name);
  u8.fill(0, at + NAME_OLD + name.length, at + length);
  u8[at + length - 1] = type;
  next = at + length;
  return true;
}

/** Entries from the directory's position on. Bytes, 0 at the end, -EINVAL if not even one fits. */
export function directoryEntries(task: Task, file: OpenFile, address: UserAddress, count: number): number {
  return list(task, file, address, count, put64);
}

/** As `directoryEntries`, in the layout of getdents(2). */
export function directoryEntriesOld(task: Task, file: OpenFile, address: UserAddress, count: number): number {
  return list(task, file, address, count, putOld);
}

function list(task: Task, file: OpenFile, address: UserAddress, count: number, put: typeof put64): number {
  if (!file.readable) return -EBADF;
  if (!file.inode.isDirectory) return -ENOTDIR;
  // A directory that was removed lists nothing, not even itself.
  if (file.inode.nlink === 0) return -ENOENT;
  const allowed = askPermission(task, file, FAN_ACCESS_PERM);
  if (allowed !== 0) return allowed;
  // A length that is negative as an int has room for nothing.
  const length = count > INT_MAX ? 0 : Math.min(count, IO_CHUNK);
  const at = task.memory.reserve(length);
  if (at < 0) return -EFAULT;
  start = next = at;
  end = at + length;
  full = false;
  const r = file.readdir(put, turnIsOver);
  const got = next - start;
  if (got === 0 && r > 0) return yieldTurn(task, 0);
  notifyFile(file, IN_ACCESS);
  if (got === 0) return full ? -EINVAL : Math.min(r, 0);
  task.memory.commit(address, at, got);
  return got;
}
