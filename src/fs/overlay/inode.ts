// Inodes of an overlay: an upper inode, a lower one, or both. A change copies the inode up first: into a memory upper
// its attributes only, with the data left below until they are written; into a host directory everything at once.
// A directory in both layers shows the names of both; a whiteout in the upper one hides a lower name.

import { EEXIST, EIO, ENODATA, ENOENT, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.ts';
import { O_ACCMODE, O_RDONLY, O_TRUNC, RENAME_EXCHANGE, SEEK_DATA } from '../../abi/fcntl.ts';
import { S_IFCHR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { type Credentials, NO_CAPABILITIES } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, IO_CHUNK, markScratch, releaseScratch } from '../../platform/arena.ts';
import type { Path } from '../../vfs/dentry.ts';
import { unuseInode } from '../../vfs/dentry-cache.ts';
import { type AttributeChange, type DirectorySink, Inode } from '../../vfs/inode.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { openStored } from '../special.ts';
import type { OverlaySuperblock } from './superblock.ts';

const OPAQUE = 'user.overlay.opaque';
const PRIVATE = /^(trusted|user)\.overlay\./;

export class OverlayInode extends Inode {
  declare readonly superblock: OverlaySuperblock;
  upper: Inode | null;
  readonly lower: Inode | null;
  private readonly virtualDevice: number;
  /** A regular file whose attributes are in the upper layer and whose data are still in the lower one. */
  private dataBelow: boolean;
  /** How often the lower data are open. */
  private lowerOpens = 0;
  /** Lower names that were hidden: what the lower link count does not know. */
  private hiddenLinks = 0;
  /** Directory and name it was found under last: where it would be copied up to. */
  private parent: OverlayInode | null = null;
  private name = '';

  constructor(superblock: OverlaySuperblock, upper: Inode | null, lower: Inode | null) {
    super(superblock);
    this.upper = upper;
    this.lower = lower;
    if (upper) upper.uses++;
    if (lower) lower.uses++;
    const origin = (lower ?? upper) as Inode;
    this.ino = superblock.inoOf(origin, !lower);
    this.virtualDevice = superblock.deviceOf(origin, !lower);
    this.dataBelow = !upper && ((lower as Inode).mode & S_IFMT) === S_IFREG;
    this.pull();
  }

  override get device(): number {
    return this.virtualDevice;
  }

  // ---- attributes ----

  private get source(): Inode {
    return (this.upper ?? this.lower) as Inode;
  }
  private get data(): Inode {
    return (this.dataBelow ? this.lower : this.upper) as Inode;
  }

  /** Takes over the attributes of the layers. */
  private pull(): void {
    const { source } = this;
    this.mode = source.mode;
    this.uid = source.uid;
    this.gid = source.gid;
    this.rdev = source.rdev;
    if (!this.upper) this.nlink = Math.max(0, source.nlink - this.hiddenLinks);
    else this.nlink = this.lower && source.isDirectory && source.nlink > 0 ? 1 : source.nlink;
    const sized = this.dataBelow ? (this.lower as Inode) : source;
    this.size = sized.size;
    this.blocks = sized.blocks;
    this.atime = source.atime;
    this.mtime = source.mtime;
    this.ctime = source.ctime;
  }

  override refresh(): number {
    if (!this.upper && this.lower?.cacheable) return 0;
    const r = this.source.refresh();
    this.pull();
    return r;
  }

  override setattr(change: AttributeChange): number {
    const keepsData = change.size === undefined || change.size === 0;
    const r = this.copyUp(!keepsData);
    if (r < 0) return r;
    if (change.size === 0) this.abandonLowerData();
    const result = (this.upper as Inode).setattr(change);
    this.pull();
    return result;
  }

  override getxattr(name: string): string | number {
    return PRIVATE.test(name) ? -ENODATA : this.source.getxattr(name);
  }
  override setxattr(name: string, value: string, flags: number): number {
    if (PRIVATE.test(name)) return -EPERM;
    const r = this.copyUp(false);
    return r < 0 ? r : this.pulled((this.upper as Inode).setxattr(name, value, flags));
  }
  override removexattr(name: string): number {
    const present = this.getxattr(name);
    if (typeof present === 'number') return present;
    const r = this.copyUp(false);
    return r < 0 ? r : this.pulled((this.upper as Inode).removexattr(name));
  }
  override listxattr(): string[] | number {
    const names = this.source.listxattr();
    return typeof names === 'number' ? names : names.filter((name) => !PRIVATE.test(name));
  }

  private pulled(result: number): number {
    this.pull();
    return result;
  }

  override readlink(): string | number {
    return this.source.readlink();
  }

  // ---- copying up ----

  /** Notes where the inode has a name. */
  private placeAt(parent: OverlayInode, name: string): void {
    this.name = name;
    if (this.parent === parent) return;
    parent.uses++;
    if (this.parent) unuseInode(this.parent);
    this.parent = parent;
  }

  /** Makes sure of an upper inode, and with `withData` of its data. 0 or -errno. */
  private copyUp(withData: boolean): number {
    if (!this.upper) {
      const r = this.copyUpInode();
      if (r < 0) return r;
    }
    if (this.dataBelow && (withData || this.superblock.persistent)) return this.copyUpData();
    return 0;
  }

  private copyUpInode(): number {
    const made = this.makeUpper();
    if (typeof made === 'number') return made;
    const { uid, gid, mode, atime, mtime, lower } = this;
    const names = (lower as Inode).listxattr();
    if (typeof names !== 'number') {
      for (const name of names) {
        const value = PRIVATE.test(name) ? 0 : (lower as Inode).getxattr(name);
        if (typeof value === 'string') made.setxattr(name, value, 0);
      }
    }
    const link = (mode & S_IFMT) === S_IFLNK;
    const r = made.setattr(link ? { uid, gid, atime, mtime } : { uid, gid, mode, atime, mtime });
    if (r < 0) return r;
    // Names below that were not copied count as links too.
    if (!this.superblock.persistent && !this.isDirectory) made.nlink = this.nlink;
    made.uses++;
    this.upper = made;
    this.superblock.byUpper.set(made, this);
    this.pull();
    return 0;
  }

  /** A new upper inode of the same type under the same name; nameless when the name is gone. */
  private makeUpper(): Inode | number {
    const owner = ownerCredentials(this.uid, this.gid);
    const { parent, name, mode } = this;
    if (!parent || this.nlink === 0) {
      const root = this.superblock.upper.root;
      return (mode & S_IFMT) === S_IFREG ? root.tmpfile(mode, owner) : -ENOENT;
    }
    const r = parent.copyUp(false);
    if (r < 0) return r;
    const directory = parent.upper as Inode;
    if (this.isDirectory) return directory.mkdir(name, mode, owner);
    if ((mode & S_IFMT) === S_IFREG) return directory.create(name, mode, owner);
    if ((mode & S_IFMT) !== S_IFLNK) return directory.mknod(name, mode, this.rdev, owner);
    const target = this.readlink();
    return typeof target === 'number' ? target : directory.symlink(name, target, owner);
  }

  private copyUpData(): number {
    const from = this.lower as Inode;
    const to = this.upper as Inode;
    const mark = markScratch();
    const at = allocateScratch(IO_CHUNK);
    if (at < 0) return at;
    // The times are the upper inode's, which writing changes.
    const times = { atime: { ...this.atime }, mtime: { ...this.mtime } };
    let r = from.openData(false);
    if (r === 0) {
      r = to.openData(true);
      if (r === 0) {
        r = copyData(from, to, at);
        if (r === 0) r = to.setattr({ size: from.size, ...times });
        to.closeData(true);
      }
      from.closeData(false);
    }
    releaseScratch(mark);
    if (r === 0) r = this.abandonLowerData();
    return r;
  }

  /** The upper layer's data are the file's data from now on, also for those who have it open. */
  private abandonLowerData(): number {
    if (!this.dataBelow) return 0;
    this.dataBelow = false;
    let r = 0;
    for (; this.lowerOpens > 0; this.lowerOpens--) {
      (this.lower as Inode).closeData(false);
      r = Math.min(r, (this.upper as Inode).openData(false));
    }
    this.pull();
    return r;
  }

  // ---- directories ----

  override lookup(name: string): Inode | number {
    const above = this.upper ? this.upper.lookup(name) : -ENOENT;
    if (typeof above === 'number') {
      if (above !== -ENOENT) return above;
      const below = this.lower ? this.lower.lookup(name) : -ENOENT;
      return typeof below === 'number' ? below : this.child(null, below, name);
    }
    if (isWhiteout(above)) return -ENOENT;
    if (this.superblock.byUpper.has(above)) return this.child(above, null, name);
    const merged = above.isDirectory && this.lower !== null && above.getxattr(OPAQUE) !== 'y';
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
    if (made.isDirectory && this.superblock.persistent && covered) made.setxattr(OPAQUE, 'y', 0);
    this.pull();
    return this.child(made, null, name);
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
    if (this.hasBelow(name)) r = this.hide(name);
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
      if (moved.isDirectory) (moved.upper as Inode).setxattr(OPAQUE, 'y', 0);
      if (exchange && old?.isDirectory) (old.upper as Inode).setxattr(OPAQUE, 'y', 0);
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
    const { upper, lower, superblock } = this;
    let index = 0;
    let wanted = true;
    const give = (name: string, ino: number, type: number): boolean => {
      if (index++ < offset) return true;
      wanted = sink(name, ino, type, index);
      return wanted;
    };
    const seen = lower && upper ? new Set<string>() : null;
    if (upper) {
      const r = upper.readdir(0, (name, _ino, type) => {
        seen?.add(name);
        const inode = type === S_IFCHR >>> 12 || !superblock.persistent ? upper.lookup(name) : _ino;
        if (typeof inode === 'number') return give(name, superblock.inoOf({ ino: _ino } as Inode, true), type);
        if (isWhiteout(inode)) return true;
        return give(name, superblock.byUpper.get(inode)?.ino ?? superblock.inoOf(inode, true), type);
      });
      if (r < 0) return r;
    }
    if (!lower || !wanted) return 0;
    return lower.readdir(0, (name, ino, type) => (seen?.has(name) ? true : give(name, ino, type)));
  }

  // ---- data ----

  override open(path: Path, flags: number, task?: Task): OpenFile | number {
    if (flags & O_TRUNC && (flags & O_ACCMODE) !== O_RDONLY && (this.mode & S_IFMT) === S_IFREG) {
      // The old data go in a moment: they need not be copied.
      const r = this.upper ? 0 : this.copyUpInode();
      if (r < 0) return r;
      this.abandonLowerData();
    }
    return openStored(path, this, flags, task);
  }

  override openData(write: boolean): number {
    if (write) {
      const r = this.copyUp(true);
      return r < 0 ? r : (this.upper as Inode).openData(true);
    }
    const r = this.data.openData(false);
    if (r === 0 && this.dataBelow) this.lowerOpens++;
    return r;
  }

  override closeData(write: boolean): void {
    if (this.dataBelow && !write) this.lowerOpens--;
    this.data.closeData(write);
  }

  override readData(at: number, length: number, offset: number): number {
    return this.data.readData(at, length, offset);
  }

  override touchAccess(strict: boolean): void {
    (this.isDirectory ? this.source : this.data).touchAccess(strict);
  }

  override writeData(at: number, length: number, offset: number): number {
    const n = (this.upper as Inode).writeData(at, length, offset);
    this.size = (this.upper as Inode).size;
    return n;
  }

  override seekData(offset: number, whence: number): number {
    return this.data.seekData(offset, whence);
  }

  override allocateData(mode: number, offset: number, length: number): number {
    return this.pulled((this.upper as Inode).allocateData(mode, offset, length));
  }

  override mapData(protection: number, mayWrite: boolean): HostFd | number {
    return this.data.mapData(protection, mayWrite);
  }

  override syncData(dataOnly: boolean): number {
    return this.upper ? this.upper.syncData(dataOnly) : 0;
  }

  override unused(): void {
    const { upper, lower, superblock } = this;
    // In memory only this inode knows which lower one belongs to the upper one.
    if (upper && upper.nlink > 0 && !superblock.persistent && (lower || this.isDirectory)) return;
    if (upper) superblock.byUpper.delete(upper);
    if (lower && superblock.byLower.get(lower) === this) superblock.byLower.delete(lower);
    if (upper) unuseInode(upper);
    if (lower) unuseInode(lower);
    if (this.parent) unuseInode(this.parent);
    this.parent = null;
  }
}

function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;
}

