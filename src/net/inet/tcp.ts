// TCP (tcp(7)): listening, connecting, accepting, and the options. A connection to or from the outside is the host's
// (src/net/outside): this socket hands on what is asked of it. All others are made here, over the loopback, without
// segments (tcp-stream.ts). What programs can see of the protocol is kept: a non-blocking connect is "in progress" even
// if it is done.

import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  EALREADY,
  ECONNABORTED,
  ECONNREFUSED,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
} from '../../abi/errno.ts';
import { SIOCATMARK } from '../../abi/ioctl.ts';
import { POLLERR } from '../../abi/poll.ts';
import {
  AF_INET,
  AF_UNSPEC,
  IPPROTO_TCP,
  MSG_ERRQUEUE,
  MSG_FASTOPEN,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_STREAM,
  SOL_TCP,
  SOMAXCONN,
  TCP_DEFER_ACCEPT,
} from '../../abi/socket.ts';
import type { UserAddress } from '../../base/brands.ts';
import { monotonicNow } from '../../base/clock.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { armTimer, cancelTimer, Timer } from '../../kernel/timers.ts';
import { IO_CHUNK, i32 } from '../../platform/arena.ts';
import { drop } from '../../vfs/open-file.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { DnsStream } from '../outside/dns-stream.ts';
import { HostSocket } from '../outside/host-socket.ts';
import type { Socket } from '../socket.ts';
import { stampItem } from '../timestamps.ts';
import {
  ANY4,
  ANY6,
  type Endpoint,
  familyOf,
  formatEndpoint,
  isLoopback,
  LOOPBACK4,
  LOOPBACK6,
  parseEndpoint,
} from './address.ts';
import { Incoming } from './incoming.ts';
import type { PortTable } from './ports.ts';
import type { InetSocket } from './socket.ts';
import { TcpSettings } from './tcp-settings.ts';
import {
  CLOSED,
  CONNECTED,
  CONNECTING,
  LISTENING,
  OUTSIDE,
  READABLE,
  RECEIVE_SHUT,
  SEND_SHUT,
  WRITABLE,
} from './tcp-stream.ts';

const SECOND = 1e9;
const DEFAULT_SEND_BUFFER = 87040;
const DEFAULT_RECEIVE_BUFFER = 131072;
/** How much is fetched from the guest at once to be sent outside: what the host's buffer takes, or about. */
const OUTER_CHUNK = 256 << 10;
/** MSG_* that the host may see. */
const SEND_FLAGS = MSG_OOB | MSG_MORE;
const RECEIVE_FLAGS = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;
export class TcpSocket extends TcpSettings {
  /** A non-blocking connect whose outcome the program has not asked for yet. */
  private outcomeDue = false;
  /** As long as it listens, and afterwards. */
  private incoming: Incoming<TcpSocket> | null = null;
  /** Connections from inside and outside are accepted in turn. */
  private acceptsOuter = false;
  /** Its connection is one of DNS, and an egress policy goes by names. */
  private names: DnsStream | null = null;
  /** The listener that defers this one. */
  private deferredBy: TcpSocket | null = null;
  /** The one it is CONNECTING to. */
  private awaited: TcpSocket | null = null;

  constructor(family: number, task: Task, network: Network) {
    super(family, SOCK_STREAM, IPPROTO_TCP, task, network);
    this.sendBuffer = DEFAULT_SEND_BUFFER;
    this.receiveBuffer = DEFAULT_RECEIVE_BUFFER;
  }

  protected get table(): PortTable {
    return this.network.tcp;
  }
  get streaming(): boolean {
    return true;
  }
  get listening(): boolean {
    return this.state === LISTENING;
  }
  override get backlogLength(): number {
    return this.incoming?.ready.length ?? 0;
  }
  override get backlogLimit(): number {
    return this.incoming?.most ?? 0;
  }
  get readableBytes(): number {
    if (this.state === OUTSIDE) return this.outer?.readableBytes ?? 0;
    return this.arrivedBytes;
  }
  override get receiveBound(): number {
    return this.state === OUTSIDE ? IO_CHUNK : this.readableBytes;
  }
  get unsentBytes(): number {
    if (this.state === OUTSIDE) return this.outer?.unsentBytes ?? 0;
    return this.sentBytes;
  }

  // ---- connections ----

