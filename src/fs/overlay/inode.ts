// Inodes of an overlay: the names of its directories. A directory in both layers shows the names of both; a whiteout in
// the upper one hides a lower name. What an inode is made of: layers.ts.

import { EEXIST, EIO, ENOENT, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.ts';
import { O_ACCMODE, O_RDONLY, O_TRUNC, RENAME_EXCHANGE } from '../../abi/fcntl.ts';
import { S_IFCHR, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { Credentials } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { DirectorySink, Inode } from '../../vfs/inode.ts';
import { type EntryTaker, type Listing, listFrom } from '../../vfs/listing.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { openStored } from '../special.ts';
import { OverlayLayers, ownerCredentials } from './layers.ts';
import { OPAQUE_TRUSTED, OPAQUE_USER } from './superblock.ts';

export class OverlayInode extends OverlayLayers {
  override lookup(name: string): Inode | number {
    const above = this.upper ? this.upper.lookup(name) : -ENOENT;
    if (typeof above === 'number') {
      if (above !== -ENOENT) return above;
      const below = this.lower ? this.lower.lookup(name) : -ENOENT;
      return typeof below === 'number' ? below : this.child(null, below, name);
    }
    if (isWhiteout(above)) return -ENOENT;
    if (this.superblock.byUpper.has(above)) return this.child(above, null, name);
    const merged = above.isDirectory && this.lower !== null && !isOpaque(above);
    const below = merged ? (this.lower as Inode).lookup(name) : -ENOENT;
    return this.child(above, typeof below !== 'number' && below.isDirectory ? below : null, name);
  }

  private child(above: Inode | null, below: Inode | null, name: string): OverlayInode {
    const inode = this.superblock.inode(above, below);
    inode.placeAt(this, name);
    return inode;
  }

  /** Whether the lower layer has the name, so that removing it takes a whiteout. */
  private hasBelow(name: string): boolean {
    return this.lower !== null && typeof this.lower.lookup(name) !== 'number';
  }

  private hide(name: string): number {
    const made = (this.upper as Inode).mknod(name, S_IFCHR, 0, ownerCredentials(0, 0));
    return typeof made === 'number' ? made : 0;
  }

  /** Readies the upper directory for a new name: whether a whiteout had to go, or -errno. */
  private uncover(name: string): boolean | number {
    const r = this.copyUp(false);
    if (r < 0) return r;
    if (this.nlink === 0) return -ENOENT;
    const upper = this.upper as Inode;
    const there = upper.lookup(name);
    if (typeof there === 'number') return there === -ENOENT ? false : there;
    if (!isWhiteout(there)) return -EEXIST;
    const removed = upper.unlink(name, there);
    return removed < 0 ? removed : true;
  }

  /** The overlay's inode for one that was just made in the upper directory, or the error, the whiteout put back. */
  private made(name: string, made: Inode | number, covered: boolean): Inode | number {
    if (typeof made === 'number') {
      if (covered) this.hide(name);
      return made;
    }
    if (made.isDirectory && this.superblock.persistent && covered)
      made.setxattr(this.superblock.details.opaque, 'y', 0);
    this.pull();
    const inode = this.child(made, null, name);
    inode.nothingBelow = !covered && this.lower?.cacheable !== false;
    return inode;
  }

  override create(name: string, mode: number, owner: Credentials): Inode | number {
    const covered = this.uncover(name);
    if (typeof covered === 'number') return covered;
    return this.made(name, (this.upper as Inode).create(name, mode, owner), covered);
  }
  override mkdir(name: string, mode: number, owner: Credentials): Inode | number {
    const covered = this.uncover(name);
    if (typeof covered === 'number') return covered;
    return this.made(name, (this.upper as Inode).mkdir(name, mode, owner), covered);
  }
  override symlink(name: string, target: string, owner: Credentials): Inode | number {
    const covered = this.uncover(name);
    if (typeof covered === 'number') return covered;
    return this.made(name, (this.upper as Inode).symlink(name, target, owner), covered);
  }
  override mknod(name: string, mode: number, rdev: number, owner: Credentials): Inode | number {
    if ((mode & S_IFMT) === S_IFCHR && rdev === 0) return -EPERM; // it would be a whiteout
    const covered = this.uncover(name);
    if (typeof covered === 'number') return covered;
    return this.made(name, (this.upper as Inode).mknod(name, mode, rdev, owner), covered);
  }
  override tmpfile(mode: number, owner: Credentials): Inode | number {
    const r = this.copyUp(false);
    if (r < 0) return r;
    const made = (this.upper as Inode).tmpfile(mode, owner);
    return typeof made === 'number' ? made : this.superblock.inode(made, null);
  }

  override link(name: string, target: Inode): number {
    const inode = target as OverlayInode;
    const r = inode.copyUp(false);
    if (r < 0) return r;
    const covered = this.uncover(name);
    if (typeof covered === 'number') return covered;
    const linked = (this.upper as Inode).link(name, inode.upper as Inode);
    if (linked < 0 && covered) this.hide(name);
    inode.pull();
    if (linked === 0) inode.placeAt(this, name);
    return this.pulled(linked);
  }

  override unlink(name: string, target: Inode): number {
    return this.remove(name, target as OverlayInode);
  }

  override rmdir(name: string, target: Inode): number {
    const inode = target as OverlayInode;
    if (!inode.empty) return -ENOTEMPTY;
    return this.remove(name, inode);
  }

  private remove(name: string, target: OverlayInode): number {
    let r = this.copyUp(false);
    if (r < 0) return r;
    const upper = this.upper as Inode;
    const there = upper.lookup(name);
    if (typeof there !== 'number') {
      if (target.isDirectory) target.dropWhiteouts();
      r = there.isDirectory ? upper.rmdir(name, there) : upper.unlink(name, there);
      if (r < 0) return r;
    }
    const known = target.nothingBelow && target.parent === this && target.name === name;
    if (!known && this.hasBelow(name)) r = this.hide(name);
    target.lostName(typeof there !== 'number');
    return this.pulled(r);
  }

  /** One name of the inode is gone: in the upper layer, or hidden in the lower one. */
  private lostName(above: boolean): void {
    if (!above) {
      if (this.upper) this.upper.nlink = Math.max(0, this.upper.nlink - 1);
      else this.hiddenLinks += this.isDirectory ? this.nlink : 1;
    }
    this.pull();
  }

  private get empty(): boolean {
    let found = false;
    this.readdir(0, () => {
      found = true;
      return false;
    });
    return !found;
  }

  /** Removes what only the upper layer sees of an empty directory. */
  private dropWhiteouts(): void {
    const { upper } = this;
    if (!upper) return;
    const names: string[] = [];
    upper.readdir(0, (name) => names.push(name) > 0);
    for (const name of names) {
      const inode = upper.lookup(name);
      if (typeof inode !== 'number' && isWhiteout(inode)) upper.unlink(name, inode);
    }
  }

  override rename(
    name: string,
    target: Inode,
    newParent: Inode,
    newName: string,
    replaced: Inode | null,
    flags: number,
  ): number {
    const to = newParent as OverlayInode;
    const moved = target as OverlayInode;
    const old = replaced as OverlayInode | null;
    const exchange = (flags & RENAME_EXCHANGE) !== 0;
    // On disk nothing says which lower directory belongs to a renamed one, as in overlayfs without redirects.
    const bound = (inode: OverlayInode | null) => inode?.isDirectory && inode.lower !== null;
    if (this.superblock.persistent && (bound(moved) || (exchange && bound(old)))) return -EXDEV;
    if (old?.isDirectory && !exchange && !old.empty) return -ENOTEMPTY;
    let r = this.readyForRename(name, moved);
    if (r === 0) r = to.copyUp(false);
    if (r === 0 && exchange) r = to.readyForRename(newName, old as OverlayInode);
    if (r < 0) return r;
    const there = to.clearWay(newName, old, exchange);
    if (typeof there === 'number') return there;
    r = (this.upper as Inode).rename(name, moved.upper as Inode, to.upper as Inode, newName, there.inode, flags);
    if (r < 0) {
      if (there.whiteout) to.hide(newName);
      return r;
    }
    if (!exchange) {
      if (this.hasBelow(name)) r = this.hide(name);
      old?.lostName(there.inode !== null);
    } else (old as OverlayInode).placeAt(this, name);
    moved.placeAt(to, newName);
    if (this.superblock.persistent) {
      if (moved.isDirectory) (moved.upper as Inode).setxattr(this.superblock.details.opaque, 'y', 0);
      if (exchange && old?.isDirectory) (old.upper as Inode).setxattr(this.superblock.details.opaque, 'y', 0);
    }
    moved.pull();
    old?.pull();
    to.pull();
    return this.pulled(r);
  }

  /** Copies up the directory and its entry, so that the upper layer can rename it. */
  private readyForRename(name: string, target: OverlayInode): number {
    let r = this.copyUp(false);
    if (r === 0) r = target.copyUp(false);
    if (r < 0) return r;
    const there = (this.upper as Inode).lookup(name);
    if (there === target.upper) return 0;
    if (typeof there !== 'number') return -EIO;
    // Another name of a hard-linked lower file: its link is counted already.
    r = (this.upper as Inode).link(name, target.upper as Inode);
    if (r === 0) (target.upper as Inode).nlink--;
    return r;
  }

  /** What a rename meets in the upper directory; a whiteout is removed, as is what makes an empty directory not so. */
  private clearWay(
    name: string,
    old: OverlayInode | null,
    exchange: boolean,
  ): { inode: Inode | null; whiteout: boolean } | number {
    const there = (this.upper as Inode).lookup(name);
    if (typeof there === 'number') return there === -ENOENT ? { inode: null, whiteout: false } : there;
    if (!isWhiteout(there)) {
      if (old?.isDirectory && !exchange) old.dropWhiteouts();
      return { inode: there, whiteout: false };
    }
    const r = (this.upper as Inode).unlink(name, there);
    return r < 0 ? r : { inode: null, whiteout: true };
  }

  override readdir(offset: number, sink: DirectorySink): number {
    return listFrom(this.listing(), offset, sink);
  }

  override listing(): Listing {
    return new OverlayListing(this);
  }

  override open(path: Path, flags: number, task?: Task): OpenFile | number {
    if (flags & O_TRUNC && (flags & O_ACCMODE) !== O_RDONLY && (this.mode & S_IFMT) === S_IFREG) {
      // The old data go in a moment: they need not be copied.
      const r = this.upper ? 0 : this.copyUpInode();
      if (r < 0) return r;
      const left = this.abandonLowerData();
      if (left < 0) return left;
    }
    return openStored(path, this, flags, task);
  }
}

/** The upper layer's entries, and then those of the lower that it does not have. */
class OverlayListing implements Listing {
  private readonly directory: OverlayInode;
  private readonly upper: Listing | null;
  private readonly lower: Listing | null;
  private readonly seen: Set<string> | null;
  private upperDone: boolean;

  constructor(directory: OverlayInode) {
    const { upper, lower } = directory;
    this.directory = directory;
    this.upper = upper?.listing() ?? null;
    this.lower = lower?.listing() ?? null;
    this.seen = upper && lower ? new Set() : null;
    this.upperDone = upper === null;
  }

  next(take: EntryTaker): number {
    if (!this.upperDone) {
      const r = this.nextUpper(take);
      if (r <= 0) return r;
      this.upperDone = true;
    }
    const { lower, seen } = this;
    return lower ? lower.next((name, ino, type) => (seen?.has(name) ? true : take(name, ino, type))) : 1;
  }

  private nextUpper(take: EntryTaker): number {
    const { upper, superblock } = this.directory;
    return (this.upper as Listing).next((name, ino, type) => {
      this.seen?.add(name);
      const inode = type === S_IFCHR >>> 12 || !superblock.persistent ? (upper as Inode).lookup(name) : ino;
      if (typeof inode === 'number') return take(name, superblock.inoOf({ ino } as Inode, true), type);
      if (isWhiteout(inode)) return true;
      return take(name, superblock.byUpper.get(inode)?.ino ?? superblock.inoOf(inode, true), type);
    });
  }

  end(): void {
    this.upper?.end();
    this.lower?.end();
  }
}

function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;
}

function isOpaque(directory: Inode): boolean {
  return directory.getxattr(OPAQUE_USER) === 'y' || directory.getxattr(OPAQUE_TRUSTED) === 'y';
}
