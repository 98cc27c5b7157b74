// What TCP and UDP sockets share: their local and remote endpoints, binding, and the options of IP.

import { CAP_NET_BIND_SERVICE, CAP_NET_RAW } from '../../abi/capability.ts';
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EINVAL,
  ENETUNREACH,
  ENODEV,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
} from '../../abi/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IP_BIND_ADDRESS_NO_PORT,
  IP_FREEBIND,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_MULTICAST_ALL,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_OPTIONS,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVOPTS,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_RETOPTS,
  IP_TOS,
  IP_TTL,
  IPPROTO_UDPLITE,
  IPV6_ADDRFORM,
  IPV6_FREEBIND,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_MULTICAST_ALL,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_LOOP,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVORIGDSTADDR,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_NO_CHECK,
  SO_OOBINLINE,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from '../../abi/socket.ts';
import type { HostFd } from '../../base/brands.ts';
import { capableIn } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, u8, writeBytes } from '../../platform/arena.ts';
import { type Link, LOOPBACK_INDEX, linkOf, links } from '../links.ts';
import type { Network } from '../network.ts';
import { HostSocket } from '../outside/host-socket.ts';
import { admitsOption } from '../outside/options.ts';
import type { Outside } from '../outside/outside.ts';
import { Socket } from '../socket.ts';
import {
  ANY4,
  ANY6,
  type Endpoint,
  formatEndpoint,
  isAny,
  isLoopback,
  LOOPBACK4,
  LOOPBACK6,
  parseEndpoint,
  portOf,
} from './address.ts';
import { type GroupRequest, isMembership, isMulticast, Memberships, type TellHost } from './multicast.ts';
import { DEFAULT_RANGE, type PortTable } from './ports.ts';

const IFNAMSIZ = 16;
/** How often a port that is free inside and outside is looked for. */
const BIND_TRIES = 16;
/** Options of SOL_SOCKET that the host's socket is given when it is made. */
const FORWARDED = [
  SO_NO_CHECK,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_OOBINLINE,
  SO_SNDBUF,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_LINGER,
];

/** Options that are a number, with their range and what they are until they are set: [lowest, highest, default]. */
const IP_NUMBERS = new Map<number, readonly [number, number, number]>([
  [IP_TOS, [0, 255, 0]],
  [IP_TTL, [1, 255, 64]],
  [IP_MTU_DISCOVER, [0, 5, 1]],
  [IP_RECVERR, [0, 1, 0]],
  [IP_BIND_ADDRESS_NO_PORT, [0, 1, 0]],
  [IP_FREEBIND, [0, 1, 0]],
  [IP_MULTICAST_ALL, [0, 1, 1]],
  // No packet here has options that could be told.
  [IP_RECVOPTS, [0, 1, 0]],
  [IP_RETOPTS, [0, 1, 0]],
  [IP_PKTINFO, [0, 1, 0]],
  [IP_RECVTTL, [0, 1, 0]],
  [IP_RECVTOS, [0, 1, 0]],
  [IP_RECVORIGDSTADDR, [0, 1, 0]],
  [IP_MULTICAST_TTL, [0, 255, 1]],
  [IP_MULTICAST_LOOP, [0, 1, 1]],
]);
const IPV6_NUMBERS = new Map<number, readonly [number, number, number]>([
  [IPV6_UNICAST_HOPS, [-1, 255, 64]],
  [IPV6_MULTICAST_HOPS, [-1, 255, 1]],
  [IPV6_MULTICAST_LOOP, [0, 1, 1]],
  [IPV6_MTU_DISCOVER, [0, 5, 1]],
  [IPV6_RECVERR, [0, 1, 0]],
  [IPV6_TCLASS, [-1, 255, 0]],
  [IPV6_RECVPKTINFO, [0, 1, 0]],
  [IPV6_RECVHOPLIMIT, [0, 1, 0]],
  [IPV6_RECVTCLASS, [0, 1, 0]],
  [IPV6_RECVORIGDSTADDR, [0, 1, 0]],
  [IPV6_FREEBIND, [0, 1, 0]],
  [IPV6_MULTICAST_ALL, [0, 1, 1]],
]);

