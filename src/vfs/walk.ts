// The path walk (path_resolution(7), openat2(2)): from a directory and a byte string to a mount and a dentry. A
// symbolic link is followed by putting its target in front of what is left of the path and going on, so there is no
// recursion. Names come from the dentry cache where the directory allows it.

import { EBADF, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS, EXDEV } from '../abi/errno.ts';
import {
  AT_FDCWD,
  NAME_MAX,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  SYMLOOP_MAX,
} from '../abi/fcntl.ts';
import { MS_NOSYMFOLLOW, MS_RDONLY } from '../abi/mount.ts';
import type { Fd } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { Dentry, type Mount, type Path } from './dentry.ts';
import { addDentry, adoptInode, mayCache, unlinkDentry } from './dentry-cache.ts';
import type { Inode } from './inode.ts';
import { expiring, mountedOn } from './mount.ts';
import { checkAccess, MAY_EXECUTE } from './permission.ts';

// Flags of `resolve` and `resolveParent`; RESOLVE_* of openat2 may be added.
/** Follow a symbolic link as the last component. */
export const WALK_FOLLOW = 0x100;
/** An empty path means the directory descriptor itself, of whatever type (AT_EMPTY_PATH). */
export const WALK_EMPTY = 0x200;
/** The result must be a directory. */
export const WALK_DIRECTORY = 0x400;

const SLASH = 47;
const DOT = 46;

// What the last component of a path is.
export const LAST_NAME = 0;
export const LAST_DOT = 1;
export const LAST_DOTDOT = 2;
/** Nothing but slashes: the root itself. */
export const LAST_ROOT = 3;

/** Where a path's last component is to be found or made. */
export interface Parent {
  readonly mount: Mount;
  readonly dentry: Dentry;
  /** LAST_*: only for LAST_NAME are `name` and `child` of use. */
  readonly kind: number;
  readonly name: string;
  /** What the name is now, before any mount on it; negative (no inode) when there is nothing. */
  readonly child: Dentry | null;
  /** Slashes follow the name. */
  readonly slash: boolean;
}

// Where the walk stands, and its fence. One walk at a time: nothing called from here walks.
let mount: Mount;
let dentry: Dentry;
let rootMount: Mount;
let rootDentry: Dentry;
let lastKind = LAST_NAME;
let lastName = '';
let lastChild: Dentry | null = null;
let lastSlash = false;

/** Finds what a path names. Returns the path (of an existing inode) or -errno. `dirfd` may be AT_FDCWD. */
export function resolve(task: Task, dirfd: Fd, path: string, flags: number): Path | number {
  const started = start(task, dirfd, path, flags);
  if (started < 0) return started;
  const r = walk(task, path, flags, false);
  if (r < 0) return r;
  if (flags & WALK_DIRECTORY && !(dentry.inode as Inode).isDirectory) return -ENOTDIR;
  return dentry.on(mount);
}

/** As `resolve`, from the task's root and working directory, following links. */
export function resolvePath(task: Task, path: string): Path | number {
  return resolve(task, AT_FDCWD as Fd, path, WALK_FOLLOW);
}

/** Finds the directory of a path's last component, and that component as far as it exists; or -errno. */
export function resolveParent(task: Task, dirfd: Fd, path: string, flags: number): Parent | number {
  if (path === '') return -ENOENT;
  const started = start(task, dirfd, path, flags);
  if (started < 0) return started;
  const r = walk(task, path, flags, true);
  if (r < 0) return r;
  return { mount, dentry, kind: lastKind, name: lastName, child: lastChild, slash: lastSlash };
}

