// What is mounted, asked for by number: statmount(2), listmount(2).

import { E2BIG, EFAULT, EINVAL, ENOENT, EOVERFLOW, EPERM } from '../abi/errno.ts';
import {
  LISTMOUNT_REVERSE,
  MNT_ID_REQ_SIZE_VER0,
  MNT_UNIQUE_ID_OFFSET,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_STRICTATIME,
  SM_FS_TYPE,
  SM_MASK,
  SM_MNT_ATTR,
  SM_MNT_ID,
  SM_MNT_ID_OLD,
  SM_MNT_NS_ID,
  SM_MNT_OPTS,
  SM_MNT_PEER_GROUP,
  SM_MNT_POINT,
  SM_MNT_ROOT,
  SM_PROPAGATE_FROM,
  SM_SB_DEV_MAJOR,
  SM_SB_FLAGS,
  SM_SB_MAGIC,
  SM_SB_SOURCE,
  STATMOUNT_FS_TYPE,
  STATMOUNT_MNT_BASIC,
  STATMOUNT_MNT_NS_ID,
  STATMOUNT_MNT_OPTS,
  STATMOUNT_MNT_POINT,
  STATMOUNT_MNT_ROOT,
  STATMOUNT_PROPAGATE_FROM,
  STATMOUNT_SB_BASIC,
  STATMOUNT_SB_SOURCE,
  STATMOUNT_SIZE,
} from '../abi/mount.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import type { UserAddress } from '../base/brands.ts';
import { mayMount } from '../kernel/mount-namespaces.ts';
import { mountNamespaceId } from '../kernel/namespace-files.ts';
import type { Task } from '../kernel/task.ts';
import { readU64, u8, u32, writeBytes, writeU64 } from '../platform/arena.ts';
import type { Mount, Path } from '../vfs/dentry.ts';
import { isReachable } from '../vfs/mount.ts';
import { dominating } from '../vfs/mount-info.ts';
import { dentryName, pathName } from '../vfs/path-name.ts';
import { propagationOf } from '../vfs/propagation.ts';

const PAGE = 4096;
/** Most identifiers one call may ask for. */
const MOST = 1_000_000;
const WORD_MAX = 0xffffffff;

/** By flag, the attribute that mount_setattr(2) calls it by. */
const ATTRIBUTES: readonly (readonly [flag: number, attribute: number])[] = [
  [MS_RDONLY, MOUNT_ATTR_RDONLY],
  [MS_NOSUID, MOUNT_ATTR_NOSUID],
  [MS_NODEV, MOUNT_ATTR_NODEV],
  [MS_NOEXEC, MOUNT_ATTR_NOEXEC],
  [MS_NODIRATIME, MOUNT_ATTR_NODIRATIME],
  [MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW],
  [MS_NOATIME, MOUNT_ATTR_NOATIME],
  [MS_STRICTATIME, MOUNT_ATTR_STRICTATIME],
];

interface Request {
  readonly id: number;
  /** LSMT_ROOT: the root of the caller's tree, whatever its number. */
  readonly isRoot: boolean;
  /** For statmount what is wanted; no bit beyond the first word has a meaning. */
  readonly mask: number;
  /** For listmount the number to go on behind. */
  readonly last: number;
}

/** Reads a struct mnt_id_req, which may grow. */
function readRequest(task: Task, address: UserAddress): Request | number {
  const first = task.memory.in(address, 4);
  if (first < 0) return first;
  const size = u32[first >>> 2];
  if (size < MNT_ID_REQ_SIZE_VER0) return -EINVAL;
  if (size > PAGE) return -E2BIG;
  const at = task.memory.in(address, size);
  if (at < 0) return at;
  if (u8.subarray(at + MNT_ID_REQ_SIZE_VER0, at + size).some((byte) => byte !== 0)) return -E2BIG;
  const word = at >>> 2;
  if (u32[word + 1] !== 0) return -EINVAL;
  const id = readU64(at + 8);
  if (id <= MNT_UNIQUE_ID_OFFSET) return -EINVAL;
  const isRoot = u32[word + 2] === WORD_MAX && u32[word + 3] === WORD_MAX;
  return { id, isRoot, mask: u32[word + 4], last: readU64(at + 16) };
}

function uniqueId(mount: Mount): number {
  return MNT_UNIQUE_ID_OFFSET + mount.id;
}

/** All mounts of the caller's namespace. */
function allMounts(task: Task): Mount[] {
  const { namespace } = task.fs.root.mount;
  return namespace === null ? [] : withChildren(namespace.root);
}

function withChildren(mount: Mount): Mount[] {
  return [mount, ...mount.children.flatMap(withChildren)];
}

function rootOf(mount: Mount): Path {
  return { mount, dentry: mount.root };
}

/** Whether the caller may know of a mount: it can reach it, or may do anything. */
function mayKnow(task: Task, mount: Mount): boolean {
  return isReachable(rootOf(mount), task.fs.root) || mayMount(task);
}

