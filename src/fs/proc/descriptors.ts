// /proc/PID/fd and fdinfo: a task's descriptors as magic links, and what lies behind each.

import { ENOENT } from '../../abi/errno.ts';
import { DT_LNK, DT_REG, O_ACCMODE, O_CLOEXEC, O_RDONLY, O_WRONLY, SEEK_CUR } from '../../abi/fcntl.ts';
import { S_IFLNK } from '../../abi/stat.ts';
import type { Fd } from '../../base/brands.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { DirectorySink, Inode, Superblock } from '../../vfs/inode.ts';
import { type Listing, OffsetListing } from '../../vfs/listing.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { linkName } from '../../vfs/path-name.ts';
import { VirtualDirectory } from '../virtual/directory.ts';
import { GeneratedFile, type TextSource, VirtualInode } from '../virtual/inode.ts';
import { alive, checkPeek, readerRoot } from './access.ts';
import { FD_INO, FDINFO_INO } from './numbers.ts';

/** A descriptor's number in canonical decimal, or -1. */
function parseFd(name: string): number {
  return /^(0|[1-9]\d{0,8})$/.test(name) ? Number(name) : -1;
}

function fileOf(task: Task, fd: number): OpenFile | null {
  return alive(task)?.files.get(fd as Fd) ?? null;
}

/** A task's open descriptors in order, for both directories; the offset is the first that is wanted. */
function listDescriptors(task: Task, base: number, type: number, offset: number, sink: DirectorySink): number {
  const files = alive(task)?.files.files ?? [];
  for (let fd = offset; fd < files.length; fd++) {
    if (files[fd] && !sink(String(fd), base + fd, type, fd + 1)) break;
  }
  return 0;
}

abstract class DescriptorDirectory extends VirtualDirectory {
  readonly task: Task;

  constructor(superblock: Superblock, ino: number, task: Task) {
    super(superblock, ino, 0o500);
    this.task = task;
    this.uid = task.credentials.euid;
    this.gid = task.credentials.egid;
  }

  override get cacheable(): boolean {
    return false;
  }

  override listing(): Listing {
    return new OffsetListing(this);
  }

  override lookup(name: string): Inode | number {
    const fd = parseFd(name);
    const file = fd < 0 ? null : fileOf(this.task, fd);
    return file ? this.entry(fd, file) : -ENOENT;
  }

  /** A process sees its own descriptors also when it is not dumpable and its files are root's. */
  override get callersOwn(): boolean {
    return kernel.current?.group === this.task.group;
  }

  protected abstract entry(fd: number, file: OpenFile): Inode;
}

export class FdDirectory extends DescriptorDirectory {
  protected override entry(fd: number, file: OpenFile): Inode {
    return new FdLink(this.superblock, this.ino + FD_INO + fd, this.task, fd, file);
  }

  override readdir(offset: number, sink: DirectorySink): number {
    const denied = checkPeek(this.task);
    return denied < 0 ? denied : listDescriptors(this.task, this.ino + FD_INO, DT_LNK, offset, sink);
  }
}

/** Link to an open file. Following it leads to the file itself, not to its name. */
class FdLink extends VirtualInode {
  readonly task: Task;
  readonly fd: number;

  constructor(superblock: Superblock, ino: number, task: Task, fd: number, file: OpenFile) {
    const access = file.flags & O_ACCMODE;
    const permissions = (access !== O_WRONLY ? 0o500 : 0) | (access !== O_RDONLY ? 0o300 : 0);
    super(superblock, ino, S_IFLNK | permissions);
    this.task = task;
    this.fd = fd;
    this.uid = task.credentials.euid;
    this.gid = task.credentials.egid;
    this.size = 64;
  }

  override readlink(): string | number {
    const denied = checkPeek(this.task);
    if (denied < 0) return denied;
    const file = fileOf(this.task, this.fd);
    if (!file) return -ENOENT;
    return file.linkText ?? linkName(file.path, readerRoot(this.task));
  }

  override followMagic(): Path | number | null {
    const denied = checkPeek(this.task);
    if (denied < 0) return denied;
    return fileOf(this.task, this.fd)?.path ?? -ENOENT;
  }
}

interface Descriptor {
  readonly task: Task;
  readonly fd: number;
}

const FDINFO: TextSource<Descriptor> = {
  mode: 0o400,
  read: ({ task, fd }) => {
    const file = fileOf(task, fd);
    if (!file) return -ENOENT;
    const flags = file.flags | (alive(task)?.files.closeOnExec[fd] ? O_CLOEXEC : 0);
    const place = `mnt_id:\t${file.path.mount.id}\nino:\t${file.inode.ino}\n`;
    const position = Number.isNaN(file.position) ? file.seek(0, SEEK_CUR) : file.position;
    return `pos:\t${position}\nflags:\t0${flags.toString(8)}\n${place}${file.fdinfo}`;
  },
};

export class FdInfoDirectory extends DescriptorDirectory {
  protected override entry(fd: number, _file: OpenFile): Inode {
    const subject = { task: this.task, fd };
    const inode = new GeneratedFile(this.superblock, this.ino + FDINFO_INO + fd, subject, FDINFO);
    inode.uid = this.uid;
    inode.gid = this.gid;
    return inode;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    const denied = checkPeek(this.task);
    return denied < 0 ? denied : listDescriptors(this.task, this.ino + FDINFO_INO, DT_REG, offset, sink);
  }
}
