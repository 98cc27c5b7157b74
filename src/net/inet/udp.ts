// UDP (udp(7)). What goes to or comes from the outside does so through a socket of the host (src/net/outside), which is
// made when it is needed: a socket that is bound to the wildcard receives from both sides. On the loopback a datagram goes straight into the receive queue of whoever is bound to its
// destination; if that is full it is lost, and if nobody is there the sender hears of it (ECONNREFUSED) when it is
// connected or asks for errors.

import {
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
} from '../../abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../../abi/poll.ts';
import {
  AF_INET6,
  AF_UNSPEC,
  IP_MULTICAST_ALL,
  IP_RECVERR,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  IPV6_MULTICAST_ALL,
  IPV6_RECVERR,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_DGRAM,
  SOL_IP,
  SOL_IPV6,
  SOL_UDP,
  SOL_UDPLITE,
  UDP_CORK,
  UDPLITE_RECV_CSCOV,
  UDPLITE_SEND_CSCOV,
} from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, i32, markScratch, readBytes, releaseScratch, writeBytes } from '../../platform/arena.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { checkOutgoing } from '../outside/control-items.ts';
import { parseQuery, refusal } from '../outside/dns.ts';
import type { Egress, Pending } from '../outside/egress.ts';
import type { HostSocket } from '../outside/host-socket.ts';
import { ANY4, ANY6, type Endpoint, familyOf, formatEndpoint, isAny, parseEndpoint } from './address.ts';
import { InetDatagramSocket } from './datagram.ts';
import { ErrorQueue, LONGEST_QUOTED } from './error-queue.ts';
import { isMulticast } from './multicast.ts';
import { describeOutgoing, type PacketInfo } from './packet-info.ts';
import type { PortTable } from './ports.ts';
import type { InetSocket } from './socket.ts';

const READABLE = POLLIN | POLLRDNORM;
const LONGEST = 65507;
/** How many peers may be answered under an egress policy: those that sent last. */
const MOST_SENDERS = 1024;
/** Room for whatever the host has received. */
const LONGEST_RECEIVED = 65536;
/** Datagrams that a filter throws away in one call. */
const MOST_UNWANTED = 4096;
const UNBOUNDED = 1 << 30;
const UDP_HEADER = 8;
const LARGEST_COVERAGE = 65535;
const RECEIVE_SHUT = 1;
const SEND_SHUT = 2;

const unwanted = new Message();

/** UDP, and UDP-Lite, whose partial checksums mean nothing here: nothing is damaged on the way. */
export class UdpSocket extends InetDatagramSocket {
  private shut = 0;
  private readonly errors = new ErrorQueue();
  /** A datagram that is being put together (MSG_MORE, UDP_CORK): its bytes, and where it goes. */
  private readonly cork = new ByteRing(UNBOUNDED);
  private corkTarget: Endpoint | null = null;
  private corkInfo: PacketInfo | null = null;
  /** Its address was chosen by connect and goes with the connection. */
  private hostByConnect = false;
  /** Who has sent datagrams from outside, as sockaddrs, under an egress policy. */
  private readonly senders = new Set<string>();
  /** The egress policy was asked about the peer. */
  private remoteAdmitted = false;
  /** DNS queries under an egress policy that were sent and are not answered. */
  private readonly pendingQueries: Pending = new Set();

  constructor(family: number, protocol: typeof IPPROTO_UDP | typeof IPPROTO_UDPLITE, task: Task, network: Network) {
    super(family, SOCK_DGRAM, protocol, task, network);
  }

  protected get table(): PortTable {
    return this.protocol === IPPROTO_UDP ? this.network.udp : this.network.udpLite;
  }
  get readableBytes(): number {
    return this.arrived.isEmpty ? (this.outer?.readableBytes ?? 0) : this.arrived.firstLength;
  }
  override get receiveBound(): number {
    if (!this.errors.isEmpty) return Math.max(LONGEST_QUOTED, this.readableBytes);
    return this.arrived.isEmpty && this.outer ? LONGEST_RECEIVED : this.readableBytes;
  }
  connect(_task: Task, address: string): number {
    if (familyOf(address) === AF_UNSPEC && address.length >= 2) {
      this.remote = null;
      this.outer?.connect(address);
      if (this.hostByConnect) this.localHost = this.family === AF_INET6 ? ANY6 : ANY4;
      this.hostByConnect = false;
      // A peer inside was the only one that it heard.
      if (this.bound && this.outside?.hears(this.localHost)) this.openForDatagrams();
      return 0;
    }
    const to = parseEndpoint(address, this.family);
    if (typeof to === 'number') return to;
    const target = this.route(to);
    if (typeof target === 'number') return target;
    if (this.liesOutside(target)) return this.connectOutside(target);
    // From now on it hears one peer only, who is inside.
    this.closeOuter();
    if (this.localPort === 0 && this.bindTo(this.localHost, 0) < 0) return -EAGAIN;
    if (isAny(this.localHost)) {
      this.localHost = this.sourceFor(target);
      this.hostByConnect = true;
    }
    this.remote = target;
    this.shut = 0;
    return 0;
  }

