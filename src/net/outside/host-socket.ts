// A socket of the host, in the network namespace that the sentry lives in (the container's own). It stands behind a
// guest's socket, never in its place: addresses, options and control messages are built here or by who calls, from
// values that were checked, and nothing of the guest's reaches the host as it was written.
//
// Readiness. The descriptor is watched edge-triggered from its birth: each edge wakes the guest socket's wait queue,
// and what is true now is asked of the host (`poll`). A call first tries, then waits; an edge that came in between is
// still in the sentry's epoll and wakes it. So none is lost, and a socket that nobody looks at costs nothing.

import { EAGAIN, EINVAL, EIO } from '../../abi/errno.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '../../abi/poll.ts';
import { CMSGHDR_SIZE, MSG_DONTWAIT, SO_ERROR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET } from '../../abi/socket.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import {
  allocateScratch,
  i32,
  markScratch,
  readBytes,
  readU64,
  releaseScratch,
  u32,
  writeBytes,
  writeU64,
} from '../../platform/arena.ts';
import { type HostEventSink, unwatchHostFd, watchHostFd } from '../../platform/host-events.ts';
import type { ControlItem, Message } from '../message.ts';
import { admitsIncoming } from './control-items.ts';

/** EPOLLET: tell of changes only. */
const EDGES = 0x80000000;
const EVENTS = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLERR | POLLHUP;
const STATES = EVENTS | POLLRDNORM | POLLWRNORM | POLLWRBAND;

/** struct received of native/addon/net.c. */
const RECEIVED_SIZE = 1168;
const RECEIVED_NAME = 16;
const RECEIVED_CONTROL = 144;
const SOCKADDR_SIZE = 128;

/** Who is told of what is ready: a wait queue, or somebody like it. */
export interface Wakes {
  wake(events: number): void;
}

export class HostSocket implements HostEventSink {
  readonly fd: HostFd;
  /** bind(2) was tried. */
  isNamed = false;
  private readonly queue: Wakes;

  private constructor(fd: HostFd, queue: Wakes) {
    this.fd = fd;
    this.queue = queue;
  }

  /** A new socket that wakes `queue`, or -errno. */
  static open(family: number, type: number, protocol: number, queue: Wakes): HostSocket | number {
    return HostSocket.adopt(host.socket(family, type, protocol), queue);
  }

  /** Takes over a descriptor, or passes -errno on. */
  static adopt(fd: number, queue: Wakes): HostSocket | number {
    if (fd < 0) return fd;
    const made = new HostSocket(fd as HostFd, queue);
    const failed = watchHostFd(made.fd, EDGES + EVENTS, made);
    if (failed < 0) {
      host.close(made.fd);
      return failed;
    }
    return made;
  }

  ready(events: number): void {
    let all = events;
    if (events & POLLIN) all |= POLLRDNORM;
    if (events & POLLOUT) all |= POLLWRNORM | POLLWRBAND;
    this.queue.wake(all);
  }

  close(): void {
    unwatchHostFd(this.fd);
    host.close(this.fd);
  }

  /** What is ready now. */
  poll(): number {
    const events = host.poll(this.fd, STATES);
    return events < 0 ? POLLERR : events;
  }

  /** bind(2) and connect(2) to a sockaddr as a byte string. 0 or -errno. */
  bind(address: string): number {
    this.isNamed = true;
    return this.withAddress(address, host.bind);
  }

  connect(address: string): number {
    return this.withAddress(address, host.connect);
  }

  /** As bind, for a port that needs a privilege: whoever is at the other end of `channel` has it. */
  bindThrough(channel: HostFd, address: string): number {
    return this.withAddress(address, (fd, at, length) => host.bindThrough(channel, fd, at, length));
  }

  private withAddress(address: string, call: (fd: HostFd, at: number, length: number) => number): number {
    const mark = markScratch();
    const at = allocateScratch(address.length);
    if (at < 0) return at;
    writeBytes(at, address);
    const result = call(this.fd, at, address.length);
    releaseScratch(mark);
    return result;
  }

  listen(backlog: number): number {
    return host.listen(this.fd, backlog);
  }

