// Marks of fanotify groups (fanotify_mark(2)): what a group wants to hear of an inode, a mount or a filesystem, and what
// of that it does not.

import { FAN_EVENT_ON_CHILD, FAN_ONDIR } from '../../abi/fanotify.ts';
import type { Mount } from '../../vfs/dentry.ts';
import { Inode, type Superblock } from '../../vfs/inode.ts';
import { keepInode, letGoOfInode } from '../../vfs/kept.ts';
import type { FanotifyGroup } from './group.ts';

export type Marked = Inode | Mount | Superblock;

export class Mark {
  readonly group: FanotifyGroup;
  readonly object: Marked;
  mask = 0;
  ignored = 0;
  /** Its ignore mask has flags of its own (FAN_MARK_IGNORE), and outlives modifications. */
  ignoresByFlags = false;
  ignoredSurvives = false;
  /** FAN_MARK_EVICTABLE: it does not keep its inode in memory. */
  readonly evictable: boolean;

  constructor(group: FanotifyGroup, object: Marked, evictable: boolean) {
    this.group = group;
    this.object = object;
    this.evictable = evictable;
  }

  /** The inode is gone: so is the mark. */
  inodeGone(): void {
    detachMark(this);
    this.group.forgetMark(this);
  }

  /** What it does not want of an event; `asParent` says that it happened to a child of the marked directory. */
  ignores(onDirectory: boolean, asParent: boolean): number {
    let { ignored } = this;
    if (ignored === 0) return 0;
    // The older kind of ignore mask is about directories too, and about children if the mark is.
    if (!this.ignoresByFlags) ignored |= FAN_ONDIR | (this.mask & FAN_EVENT_ON_CHILD);
    return applies(ignored, onDirectory, asParent) ? ignored : 0;
  }

  /** What it wants of an event. */
  wants(onDirectory: boolean, asParent: boolean): number {
    return applies(this.mask, onDirectory, asParent) ? this.mask : 0;
  }
}

function applies(mask: number, onDirectory: boolean, asParent: boolean): boolean {
  if (onDirectory && !(mask & FAN_ONDIR)) return false;
  return !asParent || (mask & FAN_EVENT_ON_CHILD) !== 0;
}

const marksOf = new Map<Marked, Mark[]>();

/** The marks on an object, of any group; of higher classes first. */
export function marksOn(object: Marked): readonly Mark[] | undefined {
  return marksOf.get(object);
}

/** Whether there are any marks. */
export function anyMarks(): boolean {
  return marksOf.size > 0;
}

/** Puts a mark on its object. */
export function attachMark(mark: Mark): void {
  const marks = marksOf.get(mark.object);
  if (marks) marks.push(mark);
  else marksOf.set(mark.object, [mark]);
  if (mark.object instanceof Inode && !mark.evictable) keepInode(mark.object, mark);
}

/** Takes a mark off its object. */
export function removeMark(mark: Mark): void {
  detachMark(mark);
  if (mark.object instanceof Inode && !mark.evictable) letGoOfInode(mark.object, mark);
}

function detachMark(mark: Mark): void {
  const marks = marksOf.get(mark.object) ?? [];
  const rest = marks.filter((other) => other !== mark);
  if (rest.length > 0) marksOf.set(mark.object, rest);
  else marksOf.delete(mark.object);
}

/**
 * A file was modified: ignore masks that do not survive that are void; those on its directory (`onChild`) if their
 * marks are for children too.
 */
export function voidIgnoreMasks(marks: readonly Mark[] | undefined, onChild: boolean): void {
  for (const mark of marks ?? []) {
    if (mark.ignored === 0 || mark.ignoredSurvives || (onChild && !(mark.mask & FAN_EVENT_ON_CHILD))) continue;
    mark.ignored = 0;
  }
}
