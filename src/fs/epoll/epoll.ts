// Event polling (epoll(7)): an interest list of items, each on its file's wait queue, and a ready list that wakes
// fill. epoll_wait asks each ready file again before it reports it, so a wake is only a hint. Level-triggered items go
// back to the end of the ready list when they are reported; edge-triggered ones wait for the next wake.
//
// Epoll instances may watch one another, without cycles and not deeply, because a wake travels along every path
// upwards: nesting.ts has the limits.

import { EEXIST, EINVAL, ENOENT, ENOSPC, EPERM } from '../../abi/errno.ts';
import { O_RDWR } from '../../abi/fcntl.ts';
import {
  EPOLL_EVENT_SIZE,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLWAKEUP,
  POLLIN,
  POLLRDNORM,
} from '../../abi/poll.ts';
import type { Fd } from '../../base/brands.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { finishLater } from '../../kernel/leftovers.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { u32 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { sysctlNumber } from '../proc/sysctl.ts';
import { EpollItem, ReadyList } from './item.ts';
import { checkNesting } from './nesting.ts';

/** Bits that are settings, not events: what remains of a one-shot item that has fired. */
const PRIVATE_BITS = (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE) >>> 0;
const ALWAYS = EPOLLERR | EPOLLHUP;
/** So many are taken off the files of an instance that is closed before the clock is looked at. */
const ITEMS_AT_ONCE = 256;
/** Items of all instances, and how many there may be: they take the sentry's memory. */
let itemsInAll = 0;
const ITEMS_MOST = 1 << 18;
const EXCLUSIVE_ALLOWED = (EPOLLIN | EPOLLOUT | ALWAYS | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE) >>> 0;

export class EpollFile extends OpenFile {
  readonly queue = new WaitQueue();
  /** The interest list: by descriptor number, then along `sameFd`. */
  readonly items = new Map<Fd, EpollItem>();
  private readonly readyList = new ReadyList();

  constructor() {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[eventpoll]', inode), inode, O_RDWR);
  }

  /** How many items may be ready: an upper bound of what `collect` will report. */
  get readyCount(): number {
    return this.readyList.length;
  }

  /** EPOLL_CTL_ADD. 0 or -EEXIST, -EPERM (the file cannot be polled), -EINVAL, -ELOOP, -ENOSPC. */
  add(fd: Fd, file: OpenFile, events: number, dataLow: number, dataHigh: number): number {
    if (file === this || (events & EPOLLEXCLUSIVE && !exclusiveAllowed(file, events))) return -EINVAL;
    if (this.find(fd, file)) return -EEXIST;
    const queue = file.waitQueue;
    if (!queue) return -EPERM;
    if (itemsInAll >= Math.min(ITEMS_MOST, sysctlNumber('fs.epoll.max_user_watches', ITEMS_MOST))) return -ENOSPC;
    const refused = checkNesting(this, file);
    if (refused < 0) return refused;
    itemsInAll++;
    const item = new EpollItem(this, file, fd, (events | ALWAYS) >>> 0, dataLow, dataHigh);
    item.sameFd = this.items.get(fd) ?? null;
    this.items.set(fd, item);
    file.watches ??= new Set();
    file.watches.add(item);
    queue.add(item.entry, item.events, (events & EPOLLEXCLUSIVE) !== 0);
    if (file.poll() & item.events) this.notify(item);
    return 0;
  }

  /** EPOLL_CTL_MOD. 0 or -ENOENT, -EINVAL. */
  modify(fd: Fd, file: OpenFile, events: number, dataLow: number, dataHigh: number): number {
    if (file === this || events & EPOLLEXCLUSIVE) return -EINVAL;
    const item = this.find(fd, file);
    if (!item) return -ENOENT;
    if (item.events & EPOLLEXCLUSIVE) return -EINVAL;
    item.events = (events | ALWAYS) >>> 0;
    item.entry.mask = item.events;
    item.dataLow = dataLow;
    item.dataHigh = dataHigh;
    if (file.poll() & item.events) this.notify(item);
    return 0;
  }

  /** EPOLL_CTL_DEL. 0 or -ENOENT. */
  remove(fd: Fd, file: OpenFile): number {
    if (file === this) return -EINVAL;
    const item = this.find(fd, file);
    if (!item) return -ENOENT;
    this.removeItem(item);
    return 0;
  }

  /** Takes an item out of everything that knows it. */
  removeItem(item: EpollItem): void {
    itemsInAll--;
    item.entry.queue?.remove(item.entry);
    this.readyList.remove(item);
    const { watches } = item.file;
    if (watches?.delete(item) && watches.size === 0) item.file.watches = null;
    let at = this.items.get(item.fd) ?? null;
    if (at === item) {
      if (item.sameFd) this.items.set(item.fd, item.sameFd);
      else this.items.delete(item.fd);
      return;
    }
    while (at && at.sameFd !== item) at = at.sameFd;
    if (at) at.sameFd = item.sameFd;
  }

  /** An item's file may be ready. */
  notify(item: EpollItem): void {
    this.readyList.push(item);
    if (!this.queue.empty) this.queue.wake(POLLIN | POLLRDNORM);
  }

  /**
   * Lays down up to `max` struct epoll_event at arena offset `at` (room for `readyCount` is enough); returns how many.
   * Items that were not reached stay in front of those that go round, so that no one starves.
   */
  collect(at: number, max: number): number {
    const list = this.readyList;
    let count = 0;
    for (let left = list.length; left > 0 && count < max; left--) {
      const item = list.first as EpollItem;
      list.remove(item);
      const events = item.file.poll() & item.events;
      if (events === 0) continue;
      const i = (at + count * EPOLL_EVENT_SIZE) >> 2;
      u32[i] = events;
      u32[i + 1] = item.dataLow;
      u32[i + 2] = item.dataHigh;
      count++;
      if (item.events & EPOLLONESHOT) {
        item.events = (item.events & PRIVATE_BITS) >>> 0;
        item.entry.mask = 0;
      } else if (!(item.events & EPOLLET)) list.push(item);
    }
    return count;
  }

  /** Readable if one of the ready items is so in truth; those that are not leave the list. */
  override poll(): number {
    const list = this.readyList;
    while (list.first) {
      const item = list.first;
      if (item.file.poll() & item.events) return POLLIN | POLLRDNORM;
      list.remove(item);
    }
    return 0;
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  override release(): void {
    if (!this.removeSome(ITEMS_AT_ONCE)) finishLater(() => this.removeSome(ITEMS_AT_ONCE));
  }

  /** Removes so many items, and more while there is time; true when none is left. */
  private removeSome(least: number): boolean {
    let count = 0;
    for (let item of this.items.values() as Iterable<EpollItem | null>) {
      while (item) {
        const next: EpollItem | null = item.sameFd;
        this.removeItem(item);
        item = next;
      }
      if (++count >= least && turnIsOver()) return false;
    }
    return true;
  }

  override get linkText(): string {
    return 'anon_inode:[eventpoll]';
  }

  override get fdinfo(): string {
    let text = '';
    for (let item of this.items.values() as Iterable<EpollItem | null>) {
      for (; item; item = item.sameFd) {
        const data = ((BigInt(item.dataHigh) << 32n) | BigInt(item.dataLow)).toString(16).padStart(16);
        const { inode } = item.file;
        const tfd = `tfd: ${String(item.fd).padStart(8)} events: ${item.events.toString(16).padStart(8)} data: ${data}`;
        text += `${tfd}  pos:${item.file.position} ino:${inode.ino.toString(16)} sdev:${inode.device.toString(16)}\n`;
      }
    }
    return text;
  }

  private find(fd: Fd, file: OpenFile): EpollItem | null {
    let item = this.items.get(fd) ?? null;
    while (item && item.file !== file) item = item.sameFd;
    return item;
  }
}

/** EPOLLEXCLUSIVE is for plain events on files that are not epoll instances. */
function exclusiveAllowed(file: OpenFile, events: number): boolean {
  return !(file instanceof EpollFile) && (events & ~EXCLUSIVE_ALLOWED) === 0;
}
