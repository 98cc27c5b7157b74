// The mount tree of a sandbox: which superblock is joined to which name, with which flags. It starts with what the spec
// says and changes by mount(2) and its kin. Who receives what is mounted where is propagation.ts's.

import { EINVAL, ELOOP, ENOENT, ENOSPC, ENOTDIR } from '../abi/errno.ts';
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_SHARED,
  MS_STRICTATIME,
} from '../abi/mount.ts';
import { makeDevice, PROC_SUPER_MAGIC } from '../abi/stat.ts';
import { Namespace } from '../base/namespace.ts';
import { initialUser, type UserNamespace } from '../base/user-namespace.ts';
import { Changes } from './changes.ts';
import { Dentry, Mount, type Path } from './dentry.ts';
import { adoptInode, forgetTree, unpinDentry } from './dentry-cache.ts';
import type { Inode, Superblock } from './inode.ts';
import { notifyMountGone, notifyUnmounted } from './notify.ts';
import { forgetPropagation, inheritPropagation, type PeerGroup, receivers, setPropagation } from './propagation.ts';

let lastMinor = 20;

/** A device number for a filesystem without a block device, as st_dev shows it: major 0, the next minor. */
export function allocateDevice(): number {
  return makeDevice(0, ++lastMinor);
}

let lastId = 20;

/** Mounts in all trees, and how many there may be: recursive binds would double them each time (fs.mount-max). */
let mountCount = 0;
const MOUNTS_MAX = 100_000;
/** How many mounts there are in all trees. */
export function mountsInAll(): number {
  return mountCount;
}

/** Mounts on mounts on mounts: trees are gone through by recursion. */
const DEPTH_MAX = 1000;

let lastNamespace = -1;

/** A tree of mounts (mount_namespaces(7)). */
export class MountNamespace extends Namespace {
  root: Mount;
  /** For those that poll /proc/PID/mounts. */
  readonly changes = new Changes(true);
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
  if (!hasRoom(null, path)) return -ENOSPC;
  const mount = makeMount(superblock, root, flags);
  mount.namespace = namespace;
  place(mount, path);
  return mount;
}

function makeMount(superblock: Superblock, root: Dentry, flags: number): Mount {
  mountCount++;
  superblock.mounts++;
  superblock.mounted(root);
  return new Mount(++lastId, superblock, root, flags);
}

/** Whether a tree may be put on a path, and on all others that receive it; null for a single new mount. */
function hasRoom(tree: Mount | null, path: Path): boolean {
  let depth = tree ? treeDepth(tree) : 1;
  for (let at: Mount | null = path.mount; at; at = at.parent) depth++;
  const size = tree ? treeSize(tree) : 1;
  return depth <= DEPTH_MAX && mountCount + size * (1 + receivers(path.mount, path.dentry).length) <= MOUNTS_MAX;
}

function treeDepth(mount: Mount): number {
  return 1 + mount.children.reduce((most, child) => Math.max(most, treeDepth(child)), 0);
}

/** Attaches a tree to a path, and copies of it to all paths that receive what is mounted there. */
function place(mount: Mount, path: Path): void {
  if (path.mount.peers) share(mount);
  // What is being placed is no place itself, though it may be a peer of where it goes.
  const places = receivers(path.mount, path.dentry).filter((receiver) => !isWithin(receiver.mount, mount));
  attach(mount, path);
  // By group, the tree that the group's mounts have: what is a slave's has that of its master's group as its master.
  const trees = new Map<PeerGroup, Mount>();
  if (path.mount.peers) trees.set(path.mount.peers, mount);
  for (const { mount: receiver, group, from } of places) {
    const peer = group && trees.get(group);
    const copy = copyOf(peer ?? trees.get(from) ?? mount, !peer, receiver.namespace);
    if (group && !peer) {
      share(copy);
      trees.set(group, copy);
    }
    // In another user namespace's hands it can be taken off, but not apart.
    copy.locked = false;
    tuck(copy, { mount: receiver, dentry: path.dentry });
  }
}

function isWithin(mount: Mount, tree: Mount): boolean {
  for (let at: Mount | null = mount; at; at = at.parent) if (at === tree) return true;
  return false;
}

function share(mount: Mount): void {
  setPropagation(mount, MS_SHARED);
  for (const child of mount.children) share(child);
}

/** Attaches a tree below whatever is mounted on the path already. */
function tuck(mount: Mount, path: Path): void {
  const above = mountedOn(path.mount, path.dentry);
  if (above) detach(above);
  attach(mount, path);
  if (above) attach(above, { mount, dentry: mount.root });
}