  private liesOutside(target: Endpoint): boolean {
    return !this.groupIsInside(target.host) && (this.outside?.reaches(target) ?? false);
  }

  private connectOutside(target: Endpoint): number {
    const outer = this.openForDatagrams();
    if (typeof outer === 'number') return outer;
    const failed = outer.connect(formatEndpoint(target, this.family));
    if (failed < 0) return failed;
    const own = outer.name('own');
    const source = typeof own === 'string' ? parseEndpoint(own, this.family) : own;
    if (typeof source !== 'number' && isAny(this.localHost)) {
      this.localHost = source.host;
      this.hostByConnect = true;
    }
    this.remote = target;
    // Nothing is sent yet: programs connect only to learn which address they would send from.
    this.remoteAdmitted = false;
    this.shut = 0;
    return 0;
  }

  /** The host's socket, with the port that this one has; or a port for both. */
  private openForDatagrams(): HostSocket | number {
    const { outer } = this;
    if (outer?.isNamed) return outer;
    const opened = this.openForSending();
    if (typeof opened === 'number') return opened;
    if (this.localPort === 0) {
      this.closeOuter();
      const failed = this.bindAnywhere();
      return failed < 0 ? failed : this.openForSending();
    }
    // If somebody else has the port out there, answers come to another: nobody outside knew of this one.
    const anywhere = this.family === AF_INET6 ? ANY6 : ANY4;
    const host = this.bound && !this.hostByConnect ? this.localHost : anywhere;
    opened.bind(formatEndpoint({ host, port: this.localPort }, this.family));
    return opened;
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (!this.remote) return -ENOTCONN;
    if (how !== SHUT_WR) this.shut |= RECEIVE_SHUT;
    if (how !== SHUT_RD) this.shut |= SEND_SHUT;
    this.outer?.shutdown(how);
    this.queue.wake(READABLE | POLLOUT | POLLRDHUP | POLLHUP);
    return 0;
  }

  send(task: Task, message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    if (message.length > LONGEST) return -EMSGSIZE;
    if (this.error !== 0) return super.takeError();
    if (this.shut & SEND_SHUT) return -EPIPE;
    const target = this.corkTarget ?? this.targetOf(message);
    if (typeof target === 'number') return target;
    if (!this.corkTarget && this.liesOutside(target)) return this.sendOutside(task, message, target);
    const info = this.corkInfo ?? describeOutgoing(this, target.host, message.items);
    if (typeof info === 'number') return info;
    const failed = this.localPort === 0 ? this.bindTo(this.localHost, 0) : 0;
    if (failed < 0) return failed;
    const more = (message.flags & MSG_MORE) !== 0 || this.numberOf(SOL_UDP, UDP_CORK, 0) !== 0;
    if (!more && !this.corkTarget) {
      this.deliver(message.at, message.length, target, info);
      return message.length;
    }
    if (this.cork.length + message.length > LONGEST) return -EMSGSIZE;
    this.cork.write(message.at, message.length);
    this.corkTarget = target;
    this.corkInfo = info;
    if (!more) this.uncork();
    return message.length;
  }

  private sendOutside(task: Task, message: Message, target: Endpoint): number {
    const { remote, outside } = this;
    const answers = this.senders.size > 0 && this.senders.has(formatEndpoint(target, this.family));
    const admitted = answers || (remote === target && this.remoteAdmitted);
    const refused = admitted || !outside ? 0 : outside.check(task, 'udp', target);
    if (refused < 0) return refused;
    if (remote === target) this.remoteAdmitted = true;
    const bad = checkOutgoing(message.items);
    if (bad < 0) return bad;
    if (outside?.egress?.watches(target)) return this.sendQuery(task, message, target, outside.egress);
    const outer = this.openForDatagrams();
    if (typeof outer === 'number') return outer;
    const to = remote === target ? '' : formatEndpoint(target, this.family);
    return outer.sendTo(message.at, message.length, message.flags & MSG_MORE, to, message.items);
  }

