// File handles: name_to_handle_at(2), open_by_handle_at(2).

import { CAP_DAC_READ_SEARCH } from '../abi/capability.ts';
import { EBADF, EINVAL, ELOOP, EOPNOTSUPP, EOVERFLOW, EPERM, ESTALE } from '../abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_HANDLE_CONNECTABLE,
  AT_HANDLE_FID,
  AT_HANDLE_MNT_ID_UNIQUE,
  AT_SYMLINK_FOLLOW,
  MAX_HANDLE_SZ,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
} from '../abi/fcntl.ts';
import { MNT_UNIQUE_ID_OFFSET } from '../abi/mount.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { i32, readBytes, u32, writeBytes, writeU64 } from '../platform/arena.ts';
import { Dentry, type Path } from '../vfs/dentry.ts';
import { adoptInode } from '../vfs/dentry-cache.ts';
import { findHandle, HANDLE_BYTES, HANDLE_TYPE, handleOf, identifierOf } from '../vfs/handles.ts';
import type { Inode } from '../vfs/inode.ts';
import { finishOpen, openExisting, sanitizeOpenFlags } from '../vfs/open.ts';
import { PathFile } from '../vfs/regular-file.ts';
import { resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

/** struct file_handle without its bytes: u32 handle_bytes, s32 handle_type */
const HEAD = 8;
/** A handle that also leads to a name of the inode: its directory's handle follows. */
const FILEID_IS_CONNECTABLE = 0x10000;
const FILEID_IS_DIR = 0x20000;
const TYPE_FLAGS = 0xffff0000;

const NAME_FLAGS = AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | AT_HANDLE_FID | AT_HANDLE_MNT_ID_UNIQUE | AT_HANDLE_CONNECTABLE;

/** name_to_handle_at(2) */
export function name_to_handle_at(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  handle: UserAddress,
  mountId: UserAddress,
  flags: number,
): number {
  if (flags & ~NAME_FLAGS) return -EINVAL;
  if (flags & AT_HANDLE_CONNECTABLE && flags & (AT_HANDLE_FID | AT_EMPTY_PATH)) return -EINVAL;
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const walk = (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const found = resolve(task, dirfd, text, walk);
  if (typeof found === 'number') return found;
  const { dentry } = found;
  const inode = dentry.inode as Inode;
  if (!inode.superblock.hasHandles && !(flags & AT_HANDLE_FID)) return -EOPNOTSUPP;
  const head = task.memory.in(handle, HEAD);
  if (head < 0) return head;
  const room = u32[head >>> 2];
  if (room > MAX_HANDLE_SZ) return -EINVAL;
  let bytes = inode.superblock.hasHandles ? handleOf(inode, dentry) : identifierOf(inode);
  let type = HANDLE_TYPE;
  if (flags & AT_HANDLE_CONNECTABLE) {
    const parent = inode.isDirectory ? null : dentry.parent;
    if (parent?.inode) bytes += handleOf(parent.inode, parent);
    type |= FILEID_IS_CONNECTABLE | (inode.isDirectory ? FILEID_IS_DIR : 0);
  }
  const fits = room >= bytes.length;
  const told = tellMount(task, found, mountId, (flags & AT_HANDLE_MNT_ID_UNIQUE) !== 0);
  if (told < 0) return told;
  const at = task.memory.out(handle, HEAD + (fits ? bytes.length : 0));
  if (at < 0) return at;
  u32[at >>> 2] = bytes.length;
  i32[(at >>> 2) + 1] = fits ? type : 0xff;
  if (fits) writeBytes(at + HEAD, bytes);
  return fits ? 0 : -EOVERFLOW;
}

function tellMount(task: Task, path: Path, address: UserAddress, unique: boolean): number {
  const at = task.memory.out(address, unique ? 8 : 4);
  if (at < 0) return at;
  if (unique) writeU64(at, MNT_UNIQUE_ID_OFFSET + path.mount.id);
  else i32[at >>> 2] = path.mount.id;
  return 0;
}

/** open_by_handle_at(2): `mountFd` says on which filesystem */
export function open_by_handle_at(task: Task, mountFd: Fd, handle: UserAddress, flags: number): number {
  if (!capable(task.credentials, CAP_DAC_READ_SEARCH)) return -EPERM;
  const anchor = mountFd === AT_FDCWD ? task.fs.cwd : task.files.get(mountFd)?.path;
  if (!anchor) return -EBADF;
  const head = task.memory.in(handle, HEAD);
  if (head < 0) return head;
  const length = u32[head >>> 2];
  const type = i32[(head >>> 2) + 1];
  if (length === 0 || length > MAX_HANDLE_SZ || type < 0) return -EINVAL;
  if (type & TYPE_FLAGS & ~(FILEID_IS_CONNECTABLE | FILEID_IS_DIR)) return -EINVAL;
  const at = task.memory.in((handle + HEAD) as UserAddress, length);
  if (at < 0) return at;
  const bytes = readBytes(at, length);
  const known = (type & ~TYPE_FLAGS) === HANDLE_TYPE && length >= HANDLE_BYTES;
  const found = known ? findHandle(anchor.mount.superblock, bytes) : null;
  if (!found) return -ESTALE;
  const path = place(anchor, found.inode, found.dentry);
  return open(task, path, found.inode, sanitizeOpenFlags(flags));
}

/** The inode on the mount, under a name if it has one that is known. */
function place(anchor: Path, inode: Inode, dentry: Dentry | null): Path {
  if (dentry?.inode === inode && !dentry.unlinked) return dentry.on(anchor.mount);
  const nameless = new Dentry('', null, null);
  adoptInode(nameless, inode);
  nameless.unlinked = true;
  return { mount: anchor.mount, dentry: nameless };
}

function open(task: Task, path: Path, inode: Inode, flags: number): number {
  const closeOnExec = (flags & O_CLOEXEC) !== 0;
  if (flags & O_PATH) return installFile(task, new PathFile(path, inode, flags & (O_PATH | O_NOFOLLOW)), closeOnExec);
  const r = inode.refresh();
  if (r < 0) return r;
  if (inode.isSymlink) return -ELOOP;
  const file = openExisting(task, path, flags);
  if (typeof file === 'number') return file;
  const opened = finishOpen(file, flags);
  return typeof opened === 'number' ? opened : installFile(task, opened, closeOnExec);
}
