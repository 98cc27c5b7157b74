// The memory devices (null(4), full(4), random(4)): /dev/null, zero, full, random and urandom.

import { EINVAL, ENOSPC, ENOTTY } from '../../abi/errno.ts';
import { GRND_NONBLOCK } from '../../abi/misc.ts';
import { MAP_SHARED, MFD_CLOEXEC } from '../../abi/mman.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import type { HostFd, UserAddress } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import { IO_CHUNK, i32, u8 } from '../../platform/arena.ts';
import { reopenReadonly } from '../../platform/host-proc.ts';
import { registerDevice } from '../../vfs/devices.ts';
import { OpenFile } from '../../vfs/open-file.ts';

/** Common to all: no position to speak of, writes vanish. */
class MemoryDevice extends OpenFile {
  override get seekable(): boolean {
    return true;
  }

  override seek(_offset: number, _whence: number): number {
    this.position = 0;
    return 0;
  }

  override write(_at: number, length: number, _offset: number): number {
    return length;
  }
}

export class NullFile extends MemoryDevice {
  override get ignoresData(): boolean {
    return true;
  }

  override read(_at: number, _length: number, _offset: number): number {
    return 0;
  }
}

/** Size of the sparse memfd behind mappings of /dev/zero: any mapping fits. */
const ZERO_EXTENT = 2 ** 46;

export class FullFile extends MemoryDevice {
  override read(at: number, length: number, _offset: number): number {
    u8.fill(0, at, at + length);
    return length;
  }

  override write(_at: number, _length: number, _offset: number): number {
    return -ENOSPC;
  }
}

export class ZeroFile extends MemoryDevice {
  /** Memfd of the last mapping; nothing was ever written to one that only private mappings use. */
  private backing = -1;
  private backingShared = false;

  override read(at: number, length: number, _offset: number): number {
    u8.fill(0, at, at + length);
    return length;
  }

  /** Every shared mapping has memory of its own; private ones may all copy from the same empty memfd. */
  override mapping(_protection: number, flags: number): HostFd | number {
    const shared = (flags & MAP_SHARED) !== 0;
    if (this.backing >= 0 && !shared && !this.backingShared) return this.backing;
    const fd = host.memfd_create('zero', MFD_CLOEXEC) as HostFd;
    if (fd < 0) return fd;
    const r = host.ftruncate(fd, ZERO_EXTENT);
    if (r < 0) {
      host.close(fd);
      return r;
    }
    // Opened for reading only, it is never to be written to, whatever mprotect(2) is asked.
    const mapped = shared && this.writable ? fd : (reopenReadonly(fd) as HostFd);
    if (mapped !== fd) host.close(fd);
    if (mapped < 0) return mapped;
    // Not before: with the number of the last one it would be taken for that.
    this.release();
    this.backing = mapped;
    this.backingShared = shared;
    return mapped;
  }

  override get ignoresData(): boolean {
    return true;
  }

  override get readsZeros(): boolean {
    return true;
  }

  override release(): void {
    if (this.backing >= 0) host.close(this.backing as HostFd);
    this.backing = -1;
  }
}

const RNDGETENTCNT = 0x80045200;
/** Bits of entropy that an initialised generator shows. */
export const POOL_BITS = 256;

/** /dev/random and /dev/urandom: the host's generator, which is initialised long since. */
export class RandomFile extends MemoryDevice {
  override read(at: number, length: number, _offset: number): number {
    let done = 0;
    while (done < length) {
      const n = host.getrandom(at + done, Math.min(length - done, IO_CHUNK), GRND_NONBLOCK);
      if (n < 0) return done > 0 ? done : n;
      done += n;
    }
    return done;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    if (command !== RNDGETENTCNT) return (command & 0xff00) === 0x5200 ? -EINVAL : -ENOTTY;
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    i32[at >> 2] = POOL_BITS;
    return 0;
  }
}

/** Puts the memory devices behind their numbers, once, at boot. */
export function registerMemoryDevices(): void {
  registerDevice(S_IFCHR, 1, 3, (path, inode, flags) => new NullFile(path, inode, flags));
  registerDevice(S_IFCHR, 1, 5, (path, inode, flags) => new ZeroFile(path, inode, flags));
  registerDevice(S_IFCHR, 1, 7, (path, inode, flags) => new FullFile(path, inode, flags));
  registerDevice(S_IFCHR, 1, 8, (path, inode, flags) => new RandomFile(path, inode, flags));
  registerDevice(S_IFCHR, 1, 9, (path, inode, flags) => new RandomFile(path, inode, flags));
}
