// tmpfs(5): a filesystem in the sentry's memory. Directories are maps, file data live in Storage (storage.ts). Also
// the upper layer of an in-memory overlay.

import { EEXIST, EINVAL, EISDIR, ENODATA, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EOPNOTSUPP } from '../../abi/errno.ts';
import { RENAME_EXCHANGE } from '../../abi/fcntl.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL } from '../../abi/ioctl.ts';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  TMPFS_MAGIC,
  XATTR_CREATE,
  XATTR_REPLACE,
} from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { realtimeSeconds, stampNow, type Timestamp } from '../../base/clock.ts';
import type { Credentials } from '../../base/credentials.ts';
import { finishLater } from '../../kernel/leftovers.ts';
import type { Task } from '../../kernel/task.ts';
import { memoryTotal } from '../../platform/machine.ts';
import {
  ACL_ACCESS,
  ACL_DEFAULT,
  type Acl,
  aclWithMode,
  formatAcl,
  inheritedAcl,
  isMinimalAcl,
  modeOfAcl,
  parseAcl,
} from '../../vfs/acl.ts';
import type { Path } from '../../vfs/dentry.ts';
import { type AttributeChange, type DirectorySink, Inode, type StatFs, Superblock } from '../../vfs/inode.ts';
import { type EntryTaker, type Listing, WholeListing } from '../../vfs/listing.ts';
import { allocateDevice } from '../../vfs/mount.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { inheritedGroup, inheritedMode } from '../../vfs/permission.ts';
import { openStored } from '../special.ts';
import { parseTmpfsOptions, type TmpfsOptions, validTmpfsOptions } from './options.ts';
import { PAGE, Storage } from './storage.ts';

const DAY = 86400;
const SETTABLE_FLAGS = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
const INHERITED_FLAGS = FS_NODUMP_FL | FS_NOATIME_FL;
const NAME_SIZE = 20; // what a directory entry adds to the directory's st_size, as on Linux

/** What all files in memory together may take of the machine's memory: one tmpfs's usual share. */
const MEMORY_SHARE = 0.5;
/** Bytes charged to all filesystems in memory, memfds included. */
let chargedInAll = 0;

/** Targets of links and extended attributes are kept on the sentry's own heap: all of them together have this much of it. */
const KEPT_MOST = 128 << 20;
let keptInAll = 0;

/** Inodes, too: a part of the machine's memory goes to them, and no more than a heap can hold of them. */
const INODES_MOST = 1 << 20;
const MEMORY_PER_INODE = 16384;
let inodesInAll = 0;

/** So many inodes of a filesystem that is gone are given back at a time. */
const DISCARDED_AT_ONCE = 2048;

const roomForInodes = (): boolean =>
  inodesInAll < Math.min(INODES_MOST, memoryTotal() / MEMORY_PER_INODE || INODES_MOST);

export class TmpfsSuperblock extends Superblock {
  readonly device = allocateDevice();
  override readonly hasHandles = true;
  readonly typeName: string;
  readonly root: TmpfsInode;
  readonly limits: TmpfsOptions;
  /** Its files take seals: those of memfd_create(2). */
  readonly sealable: boolean;
  bytesUsed = 0;
  inodesUsed = 0;
  private lastIno = 0;

  constructor(options: TmpfsOptions, typeName = 'tmpfs', sealable = false) {
    super();
    this.sealable = sealable;
    this.typeName = typeName;
    this.source = typeName;
    this.magic = TMPFS_MAGIC;
    this.limits = options;
    this.options = this.describe();
    this.root = new TmpfsInode(this, S_IFDIR | options.mode, options.uid, options.gid);
  }

  nextIno(): number {
    return ++this.lastIno;
  }

  /** Bytes that files may still grow by: within the filesystem's size, and the sandbox's share of the machine's memory. */
  get room(): number {
    return Math.min(this.limits.size - this.bytesUsed, memoryTotal() * MEMORY_SHARE - chargedInAll);
  }

  /** Takes note of a file's growth or (negative) shrinking. */
  charge(bytes: number): void {
    this.bytesUsed += bytes;
    chargedInAll += bytes;
  }

