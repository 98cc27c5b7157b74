// What a network shows of its interfaces, in the form of rtnetlink(7): its own loopback, and the outside's links,
// addresses, routes and neighbours behind it. rtnetlink, the ioctls of netdevice(7), /proc/net and /sys/class/net all
// show these.

import { AF_INET, AF_INET6, AF_UNSPEC } from '../abi/socket.ts';
import { kernel } from '../kernel/kernel.ts';
import { isLoopback } from './inet/address.ts';
import {
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_GETRULE,
  u16Bytes,
  u32Bytes,
} from './netlink/messages.ts';
import type { Network } from './network.ts';
import type { RouteObject } from './outside/host-interfaces.ts';

export const LOOPBACK_NAME = 'lo';
export const LOOPBACK_INDEX = 1;
const LOOPBACK_QUEUE = 1000;
const ARPHRD_LOOPBACK = 772;
const STATS64_SIZE = 200;
const ETHERNET_NONE = '\0'.repeat(6);

export const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_RUNNING = 0x40;
const IFF_LOWER_UP = 0x10000;

export const IFLA_ADDRESS = 1;
export const IFLA_BROADCAST = 2;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_QDISC = 6;
export const IFLA_TXQLEN = 13;
export const IFLA_OPERSTATE = 16;
const IFLA_LINKMODE = 17;
export const IFLA_STATS64 = 23;
const IFLA_GROUP = 27;
export const IFLA_CARRIER = 33;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const FOREVER = 0xffffffff;
const IFA_F_PERMANENT = 0x80;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
export const RTA_TABLE = 15;
const RT_SCOPE_HOST = 254;
const RTA_CACHEINFO = 12;
const RTA_CACHEINFO_SIZE = 32;
const RTA_UID = 25;
const RT_TABLE_DEFAULT = 253;
const RT_TABLE_MAIN = 254;
const RT_TABLE_LOCAL = 255;
const RTCF_LOCAL = 0x80000000;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FR_ACT_TO_TBL = 1;
/** Priorities and tables of the rules that every network begins with; the last one is IPv4's alone. */
const RULES = [
  [0, RT_TABLE_LOCAL],
  [32766, RT_TABLE_MAIN],
  [32767, RT_TABLE_DEFAULT],
];
const RTN_LOCAL = 2;
const RTM_F_CLONED = 0x200;
const IF_OPER_DOWN = '\x02';

/** IFF_* of the own loopback. */
export function loopbackFlags(network: Network): number {
  return network.loopbackUp ? IFF_UP | IFF_LOOPBACK | IFF_RUNNING : IFF_LOOPBACK;
}

/** struct ifinfomsg and its attributes, of every interface. */
export function links(network: Network): RouteObject[] {
  return joined(network, loopbackLink, RTM_GETLINK, AF_UNSPEC, 4);
}

/** struct ifaddrmsg, of a family (AF_UNSPEC: of all). */
export function addresses(network: Network, family: number): RouteObject[] {
  return joined(network, (own) => loopbackAddresses(own, family), RTM_GETADDR, family, 4);
}

/** struct rtmsg. The main table has none for the loopback, which needs no route of it. */
export function routes(network: Network, family: number): RouteObject[] {
  const { outside } = network;
  const all = outside?.interfaces.list(RTM_GETROUTE, family) ?? [];
  return outside?.whole ? all : all.filter(({ attributes }) => number(attributes, RTA_OIF) !== LOOPBACK_INDEX);
}

/** struct fib_rule_hdr, of a family (AF_UNSPEC: of both). */
export function rules(network: Network, family: number): RouteObject[] {
  if (network.outside) return network.outside.interfaces.list(RTM_GETRULE, family);
  return [AF_INET, AF_INET6].flatMap((one) => {
    if (family !== AF_UNSPEC && family !== one) return [];
    return RULES.slice(0, one === AF_INET ? 3 : 2).map(([priority = 0, table = 0]) => {
      const head = `${String.fromCharCode(one, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL)}\0\0\0\0`;
      const attributes = new Map([
        [FRA_TABLE, u32Bytes(table)],
        [FRA_SUPPRESS_PREFIXLEN, u32Bytes(-1)],
      ]);
      if (priority !== 0) attributes.set(FRA_PRIORITY, u32Bytes(priority));
      return { head, attributes };
    });
  });
}

/** struct ndmsg. */
export function neighbours(network: Network, family: number): RouteObject[] {
  return joined(network, () => [], RTM_GETNEIGH, family, 4);
}

/** The route to an address; none: it cannot be reached. */
export function routeTo(network: Network, family: number, address: string): RouteObject[] {
  const { outside } = network;
  if (outside?.whole || !isLoopback(address)) return outside?.interfaces.routeTo(family, address) ?? [];
  if (!network.loopbackUp) return [];
  const head =
    String.fromCharCode(family, address.length * 8, 0, 0, RT_TABLE_MAIN, 0, 0, RTN_LOCAL) +
    u32Bytes(RTM_F_CLONED | RTCF_LOCAL);
  const attributes = new Map([
    [RTA_TABLE, u32Bytes(RT_TABLE_MAIN)],
    [RTA_DST, address],
    [RTA_OIF, u32Bytes(LOOPBACK_INDEX)],
    [RTA_PREFSRC, address],
    [RTA_UID, u32Bytes(kernel.current?.credentials.uid ?? 0)],
    [RTA_CACHEINFO, '\0'.repeat(RTA_CACHEINFO_SIZE)],
  ]);
  return [{ head, attributes }];
}

