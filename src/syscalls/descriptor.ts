// Descriptors and open file descriptions: dup(2), fcntl(2), flock(2), lseek(2), ioctl(2), fsync(2), fadvise(2).

import { CAP_FOWNER, CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EAGAIN, EBADF, EINVAL, EPERM, ESPIPE } from '../abi/errno.ts';
import {
  F_CREATED_QUERY,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_DUPFD_QUERY,
  F_GETFD,
  F_GETFL,
  F_GETLEASE,
  F_GETLK,
  F_GETPIPE_SZ,
  F_NOTIFY,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_SETFD,
  F_SETFL,
  F_SETLEASE,
  F_SETLK,
  F_SETLKW,
  F_SETPIPE_SZ,
  FD_CLOEXEC,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_APPEND,
  O_ASYNC,
  O_CLOEXEC,
  O_DIRECT,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  POSIX_FADV_NOREUSE,
  SYNC_FILE_RANGE_WAIT_AFTER,
  SYNC_FILE_RANGE_WAIT_BEFORE,
  SYNC_FILE_RANGE_WRITE,
} from '../abi/fcntl.ts';
import {
  FIOASYNC,
  FIOCLEX,
  FIOGETOWN,
  FIONBIO,
  FIONCLEX,
  FIONREAD,
  FIOSETOWN,
  SIOCGPGRP,
  SIOCSPGRP,
} from '../abi/ioctl.ts';
import { MAP_PRIVATE, PROT_READ } from '../abi/mman.ts';
import { POLLIN } from '../abi/poll.ts';
import { S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from '../abi/stat.ts';
import type { Fd, HostFd, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable } from '../base/credentials.ts';
import { asyncChanged, ownerCommand, ownerIoctl } from '../fs/async-signals.ts';
import { notifyOnDirectory } from '../fs/dnotify.ts';
import { fileIoctl } from '../fs/file-ioctl.ts';
import { getLease, setLease } from '../fs/leases.ts';
import { getPipeSize, setPipeSize } from '../fs/pipe/pipe.ts';
import { fcntlLock } from '../fs/record-locks.ts';
import { host } from '../host/calls.ts';
import { block, WAIT } from '../kernel/block.ts';
import { installFile } from '../kernel/descriptors.ts';
import { keepForWaiters } from '../kernel/held-file.ts';
import { descriptorLimit } from '../kernel/limits.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { i32, u8 } from '../platform/arena.ts';
import type { Inode } from '../vfs/inode.ts';
import { isAppendOnly } from '../vfs/inode-flags.ts';
import { lockQueue, setWholeLock } from '../vfs/locks.ts';
import { drop, type OpenFile, retain } from '../vfs/open-file.ts';

/** dup(2) */
export function dup(task: Task, fd: Fd): number {
  const file = task.files.get(fd);
  return file ? installFile(task, retain(file), false) : -EBADF;
}

/** dup2(2) */
export function dup2(task: Task, oldfd: Fd, newfd: Fd): number {
  if (oldfd === newfd) return task.files.get(oldfd) ? newfd : -EBADF;
  return duplicateTo(task, oldfd, newfd, false);
}

/** dup3(2) */
export function dup3(task: Task, oldfd: Fd, newfd: Fd, flags: number): number {
  if (flags & ~O_CLOEXEC || oldfd === newfd) return -EINVAL;
  return duplicateTo(task, oldfd, newfd, (flags & O_CLOEXEC) !== 0);
}

function duplicateTo(task: Task, oldfd: Fd, newfd: Fd, closeOnExec: boolean): number {
  const file = task.files.get(oldfd);
  if (!file || newfd < 0 || newfd >= descriptorLimit(task)) return -EBADF;
  const r = task.files.checkRoom(newfd);
  if (r < 0) return r;
  const old = task.files.replace(newfd, retain(file), closeOnExec);
  if (old) {
    keepForWaiters(task, newfd, old);
    old.flush(task);
    drop(old);
  }
  return newfd;
}

const SETTABLE_FLAGS = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

/** fcntl(2): commands on the descriptor and on locks here, the others are the file's (`OpenFile.fcntl`). */
export function fcntl(task: Task, fd: Fd, cmd: number, arg: number): number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return duplicateFrom(task, file, arg, cmd === F_DUPFD_CLOEXEC);
    case F_GETFD:
      return task.files.closeOnExec[fd] ? FD_CLOEXEC : 0;
    case F_SETFD:
      return task.files.setCloseOnExec(fd, (arg & FD_CLOEXEC) !== 0);
    case F_GETFL:
      return file.flags;
    case F_CREATED_QUERY:
      return file.created ? 1 : 0;
    case F_DUPFD_QUERY:
      return task.files.get(arg as Fd) === file ? 1 : 0;
  }
  if (file.flags & O_PATH) return -EBADF;
  switch (cmd) {
    case F_SETFL:
      return setFlags(file, fd, arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      return fcntlLock(task, file, cmd, arg as UserAddress);
    case F_GETPIPE_SZ:
      return getPipeSize(file);
    case F_SETPIPE_SZ:
      return setPipeSize(file, arg, capable(task.credentials, CAP_SYS_RESOURCE));
    case F_GETLEASE:
      return getLease(file);
    case F_SETLEASE:
      return setLease(task, file, fd, arg);
    case F_NOTIFY:
      return notifyOnDirectory(task, file, fd, arg);
    default:
      return ownerCommand(task, file, cmd, arg) ?? file.fcntl(task, cmd, arg);
  }
}

