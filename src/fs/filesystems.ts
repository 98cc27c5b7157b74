// Filesystems that a program may mount (mount(2)) by their type's name. None of them is on a device: each is made by the
// sentry, so there is nothing of the host to reach through one.

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EINVAL, ENODEV, EPERM } from '../abi/errno.ts';
import { capableIn } from '../base/credentials.ts';
import { initialUser, type UserNamespace } from '../base/user-namespace.ts';
import { kernel } from '../kernel/kernel.ts';
import type { Task } from '../kernel/task.ts';
import { gidFrom, uidFrom } from '../kernel/user-namespaces.ts';
import { memoryTotal } from '../platform/machine.ts';
import type { Mount } from '../vfs/dentry.ts';
import type { Inode, Superblock } from '../vfs/inode.ts';
import { DevptsSuperblock } from './devpts/devpts.ts';
import { MqueueSuperblock } from './mqueue/filesystem.ts';
import { overlayFromOptions, validOverlayOption } from './overlay/from-options.ts';
import { ProcSuperblock } from './proc/proc.ts';
import { CgroupSuperblock } from './sys/cgroup.ts';
import { cgroupV1, validV1Option } from './sys/cgroup-v1.ts';
import { SysSuperblock } from './sys/sys.ts';
import { parseTmpfsOptions, type TmpfsOptions, validTmpfsOptions } from './tmpfs/options.ts';
import { TmpfsSuperblock } from './tmpfs/tmpfs.ts';
import { FixedDirectory } from './virtual/directory.ts';

const TYPES = ['tmpfs', 'mqueue', 'ramfs', 'proc', 'sysfs', 'devpts', 'cgroup', 'cgroup2', 'overlay'];

/** 0, or -ENODEV if there is no such type. */
export function knownFilesystem(type: string): number {
  return TYPES.includes(type) ? 0 : -ENODEV;
}

/** A filesystem of the type, with the type's own options; -ENODEV if there is no such type, -EINVAL for bad options. */
export function makeFilesystem(type: string, options: readonly string[]): Superblock | number {
  const task = kernel.current;
  if (task && !capableIn(rulerOf(task, type), task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (task && (type === 'proc' || type === 'sysfs') && uncovers(task, type)) return -EPERM;
  const made = make(type, options, task);
  if (typeof made !== 'number' && task) made.user = task.credentials.user;
  return made;
}

/**
 * Whether a new mount of proc or sysfs would show a program what was covered for it: in a mount namespace of another
 * user namespace there must be one already on which nothing locked covers anything (mount_namespaces(7)).
 */
function uncovers({ fs }: Task, type: string): boolean {
  const { namespace } = fs.root.mount;
  return namespace !== null && namespace.owner !== initialUser && !showsAll(namespace.root, type);
}

function showsAll(mount: Mount, type: string): boolean {
  const { superblock, root, children } = mount;
  const whole = superblock.typeName === type && root === superblock.rootDentry;
  if (whole && !children.some((child) => child.locked && !isEmptyDirectory(child.mountpoint?.inode))) return true;
  return children.some((child) => showsAll(child, type));
}

/** A directory that is there to be mounted on. */
function isEmptyDirectory(inode: Inode | null | undefined): boolean {
  return inode instanceof FixedDirectory && inode.entries.size === 0;
}

/** Whether an option makes sense for the type by itself: 0 or -errno. */
export function checkOption(type: string, option: string): number {
  if (type === 'overlay') return validOverlayOption(option) ? 0 : -EINVAL;
  if (type === 'cgroup') return validV1Option(option) ? 0 : -EINVAL;
  const made = makeFilesystem(type, [option]);
  return typeof made === 'number' ? made : 0;
}

/** Whose capability it takes: what shows a namespace is for those who rule over that. */
function rulerOf({ credentials, namespaces, pidNamespace }: Task, type: string): UserNamespace {
  if (type === 'proc') return pidNamespace.owner;
  if (type === 'sysfs') return namespaces.net.owner;
  // A hierarchy takes its controllers from everyone else.
  if (type === 'cgroup') return initialUser;
  return type === 'mqueue' ? namespaces.ipc.owner : credentials.user;
}

function make(type: string, options: readonly string[], task: Task | null): Superblock | number {
  switch (type) {
    case 'tmpfs':
      if (!validTmpfsOptions(options)) return -EINVAL;
      return new TmpfsSuperblock(tmpfsOptions(options, task), type);
    case 'mqueue': {
      if (!validTmpfsOptions(options)) return -EINVAL;
      const { mode, uid, gid } = tmpfsOptions(options, task);
      return task ? new MqueueSuperblock(task.namespaces.ipc, mode, uid, gid) : -ENODEV;
    }
    case 'ramfs': {
      const bounds = tmpfsOptions(options, task);
      return new TmpfsSuperblock({ ...bounds, size: Infinity, inodes: Infinity }, type);
    }
    case 'proc':
      return new ProcSuperblock(task?.pidNamespace);
    case 'sysfs':
      return new SysSuperblock();
    case 'devpts':
      return new DevptsSuperblock(options);
    case 'overlay':
      return task ? overlayFromOptions(task, options) : -ENODEV;
    case 'cgroup':
      return cgroupV1(options);
    case 'cgroup2':
      return new CgroupSuperblock(task?.namespaces.cgroup.root);
    default:
      return -ENODEV;
  }
}

/** Ids are given as the task has them; the root of what it mounts is its own. */
function tmpfsOptions(options: readonly string[], task: Task | null): TmpfsOptions {
  const parsed = parseTmpfsOptions(options, memoryTotal());
  if (!task) return parsed;
  const given = (name: string): boolean => options.some((option) => option.startsWith(`${name}=`));
  parsed.uid = given('uid') ? uidFrom(task, parsed.uid) : task.credentials.fsuid;
  parsed.gid = given('gid') ? gidFrom(task, parsed.gid) : task.credentials.fsgid;
  return parsed;
}