  listen(_task: Task, backlog: number): number {
    if (this.state === CONNECTED || this.state === CONNECTING || this.state === OUTSIDE) return -EINVAL;
    if (this.localPort === 0) {
      const failed = this.bindAnywhere();
      if (failed < 0) return failed;
    }
    if (this.state !== LISTENING && this.table.conflicts(this, this.localHost, this.localPort)) return -EADDRINUSE;
    const refused = this.outer ? this.outer.listen(backlog) : 0;
    if (refused < 0) return refused;
    this.state = LISTENING;
    this.incoming ??= new Incoming();
    this.incoming.most = backlog < 0 ? SOMAXCONN : Math.min(backlog, SOMAXCONN);
    this.admitWaiting();
    return 0;
  }

  connect(task: Task, address: string): number {
    if (familyOf(address) === AF_UNSPEC && address.length >= 2) return this.disconnect();
    const to = parseEndpoint(address, this.family);
    if (typeof to === 'number') return to;
    if (this.state === OUTSIDE) return this.connectOutside(task, to);
    if (this.outcomeDue && this.state !== CONNECTING) {
      this.outcomeDue = false;
      const failed = this.takeError();
      // Somebody has read the error by SO_ERROR already.
      return failed === 0 && this.state === CLOSED ? -ECONNABORTED : failed;
    }
    if (this.state === CONNECTING) return task.resumed ? -EINPROGRESS : -EALREADY;
    if (this.state !== CLOSED) return -EISCONN;
    const target = this.route(to);
    if (typeof target === 'number') return target;
    if (this.outside && (this.outside.reaches(target) || this.isElsewhere(target))) {
      return this.connectOutside(task, target);
    }
    this.closeOuter();
    const source = this.sourceFor(target);
    if (this.localPort === 0 && this.bindTo(source, 0) < 0) return -EADDRNOTAVAIL;
    this.localHost = source;
    this.remote = target;
    this.shut = 0;
    this.ended = false;
    const done = this.reach(target);
    if (done === -EAGAIN || this.nonblocking) {
      this.outcomeDue = true;
      if (done !== -EAGAIN) this.error = -done;
      return -EINPROGRESS;
    }
    return done;
  }

  /** Begins a connection that is the host's, or asks how it goes. As connect. */
  private connectOutside(task: Task, to: Endpoint): number {
    const { outside } = this;
    const begins = this.state !== OUTSIDE || !task.resumed;
    const refused = begins && outside ? outside.check(task, 'tcp', to) : 0;
    if (refused < 0) return refused;
    const outer = this.openForSending();
    if (typeof outer === 'number') return outer;
    const result = outer.connect(formatEndpoint(to, this.family));
    if (result === 0 || result === -EINPROGRESS) {
      this.state = OUTSIDE;
      this.remote = to;
      const egress = outside?.egress;
      if (begins) this.names = egress?.watches(to) ? new DnsStream(egress, to) : null;
      return result;
    }
    // Whoever blocks goes on waiting, also after a signal.
    if (result === -EALREADY) return this.nonblocking ? result : -EINPROGRESS;
    if (result !== -EISCONN && !this.bound) this.leaveOutside();
    return result;
  }

  /** The host's socket is given up. */
  private leaveOutside(): void {
    this.closeOuter();
    this.remote = null;
    this.state = CLOSED;
  }

  private acceptOuter(): Socket | number {
    const fd = this.outer?.accept() ?? -EAGAIN;
    if (fd < 0) return fd;
    const half = new TcpSocket(this.family, kernel.current as Task, this.network);
    const outer = HostSocket.adopt(fd, half.queue);
    if (typeof outer === 'number') {
      drop(half);
      return outer;
    }
    half.inherit(this);
    half.outer = outer;
    half.state = OUTSIDE;
    return half;
  }

  accept(): Socket | number {
    if (this.state !== LISTENING) return -EINVAL;
    this.acceptsOuter = !this.acceptsOuter;
    if (this.outer && (this.acceptsOuter || this.backlogLength === 0)) {
      const half = this.acceptOuter();
      if (half !== -EAGAIN || this.backlogLength === 0) return half;
    }
    const half = this.incoming?.ready.shift();
    if (!half) return -EAGAIN;
    this.admitWaiting();
    return half;
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (this.state === LISTENING && how !== SHUT_WR) {
      this.stopListening();
      return 0;
    }
    if (this.state === OUTSIDE) return this.outer?.shutdown(how) ?? -ENOTCONN;
    if (this.state !== CONNECTED) return -ENOTCONN;
    if (how !== SHUT_WR) this.shut |= RECEIVE_SHUT;
    if (how !== SHUT_RD && !(this.shut & SEND_SHUT)) {
      this.shut |= SEND_SHUT;
      this.peer?.end();
    }
    this.stateChanged();
    return 0;
  }

