// Addresses of the network as text, and the name servers of a container.

import { lstatSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { posix } from 'node:path';
import type { MountSpec } from '../base/spec.ts';
import { pathOf } from './bytes.ts';
import type { Bind } from './launch.ts';

const MOST_RESOLVERS = 8;
const LONGEST_FILE = 65536;

/** The 4 or 16 bytes of an address as a byte string; '' if it is none. An IPv4 address in IPv6 is the former. */
export function addressBytes(text: string): string {
  if (isIP(text) === 4) return String.fromCharCode(...text.split('.').map(Number));
  if (isIP(text) !== 6 || text.includes('%')) return '';
  const quad = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const pair = (high = '0', low = '0'): string => ((Number(high) << 8) | Number(low)).toString(16);
  const plain = quad ? `${quad[1]}${pair(quad[2], quad[3])}:${pair(quad[4], quad[5])}` : text;
  const [head = '', tail] = plain.split('::');
  const words = (part: string): number[] =>
    part
      .split(':')
      .filter(Boolean)
      .map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  const bytes = String.fromCharCode(...all.flatMap((word) => [word >> 8, word & 255]));
  return bytes.startsWith('\0\0\0\0\0\0\0\0\0\0\xff\xff') ? bytes.slice(12) : bytes;
}

/** The name servers of a sandbox: those that the resolv.conf(5) names which is mounted in it, or else its root's. */
export function resolversOf(rootPath: string, mounts: readonly MountSpec[], binds: readonly Bind[]): string[] {
  const mount = mounts.findLast(({ destination }) => destination === '/etc/resolv.conf');
  const path = binds.find(({ name }) => name === mount?.source)?.source ?? posix.join(rootPath, 'etc/resolv.conf');
  const status = lstatSync(pathOf(path), { throwIfNoEntry: false });
  if (!status || status.size > LONGEST_FILE || !(status.isFile() || status.isSymbolicLink())) return [];
  try {
    return resolversIn(readFileSync(pathOf(path), 'latin1'));
  } catch {
    return [];
  }
}

export function resolversIn(text: string): string[] {
  const found = [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s#;]+)/gm)].map(([, address = '']) =>
    addressBytes(address),
  );
  return found.filter((address) => address !== '').slice(0, MOST_RESOLVERS);
}
