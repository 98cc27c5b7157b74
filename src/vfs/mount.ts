// The mount tree of a sandbox: which superblock is joined to which name, with which flags. It starts with what the spec
// says and changes by mount(2) and its kin; /proc/PID/mounts and mountinfo read it through `listMounts`. Mounts are
// private: nothing propagates between them.

import { ELOOP, ENOENT, ENOSPC, ENOTDIR } from '../abi/errno.ts';
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
} from '../abi/mount.ts';
import { makeDevice, PROC_SUPER_MAGIC } from '../abi/stat.ts';
import { Namespace } from '../base/namespace.ts';
import { initialUser, type UserNamespace } from '../base/user-namespace.ts';
import { Dentry, Mount, type Path } from './dentry.ts';
import { adoptInode, forgetTree, unpinDentry } from './dentry-cache.ts';
import type { Inode, Superblock } from './inode.ts';
import { notifyMountGone, notifyUnmounted } from './notify.ts';
import { dentryName, pathName } from './path-name.ts';

let lastMinor = 20;

/** A device number for a filesystem without a block device, as st_dev shows it: major 0, the next minor. */
export function allocateDevice(): number {
  return makeDevice(0, ++lastMinor);
}

let lastId = 20;

/** Mounts in all trees, and how many there may be: recursive binds would double them each time (fs.mount-max). */
let mountCount = 0;
const MOUNTS_MAX = 100_000;

let lastNamespace = -1;

/** A tree of mounts (mount_namespaces(7)). */
export class MountNamespace extends Namespace {
  root: Mount;
  /** 0 for the one that the sandbox started with. */
  readonly id = ++lastNamespace;

  /** A namespace whose root is `root` of the superblock. */
  constructor(
    superblock: Superblock,
    flags: number,
    root: Dentry = rootDentry(superblock),
    owner: UserNamespace = initialUser,
  ) {
    super('mnt', owner);
    this.root = new Mount(++lastId, superblock, root, flags);
    this.root.namespace = this;
    superblock.mounts++;
    superblock.mounted(root);
    mountCount++;
  }
}

/** The dentry that every mount of the superblock starts from. */
export function rootDentry(superblock: Superblock): Dentry {
  if (!superblock.rootDentry) {
    superblock.rootDentry = new Dentry('', null, null);
    superblock.rootDentry.pins++;
    adoptInode(superblock.rootDentry, superblock.root);
  }
  return superblock.rootDentry;
}

/**
 * Joins a superblock (or its subtree below `root`, as a bind mount does) onto a path; the topmost mount of that name
 * from now on. Returns the mount, -ENOTDIR when one is a directory and the other is not, -ENOENT for a removed name.
 */
export function mountAt(
  namespace: MountNamespace,
  path: Path,
  superblock: Superblock,
  flags: number,
  root: Dentry = rootDentry(superblock),
): Mount | number {
  const r = checkMountpoint(path, root);
  if (r < 0) return r;
  if (mountCount >= MOUNTS_MAX) return -ENOSPC;
  mountCount++;
  const mount = new Mount(++lastId, superblock, root, flags);
  mount.namespace = namespace;
  superblock.mounts++;
  superblock.mounted(root);
  attach(mount, path);
  return mount;
}

function checkMountpoint(path: Path, root: Dentry): number {
  const target = path.dentry.inode;
  if (!target || path.dentry.unlinked) return -ENOENT;
  // What a link of a process leads to changes: it is no place to mount on.
  if (target.isSymlink && target.superblock.magic === PROC_SUPER_MAGIC) return -ENOENT;
  return target.isDirectory === root.inode?.isDirectory ? 0 : -ENOTDIR;
}

function attach(mount: Mount, path: Path): void {
  mount.parent = path.mount;
  mount.mountpoint = path.dentry;
  path.mount.children.push(mount);
  path.dentry.mounts ??= [];
  path.dentry.mounts.push(mount);
}

function detach(mount: Mount): void {
  const { parent, mountpoint } = mount;
  if (!parent || !mountpoint) return;
  parent.children.splice(parent.children.indexOf(mount), 1);
  const mounts = mountpoint.mounts as Mount[];
  mounts.splice(mounts.indexOf(mount), 1);
  if (mounts.length === 0) mountpoint.mounts = null;
  mount.parent = null;
  mount.mountpoint = null;
}

/** Binds what `source` names onto a path; `recursive` binds the mounts below it too. 0 or -errno. */
export function bindMount(source: Path, target: Path, recursive: boolean): number {
  const r = checkMountpoint(target, source.dentry);
  if (r < 0) return r;
  // The copy is complete before it is put anywhere: the place may lie within what is copied.
  const copy = cloneTree(source, recursive);
  return typeof copy === 'number' ? copy : placeMount(copy, target);
}

/** Copies a mount and those on it onto the same name of `parent`; `copies` gets old and new. */
function copyTree(
  mount: Mount,
  parent: Mount,
  namespace: MountNamespace,
  copies: Map<Mount, Mount> | null,
  lock = false,
): void {
  const path = { mount: parent, dentry: mount.mountpoint as Dentry };
  const children = [...mount.children];
  const copy = mountAt(namespace, path, mount.superblock, mount.flags, mount.root);
  if (typeof copy === 'number') return;
  copy.locked = mount.locked || lock;
  copies?.set(mount, copy);
  for (const child of children) copyTree(child, copy, namespace, copies, lock);
}