export abstract class InetSocket extends Socket {
  localHost: string;
  /** 0 while not bound. */
  localPort = 0;
  remote: Endpoint | null = null;
  /** The host's socket behind it, if it can be reached or reaches out of the sandbox. */
  protected outer: HostSocket | null = null;
  /** It was bound by bind(2), not on the way. */
  protected bound = false;
  /** User who made it: only sockets of one user share a port (SO_REUSEPORT). */
  readonly ownerUid: number;
  private v6only = false;
  protected memberships: Memberships | null = null;
  /** The interface it is bound to (SO_BINDTODEVICE), 0 for none. */
  device = 0;
  /** Numbers that were set, by level and name; null while there are none. */
  private numbers: Map<number, number> | null = null;

  constructor(family: number, type: number, protocol: number, task: Task, network: Network) {
    super(family, type, protocol, task.credentials, network);
    this.ownerUid = task.credentials.euid;
    this.localHost = family === AF_INET6 ? ANY6 : ANY4;
  }

  protected abstract get table(): PortTable;

  /** It listens, or will not let another listen beside it. */
  get exclusiveListener(): boolean {
    return true;
  }

  /** Low ports take a capability. */
  protected get privilegedPorts(): boolean {
    return true;
  }

  /** An IPv6 socket that also takes IPv4. */
  get dualStack(): boolean {
    return this.family === AF_INET6 && !this.v6only;
  }