function duplicateFrom(task: Task, file: OpenFile, from: number, closeOnExec: boolean): number {
  const limit = descriptorLimit(task);
  if (from < 0 || from >= limit) return -EINVAL;
  const fd = task.files.install(retain(file), closeOnExec, limit, from);
  if (fd < 0) drop(file);
  return fd;
}

function setFlags(file: OpenFile, fd: Fd, flags: number): number {
  if (flags & O_DIRECT && !file.seekable && (file.inode.mode & S_IFMT) !== S_IFIFO) return -EINVAL;
  const before = file.flags;
  if (before & O_APPEND && !(flags & O_APPEND) && isAppendOnly(file.inode)) return -EPERM;
  file.flags = (before & ~SETTABLE_FLAGS) | (flags & SETTABLE_FLAGS);
  if ((file.flags ^ before) & O_ASYNC) asyncChanged(file, fd);
  file.flagsChanged();
  return 0;
}

/** ioctl(2): the requests that mean the same on every file here, the others are the file's. */
export function ioctl(task: Task, fd: Fd, request: number, arg: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  switch (request) {
    case FIOCLEX:
      return task.files.setCloseOnExec(fd, true);
    case FIONCLEX:
      return task.files.setCloseOnExec(fd, false);
    case FIONBIO:
      return setFlagFrom(task, file, fd, arg as UserAddress, O_NONBLOCK);
    case FIOASYNC:
      return setFlagFrom(task, file, fd, arg as UserAddress, O_ASYNC);
    case FIONREAD:
      if ((file.inode.mode & S_IFMT) === S_IFREG) return unread(task, file, arg as UserAddress);
      break;
    case FIOSETOWN:
    case FIOGETOWN:
    case SIOCSPGRP:
    case SIOCGPGRP:
      if ((file.inode.mode & S_IFMT) === S_IFSOCK) return ownerIoctl(task, file, request, arg as UserAddress);
  }
  const type = file.inode.mode & S_IFMT;
  const stored = type === S_IFREG || type === S_IFDIR;
  const known = stored ? fileIoctl(task, file, request, arg as UserAddress) : null;
  return known ?? file.ioctl(task, request, arg as UserAddress);
}

function setFlagFrom(task: Task, file: OpenFile, fd: Fd, address: UserAddress, flag: number): number {
  const at = task.memory.in(address, 4);
  if (at < 0) return at;
  const before = file.flags;
  file.flags = i32[at >>> 2] ? before | flag : before & ~flag;
  if ((file.flags ^ before) & O_ASYNC) asyncChanged(file, fd);
  if (file.flags !== before) file.flagsChanged();
  return 0;
}

/** FIONREAD of a regular file: what is left behind the position. */
function unread(task: Task, file: OpenFile, address: UserAddress): number {
  const r = file.inode.refresh();
  if (r < 0) return r;
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  i32[at >>> 2] = Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, file.inode.size - file.position));
  return 0;
}

/** lseek(2) */
export function lseek(task: Task, fd: Fd, offset: number, whence: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return file.seek(offset, whence);
}

/** flock(2) */
export function flock(task: Task, fd: Fd, operation: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  const kind = operation & ~LOCK_NB;
  if (kind !== LOCK_SH && kind !== LOCK_EX && kind !== LOCK_UN) return -EINVAL;
  const r = setWholeLock(file.inode, file, task.group.pid, kind);
  return r === -EAGAIN && !(operation & LOCK_NB) ? block(task, lockQueue(file.inode), POLLIN) : r;
}

/** fsync(2) */
export function fsync(task: Task, fd: Fd): number {
  return syncFile(task, fd, false);
}

