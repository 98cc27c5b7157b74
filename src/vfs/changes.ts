// Changes of what a generated file tells (the mounts of a namespace, the events of a cgroup), for those that poll(2) it:
// POLLPRI and POLLERR say that it has changed since this open file was read, or polled.

import { POLLERR, POLLIN, POLLPRI, POLLRDNORM } from '../abi/poll.ts';
import { WaitQueue } from '../base/wait-queue.ts';

export class Changes {
  /** How often it has changed. */
  count = 0;
  readonly queue = new WaitQueue();
  /** A reader knows of a change when it has polled (as of /proc/PID/mounts), not only when it has read. */
  readonly seenByPolling: boolean;

  constructor(seenByPolling: boolean) {
    this.seenByPolling = seenByPolling;
  }

  note(): void {
    this.count++;
    this.queue.wake(POLLIN | POLLRDNORM | POLLERR | POLLPRI);
  }
}
