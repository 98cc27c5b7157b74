// Loop devices (loop(4)): a file seen as a block device. The data are the file's own, read and written through the open
// file that LOOP_SET_FD was given; no device of the host has a part in it. Filesystems on devices are not implemented, so
// what is left are programs that make or read images, and those that want a block device to try things on.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EACCES, EBADF, EBUSY, EINVAL, ENODEV, ENOSPC, ENOTTY, ENXIO, EPERM } from '../../abi/errno.ts';
import { O_ACCMODE, O_PATH, O_RDONLY, SEEK_CUR, SEEK_END, SEEK_SET } from '../../abi/fcntl.ts';
import {
  BLKBSZGET,
  BLKFLSBUF,
  BLKFRAGET,
  BLKFRASET,
  BLKGETSIZE,
  BLKGETSIZE64,
  BLKPBSZGET,
  BLKRAGET,
  BLKRASET,
  BLKROGET,
  BLKROSET,
  BLKSSZGET,
  LO_FLAGS,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_READ_ONLY,
  LO_INODE,
  LO_NAME,
  LO_NAME_SIZE,
  LO_NUMBER,
  LO_OFFSET,
  LO64_DEVICE,
  LO64_FILE_NAME,
  LO64_FLAGS,
  LO64_INODE,
  LO64_NUMBER,
  LO64_OFFSET,
  LO64_SIZELIMIT,
  LOOP_CHANGE_FD,
  LOOP_CLR_FD,
  LOOP_CONFIG_INFO,
  LOOP_CONFIG_SIZE,
  LOOP_CONFIGURE,
  LOOP_CTL_ADD,
  LOOP_CTL_GET_FREE,
  LOOP_CTL_REMOVE,
  LOOP_GET_STATUS,
  LOOP_GET_STATUS64,
  LOOP_INFO_SIZE,
  LOOP_INFO64_SIZE,
  LOOP_SET_BLOCK_SIZE,
  LOOP_SET_CAPACITY,
  LOOP_SET_DIRECT_IO,
  LOOP_SET_FD,
  LOOP_SET_STATUS,
  LOOP_SET_STATUS64,
  SECTOR,
} from '../../abi/loop.ts';
import { S_IFBLK, S_IFCHR } from '../../abi/stat.ts';
import type { Fd, UserAddress } from '../../base/brands.ts';
import { capable } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, readU64, u8, u32, writeBytes, writeU64 } from '../../platform/arena.ts';
import type { Path } from '../../vfs/dentry.ts';
import { registerDevice } from '../../vfs/devices.ts';
import type { Inode } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { BLOCK, isBlockSize, type LoopDevice, loopDevices } from './loop-device.ts';

const MAJOR = 7;
const MISC_MAJOR = 10;
const CONTROL_MINOR = 237;

class LoopFile extends OpenFile {
  private readonly device: LoopDevice;

