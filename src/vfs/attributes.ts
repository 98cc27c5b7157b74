// Changing attributes (chmod, chown, utimensat, truncate): who may, and what else changes with it (inode(7)).

import { CAP_CHOWN, CAP_FSETID } from '../abi/capability.ts';
import { EACCES, EFBIG, EINVAL, EISDIR, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY } from '../abi/misc.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from '../abi/stat.ts';
import { stampNow, type Timestamp } from '../base/clock.ts';
import { capable, inGroup } from '../base/credentials.ts';
import { idFrom } from '../base/user-namespace.ts';
import type { Task } from '../kernel/task.ts';
import type { Path } from './dentry.ts';
import type { AttributeChange, Inode } from './inode.ts';
import { isAppendOnly, isFixed, isImmutable } from './inode-flags.ts';
import { notifyDentry } from './notify.ts';
import { capableOver, checkAccess, isOwner, MAY_WRITE } from './permission.ts';
import { checkWritable } from './walk.ts';
import { mayWriteText } from './write-access.ts';

/** An id that chown(2) leaves as it is. */
const KEEP = 0xffffffff;

/** Passes on a result; when it is success, watchers are told. */
function told(path: Path, inode: Inode, result: number, event: number): number {
  if (result === 0) notifyDentry(path.dentry, inode, event);
  return result;
}

/** chmod(2) */
export function changeMode(task: Task, path: Path, inode: Inode, mode: number): number {
  const readonly = checkWritable(path.mount);
  if (readonly < 0) return readonly;
  if ((inode.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
  const { credentials } = task;
  if (isFixed(inode) || !isOwner(inode, credentials)) return -EPERM;
  let bits = mode & 0o7777;
  if (!inGroup(credentials, inode.gid) && !capableOver(inode, credentials, CAP_FSETID)) bits &= ~S_ISGID;
  return told(path, inode, inode.setattr({ mode: bits }), IN_ATTRIB);
}

/** chown(2), by ids as the task gives them */
export function changeOwner(task: Task, path: Path, inode: Inode, givenUid: number, givenGid: number): number {
  const { user } = task.credentials;
  const uid = idFrom(user.uidMap, givenUid);
  const gid = idFrom(user.gidMap, givenGid);
  if ((uid === KEEP && givenUid !== KEEP) || (gid === KEEP && givenGid !== KEEP)) return -EINVAL;
  const readonly = checkWritable(path.mount);
  if (readonly < 0) return readonly;
  const { credentials } = task;
  if (isFixed(inode)) return -EPERM;
  const change: AttributeChange = {};
  const privileged = capableOver(inode, credentials, CAP_CHOWN);
  if (uid !== KEEP) {
    if (!privileged && !(inode.uid === credentials.fsuid && uid === inode.uid)) return -EPERM;
    change.uid = uid;
  }
  if (gid !== KEEP) {
    const mine = inode.uid === credentials.fsuid && (gid === inode.gid || inGroup(credentials, gid));
    if (!privileged && !mine) return -EPERM;
    change.gid = gid;
  }
  const { mode } = inode;
  if ((mode & S_IFMT) === S_IFREG) {
    // A program that changes hands is set-id no more.
    const drop = (mode & S_ISUID) | (mode & S_IXGRP ? mode & S_ISGID : 0);
    if (drop) change.mode = mode & 0o7777 & ~drop;
  }
  if (change.uid === undefined && change.gid === undefined && change.mode === undefined) return 0;
  const r = told(path, inode, inode.setattr(change), IN_ATTRIB);
  if (r === 0 && !inode.isDirectory) inode.dropCapabilities();
  return r;
}

/**
 * utimensat(2): null leaves a time as it is; `now` says that both were given as "now" (or not at all), which takes
 * less than ownership.
 */
export function changeTimes(
  task: Task,
  path: Path,
  inode: Inode,
  atime: Timestamp | null,
  mtime: Timestamp | null,
  now: boolean,
): number {
  const readonly = checkWritable(path.mount);
  if (readonly < 0) return readonly;
  if (!atime && !mtime) return 0;
  if (isFixed(inode) && (!now || isImmutable(inode))) return -EPERM;
  if (!isOwner(inode, task.credentials)) {
    if (!now) return -EPERM;
    const r = checkAccess(inode, task.credentials, MAY_WRITE);
    if (r < 0) return -EACCES;
  }
  const change: AttributeChange = {};
  if (atime) change.atime = atime;
  if (mtime) change.mtime = mtime;
  return told(path, inode, inode.setattr(change), !mtime ? IN_ACCESS : !atime ? IN_MODIFY : IN_ATTRIB);
}

/**
 * A change of a program's data takes its capabilities away, and by somebody without CAP_FSETID its set-user-id and
 * set-group-id.
 */
export function dropSetId(task: Task, path: Path, inode: Inode): void {
  inode.dropCapabilities();
  if (!(inode.mode & (S_ISUID | S_ISGID)) || capable(task.credentials, CAP_FSETID)) return;
  const dropsGroup = inode.mode & S_IXGRP || !inGroup(task.credentials, inode.gid);
  const drop = S_ISUID | (dropsGroup ? S_ISGID : 0);
  if (inode.mode & drop) told(path, inode, inode.setattr({ mode: inode.mode & 0o7777 & ~drop }), IN_ATTRIB);
}

/** truncate(2) by name */
export function truncateInode(task: Task, path: Path, inode: Inode, length: number): number {
  if ((inode.mode & S_IFMT) === S_IFDIR) return -EISDIR;
  if ((inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  const readonly = checkWritable(path.mount);
  if (readonly < 0) return readonly;
  let r = checkAccess(inode, task.credentials, MAY_WRITE);
  if (r === 0 && isAppendOnly(inode)) r = -EPERM;
  if (r === 0) r = mayWriteText(inode);
  if (r === 0) r = told(path, inode, inode.setattr({ size: length }), IN_MODIFY);
  if (r === 0) dropSetId(task, path, inode);
  return r;
}

/** -EFBIG when a file may not become this long (RLIMIT_FSIZE; the caller sends SIGXFSZ), else 0. */
export function checkSizeLimit(limit: number, length: number): number {
  return length > limit ? -EFBIG : 0;
}

/** The current time as a timestamp of its own. */
export function currentTime(): Timestamp {
  const time = { seconds: 0, nanoseconds: 0 };
  stampNow(time);
  return time;
}
