// AF_UNIX sockets (unix(7)): names, connections and their ends. Data is the business of stream.ts and packet.ts.
//
// A connection is two sockets that know each other. connect(2) makes the server's half at once and puts it on the
// listener's backlog; accept(2) only takes it from there. A half whose peer is gone keeps knowing it, for its name and
// credentials, and is shut down in both directions.

import { EAGAIN, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENOTCONN } from '../../abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../../abi/poll.ts';
import { AF_UNIX, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_PASSCRED, SOMAXCONN } from '../../abi/socket.ts';
import type { Credentials } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import type { Inode } from '../../vfs/inode.ts';
import { drop } from '../../vfs/open-file.ts';
import type { Network } from '../network.ts';
import { carriers, collectCycles } from '../rights.ts';
import { NO_PEER, type PeerCredentials, Socket } from '../socket.ts';
import { autobind, bindName, findSocket, formatName, parseName, releaseName } from './names.ts';

export const UNCONNECTED = 0;
export const LISTENING = 1;
export const CONNECTED = 2;

/** Bits of `shut`. */
export const RECEIVE_SHUT = 1;
export const SEND_SHUT = 2;

export const READABLE = POLLIN | POLLRDNORM;
export const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;

export abstract class UnixSocket extends Socket {
  state = UNCONNECTED;
  peer: UnixSocket | null = null;
  shut = 0;
  /** It was released; its peer may still know it. */
  dead = false;
  /** As getsockname(2) reports it; '' if not bound. */
  name = '';
  boundInode: Inode | null = null;
  /** Halves of connections that wait for accept(2). */
  private readonly backlog: UnixSocket[] = [];
  private maxBacklog = 0;
  /** Sockets that wait for room in its backlog or its receive queue. */
  private readonly blocked = new Set<UnixSocket>();
  /** The ones it waits for itself. */
  private blockedOn: Set<UnixSocket> | null = null;
  private credentials: PeerCredentials = NO_PEER;
  /** Credentials that those who connect see: the listener's. */
  private listenerCredentials: PeerCredentials = NO_PEER;

  constructor(type: number, owner: Credentials | null, network: Network) {
    super(AF_UNIX, type, 0, owner, network);
  }

  /** A socket of the same kind, for the other half of a connection. */
  protected abstract createHalf(): UnixSocket;
  /** Drops what waits to be received. */
  abstract override purgeQueue(): void;

  get listening(): boolean {
    return this.state === LISTENING;
  }
  override get backlogLength(): number {
    return this.backlog.length;
  }
  override get backlogLimit(): number {
    return this.maxBacklog;
  }

  override get peerCredentials(): PeerCredentials {
    return this.credentials;
  }

  bind(task: Task, address: string): number {
    const name = parseName(address);
    if (typeof name === 'number') return name;
    if (this.name !== '') return name === '' ? 0 : -EINVAL;
    return name === '' ? autobind(this) : bindName(task, this, name);
  }

  listen(task: Task, backlog: number): number {
    if (this.name === '' || this.state === CONNECTED) return -EINVAL;
    this.state = LISTENING;
    this.maxBacklog = backlog < 0 ? SOMAXCONN : Math.min(backlog, SOMAXCONN);
    this.listenerCredentials = credentialsOf(task);
    this.wakeBlocked();
    return 0;
  }

  connect(task: Task, address: string): number {
    const name = parseName(address);
    if (typeof name === 'number') return name;
    if (name === '') return -EINVAL;
    if (this.state === LISTENING) return -EINVAL;
    if (this.hasSwitch(SO_PASSCRED) && this.name === '') autobind(this);
    const listener = findSocket(task, this.network, name, this.type);
    if (typeof listener === 'number') return listener;
    if (listener.state !== LISTENING || listener.shut & RECEIVE_SHUT) return -ECONNREFUSED;
    if (this.state === CONNECTED) return -EISCONN;
    if (listener.backlog.length > listener.maxBacklog) {
      this.waitFor(listener);
      return -EAGAIN;
    }
    const half = listener.createHalf();
    half.name = listener.name;
    half.setSwitch(SO_PASSCRED, listener.hasSwitch(SO_PASSCRED));
    link(this, half);
    this.credentials = listener.listenerCredentials;
    half.credentials = credentialsOf(task);
    listener.backlog.push(half);
    listener.queue.wake(READABLE);
    this.queue.wake(WRITABLE);
    return 0;
  }

