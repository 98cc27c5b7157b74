// Open file descriptions (open(2)): what a descriptor refers to, shared by dup and fork. Every kind of file (host
// file, pipe, socket, tty, eventfd, …) subclasses OpenFile. Data move by arena offset (platform/arena.ts).
// An operation that cannot go on answers -EAGAIN; blocking is the system call's business (kernel/block.ts), which
// retries after `waitQueue` was woken. So no operation here ever waits.

import { EINVAL, ENODEV, ENOTDIR, ENOTTY, EOPNOTSUPP, ESPIPE } from '../abi/errno.ts';
import { O_ACCMODE, O_NONBLOCK, O_PATH, O_RDWR, O_WRONLY } from '../abi/fcntl.ts';
import { IN_CLOSE_NOWRITE, IN_CLOSE_WRITE } from '../abi/misc.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { HostFd, UserAddress } from '../base/brands.ts';
import type { Credentials } from '../base/credentials.ts';
import type { WaitQueue } from '../base/wait-queue.ts';
import type { Task } from '../kernel/task.ts';
import type { Path } from './dentry.ts';
import { closeDentry, unuseInode } from './dentry-cache.ts';
import type { DirectorySink, Inode } from './inode.ts';
import { releaseFileLocks } from './locks.ts';
import { notifyFile } from './notify.ts';

/** Something that watches a file until its last reference goes: an epoll registration. */
export interface FileWatch {
  /** The file is about to be released. */
  fileReleased(): void;
}

export abstract class OpenFile {
  /** References: descriptors, in-flight SCM_RIGHTS, mappings being made. At 0 `release` runs. */
  refs = 1;
  /** Access mode and status flags (O_APPEND, O_NONBLOCK, O_DIRECT, …) as F_GETFL shows them. */
  flags: number;
  position = 0;
  /** It is one of those that its inode's `writeCount` counts. */
  countsAsWriter = false;
  /** The open that made it made the file, too (F_CREATED_QUERY). */
  created = false;
  /** What is done with it is no event for anybody: a watcher itself opened it (fanotify(7)). */
  quiet = false;
  readonly inode: Inode;
  /** How many there are of it in all tables. */
  descriptors = 0;
  /** Who is sent signals about it (fs/async-signals.ts); null for nobody. */
  owner: FileWatch | null = null;
  /** Epoll registrations and the like of this file; null while there are none. */
  watches: Set<FileWatch> | null = null;
  /** Credentials of the task that opened it; null until it has a descriptor. */
  opener: Credentials | null = null;
  /** Where it was opened; anonymous files (pipes, sockets) have a path in a pseudo mount. */
  readonly path: Path;

  constructor(path: Path, inode: Inode, flags: number) {
    this.path = path;
    this.inode = inode;
    this.flags = flags;
    path.dentry.opens++;
    inode.uses++;
  }

  /** An access mode of 3 permits neither reading nor writing. */
  get readable(): boolean {
    return (this.flags & O_WRONLY) === 0;
  }
  get writable(): boolean {
    const access = this.flags & O_ACCMODE;
    return access === O_WRONLY || access === O_RDWR;
  }
  get nonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }
  /** Whether it has a position (lseek, pread); streams answer ESPIPE. */
  get seekable(): boolean {
    return false;
  }

  /** Reads up to `length` bytes to arena offset `at`, from `offset` (seekable files). Bytes, 0 at the end, -errno. */
  read(_at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /** Writes `length` bytes from arena offset `at`. O_APPEND is the file's business: see `appendOffset`. Bytes or -errno. */
  write(_at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /** New position, or -errno. SEEK_SET, CUR and END are handled by the caller for regular files through this. */
  seek(_offset: number, _whence: number): number {
    return -ESPIPE;
  }
  /** Readiness as a poll mask. Files that never block are always ready. */
  poll(): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  }
  /** Woken whenever `poll` may have changed; null for files that never block. */
  get waitQueue(): WaitQueue | null {
    return null;
  }
  /** How long a blocking read or write waits, in ns: sockets have SO_RCVTIMEO and SO_SNDTIMEO. */
  get readTimeout(): number {
    return Number.POSITIVE_INFINITY;
  }
  get writeTimeout(): number {
    return Number.POSITIVE_INFINITY;
  }
  /** About how many bytes a write can take now: nobody need fetch more from the guest. At least 1. */
  get writeRoom(): number {
    return Number.POSITIVE_INFINITY;
  }
  /** Whether write(2) goes on when a part was taken. Not so where every write is one operation (eventfd). */
  get takesParts(): boolean {
    return true;
  }
  /** Arguments are user addresses or plain numbers by command. Returns a number or -errno; may return WAIT. */
  ioctl(_task: Task, _command: number, _argument: UserAddress): number {
    return -ENOTTY;
  }
  /** fcntl(2) commands beyond those of every file (F_SETPIPE_SZ, F_ADD_SEALS, …). */
  fcntl(_task: Task, _command: number, _argument: number): number {
    return -EINVAL;
  }
  /**
   * Lists a directory from this.position, which the sink's acceptance advances. 0, -errno, or 1: it was `enough` before there
   * was all to choose from, and the call is to be made again.
   */
  readdir(_sink: DirectorySink, _enough?: () => boolean): number {
    return -ENOTDIR;
  }
  /** A host descriptor whose pages back a mapping (PROT_* and MAP_* as asked), or -ENODEV/-EACCES. */
  mapping(_protection: number, _flags: number): HostFd | number {
    return -ENODEV;
  }
  /** Nobody looks at what is written: it need not be there, even. */
  get ignoresData(): boolean {
    return false;
  }
  /** Whatever is read is zeros. */
  get readsZeros(): boolean {
    return false;
  }
  /** How far the guest's process itself may read from `readSource`; 0: not at all. */
  get sourceExtent(): number {
    return 0;
  }
  /** A host descriptor for it to read from, as if it had been read here; or -errno. */
  readSource(): HostFd | number {
    return -ENODEV;
  }
  /** ftruncate(2) on a file that is open for writing. */
  truncate(_length: number): number {
    return -EINVAL;
  }
  allocate(_mode: number, _offset: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  sync(_dataOnly: boolean): number {
    return -EINVAL;
  }
  /** F_SETFL changed the status flags. */
  flagsChanged(): void {}
  /** A descriptor of a task was closed (close(2)'s flush), before the reference is dropped. */
  flush(_task: Task): void {}
  /** The last reference is gone. */
  release(): void {}

  /** Text that /proc/PID/fd/N shows for files without a name in the tree, e.g. "pipe:[17]"; null for named ones. */
  get linkText(): string | null {
    return null;
  }
  /** Extra lines of /proc/PID/fdinfo/N. */
  get fdinfo(): string {
    return '';
  }
}

export function retain(file: OpenFile): OpenFile {
  file.refs++;
  return file;
}

/** Drops a reference; the last one releases the file. */
export function drop(file: OpenFile): void {
  if (--file.refs !== 0) return;
  if (file.watches) for (const watch of [...file.watches]) watch.fileReleased();
  if (file.inode.locks) releaseFileLocks(file.inode, file);
  if (file.countsAsWriter) file.inode.writeCount--;
  file.release();
  const closed = file.writable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE;
  if (!(file.flags & O_PATH)) notifyFile(file, closed);
  closeDentry(file.path.dentry);
  unuseInode(file.inode);
}
