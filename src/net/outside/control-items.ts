// Control messages that go between a guest and a socket of the host: an allow-list for each direction. Everything else
// is -EINVAL on its way out, as on a kernel that does not know it, and left out on its way in.

import { EINVAL } from '../../abi/errno.ts';
import {
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVORIGDSTADDR,
  IP_TOS,
  IP_TTL,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_RECVERR,
  IPV6_RECVORIGDSTADDR,
  IPV6_TCLASS,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import type { ControlItem } from '../message.ts';

interface Rule {
  readonly level: number;
  readonly type: number;
  /** Sizes of data that may be sent; empty: only received. */
  readonly sizes: readonly number[];
  readonly why: string;
}

export const CONTROL_RULES: readonly Rule[] = [
  { level: SOL_IP, type: IP_PKTINFO, sizes: [12], why: 'which own address and interface a datagram uses' },
  { level: SOL_IP, type: IP_TTL, sizes: [4], why: 'a number in the header of the datagram' },
  { level: SOL_IP, type: IP_TOS, sizes: [1, 4], why: 'a number in the header of the datagram' },
  { level: SOL_IP, type: IP_RECVERR, sizes: [], why: 'what ICMP said of an own datagram' },
  { level: SOL_IP, type: IP_RECVORIGDSTADDR, sizes: [], why: 'where a datagram was sent to' },
  { level: SOL_IPV6, type: IPV6_RECVORIGDSTADDR, sizes: [], why: 'where a datagram was sent to' },
  { level: SOL_IPV6, type: IPV6_PKTINFO, sizes: [20], why: 'which own address and interface a datagram uses' },
  { level: SOL_IPV6, type: IPV6_HOPLIMIT, sizes: [4], why: 'a number in the header of the datagram' },
  { level: SOL_IPV6, type: IPV6_TCLASS, sizes: [4], why: 'a number in the header of the datagram' },
  { level: SOL_IPV6, type: IPV6_RECVERR, sizes: [], why: 'what ICMP said of an own datagram' },
];

/** 0, or -EINVAL if one of the control messages is not to be sent. */
export function checkOutgoing(items: readonly ControlItem[] | null): number {
  for (const { level, type, data } of items ?? []) {
    const rule = CONTROL_RULES.find((known) => known.level === level && known.type === type);
    if (!rule?.sizes.includes(data.length)) return -EINVAL;
  }
  return 0;
}

export function admitsIncoming(level: number, type: number): boolean {
  return CONTROL_RULES.some((known) => known.level === level && known.type === type);
}
