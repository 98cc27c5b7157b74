// Making and entering user namespaces (user_namespaces(7)), and writing their maps of ids (/proc/PID/uid_map).

import { CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EINVAL, ENOSPC, EPERM } from '../abi/errno.ts';
import { type Credentials, capableIn, hasCapabilityIn, NO_CAPABILITIES } from '../base/credentials.ts';
import type { IdMapping, SandboxSpec } from '../base/spec.ts';
import {
  type IdRange,
  idFrom,
  idInto,
  initialUser,
  MAX_USER_LEVEL,
  NO_ID,
  shownId,
  UserNamespace,
} from '../base/user-namespace.ts';
import { ALL_CAPABILITIES } from './credentials.ts';
import { kernel } from './kernel.ts';
import { showOwnAnswers } from './own-answers.ts';
import type { Task } from './task.ts';

/** Lines that a map may have. */
const MAP_MAX = 340;

/** Credentials in a new user namespace, for the task or its child; -ENOSPC or -EPERM. */
export function newUserCredentials(task: Task): Credentials | number {
  const old = task.credentials;
  if (old.user.level > MAX_USER_LEVEL) return -ENOSPC;
  if (tooManyUsers(old)) return -ENOSPC;
  if (isChrooted(task)) return -EPERM;
  const unknown = idInto(old.user.uidMap, old.euid) === NO_ID || idInto(old.user.gidMap, old.egid) === NO_ID;
  if (unknown) return -EPERM;
  const couldSetFileCapabilities = hasCapabilityIn(old.effective, CAP_SETFCAP);
  return credentialsIn(new UserNamespace(old.user, old.euid, old.egid, couldSetFileCapabilities), old);
}

/** Whether a user may make no more of them, here or above. Those are counted that tasks are in or below. */
function tooManyUsers(maker: Credentials): boolean {
  let uid = maker.euid;
  for (let at: UserNamespace | null = maker.user; at !== null; at = at.parent) {
    if (at.limit('user') < kernel.tasks.size + MAX_USER_LEVEL && livingUsers(at, uid) >= at.limit('user')) return true;
    uid = at.ownerUid;
  }
  return false;
}

/** How many user namespaces below one count for a user of it. */
function livingUsers(namespace: UserNamespace, uid: number): number {
  const living = new Set<UserNamespace>();
  for (const { credentials } of kernel.tasks.values()) {
    for (let at: UserNamespace = credentials.user; at.parent !== null; at = at.parent) {
      let [maker, above] = [at.ownerUid, at.parent];
      while (above !== namespace && above.parent !== null) [maker, above] = [above.ownerUid, above.parent];
      if (above === namespace && maker === uid) living.add(at);
    }
  }
  return living.size;
}

/** The same ids in another user namespace, with all capabilities over it. */
export function credentialsIn(user: UserNamespace, old: Credentials): Credentials {
  return {
    ...old,
    user,
    securebits: 0,
    inheritable: NO_CAPABILITIES,
    permitted: ALL_CAPABILITIES,
    effective: ALL_CAPABILITIES,
    bounding: ALL_CAPABILITIES,
    ambient: NO_CAPABILITIES,
  };
}

/** Whether its root is not that of its mount namespace: such a root could be left by way of a new namespace. */
function isChrooted({ fs }: Task): boolean {
  const { mount, dentry } = fs.root;
  if (dentry !== mount.root) return true;
  // A mount on top of the root is the root to those who come in.
  for (let at = mount; at !== mount.namespace?.root; at = at.parent) {
    if (at.parent === null || at.mountpoint !== at.parent.root) return true;
  }
  return false;
}

// ---- maps ----

/** What the first namespace's maps show to those in it: the ids on the host; null: all are themselves. */
const outsideMaps: { uidMap: readonly IdRange[] | null; gidMap: readonly IdRange[] | null } = {
  uidMap: null,
  gidMap: null,
};

/** Once, at the start. Which ids the host's file systems take is settled there. */
export function showOutsideMaps({ uid, gid }: SandboxSpec['idMappings']): void {
  const ranges = (list: readonly IdMapping[]): IdRange[] | null =>
    list.length === 0 ? null : list.map(({ inside, outside, count }) => ({ first: inside, kernel: outside, count }));
  outsideMaps.uidMap = ranges(uid);
  outsideMaps.gidMap = ranges(gid);
}

/** The text of uid_map or gid_map for a reader. */
export function mapText(namespace: UserNamespace, kind: 'uidMap' | 'gidMap', reader: UserNamespace): string {
  const outside = namespace === reader ? outsideMaps[kind] : null;
  const map = namespace[kind] ?? outside ?? [{ first: 0, kernel: 0, count: NO_ID }];
  const viewer = reader === namespace && reader.parent !== null ? reader.parent : reader;
  const cell = (value: number): string => String(value).padStart(10);
  const lower = (id: number): number => (viewer[kind] === null ? id : idInto(viewer[kind], id));
  return map.map(({ first, kernel: id, count }) => `${cell(first)} ${cell(lower(id))} ${cell(count)}\n`).join('');
}

