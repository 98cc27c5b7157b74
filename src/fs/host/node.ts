// What an inode of a host tree stands for on the host: its identity, the names under which it was found, and the
// descriptors that are open for it. A regular file's descriptors are opened once and shared by all who have it open, and
// stay open for a while afterwards (descriptors.ts). FIFOs, sockets and device nodes are never opened on the host.

import { EACCES, ENOENT } from '../../abi/errno.ts';
import {
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../../abi/fcntl.ts';
import { STAT_DEV, STAT_SIZE } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch } from '../../platform/arena.ts';
import { Inode } from '../../vfs/inode.ts';
import { keepIdle, leaveIdle } from './descriptors.ts';
import { deviceOf, type HostSuperblock, inodeKey } from './superblock.ts';

export const NONE = -1 as HostFd;
export const SAFE = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
export const RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;

interface Place {
  readonly parent: HostNode;
  readonly name: string;
}

export abstract class HostNode extends Inode {
  declare readonly superblock: HostSuperblock;
  readonly hostDevice: number;
  /** Inode number on its device, exact. */
  readonly key: number | string;
  protected readonly virtualDevice: number;

  /** One name of the inode; null for the root, and when every name that was known is gone. */
  protected place: Place | null = null;
  /** Further names of a hard-linked file, by directory. */
  protected otherPlaces: Map<HostNode, Set<string>> | null = null;

  /** Open descriptors: a directory's, a file's for reading, a file's for writing. */
  protected directoryFd = NONE;
  protected readFd = NONE;
  protected writeFd = NONE;
  /** The write descriptor can read as well. */
  protected writeReads = false;
  /** The directory's descriptor does not stand at the front. */
  protected directoryRead = false;
  protected openCount = 0;
  /** Cached attributes may be out of date. */
  protected stale = false;

  // Links of the idle list (descriptors.ts).
  older: HostNode | null = null;
  newer: HostNode | null = null;
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

  // ---- names ----

  /** Notes a name under which the inode was found or made. */
  protected foundAt(parent: HostNode, name: string): void {
    const place = this.place;
    if (place === null) this.place = { parent, name };
    else if ((place.parent !== parent || place.name !== name) && !this.isDirectory) {
      this.otherPlaces ??= new Map();
      const names = this.otherPlaces.get(parent);
      if (names) names.add(name);
      else this.otherPlaces.set(parent, new Set([name]));
    } else if (place.parent !== parent || place.name !== name) this.place = { parent, name };
  }

  /** A name is gone. */
  protected lostAt(parent: HostNode, name: string): void {
    if (this.place?.parent !== parent || this.place.name !== name) return this.forgetOther(parent, name);
    this.place = this.anyOther();
    if (this.place) this.forgetOther(this.place.parent, this.place.name);
  }

  private anyOther(): Place | null {
    for (const [parent, names] of this.otherPlaces ?? []) for (const name of names) return { parent, name };
    return null;
  }

  private forgetOther(parent: HostNode, name: string): void {
    const names = this.otherPlaces?.get(parent);
    if (names?.delete(name) && names.size === 0) this.otherPlaces?.delete(parent);
  }

  protected get name(): string {
    return this.place ? this.place.name : this.superblock.tree.name;
  }

  /** Descriptor of the directory that `name` is in, or -errno. */
  protected parentFd(): HostFd {
    if (this.place) return this.place.parent.descriptor();
    return this === (this.superblock.root as HostNode) ? this.superblock.tree.directory : (-ENOENT as HostFd);
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
  protected isSame(fd: HostFd): boolean {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    const same =
      at >= 0 && host.fstat(fd, at) === 0 && readU64(at + STAT_DEV) === this.hostDevice && inodeKey(at) === this.key;
    releaseScratch(mark);
    return same;
  }

  protected openAt(flags: number): HostFd {
    const parent = this.parentFd();
    if (parent < 0) return parent;
    // With O_PATH, openat2(2) refuses every flag that only matters for reading and writing.
    const safe = flags & O_PATH ? O_NOFOLLOW : SAFE;
    return host.openat2(parent, this.name, flags | safe, 0, RESOLVE) as HostFd;
  }

  protected needReadFd(): number {
    if (this.readFd >= 0 || (this.writeFd >= 0 && this.writeReads)) return 0;
    const fd = this.openAt(O_RDONLY);
    if (fd < 0) return fd;
    this.readFd = fd;
    return 0;
  }

  protected needWriteFd(): number {
    if (this.writeFd >= 0) return 0;
    let fd = this.openAt(O_RDWR);
    this.writeReads = fd >= 0;
    if (fd === -EACCES) fd = this.openAt(O_WRONLY);
    if (fd < 0) return fd;
    this.writeFd = fd;
    return 0;
  }

  /** A file that was made: its descriptor is at hand for the open that follows. */
  protected adoptWriteFd(fd: HostFd): void {
    this.writeFd = fd;
    this.writeReads = true;
    keepIdle(this);
  }

  protected anyFd(): HostFd {
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
}