  accept(): Socket | number {
    if (this.state !== LISTENING) return -EINVAL;
    const half = this.backlog.shift();
    if (!half) return this.shut & RECEIVE_SHUT ? -EINVAL : -EAGAIN;
    this.wakeBlocked();
    return half;
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    const bits = how === SHUT_RDWR ? RECEIVE_SHUT | SEND_SHUT : how === SHUT_WR ? SEND_SHUT : RECEIVE_SHUT;
    this.shut |= bits;
    if (this.peer && this.connectionOriented) {
      const mirrored = (bits & RECEIVE_SHUT ? SEND_SHUT : 0) | (bits & SEND_SHUT ? RECEIVE_SHUT : 0);
      this.peer.shut |= mirrored;
      this.peer.stateChanged();
    }
    this.stateChanged();
    return 0;
  }

  getName(): string {
    return formatName(this.name);
  }

  getPeerName(): string | number {
    return this.peer ? formatName(this.peer.name) : -ENOTCONN;
  }

  override poll(): number {
    let events = 0;
    if (this.error !== 0) events |= POLLERR;
    if (this.shut === (RECEIVE_SHUT | SEND_SHUT)) events |= POLLHUP;
    if (this.shut & RECEIVE_SHUT) events |= POLLRDHUP | READABLE;
    if (this.hasReadable()) events |= READABLE;
    if (this.connectionOriented && this.state === UNCONNECTED) events |= POLLHUP;
    if (this.state !== LISTENING && this.hasRoom()) events |= WRITABLE;
    return events;
  }

  override release(): void {
    this.dead = true;
    this.state = UNCONNECTED;
    const unread = this.hasReadable();
    const { peer } = this;
    this.shut = RECEIVE_SHUT | SEND_SHUT;
    if (peer && this.connectionOriented) {
      peer.shut = RECEIVE_SHUT | SEND_SHUT;
      if (unread) peer.error = ECONNRESET;
    }
    releaseName(this);
    for (const half of this.backlog) {
      if (half.peer) half.peer.error = ECONNRESET;
      drop(half);
    }
    this.backlog.length = 0;
    this.purgeQueue();
    carriers.delete(this);
    for (const other of this.blockedOn ?? []) other.blocked.delete(this);
    this.wakeBlocked();
    this.stateChanged();
    peer?.stateChanged();
    collectCycles();
  }

  protected get connectionOriented(): boolean {
    return true;
  }

  /** Whether there is something to receive or accept. */
  protected hasReadable(): boolean {
    return this.state === LISTENING ? this.backlog.length > 0 : this.readableBytes > 0;
  }

  /** Whether poll(2) calls it writable. */
  protected abstract hasRoom(): boolean;

  /** Has itself woken as writable when the other one has room. */
  protected waitFor(other: UnixSocket): void {
    other.blocked.add(this);
    this.blockedOn ??= new Set();
    this.blockedOn.add(other);
  }

  /** What was full is not any more: those who waited try again. */
  protected wakeBlocked(): void {
    if (this.blocked.size === 0) return;
    const waiting = [...this.blocked];
    this.blocked.clear();
    for (const socket of waiting) {
      socket.blockedOn?.delete(this);
      socket.queue.wake(WRITABLE);
    }
  }

  stateChanged(): void {
    this.queue.wake(READABLE | WRITABLE | POLLRDHUP | POLLHUP | POLLERR);
  }

  /** Makes the two one connection whose ends were made by one task (socketpair(2)). */
  pairWith(other: UnixSocket, task: Task): void {
    link(this, other);
    this.credentials = other.credentials = credentialsOf(task);
  }
}

function link(a: UnixSocket, b: UnixSocket): void {
  a.peer = b;
  b.peer = a;
  a.state = b.state = CONNECTED;
}

export function credentialsOf(task: Task): PeerCredentials {
  const { euid, egid, groups } = task.credentials;
  return { pid: task.group.identity, uid: euid, gid: egid, groups };
}
