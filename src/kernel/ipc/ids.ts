// What the three kinds of System V ipc objects have in common (sysvipc(7)): keys and identifiers, owners and
// permissions. An identifier is the object's place in the table and a count of its uses, so that a stale one is noticed.

import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM } from '../../abi/errno.ts';
import {
  IPC_CREAT,
  IPC_EXCL,
  IPC_PRIVATE,
  PERM_CGID,
  PERM_CUID,
  PERM_GID,
  PERM_MODE,
  PERM_SEQ,
  PERM_SIZE,
  PERM_UID,
} from '../../abi/ipc.ts';
import { realtimeSeconds } from '../../base/clock.ts';
import { type Credentials, capableIn } from '../../base/credentials.ts';
import { idFrom, initialUser, NO_ID, shownId, type UserNamespace } from '../../base/user-namespace.ts';
import { i32, u8, u16, u32 } from '../../platform/arena.ts';
import type { Task } from '../task.ts';

/** Identifiers are sequence * this + index. */
const INDEX_SPAN = 32768;
const SEQUENCE_MAX = 65535;

export const MAY_READ_IPC = 0o444;
export const MAY_WRITE_IPC = 0o222;

/** Owner and permissions of an object; the base of every kind. */
export class IpcObject {
  id = 0;
  key: number;
  uid: number;
  gid: number;
  readonly creatorUid: number;
  readonly creatorGid: number;
  mode: number;
  /** Of its making or the last IPC_SET, in seconds since 1970. */
  changeTime = nowSeconds();
  removed = false;
  /** The user namespace whose capabilities rule over it. */
  ruler: UserNamespace = initialUser;

  constructor(key: number, mode: number, owner: Credentials) {
    this.key = key;
    this.mode = mode & 0o777;
    this.uid = this.creatorUid = owner.euid;
    this.gid = this.creatorGid = owner.egid;
  }

  /** 0 or -EACCES; `want` is MAY_READ_IPC, MAY_WRITE_IPC or the permission bits of a get call. */
  check(credentials: Credentials, want: number): number {
    const asked = ((want >> 6) | (want >> 3) | want) & 7;
    const { euid, egid, groups } = credentials;
    let granted = this.mode;
    if (euid === this.uid || euid === this.creatorUid) granted >>= 6;
    else if ([this.gid, this.creatorGid].some((gid) => gid === egid || groups.includes(gid))) granted >>= 3;
    return asked & ~granted & 7 && !capableIn(this.ruler, credentials, CAP_IPC_OWNER) ? -EACCES : 0;
  }

  /** Whether the caller may change or remove it: 0 or -EPERM. */
  checkOwner(credentials: Credentials): number {
    const { euid } = credentials;
    return euid === this.uid || euid === this.creatorUid || capableIn(this.ruler, credentials, CAP_SYS_ADMIN)
      ? 0
      : -EPERM;
  }

  /** Lays down a struct ipc64_perm, its ids as the viewer sees them. */
  putPermissions(at: number, viewer: Task): void {
    const { user } = viewer.credentials;
    u8.fill(0, at, at + PERM_SIZE);
    i32[at >>> 2] = this.key;
    u32[(at + PERM_UID) >>> 2] = shownId(user.uidMap, this.uid);
    u32[(at + PERM_GID) >>> 2] = shownId(user.gidMap, this.gid);
    u32[(at + PERM_CUID) >>> 2] = shownId(user.uidMap, this.creatorUid);
    u32[(at + PERM_CGID) >>> 2] = shownId(user.gidMap, this.creatorGid);
    u32[(at + PERM_MODE) >>> 2] = this.mode;
    u16[(at + PERM_SEQ) >>> 1] = Math.floor(this.id / INDEX_SPAN);
  }

  /** IPC_SET: takes owner and permissions from a struct ipc64_perm. 0, or -EINVAL for ids that are none. */
  setPermissions(at: number, by: Task): number {
    const { user } = by.credentials;
    const uid = idFrom(user.uidMap, u32[(at + PERM_UID) >>> 2]);
    const gid = idFrom(user.gidMap, u32[(at + PERM_GID) >>> 2]);
    if (uid === NO_ID || gid === NO_ID) return -EINVAL;
    this.uid = uid;
    this.gid = gid;
    this.mode = (this.mode & ~0o777) | (u32[(at + PERM_MODE) >>> 2] & 0o777);
    this.changeTime = nowSeconds();
    return 0;
  }
}

