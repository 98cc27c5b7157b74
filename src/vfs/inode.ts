// Inodes: what a file is, whatever names it. Each filesystem subclasses Inode (and Superblock) and overrides the
// operations it has; the defaults answer as Linux does for an operation that a filesystem lacks.
// Names are byte strings of one component, never '', '.', '..' or containing '/' or NUL: the walk has seen to that.

import { EINVAL, ENODEV, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM, EROFS } from '../abi/errno.ts';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../abi/stat.ts';
import type { HostFd } from '../base/brands.ts';
import type { Timestamp } from '../base/clock.ts';
import type { Credentials } from '../base/credentials.ts';
import { initialUser } from '../base/user-namespace.ts';
import type { Task } from '../kernel/task.ts';
import type { Acl } from './acl.ts';
import type { Dentry, Path } from './dentry.ts';
import { type Listing, WholeListing } from './listing.ts';
import type { FileLocks } from './locks.ts';
import type { OpenFile } from './open-file.ts';

/** A mounted or mountable filesystem instance. */
export abstract class Superblock {
  /** Device number as st_dev shows it (from `allocateDevice` in vfs/mount.ts for virtual filesystems). */
  abstract readonly device: number;
  /** Type name as /proc/mounts shows it. */
  abstract readonly typeName: string;
  abstract readonly root: Inode;
  /** Source and superblock options as /proc/mounts shows them. */
  source = 'none';
  /** What the root of a tree of the host's is called there: /proc/PID/mountinfo shows it; empty for others. */
  origin = '';
  options = '';
  readonly = false;
  /** It has nowhere to write to: it stays read-only. */
  cannotWrite = false;
  /** Whose capabilities rule over it: who mounted it. */
  user = initialUser;
  /** f_type of statfs(2). */
  magic = 0;
  /** The dentry of `root`, made when it is first mounted (vfs/mount.ts). */
  rootDentry: Dentry | null = null;
  /** File handles may stand for its inodes (vfs/handles.ts). */
  readonly hasHandles: boolean = false;
  /** Mounts that show it. */
  mounts = 0;
  /** Fills numbers of statfs(2); block counts in units of `blockSize`. */
  statfs(into: StatFs): number {
    into.type = this.magic;
    return 0;
  }
  sync(): number {
    return 0;
  }
  /** New options of mount(2) with MS_REMOUNT. 0 or -errno. */
  reconfigure(_options: readonly string[]): number {
    return 0;
  }
  /** Something of it, with this root, was mounted, and is not any more. */
  mounted(_root: Dentry): void {}
  unmounted(_root: Dentry): void {}
  /** Its last mount is gone and nothing of it is in use: give back what backs it. */
  shutDown(): void {}
}

export interface StatFs {
  type: number;
  blockSize: number;
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameMax: number;
  flags: number;
}

/** What setattr changes; a field that is undefined stays. */
export interface AttributeChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
}

/** Receives directory entries; false means the caller's buffer is full and this entry was not taken. */
export type DirectorySink = (name: string, ino: number, type: number, nextOffset: number) => boolean;

const NO_TIME: Timestamp = { seconds: 0, nanoseconds: 0 };

export abstract class Inode {
  readonly superblock: Superblock;
  ino = 0;
  /** File type and permission bits. */
  mode = 0;
  uid = 0;
  gid = 0;
  nlink = 1;
  rdev = 0;
  size = 0;
  /** In 512-byte units, as st_blocks. */
  blocks = 0;
  // An overlay's inode refers to the timestamps of the layer's that it stands for.
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  /** Dentries and open files that refer to it. */
  uses = 0;
  /** Has no name yet, but may get one by linkat(2): a file opened with O_TMPFILE. */
  linkable = false;
  /** Open files that write to it, or less than 0 while programs run from it (vfs/write-access.ts). */
  writeCount = 0;
  /** Somebody watches it (vfs/notify.ts): its name stays cached, so that walks come by this very inode. */
  watched = false;
  /** An overlay changes the directory, so that its dentries may not be true. */
  changedBelow = false;
  /** FS_*_FL of ioctl_iflags(2). */
  flags = 0;
  /** Locks held on it (vfs/locks.ts), null while there are none. */
  locks: FileLocks | null = null;

