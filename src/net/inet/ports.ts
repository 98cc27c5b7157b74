// Ports of one protocol: who is bound to which, what may be bound beside it (SO_REUSEADDR, SO_REUSEPORT), and who is
// meant by a destination.

import { EADDRINUSE } from '../../abi/errno.ts';
import { SO_REUSEADDR, SO_REUSEPORT } from '../../abi/socket.ts';
import { LOOPBACK_INDEX } from '../links.ts';
import { isAny, isLoopback } from './address.ts';
import type { InetSocket } from './socket.ts';

/** Ports that are given out: net.ipv4.ip_local_port_range. */
export interface PortRange {
  first: number;
  last: number;
}

export const DEFAULT_RANGE: Readonly<PortRange> = { first: 32768, last: 60999 };

/** Who has a port. Accepted halves of connections have it too, and may be many, but hear no more of anybody else. */
class PortUsers {
  readonly owners = new Set<InetSocket>();
  readonly accepted = new Set<InetSocket>();

  *[Symbol.iterator](): Generator<InetSocket> {
    yield* this.owners;
    yield* this.accepted;
  }
}

export class PortTable {
  /** Most ports belong to one client, which stands there itself. */
  private readonly bound = new Map<number, InetSocket | PortUsers>();
  private readonly range: Readonly<PortRange>;
  private next = 0;

  constructor(range: Readonly<PortRange>) {
    this.range = range;
  }

  /** Binds a socket to its `local` host and a port (0: a free one). The port, or -EADDRINUSE. */
  bind(socket: InetSocket, host: string, port: number): number {
    const chosen = port === 0 ? this.freePort() : port;
    if (chosen < 0) return chosen;
    if (port !== 0 && this.conflicts(socket, host, port)) return -EADDRINUSE;
    this.enter(socket, chosen);
    return chosen;
  }

  /** Notes a socket under a port without asking. */
  enter(socket: InetSocket, port: number): void {
    if (this.bound.has(port)) this.users(port).owners.add(socket);
    else this.bound.set(port, socket);
  }

  /** Notes the accepted half of a connection under its port. */
  enterAccepted(socket: InetSocket, port: number): void {
    this.users(port).accepted.add(socket);
  }

  private users(port: number): PortUsers {
    const before = this.bound.get(port);
    if (before instanceof PortUsers) return before;
    const users = new PortUsers();
    if (before) users.owners.add(before);
    this.bound.set(port, users);
    return users;
  }

  release(socket: InetSocket, port: number): void {
    const users = this.bound.get(port);
    if (users === socket) this.bound.delete(port);
    if (!(users instanceof PortUsers)) return;
    if (!users.accepted.delete(socket)) users.owners.delete(socket);
    if (users.accepted.size + users.owners.size === 0) this.bound.delete(port);
  }

  /** Those under a port who hear what is sent to it. */
  private owners(port: number): Iterable<InetSocket> {
    const users = this.bound.get(port);
    if (users === undefined) return [];
    return users instanceof PortUsers ? users.owners : [users];
  }

  private all(port: number): Iterable<InetSocket> {
    const users = this.bound.get(port);
    return users instanceof PortUsers ? users : this.owners(port);
  }

  /** Whether another socket stands in the way of this one having host and port. */
  conflicts(socket: InetSocket, host: string, port: number): boolean {
    for (const other of this.all(port)) {
      if (other === socket || !overlaps(socket, host, other)) continue;
      const samePort = socket.hasSwitch(SO_REUSEPORT) && other.hasSwitch(SO_REUSEPORT);
      const sameAddress = socket.hasSwitch(SO_REUSEADDR) && other.hasSwitch(SO_REUSEADDR);
      if (samePort && socket.ownerUid === other.ownerUid) continue;
      if (sameAddress && !(other.listening && socket.exclusiveListener)) continue;
      return true;
    }
    return false;
  }

  /** The socket that takes what is sent to host and port: the most specific one; null if nobody does. */
  find(host: string, port: number, accepts: (socket: InetSocket) => number): InetSocket | null {
    let best: InetSocket | null = null;
    let bestScore = 0;
    let equals = 0;
    for (const socket of this.owners(port)) {
      if (!hears(socket, host)) continue;
      const score =
        accepts(socket) + (isAny(socket.localHost) ? 0 : 2) + (socket.localHost.length === host.length ? 1 : 0);
      if (score < bestScore || accepts(socket) === 0) continue;
      // Sockets that share a port take turns at random, as SO_REUSEPORT spreads the load.
      equals = score === bestScore ? equals + 1 : 1;
      if (score > bestScore || Math.random() * equals < 1) best = socket;
      bestScore = score;
    }
    return best;
  }

  /** All sockets under a port that hear what is sent to the host. */
  *allAt(host: string, port: number): Generator<InetSocket> {
    for (const socket of this.owners(port)) if (hears(socket, host)) yield socket;
  }

  /** A port of the range that nobody has, or -EADDRINUSE. */
  freePort(): number {
    const { first, last } = this.range;
    for (let tries = first; tries <= last; tries++) {
      const port = this.next >= first && this.next <= last ? this.next : first;
      this.next = port + 1;
      if (!this.bound.has(port)) return port;
    }
    return -EADDRINUSE;
  }
}

/** Whether a socket bound to its address hears what is sent to `host`. */
function hears(socket: InetSocket, host: string): boolean {
  // What is sent to the loopback's addresses comes by no other interface.
  if (socket.device > LOOPBACK_INDEX && isLoopback(host)) return false;
  if (socket.localHost === host) return true;
  if (!isAny(socket.localHost)) return false;
  return socket.localHost.length === host.length ? true : socket.dualStack;
}

/** Whether the addresses of two sockets have one in common. */
function overlaps(socket: InetSocket, host: string, other: InetSocket): boolean {
  if (host === other.localHost) return true;
  const here = isAny(host);
  const there = isAny(other.localHost);
  if (!here && !there) return false;
  if (host.length === other.localHost.length) return true;
  // An IPv6 wildcard covers IPv4 unless it is told not to.
  return (
    (here && host.length === 16 && socket.dualStack) || (there && other.localHost.length === 16 && other.dualStack)
  );
}