  /** Finds the listener and makes the other half of the connection. 0, -EAGAIN (it has no room) or -ECONNREFUSED. */
  private reach(target: Endpoint): number {
    const listener = this.listenerAt(target);
    if (!listener) {
      this.fail(ECONNREFUSED);
      this.error = 0;
      return -ECONNREFUSED;
    }
    if (listener.incoming?.isFull) {
      this.state = CONNECTING;
      listener.incoming.waiting.add(this);
      this.awaited = listener;
      return -EAGAIN;
    }
    listener.admit(this, target);
    return 0;
  }

  private listenerAt({ host, port }: Endpoint): TcpSocket | null {
    const accepts = (socket: InetSocket): number => Number(socket.listening);
    return this.table.find(host, port, accepts) as TcpSocket | null;
  }

  /**
   * Whether an address of the own machine is to be looked for in the namespace, since nobody listens inside: other
   * containers of a pod are there. Of the loopback that is the one address that all use: on others, clients put services
   * that a policy looks at (docker's name server).
   */
  private isElsewhere(target: Endpoint): boolean {
    const { host } = target;
    if (this.bound || (isLoopback(host) && host !== LOOPBACK4 && host !== LOOPBACK6)) return false;
    return this.listenerAt(target) === null;
  }

  private admit(client: TcpSocket, target: Endpoint): void {
    const half = new TcpSocket(this.family, kernel.current as Task, this.network);
    half.inherit(this);
    half.localHost = target.host;
    half.localPort = target.port;
    this.table.enterAccepted(half, target.port);
    half.remote = { host: client.localHost, port: client.localPort };
    half.peer = client;
    client.peer = half;
    client.awaited = null;
    half.state = client.state = CONNECTED;
    const seconds = this.numberOf(SOL_TCP, TCP_DEFER_ACCEPT, 0);
    if (seconds > 0) this.defer(half, seconds);
    else {
      this.incoming?.ready.push(half);
      this.queue.wake(READABLE);
    }
    client.queue.wake(WRITABLE);
  }

  /** Lets a connection wait for its first bytes, for some seconds at most. */
  private defer(half: TcpSocket, seconds: number): void {
    const timer = new Timer({ expire: () => this.undefer(half) });
    armTimer(timer, monotonicNow() + seconds * SECOND);
    this.incoming?.deferred.set(half, timer);
    half.deferredBy = this;
  }

  /** A connection that waited may be accepted. */
  private undefer(half: TcpSocket): void {
    const { incoming } = this;
    const timer = incoming?.deferred.get(half);
    if (!incoming || !timer) return;
    cancelTimer(timer);
    incoming.deferred.delete(half);
    half.deferredBy = null;
    incoming.ready.push(half);
    this.queue.wake(READABLE);
  }

  override showAll(): void {
    super.showAll();
    this.deferredBy?.undefer(this);
  }

  /** There is room in the backlog again: those who wait come in. */
  private admitWaiting(): void {
    const { incoming } = this;
    if (!incoming || incoming.waiting.size === 0) return;
    for (const client of incoming.waiting) {
      if (incoming.isFull) return;
      incoming.waiting.delete(client);
      if (client.state === CONNECTING && client.remote) this.admit(client, client.remote);
    }
  }

  private stopListening(): void {
    this.state = CLOSED;
    this.closeOuter();
    const { incoming } = this;
    if (incoming) this.turnAway(incoming);
    this.stateChanged();
  }

  private turnAway(incoming: Incoming<TcpSocket>): void {
    for (const half of [...incoming.deferred.keys()]) this.undefer(half);
    for (const half of incoming.ready.splice(0)) {
      half.lingers = true;
      half.lingerSeconds = 0;
      drop(half);
    }
    for (const client of incoming.waiting) if (client.state === CONNECTING) client.fail(ECONNREFUSED);
    incoming.waiting.clear();
  }

