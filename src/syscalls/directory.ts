// Directories and names: getdents(2), getcwd(2), chdir(2), mkdir(2), unlink(2), rename(2), link(2), symlink(2),
// mknod(2) and their *at forms. What they do to the tree is in vfs/names.ts.

import { CAP_SYS_CHROOT } from '../abi/capability.ts';
import { EBADF, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, ERANGE } from '../abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  PATH_MAX,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
} from '../abi/fcntl.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { hasCapabilityIn } from '../base/credentials.ts';
import { directoryEntries, directoryEntriesOld } from '../fs/dirents.ts';
import type { Task } from '../kernel/task.ts';
import { u8, writeBytes } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import {
  linkName,
  makeDirectory,
  makeNode,
  makeSymlink,
  removeDirectory,
  removeName,
  renameName,
} from '../vfs/names.ts';
import { pathName } from '../vfs/path-name.ts';
import { checkAccess, MAY_EXECUTE } from '../vfs/permission.ts';
import { resolve, WALK_DIRECTORY, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const CWD = AT_FDCWD as Fd;

/** getdents64(2) */
export function getdents64(task: Task, fd: Fd, dirp: UserAddress, count: number): number {
  const file = task.files.get(fd);
  return file ? directoryEntries(task, file, dirp, count) : -EBADF;
}

/** getdents(2), the form without types in the struct */
export function getdents(task: Task, fd: Fd, dirp: UserAddress, count: number): number {
  const file = task.files.get(fd);
  return file ? directoryEntriesOld(task, file, dirp, count) : -EBADF;
}

/** getcwd(2): length with the NUL */
export function getcwd(task: Task, buf: UserAddress, size: number): number {
  const { cwd, root } = task.fs;
  if (cwd.dentry.unlinked) return -ENOENT;
  const name = pathName(cwd, root);
  if (name.length + 1 > PATH_MAX) return -ENAMETOOLONG;
  if (name.length + 1 > size) return -ERANGE;
  const at = task.memory.out(buf, name.length + 1);
  if (at < 0) return at;
  writeBytes(at, name);
  u8[at + name.length] = 0;
  return name.length + 1;
}

/** chdir(2) */
export function chdir(task: Task, path: UserAddress): number {
  const found = enterable(task, path);
  if (typeof found === 'number') return found;
  task.fs.cwd = found;
  return 0;
}

/** fchdir(2) */
export function fchdir(task: Task, fd: Fd): number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!file.inode.isDirectory) return -ENOTDIR;
  const r = checkAccess(file.inode, task.credentials, MAY_EXECUTE);
  if (r < 0) return r;
  task.fs.cwd = file.path;
  return 0;
}

/** chroot(2) */
export function chroot(task: Task, path: UserAddress): number {
  const found = enterable(task, path);
  if (typeof found === 'number') return found;
  if (!hasCapabilityIn(task.credentials.effective, CAP_SYS_CHROOT)) return -EPERM;
  task.fs.root = found;
  return 0;
}

/** A directory that the task may enter. */
function enterable(task: Task, path: UserAddress): Path | number {
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const found = resolve(task, CWD, text, WALK_FOLLOW | WALK_DIRECTORY);
  if (typeof found === 'number') return found;
  const r = checkAccess(found.dentry.inode as Inode, task.credentials, MAY_EXECUTE);
  return r < 0 ? r : found;
}

/** mkdir(2) */
export function mkdir(task: Task, path: UserAddress, mode: number): number {
  return mkdirat(task, CWD, path, mode);
}

/** mkdirat(2) */
export function mkdirat(task: Task, dirfd: Fd, path: UserAddress, mode: number): number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : makeDirectory(task, dirfd, text, mode);
}

/** rmdir(2) */
export function rmdir(task: Task, path: UserAddress): number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : removeDirectory(task, CWD, text);
}

/** unlink(2) */
export function unlink(task: Task, path: UserAddress): number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : removeName(task, CWD, text);
}

/** unlinkat(2) */
export function unlinkat(task: Task, dirfd: Fd, path: UserAddress, flags: number): number {
  if (flags & ~AT_REMOVEDIR) return -EINVAL;
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  return flags & AT_REMOVEDIR ? removeDirectory(task, dirfd, text) : removeName(task, dirfd, text);
}

/** rename(2) */
export function rename(task: Task, oldpath: UserAddress, newpath: UserAddress): number {
  return renameat2(task, CWD, oldpath, CWD, newpath, 0);
}

/** renameat(2) */
export function renameat(task: Task, olddirfd: Fd, oldpath: UserAddress, newdirfd: Fd, newpath: UserAddress): number {
  return renameat2(task, olddirfd, oldpath, newdirfd, newpath, 0);
}

/** renameat2(2) */
export function renameat2(
  task: Task,
  olddirfd: Fd,
  oldpath: UserAddress,
  newdirfd: Fd,
  newpath: UserAddress,
  flags: number,
): number {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) return -EINVAL;
  if (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) return -EINVAL;
  const from = task.memory.string(oldpath);
  if (typeof from === 'number') return from;
  const to = task.memory.string(newpath);
  return typeof to === 'number' ? to : renameName(task, olddirfd, from, newdirfd, to, flags);
}

/** link(2) */
export function link(task: Task, oldpath: UserAddress, newpath: UserAddress): number {
  return linkat(task, CWD, oldpath, CWD, newpath, 0);
}

/** linkat(2) */
export function linkat(
  task: Task,
  olddirfd: Fd,
  oldpath: UserAddress,
  newdirfd: Fd,
  newpath: UserAddress,
  flags: number,
): number {
  if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const from = task.memory.string(oldpath);
  if (typeof from === 'number') return from;
  const to = task.memory.string(newpath);
  if (typeof to === 'number') return to;
  const walk = (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  return linkName(task, olddirfd, from, newdirfd, to, walk);
}

/** symlink(2) */
export function symlink(task: Task, target: UserAddress, linkpath: UserAddress): number {
  return symlinkat(task, target, CWD, linkpath);
}

/** symlinkat(2) */
export function symlinkat(task: Task, target: UserAddress, newdirfd: Fd, linkpath: UserAddress): number {
  const to = task.memory.string(target);
  if (typeof to === 'number') return to;
  if (to === '') return -ENOENT;
  const text = task.memory.string(linkpath);
  return typeof text === 'number' ? text : makeSymlink(task, to, newdirfd, text);
}

/** mknod(2) */
export function mknod(task: Task, path: UserAddress, mode: number, dev: number): number {
  return mknodat(task, CWD, path, mode, dev);
}

/** mknodat(2) */
export function mknodat(task: Task, dirfd: Fd, path: UserAddress, mode: number, dev: number): number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : makeNode(task, dirfd, text, mode, dev);
}
