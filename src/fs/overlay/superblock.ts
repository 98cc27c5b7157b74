// An overlay: a lower tree that is never written, under an upper one that takes every change. With a memory upper the
// links between the layers live in the overlay's inodes; with a host directory they are on disk in the form of Linux's
// overlayfs (whiteouts are 0:0 character devices, an opaque directory has the attribute user.overlay.opaque).

import { OVERLAYFS_SUPER_MAGIC } from '../../abi/stat.ts';
import { type Inode, type StatFs, Superblock } from '../../vfs/inode.ts';
import { allocateDevice } from '../../vfs/mount.ts';
import { OverlayInode } from './inode.ts';
import type { OverlayLayers } from './layers.ts';

/** Numbers of inodes that only the upper layer has start here, out of the way of the lower layer's. */
const UPPER_INO = 2 ** 48;

export class OverlaySuperblock extends Superblock {
  readonly device = allocateDevice();
  override readonly hasHandles = true;
  readonly typeName = 'overlay';
  readonly root: OverlayInode;
  readonly lower: Superblock;
  readonly upper: Superblock;
  /** The upper layer outlives the sandbox: nothing about the layers may be kept in memory only. */
  readonly persistent: boolean;
  readonly byUpper = new Map<Inode, OverlayInode>();
  readonly byLower = new Map<Inode, OverlayInode>();

  constructor(lower: Superblock, upper: Superblock, persistent: boolean) {
    super();
    this.magic = OVERLAYFS_SUPER_MAGIC;
    this.source = 'overlay';
    this.options = 'lowerdir=/,upperdir=/,workdir=/';
    this.lower = lower;
    this.upper = upper;
    this.persistent = persistent;
    this.root = this.inode(upper.root, lower.root);
    this.root.uses++; // for good
  }

  /** The inode made of these two, either of which may be null. */
  inode(upper: Inode | null, lower: Inode | null): OverlayInode {
    const known = upper ? this.byUpper.get(upper) : this.byLower.get(lower as Inode);
    if (known) return known;
    const inode = new OverlayInode(this, upper, lower);
    if (upper) this.byUpper.set(upper, inode);
    if (lower) this.byLower.set(lower, inode);
    return inode;
  }

  /** An inode that was in the lower layer only has one in the upper layer from now on. */
  copiedUp(inode: OverlayLayers): void {
    this.byUpper.set(inode.upper as Inode, inode as OverlayInode);
  }

  /** Number and device under which an inode of a layer shows. */
  inoOf(inode: Inode, isUpper: boolean): number {
    return isUpper ? UPPER_INO + inode.ino : inode.ino;
  }
  deviceOf(inode: Inode, isUpper: boolean): number {
    return isUpper || inode.device === this.lower.device ? this.device : inode.device;
  }

  /** What there is below counts as used, what the upper layer has left as free. */
  override statfs(into: StatFs): number {
    let r = this.lower.statfs(into);
    if (r < 0) return r;
    const usedBlocks = (into.blocks - into.blocksFree) * into.blockSize;
    const usedFiles = into.files - into.filesFree;
    r = this.upper.statfs(into);
    into.type = this.magic;
    into.blocks += Math.ceil(usedBlocks / into.blockSize);
    into.files += usedFiles;
    return r;
  }

  override sync(): number {
    return this.upper.sync();
  }
}