  bind(task: Task, address: string): number {
    const wanted = parseEndpoint(address, this.family);
    if (typeof wanted === 'number') return wanted;
    if (this.localPort !== 0) return -EINVAL;
    if (!this.speaks(wanted.host)) return -EINVAL;
    const { host } = wanted;
    // 127.0.0.0/8 is this machine's even while nothing gets there.
    const own = isAny(host) || isMulticast(host) || (isLoopback(host) && host.length === 4);
    const admitted = own || this.isHere(host) || this.outside?.admitsBind(host);
    if (!admitted && !this.bindsFreely) return -EADDRNOTAVAIL;
    const low = this.privilegedPorts && wanted.port > 0 && wanted.port < this.network.unprivilegedPortStart;
    if (low && !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_BIND_SERVICE)) return -EACCES;
    const both = admitted && this.outside?.hears(wanted.host);
    if (!both) this.closeOuter();
    const failed = both ? this.bindBoth(wanted) : this.bindTo(wanted.host, wanted.port);
    this.bound = failed === 0;
    return failed;
  }

  /** It may be bound to addresses that are not here, or not yet (IP_FREEBIND). */
  private get bindsFreely(): boolean {
    return this.numberOf(SOL_IP, IP_FREEBIND, 0) + this.numberOf(SOL_IPV6, IPV6_FREEBIND, 0) > 0;
  }

  /** Binds to a port (0: any) of an address that is known to be good, for the inside only. 0 or -errno. */
  protected bindTo(host: string, port: number): number {
    const chosen = this.table.bind(this, host, port);
    if (chosen < 0) return chosen;
    this.localHost = host;
    this.localPort = chosen;
    return 0;
  }

  /** Where to send for a destination: the wildcard means this machine. -ENETUNREACH for what is not here. */
  protected route(to: Endpoint): Endpoint | number {
    if (!this.speaks(to.host)) return -ENETUNREACH;
    // Before an egress policy is asked: this too is the machine itself.
    const host = !isAny(to.host) ? to.host : to.host.length === 4 ? LOOPBACK4 : LOOPBACK6;
    const target = host === to.host ? to : { host, port: to.port };
    if (this.groupIsInside(host) || this.outside?.reaches(target)) return target;
    if (!this.isHere(host) || (this.device > LOOPBACK_INDEX && isLoopback(host))) return -ENETUNREACH;
    return target;
  }

  /** Whether it is a multicast group that this socket sends to on the loopback. */
  protected groupIsInside(_host: string): boolean {
    return false;
  }

  /** Whether it is an address of this machine's: the loopback has its own while it is up. */
  protected isHere(host: string): boolean {
    if (isLoopback(host)) return this.network.loopbackUp;
    return this.outside?.interfaces.owns(host) ?? false;
  }

  /** The address it sends from to a destination. */
  protected sourceFor(to: Endpoint): string {
    if (!isAny(this.localHost) && !isMulticast(this.localHost)) return this.localHost;
    // Who talks to an address of the own machine does it from there.
    if (!isLoopback(to.host) && !isAny(to.host) && !isMulticast(to.host)) return to.host;
    return to.host.length === 4 ? LOOPBACK4 : LOOPBACK6;
  }

  // ---- the outside ----

  /** What lies outside its network, if sockets of this kind get there. */
  protected get outside(): Outside | null {
    const { outside } = this.network;
    if (this.protocol === IPPROTO_UDPLITE || (this.device === LOOPBACK_INDEX && !outside?.whole)) return null;
    return outside;
  }

  /** Makes the host's socket, with the options that were set. It is this.outer afterwards, if the result is not -errno. */
  protected openOuter(): HostSocket | number {
    if (this.outer) return this.outer;
    const made = HostSocket.open(this.family, this.type, this.protocol, this.queue);
    if (typeof made === 'number') return made;
    this.outer = made;
    if (this.family === AF_INET6) made.setNumber(SOL_IPV6, IPV6_V6ONLY, Number(this.v6only));
    for (const [key, value] of this.numbers ?? []) this.forwardNumber(Math.floor(key / 65536), key % 65536, value);
    for (const name of FORWARDED) this.forwardOption(name, true);
    if (this.device !== 0) made.setNumber(SOL_SOCKET, SO_BINDTOIFINDEX, this.device);
    this.memberships?.tellAgain((request, joins) => this.tellGroup(request, joins));
    return made;
  }

  protected closeOuter(): void {
    this.outer?.close();
    this.outer = null;
  }

  /** Binds inside and outside, to the same port. 0 or -errno. */
  private bindBoth(wanted: Endpoint): number {
    const { host, port } = wanted;
    for (let tries = 0; tries < BIND_TRIES; tries++) {
      const outer = this.openOuter();
      if (typeof outer === 'number') return outer;
      const chosen = port === 0 ? this.portFromRange : port;
      const name = formatEndpoint({ ...wanted, port: chosen }, this.family);
      let failed = outer.bind(name);
      // bind(2) has asked for the capability already.
      const channel = this.outside?.ports ?? -1;
      if (failed === -EACCES && channel >= 0) failed = outer.bindThrough(channel as HostFd, name);
      if (failed === 0) failed = this.bindTo(host, chosen === 0 ? portOf(outer.name('own')) : chosen);
      if (failed === 0) return 0;
      this.closeOuter();
      // A port that the host gives out may be taken by somebody who is bound to the loopback.
      if (port !== 0) return failed;
    }
    return -EADDRINUSE;
  }

  /** A free port of a range that somebody has set; 0: the host chooses of its own. */
  private get portFromRange(): number {
    const { first, last } = this.network.portRange;
    if (first === DEFAULT_RANGE.first && last === DEFAULT_RANGE.last) return 0;
    return Math.max(0, this.table.freePort());
  }

  /** Binds to any port where bind(2) was not called. 0 or -errno. */
  protected bindAnywhere(): number {
    const wanted = { host: this.localHost, port: 0 };
    return this.outside?.hears(this.localHost) ? this.bindBoth(wanted) : this.bindTo(this.localHost, 0);
  }

  /** The sender of what goes out, at the host; -EINVAL for who is bound to the loopback. */
  protected openForSending(): HostSocket | number {
    if (this.outer) return this.outer;
    const { outside } = this;
    if (this.bound && outside && !outside.hears(this.localHost)) return -EINVAL;
    return this.openOuter();
  }

  override setOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (level === SOL_SOCKET && name === SO_BINDTODEVICE) {
      const index = this.deviceNamed(readBytes(at, length));
      return index < 0 ? index : this.bindToDevice(task, index);
    }
    if (level === SOL_SOCKET && name === SO_BINDTOIFINDEX) {
      return length < 4 || i32[at >> 2] < 0 ? -EINVAL : this.bindToDevice(task, i32[at >> 2]);
    }
    const result = super.setOption(task, level, name, at, length);
    if (result === 0 && level === SOL_SOCKET && this.outer) this.forwardOption(name);
    return result;
  }

  override getOption(level: number, name: number, at: number, length: number): number {
    if (level === SOL_SOCKET && name === SO_BINDTOIFINDEX) {
      i32[at >> 2] = this.device;
      return 4;
    }
    if (level !== SOL_SOCKET || name !== SO_BINDTODEVICE) return super.getOption(level, name, at, length);
    const bound = this.device === 0 ? undefined : this.allLinks().find(({ index }) => index === this.device);
    return bound ? writeBytes(at, `${bound.name}\0`) : 0;
  }

  /** Tells the host of an option of SOL_SOCKET; of a socket that is new to it, only what differs from the default. */
  private forwardOption(name: number, isNew = false): void {
    const { outer } = this;
    if (!outer || !admitsOption(SOL_SOCKET, name)) return;
    if (name === SO_LINGER) {
      // Any time but none would have close(2) wait for it, in the sentry.
      const resets = this.lingers && this.lingerSeconds === 0;
      if (resets || !isNew) outer.setNumber(SOL_SOCKET, name, Number(resets), 0);
    } else if (name === SO_SNDBUF || name === SO_RCVBUF) {
      // The host finds its own sizes until somebody wants another, and doubles what it is told.
      const size = name === SO_SNDBUF ? this.sendBuffer : this.receiveBuffer;
      if (this.sizesSet & (1 << name)) outer.setNumber(SOL_SOCKET, name, size >> 1);
    } else if (name === SO_RCVLOWAT) {
      if (this.receiveLowWater !== 1 || !isNew) outer.setNumber(SOL_SOCKET, name, this.receiveLowWater);
    } else if (this.hasSwitch(name) || !isNew) {
      outer.setNumber(SOL_SOCKET, name, Number(this.hasSwitch(name)));
    }
  }

  private forwardNumber(level: number, name: number, value: number): void {
    if (this.outer && admitsOption(level, name)) this.outer.setNumber(level, name, value);
  }

  /** Joins or leaves a multicast group. 0 or -errno. */
  private changeMembership(level: number, name: number, value: string): number {
    this.memberships ??= new Memberships(this.network);
    const tell: TellHost = (request, joins) => this.tellGroup(request, joins);
    return this.memberships.change(level, name, value, this.outside ? tell : null);
  }

  /** Has the host's socket join or leave a group. A stream hears nothing of it: its membership is only remembered. */
  protected tellGroup(_request: GroupRequest, _joins: boolean): number {
    return 0;
  }

  /** SO_BINDTODEVICE and SO_BINDTOIFINDEX: from now on it sends and hears by one interface, 0 for all. 0 or -errno. */
  private bindToDevice(task: Task, index: number): number {
    const { namespace } = this.network;
    if (this.device !== 0 && !capableIn(namespace.owner, task.credentials, CAP_NET_RAW)) return -EPERM;
    if (index !== 0 && !links(this.network).some((link) => linkOf(link).index === index)) return -ENODEV;
    const failed = this.outer?.setNumber(SOL_SOCKET, SO_BINDTOIFINDEX, index) ?? 0;
    if (failed < 0) return failed;
    this.device = index;
    return 0;
  }

  /** What SO_BINDTODEVICE names: text that may end in a NUL. The index, 0 for '', or -ENODEV. */
  private deviceNamed(name: string): number {
    const wanted = name.slice(0, IFNAMSIZ - 1).replace(/\0.*$/s, '');
    if (wanted === '') return 0;
    return this.allLinks().find((link) => link.name === wanted)?.index ?? -ENODEV;
  }

  private allLinks(): Link[] {
    return links(this.network).map(linkOf);
  }

  /** IPV6_ADDRFORM: a connection to an IPv4 peer becomes that of an AF_INET socket. 0 or -errno. */
  private becomeIpv4(form: number): number {
    if (form !== AF_INET) return -EINVAL;
    if (!this.remote) return -ENOTCONN;
    if (this.v6only || this.remote.host.length !== 4) return -EADDRNOTAVAIL;
    const failed = this.outer?.setNumber(SOL_IPV6, IPV6_ADDRFORM, AF_INET) ?? 0;
    if (failed < 0) return failed;
    this.family = AF_INET;
    if (this.localHost === ANY6) this.localHost = ANY4;
    return 0;
  }

  protected speaks(host: string): boolean {
    if (this.family !== AF_INET6) return host.length === 4;
    return host.length === 16 || !this.v6only;
  }

  getName(): string {
    return formatEndpoint({ host: this.localHost, port: this.localPort }, this.family);
  }

  getPeerName(): string | number {
    // Who is connected to no port is not connected.
    return this.remote && this.remote.port !== 0 ? formatEndpoint(this.remote, this.family) : -ENOTCONN;
  }

  /** No option was ever set. */
  get hasDefaults(): boolean {
    return this.numbers === null;
  }

  /** What a number option is now. */
  numberOf(level: number, name: number, otherwise: number): number {
    return this.numbers?.get(level * 65536 + name) ?? otherwise;
  }

  protected setNumber(level: number, name: number, value: number): number {
    this.numbers ??= new Map();
    this.numbers.set(level * 65536 + name, value);
    this.forwardNumber(level, name, value);
    return 0;
  }

  override setProtocolOption(_task: Task, level: number, name: number, at: number, length: number): number {
    if (length < 1) return -EINVAL;
    const value = length >= 4 ? i32[at >> 2] : u8[at];
    if (level === SOL_IPV6 && this.family !== AF_INET6) return -ENOPROTOOPT;
    if (level === SOL_IPV6 && name === IPV6_ADDRFORM) return this.becomeIpv4(value);
    if (isMembership(level, name)) return this.changeMembership(level, name, readBytes(at, length));
    if (level === SOL_IPV6 && name === IPV6_V6ONLY) {
      if (this.localPort !== 0) return -EINVAL;
      this.v6only = value !== 0;
      return 0;
    }
    const range = rangeOf(level, name);
    if (!range) return -ENOPROTOOPT;
    const byDefault = level === SOL_IP && (name === IP_TTL || name === IP_MULTICAST_TTL) && value === -1;
    const wanted = byDefault ? range[2] : value;
    const number = range[0] === 0 && range[1] === 1 ? Number(wanted !== 0) : wanted;
    if (number < range[0] || number > range[1]) return -EINVAL;
    return this.setNumber(level, name, number === -1 ? range[2] : number);
  }

  override getProtocolOption(level: number, name: number, at: number, _length: number): number {
    let value: number;
    const range = rangeOf(level, name);
    if (level === SOL_IP && name === IP_OPTIONS) return 0;
    if (range) value = this.numberOf(level, name, range[2]);
    else if (level === SOL_IPV6 && name === IPV6_V6ONLY && this.family === AF_INET6) value = Number(this.v6only);
    else if (level === SOL_IP ? name === IP_MTU : level === SOL_IPV6 && name === IPV6_MTU) {
      if (!this.remote) return -ENOTCONN;
      value = this.outer ? this.outer.getNumber(level, name, this.network.loopbackMtu) : this.network.loopbackMtu;
    } else return level === SOL_IP || level === SOL_IPV6 || this.family === AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
    i32[at >> 2] = value;
    return 4;
  }
}

function rangeOf(level: number, name: number): readonly [number, number, number] | undefined {
  if (level === SOL_IP) return IP_NUMBERS.get(name);
  return level === SOL_IPV6 ? IPV6_NUMBERS.get(name) : undefined;
}