  constructor(superblock: Superblock, ownTimes = true) {
    this.superblock = superblock;
    this.atime = ownTimes ? { seconds: 0, nanoseconds: 0 } : NO_TIME;
    this.mtime = ownTimes ? { seconds: 0, nanoseconds: 0 } : NO_TIME;
    this.ctime = ownTimes ? { seconds: 0, nanoseconds: 0 } : NO_TIME;
  }

  /** st_dev; an overlay or a host tree with mounts below it may differ from the superblock's. */
  get device(): number {
    return this.superblock.device;
  }
  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  /** Brings the attribute fields up to date with what backs them. 0 or -errno. Virtual inodes have nothing to do. */
  refresh(): number {
    return 0;
  }
  /** chmod, chown, truncate, utimens; permissions were checked. 0 or -errno. */
  setattr(_change: AttributeChange): number {
    return -EPERM;
  }

  /** When it was made, or null where nobody keeps that. */
  birthTime(): Timestamp | null {
    return null;
  }
  /** A directory whose filesystem leaves whiteouts behind on demand (RENAME_WHITEOUT). */
  get makesWhiteouts(): boolean {
    return false;
  }
  /** The inode of another tree whose data these are: an overlay's layer, if that can be seen by itself. */
  get standsFor(): Inode | null {
    return null;
  }
  /** The FS_*_FL that can be set on it; 0 where there are none. */
  get settableFlags(): number {
    return 0;
  }
  /** Sets its flags; who may was checked, and that they can be set. 0 or -errno. */
  setFlags(_flags: number): number {
    return -EOPNOTSUPP;
  }
  /** The access control list that says more than the mode (vfs/acl.ts), or null. */
  accessList(): Acl | null {
    return null;
  }
  /** Whether what is made in this directory gets its permissions from a default list, not from the umask. */
  get hasDefaultList(): boolean {
    return false;
  }

  // ---- directories ----
  /** The child inode, or -ENOENT and others. Results are cached in dentries unless `cacheable` says no. */
  lookup(_name: string): Inode | number {
    return -ENOTDIR;
  }
  /** Whether lookups in this directory (also negative ones) may be cached in dentries. */
  get cacheable(): boolean {
    return true;
  }
  create(_name: string, _mode: number, _owner: Credentials): Inode | number {
    return -EROFS;
  }
  mkdir(_name: string, _mode: number, _owner: Credentials): Inode | number {
    return -EROFS;
  }
  symlink(_name: string, _target: string, _owner: Credentials): Inode | number {
    return -EROFS;
  }
  mknod(_name: string, _mode: number, _rdev: number, _owner: Credentials): Inode | number {
    return -EROFS;
  }
  /** A nameless regular file (O_TMPFILE). */
  tmpfile(_mode: number, _owner: Credentials): Inode | number {
    return -EOPNOTSUPP;
  }
  /** Adds a name for `target`, an inode of the same superblock. */
  link(_name: string, _target: Inode): number {
    return -EPERM;
  }
  unlink(_name: string, _target: Inode): number {
    return -EROFS;
  }
  rmdir(_name: string, _target: Inode): number {
    return -EROFS;
  }
  /** Renames within one superblock; `flags` are RENAME_*. `replaced` is what newName was, or null. */
  rename(
    _name: string,
    _target: Inode,
    _newParent: Inode,
    _newName: string,
    _replaced: Inode | null,
    _flags: number,
  ): number {
    return -EROFS;
  }
  /**
   * Lists entries from `offset` on (0 is the start; `nextOffset` given to the sink is where to go on), without '.' and
   * '..': the caller adds these. Offsets stay valid while the directory changes. 0 or -errno.
   */
  readdir(_offset: number, _sink: DirectorySink): number {
    return -ENOTDIR;
  }

