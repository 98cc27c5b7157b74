// Internet addresses: struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)) to and from what the kernel works with. The
// network inside is the loopback: 127.0.0.0/8 and ::1. An IPv4 address mapped into IPv6 (::ffff:a.b.c.d) is kept as the
// IPv4 address it is, and shown to an IPv6 socket in its mapped form.

import { EAFNOSUPPORT, EINVAL } from '../../abi/errno.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE } from '../../abi/socket.ts';

/** `host` are the 4 or 16 bytes of the address as a byte string. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** The interface that a link-local IPv6 address belongs to (sin6_scope_id). */
  readonly scope?: number;
}

export const ANY4 = '\0\0\0\0';
export const ANY6 = '\0'.repeat(16);
export const LOOPBACK4 = '\x7f\0\0\x01';
export const LOOPBACK6 = `${'\0'.repeat(15)}\x01`;
const MAPPED = `${'\0'.repeat(10)}\xff\xff`;
/** Bytes of a sockaddr_in6 up to the end of its address: older callers leave the scope out. */
const SHORTEST_IN6 = 24;

export function isAny(host: string): boolean {
  return host === ANY4 || host === ANY6;
}

/** Whether the address is this machine's. */
export function isLoopback(host: string): boolean {
  return host.length === 4 ? host.charCodeAt(0) === 127 : host === LOOPBACK6;
}

export function familyOf(address: string): number {
  return address.length < 2 ? AF_UNSPEC : address.charCodeAt(0) + 256 * address.charCodeAt(1);
}

/** The endpoint in a sockaddr given to a socket of `family`, or -EINVAL, -EAFNOSUPPORT. */
export function parseEndpoint(address: string, family: number): Endpoint | number {
  const given = familyOf(address);
  if (family === AF_INET) {
    if (address.length < SOCKADDR_IN_SIZE) return -EINVAL;
    if (given !== AF_INET && !(given === AF_UNSPEC && address.slice(4, 8) === ANY4)) return -EAFNOSUPPORT;
    return { host: address.slice(4, 8), port: portIn(address) };
  }
  if (given === AF_INET6) {
    if (address.length < SHORTEST_IN6) return -EINVAL;
    const host = address.slice(8, 24);
    if (host.startsWith(MAPPED)) return { host: host.slice(12), port: portIn(address) };
    const scope = address.length < SOCKADDR_IN6_SIZE ? 0 : wordAt(address, SHORTEST_IN6);
    return scope === 0 ? { host, port: portIn(address) } : { host, port: portIn(address), scope };
  }
  return given === AF_INET && address.length < SOCKADDR_IN_SIZE ? -EINVAL : -EAFNOSUPPORT;
}

/** A sockaddr as a socket of `family` sees the endpoint. */
export function formatEndpoint({ host, port, scope = 0 }: Endpoint, family: number): string {
  const portBytes = String.fromCharCode(port >> 8, port & 255);
  if (family === AF_INET) return `${String.fromCharCode(AF_INET)}\0${portBytes}${host}${'\0'.repeat(8)}`;
  const whole = host.length === 16 ? host : host === ANY4 ? ANY6 : MAPPED + host;
  const text = `${String.fromCharCode(AF_INET6)}\0${portBytes}\0\0\0\0${whole}${wordBytes(scope)}`;
  return text.slice(0, SOCKADDR_IN6_SIZE);
}

/** An address as people write it. */
export function textOfHost(host: string): string {
  const bytes = [...host].map((byte) => byte.charCodeAt(0));
  if (host.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16));
  // The first longest run of zeroes is left out.
  const runs = [...words.join(':').matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)];
  const longest = runs.sort((a, b) => b[0].replace(/^:/, '').length - a[0].replace(/^:/, '').length)[0];
  if (!longest) return words.join(':');
  const text = words.join(':');
  return `${text.slice(0, longest.index)}::${text.slice(longest.index + longest[0].length + 1)}`;
}

/** The port of a sockaddr, or 0 if there is none. */
export function portOf(address: string | number): number {
  return typeof address === 'number' || address.length < 4 ? 0 : portIn(address);
}

function wordAt(bytes: string, at: number): number {
  const word = (n: number): number => bytes.charCodeAt(at + n) << (8 * n);
  return (word(0) | word(1) | word(2) | word(3)) >>> 0;
}

function wordBytes(value: number): string {
  return String.fromCharCode(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}

function portIn(address: string): number {
  return address.charCodeAt(2) * 256 + address.charCodeAt(3);
}
