// Telling who watches: what is done to an inode is news for its watchers and, with the name, for those of its
// directory (inotify(7), dnotify), and for the listener, who may look at whole mounts and filesystems (fanotify(7)). As
// long as nobody watches anything it costs two comparisons.

import { FAN_OPEN_EXEC, FAN_RENAME } from '../abi/fanotify.ts';
import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_UNMOUNT,
} from '../abi/misc.ts';
import type { Task } from '../kernel/task.ts';
import type { Dentry, Mount, Path } from './dentry.ts';
import type { Inode, Superblock } from './inode.ts';
import { type Keeper, keepInode, keptInodes, letGoOfInode, releaseInode, setGoneHook } from './kept.ts';
import type { OpenFile } from './open-file.ts';

export interface InodeWatcher {
  /** `name` is '' for what happened to the inode itself; `unlinked`: it was done with an open file whose name is gone. */
  notify(inode: Inode, mask: number, cookie: number, name: string, unlinked: boolean): void;
  /** The inode is gone, or its filesystem is: the watcher has been taken off it. */
  inodeGone(inode: Inode): void;
}

/** Watchers by inode. A watched inode stays in memory. */
const watched = new Map<Inode, Set<InodeWatcher>>();

const keeper: Keeper = {
  inodeGone(inode) {
    const watchers = watched.get(inode);
    if (!watchers) return;
    watched.delete(inode);
    const mask = inode.nlink === 0 ? IN_DELETE_SELF : IN_UNMOUNT | directoryBit(inode);
    for (const watcher of watchers) {
      watcher.notify(inode, mask, 0, '', false);
      watcher.inodeGone(inode);
    }
  },
};

/** Adds a watcher to an inode. */
export function watchInode(inode: Inode, watcher: InodeWatcher): void {
  let watchers = watched.get(inode);
  if (!watchers) {
    watchers = new Set();
    watched.set(inode, watchers);
    keepInode(inode, keeper);
  }
  watchers.add(watcher);
}

/** Takes a watcher off an inode. */
export function unwatchInode(inode: Inode, watcher: InodeWatcher): void {
  const watchers = watched.get(inode);
  if (!watchers?.delete(watcher) || watchers.size > 0) return;
  watched.delete(inode);
  letGoOfInode(inode, keeper);
}

/** What happened, as the listener is told. */
export interface FileEvent {
  /** IN_* or FAN_* bits, IN_ISDIR if it is about a directory. */
  readonly mask: number;
  /** What it happened to; null if only its name is known. */
  readonly inode: Inode | null;
  /** A name of that, if known. */
  readonly dentry: Dentry | null;
  /** The directory, and the name in it, under which it was done; null if unknown. */
  readonly directory: Dentry | null;
  readonly name: string;
  /** The directory itself was changed: a name was made, removed or moved. */
  readonly entry: boolean;
  /** For FAN_RENAME: where the name went. */
  readonly newDirectory: Dentry | null;
  readonly newName: string;
  /** Through which mount it was done, if through one. */
  readonly path: Path | null;
}

export interface EventListener {
  event(event: FileEvent): void;
  /** May the task do FAN_*_PERM with the file: 0, -errno, or WAIT until somebody has answered. */
  permit(task: Task, file: OpenFile, mask: number): number;
  /** A mount is no more, or a superblock is mounted nowhere any more. */
  unmounted(what: Superblock | Mount): void;
}

let listener: EventListener | null = null;

/** Who is told everything, or null for nobody. */
export function setEventListener(to: EventListener | null): void {
  listener = to;
}

/** Whether somebody may have to be asked before what was opened is used. */
export function mayBeRefused(): boolean {
  return listener !== null;
}

/** Asks who may have to be asked before a task goes on with an open file (FAN_*_PERM). 0, -errno or WAIT. */
export function askPermission(task: Task, file: OpenFile, mask: number): number {
  return listener === null || file.quiet ? 0 : listener.permit(task, file, mask);
}

function tell(inode: Inode | null | undefined, mask: number, cookie: number, name: string, unlinked: boolean): void {
  if (!inode) return;
  for (const watcher of [...(watched.get(inode) ?? [])]) watcher.notify(inode, mask, cookie, name, unlinked);
}

function happened(dentry: Dentry, inode: Inode, mask: number, path: Path | null): void {
  const bits = inode.isDirectory ? mask | IN_ISDIR : mask;
  if (listener !== null) {
    const { parent: directory, name } = dentry;
    listener.event({
      mask: bits,
      inode,
      dentry,
      directory,
      name,
      entry: false,
      newDirectory: null,
      newName: '',
      path,
    });
  }
  if (watched.size === 0) return;
  const plain = bits & ~FAN_OPEN_EXEC;
  // What is done to an inode is news even if the name is gone; what is done with an open file may not be.
  const unlinked = path !== null && dentry.unlinked;
  if (dentry.parent) tell(dentry.parent.inode, plain, 0, dentry.name, unlinked);
  tell(inode, plain, 0, '', unlinked);
}