  /** A DNS query under an egress policy with names: one that is not to be sent is answered here. */
  private sendQuery(task: Task, message: Message, target: Endpoint, egress: Egress): number {
    const { at, length } = message;
    // Whole messages only: parts that are put together could not be looked at.
    if (message.flags & MSG_MORE || this.numberOf(SOL_UDP, UDP_CORK, 0) !== 0) return -EOPNOTSUPP;
    // A copy: what lies in the slot could change once it was looked at.
    const text = readBytes(at, length);
    const bytes = Buffer.from(text, 'latin1');
    const outer = this.openForDatagrams();
    if (typeof outer === 'number') return outer;
    if (egress.admitQuery(task, 'udp', target, bytes, this.pendingQueries)) {
      const copy = allocateScratch(length);
      if (copy < 0) return copy;
      writeBytes(copy, text);
      const to = this.remote === target ? '' : formatEndpoint(target, this.family);
      return outer.sendTo(copy, length, 0, to, message.items);
    }
    const query = parseQuery(bytes);
    const answer = query ? refusal(bytes, query) : '';
    const answerAt = allocateScratch(answer.length);
    if (answer === '' || answerAt < 0) return -EPERM;
    writeBytes(answerAt, answer);
    this.push(answerAt, answer.length, target, { to: this.localHost, hops: 64, service: 0 });
    return length;
  }

  /** A filter sees the header too, which is never cut. */
  protected override takenOf(at: number, length: number, from: Endpoint): number {
    if (!this.isFiltered) return length;
    const words = [from.port, this.localPort, UDP_HEADER + length, 0];
    const header = words.map((word) => String.fromCharCode(word >> 8, word & 255)).join('');
    const taken = this.filtered(header + readBytes(at, length), UDP_HEADER + length);
    return taken < 0 ? taken : Math.max(0, taken - UDP_HEADER);
  }

  /** From a socket of the host; what a resolver says is remembered by an egress policy with names. */
  private receiveOuter(message: Message, flags: number): number {
    const n = this.outer?.receiveMessage(message, flags & (MSG_PEEK | MSG_TRUNC)) ?? -EAGAIN;
    const egress = this.outside?.egress;
    if (n < 0 || !egress || message.address === null) return n;
    this.noteSender(message.address);
    const from = parseEndpoint(message.address, this.family);
    if (typeof from !== 'number' && this.pendingQueries.size > 0 && egress.hearsResolver(from)) {
      const bytes = Buffer.from(readBytes(message.at, message.copied), 'latin1');
      egress.takeAnswer(bytes, this.pendingQueries);
    }
    return n;
  }

  /** From a socket of the host, what the filter takes. As receive. */
  private receiveFiltered(message: Message): number {
    const taken = this.skipUnwanted();
    if (taken < 0) return taken;
    const { length } = message;
    message.length = Math.min(length, taken);
    const n = this.receiveOuter(message, message.flags);
    if (length >= taken) message.resultFlags &= ~MSG_TRUNC;
    return Math.min(n, taken);
  }

  /** Throws away what the filter does not take. How much it takes of the next, or -EAGAIN, -errno. */
  private skipUnwanted(): number {
    const { outer } = this;
    const mark = markScratch();
    const at = allocateScratch(LONGEST_RECEIVED);
    let result = at < 0 ? at : -EAGAIN;
    // If there are still more, the next that comes wakes the reader again.
    for (let tries = 0; outer && at >= 0 && tries < MOST_UNWANTED; tries++) {
      const n = outer.receiveMessage(unwanted.set(at, LONGEST_RECEIVED, 0), MSG_PEEK);
      const from = n < 0 ? n : parseEndpoint(unwanted.address ?? '', this.family);
      result = typeof from === 'number' ? Math.min(n, 0) : this.takenOf(at, n, from);
      if (n < 0 || result >= 0) break;
      outer.receive(at, 0, 0);
      result = -EAGAIN;
    }
    releaseScratch(mark);
    return result;
  }

  /** Under an egress policy: whoever has sent something may be answered. */
  private noteSender(address: string): void {
    this.senders.delete(address);
    this.senders.add(address);
    if (this.senders.size > MOST_SENDERS) this.senders.delete(this.senders.keys().next().value as string);
  }

  /** Sends what was put together. */
  private uncork(): void {
    const { length } = this.cork;
    const at = allocateScratch(length);
    if (!this.corkTarget || !this.corkInfo || at < 0) return;
    this.cork.read(at, length);
    this.deliver(at, length, this.corkTarget, this.corkInfo);
    this.corkTarget = this.corkInfo = null;
  }

  private deliver(at: number, length: number, target: Endpoint, info: PacketInfo): void {
    const from = { host: this.sourceFor(target), port: this.localPort };
    if (isMulticast(target.host)) return this.deliverToGroup(at, length, target, from, info);
    const accepts = (socket: InetSocket): number => (socket as UdpSocket).interest(from);
    const receiver = this.table.find(target.host, target.port, accepts) as UdpSocket | null;
    if (receiver) receiver.push(at, length, from, info);
    else this.nobodyThere(at, length, target);
  }

