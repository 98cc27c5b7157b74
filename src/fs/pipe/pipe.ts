// Pipes (pipe(7)): a bounded byte queue with readers and writers counted by their open file descriptions. The same
// object serves pipe(2) and FIFOs (fifo.ts).
//
// Writes of up to PIPE_BUF bytes are atomic: all or -EAGAIN. Longer ones take what fits and answer how much that was;
// a blocking write(2) goes on until everything is in (its handler keeps the count in task.progress). A write without
// readers answers -EPIPE; the handler raises SIGPIPE. Writers are woken when PIPE_BUF bytes have become free, not for
// every byte, so that a fast reader does not turn a big write into many small ones.

import { CAP_SYS_RESOURCE } from '../../abi/capability.ts';
import { EAGAIN, EBADF, EBUSY, EINVAL, ENOMEM, ENOTTY, EPERM, EPIPE } from '../../abi/errno.ts';
import { O_ACCMODE, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY, PIPE_BUF } from '../../abi/fcntl.ts';
import { FIONREAD } from '../../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { S_IFIFO } from '../../abi/stat.ts';
import type { UserAddress } from '../../base/brands.ts';
import { type Credentials, capable } from '../../base/credentials.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { i32 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Inode } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';

export const PIPE_DEFAULT_SIZE = 65536;
/** What an unprivileged F_SETPIPE_SZ may ask for (/proc/sys/fs/pipe-max-size), at the start and at most. */
export const PIPE_MAX_SIZE = 1 << 20;
export const pipeLimits = { maxSize: PIPE_MAX_SIZE };
const PAGE = 4096;
const LARGEST_SIZE = 2 ** 31;
/** Even the privileged get no larger ones: it is the sentry's memory. */
const MOST_MEMORY = 64 << 20;
/** pipe-user-pages-soft: when pipes may hold this much in all, new ones are small, as Linux makes them. */
const SOFT_TOTAL = 64 << 20;
const SMALL_SIZE = 2 * PAGE;

/** Capacities of all pipes that are open. */
let totalCapacity = 0;

/** What both ends share. */
export class Pipe {
  readonly ring: ByteRing;
  readonly queue = new WaitQueue();
  readers = 0;
  writers = 0;
  /** How often it was ever opened for reading and for writing: a blocked open of a FIFO waits for the change. */
  readerOpens = 0;
  writerOpens = 0;
  /** Lengths of the writes in the ring, negative for packets (O_DIRECT); null while there are no packets. */
  private segments: number[] | null = null;

  constructor() {
    const usual = totalCapacity < SOFT_TOTAL ? PIPE_DEFAULT_SIZE : SMALL_SIZE;
    this.ring = new ByteRing(usual > pipeLimits.maxSize && !isPrivileged() ? pipeLimits.maxSize : usual);
  }

  attach(file: PipeFile): void {
    if (this.readers === 0 && this.writers === 0) totalCapacity += this.ring.capacity;

    if (file.readable) {
      this.readers++;
      this.readerOpens++;
    }
    if (file.writable) {
      this.writers++;
      this.writerOpens++;
    }
  }

  detach(file: PipeFile): void {
    if (file.readable) this.readers--;
    if (file.writable) this.writers--;
    if (this.readers === 0 && this.writers === 0) {
      this.ring.clear();
      this.segments = null;
      totalCapacity -= this.ring.capacity;
    } else {
      this.queue.wake(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLERR | POLLHUP);
    }
  }

  /** Up to `length` bytes, but never beyond the end of a packet; 0 if there are no writers, -EAGAIN if it is empty. */
  read(at: number, length: number): number {
    const { ring } = this;
    if (length === 0) return 0;
    if (ring.length === 0) return this.writers === 0 ? 0 : -EAGAIN;
    const freeBefore = ring.free;
    let n = Math.min(length, ring.length);
    if (this.segments) n = this.readSegments(at, length);
    else ring.read(at, n);
    this.drained(freeBefore);
    return n;
  }

  /** Appends up to `length` bytes as pipe(7) says; `packet` makes each PIPE_BUF of it one packet. */
  write(at: number, length: number, packet: boolean): number {
    const { ring } = this;
    if (length === 0) return 0;
    if (this.readers === 0) return -EPIPE;
    let n = length;
    if (ring.free < n) {
      if (n <= PIPE_BUF || ring.free === 0) return -EAGAIN;
      n = packet ? ring.free - (ring.free % PIPE_BUF) : ring.free;
      if (n === 0) return -EAGAIN;
    }
    if (packet || this.segments) this.noteSegments(n, packet);
    ring.write(at, n);
    if (!this.queue.empty) this.queue.wake(POLLIN | POLLRDNORM);
    return n;
  }

  /** Copies up to `length` bytes that stay in the pipe (tee(2)); -EAGAIN or 0 as `read`. */
  peek(at: number, length: number): number {
    if (this.ring.length === 0) return this.writers === 0 ? 0 : -EAGAIN;
    const n = Math.min(length, this.ring.length);
    this.ring.peek(at, n, 0);
    return n;
  }

  resize(size: number): number {
    if (size < this.ring.length) return -EBUSY;
    const freeBefore = this.ring.free;
    totalCapacity += size - this.ring.capacity;
    this.ring.capacity = size;
    this.drained(freeBefore);
    return size;
  }

