// A socket that was inherited as a standard stream: what Node.js, systemd and super-servers give to programs they
// start. Bytes go to and from the host's socket, which never makes the sentry wait; names and shutdown are the host's.
// It is connected (or not) as it came: new connections belong to the sandbox's own network, not to the host's.

import { EAGAIN, EINVAL, EISCONN, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import {
  MSG_DONTWAIT,
  MSG_EOR,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_ERROR,
  SO_PROTOCOL,
  SO_TYPE,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../abi/socket.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import type { Message } from '../../net/message.ts';
import { initialNetwork } from '../../net/network.ts';
import { Socket } from '../../net/socket.ts';
import { allocateScratch, i32, markScratch, readBytes, releaseScratch, u32 } from '../../platform/arena.ts';
import { HostQueue } from './host-queue.ts';

/** Longest sockaddr (struct sockaddr_storage). */
const ADDRESS_SIZE = 128;
const RECEIVE_FLAGS = MSG_OOB | MSG_PEEK | MSG_TRUNC;
const SEND_FLAGS = MSG_OOB | MSG_EOR;
/** Room for one datagram whose length is not known before it is there. */
const LONGEST_DATAGRAM = 65536;

class HostSocket extends Socket {
  override readonly queue: HostQueue;
  readonly fd: HostFd;
  readonly listening: boolean;

  constructor(fd: HostFd, family: number, type: number, protocol: number, listening: boolean) {
    super(family, type, protocol, null, initialNetwork());
    this.fd = fd;
    this.listening = listening;
    this.queue = new HostQueue(fd);
  }

  get streaming(): boolean {
    return this.type === SOCK_STREAM;
  }

  get readableBytes(): number {
    const mark = markScratch();
    const at = allocateScratch(4);
    const r = at < 0 ? at : host.fionread(this.fd, at);
    const ready = r === 0 ? i32[at >> 2] : 0;
    releaseScratch(mark);
    return this.streaming ? Math.max(ready, 1) : Math.max(ready, LONGEST_DATAGRAM);
  }

  /** What the host's socket still holds is not ours to know. */
  get unsentBytes(): number {
    return 0;
  }

  bind(): number {
    return -EINVAL;
  }

  listen(): number {
    return -EINVAL;
  }

  connect(): number {
    return -EISCONN;
  }

  accept(): number {
    return -EOPNOTSUPP;
  }

  /** Open files of the sandbox mean nothing outside: they cannot go along. */
  send(_task: Task, message: Message): number {
    if (message.rights !== null) return -EOPNOTSUPP;
    if (message.address !== null) return -EISCONN;
    const flags = (message.flags & SEND_FLAGS) | MSG_DONTWAIT | MSG_NOSIGNAL;
    const n = host.send(this.fd, message.at, message.length, flags);
    if (n === -EAGAIN || !this.queue.empty) this.queue.rearm();
    return n;
  }

  receive(message: Message): number {
    const n = host.recv(this.fd, message.at, message.length, (message.flags & RECEIVE_FLAGS) | MSG_DONTWAIT);
    if (n === -EAGAIN || !this.queue.empty) this.queue.rearm();
    if (n < 0) return n;
    message.copied = Math.min(n, message.length);
    if (n > message.length) message.resultFlags |= MSG_TRUNC;
    return n;
  }

  shutdown(how: number): number {
    return host.shutdown(this.fd, how);
  }

  getName(): string {
    const name = this.address(host.getsockname);
    return typeof name === 'string' ? name : '';
  }

  getPeerName(): string | number {
    return this.address(host.getpeername);
  }

  private address(ask: (fd: HostFd, at: number, lengthAt: number) => number): string | number {
    const mark = markScratch();
    const at = allocateScratch(ADDRESS_SIZE + 16);
    if (at < 0) return at;
    const lengthAt = at + ADDRESS_SIZE;
    u32[lengthAt >> 2] = ADDRESS_SIZE;
    const r = ask(this.fd, at, lengthAt);
    const name = r < 0 ? r : readBytes(at, Math.min(u32[lengthAt >> 2], ADDRESS_SIZE));
    releaseScratch(mark);
    return name;
  }

  override poll(): number {
    const ready = host.poll(this.fd, POLLIN | POLLOUT | POLLRDHUP);
    if (ready < 0) return POLLERR;
    if (!this.queue.empty) this.queue.rearm();
    let mask = ready & (POLLERR | POLLHUP | POLLRDHUP);
    if (ready & POLLIN) mask |= POLLIN | POLLRDNORM;
    if (ready & POLLOUT) mask |= POLLOUT | POLLWRNORM;
    return mask;
  }

  override takeError(): number {
    return -Math.max(0, integerOption(this.fd, SO_ERROR));
  }

  override release(): void {
    this.queue.disarm();
    host.close(this.fd);
  }
}

/** The socket behind an inherited descriptor, or -errno. */
export function openHostSocket(fd: HostFd): Socket | number {
  const family = integerOption(fd, SO_DOMAIN);
  const type = integerOption(fd, SO_TYPE);
  if (family < 0 || type < 0) return Math.min(family, type);
  const protocol = Math.max(0, integerOption(fd, SO_PROTOCOL));
  return new HostSocket(fd, family, type, protocol, integerOption(fd, SO_ACCEPTCONN) === 1);
}

/** An option of SOL_SOCKET that is an int, or -errno. */
function integerOption(fd: HostFd, name: number): number {
  const mark = markScratch();
  const at = allocateScratch(16);
  if (at < 0) return at;
  u32[(at + 8) >> 2] = 4;
  const r = host.getsockopt(fd, SOL_SOCKET, name, at, at + 8);
  const value = i32[at >> 2];
  releaseScratch(mark);
  return r < 0 ? r : value;
}
