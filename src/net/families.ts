// Address families that the sandbox has, and how their sockets are made. A family that is not here answers
// EAFNOSUPPORT, as on a kernel without it.

import { CAP_NET_RAW } from '../abi/capability.ts';
import { EACCES, EAFNOSUPPORT, EINVAL, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../abi/errno.ts';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_UNIX,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  SOCK_DGRAM,
  SOCK_PACKET,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from '../abi/socket.ts';
import { capableIn } from '../base/credentials.ts';
import type { Task } from '../kernel/task.ts';
import { drop } from '../vfs/open-file.ts';
import { PingSocket } from './inet/ping.ts';
import { RawSocket } from './inet/raw.ts';
import { TcpSocket } from './inet/tcp.ts';
import { UdpSocket } from './inet/udp.ts';
import {
  NETLINK_GENERIC,
  NETLINK_KOBJECT_UEVENT,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
} from './netlink/socket.ts';
import { type Network, networkOf } from './network.ts';
import type { Socket } from './socket.ts';
import { UnixPacketSocket } from './unix/packet.ts';
import type { UnixSocket } from './unix/socket.ts';
import { UnixStream } from './unix/stream.ts';

const NETLINK = [NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC];
/** Protocols have lower numbers (include/uapi/linux/in.h: the last is that of MPTCP). */
const IPPROTO_MAX = 263;

/** Makes a socket (socket(2)) with one reference, or -errno. `type` comes without SOCK_NONBLOCK and SOCK_CLOEXEC. */
export function createSocket(task: Task, domain: number, type: number, protocol: number): Socket | number {
  if (type < 0 || type > SOCK_PACKET) return -EINVAL;
  switch (domain) {
    case AF_UNIX:
      return createUnixSocket(task, type, protocol);
    case AF_INET:
    case AF_INET6:
      return createInetSocket(task, domain, type, protocol);
    case AF_NETLINK:
      if (type !== SOCK_RAW && type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
      return NETLINK.includes(protocol) ? new NetlinkSocket(type, protocol, task, networkOf(task)) : -EPROTONOSUPPORT;
    default:
      return -EAFNOSUPPORT;
  }
}

/** Two connected sockets (socketpair(2)); only AF_UNIX can do it. */
export function createSocketPair(
  task: Task,
  domain: number,
  type: number,
  protocol: number,
): [Socket, Socket] | number {
  if (domain !== AF_UNIX) {
    // Linux makes the sockets before it finds that they cannot be paired, and so complains of them first.
    const made = createSocket(task, domain, type, protocol);
    if (typeof made === 'number') return made;
    drop(made);
    return -EOPNOTSUPP;
  }
  const first = createUnixSocket(task, type, protocol);
  if (typeof first === 'number') return first;
  const second = createUnixSocket(task, type, protocol) as UnixSocket;
  first.pairWith(second, task);
  return [first, second];
}

function createUnixSocket(task: Task, type: number, protocol: number): UnixSocket | number {
  if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
  switch (type) {
    case SOCK_STREAM:
      return new UnixStream(task.credentials, networkOf(task));
    case SOCK_RAW: // as Linux has it, an old name for datagrams
    case SOCK_DGRAM:
      return new UnixPacketSocket(SOCK_DGRAM, task.credentials, networkOf(task));
    case SOCK_SEQPACKET:
      return new UnixPacketSocket(SOCK_SEQPACKET, task.credentials, networkOf(task));
    default:
      return -ESOCKTNOSUPPORT;
  }
}

function createInetSocket(task: Task, family: number, type: number, protocol: number): Socket | number {
  const network = networkOf(task);
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
  switch (type) {
    case SOCK_STREAM:
      return protocol === 0 || protocol === IPPROTO_TCP ? new TcpSocket(family, task, network) : -EPROTONOSUPPORT;
    case SOCK_DGRAM:
      if (protocol === 0 || protocol === IPPROTO_UDP) return new UdpSocket(family, IPPROTO_UDP, task, network);
      if (protocol === IPPROTO_UDPLITE) return new UdpSocket(family, IPPROTO_UDPLITE, task, network);
      if (protocol !== (family === AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return -EPROTONOSUPPORT;
      return mayPing(task, network) ? new PingSocket(family, protocol, task, network) : -EACCES;
    case SOCK_RAW:
      if (protocol === 0) return -EPROTONOSUPPORT;
      if (!capableIn(network.namespace.owner, task.credentials, CAP_NET_RAW)) return -EPERM;
      return new RawSocket(family, protocol, task, network);
    default:
      return -ESOCKTNOSUPPORT;
  }
}

/** Whether one of its groups may have ping sockets (net/ipv4/ping.c: ping_init_sock). */
function mayPing({ credentials }: Task, { pingGroups: [first, last] }: Network): boolean {
  const within = (gid: number): boolean => gid >= first && gid <= last;
  return within(credentials.egid) || credentials.groups.some(within);
}
