// mount(2) and umount2(2): new filesystems, bind mounts, moves, remounts. What programs mount is made by the sentry
// (fs/filesystems.ts).

import { EAGAIN, EBUSY, EFAULT, EINVAL, EPERM, EROFS } from '../abi/errno.ts';
import { AT_FDCWD } from '../abi/fcntl.ts';
import {
  MNT_DETACH,
  MNT_EXPIRE,
  MNT_FORCE,
  MS_BIND,
  MS_MGC_MSK,
  MS_MGC_VAL,
  MS_MOVE,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
  UMOUNT_NOFOLLOW,
} from '../abi/mount.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { makeFilesystem } from '../fs/filesystems.ts';
import { mayMount } from '../kernel/mount-namespaces.ts';
import { mountInUse, writtenTo } from '../kernel/mount-use.ts';
import { NamespaceInode } from '../kernel/namespace-files.ts';
import type { Task } from '../kernel/task.ts';
import type { Mount, Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import {
  bindMount,
  expiring,
  isBusy,
  lockedRestrictions,
  MountNamespace,
  mountAt,
  moveMount,
  topmost,
  unmountEverywhere,
} from '../vfs/mount.ts';
import { setPropagation } from '../vfs/propagation.ts';
import { resolve, WALK_FOLLOW } from '../vfs/walk.ts';

const CWD = AT_FDCWD as Fd;
const PAGE = 4096;
/** Flags that a mount itself keeps. */
const KEPT =
  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_NOATIME | MS_NODIRATIME | MS_NOSYMFOLLOW;
/** What a remount from within may not take off a mount that the sandbox was given. */
const PROPAGATION = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

/** mount(2) */
export function mount(
  task: Task,
  source: UserAddress,
  target: UserAddress,
  fstype: UserAddress,
  flags: number,
  data: UserAddress,
): number {
  const type = optionalString(task, fstype);
  if (typeof type === 'number') return type;
  const from = optionalString(task, source);
  if (typeof from === 'number') return from;
  const options = readOptions(task, data);
  if (typeof options === 'number') return options;
  const path = resolveString(task, target, WALK_FOLLOW);
  if (typeof path === 'number') return path;
  if (!mayMount(task)) return -EPERM;
  if (path.mount.namespace === null) return -EINVAL;
  const bits = (flags & MS_MGC_MSK) >>> 0 === MS_MGC_VAL ? flags & ~MS_MGC_MSK : flags | 0;
  if (bits & MS_REMOUNT) return remount(path, bits, options);
  if (bits & MS_BIND) return bind(task, from, path, (bits & MS_REC) !== 0);
  if (bits & PROPAGATION) return changePropagation(path, bits);
  if (bits & MS_MOVE) return move(task, from, path);
  return mountNew(path, type, from, bits, options);
}

/** umount2(2) */
export function umount2(task: Task, target: UserAddress, flags: number): number {
  if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) return -EINVAL;
  const marked = [...expiring];
  const named = resolveString(task, target, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW);
  // "." may be below what was mounted there since.
  const path = typeof named === 'number' ? named : topmost(named);
  // Looking for what is to be unmounted is no use of it.
  for (const one of marked) expiring.add(one);
  if (typeof path === 'number') return path;
  if (!mayMount(task)) return -EPERM;
  const { mount } = path;
  if (path.dentry !== mount.root || mount.namespace === null || mount.parent === null || mount.locked) return -EINVAL;
  if (flags & MNT_EXPIRE && flags & (MNT_FORCE | MNT_DETACH)) return -EINVAL;
  // A root directory cannot be taken away from whoever asks: its filesystem becomes read-only.
  if (mount === task.fs.root.mount && !(flags & (MNT_DETACH | MNT_EXPIRE))) {
    return remountFilesystem(mount, MS_RDONLY, []);
  }
  if (!(flags & MNT_DETACH) && isBusy(mount, mountInUse)) return -EBUSY;
  if (flags & MNT_EXPIRE && !expiring.has(mount)) {
    expiring.add(mount);
    return -EAGAIN;
  }
  unmountEverywhere(mount, mountInUse);
  return 0;
}

/** A string argument that may be NULL: then ''. */
function optionalString(task: Task, address: UserAddress): string | number {
  return address === 0 ? '' : task.memory.string(address);
}

function resolveString(task: Task, address: UserAddress, walk: number): Path | number {
  const text = task.memory.string(address);
  return typeof text === 'number' ? text : resolve(task, CWD, text, walk);
}

