// Wait queues: who is to be told when an object's state changes. A blocked task has one entry on the queue it waits
// for; an epoll item has a standing one. Waking never runs guest-visible work by itself: a task entry only makes the
// task runnable again (its call is retried), so queues may be woken from anywhere in the kernel.

export interface Waiter {
  /**
   * Called with the poll mask (POLLIN, …) that became true; `entry` is the one that was woken. Answers `false` if nobody
   * is there to act on it now, so that another exclusive entry should be woken too; anything else otherwise.
   */
  wake(events: number, entry: WaitEntry): unknown;
}

export class WaitEntry {
  readonly waiter: Waiter;
  /** Events of interest; POLLERR and POLLHUP are always of interest. */
  mask = 0;
  /** At most one exclusive entry is woken by `wakeOne`. */
  exclusive = false;
  queue: WaitQueue | null = null;
  next: WaitEntry | null = null;
  previous: WaitEntry | null = null;

  constructor(waiter: Waiter) {
    this.waiter = waiter;
  }
}

const ALWAYS = 0x18; // POLLERR | POLLHUP

export class WaitQueue {
  first: WaitEntry | null = null;
  last: WaitEntry | null = null;

  get empty(): boolean {
    return this.first === null;
  }

  /** Appends an entry that is on no queue. */
  add(entry: WaitEntry, mask: number, exclusive = false): void {
    entry.queue = this;
    entry.mask = mask | ALWAYS;
    entry.exclusive = exclusive;
    entry.next = null;
    entry.previous = this.last;
    if (this.last) this.last.next = entry;
    else this.first = entry;
    this.last = entry;
  }

  remove(entry: WaitEntry): void {
    if (entry.queue !== this) return;
    if (entry.previous) entry.previous.next = entry.next;
    else this.first = entry.next;
    if (entry.next) entry.next.previous = entry.previous;
    else this.last = entry.previous;
    entry.queue = entry.next = entry.previous = null;
  }

  /** Wakes every entry interested in one of `events`, and of the exclusive ones the first. */
  wake(events: number): void {
    let exclusiveWoken = false;
    let entry = this.first;
    while (entry) {
      const next: WaitEntry | null = entry.next;
      if (entry.mask & events && !(entry.exclusive && exclusiveWoken)) {
        const acted = entry.waiter.wake(events, entry) !== false;
        if (entry.exclusive && acted) exclusiveWoken = true;
      }
      // A waiter may have removed its neighbour: start over from the front if so.
      entry = next && next.queue !== this ? this.first : next;
    }
  }
}
