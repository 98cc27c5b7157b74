// Opening by path (open(2), openat2(2)): finding or making the inode, checking what the flags ask for, and having the
// inode opened. Shared by the open calls, exec and the kernel's own opens. A FIFO that still waits for its other end is
// the caller's business (fs/pipe/fifo.ts).

import { EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS, ETXTBSY } from '../abi/errno.ts';
import {
  O_ACCMODE,
  O_APPEND,
  O_ASYNC,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
} from '../abi/fcntl.ts';
import { IN_MODIFY, IN_OPEN } from '../abi/misc.ts';
import { MS_NODEV } from '../abi/mount.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Fd } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { Dentry, type Path } from './dentry.ts';
import { adoptInode } from './dentry-cache.ts';
import type { Inode } from './inode.ts';
import { isAppendOnly } from './inode-flags.ts';
import { topmost } from './mount.ts';
import { mayBeRefused, notifyCreated, notifyDentry, notifyFile } from './notify.ts';
import { drop, type OpenFile } from './open-file.ts';
import {
  checkAccess,
  isOwner,
  MAY_EXECUTE,
  MAY_READ,
  MAY_WRITE,
  maskedMode,
  withoutForeignSetgid,
} from './permission.ts';
import { PathFile } from './regular-file.ts';
import {
  checkWritable,
  instantiate,
  LAST_NAME,
  type Parent,
  resolve,
  resolveParent,
  WALK_DIRECTORY,
  WALK_FOLLOW,
} from './walk.ts';
import { mayWriteText } from './write-access.ts';

/** Flags that do not stay with the open file (F_GETFL does not show them). */
const CREATION_FLAGS = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
const TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY;

/**
 * Opens a path relative to `dirfd`. `mode` is for a file that is made (the umask is applied here); `walkFlags` are
 * RESOLVE_* of openat2. An open file with one reference, or -errno. `finishOpen` must follow: between the two it is
 * settled whether the task may have it.
 */
export function beginOpen(
  task: Task,
  dirfd: Fd,
  path: string,
  flags: number,
  mode: number,
  walkFlags = 0,
): OpenFile | number {
  if (flags & O_PATH) return openPathOnly(task, dirfd, path, flags, walkFlags);
  if (flags & TMPFILE_BIT) return openTemporary(task, dirfd, path, flags, mode, walkFlags);
  const follow = flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL) ? 0 : WALK_FOLLOW;
  if (flags & O_CREAT) return openOrCreate(task, dirfd, path, flags, mode, walkFlags | follow);
  const found = resolve(task, dirfd, path, walkFlags | follow | (flags & O_DIRECTORY ? WALK_DIRECTORY : 0));
  return typeof found === 'number' ? found : openExisting(task, found, flags);
}

/** Does what an open does last: telling who watches, and O_TRUNC. The file, or -errno, and then it is dropped. */
export function finishOpen(file: OpenFile, flags: number): OpenFile | number {
  if (file.flags & O_PATH) return file;
  const { inode } = file;
  notifyFile(file, IN_OPEN);
  if (flags & O_TRUNC && !file.created && (inode.mode & S_IFMT) === S_IFREG) {
    const r = inode.setattr({ size: 0 });
    if (r < 0) {
      drop(file);
      return r;
    }
    notifyDentry(file.path.dentry, inode, IN_MODIFY);
  }
  return file;
}

