// Inherited host descriptors: the pipe, file or device that the client outside has as its standard stream. Data move
// between it and the arena without a copy in between and without ever blocking the sentry. How a read is kept from
// blocking depends on the kind: regular files and /dev/null never do; pipes take RWF_NOWAIT; what refuses that (some
// character devices) is asked with poll(2) first and then moved in small pieces.

import { EACCES, EAGAIN, EINVAL, ENODEV, ENOTTY, EOPNOTSUPP, ESPIPE, ESTALE } from '../../abi/errno.ts';
import {
  F_GETFL,
  O_ACCMODE,
  O_APPEND,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  PIPE_BUF,
  RWF_NOWAIT,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from '../../abi/fcntl.ts';
import { FIONREAD } from '../../abi/ioctl.ts';
import { MAP_SHARED, PROT_WRITE } from '../../abi/mman.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import {
  makeDevice,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  STAT_ATIME,
  STAT_BLOCKS,
  STAT_CTIME,
  STAT_DEV,
  STAT_FILE_SIZE,
  STAT_GID,
  STAT_INO,
  STAT_MODE,
  STAT_MTIME,
  STAT_NLINK,
  STAT_RDEV,
  STAT_SIZE,
  STAT_UID,
} from '../../abi/stat.ts';
import type { HostFd, UserAddress } from '../../base/brands.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, i32, markScratch, readU64, releaseScratch, u32 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { AttributeChange } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { HostQueue } from './host-queue.ts';

const NULL_DEVICE = makeDevice(1, 3);

/** How reads and writes are kept from blocking. */
const NEVER_BLOCKS = 0;
const NOWAIT = 1;
const ASK_FIRST = 2;

/** The file behind an inherited descriptor; attributes are the host's. */
export class HostStreamInode extends AnonymousInode {
  readonly fd: HostFd;
  /** Access mode and O_APPEND, O_NONBLOCK as the descriptor came. */
  readonly hostFlags: number;
  readonly queue: HostQueue;
  /** Open files on it; the descriptor is closed with the last one, so that a peer outside sees the end. */
  opens = 0;
  manner = NEVER_BLOCKS;
  private hostDevice = 0;

  constructor(fd: HostFd, hostFlags: number) {
    super(S_IFREG);
    this.fd = fd;
    this.hostFlags = hostFlags;
    this.queue = new HostQueue(fd);
  }

  override get device(): number {
    return this.hostDevice;
  }

  get type(): number {
    return this.mode & S_IFMT;
  }

  /** Regular files and /dev/null are always ready. */
  get alwaysReady(): boolean {
    return this.type === S_IFREG || (this.type === S_IFCHR && this.rdev === NULL_DEVICE);
  }

  override refresh(): number {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    if (at < 0) return at;
    const r = host.fstat(this.fd, at);
    if (r === 0) this.adopt(at);
    releaseScratch(mark);
    return r;
  }

  private adopt(at: number): void {
    const word = at >> 2;
    this.hostDevice = readU64(at + STAT_DEV);
    this.ino = readU64(at + STAT_INO);
    this.nlink = readU64(at + STAT_NLINK);
    this.mode = u32[word + STAT_MODE / 4];
    this.uid = u32[word + STAT_UID / 4];
    this.gid = u32[word + STAT_GID / 4];
    this.rdev = readU64(at + STAT_RDEV);
    this.size = readU64(at + STAT_FILE_SIZE);
    this.blocks = readU64(at + STAT_BLOCKS);
    readTime(this.atime, at + STAT_ATIME);
    readTime(this.mtime, at + STAT_MTIME);
    readTime(this.ctime, at + STAT_CTIME);
  }

  /** Of the host's file only the length is the guest's to change. */
  override setattr(change: AttributeChange): number {
    if (change.size !== undefined) {
      return this.type === S_IFREG ? host.ftruncate(this.fd, change.size) : -EINVAL;
    }
    return -EACCES;
  }