  /** The options as /proc/mounts shows them. */
  private describe(): string {
    const { size, inodes, mode } = this.limits;
    const sizeText = size === Infinity ? '' : `size=${Math.floor(size / 1024)}k,`;
    return `${sizeText}mode=${mode.toString(8)}${inodes === Infinity ? '' : `,nr_inodes=${inodes}`}`;
  }

  override statfs(into: StatFs): number {
    super.statfs(into);
    const { size, inodes } = this.limits;
    into.blockSize = PAGE;
    into.blocks = size === Infinity ? 0 : Math.floor(size / PAGE);
    into.blocksFree = Math.max(0, into.blocks - Math.ceil(this.bytesUsed / PAGE));
    into.blocksAvailable = into.blocksFree;
    into.files = inodes === Infinity ? 0 : inodes;
    into.filesFree = Math.max(0, into.files - this.inodesUsed);
    into.nameMax = 255;
    return 0;
  }

  override reconfigure(options: readonly string[]): number {
    if (!validTmpfsOptions(options)) return -EINVAL;
    const changed = parseTmpfsOptions(options, memoryTotal(), this.limits);
    if (changed.size < this.bytesUsed || changed.inodes < this.inodesUsed) return -EINVAL;
    this.limits.size = changed.size;
    this.limits.inodes = changed.inodes;
    this.options = this.describe();
    return 0;
  }

  override shutDown(): void {
    // Not by recursion: a tree may be as deep as its maker likes.
    const left = [this.root];
    const discardSome = (): boolean => {
      for (let count = 0; count < DISCARDED_AT_ONCE && left.length > 0; count++)
        (left.pop() as TmpfsInode).discard(left);
      return left.length === 0;
    };
    if (!discardSome()) finishLater(discardSome);
  }
}

export class TmpfsInode extends Inode {
  declare readonly superblock: TmpfsSuperblock;
  /** Entries of a directory, in order of their making. */
  private entries: Map<string, TmpfsInode> | null = null;
  private storage: Storage | null = null;
  private target = '';
  private readonly born: Timestamp;
  private attributes: Map<string, string> | null = null;
  /** What of `attributes` is its access list. */
  private list: Acl | null = null;
  /** What of the superblock's size is charged to this file, in bytes. */
  private charged = 0;
  /** Bytes of links and attributes that it keeps on the heap. */
  private kept = 0;

  constructor(superblock: TmpfsSuperblock, mode: number, uid: number, gid: number) {
    super(superblock);
    this.ino = superblock.nextIno();
    superblock.inodesUsed++;
    inodesInAll++;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    stampNow(this.mtime);
    copyTime(this.atime, this.mtime);
    copyTime(this.ctime, this.mtime);
    this.born = { seconds: this.mtime.seconds, nanoseconds: this.mtime.nanoseconds };
    if ((mode & S_IFMT) === S_IFDIR) {
      this.nlink = 2;
      this.entries = new Map();
    } else if ((mode & S_IFMT) === S_IFREG) {
      this.storage = new Storage(superblock.sealable);
    }
  }

  // ---- attributes ----

