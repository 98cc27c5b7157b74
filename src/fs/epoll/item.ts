// One registration of epoll(7): a file watched by an epoll instance under one descriptor number. It stands on the
// file's wait queue; a wake puts it on its instance's ready list.

import type { Fd } from '../../base/brands.ts';
import { WaitEntry, type Waiter } from '../../base/wait-queue.ts';
import type { FileWatch, OpenFile } from '../../vfs/open-file.ts';
import type { EpollFile } from './epoll.ts';

export class EpollItem implements Waiter, FileWatch {
  readonly epoll: EpollFile;
  readonly file: OpenFile;
  readonly fd: Fd;
  /** EPOLL* as given, with EPOLLERR and EPOLLHUP; only the private bits are left once a EPOLLONESHOT has fired. */
  events: number;
  /** epoll_data, in two words as it came. */
  dataLow: number;
  dataHigh: number;
  readonly entry = new WaitEntry(this);
  /** Whether it stands on the ready list. */
  ready = false;
  next: EpollItem | null = null;
  previous: EpollItem | null = null;
  /** Another item for the same descriptor number: its file was closed there but lives on elsewhere. */
  sameFd: EpollItem | null = null;

  constructor(epoll: EpollFile, file: OpenFile, fd: Fd, events: number, dataLow: number, dataHigh: number) {
    this.epoll = epoll;
    this.file = file;
    this.fd = fd;
    this.events = events;
    this.dataLow = dataLow;
    this.dataHigh = dataHigh;
  }

  wake(events: number): boolean {
    if (!(events & this.events)) return false;
    const awaited = !this.epoll.queue.empty;
    this.epoll.notify(this);
    return awaited;
  }

  fileReleased(): void {
    this.epoll.removeItem(this);
  }
}

/** The ready list: items in the order in which they became ready, level-triggered ones going round. */
export class ReadyList {
  first: EpollItem | null = null;
  last: EpollItem | null = null;
  length = 0;

  push(item: EpollItem): void {
    if (item.ready) return;
    item.ready = true;
    item.next = null;
    item.previous = this.last;
    if (this.last) this.last.next = item;
    else this.first = item;
    this.last = item;
    this.length++;
  }

  remove(item: EpollItem): void {
    if (!item.ready) return;
    item.ready = false;
    if (item.previous) item.previous.next = item.next;
    else this.first = item.next;
    if (item.next) item.next.previous = item.previous;
    else this.last = item.previous;
    item.next = item.previous = null;
    this.length--;
  }
}
