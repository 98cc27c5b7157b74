// Moving data between descriptors: sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2).

import { EAGAIN, EBADF, EFBIG, EINVAL, EISDIR, EOVERFLOW, EPERM, ESPIPE } from '../abi/errno.ts';
import { O_APPEND, O_PATH, SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK } from '../abi/fcntl.ts';
import { POLLOUT } from '../abi/poll.ts';
import { RLIMIT_FSIZE } from '../abi/resource.ts';
import { SI_KERNEL, SIGXFSZ } from '../abi/signal.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import { type Fd, NULL, type UserAddress } from '../base/brands.ts';
import { PipeFile } from '../fs/pipe/pipe.ts';
import { duplicate, pump } from '../fs/pump.ts';
import { AT_POSITION, loadVector, RW_MAX, readLoaded, writeLoaded } from '../fs/transfer.ts';
import { block } from '../kernel/block.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToTask } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { readS64, writeU64 } from '../platform/arena.ts';
import { isImmutable } from '../vfs/inode-flags.ts';
import type { OpenFile } from '../vfs/open-file.ts';

/** Where a file is read or written: at the offset that the guest points to, or at its own position. */
function offsetOf(task: Task, file: OpenFile, address: UserAddress): number {
  if (address === NULL) return file.position;
  const at = task.memory.in(address, 8);
  if (at < 0) return at;
  const offset = readS64(at);
  return offset < 0 ? -EINVAL : offset;
}

/** Moves the offset on by what was done. Bytes done, or -EFAULT. */
function advance(task: Task, file: OpenFile, address: UserAddress, offset: number, done: number): number {
  if (done < 0) return done;
  if (address === NULL) {
    if (file.seekable) file.position = file.flags & O_APPEND && file.writable ? file.inode.size : offset + done;
    return done;
  }
  const at = task.memory.out(address, 8);
  if (at < 0) return at;
  writeU64(at, offset + done);
  return done;
}

/** What of `length` may be written to a regular file at an offset (RLIMIT_FSIZE); -EFBIG sends SIGXFSZ. */
function limited(task: Task, file: OpenFile, offset: number, length: number): number {
  if ((file.inode.mode & S_IFMT) !== S_IFREG) return length;
  // NaN: the offset is the host's, in a file of the caller's outside, which our limit does not concern.
  if (Number.isNaN(offset)) return length;
  const room = task.group.limits.soft[RLIMIT_FSIZE] - offset;
  if (room > 0) return Math.min(length, room);
  sendSignalToTask(task, signalInfo(SIGXFSZ, SI_KERNEL));
  return -EFBIG;
}

/** sendfile(2) */
export function sendfile(task: Task, outFd: Fd, inFd: Fd, offset: UserAddress, count: number): number {
  const from = task.files.get(inFd);
  const to = task.files.get(outFd);
  if (!from?.readable || !to?.writable) return -EBADF;
  if (!from.seekable) return offset === NULL ? -EINVAL : -ESPIPE;
  if (from.inode.isDirectory || to.flags & O_APPEND) return -EINVAL;
  const start = offsetOf(task, from, offset);
  if (start < 0) return start;
  const length = limited(task, to, to.position, Math.min(count, RW_MAX));
  if (length < 0) return length;
  const done = pump(task, {
    from,
    fromOffset: start,
    to,
    toOffset: to.position,
    length,
    nonblocking: false,
    persistent: true,
  });
  advance(task, to, NULL, to.position, done);
  return advance(task, from, offset, start, done);
}

