// User and group ids (credentials(7)): getuid(2) and its kin, setresuid(2) and its kin, supplementary groups.

import { CAP_SETGID } from '../abi/capability.ts';
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { type Credentials, hasCapabilityIn } from '../base/credentials.ts';
import { NO_ID } from '../base/user-namespace.ts';
import {
  commitCredentials,
  NGROUPS_MAX,
  setFsGid,
  setFsUid,
  setGid,
  setGroups,
  setReGid,
  setResGid,
  setResUid,
  setReUid,
  setUid,
} from '../kernel/credentials.ts';
import { kernel } from '../kernel/kernel.ts';
import { ownEgid, ownEuid, ownGid, ownUid } from '../kernel/own-answers.ts';
import type { Task } from '../kernel/task.ts';
import { allowsSetgroups, gidFrom, gidSeen, uidFrom, uidSeen } from '../kernel/user-namespaces.ts';
import { u32 } from '../platform/arena.ts';

/** Makes a change by ids as the task gives them; -EINVAL for one that its user namespace does not know. */
function withIds(
  task: Task,
  from: (task: Task, id: number) => number,
  given: readonly number[],
  make: (ids: readonly number[]) => Credentials | number,
): number {
  const ids = given.map((id) => from(task, id));
  if (ids.some((id, i) => id === NO_ID && given[i] !== NO_ID)) return -EINVAL;
  return change(task, make(ids));
}

/** Commits what a change gave, or passes its errno on. */
function change(task: Task, fresh: Credentials | number): number {
  if (typeof fresh === 'number') return fresh;
  commitCredentials(task, fresh);
  return 0;
}

export function getuid(task: Task): number {
  return ownUid(task);
}

export function geteuid(task: Task): number {
  return ownEuid(task);
}

export function getgid(task: Task): number {
  return ownGid(task);
}

export function getegid(task: Task): number {
  return ownEgid(task);
}

export function setuid(task: Task, uid: number): number {
  return withIds(task, uidFrom, [uid], ([id]) => setUid(task.credentials, id));
}

export function setgid(task: Task, gid: number): number {
  return withIds(task, gidFrom, [gid], ([id]) => setGid(task.credentials, id));
}

export function setreuid(task: Task, ruid: number, euid: number): number {
  return withIds(task, uidFrom, [ruid, euid], ([r, e]) => setReUid(task.credentials, r, e));
}

export function setregid(task: Task, rgid: number, egid: number): number {
  return withIds(task, gidFrom, [rgid, egid], ([r, e]) => setReGid(task.credentials, r, e));
}

export function setresuid(task: Task, ruid: number, euid: number, suid: number): number {
  return withIds(task, uidFrom, [ruid, euid, suid], ([r, e, s]) => setResUid(task.credentials, r, e, s));
}

export function setresgid(task: Task, rgid: number, egid: number, sgid: number): number {
  return withIds(task, gidFrom, [rgid, egid, sgid], ([r, e, s]) => setResGid(task.credentials, r, e, s));
}

/** Answers the old id, whether it could be changed or not. */
export function setfsuid(task: Task, uid: number): number {
  const old = task.credentials.fsuid;
  commitCredentials(task, setFsUid(task.credentials, uidFrom(task, uid)));
  return uidSeen(task, old);
}

/** Answers the old id, whether it could be changed or not. */
export function setfsgid(task: Task, gid: number): number {
  const old = task.credentials.fsgid;
  commitCredentials(task, setFsGid(task.credentials, gidFrom(task, gid)));
  return gidSeen(task, old);
}

export function getresuid(task: Task, ruid: UserAddress, euid: UserAddress, suid: UserAddress): number {
  const { credentials } = task;
  return putIds(task, uidSeen, ruid, credentials.uid, euid, credentials.euid, suid, credentials.suid);
}

export function getresgid(task: Task, rgid: UserAddress, egid: UserAddress, sgid: UserAddress): number {
  const { credentials } = task;
  return putIds(task, gidSeen, rgid, credentials.gid, egid, credentials.egid, sgid, credentials.sgid);
}

function putIds(
  task: Task,
  seen: (task: Task, id: number) => number,
  real: UserAddress,
  realId: number,
  effective: UserAddress,
  effectiveId: number,
  saved: UserAddress,
  savedId: number,
): number {
  const r = putId(task, real, seen(task, realId));
  if (r < 0) return r;
  const e = putId(task, effective, seen(task, effectiveId));
  return e < 0 ? e : putId(task, saved, seen(task, savedId));
}

function putId(task: Task, address: UserAddress, id: number): number {
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  u32[at >>> 2] = id;
  return 0;
}

export function getgroups(task: Task, size: number, list: UserAddress): number {
  const { groups } = task.credentials;
  if (size < 0) return -EINVAL;
  if (size === 0 || groups.length === 0) return groups.length;
  if (groups.length > size) return -EINVAL;
  const at = task.memory.out(list, 4 * groups.length);
  if (at < 0) return at;
  for (let i = 0; i < groups.length; i++) u32[(at >>> 2) + i] = gidSeen(task, groups[i]);
  return groups.length;
}

/** Long lists are counted, over all tasks: they take the sentry's memory. */
const MANY_GROUPS = 1000;
const GROUPS_MOST = 1 << 22;

function groupsInAll(): number {
  const lists = new Set<readonly number[]>();
  for (const { credentials } of kernel.tasks.values()) lists.add(credentials.groups);
  let count = 0;
  for (const list of lists) count += list.length;
  return count;
}

export function setgroups(task: Task, size: number, list: UserAddress): number {
  const { effective, user } = task.credentials;
  if (!hasCapabilityIn(effective, CAP_SETGID) || !allowsSetgroups(user)) return -EPERM;
  if (size < 0 || size > NGROUPS_MAX) return -EINVAL;
  if (size > MANY_GROUPS && groupsInAll() + size > GROUPS_MOST) return -ENOMEM;
  const at = task.memory.in(list, 4 * size);
  if (at < 0) return at;
  const groups = Array.from(u32.subarray(at >>> 2, (at >>> 2) + size), (gid) => gidFrom(task, gid));
  return change(task, setGroups(task.credentials, groups));
}
