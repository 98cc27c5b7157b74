// Keys (add_key(2), request_key(2), keyctl(2)): which call or command does what, by what right, with what error. What
// keys and keyrings are is in src/kernel/keys. There is no helper that could make keys on request: as where
// /sbin/request-key is missing, one that is asked for and not there is refused, and remembered as missing for a while.

import { CAP_SETUID, CAP_SYS_ADMIN } from '../abi/capability.ts';
import {
  EACCES,
  EAGAIN,
  EEXIST,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOKEY,
  ENOMEM,
  ENOTDIR,
  EOPNOTSUPP,
  EPERM,
} from '../abi/errno.ts';
import {
  KEY_LINK,
  KEY_READ,
  KEY_REQKEY_DEFL_DEFAULT,
  KEY_REQKEY_DEFL_NO_CHANGE,
  KEY_REQKEY_DEFL_PROCESS_KEYRING,
  KEY_REQKEY_DEFL_REQUESTOR_KEYRING,
  KEY_REQKEY_DEFL_SESSION_KEYRING,
  KEY_REQKEY_DEFL_THREAD_KEYRING,
  KEY_REQKEY_DEFL_USER_KEYRING,
  KEY_REQKEY_DEFL_USER_SESSION_KEYRING,
  KEY_SEARCH,
  KEY_SETATTR,
  KEY_SPEC_PROCESS_KEYRING,
  KEY_SPEC_SESSION_KEYRING,
  KEY_SPEC_THREAD_KEYRING,
  KEY_SPEC_USER_KEYRING,
  KEY_SPEC_USER_SESSION_KEYRING,
  KEY_VIEW,
  KEY_WRITE,
  KEYCTL_ASSUME_AUTHORITY,
  KEYCTL_CAPABILITIES,
  KEYCTL_CHOWN,
  KEYCTL_CLEAR,
  KEYCTL_DESCRIBE,
  KEYCTL_GET_KEYRING_ID,
  KEYCTL_GET_PERSISTENT,
  KEYCTL_GET_SECURITY,
  KEYCTL_INSTANTIATE,
  KEYCTL_INSTANTIATE_IOV,
  KEYCTL_INVALIDATE,
  KEYCTL_JOIN_SESSION_KEYRING,
  KEYCTL_LINK,
  KEYCTL_MOVE,
  KEYCTL_MOVE_EXCL,
  KEYCTL_NEGATE,
  KEYCTL_READ,
  KEYCTL_REJECT,
  KEYCTL_RESTRICT_KEYRING,
  KEYCTL_REVOKE,
  KEYCTL_SEARCH,
  KEYCTL_SESSION_TO_PARENT,
  KEYCTL_SET_REQKEY_KEYRING,
  KEYCTL_SET_TIMEOUT,
  KEYCTL_SETPERM,
  KEYCTL_UNLINK,
  KEYCTL_UPDATE,
} from '../abi/keys.ts';
import type { UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { idFrom, NO_ID, OVERFLOW_ID, shownId } from '../base/user-namespace.ts';
import {
  checkPayload,
  checkUpdatable,
  invalidateKey,
  KEYRING,
  Key,
  type KeyType,
  keyType,
  keyUser,
  mayUse,
  NO_GROUP,
  sweepKeys,
  unlinkKey,
} from '../kernel/keys/key.ts';
import {
  ANY_STATE,
  addLink,
  CREATE,
  initialPermissions,
  joinSession,
  type KeyReference,
  lookUp,
  lookUpKeyring,
  PARTIAL,
  searchKeyring,
  searchOwn,
  setSession,
} from '../kernel/keys/keyrings.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../platform/arena.ts';

const TYPE_MAX = 32;
const DESCRIPTION_MAX = 4096;
const PAYLOAD_MAX = (1 << 20) - 1;
const UPDATE_MAX = 4096;
const CHUNK = 65536;
/** Seconds for which a key that nobody can make is remembered as missing. */
const NEGATIVE_TIMEOUT = 60;
const PERSISTENT_EXPIRY = 259200;

// ---- arguments ----

/** -EINVAL where it is too long, as for every string here. */
function readString(task: Task, address: UserAddress, max: number): string | number {
  const text = task.memory.string(address, max);
  return text === -ENAMETOOLONG ? -EINVAL : text;
}

/** The name of a type that programs may use. */
function readType(task: Task, address: UserAddress): string | number {
  const name = readString(task, address, TYPE_MAX);
  if (typeof name === 'number') return name;
  if (name === '') return -EINVAL;
  return name.startsWith('.') ? -EPERM : name;
}

function readPayload(task: Task, address: UserAddress, length: number): Uint8Array | number {
  const payload = new Uint8Array(length);
  const mark = markScratch();
  const at = allocateScratch(Math.min(length, CHUNK));
  if (at < 0) return at;
  for (let done = 0; done < length; done += CHUNK) {
    const part = Math.min(CHUNK, length - done);
    if (task.memory.read((address + done) as UserAddress, at, part) < 0) return -EFAULT;
    payload.set(u8.subarray(at, at + part), done);
  }
  releaseScratch(mark);
  return payload;
}

/** Copies bytes to the program if it has room for all of them; their number in any case, or -EFAULT. */
function give(task: Task, bytes: Uint8Array, address: UserAddress, room: number): number {
  if (address === 0 || room < bytes.length) return bytes.length;
  const mark = markScratch();
  const at = allocateScratch(Math.min(bytes.length, CHUNK));
  if (at < 0) return at;
  for (let done = 0; done < bytes.length; done += CHUNK) {
    const part = bytes.subarray(done, done + CHUNK);
    u8.set(part, at);
    if (task.memory.write((address + done) as UserAddress, at, part.length) < 0) return -EFAULT;
  }
  releaseScratch(mark);
  return bytes.length;
}

// ---- making keys ----

export function add_key(
  task: Task,
  typeAddress: UserAddress,
  descriptionAddress: UserAddress,
  payloadAddress: UserAddress,
  length: number,
  keyring: number,
): number {
  if (length > PAYLOAD_MAX) return -EINVAL;
  const name = readType(task, typeAddress);
  if (typeof name === 'number') return name;
  const description = descriptionAddress === 0 ? '' : readString(task, descriptionAddress, DESCRIPTION_MAX);
  if (typeof description === 'number') return description;
  if (description.startsWith('.') && name.startsWith('keyring')) return -EPERM;
  const payload = length === 0 ? new Uint8Array(0) : readPayload(task, payloadAddress, length);
  if (typeof payload === 'number') return payload;
  const where = lookUp(task, keyring, CREATE, KEY_WRITE);
  if (typeof where === 'number') return where;
  const type = keyType(name);
  if (!type) return -ENODEV;
  if (!where.key.links) return -ENOTDIR;
  const r = checkPayload(type, length);
  if (r < 0) return r;
  sweepKeys();
  return createOrUpdate(task, where, type, description, payload);
}

function createOrUpdate(
  task: Task,
  { key: keyring, possessed }: KeyReference,
  type: KeyType,
  description: string,
  payload: Uint8Array,
): number {
  const { credentials } = task;
  const old = type.updatable ? keyring.links?.get(`${type.name}\0${description}`) : undefined;
  if (old && !old.revoked && !old.invalidated && old.validate() === 0) {
    const r = mayUse(old, credentials, possessed, KEY_WRITE) || old.setPayload(payload);
    return r < 0 ? r : old.serial;
  }
  const key = Key.make(type, description, credentials.fsuid, credentials.fsgid, initialPermissions(type));
  if (typeof key === 'number') return key;
  key.hold();
  const r = key.setPayload(payload) || addLink(keyring, key);
  key.release();
  return r < 0 ? r : key.serial;
}

export function request_key(
  task: Task,
  typeAddress: UserAddress,
  descriptionAddress: UserAddress,
  callout: UserAddress,
  keyring: number,
): number {
  const name = readType(task, typeAddress);
  if (typeof name === 'number') return name;
  const description = readString(task, descriptionAddress, DESCRIPTION_MAX);
  if (typeof description === 'number') return description;
  const info = callout === 0 ? null : readString(task, callout, DESCRIPTION_MAX);
  if (typeof info === 'number') return info;
  const given = keyring === 0 ? null : lookUp(task, keyring, CREATE, KEY_WRITE);
  if (typeof given === 'number') return given;
  const type = keyType(name);
  if (!type) return -ENOKEY;
  const found = searchOwn(task, type, description);
  if (typeof found !== 'number') {
    const r = given ? addLink(given.key, found) : 0;
    return r < 0 ? r : found.serial;
  }
  if (found !== -EAGAIN) return found;
  return info === null ? -ENOKEY : refuseRequest(task, type, description, given?.key ?? null);
}

/** What is left of making a key on request: that it is missing is noted down where it would have been put. */
function refuseRequest(task: Task, type: KeyType, description: string, given: Key | null): number {
  const destination = given ?? requestDestination(task);
  if (typeof destination === 'number') return destination;
  if (!destination.links) return -ENOTDIR;
  const { fsuid, fsgid } = task.credentials;
  const key = Key.make(type, description, fsuid, fsgid, initialPermissions(type));
  if (typeof key === 'number') return key;
  key.hold();
  key.rejects = ENOKEY;
  key.setTimeout(NEGATIVE_TIMEOUT);
  const r = addLink(destination, key);
  key.release();
  return r < 0 ? r : -ENOENT;
}

/** Where a requested key is put if the caller does not say: by its setting, else the nearest keyring that it has. */
function requestDestination(task: Task): Key | number {
  const { thread, session, requestDefault } = task.keys;
  let id = KEY_SPEC_USER_SESSION_KEYRING;
  const process = task.group.keys.thread;
  const from = requestDefault;
  if (from === KEY_REQKEY_DEFL_THREAD_KEYRING || (from === KEY_REQKEY_DEFL_DEFAULT && thread))
    id = KEY_SPEC_THREAD_KEYRING;
  else if (from === KEY_REQKEY_DEFL_PROCESS_KEYRING || (from === KEY_REQKEY_DEFL_DEFAULT && process))
    id = KEY_SPEC_PROCESS_KEYRING;
  else if (from === KEY_REQKEY_DEFL_SESSION_KEYRING || (from === KEY_REQKEY_DEFL_DEFAULT && session))
    id = KEY_SPEC_SESSION_KEYRING;
  else if (from === KEY_REQKEY_DEFL_USER_KEYRING) id = KEY_SPEC_USER_KEYRING;
  const found = lookUp(task, id, 0, KEY_WRITE);
  return typeof found === 'number' ? found : found.key;
}

// ---- keyctl ----

type Command = (task: Task, a: number, b: number, c: number, d: number) => number;

export function keyctl(task: Task, command: number, a: number, b: number, c: number, d: number): number {
  return COMMANDS.get(command)?.(task, a, b, c, d) ?? -EOPNOTSUPP;
}

/** A serial number is an int, in whatever register. */
function serial(argument: number): number {
  return argument | 0;
}

const getKeyringId: Command = (task, id, create) => {
  const found = lookUp(task, serial(id), create ? CREATE : 0, KEY_SEARCH);
  return typeof found === 'number' ? found : found.key.serial;
};

const joinSessionKeyring: Command = (task, address) => {
  if (address === 0) return joinSession(task, null);
  const name = readString(task, address as UserAddress, DESCRIPTION_MAX);
  if (typeof name === 'number') return name;
  return name.startsWith('.') ? -EPERM : joinSession(task, name);
};

const update: Command = (task, id, address, length) => {
  if (length < 0 || length > UPDATE_MAX) return -EINVAL;
  const payload = address === 0 || length === 0 ? new Uint8Array(0) : readPayload(task, address as UserAddress, length);
  if (typeof payload === 'number') return payload;
  const found = lookUp(task, serial(id), 0, KEY_WRITE);
  if (typeof found === 'number') return found;
  const { type } = found.key;
  const r = checkUpdatable(type) || checkPayload(type, payload.length);
  return r < 0 ? r : found.key.setPayload(payload);
};

/** What may be written to may be revoked, and so may what the caller may set attributes of. */
const revoke: Command = (task, id) => {
  let found = lookUp(task, serial(id), 0, KEY_WRITE);
  if (found === -EACCES) found = lookUp(task, serial(id), 0, KEY_SETATTR);
  if (typeof found === 'number') return found;
  found.key.revoke();
  return 0;
};

const invalidate: Command = (task, id) => {
  const found = lookUp(task, serial(id), 0, KEY_SEARCH);
  if (typeof found === 'number') return found;
  invalidateKey(found.key);
  return 0;
};

const changeOwner: Command = (task, id, newUid, newGid) => {
  const { credentials } = task;
  const uid = newUid >>> 0;
  const gid = newGid >>> 0;
  const toUid = uid === NO_ID ? NO_ID : idFrom(credentials.user.uidMap, uid);
  const toGid = gid === NO_ID ? NO_ID : idFrom(credentials.user.gidMap, gid);
  if ((uid !== NO_ID && toUid === NO_ID) || (gid !== NO_ID && toGid === NO_ID)) return -EINVAL;
  if (uid === NO_ID && gid === NO_ID) return 0;
  const found = lookUp(task, serial(id), CREATE | PARTIAL, KEY_SETATTR);
  if (typeof found === 'number') return found;
  const { key } = found;
  if (!capable(credentials, CAP_SYS_ADMIN)) {
    if (uid !== NO_ID && toUid !== key.uid) return -EACCES;
    const member = toGid === credentials.fsgid || credentials.groups.includes(toGid);
    if (gid !== NO_ID && toGid !== key.gid && !member) return -EACCES;
  }
  if (uid !== NO_ID && toUid !== key.uid) {
    const r = key.changeOwner(toUid);
    if (r < 0) return r;
  }
  if (gid !== NO_ID) key.gid = toGid;
  return 0;
};

const setPermissions: Command = (task, id, permissions) => {
  const bits = permissions >>> 0;
  if (bits & ~0x3f3f3f3f) return -EINVAL;
  const found = lookUp(task, serial(id), CREATE | PARTIAL, KEY_SETATTR);
  if (typeof found === 'number') return found;
  const { key } = found;
  if (key.uid !== task.credentials.fsuid && !capable(task.credentials, CAP_SYS_ADMIN)) return -EACCES;
  key.permissions = bits;
  return 0;
};

const describe: Command = (task, id, address, room) => {
  const found = lookUp(task, serial(id), PARTIAL, KEY_VIEW);
  if (typeof found === 'number') return found;
  const { key } = found;
  const { user } = task.credentials;
  const uid = shownId(user.uidMap, key.uid);
  const gid = key.gid === NO_GROUP ? OVERFLOW_ID : shownId(user.gidMap, key.gid);
  const permissions = (key.permissions >>> 0).toString(16).padStart(8, '0');
  const text = `${key.type.name};${uid};${gid};${permissions};${key.description}\0`;
  return give(task, Buffer.from(text, 'latin1'), address as UserAddress, room);
};

const clear: Command = (task, id) => {
  const found = lookUpKeyring(task, serial(id), CREATE, KEY_WRITE);
  if (typeof found === 'number') return found;
  for (const key of [...(found.key.links?.values() ?? [])]) unlinkKey(found.key, key);
  return 0;
};

const link: Command = (task, id, keyring) => {
  const where = lookUp(task, serial(keyring), CREATE, KEY_WRITE);
  if (typeof where === 'number') return where;
  const found = lookUp(task, serial(id), CREATE, KEY_LINK);
  return typeof found === 'number' ? found : addLink(where.key, found.key);
};

const unlink: Command = (task, id, keyring) => {
  const where = lookUp(task, serial(keyring), 0, KEY_WRITE);
  if (typeof where === 'number') return where;
  const found = lookUp(task, serial(id), PARTIAL | ANY_STATE, 0);
  if (typeof found === 'number') return found;
  if (!where.key.links) return -ENOTDIR;
  if (where.key.links.get(found.key.index) !== found.key) return -ENOENT;
  unlinkKey(where.key, found.key);
  return 0;
};

const move: Command = (task, id, from, to, flags) => {
  if (flags & ~KEYCTL_MOVE_EXCL) return -EINVAL;
  const found = lookUp(task, serial(id), CREATE, KEY_LINK);
  if (typeof found === 'number') return found;
  const source = lookUp(task, serial(from), 0, KEY_WRITE);
  if (typeof source === 'number') return source;
  const target = lookUp(task, serial(to), CREATE, KEY_WRITE);
  if (typeof target === 'number') return target;
  if (source.key === target.key) return 0;
  if (!source.key.links || !target.key.links) return -ENOTDIR;
  if (source.key.links.get(found.key.index) !== found.key) return -ENOENT;
  if (flags & KEYCTL_MOVE_EXCL && target.key.links.has(found.key.index)) return -EEXIST;
  const r = addLink(target.key, found.key);
  if (r === 0) unlinkKey(source.key, found.key);
  return r;
};

const search: Command = (task, keyring, typeAddress, descriptionAddress, destination) => {
  const name = readType(task, typeAddress as UserAddress);
  if (typeof name === 'number') return name;
  const description = readString(task, descriptionAddress as UserAddress, DESCRIPTION_MAX);
  if (typeof description === 'number') return description;
  const where = lookUp(task, serial(keyring), 0, KEY_SEARCH);
  if (typeof where === 'number') return where;
  const target = serial(destination) === 0 ? null : lookUp(task, serial(destination), CREATE, KEY_WRITE);
  if (typeof target === 'number') return target;
  const type = keyType(name);
  if (!type) return -ENOKEY;
  if (!where.key.links) return -ENOTDIR;
  const key = searchKeyring(task, where, type, description);
  if (typeof key === 'number') return key === -EAGAIN ? -ENOKEY : key;
  if (!target) return key.serial;
  const r = mayUse(key, task.credentials, where.possessed, KEY_LINK) || addLink(target.key, key);
  return r < 0 ? r : key.serial;
};

/** A key that may not be read by its permissions can be, if it may be searched and is the caller's own. */
const read: Command = (task, id, address, room) => {
  const found = lookUp(task, serial(id), ANY_STATE, 0);
  if (typeof found === 'number') return -ENOKEY;
  const { key, possessed } = found;
  if (key.rejects !== 0) return -key.rejects;
  if (mayUse(key, task.credentials, possessed, KEY_READ) < 0) {
    if (!possessed || mayUse(key, task.credentials, possessed, KEY_SEARCH) < 0) return -EACCES;
  }
  if (!key.type.readable) return -EOPNOTSUPP;
  const r = key.validate();
  if (r < 0) return r;
  if (!key.links) return give(task, key.payload, address as UserAddress, room);
  const serials = Int32Array.from(key.links.values(), (inner) => inner.serial);
  return give(task, new Uint8Array(serials.buffer), address as UserAddress, room);
};

const REQUEST_KEYRINGS = new Map([
  [KEY_REQKEY_DEFL_THREAD_KEYRING, KEY_SPEC_THREAD_KEYRING],
  [KEY_REQKEY_DEFL_PROCESS_KEYRING, KEY_SPEC_PROCESS_KEYRING],
]);

const setRequestKeyring: Command = (task, argument) => {
  const wanted = serial(argument);
  const old = task.keys.requestDefault;
  if (wanted === KEY_REQKEY_DEFL_NO_CHANGE) return old;
  const known =
    (wanted >= KEY_REQKEY_DEFL_DEFAULT && wanted <= KEY_REQKEY_DEFL_USER_SESSION_KEYRING) ||
    wanted === KEY_REQKEY_DEFL_REQUESTOR_KEYRING;
  if (!known) return -EINVAL;
  const keyring = REQUEST_KEYRINGS.get(wanted);
  if (keyring !== undefined) {
    const made = lookUp(task, keyring, CREATE, 0);
    if (typeof made === 'number') return made;
  }
  task.keys.requestDefault = wanted;
  return old;
};

const setTimeout: Command = (task, id, seconds) => {
  const found = lookUp(task, serial(id), CREATE | PARTIAL, KEY_SETATTR);
  if (typeof found === 'number') return found;
  found.key.setTimeout(seconds >>> 0);
  return 0;
};

/** Without a security module every key has an empty label. */
const getSecurity: Command = (task, id, address, room) => {
  const found = lookUp(task, serial(id), PARTIAL, KEY_VIEW);
  return typeof found === 'number' ? found : give(task, new Uint8Array(1), address as UserAddress, room);
};

/** The session keyring for the parent, if it is as the caller is (keyctl_session_to_parent(3)). */
const sessionToParent: Command = (task) => {
  const found = lookUp(task, KEY_SPEC_SESSION_KEYRING, 0, KEY_LINK);
  if (typeof found === 'number') return found;
  const parent = task.group.parent;
  if (parent?.threads.size !== 1 || parent.parent === null) return -EPERM;
  const its = parent.leader.credentials;
  const own = task.credentials;
  const alike =
    its.uid === own.euid &&
    its.euid === own.euid &&
    its.suid === own.euid &&
    its.gid === own.egid &&
    its.egid === own.egid &&
    its.sgid === own.egid;
  if (!alike || found.key.uid !== own.euid) return -EPERM;
  setSession(parent.leader, found.key);
  return 0;
};

/** Only who makes a key for somebody else has the authority to, and nobody does. */
const needsAuthority: Command = () => -EPERM;

const assumeAuthority: Command = (_task, id) => {
  if (serial(id) < 0) return -EINVAL;
  return serial(id) === 0 ? 0 : -ENOKEY;
};

const getPersistent: Command = (task, id, keyring) => {
  const { credentials } = task;
  const { uidMap } = credentials.user;
  const uid = id >>> 0 === NO_ID ? credentials.uid : idFrom(uidMap, id >>> 0);
  if (uid === NO_ID) return -EINVAL;
  if (uid !== credentials.uid && uid !== credentials.euid && !capable(credentials, CAP_SETUID)) return -EPERM;
  const where = lookUpKeyring(task, serial(keyring), CREATE, KEY_WRITE);
  if (typeof where === 'number') return where;
  const user = keyUser(uid);
  if (user.persistent && user.persistent.validate() < 0) {
    user.persistent.release();
    user.persistent = null;
  }
  if (!user.persistent) {
    const description = `_persistent.${shownId(uidMap, uid)}`;
    const made = Key.make(KEYRING, description, uid, NO_GROUP, 0x1f3f0000);
    if (typeof made === 'number') return made;
    user.persistent = made.hold();
  }
  const r = addLink(where.key, user.persistent);
  if (r < 0) return r;
  user.persistent.setTimeout(PERSISTENT_EXPIRY);
  return user.persistent.serial;
};

/** Without a type: nothing more may be linked. Restrictions by type are those of certificates, which there are not. */
const restrict: Command = (task, id, type) => {
  const found = lookUpKeyring(task, serial(id), 0, KEY_SETATTR);
  if (typeof found === 'number') return found;
  if (type !== 0) {
    const name = readType(task, type as UserAddress);
    return typeof name === 'number' ? name : -ENOENT;
  }
  if (found.key.restricted) return -EEXIST;
  found.key.restricted = true;
  return 0;
};

// Keyrings by the names of what they are, invalidation, restriction, moving; persistent keyrings, big keys.
const CAPABILITIES = Uint8Array.of(0x01 | 0x02 | 0x10 | 0x20 | 0x40 | 0x80, 0);

/** Fills what room there is: what the program knows beyond that is 0. */
const capabilities: Command = (task, address, room) => {
  if (room > 0 && address !== 0) {
    const length = Math.min(room, PAYLOAD_MAX);
    const at = allocateScratch(length);
    if (at < 0) return -ENOMEM;
    u8.fill(0, at, at + length);
    u8.set(CAPABILITIES.subarray(0, length), at);
    if (task.memory.write(address as UserAddress, at, length) < 0) return -EFAULT;
  }
  return CAPABILITIES.length;
};

const COMMANDS: ReadonlyMap<number, Command> = new Map([
  [KEYCTL_GET_KEYRING_ID, getKeyringId],
  [KEYCTL_JOIN_SESSION_KEYRING, joinSessionKeyring],
  [KEYCTL_UPDATE, update],
  [KEYCTL_REVOKE, revoke],
  [KEYCTL_CHOWN, changeOwner],
  [KEYCTL_SETPERM, setPermissions],
  [KEYCTL_DESCRIBE, describe],
  [KEYCTL_CLEAR, clear],
  [KEYCTL_LINK, link],
  [KEYCTL_UNLINK, unlink],
  [KEYCTL_SEARCH, search],
  [KEYCTL_READ, read],
  [KEYCTL_INSTANTIATE, needsAuthority],
  [KEYCTL_NEGATE, needsAuthority],
  [KEYCTL_REJECT, needsAuthority],
  [KEYCTL_INSTANTIATE_IOV, needsAuthority],
  [KEYCTL_SET_REQKEY_KEYRING, setRequestKeyring],
  [KEYCTL_SET_TIMEOUT, setTimeout],
  [KEYCTL_ASSUME_AUTHORITY, assumeAuthority],
  [KEYCTL_GET_SECURITY, getSecurity],
  [KEYCTL_SESSION_TO_PARENT, sessionToParent],
  [KEYCTL_INVALIDATE, invalidate],
  [KEYCTL_GET_PERSISTENT, getPersistent],
  [KEYCTL_RESTRICT_KEYRING, restrict],
  [KEYCTL_MOVE, move],
  [KEYCTL_CAPABILITIES, capabilities],
]);