  /** Tells who sends to a port that nobody has, if it asks for errors or has one peer. */
  private nobodyThere(at: number, length: number, target: Endpoint): void {
    const asks =
      target.host.length === 4 ? this.numberOf(SOL_IP, IP_RECVERR, 0) : this.numberOf(SOL_IPV6, IPV6_RECVERR, 0);
    if (asks !== 0) this.errors.addRefused(readBytes(at, length), target, this.family);
    if (asks !== 0 || this.remote) this.fail(ECONNREFUSED);
  }

  /** MSG_ERRQUEUE. As receive. */
  private receiveError(message: Message): number {
    if (this.errors.isEmpty) return this.outer?.receiveMessage(message, MSG_ERRQUEUE) ?? -EAGAIN;
    const n = this.errors.receive(message, this.family);
    this.error = this.errors.first;
    return n;
  }

  /** To everybody at the port, if the group has members. */
  private deliverToGroup(at: number, length: number, target: Endpoint, from: Endpoint, info: PacketInfo): void {
    if (!this.network.groups.has(target.host)) return;
    for (const socket of this.table.allAt(target.host, target.port)) {
      const receiver = socket as UdpSocket;
      if (receiver.interest(from) > 0 && receiver.wantsGroup(target.host)) receiver.push(at, length, from, info);
    }
  }

  receive(message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    if (message.flags & MSG_ERRQUEUE) return this.receiveError(message);
    if (!this.arrived.isEmpty) return this.takeArrived(message);
    if (this.error !== 0) return super.takeError();
    const n = this.isFiltered ? this.receiveFiltered(message) : this.receiveOuter(message, message.flags);
    if (n >= 0) this.stampMessage(message);
    if (n !== -EAGAIN) return n;
    return this.shut & RECEIVE_SHUT ? 0 : -EAGAIN;
  }

  override takeError(): number {
    const own = super.takeError();
    return own !== 0 || !this.outer ? own : this.outer.takeError();
  }

  override poll(): number {
    let events = this.outer ? this.outer.poll() : POLLOUT | POLLWRNORM | POLLWRBAND;
    if (this.error !== 0 || !this.errors.isEmpty) events |= POLLERR;
    if (this.shut === (RECEIVE_SHUT | SEND_SHUT)) events |= POLLHUP;
    if (this.shut & RECEIVE_SHUT) events |= READABLE | POLLRDHUP;
    if (!this.arrived.isEmpty) events |= READABLE;
    return events;
  }

  override release(): void {
    this.cork.clear();
    super.release();
  }

  private targetOf(message: Message): Endpoint | number {
    if (message.address === null) return this.remote ?? -EDESTADDRREQ;
    const to = parseEndpoint(message.address, this.family);
    if (typeof to === 'number') return to;
    return to.port === 0 ? -EINVAL : this.route(to);
  }

  /** Whether it takes what is sent to a group on the loopback. */
  private wantsGroup(group: string): boolean {
    const all =
      group.length === 4 ? this.numberOf(SOL_IP, IP_MULTICAST_ALL, 1) : this.numberOf(SOL_IPV6, IPV6_MULTICAST_ALL, 1);
    return all !== 0 || (this.memberships?.has(group) ?? false);
  }

  /** How much a datagram from there is meant for this socket: 0 not at all, more if it is connected to the sender. */
  private interest(from: Endpoint): number {
    if (!this.remote) return 1;
    return this.remote.host === from.host && this.remote.port === from.port ? 8 : 0;
  }

  override setProtocolOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (level === SOL_UDP && name === UDP_CORK) {
      if (length < 4) return -EINVAL;
      this.setNumber(level, name, Number(i32[at >> 2] !== 0));
      if (i32[at >> 2] === 0) this.uncork();
      return 0;
    }
    if (level !== SOL_UDPLITE || !this.hasCoverage(name)) return super.setProtocolOption(task, level, name, at, length);
    if (length < 4) return -EINVAL;
    const value = i32[at >> 2];
    // Less than the header cannot be covered; 0 is everything.
    const coverage = value > 0 && value < UDP_HEADER ? UDP_HEADER : Math.min(value, LARGEST_COVERAGE);
    return value < 0 ? -EINVAL : this.setNumber(level, name, coverage);
  }

  override getProtocolOption(level: number, name: number, at: number, length: number): number {
    const corking = level === SOL_UDP && name === UDP_CORK;
    const covering = level === SOL_UDPLITE && this.hasCoverage(name);
    if (!corking && !covering) return super.getProtocolOption(level, name, at, length);
    i32[at >> 2] = this.numberOf(level, name, 0);
    return 4;
  }

  private hasCoverage(name: number): boolean {
    return this.protocol === IPPROTO_UDPLITE && (name === UDPLITE_SEND_CSCOV || name === UDPLITE_RECV_CSCOV);
  }

  private fail(error: number): void {
    this.error = error;
    this.queue.wake(POLLERR | READABLE);
  }
}
