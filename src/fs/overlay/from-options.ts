// Overlays that programs mount (mount -t overlay): any directories of the tree as layers, named in the options. What is
// written stays in the upper directory, in the form of Linux's overlayfs, also after the overlay is unmounted.

import { EACCES, EINVAL, ELOOP, ENOMEM, ENOTDIR, EROFS } from '../../abi/errno.ts';
import { AT_FDCWD } from '../../abi/fcntl.ts';
import type { Fd } from '../../base/brands.ts';
import type { Task } from '../../kernel/task.ts';
import type { Path } from '../../vfs/dentry.ts';
import { unpinDentry } from '../../vfs/dentry-cache.ts';
import type { Inode, StatFs, Superblock } from '../../vfs/inode.ts';
import { releaseSuperblock } from '../../vfs/mount.ts';
import { checkAccess, MAY_EXECUTE, MAY_WRITE } from '../../vfs/permission.ts';
import { checkWritable, resolve, WALK_DIRECTORY, WALK_FOLLOW } from '../../vfs/walk.ts';
import { HostSuperblock } from '../host/superblock.ts';
import { ProcSuperblock } from '../proc/proc.ts';
import { type Layer, OPAQUE_TRUSTED, OPAQUE_USER, OverlaySuperblock } from './superblock.ts';

/** Overlays of overlays, and lower directories, that there may be: each is one more step for every lookup. */
const DEPTH_MAX = 2;
const LOWER_MAX = 64;
/** Layers of all overlays together: each takes as much of the sentry's memory as a filesystem. */
const LAYERS_MOST = 20_000;
let layersInAll = 0;

/** Options that change nothing here, with the values for which that is true. */
const NEUTRAL: Readonly<Record<string, readonly string[]>> = {
  default_permissions: [''],
  index: ['off'],
  metacopy: ['off'],
  nfs_export: ['off'],
  redirect_dir: ['off', 'nofollow'],
  uuid: ['null', 'off', 'auto', 'on'],
  verity: ['off'],
  volatile: [''],
  xino: ['off', 'auto', 'on'],
};

/** A directory of the tree as a layer. It keeps its filesystem, as an open file would. */
class PathLayer implements Layer {
  readonly root: Inode;
  private readonly path: Path;
  private readonly superblock: Superblock;

  constructor(path: Path) {
    this.path = path;
    this.root = path.dentry.inode as Inode;
    this.superblock = this.root.superblock;
    path.dentry.pins++;
    this.root.uses++;
    this.superblock.mounts++;
  }

  get device(): number {
    return this.root.device;
  }
  statfs(into: StatFs): number {
    return this.superblock.statfs(into);
  }
  sync(): number {
    return this.superblock.sync();
  }

  release(): void {
    unpinDentry(this.path.dentry);
    releaseSuperblock(this.superblock);
  }
}

interface Wanted {
  lower: string[];
  upper: string | null;
  work: string | null;
  userAttributes: boolean;
}

/** Whether an option may be given to an overlay at all, before it is known what its directories are. */
export function validOverlayOption(option: string): boolean {
  return typeof parse([option]) !== 'number';
}

function parse(options: readonly string[]): Wanted | number {
  const wanted: Wanted = { lower: [], upper: null, work: null, userAttributes: false };
  for (const option of options) {
    const equals = option.indexOf('=');
    const name = equals < 0 ? option : option.slice(0, equals);
    const value = equals < 0 ? '' : option.slice(equals + 1);
    if (name === 'lowerdir') wanted.lower = value.split(/(?<!\\):/).map((part) => part.replaceAll('\\:', ':'));
    else if (name === 'lowerdir+') wanted.lower.push(value);
    else if (name === 'upperdir') wanted.upper = value;
    else if (name === 'workdir') wanted.work = value;
    else if (name === 'userxattr') wanted.userAttributes = true;
    else if (!NEUTRAL[name]?.includes(value)) return -EINVAL;
  }
  return wanted;
}

