// Messages of netlink(7) and rtnetlink(7): their numbers, building them and looking into them.

import type { RouteObject } from '../outside/host-interfaces.ts';

export const NLMSG_HEADER = 16;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 1;
export const NLM_F_MULTI = 2;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const RTM_NEWLINK = 16;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_GETROUTE = 26;
export const RTM_GETNEIGH = 30;
export const RTM_GETRULE = 34;
export const RTM_GETNSID = 90;
export const NETNSA_NSID = 1;

export function u32Bytes(value: number): string {
  return String.fromCharCode(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}

export function u16Bytes(value: number): string {
  return String.fromCharCode(value & 255, value >>> 8);
}

/** struct nlmsghdr and what follows it, padded. */
export function netlinkMessage(type: number, flags: number, sequence: number, port: number, body: string): string {
  const length = NLMSG_HEADER + body.length;
  const head = u32Bytes(length) + u16Bytes(type) + u16Bytes(flags) + u32Bytes(sequence) + u32Bytes(port);
  return head + body + '\0'.repeat(-length & 3);
}

/** struct nlattr and its value, padded. */
export function attribute(type: number, value: string): string {
  return u16Bytes(4 + value.length) + u16Bytes(type) + value + '\0'.repeat(-value.length & 3);
}

/** An object as the body of a message. */
export function objectBody({ head, attributes }: RouteObject): string {
  let body = head;
  for (const [type, value] of attributes) body += attribute(type, value);
  return body;
}

/** Without the flags of nested attributes. */
const ATTRIBUTE_TYPE = 0x3fff;

/** The attributes that begin at `from`, of several of one type the first; those behind a bad one are none. */
export function attributesOf(request: Buffer, from: number): Map<number, string> {
  const found = new Map<number, string>();
  for (let offset = from; offset + 4 <= request.length; ) {
    const length = request.readUInt16LE(offset);
    if (length < 4 || offset + length > request.length) break;
    const type = request.readUInt16LE(offset + 2) & ATTRIBUTE_TYPE;
    if (!found.has(type)) found.set(type, request.toString('latin1', offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return found;
}

/** The bytes of an attribute among those that begin at `from`. */
export function attributeOf(request: Buffer, from: number, type: number): string | null {
  return attributesOf(request, from).get(type) ?? null;
}
