// Descriptor tables: small numbers to open file descriptions, with the close-on-exec bit per descriptor.
// Shared by tasks cloned with CLONE_FILES; copied by fork; unshared by exec.

import { EBADF, EMFILE } from '../abi/errno.ts';
import type { Fd } from '../base/brands.ts';
import { releaseRangeLocks } from './locks.ts';
import { drop, type OpenFile, retain } from './open-file.ts';

export class FdTable {
  /** Tasks that share this table. */
  users = 1;
  readonly files: (OpenFile | null)[] = [];
  readonly closeOnExec: boolean[] = [];
  /** No descriptor below this one is free. */
  private lowestFree = 0;

  get(fd: Fd): OpenFile | null {
    return this.files[fd] ?? null;
  }

  /** Installs a file (taking over the caller's reference) at the lowest free number from `from` on; EMFILE at `limit`. */
  install(file: OpenFile, closeOnExec: boolean, limit: number, from = 0): Fd | number {
    let fd = Math.max(from, this.lowestFree);
    while (this.files[fd]) fd++;
    if (fd >= limit) return -EMFILE;
    if (from <= this.lowestFree) this.lowestFree = fd + 1;
    this.put(fd, file, closeOnExec);
    return fd;
  }

  /** Puts a file at a given number; whatever was there is returned for the caller to close. */
  replace(fd: Fd, file: OpenFile, closeOnExec: boolean): OpenFile | null {
    const old = this.files[fd] ?? null;
    if (old?.inode.locks) releaseRangeLocks(old.inode, this);
    this.put(fd, file, closeOnExec);
    return old;
  }

  /** Takes a descriptor out; the caller flushes and drops the file. */
  remove(fd: Fd): OpenFile | null {
    const file = this.files[fd] ?? null;
    if (file) {
      // POSIX locks belong to the table: closing any descriptor of the file gives them up (fcntl(2)).
      if (file.inode.locks) releaseRangeLocks(file.inode, this);
      this.files[fd] = null;
      if (fd < this.lowestFree) this.lowestFree = fd;
    }
    return file;
  }

  setCloseOnExec(fd: Fd, on: boolean): number {
    if (!this.files[fd]) return -EBADF;
    this.closeOnExec[fd] = on;
    return 0;
  }

  /** A copy that shares the open file descriptions, as fork makes it. */
  copy(): FdTable {
    const table = new FdTable();
    for (let fd = 0; fd < this.files.length; fd++) {
      const file = this.files[fd];
      table.files[fd] = file ? retain(file) : null;
      table.closeOnExec[fd] = this.closeOnExec[fd] ?? false;
    }
    table.lowestFree = this.lowestFree;
    return table;
  }

  /** Removes and returns the files that close on exec (`all`: every file), for the caller to flush and drop. */
  takeForClose(all: boolean): OpenFile[] {
    const taken: OpenFile[] = [];
    for (let fd = 0; fd < this.files.length; fd++) {
      if (this.files[fd] && (all || this.closeOnExec[fd])) taken.push(this.remove(fd as Fd) as OpenFile);
    }
    return taken;
  }

  private put(fd: number, file: OpenFile, closeOnExec: boolean): void {
    while (this.files.length < fd) {
      this.files.push(null);
      this.closeOnExec.push(false);
    }
    this.files[fd] = file;
    this.closeOnExec[fd] = closeOnExec;
  }
}

/** Drops every file of a list. */
export function dropAll(files: OpenFile[]): void {
  for (const file of files) drop(file);
}
