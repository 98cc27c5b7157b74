// Inodes of a host tree: the names in its directories. Every step is one component below a directory's descriptor, and
// no link is followed. The rest of an inode: attributes.ts, data.ts, node.ts.

import { EACCES, EBADF, EINVAL, ENAMETOOLONG, EPERM } from '../../abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  O_CREAT,
  O_EXCL,
  O_RDWR,
  O_TMPFILE,
  RENAME_EXCHANGE,
  SEEK_SET,
} from '../../abi/fcntl.ts';
import { S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, S_IFREG, STAT_SIZE } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Credentials } from '../../base/credentials.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, readBytes, readU64, releaseScratch, u8, u16 } from '../../platform/arena.ts';
import { isKnownDevice } from '../../vfs/devices.ts';
import type { DirectorySink, Inode } from '../../vfs/inode.ts';
import { type EntryTaker, type Listing, listFrom } from '../../vfs/listing.ts';
import { inheritedGroup, inheritedMode } from '../../vfs/permission.ts';
import { HostAttributes } from './attributes.ts';
import { keepIdle } from './descriptors.ts';
import { NONE, RESOLVE, SAFE } from './node.ts';

const DIRENT_BUFFER = 64 << 10;

export class HostInode extends HostAttributes {
  private target: string | null = null;

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
    const settled = (this.mode & S_IFMT) === S_IFLNK || directory.hasDefaultList;
    if (!settled && ((this.mode ^ mode) & 0o7777) !== 0) this.setattr({ mode });
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
    return listFrom(this.listing(), offset, sink);
  }

  override listing(): Listing {
    return new HostListing(this);
  }

  /** The directory's descriptor, at its front; -errno. */
  rewound(): HostFd | number {
    const fd = this.descriptor();
    if (fd < 0) return fd;
    const r = this.directoryRead ? host.lseek(fd, 0, SEEK_SET) : 0;
    this.directoryRead = true;
    return r < 0 ? r : fd;
  }

  /** Lets somebody have the directory's descriptor. */
  lendDescriptor(fd: HostFd): void {
    if (this.directoryFd === fd) this.directoryFd = NONE;
  }

  /** And has it back, if there is no other by now. */
  takeDescriptor(fd: HostFd): void {
    if (this.directoryFd >= 0) {
      host.close(fd);
      return;
    }
    this.directoryFd = fd;
    this.directoryRead = true;
    keepIdle(this);
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
}

/** A listing that pauses takes the directory's descriptor with it: that stands where it is to go on. */
class HostListing implements Listing {
  private readonly inode: HostInode;
  private own = NONE;

  constructor(inode: HostInode) {
    this.inode = inode;
  }

  next(take: EntryTaker): number {
    const fd = (this.own >= 0 ? this.own : this.inode.rewound()) as HostFd;
    if (fd < 0) return fd;
    const mark = markScratch();
    const at = allocateScratch(DIRENT_BUFFER);
    let r = at < 0 ? at : 1;
    let goesOn = true;
    while (r > 0 && goesOn) {
      r = host.getdents64(fd, at, DIRENT_BUFFER);
      for (let entry = at; entry < at + r; entry += u16[(entry + 16) >>> 1]) {
        const name = entryName(entry);
        if (name !== '.' && name !== '..') goesOn = take(name, readU64(entry), u8[entry + 18]) && goesOn;
      }
    }
    releaseScratch(mark);
    if (r > 0 && this.own < 0) {
      this.inode.lendDescriptor(fd);
      this.own = fd;
    }
    // The descriptor could only be had for walking.
    if (r < 0) return r === -EBADF ? -EACCES : r;
    return r > 0 ? 0 : 1;
  }

  end(): void {
    if (this.own >= 0) this.inode.takeDescriptor(this.own);
    this.own = NONE;
  }
}

/** Name of the struct linux_dirent64 at an arena offset. */
function entryName(entry: number): string {
  let end = entry + 19;
  while (u8[end] !== 0) end++;
  return readBytes(entry + 19, end - entry - 19);
}
