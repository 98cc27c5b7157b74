// Making, removing and moving names (mkdir, unlink, rename, link, symlink, mknod): walk to the directories, check who
// may do what, let the filesystem do it, and keep the dentry cache true.

import { CAP_DAC_READ_SEARCH, CAP_MKNOD } from '../abi/capability.ts';
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../abi/errno.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../abi/fcntl.ts';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  S_ISUID,
  S_ISVTX,
  S_IXGRP,
} from '../abi/stat.ts';
import type { Fd } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import type { Task } from '../kernel/task.ts';
import type { Dentry } from './dentry.ts';
import { exchangeDentries, moveDentry, unlinkDentry } from './dentry-cache.ts';
import { checkMakingNode } from './devices.ts';
import type { Inode } from './inode.ts';
import { isFixed } from './inode-flags.ts';
import { notifyCreated, notifyLinks, notifyMoved, notifyRemoved } from './notify.ts';
import { checkMake } from './open.ts';
import {
  checkAccess,
  checkDelete,
  isOwner,
  MAY_READ,
  MAY_WRITE,
  maskedMode,
  withoutForeignSetgid,
} from './permission.ts';
import {
  checkWritable,
  instantiate,
  LAST_DOT,
  LAST_DOTDOT,
  LAST_NAME,
  LAST_ROOT,
  type Parent,
  resolve,
  resolveParent,
  WALK_EMPTY,
} from './walk.ts';

/** Where a new name would go, or -errno: -EEXIST when there is something already. */
function parentForNew(task: Task, dirfd: Fd, path: string, directory: boolean): Parent | number {
  const parent = resolveParent(task, dirfd, path, 0);
  if (typeof parent === 'number') return parent;
  if (parent.kind !== LAST_NAME || parent.child?.inode) return -EEXIST;
  if (parent.slash && !directory) return -ENOENT;
  const r = checkMake(task, parent);
  return r < 0 ? r : parent;
}

function settle(parent: Parent, made: Inode | number): number {
  if (typeof made === 'number') return made;
  instantiate(parent, made);
  notifyCreated(parent.dentry, parent.name, made);
  return 0;
}

/** mkdir(2) */
export function makeDirectory(task: Task, dirfd: Fd, path: string, mode: number): number {
  const parent = parentForNew(task, dirfd, path, true);
  if (typeof parent === 'number') return parent;
  const bits = maskedMode(directoryOf(parent), S_IFDIR | (mode & (0o777 | S_ISVTX)), task.fs.umask);
  return settle(parent, directoryOf(parent).mkdir(parent.name, bits, task.credentials));
}

/** symlink(2) */
export function makeSymlink(task: Task, target: string, dirfd: Fd, path: string): number {
  const parent = parentForNew(task, dirfd, path, false);
  if (typeof parent === 'number') return parent;
  return settle(parent, directoryOf(parent).symlink(parent.name, target, task.credentials));
}

/** mknod(2). Any device number may be given; what can be opened is settled by the sandbox's own drivers. */
export function makeNode(task: Task, dirfd: Fd, path: string, mode: number, rdev: number): number {
  const type = mode & S_IFMT || S_IFREG;
  if (type === S_IFDIR) return -EPERM;
  if (![S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].includes(type)) return -EINVAL;
  const parent = parentForNew(task, dirfd, path, false);
  if (typeof parent === 'number') return parent;
  if (type === S_IFCHR || type === S_IFBLK) {
    if (!capable(task.credentials, CAP_MKNOD)) return -EPERM;
    const refused = checkMakingNode(task.group, type, rdev);
    if (refused < 0) return refused;
  }
  return makeNodeIn(task, parent, type | (mode & 0o7777), rdev);
}

/** Makes a node where a walk found none: for mknod, and for bind(2) of a socket. */
function makeNodeIn(task: Task, parent: Parent, mode: number, rdev: number): number {
  const directory = directoryOf(parent);
  const bits = maskedMode(directory, withoutForeignSetgid(directory, mode, task.credentials), task.fs.umask);
  if ((mode & S_IFMT) === S_IFREG) return settle(parent, directory.create(parent.name, bits, task.credentials));
  return settle(parent, directory.mknod(parent.name, bits, rdev, task.credentials));
}

