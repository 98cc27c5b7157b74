// Raw sockets (raw(7), icmp(7)) over the loopback: they send and hear packets of one protocol, with the header of IPv4
// and without that of IPv6. Of what they send only echo requests leave the sandbox (outside/echo.ts).

import { EADDRNOTAVAIL, EINVAL, EMSGSIZE, ENETUNREACH, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLERR, POLLIN } from '../../abi/poll.ts';
import {
  AF_INET,
  AF_INET6,
  IP_HDRINCL,
  IP_RECVERR,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_RAW,
  IPV6_CHECKSUM,
  IPV6_RECVERR,
  MSG_ERRQUEUE,
  MSG_OOB,
  SOCK_RAW,
  SOL_ICMPV6,
  SOL_IP,
  SOL_IPV6,
  SOL_RAW,
} from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import type { Outside } from '../outside/outside.ts';
import { ANY4, type Endpoint, isAny, parseEndpoint } from './address.ts';
import { ErrorQueue } from './error-queue.ts';
import {
  checksum6,
  deliverPacket,
  echoKind,
  ICMP_CHECKSUM,
  makeHeader,
  type Packet,
  SOURCE,
  seal,
  TOTAL_LENGTH,
} from './loopback.ts';
import { describeOutgoing, type PacketInfo } from './packet-info.ts';
import { InetPacketSocket } from './packet-socket.ts';
import type { PortTable } from './ports.ts';

const LONGEST = 65535;
const IP_HEADER = 20;
/** Options of SOL_RAW and of SOL_ICMPV6 have the same number. */
const ICMP_FILTER = 1;
const ICMP_FILTER_SIZE = 4;
const ICMP6_FILTER_SIZE = 32;

export class RawSocket extends InetPacketSocket {
  /** The header of IPv4 is part of what is sent. */
  private headerIncluded: boolean;
  /** Where the kernel puts the checksum (IPV6_CHECKSUM); -1: nowhere. */
  private checksumAt: number;
  private readonly errors = new ErrorQueue();
  /** A bit for each type of ICMP message that it does not want. */
  private unwanted = new Uint8Array(ICMP6_FILTER_SIZE);

  constructor(family: number, protocol: number, task: Task, network: Network) {
    super(family, SOCK_RAW, protocol, task, network);
    this.headerIncluded = family === AF_INET && protocol === IPPROTO_RAW;
    this.checksumAt = protocol === IPPROTO_ICMPV6 ? ICMP_CHECKSUM : -1;
    // A raw socket has the number of its protocol for a port (include/net/raw.h).
    this.localPort = protocol;
    network.raw.enter(this, protocol);
  }

  protected get table(): PortTable {
    return this.network.raw;
  }
  override bind(_task: Task, address: string): number {
    const wanted = parseEndpoint(address, this.family);
    if (typeof wanted === 'number') return wanted;
    if (!isAny(wanted.host) && (!this.speaks(wanted.host) || !this.isHere(wanted.host))) return -EADDRNOTAVAIL;
    this.localHost = wanted.host;
    return 0;
  }

  send(task: Task, message: Message): number {
    if (message.length > LONGEST) return -EMSGSIZE;
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const target = this.targetOf(message);
    if (typeof target === 'number') return target;
    const info = describeOutgoing(this, target.host, message.items);
    if (typeof info === 'number') return info;
    const from = this.sourceFor(target);
    const bytes = Buffer.from(readBytes(message.at, message.length), 'latin1');
    if (this.outside?.reaches(target)) return this.sendOutside(task, bytes, info);
    if (this.headerIncluded) {
      const header = headerOf(bytes, from);
      if (!header) return -EINVAL;
      const payload = bytes.subarray(header.length);
      deliverPacket(this.network, { protocol: header[9], from: addressIn(header, SOURCE), info, payload, header });
      return message.length;
    }
    if (bytes.length + (this.family === AF_INET ? IP_HEADER : 0) > LONGEST) return -EMSGSIZE;
    if (this.checksumAt >= 0) {
      if (this.checksumAt + 2 > bytes.length) return -EINVAL;
      bytes.writeUInt16BE(0, this.checksumAt);
      bytes.writeUInt16BE(checksum6(bytes, from, target.host, this.protocol), this.checksumAt);
    }
    deliverPacket(this.network, { protocol: this.protocol, from, info, payload: bytes, header: null });
    return message.length;
  }

  private sendOutside(task: Task, bytes: Buffer, info: PacketInfo): number {
    const { outside } = this;
    const isEcho = !this.headerIncluded && bytes[0] === echoKind(info.to).request && bytes[1] === 0;
    if (!outside || !isEcho) return -ENETUNREACH;
    const refused = outside.check(task, 'icmp', { host: info.to, port: 0 });
    const failed = refused < 0 ? refused : this.network.echoes.send(bytes, info);
    return failed < 0 ? failed : bytes.length;
  }

