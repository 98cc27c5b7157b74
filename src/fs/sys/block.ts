// /sys/block: the loop devices, with the directory `loop` while one shows a file.

import { ENOENT } from '../../abi/errno.ts';
import { LO_FLAGS_AUTOCLEAR, SECTOR } from '../../abi/loop.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { DirectorySink, Inode } from '../../vfs/inode.ts';
import { pathName } from '../../vfs/path-name.ts';
import { type LoopDevice, loopDevices } from '../dev/loop-device.ts';
import { text } from '../proc/system.ts';
import { FixedDirectory, grow, type Tree } from '../virtual/directory.ts';
import type { TextSource } from '../virtual/inode.ts';
import type { VirtualSuperblock } from '../virtual/superblock.ts';

const LOOP_MAJOR = 7;

class DeviceDirectory extends FixedDirectory {
  private readonly loop: LoopDevice;

  constructor(superblock: VirtualSuperblock, device: LoopDevice) {
    super(superblock, superblock.nextIno());
    this.loop = device;
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    return name === 'loop' && this.loop.backing === null ? -ENOENT : super.lookup(name);
  }

  override readdir(offset: number, sink: DirectorySink): number {
    const free = this.loop.backing === null;
    return super.readdir(offset, (name, ...rest) => (free && name === 'loop' ? true : sink(name, ...rest)));
  }
}

/** Fills /sys/block, and /sys/dev/block with the same by number. */
export function addLoopDevices(block: FixedDirectory, byNumber: FixedDirectory): void {
  for (const device of loopDevices) {
    const directory = new DeviceDirectory(block.superblock as VirtualSuperblock, device);
    grow(directory, treeOf(device));
    block.add(`loop${device.number}`, directory);
    grow(byNumber, { [`${LOOP_MAJOR}:${device.number}`]: `../../block/loop${device.number}` });
  }
}

function line(value: () => string | number): TextSource<null> {
  return text(() => `${value()}\n`);
}

function treeOf(device: LoopDevice): Tree {
  const yes = (is: boolean): number => (is ? 1 : 0);
  return {
    capability: line(() => 0),
    dev: line(() => `${LOOP_MAJOR}:${device.number}`),
    loop: {
      autoclear: line(() => yes((device.flags & LO_FLAGS_AUTOCLEAR) !== 0)),
      backing_file: line(() => backingFile(device)),
      dio: line(() => 0),
      offset: line(() => device.offset),
      partscan: line(() => 0),
      sizelimit: line(() => device.sizeLimit),
    },
    queue: {
      dma_alignment: line(() => SECTOR - 1),
      logical_block_size: line(() => device.blockSize),
      physical_block_size: line(() => device.blockSize),
      read_ahead_kb: line(() => device.readAhead / 2),
    },
    removable: line(() => 0),
    ro: line(() => yes(device.readonly)),
    size: line(() => device.size / SECTOR),
  };
}

/** Its name as the reader sees it. */
function backingFile({ backing }: LoopDevice): string {
  const reader = kernel.current;
  return backing && reader ? pathName(backing.path, reader.fs.root) : '';
}