/** Makes the node of a bound socket (unix(7)); its dentry, or -errno (-EEXIST stands for -EADDRINUSE). */
export function makeSocketNode(task: Task, dirfd: Fd, path: string): Dentry | number {
  const parent = parentForNew(task, dirfd, path, false);
  if (typeof parent === 'number') return parent;
  const bits = S_IFSOCK | (0o777 & ~task.fs.umask);
  const made = directoryOf(parent).mknod(parent.name, bits, 0, task.credentials);
  return typeof made === 'number' ? made : instantiate(parent, made);
}

/** unlink(2) */
export function removeName(task: Task, dirfd: Fd, path: string): number {
  const parent = resolveParent(task, dirfd, path, 0);
  if (typeof parent === 'number') return parent;
  if (parent.kind !== LAST_NAME) return -EISDIR;
  const child = parent.child as Dentry;
  const inode = child.inode;
  if (!inode) return -ENOENT;
  if (parent.slash) return inode.isDirectory ? -EISDIR : -ENOTDIR;
  const r = checkRemove(task, parent, inode);
  if (r < 0) return r;
  if (inode.isDirectory) return -EISDIR;
  if (child.mounts !== null) return -EBUSY;
  const result = directoryOf(parent).unlink(parent.name, inode);
  if (result === 0) {
    notifyLinks(inode);
    forgetName(parent, child, inode);
  }
  return result;
}

/** rmdir(2) */
export function removeDirectory(task: Task, dirfd: Fd, path: string): number {
  const parent = resolveParent(task, dirfd, path, 0);
  if (typeof parent === 'number') return parent;
  if (parent.kind === LAST_DOT) return -EINVAL;
  if (parent.kind === LAST_DOTDOT) return -ENOTEMPTY;
  if (parent.kind === LAST_ROOT) return -EBUSY;
  const child = parent.child as Dentry;
  const inode = child.inode;
  if (!inode) return -ENOENT;
  const r = checkRemove(task, parent, inode);
  if (r < 0) return r;
  if (!inode.isDirectory) return -ENOTDIR;
  if (child.mounts !== null) return -EBUSY;
  const result = directoryOf(parent).rmdir(parent.name, inode);
  if (result === 0) {
    notifyLinks(inode);
    forgetName(parent, child, inode);
  }
  return result;
}

/** A name was removed: watchers of the inode that may go with it hear of it before those of its directory. */
function forgetName(parent: Parent, child: Dentry, inode: Inode): void {
  unlinkDentry(child);
  notifyRemoved(parent.dentry, parent.name, inode);
}

function checkRemove(task: Task, parent: Parent, inode: Inode): number {
  const readonly = checkWritable(parent.mount);
  if (readonly < 0) return readonly;
  return checkDelete(directoryOf(parent), inode, task.credentials);
}

function directoryOf(parent: Parent): Inode {
  return parent.dentry.inode as Inode;
}

/** link(2); `walkFlags` says whether a symbolic link is followed and an empty path allowed. */
export function linkName(
  task: Task,
  oldDirfd: Fd,
  oldPath: string,
  newDirfd: Fd,
  newPath: string,
  walkFlags: number,
): number {
  if (oldPath === '' && walkFlags & WALK_EMPTY && !mayLinkOpen(task, oldDirfd)) return -ENOENT;
  const source = resolve(task, oldDirfd, oldPath, walkFlags);
  if (typeof source === 'number') return source;
  const inode = source.dentry.inode as Inode;
  const parent = parentForNew(task, newDirfd, newPath, false);
  if (typeof parent === 'number') return parent;
  if (parent.mount !== source.mount) return -EXDEV;
  if (inode.isDirectory || isFixed(inode)) return -EPERM;
  if (inode.nlink === 0 && !inode.linkable) return -ENOENT;
  const allowed = checkLinkable(task, inode);
  if (allowed < 0) return allowed;
  const r = directoryOf(parent).link(parent.name, inode);
  if (r < 0) return r;
  instantiate(parent, inode);
  notifyLinks(inode);
  notifyCreated(parent.dentry, parent.name, inode);
  return 0;
}

/** Whether an open file may get a name: the task is still who it was when it opened it, or may look everywhere. */
function mayLinkOpen(task: Task, fd: Fd): boolean {
  return task.files.get(fd)?.opener === task.credentials || capable(task.credentials, CAP_DAC_READ_SEARCH);
}

