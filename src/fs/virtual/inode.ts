// Generated files: inodes of procfs, sysfs and their kin, whose contents are made when they are read. A file's text
// comes from a TextSource, a constant table entry that reads (and perhaps writes) a kernel object, the subject; so the
// inode holds nothing but references to kernel objects. The text is made when a reader starts at offset 0 and is then
// read by position, as seq_file does it: a reader that stays within one pass sees one consistent text.

import { EACCES, EINVAL, ENOTTY, EPERM } from '../../abi/errno.ts';
import { SEEK_CUR, SEEK_SET } from '../../abi/fcntl.ts';
import { POLLERR, POLLPRI } from '../../abi/poll.ts';
import { S_IFLNK, S_IFREG } from '../../abi/stat.ts';
import type { UserAddress } from '../../base/brands.ts';
import { stampNow } from '../../base/clock.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { WAIT } from '../../kernel/block.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { readBytes, writeBytes } from '../../platform/arena.ts';
import type { Changes } from '../../vfs/changes.ts';
import type { Path } from '../../vfs/dentry.ts';
import { type AttributeChange, Inode, type Superblock } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';

/** Most bytes one write to a generated file takes, as for Linux's sysctls. */
const WRITE_MAX = 65536;

/** An inode that lives in memory only and belongs to root until somebody says otherwise. */
export class VirtualInode extends Inode {
  constructor(superblock: Superblock, ino: number, mode: number) {
    super(superblock);
    this.ino = ino;
    this.mode = mode;
    stampNow(this.mtime);
    Object.assign(this.atime, this.mtime);
    Object.assign(this.ctime, this.mtime);
  }

  /** Generated trees take times (touch works) but neither owner nor mode. */
  override setattr(change: AttributeChange): number {
    if (change.mode !== undefined || change.uid !== undefined || change.gid !== undefined) return -EPERM;
    if (change.atime) Object.assign(this.atime, change.atime);
    if (change.mtime) Object.assign(this.mtime, change.mtime);
    return 0; // O_TRUNC means nothing here
  }
}

/** A text that is made as far as somebody reads it. */
export interface TextStream {
  /** What comes next, which may be nothing yet; null at the end. */
  next(): string | null;
  close(): void;
}

/** What is behind a generated file; `subject` is the kernel object that the file tells of. */
export interface TextSource<Subject> {
  /** Permission bits. */
  readonly mode: number;
  /** The text, as a byte string, or -errno. */
  readonly read?: (subject: Subject, superblock: Superblock) => string | number;
  /** The same text piece by piece, where it may be long; null where it cannot be had so. */
  readonly stream?: (subject: Subject) => TextStream | null;
  /** Takes what one write(2) brought. 0 or -errno. */
  readonly write?: (subject: Subject, text: string) => number;
  /** ioctl(2) by `task`; -ENOTTY without it. */
  readonly ioctl?: (subject: Subject, task: Task, command: number, argument: UserAddress) => number;
  /** Counts the changes of what it tells, where those can be waited for; without it the file cannot be polled. */
  readonly changes?: (subject: Subject) => Changes | null;
  /** Whether the caller has the owner's rights, though it is not the owner. */
  readonly admits?: () => boolean;
  /** Checks beyond the permission bits, when it is opened. 0 or -errno. */
  readonly open?: (subject: Subject) => number;
}

export class GeneratedFile<Subject> extends VirtualInode {
  readonly subject: Subject;
  readonly source: TextSource<Subject>;

  constructor(superblock: Superblock, ino: number, subject: Subject, source: TextSource<Subject>) {
    super(superblock, ino, S_IFREG | source.mode);
    this.subject = subject;
    this.source = source;
  }

  override get callersOwn(): boolean {
    return this.source.admits?.() === true;
  }

  override open(path: Path, flags: number): OpenFile | number {
    const denied = this.source.open?.(this.subject) ?? 0;
    return denied < 0 ? denied : new GeneratedOpenFile(path, this, flags);
  }
}

class GeneratedOpenFile<Subject> extends OpenFile {
  declare readonly inode: GeneratedFile<Subject>;
  private text: string | null = null;
  /** Where `text` starts and goes on, for one that is read piece by piece. */
  private start = 0;
  private stream: TextStream | null = null;
  private paused = false;
  private readonly changes: Changes | null;
  /** How many of the changes its reader knows of. */
  private seen = 0;

