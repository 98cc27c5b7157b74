// The guest's file tree, from the spec: the root and its overlay, then every mount in order, then what is masked.

import { EEXIST, ENOENT, EPERM, errnoName } from '../abi/errno.ts';
import { AT_FDCWD } from '../abi/fcntl.ts';
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
import { makeDevice, S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT } from '../abi/stat.ts';
import type { Fd, HostFd } from '../base/brands.ts';
import type { DeviceSpec, MountSpec, RootSpec, SandboxSpec } from '../base/spec.ts';
import { populateDev } from '../fs/dev/populate.ts';
import { DevptsSuperblock } from '../fs/devpts/devpts.ts';
import { HostSuperblock } from '../fs/host/superblock.ts';
import { MqueueSuperblock } from '../fs/mqueue/filesystem.ts';
import { OverlaySuperblock } from '../fs/overlay/superblock.ts';
import { ProcSuperblock } from '../fs/proc/proc.ts';
import { CgroupSuperblock } from '../fs/sys/cgroup.ts';
import { SysSuperblock } from '../fs/sys/sys.ts';
import { parseTmpfsOptions } from '../fs/tmpfs/options.ts';
import { TmpfsSuperblock } from '../fs/tmpfs/tmpfs.ts';
import type { Task } from '../kernel/task.ts';
import { memoryTotal } from '../platform/machine.ts';
import type { Mount, Path } from '../vfs/dentry.ts';
import { addDentry } from '../vfs/dentry-cache.ts';
import type { Superblock } from '../vfs/inode.ts';
import { MountNamespace, mountAt, rootDentry, topmost } from '../vfs/mount.ts';
import { instantiate, resolve, resolveParent, WALK_FOLLOW } from '../vfs/walk.ts';
import type { BoundTree, SentryArguments } from './arguments.ts';
import { copyTree } from './copy-up.ts';
import { CANNOT_START, StartError } from './start-error.ts';

const FLAG_NAMES: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  nosymfollow: MS_NOSYMFOLLOW,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
};

/** The launcher's trees that file systems are made of. */
export type Trees = Pick<SentryArguments, 'rootfs' | 'binds' | 'listen'> & {
  /** They end with their container, which may be before the sandbox does: what a file system has taken it closes. */
  readonly taken?: Set<HostFd>;
};

/** What the mounts leave behind for the streams: the first devpts, where a console gets its pts. */
export interface Mounts {
  namespace: MountNamespace;
  root: Path;
  devpts: DevptsSuperblock | null;
}

/** The root filesystem alone. Throws with a message when it cannot be opened. */
export function mountRoot(trees: Trees, spec: SandboxSpec): Mounts {
  const superblock = openRoot(trees, spec.root);
  const namespace = new MountNamespace(superblock, spec.root.readonly ? MS_RDONLY : 0);
  return { namespace, root: namespace.root.root.on(namespace.root), devpts: null };
}

/** Everything else. `task` walks the tree; it must have root's rights. */
export function mountAll(trees: Trees, spec: SandboxSpec, mounts: Mounts, task: Task): void {
  for (const mount of spec.mounts) mountOne(trees, spec, mounts, task, mount);
  for (const device of spec.devices) makeDeviceNode(mounts, task, device);
  for (const path of spec.readonlyPaths) remountReadonly(mounts, task, path);
  for (const path of spec.maskedPaths) mask(mounts, task, path);
}

function openRoot(trees: Trees, root: RootSpec): Superblock {
  const overlaid = root.overlay !== 'none';
  // Clients copy files into the root of a container (podman cp); no one else's root changes under us.
  const exclusive = trees.listen < 0;
  const rootfs = { fd: trees.rootfs, isDirectory: true };
  const lower = openTree(rootfs, exclusive, overlaid || root.readonly, root.path, trees.taken);
  if (root.overlay === 'none') return lower;
  if (root.overlay === 'memory') {
    const { mode, uid, gid } = lower.root;
    const upper = new TmpfsSuperblock({
      size: memoryTotal() / 2,
      inodes: Number.POSITIVE_INFINITY,
      mode: mode & 0o7777,
      uid,
      gid,
    });
    return new OverlaySuperblock(lower, upper, false);
  }
  const bound = trees.binds.get(root.overlay.upper);
  if (!bound) throw new Error(`the launcher did not bind ${root.overlay.upper}`);
  return new OverlaySuperblock(lower, openTree(bound, true, false, 'the overlay directory'), true);
}

function openTree(
  tree: BoundTree,
  exclusive: boolean,
  readonly: boolean,
  what: string,
  taken?: Set<HostFd>,
): Superblock {
  const superblock = HostSuperblock.open({
    directory: tree.fd,
    name: tree.isDirectory ? '.' : 'file',
    exclusive,
    readonly,
    ends: taken !== undefined,
  });
  if (typeof superblock === 'number')
    throw new StartError(`cannot open ${what}: ${errnoName(-superblock)}`, CANNOT_START);
  taken?.add(tree.fd);
  return superblock;
}