/** What the own loopback has and, without the host's loopback, what the outside has. `at`: where the index stands. */
function joined(
  network: Network,
  own: (network: Network) => RouteObject[],
  type: number,
  family: number,
  at: number,
): RouteObject[] {
  const { outside } = network;
  if (outside === null) return own(network);
  const all = outside.interfaces.list(type, family);
  return outside.whole ? all : [...own(network), ...all.filter(({ head }) => wordAt(head, at) !== LOOPBACK_INDEX)];
}

function loopbackLink(network: Network): RouteObject[] {
  const up = network.loopbackUp;
  const flags = loopbackFlags(network) | (up ? IFF_LOWER_UP : 0);
  const head = `\0\0${u16Bytes(ARPHRD_LOOPBACK)}${u32Bytes(LOOPBACK_INDEX)}${u32Bytes(flags)}\0\0\0\0`;
  const attributes = new Map([
    [IFLA_IFNAME, `${LOOPBACK_NAME}\0`],
    [IFLA_TXQLEN, u32Bytes(LOOPBACK_QUEUE)],
    [IFLA_OPERSTATE, up ? '\0' : IF_OPER_DOWN],
    [IFLA_LINKMODE, '\0'],
    [IFLA_GROUP, u32Bytes(0)],
    [IFLA_MTU, u32Bytes(network.loopbackMtu)],
    [IFLA_QDISC, up ? 'noqueue\0' : 'noop\0'],
    [IFLA_ADDRESS, ETHERNET_NONE],
    [IFLA_BROADCAST, ETHERNET_NONE],
    // No packets are made, so none are counted.
    [IFLA_STATS64, '\0'.repeat(STATS64_SIZE)],
  ]);
  return [{ head, attributes }];
}

function loopbackAddresses(network: Network, family: number): RouteObject[] {
  const found: RouteObject[] = [];
  const head = (of: number, prefix: number): string =>
    String.fromCharCode(of, prefix, IFA_F_PERMANENT, RT_SCOPE_HOST) + u32Bytes(LOOPBACK_INDEX);
  const flags: [number, string] = [IFA_FLAGS, u32Bytes(IFA_F_PERMANENT)];
  // Good for ever, made at the start.
  const times: [number, string] = [IFA_CACHEINFO, u32Bytes(FOREVER) + u32Bytes(FOREVER) + u32Bytes(0) + u32Bytes(0)];
  if (network.loopbackHasAddress && (family === AF_UNSPEC || family === AF_INET)) {
    const address = '\x7f\0\0\x01';
    const attributes = new Map([
      [IFA_ADDRESS, address],
      [IFA_LOCAL, address],
      [IFA_LABEL, `${LOOPBACK_NAME}\0`],
      flags,
      times,
    ]);
    found.push({ head: head(AF_INET, 8), attributes });
  }
  if (network.loopbackUp && (family === AF_UNSPEC || family === AF_INET6)) {
    const attributes = new Map([[IFA_ADDRESS, `${'\0'.repeat(15)}\x01`], flags, times]);
    found.push({ head: head(AF_INET6, 128), attributes });
  }
  return found;
}

// ---- reading them ----

function wordAt(bytes: string, at: number): number {
  const part = (n: number): number => bytes.charCodeAt(at + n) << (8 * n);
  return at + 4 > bytes.length ? 0 : (part(0) | part(1) | part(2) | part(3)) >>> 0;
}

/** An attribute of 32 bits, 0 if there is none. */
export function number(attributes: ReadonlyMap<number, string>, type: number): number {
  return wordAt(attributes.get(type) ?? '', 0);
}

/** An attribute that is text. */
export function textOf(attributes: ReadonlyMap<number, string>, type: number): string {
  return (attributes.get(type) ?? '').replace(/\0.*$/s, '');
}

/** One interface as netdevice(7) and /sys have it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_* */
  readonly type: number;
  readonly flags: number;
  readonly attributes: ReadonlyMap<number, string>;
}

export function linkOf({ head, attributes }: RouteObject): Link {
  const type = wordAt(head, 0) >>> 16;
  return { index: wordAt(head, 4), name: textOf(attributes, IFLA_IFNAME), type, flags: wordAt(head, 8), attributes };
}

/** The index of the interface that an address or a neighbour belongs to. */
export function interfaceOf({ head }: RouteObject): number {
  return wordAt(head, 4);
}

/** A counter of struct rtnl_link_stats64 by its place; 0 where nothing is counted. */
export function counter(link: Link, place: number): number {
  const bytes = link.attributes.get(IFLA_STATS64) ?? '';
  return wordAt(bytes, 8 * place) + wordAt(bytes, 8 * place + 4) * 2 ** 32;
}
