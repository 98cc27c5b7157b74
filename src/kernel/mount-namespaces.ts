// Mount namespaces of tasks (mount_namespaces(7)): a task sees the tree that its root directory lies in. A copy made by
// unshare(2) or clone(2) goes with the last task in it.

import { EBUSY, EINVAL } from '../abi/errno.ts';
import type { FsContext, Mount, Path } from '../vfs/dentry.ts';
import { copyNamespace, isReachable, moveRoot, unmount } from '../vfs/mount.ts';
import { kernel } from './kernel.ts';
import { mountInUse } from './mount-use.ts';

/** Gives a task's file-system view, which nobody shares, a mount namespace of its own. 0 or -ENOSPC. */
export function enterNewNamespace(fs: FsContext): number {
  const { namespace } = fs.root.mount;
  if (namespace === null) return 0;
  const copies = copyNamespace(namespace);
  if (typeof copies === 'number') return copies;
  fs.root = translate(fs.root, copies);
  fs.cwd = translate(fs.cwd, copies);
  return 0;
}

function translate(path: Path, copies: ReadonlyMap<Mount, Mount>): Path {
  const mount = copies.get(path.mount);
  return mount ? path.dentry.on(mount) : path;
}

/** A file-system view has lost its last task: its namespace goes when no other task sees it. */
export function leaveNamespace(fs: FsContext): void {
  const { namespace } = fs.root.mount;
  if (namespace === null || namespace.id === 0) return;
  for (const task of kernel.tasks.values()) {
    if (task.fs !== fs && task.fs.users > 0 && task.fs.root.mount.namespace === namespace) return;
  }
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