function openPathOnly(task: Task, dirfd: Fd, path: string, flags: number, walkFlags: number): OpenFile | number {
  const follow = flags & O_NOFOLLOW ? 0 : WALK_FOLLOW;
  const found = resolve(task, dirfd, path, walkFlags | follow | (flags & O_DIRECTORY ? WALK_DIRECTORY : 0));
  if (typeof found === 'number') return found;
  return new PathFile(found, found.dentry.inode as Inode, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
}

function openOrCreate(
  task: Task,
  dirfd: Fd,
  path: string,
  flags: number,
  mode: number,
  walkFlags: number,
): OpenFile | number {
  const parent = resolveParent(task, dirfd, path, walkFlags);
  if (typeof parent === 'number') return parent;
  if (parent.kind !== LAST_NAME) {
    if (flags & O_EXCL) return -EEXIST;
    const directory = resolve(task, dirfd, path, walkFlags);
    return typeof directory === 'number' ? directory : openExisting(task, directory, flags);
  }
  const child = parent.child as Dentry;
  if (child.inode) {
    if (flags & O_EXCL) return -EEXIST;
    if (parent.slash) return child.inode.isDirectory ? -EISDIR : -ENOTDIR;
    return openExisting(task, topmost(child.on(parent.mount)), flags);
  }
  if (parent.slash) return -EISDIR;
  if (flags & O_DIRECTORY) return -EINVAL;
  const inode = createIn(task, parent, mode);
  if (typeof inode === 'number') return inode;
  const dentry = instantiate(parent, inode);
  notifyCreated(parent.dentry, parent.name, inode);
  // Whoever made the file may use it as asked, whatever its mode says.
  const file = openInode(task, dentry.on(parent.mount), inode, flags & ~O_TRUNC);
  if (typeof file !== 'number') file.created = true;
  return file;
}

/** Makes a regular file where a walk found none. */
function createIn(task: Task, parent: Parent, mode: number): Inode | number {
  const directory = parent.dentry.inode as Inode;
  const r = checkMake(task, parent);
  if (r < 0) return r;
  const allowed = withoutForeignSetgid(directory, mode & 0o7777, task.credentials);
  return directory.create(parent.name, maskedMode(directory, S_IFREG | allowed, task.fs.umask), task.credentials);
}

/** Whether the task may add a name to a directory: 0, -EROFS, -ENOENT (it was removed) or -EACCES. */
export function checkMake(task: Task, parent: Parent): number {
  const readonly = checkWritable(parent.mount);
  if (readonly < 0) return readonly;
  if (parent.dentry.unlinked) return -ENOENT;
  return checkAccess(parent.dentry.inode as Inode, task.credentials, MAY_WRITE | MAY_EXECUTE);
}

function openTemporary(
  task: Task,
  dirfd: Fd,
  path: string,
  flags: number,
  mode: number,
  walkFlags: number,
): OpenFile | number {
  if ((flags & O_TMPFILE) !== O_TMPFILE || (flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
  const found = resolve(task, dirfd, path, walkFlags | WALK_FOLLOW | WALK_DIRECTORY);
  if (typeof found === 'number') return found;
  const directory = found.dentry.inode as Inode;
  let r = checkWritable(found.mount);
  if (r === 0) r = checkAccess(directory, task.credentials, MAY_WRITE | MAY_EXECUTE);
  if (r < 0) return r;
  const allowed = withoutForeignSetgid(directory, mode & 0o7777, task.credentials);
  const inode = directory.tmpfile(maskedMode(directory, S_IFREG | allowed, task.fs.umask), task.credentials);
  if (typeof inode === 'number') return inode;
  inode.linkable = (flags & O_EXCL) === 0;
  const dentry = new Dentry(`#${inode.ino}`, found.dentry, null);
  adoptInode(dentry, inode);
  dentry.unlinked = true;
  return openInode(task, dentry.on(found.mount), inode, flags & ~(TMPFILE_BIT | O_DIRECTORY));
}

/** Opens what a path names, after checking the flags against its type and permissions; `finishOpen` must follow. */
export function openExisting(task: Task, path: Path, flags: number): OpenFile | number {
  const inode = path.dentry.inode;
  if (!inode) return -ENOENT;
  const type = inode.mode & S_IFMT;
  const access = flags & O_ACCMODE;
  const writes = access !== O_RDONLY || (flags & O_TRUNC) !== 0;
  if (type === S_IFLNK) return flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
  if (type === S_IFDIR) {
    if (writes || flags & O_CREAT) return -EISDIR;
  } else if (flags & O_DIRECTORY) return -ENOTDIR;
  if ((type === S_IFCHR || type === S_IFBLK) && path.mount.flags & MS_NODEV) return -EACCES;
  if (writes && (type === S_IFREG || type === S_IFDIR)) {
    const readonly = checkWritable(path.mount);
    if (readonly < 0) return -EROFS;
  }
  let want = 0;
  if (access === O_RDONLY || access === O_RDWR) want |= MAY_READ;
  if (writes && !(access === O_RDONLY && type !== S_IFREG)) want |= MAY_WRITE;
  if (access === (O_WRONLY | O_RDWR)) want |= MAY_READ | MAY_WRITE;
  const allowed = checkAccess(inode, task.credentials, want);
  if (allowed < 0) return allowed;
  if (isAppendOnly(inode) && (flags & O_TRUNC || (access !== O_RDONLY && !(flags & O_APPEND)))) return -EPERM;
  if (flags & O_NOATIME && !isOwner(inode, task.credentials)) return -EPERM;
  return openInode(task, path, inode, flags);
}

function openInode(task: Task, path: Path, inode: Inode, flags: number): OpenFile | number {
  const writes = (flags & O_ACCMODE) !== O_RDONLY && (inode.mode & S_IFMT) === S_IFREG;
  if ((writes || flags & O_TRUNC) && mayWriteText(inode) < 0) return -ETXTBSY;
  // A filesystem may drop old data at once that are to be truncated: not if somebody can still refuse.
  const file = inode.open(path, mayBeRefused() ? flags & ~O_TRUNC : flags, task);
  if (typeof file === 'number') return file;
  file.flags = (flags & ~CREATION_FLAGS) | O_LARGEFILE;
  if (writes) {
    file.countsAsWriter = true;
    inode.writeCount++;
  }
  return file;
}

/** The flags of openat(2) as the kernel sees them: what is unknown is dropped, O_PATH leaves little. */
export function sanitizeOpenFlags(flags: number): number {
  if (flags & O_PATH) return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return flags & KNOWN_FLAGS;
}

/** Every flag of open(2); openat2(2) refuses others. */
export const KNOWN_FLAGS =
  O_ACCMODE |
  CREATION_FLAGS |
  O_APPEND |
  O_NONBLOCK |
  O_SYNC |
  O_ASYNC |
  O_DIRECT |
  O_LARGEFILE |
  O_NOFOLLOW |
  O_NOATIME |
  O_PATH |
  O_TMPFILE;
