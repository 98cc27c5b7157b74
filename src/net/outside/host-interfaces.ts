// The interfaces, addresses, routes and neighbours of the host's network namespace that the sentry lives in, as
// rtnetlink(7) tells of them. The sentry asks with requests of its own; of the answers only the attributes of an
// allow-list are kept, as byte strings, so that they can be shown again.

import { POLLIN } from '../../abi/poll.ts';
import { AF_NETLINK, AF_UNSPEC, SOCK_RAW } from '../../abi/socket.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch, u32, writeBytes } from '../../platform/arena.ts';
import { watchHostFd } from '../../platform/host-events.ts';
import {
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  netlinkMessage,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_GETRULE,
} from '../netlink/messages.ts';

/** One object of rtnetlink: its fixed part, and attributes by number. */
export interface RouteObject {
  readonly head: string;
  readonly attributes: ReadonlyMap<number, string>;
}

interface Layout {
  /** Bytes of the fixed part. */
  readonly head: number;
  /** Attributes that are shown. */
  readonly attributes: readonly number[];
}

const LAYOUTS: ReadonlyMap<number, Layout> = new Map([
  // struct ifinfomsg; address, broadcast, name, mtu, link, qdisc, statistics, tx queue, operstate, mode, group,
  // statistics in 64 bits, promiscuity, queues, carrier.
  [RTM_GETLINK, { head: 16, attributes: [1, 2, 3, 4, 5, 6, 7, 13, 16, 17, 23, 27, 30, 31, 32, 33, 35, 37, 50, 51] }],
  // struct ifaddrmsg; address, local, label, broadcast, anycast, cache, flags, protocol.
  [RTM_GETADDR, { head: 8, attributes: [1, 2, 3, 4, 5, 6, 8, 11] }],
  // struct rtmsg; destination, source, interfaces, gateway, priority, preferred source, metrics, cache, table, preference.
  [RTM_GETROUTE, { head: 12, attributes: [1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 20] }],
  // struct fib_rule_hdr; destination, source, interface, goto, priority, mark, mask, table, output interface.
  [RTM_GETRULE, { head: 12, attributes: [1, 2, 3, 4, 6, 10, 13, 14, 15, 16, 17] }],
  // struct ndmsg; destination, link address, cache, probes.
  [RTM_GETNEIGH, { head: 12, attributes: [1, 2, 3, 4] }],
]);

const NETLINK_ROUTE = 0;
/** RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR */
const GROUPS = 0x111;
const CHUNK = 32768;
const RECEIVED_SIZE = 1168;
/** An endless answer is none. */
const MAX_CHUNKS = 4096;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const LOOPBACK_INDEX = 1;

export class HostInterfaces {
  private readonly fd: HostFd;
  /** Addresses of other interfaces than the loopback; null: they have changed. */
  private own: Set<string> | null = null;
  private sequence = 0;

  private constructor(fd: HostFd) {
    this.fd = fd;
  }

  /** -errno if the host will not tell. */
  static open(): HostInterfaces | number {
    const fd = host.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (fd < 0) return fd;
    const made = new HostInterfaces(fd as HostFd);
    const failed = made.watchChanges();
    return failed < 0 ? failed : made;
  }

  /** A second socket is told of changes. */
  private watchChanges(): number {
    const changes = host.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (changes < 0) return changes;
    const mark = markScratch();
    const at = allocateScratch(12);
    if (at < 0) return at;
    u32[at >> 2] = AF_NETLINK;
    u32[(at + 4) >> 2] = 0;
    u32[(at + 8) >> 2] = GROUPS;
    const failed = host.bind(changes as HostFd, at, 12);
    releaseScratch(mark);
    return failed < 0 ? failed : watchHostFd(changes as HostFd, POLLIN, { ready: () => this.drain(changes as HostFd) });
  }

  private drain(changes: HostFd): void {
    this.own = null;
    const mark = markScratch();
    const at = allocateScratch(CHUNK);
    // An overrun (ENOBUFS) is told once and means the same: something has changed.
    while (at >= 0 && host.recv(changes, at, CHUNK, MSG_DONTWAIT) > 0);
    releaseScratch(mark);
  }

