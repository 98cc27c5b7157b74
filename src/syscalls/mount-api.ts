// The newer mount calls: fsopen(2), fsconfig(2), fsmount(2), fspick(2), open_tree(2), move_mount(2), mount_setattr(2).

import { E2BIG, EBADF, EBUSY, EINVAL, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, O_PATH } from '../abi/fcntl.ts';
import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_CMD_CREATE_EXCL,
  FSCONFIG_CMD_RECONFIGURE,
  FSCONFIG_SET_BINARY,
  FSCONFIG_SET_FD,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_PATH,
  FSCONFIG_SET_PATH_EMPTY,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  FSPICK_CLOEXEC,
  FSPICK_EMPTY_PATH,
  FSPICK_NO_AUTOMOUNT,
  FSPICK_SYMLINK_NOFOLLOW,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_SIZE_VER0,
  MOUNT_ATTR_STRICTATIME,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_F_SYMLINKS,
  MOVE_MOUNT_T_EMPTY_PATH,
  MOVE_MOUNT_T_SYMLINKS,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_RELATIME,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_UNBINDABLE,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from '../abi/mount.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { knownFilesystem } from '../fs/filesystems.ts';
import { DetachedMount, MountContext } from '../fs/mount-context.ts';
import { installFile, uninstallFile } from '../kernel/descriptors.ts';
import { mayMount } from '../kernel/mount-namespaces.ts';
import { writtenTo } from '../kernel/mount-use.ts';
import type { Task } from '../kernel/task.ts';
import { readU64, u8 } from '../platform/arena.ts';
import type { Mount, Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import { cloneTree, lockedRestrictions, MountNamespace, moveMount, placeBeneath, placeMount } from '../vfs/mount.ts';
import { setPropagation } from '../vfs/propagation.ts';
import { PathFile } from '../vfs/regular-file.ts';
import { resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const PAGE = 4096;
/** What mount_setattr(2) can make of a mount; 0 leaves it. */
const PROPAGATIONS: readonly number[] = [0, MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE];
const KEY_MAX = 256;
/** All but MOVE_MOUNT_SET_GROUP. */
const MOVE_MOUNT_FLAGS = 0x277;
const MOVE_MOUNT_BENEATH = 0x200;

/** By attribute, the mount's flag. */
const ATTRIBUTES: readonly (readonly [attribute: number, flag: number])[] = [
  [MOUNT_ATTR_RDONLY, MS_RDONLY],
  [MOUNT_ATTR_NOSUID, MS_NOSUID],
  [MOUNT_ATTR_NODEV, MS_NODEV],
  [MOUNT_ATTR_NOEXEC, MS_NOEXEC],
  [MOUNT_ATTR_NODIRATIME, MS_NODIRATIME],
  [MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW],
];
const KNOWN_ATTRIBUTES = ATTRIBUTES.reduce((sum, [attribute]) => sum | attribute, MOUNT_ATTR__ATIME);
const TIME_FLAGS = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

/** fsopen(2) */
export function fsopen(task: Task, name: UserAddress, flags: number): number {
  if (!mayMount(task)) return -EPERM;
  if (flags & ~FSOPEN_CLOEXEC) return -EINVAL;
  const type = task.memory.string(name, PAGE);
  if (typeof type === 'number') return type;
  const r = knownFilesystem(type);
  return r < 0 ? r : installFile(task, new MountContext(type, null), (flags & FSOPEN_CLOEXEC) !== 0);
}

/** fspick(2) */
export function fspick(task: Task, dirfd: Fd, path: UserAddress, flags: number): number {
  if (!mayMount(task)) return -EPERM;
  if (flags & ~(FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH)) return -EINVAL;
  const walk = (flags & FSPICK_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & FSPICK_EMPTY_PATH ? WALK_EMPTY : 0);
  const found = find(task, dirfd, path, walk);
  if (typeof found === 'number') return found;
  if (found.dentry !== found.mount.root) return -EINVAL;
  const context = new MountContext(found.mount.superblock.typeName, found.mount);
  return installFile(task, context, (flags & FSPICK_CLOEXEC) !== 0);
}

function find(task: Task, dirfd: Fd, path: UserAddress, walk: number): Path | number {
  const text = task.memory.string(path);
  return typeof text === 'number' ? text : resolve(task, dirfd, text, walk);
}

/** fsconfig(2) */
export function fsconfig(
  task: Task,
  fd: Fd,
  command: number,
  key: UserAddress,
  value: UserAddress,
  aux: number,
): number {
  if (fd < 0) return -EINVAL;
  const wrong = checkArguments(command, key, value, aux);
  if (wrong < 0) return wrong;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (!(file instanceof MountContext)) return -EINVAL;
  if (command === FSCONFIG_CMD_CREATE || command === FSCONFIG_CMD_CREATE_EXCL) return file.create();
  if (command === FSCONFIG_CMD_RECONFIGURE) return file.reconfigure();
  const name = task.memory.string(key, KEY_MAX);
  if (typeof name === 'number') return name;
  if (command === FSCONFIG_SET_FLAG || command === FSCONFIG_SET_FD) return file.setParameter(name, null);
  const text = task.memory.string(value, command === FSCONFIG_SET_STRING ? KEY_MAX : PAGE);
  return typeof text === 'number' ? text : file.setParameter(name, text);
}

/** Which arguments a command must and must not have. */
function checkArguments(command: number, key: UserAddress, value: UserAddress, aux: number): number {
  const hasKey = key !== 0;
  const hasValue = value !== 0;
  let fits: boolean;
  switch (command) {
    case FSCONFIG_SET_FLAG:
      fits = hasKey && !hasValue && aux === 0;
      break;
    case FSCONFIG_SET_STRING:
      fits = hasKey && hasValue && aux === 0;
      break;
    case FSCONFIG_SET_BINARY:
      return hasKey && hasValue && aux > 0 && aux <= 1024 * 1024 ? -EOPNOTSUPP : -EINVAL;
    case FSCONFIG_SET_PATH:
    case FSCONFIG_SET_PATH_EMPTY:
      fits = hasKey && hasValue && (aux === AT_FDCWD || aux >= 0);
      break;
    case FSCONFIG_SET_FD:
      fits = hasKey && !hasValue && aux >= 0;
      break;
    case FSCONFIG_CMD_CREATE:
    case FSCONFIG_CMD_CREATE_EXCL:
    case FSCONFIG_CMD_RECONFIGURE:
      fits = !hasKey && !hasValue && aux === 0;
      break;
    default:
      return -EOPNOTSUPP;
  }
  return fits ? 0 : -EINVAL;
}

/** fsmount(2): the filesystem that the context has made, as a mount that is nowhere yet */
export function fsmount(task: Task, fd: Fd, flags: number, attributes: number): number {
  if (!mayMount(task)) return -EPERM;
  if (flags & ~FSMOUNT_CLOEXEC || attributes & ~KNOWN_ATTRIBUTES) return -EINVAL;
  const changed = withAttributes(0, attributes, 0);
  if (changed < 0) return changed;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (!(file instanceof MountContext)) return -EINVAL;
  if (file.superblock === null) return file.mounted ? -EBUSY : -EINVAL;
  const { root } = new MountNamespace(file.superblock, changed | (file.mountFlags & MS_RDONLY));
  file.superblock = null;
  file.mounted = true;
  return installFile(task, new DetachedMount(root), (flags & FSMOUNT_CLOEXEC) !== 0);
}

/** A mount's flags after attributes were cleared and set, or -EINVAL for contradictory times. */
function withAttributes(flags: number, set: number, clear: number): number {
  let result = flags;
  for (const [attribute, flag] of ATTRIBUTES) {
    if (clear & attribute) result &= ~flag;
    if (set & attribute) result |= flag;
  }
  const times = set & MOUNT_ATTR__ATIME;
  const clearsTimes = (clear & MOUNT_ATTR__ATIME) === MOUNT_ATTR__ATIME;
  if (clear & MOUNT_ATTR__ATIME && !clearsTimes) return -EINVAL;
  if (flags !== 0 && times !== 0 && !clearsTimes) return -EINVAL;
  if (flags !== 0 && !clearsTimes) return result;
  if (times !== 0 && times !== MOUNT_ATTR_NOATIME && times !== MOUNT_ATTR_STRICTATIME) return -EINVAL;
  const kept = times === MOUNT_ATTR_NOATIME ? MS_NOATIME : times === 0 ? MS_RELATIME : MS_STRICTATIME;
  return (result & ~TIME_FLAGS) | kept;
}

/** open_tree(2): a place in the tree, or with OPEN_TREE_CLONE a detached copy of what is mounted there */
export function open_tree(task: Task, dirfd: Fd, path: UserAddress, flags: number): number {
  const known = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE;
  if (flags & ~(known | OPEN_TREE_CLOEXEC)) return -EINVAL;
  if (flags & AT_RECURSIVE && !(flags & OPEN_TREE_CLONE)) return -EINVAL;
  if (flags & OPEN_TREE_CLONE && !mayMount(task)) return -EPERM;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const found = find(task, dirfd, path, walk);
  if (typeof found === 'number') return found;
  const closeOnExec = (flags & OPEN_TREE_CLOEXEC) !== 0;
  if (!(flags & OPEN_TREE_CLONE)) {
    return installFile(task, new PathFile(found, found.dentry.inode as Inode, O_PATH), closeOnExec);
  }
  if (found.mount.namespace === null) return -EINVAL;
  if (found.mount.unbindable) return -EINVAL;
  const copy = cloneTree(found, (flags & AT_RECURSIVE) !== 0);
  return typeof copy === 'number' ? copy : installFile(task, new DetachedMount(copy), closeOnExec);
}

/** open_tree_attr(2): open_tree, and what mount_setattr would do to it */
export function open_tree_attr(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  attr: UserAddress,
  size: number,
): number {
  const wanted = attr === 0 && size === 0 ? null : readAttributes(task, attr, size);
  if (typeof wanted === 'number') return wanted;
  if (wanted !== null && !mayMount(task)) return -EPERM;
  const fd = open_tree(task, dirfd, path, flags);
  const file = fd < 0 || wanted === null ? null : task.files.get(fd as Fd);
  if (!file || wanted === null) return fd;
  const r = change(file.path.mount, wanted, (flags & AT_RECURSIVE) !== 0);
  if (r < 0) uninstallFile(task, fd as Fd);
  return r < 0 ? r : fd;
}

/** move_mount(2): puts a detached mount into the tree, or a mount to another place */
export function move_mount(
  task: Task,
  fromDirfd: Fd,
  fromPath: UserAddress,
  toDirfd: Fd,
  toPath: UserAddress,
  flags: number,
): number {
  if (!mayMount(task)) return -EPERM;
  if (flags & ~MOVE_MOUNT_FLAGS) return -EINVAL;
  const fromWalk = flags & MOVE_MOUNT_F_SYMLINKS ? WALK_FOLLOW : 0;
  const from = find(task, fromDirfd, fromPath, fromWalk | (flags & MOVE_MOUNT_F_EMPTY_PATH ? WALK_EMPTY : 0));
  if (typeof from === 'number') return from;
  const toWalk = flags & MOVE_MOUNT_T_SYMLINKS ? WALK_FOLLOW : 0;
  const to = find(task, toDirfd, toPath, toWalk | (flags & MOVE_MOUNT_T_EMPTY_PATH ? WALK_EMPTY : 0));
  if (typeof to === 'number') return to;
  const { mount } = from;
  const { namespace } = mount;
  if (from.dentry !== mount.root || namespace === null || mount.locked) return -EINVAL;
  if (to.mount.namespace !== task.fs.root.mount.namespace || to.mount.namespace === null) return -EINVAL;
  if (flags & MOVE_MOUNT_BENEATH) {
    const covers = to.dentry === to.mount.root && to.mount.parent !== null && !to.mount.locked;
    if (!covers || mount.parent !== null || namespace === to.mount.namespace || namespace.id === 0) return -EINVAL;
    return placeBeneath(mount, to.mount);
  }
  if (mount.parent === null) {
    // The root of the task's own tree stays where it is.
    return namespace.id === 0 || namespace === to.mount.namespace ? -EINVAL : placeMount(mount, to);
  }
  return namespace === to.mount.namespace ? moveMount(mount, to) : -EINVAL;
}

/** mount_setattr(2); id mappings are not there */
export function mount_setattr(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  flags: number,
  attr: UserAddress,
  size: number,
): number {
  if (flags & ~(AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) return -EINVAL;
  if (!mayMount(task)) return -EPERM;
  const wanted = readAttributes(task, attr, size);
  if (typeof wanted === 'number') return wanted;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const found = find(task, dirfd, path, walk);
  if (typeof found === 'number') return found;
  if (found.dentry !== found.mount.root || found.mount.namespace === null) return -EINVAL;
  return change(found.mount, wanted, (flags & AT_RECURSIVE) !== 0);
}

interface AttributeSets {
  readonly set: number;
  readonly clear: number;
  /** MS_SHARED and its like, or 0 for what it is. */
  readonly propagation: number;
}

/** Reads a struct mount_attr, which may grow. */
function readAttributes(task: Task, attr: UserAddress, size: number): AttributeSets | number {
  if (size > PAGE) return -E2BIG;
  if (size < MOUNT_ATTR_SIZE_VER0) return -EINVAL;
  const at = task.memory.in(attr, size);
  if (at < 0) return at;
  if (u8.subarray(at + MOUNT_ATTR_SIZE_VER0, at + size).some((byte) => byte !== 0)) return -E2BIG;
  const [set, clear, propagation] = [readU64(at), readU64(at + 8), readU64(at + 16)];
  if (set > KNOWN_ATTRIBUTES || clear > KNOWN_ATTRIBUTES || (set | clear) & ~KNOWN_ATTRIBUTES) return -EINVAL;
  return PROPAGATIONS.includes(propagation) ? { set, clear, propagation } : -EINVAL;
}

/** All or nothing: what cannot be changed is found before anything is. */
function change(mount: Mount, { set, clear, propagation }: AttributeSets, recursive: boolean): number {
  const mounts = recursive ? tree(mount) : [mount];
  for (const one of mounts) {
    const flags = withAttributes(one.flags | MS_RELATIME, set, clear);
    if (flags < 0) return flags;
    if (lockedRestrictions(one) & ~flags) return -EPERM;
    if (set & MOUNT_ATTR_RDONLY && !(one.flags & MS_RDONLY) && writtenTo(one)) return -EBUSY;
  }
  for (const one of mounts) {
    const keepsTimes = ((set | clear) & MOUNT_ATTR__ATIME) === 0;
    const flags = withAttributes(one.flags | MS_RELATIME, set, clear);
    if (propagation !== 0) setPropagation(one, propagation);
    one.flags = keepsTimes ? (flags & ~TIME_FLAGS) | (one.flags & TIME_FLAGS) : flags;
  }
  mount.namespace?.changes.note();
  return 0;
}

function tree(mount: Mount): Mount[] {
  return [mount, ...mount.children.flatMap(tree)];
}
