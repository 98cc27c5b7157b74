// Filesystems that a program may mount (mount(2)) by their type's name. None of them is on a device: each is made by the
// sentry, so there is nothing of the host to reach through one.

import { EINVAL, ENODEV } from '../abi/errno.ts';
import { kernel } from '../kernel/kernel.ts';
import { memoryTotal } from '../platform/machine.ts';
import type { Superblock } from '../vfs/inode.ts';
import { DevptsSuperblock } from './devpts/devpts.ts';
import { ProcSuperblock } from './proc/proc.ts';
import { CgroupSuperblock } from './sys/cgroup.ts';
import { SysSuperblock } from './sys/sys.ts';
import { parseTmpfsOptions, validTmpfsOptions } from './tmpfs/options.ts';
import { TmpfsSuperblock } from './tmpfs/tmpfs.ts';

const TYPES = ['tmpfs', 'mqueue', 'ramfs', 'proc', 'sysfs', 'devpts', 'cgroup2'];

/** 0, or -ENODEV if there is no such type. */
export function knownFilesystem(type: string): number {
  return TYPES.includes(type) ? 0 : -ENODEV;
}

/** A filesystem of the type, with the type's own options; -ENODEV if there is no such type, -EINVAL for bad options. */
export function makeFilesystem(type: string, options: readonly string[]): Superblock | number {
  switch (type) {
    case 'tmpfs':
    case 'mqueue':
      if (!validTmpfsOptions(options)) return -EINVAL;
      return new TmpfsSuperblock(parseTmpfsOptions(options, memoryTotal()), type);
    case 'ramfs': {
      const bounds = parseTmpfsOptions(options, memoryTotal());
      return new TmpfsSuperblock({ ...bounds, size: Infinity, inodes: Infinity }, type);
    }
    case 'proc':
      return new ProcSuperblock(kernel.current?.pidNamespace);
    case 'sysfs':
      return new SysSuperblock();
    case 'devpts':
      return new DevptsSuperblock(options);
    case 'cgroup2':
      return new CgroupSuperblock();
    default:
      return -ENODEV;
  }
}
