// Inodes of a host tree. Attributes are cached; whatever changes them here changes the host first. A regular file's
// host descriptors are opened once and shared by all who have it open, and stay open for a while afterwards. FIFOs,
// sockets and device nodes are only names and attributes: they are never opened on the host.

import {
  EACCES,
  EBADF,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOSYS,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
} from '../../abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  RENAME_EXCHANGE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  SEEK_SET,
} from '../../abi/fcntl.ts';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  STAT_ATIME,
  STAT_BLOCKS,
  STAT_CTIME,
  STAT_DEV,
  STAT_FILE_SIZE,
  STAT_GID,
  STAT_INO,
  STAT_MODE,
  STAT_MTIME,
  STAT_NLINK,
  STAT_RDEV,
  STAT_SIZE,
  STAT_UID,
  UTIME_OMIT,
  XATTR_SIZE_MAX,
} from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { Credentials } from '../../base/credentials.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import {
  allocateScratch,
  markScratch,
  readBytes,
  readS64,
  readU64,
  releaseScratch,
  u8,
  u16,
  u32,
  writeBytes,
  writeU64,
} from '../../platform/arena.ts';
import type { Path } from '../../vfs/dentry.ts';
import { isKnownDevice } from '../../vfs/devices.ts';
import { type AttributeChange, type DirectorySink, Inode } from '../../vfs/inode.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { inheritedGroup, inheritedMode } from '../../vfs/permission.ts';
import { openStored } from '../special.ts';
import { keepIdle, leaveIdle } from './descriptors.ts';
import { deviceOf, type HostSuperblock, inodeKey } from './superblock.ts';

const NONE = -1 as HostFd;
const SAFE = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
const RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
const DIRENT_BUFFER = 64 << 10;

interface Place {
  readonly parent: HostInode;
  readonly name: string;
}

export class HostInode extends Inode {
  declare readonly superblock: HostSuperblock;
  readonly hostDevice: number;
  /** Inode number on its device, exact. */
  readonly key: number | string;
  private readonly virtualDevice: number;

  /** One name of the inode; null for the root, and when every name that was known is gone. */
  private place: Place | null = null;
  /** Further names of a hard-linked file. */
  private otherPlaces: Place[] | null = null;

  /** Open descriptors: a directory's, a file's for reading, a file's for writing. */
  private directoryFd = NONE;
  private readFd = NONE;
  private writeFd = NONE;
  /** The write descriptor can read as well. */
  private writeReads = false;
  /** The directory's descriptor does not stand at the front. */
  private directoryRead = false;
  private openCount = 0;
  /** Cached attributes may be out of date. */
  private stale = false;
  /** Owner as the guest set it where the sentry may not: kept in memory only. */
  private assigned: { uid: number; gid: number } | null = null;
  private target: string | null = null;

  // Links of the idle list (descriptors.ts).
  older: HostInode | null = null;
  newer: HostInode | null = null;
  idle = false;

  constructor(superblock: HostSuperblock, hostDevice: number, key: number | string) {
    super(superblock);
    this.hostDevice = hostDevice;
    this.key = key;
    this.virtualDevice = deviceOf(hostDevice);
  }

  override get device(): number {
    return this.virtualDevice;
  }
  override get cacheable(): boolean {
    return this.superblock.tree.exclusive;
  }

  // ---- attributes ----

  /** Takes over what a struct stat says. */
  fill(at: number): void {
    this.ino = readU64(at + STAT_INO);
    this.nlink = readU64(at + STAT_NLINK);
    this.mode = u32[(at + STAT_MODE) >>> 2];
    this.uid = this.assigned ? this.assigned.uid : u32[(at + STAT_UID) >>> 2];
    this.gid = this.assigned ? this.assigned.gid : u32[(at + STAT_GID) >>> 2];
    this.rdev = readU64(at + STAT_RDEV);
    this.size = readS64(at + STAT_FILE_SIZE);
    this.blocks = readS64(at + STAT_BLOCKS);
    readTime(this.atime, at + STAT_ATIME);
    readTime(this.mtime, at + STAT_MTIME);
    readTime(this.ctime, at + STAT_CTIME);
    this.stale = false;
  }