  /** A descriptor for `adopt` of a connection that came in; -EAGAIN or -errno. */
  accept(): number {
    return host.accept4(this.fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }

  shutdown(how: number): number {
    return host.shutdown(this.fd, how);
  }

  /** Own or peer's sockaddr, or -errno. */
  name(of: 'own' | 'peer'): string | number {
    const mark = markScratch();
    const at = allocateScratch(SOCKADDR_SIZE + 8);
    if (at < 0) return at;
    u32[at >> 2] = SOCKADDR_SIZE;
    const call = of === 'own' ? host.getsockname : host.getpeername;
    const failed = call(this.fd, at + 8, at);
    const result = failed < 0 ? failed : readBytes(at + 8, Math.min(u32[at >> 2], SOCKADDR_SIZE));
    releaseScratch(mark);
    return result;
  }

  /** The pending error as -errno (then it is gone), or 0. */
  takeError(): number {
    return -this.getNumber(SOL_SOCKET, SO_ERROR, EIO);
  }

  /** An option that is a number; `otherwise` if the host does not tell. */
  getNumber(level: number, name: number, otherwise: number): number {
    const mark = markScratch();
    const at = allocateScratch(4);
    const size = at < 0 ? at : this.getOption(level, name, at, 4);
    const value = size === 4 ? i32[at >> 2] : otherwise;
    releaseScratch(mark);
    return value;
  }

  /** Lays an option down at an arena offset; its size, or -errno. */
  getOption(level: number, name: number, at: number, length: number): number {
    const mark = markScratch();
    const lengthAt = allocateScratch(4);
    if (lengthAt < 0) return lengthAt;
    u32[lengthAt >> 2] = length;
    const failed = host.getsockopt(this.fd, level, name, at, lengthAt);
    const size = u32[lengthAt >> 2];
    releaseScratch(mark);
    return failed < 0 ? failed : size;
  }

  /** Sets an option to one or two numbers. 0 or -errno. */
  setNumber(level: number, name: number, value: number, second?: number): number {
    const mark = markScratch();
    const at = allocateScratch(8);
    if (at < 0) return at;
    i32[at >> 2] = value;
    if (second !== undefined) i32[(at >> 2) + 1] = second;
    const result = host.setsockopt(this.fd, level, name, at, second === undefined ? 4 : 8);
    releaseScratch(mark);
    return result;
  }

  /** Sets an option to bytes that were built here. 0 or -errno. */
  setBytes(level: number, name: number, value: string): number {
    return this.withAddress(value, (fd, at, length) => host.setsockopt(fd, level, name, at, length));
  }

  /** Bytes that can be received, and those that the peer has not acknowledged. */
  get readableBytes(): number {
    return this.askNumber(host.fionread);
  }

  get unsentBytes(): number {
    return this.askNumber(host.siocoutq);
  }

  get atMark(): boolean {
    return this.askNumber(host.siocatmark) !== 0;
  }

  private askNumber(call: (fd: HostFd, at: number) => number): number {
    const mark = markScratch();
    const at = allocateScratch(4);
    const value = at >= 0 && call(this.fd, at) >= 0 ? i32[at >> 2] : 0;
    releaseScratch(mark);
    return value;
  }

  /** Stream bytes in and out of an arena offset. Bytes or -errno; `flags` are MSG_* that the host may see. */
  send(at: number, length: number, flags: number): number {
    return host.sendmsg(this.fd, at, length, flags, 0, 0, 0, 0);
  }

  receive(at: number, length: number, flags: number): number {
    return host.recv(this.fd, at, length, flags | MSG_DONTWAIT);
  }

  /** A datagram to a sockaddr ('': the peer) with control messages that were admitted. Bytes or -errno. */
  sendTo(at: number, length: number, flags: number, address: string, items: readonly ControlItem[] | null): number {
    const mark = markScratch();
    const nameAt = allocateScratch(address.length);
    const control = items === null ? 0 : controlSize(items);
    const controlAt = allocateScratch(control);
    if (nameAt < 0 || controlAt < 0) return -EINVAL;
    writeBytes(nameAt, address);
    if (items !== null) putControl(controlAt, items);
    const sent = host.sendmsg(this.fd, at, length, flags, nameAt, address.length, controlAt, control);
    releaseScratch(mark);
    return sent;
  }

  /** A datagram into a message's room, with its sender, flags and control messages. Its length or -errno. */
  receiveMessage(message: Message, flags: number): number {
    const mark = markScratch();
    const at = allocateScratch(RECEIVED_SIZE);
    if (at < 0) return -EAGAIN;
    const n = host.recvmsg(this.fd, message.at, message.length, flags, at);
    if (n >= 0) {
      message.copied = Math.min(n, message.length);
      message.address = readBytes(at + RECEIVED_NAME, Math.min(u32[at >> 2], SOCKADDR_SIZE));
      message.resultFlags |= u32[(at + 8) >> 2] & RESULT_FLAGS;
      message.items = takeControl(at + RECEIVED_CONTROL, u32[(at + 4) >> 2]);
    }
    releaseScratch(mark);
    return n;
  }
}

/** MSG_OOB, MSG_CTRUNC, MSG_TRUNC, MSG_ERRQUEUE */
const RESULT_FLAGS = 0x2029;

function padded(length: number): number {
  return (length + 7) & ~7;
}

function controlSize(items: readonly ControlItem[]): number {
  return items.reduce((size, { data }) => size + CMSGHDR_SIZE + padded(data.length), 0);
}

function putControl(at: number, items: readonly ControlItem[]): void {
  let next = at;
  for (const { level, type, data } of items) {
    writeU64(next, CMSGHDR_SIZE + data.length);
    i32[(next + 8) >> 2] = level;
    i32[(next + 12) >> 2] = type;
    writeBytes(next + CMSGHDR_SIZE, data.padEnd(padded(data.length), '\0'));
    next += CMSGHDR_SIZE + padded(data.length);
  }
}

function takeControl(at: number, length: number): ControlItem[] | null {
  let items: ControlItem[] | null = null;
  for (let offset = 0; offset + CMSGHDR_SIZE <= length; ) {
    const size = readU64(at + offset);
    if (size < CMSGHDR_SIZE || offset + size > length) break;
    const level = i32[(at + offset + 8) >> 2];
    const type = i32[(at + offset + 12) >> 2];
    if (admitsIncoming(level, type)) {
      items ??= [];
      items.push({ level, type, data: readBytes(at + offset + CMSGHDR_SIZE, size - CMSGHDR_SIZE) });
    }
    offset += padded(size);
  }
  return items;
}
