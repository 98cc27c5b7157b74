// Messages of rtnetlink(7): building them, and the answers about the one interface there is.

import { AF_INET, AF_INET6, AF_UNSPEC } from '../../abi/socket.ts';
import {
  ARPHRD_LOOPBACK,
  LOOPBACK_INDEX,
  LOOPBACK_MTU,
  LOOPBACK_NAME,
  LOOPBACK_QUEUE,
  loopbackFlags,
} from '../interfaces.ts';
import type { Network } from '../network.ts';

export const NLMSG_HEADER = 16;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 1;
export const NLM_F_MULTI = 2;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP = 0x300;
export const RTM_NEWLINK = 16;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_GETADDR = 22;
export const RTM_GETROUTE = 26;
export const RTM_GETNEIGH = 30;

const IFLA_ADDRESS = 1;
const IFLA_BROADCAST = 2;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_QDISC = 6;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_FLAGS = 8;
const IFA_F_PERMANENT = 0x80;
const RT_SCOPE_HOST = 254;
const IFF_LOWER_UP = 0x10000;
const IF_OPER_DOWN = '\x02';

const ETHERNET_NONE = '\0'.repeat(6);

export function u32Bytes(value: number): string {
  return String.fromCharCode(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}

function u16Bytes(value: number): string {
  return String.fromCharCode(value & 255, value >>> 8);
}

/** struct nlmsghdr and what follows it, padded. */
export function netlinkMessage(type: number, flags: number, sequence: number, port: number, body: string): string {
  const length = NLMSG_HEADER + body.length;
  const head = u32Bytes(length) + u16Bytes(type) + u16Bytes(flags) + u32Bytes(sequence) + u32Bytes(port);
  return head + body + '\0'.repeat(-length & 3);
}

function attribute(type: number, value: string): string {
  return u16Bytes(4 + value.length) + u16Bytes(type) + value + '\0'.repeat(-value.length & 3);
}

/** struct ifinfomsg and the attributes of the loopback. */
export function linkBody(network: Network): string {
  const up = network.loopbackUp;
  const flags = loopbackFlags(network) | (up ? IFF_LOWER_UP : 0);
  return (
    `\0\0${u16Bytes(ARPHRD_LOOPBACK)}${u32Bytes(LOOPBACK_INDEX)}${u32Bytes(flags)}\0\0\0\0` +
    attribute(IFLA_IFNAME, `${LOOPBACK_NAME}\0`) +
    attribute(IFLA_TXQLEN, u32Bytes(LOOPBACK_QUEUE)) +
    attribute(IFLA_OPERSTATE, up ? '\0' : IF_OPER_DOWN) +
    attribute(IFLA_MTU, u32Bytes(LOOPBACK_MTU)) +
    attribute(IFLA_QDISC, up ? 'noqueue\0' : 'noop\0') +
    attribute(IFLA_ADDRESS, ETHERNET_NONE) +
    attribute(IFLA_BROADCAST, ETHERNET_NONE)
  );
}

/** struct ifaddrmsg and attributes of each address of a family (AF_UNSPEC: of all). */
export function addressBodies(network: Network, family: number): string[] {
  const bodies: string[] = [];
  if (network.loopbackHasAddress && (family === AF_UNSPEC || family === AF_INET)) {
    const address = '\x7f\0\0\x01';
    const local = attribute(IFA_ADDRESS, address) + attribute(IFA_LOCAL, address);
    bodies.push(addressHead(AF_INET, 8) + local + attribute(IFA_LABEL, `${LOOPBACK_NAME}\0`) + permanent());
  }
  if (network.loopbackUp && (family === AF_UNSPEC || family === AF_INET6)) {
    const address = attribute(IFA_ADDRESS, `${'\0'.repeat(15)}\x01`);
    bodies.push(addressHead(AF_INET6, 128) + address + permanent());
  }
  return bodies;
}

function addressHead(family: number, prefix: number): string {
  return String.fromCharCode(family, prefix, IFA_F_PERMANENT, RT_SCOPE_HOST) + u32Bytes(LOOPBACK_INDEX);
}

function permanent(): string {
  return attribute(IFA_FLAGS, u32Bytes(IFA_F_PERMANENT));
}
