// Echo requests of raw sockets to the outside (ping(8), traceroute -I). A raw socket of the host is not to be had without a
// capability that could do anything to the network; but its ping sockets (icmp(7)) send echo requests and hear what
// becomes of them, answers and errors, which come back here as the packets that they were.

import { EINVAL } from '../../abi/errno.ts';
import { POLLERR, POLLIN } from '../../abi/poll.ts';
import {
  AF_INET,
  AF_INET6,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  IPV6_TCLASS,
  MSG_ERRQUEUE,
  SOCK_DGRAM,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch, writeBytes } from '../../platform/arena.ts';
import { ANY4, ANY6, formatEndpoint, parseEndpoint } from '../inet/address.ts';
import { deliverPacket, ICMP_HEADER, makeHeader, sealIcmp } from '../inet/loopback.ts';
import type { PacketInfo } from '../inet/packet-info.ts';
import { InetPacketSocket } from '../inet/packet-socket.ts';
import { Message } from '../message.ts';
import { u32Bytes } from '../netlink/messages.ts';
import type { Network } from '../network.ts';
import { HostSocket } from './host-socket.ts';

/** Senders of requests that are remembered: those that sent last. */
const MOST = 64;
const LONGEST = 65536;
/** Packets taken from one socket in one go. */
const MOST_AT_ONCE = 4096;
const IDENTIFIER = 4;
const REPLY4 = 0;
const REPLY6 = 129;
/** struct sock_extended_err: type, code and info; the address behind it, by family. */
const ERROR_TYPE = 5;
const ERROR_INFO = 8;
const ERROR_SIZE = 16;

const message = new Message();

export class EchoRelay {
  private readonly network: Network;
  /** Ping sockets of the host, by family and identifier. */
  private readonly relays = new Map<string, HostSocket>();

  constructor(network: Network) {
    this.network = network;
  }

  /** Sends an echo request on its way. 0 or -errno. */
  send(request: Buffer, { to, hops, service }: PacketInfo): number {
    if (request.length < ICMP_HEADER) return -EINVAL;
    const six = to.length === 16;
    const relay = this.relayOf(six, request.readUInt16BE(IDENTIFIER));
    if (typeof relay === 'number') return relay;
    const items = six
      ? [
          { level: SOL_IPV6, type: IPV6_HOPLIMIT, data: u32Bytes(hops) },
          { level: SOL_IPV6, type: IPV6_TCLASS, data: u32Bytes(service) },
        ]
      : [
          { level: SOL_IP, type: IP_TTL, data: u32Bytes(hops) },
          { level: SOL_IP, type: IP_TOS, data: u32Bytes(service) },
        ];
    const mark = markScratch();
    const at = allocateScratch(request.length);
    if (at < 0) return at;
    writeBytes(at, request.toString('latin1'));
    const name = formatEndpoint({ host: to, port: 0 }, six ? AF_INET6 : AF_INET);
    const sent = relay.sendTo(at, request.length, 0, name, items);
    releaseScratch(mark);
    return Math.min(sent, 0);
  }

  private relayOf(six: boolean, identifier: number): HostSocket | number {
    const key = `${six} ${identifier}`;
    const known = this.relays.get(key);
    const relay = known ?? this.open(six, identifier);
    if (typeof relay === 'number') return relay;
    // Anew at the end: who sent longest ago is forgotten first.
    this.relays.delete(key);
    this.relays.set(key, relay);
    const [oldest] = this.relays;
    if (this.relays.size > MOST) {
      oldest[1].close();
      this.relays.delete(oldest[0]);
    }
    return relay;
  }

  private open(six: boolean, identifier: number): HostSocket | number {
    const family = six ? AF_INET6 : AF_INET;
    const opened: HostSocket | number = HostSocket.open(family, SOCK_DGRAM, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, {
      wake: (events) => {
        if (typeof opened !== 'number' && events & (POLLIN | POLLERR)) this.drain(opened, six, identifier);
      },
    });
    if (typeof opened === 'number') return opened;
    const options = six ? [IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT] : [IP_RECVERR, IP_PKTINFO, IP_RECVTTL];
    for (const option of options) opened.setNumber(six ? SOL_IPV6 : SOL_IP, option, 1);
    // Another container of the pod may have it: then the host gives another, which is not shown.
    opened.bind(formatEndpoint({ host: six ? ANY6 : ANY4, port: identifier }, family));
    return opened;
  }

  /** Something came: answers, then errors. */
  private drain(relay: HostSocket, six: boolean, identifier: number): void {
    const mark = markScratch();
    const at = allocateScratch(LONGEST);
    for (const flags of at < 0 ? [] : [0, MSG_ERRQUEUE]) {
      for (let n = 0; n < MOST_AT_ONCE; n++) {
        if (relay.receiveMessage(message.set(at, LONGEST, 0), flags) < 0) break;
        const payload = Buffer.from(readBytes(at, message.copied), 'latin1');
        if (payload.length < ICMP_HEADER) continue;
        if (flags === 0) this.takeReply(payload, six, identifier);
        else this.takeError(payload, six, identifier);
      }
    }
    releaseScratch(mark);
  }

  private takeReply(payload: Buffer, six: boolean, identifier: number): void {
    const from = parseEndpoint(message.address ?? '', six ? AF_INET6 : AF_INET);
    if (typeof from === 'number' || payload[0] !== (six ? REPLY6 : REPLY4)) return;
    payload.writeUInt16BE(identifier, IDENTIFIER);
    const own = itemOf(six ? IPV6_PKTINFO : IP_PKTINFO) ?? '';
    const to = six ? own.slice(0, 16) : own.slice(8, 12);
    const hops = itemOf(six ? IPV6_HOPLIMIT : IP_TTL)?.charCodeAt(0) ?? 0;
    this.deliver(payload, from.host, { to, hops, service: 0 });
  }

  /** What a router, or the destination, said of a request: a message of ICMP that quotes it. */
  private takeError(request: Buffer, six: boolean, identifier: number): void {
    const error = Buffer.from(itemOf(six ? IPV6_RECVERR : IP_RECVERR) ?? '', 'latin1');
    const destination = parseEndpoint(message.address ?? '', six ? AF_INET6 : AF_INET);
    const size = ERROR_SIZE + (six ? 24 : 8);
    if (error.length < size || typeof destination === 'number') return;
    const from = error.toString('latin1', size - (six ? 16 : 4), size);
    request.writeUInt16BE(identifier, IDENTIFIER);
    const head = Buffer.alloc(ICMP_HEADER);
    head[0] = error[ERROR_TYPE];
    head[1] = error[ERROR_TYPE + 1];
    head.writeUInt32BE(error.readUInt32LE(ERROR_INFO), IDENTIFIER);
    const own = six ? ANY6 : ANY4;
    const protocol = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    const info = { to: destination.host, hops: 1, service: 0 };
    const quoted = makeHeader({ protocol, from: own, info, payload: request, header: null });
    this.deliver(Buffer.concat([head, quoted, request]), from, { to: own, hops: 64, service: 0 });
    for (const socket of this.network.raw.allAt(own, protocol))
      if (socket instanceof InetPacketSocket)
        socket.hearError(request.toString('latin1'), destination, error.toString('latin1'));
  }

  private deliver(payload: Buffer, from: string, info: PacketInfo): void {
    sealIcmp(payload, from, info.to);
    const protocol = info.to.length === 16 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    deliverPacket(this.network, { protocol, from, info, payload, header: null });
  }
}

/** A control message of what was received last. */
function itemOf(type: number): string | undefined {
  return message.items?.find((item) => item.type === type)?.data;
}
