// What a task shares and in which namespaces it is: unshare(2), setns(2), pivot_root(2). There are mount namespaces;
// of the other kinds there is one each.

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EBADF, EINVAL, EPERM } from '../abi/errno.ts';
import { AT_FDCWD } from '../abi/fcntl.ts';
import {
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from '../abi/sched.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { NamespaceInode } from '../fs/proc/task-directory.ts';
import { enterNewNamespace, pivotRoot } from '../kernel/mount-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import type { Path } from '../vfs/dentry.ts';
import { resolve, WALK_DIRECTORY, WALK_FOLLOW } from '../vfs/walk.ts';

const OTHER_NAMESPACES =
  CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;
const PER_THREAD = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
const KNOWN = OTHER_NAMESPACES | CLONE_NEWNS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | PER_THREAD;

/** unshare(2) */
export function unshare(task: Task, flags: number): number {
  if (!(flags >= 0 && flags < 2 ** 32) || (flags | 0) & ~KNOWN) return -EINVAL;
  if (flags & PER_THREAD && task.mm.tasks.size > 1) return -EINVAL;
  if (flags & CLONE_NEWNS && !capable(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (flags & OTHER_NAMESPACES) return -EPERM;
  if (flags & (CLONE_FS | CLONE_NEWNS) && task.fs.users > 1) {
    task.fs.users--;
    task.fs = task.fs.copy();
  }
  if (flags & CLONE_NEWNS) {
    const r = enterNewNamespace(task.fs);
    if (r < 0) return r;
  }
  if (flags & CLONE_FILES && task.files.users > 1) {
    task.files.users--;
    task.files = task.files.copy();
  }
  return 0;
}

/** Kinds of which there is one namespace, where every task is. */
const KINDS: Readonly<Record<string, number>> = {
  cgroup: CLONE_NEWCGROUP,
  ipc: CLONE_NEWIPC,
  mnt: CLONE_NEWNS,
  net: CLONE_NEWNET,
  pid: CLONE_NEWPID,
  time: CLONE_NEWTIME,
  user: CLONE_NEWUSER,
  uts: CLONE_NEWUTS,
};

/** setns(2): to another mount namespace; of the other kinds a task is in the only one. */
export function setns(task: Task, fd: Fd, type: number): number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!(file.inode instanceof NamespaceInode)) return -EINVAL;
  const { type: kind, mounts } = file.inode;
  if (type !== 0 && type !== KINDS[kind]) return -EINVAL;
  if (kind === 'user') return -EINVAL;
  if (!capable(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (mounts === null) return 0;
  if (task.fs.users > 1) return -EINVAL;
  const root = mounts.root.root.on(mounts.root);
  task.fs.root = root;
  task.fs.cwd = root;
  return 0;
}

/** pivot_root(2) */
export function pivot_root(task: Task, newRoot: UserAddress, putOld: UserAddress): number {
  if (!capable(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  const target = directory(task, newRoot);
  if (typeof target === 'number') return target;
  const old = directory(task, putOld);
  return typeof old === 'number' ? old : pivotRoot(task.fs, target, old);
}

function directory(task: Task, address: UserAddress): Path | number {
  const text = task.memory.string(address);
  return typeof text === 'number' ? text : resolve(task, AT_FDCWD as Fd, text, WALK_FOLLOW | WALK_DIRECTORY);
}