/** fdatasync(2) */
export function fdatasync(task: Task, fd: Fd): number {
  return syncFile(task, fd, true);
}

function syncFile(task: Task, fd: Fd, dataOnly: boolean): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return writeOut(task, file.inode) === WAIT ? WAIT : file.sync(dataOnly);
}

/** What the host may be waited for with, in bytes; how much is begun at a time; and how often it is looked, in ns. */
const SYNC_MUCH = 8 << 20;
const SYNC_PIECE = 32 << 20;
const SYNC_LOOK = 10e6;

/**
 * Where a file has much that is not on disk yet, that is begun piece by piece and waited for while others are served: 0 when
 * what is left takes no time, or when a signal wants the task.
 */
function writeOut(task: Task, inode: Inode): number {
  if (inode.size <= SYNC_MUCH || (inode.mode & S_IFMT) !== S_IFREG) return 0;
  if (!task.resumed && inode.unwritten(false) <= SYNC_MUCH) return 0;
  let begun = task.resumed ? task.progress : 0;
  while (begun * SYNC_PIECE < inode.size) {
    inode.syncRange(begun * SYNC_PIECE, SYNC_PIECE, SYNC_FILE_RANGE_WRITE);
    begun++;
    if (turnIsOver()) return yieldTurn(task, begun) === WAIT ? WAIT : 0;
  }
  if (inode.unwritten(true) <= SYNC_MUCH) return 0;
  task.progress = begun;
  task.deadline = monotonicNow() + SYNC_LOOK;
  return block(task, null, 0) === WAIT ? WAIT : 0;
}

/** sync(2): every filesystem that can be reached from the task's root */
export function sync(task: Task): number {
  syncBelow(task.fs.root.mount);
  return 0;
}

function syncBelow(mount: Task['fs']['root']['mount']): void {
  mount.superblock.sync();
  for (const child of mount.children) syncBelow(child);
}

/** syncfs(2) */
export function syncfs(task: Task, fd: Fd): number {
  const file = task.files.get(fd);
  return !file || file.flags & O_PATH ? -EBADF : file.path.mount.superblock.sync();
}

const RANGE_FLAGS = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

/** sync_file_range(2) */
export function sync_file_range(task: Task, fd: Fd, offset: number, nbytes: number, flags: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (flags & ~RANGE_FLAGS || offset < 0 || nbytes < 0) return -EINVAL;
  if ((file.inode.mode & S_IFMT) !== S_IFREG) return -ESPIPE;
  const waits = flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER);
  if (waits && writeOut(task, file.inode) === WAIT) return WAIT;
  return flags === 0 ? 0 : file.inode.syncRange(offset, nbytes, flags);
}

/** fadvise64(2): advice, which need not be taken */
export function fadvise64(task: Task, fd: Fd, _offset: number, len: number, advice: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (!file.seekable) return -ESPIPE;
  return len < 0 || advice < 0 || advice > POSIX_FADV_NOREUSE ? -EINVAL : 0;
}

/** readahead(2): advice as well */
export function readahead(task: Task, fd: Fd, _offset: number, _count: number): number {
  const file = task.files.get(fd);
  if (!file?.readable) return -EBADF;
  return (file.inode.mode & S_IFMT) === S_IFREG ? 0 : -EINVAL;
}

// struct cachestat_range: u64 offset, length. struct cachestat: u64 counts of cached, dirty, written, evicted pages
const CACHESTAT_RANGE = 16;
const CACHESTAT_SIZE = 40;

/**
 * What of a file is in memory (cachestat(2)): the host's page cache tells it of the pages behind the file. Files without
 * any, and pages that a file in memory would not have elsewhere, are none.
 */
export function cachestat(task: Task, fd: Fd, range: UserAddress, address: UserAddress, flags: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  const rangeAt = task.memory.in(range, CACHESTAT_RANGE);
  if (rangeAt < 0) return rangeAt;
  const { inode } = file;
  const may = file.writable || inode.uid === task.credentials.fsuid || capable(task.credentials, CAP_FOWNER);
  if (!may) return -EPERM;
  if (flags !== 0) return -EINVAL;
  const at = task.memory.out(address, CACHESTAT_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + CACHESTAT_SIZE);
  if ((inode.mode & S_IFMT) !== S_IFREG) return 0;
  const hostFd = file.mapping(PROT_READ, MAP_PRIVATE);
  return hostFd < 0 ? 0 : host.cachestat(hostFd as HostFd, rangeAt, at);
}
