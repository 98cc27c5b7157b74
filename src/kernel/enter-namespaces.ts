// Entering namespaces: new ones (unshare(2), clone(2)) and those that are there (setns(2)). Whoever makes a user
// namespace together with others has all capabilities over them; without one it takes CAP_SYS_ADMIN.

import { CAP_SYS_ADMIN, CAP_SYS_CHROOT } from '../abi/capability.ts';
import { EINVAL, EPERM, EUSERS } from '../abi/errno.ts';
import { CLONE_NEWNS, CLONE_NEWUSER } from '../abi/sched.ts';
import { type Credentials, capableIn, hasCapabilityIn } from '../base/credentials.ts';
import type { Namespace } from '../base/namespace.ts';
import { UserNamespace } from '../base/user-namespace.ts';
import { MountNamespace, topmost } from '../vfs/mount.ts';
import { commitCredentials } from './credentials.ts';
import { dropMountNamespace, enterNewNamespace } from './mount-namespaces.ts';
import {
  CgroupNamespace,
  discardNamespaces,
  IpcNamespace,
  leaveNamespaces,
  type NamespaceSet,
  NetworkNamespace,
  namespaceSet,
  newNamespaces,
  SET_FLAGS,
  TimeNamespace,
  UtsNamespace,
  useNamespaces,
} from './namespaces.ts';
import { PidNamespace } from './pid-namespaces.ts';
import type { Task } from './task.ts';
import { tellShiftedTime } from './time-namespaces.ts';
import { credentialsIn, newUserCredentials } from './user-namespaces.ts';

/** What CLONE_NEW* flags ask for: credentials (the task's own without CLONE_NEWUSER) and a set, null for no change. */
export interface PreparedNamespaces {
  readonly credentials: Credentials;
  readonly set: NamespaceSet | null;
}

/** Checks and makes what flags of CLONE_NEW* ask for, but for mounts, of which it only says whether they may be. */
export function prepareNamespaces(task: Task, flags: number): PreparedNamespaces | number {
  const credentials = flags & CLONE_NEWUSER ? newUserCredentials(task) : task.credentials;
  if (typeof credentials === 'number') return credentials;
  if (!(flags & (SET_FLAGS | CLONE_NEWNS))) return { credentials, set: null };
  if (!hasCapabilityIn(credentials.effective, CAP_SYS_ADMIN)) return -EPERM;
  if (!(flags & SET_FLAGS)) return { credentials, set: null };
  const set = newNamespaces(task.namespaces, flags, credentials.user, task.pidNamespace, credentials.euid);
  return typeof set === 'number' ? set : { credentials, set };
}

/** Gives a task another set of namespaces. */
export function changeNamespaces(task: Task, set: NamespaceSet): void {
  const old = task.namespaces;
  task.namespaces = useNamespaces(namespaceSet(set));
  leaveNamespaces(old);
}

/** A program that is executed is in the time namespace that was meant for children (time_namespaces(7)). */
export function enterTimeOfChildren(task: Task): void {
  const { namespaces } = task;
  if (namespaces.time !== namespaces.timeForChildren) {
    namespaces.timeForChildren.frozen = true;
    changeNamespaces(task, { ...namespaces, time: namespaces.timeForChildren });
  }
  tellShiftedTime(task);
}

/** unshare(2) of namespaces; the task's view of filesystems is its own already where it must be. 0 or -errno. */
export function unshareNamespaces(task: Task, flags: number): number {
  const prepared = prepareNamespaces(task, flags);
  if (typeof prepared === 'number') return prepared;
  const { credentials, set } = prepared;
  if (flags & CLONE_NEWNS) {
    const r = enterNewNamespace(task.fs, credentials);
    if (r < 0) {
      if (set) discardNamespaces(set);
      return r;
    }
  }
  if (set) changeNamespaces(task, set);
  if (flags & CLONE_NEWUSER) commitCredentials(task, credentials);
  return 0;
}

/** setns(2): all of the namespaces or none. 0 or -errno. */
export function enterNamespaces(task: Task, targets: readonly Namespace[]): number {
  // The user namespace comes first: it may give the right to enter the others.
  const sorted = [...targets].sort((a, b) => Number(b instanceof UserNamespace) - Number(a instanceof UserNamespace));
  let { credentials } = task;
  let set: NamespaceSet = task.namespaces;
  let mounts: MountNamespace | null = null;
  for (const target of sorted) {
    if (target instanceof UserNamespace) {
      const entered = enterUser(task, target);
      if (typeof entered === 'number') return entered;
      credentials = entered;
      continue;
    }
    if (!capableIn(target.owner, credentials, CAP_SYS_ADMIN)) return -EPERM;
    if (!hasCapabilityIn(credentials.effective, CAP_SYS_ADMIN)) return -EPERM;
    if (target instanceof MountNamespace) {
      if (!hasCapabilityIn(credentials.effective, CAP_SYS_CHROOT)) return -EPERM;
      if (task.fs.users > 1) return -EINVAL;
      mounts = target;
      continue;
    }
    const next = withNamespace(task, set, target);
    if (typeof next === 'number') return next;
    set = next;
  }
  if (set !== task.namespaces) changeNamespaces(task, set);
  tellShiftedTime(task);
  if (mounts) enterMounts(task, mounts);
  if (credentials !== task.credentials) commitCredentials(task, credentials);
  return 0;
}

function enterUser(task: Task, user: UserNamespace): Credentials | number {
  if (user === task.credentials.user || task.group.threads.size > 1 || task.fs.users > 1) return -EINVAL;
  if (!capableIn(user, task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  return credentialsIn(user, task.credentials);
}

function withNamespace(task: Task, set: NamespaceSet, target: Namespace): NamespaceSet | number {
  if (target instanceof UtsNamespace) return { ...set, uts: target };
  if (target instanceof IpcNamespace) return { ...set, ipc: target };
  if (target instanceof NetworkNamespace) return { ...set, net: target };
  if (target instanceof CgroupNamespace) return { ...set, cgroup: target };
  if (target instanceof PidNamespace) {
    return target.isWithin(task.pidNamespace) ? { ...set, pidForChildren: target } : -EINVAL;
  }
  if (!(target instanceof TimeNamespace)) return -EINVAL;
  if (task.group.threads.size > 1) return -EUSERS;
  target.frozen = true;
  return { ...set, time: target, timeForChildren: target };
}

function enterMounts({ fs }: Task, mounts: MountNamespace): void {
  const old = fs.root.mount.namespace;
  const root = topmost(mounts.root.root.on(mounts.root));
  fs.root = root;
  fs.cwd = root;
  if (old !== null) dropMountNamespace(old);
}
