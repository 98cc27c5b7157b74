// The dentry cache: names that were looked up, also those that do not exist, so that walking a known path asks no
// filesystem. It is bounded: a hand goes round a ring of all cached dentries (the clock algorithm) and forgets leaves
// that nobody walked over since its last visit. Forgetting a dentry may free its inode.

import { addInvariant } from '../base/invariants.ts';
import { Dentry } from './dentry.ts';
import type { Inode } from './inode.ts';

const CAPACITY = 100_000;
/** How many dentries the hand looks at for each one that is added to a full ring. */
const SWEEP = 4;

const ring: Dentry[] = [];
let hand = 0;

/** How many names are cached now. */
export function cachedDentries(): number {
  return ring.length;
}

/** Whether what a directory's dentries say, also of names that do not exist, can be relied on. */
export function mayCache(directory: Inode): boolean {
  return directory.cacheable && !directory.changedBelow;
}

/** Gives a dentry its inode, which stays in memory as long as the dentry has it. */
export function adoptInode(dentry: Dentry, inode: Inode | null): void {
  const old = dentry.inode;
  if (old === inode) return;
  if (inode) inode.uses++;
  dentry.inode = inode;
  if (old) unuseInode(old);
}

/** Lets go of an inode that a dentry or an open file held. */
export function unuseInode(inode: Inode): void {
  const left = --inode.uses;
  if (left <= 1 && inode.nlink === 0) onRemoved(inode);
  if (left === 0) inode.unused();
}

let onRemoved: (inode: Inode) => void = () => {};
/** Who is told when an inode without a name has one user left, or none: its keepers may be that one (kept.ts). */
export function setRemovedHook(hook: (inode: Inode) => void): void {
  onRemoved = hook;
}

/** Adds a name below `parent`; `inode` null makes it a negative dentry. The parent has no dentry of that name. */
export function addDentry(parent: Dentry, name: string, inode: Inode | null): Dentry {
  const dentry = new Dentry(name, parent, null);
  adoptInode(dentry, inode);
  parent.children ??= new Map();
  parent.children.set(name, dentry);
  dentry.referenced = true;
  if (ring.length >= CAPACITY) sweep();
  dentry.cacheIndex = ring.length;
  ring.push(dentry);
  return dentry;
}

/** Forgets a cached name: the next walk looks it up again. Whoever holds the dentry keeps it. */
export function forgetDentry(dentry: Dentry): void {
  detach(dentry);
  if (dentry.opens === 0 && dentry.pins === 0) adoptInode(dentry, null);
}

/** The name was removed: it is negative from now on, and the old dentry, if still in use, is marked as unlinked. */
export function unlinkDentry(dentry: Dentry): void {
  const parent = dentry.parent;
  const name = dentry.name;
  detach(dentry);
  dentry.unlinked = true;
  if (dentry.opens === 0 && dentry.pins === 0) adoptInode(dentry, null);
  if (parent?.inode && mayCache(parent.inode)) addDentry(parent, name, null);
}

/** Renames a dentry within its superblock, replacing whatever was cached under the new name. */
export function moveDentry(dentry: Dentry, newParent: Dentry, newName: string): void {
  const old = newParent.children?.get(newName);
  if (old && old !== dentry) {
    detach(old);
    old.unlinked = true;
    if (old.opens === 0 && old.pins === 0) adoptInode(old, null);
  }
  dentry.parent?.children?.delete(dentry.name);
  dentry.name = newName;
  dentry.parent = newParent;
  newParent.children ??= new Map();
  newParent.children.set(newName, dentry);
}

/** Exchanges the places of two dentries. */
export function exchangeDentries(a: Dentry, b: Dentry): void {
  const { parent, name } = a;
  a.name = b.name;
  a.parent = b.parent;
  b.name = name;
  b.parent = parent;
  a.parent?.children?.set(a.name, a);
  b.parent?.children?.set(b.name, b);
}