  constructor(path: Path, inode: Inode, flags: number, device: LoopDevice) {
    super(path, inode, flags);
    this.device = device;
    device.openers++;
  }

  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    const { backing, size } = this.device;
    const n = Math.min(length, size - offset);
    if (backing === null || n <= 0) return 0;
    return backing.read(at, n, offset + this.device.offset);
  }

  override write(at: number, length: number, offset: number): number {
    const { backing, size } = this.device;
    if (this.device.readonly) return -EPERM;
    const n = Math.min(length, size - offset);
    if (backing === null || n <= 0) return length === 0 ? 0 : -ENOSPC;
    return backing.write(at, n, offset + this.device.offset);
  }

  override seek(offset: number, whence: number): number {
    let position = offset;
    if (whence === SEEK_CUR) position += this.position;
    else if (whence === SEEK_END) position += this.device.size;
    else if (whence !== SEEK_SET) return -EINVAL;
    if (position < 0 || position > Math.max(this.device.size, this.position)) return -EINVAL;
    this.position = position;
    return position;
  }

  override sync(dataOnly: boolean): number {
    return this.device.backing?.sync(dataOnly) ?? 0;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const { device } = this;
    switch (command) {
      case LOOP_SET_FD:
        return attachDescriptor(task, device, argument as number, this.writable);
      case LOOP_CONFIGURE:
        return configure(task, device, argument, this.writable);
      case LOOP_CLR_FD:
        return this.changes(task) ? device.clear() : -EPERM;
      case LOOP_SET_STATUS:
      case LOOP_SET_STATUS64:
        if (!this.changes(task)) return -EPERM;
        return command === LOOP_SET_STATUS ? setOldStatus(task, device, argument) : setStatus(task, device, argument);
      case LOOP_GET_STATUS:
        return getOldStatus(task, device, argument);
      case LOOP_GET_STATUS64:
        return getStatus(task, device, argument);
      case LOOP_CHANGE_FD: {
        const file = task.files.get(argument as number as Fd);
        return !file || file.flags & O_PATH ? -EBADF : device.exchange(file);
      }
      case LOOP_SET_BLOCK_SIZE:
        if (!this.changes(task)) return -EPERM;
        if (device.backing === null) return -ENXIO;
        if (!isBlockSize(argument)) return -EINVAL;
        device.blockSize = argument;
        return 0;
      case LOOP_SET_DIRECT_IO:
        if (device.backing === null) return -ENXIO;
        return argument === 0 ? 0 : -EINVAL; // there is a cache, the host's
      case LOOP_SET_CAPACITY:
        return device.backing === null ? -ENXIO : device.measure();
      default:
        return blockIoctl(task, device, command, argument);
    }
  }

  private changes(task: Task): boolean {
    return this.writable || capable(task.credentials, CAP_SYS_ADMIN);
  }

  override release(): void {
    this.device.closed();
  }
}

/** What every block device answers. */
function blockIoctl(task: Task, device: LoopDevice, command: number, argument: UserAddress): number {
  switch (command) {
    case BLKGETSIZE64:
      return putWord(task, argument, device.size);
    case BLKGETSIZE:
      return putWord(task, argument, device.size / SECTOR);
    case BLKSSZGET:
    case BLKPBSZGET:
      return putInt(task, argument, device.blockSize);
    case BLKBSZGET:
      return putInt(task, argument, BLOCK);
    case BLKROGET:
      return putInt(task, argument, device.readonly ? 1 : 0);
    case BLKROSET: {
      if (!capable(task.credentials, CAP_SYS_ADMIN)) return -EACCES;
      const at = task.memory.in(argument, 4);
      if (at < 0) return at;
      device.closedToWrites = u32[at >>> 2] !== 0;
      return 0;
    }
    case BLKRAGET:
    case BLKFRAGET:
      return argument === 0 ? -EINVAL : putWord(task, argument, device.readAhead);
    case BLKRASET:
    case BLKFRASET:
      if (!capable(task.credentials, CAP_SYS_ADMIN)) return -EACCES;
      device.readAhead = argument;
      return 0;
    case BLKFLSBUF:
      return device.backing?.sync(false) ?? 0;
    default:
      return -ENOTTY;
  }
}

function putWord(task: Task, address: UserAddress, value: number): number {
  const at = task.memory.out(address, 8);
  if (at < 0) return at;
  writeU64(at, value);
  return 0;
}

function putInt(task: Task, address: UserAddress, value: number): number {
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  u32[at >>> 2] = value;
  return 0;
}

