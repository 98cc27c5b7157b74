// Opening and closing: open(2), openat2(2), creat(2), close(2), close_range(2).

import { E2BIG, EBADF, EINVAL } from '../abi/errno.ts';
import { FAN_OPEN_PERM } from '../abi/fanotify.ts';
import {
  AT_FDCWD,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  OPEN_HOW_SIZE,
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from '../abi/fcntl.ts';
import { CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE } from '../abi/misc.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { breakLeases } from '../fs/leases.ts';
import { fifoOpenPending } from '../fs/pipe/fifo.ts';
import { block, WAIT } from '../kernel/block.ts';
import { installFile } from '../kernel/descriptors.ts';
import { keepForWaiters } from '../kernel/held-file.ts';
import { checkTableSize } from '../kernel/limits.ts';
import type { Task } from '../kernel/task.ts';
import { readU64, u8 } from '../platform/arena.ts';
import { askPermission } from '../vfs/notify.ts';
import { beginOpen, finishOpen, KNOWN_FLAGS, sanitizeOpenFlags } from '../vfs/open.ts';
import { drop, OpenFile } from '../vfs/open-file.ts';

const CWD = AT_FDCWD as Fd;

/** open(2) */
export function open(task: Task, path: UserAddress, flags: number, mode: number): number {
  return openAndInstall(task, CWD, path, sanitizeOpenFlags(flags), mode, 0);
}

/** openat(2) */
export function openat(task: Task, dirfd: Fd, path: UserAddress, flags: number, mode: number): number {
  return openAndInstall(task, dirfd, path, sanitizeOpenFlags(flags), mode, 0);
}

/** creat(2) */
export function creat(task: Task, path: UserAddress, mode: number): number {
  return openAndInstall(task, CWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, 0);
}

const RESOLVE_KNOWN =
  RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;
const PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/** openat2(2): refuses what it does not know, where openat drops it. */
export function openat2(task: Task, dirfd: Fd, path: UserAddress, how: UserAddress, size: number): number {
  if (size < OPEN_HOW_SIZE) return -EINVAL;
  if (size > 4096) return -E2BIG;
  const at = task.memory.in(how, size);
  if (at < 0) return at;
  for (let i = at + OPEN_HOW_SIZE; i < at + size; i++) if (u8[i] !== 0) return -E2BIG;
  const flags = readU64(at);
  const mode = readU64(at + 8);
  const walk = readU64(at + 16);
  if (flags >= 2 ** 31 || flags & ~KNOWN_FLAGS || walk >= 2 ** 31 || walk & ~RESOLVE_KNOWN) return -EINVAL;
  if ((walk & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) === (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return -EINVAL;
  if (flags & O_PATH && flags & ~PATH_FLAGS) return -EINVAL;
  const makes = flags & O_CREAT || flags & O_TMPFILE & ~O_DIRECTORY;
  if (makes ? mode > 0o7777 : mode !== 0) return -EINVAL;
  // Everything is in the cache, as far as a caller can tell: nothing here ever blocks.
  return openAndInstall(task, dirfd, path, flags, mode, walk & ~RESOLVE_CACHED);
}

function openAndInstall(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  mode: number,
  walkFlags: number,
): number {
  let file: OpenFile | number;
  if (task.resumed && task.pendingObject instanceof OpenFile) {
    file = task.pendingObject;
  } else {
    const text = task.memory.string(path);
    if (typeof text === 'number') return text;
    file = beginOpen(task, dirfd, text, flags, mode, walkFlags);
    if (typeof file === 'number') return file;
  }
  const allowed = settle(task, file, flags);
  if (allowed !== 0) return allowed;
  if (fifoOpenPending(file)) {
    task.pendingObject = file;
    const r = block(task, file.waitQueue, POLLIN | POLLOUT);
    if (r === WAIT) return r;
    task.pendingObject = null;
    drop(file);
    return r;
  }
  task.pendingObject = null;
  const opened = finishOpen(file, flags);
  return typeof opened === 'number' ? opened : installFile(task, opened, (flags & O_CLOEXEC) !== 0);
}

/** Asks who may refuse the open file to the task: 0, WAIT until there is an answer, or -errno, and the file is dropped. */
function settle(task: Task, file: OpenFile, flags: number): number {
  if (file.flags & O_PATH) return 0;
  let r = askPermission(task, file, FAN_OPEN_PERM);
  if (r === 0 && file.inode.locks !== null && !file.created) {
    r = breakLeases(task, file.inode, flags & O_TRUNC ? O_WRONLY : flags, file.nonblocking);
  }
  if (r === WAIT) task.pendingObject = file;
  else if (r < 0) {
    task.pendingObject = null;
    file.quiet = true;
    drop(file);
  }
  return r;
}

/** close(2) */
export function close(task: Task, fd: Fd): number {
  const file = task.files.remove(fd);
  if (!file) return -EBADF;
  keepForWaiters(task, fd, file);
  file.flush(task);
  drop(file);
  return 0;
}

/** close_range(2) */
export function close_range(task: Task, first: number, last: number, flags: number): number {
  if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last) return -EINVAL;
  if (flags & CLOSE_RANGE_UNSHARE && task.files.users > 1) {
    const r = checkTableSize(task.files);
    if (r < 0) return r;
    const copy = task.files.copy();
    task.files.users--;
    task.files = copy;
  }
  const end = Math.min(last, task.files.files.length - 1);
  for (let fd = first; fd <= end; fd++) {
    if (flags & CLOSE_RANGE_CLOEXEC) task.files.setCloseOnExec(fd as Fd, true);
    else close(task, fd as Fd);
  }
  return 0;
}