  constructor(path: Path, inode: GeneratedFile<Subject>, flags: number) {
    super(path, inode, flags);
    this.changes = inode.source.changes?.(inode.subject) ?? null;
    if (this.changes) this.seen = this.changes.count;
  }

  override get waitQueue(): WaitQueue | null {
    return this.changes?.queue ?? null;
  }

  override poll(): number {
    const { changes } = this;
    if (!changes || changes.count === this.seen) return super.poll();
    if (changes.seenByPolling) this.seen = changes.count;
    return super.poll() | POLLERR | POLLPRI;
  }

  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    if ((offset === 0 && !this.paused) || this.text === null || offset < this.start) {
      const r = this.begin();
      if (r < 0) return r;
    }
    this.paused = this.stream !== null && !this.readOn(this.stream, offset, length);
    if (this.paused) return WAIT;
    return copyText(this.text as string, at, length, offset - this.start);
  }

  private begin(): number {
    const { source, subject, superblock } = this.inode;
    if (!source.read) return -EACCES;
    if (this.changes && !this.changes.seenByPolling) this.seen = this.changes.count;
    this.release();
    this.start = 0;
    this.text = '';
    this.stream = source.stream?.(subject) ?? null;
    if (this.stream) return 0;
    const text = source.read(subject, superblock);
    if (typeof text === 'number') {
      this.text = null;
      return text;
    }
    this.text = text;
    return 0;
  }

  /** Goes on to where the reader wants to be; what lies before that is forgotten. False when the turn is over before. */
  private readOn(stream: TextStream, offset: number, length: number): boolean {
    let text = this.text as string;
    for (;;) {
      const passed = Math.min(text.length, offset - this.start);
      text = text.slice(passed);
      this.start += passed;
      this.text = text;
      if (this.start + text.length >= offset + length) return true;
      const next = stream.next();
      if (next === null) return true;
      text += next;
      if (kernel.current === null || !turnIsOver()) continue;
      this.text = text;
      return false;
    }
  }

  override release(): void {
    this.stream?.close();
    this.stream = null;
  }

  override write(at: number, length: number, _offset: number): number {
    const { source, subject } = this.inode;
    if (!source.write) return -EACCES;
    if (length > WRITE_MAX) return -EINVAL;
    // Linux reads what is written as a string: runc writes the NUL at its end, too.
    const result = source.write(subject, readBytes(at, length).split('\0', 1)[0]);
    return result < 0 ? result : length;
  }

  override seek(offset: number, whence: number): number {
    return seekPosition(this, offset, whence);
  }

  override truncate(_length: number): number {
    return 0;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const { source, subject } = this.inode;
    return source.ioctl?.(subject, task, command, argument) ?? -ENOTTY;
  }
}

/** lseek(2) of files without an end: SEEK_SET and SEEK_CUR only. */
export function seekPosition(file: OpenFile, offset: number, whence: number): number {
  if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
  const position = whence === SEEK_CUR ? file.position + offset : offset;
  if (position < 0) return -EINVAL;
  file.position = position;
  return position;
}

/** Copies what a reader at `offset` gets of a text. */
export function copyText(text: string, at: number, length: number, offset: number): number {
  if (offset >= text.length) return 0;
  const end = Math.min(text.length, offset + length);
  return writeBytes(at, text.slice(offset, end));
}

/** A symbolic link with a fixed target. */
export class VirtualSymlink extends VirtualInode {
  readonly target: string;

  constructor(superblock: Superblock, ino: number, target: string) {
    super(superblock, ino, S_IFLNK | 0o777);
    this.target = target;
    this.size = target.length;
  }

  override readlink(): string | number {
    return this.target;
  }
}

/** What is behind a link whose target depends on a kernel object; `follow` makes it a magic link. */
export interface LinkSource<Subject> {
  readonly read: (subject: Subject) => string | number;
  readonly follow?: (subject: Subject) => Path | number;
}

export class GeneratedLink<Subject> extends VirtualInode {
  readonly subject: Subject;
  readonly source: LinkSource<Subject>;

  constructor(superblock: Superblock, ino: number, subject: Subject, source: LinkSource<Subject>) {
    super(superblock, ino, S_IFLNK | 0o777);
    this.subject = subject;
    this.source = source;
  }

  override readlink(): string | number {
    return this.source.read(this.subject);
  }

  override followMagic(): Path | number | null {
    return this.source.follow ? this.source.follow(this.subject) : null;
  }
}
