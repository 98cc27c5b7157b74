// What goes with a datagram besides its bytes (ip(7), ipv6(7)): destination, time to live, type of service; set by the
// sender's options or control messages, told to a receiver who asked for it.

import { EADDRNOTAVAIL, EINVAL } from '../../abi/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IP_MULTICAST_TTL,
  IP_PKTINFO,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPV6_HOPLIMIT,
  IPV6_MULTICAST_HOPS,
  IPV6_PKTINFO,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVORIGDSTADDR,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import { LOOPBACK_INDEX } from '../links.ts';
import type { ControlItem } from '../message.ts';
import { formatEndpoint, isAny, isLoopback } from './address.ts';
import { isMulticast } from './multicast.ts';
import type { InetSocket } from './socket.ts';

export interface PacketInfo {
  /** Address it was sent to: 4 or 16 bytes. */
  readonly to: string;
  readonly hops: number;
  readonly service: number;
  /** When it came, for who asked. */
  readonly stamp?: ControlItem;
}

const DEFAULT_HOPS = 64;

/** What a datagram to `to` goes with, by the socket's options and the message's control items; -EINVAL and others. */
export function describeOutgoing(
  socket: InetSocket,
  to: string,
  items: readonly ControlItem[] | null,
): PacketInfo | number {
  const six = to.length === 16;
  const group = isMulticast(to);
  const otherwise = group ? 1 : DEFAULT_HOPS;
  let hops = six
    ? socket.numberOf(SOL_IPV6, group ? IPV6_MULTICAST_HOPS : IPV6_UNICAST_HOPS, otherwise)
    : socket.numberOf(SOL_IP, group ? IP_MULTICAST_TTL : IP_TTL, otherwise);
  let service = six ? socket.numberOf(SOL_IPV6, IPV6_TCLASS, 0) : socket.numberOf(SOL_IP, IP_TOS, 0);
  for (const { level, type, data } of items ?? []) {
    const number = data.length === 4 ? wordOf(data) : data.length === 1 ? data.charCodeAt(0) : Number.NaN;
    if ((level === SOL_IPV6 && type === IPV6_PKTINFO) || (level === SOL_IP && type === IP_PKTINFO)) {
      const refused = checkPacketInfo(data, level === SOL_IPV6);
      if (refused < 0) return refused;
    } else if ((level === SOL_IPV6 && type === IPV6_HOPLIMIT) || (level === SOL_IP && type === IP_TTL)) {
      if (!(number >= (level === SOL_IP ? 1 : -1) && number <= 255)) return -EINVAL;
      hops = number === -1 ? DEFAULT_HOPS : number;
    } else if ((level === SOL_IPV6 && type === IPV6_TCLASS) || (level === SOL_IP && type === IP_TOS)) {
      if (!(number >= (level === SOL_IP ? 0 : -1) && number <= 255)) return -EINVAL;
      service = number === -1 ? 0 : number;
    } else {
      return -EINVAL;
    }
  }
  return { to, hops, service };
}

/** Control items for a received datagram, as the receiver's options ask for them; null for none. */
export function describeIncoming(socket: InetSocket, { to, hops, service, stamp }: PacketInfo): ControlItem[] | null {
  if (socket.hasDefaults && !stamp) return null;
  const items: ControlItem[] = stamp ? [stamp] : [];
  const index = word(LOOPBACK_INDEX);
  const six = socket.family === AF_INET6;
  if (to.length === 4 && socket.numberOf(SOL_IP, IP_PKTINFO, 0)) {
    items.push({ level: SOL_IP, type: IP_PKTINFO, data: index + to + to });
  }
  if (to.length === 4 && socket.numberOf(SOL_IP, IP_RECVTTL, 0)) {
    items.push({ level: SOL_IP, type: IP_TTL, data: word(hops) });
  }
  if (to.length === 4 && socket.numberOf(SOL_IP, IP_RECVTOS, 0)) {
    items.push({ level: SOL_IP, type: IP_TOS, data: String.fromCharCode(service) });
  }
  if (six && socket.numberOf(SOL_IPV6, IPV6_RECVPKTINFO, 0)) {
    const whole = to.length === 16 ? to : `${'\0'.repeat(10)}\xff\xff${to}`;
    items.push({ level: SOL_IPV6, type: IPV6_PKTINFO, data: whole + index });
  }
  if (six && to.length === 16 && socket.numberOf(SOL_IPV6, IPV6_RECVHOPLIMIT, 0)) {
    items.push({ level: SOL_IPV6, type: IPV6_HOPLIMIT, data: word(hops) });
  }
  if (six && to.length === 16 && socket.numberOf(SOL_IPV6, IPV6_RECVTCLASS, 0)) {
    items.push({ level: SOL_IPV6, type: IPV6_TCLASS, data: word(service) });
  }
  // An item has the number of the option that asks for it.
  if (to.length === 4 && socket.numberOf(SOL_IP, IP_RECVORIGDSTADDR, 0)) {
    const data = formatEndpoint({ host: to, port: socket.localPort }, AF_INET);
    items.push({ level: SOL_IP, type: IP_RECVORIGDSTADDR, data });
  }
  if (six && to.length === 16 && socket.numberOf(SOL_IPV6, IPV6_RECVORIGDSTADDR, 0)) {
    const data = formatEndpoint({ host: to, port: socket.localPort }, AF_INET6);
    items.push({ level: SOL_IPV6, type: IPV6_RECVORIGDSTADDR, data });
  }
  return items.length > 0 ? items : null;
}

/** struct in_pktinfo or in6_pktinfo of a sender: the loopback's index or none, one of its addresses or none. */
function checkPacketInfo(data: string, six: boolean): number {
  if (data.length !== (six ? 20 : 12)) return -EINVAL;
  const index = wordOf(six ? data.slice(16) : data);
  const source = six ? data.slice(0, 16) : data.slice(4, 8);
  if (index !== 0 && index !== LOOPBACK_INDEX) return -EINVAL;
  return isAny(source) || isLoopback(source) ? 0 : -EADDRNOTAVAIL;
}

function word(value: number): string {
  return String.fromCharCode(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255);
}

function wordOf(data: string): number {
  return data.charCodeAt(0) | (data.charCodeAt(1) << 8) | (data.charCodeAt(2) << 16) | (data.charCodeAt(3) << 24);
}
