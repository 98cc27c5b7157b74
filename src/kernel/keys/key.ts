// Keys (keyrings(7)): what they are, who may do what with them, and what each user may keep. A key lives as long as a
// keyring links to it or a process, session or user has it for a keyring.

import { EACCES, EDQUOT, EINVAL, EKEYEXPIRED, EKEYREVOKED, ENOKEY, EOPNOTSUPP } from '../../abi/errno.ts';
import { KEY_GROUP_SHIFT, KEY_POSSESSOR_SHIFT, KEY_USER_SHIFT } from '../../abi/keys.ts';
import { monotonicNow } from '../../base/clock.ts';
import type { Credentials } from '../../base/credentials.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, releaseScratch, u32 } from '../../platform/arena.ts';

/** A kind of keys. */
export interface KeyType {
  readonly name: string;
  /** Bytes of payload: at least, and at most. */
  readonly least: number;
  readonly most: number;
  readonly readable: boolean;
  readonly updatable: boolean;
  /** 0, or -EINVAL for a description that no key of this kind can have. */
  checkDescription(description: string): number;
}

const anyDescription = (): number => 0;

export const KEYRING: KeyType = {
  name: 'keyring',
  least: 0,
  most: 0,
  readable: true,
  updatable: false,
  checkDescription: anyDescription,
};

const TYPES: readonly KeyType[] = [
  KEYRING,
  { name: 'user', least: 1, most: 32767, readable: true, updatable: true, checkDescription: anyDescription },
  // Keys that the kernel alone may read: the description begins with what they are for and a colon.
  {
    name: 'logon',
    least: 1,
    most: 32767,
    readable: false,
    updatable: true,
    checkDescription: (description) => (description.indexOf(':') > 0 ? 0 : -EINVAL),
  },
  { name: 'big_key', least: 1, most: (1 << 20) - 1, readable: true, updatable: true, checkDescription: anyDescription },
];

export function keyType(name: string): KeyType | null {
  return TYPES.find((type) => type.name === name) ?? null;
}

// ---- what a user has ----

/** /proc/sys/kernel/keys: how many keys and bytes a user may have. */
export const keyLimits = { maxkeys: 200, maxbytes: 20000, root_maxkeys: 20000, root_maxbytes: 25000000 };
/** Of all users together, of whom root can be many. */
const ALL_KEYS_MAX = 50000;
const ALL_BYTES_MAX = 64 << 20;
let allBytes = 0;
/** Links cost more here than what is paid for them. */
const ALL_LINKS_MAX = 1 << 18;
let allLinks = 0;
/** A keyring pays so many bytes for each link. */
const LINK_BYTES = 4;

export class KeyUser {
  readonly uid: number;
  keys = 0;
  bytes = 0;
  /** Its keyrings, once made: KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING, and the persistent one. */
  keyring: Key | null = null;
  session: Key | null = null;
  persistent: Key | null = null;

  constructor(uid: number) {
    this.uid = uid;
  }

  get maxKeys(): number {
    return this.uid === 0 ? keyLimits.root_maxkeys : keyLimits.maxkeys;
  }
  get maxBytes(): number {
    return this.uid === 0 ? keyLimits.root_maxbytes : keyLimits.maxbytes;
  }
}

/** Users by their id in the sandbox. */
export const keyUsers = new Map<number, KeyUser>();

export function keyUser(uid: number): KeyUser {
  let user = keyUsers.get(uid);
  if (!user) {
    user = new KeyUser(uid);
    keyUsers.set(uid, user);
  }
  return user;
}

// ---- keys ----

/** All keys by serial number. */
export const allKeys = new Map<number, Key>();
const SERIAL_MASK = 0x7fffffff;
/** The group of keyrings that belong to a user alone. */
export const NO_GROUP = -1;
/** Serial numbers below it are the special ones. */
const SERIAL_MIN = 3;
const SECOND = 1e9;

