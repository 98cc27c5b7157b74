// The loop devices themselves: which file each shows, and how much of it. Programs see them through loop.ts, and through
// /sys/block (fs/sys/block.ts).

import { EBUSY, EINVAL, ENXIO } from '../../abi/errno.ts';
import { LO_FLAGS_AUTOCLEAR, LO_FLAGS_READ_ONLY, SECTOR } from '../../abi/loop.ts';
import { S_IFMT, S_IFREG } from '../../abi/stat.ts';
import { drop, type OpenFile, retain } from '../../vfs/open-file.ts';

/** How many devices there are. */
const LOOP_DEVICES = 8;
export const BLOCK = 4096;

/** Whether a device may have blocks of this size: a power of two from a sector to a page. */
export function isBlockSize(size: number): boolean {
  return size >= SECTOR && size <= BLOCK && (size & (size - 1)) === 0;
}

/** One device; it lasts, what it shows comes and goes. */
export class LoopDevice {
  readonly number: number;
  backing: OpenFile | null = null;
  openers = 0;
  offset = 0;
  /** Most bytes to show, 0 for all there are. */
  sizeLimit = 0;
  flags = 0;
  /** BLKROSET: read-only whatever the backing file is. */
  closedToWrites = false;
  blockSize = SECTOR;
  /** In sectors; nothing reads ahead by it. */
  readAhead = 256;
  name = '';
  size = 0;
  /** LOOP_CLR_FD was called by its only opener: nothing goes any more until that one closes it. */
  leaving = false;

  constructor(number: number) {
    this.number = number;
  }

  get readonly(): boolean {
    return this.closedToWrites || (this.flags & LO_FLAGS_READ_ONLY) !== 0;
  }

  /** The size that the backing file has now, in whole sectors. */
  measure(): number {
    const inode = (this.backing as OpenFile).inode;
    const r = inode.refresh();
    if (r < 0) return r;
    let size = Math.max(0, inode.size - this.offset);
    if (this.sizeLimit > 0) size = Math.min(size, this.sizeLimit);
    this.size = size - (size % SECTOR);
    return 0;
  }

  attach(file: OpenFile, writable: boolean): number {
    if (this.backing !== null) return -EBUSY;
    // A device on a device could be one on itself.
    if ((file.inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
    this.backing = retain(file);
    this.offset = this.sizeLimit = 0;
    this.flags = writable && file.writable ? 0 : LO_FLAGS_READ_ONLY;
    this.name = '';
    return this.measure();
  }

  /** LOOP_CHANGE_FD: another file of the same size behind a device that nobody can write to. 0 or -errno. */
  exchange(file: OpenFile): number {
    if (this.backing === null) return -ENXIO;
    if (!(this.flags & LO_FLAGS_READ_ONLY) || (file.inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
    const r = file.inode.refresh();
    if (r < 0) return r;
    if (file.inode.size !== this.backing.inode.size) return -EINVAL;
    const before = this.backing;
    this.backing = retain(file);
    drop(before);
    return 0;
  }

  /** As Linux does: the device goes when the last opener closes it. */
  clear(): number {
    if (this.backing === null || this.leaving) return -ENXIO;
    this.flags |= LO_FLAGS_AUTOCLEAR;
    this.leaving = this.openers === 1;
    return 0;
  }

  closed(): void {
    if (--this.openers > 0 || this.backing === null || !(this.flags & LO_FLAGS_AUTOCLEAR)) return;
    const file = this.backing;
    this.backing = null;
    this.leaving = false;
    this.size = this.flags = 0;
    this.blockSize = SECTOR;
    drop(file);
  }
}

export const loopDevices: readonly LoopDevice[] = Array.from(
  { length: LOOP_DEVICES },
  (_, number) => new LoopDevice(number),
);
