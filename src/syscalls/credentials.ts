// User and group ids (credentials(7)): getuid(2) and its kin, setresuid(2) and its kin, supplementary groups.

import { CAP_SETGID } from '../abi/capability.ts';
import { EINVAL, EPERM } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { type Credentials, capable } from '../base/credentials.ts';
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
import { ownEgid, ownEuid, ownGid, ownUid } from '../kernel/own-answers.ts';
import type { Task } from '../kernel/task.ts';
import { u32 } from '../platform/arena.ts';

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
  return change(task, setUid(task.credentials, uid));
}

export function setgid(task: Task, gid: number): number {
  return change(task, setGid(task.credentials, gid));
}

export function setreuid(task: Task, ruid: number, euid: number): number {
  return change(task, setReUid(task.credentials, ruid, euid));
}

export function setregid(task: Task, rgid: number, egid: number): number {
  return change(task, setReGid(task.credentials, rgid, egid));
}

export function setresuid(task: Task, ruid: number, euid: number, suid: number): number {
  return change(task, setResUid(task.credentials, ruid, euid, suid));
}

export function setresgid(task: Task, rgid: number, egid: number, sgid: number): number {
  return change(task, setResGid(task.credentials, rgid, egid, sgid));
}

/** Answers the old id, whether it could be changed or not. */
export function setfsuid(task: Task, uid: number): number {
  const old = task.credentials.fsuid;
  commitCredentials(task, setFsUid(task.credentials, uid));
  return old;
}

/** Answers the old id, whether it could be changed or not. */
export function setfsgid(task: Task, gid: number): number {
  const old = task.credentials.fsgid;
  commitCredentials(task, setFsGid(task.credentials, gid));
  return old;
}

export function getresuid(task: Task, ruid: UserAddress, euid: UserAddress, suid: UserAddress): number {
  const { credentials } = task;
  return putIds(task, ruid, credentials.uid, euid, credentials.euid, suid, credentials.suid);
}

export function getresgid(task: Task, rgid: UserAddress, egid: UserAddress, sgid: UserAddress): number {
  const { credentials } = task;
  return putIds(task, rgid, credentials.gid, egid, credentials.egid, sgid, credentials.sgid);
}

function putIds(
  task: Task,
  real: UserAddress,
  realId: number,
  effective: UserAddress,
  effectiveId: number,
  saved: UserAddress,
  savedId: number,
): number {
  const r = putId(task, real, realId);
  if (r < 0) return r;
  const e = putId(task, effective, effectiveId);
  return e < 0 ? e : putId(task, saved, savedId);
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
  for (let i = 0; i < groups.length; i++) u32[(at >>> 2) + i] = groups[i];
  return groups.length;
}

export function setgroups(task: Task, size: number, list: UserAddress): number {
  if (!capable(task.credentials, CAP_SETGID)) return -EPERM;
  if (size < 0 || size > NGROUPS_MAX) return -EINVAL;
  const at = task.memory.in(list, 4 * size);
  if (at < 0) return at;
  return change(task, setGroups(task.credentials, Array.from(u32.subarray(at >>> 2, (at >>> 2) + size))));
}
