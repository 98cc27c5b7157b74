// Which keyrings a task has, and finding keys in them (keyrings(7), process-keyring(7), session-keyring(7)).

import {
  EACCES,
  EAGAIN,
  EDEADLK,
  EINVAL,
  EKEYEXPIRED,
  EKEYREVOKED,
  ELOOP,
  ENOKEY,
  ENOTDIR,
  EPERM,
} from '../../abi/errno.ts';
import {
  KEY_ALL,
  KEY_LINK,
  KEY_POSSESSOR_SHIFT,
  KEY_READ,
  KEY_SEARCH,
  KEY_SETATTR,
  KEY_SPEC_PROCESS_KEYRING,
  KEY_SPEC_REQKEY_AUTH_KEY,
  KEY_SPEC_REQUESTOR_KEYRING,
  KEY_SPEC_SESSION_KEYRING,
  KEY_SPEC_THREAD_KEYRING,
  KEY_SPEC_USER_KEYRING,
  KEY_SPEC_USER_SESSION_KEYRING,
  KEY_USER_SHIFT,
  KEY_VIEW,
  KEY_WRITE,
} from '../../abi/keys.ts';
import { monotonicNow } from '../../base/clock.ts';
import { shownId } from '../../base/user-namespace.ts';
import { groupExitHooks, taskExitHooks } from '../exit-hooks.ts';
import type { Task, ThreadGroup } from '../task.ts';
import { allKeys, indexOf, KEYRING, Key, type KeyType, keyUser, linkKey, mayUse, NO_GROUP } from './key.ts';

/** Keyrings within keyrings: searched to this depth, and not linked beyond it. */
const MAX_DEPTH = 6;

/** The keyrings of a thread; those of the process are its group's. */
export interface ThreadKeys {
  thread: Key | null;
  session: Key | null;
  /** KEY_REQKEY_DEFL_*. */
  requestDefault: number;
}

/** A key, and whether the caller possesses it: it can be reached from its own keyrings. */
export interface KeyReference {
  readonly key: Key;
  readonly possessed: boolean;
}

const POSSESSOR_ALL = KEY_ALL << KEY_POSSESSOR_SHIFT;
const OWN_KEYRING = POSSESSOR_ALL | (KEY_VIEW << KEY_USER_SHIFT);
const SESSION = OWN_KEYRING | (KEY_READ << KEY_USER_SHIFT);
const NAMED_SESSION = SESSION | (KEY_LINK << KEY_USER_SHIFT);
const USER_KEYRING = ((KEY_ALL & ~KEY_SETATTR) << KEY_POSSESSOR_SHIFT) | (KEY_ALL << KEY_USER_SHIFT);

function makeKeyring(task: Task, description: string, permissions: number): Key | number {
  const { uid, gid } = task.credentials;
  return Key.make(KEYRING, description, uid, gid, permissions);
}

/** The user's keyring and its session keyring, made when they are first asked for. 0 or -errno. */
function makeUserKeyrings(task: Task): number {
  const { uid } = task.credentials;
  const user = keyUser(uid);
  if (user.keyring && user.session) return 0;
  const shown = shownId(task.credentials.user.uidMap, uid);
  const keyring = Key.make(KEYRING, `_uid.${shown}`, uid, NO_GROUP, USER_KEYRING);
  if (typeof keyring === 'number') return keyring;
  const session = Key.make(KEYRING, `_uid_ses.${shown}`, uid, NO_GROUP, USER_KEYRING);
  if (typeof session === 'number') {
    keyring.hold().release();
    return session;
  }
  keyring.ofUser = session.ofUser = true;
  user.keyring = keyring.hold();
  user.session = session.hold();
  return linkKey(session, keyring);
}

/** The thread's or the process's keyring, made if `create` says so; or -errno. */
function ownKeyring(task: Task, id: number, create: boolean): Key | number {
  const holder = id === KEY_SPEC_THREAD_KEYRING ? task.keys : task.group.keys;
  if (holder.thread) return holder.thread;
  if (!create) return -ENOKEY;
  const keyring = makeKeyring(task, id === KEY_SPEC_THREAD_KEYRING ? '_tid' : '_pid', OWN_KEYRING);
  if (typeof keyring === 'number') return keyring;
  holder.thread = keyring.hold();
  return keyring;
}

/** A task without a session keyring has its user's, or gets one of its own to add to. */
function sessionKeyring(task: Task, create: boolean): Key | number {
  const { session } = task.keys;
  if (session && !(create && session.ofUser)) return session;
  const r = makeUserKeyrings(task);
  if (r < 0) return r;
  if (create) {
    const joined = joinSession(task, null);
    return joined < 0 ? joined : (task.keys.session as Key);
  }
  setSession(task, keyUser(task.credentials.uid).session as Key);
  return task.keys.session as unknown as Key;
}

export function setSession(task: Task, keyring: Key): void {
  keyring.hold();
  task.keys.session?.release();
  task.keys.session = keyring;
}

