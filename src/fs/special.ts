// Opening what is neither a regular file nor a directory, wherever its inode lies: FIFOs and device nodes are the
// sandbox's own, whatever filesystem stores them; sockets cannot be opened.

import { ELOOP, ENXIO } from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK } from '../abi/stat.ts';
import type { Task } from '../kernel/task.ts';
import type { Path } from '../vfs/dentry.ts';
import { openDeviceNode } from '../vfs/devices.ts';
import { DirectoryFile } from '../vfs/directory-file.ts';
import type { Inode } from '../vfs/inode.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { openRegular } from '../vfs/regular-file.ts';
import { openFifo } from './pipe/fifo.ts';

/** Opens an inode of a filesystem that stores files, by its type. */
export function openStored(path: Path, inode: Inode, flags: number, task?: Task): OpenFile | number {
  if (inode.isDirectory) return new DirectoryFile(path, inode, flags);
  switch (inode.mode & S_IFMT) {
    case S_IFIFO:
      return openFifo(path, inode, flags);
    case S_IFCHR:
    case S_IFBLK:
      return openDeviceNode(path, inode, flags, task);
    case S_IFSOCK:
      return -ENXIO;
    case S_IFLNK:
      return -ELOOP;
    default:
      return openRegular(path, inode, flags);
  }
}
