// What filesystems there are, by the calls that statfs(2) and /proc/filesystems have superseded: sysfs(2), ustat(2).

import { EINVAL } from '../abi/errno.ts';
import { USTAT_SIZE, USTAT_TINODE } from '../abi/misc.ts';
import type { UserAddress } from '../base/brands.ts';
import { FILESYSTEMS } from '../fs/proc/system.ts';
import type { Task } from '../kernel/task.ts';
import { i32, u8, writeBytes, writeU64 } from '../platform/arena.ts';
import type { Mount } from '../vfs/dentry.ts';
import type { StatFs } from '../vfs/inode.ts';

/** sysfs(2): number of a type by name (1), name by number (2), how many there are (3) */
export function sysfs(task: Task, option: number, first: number, second: UserAddress): number {
  switch (option) {
    case 1: {
      const name = task.memory.string(first as UserAddress);
      if (typeof name === 'number') return name;
      const index = FILESYSTEMS.indexOf(name);
      return index < 0 ? -EINVAL : index;
    }
    case 2: {
      const name = FILESYSTEMS[first];
      if (name === undefined) return -EINVAL;
      const at = task.memory.out(second, name.length + 1);
      if (at < 0) return at;
      u8[at + writeBytes(at, name)] = 0;
      return 0;
    }
    case 3:
      return FILESYSTEMS.length;
    default:
      return -EINVAL;
  }
}

/** ustat(2): free blocks and inodes of a mounted filesystem, by its device number */
export function ustat(task: Task, device: number, buffer: UserAddress): number {
  const { namespace } = task.fs.root.mount;
  const mount = namespace ? mountOf(namespace.root, device) : null;
  if (mount === null) return -EINVAL;
  const numbers: StatFs = {
    type: 0,
    blockSize: 0,
    blocks: 0,
    blocksFree: 0,
    blocksAvailable: 0,
    files: 0,
    filesFree: 0,
    nameMax: 0,
    flags: 0,
  };
  const r = mount.superblock.statfs(numbers);
  if (r < 0) return r;
  const at = task.memory.out(buffer, USTAT_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + USTAT_SIZE);
  i32[at >>> 2] = Math.min(numbers.blocksFree, 0x7fffffff);
  writeU64(at + USTAT_TINODE, numbers.filesFree);
  return 0;
}

function mountOf(mount: Mount, device: number): Mount | null {
  if (mount.superblock.device === device) return mount;
  for (const child of mount.children) {
    const found = mountOf(child, device);
    if (found !== null) return found;
  }
  return null;
}
