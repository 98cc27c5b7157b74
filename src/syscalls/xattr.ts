// Extended attributes (xattr(7)): the calls on paths, links and descriptors.

import { CAP_SETFCAP, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { E2BIG, EBADF, EINVAL, ENAMETOOLONG, ENODATA, EOPNOTSUPP, EPERM, ERANGE } from '../abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_PATH } from '../abi/fcntl.ts';
import { IN_ATTRIB } from '../abi/misc.ts';
import {
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_ISVTX,
  XATTR_CREATE,
  XATTR_NAME_MAX,
  XATTR_REPLACE,
  XATTR_SIZE_MAX,
} from '../abi/stat.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { keptCapabilities, shownCapabilities } from '../kernel/file-capabilities.ts';
import type { Task } from '../kernel/task.ts';
import { readBytes, readU64, u8, u32, writeBytes } from '../platform/arena.ts';
import { getAcl, isAclName, removeAcl, setAcl } from '../vfs/acl-attributes.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import { isFixed } from '../vfs/inode-flags.ts';
import { notifyDentry } from '../vfs/notify.ts';
import { capableOver, checkAccess, isOwner, MAY_READ, MAY_WRITE } from '../vfs/permission.ts';
import { checkWritable, resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

function find(task: Task, path: UserAddress, walk: number): Path | number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : resolve(task, AT_FDCWD as Fd, text, walk);
}

function ofDescriptor(task: Task, fd: Fd): Path | number {
  const file = task.files.get(fd);
  return !file || file.flags & O_PATH ? -EBADF : file.path;
}

/** setxattr(2) */
export function setxattr(
  task: Task,
  path: UserAddress,
  name: UserAddress,
  value: UserAddress,
  size: number,
  flags: number,
): number {
  return set(task, find(task, path, WALK_FOLLOW), name, value, size, flags);
}

/** lsetxattr(2) */
export function lsetxattr(
  task: Task,
  path: UserAddress,
  name: UserAddress,
  value: UserAddress,
  size: number,
  flags: number,
): number {
  return set(task, find(task, path, 0), name, value, size, flags);
}

/** fsetxattr(2) */
export function fsetxattr(
  task: Task,
  fd: Fd,
  name: UserAddress,
  value: UserAddress,
  size: number,
  flags: number,
): number {
  return set(task, ofDescriptor(task, fd), name, value, size, flags);
}

/** getxattr(2) */
export function getxattr(task: Task, path: UserAddress, name: UserAddress, value: UserAddress, size: number): number {
  return get(task, find(task, path, WALK_FOLLOW), name, value, size);
}

/** lgetxattr(2) */
export function lgetxattr(task: Task, path: UserAddress, name: UserAddress, value: UserAddress, size: number): number {
  return get(task, find(task, path, 0), name, value, size);
}

/** fgetxattr(2) */
export function fgetxattr(task: Task, fd: Fd, name: UserAddress, value: UserAddress, size: number): number {
  return get(task, ofDescriptor(task, fd), name, value, size);
}

/** listxattr(2) */
export function listxattr(task: Task, path: UserAddress, list: UserAddress, size: number): number {
  return listNames(task, find(task, path, WALK_FOLLOW), list, size);
}

/** llistxattr(2) */
export function llistxattr(task: Task, path: UserAddress, list: UserAddress, size: number): number {
  return listNames(task, find(task, path, 0), list, size);
}

/** flistxattr(2) */
export function flistxattr(task: Task, fd: Fd, list: UserAddress, size: number): number {
  return listNames(task, ofDescriptor(task, fd), list, size);
}

/** removexattr(2) */
export function removexattr(task: Task, path: UserAddress, name: UserAddress): number {
  return remove(task, find(task, path, WALK_FOLLOW), name);
}

/** lremovexattr(2) */
export function lremovexattr(task: Task, path: UserAddress, name: UserAddress): number {
  return remove(task, find(task, path, 0), name);
}

/** fremovexattr(2) */
export function fremovexattr(task: Task, fd: Fd, name: UserAddress): number {
  return remove(task, ofDescriptor(task, fd), name);
}

const FILE_CAPABILITIES = 'security.capability';
const AT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
/** struct xattr_args: u64 value, u32 size, u32 flags */
const XATTR_ARGS_SIZE = 16;
const PAGE = 4096;

/** What the calls with a directory descriptor are about; with AT_EMPTY_PATH and no path, the descriptor itself. */
function findAt(task: Task, dirfd: Fd, path: UserAddress, flags: number): Path | number {
  if (flags & ~AT_FLAGS) return -EINVAL;
  const text = flags & AT_EMPTY_PATH && path === 0 ? '' : task.memory.string(path);
  if (typeof text === 'number') return text;
  if (text === '' && flags & AT_EMPTY_PATH && dirfd >= 0) return ofDescriptor(task, dirfd);
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  return resolve(task, dirfd, text, walk);
}

interface ValueArguments {
  readonly value: UserAddress;
  readonly size: number;
  readonly flags: number;
}

/** Reads a struct xattr_args, which may grow. */
function readArguments(task: Task, address: UserAddress, size: number): ValueArguments | number {
  if (size < XATTR_ARGS_SIZE) return -EINVAL;
  if (size > PAGE) return -E2BIG;
  const at = task.memory.in(address, size);
  if (at < 0) return at;
  if (u8.subarray(at + XATTR_ARGS_SIZE, at + size).some((byte) => byte !== 0)) return -E2BIG;
  return { value: readU64(at) as UserAddress, size: u32[(at + 8) >>> 2], flags: u32[(at + 12) >>> 2] };
}

/** setxattrat(2) */
export function setxattrat(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  name: UserAddress,
  args: UserAddress,
  size: number,
): number {
  const wanted = readArguments(task, args, size);
  if (typeof wanted === 'number') return wanted;
  return set(task, findAt(task, dirfd, path, flags), name, wanted.value, wanted.size, wanted.flags);
}

/** getxattrat(2) */
export function getxattrat(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  name: UserAddress,
  args: UserAddress,
  size: number,
): number {
  const wanted = readArguments(task, args, size);
  if (typeof wanted === 'number') return wanted;
  if (wanted.flags !== 0) return -EINVAL;
  return get(task, findAt(task, dirfd, path, flags), name, wanted.value, wanted.size);
}

/** listxattrat(2) */
export function listxattrat(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  list: UserAddress,
  size: number,
): number {
  return listNames(task, findAt(task, dirfd, path, flags), list, size);
}

/** removexattrat(2) */
export function removexattrat(task: Task, dirfd: Fd, path: UserAddress, flags: number, name: UserAddress): number {
  return remove(task, findAt(task, dirfd, path, flags), name);
}

/** The attribute's name, or -ERANGE when it is empty or too long. */
function nameAt(task: Task, address: UserAddress): string | number {
  const name = task.memory.string(address, XATTR_NAME_MAX + 1);
  if (typeof name === 'number') return name === -ENAMETOOLONG ? -ERANGE : name;
  return name === '' ? -ERANGE : name;
}

/** Who may use a name: user.* by the file's permissions, trusted.* by capability, security.* to read by everyone. */
function checkName(task: Task, inode: Inode, name: string, write: boolean): number {
  const { credentials } = task;
  const type = inode.mode & S_IFMT;
  if (isAclName(name)) return 0; // whoever owns it may: vfs/acl-attributes.ts
  if (write && isFixed(inode)) return -EPERM;
  if (name.startsWith('user.')) {
    if (type !== S_IFREG && type !== S_IFDIR) return write ? -EPERM : -ENODATA;
    if (write && type === S_IFDIR && inode.mode & S_ISVTX && !isOwner(inode, credentials)) return -EPERM;
    return checkAccess(inode, credentials, write ? MAY_WRITE : MAY_READ);
  }
  if (name.startsWith('trusted.')) {
    if (capable(credentials, CAP_SYS_ADMIN)) return 0;
    return write ? -EPERM : -ENODATA;
  }
  if (name.startsWith('security.')) {
    if (!write) return 0;
    if (name === FILE_CAPABILITIES) return capableOver(inode, credentials, CAP_SETFCAP) ? 0 : -EPERM;
    return capable(credentials, CAP_SYS_ADMIN) ? 0 : -EPERM;
  }
  return -EOPNOTSUPP;
}

/** Passes on a result; when it is success, watchers are told. */
function told(path: Path, inode: Inode, result: number): number {
  if (result === 0) notifyDentry(path.dentry, inode, IN_ATTRIB);
  return result;
}

function set(
  task: Task,
  path: Path | number,
  name: UserAddress,
  value: UserAddress,
  size: number,
  flags: number,
): number {
  if (typeof path === 'number') return path;
  if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) return -EINVAL;
  const key = nameAt(task, name);
  if (typeof key === 'number') return key;
  if (size > XATTR_SIZE_MAX) return -E2BIG;
  const inode = path.dentry.inode as Inode;
  let r = checkWritable(path.mount);
  if (r === 0) r = checkName(task, inode, key, true);
  if (r < 0) return r;
  const at = task.memory.in(value, size);
  if (at < 0) return at;
  const given = readBytes(at, size);
  const bytes = key === FILE_CAPABILITIES ? keptCapabilities(given, task.credentials.user) : given;
  if (typeof bytes === 'number') return bytes;
  const result = isAclName(key) ? setAcl(inode, task.credentials, key, bytes) : inode.setxattr(key, bytes, flags);
  return told(path, inode, result);
}

