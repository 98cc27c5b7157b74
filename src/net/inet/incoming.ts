// Connections on their way into a listening socket of TCP (listen(2)). Only a listener has this: most sockets are none.

import type { Timer } from '../../kernel/timers.ts';

export class Incoming<S> {
  /** Those to be accepted, the oldest first. */
  readonly ready: S[] = [];
  /** Those that wait for their first bytes to be accepted (TCP_DEFER_ACCEPT). */
  readonly deferred = new Map<S, Timer>();
  /** Sockets whose connect finds no room. */
  readonly waiting = new Set<S>();
  /** The backlog that was asked for. */
  most = 0;

  get isFull(): boolean {
    return this.ready.length + this.deferred.size > this.most;
  }
}