/** All objects of one kind in a namespace. */
export class IpcTable<T extends IpcObject> {
  private readonly ruler: UserNamespace;
  /** By index; null where there is none. */
  readonly objects: (T | null)[] = [];
  private readonly byKey = new Map<number, T>();
  private sequence = 0;
  /** The identifier that the next one is to have if that is free (kernel.msg_next_id and its kin); -1 for any. */
  nextId = -1;
  /** No index below this one is free. */
  private lowestFree = 0;
  count = 0;

  constructor(ruler: UserNamespace) {
    this.ruler = ruler;
  }

  /**
   * The identifier for a key, as msgget(2) and its kin find or make it. `make` makes an object, `fits` says what is
   * wrong with one that is there.
   */
  get(
    key: number,
    flags: number,
    credentials: Credentials,
    most: number,
    make: () => T | number,
    fits: (object: T) => number,
  ): number {
    const known = key === IPC_PRIVATE ? undefined : this.byKey.get(key);
    if (known) {
      if (flags & IPC_CREAT && flags & IPC_EXCL) return -EEXIST;
      const r = fits(known);
      if (r < 0) return r;
      const allowed = known.check(credentials, flags & 0o777);
      return allowed < 0 ? allowed : known.id;
    }
    if (key !== IPC_PRIVATE && !(flags & IPC_CREAT)) return -ENOENT;
    if (this.count >= most) return -ENOSPC;
    const made = make();
    return typeof made === 'number' ? made : this.add(made);
  }

  private add(object: T): number {
    object.ruler = this.ruler;
    object.id = this.takeWanted();
    if (object.id < 0) {
      let index = this.lowestFree;
      while (this.objects[index]) index++;
      this.lowestFree = index + 1;
      // A sequence goes on when places are used again, so that no identifier comes back soon.
      if (index < this.objects.length) this.sequence = (this.sequence + 1) % SEQUENCE_MAX;
      object.id = this.sequence * INDEX_SPAN + index;
    }
    this.objects[object.id % INDEX_SPAN] = object;
    if (object.key !== IPC_PRIVATE) this.byKey.set(object.key, object);
    this.count++;
    return object.id;
  }

  /** The identifier that was asked for, once, or where its place is taken the next one that is free; -1 for none. */
  private takeWanted(): number {
    const wanted = this.nextId;
    this.nextId = -1;
    if (wanted < 0) return -1;
    let index = wanted % INDEX_SPAN;
    while (this.objects[index]) index++;
    if (index >= INDEX_SPAN) return -1;
    while (this.objects.length < index) this.objects.push(null);
    return wanted - (wanted % INDEX_SPAN) + index;
  }

  /** The object with an identifier, or null. */
  find(id: number): T | null {
    const object = id < 0 ? null : this.objects[id % INDEX_SPAN];
    return object?.id === id ? object : null;
  }

  /** The object at an index (the STAT commands of ipcs(1)), which an identifier stands for too; or null. */
  at(index: number): T | null {
    return this.objects[index % INDEX_SPAN] ?? null;
  }

  /** Highest index in use; 0 when there is none, as the INFO commands answer. */
  get highest(): number {
    for (let index = this.objects.length - 1; index > 0; index--) if (this.objects[index]) return index;
    return 0;
  }

  /** Its key is free for others from now on, though it may still be there. */
  forgetKey(object: T): void {
    if (this.byKey.get(object.key) === object) this.byKey.delete(object.key);
    object.key = IPC_PRIVATE;
  }

  remove(object: T): void {
    this.forgetKey(object);
    const index = object.id % INDEX_SPAN;
    this.objects[index] = null;
    this.lowestFree = Math.min(this.lowestFree, index);
    object.removed = true;
    this.count--;
  }
}

export function nowSeconds(): number {
  return Math.floor(realtimeSeconds());
}