/** The comma-separated options in up to a page of memory. */
function readOptions(task: Task, address: UserAddress): string[] | number {
  if (address === 0) return [];
  const text = task.memory.string(address, PAGE);
  if (typeof text === 'number') return text === -EFAULT ? text : -EINVAL;
  return text === '' ? [] : text.split(',').filter((option) => option !== '');
}

function keptFlags(flags: number): number {
  if (flags & MS_STRICTATIME) return (flags & KEPT & ~(MS_NOATIME | MS_RELATIME)) | MS_STRICTATIME;
  return (flags & KEPT) | (flags & MS_NOATIME ? 0 : MS_RELATIME);
}

function mountNew(path: Path, type: string, source: string, flags: number, options: readonly string[]): number {
  if (type === '') return -EINVAL;
  const superblock = makeFilesystem(type, options);
  if (typeof superblock === 'number') return superblock;
  superblock.source = source === '' ? 'none' : source;
  superblock.readonly = superblock.cannotWrite || (flags & MS_RDONLY) !== 0;
  const made = mountAt(namespaceOf(path), path, superblock, keptFlags(flags));
  if (typeof made !== 'number') return 0;
  superblock.shutDown();
  return made;
}

function bind(task: Task, source: string, target: Path, recursive: boolean): number {
  if (source === '') return -EINVAL;
  const from = resolve(task, CWD, source, WALK_FOLLOW);
  if (typeof from === 'number') return from;
  if (from.mount.namespace === null && !mayBindNamespace(task, from)) return -EINVAL;
  return bindMount(from, target, recursive);
}

/** The file of a namespace may be mounted, but a mount namespace only in an older one: else it would hold itself. */
function mayBindNamespace(task: Task, { dentry }: Path): boolean {
  if (!(dentry.inode instanceof NamespaceInode)) return false;
  const { namespace } = dentry.inode;
  return !(namespace instanceof MountNamespace) || namespace.id > (task.fs.root.mount.namespace?.id ?? 0);
}

/** With MS_BIND the flags of this mount alone; without it those of its filesystem and its options too. */
function remount(path: Path, flags: number, options: readonly string[]): number {
  const { mount } = path;
  if (path.dentry !== mount.root) return -EINVAL;
  if (lockedRestrictions(mount) & ~flags) return -EPERM;
  if (!(flags & MS_BIND)) {
    const r = remountFilesystem(mount, flags, options);
    if (r < 0) return r;
  }
  const times = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
  const keepsTimes = (flags & times) === 0;
  mount.flags = keepsTimes ? (keptFlags(flags) & ~times) | (mount.flags & times) : keptFlags(flags);
  mount.namespace?.changes.note();
  return 0;
}

function remountFilesystem(mount: Mount, flags: number, options: readonly string[]): number {
  const { superblock } = mount;
  const readonly = (flags & MS_RDONLY) !== 0;
  if (readonly && !superblock.readonly && writtenTo(mount)) return -EBUSY;
  if (superblock.cannotWrite && !readonly) return -EROFS;
  const r = superblock.reconfigure(options);
  // What the sandbox was given is not the guest's to open up or to close for other mounts of it.
  if (r === 0 && !mount.locked) superblock.readonly = readonly;
  return r;
}

function changePropagation(path: Path, flags: number): number {
  const type = flags & ~(MS_REC | MS_SILENT);
  if (type !== MS_SHARED && type !== MS_PRIVATE && type !== MS_SLAVE && type !== MS_UNBINDABLE) return -EINVAL;
  if (path.dentry !== path.mount.root) return -EINVAL;
  changeTree(path.mount, type, (flags & MS_REC) !== 0);
  return 0;
}

function changeTree(mount: Mount, type: number, recursive: boolean): void {
  setPropagation(mount, type);
  if (recursive) for (const child of mount.children) changeTree(child, type, true);
}

function move(task: Task, source: string, target: Path): number {
  if (source === '') return -EINVAL;
  const from = resolve(task, CWD, source, WALK_FOLLOW);
  if (typeof from === 'number') return from;
  const { mount } = from;
  if (from.dentry !== mount.root || mount.parent === null || mount.namespace === null || mount.locked) return -EINVAL;
  if ((mount.root.inode as Inode).isDirectory !== target.dentry.inode?.isDirectory) return -EINVAL;
  return moveMount(mount, target);
}

function namespaceOf(path: Path): NonNullable<Mount['namespace']> {
  return path.mount.namespace as NonNullable<Mount['namespace']>;
}
