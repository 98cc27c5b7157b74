// Changing attributes: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2), umask(2) and their forms.

import { EBADF, EFBIG, EINTR, EINVAL, ENODEV, ENOSPC, EOPNOTSUPP, EPERM, ESPIPE } from '../abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_UNSHARE_RANGE,
  FALLOC_FL_ZERO_RANGE,
  O_PATH,
  O_WRONLY,
} from '../abi/fcntl.ts';
import { IN_MODIFY } from '../abi/misc.ts';
import { RLIMIT_FSIZE } from '../abi/resource.ts';
import { SI_KERNEL, SIGXFSZ } from '../abi/signal.ts';
import { S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, UTIME_NOW, UTIME_OMIT } from '../abi/stat.ts';
import { type Fd, NULL, type UserAddress } from '../base/brands.ts';
import type { Timestamp } from '../base/clock.ts';
import { breakLeases } from '../fs/leases.ts';
import { WAIT } from '../kernel/block.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToTask } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { readS64 } from '../platform/arena.ts';
import {
  changeMode,
  changeOwner,
  changeTimes,
  checkSizeLimit,
  currentTime,
  dropSetId,
  truncateInode,
} from '../vfs/attributes.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode, StatFs } from '../vfs/inode.ts';
import { isAppendOnly, isFixed } from '../vfs/inode-flags.ts';
import { notifyDentry, notifyFile } from '../vfs/notify.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const CWD = AT_FDCWD as Fd;

/** What a path argument names, with AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH as `flags` has them; or -errno. */
function find(task: Task, dirfd: Fd, path: UserAddress, flags: number): Path | number {
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const found = resolve(task, dirfd, text, walk);
  if (typeof found === 'number') return found;
  const r = (found.dentry.inode as Inode).refresh();
  return r < 0 ? r : found;
}

/** chmod(2) */
export function chmod(task: Task, path: UserAddress, mode: number): number {
  return fchmodat2(task, CWD, path, mode, 0);
}

/** fchmod(2) */
export function fchmod(task: Task, fd: Fd, mode: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return changeMode(task, file.path, file.inode, mode);
}

/** fchmodat(2) as the kernel has it: without flags */
export function fchmodat(task: Task, dirfd: Fd, path: UserAddress, mode: number): number {
  return fchmodat2(task, dirfd, path, mode, 0);
}

/** fchmodat2(2) */
export function fchmodat2(task: Task, dirfd: Fd, path: UserAddress, mode: number, flags: number): number {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const found = find(task, dirfd, path, flags);
  return typeof found === 'number' ? found : changeMode(task, found, found.dentry.inode as Inode, mode);
}

/** chown(2) */
export function chown(task: Task, path: UserAddress, owner: number, group: number): number {
  return fchownat(task, CWD, path, owner, group, 0);
}

/** lchown(2) */
export function lchown(task: Task, path: UserAddress, owner: number, group: number): number {
  return fchownat(task, CWD, path, owner, group, AT_SYMLINK_NOFOLLOW);
}

/** fchown(2) */
export function fchown(task: Task, fd: Fd, owner: number, group: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return changeOwner(task, file.path, file.inode, owner, group);
}

