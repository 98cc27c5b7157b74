// Asynchronous I/O (io_setup(2)): contexts of an address space, each with a ring of completed operations. Reads and
// writes complete while they are submitted, as those of buffered files do on Linux; what waits is IOCB_CMD_POLL.
// A context's number is the address of a page in the program that stands for the ring which Linux maps there; libaio
// looks whether it may read that by itself, and finds that it may not.

import { ECANCELED } from '../../abi/errno.ts';
import { POLLIN } from '../../abi/poll.ts';
import { WaitEntry, type Waiter, WaitQueue } from '../../base/wait-queue.ts';
import { drop, type OpenFile, retain } from '../../vfs/open-file.ts';
import type { EventFile } from '../eventfd/eventfd.ts';

/** struct io_event: u64 data, object; s64 result, a second one that is 0. */
export const IO_EVENT_SIZE = 32;

/** What an operation's event repeats of its iocb: two words of data, and the address of the iocb. */
export interface Operation {
  readonly dataLow: number;
  readonly dataHigh: number;
  readonly address: number;
  /** Told of the completion (IOCB_FLAG_RESFD); the operation holds a reference. */
  readonly notify: EventFile | null;
}

interface Completed {
  readonly operation: Operation;
  readonly result: number;
}

/** Of all contexts in the sandbox (/proc/sys/fs/aio-nr). */
let reserved = 0;

export function reservedEvents(): number {
  return reserved;
}

export class AioContext {
  readonly capacity: number;
  /** Woken at each completion, and at the end. */
  readonly queue = new WaitQueue();
  readonly events: Completed[] = [];
  readonly polls = new Set<AioPoll>();
  ended = false;

  constructor(capacity: number) {
    this.capacity = capacity;
    reserved += capacity;
  }

  /** Whether one more operation can be submitted: each has a place in the ring until its event was read. */
  get full(): boolean {
    return this.events.length + this.polls.size >= this.capacity;
  }

  complete(operation: Operation, result: number): void {
    this.events.push({ operation, result });
    if (operation.notify) {
      operation.notify.signal();
      drop(operation.notify);
    }
    this.queue.wake(POLLIN);
  }

  /** The poll that was submitted by the iocb at this address, or null. */
  findPoll(address: number): AioPoll | null {
    for (const poll of this.polls) if (poll.operation.address === address) return poll;
    return null;
  }

  /** io_destroy(2), or the address space is left for good: nothing is waited for any more. */
  end(): void {
    this.ended = true;
    reserved -= this.capacity;
    for (const poll of [...this.polls]) poll.finish(-ECANCELED);
    this.events.length = 0;
    this.queue.wake(POLLIN);
  }
}

/** A poll under way: a standing entry on its file's queue until one of the events is there. */
export class AioPoll implements Waiter {
  readonly operation: Operation;
  private readonly context: AioContext;
  private readonly file: OpenFile;
  private readonly wanted: number;
  private readonly entry = new WaitEntry(this);

  constructor(context: AioContext, operation: Operation, file: OpenFile, queue: WaitQueue, wanted: number) {
    this.context = context;
    this.operation = operation;
    this.file = retain(file);
    this.wanted = wanted;
    context.polls.add(this);
    queue.add(this.entry, wanted);
  }

  /** As on Linux, the event tells all of the wake-up that is so. */
  wake(events: number): void {
    const ready = this.file.poll();
    if ((ready & this.wanted) !== 0) this.finish(ready & (events | this.wanted));
  }

  finish(result: number): void {
    if (!this.context.polls.delete(this)) return;
    this.entry.queue?.remove(this.entry);
    this.context.complete(this.operation, result);
    drop(this.file);
  }
}
