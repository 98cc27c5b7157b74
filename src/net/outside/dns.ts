// Messages of DNS (RFC 1035), as far as a policy has to understand them: what is asked, and what a name was resolved
// to. Both come from afar and are taken as hostile: whatever does not parse is nothing.

const HEADER = 12;
const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_AAAA = 28;
const TYPE_OPT = 41;
const CLASS_IN = 1;
const RESPONSE = 0x80;
const OPCODE = 0x78;
/** RCODE: there is no such name. */
const NO_NAME = 3;
const RECURSION_AVAILABLE = 0x80;
const LONGEST_NAME = 255;
const MOST_JUMPS = 32;

export interface Query {
  readonly id: number;
  /** Lower case, without the dot at its end. */
  readonly name: string;
  /** Where the question ends in the message. */
  readonly end: number;
}

/**
 * What a message asks: a standard query with one question, and besides it at most the options of EDNS, up to its very
 * end. Null for everything else.
 */
export function parseQuery(bytes: Buffer): Query | null {
  if (bytes.length < HEADER || bytes[2] & (RESPONSE | OPCODE)) return null;
  const options = bytes.readUInt16BE(10);
  if (bytes.readUInt16BE(4) !== 1 || bytes.readUInt32BE(6) !== 0 || options > 1) return null;
  const name = readName(bytes, HEADER, false);
  if (!name || name.end + 4 > bytes.length) return null;
  const end = name.end + 4;
  let last = end;
  if (options === 1) {
    if (end + 11 > bytes.length || bytes[end] !== 0 || bytes.readUInt16BE(end + 1) !== TYPE_OPT) return null;
    last = end + 11 + bytes.readUInt16BE(end + 9);
  }
  return last === bytes.length ? { id: bytes.readUInt16BE(0), name: name.text, end } : null;
}

export interface Answer {
  readonly id: number;
  readonly name: string;
  /** Addresses (4 or 16 bytes as byte strings) that the name leads to, with how long that holds in seconds. */
  readonly addresses: readonly { readonly address: string; readonly seconds: number }[];
}

/** What a response says of the name it was asked for, along its aliases; null if it is none. */
export function parseAnswer(bytes: Buffer): Answer | null {
  if (bytes.length < HEADER || !(bytes[2] & RESPONSE) || bytes.readUInt16BE(4) !== 1) return null;
  const asked = readName(bytes, HEADER, true);
  if (!asked) return null;
  const aliases = new Set([asked.text]);
  const addresses: { address: string; seconds: number }[] = [];
  let at = asked.end + 4;
  for (let count = bytes.readUInt16BE(6); count > 0; count--) {
    const owner = readName(bytes, at, true);
    if (!owner || owner.end + 10 > bytes.length) break;
    const type = bytes.readUInt16BE(owner.end);
    const length = bytes.readUInt16BE(owner.end + 8);
    const data = owner.end + 10;
    at = data + length;
    if (at > bytes.length) break;
    if (bytes.readUInt16BE(owner.end + 2) !== CLASS_IN || !aliases.has(owner.text)) continue;
    if (type === TYPE_CNAME) {
      const target = readName(bytes, data, true);
      if (target) aliases.add(target.text);
    } else if ((type === TYPE_A && length === 4) || (type === TYPE_AAAA && length === 16)) {
      addresses.push({ address: bytes.toString('latin1', data, at), seconds: bytes.readUInt32BE(owner.end + 4) });
    }
  }
  return { id: bytes.readUInt16BE(0), name: asked.text, addresses };
}

/**
 * The answer that there is no such name: header and question of the query. A refusal would say it better, but resolvers
 * ask again then, and do not go on to the next domain that they are to search.
 */
export function refusal(query: Buffer, { end }: Query): string {
  const head = query.toString('latin1', 0, 2);
  const recursion = query[2] & 1;
  const flags = String.fromCharCode(RESPONSE | recursion, RECURSION_AVAILABLE | NO_NAME);
  return `${head}${flags}\0\x01\0\0\0\0\0\0${query.toString('latin1', HEADER, end)}`;
}

function readName(bytes: Buffer, from: number, compressed: boolean): { text: string; end: number } | null {
  const labels: string[] = [];
  let at = from;
  let end = -1;
  let length = 0;
  for (let jumps = 0; at < bytes.length; ) {
    const size = bytes[at];
    if (size === 0) return { text: labels.join('.').toLowerCase(), end: end < 0 ? at + 1 : end };
    if (size < 64) {
      if (at + 1 + size > bytes.length) return null;
      const label = bytes.toString('latin1', at + 1, at + 1 + size);
      // A dot within a label would make two of one.
      if (label.includes('.')) return null;
      length += size + 1;
      if (length > LONGEST_NAME) return null;
      labels.push(label);
      at += 1 + size;
    } else {
      if (!compressed || size < 0xc0 || at + 2 > bytes.length || ++jumps > MOST_JUMPS) return null;
      if (end < 0) end = at + 2;
      at = ((size & 0x3f) << 8) | bytes[at + 1];
    }
  }
  return null;
}