export class Key {
  readonly serial: number;
  readonly type: KeyType;
  readonly description: string;
  uid: number;
  gid: number;
  permissions: number;
  payload: Uint8Array = new Uint8Array(0);
  /** Of a keyring: its keys, by type and description. */
  readonly links: Map<string, Key> | null;
  revoked = false;
  invalidated = false;
  /** It stands for the lack of a key: looking for it gives this error. 0 for a real one. */
  rejects = 0;
  /** CLOCK_MONOTONIC, ns. */
  expiry = Number.POSITIVE_INFINITY;
  /** When it was revoked or expired. */
  deadSince = Number.POSITIVE_INFINITY;
  /** Links and other holders. */
  uses = 0;
  /** It is a user's keyring, or the session keyring of one. */
  ofUser = false;
  /** No more links are taken (KEYCTL_RESTRICT_KEYRING). */
  restricted = false;
  /** Bytes that its owner pays for. */
  bytes: number;

  private constructor(type: KeyType, description: string, uid: number, gid: number, permissions: number) {
    this.serial = freshSerial();
    this.type = type;
    this.description = description;
    this.uid = uid;
    this.gid = gid;
    this.permissions = permissions;
    this.links = type === KEYRING ? new Map() : null;
    this.bytes = description.length + 1;
  }

  /** A new key that nobody holds yet, or -EDQUOT, -EINVAL. */
  static make(type: KeyType, description: string, uid: number, gid: number, permissions: number): Key | number {
    if (description === '') return -EINVAL;
    const r = type.checkDescription(description);
    if (r < 0) return r;
    const user = keyUser(uid);
    if (user.keys + 1 > user.maxKeys || user.bytes + description.length + 1 > user.maxBytes) return -EDQUOT;
    if (allKeys.size >= ALL_KEYS_MAX) return -EDQUOT;
    const key = new Key(type, description, uid, gid, permissions);
    user.keys++;
    user.bytes += key.bytes;
    allBytes += key.bytes;
    allKeys.set(key.serial, key);
    return key;
  }

  /** By which a keyring finds it. */
  get index(): string {
    return indexOf(this.type, this.description);
  }

  /** Changes what its owner pays: 0 or -EDQUOT. */
  reserve(difference: number): number {
    const user = keyUser(this.uid);
    if (difference > 0 && user.bytes + difference > user.maxBytes) return -EDQUOT;
    if (difference > 0 && allBytes + difference > ALL_BYTES_MAX) return -EDQUOT;
    allBytes += difference;
    user.bytes += difference;
    this.bytes += difference;
    return 0;
  }

  setPayload(payload: Uint8Array): number {
    const r = this.reserve(payload.length - this.payload.length);
    if (r < 0) return r;
    this.payload = payload;
    this.rejects = 0;
    return 0;
  }

  /** 0, or why it cannot be used: -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED. */
  validate(): number {
    if (this.invalidated) return -ENOKEY;
    if (this.revoked) return -EKEYREVOKED;
    if (this.expiry <= monotonicNow()) return -EKEYEXPIRED;
    return 0;
  }

  /** Gives its bytes back and lets go of all it links to. */
  revoke(): void {
    if (this.revoked) return;
    this.revoked = true;
    this.deadSince = monotonicNow();
    this.drain();
  }

  setTimeout(seconds: number): void {
    this.expiry = seconds === 0 ? Number.POSITIVE_INFINITY : monotonicNow() + seconds * SECOND;
    this.deadSince = this.expiry;
  }

  private drain(): void {
    for (const key of [...(this.links?.values() ?? [])]) unlinkKey(this, key);
    this.reserve(-this.payload.length);
    this.payload = new Uint8Array(0);
  }

  hold(): this {
    this.uses++;
    return this;
  }

  /** A holder lets go; the last one destroys it. */
  release(): void {
    if (--this.uses > 0 || !allKeys.delete(this.serial)) return;
    this.drain();
    const user = keyUser(this.uid);
    user.keys--;
    user.bytes -= this.bytes;
    allBytes -= this.bytes;
    if (user.keys === 0 && user.keyring === null) keyUsers.delete(this.uid);
  }

