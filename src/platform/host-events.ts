// Host descriptors in the sentry's one native wait: inherited streams, pidfds of guest processes, sockets, the control
// channel. Level-triggered: a sink that does not want to hear more sets its events to 0.

import type { HostFd } from '../base/brands.ts';
import { native } from './native.ts';

export interface HostEventSink {
  /** The poll mask (POLLIN, …) that is ready on the descriptor. */
  ready(events: number): void;
}

const sinks = new Map<number, HostEventSink>();

/** Starts watching; 0 or -errno (EPERM for regular files, which are always ready). */
export function watchHostFd(fd: HostFd, events: number, sink: HostEventSink): number {
  sinks.set(fd, sink);
  const r = native.watch(fd, events, fd);
  if (r < 0) sinks.delete(fd);
  return r;
}

export function modifyHostFd(fd: HostFd, events: number): number {
  return native.modify(fd, events, fd);
}

export function unwatchHostFd(fd: HostFd): void {
  if (sinks.delete(fd)) native.unwatch(fd);
}

/** Takes what is ready and tells the sinks. */
export function deliverHostEvents(): void {
  const count = native.events();
  for (let i = 0; i < count; i++) {
    sinks.get(native.readyTokens[2 * i])?.ready(native.readyTokens[2 * i + 1]);
  }
}