/** Sets the starting point. 0 or -errno. */
function start(task: Task, dirfd: Fd, path: string, flags: number): number {
  const context = task.fs;
  rootMount = context.root.mount;
  rootDentry = context.root.dentry;
  const absolute = path.charCodeAt(0) === SLASH;
  const fenced = (flags & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0;
  if (absolute && !fenced) {
    mount = rootMount;
    dentry = rootDentry;
    return 0;
  }
  if (path === '' && !(flags & WALK_EMPTY)) return -ENOENT;
  if (dirfd === AT_FDCWD) {
    mount = context.cwd.mount;
    dentry = context.cwd.dentry;
  } else {
    const file = task.files.get(dirfd);
    if (!file) return -EBADF;
    mount = file.path.mount;
    dentry = file.path.dentry;
  }
  if (fenced) {
    if (absolute && flags & RESOLVE_BENEATH) return -EXDEV;
    rootMount = mount;
    rootDentry = dentry;
  }
  return 0;
}

/** Walks from where `start` has set off. In parent mode the last component is looked up but not stepped into. */
function walk(task: Task, path: string, flags: number, parentMode: boolean): number {
  const credentials = task.credentials;
  let text = path;
  let at = 0;
  let links = 0;
  lastKind = LAST_ROOT;
  lastChild = null;
  for (;;) {
    while (text.charCodeAt(at) === SLASH) at++;
    const length = text.length;
    if (at >= length) return 0;
    let end = at;
    while (end < length && text.charCodeAt(end) !== SLASH) end++;
    let next = end;
    while (text.charCodeAt(next) === SLASH) next++;
    const last = next >= length;
    const slash = next > end;

    const directory = dentry.inode;
    if (directory === null) return -ENOENT;
    if (!directory.isDirectory) return -ENOTDIR;
    const allowed = checkAccess(directory, credentials, MAY_EXECUTE);
    if (allowed < 0) return allowed;

    if (text.charCodeAt(at) === DOT) {
      if (end === at + 1) {
        if (last && parentMode) return lastIs(LAST_DOT, slash);
        at = next;
        continue;
      }
      if (end === at + 2 && text.charCodeAt(at + 1) === DOT) {
        if (last && parentMode) return lastIs(LAST_DOTDOT, slash);
        const r = stepUp(flags);
        if (r < 0) return r;
        at = next;
        continue;
      }
    }
    if (end - at > NAME_MAX) return -ENAMETOOLONG;

    const name = text.slice(at, end);
    const child = lookupChild(dentry, directory, name);
    if (typeof child === 'number') return child;
    const inode = child.inode;
    const asLink = inode?.isSymlink && (!last || flags & WALK_FOLLOW || (slash && !parentMode));
    if (last && parentMode && !asLink) {
      lastName = name;
      lastChild = child;
      return lastIs(LAST_NAME, slash);
    }
    if (!inode) return -ENOENT;
    if (asLink) {
      if (++links > SYMLOOP_MAX || flags & RESOLVE_NO_SYMLINKS || mount.flags & MS_NOSYMFOLLOW) return -ELOOP;
      const jump = inode.followMagic(task);
      if (jump !== null) {
        if (typeof jump === 'number') return jump;
        if (flags & RESOLVE_NO_MAGICLINKS) return -ELOOP;
        if (flags & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return -EXDEV;
        if (flags & RESOLVE_NO_XDEV && jump.mount !== mount) return -EXDEV;
        mount = jump.mount;
        dentry = jump.dentry;
        lastKind = LAST_ROOT;
        at = next;
        if (last && slash && !dentry.inode?.isDirectory) return -ENOTDIR;
        continue;
      }
      const target = inode.readlink(task);
      if (typeof target === 'number') return target;
      if (target === '') return -ENOENT;
      if (target.charCodeAt(0) === SLASH) {
        if (flags & RESOLVE_BENEATH) return -EXDEV;
        if (flags & RESOLVE_NO_XDEV && mount !== rootMount) return -EXDEV;
        mount = rootMount;
        dentry = rootDentry;
      }
      text = slash || !last ? target + text.slice(end) : target;
      at = 0;
      lastKind = LAST_ROOT;
      continue;
    }
    dentry = child;
    if (child.mounts !== null) {
      const r = stepDown(flags);
      if (r < 0) return r;
    }
    if (last && slash && !(dentry.inode as Inode).isDirectory) return -ENOTDIR;
    at = next;
  }
}

function lastIs(kind: number, slash: boolean): number {
  lastKind = kind;
  lastSlash = slash;
  return 0;
}

/** To the parent directory, through the mountpoint where the walk stands on a mount's root. */
function stepUp(flags: number): number {
  for (;;) {
    if (dentry === rootDentry && mount === rootMount) return flags & RESOLVE_BENEATH ? -EXDEV : 0;
    if (dentry !== mount.root) break;
    if (!mount.parent || !mount.mountpoint) return 0;
    if (flags & RESOLVE_NO_XDEV) return -EXDEV;
    dentry = mount.mountpoint;
    mount = mount.parent;
  }
  if (dentry.parent) dentry = dentry.parent;
  return dentry.mounts === null ? 0 : stepDown(flags);
}

/** To the root of what is mounted here. */
function stepDown(flags: number): number {
  for (;;) {
    const covering = mountedOn(mount, dentry);
    if (covering === null) return 0;
    if (flags & RESOLVE_NO_XDEV) return -EXDEV;
    mount = covering;
    dentry = covering.root;
    if (expiring.size > 0) expiring.delete(covering);
  }
}

/** The dentry of a name in a directory, negative when there is no such name, or -errno. */
export function lookupChild(parent: Dentry, directory: Inode, name: string): Dentry | number {
  const cached = parent.children?.get(name);
  if (cached !== undefined && (cached.mounts !== null || mayCache(directory))) {
    cached.referenced = true;
    return cached;
  }
  const found = directory.lookup(name);
  if (typeof found === 'number') {
    if (found !== -ENOENT) return found;
    if (cached?.inode) unlinkDentry(cached);
    if (mayCache(directory) && !parent.unlinked) return addDentry(parent, name, null);
    return cached && !cached.inode ? cached : new Dentry(name, parent, null);
  }
  if (cached !== undefined) {
    if (!cached.inode || (cached.inode.ino === found.ino && cached.inode.device === found.device)) {
      adoptInode(cached, found);
      return cached;
    }
    unlinkDentry(cached);
  }
  return addDentry(parent, name, found);
}

/** Gives a name that was negative the inode that was made for it. */
export function instantiate(parent: Parent, inode: Inode): Dentry {
  const cached = parent.dentry.children?.get(parent.name);
  if (!cached) return addDentry(parent.dentry, parent.name, inode);
  adoptInode(cached, inode);
  return cached;
}

/** -EROFS when nothing may be changed through the mount, else 0. */
export function checkWritable(on: Mount): number {
  return on.flags & MS_RDONLY || on.superblock.readonly ? -EROFS : 0;
}