/** KEYCTL_JOIN_SESSION_KEYRING: a keyring of that name, or a new one. Its serial number or -errno. */
export function joinSession(task: Task, name: string | null): number {
  const found = name === null ? null : findNamed(task, name);
  if (found && found === task.keys.session) return found.serial;
  const keyring = found ?? makeKeyring(task, name ?? '_ses', name === null ? SESSION : NAMED_SESSION);
  if (typeof keyring === 'number') return keyring;
  setSession(task, keyring);
  return keyring.serial;
}

/** A keyring by its name, if the task may search it. */
function findNamed(task: Task, name: string): Key | null {
  for (const key of allKeys.values()) {
    if (key.links === null || key.description !== name || key.revoked || key.ofUser) continue;
    if (mayUse(key, task.credentials, false, KEY_SEARCH) === 0) return key;
  }
  return null;
}

/** What a serial number, or a KEY_SPEC_*, stands for; -EINVAL, -ENOKEY and others if nothing. */
function referTo(task: Task, id: number, create: boolean): KeyReference | number {
  let key: Key | number;
  switch (id) {
    case KEY_SPEC_THREAD_KEYRING:
    case KEY_SPEC_PROCESS_KEYRING:
      key = ownKeyring(task, id, create);
      break;
    case KEY_SPEC_SESSION_KEYRING:
      key = sessionKeyring(task, create);
      break;
    case KEY_SPEC_USER_KEYRING:
    case KEY_SPEC_USER_SESSION_KEYRING: {
      const r = makeUserKeyrings(task);
      if (r < 0) return r;
      const user = keyUser(task.credentials.uid);
      key = (id === KEY_SPEC_USER_KEYRING ? user.keyring : user.session) as Key;
      break;
    }
    case KEY_SPEC_REQKEY_AUTH_KEY:
    case KEY_SPEC_REQUESTOR_KEYRING:
      // Only a helper that makes a key for somebody has those, and there is none.
      return -ENOKEY;
    default: {
      if (id < 1) return -EINVAL;
      const found = allKeys.get(id);
      return found ? { key: found, possessed: isPossessed(task, found) } : -ENOKEY;
    }
  }
  return typeof key === 'number' ? key : { key, possessed: true };
}

/** lookUp's options. */
export const CREATE = 1;
/** Also a key that stands for the lack of one. */
export const PARTIAL = 2;
/** Whatever its state. */
export const ANY_STATE = 4;

/** Finds a key that the task may use so (KEY_*, 0 for nothing in particular). -errno if it may not. */
export function lookUp(task: Task, id: number, options: number, wanted: number): KeyReference | number {
  const found = referTo(task, id, (options & CREATE) !== 0);
  if (typeof found === 'number') return found;
  if (!(options & ANY_STATE)) {
    const { key } = found;
    if (key.rejects !== 0 && !(options & PARTIAL)) return -key.rejects;
    const r = key.validate();
    if (r < 0) return r;
  }
  const r = wanted === 0 ? 0 : mayUse(found.key, task.credentials, found.possessed, wanted);
  return r < 0 ? r : found;
}

/** The same for a keyring: -ENOTDIR for other keys. */
export function lookUpKeyring(task: Task, id: number, options: number, wanted: number): KeyReference | number {
  const found = lookUp(task, id, options, wanted);
  return typeof found === 'number' || found.key.links ? found : -ENOTDIR;
}

// ---- searching ----

/** The keyrings that a task looks in, in this order. */
function searched(task: Task): Key[] {
  const { thread, session } = task.keys;
  const last = session ?? keyUser(task.credentials.uid).session;
  return [thread, task.group.keys.thread, last].filter((keyring) => keyring !== null);
}

/** Whether the task's own keyrings lead to a key. */
export function isPossessed(task: Task, key: Key): boolean {
  return searched(task).some((keyring) => isOwn(task, keyring, key) || leadsTo(task, keyring, key, 0, new Set()));
}

/** All keys that the task's own keyrings lead to. */
export function possessedKeys(task: Task): Set<Key> {
  const found = new Set<Key>();
  for (const keyring of searched(task)) {
    if (mayUse(keyring, task.credentials, true, KEY_SEARCH) < 0) continue;
    found.add(keyring);
    addInner(task, keyring, 0, found, new Set());
  }
  return found;
}

function addInner(task: Task, keyring: Key, depth: number, found: Set<Key>, seen: Set<Key>): void {
  if (depth >= MAX_DEPTH || seen.has(keyring)) return;
  seen.add(keyring);
  for (const key of keyring.links?.values() ?? []) {
    if (mayUse(key, task.credentials, true, KEY_SEARCH) < 0) continue;
    found.add(key);
    if (key.links) addInner(task, key, depth + 1, found, seen);
  }
}

function isOwn(task: Task, keyring: Key, key: Key): boolean {
  return keyring === key && mayUse(key, task.credentials, true, KEY_SEARCH) === 0;
}

