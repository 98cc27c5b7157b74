// IP packets on the loopback, as far as there are any: TCP and UDP hand their bytes over directly, so packets are what
// raw sockets send (raw(7)) and the echo requests of ping, which are answered here (icmp(7), RFC 792, RFC 4443).

import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../abi/socket.ts';
import type { Network } from '../network.ts';
import type { PacketInfo } from './packet-info.ts';
import { InetPacketSocket } from './packet-socket.ts';

export const ICMP_HEADER = 8;
export const ICMP_CHECKSUM = 2;
const ICMP_IDENTIFIER = 4;

export interface Packet {
  readonly protocol: number;
  /** 4 or 16 bytes. */
  readonly from: string;
  /** Destination, hops and service. */
  readonly info: PacketInfo;
  /** What follows the header of IP. */
  readonly payload: Buffer;
  /** The header as its sender made it (IP_HDRINCL); null: an ordinary one. */
  readonly header: Buffer | null;
}

/** The sum of RFC 1071 over some bytes, complemented. */
export function internetChecksum(...parts: readonly Buffer[]): number {
  let sum = 0;
  let odd = false;
  for (const part of parts) {
    for (const byte of part) {
      sum += odd ? byte : byte << 8;
      odd = !odd;
    }
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** Puts the checksum into an ICMP message; that of version 6 covers the addresses too. */
export function sealIcmp(payload: Buffer, from: string, to: string): void {
  payload.writeUInt16BE(0, ICMP_CHECKSUM);
  const sum = to.length === 4 ? internetChecksum(payload) : checksum6(payload, from, to, IPPROTO_ICMPV6);
  payload.writeUInt16BE(sum, ICMP_CHECKSUM);
}

function isSound(payload: Buffer, from: string, to: string): boolean {
  return (to.length === 4 ? internetChecksum(payload) : checksum6(payload, from, to, IPPROTO_ICMPV6)) === 0;
}

/** The sum over a packet of IPv6: addresses, length and protocol are part of it (RFC 8200). */
export function checksum6(payload: Buffer, from: string, to: string, protocol: number): number {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(payload.length, 0);
  tail[7] = protocol;
  return internetChecksum(Buffer.from(from + to, 'latin1'), tail, payload);
}

interface EchoKind {
  readonly protocol: number;
  readonly request: number;
  readonly reply: number;
}

/** Types of echo messages for an address. */
export function echoKind(host: string): EchoKind {
  return host.length === 4
    ? { protocol: IPPROTO_ICMP, request: 8, reply: 0 }
    : { protocol: IPPROTO_ICMPV6, request: 128, reply: 129 };
}

/** Brings a packet to whom it concerns: the raw sockets of its protocol; the kernel, or a ping socket. */
export function deliverPacket(network: Network, packet: Packet): void {
  const { protocol, from, info, payload } = packet;
  for (const socket of network.raw.allAt(info.to, protocol))
    if (socket instanceof InetPacketSocket) socket.take(packet);
  const echo = echoKind(info.to);
  if (protocol !== echo.protocol || payload.length < ICMP_HEADER || payload[1] !== 0) return;
  if (!isSound(payload, from, info.to)) return;
  if (payload[0] === echo.request) answerEcho(network, packet, echo);
  else if (payload[0] === echo.reply) deliverReply(network, packet);
}

function answerEcho(network: Network, { protocol, from, info, payload }: Packet, echo: EchoKind): void {
  const answer = Buffer.from(payload);
  answer[0] = echo.reply;
  sealIcmp(answer, info.to, from);
  deliverPacket(network, {
    protocol,
    from: info.to,
    info: { ...info, to: from },
    payload: answer,
    header: null,
  });
}

/** To the ping socket whose request it answers. */
function deliverReply(network: Network, packet: Packet): void {
  const { from, info, payload } = packet;
  const identifier = payload.readUInt16BE(ICMP_IDENTIFIER);
  const accepts = (socket: { remote: { host: string } | null }): number =>
    socket.remote === null || socket.remote.host === from ? 1 : 0;
  const socket = network.ping.find(info.to, identifier, accepts);
  if (socket instanceof InetPacketSocket) socket.take(packet);
}

const IP_HEADER = 20;
const IP6_HEADER = 40;
/** Offsets in the header of IPv4. */
export const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FRAGMENTATION = 6;
const CHECKSUM = 10;
export const SOURCE = 12;
const DESTINATION = 16;
const DO_NOT_FRAGMENT = 0x4000;

/** The header of IP of a packet, by the version of its destination. */
export function makeHeader({ protocol, from, info, payload }: Packet): Buffer {
  const header = Buffer.alloc(info.to.length === 4 ? IP_HEADER : IP6_HEADER);
  if (header.length === IP6_HEADER) {
    header[0] = 0x60;
    header.writeUInt16BE(payload.length, 4);
    header[6] = protocol;
    header[7] = info.hops;
    header.write(from + info.to, 8, 'latin1');
    return header;
  }
  header[0] = 0x45;
  header[1] = info.service;
  header.writeUInt16BE(IP_HEADER + payload.length, TOTAL_LENGTH);
  header.writeUInt16BE(0, IDENTIFICATION);
  header.writeUInt16BE(DO_NOT_FRAGMENT, FRAGMENTATION);
  header[8] = info.hops;
  header[9] = protocol;
  header.write(from, SOURCE, 'latin1');
  header.write(info.to, DESTINATION, 'latin1');
  seal(header);
  return header;
}

/** Puts the checksum into a header of IPv4. */
export function seal(header: Buffer): void {
  header.writeUInt16BE(0, CHECKSUM);
  header.writeUInt16BE(internetChecksum(header), CHECKSUM);
}
