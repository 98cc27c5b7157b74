// What all sockets have in common (socket(7)): their options, their place among the open files, and the operations
// that an address family gives them. No operation waits: what cannot go on answers -EAGAIN, and the system call waits
// on `queue` (POLLIN or POLLOUT) and tries again.

import { CAP_NET_ADMIN } from '../abi/capability.ts';
import { EDOM, EINVAL, ENODATA, ENOENT, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../abi/fcntl.ts';
import { FIONREAD, SIOCOUTQ } from '../abi/ioctl.ts';
import { POLLOUT, POLLWRNORM } from '../abi/poll.ts';
import {
  SO_ACCEPTCONN,
  SO_ATTACH_FILTER,
  SO_BROADCAST,
  SO_BSDCOMPAT,
  SO_COOKIE,
  SO_DEBUG,
  SO_DETACH_FILTER,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_NO_CHECK,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_RCVTIMEO_NEW,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_SNDLOWAT,
  SO_SNDTIMEO,
  SO_SNDTIMEO_NEW,
  SO_TYPE,
  SOL_SOCKET,
} from '../abi/socket.ts';
import { S_IFSOCK } from '../abi/stat.ts';
import type { UserAddress } from '../base/brands.ts';
import { type Credentials, capableIn } from '../base/credentials.ts';
import { NO_ID } from '../base/user-namespace.ts';
import { WaitQueue } from '../base/wait-queue.ts';
import { kernel } from '../kernel/kernel.ts';
import { type Numbered, numberIn } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { gidSeen, uidSeen } from '../kernel/user-namespaces.ts';
import { i32, readS64, u32, writeU64 } from '../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../vfs/anonymous.ts';
import { OpenFile } from '../vfs/open-file.ts';
import { interfaceIoctl } from './interfaces.ts';
import { Message } from './message.ts';
import type { Network } from './network.ts';
import { SocketFilter } from './packet-filter.ts';
import { discardRights } from './rights.ts';
import { isStamp } from './timestamps.ts';

/** net.core.wmem_default and rmem_default; SO_SNDBUF and SO_RCVBUF are clamped to twice the maximum. */
export const DEFAULT_BUFFER = 212992;
const MAX_BUFFER = 212992;
/** What SO_SNDBUFFORCE may ask for: it is the sentry's memory. */
const MAX_FORCED_BUFFER = 8 << 20;
const MIN_SEND_BUFFER = 4608;
const MIN_RECEIVE_BUFFER = 2304;
const SECOND = 1e9;
const FOREVER = Number.POSITIVE_INFINITY;

/** Options that are a switch, kept as bits of `switches` by their number. */
const SWITCHES = [
  SO_DEBUG,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_DONTROUTE,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_OOBINLINE,
  SO_NO_CHECK,
  SO_BSDCOMPAT,
  SO_PASSCRED,
];

const FILTERING = [SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER];

export interface PeerCredentials {
  pid: Numbered | null;
  uid: number;
  gid: number;
  groups: readonly number[];
}

export const NO_PEER: PeerCredentials = Object.freeze({ pid: null, uid: 0xffffffff, gid: 0xffffffff, groups: [] });

let lastCookie = 0;
const plain = new Message();

export abstract class Socket extends OpenFile {
  /** AF_*: of an internet socket it can change (IPV6_ADDRFORM). */
  family: number;
  /** SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET. */
  readonly type: number;
  readonly protocol: number;
  /** Where it finds others and others find it. */
  readonly network: Network;
  readonly queue = new WaitQueue();
  /** Error to be reported by the next call or SO_ERROR, as a positive errno; 0 if none. */
  error = 0;
  sendBuffer = DEFAULT_BUFFER;
  receiveBuffer = DEFAULT_BUFFER;
  /** SO_SNDTIMEO and SO_RCVTIMEO in ns, Infinity for none. */
  sendTimeout = FOREVER;
  receiveTimeout = FOREVER;
  receiveLowWater = 1;
  /** Which of the buffers' sizes were set: bits by SO_SNDBUF and SO_RCVBUF. */
  protected sizesSet = 0;
  lingers = false;
  lingerSeconds = 0;
  /** The option by which times of arrival are asked for; 0 for none. */
  protected stamp = 0;
  private filter: SocketFilter | null = null;
  private priority = 0;
  private mark = 0;
  private switches = 0;
  readonly cookie = ++lastCookie;

  constructor(family: number, type: number, protocol: number, owner: Credentials | null, network: Network) {
    const inode = new AnonymousInode(S_IFSOCK | 0o777, owner);
    super(anonymousPath(`socket:[${inode.ino}]`, inode), inode, O_RDWR);
    this.family = family;
    this.type = type;
    this.protocol = protocol;
    this.network = network;
  }

  // ---- what a family gives ----

  /** Bytes go through without borders between messages. */
  abstract get streaming(): boolean;
  abstract get listening(): boolean;
  /** Connections that wait to be accepted, and how many may. */
  get backlogLength(): number {
    return 0;
  }
  get backlogLimit(): number {
    return 0;
  }
  /** Bytes that can be received now (FIONREAD): of the next datagram, or of the stream. */
  abstract get readableBytes(): number;
  /** Upper bound of what the next `receive` lays down, in bytes. */
  get receiveBound(): number {
    return this.readableBytes;
  }
  /** Bytes sent and not yet received (SIOCOUTQ). */
  abstract get unsentBytes(): number;
  /** Addresses are whole sockaddrs as byte strings. 0 or -errno. */
  abstract bind(task: Task, address: string): number;
  abstract listen(task: Task, backlog: number): number;
  /** 0, -EAGAIN (try again after POLLOUT), -EINPROGRESS (will be connected at POLLOUT) or -errno. */
  abstract connect(task: Task, address: string): number;
  /** A connected socket with one reference, or -EAGAIN, -errno. */
  abstract accept(): Socket | number;
  /** Bytes taken (all of a datagram, some of a stream's), or -EAGAIN, -errno. Rights are taken with the first byte. */
  abstract send(task: Task, message: Message): number;
  /** The call's result: bytes, or -EAGAIN, -errno; fills the message. 0 at the end of a stream. */
  abstract receive(message: Message): number;
  /** SHUT_*. 0 or -errno. */
  abstract shutdown(how: number): number;
  /** Own and peer's sockaddr. */
  abstract getName(): string;
  abstract getPeerName(): string | number;
  get peerCredentials(): PeerCredentials {
    return NO_PEER;
  }

  /** Sets an option of another level than SOL_SOCKET from `length` bytes at an arena offset. */
  setProtocolOption(_task: Task, _level: number, _name: number, _at: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  /** Lays such an option down at an arena offset with room for `length` bytes; its size, or -errno. */
  getProtocolOption(_level: number, _name: number, _at: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  /** Files that lie in its receive queue as rights, for the collector of cycles (rights.ts). */
  queuedRights(): Iterable<OpenFile> {
    return [];
  }
  /** Throws away what its receive queue holds. */
  purgeQueue(): void {}
  /** SO_SNDBUF or SO_RCVBUF changed: there may be room now. */
  protected buffersChanged(): void {
    this.queue.wake(POLLOUT | POLLWRNORM);
  }

  // ---- options ----

  hasSwitch(option: number): boolean {
    return (this.switches & (1 << option)) !== 0;
  }

  setSwitch(option: number, on: boolean): void {
    this.switches = on ? this.switches | (1 << option) : this.switches & ~(1 << option);
  }

  /** Has the switches of another socket, as a connection has its listener's. */
  protected copySwitches(other: Socket): void {
    this.switches = other.switches;
  }

  /** The pending error as -errno (then it is gone), or 0. */
  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error === 0 ? 0 : -error;
  }

  setOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (level !== SOL_SOCKET) return this.setProtocolOption(task, level, name, at, length);
    // Of a stream there are no packets that could be filtered.
    if (FILTERING.includes(name) && !this.streaming) return this.setFilter(task, name, at, length);
    if (length < 4) return -EINVAL;
    const value = i32[at >> 2];
    if (isStamp(name)) {
      // One at a time: whichever was set last.
      this.stamp = value !== 0 ? name : 0;
      return 0;
    }
    if (SWITCHES.includes(name)) return this.changeSwitch(task, name, value !== 0);
    const force = name === SO_SNDBUFFORCE || name === SO_RCVBUFFORCE;
    if (force && !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
    switch (name) {
      case SO_SNDBUF:
      case SO_SNDBUFFORCE:
        this.sendBuffer = Math.max(MIN_SEND_BUFFER, 2 * clampBuffer(value, force));
        this.sizesSet |= 1 << SO_SNDBUF;
        this.buffersChanged();
        return 0;
      case SO_RCVBUF:
      case SO_RCVBUFFORCE:
        this.receiveBuffer = Math.max(MIN_RECEIVE_BUFFER, 2 * clampBuffer(value, force));
        this.sizesSet |= 1 << SO_RCVBUF;
        this.buffersChanged();
        return 0;
      case SO_PRIORITY:
        if ((value < 0 || value > 6) && !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_ADMIN))
          return -EPERM;
        this.priority = value;
        return 0;
      case SO_MARK:
        if (!capableIn(this.network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
        this.mark = value;
        return 0;
      case SO_LINGER:
        if (length < 8) return -EINVAL;
        this.lingers = value !== 0;
        if (this.lingers) this.lingerSeconds = u32[(at >> 2) + 1];
        return 0;
      case SO_RCVLOWAT:
        this.receiveLowWater = value < 0 ? 0x7fffffff : Math.max(1, value);
        return 0;
      case SO_RCVTIMEO:
      case SO_RCVTIMEO_NEW:
      case SO_SNDTIMEO:
      case SO_SNDTIMEO_NEW:
        return this.setTimeout(name, at, length);
      default:
        return -ENOPROTOOPT;
    }
  }

  private setFilter(task: Task, name: number, at: number, length: number): number {
    if (name === SO_ATTACH_FILTER) {
      this.filter ??= new SocketFilter();
      return this.filter.attach(task, at, length);
    }
    if (length < 4) return -EINVAL;
    if (name === SO_DETACH_FILTER) return this.filter?.detach() ?? -ENOENT;
    this.filter ??= new SocketFilter();
    return this.filter.lock(i32[at >> 2] !== 0);
  }

  protected get isFiltered(): boolean {
    return this.filter?.isSet ?? false;
  }

  /** How many of a packet's `length` bytes the filter takes, -1 for nothing of it; `packet` is empty without a filter. */
  protected filtered(packet: string, length: number): number {
    return this.filter?.isSet ? this.filter.taken(Buffer.from(packet, 'latin1')) : length;
  }

  /** As getsockopt(2): the option's size, at most `length` bytes of which lie at the arena offset; or -errno. */
  getOption(level: number, name: number, at: number, length: number): number {
    if (level !== SOL_SOCKET) return this.getProtocolOption(level, name, at, length);
    const i = at >> 2;
    switch (name) {
      case SO_LINGER:
        i32[i] = Number(this.lingers);
        u32[i + 1] = this.lingerSeconds;
        return 8;
      case SO_RCVTIMEO:
      case SO_RCVTIMEO_NEW:
        return putTimeout(at, this.receiveTimeout);
      case SO_SNDTIMEO:
      case SO_SNDTIMEO_NEW:
        return putTimeout(at, this.sendTimeout);
      case SO_PEERCRED: {
        const { pid, uid, gid } = this.peerCredentials;
        const viewer = kernel.current as Task;
        i32[i] = numberIn(viewer.pidNamespace, pid);
        u32[i + 1] = uid === NO_ID ? uid : uidSeen(viewer, uid);
        u32[i + 2] = gid === NO_ID ? gid : gidSeen(viewer, gid);
        return 12;
      }
      case SO_COOKIE:
        writeU64(at, this.cookie);
        return 8;
      case SO_PEERGROUPS: {
        if (this.peerCredentials === NO_PEER) return -ENODATA;
        const { groups } = this.peerCredentials;
        for (let k = 0; k < groups.length && 4 * k + 4 <= length; k++)
          u32[i + k] = gidSeen(kernel.current as Task, groups[k]);
        return 4 * groups.length;
      }
      default: {
        const value = this.integerOption(name);
        if (value === null) return -ENOPROTOOPT;
        i32[i] = value;
        return 4;
      }
    }
  }

  private integerOption(name: number): number | null {
    if (SWITCHES.includes(name)) return Number(this.hasSwitch(name));
    if (isStamp(name)) return Number(this.stamp === name);
    switch (name) {
      case SO_TYPE:
        return this.type;
      case SO_DOMAIN:
        return this.family;
      case SO_PROTOCOL:
        return this.protocol;
      case SO_ACCEPTCONN:
        return Number(this.listening);
      case SO_ERROR:
        return -this.takeError();
      case SO_SNDBUF:
        return this.sendBuffer;
      case SO_RCVBUF:
        return this.receiveBuffer;
      case SO_PRIORITY:
        return this.priority;
      case SO_MARK:
        return this.mark;
      case SO_LOCK_FILTER:
        return this.streaming ? null : Number(this.filter?.isLocked ?? false);
      case SO_RCVLOWAT:
        return this.receiveLowWater;
      case SO_SNDLOWAT:
        return 1;
      default:
        return null;
    }
  }

  private changeSwitch(task: Task, name: number, on: boolean): number {
    if (name === SO_DEBUG && on && !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_ADMIN))
      return -EPERM;
    this.setSwitch(name, on);
    return 0;
  }

  private setTimeout(name: number, at: number, length: number): number {
    if (length < 16) return -EINVAL;
    const seconds = readS64(at);
    const microseconds = readS64(at + 8);
    if (microseconds < 0 || microseconds >= 1e6) return -EDOM;
    let timeout = seconds < 0 ? 0 : seconds * SECOND + microseconds * 1000;
    if (timeout === 0 && seconds >= 0) timeout = FOREVER;
    if (name === SO_RCVTIMEO || name === SO_RCVTIMEO_NEW) this.receiveTimeout = timeout;
    else this.sendTimeout = timeout;
    return 0;
  }

  // ---- as a file ----

  override read(at: number, length: number): number {
    if (length === 0 && this.streaming) return 0;
    const result = this.receive(plain.set(at, length, 0));
    if (plain.rights) discardRights(plain.rights);
    return result;
  }

  override write(at: number, length: number): number {
    return this.send(kernel.current as Task, plain.set(at, length, 0));
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  override get readTimeout(): number {
    return this.receiveTimeout;
  }

  override get writeTimeout(): number {
    return this.sendTimeout;
  }

  override get linkText(): string {
    return `socket:[${this.inode.ino}]`;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    let value: number;
    if (command === FIONREAD) value = this.listening ? -EINVAL : this.readableBytes;
    else if (command === SIOCOUTQ) value = this.listening ? -EINVAL : this.unsentBytes;
    else return interfaceIoctl(task, this.network, command, argument);
    if (value < 0) return value;
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    i32[at >> 2] = value;
    return 0;
  }

  /** Sets O_NONBLOCK as SOCK_NONBLOCK asks for it. */
  setNonblocking(on: boolean): void {
    this.flags = on ? this.flags | O_NONBLOCK : this.flags & ~O_NONBLOCK;
  }
}

function clampBuffer(value: number, force: boolean): number {
  const most = force ? MAX_FORCED_BUFFER : MAX_BUFFER;
  return value < 0 ? most : Math.min(value, most);
}

function putTimeout(at: number, timeout: number): number {
  const ns = timeout === FOREVER ? 0 : timeout;
  writeU64(at, Math.floor(ns / SECOND));
  writeU64(at + 8, Math.floor((ns % SECOND) / 1000));
  return 16;
}
