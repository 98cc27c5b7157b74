// Laying down struct stat, struct statx and struct statfs for the guest, at arena offsets.

import { MNT_UNIQUE_ID_OFFSET } from '../abi/mount.ts';
import {
  deviceMajor,
  deviceMinor,
  STAT_ATIME,
  STAT_BLKSIZE,
  STAT_BLOCKS,
  STAT_CTIME,
  STAT_DEV,
  STAT_FILE_SIZE,
  STAT_GID,
  STAT_INO,
  STAT_MODE,
  STAT_MTIME,
  STAT_NLINK,
  STAT_RDEV,
  STAT_SIZE,
  STAT_UID,
  STATFS_BAVAIL,
  STATFS_BFREE,
  STATFS_BLOCKS,
  STATFS_BSIZE,
  STATFS_FFREE,
  STATFS_FILES,
  STATFS_FLAGS,
  STATFS_FRSIZE,
  STATFS_FSID,
  STATFS_NAMELEN,
  STATFS_SIZE,
  STATFS_TYPE,
  STATX_ATIME_OFFSET,
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_MOUNT_ROOT,
  STATX_ATTR_NODUMP,
  STATX_ATTRIBUTES_MASK_OFFSET,
  STATX_ATTRIBUTES_OFFSET,
  STATX_BASIC_STATS,
  STATX_BLKSIZE_OFFSET,
  STATX_BLOCKS_OFFSET,
  STATX_BTIME,
  STATX_BTIME_OFFSET,
  STATX_CTIME_OFFSET,
  STATX_DEV_MAJOR_OFFSET,
  STATX_DEV_MINOR_OFFSET,
  STATX_GID_OFFSET,
  STATX_INO_OFFSET,
  STATX_MASK_OFFSET,
  STATX_MNT_ID,
  STATX_MNT_ID_OFFSET,
  STATX_MNT_ID_UNIQUE,
  STATX_MODE_OFFSET,
  STATX_MTIME_OFFSET,
  STATX_NLINK_OFFSET,
  STATX_RDEV_MAJOR_OFFSET,
  STATX_RDEV_MINOR_OFFSET,
  STATX_SIZE_OFFSET,
  STATX_STRUCT_SIZE,
  STATX_UID_OFFSET,
} from '../abi/stat.ts';
import type { Timestamp } from '../base/clock.ts';
import { shownId, type UserNamespace } from '../base/user-namespace.ts';
import { u8, u16, u32, writeU64 } from '../platform/arena.ts';
import type { Path } from './dentry.ts';
import type { Inode, StatFs } from './inode.ts';

const BLOCK_SIZE = 4096;
/** Inode flags that are attributes of statx(2) by the same bits. */
const FLAG_ATTRIBUTES = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP;

/** Fills a struct stat (144 bytes), with owner and group as a user namespace has them. */
export function putStat(at: number, inode: Inode, { uidMap, gidMap }: UserNamespace): void {
  const i = at >>> 2;
  u32.fill(0, i, i + STAT_SIZE / 4);
  writeU64(at + STAT_DEV, inode.device);
  writeU64(at + STAT_INO, inode.ino);
  writeU64(at + STAT_NLINK, inode.nlink);
  u32[i + STAT_MODE / 4] = inode.mode;
  u32[i + STAT_UID / 4] = shownId(uidMap, inode.uid);
  u32[i + STAT_GID / 4] = shownId(gidMap, inode.gid);
  writeU64(at + STAT_RDEV, inode.rdev);
  writeU64(at + STAT_FILE_SIZE, inode.size);
  u32[i + STAT_BLKSIZE / 4] = BLOCK_SIZE;
  writeU64(at + STAT_BLOCKS, inode.blocks);
  putTime(at + STAT_ATIME, inode.atime);
  putTime(at + STAT_MTIME, inode.mtime);
  putTime(at + STAT_CTIME, inode.ctime);
}