  override setattr(change: AttributeChange): number {
    if (change.size !== undefined) {
      const r = this.resize(change.size);
      if (r < 0) return r;
    }
    if (change.mode !== undefined) {
      this.mode = (this.mode & S_IFMT) | (change.mode & 0o7777);
      if (this.list) this.keepList(aclWithMode(this.list, change.mode));
    }
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime) copyTime(this.atime, change.atime);
    if (change.mtime) copyTime(this.mtime, change.mtime);
    stampNow(this.ctime);
    return 0;
  }

  override getxattr(name: string): string | number {
    return this.attributes?.get(name) ?? -ENODATA;
  }

  override setxattr(name: string, value: string, flags: number): number {
    const exists = this.attributes?.has(name) ?? false;
    if (flags & XATTR_CREATE && exists) return -EEXIST;
    if (flags & XATTR_REPLACE && !exists) return -ENODATA;
    const list = name === ACL_ACCESS ? parseAcl(value) : null;
    if (list !== null && typeof list !== 'number') {
      this.mode = (this.mode & ~0o777) | modeOfAcl(list);
      this.keepList(list);
    } else {
      const before = exists ? name.length + (this.attributes?.get(name)?.length ?? 0) : 0;
      if (!this.keep(name.length + value.length - before)) return -ENOSPC;
      this.attributes ??= new Map();
      this.attributes.set(name, value);
    }
    stampNow(this.ctime);
    return 0;
  }

  /** Keeps an access list, unless the mode says it all. */
  private keepList(list: Acl): void {
    this.list = isMinimalAcl(list) ? null : list;
    if (this.list) {
      this.attributes ??= new Map();
      this.attributes.set(ACL_ACCESS, formatAcl(list));
    } else this.attributes?.delete(ACL_ACCESS);
  }

  override accessList(): Acl | null {
    return this.list;
  }

  override get hasDefaultList(): boolean {
    return this.attributes?.has(ACL_DEFAULT) ?? false;
  }

  /** Something made in this directory gets what its default list says. */
  private inheritList(child: TmpfsInode): void {
    const bytes = this.attributes?.get(ACL_DEFAULT);
    const list = bytes === undefined || child.isSymlink ? null : parseAcl(bytes);
    if (list === null || typeof list === 'number' || bytes === undefined) return;
    const inherited = inheritedAcl(list, child.mode & 0o777);
    child.mode = (child.mode & ~0o777) | modeOfAcl(inherited);
    child.keepList(inherited);
    if (!child.isDirectory) return;
    child.attributes ??= new Map();
    child.attributes.set(ACL_DEFAULT, bytes);
  }

  override get makesWhiteouts(): boolean {
    return true;
  }

  override birthTime(): Timestamp {
    return this.born;
  }

  override get settableFlags(): number {
    return SETTABLE_FLAGS;
  }

  override setFlags(flags: number): number {
    this.flags = flags;
    stampNow(this.ctime);
    return 0;
  }

  override removexattr(name: string): number {
    const value = this.attributes?.get(name);
    if (value === undefined || !this.attributes?.delete(name)) return -ENODATA;
    this.keep(-Math.min(this.kept, name.length + value.length));
    if (name === ACL_ACCESS) this.list = null;
    stampNow(this.ctime);
    return 0;
  }

  override dropCapabilities(): void {
    if (this.attributes !== null) this.removexattr('security.capability');
  }

  override listxattr(): string[] {
    return this.attributes ? [...this.attributes.keys()] : [];
  }

  // ---- directories ----

  override lookup(name: string): Inode | number {
    if (!this.entries) return -ENOTDIR;
    return this.entries.get(name) ?? -ENOENT;
  }

  override create(name: string, mode: number, owner: Credentials): Inode | number {
    return this.add(name, S_IFREG | (mode & 0o7777), owner);
  }

  override mkdir(name: string, mode: number, owner: Credentials): Inode | number {
    return this.add(name, S_IFDIR | (mode & 0o7777), owner);
  }

  override symlink(name: string, target: string, owner: Credentials): Inode | number {
    if (keptInAll + target.length > KEPT_MOST) return -ENOSPC;
    const inode = this.add(name, S_IFLNK | 0o777, owner);
    if (typeof inode === 'number') return inode;
    inode.keep(target.length);
    inode.target = target;
    inode.size = target.length;
    return inode;
  }

  override mknod(name: string, mode: number, rdev: number, owner: Credentials): Inode | number {
    const inode = this.add(name, mode, owner);
    if (typeof inode === 'number') return inode;
    const type = mode & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) inode.rdev = rdev;
    return inode;
  }

  override tmpfile(mode: number, owner: Credentials): Inode | number {
    const inode = this.make(S_IFREG | (mode & 0o7777), owner);
    if (typeof inode !== 'number') inode.nlink = 0;
    return inode;
  }

  override link(name: string, target: Inode): number {
    if (!this.entries || this.nlink === 0) return -ENOENT;
    if (this.entries.has(name)) return -EEXIST;
    this.enter(name, target as TmpfsInode);
    target.nlink++;
    stampNow(target.ctime);
    return 0;
  }

  override unlink(name: string, target: Inode): number {
    if (!this.entries || this.entries.get(name) !== target) return -ENOENT;
    if (target.isDirectory) return -EISDIR;
    this.leave(name);
    target.nlink--;
    stampNow(target.ctime);
    return 0;
  }

  override rmdir(name: string, target: Inode): number {
    if (!this.entries || this.entries.get(name) !== target) return -ENOENT;
    if (!(target as TmpfsInode).entries) return -ENOTDIR;
    if ((target as TmpfsInode).entries?.size) return -ENOTEMPTY;
    this.leave(name);
    this.nlink--;
    target.nlink = 0;
    return 0;
  }

  override rename(
    name: string,
    target: Inode,
    newParent: Inode,
    newName: string,
    replaced: Inode | null,
    flags: number,
  ): number {
    const from = this.entries;
    const to = newParent as TmpfsInode;
    if (!from || !to.entries || from.get(name) !== target || to.nlink === 0) return -ENOENT;
    const moved = target as TmpfsInode;
    const old = replaced as TmpfsInode | null;
    if (flags & RENAME_EXCHANGE) {
      if (!old || to.entries.get(newName) !== old) return -ENOENT;
      from.set(name, old);
      to.entries.set(newName, moved);
      this.nlink += Number(old.isDirectory) - Number(moved.isDirectory);
      to.nlink += Number(moved.isDirectory) - Number(old.isDirectory);
      stampNow(old.ctime);
    } else {
      if (old) {
        const r = old.isDirectory ? to.rmdir(newName, old) : to.unlink(newName, old);
        if (r < 0) return r;
      }
      this.leave(name);
      to.enter(newName, moved);
      this.nlink -= Number(moved.isDirectory);
      to.nlink += Number(moved.isDirectory);
    }
    stampNow(moved.ctime);
    this.touch();
    to.touch();
    return 0;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    if (!this.entries) return -ENOTDIR;
    let index = 0;
    for (const [name, inode] of this.entries) {
      if (index++ < offset) continue;
      if (!sink(name, inode.ino, (inode.mode & S_IFMT) >>> 12, index)) break;
    }
    return 0;
  }

  override listing(): Listing {
    return this.entries ? new EntryListing(this.entries) : new WholeListing(this);
  }

  /** Whether the directory has no entries. */
  get empty(): boolean {
    return !this.entries?.size;
  }

  override readlink(): string | number {
    return (this.mode & S_IFMT) === S_IFLNK ? this.target : -EINVAL;
  }

  // ---- data ----

  override open(path: Path, flags: number, task?: Task): OpenFile | number {
    return openStored(path, this, flags, task);
  }

  override openData(): number {
    return 0;
  }

  override readData(at: number, length: number, offset: number): number {
    return (this.storage as Storage).read(at, length, offset);
  }

  override touchAccess(strict: boolean): void {
    const { atime } = this;
    if (this.flags & FS_NOATIME_FL) return;
    // relatime: the first read after a change is stamped, and one a day.
    const fresh = later(atime, this.mtime) && later(atime, this.ctime) && atime.seconds + DAY > realtimeSeconds();
    if (strict || !fresh) stampNow(atime);
  }

  override writeData(at: number, length: number, offset: number): number {
    const storage = this.storage as Storage;
    const start = offset < 0 ? storage.size : offset;
    const room = this.superblock.room;
    // Nobody looks at single pages while there is enough.
    const fits = room >= length + PAGE ? length : storage.writable(start, length, room);
    if (fits === 0 && length > 0) return -ENOSPC;
    const n = storage.write(at, fits, start);
    if (n > 0) this.changed();
    return n;
  }

  override seekData(offset: number, whence: number): number {
    return (this.storage as Storage).seek(offset, whence);
  }

  override allocateData(mode: number, offset: number, length: number): number {
    const storage = this.storage as Storage;
    const growth = Math.max(0, offset + length - Math.max(this.charged, storage.size));
    if (growth > this.superblock.room) return -ENOSPC;
    const r = storage.allocate(mode, offset, length);
    if (r === 0) this.changed();
    return r;
  }

  override mapData(_protection: number, mayWrite: boolean): HostFd | number {
    if (!this.storage) return -EOPNOTSUPP;
    return this.storage.lend(mayWrite);
  }

  override readSource(): HostFd | number {
    return (this.storage as Storage).readSource();
  }

  /** Has the host refuse writes, as the last word on what is mapped; false while it is mapped for writing. */
  sealWrites(): boolean {
    return (this.storage as Storage).sealWrites();
  }

  /** Counts what it keeps on the heap; false if that would be too much. */
  private keep(bytes: number): boolean {
    if (bytes > 0 && keptInAll + bytes > KEPT_MOST) return false;
    this.kept += bytes;
    keptInAll += bytes;
    return true;
  }

  override evict(): void {
    this.superblock.inodesUsed--;
    inodesInAll--;
    this.keep(-this.kept);
    this.superblock.charge(-this.charged);
    this.charged = 0;
    this.storage?.free();
    this.entries = null;
  }

  /** The filesystem is gone: nothing leads here any more, and if nobody has it open it is given back. Adds what was in it. */
  discard(found: TmpfsInode[]): void {
    // It had several names.
    if (this.nlink === 0) return;
    for (const child of this.entries?.values() ?? []) found.push(child);
    this.nlink = 0;
    if (this.uses === 0) this.evict();
    else this.entries = null;
  }

  // ---- helpers ----

  private resize(size: number): number {
    if (!this.storage) return this.isDirectory ? -EISDIR : -EINVAL;
    const r = this.storage.resize(size);
    if (r === 0) this.changed();
    return r;
  }

  /** After a change of the data: sizes, charge and times follow. */
  private changed(): void {
    const storage = this.storage as Storage;
    const footprint = storage.footprint;
    this.superblock.charge(footprint - this.charged);
    this.charged = footprint;
    this.size = storage.size;
    this.blocks = footprint / 512;
    stampNow(this.mtime);
    copyTime(this.ctime, this.mtime);
  }

  private make(mode: number, owner: Credentials): TmpfsInode | number {
    const { superblock } = this;
    if (superblock.inodesUsed >= superblock.limits.inodes || !roomForInodes()) return -ENOSPC;
    const inode = new TmpfsInode(
      superblock,
      inheritedMode(this, mode, owner),
      owner.fsuid,
      inheritedGroup(this, owner),
    );
    inode.flags = this.flags & INHERITED_FLAGS;
    this.inheritList(inode);
    return inode;
  }

  private add(name: string, mode: number, owner: Credentials): TmpfsInode | number {
    if (!this.entries || this.nlink === 0) return -ENOENT;
    if (this.entries.has(name)) return -EEXIST;
    const inode = this.make(mode, owner);
    if (typeof inode === 'number') return inode;
    this.enter(name, inode);
    if (inode.isDirectory) this.nlink++;
    return inode;
  }

  private enter(name: string, inode: TmpfsInode): void {
    this.entries?.set(name, inode);
    this.size += NAME_SIZE;
    this.touch();
  }

  private leave(name: string): void {
    this.entries?.delete(name);
    this.size -= NAME_SIZE;
    this.touch();
  }

  private touch(): void {
    stampNow(this.mtime);
    copyTime(this.ctime, this.mtime);
  }
}

/** A map is gone through in order, also while it changes. */
class EntryListing implements Listing {
  private readonly entries: Iterator<[string, TmpfsInode]>;

  constructor(entries: ReadonlyMap<string, TmpfsInode>) {
    this.entries = entries.entries();
  }

  next(take: EntryTaker): number {
    for (let entry = this.entries.next(); !entry.done; entry = this.entries.next()) {
      const [name, { ino, mode }] = entry.value;
      if (!take(name, ino, (mode & S_IFMT) >>> 12)) return 0;
    }
    return 1;
  }

  end(): void {}
}

export function copyTime(to: Timestamp, from: Timestamp): void {
  to.seconds = from.seconds;
  to.nanoseconds = from.nanoseconds;
}

function later(a: Timestamp, b: Timestamp): boolean {
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds);
}
