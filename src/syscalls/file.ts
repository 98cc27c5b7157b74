// Reading and writing: read(2), pread(2), readv(2) and their write counterparts.

import { EBADF, EINVAL, EOPNOTSUPP, ESPIPE } from '../abi/errno.ts';
import { O_PATH, RWF_APPEND, RWF_DSYNC, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC } from '../abi/fcntl.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import {
  AT_POSITION,
  loadBuffer,
  loadVector,
  READ_FLAGS,
  readLoaded,
  WRITE_FLAGS,
  withAppend,
  writeLoaded,
} from '../fs/transfer.ts';
import type { Task } from '../kernel/task.ts';

/** read(2) */
export function read(task: Task, fd: Fd, buf: UserAddress, count: number): number {
  const file = task.files.get(fd);
  if (!file?.readable) return -EBADF;
  loadBuffer(buf, count);
  return readLoaded(task, file, AT_POSITION);
}

/** write(2) */
export function write(task: Task, fd: Fd, buf: UserAddress, count: number): number {
  const file = task.files.get(fd);
  if (!file?.writable) return -EBADF;
  loadBuffer(buf, count);
  return writeLoaded(task, file, AT_POSITION);
}

/** pread(2) */
export function pread64(task: Task, fd: Fd, buf: UserAddress, count: number, offset: number): number {
  if (offset < 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!file.seekable && !(file.flags & O_PATH)) return -ESPIPE;
  if (!file.readable) return -EBADF;
  loadBuffer(buf, count);
  return readLoaded(task, file, offset);
}

/** pwrite(2) */
export function pwrite64(task: Task, fd: Fd, buf: UserAddress, count: number, offset: number): number {
  if (offset < 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!file.seekable && !(file.flags & O_PATH)) return -ESPIPE;
  if (!file.writable) return -EBADF;
  loadBuffer(buf, count);
  return writeLoaded(task, file, offset);
}

/** readv(2) */
export function readv(task: Task, fd: Fd, iov: UserAddress, iovcnt: number): number {
  const file = task.files.get(fd);
  if (!file?.readable) return -EBADF;
  const r = loadVector(task, iov, iovcnt);
  return r < 0 ? r : readLoaded(task, file, AT_POSITION);
}

/** writev(2) */
export function writev(task: Task, fd: Fd, iov: UserAddress, iovcnt: number): number {
  const file = task.files.get(fd);
  if (!file?.writable) return -EBADF;
  const r = loadVector(task, iov, iovcnt);
  return r < 0 ? r : writeLoaded(task, file, AT_POSITION);
}

/** preadv(2): on 64-bit machines the offset is whole in one register. */
export function preadv(task: Task, fd: Fd, iov: UserAddress, iovcnt: number, offset: number): number {
  if (offset < 0) return -EINVAL;
  return readVector(task, fd, iov, iovcnt, offset, 0);
}

/** pwritev(2) */
export function pwritev(task: Task, fd: Fd, iov: UserAddress, iovcnt: number, offset: number): number {
  if (offset < 0) return -EINVAL;
  return writeVector(task, fd, iov, iovcnt, offset, 0);
}

/** preadv2(2): offset -1 is the file's own position. */
export function preadv2(
  task: Task,
  fd: Fd,
  iov: UserAddress,
  iovcnt: number,
  offset: number,
  _high: number,
  flags: number,
): number {
  if (offset < -1) return -EINVAL;
  return readVector(task, fd, iov, iovcnt, offset, flags);
}

/** pwritev2(2) */
export function pwritev2(
  task: Task,
  fd: Fd,
  iov: UserAddress,
  iovcnt: number,
  offset: number,
  _high: number,
  flags: number,
): number {
  if (offset < -1) return -EINVAL;
  return writeVector(task, fd, iov, iovcnt, offset, flags);
}

function readVector(task: Task, fd: Fd, iov: UserAddress, iovcnt: number, offset: number, flags: number): number {
  if (flags & ~READ_FLAGS) return -EOPNOTSUPP;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (offset >= 0 && !file.seekable) return -ESPIPE;
  if (!file.readable) return -EBADF;
  const r = loadVector(task, iov, iovcnt);
  return r < 0 ? r : readLoaded(task, file, offset, (flags & RWF_NOWAIT) !== 0);
}

function writeVector(task: Task, fd: Fd, iov: UserAddress, iovcnt: number, offset: number, flags: number): number {
  if (flags & ~WRITE_FLAGS) return -EOPNOTSUPP;
  if (flags & RWF_APPEND && flags & RWF_NOAPPEND) return -EINVAL;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (offset >= 0 && !file.seekable) return -ESPIPE;
  if (!file.writable) return -EBADF;
  const r = loadVector(task, iov, iovcnt);
  if (r < 0) return r;
  const n = withAppend(file, flags, () => writeLoaded(task, file, offset, (flags & RWF_NOWAIT) !== 0));
  if (n > 0 && flags & (RWF_DSYNC | RWF_SYNC)) {
    const synced = file.sync((flags & RWF_SYNC) === 0);
    if (synced < 0 && synced !== -EINVAL) return synced;
  }
  return n;
}
