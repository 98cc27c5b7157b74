// Event counters (eventfd(2)): a 64-bit counter that write adds to and read takes from. It is kept as two 32-bit
// words, so that neither precision is lost nor a BigInt made.

import { EAGAIN, EINVAL } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { EFD_SEMAPHORE } from '../../abi/misc.ts';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { u32 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

const WORD = 4294967296;

let lastId = 0;

export class EventFile extends OpenFile {
  readonly queue = new WaitQueue();
  readonly semaphore: boolean;
  readonly id = ++lastId;
  /** The counter in two words; its maximum is 2^64 - 2. */
  private low: number;
  private high = 0;

  constructor(initial: number, flags: number) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[eventfd]', inode), inode, O_RDWR | (flags & O_NONBLOCK));
    this.low = initial >>> 0;
    this.semaphore = (flags & EFD_SEMAPHORE) !== 0;
  }

  override read(at: number, length: number): number {
    if (length < 8) return -EINVAL;
    if (this.low === 0 && this.high === 0) return -EAGAIN;
    const i = at >> 2;
    if (this.semaphore) {
      u32[i] = 1;
      u32[i + 1] = 0;
      if (this.low === 0) this.high--;
      this.low = (this.low - 1) >>> 0;
    } else {
      u32[i] = this.low;
      u32[i + 1] = this.high;
      this.low = this.high = 0;
    }
    this.queue.wake(POLLOUT | POLLWRNORM);
    return 8;
  }

  override write(at: number, length: number): number {
    if (length !== 8) return -EINVAL;
    const low = u32[at >> 2];
    const high = u32[(at >> 2) + 1];
    if (low === 0xffffffff && high === 0xffffffff) return -EINVAL;
    const sum = this.low + low;
    const newLow = sum >>> 0;
    const newHigh = this.high + high + (sum >= WORD ? 1 : 0);
    // The largest value that may be stored is 2^64 - 2.
    if (newHigh >= WORD || (newHigh === 0xffffffff && newLow === 0xffffffff)) return -EAGAIN;
    this.low = newLow;
    this.high = newHigh;
    this.queue.wake(POLLIN | POLLRDNORM);
    return 8;
  }

  /** Adds one on behalf of the kernel: beyond what may be written lies an overflow, which readers are told of. */
  signal(): void {
    if (this.low === 0xffffffff && this.high < 0xffffffff) {
      this.low = 0;
      this.high++;
    } else if (this.low < 0xffffffff) this.low++;
    this.queue.wake(POLLIN | POLLRDNORM | (this.overflowed ? POLLERR : 0));
  }

  private get overflowed(): boolean {
    return this.high === 0xffffffff && this.low === 0xffffffff;
  }

  override get takesParts(): boolean {
    return false;
  }

  override poll(): number {
    const full = this.high === 0xffffffff && this.low >= 0xfffffffe;
    const events = (full ? 0 : POLLOUT | POLLWRNORM) | (this.overflowed ? POLLERR : 0);
    return this.low !== 0 || this.high !== 0 ? events | POLLIN | POLLRDNORM : events;
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  override get linkText(): string {
    return 'anon_inode:[eventfd]';
  }

  override get fdinfo(): string {
    const count = (BigInt(this.high) << 32n) | BigInt(this.low);
    return `eventfd-count: ${count.toString(16).padStart(16)}\neventfd-id: ${this.id}\neventfd-semaphore: ${Number(this.semaphore)}\n`;
  }
}