const RESTRICTIONS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

/** Restrictions (MS_*) that cannot be taken off a mount. */
export function lockedRestrictions({ locked, flags, lockedFlags }: Mount): number {
  return (lockedFlags | (locked ? RESTRICTIONS : 0)) & flags;
}

/** In the hands of another user namespace than the first, copies stay as restricted as what they were made of. */
function keepRestrictions(copy: Mount, from: Mount): void {
  const owner = copy.namespace?.owner ?? initialUser;
  if (owner !== initialUser) copy.lockedFlags = copy.locked ? from.flags & RESTRICTIONS : lockedRestrictions(from);
}

/** A copy of a tree for another namespace or another place, without what cannot be bound. */
function copyOf(from: Mount, asSlave: boolean, namespace: MountNamespace | null): Mount {
  const copy = makeMount(from.superblock, from.root, from.flags);
  copy.namespace = namespace;
  copy.locked = from.locked || from.namespace?.owner !== namespace?.owner;
  keepRestrictions(copy, from);
  inheritPropagation(copy, from, asSlave);
  for (const child of from.children) {
    if (!child.unbindable)
      attach(copyOf(child, asSlave, namespace), { mount: copy, dentry: child.mountpoint as Dentry });
  }
  return copy;
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
  path.mount.namespace?.changes.note();
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
  parent.namespace?.changes.note();
}

/** Binds what `source` names onto a path; `recursive` binds the mounts below it too. 0 or -errno. */
export function bindMount(source: Path, target: Path, recursive: boolean): number {
  const r = checkMountpoint(target, source.dentry);
  if (r < 0) return r;
  if (source.mount.unbindable) return -EINVAL;
  // The copy is complete before it is put anywhere: the place may lie within what is copied.
  const copy = cloneTree(source, recursive);
  if (typeof copy === 'number') return copy;
  const placed = placeMount(copy, target);
  if (placed < 0) unmount(copy, () => false);
  return placed;
}

/** Copies a mount and those on it onto the same name of `parent`; `copies` gets old and new. */
function copyTree(mount: Mount, parent: Mount, namespace: MountNamespace, copies: Map<Mount, Mount> | null): void {
  const children = [...mount.children];
  const copy = makeMount(mount.superblock, mount.root, mount.flags);
  const foreign = copies !== null && mount.namespace?.owner !== namespace.owner;
  copy.namespace = namespace;
  copy.locked = mount.locked || foreign;
  keepRestrictions(copy, mount);
  copy.unbindable = mount.unbindable;
  inheritPropagation(copy, mount, foreign);
  attach(copy, { mount: parent, dentry: mount.mountpoint as Dentry });
  copies?.set(mount, copy);
  // A bind leaves out what cannot be bound, a copy of the namespace does not.
  for (const child of children) if (copies || !child.unbindable) copyTree(child, copy, namespace, copies);
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
  keepRestrictions(namespace.root, root);
  const copies = new Map([[root, namespace.root]]);
  inheritPropagation(namespace.root, root, lock);
  for (const child of [...root.children]) copyTree(child, namespace.root, namespace, copies);
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
  // In another user namespace's hands what is covered stays so.
  const foreign = (path.mount.namespace?.owner ?? initialUser) !== initialUser;
  const covers = (child: Mount): boolean => child.locked && isBelow(child.mountpoint as Dentry, path.dentry);
  if (!recursive && foreign && children.some(covers)) return -EINVAL;
  const namespace = new MountNamespace(superblock, flags, path.dentry, path.mount.namespace?.owner);
  keepRestrictions(namespace.root, path.mount);
  inheritPropagation(namespace.root, path.mount, false);
  if (recursive) {
    for (const child of children) {
      if (!child.unbindable && isBelow(child.mountpoint as Dentry, path.dentry))
        copyTree(child, namespace.root, namespace, null);
    }
  }
  return namespace.root;
}

/** Joins a mount that is the root of a tree of its own, with all below it, onto a path of another tree. 0 or -errno. */
export function placeMount(mount: Mount, target: Path): number {
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  if (!hasRoom(mount, target)) return -ENOSPC;
  if (target.mount.peers && hasUnbindable(mount)) return -EINVAL;
  setNamespace(mount, target.mount.namespace);
  place(mount, target);
  return 0;
}

function hasUnbindable(mount: Mount): boolean {
  return mount.unbindable || mount.children.some(hasUnbindable);
}