function putTime(at: number, time: Timestamp): void {
  writeU64(at, time.seconds);
  u32[(at + 8) >>> 2] = time.nanoseconds;
}

/** Fills a struct statx (256 bytes); of `mask` it matters which number of the mount is wanted. */
export function putStatx(at: number, path: Path, inode: Inode, mask: number, { uidMap, gidMap }: UserNamespace): void {
  u8.fill(0, at, at + STATX_STRUCT_SIZE);
  const unique = (mask & STATX_MNT_ID_UNIQUE) !== 0;
  const born = mask & STATX_BTIME ? inode.birthTime() : null;
  if (born) putTime(at + STATX_BTIME_OFFSET, born);
  const number = unique ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID;
  u32[(at + STATX_MASK_OFFSET) >>> 2] = STATX_BASIC_STATS | number | (born ? STATX_BTIME : 0);
  u32[(at + STATX_BLKSIZE_OFFSET) >>> 2] = BLOCK_SIZE;
  const attributes = (inode.flags & FLAG_ATTRIBUTES) | (path.mount.root === path.dentry ? STATX_ATTR_MOUNT_ROOT : 0);
  writeU64(at + STATX_ATTRIBUTES_OFFSET, attributes);
  const told = STATX_ATTR_MOUNT_ROOT | (inode.settableFlags & FLAG_ATTRIBUTES);
  writeU64(at + STATX_ATTRIBUTES_MASK_OFFSET, told);
  u32[(at + STATX_NLINK_OFFSET) >>> 2] = inode.nlink;
  u32[(at + STATX_UID_OFFSET) >>> 2] = shownId(uidMap, inode.uid);
  u32[(at + STATX_GID_OFFSET) >>> 2] = shownId(gidMap, inode.gid);
  u16[(at + STATX_MODE_OFFSET) >>> 1] = inode.mode;
  writeU64(at + STATX_INO_OFFSET, inode.ino);
  writeU64(at + STATX_SIZE_OFFSET, inode.size);
  writeU64(at + STATX_BLOCKS_OFFSET, inode.blocks);
  putTime(at + STATX_ATIME_OFFSET, inode.atime);
  putTime(at + STATX_CTIME_OFFSET, inode.ctime);
  putTime(at + STATX_MTIME_OFFSET, inode.mtime);
  u32[(at + STATX_RDEV_MAJOR_OFFSET) >>> 2] = deviceMajor(inode.rdev);
  u32[(at + STATX_RDEV_MINOR_OFFSET) >>> 2] = deviceMinor(inode.rdev);
  u32[(at + STATX_DEV_MAJOR_OFFSET) >>> 2] = deviceMajor(inode.device);
  u32[(at + STATX_DEV_MINOR_OFFSET) >>> 2] = deviceMinor(inode.device);
  writeU64(at + STATX_MNT_ID_OFFSET, unique ? MNT_UNIQUE_ID_OFFSET + path.mount.id : path.mount.id);
}

/** Fills a struct statfs (120 bytes); `device` identifies the filesystem. */
export function putStatfs(at: number, stat: StatFs, device: number): void {
  u8.fill(0, at, at + STATFS_SIZE);
  writeU64(at + STATFS_TYPE, stat.type);
  writeU64(at + STATFS_BSIZE, stat.blockSize);
  writeU64(at + STATFS_BLOCKS, stat.blocks);
  writeU64(at + STATFS_BFREE, stat.blocksFree);
  writeU64(at + STATFS_BAVAIL, stat.blocksAvailable);
  writeU64(at + STATFS_FILES, stat.files);
  writeU64(at + STATFS_FFREE, stat.filesFree);
  u32[(at + STATFS_FSID) >>> 2] = device;
  writeU64(at + STATFS_NAMELEN, stat.nameMax);
  writeU64(at + STATFS_FRSIZE, stat.blockSize);
  writeU64(at + STATFS_FLAGS, stat.flags);
}
