// Descriptor tables: small numbers to open file descriptions, with the close-on-exec bit per descriptor.
// Shared by tasks cloned with CLONE_FILES; copied by fork; unshared by exec.

import { EBADF, EMFILE, ENFILE, ENOMEM } from '../abi/errno.ts';
import type { Fd } from '../base/brands.ts';
import { releaseRangeLocks } from './locks.ts';
import { type OpenFile, retain } from './open-file.ts';

/** Places in all tables, used or not, and how many there may be: they take the sentry's memory, 16 bytes each. */
let places = 0;
const PLACES_MOST = 1 << 23;
/** Files that are in any table (/proc/sys/fs/file-nr), and how many there may be, at most and now (file-max). */
let files = 0;
export const FILES_MOST = 1 << 18;
export const fileLimit = { most: FILES_MOST };

/** How many files are in any table. */
export function filesInTables(): number {
  return files;
}

/** Places in all tables, used or not. */
export function placesInTables(): number {
  return places;
}

export class FdTable {
  /** Tasks that share this table. */
  users = 1;
  readonly files: (OpenFile | null)[];
  readonly closeOnExec: boolean[];
  /** No descriptor below this one is free. */
  private lowestFree = 0;

  constructor(files: (OpenFile | null)[] = [], closeOnExec: boolean[] = []) {
    this.files = files;
    this.closeOnExec = closeOnExec;
  }

  get(fd: Fd): OpenFile | null {
    return this.files[fd] ?? null;
  }

  /**
   * Installs a file (taking over the caller's reference) at the lowest free number from `from` on; -EMFILE at `limit`,
   * -ENFILE and -ENOMEM when the sandbox has too many.
   */
  install(file: OpenFile, closeOnExec: boolean, limit: number, from = 0): Fd | number {
    let fd = Math.max(from, this.lowestFree);
    while (this.files[fd]) fd++;
    if (fd >= limit) return -EMFILE;
    if (file.descriptors === 0 && files >= fileLimit.most) return -ENFILE;
    const r = this.checkRoom(fd);
    if (r < 0) return r;
    if (from <= this.lowestFree) this.lowestFree = fd + 1;
    this.put(fd, file, closeOnExec);
    return fd;
  }

  /** Whether the table may grow to have a number: 0 or -ENOMEM. */
  checkRoom(fd: number): number {
    return fd >= this.files.length && places + fd + 1 - this.files.length > PLACES_MOST ? -ENOMEM : 0;
  }

  /** Whether there may be a copy of it: 0 or -ENOMEM. */
  checkCopy(): number {
    return places + this.files.length > PLACES_MOST ? -ENOMEM : 0;
  }

  /** Puts a file at a given number; whatever was there is returned for the caller to close. */
  replace(fd: Fd, file: OpenFile, closeOnExec: boolean): OpenFile | null {
    const old = this.files[fd] ?? null;
    if (old?.inode.locks) releaseRangeLocks(old.inode, this);
    if (old) leaves(old);
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
      leaves(file);
      if (fd < this.lowestFree) this.lowestFree = fd;
    }
    return file;
  }

  /** Shows another file at a number, or none, until the caller has put back what was there, which is returned. */
  show(fd: Fd, file: OpenFile | null): OpenFile | null {
    const shown = this.files[fd] ?? null;
    this.files[fd] = file;
    if (file === null && fd < this.lowestFree) this.lowestFree = fd;
    return shown;
  }

  setCloseOnExec(fd: Fd, on: boolean): number {
    if (!this.files[fd]) return -EBADF;
    this.closeOnExec[fd] = on;
    return 0;
  }

  /** A copy that shares the open file descriptions, as fork makes it. */
  copy(): FdTable {
    const table = new FdTable(this.files.slice(), this.closeOnExec.slice());
    for (const file of this.files) if (file) retain(file).descriptors++;
    places += this.files.length;
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

  /** What does not hold of it. */
  check(fail: (what: string) => void): void {
    const { files, closeOnExec, lowestFree } = this;
    if (files.length !== closeOnExec.length) fail(`${files.length} descriptors, ${closeOnExec.length} bits`);
    for (let fd = 0; fd < lowestFree; fd++) if (!files[fd]) fail(`descriptor ${fd} is free, below ${lowestFree}`);
  }

  /** Nobody has the table any more. */
  end(): void {
    places -= this.files.length;
    this.files.length = this.closeOnExec.length = 0;
  }

  private put(fd: number, file: OpenFile, closeOnExec: boolean): void {
    if (fd >= this.files.length) places += fd + 1 - this.files.length;
    while (this.files.length < fd) {
      this.files.push(null);
      this.closeOnExec.push(false);
    }
    this.files[fd] = file;
    this.closeOnExec[fd] = closeOnExec;
    if (file.descriptors++ === 0) files++;
  }
}

function leaves(file: OpenFile): void {
  if (--file.descriptors === 0) files--;
}