/** Writes uid_map or gid_map, once. 0, -EPERM or -EINVAL. */
export function writeMap(namespace: UserNamespace, kind: 'uidMap' | 'gidMap', writer: Task, text: string): number {
  const { parent } = namespace;
  const { credentials } = writer;
  if (parent === null || (credentials.user !== namespace && credentials.user !== parent)) return -EPERM;
  if (namespace[kind]?.length !== 0) return -EPERM;
  if (!capableIn(namespace, credentials, CAP_SYS_ADMIN)) return -EPERM;
  const wanted = parseMap(text);
  if (wanted === null) return -EINVAL;
  if (!mayMap(namespace, parent, kind, credentials, wanted)) return -EPERM;
  const map: IdRange[] = [];
  for (const { first, kernel: lower, count } of wanted) {
    const start = idFrom(parent[kind], lower);
    // A range is one range of the parent's, too.
    if (start === NO_ID || idFrom(parent[kind], lower + count - 1) !== start + count - 1) return -EPERM;
    map.push({ first, kernel: start, count });
  }
  namespace[kind] = map;
  for (const task of kernel.tasks.values()) if (task.credentials.user.isWithin(namespace)) showOwnAnswers(task);
  return 0;
}

/** The lines of a map, `kernel` as the parent namespace names the ids; null if they are not valid. */
function parseMap(text: string): IdRange[] | null {
  const ranges: IdRange[] = [];
  // A program may write the NUL that ends its string, too.
  const lines = text.split('\0', 1)[0].replace(/\n$/, '').split('\n');
  if (lines.length > MAP_MAX) return null;
  for (const line of lines) {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s*$/.exec(line);
    if (!match) return null;
    const [first, kernel, count] = match.slice(1).map(Number);
    if (count === 0 || first + count > NO_ID || kernel + count > NO_ID) return null;
    const overlaps = (a: number, b: number, length: number): boolean => a < b + length && b < a + count;
    for (const other of ranges) {
      if (overlaps(first, other.first, other.count) || overlaps(kernel, other.kernel, other.count)) return null;
    }
    ranges.push({ first, kernel, count });
  }
  return ranges;
}

/** Whether the writer may have these ids mapped. `wanted` is as the parent namespace names them. */
function mayMap(
  namespace: UserNamespace,
  parent: UserNamespace,
  kind: 'uidMap' | 'gidMap',
  credentials: Credentials,
  wanted: readonly IdRange[],
): boolean {
  if (kind === 'uidMap' && wanted.some(({ kernel: lower }) => lower === 0)) {
    const could =
      credentials.user === namespace
        ? namespace.makerCouldSetFileCapabilities
        : capableIn(parent, credentials, CAP_SETFCAP);
    if (!could) return false;
  }
  const own = wanted.length === 1 && wanted[0].count === 1 && namespace.ownerUid === credentials.euid;
  if (own) {
    const id = idFrom(parent[kind], wanted[0].kernel);
    if (kind === 'uidMap' ? id === credentials.euid : !namespace.setgroupsAllowed && id === credentials.egid)
      return true;
  }
  return capableIn(parent, credentials, kind === 'uidMap' ? CAP_SETUID : CAP_SETGID);
}

/** Writes /proc/PID/setgroups: `deny` before there is a gid map, and for good. 0, -EINVAL or -EPERM. */
export function writeSetgroups(namespace: UserNamespace, writer: Task, text: string): number {
  if (!capableIn(namespace, writer.credentials, CAP_SYS_ADMIN)) return -EPERM;
  const word = text.split('\0', 1)[0].replace(/\s+$/, '');
  if (word === 'allow') return namespace.setgroupsAllowed ? 0 : -EPERM;
  if (word !== 'deny') return -EINVAL;
  if (namespace === initialUser || namespace.gidMap?.length !== 0) return namespace.setgroupsAllowed ? -EPERM : 0;
  namespace.setgroupsAllowed = false;
  return 0;
}

/** Whether setgroups(2) is there at all in a namespace. */
export function allowsSetgroups({ gidMap, setgroupsAllowed }: UserNamespace): boolean {
  return setgroupsAllowed && gidMap?.length !== 0;
}

// ---- ids as a task gives and sees them ----

export const uidFrom = ({ credentials }: Task, uid: number): number => idFrom(credentials.user.uidMap, uid);
export const gidFrom = ({ credentials }: Task, gid: number): number => idFrom(credentials.user.gidMap, gid);
export const uidSeen = ({ credentials }: Task, uid: number): number => shownId(credentials.user.uidMap, uid);
export const gidSeen = ({ credentials }: Task, gid: number): number => shownId(credentials.user.gidMap, gid);