function attachDescriptor(task: Task, device: LoopDevice, fd: number, writable: boolean): number {
  const file = task.files.get(fd as Fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return device.attach(file, writable);
}

function configure(task: Task, device: LoopDevice, address: UserAddress, writable: boolean): number {
  const at = task.memory.in(address, LOOP_CONFIG_SIZE);
  if (at < 0) return at;
  const blockSize = u32[(at >>> 2) + 1];
  const info = at + LOOP_CONFIG_INFO;
  const readonly = (u32[(info + LO64_FLAGS) >>> 2] & LO_FLAGS_READ_ONLY) !== 0;
  if (blockSize !== 0 && !isBlockSize(blockSize)) return -EINVAL;
  const r = attachDescriptor(task, device, u32[at >>> 2], writable && !readonly);
  if (r < 0) return r;
  if (blockSize !== 0) device.blockSize = blockSize;
  return applyStatus(device, info);
}

function setStatus(task: Task, device: LoopDevice, address: UserAddress): number {
  const at = task.memory.in(address, LOOP_INFO64_SIZE);
  if (at < 0) return at;
  return device.backing === null ? -ENXIO : applyStatus(device, at);
}

/** Takes offset, limit, name and the one flag that may change from a struct loop_info64. */
function applyStatus(device: LoopDevice, at: number): number {
  const flags = u32[(at + LO64_FLAGS) >>> 2];
  device.offset = readU64(at + LO64_OFFSET);
  device.sizeLimit = readU64(at + LO64_SIZELIMIT);
  device.flags = (device.flags & ~LO_FLAGS_AUTOCLEAR) | (flags & LO_FLAGS_AUTOCLEAR);
  device.name = untilNul(readBytes(at + LO64_FILE_NAME, LO_NAME_SIZE - 1));
  return device.measure();
}

function setOldStatus(task: Task, device: LoopDevice, address: UserAddress): number {
  const at = task.memory.in(address, LOOP_INFO_SIZE);
  if (at < 0) return at;
  if (device.backing === null) return -ENXIO;
  const flags = u32[(at + LO_FLAGS) >>> 2];
  device.offset = Math.max(0, i32[(at + LO_OFFSET) >>> 2]);
  device.sizeLimit = 0;
  device.flags = (device.flags & ~LO_FLAGS_AUTOCLEAR) | (flags & LO_FLAGS_AUTOCLEAR);
  device.name = untilNul(readBytes(at + LO_NAME, LO_NAME_SIZE - 1));
  return device.measure();
}

function getStatus(task: Task, device: LoopDevice, address: UserAddress): number {
  if (device.backing === null) return -ENXIO;
  const at = task.memory.out(address, LOOP_INFO64_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + LOOP_INFO64_SIZE);
  const { inode } = device.backing;
  writeU64(at + LO64_DEVICE, inode.device);
  writeU64(at + LO64_INODE, inode.ino);
  writeU64(at + LO64_OFFSET, device.offset);
  writeU64(at + LO64_SIZELIMIT, device.sizeLimit);
  u32[(at + LO64_NUMBER) >>> 2] = device.number;
  u32[(at + LO64_FLAGS) >>> 2] = device.flags;
  writeBytes(at + LO64_FILE_NAME, device.name);
  return 0;
}

function getOldStatus(task: Task, device: LoopDevice, address: UserAddress): number {
  if (device.backing === null) return -ENXIO;
  const at = task.memory.out(address, LOOP_INFO_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + LOOP_INFO_SIZE);
  u32[(at + LO_NUMBER) >>> 2] = device.number;
  writeU64(at + LO_INODE, device.backing.inode.ino);
  u32[(at + LO_OFFSET) >>> 2] = device.offset;
  u32[(at + LO_FLAGS) >>> 2] = device.flags;
  writeBytes(at + LO_NAME, device.name);
  return 0;
}

function untilNul(text: string): string {
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}

/** /dev/loop-control: finds a device that shows nothing. There are no others to be added or taken away. */
class LoopControlFile extends OpenFile {
  override ioctl(_task: Task, command: number, argument: UserAddress): number {
    switch (command) {
      case LOOP_CTL_GET_FREE: {
        const free = loopDevices.find(({ backing }) => backing === null);
        return free ? free.number : -ENOSPC;
      }
      case LOOP_CTL_ADD:
        return loopDevices[argument as number] ? -EBUSY : -ENOSPC;
      case LOOP_CTL_REMOVE:
        return loopDevices[argument as number] ? -EBUSY : -ENODEV;
      default:
        return -ENOTTY;
    }
  }
}

/** Puts the loop devices behind their numbers, once, at boot. */
export function registerLoopDevices(): void {
  registerDevice(S_IFCHR, MISC_MAJOR, CONTROL_MINOR, (path, inode, flags) => new LoopControlFile(path, inode, flags));
  for (const device of loopDevices) {
    registerDevice(S_IFBLK, MAJOR, device.number, (path, inode, flags) => {
      if (device.leaving) return -ENXIO;
      if ((flags & O_ACCMODE) !== O_RDONLY && device.readonly) return -EACCES;
      return new LoopFile(path, inode, flags, device);
    });
  }
}