  /** Opened again by way of /proc/self/fd/N: a new open file on the same host descriptor. */
  override open(path: Path, flags: number): OpenFile | number {
    if (this.opens === 0) return -ESTALE;
    const have = this.hostFlags & O_ACCMODE;
    const want = flags & O_ACCMODE;
    if ((want !== O_WRONLY && have === O_WRONLY) || (want !== O_RDONLY && have === O_RDONLY)) return -EACCES;
    if (flags & O_TRUNC && this.type === S_IFREG) {
      const r = host.ftruncate(this.fd, 0);
      if (r < 0) return r;
    }
    return new HostStream(path, this, flags, false);
  }
}

function readTime(into: Timestamp, at: number): void {
  into.seconds = readU64(at);
  into.nanoseconds = u32[(at >> 2) + 2];
}

/** A `position` that is kept elsewhere. */
const POSITION_OUTSIDE: PropertyDescriptor = { get: () => Number.NaN, set: () => {} };

export class HostStream extends OpenFile {
  declare readonly inode: HostStreamInode;
  /**
   * Regular files: reads and writes go by the host's own offset, shared with whoever gave us the descriptor. Then
   * `position` is NaN whatever is stored there, and a read or write at NaN is one at the host's offset.
   */
  private readonly sharedOffset: boolean;

  constructor(path: Path, inode: HostStreamInode, flags: number, sharedOffset: boolean) {
    super(path, inode, flags);
    this.sharedOffset = sharedOffset && inode.type === S_IFREG;
    if (this.sharedOffset) Object.defineProperty(this, 'position', POSITION_OUTSIDE);
    inode.opens++;
  }

  override get seekable(): boolean {
    return this.inode.type === S_IFREG;
  }

  override read(at: number, length: number, offset: number): number {
    const { inode } = this;
    const { fd } = inode;
    if (inode.type === S_IFREG) {
      return Number.isNaN(offset) ? host.read(fd, at, length) : host.pread64(fd, at, length, offset);
    }
    let n: number;
    if (inode.manner === NEVER_BLOCKS) n = host.read(fd, at, length);
    else {
      n = -EOPNOTSUPP;
      if (inode.manner === NOWAIT) n = host.preadv2(fd, at, length, -1, RWF_NOWAIT);
      if (n === -EOPNOTSUPP) n = this.readAsking(at, length);
    }
    if (n === -EAGAIN || !inode.queue.empty) inode.queue.rearm();
    return n;
  }

  private readAsking(at: number, length: number): number {
    const { inode } = this;
    inode.manner = ASK_FIRST;
    const ready = host.poll(inode.fd, POLLIN);
    if (ready <= 0) return ready < 0 ? ready : -EAGAIN;
    return host.read(inode.fd, at, length);
  }

  override write(at: number, length: number, offset: number): number {
    const { inode } = this;
    const { fd } = inode;
    if (inode.type === S_IFREG) return this.writeRegular(at, length, offset);
    let n: number;
    if (inode.manner === NEVER_BLOCKS) n = host.write(fd, at, length);
    else {
      n = -EOPNOTSUPP;
      if (inode.manner === NOWAIT) n = host.pwritev2(fd, at, length, -1, RWF_NOWAIT);
      if (n === -EOPNOTSUPP) n = this.writeAsking(at, length);
    }
    if (n === -EAGAIN || !inode.queue.empty) inode.queue.rearm();
    return n;
  }

  private writeRegular(at: number, length: number, offset: number): number {
    const { fd, hostFlags } = this.inode;
    if (Number.isNaN(offset)) return host.write(fd, at, length);
    if (this.flags & O_APPEND && !(hostFlags & O_APPEND)) {
      const r = this.inode.refresh();
      return r < 0 ? r : host.pwrite64(fd, at, length, this.inode.size);
    }
    return host.pwrite64(fd, at, length, offset);
  }

  private writeAsking(at: number, length: number): number {
    const { inode } = this;
    inode.manner = ASK_FIRST;
    const ready = host.poll(inode.fd, POLLOUT);
    if (ready <= 0) return ready < 0 ? ready : -EAGAIN;
    return host.write(inode.fd, at, Math.min(length, PIPE_BUF));
  }