  /** The same with pauses, where there may be very many entries. */
  listing(): Listing {
    return new WholeListing(this);
  }

  // ---- symbolic links ----
  /** Target of a symbolic link as a byte string; `task` is who asks (/proc/self). */
  readlink(_task?: Task): string | number {
    return -EINVAL;
  }
  /** A magic link's destination (/proc/PID/fd/N, exe, cwd, root), which needs no path; null for ordinary links. */
  followMagic(_task?: Task): Path | number | null {
    return null;
  }

  // ---- data ----
  /**
   * Opens this inode; flags are open(2)'s, checked, and `task` is who opens (/dev/tty). The result's refs count is 1.
   * O_TRUNC is applied by the caller, through setattr; an inode may use it to spare itself saving the old data.
   */
  open(_path: Path, _flags: number, _task?: Task): OpenFile | number {
    return -ENXIO;
  }

  // ---- extended attributes: values are byte strings ----
  getxattr(_name: string): string | number {
    return -EOPNOTSUPP;
  }
  setxattr(_name: string, _value: string, _flags: number): number {
    return -EOPNOTSUPP;
  }
  removexattr(_name: string): number {
    return -EOPNOTSUPP;
  }
  listxattr(): string[] | number {
    return [];
  }
  /** Another owner or other data: its capabilities go (capabilities(7)). Of its own files the host sees to that. */
  dropCapabilities(): void {}

  // ---- data of regular files, as RegularFile (vfs/regular-file.ts) uses them ----
  /** Gets ready for the calls below; each success is undone by one `closeData`. 0 or -errno. */
  openData(_write: boolean): number {
    return -ENXIO;
  }
  closeData(_write: boolean): void {}
  /** Bytes read to arena offset `at`, 0 at or behind the end, or -errno. */
  readData(_at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /** Bytes written from arena offset `at`, or -errno. `offset` -1 appends. */
  writeData(_at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /** Position of the next data or hole (SEEK_DATA, SEEK_HOLE) from `offset` on, or -ENXIO. */
  seekData(_offset: number, _whence: number): number {
    return -EINVAL;
  }
  /** fallocate(2) with FALLOC_FL_* `mode`. */
  allocateData(_mode: number, _offset: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  /**
   * A host descriptor whose pages back a mapping with this protection, or -errno. Unless the mapping `mayWrite` to the
   * file (now, or after an mprotect that the host alone sees), it must be one that cannot.
   */
  mapData(_protection: number, _mayWrite: boolean): HostFd | number {
    return -ENODEV;
  }
  /** A host descriptor, open for reading only, that stands for the data while the file is open; or -errno. */
  readSource(): HostFd | number {
    return -ENODEV;
  }
  /** The inode whose data it has: an overlay's layer. */
  get dataInode(): Inode {
    return this;
  }
  /** It was read through a mount that keeps times of access: `strict` always, else only as relatime has it. */
  touchAccess(_strict: boolean): void {}

  /** It is open to the task whose call is served, whatever its mode says. */
  get callersOwn(): boolean {
    return false;
  }
  syncData(_dataOnly: boolean): number {
    return 0;
  }
  /** Has data of a range written to where they last, as SYNC_FILE_RANGE_* say; 0 or -errno. */
  syncRange(_offset: number, _length: number, _flags: number): number {
    return 0;
  }
  /** Bytes that syncData would have to wait for; `begun`: only those that are being written now. */
  unwritten(_begun: boolean): number {
    return 0;
  }

  /** No dentry and no open file refers to it any more. */
  unused(): void {
    if (this.nlink === 0) this.evict();
  }
  /** The last name and the last open file are gone: give back what backs it. */
  evict(): void {}
}
