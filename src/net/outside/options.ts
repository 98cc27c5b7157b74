// Options that a socket of the host is given: an allow-list. Their values are those that the guest's socket keeps, which
// checked their range when they were set; nothing of setsockopt(2) passes through. What is not here stays with the
// guest's socket alone (SO_RCVTIMEO, SO_PRIORITY, SO_MARK, …) or is unknown to it (ENOPROTOOPT).

import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MTU_DISCOVER,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPV6_ADDRFORM,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MTU_DISCOVER,
  IPV6_MULTICAST_ALL,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVORIGDSTADDR,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
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
  SOL_TCP,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from '../../abi/socket.ts';

interface Rule {
  readonly level: number;
  readonly names: readonly number[];
  readonly why: string;
}

export const OPTION_RULES: readonly Rule[] = [
  { level: SOL_SOCKET, names: [SO_REUSEADDR, SO_REUSEPORT], why: 'who may share a port of the own namespace' },
  { level: SOL_SOCKET, names: [SO_BINDTOIFINDEX], why: 'fewer interfaces of the own namespace' },
  { level: SOL_SOCKET, names: [SO_NO_CHECK], why: 'no checksum in the own datagrams' },
  { level: SOL_SOCKET, names: [SO_BROADCAST], why: 'only guards against mistakes' },
  { level: SOL_SOCKET, names: [SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT], why: 'of this connection alone' },
  { level: SOL_SOCKET, names: [SO_SNDBUF, SO_RCVBUF], why: 'bounded by net.core.*mem_max of the host' },
  { level: SOL_SOCKET, names: [SO_LINGER], why: 'only with no time at all (a reset): else close would wait' },
  {
    level: SOL_IP,
    names: [IP_TOS, IP_TTL, IP_MTU_DISCOVER, IP_MULTICAST_TTL, IP_MULTICAST_LOOP],
    why: 'numbers in the header of the own packets',
  },
  {
    level: SOL_IP,
    names: [IP_PKTINFO, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR],
    why: 'what is told of received packets',
  },
  {
    level: SOL_IP,
    names: [IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_MULTICAST_IF, IP_MULTICAST_ALL],
    why: 'multicast groups of the own interfaces',
  },
  {
    level: SOL_IPV6,
    names: [IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP, IPV6_MULTICAST_IF, IPV6_MULTICAST_ALL],
    why: 'multicast groups of the own interfaces',
  },
  { level: SOL_IPV6, names: [IPV6_V6ONLY], why: 'whether the socket also takes IPv4' },
  { level: SOL_IPV6, names: [IPV6_ADDRFORM], why: 'how the own addresses are written' },
  {
    level: SOL_IPV6,
    names: [IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MTU_DISCOVER, IPV6_TCLASS],
    why: 'numbers in the header of the own packets',
  },
  {
    level: SOL_IPV6,
    names: [IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVORIGDSTADDR],
    why: 'what is told of received packets',
  },
  {
    level: SOL_TCP,
    names: [TCP_NODELAY, TCP_CORK, TCP_QUICKACK, TCP_MAXSEG, TCP_NOTSENT_LOWAT, TCP_WINDOW_CLAMP],
    why: 'how the own bytes are cut into segments',
  },
  {
    level: SOL_TCP,
    names: [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2, TCP_USER_TIMEOUT],
    why: 'timers of this connection alone',
  },
  { level: SOL_TCP, names: [TCP_DEFER_ACCEPT, TCP_FASTOPEN], why: 'how the own listener takes connections' },
];

const admitted = new Set(OPTION_RULES.flatMap(({ level, names }) => names.map((name) => level * 65536 + name)));

export function admitsOption(level: number, name: number): boolean {
  return admitted.has(level * 65536 + name);
}
