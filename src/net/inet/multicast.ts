// Multicast groups on the loopback (ip(7), ipv6(7)): which groups a socket has joined there, and what the options that
// join and leave them say. Only sockets that name the loopback join on it: it is nobody's way to a group by itself. What
// is sent to a group is heard by all who are bound to its port, members or not, as long as there is one member
// (IP_MULTICAST_ALL).

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
import type { Network } from '../network.ts';
import { isAny, isLoopback } from './address.ts';

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

interface Request {
  readonly group: string;
  /** The interface by number, 0 for none. */
  readonly index: number;
  /** The interface by its address, '' for none. */
  readonly address: string;
}

/** What such an option's value asks for, or -EINVAL. */
function parseRequest(level: number, name: number, value: string): Request | number {
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

/** The groups of one socket. */
export class Memberships {
  private readonly groups = new Set<string>();
  private readonly network: Network;

  constructor(network: Network) {
    this.network = network;
  }

  /** Joins or leaves, as the option says; 0 or -errno. */
  change(level: number, name: number, value: string): number {
    const request = parseRequest(level, name, value);
    if (typeof request === 'number') return request;
    const { group, index, address } = request;
    if (!isMulticast(group)) return -EINVAL;
    const leaves = name === IP_DROP_MEMBERSHIP || name === IPV6_LEAVE_GROUP || name === MCAST_LEAVE_GROUP;
    if (leaves) return this.leave(group) ? 0 : -EADDRNOTAVAIL;
    if (!namesLoopback(index, address)) return -ENODEV;
    if (this.groups.has(group)) return -EADDRINUSE;
    if (this.groups.size >= MOST) return -ENOBUFS;
    this.groups.add(group);
    this.network.groups.set(group, (this.network.groups.get(group) ?? 0) + 1);
    return 0;
  }

  private leave(group: string): boolean {
    if (!this.groups.delete(group)) return false;
    const left = (this.network.groups.get(group) ?? 1) - 1;
    if (left > 0) this.network.groups.set(group, left);
    else this.network.groups.delete(group);
    return true;
  }

  clear(): void {
    for (const group of this.groups) this.leave(group);
  }
}