function treeSize(mount: Mount): number {
  return mount.children.reduce((sum, child) => sum + treeSize(child), 1);
}

/**
 * A copy of a namespace, as unshare(2) makes it, and which of its mounts stands for which; or -ENOSPC. In the hands of
 * another user namespace it shows no more than it did: its mounts are locked.
 */
export function copyNamespace(from: MountNamespace, owner: UserNamespace): Map<Mount, Mount> | number {
  const { root } = from;
  if (mountCount + treeSize(root) > MOUNTS_MAX) return -ENOSPC;
  const namespace = new MountNamespace(root.superblock, root.flags, root.root, owner);
  const lock = owner !== from.owner;
  namespace.root.locked = lock;
  const copies = new Map([[root, namespace.root]]);
  for (const child of [...root.children]) copyTree(child, namespace.root, namespace, copies, lock);
  return copies;
}

/** Whether a path lies at or below another, through mounts. */
export function isReachable(path: Path, from: Path): boolean {
  let { mount, dentry } = path;
  while (mount !== from.mount) {
    if (!mount.parent || !mount.mountpoint) return false;
    dentry = mount.mountpoint;
    mount = mount.parent;
  }
  return isBelow(dentry, from.dentry);
}

/** Puts `mount`, which is mounted below `root`, in the place of `root`, which goes to `old` (pivot_root(2)). */
export function moveRoot(namespace: MountNamespace, root: Mount, mount: Mount, old: Path): void {
  const { parent, mountpoint } = root;
  detach(mount);
  detach(root);
  if (parent && mountpoint) attach(mount, { mount: parent, dentry: mountpoint });
  else namespace.root = mount;
  mount.locked = root.locked;
  root.locked = false;
  attach(root, old);
}

/** A copy of what is mounted at a path, in a tree of its own; `recursive` takes the mounts below along. Or -ENOSPC. */
export function cloneTree(path: Path, recursive: boolean): Mount | number {
  const { superblock, flags, children } = path.mount;
  if (mountCount + (recursive ? treeSize(path.mount) : 1) > MOUNTS_MAX) return -ENOSPC;
  const namespace = new MountNamespace(superblock, flags, path.dentry, path.mount.namespace?.owner);
  if (recursive) {
    for (const child of children) {
      if (isBelow(child.mountpoint as Dentry, path.dentry)) copyTree(child, namespace.root, namespace, null);
    }
  }
  return namespace.root;
}

/** Joins a mount that is the root of a tree of its own, with all below it, onto a path of another tree. 0 or -errno. */
export function placeMount(mount: Mount, target: Path): number {
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  setNamespace(mount, target.mount.namespace);
  attach(mount, target);
  return 0;
}

/** As `placeMount`, but under a mount that is there, which is on top of it from now on (MOVE_MOUNT_BENEATH). */
export function placeBeneath(mount: Mount, top: Mount): number {
  const target = { mount: top.parent as Mount, dentry: top.mountpoint as Dentry };
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  detach(top);
  setNamespace(mount, target.mount.namespace);
  attach(mount, target);
  attach(top, { mount, dentry: mount.root });
  return 0;
}

function setNamespace(mount: Mount, namespace: MountNamespace | null): void {
  mount.namespace = namespace;
  for (const child of mount.children) setNamespace(child, namespace);
}

/** Moves a mount to another place of its namespace. 0, -ELOOP into itself, or -errno as `mountAt`. */
export function moveMount(mount: Mount, target: Path): number {
  for (let at: Mount | null = target.mount; at; at = at.parent) if (at === mount) return -ELOOP;
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  detach(mount);
  attach(mount, target);
  return 0;
}

/**
 * Takes a mount and all below it out of the tree. What is in use (`inUse`) is only detached: its filesystem stays as it
 * is for those who are in there.
 */
export function unmount(mount: Mount, inUse: (mount: Mount) => boolean): void {
  for (const child of [...mount.children]) unmount(child, inUse);
  detach(mount);
  mount.namespace = null;
  mount.superblock.unmounted(mount.root);
  mountCount--;
  notifyMountGone(mount);
  unpinDentry(mount.root);
  if (inUse(mount)) return;
  const { superblock } = mount;
  if (--superblock.mounts > 0) return;
  notifyUnmounted(superblock);
  forgetTree(rootDentry(superblock));
  superblock.shutDown();
}

function isBelow(dentry: Dentry, ancestor: Dentry): boolean {
  for (let at: Dentry | null = dentry; at; at = at.parent) if (at === ancestor) return true;
  return false;
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
    root: rootName(block.origin, dentryName(mount.root)),
    mountpoint,
    options: mountOptions(mount.flags),
    type: block.typeName,
    source: block.source,
    superOptions: (block.readonly ? 'ro' : 'rw') + (block.options ? `,${block.options}` : ''),
  };
}

function rootName(origin: string, name: string): string {
  return origin !== '' && name === '/' ? origin : `${origin}${name}`;
}

/** Something was read through a mount: its time of access follows, if the mount keeps one. */
export function noteAccess(mount: Mount, inode: Inode): void {
  const { flags } = mount;
  if (flags & (MS_NOATIME | MS_RDONLY) || (flags & MS_NODIRATIME && inode.isDirectory)) return;
  inode.touchAccess((flags & MS_STRICTATIME) !== 0);
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