/** An open file's name is open no more. */
export function closeDentry(dentry: Dentry): void {
  dentry.opens--;
  // A name that was removed while it was open is nobody's now.
  if (dentry.opens === 0 && dentry.unlinked && dentry.pins === 0) adoptInode(dentry, null);
}

/** Somebody needs the dentry to stay no more. */
export function unpinDentry(dentry: Dentry): void {
  if (--dentry.pins === 0 && dentry.unlinked && dentry.opens === 0) adoptInode(dentry, null);
}

/** Has work done in pieces while others are served in between; `step` is true when it is done. */
let doLater: (step: () => boolean) => void = () => {};
export function setLaterHook(hook: (step: () => boolean) => void): void {
  doLater = hook;
}

/** So many names are forgotten at a time. */
const FORGOTTEN_AT_ONCE = 4096;

/** Forgets every name below a dentry, because its filesystem is not mounted any more; then calls `done`. */
export function forgetTree(dentry: Dentry, done: () => void = () => {}): void {
  // Not by recursion: a tree may be as deep as its maker likes.
  const found = [dentry];
  for (let i = 0; i < found.length; i++) for (const child of found[i].children?.values() ?? []) found.push(child);
  let left = found.length - 1;
  const forgetSome = (): boolean => {
    for (const end = Math.max(0, left - FORGOTTEN_AT_ONCE); left > end; left--) forgetDentry(found[left]);
    if (left === 0) done();
    return left === 0;
  };
  if (!forgetSome()) doLater(forgetSome);
}

/**
 * Forgets all names that nobody needs (vm.drop_caches), leaves first, until there are none or `enough` says so. True if it
 * came to the end.
 */
export function dropDentries(enough: () => boolean): boolean {
  for (let found = true; found; ) {
    found = false;
    for (let i = ring.length - 1; i >= 0; i--) {
      if ((i & 63) === 0 && enough()) return false;
      // Forgetting one may free others, and what was last in the ring takes its place.
      const dentry = ring[i];
      if (!dentry || !evictable(dentry)) continue;
      forgetDentry(dentry);
      found = true;
    }
  }
  return true;
}

function detach(dentry: Dentry): void {
  const siblings = dentry.parent?.children;
  if (siblings?.get(dentry.name) === dentry) siblings.delete(dentry.name);
  leaveRing(dentry);
}

function leaveRing(dentry: Dentry): void {
  const index = dentry.cacheIndex;
  if (index < 0) return;
  dentry.cacheIndex = -1;
  const last = ring.pop() as Dentry;
  if (last === dentry) return;
  ring[index] = last;
  last.cacheIndex = index;
}

function sweep(): void {
  for (let i = 0; i < SWEEP && ring.length > 0; i++) {
    if (hand >= ring.length) hand = 0;
    const dentry = ring[hand];
    if (dentry.referenced) dentry.referenced = false;
    else if (evictable(dentry)) {
      forgetDentry(dentry);
      continue;
    }
    hand++;
  }
}

function evictable(dentry: Dentry): boolean {
  if (dentry.opens > 0 || dentry.pins > 0 || dentry.mounts !== null || dentry.children?.size) return false;
  return !dentry.inode?.watched;
}

addInvariant((fail) => {
  if (ring.length > CAPACITY) fail(`${ring.length} names are cached`);
  for (const [index, dentry] of ring.entries()) {
    const { name, parent, inode } = dentry;
    if (dentry.cacheIndex !== index) fail(`the name ${name} at ${index} believes to be at ${dentry.cacheIndex}`);
    if (parent?.children?.get(name) !== dentry) fail(`the name ${name} is cached, and its directory does not know it`);
    if (dentry.opens < 0 || dentry.pins < 0) fail(`the name ${name}: ${dentry.opens} opens, ${dentry.pins} pins`);
    if (dentry.unlinked) fail(`the name ${name} was removed and is still cached`);
    if (inode && inode.uses < 1) fail(`the inode of ${name} has ${inode.uses} users`);
  }
});
