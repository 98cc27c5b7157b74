// What a thread's stub has mapped of a file to read from by itself (fs/direct-read.ts): a part of it, from `start` to
// `end`, at the window that the thread's block has in the stub's region.

import type { HostFd } from '../base/brands.ts';
import { WINDOW_SIZE } from '../platform/layout.ts';
import type { Inode } from '../vfs/inode.ts';
import type { OpenFile } from '../vfs/open-file.ts';

/** So much is mapped at least: what was read counts as the process's memory. */
const LEAST = 16 << 20;
/** Parts begin at multiples of this, as large pages do. */
const UNIT = 2 << 20;

export class ReadWindow {
  start = 0;
  end = 0;
  /** A file that could not be mapped. */
  refused: OpenFile | null = null;
  private file: OpenFile | null = null;
  /** Whose data they are: a file of an overlay gets others when it is written to. */
  private data: Inode | null = null;
  private fd = -1;

  has(file: OpenFile, fd: HostFd, start: number, end: number): boolean {
    if (this.file !== file || this.fd !== fd || start < this.start || end > this.end) return false;
    return this.data === file.inode.dataInode;
  }

  /** Where it is to be for this part of the file; false if that is too much for it. */
  place(file: OpenFile, fd: HostFd, start: number, end: number): boolean {
    const from = Math.floor(start / UNIT) * UNIT;
    const size = Math.max(LEAST, Math.ceil((end - from) / UNIT) * UNIT);
    if (size > WINDOW_SIZE) return false;
    this.file = file;
    this.fd = fd;
    this.data = file.inode.dataInode;
    this.start = from;
    this.end = from + size;
    return true;
  }

  /** The host would not map the file. */
  refuse(): void {
    this.refused = this.file;
    this.forget();
  }

  forget(): void {
    this.file = null;
    this.data = null;
  }

  /** A forked process has its parent's mappings. */
  copy(from: ReadWindow): void {
    this.file = from.file;
    this.data = from.data;
    this.fd = from.fd;
    this.start = from.start;
    this.end = from.end;
  }
}
