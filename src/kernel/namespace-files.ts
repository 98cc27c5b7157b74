// Namespaces as files (nsfs; ioctl_nsfs(2)): what the links in /proc/PID/ns lead to. One inode stands for a namespace as
// long as somebody has it open or has mounted it, and holds the namespace meanwhile.

import { EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import { O_ACCMODE, O_RDONLY } from '../abi/fcntl.ts';
import {
  NS_GET_ID,
  NS_GET_MNTNS_ID,
  NS_GET_NSTYPE,
  NS_GET_OWNER_UID,
  NS_GET_PARENT,
  NS_GET_PID_FROM_PIDNS,
  NS_GET_PID_IN_PIDNS,
  NS_GET_TGID_FROM_PIDNS,
  NS_GET_TGID_IN_PIDNS,
  NS_GET_USERNS,
} from '../abi/ioctl.ts';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../abi/sched.ts';
import { NSFS_MAGIC, S_IFREG } from '../abi/stat.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { stampNow } from '../base/clock.ts';
import type { Namespace, NamespaceKind } from '../base/namespace.ts';
import { shownId, UserNamespace } from '../base/user-namespace.ts';
import { u32, writeU64 } from '../platform/arena.ts';
import { AnonymousInode } from '../vfs/anonymous.ts';
import { Dentry, Mount, type Path } from '../vfs/dentry.ts';
import { Inode, Superblock } from '../vfs/inode.ts';
import { allocateDevice, MountNamespace } from '../vfs/mount.ts';
import { OpenFile } from '../vfs/open-file.ts';
import { installFile } from './descriptors.ts';
import { dropMountNamespace } from './mount-namespaces.ts';
import { numberIn, PidNamespace } from './pid-namespaces.ts';
import type { Task } from './task.ts';

/** CLONE_NEW* of each kind. */
export const KIND_FLAGS: Readonly<Record<NamespaceKind, number>> = {
  cgroup: CLONE_NEWCGROUP,
  ipc: CLONE_NEWIPC,
  mnt: CLONE_NEWNS,
  net: CLONE_NEWNET,
  pid: CLONE_NEWPID,
  time: CLONE_NEWTIME,
  user: CLONE_NEWUSER,
  uts: CLONE_NEWUTS,
};

class NamespaceSuperblock extends Superblock {
  readonly device = allocateDevice();
  readonly typeName = 'nsfs';
  readonly root: Inode;

  constructor() {
    super();
    this.source = 'nsfs';
    this.magic = NSFS_MAGIC;
    this.root = new AnonymousInode(0o40500, null, this);
  }

  override mounted(root: Dentry): void {
    if (root.inode instanceof NamespaceInode) root.inode.namespace.hold();
  }

  override unmounted(root: Dentry): void {
    if (root.inode instanceof NamespaceInode) letGo(root.inode.namespace);
  }
}

export class NamespaceInode extends Inode {
  readonly namespace: Namespace;

  constructor(superblock: Superblock, namespace: Namespace) {
    super(superblock);
    this.namespace = namespace;
    this.ino = namespace.ino;
    this.mode = S_IFREG | 0o444;
    for (const time of [this.atime, this.mtime, this.ctime]) stampNow(time);
  }

  override open(path: Path, flags: number): OpenFile | number {
    return (flags & O_ACCMODE) === O_RDONLY ? new NamespaceFile(path, this, flags) : -EPERM;
  }

  override setattr(): number {
    return -EPERM;
  }
}

let mount: Mount | null = null;
const paths = new WeakMap<Namespace, Path>();

/** Where the file of a namespace is: on a mount of their own, which no name leads to. */
export function namespacePath(namespace: Namespace): Path {
  const known = paths.get(namespace);
  if (known) return known;
  if (!mount) {
    const superblock = new NamespaceSuperblock();
    mount = new Mount(0, superblock, new Dentry('', null, superblock.root), 0);
  }
  const inode = new NamespaceInode(mount.superblock, namespace);
  const dentry = new Dentry(namespaceName(namespace), null, inode);
  dentry.pins++;
  const path = { mount, dentry };
  paths.set(namespace, path);
  return path;
}

/** As its links show it: `net:[4026532201]`. */
export function namespaceName({ kind, ino }: Namespace): string {
  return `${kind}:[${ino}]`;
}

export function isNamespacePath(path: Path): boolean {
  return path.mount === mount;
}

function letGo(namespace: Namespace): void {
  namespace.letGo();
  if (namespace instanceof MountNamespace) dropMountNamespace(namespace);
}

/** An open file of a namespace. */
export class NamespaceFile extends OpenFile {
  declare readonly inode: NamespaceInode;

  constructor(path: Path, inode: NamespaceInode, flags: number) {
    super(path, inode, flags);
    inode.namespace.hold();
  }

  override get linkText(): string {
    return namespaceName(this.inode.namespace);
  }

  override release(): void {
    letGo(this.inode.namespace);
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const { namespace } = this.inode;
    switch (command) {
      case NS_GET_USERNS:
        return openOwner(task, namespace.owner === namespace ? null : namespace.owner);
      case NS_GET_PARENT:
        return openParent(task, namespace);
      case NS_GET_NSTYPE:
        return KIND_FLAGS[namespace.kind];
      case NS_GET_OWNER_UID: {
        if (!(namespace instanceof UserNamespace)) return -EINVAL;
        const at = task.memory.out(argument, 4);
        if (at < 0) return at;
        u32[at >>> 2] = shownId(task.credentials.user.uidMap, namespace.ownerUid);
        return 0;
      }
      case NS_GET_MNTNS_ID:
        return namespace instanceof MountNamespace ? putId(task, argument, mountNamespaceId(namespace)) : -EINVAL;
      case NS_GET_ID:
        return putId(task, argument, namespace.ino);
      case NS_GET_PID_FROM_PIDNS:
      case NS_GET_TGID_FROM_PIDNS:
      case NS_GET_PID_IN_PIDNS:
      case NS_GET_TGID_IN_PIDNS:
        return namespace instanceof PidNamespace ? translate(task, namespace, command, argument) : -EINVAL;
      default:
        return super.ioctl(task, command, argument);
    }
  }
}

/** What statmount(2) and listmount(2) call a mount namespace by. */
export function mountNamespaceId({ id }: MountNamespace): number {
  return id + 1;
}

function putId(task: Task, address: UserAddress, id: number): number {
  const at = task.memory.out(address, 8);
  if (at < 0) return at;
  writeU64(at, id);
  return 0;
}

/** A descriptor of a namespace, or -EMFILE. */
export function openNamespace(task: Task, namespace: Namespace): number {
  const path = namespacePath(namespace);
  return installFile(task, new NamespaceFile(path, path.dentry.inode as NamespaceInode, 0), true);
}

/** Only user namespaces that the caller is in or above are shown to it. */
function openOwner(task: Task, owner: UserNamespace | null): number {
  return owner?.isWithin(task.credentials.user) ? openNamespace(task, owner) : -EPERM;
}

function openParent(task: Task, namespace: Namespace): number {
  if (namespace instanceof UserNamespace) return openOwner(task, namespace.parent);
  if (!(namespace instanceof PidNamespace)) return -EINVAL;
  const { parent } = namespace;
  return parent?.isWithin(task.pidNamespace) ? openNamespace(task, parent) : -EPERM;
}

/** NS_GET_*_FROM_PIDNS: the caller's number of one that is known by its number there; _IN_PIDNS: the reverse. */
function translate(task: Task, namespace: PidNamespace, command: number, number: number): number {
  const inwards = command === NS_GET_PID_IN_PIDNS || command === NS_GET_TGID_IN_PIDNS;
  const processes = command === NS_GET_TGID_FROM_PIDNS || command === NS_GET_TGID_IN_PIDNS;
  const from = inwards ? task.pidNamespace : namespace;
  const target = from.tasks.get(number as Pid);
  if (!target) return -ESRCH;
  const result = numberIn(inwards ? namespace : task.pidNamespace, processes ? target.group : target);
  return result === 0 ? -ESRCH : result;
}