/** The overlay that the options describe, or -errno. */
export function overlayFromOptions(task: Task, options: readonly string[]): OverlaySuperblock | number {
  const wanted = parse(options);
  if (typeof wanted === 'number') return wanted;
  const { lower, upper, work } = wanted;
  // Without a directory to write to it takes two to be an overlay.
  if (lower.length < (upper === null ? 2 : 1) || lower.length > LOWER_MAX) return -EINVAL;
  if (lower.includes('') || (upper !== null && work === null)) return -EINVAL;
  const lowers: Path[] = [];
  for (const name of lower) {
    const found = directory(task, name);
    if (typeof found === 'number') return found;
    lowers.push(found);
  }
  const top = upper === null ? null : writableDirectory(task, upper, work as string);
  if (typeof top === 'number') return top;
  return build(lowers, top, wanted.userAttributes, options);
}

function directory(task: Task, name: string): Path | number {
  const found = resolve(task, AT_FDCWD as Fd, name, WALK_FOLLOW | WALK_DIRECTORY);
  if (typeof found === 'number') return found;
  // What procfs has depends on who looks.
  if (found.dentry.inode?.superblock instanceof ProcSuperblock) return -EINVAL;
  return depthOf(found) >= DEPTH_MAX ? -EINVAL : found;
}

function depthOf({ dentry }: Path): number {
  const superblock = dentry.inode?.superblock;
  return superblock instanceof OverlaySuperblock ? superblock.depth : 0;
}

/** The upper directory: like the working directory it must be writable and on the same mount, and neither in the other. */
function writableDirectory(task: Task, upper: string, work: string): Path | number {
  const found = directory(task, upper);
  if (typeof found === 'number') return found;
  const beside = directory(task, work);
  if (typeof beside === 'number') return beside;
  if (found.mount !== beside.mount || isBelow(found, beside) || isBelow(beside, found)) return -EINVAL;
  if (checkWritable(found.mount) < 0) return -EROFS;
  // An overlay cannot keep the marks of another.
  if (found.dentry.inode?.superblock instanceof OverlaySuperblock) return -EINVAL;
  const inode = found.dentry.inode as Inode;
  if (!inode.superblock.hasHandles) return -EINVAL;
  return checkAccess(inode, task.credentials, MAY_WRITE | MAY_EXECUTE) < 0 ? -EACCES : found;
}

function isBelow(path: Path, ancestor: Path): boolean {
  for (let at: Path['dentry'] | null = path.dentry; at; at = at.parent) if (at === ancestor.dentry) return true;
  return false;
}

function build(
  lowers: readonly Path[],
  upper: Path | null,
  userAttributes: boolean,
  options: readonly string[],
): OverlaySuperblock | number {
  if (lowers.some((lower) => !lower.dentry.inode?.isDirectory)) return -ENOTDIR;
  if (lowers.some((lower) => upper && lower.dentry === upper.dentry)) return -ELOOP;
  if (layersInAll + lowers.length + 1 > LAYERS_MOST) return -ENOMEM;
  const layers = lowers.map((path) => new PathLayer(path));
  if (upper) layers.unshift(new PathLayer(upper));
  const depth = Math.max(...lowers.map(depthOf)) + 1;
  let stack: Layer = layers[layers.length - 1];
  for (let i = layers.length - 2; i >= 0; i--) {
    const layer = layers[i];
    const isTop = i === 0;
    const onHost = layer.root.superblock instanceof HostSuperblock;
    const overlay: OverlaySuperblock = new OverlaySuperblock(stack, layer, true, {
      depth,
      level: layers.length - 1 - i,
      visible: isTop && upper !== null,
      opaque: userAttributes || onHost ? OPAQUE_USER : OPAQUE_TRUSTED,
      release: () => {
        for (const one of isTop ? layers : []) one.release();
        if (isTop) layersInAll -= layers.length;
      },
    });
    stack = overlay;
  }
  layersInAll += layers.length;
  const overlay = stack as OverlaySuperblock;
  overlay.options = options.join(',');
  overlay.cannotWrite = upper === null;
  return overlay;
}
