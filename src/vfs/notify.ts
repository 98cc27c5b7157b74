// Telling who watches: what is done to an inode is news for its watchers and, with the name, for those of its
// directory (inotify(7)). As long as nobody watches anything it costs one comparison.

import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_UNMOUNT,
} from '../abi/misc.ts';
import type { Dentry } from './dentry.ts';
import { setGoneHook, unuseInode } from './dentry-cache.ts';
import type { Inode, Superblock } from './inode.ts';

export interface InodeWatcher {
  /** `name` is '' for what happened to the inode itself; `unlinked` says that a child's name is gone already. */
  notify(inode: Inode, mask: number, cookie: number, name: string, unlinked: boolean): void;
  /** The inode is gone, or its filesystem is: the watcher has been taken off it. */
  inodeGone(inode: Inode): void;
}

/** Watchers by inode. A watched inode stays in memory. */
const watched = new Map<Inode, Set<InodeWatcher>>();

/** Adds a watcher to an inode. */
export function watchInode(inode: Inode, watcher: InodeWatcher): void {
  let watchers = watched.get(inode);
  if (!watchers) {
    watchers = new Set();
    watched.set(inode, watchers);
    inode.uses++;
    inode.watched = true;
  }
  watchers.add(watcher);
}

/** Takes a watcher off an inode. */
export function unwatchInode(inode: Inode, watcher: InodeWatcher): void {
  const watchers = watched.get(inode);
  if (!watchers?.delete(watcher) || watchers.size > 0) return;
  watched.delete(inode);
  inode.watched = false;
  unuseInode(inode);
}

function tell(inode: Inode | null | undefined, mask: number, cookie: number, name: string, unlinked: boolean): void {
  if (!inode) return;
  for (const watcher of [...(watched.get(inode) ?? [])]) watcher.notify(inode, mask, cookie, name, unlinked);
}

/** Something (IN_*) was done to what a dentry names: read, written, opened, closed, changed. */
export function notifyDentry(dentry: Dentry, inode: Inode, mask: number): void {
  if (watched.size === 0) return;
  const bits = inode.isDirectory ? mask | IN_ISDIR : mask;
  if (dentry.parent) tell(dentry.parent.inode, bits, 0, dentry.name, dentry.unlinked);
  tell(inode, bits, 0, '', false);
}

/** A name was made in a directory. */
export function notifyCreated(directory: Inode, name: string, inode: Inode | null): void {
  if (watched.size > 0) tell(directory, IN_CREATE | directoryBit(inode), 0, name, false);
}

/** A name was removed from a directory. */
export function notifyRemoved(directory: Inode, name: string, inode: Inode): void {
  if (watched.size > 0) tell(directory, IN_DELETE | directoryBit(inode), 0, name, false);
}

let lastCookie = 0;

/** A name was moved, in the place of `replaced` if there was something; the two events of it share a cookie. */
export function notifyMoved(
  from: Inode,
  name: string,
  to: Inode,
  newName: string,
  inode: Inode,
  replaced: Inode | null,
): void {
  if (watched.size === 0) return;
  const cookie = ++lastCookie;
  tell(from, IN_MOVED_FROM | directoryBit(inode), cookie, name, false);
  tell(to, IN_MOVED_TO | directoryBit(inode), cookie, newName, false);
  if (replaced) notifyLinks(replaced);
  tell(inode, IN_MOVE_SELF, 0, '', false);
}

/** The number of an inode's names has changed. */
export function notifyLinks(inode: Inode): void {
  if (watched.size > 0 && !inode.isDirectory) tell(inode, IN_ATTRIB, 0, '', false);
}

function directoryBit(inode: Inode | null): number {
  return inode?.isDirectory ? IN_ISDIR : 0;
}

/** A superblock is mounted no more. */
export function notifyUnmounted(superblock: Superblock): void {
  for (const inode of [...watched.keys()].reverse()) {
    if (inode.superblock === superblock) release(inode, IN_UNMOUNT | directoryBit(inode));
  }
}

function release(inode: Inode, mask: number): void {
  const watchers = watched.get(inode);
  if (!watchers) return;
  watched.delete(inode);
  inode.watched = false;
  for (const watcher of watchers) {
    watcher.notify(inode, mask, 0, '', false);
    watcher.inodeGone(inode);
  }
  unuseInode(inode);
}

// Nobody but its watchers has the inode any more: without a name it is gone.
setGoneHook((inode) => {
  if (inode.nlink === 0 && watched.has(inode)) release(inode, IN_DELETE_SELF);
});
