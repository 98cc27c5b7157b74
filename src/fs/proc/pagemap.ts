// /proc/PID/pagemap: which pages are in memory, by the host's word. Page frames are not told; the stub's pages are not
// there.

import { EINVAL } from '../../abi/errno.ts';
import { S_IFREG } from '../../abi/stat.ts';
import { PAGE_SIZE } from '../../kernel/host-memory.ts';
import type { Task } from '../../kernel/task.ts';
import { readPagemap } from '../../mm/host-maps.ts';
import { u8 } from '../../platform/arena.ts';
import { STUB_END, STUB_START } from '../../platform/layout.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Superblock } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { seekPosition, VirtualInode } from '../virtual/inode.ts';
import { alive, checkPeek } from './access.ts';

const ENTRY_SIZE = 8;

export class PagemapInode extends VirtualInode {
  readonly task: Task;

  constructor(superblock: Superblock, ino: number, task: Task) {
    super(superblock, ino, S_IFREG | 0o400);
    this.task = task;
  }

  override open(path: Path, flags: number): OpenFile | number {
    const denied = checkPeek(this.task);
    return denied < 0 ? denied : new PagemapFile(path, this, flags);
  }
}

class PagemapFile extends OpenFile {
  declare readonly inode: PagemapInode;

  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    if (offset % ENTRY_SIZE !== 0 || length % ENTRY_SIZE !== 0) return -EINVAL;
    const living = alive(this.inode.task);
    if (!living) return 0;
    const start = (offset / ENTRY_SIZE) * PAGE_SIZE;
    const n = readPagemap(living.mm, start, at, length / ENTRY_SIZE);
    if (n <= 0) return n;
    const hiddenFrom = Math.max(0, (STUB_START - start) / PAGE_SIZE);
    const hiddenTo = Math.min(n, (STUB_END - start) / PAGE_SIZE);
    if (hiddenFrom < hiddenTo) u8.fill(0, at + ENTRY_SIZE * hiddenFrom, at + ENTRY_SIZE * hiddenTo);
    return n * ENTRY_SIZE;
  }

  override seek(offset: number, whence: number): number {
    return seekPosition(this, offset, whence);
  }
}
