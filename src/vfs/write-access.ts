// Text that runs is not written, and what is being written does not run: ETXTBSY (open(2), execve(2)). An inode counts
// either the open files that write to it or, as a negative number, the programs that run from it.

import { ETXTBSY } from '../abi/errno.ts';
import type { Path } from './dentry.ts';
import { closeDentry, unuseInode } from './dentry-cache.ts';
import type { Inode } from './inode.ts';

/** 0, or -ETXTBSY when a program runs from it. */
export function mayWriteText(inode: Inode): number {
  return inode.writeCount < 0 ? -ETXTBSY : 0;
}

/** 0, or -ETXTBSY when it is open for writing. */
export function mayExecuteText(inode: Inode): number {
  return inode.writeCount > 0 ? -ETXTBSY : 0;
}

/** A program that runs from a file: it keeps its writers out, and the file in memory under its name. */
export class RunningText {
  readonly path: Path;
  readonly inode: Inode;
  private users = 1;

  constructor(path: Path, inode: Inode) {
    this.path = path;
    this.inode = inode;
    inode.writeCount--;
    inode.uses++;
    path.dentry.opens++;
  }

  /** One more address space runs it. */
  share(): RunningText {
    this.users++;
    return this;
  }

  /** An address space that ran it is gone. */
  release(): void {
    if (--this.users > 0) return;
    this.inode.writeCount++;
    closeDentry(this.path.dentry);
    unuseInode(this.inode);
  }
}