function mountOne(trees: Trees, spec: SandboxSpec, mounts: Mounts, task: Task, mount: MountSpec): void {
  if (mount.type === 'proc' || mount.type === 'sysfs') requireOrdinary(task, mount.destination);
  const superblock = makeSuperblock(trees, spec, task, withModeOfPlace(task, mount));
  if (mount.device !== null && mount.type !== 'bind') superblock.source = mount.device;
  if (superblock instanceof DevptsSuperblock) mounts.devpts ??= superblock;
  const target = mountPoint(task, mount.destination, superblock.root.isDirectory);
  if (mount.copyUp && target.dentry.inode) {
    const copied = copyTree(target.dentry.inode, superblock.root);
    if (copied < 0) throw cannotMount(mount.destination, copied);
  }
  const r = mountAt(mounts.namespace, target, superblock, mountFlags(mount.options));
  if (typeof r === 'number') throw cannotMount(mount.destination, r);
  r.locked = true;
}

function cannotMount(destination: string, errno: number): StartError {
  return new StartError(`cannot mount on ${destination}: ${errnoName(-errno)}`, CANNOT_START);
}

/** Where a link leads, an image could have the kernel's files shown to a program that takes them for others. */
function requireOrdinary(task: Task, name: string): void {
  const path = resolve(task, AT_FDCWD as Fd, name, 0);
  if (typeof path === 'number' || path.dentry.inode?.isDirectory) return;
  throw new StartError(`${name} must be mounted on ordinary directory`, CANNOT_START);
}

/** A tmpfs is as accessible as the directory that it covers, unless it says otherwise. */
function withModeOfPlace(task: Task, mount: MountSpec): MountSpec {
  if (mount.type !== 'tmpfs' || mount.options.some((option) => option.startsWith('mode='))) return mount;
  const path = resolve(task, AT_FDCWD as Fd, mount.destination, WALK_FOLLOW);
  if (typeof path === 'number' || !path.dentry.inode) return mount;
  const mode = (path.dentry.inode.mode & 0o7777).toString(8);
  return { ...mount, options: [...mount.options, `mode=${mode}`] };
}

function mountFlags(options: readonly string[]): number {
  const flags = options.reduce((all, option) => all | (FLAG_NAMES[option] ?? 0), 0);
  return flags & (MS_NOATIME | MS_STRICTATIME) ? flags & ~MS_RELATIME : flags | MS_RELATIME;
}

function makeSuperblock(trees: Trees, spec: SandboxSpec, task: Task, mount: MountSpec): Superblock {
  switch (mount.type) {
    case 'proc':
      return new ProcSuperblock(task.pidNamespace);
    case 'sysfs':
      return new SysSuperblock();
    case 'devpts':
      return new DevptsSuperblock(mount.options);
    case 'dev':
      return makeDev(spec, mount);
    case 'bind': {
      const bound = trees.binds.get(mount.source ?? '');
      if (!bound) throw new Error(`the launcher did not bind the source of ${mount.destination}`);
      const tree = openTree(bound, false, mount.options.includes('ro'), mount.destination, trees.taken);
      tree.origin = mount.device ?? '';
      return tree;
    }
    case 'cgroup':
      return new CgroupSuperblock(task.namespaces.cgroup.root);
    case 'mqueue': {
      const { mode, uid, gid } = parseTmpfsOptions(mount.options, memoryTotal());
      return new MqueueSuperblock(task.namespaces.ipc, mode, uid, gid);
    }
    case 'tmpfs':
      return new TmpfsSuperblock(parseTmpfsOptions(mount.options, memoryTotal()), mount.type);
  }
}

function makeDev(spec: SandboxSpec, mount: MountSpec): Superblock {
  const superblock = new TmpfsSuperblock(parseTmpfsOptions(mount.options, memoryTotal()), 'tmpfs');
  const r = populateDev(superblock, spec.process.terminal);
  if (r < 0) throw new Error(`cannot fill ${mount.destination}: ${errnoName(-r)}`);
  return superblock;
}

