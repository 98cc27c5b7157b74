// What the superblocks of generated filesystems have in common: no data to count, and inode numbers given out in turn.

import { type StatFs, Superblock } from '../../vfs/inode.ts';
import { allocateDevice } from '../../vfs/mount.ts';

/** Inode number of the root directory. */
export const ROOT_INO = 1;
const PAGE = 4096;
const NAME_MAX = 255;

export abstract class VirtualSuperblock extends Superblock {
  readonly device = allocateDevice();
  private lastIno = ROOT_INO;

  nextIno(): number {
    return ++this.lastIno;
  }

  override statfs(into: StatFs): number {
    into.type = this.magic;
    into.blockSize = PAGE;
    into.blocks = into.blocksFree = into.blocksAvailable = 0;
    into.files = into.filesFree = 0;
    into.nameMax = NAME_MAX;
    return 0;
  }
}
