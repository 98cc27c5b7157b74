// Data of a tmpfs file: a growable buffer while it is small and only read and written, a memfd of the host from the
// moment it is mapped, large, or has holes. A memfd stays one until the file goes.

import { EBUSY, EFBIG, ENODEV, ENOMEM, ENOSPC, ENXIO } from '../../abi/errno.ts';
import {
  F_ADD_SEALS,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  SEEK_DATA,
} from '../../abi/fcntl.ts';
import { F_SEAL_WRITE } from '../../abi/mman.ts';
import { STAT_BLOCKS } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import { giveBack } from '../../kernel/give-back.ts';
import { allocateScratch, buffer, markScratch, readU64, releaseScratch, u8 } from '../../platform/arena.ts';
import { descriptorLimit } from '../../platform/descriptor-limit.ts';
import { reopenReadonly } from '../../platform/host-proc.ts';
import { createDenseFile, createSparseFile } from '../../platform/memory-file.ts';

const LARGE = 64 << 10;
/** What a buffer may hold when there is no memfd to be had. */
const BUFFER_MAX = 64 << 20;
/** So many memfds at most: the sentry's descriptors are needed for other things too. */
const MEMFDS_MAX = 10_000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
export const PAGE = 4096;
/** Largest file: offsets stay exact in doubles with room to spare. */
export const SIZE_MAX = 2 ** 52;

const MEMFDS_PART = 2;
/** So many of them are opened once more for mere reading; for a mapping always. */
const READONLY_MAX = 1000;
const READONLY_PART = 8;
/** So few do no harm, whatever the sentry's limit is. */
const FEW = 64;

let memfds = 0;
let readonlyFds = 0;

const tooManyReadonly = (): boolean => readonlyFds >= Math.min(READONLY_MAX, descriptorLimit() / READONLY_PART);

const createSealable = (): HostFd | number => host.memfd_create('tmpfs', MFD_CLOEXEC | MFD_ALLOW_SEALING);

/** Whether growing from `size` to `offset` skips a page: a buffer would not know that there is nothing in it. */
function leavesHole(size: number, offset: number): boolean {
  return offset - size >= PAGE && Math.floor(offset / PAGE) > Math.ceil(size / PAGE);
}

export class Storage {
  size = 0;
  private readonly sealable: boolean;
  /** The host's memfd, or -1 while the data are in `bytes`. */
  private fd = -1 as HostFd;
  /** The same memfd opened again for reading only, once a mapping needs it; or -1. */
  private readonlyFd = -1 as HostFd;
  private bytes: Buffer | null = null;
  /** Parts were skipped or cut out, so that pages cannot be told from the size. */
  private sparse = false;
  /** A guest may have it mapped. */
  private lent = false;

  constructor(sealable: boolean) {
    this.sealable = sealable;
  }

  read(at: number, length: number, offset: number): number {
    const n = Math.min(length, this.size - offset);
    if (n <= 0) return 0;
    if (this.fd >= 0) return host.pread64(this.fd, at, n, offset);
    const stored = this.bytes ? Math.min(n, this.bytes.length - offset) : 0;
    if (stored > 0) (this.bytes as Buffer).copy(buffer, at, offset, offset + stored);
    if (stored < n) u8.fill(0, at + Math.max(stored, 0), at + n);
    return n;
  }

  write(at: number, length: number, offset: number): number {
    const end = offset + length;
    if (end > SIZE_MAX) return -EFBIG;
    if (offset > this.size) this.sparse = true;
    if (this.fd < 0 && (end > LARGE || leavesHole(this.size, offset))) this.toMemfd(!this.sparse);
    if (this.fd >= 0) {
      const n = host.pwrite64(this.fd, at, length, offset);
      if (n > 0) this.size = Math.max(this.size, offset + n);
      return n;
    }
    if (end > BUFFER_MAX) return -ENOSPC;
    if (!this.bytes || this.bytes.length < end) this.grow(end);
    buffer.copy(this.bytes as Buffer, offset, at, at + length);
    if (end > this.size) this.size = end;
    return length;
  }

  resize(size: number): number {
    if (size > SIZE_MAX) return -EFBIG;
    if (this.fd < 0 && (size > LARGE || leavesHole(this.size, size))) this.toMemfd();
    if (size > this.size) this.sparse = true;
    if (this.fd >= 0) {
      const r = host.ftruncate(this.fd, size);
      if (r < 0) return r;
    } else if (size === 0) {
      this.bytes = null;
    } else if (size < this.size) {
      const stored = this.bytes ? this.bytes.length : 0;
      if (size < stored) (this.bytes as Buffer).fill(0, size, Math.min(this.size, stored));
    }
    if (size === 0) this.sparse = false;
    this.size = size;
    return 0;
  }

  seek(offset: number, whence: number): number {
    if (this.fd >= 0) return host.lseek(this.fd, offset, whence);
    if (offset >= this.size) return -ENXIO;
    return whence === SEEK_DATA ? offset : this.size;
  }

  /** fallocate(2): plain, KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE; the host refuses the rest. */
  allocate(mode: number, offset: number, length: number): number {
    if (offset + length > SIZE_MAX) return -EFBIG;
    const descriptor = this.descriptor() as HostFd;
    if (descriptor < 0) return descriptor;
    const r = host.fallocate(descriptor, mode, offset, length);
    if (r < 0) return r;
    this.sparse = true;
    const grows = !(mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) || mode === FALLOC_FL_ZERO_RANGE;
    if (grows) this.size = Math.max(this.size, offset + length);
    return 0;
  }