  override refresh(): number {
    if (!this.stale && this.superblock.tree.exclusive) return 0;
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    if (at < 0) return at;
    const r = this.stat(at);
    // Another file under our name, or none: what was known last stays.
    if (r === 0 && readU64(at + STAT_DEV) === this.hostDevice && inodeKey(at) === this.key) this.fill(at);
    releaseScratch(mark);
    return 0;
  }

  private stat(at: number): number {
    const fd = this.anyFd();
    if (fd >= 0) return host.fstat(fd, at);
    const parent = this.parentFd();
    return parent < 0 ? parent : host.newfstatat(parent, this.name, at, AT_SYMLINK_NOFOLLOW);
  }

  override setattr(change: AttributeChange): number {
    let r = 0;
    if (change.size !== undefined) r = this.resize(change.size);
    if (r === 0 && (change.uid !== undefined || change.gid !== undefined)) r = this.chown(change.uid, change.gid);
    if (r === 0 && change.mode !== undefined) r = this.chmod(change.mode & 0o7777);
    if (r === 0 && (change.atime || change.mtime)) r = this.stamp(change.atime, change.mtime);
    this.stale = true;
    const refreshed = this.refresh();
    return r < 0 ? r : refreshed;
  }

  private resize(size: number): number {
    if ((this.mode & S_IFMT) !== S_IFREG) return this.isDirectory ? -EISDIR : -EINVAL;
    const opened = this.openData(true);
    if (opened < 0) return opened;
    const r = host.ftruncate(this.writeFd, size);
    this.closeData(true);
    return r;
  }

  private chown(uid = -1, gid = -1): number {
    const parent = this.parentFd();
    const fd = this.anyFd();
    let r: number;
    if (parent >= 0) r = host.fchownat(parent, this.name, uid | 0, gid | 0, AT_SYMLINK_NOFOLLOW);
    else r = fd >= 0 ? host.fchown(fd, uid | 0, gid | 0) : parent;
    // Ids that the sentry may not give, or that do not exist in its user namespace, live in memory.
    if (r !== -EPERM && r !== -EINVAL) {
      this.assigned = null;
      return r;
    }
    if (!this.assigned) this.uses++; // the inode stays in memory as long as its tree
    this.assigned = { uid: uid < 0 ? this.uid : uid, gid: gid < 0 ? this.gid : gid };
    return 0;
  }

  private chmod(mode: number): number {
    const fd = this.anyFd();
    if (fd >= 0) {
      const r = host.fchmod(fd, mode);
      if (r !== -EBADF) return r; // a descriptor that only names cannot
    }
    const parent = this.parentFd();
    if (parent < 0) return parent;
    const r = host.fchmodat2(parent, this.name, mode, AT_SYMLINK_NOFOLLOW);
    if (r !== -ENOSYS) return r;
    const opened = this.openAt(O_RDONLY);
    if (opened < 0) return opened;
    const changed = host.fchmod(opened as HostFd, mode);
    host.close(opened as HostFd);
    return changed;
  }

  private stamp(atime: Timestamp | undefined, mtime: Timestamp | undefined): number {
    const mark = markScratch();
    const at = allocateScratch(32);
    if (at < 0) return at;
    writeTime(at, atime);
    writeTime(at + 16, mtime);
    const parent = this.parentFd();
    const fd = this.anyFd();
    let r: number;
    if (parent >= 0) r = host.utimensat(parent, this.name, at, AT_SYMLINK_NOFOLLOW);
    else r = fd >= 0 ? host.utimensat_fd(fd, at) : parent;
    releaseScratch(mark);
    return r;
  }

  // ---- names ----

  /** Notes a name under which the inode was found or made. */
  private foundAt(parent: HostInode, name: string): void {
    const place = this.place;
    if (place === null) this.place = { parent, name };
    else if ((place.parent !== parent || place.name !== name) && !this.isDirectory) {
      this.otherPlaces ??= [];
      if (!this.otherPlaces.some((other) => other.parent === parent && other.name === name)) {
        this.otherPlaces.push({ parent, name });
      }
    } else if (place.parent !== parent || place.name !== name) this.place = { parent, name };
  }

  /** A name is gone. */
  private lostAt(parent: HostInode, name: string): void {
    const others = this.otherPlaces;
    const index = others?.findIndex((other) => other.parent === parent && other.name === name) ?? -1;
    if (others && index >= 0) others.splice(index, 1);
    else if (this.place?.parent === parent && this.place.name === name) this.place = others?.pop() ?? null;
  }