function leadsTo(task: Task, keyring: Key, key: Key, depth: number, seen: Set<Key>): boolean {
  if (depth >= MAX_DEPTH || seen.has(keyring)) return false;
  seen.add(keyring);
  if (mayUse(keyring, task.credentials, true, KEY_SEARCH) < 0) return false;
  if (keyring.links?.get(key.index) === key && mayUse(key, task.credentials, true, KEY_SEARCH) === 0) return true;
  for (const inner of keyring.links?.values() ?? [])
    if (inner.links && leadsTo(task, inner, key, depth + 1, seen)) return true;
  return false;
}

/** Why a key that fits is passed over, 0 if it is not. */
function passOver(task: Task, key: Key, possessed: boolean, expired: number): number {
  if (key.revoked || key.invalidated) return -EKEYREVOKED;
  if (key.expiry <= monotonicNow()) return expired;
  const r = mayUse(key, task.credentials, possessed, KEY_SEARCH);
  return r < 0 ? r : -key.rejects;
}

/**
 * A key by type and description in a keyring and those within: -EAGAIN if there is none, or why it is of no use;
 * `expired` is what an expired one counts as.
 */
export function searchKeyring(
  task: Task,
  where: KeyReference,
  type: KeyType,
  description: string,
  expired = -EKEYEXPIRED,
): Key | number {
  if (mayUse(where.key, task.credentials, where.possessed, KEY_SEARCH) < 0) return -EACCES;
  const index = indexOf(type, description);
  let refused = -EAGAIN;
  const seen = new Set<Key>();
  const search = (keyring: Key, depth: number): Key | null => {
    if (seen.has(keyring)) return null;
    seen.add(keyring);
    const key = keyring.links?.get(index);
    if (key) {
      const r = passOver(task, key, where.possessed, expired);
      if (r === 0) return key;
      refused = r;
    }
    for (const inner of depth < MAX_DEPTH ? (keyring.links?.values() ?? []) : []) {
      if (!inner.links || inner.revoked || mayUse(inner, task.credentials, where.possessed, KEY_SEARCH) < 0) continue;
      const found = search(inner, depth + 1);
      if (found) return found;
    }
    return null;
  };
  return search(where.key, 0) ?? refused;
}

/** The same in all that the task has; an expired key is none. */
export function searchOwn(task: Task, type: KeyType, description: string): Key | number {
  let missing = 0;
  let refused = -EAGAIN;
  for (const key of searched(task)) {
    const found = searchKeyring(task, { key, possessed: true }, type, description, -EAGAIN);
    if (typeof found !== 'number') return found;
    if (found === -ENOKEY) missing = found;
    else if (found === -EAGAIN) missing ||= found;
    else refused = found;
  }
  return missing || refused;
}

// ---- linking ----

/** Links a key into a keyring, if that leads to no circle. 0 or -errno. */
export function addLink(keyring: Key, key: Key): number {
  if (!keyring.links) return -ENOTDIR;
  if (keyring.restricted) return -EPERM;
  if (key.links) {
    const r = checkCircle(keyring, key, 1, new Map());
    if (r < 0) return r;
  }
  return linkKey(keyring, key);
}

/** `seen`: keyrings that were gone through, and how deep. There may be very many ways to one. */
function checkCircle(keyring: Key, inner: Key, depth: number, seen: Map<Key, number>): number {
  if (inner === keyring) return -EDEADLK;
  if (depth > MAX_DEPTH) return -ELOOP;
  if ((seen.get(inner) ?? 0) >= depth) return 0;
  seen.set(inner, depth);
  for (const next of inner.links?.values() ?? []) {
    const r = next.links ? checkCircle(keyring, next, depth + 1, seen) : 0;
    if (r < 0) return r;
  }
  return 0;
}

/** What somebody who makes a key may do with it, by what kind it is. */
export function initialPermissions(type: KeyType): number {
  let possessor = KEY_VIEW | KEY_SEARCH | KEY_LINK | KEY_SETATTR;
  if (type.readable) possessor |= KEY_READ;
  if (type === KEYRING || type.updatable) possessor |= KEY_WRITE;
  return (possessor << KEY_POSSESSOR_SHIFT) | (KEY_VIEW << KEY_USER_SHIFT);
}

// ---- tasks come and go ----

/** A new task has its maker's session; a thread of the same process shares what is the process's anyway. */
export function inheritKeys(child: Task, from: Task): void {
  child.keys.session = from.keys.session?.hold() ?? null;
  child.keys.requestDefault = from.keys.requestDefault;
}

/** A program that is executed does not get the thread's and the process's keyrings. */
export function dropOwnKeyrings(task: Task): void {
  for (const holder of [task.keys, task.group.keys]) {
    holder.thread?.release();
    holder.thread = null;
  }
}

taskExitHooks.push(({ keys }) => {
  keys.thread?.release();
  keys.session?.release();
  keys.thread = keys.session = null;
});

groupExitHooks.push(({ keys }: ThreadGroup) => {
  keys.thread?.release();
  keys.thread = null;
});
