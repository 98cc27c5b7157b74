// AF_UNIX datagrams and sequenced packets: each socket has a queue of the packets sent to it. A packet counts against
// its sender's buffer until it is received; a socket that others send to without a connection back takes only a few
// packets, and then lets them wait.

import {
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
} from '../../abi/errno.ts';
import { AF_UNIX, MSG_OOB, MSG_PEEK, MSG_TRUNC, SO_PASSCRED, SOCK_SEQPACKET } from '../../abi/socket.ts';
import type { Numbered } from '../../kernel/pid-namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { readBytes } from '../../platform/arena.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import { type OpenFile, retain } from '../../vfs/open-file.ts';
import type { ControlItem, Message } from '../message.ts';
import { usable } from '../pressure.ts';
import { carriers, discardRights, landRights, launchRights } from '../rights.ts';
import type { Socket } from '../socket.ts';
import { stampItem } from '../timestamps.ts';
import { autobind, findSocket, formatName, parseName } from './names.ts';
import { CONNECTED, READABLE, RECEIVE_SHUT, SEND_SHUT, UNCONNECTED, UnixSocket, WRITABLE } from './socket.ts';

/** net.unix.max_dgram_qlen */
const MAX_QUEUED = 10;
/** What a packet costs of its sender's buffer besides its bytes. */
const PACKET_COST = 512;
const HEADROOM = 32;
const UNBOUNDED = 1 << 30;

interface Packet {
  readonly length: number;
  readonly sender: UnixPacketSocket;
  /** The sender's name when it sent. */
  readonly from: string;
  rights: OpenFile[] | null;
  readonly pid: Numbered | null;
  readonly uid: number;
  readonly gid: number;
  /** When it came, for who asked. */
  readonly stamp: ControlItem | null;
}

export class UnixPacketSocket extends UnixSocket {
  private readonly ring = new ByteRing(UNBOUNDED);
  private packets: Packet[] = [];
  /** What its packets in other sockets' queues cost. */
  private outstanding = 0;

  protected createHalf(): UnixSocket {
    return new UnixPacketSocket(this.type, null, this.network);
  }

  get streaming(): boolean {
    return false;
  }

  get readableBytes(): number {
    return this.packets.length > 0 ? this.packets[0].length : 0;
  }

  get unsentBytes(): number {
    return this.outstanding;
  }

  protected override get connectionOriented(): boolean {
    return this.type === SOCK_SEQPACKET;
  }

  protected override hasReadable(): boolean {
    return this.packets.length > 0 || super.hasReadable();
  }

  protected hasRoom(): boolean {
    if (4 * this.outstanding > usable(this.sendBuffer)) return false;
    const peer = this.peer as UnixPacketSocket | null;
    if (!peer?.isFullFor(this)) return true;
    this.waitFor(peer);
    return false;
  }

  override listen(task: Task, backlog: number): number {
    return this.connectionOriented ? super.listen(task, backlog) : -EOPNOTSUPP;
  }

  override accept(): Socket | number {
    return this.connectionOriented ? super.accept() : -EOPNOTSUPP;
  }

  /** Datagram sockets only note the peer; AF_UNSPEC takes it away again. */
  override connect(task: Task, address: string): number {
    if (this.connectionOriented) return super.connect(task, address);
    if (address.length >= 2 && address.charCodeAt(0) + 256 * address.charCodeAt(1) !== AF_UNIX) {
      if (address.charCodeAt(0) + address.charCodeAt(1) !== 0) return -EINVAL;
      this.peer = null;
      this.state = UNCONNECTED;
      return 0;
    }
    const name = parseName(address);
    if (typeof name === 'number') return name;
    if (name === '') return -EINVAL;
    const other = findSocket(task, this.network, name, this.type);
    if (typeof other === 'number') return other;
    if (!(other as UnixPacketSocket).accepts(this)) return -EPERM;
    if (this.hasSwitch(SO_PASSCRED) && this.name === '') autobind(this);
    this.peer = other;
    this.state = CONNECTED;
    return 0;
  }

