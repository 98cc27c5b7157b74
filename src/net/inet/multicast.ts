// Multicast groups (ip(7), ipv6(7)): which groups a socket has joined, and what the options that join and leave them say.
// Only sockets that name the loopback join on it: it is nobody's way to a group by itself. On other interfaces it is the
// host's socket that joins. What is sent to a group is heard by all who are bound to its port, members or not, as long as
// there is one member, but for those who want only what they have joined themselves (IP_MULTICAST_ALL).

import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV } from '../../abi/errno.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  MCAST_JOIN_GROUP,
  MCAST_LEAVE_GROUP,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import { LOOPBACK_INDEX } from '../links.ts';
import { u32Bytes } from '../netlink/messages.ts';
import type { Network } from '../network.ts';
import { ANY4, isAny, isLoopback } from './address.ts';

/** struct ip_mreq, ip_mreqn, ipv6_mreq, group_req. */
export const IP_MREQ_SIZE = 8;
export const IP_MREQN_SIZE = 12;
const IPV6_MREQ_SIZE = 20;
const GROUP_REQ_SIZE = 136;
/** net.ipv4.igmp_max_memberships, for each socket. */
const MOST = 20;

export function isMulticast(host: string): boolean {
  const first = host.charCodeAt(0);
  return host.length === 4 ? first >= 224 && first < 240 : first === 0xff;
}

/** Whether an option joins or leaves a group. */
export function isMembership(level: number, name: number): boolean {
  if (name === MCAST_JOIN_GROUP || name === MCAST_LEAVE_GROUP) return level === SOL_IP || level === SOL_IPV6;
  if (level === SOL_IP) return name === IP_ADD_MEMBERSHIP || name === IP_DROP_MEMBERSHIP;
  return level === SOL_IPV6 && (name === IPV6_JOIN_GROUP || name === IPV6_LEAVE_GROUP);
}

export interface GroupRequest {
  readonly group: string;
  /** The interface by number, 0 for none. */
  readonly index: number;
  /** The interface by its address, '' for none. */
  readonly address: string;
}

/** Has a group joined or left on an interface of the outside. 0 or -errno. */
export type TellHost = (request: GroupRequest, joins: boolean) => number;

/** What such an option's value asks for, or -EINVAL. */
function parseRequest(level: number, name: number, value: string): GroupRequest | number {
  const bytes = Buffer.from(value, 'latin1');
  if (name === MCAST_JOIN_GROUP || name === MCAST_LEAVE_GROUP) {
    if (bytes.length < GROUP_REQ_SIZE) return -EINVAL;
    const group = level === SOL_IP ? value.slice(12, 16) : value.slice(16, 32);
    return { group, index: bytes.readUInt32LE(0), address: '' };
  }
  if (level === SOL_IPV6) {
    if (bytes.length < IPV6_MREQ_SIZE) return -EINVAL;
    return { group: value.slice(0, 16), index: bytes.readUInt32LE(16), address: '' };
  }
  if (bytes.length < IP_MREQ_SIZE) return -EINVAL;
  const index = bytes.length >= IP_MREQN_SIZE ? bytes.readUInt32LE(8) : 0;
  return { group: value.slice(0, 4), index, address: value.slice(4, 8) };
}

/** Whether it is the loopback that a number or an address names. */
export function namesLoopback(index: number, address: string): boolean {
  return index === 0 ? address !== '' && !isAny(address) && isLoopback(address) : index === LOOPBACK_INDEX;
}

/** A request as the host takes it: a struct ip_mreqn or ipv6_mreq. */
export function formatRequest({ group, index, address }: GroupRequest): string {
  return group + (group.length === 4 ? address || ANY4 : '') + u32Bytes(index);
}

/** The groups of one socket. */
export class Memberships {
  /** On the loopback. */
  private readonly groups = new Set<string>();
  /** On other interfaces. */
  private readonly far: GroupRequest[] = [];
  private readonly network: Network;

  constructor(network: Network) {
    this.network = network;
  }

  /** Joins or leaves, as the option says; without `tell` there is only the loopback. 0 or -errno. */
  change(level: number, name: number, value: string, tell: TellHost | null): number {
    const request = parseRequest(level, name, value);
    if (typeof request === 'number') return request;
    const { group, index, address } = request;
    if (!isMulticast(group)) return -EINVAL;
    const leaves = name === IP_DROP_MEMBERSHIP || name === IPV6_LEAVE_GROUP || name === MCAST_LEAVE_GROUP;
    const near = namesLoopback(index, address) && !this.network.outside?.whole;
    if (leaves) return near || tell === null ? this.leave(group) : this.leaveFar(request, tell);
    if (near ? this.groups.has(group) : this.placeOf(request) >= 0) return -EADDRINUSE;
    if (!near && tell === null) return -ENODEV;
    if (this.groups.size + this.far.length >= MOST) return -ENOBUFS;
    if (!near) return this.joinFar(request, tell as TellHost);
    this.groups.add(group);
    this.network.groups.set(group, (this.network.groups.get(group) ?? 0) + 1);
    return 0;
  }

  /** Whether it has joined the group on the loopback. */
  has(group: string): boolean {
    return this.groups.has(group);
  }

  /** The host's socket is a new one. */
  tellAgain(tell: TellHost): void {
    for (const request of this.far) tell(request, true);
  }

  private placeOf({ group, index, address }: GroupRequest): number {
    return this.far.findIndex((one) => one.group === group && one.index === index && one.address === address);
  }

  private joinFar(request: GroupRequest, tell: TellHost): number {
    const failed = tell(request, true);
    if (failed === 0) this.far.push(request);
    return failed;
  }

  /** Without an interface it is the first one on which the group was joined. */
  private leaveFar(request: GroupRequest, tell: TellHost): number {
    const unnamed = request.index === 0 && (request.address === '' || isAny(request.address));
    const place = unnamed ? this.far.findIndex(({ group }) => group === request.group) : this.placeOf(request);
    if (place < 0) return this.leave(request.group);
    return tell(this.far.splice(place, 1)[0], false);
  }

  private leave(group: string): number {
    if (!this.groups.delete(group)) return -EADDRNOTAVAIL;
    const left = (this.network.groups.get(group) ?? 1) - 1;
    if (left > 0) this.network.groups.set(group, left);
    else this.network.groups.delete(group);
    return 0;
  }

  clear(): void {
    for (const group of this.groups) this.leave(group);
  }
}
