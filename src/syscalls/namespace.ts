// What a task shares and in which namespaces it is: unshare(2), setns(2), pivot_root(2), reboot(2) of a pid
// namespace.

import { CAP_SYS_BOOT } from '../abi/capability.ts';
import { EBADF, EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
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
import { SIGHUP, SIGINT } from '../abi/signal.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capableIn } from '../base/credentials.ts';
import type { Namespace } from '../base/namespace.ts';
import { PidFile } from '../fs/pidfd/pidfd.ts';
import { ANSWERED } from '../kernel/block.ts';
import { mayInspect } from '../kernel/credentials.ts';
import { enterNamespaces, unshareNamespaces } from '../kernel/enter-namespaces.ts';
import { killGroup } from '../kernel/exit.ts';
import { checkTableSize } from '../kernel/limits.ts';
import { mayMount, pivotRoot } from '../kernel/mount-namespaces.ts';
import { KIND_FLAGS, NamespaceInode } from '../kernel/namespace-files.ts';
import { DEAD, type Task } from '../kernel/task.ts';
import type { Path } from '../vfs/dentry.ts';
import { resolve, WALK_DIRECTORY, WALK_FOLLOW } from '../vfs/walk.ts';

const NAMESPACES =
  CLONE_NEWCGROUP |
  CLONE_NEWUTS |
  CLONE_NEWIPC |
  CLONE_NEWUSER |
  CLONE_NEWPID |
  CLONE_NEWNET |
  CLONE_NEWTIME |
  CLONE_NEWNS;
const REBOOT_MAGIC = 0xfee1dead;
const REBOOT_MAGICS: readonly number[] = [672274793, 85072278, 369367448, 537993216];
/** By command: restart (also with a text), halt, power off. */
const REBOOT_SIGNALS: ReadonlyMap<number, number> = new Map([
  [0x01234567, SIGHUP],
  [0xa1b2c3d4, SIGHUP],
  [0xcdef0123, SIGINT],
  [0x4321fedc, SIGINT],
]);

const PER_THREAD = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
const KNOWN = NAMESPACES | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | PER_THREAD;

/** unshare(2) */
export function unshare(task: Task, given: number): number {
  if (!(given >= 0 && given < 2 ** 32) || (given | 0) & ~KNOWN) return -EINVAL;
  let flags = given | 0;
  if (flags & CLONE_NEWUSER) flags |= CLONE_THREAD | CLONE_FS;
  if (flags & CLONE_NEWNS) flags |= CLONE_FS;
  if (flags & CLONE_THREAD && task.group.threads.size > 1) return -EINVAL;
  if (flags & (CLONE_SIGHAND | CLONE_VM) && task.mm.tasks.size > 1) return -EINVAL;
  const ownFiles = (flags & CLONE_FILES) !== 0 && task.files.users > 1;
  const tooMany = ownFiles ? checkTableSize(task.files) : 0;
  if (tooMany < 0) return tooMany;
  if (flags & CLONE_FS && task.fs.users > 1) {
    task.fs.users--;
    task.fs = task.fs.copy();
  }
  if (flags & NAMESPACES) {
    const r = unshareNamespaces(task, flags);
    if (r < 0) return r;
  }
  if (ownFiles) {
    task.files.users--;
    task.files = task.files.copy();
  }
  return 0;
}

/** setns(2): to a namespace by its file, or to some of those of a process by its pidfd */
export function setns(task: Task, fd: Fd, type: number): number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (file instanceof PidFile) return enterThoseOf(task, file, type);
  if (!(file.inode instanceof NamespaceInode)) return -EINVAL;
  const { namespace } = file.inode;
  if (type !== 0 && type !== KIND_FLAGS[namespace.kind]) return -EINVAL;
  return enterNamespaces(task, [namespace]);
}

function enterThoseOf(task: Task, { group, thread }: PidFile, flags: number): number {
  if (flags === 0 || flags & ~NAMESPACES) return -EINVAL;
  const target = thread ?? group.leader;
  if (group.status >= 0 || target.state === DEAD) return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  const { namespaces, credentials, fs, pidNamespace } = target;
  const { cgroup, ipc, net, time, uts } = namespaces;
  const all: (Namespace | null)[] = [
    credentials.user,
    fs.root.mount.namespace,
    uts,
    ipc,
    pidNamespace,
    cgroup,
    net,
    time,
  ];
  const wanted = all.filter((one): one is Namespace => one !== null && (flags & KIND_FLAGS[one.kind]) !== 0);
  return enterNamespaces(task, wanted);
}

/** pivot_root(2) */
export function pivot_root(task: Task, newRoot: UserAddress, putOld: UserAddress): number {
  if (!mayMount(task)) return -EPERM;
  const target = directory(task, newRoot);
  if (typeof target === 'number') return target;
  const old = directory(task, putOld);
  return typeof old === 'number' ? old : pivotRoot(task.fs, target, old);
}

function directory(task: Task, address: UserAddress): Path | number {
  const text = task.memory.string(address);
  return typeof text === 'number' ? text : resolve(task, AT_FDCWD as Fd, text, WALK_FOLLOW | WALK_DIRECTORY);
}

/** reboot(2): of a pid namespace that was made in the sandbox, whose init ends as by SIGHUP or SIGINT. */
export function reboot(task: Task, magic: number, magic2: number, command: number): number {
  const { pidNamespace } = task;
  if (!capableIn(pidNamespace.owner, task.credentials, CAP_SYS_BOOT)) return -EPERM;
  if (magic >>> 0 !== REBOOT_MAGIC || !REBOOT_MAGICS.includes(magic2 >>> 0)) return -EINVAL;
  if (pidNamespace.parent === null) return -EPERM;
  const signo = REBOOT_SIGNALS.get(command >>> 0);
  const { init } = pidNamespace;
  if (signo === undefined || init === null) return -EINVAL;
  const own = init === task.group;
  killGroup(init, signo, own ? task : null);
  return own ? ANSWERED : 0;
}