  send(task: Task, message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const target = this.target(task, message);
    if (typeof target === 'number') return target;
    if (message.length > this.sendBuffer - HEADROOM) return -EMSGSIZE;
    if (target.dead) {
      if (this.peer === target && !this.connectionOriented) {
        this.peer = null;
        this.state = UNCONNECTED;
      }
      return this.connectionOriented ? -EPIPE : -ECONNREFUSED;
    }
    if (!target.accepts(this)) return -EPERM;
    if (this.shut & SEND_SHUT || target.shut & RECEIVE_SHUT) return -EPIPE;
    if (target.isFullFor(this)) {
      this.waitFor(target);
      return -EAGAIN;
    }
    // As in Linux the last packet may exceed the buffer: so a sender that was refused is always above the mark at
    // which it is woken.
    if (this.outstanding >= usable(this.sendBuffer)) return -EAGAIN;
    if (message.length > usable(this.sendBuffer)) return -ENOBUFS;
    if (this.hasSwitch(SO_PASSCRED) && this.name === '') autobind(this);
    target.push(this, task, message);
    return message.length;
  }

  receive(message: Message): number {
    if (this.connectionOriented && this.state !== CONNECTED) return -ENOTCONN;
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const packet = this.packets[0];
    if (!packet) {
      if (this.error !== 0) return this.takeError();
      return this.shut & RECEIVE_SHUT ? 0 : -EAGAIN;
    }
    const n = Math.min(message.length, packet.length);
    this.ring.peek(message.at, n, 0);
    message.copied = n;
    if (n < packet.length) message.resultFlags |= MSG_TRUNC;
    if (packet.stamp) message.items = [packet.stamp];
    if (packet.from !== '') message.address = formatName(packet.from);
    if (this.hasSwitch(SO_PASSCRED)) {
      message.hasCredentials = true;
      message.pid = packet.pid;
      message.uid = packet.uid;
      message.gid = packet.gid;
    }
    if (message.flags & MSG_PEEK) message.rights = packet.rights?.map(retain) ?? null;
    else this.shift(packet, message);
    return message.flags & MSG_TRUNC ? packet.length : n;
  }

  override *queuedRights(): Iterable<OpenFile> {
    for (const packet of this.packets) if (packet.rights) yield* packet.rights;
  }

  purgeQueue(): void {
    const { packets } = this;
    this.packets = [];
    this.ring.clear();
    carriers.delete(this);
    for (const packet of packets) {
      packet.sender.settle(packet);
      if (!packet.rights) continue;
      landRights(packet.rights);
      discardRights(packet.rights);
    }
  }

  /** The socket a message goes to, or -errno. */
  private target(task: Task, message: Message): UnixPacketSocket | number {
    if (this.connectionOriented && this.state !== CONNECTED) return -ENOTCONN;
    if (message.address === null || this.connectionOriented) return (this.peer as UnixPacketSocket | null) ?? -ENOTCONN;
    const name = parseName(message.address);
    if (typeof name === 'number') return name;
    if (name === '') return -EDESTADDRREQ;
    return findSocket(task, this.network, name, this.type) as UnixPacketSocket | number;
  }

  /** A datagram socket that is connected hears only its peer. */
  private accepts(sender: UnixPacketSocket): boolean {
    return this.peer === null || this.peer === sender;
  }

  private isFullFor(sender: UnixPacketSocket): boolean {
    return this.peer !== sender && this.packets.length > MAX_QUEUED;
  }

  private push(sender: UnixPacketSocket, task: Task, message: Message): void {
    const own = task.credentials;
    const { rights } = message;
    const length = this.filtered(this.isFiltered ? readBytes(message.at, message.length) : '', message.length);
    if (length < 0) return;
    this.ring.write(message.at, length);
    this.packets.push({
      length,
      sender,
      from: sender.name,
      rights,
      pid: message.hasCredentials ? message.pid : task.group.identity,
      uid: message.hasCredentials ? message.uid : own.uid,
      gid: message.hasCredentials ? message.gid : own.gid,
      stamp: this.stamp === 0 ? null : stampItem(this.stamp),
    });
    sender.outstanding += length + PACKET_COST;
    if (rights) {
      launchRights(rights);
      carriers.add(this);
      message.rights = null;
    }
    this.queue.wake(READABLE);
  }

  private shift(packet: Packet, message: Message): void {
    this.ring.discard(packet.length);
    this.packets.shift();
    if (packet.rights) {
      landRights(packet.rights);
      message.rights = packet.rights;
      if (!this.packets.some((other) => other.rights)) carriers.delete(this);
    }
    packet.sender.settle(packet);
    this.wakeBlocked();
  }

  /** One of its packets was received. */
  private settle(packet: Packet): void {
    const before = this.outstanding;
    this.outstanding -= packet.length + PACKET_COST;
    const { outstanding, sendBuffer } = this;
    if (outstanding === 0 || (4 * before > sendBuffer && 4 * outstanding <= sendBuffer)) this.queue.wake(WRITABLE);
  }
}
