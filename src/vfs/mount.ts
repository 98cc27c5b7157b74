// The mount tree of a sandbox: which superblock is joined to which name, with which flags. Only the kernel mounts (at
// boot, from the spec); /proc/PID/mounts and mountinfo read the tree through `listMounts`.

import { EBUSY, ENOTDIR } from '../abi/errno.ts';
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_SYNCHRONOUS,
} from '../abi/mount.ts';
import { makeDevice } from '../abi/stat.ts';
import { Dentry, Mount, type Path } from './dentry.ts';
import { adoptInode } from './dentry-cache.ts';
import type { Superblock } from './inode.ts';
import { dentryName, pathName } from './path-name.ts';

let lastMinor = 20;

/** A device number for a filesystem without a block device, as st_dev shows it: major 0, the next minor. */
export function allocateDevice(): number {
  return makeDevice(0, ++lastMinor);
}

/** The mounts of a sandbox. */
export class MountNamespace {
  readonly root: Mount;
  private lastId = 20;

  /** A namespace whose root is the root of `superblock`. */
  constructor(superblock: Superblock, flags: number) {
    this.root = new Mount(++this.lastId, superblock, rootDentry(superblock), flags);
  }

  nextId(): number {
    return ++this.lastId;
  }
}

/** The dentry that every mount of the superblock starts from. */
export function rootDentry(superblock: Superblock): Dentry {
  if (!superblock.rootDentry) {
    superblock.rootDentry = new Dentry('', null, null);
    superblock.rootDentry.pinned = true;
    adoptInode(superblock.rootDentry, superblock.root);
  }
  return superblock.rootDentry;
}

/**
 * Joins a superblock (or its subtree below `root`, as a bind mount does) onto a path; the topmost mount of that name
 * from now on. Returns the mount, or -ENOTDIR when one is a directory and the other is not.
 */
export function mountAt(
  namespace: MountNamespace,
  path: Path,
  superblock: Superblock,
  flags: number,
  root: Dentry = rootDentry(superblock),
): Mount | number {
  const target = path.dentry.inode;
  if (!target || path.dentry.unlinked) return -EBUSY;
  if (target.isDirectory !== root.inode?.isDirectory) return -ENOTDIR;
  const mount = new Mount(namespace.nextId(), superblock, root, flags);
  mount.parent = path.mount;
  mount.mountpoint = path.dentry;
  path.mount.children.push(mount);
  path.dentry.mounts ??= [];
  path.dentry.mounts.push(mount);
  path.dentry.pinned = true;
  root.pinned = true;
  return mount;
}

/** The mount whose mountpoint is the dentry as seen on `mount`, or null. The youngest one covers the others. */
export function mountedOn(mount: Mount, dentry: Dentry): Mount | null {
  const mounts = dentry.mounts;
  if (mounts === null) return null;
  for (let i = mounts.length - 1; i >= 0; i--) {
    if (mounts[i].parent === mount) return mounts[i];
  }
  return null;
}

/** The root of what is mounted on the path, through any number of mounts stacked there; the path itself if none. */
export function topmost(path: Path): Path {
  let mount = path.mount;
  let dentry = path.dentry;
  for (;;) {
    const next = mountedOn(mount, dentry);
    if (next === null) return mount === path.mount && dentry === path.dentry ? path : { mount, dentry };
    mount = next;
    dentry = next.root;
  }
}

export interface MountInfo {
  readonly mount: Mount;
  readonly id: number;
  readonly parentId: number;
  readonly device: number;
  /** Subtree of the superblock that is mounted, `/` for all of it. */
  readonly root: string;
  /** Where it is mounted, seen from the given root. */
  readonly mountpoint: string;
  /** Per-mount options: `rw,nosuid,relatime`. */
  readonly options: string;
  readonly type: string;
  readonly source: string;
  /** Options of the superblock: `rw,size=65536k`. */
  readonly superOptions: string;
}

/** The mounts that can be reached from `root` (a task's root directory), in the order they were made. */
export function listMounts(root: Path): MountInfo[] {
  const found: MountInfo[] = [];
  collect(root.mount, root, found);
  return found.sort((a, b) => a.id - b.id);
}

function collect(mount: Mount, root: Path, into: MountInfo[]): void {
  const here = { mount, dentry: mount.root };
  const name = mount === root.mount ? '/' : pathName(here, root);
  if (!name.startsWith('(')) into.push(describe(mount, name));
  for (const child of mount.children) collect(child, root, into);
}

function describe(mount: Mount, mountpoint: string): MountInfo {
  const block = mount.superblock;
  return {
    mount,
    id: mount.id,
    parentId: mount.parent ? mount.parent.id : mount.id,
    device: block.device,
    root: dentryName(mount.root),
    mountpoint,
    options: mountOptions(mount.flags),
    type: block.typeName,
    source: block.source,
    superOptions: (block.readonly ? 'ro' : 'rw') + (block.options ? `,${block.options}` : ''),
  };
}

/** Mount flags as /proc/mounts spells them. */
export function mountOptions(flags: number): string {
  let text = flags & MS_RDONLY ? 'ro' : 'rw';
  if (flags & MS_NOSUID) text += ',nosuid';
  if (flags & MS_NODEV) text += ',nodev';
  if (flags & MS_NOEXEC) text += ',noexec';
  if (flags & MS_SYNCHRONOUS) text += ',sync';
  if (flags & MS_NOATIME) text += ',noatime';
  if (flags & MS_NODIRATIME) text += ',nodiratime';
  if (flags & MS_RELATIME) text += ',relatime';
  if (flags & MS_NOSYMFOLLOW) text += ',nosymfollow';
  return text;
}
