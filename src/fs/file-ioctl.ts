// ioctl(2) requests of regular files and directories on every filesystem: block size, inode flags, and cloning, which
// none of them can do.

import { EBADF, EFAULT, EINVAL, EOPNOTSUPP, EXDEV } from '../abi/errno.ts';
import { O_ACCMODE, O_RDONLY, O_WRONLY } from '../abi/fcntl.ts';
import {
  FICLONE,
  FICLONERANGE,
  FIGETBSZ,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
} from '../abi/ioctl.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { i32, readS64, u8, u32 } from '../platform/arena.ts';
import { getFlags, setFlags, setXflags, toXflags } from '../vfs/inode-flags.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const BLOCK_SIZE = 4096;
/** struct fsxattr: u32 xflags, extsize, nextents, projid, cowextsize, and padding */
const FSXATTR_SIZE = 28;

/** The requests of this file's head; null for all others. */
export function fileIoctl(task: Task, file: OpenFile, request: number, argument: UserAddress): number | null {
  switch (request) {
    case FIGETBSZ:
      return tell(task, argument, BLOCK_SIZE);
    case FS_IOC_GETFLAGS: {
      const flags = getFlags(file.inode);
      return flags < 0 ? flags : tell(task, argument, flags);
    }
    case FS_IOC_SETFLAGS: {
      const at = task.memory.in(argument, 4);
      return at < 0 ? at : setFlags(file.path, file.inode, task.credentials, u32[at >>> 2]);
    }
    case FS_IOC_FSGETXATTR: {
      const flags = getFlags(file.inode);
      if (flags < 0) return flags;
      const at = task.memory.out(argument, FSXATTR_SIZE);
      if (at < 0) return at;
      u8.fill(0, at, at + FSXATTR_SIZE);
      u32[at >>> 2] = toXflags(flags);
      return 0;
    }
    case FS_IOC_FSSETXATTR: {
      const at = task.memory.in(argument, FSXATTR_SIZE);
      if (at < 0) return at;
      const word = at >>> 2;
      if (u32[word + 1] !== 0 || u32[word + 3] !== 0 || u32[word + 4] !== 0) return -EOPNOTSUPP;
      return setXflags(file.path, file.inode, task.credentials, u32[word]);
    }
    case FICLONE:
      return clone(task, file, argument as number as Fd);
    case FICLONERANGE: {
      const at = task.memory.in(argument, 32);
      return at < 0 ? -EFAULT : clone(task, file, readS64(at) as Fd);
    }
    default:
      return null;
  }
}

function tell(task: Task, address: UserAddress, value: number): number {
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  i32[at >>> 2] = value;
  return 0;
}

/** FICLONE: which error tells that extents are not shared here. */
function clone(task: Task, to: OpenFile, fd: Fd): number {
  const from = task.files.get((fd | 0) as Fd);
  if (!from) return -EBADF;
  if ((from.flags & O_ACCMODE) === O_WRONLY || (to.flags & O_ACCMODE) === O_RDONLY) return -EBADF;
  if ((from.inode.mode & S_IFMT) !== S_IFREG || (to.inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  return from.inode.superblock !== to.inode.superblock ? -EXDEV : -EOPNOTSUPP;
}