/** Something (IN_*) was done to what a dentry names, by name: its attributes or its size were changed. */
export function notifyDentry(dentry: Dentry, inode: Inode, mask: number): void {
  if (watched.size > 0 || listener !== null) happened(dentry, inode, mask, null);
}

/** Something (IN_*) was done with an open file: it was opened, read, written, or closed. */
export function notifyFile(file: OpenFile, mask: number): void {
  if (watched.size === 0 && listener === null) return;
  if (file.quiet) return;
  happened(file.path.dentry, file.inode, mask, file.path);
  for (let under = file.inode.standsFor; under !== null; under = under.standsFor) {
    const bits = under.isDirectory ? mask | IN_ISDIR : mask;
    changedSelf(under, bits);
    tell(under, bits & ~FAN_OPEN_EXEC, 0, '', false);
  }
}

/** What a generated file tells has changed, without anybody having written it. */
export function notifyGenerated(directory: Inode, name: string, inode: Inode): void {
  tell(directory, IN_MODIFY, 0, name, false);
  tell(inode, IN_MODIFY, 0, '', false);
}

function changedEntry(directory: Dentry, name: string, inode: Inode | null, mask: number): void {
  if (listener === null) return;
  const dentry = directory.children?.get(name) ?? null;
  listener.event({
    mask: mask | directoryBit(inode),
    inode,
    dentry: dentry?.inode === inode ? dentry : null,
    directory,
    name,
    entry: true,
    newDirectory: null,
    newName: '',
    path: null,
  });
}

/** A name was made in a directory. */
export function notifyCreated(directory: Dentry, name: string, inode: Inode | null): void {
  changedEntry(directory, name, inode, IN_CREATE);
  if (watched.size > 0) tell(directory.inode, IN_CREATE | directoryBit(inode), 0, name, false);
}

/** A name was removed from a directory. */
export function notifyRemoved(directory: Dentry, name: string, inode: Inode): void {
  changedEntry(directory, name, inode, IN_DELETE);
  if (watched.size > 0) tell(directory.inode, IN_DELETE | directoryBit(inode), 0, name, false);
}

let lastCookie = 0;

/** A name was moved, in the place of `replaced` if there was something; the two events of it share a cookie. */
export function notifyMoved(
  from: Dentry,
  name: string,
  to: Dentry,
  newName: string,
  inode: Inode,
  replaced: Inode | null,
): void {
  if (watched.size === 0 && listener === null) return;
  const cookie = ++lastCookie;
  const bit = directoryBit(inode);
  listener?.event({
    mask: FAN_RENAME | bit,
    inode,
    dentry: null,
    directory: from,
    name,
    entry: true,
    newDirectory: to,
    newName,
    path: null,
  });
  changedEntry(from, name, inode, IN_MOVED_FROM);
  tell(from.inode, IN_MOVED_FROM | bit, cookie, name, false);
  changedEntry(to, newName, inode, IN_MOVED_TO);
  tell(to.inode, IN_MOVED_TO | bit, cookie, newName, false);
  if (replaced) notifyLinks(replaced);
  changedSelf(inode, IN_MOVE_SELF | bit);
  tell(inode, IN_MOVE_SELF, 0, '', false);
}

/** The number of an inode's names has changed. */
export function notifyLinks(inode: Inode): void {
  if (inode.isDirectory) return;
  changedSelf(inode, IN_ATTRIB);
  if (watched.size > 0) tell(inode, IN_ATTRIB, 0, '', false);
}

function changedSelf(inode: Inode, mask: number): void {
  if (listener === null) return;
  const none = { dentry: null, directory: null, name: '', newDirectory: null, newName: '', path: null };
  listener.event({ ...none, mask, inode, entry: false });
}

function directoryBit(inode: Inode | null): number {
  return inode?.isDirectory ? IN_ISDIR : 0;
}

/** A superblock is mounted no more. */
export function notifyUnmounted(superblock: Superblock): void {
  for (const inode of keptInodes()) if (inode.superblock === superblock) releaseInode(inode);
  listener?.unmounted(superblock);
}

/** A mount is taken off. */
export function notifyMountGone(mount: Mount): void {
  listener?.unmounted(mount);
}

// Nobody but its keepers has the inode any more: without a name it is gone.
setGoneHook((inode) => changedSelf(inode, IN_DELETE_SELF | directoryBit(inode)));
