// Asking about files: stat(2), statx(2), access(2), statfs(2), readlink(2).

import { EBADF, EINVAL, ENOENT, EROFS } from '../abi/errno.ts';
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_STATX_SYNC_TYPE,
  AT_SYMLINK_NOFOLLOW,
  R_OK,
  W_OK,
  X_OK,
} from '../abi/fcntl.ts';
import { MS_NOEXEC, MS_NOSYMFOLLOW } from '../abi/mount.ts';
import {
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  ST_NOATIME,
  ST_NODEV,
  ST_NODIRATIME,
  ST_NOEXEC,
  ST_NOSUID,
  ST_RDONLY,
  ST_RELATIME,
  ST_SYNCHRONOUS,
  ST_VALID,
  STAT_SIZE,
  STATFS_SIZE,
  STATX__RESERVED,
  STATX_STRUCT_SIZE,
} from '../abi/stat.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { type Credentials, NO_CAPABILITIES } from '../base/credentials.ts';
import type { Task } from '../kernel/task.ts';
import { writeBytes } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode, StatFs } from '../vfs/inode.ts';
import { checkAccess } from '../vfs/permission.ts';
import { putStat, putStatfs, putStatx } from '../vfs/stat-out.ts';
import { checkWritable, resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const CWD = AT_FDCWD as Fd;

/** stat(2) */
export function stat(task: Task, path: UserAddress, statbuf: UserAddress): number {
  return statPath(task, CWD, path, statbuf, WALK_FOLLOW);
}

/** lstat(2) */
export function lstat(task: Task, path: UserAddress, statbuf: UserAddress): number {
  return statPath(task, CWD, path, statbuf, 0);
}

/** fstat(2) */
export function fstat(task: Task, fd: Fd, statbuf: UserAddress): number {
  const file = task.files.get(fd);
  return file ? statInode(task, file.inode, statbuf) : -EBADF;
}

const STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;

/** newfstatat(2) */
export function newfstatat(task: Task, dirfd: Fd, path: UserAddress, statbuf: UserAddress, flags: number): number {
  if (flags & ~STAT_FLAGS) return -EINVAL;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  return statPath(task, dirfd, path, statbuf, walk);
}

function statPath(task: Task, dirfd: Fd, path: UserAddress, statbuf: UserAddress, walk: number): number {
  // As Linux since 6.11 has it, no path at all is as good as an empty one.
  const text = walk & WALK_EMPTY && path === 0 ? '' : task.memory.string(path);
  if (typeof text === 'number') return text;
  if (text === '' && walk & WALK_EMPTY && dirfd >= 0) return fstat(task, dirfd, statbuf);
  const found = resolve(task, dirfd, text, walk);
  return typeof found === 'number' ? found : statInode(task, found.dentry.inode as Inode, statbuf);
}

function statInode(task: Task, inode: Inode, statbuf: UserAddress): number {
  const r = inode.refresh();
  if (r < 0) return r;
  const at = task.memory.out(statbuf, STAT_SIZE);
  if (at < 0) return at;
  putStat(at, inode, task.credentials.user);
  return 0;
}

/** statx(2) */
export function statx(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  mask: number,
  statxbuf: UserAddress,
): number {
  if (flags & ~(STAT_FLAGS | AT_STATX_SYNC_TYPE) || mask >= STATX__RESERVED) return -EINVAL;
  if ((flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE) return -EINVAL;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const text = walk & WALK_EMPTY && path === 0 ? '' : task.memory.string(path);
  if (typeof text === 'number') return text;
  const found = resolve(task, dirfd, text, walk);
  if (typeof found === 'number') return found;
  const inode = found.dentry.inode as Inode;
  const r = inode.refresh();
  if (r < 0) return r;
  const at = task.memory.out(statxbuf, STATX_STRUCT_SIZE);
  if (at < 0) return at;
  putStatx(at, found, inode, mask, task.credentials.user);
  return 0;
}

/** access(2) */
export function access(task: Task, path: UserAddress, mode: number): number {
  return accessPath(task, CWD, path, mode, 0);
}

/** faccessat(2) as the kernel has it: without flags */
export function faccessat(task: Task, dirfd: Fd, path: UserAddress, mode: number): number {
  return accessPath(task, dirfd, path, mode, 0);
}

/** faccessat2(2) */
export function faccessat2(task: Task, dirfd: Fd, path: UserAddress, mode: number, flags: number): number {
  if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  return accessPath(task, dirfd, path, mode, flags);
}

function accessPath(task: Task, dirfd: Fd, path: UserAddress, mode: number, flags: number): number {
  if (mode & ~(R_OK | W_OK | X_OK)) return -EINVAL;
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const before = task.credentials;
  // The walk itself is made with the real ids too.
  if (!(flags & AT_EACCESS)) task.credentials = realCredentials(before);
  const found = resolve(task, dirfd, text, walk);
  const r = typeof found === 'number' ? found : accessTo(task, found, mode);
  task.credentials = before;
  return r;
}

function accessTo(task: Task, path: Path, mode: number): number {
  const inode = path.dentry.inode as Inode;
  if (mode === 0) return 0;
  const type = inode.mode & S_IFMT;
  if (mode & X_OK && type === S_IFREG && path.mount.flags & MS_NOEXEC)
    return checkAccess(NOT_EXECUTABLE, task.credentials, X_OK);
  const r = checkAccess(inode, task.credentials, mode);
  if (r < 0) return r;
  const stored = type === S_IFREG || type === S_IFDIR || type === S_IFLNK;
  return mode & W_OK && stored && checkWritable(path.mount) < 0 ? -EROFS : 0;
}

/** What a file on a noexec mount looks like to somebody who would execute it. */
const NOT_EXECUTABLE = { mode: S_IFREG, uid: 0, gid: 0 } as Inode;

/** Credentials that judge by the real ids, as access(2) does. */
function realCredentials(credentials: Credentials): Credentials {
  const { uid, gid, fsuid, fsgid, permitted } = credentials;
  if (uid === fsuid && gid === fsgid) return credentials;
  return { ...credentials, fsuid: uid, fsgid: gid, effective: uid === 0 ? permitted : NO_CAPABILITIES };
}

/** readlink(2) */
export function readlink(task: Task, path: UserAddress, buf: UserAddress, bufsiz: number): number {
  return readlinkat(task, CWD, path, buf, bufsiz);
}

/** readlinkat(2): an empty path reads the link that dirfd itself is. */
export function readlinkat(task: Task, dirfd: Fd, path: UserAddress, buf: UserAddress, bufsiz: number): number {
  if (bufsiz <= 0) return -EINVAL;
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const found = resolve(task, dirfd, text, WALK_EMPTY);
  if (typeof found === 'number') return found;
  const inode = found.dentry.inode as Inode;
  if (!inode.isSymlink) return text === '' ? -ENOENT : -EINVAL;
  const target = inode.readlink(task);
  if (typeof target === 'number') return target;
  const length = Math.min(bufsiz, target.length);
  const at = task.memory.out(buf, length);
  if (at < 0) return at;
  writeBytes(at, length === target.length ? target : target.slice(0, length));
  return length;
}

/** statfs(2) */
export function statfs(task: Task, path: UserAddress, buf: UserAddress): number {
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const found = resolve(task, CWD, text, WALK_FOLLOW);
  return typeof found === 'number' ? found : statMount(task, found, buf);
}

/** fstatfs(2) */
export function fstatfs(task: Task, fd: Fd, buf: UserAddress): number {
  const file = task.files.get(fd);
  return file ? statMount(task, file.path, buf) : -EBADF;
}

const MOUNT_FLAGS = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_SYNCHRONOUS | ST_NOATIME | ST_NODIRATIME;
const ST_NOSYMFOLLOW = 0x2000;

function statMount(task: Task, path: Path, buf: UserAddress): number {
  const { superblock, flags } = path.mount;
  const numbers: StatFs = {
    type: superblock.magic,
    blockSize: 4096,
    blocks: 0,
    blocksFree: 0,
    blocksAvailable: 0,
    files: 0,
    filesFree: 0,
    nameMax: 255,
    flags:
      (flags & MOUNT_FLAGS) |
      (flags & MS_NOSYMFOLLOW ? ST_NOSYMFOLLOW : 0) |
      ST_VALID |
      ST_RELATIME |
      (superblock.readonly ? ST_RDONLY : 0),
  };
  const r = superblock.statfs(numbers);
  if (r < 0) return r;
  const at = task.memory.out(buf, STATFS_SIZE);
  if (at < 0) return at;
  putStatfs(at, numbers, superblock.device);
  return 0;
}
