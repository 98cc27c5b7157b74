// NETLINK_SOCK_DIAG (sock_diag(7)): lists of sockets as ss asks for them, of the internet and unix families. There are no
// lists of others, and single sockets are not looked up. A filter that comes with a request is left to who asks.

import { EINVAL, ENOENT, EOPNOTSUPP } from '../../abi/errno.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_RAW,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  IPV6_V6ONLY,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_IPV6,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_INFO,
} from '../../abi/socket.ts';
import { ROOT } from '../../base/credentials.ts';
import { shownId } from '../../base/user-namespace.ts';
import { kernel } from '../../kernel/kernel.ts';
import { allocateScratch, i32, markScratch, readBytes, releaseScratch } from '../../platform/arena.ts';
import { isAny, parseEndpoint } from '../inet/address.ts';
import { InetSocket } from '../inet/socket.ts';
import type { Network } from '../network.ts';
import { openSockets, TCP_CLOSE, TCP_ESTABLISHED, tcpState } from '../open-sockets.ts';
import type { RouteObject } from '../outside/host-interfaces.ts';
import type { Socket } from '../socket.ts';
import { UnixSocket } from '../unix/socket.ts';
import { NLMSG_HEADER, u32Bytes } from './messages.ts';

export const SOCK_DIAG_BY_FAMILY = 20;
const TCP_LISTEN = 10;
/** Bytes of struct inet_diag_req_v2 and unix_diag_req up to their identifiers. */
const INET_REQUEST = 8;
const UNIX_REQUEST = 24;
const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_SKV6ONLY = 11;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;
/** What a struct unix_diag_req asks to be shown: bits by attribute. */
const shows = (show: number, attribute: number): boolean => (show & (1 << attribute)) !== 0;
const LONGEST_OPTION = 256;

/** What a request asks for, or -errno. */
export function askSockets(network: Network, type: number, dump: boolean, request: Buffer): RouteObject[] | number {
  if (type !== SOCK_DIAG_BY_FAMILY || !dump) return -EOPNOTSUPP;
  const body = request.subarray(NLMSG_HEADER);
  if (body.length < INET_REQUEST) return -EINVAL;
  switch (body[0]) {
    case AF_INET:
    case AF_INET6:
      return inetSockets(network, body[0], body[1], body[2], body.readUInt32LE(4));
    case AF_UNIX:
      return body.length < UNIX_REQUEST ? -EINVAL : unixSockets(network, body.readUInt32LE(4), body.readUInt32LE(12));
    default:
      return -ENOENT;
  }
}

/** Sockets of a protocol in one of some states (bits); `extensions` are the attributes to come along. */
function inetSockets(
  network: Network,
  family: number,
  protocol: number,
  extensions: number,
  states: number,
): RouteObject[] | number {
  const types = new Map([
    [IPPROTO_TCP, SOCK_STREAM],
    [IPPROTO_UDP, SOCK_DGRAM],
    [IPPROTO_UDPLITE, SOCK_DGRAM],
    [IPPROTO_RAW, SOCK_RAW],
  ]);
  const type = types.get(protocol);
  if (type === undefined) return -ENOENT;
  return openSockets(network, family, type).flatMap((socket) => {
    if (!(socket instanceof InetSocket) || socket.localPort === 0) return [];
    if (type !== SOCK_RAW && socket.protocol !== protocol) return [];
    const peer = socket.getPeerName();
    const state = type === SOCK_STREAM ? tcpState(socket) : typeof peer === 'string' ? TCP_ESTABLISHED : TCP_CLOSE;
    return states & (1 << state) ? [inetObject(socket, state, peer, extensions)] : [];
  });
}