  /** Gives a connect up that is still waiting. */
  private stopWaiting(): void {
    this.awaited?.incoming?.waiting.delete(this);
    this.awaited = null;
  }

  private disconnect(): number {
    this.stopWaiting();
    if (this.state === OUTSIDE) this.leaveOutside();
    if (this.state === LISTENING) this.stopListening();
    else if (this.peer) this.peer.reset();
    this.peer = null;
    this.remote = null;
    this.state = CLOSED;
    this.outcomeDue = false;
    this.error = 0;
    this.ring.clear();
    if (!this.bound && this.localPort !== 0) {
      this.table.release(this, this.localPort);
      this.localPort = 0;
      this.localHost = this.family === AF_INET ? ANY4 : ANY6;
    }
    return 0;
  }

  // ---- data ----

  override get writeRoom(): number {
    return this.state === OUTSIDE ? OUTER_CHUNK : this.streamRoom;
  }

  override write(at: number, length: number): number {
    return this.state === OUTSIDE ? this.sendOuter(at, length, 0) : this.push(at, length);
  }

  private sendOuter(at: number, length: number, flags: number): number {
    const { outer } = this;
    if (!outer) return -EPIPE;
    if (!this.names) return outer.send(at, length, flags & SEND_FLAGS);
    const n = this.names.send(kernel.current as Task, outer, at, length, flags & SEND_FLAGS);
    if (n === -EPERM) outer.shutdown(SHUT_RDWR);
    return n;
  }

  /** Says when the last of the bytes came, if that was asked for: about now. */
  private stamped(message: Message, n: number): number {
    if (this.stamp !== 0) message.items = [stampItem(this.stamp)];
    return n;
  }

  private receiveOuter(message: Message): number {
    const { outer } = this;
    if (!outer) return -ENOTCONN;
    const flags = message.flags & RECEIVE_FLAGS;
    if (flags & MSG_ERRQUEUE) return outer.receiveMessage(message, flags);
    const n = outer.receive(message.at, message.length, flags);
    message.copied = n < 0 || flags & MSG_TRUNC ? 0 : n;
    if (this.names && message.copied > 0 && !(flags & MSG_PEEK)) this.names.hear(message.at, n);
    return n;
  }

  send(_task: Task, message: Message): number {
    const { at, length, flags } = message;
    if (flags & MSG_FASTOPEN) return -EOPNOTSUPP;
    if (this.state === OUTSIDE) return this.sendOuter(at, length, flags);
    return this.pushMessage(at, length, flags);
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    if (command !== SIOCATMARK) return super.ioctl(task, command, argument);
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    const isThere = this.state === OUTSIDE ? this.outer?.atMark : this.isAtMark;
    i32[at >> 2] = Number(isThere);
    return 0;
  }

  receive(message: Message): number {
    if (this.state === LISTENING) return -ENOTCONN;
    if (this.state === OUTSIDE) {
      const n = this.receiveOuter(message);
      return n > 0 && !(message.flags & MSG_ERRQUEUE) ? this.stamped(message, n) : n;
    }
    const n = this.pull(message);
    return n > 0 ? this.stamped(message, n) : n;
  }

  override poll(): number {
    if (this.state === OUTSIDE) return this.outer?.poll() ?? POLLERR;
    const events = this.error !== 0 ? POLLERR : 0;
    if (this.state === LISTENING) {
      if (this.backlogLength > 0) return events | READABLE;
      return events | (this.outer ? this.outer.poll() & READABLE : 0);
    }
    return events | this.pollStream();
  }

  override release(): void {
    this.dead = true;
    this.stopWaiting();
    if (this.state === LISTENING) this.stopListening();
    this.leavePeer();
    this.state = CLOSED;
    this.closeOuter();
    this.clearStream();
    this.memberships?.clear();
    if (this.localPort !== 0) this.table.release(this, this.localPort);
  }

  // ---- options ----

  override getName(): string {
    const name = this.state === OUTSIDE ? this.outer?.name('own') : undefined;
    return typeof name === 'string' ? name : super.getName();
  }

  override getPeerName(): string | number {
    return this.state === OUTSIDE ? (this.outer?.name('peer') ?? -ENOTCONN) : super.getPeerName();
  }

  override takeError(): number {
    return this.state === OUTSIDE && this.outer ? this.outer.takeError() : super.takeError();
  }
}