  /** Only who wants to know (IP_RECVERR). */
  override hearError(payload: string, to: Endpoint, said: string): void {
    const option = this.family === AF_INET ? [SOL_IP, IP_RECVERR] : [SOL_IPV6, IPV6_RECVERR];
    if (this.numberOf(option[0], option[1], 0) === 0) return;
    this.errors.add({ payload, to, said });
    this.error = this.errors.first;
    this.queue.wake(POLLERR | POLLIN);
  }

  override receive(message: Message): number {
    if (!(message.flags & MSG_ERRQUEUE)) return super.receive(message);
    const n = this.errors.receive(message, this.family);
    this.error = this.errors.first;
    return n;
  }

  override get receiveBound(): number {
    return this.errors.isEmpty ? this.readableBytes : LONGEST;
  }

  override poll(): number {
    return super.poll() | (this.errors.isEmpty ? 0 : POLLERR);
  }

  /** Echo requests get outside. */
  protected override get outside(): Outside | null {
    const echoes = this.protocol === IPPROTO_ICMP || this.protocol === IPPROTO_ICMPV6;
    return echoes ? this.reachableOutside : null;
  }

  /** A packet of its protocol passes. */
  take(packet: Packet): void {
    const { from, payload, header } = packet;
    if (this.remote && this.remote.host !== from) return;
    const filtered = this.protocol === IPPROTO_ICMP || this.protocol === IPPROTO_ICMPV6;
    if (filtered && payload.length > 0 && this.unwanted[payload[0] >> 3] & (1 << (payload[0] & 7))) return;
    const whole = this.family === AF_INET ? Buffer.concat([header ?? makeHeader(packet), payload]) : payload;
    this.keep(whole, packet);
  }

  override setProtocolOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (level === SOL_IP && name === IP_HDRINCL && this.family === AF_INET) {
      if (length < 4) return -EINVAL;
      this.headerIncluded = i32[at >> 2] !== 0;
      return 0;
    }
    if (this.isChecksumOption(level, name)) {
      if (length < 4) return -EINVAL;
      const value = i32[at >> 2];
      // Odd offsets are refused, and that of ICMPv6 is not for the level of IPv6 to change (net/ipv6/raw.c).
      if ((level === SOL_IPV6 && this.protocol === IPPROTO_ICMPV6) || (value > 0 && value & 1)) return -EINVAL;
      this.checksumAt = value < 0 ? -1 : value;
      return 0;
    }
    const size = this.filterSize(level, name);
    if (size === 0) return super.setProtocolOption(task, level, name, at, length);
    const given = readBytes(at, Math.min(length, size));
    for (let i = 0; i < given.length; i++) this.unwanted[i] = given.charCodeAt(i);
    return 0;
  }

  override getProtocolOption(level: number, name: number, at: number, length: number): number {
    if (level === SOL_IP && name === IP_HDRINCL && this.family === AF_INET) {
      i32[at >> 2] = Number(this.headerIncluded);
      return 4;
    }
    if (this.isChecksumOption(level, name)) {
      i32[at >> 2] = this.checksumAt;
      return 4;
    }
    const size = this.filterSize(level, name);
    if (size === 0) return super.getProtocolOption(level, name, at, length);
    const shown = Math.min(length, size);
    writeBytes(at, String.fromCharCode(...this.unwanted.subarray(0, shown)));
    return shown;
  }

  private isChecksumOption(level: number, name: number): boolean {
    return this.family === AF_INET6 && name === IPV6_CHECKSUM && (level === SOL_IPV6 || level === SOL_RAW);
  }

  /** Bytes of the filter that an option names, or 0. */
  private filterSize(level: number, name: number): number {
    if (name !== ICMP_FILTER) return 0;
    if (level === SOL_RAW && this.family === AF_INET && this.protocol === IPPROTO_ICMP) return ICMP_FILTER_SIZE;
    const six = level === SOL_ICMPV6 && this.family === AF_INET6 && this.protocol === IPPROTO_ICMPV6;
    return six ? ICMP6_FILTER_SIZE : 0;
  }
}

function addressIn(header: Buffer, offset: number): string {
  return header.toString('latin1', offset, offset + 4);
}

/** The header that a sender put before its data, with what the kernel fills in (raw(7)); null if it is none. */
function headerOf(bytes: Buffer, from: string): Buffer | null {
  if (bytes.length < IP_HEADER) return null;
  const length = (bytes[0] & 15) * 4;
  if (length < IP_HEADER || length > bytes.length) return null;
  const header = Buffer.from(bytes.subarray(0, length));
  header.writeUInt16BE(bytes.length, TOTAL_LENGTH);
  if (addressIn(header, SOURCE) === ANY4) header.write(from, SOURCE, 'latin1');
  seal(header);
  return header;
}
