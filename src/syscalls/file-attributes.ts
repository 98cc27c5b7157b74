// file_getattr(2), file_setattr(2): what FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR do, by path.

import { E2BIG, EBADF, EINVAL, ENOTTY, EOPNOTSUPP } from '../abi/errno.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from '../abi/fcntl.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { readU64, u8, u32, writeU64 } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import { getFlags, setXflags, toXflags } from '../vfs/inode-flags.ts';
import { resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

/** struct file_attr: u64 xflags, u32 extsize, nextents, projid, cowextsize */
const FILE_ATTR_SIZE = 24;
const PAGE = 4096;

function find(task: Task, dirfd: Fd, path: UserAddress, flags: number): Path | number {
  const text = flags & AT_EMPTY_PATH && path === 0 ? '' : task.memory.string(path);
  if (typeof text === 'number') return text;
  if (text === '' && flags & AT_EMPTY_PATH && dirfd >= 0 && !task.files.get(dirfd)) return -EBADF;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  return resolve(task, dirfd, text, walk);
}

function checkArguments(size: number, flags: number): number {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  if (size > PAGE) return -E2BIG;
  return size < FILE_ATTR_SIZE ? -EINVAL : 0;
}

/** As an ioctl a filesystem without flags knows no such request; as a call it is not supported. */
function supported(result: number): number {
  return result === -ENOTTY ? -EOPNOTSUPP : result;
}

/** file_getattr(2) */
export function file_getattr(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  attr: UserAddress,
  size: number,
  flags: number,
): number {
  const wrong = checkArguments(size, flags);
  if (wrong < 0) return wrong;
  const found = find(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  const known = getFlags(found.dentry.inode as Inode);
  if (known < 0) return supported(known);
  const at = task.memory.out(attr, size);
  if (at < 0) return at;
  u8.fill(0, at, at + size);
  writeU64(at, toXflags(known));
  return 0;
}

/** file_setattr(2) */
export function file_setattr(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  attr: UserAddress,
  size: number,
  flags: number,
): number {
  const wrong = checkArguments(size, flags);
  if (wrong < 0) return wrong;
  const at = task.memory.in(attr, size);
  if (at < 0) return at;
  if (u8.subarray(at + FILE_ATTR_SIZE, at + size).some((byte) => byte !== 0)) return -E2BIG;
  const xflags = readU64(at);
  const sizes = (at + 8) >>> 2;
  const others = u32[sizes] !== 0 || u32[sizes + 2] !== 0 || u32[sizes + 3] !== 0;
  const found = find(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  if (xflags >= 2 ** 32) return -EINVAL;
  if (others) return -EOPNOTSUPP;
  return supported(setXflags(found, found.dentry.inode as Inode, task.credentials, xflags | 0));
}