  private drained(freeBefore: number): void {
    if (freeBefore < PIPE_BUF && this.ring.free >= PIPE_BUF) this.queue.wake(POLLOUT | POLLWRNORM);
  }

  private noteSegments(length: number, packet: boolean): void {
    this.segments ??= this.ring.length > 0 ? [this.ring.length] : [];
    if (!packet) {
      this.segments.push(length);
      return;
    }
    for (let left = length; left > 0; left -= PIPE_BUF) this.segments.push(-Math.min(left, PIPE_BUF));
  }

  /** A read while packets are about: bytes up to the first packet, or one packet, whose rest is thrown away. */
  private readSegments(at: number, length: number): number {
    const segments = this.segments as number[];
    let n = 0;
    if (segments[0] < 0) {
      const packet = -segments[0];
      n = Math.min(length, packet);
      this.ring.peek(at, n, 0);
      this.ring.discard(packet);
      segments.shift();
    } else {
      while (n < length && segments.length > 0 && segments[0] > 0) {
        const part = Math.min(length - n, segments[0]);
        n += part;
        segments[0] -= part;
        if (segments[0] === 0) segments.shift();
      }
      this.ring.read(at, n);
    }
    if (segments.length === 0) this.segments = null;
    return n;
  }
}

/** One open file description of a pipe or FIFO. */
export class PipeFile extends OpenFile {
  readonly pipe: Pipe;
  /** `writerOpens` when a FIFO was opened for reading without writers: no POLLHUP before one has come; else -1. */
  hangupAfter = -1;

  constructor(path: Path, inode: Inode, flags: number, pipe: Pipe) {
    super(path, inode, flags);
    this.pipe = pipe;
    pipe.attach(this);
  }

  override read(at: number, length: number): number {
    return this.readable ? this.pipe.read(at, length) : -EBADF;
  }

  override write(at: number, length: number): number {
    return this.writable ? this.pipe.write(at, length, (this.flags & O_DIRECT) !== 0) : -EBADF;
  }

  override poll(): number {
    const { pipe } = this;
    let events = 0;
    if (this.readable) {
      if (pipe.ring.length > 0) events |= POLLIN | POLLRDNORM;
      if (pipe.writers === 0 && this.hangupAfter !== pipe.writerOpens) events |= POLLHUP;
    }
    if (this.writable) {
      if (pipe.ring.free >= PIPE_BUF) events |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) events |= POLLERR;
    }
    return events;
  }

  override get waitQueue(): WaitQueue {
    return this.pipe.queue;
  }

  override get writeRoom(): number {
    const { free } = this.pipe.ring;
    return Math.max(PIPE_BUF, this.flags & O_DIRECT ? free - (free % PIPE_BUF) : free);
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    if (command !== FIONREAD) return -ENOTTY;
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    i32[at >> 2] = this.pipe.ring.length;
    return 0;
  }

  override release(): void {
    this.pipe.detach(this);
  }

  override get linkText(): string | null {
    return this.inode instanceof PipeInode ? `pipe:[${this.inode.ino}]` : null;
  }
}

/** Inode of a pipe without a name. /proc/PID/fd/N opens it again, without waiting for the other end. */
export class PipeInode extends AnonymousInode {
  readonly pipe = new Pipe();

  constructor(owner: Credentials) {
    super(S_IFIFO | 0o600, owner);
  }

  override open(path: Path, flags: number): OpenFile | number {
    return new PipeFile(path, this, flags, this.pipe);
  }
}

/** A new pipe as its two ends: [read end, write end], each with one reference. `flags`: O_NONBLOCK, O_DIRECT. */
export function createPipe(owner: Credentials, flags: number): [PipeFile, PipeFile] {
  const inode = new PipeInode(owner);
  const path = anonymousPath(`pipe:[${inode.ino}]`, inode);
  const status = flags & (O_NONBLOCK | O_DIRECT);
  return [
    new PipeFile(path, inode, O_RDONLY | (status & ~O_ACCMODE), inode.pipe),
    new PipeFile(path, inode, O_WRONLY | (status & ~O_ACCMODE), inode.pipe),
  ];
}

/** F_GETPIPE_SZ: capacity in bytes, or -EBADF if the file is no pipe. */
export function getPipeSize(file: OpenFile): number {
  return file instanceof PipeFile ? file.pipe.ring.capacity : -EBADF;
}

/** The caller may have larger pipes than the limit says. */
function isPrivileged(): boolean {
  return kernel.current === null || capable(kernel.current.credentials, CAP_SYS_RESOURCE);
}

/** Capacities are powers of two of at least a page. */
export function roundPipeSize(size: number): number {
  return size <= PAGE ? PAGE : 2 ** Math.ceil(Math.log2(size));
}

/** F_SETPIPE_SZ: sets the capacity, rounded up as Linux does; returns it, or -EBADF, -EINVAL, -EPERM, -ENOMEM, -EBUSY. */
export function setPipeSize(file: OpenFile, size: number, privileged: boolean): number {
  if (!(file instanceof PipeFile)) return -EBADF;
  if (!(size >= 0 && size <= LARGEST_SIZE)) return -EINVAL;
  const rounded = roundPipeSize(size);
  if (rounded > pipeLimits.maxSize && rounded > file.pipe.ring.capacity && !privileged) return -EPERM;
  return rounded > MOST_MEMORY ? -ENOMEM : file.pipe.resize(rounded);
}
