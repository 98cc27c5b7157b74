// Mount namespaces of tasks (mount_namespaces(7)): a task sees the tree that its root directory lies in. A copy made by
// unshare(2) or clone(2) goes with the last task in it, or the last open file or mount of it.

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EBUSY, EINVAL, ENOSPC } from '../abi/errno.ts';
import { type Credentials, capableIn } from '../base/credentials.ts';
import { initialUser } from '../base/user-namespace.ts';
import type { FsContext, Mount, Path } from '../vfs/dentry.ts';
import { copyNamespace, isReachable, type MountNamespace, moveRoot, unmount } from '../vfs/mount.ts';
import { kernel } from './kernel.ts';
import { mountInUse } from './mount-use.ts';
import type { Task } from './task.ts';

/** Whether the task may change the tree of mounts that it is in. */
export function mayMount(task: Task): boolean {
  const owner = task.fs.root.mount.namespace?.owner ?? initialUser;
  return capableIn(owner, task.credentials, CAP_SYS_ADMIN);
}

/** Gives a task's file-system view, which nobody shares, a mount namespace of its own. 0 or -ENOSPC. */
export function enterNewNamespace(fs: FsContext, { user, euid }: Credentials): number {
  const { namespace } = fs.root.mount;
  if (namespace === null) return 0;
  const copies = copyNamespace(namespace, user);
  if (typeof copies === 'number') return copies;
  const made = (copies.get(namespace.root) as Mount).namespace as MountNamespace;
  if (!made.count(euid)) {
    unmount(made.root, mountInUse);
    return -ENOSPC;
  }
  fs.root = translate(fs.root, copies);
  fs.cwd = translate(fs.cwd, copies);
  dropMountNamespace(namespace);
  return 0;
}

function translate(path: Path, copies: ReadonlyMap<Mount, Mount>): Path {
  const mount = copies.get(path.mount);
  return mount ? path.dentry.on(mount) : path;
}

/** A file-system view has lost its last task. */
export function leaveNamespace(fs: FsContext): void {
  const { namespace } = fs.root.mount;
  if (namespace !== null) dropMountNamespace(namespace);
}

/** A mount namespace has lost a task or a holder: it goes when there is no other. */
export function dropMountNamespace(namespace: MountNamespace): void {
  if (namespace.id === 0 || namespace.held || namespace.root.namespace !== namespace) return;
  for (const { fs } of kernel.tasks.values()) {
    if (fs.users > 0 && fs.root.mount.namespace === namespace) return;
  }
  namespace.discount();
  unmount(namespace.root, mountInUse);
}

/** pivot_root(2): `target` becomes the root of the namespace, the old root is found at `old` below it. 0 or -errno. */
export function pivotRoot(fs: FsContext, target: Path, old: Path): number {
  const root = fs.root;
  const { namespace } = root.mount;
  if (namespace === null || target.mount.namespace !== namespace || old.mount.namespace !== namespace) return -EINVAL;
  if (target.mount === root.mount || old.mount === root.mount) return -EBUSY;
  if (root.dentry !== root.mount.root || target.dentry !== target.mount.root) return -EINVAL;
  if (target.mount.parent === null || target.mount.locked) return -EINVAL;
  if (old.mount.peers || target.mount.parent.peers || root.mount.parent?.peers) return -EINVAL;
  if (!isReachable(old, target) || !isReachable(target, root)) return -EINVAL;
  moveRoot(namespace, root.mount, target.mount, old);
  const before = root;
  const after = target.mount.root.on(target.mount);
  for (const { fs: view } of kernel.tasks.values()) {
    if (same(view.root, before)) view.root = after;
    if (same(view.cwd, before)) view.cwd = after;
  }
  return 0;
}

function same(a: Path, b: Path): boolean {
  return a.mount === b.mount && a.dentry === b.dentry;
}