/** Copies a file's data through scratch memory, leaving out holes. 0 or -errno. */
function copyData(from: Inode, to: Inode, at: number): number {
  let offset = 0;
  while (offset < from.size) {
    if (from.blocks * 512 < from.size) {
      const data = from.seekData(offset, SEEK_DATA);
      if (data < 0) break; // nothing but a hole to the end
      offset = data;
    }
    const n = from.readData(at, IO_CHUNK, offset);
    if (n === 0) break;
    if (n < 0) return n;
    for (let done = 0; done < n; ) {
      const w = to.writeData(at + done, n - done, offset + done);
      if (w <= 0) return w < 0 ? w : -EIO;
      done += w;
    }
    offset += n;
  }
  return 0;
}

/** Credentials that make an inode belong to these ids. */
function ownerCredentials(uid: number, gid: number): Credentials {
  return { ...NOBODY, fsuid: uid, fsgid: gid };
}

const NOBODY: Credentials = {
  uid: 0,
  gid: 0,
  euid: 0,
  egid: 0,
  suid: 0,
  sgid: 0,
  fsuid: 0,
  fsgid: 0,
  groups: [],
  effective: NO_CAPABILITIES,
  permitted: NO_CAPABILITIES,
  inheritable: NO_CAPABILITIES,
  bounding: NO_CAPABILITIES,
  ambient: NO_CAPABILITIES,
  securebits: 0,
  noNewPrivileges: false,
};