/** A device where the configuration wants one; a default one of that name gets its owner and mode. */
function makeDeviceNode(mounts: Mounts, task: Task, device: DeviceSpec): void {
  const { path, type, major, minor, mode, uid, gid } = device;
  const name = path.slice(path.lastIndexOf('/') + 1);
  makeDirectory(task, path.slice(0, -name.length - 1));
  const rdev = makeDevice(major, minor);
  const parent = resolveParent(task, AT_FDCWD as Fd, path, 0);
  if (typeof parent === 'number') throw cannotMake(path, parent);
  const found = resolve(task, AT_FDCWD as Fd, path, 0);
  let inode = typeof found === 'number' ? null : found.dentry.inode;
  if (inode?.isSymlink) return; // /dev/ptmx leads into devpts
  if (inode !== null && (inode.rdev !== rdev || inode.isDirectory)) throw cannotMake(path, -EEXIST);
  if (inode === null) {
    const kind = type === 'c' ? S_IFCHR : type === 'b' ? S_IFBLK : S_IFIFO;
    const made = parent.dentry.inode?.mknod(parent.name, kind | mode, rdev, task.credentials) ?? -ENOENT;
    if (made === -EPERM) return mountDeviceNode(mounts, task, device, kind | mode);
    if (typeof made === 'number') throw cannotMake(path, made);
    instantiate(parent, made);
    inode = made;
  }
  const r = inode.setattr({ mode, uid, gid });
  if (r < 0) throw cannotMake(path, r);
}

/** On the host's file systems we make no devices: a node of our own is mounted there. */
function mountDeviceNode(mounts: Mounts, task: Task, { path, major, minor, uid, gid }: DeviceSpec, mode: number): void {
  const superblock = new TmpfsSuperblock(parseTmpfsOptions(['size=4k'], memoryTotal()));
  const made = superblock.root.mknod('node', mode, makeDevice(major, minor), task.credentials);
  if (typeof made === 'number') throw cannotMake(path, made);
  made.setattr({ mode: mode & 0o7777, uid, gid });
  const node = addDentry(rootDentry(superblock), 'node', made);
  lock(mountAt(mounts.namespace, mountPoint(task, path, false), superblock, 0, node));
}

function cannotMake(path: string, errno: number): StartError {
  return new StartError(`cannot make the device ${path}: ${errnoName(-errno)}`, CANNOT_START);
}

/** The path to mount on; missing directories (and, for a file, the file) are made. */
function mountPoint(task: Task, destination: string, isDirectory: boolean): Path {
  const parts = destination.split('/').filter((part) => part !== '');
  for (let i = 1; i <= parts.length; i++) {
    ensure(task, `/${parts.slice(0, i).join('/')}`, isDirectory || i < parts.length);
  }
  const path = resolve(task, AT_FDCWD as Fd, destination, WALK_FOLLOW);
  if (typeof path === 'number') throw cannotMount(destination, path);
  return topmost(path);
}

/** A directory that has to be there; what cannot be made is found missing later. */
export function makeDirectory(task: Task, name: string): void {
  const parts = name.split('/').filter((part) => part !== '');
  for (let i = 1; i <= parts.length; i++) ensure(task, `/${parts.slice(0, i).join('/')}`, true);
}

function ensure(task: Task, name: string, isDirectory: boolean): void {
  const found = resolve(task, AT_FDCWD as Fd, name, WALK_FOLLOW);
  if (found !== -ENOENT) return;
  const parent = resolveParent(task, AT_FDCWD as Fd, name, 0);
  if (typeof parent === 'number') return;
  const directory = parent.dentry.inode;
  const made = isDirectory
    ? directory?.mkdir(parent.name, 0o755, task.credentials)
    : directory?.create(parent.name, 0o644, task.credentials);
  if (made !== undefined && typeof made !== 'number') instantiate(parent, made);
}

function remountReadonly(mounts: Mounts, task: Task, name: string): void {
  const path = resolve(task, AT_FDCWD as Fd, name, WALK_FOLLOW);
  if (typeof path === 'number') return;
  lock(mountAt(mounts.namespace, path, path.mount.superblock, path.mount.flags | MS_RDONLY, path.dentry));
}

/** What covers something for good is not for the guest to take off. */
function lock(mount: Mount | number): void {
  if (typeof mount !== 'number') mount.locked = true;
}

/** Files read as empty, directories are empty. */
function mask(mounts: Mounts, task: Task, name: string): void {
  const path = resolve(task, AT_FDCWD as Fd, name, WALK_FOLLOW);
  if (typeof path === 'number') return;
  if (path.dentry.inode?.isDirectory) {
    const empty = new TmpfsSuperblock(parseTmpfsOptions(['size=4k', 'mode=755'], memoryTotal()));
    lock(mountAt(mounts.namespace, path, empty, MS_RDONLY));
    return;
  }
  const device = resolve(task, AT_FDCWD as Fd, '/dev/null', WALK_FOLLOW);
  if (typeof device === 'number') throw new StartError(`cannot mask ${name}: there is no /dev/null`, CANNOT_START);
  // An image may have anything under that name, a link to what is to be masked among it.
  const inode = device.dentry.inode;
  if (((inode?.mode ?? 0) & S_IFMT) !== S_IFCHR || inode?.rdev !== makeDevice(1, 3))
    throw new StartError(`cannot mask ${name}: /dev/null is not the device`, CANNOT_START);
  lock(mountAt(mounts.namespace, path, device.mount.superblock, device.mount.flags, device.dentry));
}
