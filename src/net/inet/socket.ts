// What TCP and UDP sockets share: their local and remote endpoints, binding, and the options of IP.

import { CAP_NET_BIND_SERVICE } from '../../abi/capability.ts';
import {
  EACCES,
  EADDRNOTAVAIL,
  EINVAL,
  ENETUNREACH,
  ENODEV,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
} from '../../abi/errno.ts';
import {
  AF_INET6,
  IP_ADD_MEMBERSHIP,
  IP_BIND_ADDRESS_NO_PORT,
  IP_DROP_MEMBERSHIP,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_LOOP,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  MCAST_JOIN_GROUP,
  MCAST_LEAVE_GROUP,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import { capableIn } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, u8 } from '../../platform/arena.ts';
import { LOOPBACK_MTU } from '../interfaces.ts';
import type { Network } from '../network.ts';
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
} from './address.ts';
import type { PortTable } from './ports.ts';

const FIRST_FREE_PORT = 1024;

/** Options that are a number, with their range and what they are until they are set: [lowest, highest, default]. */
const IP_NUMBERS = new Map<number, readonly [number, number, number]>([
  [IP_TOS, [0, 255, 0]],
  [IP_TTL, [1, 255, 64]],
  [IP_MTU_DISCOVER, [0, 5, 1]],
  [IP_RECVERR, [0, 1, 0]],
  [IP_BIND_ADDRESS_NO_PORT, [0, 1, 0]],
  [IP_PKTINFO, [0, 1, 0]],
  [IP_RECVTTL, [0, 1, 0]],
  [IP_RECVTOS, [0, 1, 0]],
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
]);

export abstract class InetSocket extends Socket {
  localHost: string;
  /** 0 while not bound. */
  localPort = 0;
  remote: Endpoint | null = null;
  /** User who made it: only sockets of one user share a port (SO_REUSEPORT). */
  readonly ownerUid: number;
  private v6only = false;
  /** Numbers that were set, by level and name. */
  private readonly numbers = new Map<number, number>();

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

  /** An IPv6 socket that also takes IPv4. */
  get dualStack(): boolean {
    return this.family === AF_INET6 && !this.v6only;
  }

  bind(task: Task, address: string): number {
    const wanted = parseEndpoint(address, this.family);
    if (typeof wanted === 'number') return wanted;
    if (this.localPort !== 0) return -EINVAL;
    if (!this.speaks(wanted.host)) return -EINVAL;
    if (!isAny(wanted.host) && !this.isHere(wanted.host)) return -EADDRNOTAVAIL;
    const low = wanted.port > 0 && wanted.port < FIRST_FREE_PORT;
    if (low && !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_BIND_SERVICE)) return -EACCES;
    return this.bindTo(wanted.host, wanted.port);
  }

  /** Binds to a port (0: any) of an address that is known to be good. 0 or -errno. */
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
    const host = !isAny(to.host) ? to.host : to.host.length === 4 ? LOOPBACK4 : LOOPBACK6;
    if (!this.isHere(host)) return -ENETUNREACH;
    return host === to.host ? to : { host, port: to.port };
  }

  /** Whether it is an address of this machine's: the loopback has its own while it is up. */
  private isHere(host: string): boolean {
    return isLoopback(host) && this.network.loopbackUp;
  }

  /** The address it sends from to a destination. */
  protected sourceFor(to: Endpoint): string {
    if (!isAny(this.localHost)) return this.localHost;
    return to.host.length === 4 ? LOOPBACK4 : LOOPBACK6;
  }

  protected speaks(host: string): boolean {
    if (this.family !== AF_INET6) return host.length === 4;
    return host.length === 16 || !this.v6only;
  }

  getName(): string {
    return formatEndpoint({ host: this.localHost, port: this.localPort }, this.family);
  }

  getPeerName(): string | number {
    return this.remote ? formatEndpoint(this.remote, this.family) : -ENOTCONN;
  }

  /** No option was ever set. */
  get hasDefaults(): boolean {
    return this.numbers.size === 0;
  }

  /** What a number option is now. */
  numberOf(level: number, name: number, otherwise: number): number {
    return this.numbers.get(level * 65536 + name) ?? otherwise;
  }

  protected setNumber(level: number, name: number, value: number): number {
    this.numbers.set(level * 65536 + name, value);
    return 0;
  }

  override setProtocolOption(_task: Task, level: number, name: number, at: number, length: number): number {
    if (length < 1) return -EINVAL;
    const value = length >= 4 ? i32[at >> 2] : u8[at];
    if (level === SOL_IPV6 && this.family !== AF_INET6) return -ENOPROTOOPT;
    if (level === SOL_IPV6 && name === IPV6_V6ONLY) {
      if (this.localPort !== 0) return -EINVAL;
      this.v6only = value !== 0;
      return 0;
    }
    if (isMembership(level, name)) return JOINS.includes(name) ? -ENODEV : -EADDRNOTAVAIL;
    const range = rangeOf(level, name);
    if (!range) return -ENOPROTOOPT;
    const wanted = level === SOL_IP && name === IP_TTL && value === -1 ? range[2] : value;
    const number = range[0] === 0 && range[1] === 1 ? Number(wanted !== 0) : wanted;
    if (number < range[0] || number > range[1]) return -EINVAL;
    return this.setNumber(level, name, number === -1 ? range[2] : number);
  }

  override getProtocolOption(level: number, name: number, at: number, _length: number): number {
    let value: number;
    const range = rangeOf(level, name);
    if (range) value = this.numberOf(level, name, range[2]);
    else if (level === SOL_IPV6 && name === IPV6_V6ONLY && this.family === AF_INET6) value = Number(this.v6only);
    else if (level === SOL_IP ? name === IP_MTU : level === SOL_IPV6 && name === IPV6_MTU) {
      if (!this.remote) return -ENOTCONN;
      value = LOOPBACK_MTU;
    } else return level === SOL_IP || level === SOL_IPV6 || this.family === AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
    i32[at >> 2] = value;
    return 4;
  }
}

/** Multicast groups are joined on interfaces that can do it: the loopback is none. */
const JOINS: readonly number[] = [IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP, MCAST_JOIN_GROUP];

function isMembership(level: number, name: number): boolean {
  if (name === MCAST_JOIN_GROUP || name === MCAST_LEAVE_GROUP) return level === SOL_IP || level === SOL_IPV6;
  if (level === SOL_IP) return name === IP_ADD_MEMBERSHIP || name === IP_DROP_MEMBERSHIP;
  return level === SOL_IPV6 && (name === IPV6_JOIN_GROUP || name === IPV6_LEAVE_GROUP);
}

function rangeOf(level: number, name: number): readonly [number, number, number] | undefined {
  if (level === SOL_IP) return IP_NUMBERS.get(name);
  return level === SOL_IPV6 ? IPV6_NUMBERS.get(name) : undefined;
}
