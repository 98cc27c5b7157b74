// Attributes of a host tree's inodes: what stat(2) tells, what chmod(2) and its kin change, and extended attributes.
// They are cached; whatever changes them here changes the host first.

import { EBADF, EINVAL, EISDIR, ENOSYS, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, O_RDONLY } from '../../abi/fcntl.ts';
import {
  S_IFMT,
  S_IFREG,
  S_ISGID,
  S_ISUID,
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
  STATX_BTIME,
  STATX_BTIME_OFFSET,
  STATX_MASK_OFFSET,
  STATX_STRUCT_SIZE,
  UTIME_OMIT,
  XATTR_SIZE_MAX,
} from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Timestamp } from '../../base/clock.ts';
import { host } from '../../host/calls.ts';
import {
  allocateScratch,
  markScratch,
  readBytes,
  readS64,
  readU64,
  releaseScratch,
  u32,
  writeBytes,
  writeU64,
} from '../../platform/arena.ts';
import { ACL_ACCESS, ACL_DEFAULT, type Acl, parseAcl } from '../../vfs/acl.ts';
import type { AttributeChange } from '../../vfs/inode.ts';
import { HostData } from './data.ts';
import { keepIdle } from './descriptors.ts';
import { NONE } from './node.ts';
import { inodeKey } from './superblock.ts';

/** There is no list. */
const NO_LIST = 'none';

export abstract class HostAttributes extends HostData {
  /** Access list as the host told it; null when it is not known. */
  private list: Acl | typeof NO_LIST | null = null;
  private hasDefault: boolean | null = null;
  /** Owner as the guest set it where the sentry may not: kept in memory only. */
  protected assigned: { uid: number; gid: number } | null = null;

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
    if (!this.superblock.tree.exclusive) this.forgetLists();
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

  protected stat(at: number): number {
    const fd = this.anyFd();
    if (fd >= 0) return host.fstat(fd, at);
    const parent = this.parentFd();
    return parent < 0 ? parent : host.newfstatat(parent, this.name, at, AT_SYMLINK_NOFOLLOW);
  }

  override setattr(change: AttributeChange): number {
    if (change.mode !== undefined) this.forgetLists();
    let r = 0;
    if (change.size !== undefined) r = this.resize(change.size);
    if (r === 0 && (change.uid !== undefined || change.gid !== undefined)) r = this.chown(change.uid, change.gid);
    if (r === 0 && change.mode !== undefined) r = this.chmod(change.mode & 0o7777);
    if (r === 0 && (change.atime || change.mtime)) r = this.stamp(change.atime, change.mtime);
    this.stale = true;
    const refreshed = this.refresh();
    return r < 0 ? r : refreshed;
  }

  protected resize(size: number): number {
    if ((this.mode & S_IFMT) !== S_IFREG) return this.isDirectory ? -EISDIR : -EINVAL;
    const opened = this.openData(true);
    if (opened < 0) return opened;
    const r = host.ftruncate(this.writeFd, size);
    if (this.mode & (S_ISUID | S_ISGID)) this.keepSetId();
    this.closeData(true);
    return r;
  }

  protected chown(uid = -1, gid = -1): number {
    const parent = this.parentFd();
    const fd = this.anyFd();
    let r: number;
    if (parent >= 0) r = host.fchownat(parent, this.name, uid | 0, gid | 0, AT_SYMLINK_NOFOLLOW);
    else r = fd >= 0 ? host.fchownat(fd, '', uid | 0, gid | 0, AT_EMPTY_PATH) : parent;
    // Ids that the sentry may not give, or that do not exist in its user namespace, live in memory.
    if (r !== -EPERM && r !== -EINVAL) {
      this.assigned = null;
      return r;
    }
    if (!this.assigned) this.uses++; // the inode stays in memory as long as its tree
    this.assigned = { uid: uid < 0 ? this.uid : uid, gid: gid < 0 ? this.gid : gid };
    return 0;
  }

  protected chmod(mode: number): number {
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

  protected stamp(atime: Timestamp | undefined, mtime: Timestamp | undefined): number {
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

  override birthTime(): Timestamp | null {
    const mark = markScratch();
    const at = allocateScratch(STATX_STRUCT_SIZE);
    if (at < 0) return null;
    const fd = this.anyFd();
    const parent = fd >= 0 ? fd : this.parentFd();
    const flags = fd >= 0 ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    const r = parent < 0 ? parent : host.statx(parent, fd >= 0 ? '' : this.name, flags, STATX_BTIME, at);
    const known = r === 0 && u32[(at + STATX_MASK_OFFSET) >>> 2] & STATX_BTIME;
    const time = { seconds: 0, nanoseconds: 0 };
    if (known) readTime(time, at + STATX_BTIME_OFFSET);
    releaseScratch(mark);
    return known ? time : null;
  }

  // ---- access control lists, which the host keeps ----

  override accessList(): Acl | null {
    this.list ??= this.readList(ACL_ACCESS);
    return this.list === NO_LIST ? null : (this.list as Acl);
  }

  override get hasDefaultList(): boolean {
    if (this.hasDefault === null || !this.superblock.tree.exclusive) {
      this.hasDefault = this.readList(ACL_DEFAULT) !== NO_LIST;
    }
    return this.hasDefault;
  }

  private readList(name: string): Acl | typeof NO_LIST {
    if (this.superblock.hasNoLists || this.isSymlink) return NO_LIST;
    const bytes = this.getxattr(name);
    if (bytes === -EOPNOTSUPP) this.superblock.hasNoLists = true;
    const list = typeof bytes === 'number' ? null : parseAcl(bytes);
    return list === null || typeof list === 'number' ? NO_LIST : list;
  }

  /** Lists may have changed. */
  private forgetLists(): void {
    this.list = null;
    this.hasDefault = null;
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
    this.forgetLists();
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
    this.forgetLists();
    this.stale = true;
    const fd = this.attributeFd();
    if (fd >= 0) return host.fremovexattr(fd, name);
    const parent = this.parentFd();
    return parent < 0 ? parent : lacking(host.removexattrat(parent, this.name, AT_SYMLINK_NOFOLLOW, name));
  }

  /** A descriptor that takes f*xattr calls, or a negative number: then the calls by name must do. */
  protected attributeFd(): HostFd {
    const type = this.mode & S_IFMT;
    if (this.isDirectory) return this.descriptor();
    if (type !== S_IFREG) return NONE;
    if (this.needReadFd() < 0) return NONE;
    if (this.openCount === 0) keepIdle(this);
    return this.anyFd();
  }

  protected withBuffer(length: number, call: (at: number) => number): string | number {
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

function readTime(into: Timestamp, at: number): void {
  into.seconds = readS64(at);
  into.nanoseconds = u32[(at + 8) >>> 2];
}

function writeTime(at: number, time: Timestamp | undefined): void {
  writeU64(at, time ? time.seconds : 0);
  writeU64(at + 8, time ? time.nanoseconds : UTIME_OMIT);
}