/** copy_file_range(2) */
export function copy_file_range(
  task: Task,
  inFd: Fd,
  inOffset: UserAddress,
  outFd: Fd,
  outOffset: UserAddress,
  len: number,
  flags: number,
): number {
  const from = task.files.get(inFd);
  const to = task.files.get(outFd);
  if (!from || !to || (from.flags | to.flags) & O_PATH) return -EBADF;
  if (flags !== 0) return -EINVAL;
  if (from.inode.isDirectory || to.inode.isDirectory) return -EISDIR;
  if ((from.inode.mode & S_IFMT) !== S_IFREG || (to.inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  if (!from.readable || !to.writable || to.flags & O_APPEND) return -EBADF;
  if (isImmutable(to.inode)) return -EPERM;
  const start = offsetOf(task, from, inOffset);
  const target = offsetOf(task, to, outOffset);
  if (start < 0 || target < 0) return Math.min(start, target);
  if (start + len >= 2 ** 64 || target + len >= 2 ** 64) return -EOVERFLOW;
  if (target >= 2 ** 63) return -EFBIG;
  const refreshed = from.inode.refresh();
  if (refreshed < 0) return refreshed;
  let length = Math.min(len, RW_MAX);
  if (from.inode === to.inode) {
    const end = Math.min(length, Math.max(0, from.inode.size - start));
    if (target < start + end && start < target + end) return -EINVAL;
  }
  length = limited(task, to, target, length);
  if (length < 0) return length;
  const done = pump(task, {
    from,
    fromOffset: start,
    to,
    toOffset: target,
    length,
    nonblocking: false,
    persistent: true,
  });
  const moved = advance(task, from, inOffset, start, done);
  return moved < 0 ? moved : advance(task, to, outOffset, target, done);
}

/** Files that are no streams of bytes (eventfd, epoll, timerfd and their kin, directories) cannot be spliced. */
function spliceable(file: OpenFile): boolean {
  return (file.inode.mode & S_IFMT) !== 0 && !file.inode.isDirectory;
}

const SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/** splice(2): one side at least is a pipe */
export function splice(
  task: Task,
  inFd: Fd,
  inOffset: UserAddress,
  outFd: Fd,
  outOffset: UserAddress,
  len: number,
  flags: number,
): number {
  if (len === 0) return 0;
  if (flags & ~SPLICE_FLAGS) return -EINVAL;
  const from = task.files.get(inFd);
  const to = task.files.get(outFd);
  if (!from?.readable || !to?.writable) return -EBADF;
  const fromPipe = from instanceof PipeFile;
  const toPipe = to instanceof PipeFile;
  if (!fromPipe && !toPipe) return -EINVAL;
  if (!spliceable(from) || !spliceable(to)) return -EINVAL;
  if (fromPipe && toPipe && from.pipe === to.pipe) return -EINVAL;
  if ((inOffset !== NULL && fromPipe) || (outOffset !== NULL && toPipe)) return -ESPIPE;
  if ((inOffset !== NULL && !from.seekable) || (outOffset !== NULL && !to.seekable)) return -EINVAL;
  if (!toPipe && to.flags & O_APPEND) return -EINVAL;
  const start = offsetOf(task, from, inOffset);
  const target = offsetOf(task, to, outOffset);
  if (start < 0 || target < 0) return Math.min(start, target);
  const length = limited(task, to, target, Math.min(len, RW_MAX));
  if (length < 0) return length;
  const nonblocking = (flags & SPLICE_F_NONBLOCK) !== 0;
  const done = pump(task, { from, fromOffset: start, to, toOffset: target, length, nonblocking, persistent: false });
  const moved = advance(task, from, inOffset, start, done);
  return moved < 0 ? moved : advance(task, to, outOffset, target, done);
}

/** tee(2) */
export function tee(task: Task, inFd: Fd, outFd: Fd, len: number, flags: number): number {
  if (flags & ~SPLICE_FLAGS) return -EINVAL;
  if (len === 0) return 0;
  const from = task.files.get(inFd);
  const to = task.files.get(outFd);
  if (!from?.readable || !to?.writable) return -EBADF;
  if (!(from instanceof PipeFile) || !(to instanceof PipeFile) || from.pipe === to.pipe) return -EINVAL;
  return duplicate(task, from, to, len, (flags & SPLICE_F_NONBLOCK) !== 0);
}

/** vmsplice(2): memory to a pipe, or a pipe to memory; pages are copied, never lent */
export function vmsplice(task: Task, fd: Fd, iov: UserAddress, iovcnt: number, flags: number): number {
  if (flags & ~SPLICE_FLAGS) return -EINVAL;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH || !(file instanceof PipeFile)) return -EBADF;
  const r = loadVector(task, iov, iovcnt);
  if (r <= 0) return r;
  const again = (flags & SPLICE_F_NONBLOCK) !== 0;
  if (file.writable) {
    // What there is room for is enough; only for the first byte it waits.
    const n = writeLoaded(task, file, AT_POSITION, true);
    return n !== -EAGAIN || again || file.nonblocking ? n : block(task, file.waitQueue, POLLOUT);
  }
  return readLoaded(task, file, AT_POSITION, again);
}