/** struct inet_diag_msg and its attributes. */
function inetObject(socket: InetSocket, state: number, peer: string | number, extensions: number): RouteObject {
  const { family, listening } = socket;
  const [own, other] = [socket.getName(), peer].map((name) => {
    const end = typeof name === 'string' ? parseEndpoint(name, family) : -EINVAL;
    const { host, port } = typeof end === 'number' ? { host: '', port: 0 } : end;
    const mapped = family === AF_INET6 && host.length === 4 ? `${'\0'.repeat(10)}\xff\xff${host}` : host;
    return { host: mapped.padEnd(16, '\0'), port: String.fromCharCode(port >> 8, port & 255) };
  });
  const queues = listening
    ? u32Bytes(socket.backlogLength) + u32Bytes(socket.backlogLimit)
    : u32Bytes(socket.readableBytes) + u32Bytes(socket.unsentBytes);
  const identity = `${own.port}${other.port}${own.host}${other.host}${u32Bytes(socket.device)}${cookie(socket)}`;
  const { user } = kernel.current?.credentials ?? ROOT;
  const owner = u32Bytes(shownId(user.uidMap, socket.inode.uid)) + u32Bytes(socket.inode.ino);
  const attributes = new Map<number, string>();
  const add = (attribute: number, level: number, name: number): void => {
    const value = shows(extensions << 1, attribute) ? optionOf(socket, level, name) : '';
    if (value !== '') attributes.set(attribute, value);
  };
  if (socket.type === SOCK_STREAM) {
    add(INET_DIAG_INFO, SOL_TCP, TCP_INFO);
    add(INET_DIAG_CONG, SOL_TCP, TCP_CONGESTION);
  }
  if (family === AF_INET6 && (state === TCP_LISTEN || state === TCP_CLOSE)) {
    // Whoever is bound to an address of IPv6 takes no IPv4 anyway.
    const only = socket.localHost.length === 16 && !isAny(socket.localHost);
    attributes.set(INET_DIAG_SKV6ONLY, only ? '\x01' : optionOf(socket, SOL_IPV6, IPV6_V6ONLY).slice(0, 1));
  }
  return { head: `${String.fromCharCode(family, state)}\0\0${identity}${u32Bytes(0)}${queues}${owner}`, attributes };
}

/** Sockets in one of some states (bits), with what a request's `show` asks for. */
function unixSockets(network: Network, states: number, show: number): RouteObject[] {
  return openSockets(network, AF_UNIX, null).flatMap((socket) => {
    if (!(socket instanceof UnixSocket)) return [];
    const { peer } = socket;
    const state = socket.listening ? TCP_LISTEN : peer ? TCP_ESTABLISHED : TCP_CLOSE;
    if (!(states & (1 << state))) return [];
    const attributes = new Map<number, string>();
    if (shows(show, UNIX_DIAG_NAME) && socket.name !== '')
      attributes.set(UNIX_DIAG_NAME, socket.name[0] === '\0' ? socket.name : socket.name.slice(0, -1));
    if (shows(show, UNIX_DIAG_PEER) && peer && !peer.dead) attributes.set(UNIX_DIAG_PEER, u32Bytes(peer.inode.ino));
    if (shows(show, UNIX_DIAG_RQLEN)) {
      const [first, second] = socket.listening
        ? [socket.backlogLength, socket.backlogLimit]
        : [socket.readableBytes, socket.unsentBytes];
      attributes.set(UNIX_DIAG_RQLEN, u32Bytes(first) + u32Bytes(second));
    }
    const head = `${String.fromCharCode(AF_UNIX, socket.type, state)}\0${u32Bytes(socket.inode.ino)}${cookie(socket)}`;
    return [{ head, attributes }];
  });
}

function cookie(socket: Socket): string {
  return u32Bytes(socket.cookie) + u32Bytes(Math.floor(socket.cookie / 2 ** 32));
}

/** An option's value as getsockopt(2) has it, '' if there is none. */
function optionOf(socket: Socket, level: number, name: number): string {
  const mark = markScratch();
  const at = allocateScratch(LONGEST_OPTION);
  if (at >= 0) i32[at >> 2] = 0;
  const size = at < 0 ? 0 : socket.getProtocolOption(level, name, at, LONGEST_OPTION);
  const value = size > 0 ? readBytes(at, size) : '';
  releaseScratch(mark);
  return value;
}
