// A directory tree of the host as a filesystem. The tree is reached through one descriptor that the launcher made (a
// detached mount, from which ".." leads nowhere); every step below it is one component, opened without following any
// link. Inodes are identified by host device and number, so that hard links share one.

import { O_NOFOLLOW, O_PATH, RESOLVE_IN_ROOT } from '../../abi/fcntl.ts';
import {
  BTRFS_SUPER_MAGIC,
  EXT4_SUPER_MAGIC,
  OVERLAYFS_SUPER_MAGIC,
  STAT_DEV,
  STAT_INO,
  STAT_SIZE,
  STATFS_BAVAIL,
  STATFS_BFREE,
  STATFS_BLOCKS,
  STATFS_BSIZE,
  STATFS_FFREE,
  STATFS_FILES,
  STATFS_NAMELEN,
  STATFS_SIZE,
  STATFS_TYPE,
  TMPFS_MAGIC,
  XFS_SUPER_MAGIC,
} from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u32 } from '../../platform/arena.ts';
import { type StatFs, Superblock } from '../../vfs/inode.ts';
import { allocateDevice } from '../../vfs/mount.ts';
import { leaveIdle } from './descriptors.ts';
import { HostInode } from './inode.ts';
import type { HostNode } from './node.ts';

const TYPE_NAMES = new Map([
  [EXT4_SUPER_MAGIC, 'ext4'],
  [XFS_SUPER_MAGIC, 'xfs'],
  [BTRFS_SUPER_MAGIC, 'btrfs'],
  [TMPFS_MAGIC, 'tmpfs'],
  [OVERLAYFS_SUPER_MAGIC, 'overlay'],
]);

/** Virtual device numbers of the host's devices: the host's own never show. */
const devices = new Map<number, number>();

/** The st_dev that stands for a host device. */
export function deviceOf(hostDevice: number): number {
  let device = devices.get(hostDevice);
  if (device === undefined) {
    device = allocateDevice();
    devices.set(hostDevice, device);
  }
  return device;
}

export interface HostTree {
  /** A directory descriptor, and the name below it that the tree is ('.' for the directory itself). */
  readonly directory: HostFd;
  readonly name: string;
  /** Nobody else changes the tree while the sandbox runs: names and attributes are cached. */
  readonly exclusive: boolean;
  readonly readonly: boolean;
  /** It may end before the sandbox does (a container of a pod): the directory's descriptor is closed with it. */
  readonly ends: boolean;
}

export class HostSuperblock extends Superblock {
  readonly tree: HostTree;
  override readonly hasHandles = true;
  readonly device: number;
  readonly typeName: string;
  readonly root: HostInode;
  /** The host's filesystem keeps no access control lists. */
  hasNoLists = false;
  /** Names the tree's root, for statfs and sync. */
  private readonly anchor: HostFd;
  /** Inodes in memory, by host inode number, for each host device. */
  private readonly inodes = new Map<number, Map<number | string, HostInode>>();

  private constructor(tree: HostTree, anchor: HostFd, at: number, magic: number) {
    super();
    this.tree = tree;
    this.anchor = anchor;
    this.readonly = tree.readonly;
    this.device = deviceOf(readU64(at + STAT_DEV));
    this.magic = magic;
    this.typeName = TYPE_NAMES.get(magic) ?? 'ext4';
    this.root = this.inodeAt(at);
    this.root.uses++; // for good
  }

  /** Opens a tree. A superblock, or -errno when there is nothing under the name. */
  static open(tree: HostTree): HostSuperblock | number {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE + STATFS_SIZE);
    if (at < 0) return at;
    const anchor = host.openat2(tree.directory, tree.name, O_PATH | O_NOFOLLOW, 0, RESOLVE_IN_ROOT) as HostFd;
    if (anchor < 0) return anchor;
    let r = host.fstat(anchor, at);
    if (r === 0) r = host.fstatfs(anchor, at + STAT_SIZE);
    const result = r < 0 ? r : new HostSuperblock(tree, anchor, at, u32[(at + STAT_SIZE) >>> 2]);
    if (r < 0) host.close(anchor);
    releaseScratch(mark);
    return result;
  }

  /** The inode that a struct stat at an arena offset describes, with its attributes brought up to date. */
  inodeAt(at: number): HostInode {
    const device = readU64(at + STAT_DEV);
    const key = inodeKey(at);
    let known = this.inodes.get(device);
    if (!known) {
      known = new Map();
      this.inodes.set(device, known);
    }
    let inode = known.get(key);
    // A number that came back with another type is another file: the old inode was removed behind our back.
    if (inode && ((inode.mode ^ u32[(at + 24) >>> 2]) & 0o170000) !== 0) inode = undefined;
    if (!inode) {
      inode = new HostInode(this, device, key);
      known.set(key, inode);
    }
    inode.fill(at);
    return inode;
  }

  /** The inode is in memory no more. */
  forget(inode: HostNode): void {
    const known = this.inodes.get(inode.hostDevice);
    if (known?.get(inode.key) === inode) known.delete(inode.key);
  }

  override shutDown(): void {
    if (!this.tree.ends) return;
    for (const known of this.inodes.values()) {
      for (const inode of known.values()) {
        leaveIdle(inode);
        inode.closeDescriptors();
      }
    }
    this.inodes.clear();
    host.close(this.anchor);
    host.close(this.tree.directory);
  }

  override sync(): number {
    // An O_PATH descriptor cannot; the root inode's can, if it is a directory.
    return this.tree.readonly ? 0 : this.root.syncTree();
  }

  override statfs(into: StatFs): number {
    const at = allocateScratch(STATFS_SIZE);
    if (at < 0) return at;
    const r = host.fstatfs(this.anchor, at);
    if (r < 0) return r;
    into.type = readU64(at + STATFS_TYPE);
    into.blockSize = readU64(at + STATFS_BSIZE);
    into.blocks = readU64(at + STATFS_BLOCKS);
    into.blocksFree = readU64(at + STATFS_BFREE);
    into.blocksAvailable = readU64(at + STATFS_BAVAIL);
    into.files = readU64(at + STATFS_FILES);
    into.filesFree = readU64(at + STATFS_FFREE);
    into.nameMax = readU64(at + STATFS_NAMELEN);
    return 0;
  }
}

/** Identity of an inode on its device: its number, as a string where a double would not be exact. */
export function inodeKey(at: number): number | string {
  const low = u32[(at + STAT_INO) >>> 2];
  const high = u32[(at + STAT_INO + 4) >>> 2];
  return high < 0x200000 ? low + high * 4294967296 : `${high}:${low}`;
}