  override seek(offset: number, whence: number): number {
    const { inode } = this;
    if (inode.type !== S_IFREG) return inode.alwaysReady ? 0 : -ESPIPE;
    if (this.sharedOffset) return host.lseek(inode.fd, offset, whence);
    let base = 0;
    if (whence === SEEK_CUR) base = this.position;
    else if (whence === SEEK_END) {
      const r = inode.refresh();
      if (r < 0) return r;
      base = inode.size;
    } else if (whence !== SEEK_SET) return -EINVAL;
    if (base + offset < 0) return -EINVAL;
    this.position = base + offset;
    return this.position;
  }

  override poll(): number {
    const { inode } = this;
    if (inode.alwaysReady) return super.poll();
    const ready = host.poll(inode.fd, POLLIN | POLLOUT);
    if (ready < 0) return POLLERR;
    if (!inode.queue.empty) inode.queue.rearm();
    let mask = ready & (POLLERR | POLLHUP);
    if (ready & POLLIN) mask |= POLLIN | POLLRDNORM;
    if (ready & POLLOUT) mask |= POLLOUT | POLLWRNORM;
    return mask;
  }

  override get waitQueue(): WaitQueue | null {
    return this.inode.alwaysReady ? null : this.inode.queue;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const { inode } = this;
    if (command !== FIONREAD || inode.type === S_IFCHR) return -ENOTTY;
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    if (inode.type !== S_IFREG) return host.fionread(inode.fd, at);
    const r = inode.refresh();
    i32[at >> 2] = Math.max(0, inode.size - this.seek(0, SEEK_CUR));
    return r;
  }

  override mapping(protection: number, flags: number): HostFd | number {
    if (this.inode.type !== S_IFREG) return -ENODEV;
    const writes = (protection & PROT_WRITE) !== 0 && (flags & MAP_SHARED) !== 0;
    if (writes && (this.inode.hostFlags & O_ACCMODE) === O_RDONLY) return -EACCES;
    return this.inode.fd;
  }

  override truncate(length: number): number {
    return this.inode.setattr({ size: length });
  }

  override allocate(mode: number, offset: number, length: number): number {
    if (this.inode.type !== S_IFREG) return this.inode.type === S_IFIFO ? -ESPIPE : -ENODEV;
    return host.fallocate(this.inode.fd, mode, offset, length);
  }

  override sync(dataOnly: boolean): number {
    if (this.inode.type !== S_IFREG) return -EINVAL;
    return dataOnly ? host.fdatasync(this.inode.fd) : host.fsync(this.inode.fd);
  }

  override release(): void {
    const { inode } = this;
    if (--inode.opens > 0) return;
    inode.queue.disarm();
    host.close(inode.fd);
  }

  override get linkText(): string | null {
    const { inode } = this;
    if (inode.type === S_IFIFO) return `pipe:[${inode.ino}]`;
    if (inode.type === S_IFCHR && inode.rdev === NULL_DEVICE) return '/dev/null';
    return `host:[${inode.ino}]`;
  }
}

/**
 * Takes over a host descriptor as an open file with the access mode and flags that it has. The descriptor is closed
 * with the last open file on it. -errno when it cannot be used.
 */
export function openHostStream(fd: HostFd): HostStream | number {
  const hostFlags = host.fcntl(fd, F_GETFL, 0);
  if (hostFlags < 0) return hostFlags;
  const inode = new HostStreamInode(fd, hostFlags);
  const r = inode.refresh();
  if (r < 0) return r;
  if (!inode.alwaysReady && !(hostFlags & O_NONBLOCK)) inode.manner = NOWAIT;
  // O_NONBLOCK is the launcher's doing where the guest's own flags are concerned.
  const flags = hostFlags & (O_ACCMODE | O_APPEND);
  return new HostStream(anonymousPath(`host:[${inode.ino}]`, inode), inode, flags, true);
}
