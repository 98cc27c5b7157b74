// POSIX access control lists (acl(5)): the form that the attributes system.posix_acl_access and system.posix_acl_default
// have, what a list allows, and how it and the mode keep up with each other.

import { EINVAL, EOPNOTSUPP } from '../abi/errno.ts';
import { type Credentials, inGroup } from '../base/credentials.ts';

export const ACL_ACCESS = 'system.posix_acl_access';
export const ACL_DEFAULT = 'system.posix_acl_default';

const VERSION = 2;
const HEAD = 4;
const ENTRY = 8;

const USER_OBJ = 0x01;
const USER = 0x02;
const GROUP_OBJ = 0x04;
const GROUP = 0x08;
const MASK = 0x10;
const OTHER = 0x20;
const NO_ID = 0xffffffff;

export interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  /** Of USER and GROUP entries. */
  readonly id: number;
}

export type Acl = readonly AclEntry[];

/** Reads the attribute's bytes. Null when there are no entries, -EINVAL or -EOPNOTSUPP when they make no list. */
export function parseAcl(bytes: string): Acl | null | number {
  const word = (at: number): number => bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8);
  if (bytes.length < HEAD || (bytes.length - HEAD) % ENTRY !== 0) return -EINVAL;
  if (word(0) !== VERSION || word(2) !== 0) return -EOPNOTSUPP;
  const entries: AclEntry[] = [];
  for (let at = HEAD; at < bytes.length; at += ENTRY) {
    entries.push({ tag: word(at), permissions: word(at + 2), id: (word(at + 4) | (word(at + 6) << 16)) >>> 0 });
  }
  if (entries.length === 0) return null;
  return valid(entries) ? entries : -EINVAL;
}

/** Entries come in the order of their tags; who is named makes a mask necessary. */
function valid(entries: Acl): boolean {
  let last = 0;
  let named = false;
  const seen = new Set<number>();
  for (const { tag, permissions } of entries) {
    if (permissions & ~7 || tag < last) return false;
    const repeats = isNamed(tag);
    if (![USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER].includes(tag) || (seen.has(tag) && !repeats)) return false;
    named ||= repeats;
    seen.add(tag);
    last = tag;
  }
  return seen.has(USER_OBJ) && seen.has(GROUP_OBJ) && seen.has(OTHER) && (!named || seen.has(MASK));
}

/** Whether an entry of this tag is for a user or group that it names. */
export function isNamed(tag: number): boolean {
  return tag === USER || tag === GROUP;
}

/** The attribute's bytes. */
export function formatAcl(entries: Acl): string {
  const word = (value: number): string => String.fromCharCode(value & 255, (value >>> 8) & 255);
  const body = entries.map(({ tag, permissions, id }) => {
    const who = isNamed(tag) ? id : NO_ID;
    return word(tag) + word(permissions) + word(who & 0xffff) + word(who >>> 16);
  });
  return word(VERSION) + word(0) + body.join('');
}

function permissionsOf(entries: Acl, tag: number): number {
  return entries.find((entry) => entry.tag === tag)?.permissions ?? 0;
}

/** Whether the list lets somebody who does not own the inode (of group `gid`) have all of MAY_* `want`. */
export function aclAllows(entries: Acl, gid: number, credentials: Credentials, want: number): boolean {
  const mask = entries.find((entry) => entry.tag === MASK)?.permissions ?? 7;
  const user = entries.find((entry) => entry.tag === USER && entry.id === credentials.fsuid);
  if (user) return (want & ~(user.permissions & mask)) === 0;
  let member = false;
  for (const { tag, id, permissions } of entries) {
    if (tag !== GROUP_OBJ && tag !== GROUP) continue;
    if (!inGroup(credentials, tag === GROUP ? id : gid)) continue;
    member = true;
    if ((want & ~(permissions & mask)) === 0) return true;
  }
  return !member && (want & ~permissionsOf(entries, OTHER)) === 0;
}

/** The permission bits that stand for a list: of the group class it is the mask. */
export function modeOfAcl(entries: Acl): number {
  const group = entries.find((entry) => entry.tag === MASK) ?? entries.find((entry) => entry.tag === GROUP_OBJ);
  return (permissionsOf(entries, USER_OBJ) << 6) | ((group?.permissions ?? 0) << 3) | permissionsOf(entries, OTHER);
}

/** Whether the mode says all that the list does. */
export function isMinimalAcl(entries: Acl): boolean {
  return entries.every(({ tag }) => !isNamed(tag) && tag !== MASK);
}

/** The list with other ids: those of another user namespace. */
export function aclWithIds(entries: Acl, uid: (id: number) => number, gid: (id: number) => number): Acl {
  return entries.map((entry) => {
    if (entry.tag === USER) return { ...entry, id: uid(entry.id) };
    return entry.tag === GROUP ? { ...entry, id: gid(entry.id) } : entry;
  });
}

/** The list after chmod(2). */
export function aclWithMode(entries: Acl, mode: number): Acl {
  const masked = entries.some(({ tag }) => tag === MASK);
  return entries.map((entry) => {
    if (entry.tag === USER_OBJ) return { ...entry, permissions: (mode >> 6) & 7 };
    if (entry.tag === OTHER) return { ...entry, permissions: mode & 7 };
    if (entry.tag === (masked ? MASK : GROUP_OBJ)) return { ...entry, permissions: (mode >> 3) & 7 };
    return entry;
  });
}

/** The list of what is made with `mode` in a directory with this default list: nothing that the mode does not ask for. */
export function inheritedAcl(entries: Acl, mode: number): Acl {
  return aclWithMode(entries, modeOfAcl(entries) & mode);
}