  /** Whether the address (4 or 16 bytes) is one of this machine's other than the loopback's. */
  owns(address: string): boolean {
    this.own ??= this.readOwn();
    return this.own.has(address);
  }

  private readOwn(): Set<string> {
    const own = new Set<string>();
    for (const { head, attributes } of this.list(RTM_GETADDR, AF_UNSPEC)) {
      if (indexOf(head) === LOOPBACK_INDEX) continue;
      const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      if (address !== undefined) own.add(address);
    }
    return own;
  }

  /** All objects that a dump request lists, of a family or (AF_UNSPEC) of all; empty if the host does not tell. */
  list(type: number, family: number): RouteObject[] {
    const layout = LAYOUTS.get(type);
    if (!layout) return [];
    const body = String.fromCharCode(family) + '\0'.repeat(layout.head - 1);
    return this.ask(layout, type, NLM_F_REQUEST | NLM_F_DUMP, body);
  }

  /** The route to an address, or none. */
  routeTo(family: number, address: string): RouteObject[] {
    const layout = LAYOUTS.get(RTM_GETROUTE);
    if (!layout) return [];
    const head = String.fromCharCode(family, address.length * 8) + '\0'.repeat(10);
    const destination = `${String.fromCharCode(4 + address.length)}\0\x01\0${address}`;
    return this.ask(layout, RTM_GETROUTE, NLM_F_REQUEST, head + destination);
  }

  private ask(layout: Layout, type: number, flags: number, body: string): RouteObject[] {
    const mark = markScratch();
    const at = allocateScratch(CHUNK);
    const received = allocateScratch(RECEIVED_SIZE);
    const found: RouteObject[] = [];
    if (at >= 0 && received >= 0) {
      const sequence = ++this.sequence;
      const length = writeBytes(at, netlinkMessage(type, flags, sequence, 0, body));
      let done = host.sendmsg(this.fd, at, length, 0, 0, 0, 0, 0) < 0;
      for (let chunks = 0; !done && chunks < MAX_CHUNKS; chunks++) {
        const n = host.recvmsg(this.fd, at, CHUNK, 0, received);
        // The kernel answers a dump while it is received: nothing there means that nothing comes.
        if (n <= 0) break;
        done = takeObjects(found, readBytes(at, n), layout, sequence) || !(flags & NLM_F_DUMP & ~NLM_F_REQUEST);
      }
    }
    releaseScratch(mark);
    return found;
  }
}

const MSG_DONTWAIT = 0x40;

/** Collects the objects of one datagram; true at the end of the answer. */
function takeObjects(found: RouteObject[], datagram: string, layout: Layout, sequence: number): boolean {
  const bytes = Buffer.from(datagram, 'latin1');
  for (let offset = 0; offset + NLMSG_HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(offset);
    if (length < NLMSG_HEADER || offset + length > bytes.length) return true;
    const type = bytes.readUInt16LE(offset + 4);
    // What is left of an earlier answer that was given up.
    if (bytes.readUInt32LE(offset + 8) === sequence) {
      if (type === NLMSG_DONE || type === NLMSG_ERROR) return true;
      found.push(parseObject(bytes.subarray(offset + NLMSG_HEADER, offset + length), layout));
    }
    offset += (length + 3) & ~3;
  }
  return false;
}

function parseObject(body: Buffer, layout: Layout): RouteObject {
  const attributes = new Map<number, string>();
  for (let offset = layout.head; offset + 4 <= body.length; ) {
    const length = body.readUInt16LE(offset);
    if (length < 4 || offset + length > body.length) break;
    const type = body.readUInt16LE(offset + 2) & 0x3fff;
    if (layout.attributes.includes(type)) attributes.set(type, body.toString('latin1', offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return { head: body.toString('latin1', 0, layout.head), attributes };
}

/** The interface's index, which links and addresses have at the same place. */
export function indexOf(head: string): number {
  return numberAt(head, 4);
}

/** A 32-bit number in a byte string. */
export function numberAt(bytes: string, at: number): number {
  return (
    bytes.charCodeAt(at) |
    (bytes.charCodeAt(at + 1) << 8) |
    (bytes.charCodeAt(at + 2) << 16) |
    (bytes.charCodeAt(at + 3) << 24)
  );
}
