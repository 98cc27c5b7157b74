// fanotify_init(2), fanotify_mark(2): who may, and which combinations of flags there are.

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EBADF, EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import {
  FAN_ACCESS_PERM,
  FAN_CLASS_CONTENT,
  FAN_CLASS_PRE_CONTENT,
  FAN_CLOEXEC,
  FAN_EVENT_ON_CHILD,
  FAN_FS_ERROR,
  FAN_MARK_ADD,
  FAN_MARK_DONT_FOLLOW,
  FAN_MARK_EVICTABLE,
  FAN_MARK_FILESYSTEM,
  FAN_MARK_FLUSH,
  FAN_MARK_IGNORE,
  FAN_MARK_IGNORED_MASK,
  FAN_MARK_IGNORED_SURV_MODIFY,
  FAN_MARK_MOUNT,
  FAN_MARK_ONLYDIR,
  FAN_MARK_REMOVE,
  FAN_NONBLOCK,
  FAN_ONDIR,
  FAN_OPEN_EXEC,
  FAN_OPEN_EXEC_PERM,
  FAN_OPEN_PERM,
  FAN_PRE_ACCESS,
  FAN_RENAME,
  FAN_REPORT_DIR_FID,
  FAN_REPORT_FD_ERROR,
  FAN_REPORT_FID,
  FAN_REPORT_NAME,
  FAN_REPORT_PIDFD,
  FAN_REPORT_TARGET_FID,
  FAN_REPORT_TID,
  FAN_UNLIMITED_MARKS,
  FAN_UNLIMITED_QUEUE,
} from '../abi/fanotify.ts';
import { O_ACCMODE, O_APPEND, O_CLOEXEC, O_LARGEFILE, O_NOATIME, O_NONBLOCK, O_PATH, O_SYNC } from '../abi/fcntl.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { ENTRY_EVENTS, INODE_EVENTS } from '../fs/fanotify/event.ts';
import { FanotifyGroup, makeGroup } from '../fs/fanotify/group.ts';
import { Mark, type Marked } from '../fs/fanotify/marks.ts';
import { ProcSuperblock } from '../fs/proc/proc.ts';
import { installFile } from '../kernel/descriptors.ts';
import { isNamespacePath } from '../kernel/namespace-files.ts';
import type { Task } from '../kernel/task.ts';
import { isAnonymousMount } from '../vfs/anonymous.ts';
import type { Path } from '../vfs/dentry.ts';
import { Inode } from '../vfs/inode.ts';
import { checkAccess, MAY_READ } from '../vfs/permission.ts';
import { resolve, WALK_DIRECTORY, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const CLASSES = FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT;
const FIDS = FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID;
/** What only CAP_SYS_ADMIN may ask for. */
const PRIVILEGED =
  CLASSES | FAN_REPORT_TID | FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;
const INIT_FLAGS = PRIVILEGED | FIDS | FAN_CLOEXEC | FAN_NONBLOCK;
const FILE_FLAGS = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_CLOEXEC | O_LARGEFILE | O_NOATIME;

const PERMISSION_EVENTS = FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | FAN_PRE_ACCESS;
/** Those with an open file: they can be reported by descriptor. */
const FILE_EVENTS = 0x3b | FAN_OPEN_EXEC | PERMISSION_EVENTS;
const EVENT_FLAGS = FAN_ONDIR | FAN_EVENT_ON_CHILD;
const EVENTS = FILE_EVENTS | INODE_EVENTS | FAN_FS_ERROR | EVENT_FLAGS;
const MARK_TYPE = FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM;
const COMMANDS = FAN_MARK_ADD | FAN_MARK_REMOVE | FAN_MARK_FLUSH;
const IGNORES = FAN_MARK_IGNORE | FAN_MARK_IGNORED_MASK;
const MARK_FLAGS =
  COMMANDS |
  MARK_TYPE |
  IGNORES |
  FAN_MARK_DONT_FOLLOW |
  FAN_MARK_ONLYDIR |
  FAN_MARK_IGNORED_SURV_MODIFY |
  FAN_MARK_EVICTABLE;

/** fanotify_init(2) */
export function fanotify_init(task: Task, flags: number, fileFlags: number): number {
  const privileged = capable(task.credentials, CAP_SYS_ADMIN);
  if (!privileged && (flags & PRIVILEGED || !(flags & (FAN_REPORT_FID | FAN_REPORT_DIR_FID)))) return -EPERM;
  if (flags & ~INIT_FLAGS || (flags & FAN_REPORT_PIDFD && flags & FAN_REPORT_TID)) return -EINVAL;
  if (fileFlags & ~FILE_FLAGS || (fileFlags & O_ACCMODE) === O_ACCMODE) return -EINVAL;
  if ((flags & CLASSES) === CLASSES || (flags & FIDS && flags & CLASSES)) return -EINVAL;
  if (flags & FAN_REPORT_NAME && !(flags & FAN_REPORT_DIR_FID)) return -EINVAL;
  const target = FAN_REPORT_NAME | FAN_REPORT_FID;
  if (flags & FAN_REPORT_TARGET_FID && (flags & target) !== target) return -EINVAL;
  const group = makeGroup(flags, fileFlags, task.credentials.uid, !privileged);
  return typeof group === 'number' ? group : installFile(task, group, (flags & FAN_CLOEXEC) !== 0);
}

interface Wanted {
  readonly flags: number;
  readonly mask: number;
}

/** fanotify_mark(2) */
export function fanotify_mark(task: Task, fd: Fd, flags: number, mask: number, dirfd: Fd, path: UserAddress): number {
  if (mask >= 2 ** 32 || flags & ~MARK_FLAGS) return -EINVAL;
  const wanted = checkCombination(flags, mask | 0);
  if (typeof wanted === 'number') return wanted;
  const group = task.files.get(fd);
  if (!group || group.flags & O_PATH) return -EBADF;
  if (!(group instanceof FanotifyGroup)) return -EINVAL;
  const fits = checkGroup(group, wanted);
  if (fits < 0) return fits;
  if (flags & FAN_MARK_FLUSH) return flush(group, flags);
  const found = find(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  const inode = found.dentry.inode as Inode;
  const allowed = checkAccess(inode, task.credentials, MAY_READ);
  if (allowed < 0) return allowed;
  const object = flags & FAN_MARK_MOUNT ? found.mount : flags & FAN_MARK_FILESYSTEM ? inode.superblock : inode;
  if (flags & FAN_MARK_REMOVE) return remove(group, object, wanted);
  const suits = checkPlace(group, found, inode, wanted);
  return suits < 0 ? suits : add(group, object, inode, wanted);
}

/** What does not depend on the group: the flags and the mask that are meant, or -EINVAL. */
function checkCombination(flags: number, mask: number): Wanted | number {
  const command = flags & COMMANDS;
  if (command !== FAN_MARK_ADD && command !== FAN_MARK_REMOVE && command !== FAN_MARK_FLUSH) return -EINVAL;
  if ((flags & MARK_TYPE) === MARK_TYPE) return -EINVAL;
  if (command === FAN_MARK_FLUSH) return flags & ~(MARK_TYPE | FAN_MARK_FLUSH) ? -EINVAL : { flags, mask: 0 };
  if (mask === 0 || mask & ~EVENTS || (flags & IGNORES) === IGNORES) return -EINVAL;
  const ignoring = flags & FAN_MARK_IGNORED_MASK;
  return { flags, mask: ignoring ? mask & ~EVENT_FLAGS : mask };
}

/** Whether the group may have such a mark. */
function checkGroup(group: FanotifyGroup, { flags, mask }: Wanted): number {
  if (group.unprivileged && flags & MARK_TYPE) return -EPERM;
  if (mask & PERMISSION_EVENTS && group.priority === 0) return -EINVAL;
  if (mask & FAN_PRE_ACCESS && (group.priority < 2 || mask & FAN_ONDIR)) return -EINVAL;
  if (mask & FAN_FS_ERROR && !(flags & FAN_MARK_FILESYSTEM)) return -EINVAL;
  if (flags & FAN_MARK_EVICTABLE && flags & MARK_TYPE) return -EINVAL;
  if (mask & ~(FILE_EVENTS | EVENT_FLAGS) && (group.reports === 0 || flags & FAN_MARK_MOUNT)) return -EINVAL;
  return mask & FAN_RENAME && !(group.reports & FAN_REPORT_NAME) ? -EINVAL : 0;
}

function flush(group: FanotifyGroup, flags: number): number {
  for (const [object, mark] of [...group.marks]) {
    const type = object instanceof Inode ? 0 : 'superblock' in object ? FAN_MARK_MOUNT : FAN_MARK_FILESYSTEM;
    if (type === (flags & MARK_TYPE)) group.dropMark(mark);
  }
  return 0;
}

function find(task: Task, dirfd: Fd, path: UserAddress, flags: number): Path | number {
  const onlyDirectory = flags & FAN_MARK_ONLYDIR ? WALK_DIRECTORY : 0;
  if (path === 0) return resolve(task, dirfd, '', WALK_EMPTY | onlyDirectory);
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  return resolve(task, dirfd, text, (flags & FAN_MARK_DONT_FOLLOW ? 0 : WALK_FOLLOW) | onlyDirectory);
}

/** Whether what was found can be marked like that. */
function checkPlace(group: FanotifyGroup, path: Path, inode: Inode, { flags, mask }: Wanted): number {
  if (group.reports !== 0) {
    const { superblock } = inode;
    if (superblock.device === 0) return -ENODEV;
    if (flags & MARK_TYPE && !superblock.hasHandles) return -EOPNOTSUPP;
  }
  if (mask & PERMISSION_EVENTS && inode.superblock instanceof ProcSuperblock) return -EINVAL;
  if (mask & FAN_PRE_ACCESS) return -EOPNOTSUPP;
  // What all containers share is nobody's to watch as a whole.
  if (flags & MARK_TYPE && (isAnonymousMount(path.mount) || isNamespacePath(path))) return -EINVAL;
  const strict = group.reports & FAN_REPORT_TARGET_FID || mask & FAN_RENAME || flags & FAN_MARK_IGNORE;
  const byInode = !(flags & MARK_TYPE);
  return strict && byInode && !inode.isDirectory && mask & (ENTRY_EVENTS | EVENT_FLAGS) ? -ENOTDIR : 0;
}

function add(group: FanotifyGroup, object: Marked, inode: Inode, { flags, mask }: Wanted): number {
  const survives = (flags & FAN_MARK_IGNORED_SURV_MODIFY) !== 0;
  const isInode = object === inode;
  if (flags & FAN_MARK_IGNORE && !survives && (!isInode || inode.isDirectory)) return isInode ? -EISDIR : -EINVAL;
  // A mask that the next write voids is of no use while somebody writes.
  if (flags & IGNORES && !survives && isInode && !inode.isDirectory && inode.writeCount > 0) return 0;
  const known = group.marks.get(object);
  if (known) {
    if (flags & FAN_MARK_EVICTABLE && !known.evictable) return -EEXIST;
    if (flags & FAN_MARK_IGNORED_MASK && known.ignoresByFlags) return -EEXIST;
    if (flags & FAN_MARK_IGNORE && !survives && known.ignoredSurvives) return -EEXIST;
  }
  const mark = known ?? group.addMark(object, (flags & FAN_MARK_EVICTABLE) !== 0);
  if (!(mark instanceof Mark)) return mark;
  const bits = isInode && inode.isDirectory ? mask : mask & ~FAN_EVENT_ON_CHILD;
  if (flags & IGNORES) {
    mark.ignored |= bits;
    if (flags & FAN_MARK_IGNORE) mark.ignoresByFlags = true;
    if (survives) mark.ignoredSurvives = true;
  } else mark.mask |= bits;
  return 0;
}

function remove(group: FanotifyGroup, object: Marked, { flags, mask }: Wanted): number {
  const mark = group.marks.get(object);
  if (!mark) return -ENOENT;
  if (flags & IGNORES) mark.ignored &= ~mask;
  else mark.mask &= ~mask;
  const events = ~EVENT_FLAGS;
  if (!(mark.mask & events) && !(mark.ignored & events)) group.dropMark(mark);
  return 0;
}
