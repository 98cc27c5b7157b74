// Directory notification (fcntl(2) F_NOTIFY): a signal to the owner of an open directory when something is done to the
// files in it. What inotify(7) replaced.

import { EACCES, ENOTDIR } from '../abi/errno.ts';
import { DN_ACCESS, DN_ATTRIB, DN_CREATE, DN_DELETE, DN_MODIFY, DN_MULTISHOT, DN_RENAME } from '../abi/fcntl.ts';
import { IN_ACCESS, IN_ATTRIB, IN_CREATE, IN_DELETE, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO } from '../abi/misc.ts';
import type { Fd } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import type { Inode } from '../vfs/inode.ts';
import { type InodeWatcher, unwatchInode, watchInode } from '../vfs/notify.ts';
import type { FileWatch, OpenFile } from '../vfs/open-file.ts';
import { checkAccess, MAY_READ } from '../vfs/permission.ts';
import { ensureOwner, tellOwner } from './async-signals.ts';

/** By DN_* the events that are meant. */
const EVENTS: readonly (readonly [asked: number, events: number])[] = [
  [DN_ACCESS, IN_ACCESS],
  [DN_MODIFY, IN_MODIFY],
  [DN_ATTRIB, IN_ATTRIB],
  [DN_CREATE, IN_CREATE | IN_MOVED_TO],
  [DN_DELETE, IN_DELETE | IN_MOVED_FROM],
];
const ASKED = EVENTS.reduce((sum, [asked]) => sum | asked, DN_RENAME);

class DirectoryWatch implements InodeWatcher, FileWatch {
  mask = 0;
  repeats = false;
  /** Cookie of the last name that was moved away. */
  private lastLeft = 0;
  private readonly file: OpenFile;

  constructor(file: OpenFile) {
    this.file = file;
  }

  notify(_inode: Inode, mask: number, cookie: number): void {
    // A rename is what leaves and arrives in the same directory.
    const renamed = (mask & IN_MOVED_TO) !== 0 && cookie === this.lastLeft;
    if (mask & IN_MOVED_FROM) this.lastLeft = cookie;
    const wanted = EVENTS.some(([asked, events]) => this.mask & asked && mask & events);
    if (!wanted && !(renamed && this.mask & DN_RENAME)) return;
    tellOwner(this.file);
    if (!this.repeats) this.stop();
  }

  inodeGone(): void {
    watches.delete(this.file);
  }

  fileReleased(): void {
    this.stop();
  }

  stop(): void {
    unwatchInode(this.file.inode, this);
    this.file.watches?.delete(this);
    watches.delete(this.file);
  }
}

const watches = new WeakMap<OpenFile, DirectoryWatch>();

/** F_NOTIFY: adds events to those that the owner of an open directory is told of; none ends it. 0 or -errno. */
export function notifyOnDirectory(task: Task, file: OpenFile, fd: Fd, argument: number): number {
  const known = watches.get(file);
  if ((argument & ASKED) === 0) {
    known?.stop();
    return 0;
  }
  if (!file.inode.isDirectory) return -ENOTDIR;
  if (checkAccess(file.inode, task.credentials, MAY_READ) < 0) return -EACCES;
  const watch = known ?? new DirectoryWatch(file);
  watch.mask |= argument & ASKED;
  watch.repeats ||= (argument & DN_MULTISHOT) !== 0;
  ensureOwner(task, file, fd);
  if (known) return 0;
  watches.set(file, watch);
  file.watches ??= new Set();
  file.watches.add(watch);
  watchInode(file.inode, watch);
  return 0;
}
