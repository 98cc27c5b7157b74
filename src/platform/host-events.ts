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

/** Whom the events of this round are for. */
const meant: (HostEventSink | undefined)[] = [];

/**
 * Takes what is ready and tells the sinks. What one does may close another's descriptor, and its number may be a new one's
 * by the time its event comes up: that is not for the new one, to which it might mean the end.
 */
export function deliverHostEvents(): void {
  const count = native.events();
  const { readyTokens } = native;
  for (let i = 0; i < count; i++) meant[i] = sinks.get(readyTokens[2 * i]);
  for (let i = 0; i < count; i++) {
    const sink = meant[i];
    meant[i] = undefined;
    if (sink !== undefined && sinks.get(readyTokens[2 * i]) === sink) sink.ready(readyTokens[2 * i + 1]);
  }
}