/** statmount(2) */
export function statmount(task: Task, request: UserAddress, buffer: UserAddress, size: number, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const wanted = readRequest(task, request);
  if (typeof wanted === 'number') return wanted;
  const mount = allMounts(task).find((one) => uniqueId(one) === wanted.id);
  if (!mount) return -ENOENT;
  if (!mayKnow(task, mount)) return -EPERM;
  const { mask } = wanted;
  const strings = stringsOf(task, mount, mask);
  const text = strings.map(([, value]) => `${value}\0`).join('');
  if (text !== '' && STATMOUNT_SIZE + text.length > size) return -EOVERFLOW;
  const at = task.memory.reserve(STATMOUNT_SIZE + text.length);
  if (at < 0) return at;
  task.memory.commit(buffer, at, Math.min(size, STATMOUNT_SIZE + text.length));
  u8.fill(0, at, at + STATMOUNT_SIZE);
  u32[at >>> 2] = STATMOUNT_SIZE + text.length;
  putNumbers(at, mount, mask, task.fs.root);
  let offset = 0;
  for (const [field, value] of strings) {
    u32[(at + field) >>> 2] = offset;
    offset += value.length + 1;
  }
  writeBytes(at + STATMOUNT_SIZE, text);
  return 0;
}

/** The strings that are wanted, each with the field that tells where it is. */
function stringsOf(task: Task, mount: Mount, mask: number): (readonly [field: number, value: string])[] {
  const { superblock } = mount;
  const found: (readonly [number, string])[] = [];
  if (mask & STATMOUNT_FS_TYPE) found.push([SM_FS_TYPE, superblock.typeName]);
  if (mask & STATMOUNT_MNT_ROOT) found.push([SM_MNT_ROOT, dentryName(mount.root)]);
  if (mask & STATMOUNT_MNT_POINT) found.push([SM_MNT_POINT, pathName(rootOf(mount), task.fs.root)]);
  if (mask & STATMOUNT_MNT_OPTS && superblock.options !== '') found.push([SM_MNT_OPTS, superblock.options]);
  if (mask & STATMOUNT_SB_SOURCE) found.push([SM_SB_SOURCE, superblock.source]);
  return found;
}

function putNumbers(at: number, mount: Mount, mask: number, root: Path): void {
  const { superblock } = mount;
  const known =
    STATMOUNT_SB_BASIC |
    STATMOUNT_MNT_BASIC |
    STATMOUNT_PROPAGATE_FROM |
    STATMOUNT_MNT_ROOT |
    STATMOUNT_MNT_POINT |
    STATMOUNT_FS_TYPE |
    STATMOUNT_MNT_NS_ID |
    STATMOUNT_SB_SOURCE |
    (superblock.options === '' ? 0 : STATMOUNT_MNT_OPTS);
  writeU64(at + SM_MASK, mask & known);
  if (mask & STATMOUNT_SB_BASIC) {
    u32[(at + SM_SB_DEV_MAJOR) >>> 2] = deviceMajor(superblock.device);
    u32[(at + SM_SB_DEV_MAJOR + 4) >>> 2] = deviceMinor(superblock.device);
    writeU64(at + SM_SB_MAGIC, superblock.magic);
    u32[(at + SM_SB_FLAGS) >>> 2] = superblock.readonly ? MS_RDONLY : 0;
  }
  if (mask & STATMOUNT_MNT_BASIC) {
    const parent = mount.parent ?? mount;
    writeU64(at + SM_MNT_ID, uniqueId(mount));
    writeU64(at + SM_MNT_ID + 8, uniqueId(parent));
    u32[(at + SM_MNT_ID_OLD) >>> 2] = mount.id;
    u32[(at + SM_MNT_ID_OLD + 4) >>> 2] = parent.id;
    const attributes = ATTRIBUTES.reduce((sum, [flag, attribute]) => sum | (mount.flags & flag ? attribute : 0), 0);
    writeU64(at + SM_MNT_ATTR, attributes);
    writeU64(at + SM_MNT_ATTR + 8, propagationOf(mount));
    writeU64(at + SM_MNT_PEER_GROUP, mount.peers?.id ?? 0);
    writeU64(at + SM_MNT_PEER_GROUP + 8, mount.master?.id ?? 0);
  }
  if (mask & STATMOUNT_PROPAGATE_FROM) writeU64(at + SM_PROPAGATE_FROM, dominating(mount, root)?.id ?? 0);
  if (mask & STATMOUNT_MNT_NS_ID) writeU64(at + SM_MNT_NS_ID, mount.namespace ? mountNamespaceId(mount.namespace) : 0);
}

/** listmount(2): the mounts below one, in the order of their making */
export function listmount(task: Task, request: UserAddress, ids: UserAddress, count: number, flags: number): number {
  if (flags & ~LISTMOUNT_REVERSE) return -EINVAL;
  if (!(count >= 0 && count <= MOST)) return -EOVERFLOW;
  const wanted = readRequest(task, request);
  if (typeof wanted === 'number') return wanted;
  const { last } = wanted;
  if (last !== 0 && last <= MNT_UNIQUE_ID_OFFSET) return -EINVAL;
  const mounts = allMounts(task);
  const parent = wanted.isRoot ? null : mounts.find((mount) => uniqueId(mount) === wanted.id);
  if (parent === undefined) return -ENOENT;
  if (parent !== null && !mayKnow(task, parent)) return -EPERM;
  const from = parent === null ? task.fs.root : rootOf(parent);
  const reverse = (flags & LISTMOUNT_REVERSE) !== 0;
  const found = mounts
    .filter((mount) => mount !== parent && isReachable(rootOf(mount), from))
    .map(uniqueId)
    .filter((id) => last === 0 || (reverse ? id < last : id > last))
    .sort((a, b) => (reverse ? b - a : a - b))
    .slice(0, count);
  if (ids === 0) return -EFAULT;
  const at = task.memory.out(ids, found.length * 8);
  if (at < 0) return at;
  found.forEach((id, index) => {
    writeU64(at + index * 8, id);
  });
  return found.length;
}