function get(task: Task, path: Path | number, name: UserAddress, value: UserAddress, size: number): number {
  if (typeof path === 'number') return path;
  const key = nameAt(task, name);
  if (typeof key === 'number') return key;
  const inode = path.dentry.inode as Inode;
  const r = checkName(task, inode, key, false);
  if (r < 0) return r;
  let text = isAclName(key) ? getAcl(inode, task.credentials, key) : inode.getxattr(key);
  if (key === FILE_CAPABILITIES && typeof text === 'string') text = shownCapabilities(text, task.credentials.user);
  return typeof text === 'number' ? text : give(task, text, value, size);
}

function listNames(task: Task, path: Path | number, list: UserAddress, size: number): number {
  if (typeof path === 'number') return path;
  const names = (path.dentry.inode as Inode).listxattr();
  if (typeof names === 'number') return names;
  const trusted = capable(task.credentials, CAP_SYS_ADMIN);
  const shown = names.filter((name) => trusted || !name.startsWith('trusted.'));
  return give(task, shown.map((name) => `${name}\0`).join(''), list, size);
}

/** A result of unknown length: size 0 asks for the length only. */
function give(task: Task, text: string, address: UserAddress, size: number): number {
  if (size === 0) return text.length;
  if (text.length > size) return -ERANGE;
  const at = task.memory.out(address, text.length);
  if (at < 0) return at;
  writeBytes(at, text);
  return text.length;
}

function remove(task: Task, path: Path | number, name: UserAddress): number {
  if (typeof path === 'number') return path;
  const key = nameAt(task, name);
  if (typeof key === 'number') return key;
  const inode = path.dentry.inode as Inode;
  let r = checkWritable(path.mount);
  if (r === 0) r = checkName(task, inode, key, true);
  if (r < 0) return r;
  const result = isAclName(key) ? removeAcl(inode, task.credentials, key) : inode.removexattr(key);
  return told(path, inode, result);
}
