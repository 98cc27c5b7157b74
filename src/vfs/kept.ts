// Inodes that stay in memory although nobody has them open: somebody watches them (notify.ts), or a file handle stands
// for them (handles.ts). Their names stay cached too, so that walks come by this very inode. Once such an inode has
// lost its last name and its last user, its keepers are told and let go of it.

import { addInvariant } from '../base/invariants.ts';
import { setRemovedHook, unuseInode } from './dentry-cache.ts';
import type { Inode } from './inode.ts';

export interface Keeper {
  /** The inode is gone, or its filesystem is; the keeper has been taken off it. */
  inodeGone(inode: Inode): void;
}

const kept = new Map<Inode, Set<Keeper>>();

/** Keeps an inode in memory for somebody. */
export function keepInode(inode: Inode, keeper: Keeper): void {
  let keepers = kept.get(inode);
  if (!keepers) {
    keepers = new Set();
    kept.set(inode, keepers);
    inode.uses++;
    inode.watched = true;
  }
  keepers.add(keeper);
}

/** A keeper needs the inode no more. */
export function letGoOfInode(inode: Inode, keeper: Keeper): void {
  const keepers = kept.get(inode);
  if (!keepers?.delete(keeper) || keepers.size > 0) return;
  kept.delete(inode);
  inode.watched = false;
  unuseInode(inode);
}

/** Inodes that are kept, the youngest first. */
export function keptInodes(): Inode[] {
  return [...kept.keys()].reverse();
}

/** Takes all keepers off an inode. */
export function releaseInode(inode: Inode): void {
  const keepers = kept.get(inode);
  if (!keepers) return;
  kept.delete(inode);
  inode.watched = false;
  for (const keeper of keepers) keeper.inodeGone(inode);
  unuseInode(inode);
}

let onGone: (inode: Inode) => void = () => {};
/** Who is told that an inode without a name has no users any more, just before it goes (notify.ts). */
export function setGoneHook(hook: (inode: Inode) => void): void {
  onGone = hook;
}

let going: Inode | null = null;

setRemovedHook((inode) => {
  // The last user of a kept inode is its keepers.
  if (inode === going || (inode.uses === 1 && !kept.has(inode))) return;
  going = inode;
  onGone(inode);
  releaseInode(inode);
  going = null;
});

addInvariant((fail) => {
  for (const [inode, keepers] of kept) {
    if (!inode.watched || inode.uses < 1 || keepers.size === 0)
      fail(`inode ${inode.ino} is kept by ${keepers.size}, with ${inode.uses} users`);
  }
});