/** As `placeMount`, but under a mount that is there, which is on top of it from now on (MOVE_MOUNT_BENEATH). */
export function placeBeneath(mount: Mount, top: Mount): number {
  const target = { mount: top.parent as Mount, dentry: top.mountpoint as Dentry };
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  if (!hasRoom(mount, target)) return -ENOSPC;
  detach(top);
  setNamespace(mount, target.mount.namespace);
  place(mount, target);
  attach(top, { mount, dentry: mount.root });
  return 0;
}

function setNamespace(mount: Mount, namespace: MountNamespace | null): void {
  mount.namespace = namespace;
  for (const child of mount.children) setNamespace(child, namespace);
}

/** Moves a mount to another place of its namespace. 0, -ELOOP into itself, or -errno as `mountAt`. */
export function moveMount(mount: Mount, target: Path): number {
  if (isWithin(target.mount, mount)) return -ELOOP;
  const r = checkMountpoint(target, mount.root);
  if (r < 0) return r;
  if (mount.parent?.peers || (target.mount.peers && hasUnbindable(mount))) return -EINVAL;
  if (!hasRoom(mount, target)) return -ENOSPC;
  detach(mount);
  place(mount, target);
  return 0;
}

/** The mounts that are taken off because this one is: on the mounts that receive what is done to its parent. */
function followers(mount: Mount): Mount[] {
  const { parent, mountpoint } = mount;
  if (!parent || !mountpoint) return [];
  return receivers(parent, mountpoint).flatMap((receiver) => mountedOn(receiver.mount, mountpoint) ?? []);
}

/** Whether a mount, or what would be taken off with it, is in use. */
export function isBusy(mount: Mount, inUse: (mount: Mount) => boolean): boolean {
  if (mount.children.length > 0 || inUse(mount)) return true;
  return followers(mount).some((follower) => follower.children.length === 0 && inUse(follower));
}

/** As `unmount`, and everywhere that receives it. What carries other mounts stays where it is. */
export function unmountEverywhere(mount: Mount, inUse: (mount: Mount) => boolean): void {
  for (const child of [...mount.children]) unmountEverywhere(child, inUse);
  for (const follower of followers(mount)) {
    const above = follower.children.length === 1 ? follower.children[0] : null;
    const path = { mount: follower.parent as Mount, dentry: follower.mountpoint as Dentry };
    if (above?.mountpoint === follower.root) {
      detach(above);
      unmount(follower, inUse);
      attach(above, path);
    } else if (follower.children.length === 0 && follower !== mount) unmount(follower, inUse);
  }
  unmount(mount, inUse);
}

/**
 * Takes a mount and all below it out of the tree. What is in use (`inUse`) is only detached: its filesystem stays as it
 * is for those who are in there.
 */
export function unmount(mount: Mount, inUse: (mount: Mount) => boolean): void {
  for (const child of [...mount.children]) unmount(child, inUse);
  detach(mount);
  forgetPropagation(mount);
  expiring.delete(mount);
  mount.namespace = null;
  mount.superblock.unmounted(mount.root);
  mountCount--;
  notifyMountGone(mount);
  unpinDentry(mount.root);
  releaseDetached(mount, inUse);
}

/** Taken out of the tree, with somebody in them who leaves without a word. */
const detached = new Set<Mount>();
/** So many of them are asked about when a mount goes. */
const ASKED = 16;

/** Those that have waited longest are asked about first, and the one that came last at once. */
function releaseDetached(latest: Mount, inUse: (mount: Mount) => boolean): void {
  for (const mount of [latest, ...detached.keys().take(ASKED)]) {
    detached.delete(mount);
    if (inUse(mount)) detached.add(mount);
    else releaseSuperblock(mount.superblock);
  }
}

/** A mount of a superblock is gone, or whatever else needs it: after the last it is shut down. */
export function releaseSuperblock(superblock: Superblock): void {
  if (--superblock.mounts > 0) return;
  notifyUnmounted(superblock);
  forgetTree(rootDentry(superblock), () => superblock.shutDown());
}

function isBelow(dentry: Dentry, ancestor: Dentry): boolean {
  for (let at: Dentry | null = dentry; at; at = at.parent) if (at === ancestor) return true;
  return false;
}

/** Mounts for which umount2(2) with MNT_EXPIRE has come by and that nobody has entered since. */
export const expiring = new Set<Mount>();

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

/** Something was read through a mount: its time of access follows, if the mount keeps one. */
export function noteAccess(mount: Mount, inode: Inode): void {
  const { flags } = mount;
  if (flags & (MS_NOATIME | MS_RDONLY) || (flags & MS_NODIRATIME && inode.isDirectory)) return;
  inode.touchAccess((flags & MS_STRICTATIME) !== 0);
}
