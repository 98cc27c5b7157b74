// inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

import { EBADF, EEXIST, EINVAL, EMFILE } from '../abi/errno.ts';
import { AT_FDCWD, O_PATH } from '../abi/fcntl.ts';
import {
  IN_CLOEXEC,
  IN_DONT_FOLLOW,
  IN_EXCL_UNLINK,
  IN_IGNORED,
  IN_ISDIR,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_NONBLOCK,
  IN_ONESHOT,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
} from '../abi/misc.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { InotifyFile } from '../fs/inotify/inotify.ts';
import { sysctlNumber } from '../fs/proc/sysctl.ts';
import { installFile } from '../kernel/descriptors.ts';
import { kernel } from '../kernel/kernel.ts';
import type { Task } from '../kernel/task.ts';
import type { Inode } from '../vfs/inode.ts';
import { checkAccess, MAY_READ } from '../vfs/permission.ts';
import { resolve, WALK_DIRECTORY, WALK_FOLLOW } from '../vfs/walk.ts';

/** The events that can be asked for. */
const EVENTS = 0xfff;
const KEPT = EVENTS | IN_EXCL_UNLINK | IN_ONESHOT;
const FLAGS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD | IN_MASK_CREATE;
/** The others are those that only events have. */
const KNOWN = KEPT | FLAGS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ISDIR;

export function inotify_init(task: Task): number {
  return inotify_init1(task, 0);
}

export function inotify_init1(task: Task, flags: number): number {
  if (flags & ~(IN_CLOEXEC | IN_NONBLOCK)) return -EINVAL;
  if (instancesOf(task.credentials.uid) >= sysctlNumber('fs.inotify.max_user_instances', 128)) return -EMFILE;
  return installFile(task, new InotifyFile(flags, task.credentials.uid), (flags & IN_CLOEXEC) !== 0);
}

/** How many instances a user's processes have open. */
function instancesOf(uid: number): number {
  const found = new Set<InotifyFile>();
  for (const { files, credentials } of kernel.tasks.values()) {
    if (credentials.uid !== uid) continue;
    for (const file of files.files) if (file instanceof InotifyFile) found.add(file);
  }
  return found.size;
}

/** inotify_add_watch(2): also changes what a watch is for */
export function inotify_add_watch(task: Task, fd: Fd, path: UserAddress, mask: number): number {
  if (mask === 0 || mask & ~KNOWN) return -EINVAL;
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (mask & IN_MASK_ADD && mask & IN_MASK_CREATE) return -EINVAL;
  if (!(file instanceof InotifyFile)) return -EINVAL;
  const text = task.memory.string(path);
  if (typeof text === 'number') return text;
  const walk = (mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW) | (mask & IN_ONLYDIR ? WALK_DIRECTORY : 0);
  const found = resolve(task, AT_FDCWD as Fd, text, walk);
  if (typeof found === 'number') return found;
  const inode = found.dentry.inode as Inode;
  const allowed = checkAccess(inode, task.credentials, MAY_READ);
  if (allowed < 0) return allowed;
  const known = file.find(inode);
  if (!known) return file.add(inode, mask & KEPT);
  if (mask & IN_MASK_CREATE) return -EEXIST;
  known.mask = mask & IN_MASK_ADD ? known.mask | (mask & KEPT) : mask & KEPT;
  return known.wd;
}

/** inotify_rm_watch(2) */
export function inotify_rm_watch(task: Task, fd: Fd, wd: number): number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return file instanceof InotifyFile ? file.remove(wd) : -EINVAL;
}