  /** Gives it to another owner, who pays for it from now on: 0 or -EDQUOT. */
  changeOwner(uid: number): number {
    const user = keyUser(uid);
    if (user.keys + 1 > user.maxKeys || user.bytes + this.bytes > user.maxBytes) return -EDQUOT;
    const old = keyUser(this.uid);
    old.keys--;
    old.bytes -= this.bytes;
    user.keys++;
    user.bytes += this.bytes;
    this.uid = uid;
    return 0;
  }
}

export function indexOf(type: KeyType, description: string): string {
  return `${type.name}\0${description}`;
}

/** Random, as they are not to be guessed; the next free one from there. */
function freshSerial(): number {
  const mark = markScratch();
  const at = allocateScratch(4);
  if (at >= 0) host.getrandom(at, 4, 0);
  let serial = at >= 0 ? u32[at >>> 2] & SERIAL_MASK : SERIAL_MIN;
  releaseScratch(mark);
  while (serial < SERIAL_MIN || allKeys.has(serial)) serial = (serial + 1) & SERIAL_MASK;
  return serial;
}

/** Whether somebody may do all that `wanted` (KEY_*) says with a key: 0 or -EACCES. */
export function mayUse(key: Key, credentials: Credentials, possessed: boolean, wanted: number): number {
  let granted = key.permissions;
  const groupBits = (key.permissions >>> KEY_GROUP_SHIFT) & 0x3f;
  if (key.uid === credentials.fsuid) granted = key.permissions >>> KEY_USER_SHIFT;
  else if (groupBits !== 0 && (key.gid === credentials.fsgid || credentials.groups.includes(key.gid)))
    granted = key.permissions >>> KEY_GROUP_SHIFT;
  if (possessed) granted |= key.permissions >>> KEY_POSSESSOR_SHIFT;
  return (granted & wanted) === wanted ? 0 : -EACCES;
}

/** Links a key into a keyring in place of one that is called the same. 0 or -EDQUOT. */
export function linkKey(keyring: Key, key: Key): number {
  const links = keyring.links as Map<string, Key>;
  const old = links.get(key.index);
  if (old === key) return 0;
  if (!old) {
    const r = allLinks >= ALL_LINKS_MAX ? -EDQUOT : keyring.reserve(LINK_BYTES);
    if (r < 0) return r;
    allLinks++;
  }
  links.set(key.index, key.hold());
  old?.release();
  return 0;
}

export function unlinkKey(keyring: Key, key: Key): void {
  if (keyring.links?.get(key.index) !== key) return;
  keyring.links.delete(key.index);
  allLinks--;
  keyring.reserve(-LINK_BYTES);
  key.release();
}

/** -EOPNOTSUPP and -EINVAL of a payload for a kind of key, else 0. */
export function checkPayload(type: KeyType, length: number): number {
  return length < type.least || length > type.most ? -EINVAL : 0;
}

/** 0, or -EOPNOTSUPP for a kind that is never changed. */
export function checkUpdatable(type: KeyType): number {
  return type.updatable ? 0 : -EOPNOTSUPP;
}

/** Seconds that the dead stay in their keyrings (/proc/sys/kernel/keys/gc_delay). */
export const keyCollection = { delay: 300 };
/** They are looked for so often at most, in seconds. */
const SWEEP_PAUSE = 60;
let nextSweep = 0;

/** The delay has changed: the next look is not put off. */
export function hastenSweep(): void {
  nextSweep = 0;
}

/** Takes those out of keyrings that are dead for long, now and then. */
export function sweepKeys(): void {
  const now = monotonicNow();
  if (now < nextSweep) return;
  nextSweep = now + Math.min(SWEEP_PAUSE, keyCollection.delay) * SECOND;
  for (const keyring of [...allKeys.values()]) {
    for (const key of [...(keyring.links?.values() ?? [])])
      if (key.deadSince + keyCollection.delay * SECOND <= now) unlinkKey(keyring, key);
  }
}

/** An invalidated key is gone from everywhere at once. */
export function invalidateKey(key: Key): void {
  key.invalidated = true;
  key.hold();
  for (const keyring of [...allKeys.values()]) unlinkKey(keyring, key);
  key.release();
}
