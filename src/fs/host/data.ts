// Data of a host tree's regular files: reading and writing through the shared descriptors of the inode.

import { EBADF, ENODEV, ENXIO } from '../../abi/errno.ts';
import { O_RDONLY } from '../../abi/fcntl.ts';
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u8 } from '../../platform/arena.ts';
import { reopenReadonly } from '../../platform/host-proc.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { openStored } from '../special.ts';
import { keepIdle, leaveIdle } from './descriptors.ts';
import { HostNode, NONE } from './node.ts';

const SET_ID = S_ISUID | S_ISGID;

const PAGE = 4096;
// struct cachestat_range, all zero: the whole file. struct cachestat: u64 counts of pages: cached, dirty, being written, …
const CACHESTAT_RANGE = 16;
const CACHESTAT_SIZE = 40;

export abstract class HostData extends HostNode {
  override open(path: Path, flags: number, task?: Task): OpenFile | number {
    return openStored(path, this, flags, task);
  }

  override openData(write: boolean): number {
    if ((this.mode & S_IFMT) !== S_IFREG) return -ENXIO;
    const r = write ? this.needWriteFd() : this.needReadFd();
    if (r < 0) return r;
    if (this.openCount++ === 0) leaveIdle(this);
    return 0;
  }

  override closeData(_write: boolean): void {
    if (--this.openCount === 0) keepIdle(this);
  }

  override readData(at: number, length: number, offset: number): number {
    // Files of the host's procfs and the like have no size.
    if (offset >= this.size && this.size > 0 && !this.stale && this.superblock.tree.exclusive) return 0;
    if (this.readFd < 0 && !this.writeReads) {
      const r = this.needReadFd();
      if (r < 0) return r;
    }
    return host.pread64(this.readFd >= 0 ? this.readFd : this.writeFd, at, length, offset);
  }

  override writeData(at: number, length: number, offset: number): number {
    let start = offset;
    if (start < 0) {
      const r = this.refreshSize();
      if (r < 0) return r;
      start = this.size;
    }
    const n = host.pwrite64(this.writeFd, at, length, start);
    if (n > 0) {
      if (start + n > this.size) this.size = start + n;
      this.stale = true;
      if (this.mode & SET_ID) this.keepSetId();
    }
    return n;
  }

  /** The host takes set-id bits off what the sentry changes; whether they stay is for us to say (dropSetId). */
  protected keepSetId(): void {
    host.fchmod(this.writeFd, this.mode & 0o7777);
  }

  /** The size is kept up with by writes; only others who share the tree could have changed it. */
  protected refreshSize(): number {
    return this.superblock.tree.exclusive ? 0 : this.refresh();
  }

  override seekData(offset: number, whence: number): number {
    const r = this.needReadFd();
    return r < 0 ? r : host.lseek(this.readFd >= 0 ? this.readFd : this.writeFd, offset, whence);
  }

  override allocateData(mode: number, offset: number, length: number): number {
    const r = host.fallocate(this.writeFd, mode, offset, length);
    this.stale = true;
    if (this.mode & SET_ID) this.keepSetId();
    return r < 0 ? r : this.refresh();
  }

  override mapData(_protection: number, write: boolean): HostFd | number {
    if ((this.mode & S_IFMT) !== S_IFREG) return -ENODEV;
    // Where there is one to be had: a file of somebody else's may be one that only its writers' descriptor can reach.
    if (!write && this.readFd < 0) this.readFd = Math.max(NONE, this.openAt(O_RDONLY)) as HostFd;
    // One without a name, too, is not to be written through by who maps it to read.
    if (!write && this.readFd < 0 && this.writeFd >= 0)
      this.readFd = Math.max(NONE, reopenReadonly(this.writeFd)) as HostFd;
    const r = write ? this.needWriteFd() : this.needReadFd();
    if (r < 0) return r;
    if (write) this.stale = true;
    if (this.openCount === 0) keepIdle(this);
    return write || this.readFd < 0 ? this.writeFd : this.readFd;
  }

  override readSource(): HostFd | number {
    // Elsewhere somebody else's file may have the name by now.
    if (this.readFd < 0 && this.superblock.tree.exclusive)
      this.readFd = Math.max(NONE, this.openAt(O_RDONLY)) as HostFd;
    return this.readFd >= 0 ? this.readFd : -ENODEV;
  }

  override syncData(dataOnly: boolean): number {
    const fd = this.isDirectory ? this.descriptor() : this.anyFd();
    if (fd < 0) return 0;
    const r = dataOnly ? host.fdatasync(fd) : host.fsync(fd);
    return r === -EBADF ? 0 : r;
  }

  override syncRange(offset: number, length: number, flags: number): number {
    const fd = this.anyFd();
    return fd < 0 ? 0 : host.sync_file_range(fd, offset, length, flags);
  }

  override unwritten(begun: boolean): number {
    const fd = this.anyFd();
    if (fd < 0 || this.isDirectory) return 0;
    const mark = markScratch();
    const at = allocateScratch(CACHESTAT_RANGE + CACHESTAT_SIZE);
    if (at < 0) return 0;
    u8.fill(0, at, at + CACHESTAT_RANGE);
    const r = host.cachestat(fd, at, at + CACHESTAT_RANGE);
    const dirty = r < 0 || begun ? 0 : readU64(at + CACHESTAT_RANGE + 8);
    const writing = r < 0 ? 0 : readU64(at + CACHESTAT_RANGE + 16);
    releaseScratch(mark);
    return (dirty + writing) * PAGE;
  }

  /** syncfs(2) on the filesystem that the inode is on. */
  syncTree(): number {
    if (!this.isDirectory) return this.syncData(false);
    const fd = this.descriptor();
    return fd < 0 ? fd : host.syncfs(fd);
  }
}
