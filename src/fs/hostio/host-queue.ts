// The wait queue of a host descriptor. While somebody stands on it the descriptor is watched in the sentry's native
// wait, for the events that were not ready when last asked. A wake-up disarms what it reported, so that a reader who
// takes its time does not keep the sentry spinning; asking again (poll, or an operation that answers -EAGAIN) re-arms.

import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import type { HostFd } from '../../base/brands.ts';
import { type WaitEntry, WaitQueue } from '../../base/wait-queue.ts';
import { type HostEventSink, modifyHostFd, unwatchHostFd, watchHostFd } from '../../platform/host-events.ts';

const INPUT = POLLIN | POLLRDNORM;
const OUTPUT = POLLOUT | POLLWRNORM;

export class HostQueue extends WaitQueue implements HostEventSink {
  private readonly fd: HostFd;
  /** Events (POLLIN, POLLOUT) the native wait reports now. */
  private armed = 0;
  private watched = false;

  constructor(fd: HostFd) {
    super();
    this.fd = fd;
  }

  override add(entry: WaitEntry, mask: number, exclusive = false): void {
    super.add(entry, mask, exclusive);
    this.rearm();
  }

  override remove(entry: WaitEntry): void {
    super.remove(entry);
    if (this.empty) this.disarm();
  }

  /** Watches for what those on the queue want to hear of. */
  rearm(): void {
    let events = 0;
    for (let entry = this.first; entry; entry = entry.next) {
      if (entry.mask & INPUT) events |= POLLIN;
      if (entry.mask & OUTPUT) events |= POLLOUT;
    }
    this.arm(events);
  }

  ready(events: number): void {
    // An error or a hang-up is reported whatever is armed: nothing new can come after it.
    if (events & (POLLERR | POLLHUP)) this.disarm();
    else this.arm(this.armed & ~events);
    let mask = events;
    if (events & POLLIN) mask |= POLLRDNORM;
    if (events & POLLOUT) mask |= POLLWRNORM;
    this.wake(mask);
  }

  disarm(): void {
    if (!this.watched) return;
    unwatchHostFd(this.fd);
    this.watched = false;
    this.armed = 0;
  }

  private arm(events: number): void {
    if (this.empty || (this.watched && events === this.armed)) return;
    if (this.watched) modifyHostFd(this.fd, events);
    else if (watchHostFd(this.fd, events, this) < 0) return;
    this.watched = true;
    this.armed = events;
  }
}
