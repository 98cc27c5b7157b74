// The layers of an overlay's inode: an upper inode, a lower one, or both, and copying up from the one to the other.
// A change copies the inode up first: into a memory upper its attributes only, with the data left below until they are
// written; into a directory everything, and a file gets its name there when it is whole, so that whatever ends the sandbox
// leaves either file. What takes longer than a turn answers WAIT, which the call passes on: it is tried again, and goes on
// where the copy stopped.

import { EINVAL, EIO, EISDIR, ENODATA, ENOENT, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { SEEK_DATA } from '../../abi/fcntl.ts';
import { S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Timestamp } from '../../base/clock.ts';
import { type Credentials, ROOT } from '../../base/credentials.ts';
import { WAIT } from '../../kernel/block.ts';
import { kernel } from '../../kernel/kernel.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { allocateScratch, IO_CHUNK, markScratch, releaseScratch } from '../../platform/arena.ts';
import type { Acl } from '../../vfs/acl.ts';
import { unuseInode } from '../../vfs/dentry-cache.ts';
import { type AttributeChange, Inode } from '../../vfs/inode.ts';
import type { OverlaySuperblock } from './superblock.ts';

/** Copies that may be half-way at a time: each keeps descriptors. Others are made in one go. */
const COPIES_MOST = 16;

/** Data on their way up. */
interface Copying {
  readonly to: Inode;
  offset: number;
}

const PRIVATE = /^(trusted|user)\.overlay\./;

export abstract class OverlayLayers extends Inode {
  declare readonly superblock: OverlaySuperblock;
  upper: Inode | null;
  readonly lower: Inode | null;
  protected readonly virtualDevice: number;
  /** A regular file whose attributes are in the upper layer and whose data are still in the lower one. */
  protected dataBelow: boolean;
  /** How often the lower data are open. */
  protected lowerOpens = 0;
  /** Lower names that were hidden: what the lower link count does not know. */
  protected hiddenLinks = 0;
  /** Directory and name it was found under last: where it would be copied up to. */
  protected parent: OverlayLayers | null = null;
  protected name = '';
  /** The lower layer is known not to have that name. */
  protected nothingBelow = false;
  private copying: Copying | null = null;

  constructor(superblock: OverlaySuperblock, upper: Inode | null, lower: Inode | null) {
    super(superblock, false);
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

  protected get source(): Inode {
    return (this.upper ?? this.lower) as Inode;
  }
  protected get data(): Inode {
    return (this.dataBelow ? this.lower : this.upper) as Inode;
  }

  /** Takes over the attributes of the layers. */
  protected pull(): void {
    const { source } = this;
    this.mode = source.mode;
    this.uid = source.uid;
    this.gid = source.gid;
    this.rdev = source.rdev;
    this.flags = source.flags;
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
    const r = change.size === 0 && !this.upper ? this.copyUpInode() : this.copyUp(!keepsData);
    if (r < 0) return r;
    if (change.size === 0) this.abandonLowerData();
    const result = (this.upper as Inode).setattr(change);
    this.pull();
    return result;
  }

  override getxattr(name: string): string | number {
    return PRIVATE.test(name) ? -ENODATA : this.source.getxattr(name);
  }
  override dropCapabilities(): void {
    this.upper?.dropCapabilities();
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
  override birthTime(): Timestamp | null {
    return (this.lower ?? this.source).birthTime();
  }
  override get standsFor(): Inode | null {
    if (!this.superblock.mountedByProgram) return null;
    return this.isDirectory ? this.source : this.data;
  }
  override accessList(): Acl | null {
    return this.source.accessList();
  }
  override get hasDefaultList(): boolean {
    return this.source.hasDefaultList;
  }
  override get settableFlags(): number {
    return this.superblock.upper.root.settableFlags;
  }
  override setFlags(flags: number): number {
    const r = this.copyUp(false);
    return r < 0 ? r : this.pulled((this.upper as Inode).setFlags(flags));
  }
  override listxattr(): string[] | number {
    const names = this.source.listxattr();
    return typeof names === 'number' ? names : names.filter((name) => !PRIVATE.test(name));
  }

  protected pulled(result: number): number {
    this.pull();
    return result;
  }

  override readlink(): string | number {
    return this.source.readlink();
  }

  // ---- copying up ----

  /** Notes where the inode has a name. */
  protected placeAt(parent: OverlayLayers, name: string): void {
    if (this.parent === parent && this.name === name) return;
    this.nothingBelow = false;
    this.name = name;
    if (this.parent === parent) return;
    parent.uses++;
    if (this.parent) unuseInode(this.parent);
    this.parent = parent;
  }

  /** Makes sure of an upper inode, and with `withData` of its data. 0, -errno, or WAIT. */
  protected copyUp(withData: boolean): number {
    if (!this.upper) {
      const r = this.copiesWhole ? this.copyUpWhole() : this.copyUpInode();
      if (r < 0) return r;
    }
    if (this.dataBelow && (withData || this.superblock.persistent)) return this.copyUpData();
    return 0;
  }

  private get copiesWhole(): boolean {
    const { persistent, keepsNameless } = this.superblock;
    return persistent && keepsNameless && (this.mode & S_IFMT) === S_IFREG;
  }

  /** Copies a file with its data, and names it then. */
  private copyUpWhole(): number {
    const directory = this.directoryAbove();
    if (typeof directory === 'number') return directory;
    if (!this.copying) {
      const made = directory.tmpfile(this.mode, ownerCredentials(this.uid, this.gid));
      if (made === -EOPNOTSUPP || made === -EISDIR || made === -EINVAL) return this.withoutNameless();
      if (typeof made === 'number') return made;
      made.uses++;
      // It stays open: there is no name by which it could be opened again.
      const opened = made.openData(true);
      if (opened < 0) {
        unuseInode(made);
        return opened;
      }
      this.beginCopy(made);
    }
    const { to } = this.copying as unknown as Copying;
    let r = this.copyOn();
    if (r === 0) r = to.setattr({ size: (this.lower as Inode).size });
    if (r === 0) r = this.dress(to);
    if (r === 0 && this.hasPlace) r = directory.link(this.name, to);
    if (r === WAIT) return r;
    this.endCopy();
    to.closeData(true);
    if (r < 0) {
      unuseInode(to);
      return r === -ENOENT ? this.withoutNameless() : r;
    }
    this.upper = to;
    this.superblock.copiedUp(this);
    return this.abandonLowerData();
  }

  /** The upper layer cannot do with files that have no name yet: they get theirs first. */
  private withoutNameless(): number {
    this.superblock.keepsNameless = false;
    const r = this.copyUpInode();
    return r < 0 ? r : this.copyUpData();
  }

  private get hasPlace(): boolean {
    return this.parent !== null && this.nlink > 0;
  }

  /** The upper directory that the copy belongs in; the root's where it has no name any more. */
  private directoryAbove(): Inode | number {
    const { parent } = this;
    if (!parent || !this.hasPlace) return this.superblock.upper.root;
    const r = parent.copyUp(false);
    return r < 0 ? r : (parent.upper as Inode);
  }

  private beginCopy(to: Inode): void {
    this.copying = { to, offset: 0 };
    this.superblock.copies++;
  }

  private endCopy(): void {
    if (this.copying) this.superblock.copies--;
    this.copying = null;
  }

  /** Nobody needs the data any more that were on their way. */
  private dropCopy(): void {
    const half = this.copying?.to;
    this.endCopy();
    if (!half || half === this.upper) return;
    half.closeData(true);
    unuseInode(half);
  }

  protected copyUpInode(): number {
    const made = this.makeUpper();
    if (typeof made === 'number') return made;
    const r = this.dress(made);
    if (r < 0) return r;
    // Names below that were not copied count as links too.
    if (!this.superblock.persistent && !this.isDirectory) made.nlink = this.nlink;
    made.uses++;
    this.upper = made;
    this.superblock.copiedUp(this);
    this.pull();
    return 0;
  }

  /** Gives a copy the attributes of what it was made of. */
  private dress(made: Inode): number {
    const { uid, gid, mode, atime, mtime, lower } = this;
    const names = (lower as Inode).listxattr();
    if (typeof names !== 'number') {
      for (const name of names) {
        const value = PRIVATE.test(name) ? 0 : (lower as Inode).getxattr(name);
        if (typeof value === 'string') made.setxattr(name, value, 0);
      }
    }
    const link = (mode & S_IFMT) === S_IFLNK;
    return made.setattr(link ? { uid, gid, atime, mtime } : { uid, gid, mode, atime, mtime });
  }

  /** A new upper inode of the same type under the same name; nameless when the name is gone. */
  protected makeUpper(): Inode | number {
    const owner = ownerCredentials(this.uid, this.gid);
    const { name, mode } = this;
    const directory = this.directoryAbove();
    if (typeof directory === 'number') return directory;
    if (!this.hasPlace) return (mode & S_IFMT) === S_IFREG ? directory.tmpfile(mode, owner) : -ENOENT;
    if (this.isDirectory) return directory.mkdir(name, mode, owner);
    if ((mode & S_IFMT) === S_IFREG) return directory.create(name, mode, owner);
    if ((mode & S_IFMT) !== S_IFLNK) return directory.mknod(name, mode, this.rdev, owner);
    const target = this.readlink();
    return typeof target === 'number' ? target : directory.symlink(name, target, owner);
  }

  /** Copies the data into an upper inode that is there already. */
  protected copyUpData(): number {
    const to = this.upper as Inode;
    // The times are the upper inode's, which writing changes.
    const times = { atime: { ...this.atime }, mtime: { ...this.mtime } };
    let r = to.openData(true);
    if (r < 0) return r;
    if (!this.copying) this.beginCopy(to);
    r = this.copyOn();
    const change = r === WAIT ? times : { size: (this.lower as Inode).size, ...times };
    if (r === 0 || r === WAIT) r = Math.min(r, to.setattr(change));
    to.closeData(true);
    if (r === WAIT) return r;
    this.endCopy();
    return r < 0 ? r : this.abandonLowerData();
  }

  /** Copies on until all is there (0), the turn is over (WAIT), or it fails. */
  private copyOn(): number {
    const from = this.lower as Inode;
    const copying = this.copying as Copying;
    const mark = markScratch();
    const at = allocateScratch(IO_CHUNK);
    let r = at < 0 ? at : from.openData(false);
    if (r === 0) {
      const inTurns = kernel.current !== null && this.superblock.copies <= COPIES_MOST;
      r = copyData(from, copying.to, at, copying, inTurns);
      from.closeData(false);
    }
    releaseScratch(mark);
    return r;
  }

  /** The upper layer's data are the file's data from now on, also for those who have it open. */
  protected abandonLowerData(): number {
    if (!this.dataBelow) return 0;
    this.dataBelow = false;
    this.dropCopy();
    let r = 0;
    for (; this.lowerOpens > 0; this.lowerOpens--) {
      (this.lower as Inode).closeData(false);
      r = Math.min(r, (this.upper as Inode).openData(false));
    }
    this.pull();
    return r;
  }

  // ---- data ----

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

  override get dataInode(): Inode {
    return this.data.dataInode;
  }

  override readSource(): HostFd | number {
    return this.data.readSource();
  }

  override syncData(dataOnly: boolean): number {
    return this.upper ? this.upper.syncData(dataOnly) : 0;
  }

  override syncRange(offset: number, length: number, flags: number): number {
    return this.upper ? this.upper.syncRange(offset, length, flags) : 0;
  }

  override unwritten(begun: boolean): number {
    return this.upper ? this.upper.unwritten(begun) : 0;
  }

  override unused(): void {
    const { upper, lower, superblock } = this;
    // In memory only this inode knows which lower one belongs to the upper one.
    if (upper && upper.nlink > 0 && !superblock.persistent && (lower || this.isDirectory)) return;
    this.dropCopy();
    if (upper) superblock.byUpper.delete(upper);
    if (lower && superblock.byLower.get(lower) === (this as OverlayLayers)) superblock.byLower.delete(lower);
    if (upper) unuseInode(upper);
    if (lower) unuseInode(lower);
    if (this.parent) unuseInode(this.parent);
    this.parent = null;
  }
}

/**
 * Copies a file's data through scratch memory, leaving out holes, from `progress` on. 0, -errno, or with `inTurns` WAIT
 * when the turn is over.
 */
export function copyData(from: Inode, to: Inode, at: number, progress = { offset: 0 }, inTurns = false): number {
  let { offset } = progress;
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
    progress.offset = offset;
    if (inTurns && offset < from.size && turnIsOver()) return WAIT;
  }
  return 0;
}

/** Credentials that make an inode belong to these ids. */
export function ownerCredentials(uid: number, gid: number): Credentials {
  return { ...ROOT, fsuid: uid, fsgid: gid };
}
