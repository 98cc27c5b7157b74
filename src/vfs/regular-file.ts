// Open regular files of the filesystems that store data (host, tmpfs, overlay): positions and status flags here, the
// data with the inode (Inode.readData and its companions), so that all who have it open see the same.

import { EACCES, EBADF, EINVAL, EISDIR, ENXIO } from '../abi/errno.ts';
import {
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_NOATIME,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from '../abi/fcntl.ts';
import { MAP_PRIVATE, MAP_TYPE } from '../abi/mman.ts';
import type { HostFd } from '../base/brands.ts';
import type { Path } from './dentry.ts';
import type { Inode } from './inode.ts';
import { isAppendOnly } from './inode-flags.ts';
import { noteAccess } from './mount.ts';
import { OpenFile } from './open-file.ts';

export class RegularFile extends OpenFile {
  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    const n = this.inode.readData(at, length, offset);
    if (n >= 0 && length > 0 && !(this.flags & O_NOATIME)) noteAccess(this.path.mount, this.inode);
    return n;
  }

  override write(at: number, length: number, offset: number): number {
    const n = this.inode.writeData(at, length, this.flags & O_APPEND ? -1 : offset);
    if (this.flags & O_DSYNC && n > 0) {
      const r = this.inode.syncData((this.flags & O_SYNC) !== O_SYNC);
      if (r < 0) return r;
    }
    return n;
  }

  override seek(offset: number, whence: number): number {
    let position = offset;
    if (whence === SEEK_CUR) position += this.position;
    else if (whence !== SEEK_SET) {
      const r = this.inode.refresh();
      if (r < 0) return r;
      if (whence === SEEK_END) position += this.inode.size;
      else if (whence === SEEK_DATA || whence === SEEK_HOLE) {
        if (offset < 0 || offset >= this.inode.size) return -ENXIO;
        position = this.inode.seekData(offset, whence);
        if (position < 0) return position;
      } else return -EINVAL;
    }
    if (position < 0 || position > Number.MAX_SAFE_INTEGER) return -EINVAL;
    this.position = position;
    return position;
  }

  override mapping(protection: number, flags: number): HostFd | number {
    const shared = (flags & MAP_TYPE) !== MAP_PRIVATE;
    if (shared && this.writable && isAppendOnly(this.inode)) return -EACCES;
    return this.inode.mapData(protection, shared && (this.flags & O_ACCMODE) === O_RDWR);
  }

  override get sourceExtent(): number {
    return this.inode.refresh() < 0 ? 0 : this.inode.size;
  }

  override readSource(): HostFd | number {
    const fd = this.inode.readSource();
    if (fd >= 0 && !(this.flags & O_NOATIME)) noteAccess(this.path.mount, this.inode);
    return fd;
  }

  override truncate(length: number): number {
    return this.writable ? this.inode.setattr({ size: length }) : -EINVAL;
  }

  override allocate(mode: number, offset: number, length: number): number {
    return this.writable ? this.inode.allocateData(mode, offset, length) : -EBADF;
  }

  override sync(dataOnly: boolean): number {
    return this.inode.syncData(dataOnly);
  }

  override release(): void {
    this.inode.closeData(this.writable);
  }
}

/** Opens the data of a regular file's inode. */
export function openRegular(path: Path, inode: Inode, flags: number): OpenFile | number {
  if (inode.isDirectory) return -EISDIR;
  const r = inode.openData((flags & O_ACCMODE) !== O_RDONLY);
  return r < 0 ? r : new RegularFile(path, inode, flags);
}

/** A descriptor that only names a place in the tree (O_PATH): no data operation works on it. */
export class PathFile extends OpenFile {
  override get readable(): boolean {
    return false;
  }
  override get writable(): boolean {
    return false;
  }
  override poll(): number {
    return 0;
  }
}