/** fchownat(2) */
export function fchownat(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  owner: number,
  group: number,
  flags: number,
): number {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const found = find(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  return changeOwner(task, found, found.dentry.inode as Inode, owner, group);
}

/** umask(2) */
export function umask(task: Task, mask: number): number {
  const before = task.fs.umask;
  task.fs.umask = mask & 0o777;
  return before;
}

/** utimensat(2): without a path, the file of dirfd itself */
export function utimensat(task: Task, dirfd: Fd, path: UserAddress, times: UserAddress, flags: number): number {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  let atime: Timestamp | null = currentTime();
  let mtime: Timestamp | null = atime;
  let now = true;
  if (times !== NULL) {
    const at = task.memory.in(times, 32);
    if (at < 0) return at;
    const first = timespecAt(at);
    const second = timespecAt(at + 16);
    if (typeof first === 'number' || typeof second === 'number') return -EINVAL;
    now = first.nanoseconds === UTIME_NOW && second.nanoseconds === UTIME_NOW;
    atime = chosen(first, atime);
    mtime = chosen(second, mtime);
  }
  if (path === NULL && dirfd !== CWD) {
    if (flags & ~AT_EMPTY_PATH) return -EINVAL;
    const file = task.files.get(dirfd);
    if (!file || file.flags & O_PATH) return -EBADF;
    return changeTimes(task, file.path, file.inode, atime, mtime, now);
  }
  return setTimes(task, dirfd, path, flags, atime, mtime, now);
}

function setTimes(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  atime: Timestamp | null,
  mtime: Timestamp | null,
  now: boolean,
): number {
  const found = find(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  return changeTimes(task, found, found.dentry.inode as Inode, atime, mtime, now);
}

/** A struct timespec with UTIME_NOW and UTIME_OMIT allowed; -EINVAL for other nanoseconds out of range. */
function timespecAt(at: number): Timestamp | number {
  const nanoseconds = readS64(at + 8);
  if (nanoseconds === UTIME_NOW || nanoseconds === UTIME_OMIT) return { seconds: 0, nanoseconds };
  if (nanoseconds < 0 || nanoseconds >= 1e9) return -EINVAL;
  return { seconds: readS64(at), nanoseconds };
}

function chosen(time: Timestamp, current: Timestamp): Timestamp | null {
  if (time.nanoseconds === UTIME_OMIT) return null;
  return time.nanoseconds === UTIME_NOW ? current : time;
}

/** utimes(2) */
export function utimes(task: Task, path: UserAddress, times: UserAddress): number {
  return futimesat(task, CWD, path, times);
}

/** futimesat(2) */
export function futimesat(task: Task, dirfd: Fd, path: UserAddress, times: UserAddress): number {
  let atime = currentTime();
  let mtime = atime;
  if (times !== NULL) {
    const at = task.memory.in(times, 32);
    if (at < 0) return at;
    const first = readS64(at + 8);
    const second = readS64(at + 24);
    if (first < 0 || first >= 1e6 || second < 0 || second >= 1e6) return -EINVAL;
    atime = { seconds: readS64(at), nanoseconds: first * 1000 };
    mtime = { seconds: readS64(at + 16), nanoseconds: second * 1000 };
  }
  if (path === NULL && dirfd !== CWD) return utimensat(task, dirfd, path, times, 0);
  return setTimes(task, dirfd, path, 0, atime, mtime, times === NULL);
}

/** utime(2) */
export function utime(task: Task, path: UserAddress, times: UserAddress): number {
  let atime = currentTime();
  let mtime = atime;
  if (times !== NULL) {
    const at = task.memory.in(times, 16);
    if (at < 0) return at;
    atime = { seconds: readS64(at), nanoseconds: 0 };
    mtime = { seconds: readS64(at + 8), nanoseconds: 0 };
  }
  return setTimes(task, CWD, path, 0, atime, mtime, times === NULL);
}

/** truncate(2) */
export function truncate(task: Task, path: UserAddress, length: number): number {
  if (length < 0) return -EINVAL;
  const found = find(task, CWD, path, 0);
  if (typeof found === 'number') return found;
  let r = withinLimit(task, length);
  if (r === 0) r = breakLeases(task, found.dentry.inode as Inode, O_WRONLY, false);
  return r < 0 ? r : truncateInode(task, found, found.dentry.inode as Inode, length);
}

/** ftruncate(2) */
export function ftruncate(task: Task, fd: Fd, length: number): number {
  if (length < 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if ((file.inode.mode & S_IFMT) !== S_IFREG || !file.writable) return -EINVAL;
  if (isAppendOnly(file.inode)) return -EPERM;
  const r = withinLimit(task, length);
  if (r < 0) return r;
  const cut = shrinkInTurns(task, file, length);
  if (cut !== 0) return cut;
  notifyDentry(file.path.dentry, file.inode, IN_MODIFY);
  dropSetId(task, file.path, file.inode);
  return cut;
}

/** Bytes that are cut off before others are looked after, at the least; of a file that is mostly a hole, more. */
const SHRINK_PIECE = 8 << 20;
const SHRINK_PART = 128;

function shrinkInTurns(task: Task, file: OpenFile, length: number): number {
  for (;;) {
    const surplus = file.inode.size - length;
    const r = file.truncate(length + Math.max(0, surplus - Math.max(SHRINK_PIECE, Math.floor(surplus / SHRINK_PART))));
    if (r < 0 || surplus <= SHRINK_PIECE) return r;
    if (turnIsOver() && yieldTurn(task, 0) === WAIT) return WAIT;
  }
}

/** A file may grow to this length; beyond RLIMIT_FSIZE -EFBIG, and SIGXFSZ is sent. */
function withinLimit(task: Task, length: number): number {
  const r = checkSizeLimit(task.group.limits.soft[RLIMIT_FSIZE], length);
  if (r === -EFBIG) sendSignalToTask(task, signalInfo(SIGXFSZ, SI_KERNEL));
  return r;
}

const FALLOCATE_MODES = [
  0,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_ZERO_RANGE,
  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_UNSHARE_RANGE,
  FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
];

/** fallocate(2) */
export function fallocate(task: Task, fd: Fd, mode: number, offset: number, len: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (offset < 0 || len <= 0) return -EINVAL;
  if (!FALLOCATE_MODES.includes(mode)) return -EOPNOTSUPP;
  if (!file.writable) return -EBADF;
  if (isFixed(file.inode) && (mode & ~FALLOC_FL_KEEP_SIZE || !isAppendOnly(file.inode))) return -EPERM;
  const type = file.inode.mode & S_IFMT;
  if (type === S_IFIFO) return -ESPIPE;
  if (type === S_IFDIR || type !== S_IFREG) return -ENODEV;
  if (offset + len >= 2 ** 63) return -EFBIG;
  if (!(mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))) {
    const r = withinLimit(task, offset + len);
    if (r < 0) return r;
  }
  const allocated = MOVING_MODES.includes(mode)
    ? file.allocate(mode, offset, len)
    : inTurns(task, file, mode, offset, len);
  if (allocated !== 0) return allocated;
  notifyFile(file, IN_MODIFY);
  dropSetId(task, file.path, file.inode);
  return allocated;
}

const space: StatFs = {
  type: 0,
  blockSize: 0,
  blocks: 0,
  blocksFree: 0,
  blocksAvailable: 0,
  files: 0,
  filesFree: 0,
  nameMax: 0,
  flags: 0,
};

/** Bytes that the file's file system has left; Infinity where it does not say. */
function freeSpace(file: OpenFile): number {
  const r = file.inode.superblock.statfs(space);
  return r < 0 || space.blocks === 0 ? Number.POSITIVE_INFINITY : space.blocksFree * space.blockSize;
}

/** Modes that move what comes after: not to be done by halves. */
const MOVING_MODES = [FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE];

/** Bytes that are allocated before others are looked after. */
const ALLOCATE_PIECE = 2 << 20;

function inTurns(task: Task, file: OpenFile, mode: number, offset: number, length: number): number {
  let done = task.resumed ? task.progress : 0;
  // Refused as a whole rather than when everything that there is has been taken.
  if (done === 0 && !(mode & FALLOC_FL_PUNCH_HOLE) && offset + length - file.inode.size > freeSpace(file))
    return -ENOSPC;
  while (done < length) {
    const least =
      mode & FALLOC_FL_PUNCH_HOLE ? Math.max(SHRINK_PIECE, Math.floor(length / SHRINK_PART)) : ALLOCATE_PIECE;
    const piece = Math.min(length - done, least);
    const r = file.allocate(mode, offset + done, piece);
    if (r < 0) return r;
    done += piece;
    if (done < length && turnIsOver()) {
      const n = yieldTurn(task, done);
      return n === WAIT ? WAIT : -EINTR;
    }
  }
  return 0;
}