  private get name(): string {
    return this.place ? this.place.name : this.superblock.tree.name;
  }

  /** Descriptor of the directory that `name` is in, or -errno. */
  private parentFd(): HostFd {
    if (this.place) return this.place.parent.descriptor();
    return this === this.superblock.root ? this.superblock.tree.directory : (-ENOENT as HostFd);
  }

  override lookup(name: string): Inode | number {
    const fd = this.descriptor();
    if (fd < 0) return fd;
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    if (at < 0) return at;
    const r = host.newfstatat(fd, name, at, AT_SYMLINK_NOFOLLOW);
    let found: Inode | number = r;
    if (r === 0) {
      const inode = this.superblock.inodeAt(at);
      inode.foundAt(this, name);
      found = inode;
    }
    releaseScratch(mark);
    return found;
  }

  override create(name: string, mode: number, owner: Credentials): Inode | number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const bits = inheritedMode(this, mode, owner) & 0o7777;
    const fd = host.openat2(directory, name, O_RDWR | O_CREAT | O_EXCL | SAFE, bits, RESOLVE) as HostFd;
    if (fd < 0) return fd;
    const inode = this.made(name, S_IFREG | bits, owner, fd);
    if (inode instanceof HostInode) inode.adoptWriteFd(fd);
    else host.close(fd);
    return inode;
  }

  override tmpfile(mode: number, owner: Credentials): Inode | number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const fd = host.openat2(directory, '.', O_RDWR | O_TMPFILE, mode & 0o7777, RESOLVE) as HostFd;
    if (fd < 0) return fd;
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    const r = at < 0 ? at : host.fstat(fd, at);
    if (r < 0) {
      host.close(fd);
      return r;
    }
    const inode = this.superblock.inodeAt(at);
    releaseScratch(mark);
    inode.adoptWriteFd(fd);
    return inode.giveTo(this, S_IFREG | mode, owner);
  }

  override mkdir(name: string, mode: number, owner: Credentials): Inode | number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const bits = inheritedMode(this, mode | 0o40000, owner) & 0o7777;
    const r = host.mkdirat(directory, name, bits);
    return r < 0 ? r : this.made(name, bits, owner, NONE);
  }

  override symlink(name: string, target: string, owner: Credentials): Inode | number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const r = host.symlinkat(target, directory, name);
    return r < 0 ? r : this.made(name, S_IFLNK | 0o777, owner, NONE);
  }

  override mknod(name: string, mode: number, rdev: number, owner: Credentials): Inode | number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const type = mode & S_IFMT;
    const isDevice = type === S_IFCHR || type === S_IFBLK;
    // Whatever the sandbox makes of it, on the host it would be a device of the host. Number 0 is an overlay's whiteout.
    if (isDevice && rdev !== 0 && !isKnownDevice(type, rdev)) return -EPERM;
    const bits = inheritedMode(this, mode, owner);
    const r = host.mknodat(directory, name, bits, isDevice ? rdev : 0);
    return r < 0 ? r : this.made(name, bits, owner, NONE);
  }

  /** The inode of a name that was just made here, with the mode and owner it must have. */
  private made(name: string, mode: number, owner: Credentials, fd: HostFd): Inode | number {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    if (at < 0) return at;
    const r = fd >= 0 ? host.fstat(fd, at) : host.newfstatat(this.descriptor(), name, at, AT_SYMLINK_NOFOLLOW);
    if (r < 0) return r;
    const inode = this.superblock.inodeAt(at);
    releaseScratch(mark);
    inode.foundAt(this, name);
    this.stale = true;
    return inode.giveTo(this, mode, owner);
  }

  /** Makes a new inode belong to its maker. The umask was applied, so the host's must not show. */
  private giveTo(directory: HostInode, mode: number, owner: Credentials): Inode | number {
    const gid = inheritedGroup(directory, owner);
    const foreign = this.uid !== owner.fsuid || this.gid !== gid;
    if (foreign) this.setattr({ uid: owner.fsuid, gid });
    if ((this.mode & S_IFMT) !== S_IFLNK && ((this.mode ^ mode) & 0o7777) !== 0) this.setattr({ mode });
    return this;
  }

  override link(name: string, target: Inode): number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const inode = target as HostInode;
    const parent = inode.parentFd();
    const fd = inode.anyFd();
    let r: number;
    if (parent >= 0) r = host.linkat(parent, inode.name, directory, name, 0);
    else r = fd >= 0 ? host.linkat(fd, '', directory, name, AT_EMPTY_PATH) : parent;
    if (r < 0) return r;
    inode.foundAt(this, name);
    inode.stale = true;
    this.stale = true;
    return inode.refresh();
  }

  override unlink(name: string, target: Inode): number {
    return this.remove(name, target as HostInode, 0);
  }

  override rmdir(name: string, target: Inode): number {
    return this.remove(name, target as HostInode, AT_REMOVEDIR);
  }

  private remove(name: string, target: HostInode, flags: number): number {
    const directory = this.descriptor();
    if (directory < 0) return directory;
    const r = host.unlinkat(directory, name, flags);
    if (r < 0) return r;
    this.stale = true;
    this.removed(name, target);
    return 0;
  }

  /** Bookkeeping for an inode that lost its name in this directory. */
  private removed(name: string, target: HostInode): void {
    target.lostAt(this, name);
    target.nlink = target.isDirectory ? 0 : Math.max(0, target.nlink - 1);
    target.stale = true;
  }

  override rename(
    name: string,
    target: Inode,
    newParent: Inode,
    newName: string,
    replaced: Inode | null,
    flags: number,
  ): number {
    const to = newParent as HostInode;
    const fromFd = this.descriptor();
    const toFd = to.descriptor();
    if (fromFd < 0 || toFd < 0) return Math.min(fromFd, toFd);
    const r = host.renameat2(fromFd, name, toFd, newName, flags);
    if (r < 0) return r;
    const moved = target as HostInode;
    const old = replaced as HostInode | null;
    moved.lostAt(this, name);
    if (old && flags & RENAME_EXCHANGE) {
      old.lostAt(to, newName);
      old.foundAt(this, name);
      old.stale = true;
    } else if (old) to.removed(newName, old);
    moved.foundAt(to, newName);
    this.stale = to.stale = moved.stale = true;
    return 0;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    const fd = this.descriptor();
    if (fd < 0) return fd;
    const mark = markScratch();
    const at = allocateScratch(DIRENT_BUFFER);
    if (at < 0) return at;
    let r = this.directoryRead ? host.lseek(fd, 0, SEEK_SET) : 0;
    this.directoryRead = true;
    let index = 0;
    let wanted = true;
    while (r >= 0 && wanted) {
      r = host.getdents64(fd, at, DIRENT_BUFFER);
      if (r <= 0) break;
      for (let entry = at; entry < at + r && wanted; entry += u16[(entry + 16) >>> 1]) {
        const name = entryName(entry);
        if (name === '.' || name === '..' || index++ < offset) continue;
        wanted = sink(name, readU64(entry), u8[entry + 18], index);
      }
    }
    releaseScratch(mark);
    // The descriptor could only be had for walking.
    return r === -EBADF ? -EACCES : Math.min(r, 0);
  }

  override readlink(): string | number {
    if ((this.mode & S_IFMT) !== S_IFLNK) return -EINVAL;
    if (this.target !== null && this.cacheable) return this.target;
    const parent = this.parentFd();
    if (parent < 0) return parent;
    const mark = markScratch();
    const at = allocateScratch(4096);
    if (at < 0) return at;
    const n = host.readlinkat(parent, this.name, at, 4096);
    const result = n < 0 ? n : n === 4096 ? -ENAMETOOLONG : readBytes(at, n);
    releaseScratch(mark);
    if (typeof result === 'string') this.target = result;
    return result;
  }

  // ---- data ----

  override open(path: Path, flags: number, task?: Task): OpenFile | number {
    return openStored(path, this, flags, task);
  }

  override openData(write: boolean): number {
    if ((this.mode & S_IFMT) !== S_IFREG) return -ENXIO;
    const r = write ? this.needWriteFd() : this.needReadFd();
    if (r < 0) return r;
    if (this.openCount++ === 0) leaveIdle(this);
    return 0;
  }

  override closeData(_write: boolean): void {
    if (--this.openCount === 0) keepIdle(this);
  }

  override readData(at: number, length: number, offset: number): number {
    if (this.readFd < 0 && !this.writeReads) {
      const r = this.needReadFd();
      if (r < 0) return r;
    }
    return host.pread64(this.readFd >= 0 ? this.readFd : this.writeFd, at, length, offset);
  }

  override writeData(at: number, length: number, offset: number): number {
    let start = offset;
    if (start < 0) {
      const r = this.refreshSize();
      if (r < 0) return r;
      start = this.size;
    }
    const n = host.pwrite64(this.writeFd, at, length, start);
    if (n > 0) {
      if (start + n > this.size) this.size = start + n;
      this.stale = true;
    }
    return n;
  }

  /** The size is kept up with by writes; only others who share the tree could have changed it. */
  private refreshSize(): number {
    return this.superblock.tree.exclusive ? 0 : this.refresh();
  }

  override seekData(offset: number, whence: number): number {
    const r = this.needReadFd();
    return r < 0 ? r : host.lseek(this.readFd >= 0 ? this.readFd : this.writeFd, offset, whence);
  }

  override allocateData(mode: number, offset: number, length: number): number {
    const r = host.fallocate(this.writeFd, mode, offset, length);
    this.stale = true;
    return r < 0 ? r : this.refresh();
  }

  override mapData(_protection: number, write: boolean): HostFd | number {
    if ((this.mode & S_IFMT) !== S_IFREG) return -ENODEV;
    // Where there is one to be had: a file of somebody else's may be one that only its writers' descriptor can reach.
    if (!write && this.readFd < 0) this.readFd = Math.max(NONE, this.openAt(O_RDONLY)) as HostFd;
    const r = write ? this.needWriteFd() : this.needReadFd();
    if (r < 0) return r;
    if (write) this.stale = true;
    if (this.openCount === 0) keepIdle(this);
    return write || this.readFd < 0 ? this.writeFd : this.readFd;
  }

  override syncData(dataOnly: boolean): number {
    const fd = this.isDirectory ? this.descriptor() : this.anyFd();
    if (fd < 0) return 0;
    const r = dataOnly ? host.fdatasync(fd) : host.fsync(fd);
    return r === -EBADF ? 0 : r;
  }

  /** syncfs(2) on the filesystem that the inode is on. */
  syncTree(): number {
    if (!this.isDirectory) return this.syncData(false);
    const fd = this.descriptor();
    return fd < 0 ? fd : host.syncfs(fd);
  }

  // ---- descriptors ----

  /** The directory's descriptor, opened if need be; -errno. It may serve for walking only (O_PATH). */
  descriptor(): HostFd {
    if (this.directoryFd >= 0) {
      keepIdle(this);
      return this.directoryFd;
    }
    let fd = this.openAt(O_RDONLY | O_DIRECTORY);
    if (fd === -EACCES) fd = this.openAt(O_PATH | O_DIRECTORY);
    if (fd < 0) return fd;
    if (!this.superblock.tree.exclusive && !this.isSame(fd)) {
      host.close(fd);
      return -ENOENT as HostFd;
    }
    this.directoryFd = fd;
    this.directoryRead = false;
    keepIdle(this);
    return fd;
  }

  /** Whether a descriptor is of this very inode: in a shared tree, names may have changed. */
  private isSame(fd: HostFd): boolean {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    const same =
      at >= 0 && host.fstat(fd, at) === 0 && readU64(at + STAT_DEV) === this.hostDevice && inodeKey(at) === this.key;
    releaseScratch(mark);
    return same;
  }

  private openAt(flags: number): HostFd {
    const parent = this.parentFd();
    if (parent < 0) return parent;
    // With O_PATH, openat2(2) refuses every flag that only matters for reading and writing.
    const safe = flags & O_PATH ? O_NOFOLLOW : SAFE;
    return host.openat2(parent, this.name, flags | safe, 0, RESOLVE) as HostFd;
  }

  private needReadFd(): number {
    if (this.readFd >= 0 || (this.writeFd >= 0 && this.writeReads)) return 0;
    const fd = this.openAt(O_RDONLY);
    if (fd < 0) return fd;
    this.readFd = fd;
    return 0;
  }

  private needWriteFd(): number {
    if (this.writeFd >= 0) return 0;
    let fd = this.openAt(O_RDWR);
    this.writeReads = fd >= 0;
    if (fd === -EACCES) fd = this.openAt(O_WRONLY);
    if (fd < 0) return fd;
    this.writeFd = fd;
    return 0;
  }

  /** A file that was made: its descriptor is at hand for the open that follows. */
  private adoptWriteFd(fd: HostFd): void {
    this.writeFd = fd;
    this.writeReads = true;
    keepIdle(this);
  }

  private anyFd(): HostFd {
    if (this.readFd >= 0) return this.readFd;
    return this.writeFd >= 0 ? this.writeFd : this.directoryFd;
  }

  closeDescriptors(): void {
    if (this.directoryFd >= 0) host.close(this.directoryFd);
    if (this.readFd >= 0) host.close(this.readFd);
    if (this.writeFd >= 0) host.close(this.writeFd);
    this.directoryFd = this.readFd = this.writeFd = NONE;
    this.writeReads = false;
  }

  override unused(): void {
    leaveIdle(this);
    this.closeDescriptors();
    this.superblock.forget(this);
  }

  // ---- extended attributes ----

  override getxattr(name: string): string | number {
    return this.withBuffer(XATTR_SIZE_MAX, (at) => {
      const fd = this.attributeFd();
      if (fd >= 0) return host.fgetxattr(fd, name, at, XATTR_SIZE_MAX);
      const parent = this.parentFd();
      return parent < 0 ? parent : host.getxattrat(parent, this.name, AT_SYMLINK_NOFOLLOW, name, at, XATTR_SIZE_MAX);
    });
  }

  override listxattr(): string[] | number {
    const names = this.withBuffer(XATTR_SIZE_MAX, (at) => {
      const fd = this.attributeFd();
      if (fd >= 0) return host.flistxattr(fd, at, XATTR_SIZE_MAX);
      const parent = this.parentFd();
      return parent < 0 ? parent : host.listxattrat(parent, this.name, AT_SYMLINK_NOFOLLOW, at, XATTR_SIZE_MAX);
    });
    if (typeof names === 'number') return names === -EOPNOTSUPP ? [] : names;
    return names.split('\0').filter((name) => name !== '');
  }

  override setxattr(name: string, value: string, flags: number): number {
    const mark = markScratch();
    const at = allocateScratch(value.length);
    if (at < 0) return at;
    writeBytes(at, value);
    const fd = this.attributeFd();
    let r: number;
    if (fd >= 0) r = host.fsetxattr(fd, name, at, value.length, flags);
    else {
      const parent = this.parentFd();
      if (parent < 0) r = parent;
      else r = host.setxattrat(parent, this.name, AT_SYMLINK_NOFOLLOW, name, at, value.length, flags);
    }
    releaseScratch(mark);
    this.stale = true;
    return lacking(r);
  }

  override removexattr(name: string): number {
    this.stale = true;
    const fd = this.attributeFd();
    if (fd >= 0) return host.fremovexattr(fd, name);
    const parent = this.parentFd();
    return parent < 0 ? parent : lacking(host.removexattrat(parent, this.name, AT_SYMLINK_NOFOLLOW, name));
  }

  /** A descriptor that takes f*xattr calls, or a negative number: then the calls by name must do. */
  private attributeFd(): HostFd {
    const type = this.mode & S_IFMT;
    if (this.isDirectory) return this.descriptor();
    if (type !== S_IFREG) return NONE;
    if (this.needReadFd() < 0) return NONE;
    if (this.openCount === 0) keepIdle(this);
    return this.anyFd();
  }

  private withBuffer(length: number, call: (at: number) => number): string | number {
    const mark = markScratch();
    const at = allocateScratch(length);
    if (at < 0) return at;
    const n = call(at);
    const result = n < 0 ? lacking(n) : readBytes(at, n);
    releaseScratch(mark);
    return result;
  }
}

/** A host without the *xattrat calls has no attributes on what cannot be opened. */
function lacking(result: number): number {
  return result === -ENOSYS ? -EOPNOTSUPP : result;
}

/** Name of the struct linux_dirent64 at an arena offset. */
function entryName(entry: number): string {
  let end = entry + 19;
  while (u8[end] !== 0) end++;
  return readBytes(entry + 19, end - entry - 19);
}

function readTime(into: Timestamp, at: number): void {
  into.seconds = readS64(at);
  into.nanoseconds = u32[(at + 8) >>> 2];
}

function writeTime(at: number, time: Timestamp | undefined): void {
  writeU64(at, time ? time.seconds : 0);
  writeU64(at + 8, time ? time.nanoseconds : UTIME_OMIT);
}