  /** The memfd that holds the data from now on, or -errno. */
  descriptor(): HostFd | number {
    if (this.fd < 0) {
      const r = this.toMemfd();
      if (r < 0) return r;
    }
    return this.fd;
  }

  /** A descriptor of the memfd that can only be read from and mapped, or -errno. */
  readonlyDescriptor(): HostFd | number {
    if (this.readonlyFd >= 0) return this.readonlyFd;
    const fd = this.descriptor() as HostFd;
    if (fd < 0) return fd;
    const reopened = reopenReadonly(fd);
    if (reopened < 0) return reopened;
    this.readonlyFd = reopened as HostFd;
    readonlyFds++;
    return reopened;
  }

  /**
   * A descriptor to read from, if the data are in a memfd; else -ENODEV. Whoever reads a hole by a mapping fills it. No
   * program maps it, so the pages end with the file.
   */
  readSource(): HostFd | number {
    if (this.fd < 0 || this.sparse || (this.readonlyFd < 0 && readonlyFds >= FEW && tooManyReadonly())) return -ENODEV;
    return this.readonlyDescriptor();
  }

  /** How many of the bytes from `offset` on can be written if pages of `room` bytes may be added. */
  writable(offset: number, length: number, room: number): number {
    const end = offset + length;
    let pages = Math.floor(room / PAGE);
    for (let page = offset - (offset % PAGE); page < end; page += PAGE) {
      if (this.holds(page) || pages-- > 0) continue;
      return Math.max(0, page - offset);
    }
    return length;
  }

  /** Whether a page takes memory already. */
  private holds(page: number): boolean {
    if (page >= this.size) return false;
    return !this.sparse || this.fd < 0 || host.lseek(this.fd, page, SEEK_DATA) === page;
  }

  /** Bytes of memory in use, in whole pages. */
  get footprint(): number {
    if (this.fd >= 0 && this.sparse) {
      const mark = markScratch();
      const at = allocateScratch(144);
      const r = at < 0 ? at : host.fstat(this.fd, at);
      const blocks = r < 0 ? 0 : readU64(at + STAT_BLOCKS);
      releaseScratch(mark);
      return blocks * 512;
    }
    const stored = this.fd >= 0 || !this.sparse ? this.size : Math.min(this.size, this.bytes?.length ?? 0);
    return Math.ceil(stored / PAGE) * PAGE;
  }

  /** Seals a memfd against writes; false while there are writable mappings. Data that were never mapped need none. */
  sealWrites(): boolean {
    return this.fd < 0 || host.fcntl(this.fd, F_ADD_SEALS, F_SEAL_WRITE) !== -EBUSY;
  }

  /** A descriptor for guests to map. From then on the pages live as long as a mapping does. */
  lend(mayWrite: boolean): HostFd | number {
    this.lent = true;
    return mayWrite ? this.descriptor() : this.readonlyDescriptor();
  }

  free(): void {
    if (this.fd >= 0) {
      if (this.lent) host.close(this.fd);
      else giveBack(this.fd, this.size);
      memfds--;
    }
    if (this.readonlyFd >= 0) {
      host.close(this.readonlyFd);
      readonlyFds--;
    }
    this.readonlyFd = -1 as HostFd;
    this.fd = -1 as HostFd;
    this.bytes = null;
    this.size = 0;
  }

  private grow(length: number): void {
    const capacity = Math.max(length, this.bytes ? this.bytes.length * 2 : 0);
    const bytes = Buffer.alloc((capacity + 255) & ~255);
    this.bytes?.copy(bytes);
    this.bytes = bytes;
  }

  /**
   * Moves the data to a memfd, or to a file of large pages if it is `dense`: holes that somebody maps would be filled with
   * them. 0, or -errno when there is none to be had: then they stay where they are.
   */
  private toMemfd(dense = false): number {
    if (memfds >= FEW && memfds >= Math.min(MEMFDS_MAX, descriptorLimit() / MEMFDS_PART)) return -ENOMEM;
    let fd = (dense && !this.sealable ? createDenseFile() : -1) as HostFd;
    if (fd < 0) fd = (this.sealable ? createSealable() : createSparseFile()) as HostFd;
    if (fd < 0) return fd;
    const r = this.fill(fd);
    if (r < 0) {
      host.close(fd);
      return r;
    }
    memfds++;
    this.fd = fd;
    this.bytes = null;
    return 0;
  }

  private fill(fd: HostFd): number {
    const bytes = this.bytes;
    const mark = markScratch();
    const at = allocateScratch(LARGE);
    if (at < 0) return at;
    let r = 0;
    const stored = bytes ? Math.min(bytes.length, this.size) : 0;
    for (let offset = 0; r >= 0 && offset < stored; offset += LARGE) {
      const n = Math.min(LARGE, stored - offset);
      (bytes as Buffer).copy(buffer, at, offset, offset + n);
      r = host.pwrite64(fd, at, n, offset);
    }
    releaseScratch(mark);
    return r < 0 ? r : host.ftruncate(fd, this.size);
  }
}
