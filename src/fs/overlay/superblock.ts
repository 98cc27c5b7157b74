// An overlay: a lower tree that is never written, under an upper one that takes every change. With a memory upper the
// links between the layers live in the overlay's inodes; with a host directory they are on disk in the form of Linux's
// overlayfs (whiteouts are 0:0 character devices, an opaque directory has the attribute trusted.overlay.opaque, or
// user.overlay.opaque where the sentry may not set that).

import { OVERLAYFS_SUPER_MAGIC } from '../../abi/stat.ts';
import { type Inode, type StatFs, Superblock } from '../../vfs/inode.ts';
import { allocateDevice } from '../../vfs/mount.ts';
import { OverlayInode } from './inode.ts';
import type { OverlayLayers } from './layers.ts';

/** Numbers of inodes that only the upper layer has start here, out of the way of the lower layer's. */
const UPPER_INO = 2 ** 46;

export const OPAQUE_USER = 'user.overlay.opaque';
export const OPAQUE_TRUSTED = 'trusted.overlay.opaque';

/** What an overlay needs of a layer: a filesystem, or a directory of one. */
export interface Layer {
  readonly root: Inode;
  readonly device: number;
  statfs(into: StatFs): number;
  sync(): number;
}

/** How an overlay that a program mounts differs from the sandbox's own root. */
export interface OverlayDetails {
  /** How many overlays of programs its files may lie in, itself included. */
  readonly depth: number;
  /** Which of several stacked on each other it is: their inodes must have numbers of their own. */
  readonly level: number;
  /** The upper directory can be seen in the tree, too. */
  readonly visible: boolean;
  /** The attribute that marks an opaque directory. */
  readonly opaque: string;
  /** It is not used any more. */
  readonly release: () => void;
}

const OWN_ROOT: OverlayDetails = { depth: 0, level: 1, visible: false, opaque: OPAQUE_USER, release() {} };

export class OverlaySuperblock extends Superblock {
  readonly device = allocateDevice();
  override readonly hasHandles = true;
  readonly typeName = 'overlay';
  readonly root: OverlayInode;
  readonly lower: Layer;
  readonly upper: Layer;
  /** The upper layer outlives the sandbox: nothing about the layers may be kept in memory only. */
  readonly persistent: boolean;
  /** The upper layer can have files without a name, which they get when they are whole. */
  keepsNameless = true;
  /** Files whose data are on their way up. */
  copies = 0;
  readonly byUpper = new Map<Inode, OverlayInode>();
  readonly byLower = new Map<Inode, OverlayInode>();

  readonly details: OverlayDetails;
  constructor(lower: Layer, upper: Layer, persistent: boolean, details: OverlayDetails = OWN_ROOT) {
    super();
    this.details = details;
    this.magic = OVERLAYFS_SUPER_MAGIC;
    this.source = 'overlay';
    this.options = 'lowerdir=/,upperdir=/,workdir=/';
    this.lower = lower;
    this.upper = upper;
    this.persistent = persistent;
    this.root = this.inode(upper.root, lower.root);
    this.root.uses++; // for good
  }

  get mountedByProgram(): boolean {
    return this.details !== OWN_ROOT;
  }
  get depth(): number {
    return this.details.depth;
  }

  /** The inode made of these two, either of which may be null. */
  inode(upper: Inode | null, lower: Inode | null): OverlayInode {
    const known = upper ? this.byUpper.get(upper) : this.byLower.get(lower as Inode);
    if (known) return known;
    const inode = new OverlayInode(this, upper, lower);
    if (upper) this.noteUpper(upper, inode);
    if (lower && !this.splits(lower)) this.byLower.set(lower, inode);
    return inode;
  }

  /**
   * Whether each name of a lower file is a file of its own: on disk nothing would say which name of several was copied
   * up, so that a change through one leaves the others as they are, as in overlayfs without an index.
   */
  private splits(lower: Inode): boolean {
    return this.persistent && !lower.isDirectory && lower.nlink > 1;
  }

  /** An inode that was in the lower layer only has one in the upper layer from now on. */
  copiedUp(inode: OverlayLayers): void {
    this.noteUpper(inode.upper as Inode, inode as OverlayInode);
  }

  private noteUpper(upper: Inode, inode: OverlayInode): void {
    this.byUpper.set(upper, inode);
    if (this.details.visible) upper.changedBelow = true;
  }

  /** Number and device under which an inode of a layer shows. */
  inoOf(inode: Inode, isUpper: boolean): number {
    return isUpper ? UPPER_INO * this.details.level + inode.ino : inode.ino;
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

  override shutDown(): void {
    this.details.release();
  }
}