/** protected_hardlinks of proc(5): who may link a file that is not theirs. */
function checkLinkable(task: Task, inode: Inode): number {
  const { credentials } = task;
  if (isOwner(inode, credentials)) return 0;
  const { mode } = inode;
  const special = (mode & S_IFMT) !== S_IFREG || mode & S_ISUID || (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  return special || checkAccess(inode, credentials, MAY_READ | MAY_WRITE) < 0 ? -EPERM : 0;
}

/** renameat2(2) with RENAME_NOREPLACE, RENAME_EXCHANGE or RENAME_WHITEOUT */
export function renameName(
  task: Task,
  oldDirfd: Fd,
  oldPath: string,
  newDirfd: Fd,
  newPath: string,
  flags: number,
): number {
  const from = resolveParent(task, oldDirfd, oldPath, 0);
  if (typeof from === 'number') return from;
  const to = resolveParent(task, newDirfd, newPath, 0);
  if (typeof to === 'number') return to;
  if (from.mount !== to.mount) return -EXDEV;
  if (from.kind !== LAST_NAME || to.kind !== LAST_NAME) {
    return to.kind !== LAST_NAME && flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
  }
  const source = from.child as Dentry;
  const target = to.child as Dentry;
  const r = checkRename(task, from, to, flags);
  if (r < 0) return r;
  const moved = source.inode as Inode;
  if (flags & RENAME_WHITEOUT && !directoryOf(from).makesWhiteouts) return -EINVAL;
  // Two names of one file: nothing happens.
  if (moved === target.inode) return 0;
  const result = directoryOf(from).rename(from.name, moved, directoryOf(to), to.name, target.inode, flags);
  if (result < 0) return result;
  const other = target.inode;
  if (flags & RENAME_EXCHANGE) {
    notifyMoved(from.dentry, from.name, to.dentry, to.name, moved, null);
    notifyMoved(to.dentry, to.name, from.dentry, from.name, other as Inode, null);
    exchangeDentries(source, target);
  } else {
    notifyMoved(from.dentry, from.name, to.dentry, to.name, moved, other);
    moveDentry(source, to.dentry, to.name);
    if (flags & RENAME_WHITEOUT) leaveWhiteout(task, from);
  }
  return 0;
}

/** What an overlay hides a name of its lower layer with stays in the place of a name that was moved. */
function leaveWhiteout(task: Task, from: Parent): void {
  const made = directoryOf(from).mknod(from.name, S_IFCHR, 0, task.credentials);
  if (typeof made !== 'number') instantiate(from, made);
}

function checkRename(task: Task, from: Parent, to: Parent, flags: number): number {
  const source = from.child as Dentry;
  const target = to.child as Dentry;
  const moved = source.inode;
  if (!moved) return -ENOENT;
  if (target.inode && flags & RENAME_NOREPLACE) return -EEXIST;
  if (!target.inode && flags & RENAME_EXCHANGE) return -ENOENT;
  if (!moved.isDirectory && (from.slash || (to.slash && !(flags & RENAME_EXCHANGE)))) return -ENOTDIR;
  if (isBelow(to.dentry, source)) return -EINVAL;
  if (isBelow(from.dentry, target)) return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
  const readonly = checkWritable(from.mount);
  if (readonly < 0) return readonly;
  let r = checkDelete(directoryOf(from), moved, task.credentials);
  if (r < 0) return r;
  r = target.inode ? checkDelete(directoryOf(to), target.inode, task.credentials) : checkMake(task, to);
  if (r < 0) return r;
  if (target.inode && !(flags & RENAME_EXCHANGE)) {
    if (moved.isDirectory && !target.inode.isDirectory) return -ENOTDIR;
    if (!moved.isDirectory && target.inode.isDirectory) return -EISDIR;
  }
  // A directory's '..' changes with its parent: that takes write permission on the directory itself.
  if (from.dentry !== to.dentry && moved.isDirectory) {
    r = checkAccess(moved, task.credentials, MAY_WRITE);
    if (r < 0) return r;
  }
  return source.mounts !== null || target.mounts !== null ? -EBUSY : 0;
}

/** Whether `dentry` is `ancestor` or somewhere below it. */
function isBelow(dentry: Dentry, ancestor: Dentry): boolean {
  for (let at: Dentry | null = dentry; at; at = at.parent) if (at === ancestor) return true;
  return false;
}
