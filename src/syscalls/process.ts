// Processes and threads: making them, executing programs, ending, waiting (clone(2), execve(2), exit(2), wait(2)).

import { E2BIG, EAGAIN, EBADF, EBUSY, ECHILD, EFAULT, EINVAL, ELOOP, ENODEV, EPERM, ESRCH } from '../abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../abi/fcntl.ts';
import {
  CLONE_ARGS_CGROUP,
  CLONE_ARGS_CHILD_TID,
  CLONE_ARGS_EXIT_SIGNAL,
  CLONE_ARGS_FLAGS,
  CLONE_ARGS_PARENT_TID,
  CLONE_ARGS_PIDFD,
  CLONE_ARGS_SET_TID,
  CLONE_ARGS_SET_TID_SIZE,
  CLONE_ARGS_SIZE_VER0,
  CLONE_ARGS_SIZE_VER1,
  CLONE_ARGS_STACK,
  CLONE_ARGS_STACK_SIZE,
  CLONE_ARGS_TLS,
  CLONE_CLEAR_SIGHAND,
  CLONE_DETACHED,
  CLONE_INTO_CGROUP,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  CSIGNAL,
} from '../abi/sched.ts';
import { SIGCHLD } from '../abi/signal.ts';
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WUNTRACED,
} from '../abi/wait.ts';
import type { Fd, Pid, UserAddress } from '../base/brands.ts';
import { installPidfd, pidfdGroup } from '../fs/pidfd/install.ts';
import { CgroupDirectory } from '../fs/sys/cgroup.ts';
import { complete } from '../kernel/answer.ts';
import { ANSWERED, block } from '../kernel/block.ts';
import { type Cgroup, moveProcess } from '../kernel/cgroups.ts';
import { type CloneArguments, cloneTask } from '../kernel/clone.ts';
import { execTask } from '../kernel/exec.ts';
import { exitGroup, exitThread } from '../kernel/exit.ts';
import { kernel } from '../kernel/kernel.ts';
import { MAX_PID_LEVEL, numberIn } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { wantChildUsage, writeGroupUsage } from '../kernel/usage.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { type ChildEvent, findChildEvent, type Waited } from '../kernel/wait.ts';
import { readStringArrays } from '../mm/string-array.ts';
import { order } from '../platform/answer.ts';
import { i32, readU64, u8, u32, writeU64 } from '../platform/arena.ts';
import { ACT_ORDER_RETURN, H_FS_BASE, ORDER_BASES, ORDER_SYSCALL, SLOT_SIZE } from '../platform/layout.ts';
import { checkAccess, MAY_WRITE } from '../vfs/permission.ts';
import { resolve, WALK_EMPTY, WALK_FOLLOW } from '../vfs/walk.ts';

const PAGE_SIZE = 4096;
const SYS_SET_TID_ADDRESS = 218;
const ARCH_SET_FS = 0x1002;
const ARCH_GET_FS = 0x1003;
const ARCH_GET_CPUID = 0x1011;
const ARCH_SET_CPUID = 0x1012;

export function fork(task: Task): number {
  return cloneTask(task, { flags: 0, exitSignal: SIGCHLD, stack: 0, tls: 0, parentTid: 0, childTid: 0 });
}

export function vfork(task: Task): number {
  const flags = CLONE_VM | CLONE_VFORK;
  return cloneTask(task, { flags, exitSignal: SIGCHLD, stack: 0, tls: 0, parentTid: 0, childTid: 0 });
}

export function clone(
  task: Task,
  flags: number,
  stack: number,
  parentTid: UserAddress,
  childTid: UserAddress,
  tls: number,
): number {
  const low = flags % 4294967296;
  const args: CloneArguments = { flags: low & ~CSIGNAL, exitSignal: low & CSIGNAL, stack, tls, parentTid, childTid };
  if (!(low & CLONE_PIDFD)) return cloneTask(task, args);
  // The pidfd comes back where the parent's tid would.
  if (low & (CLONE_PARENT_SETTID | CLONE_DETACHED)) return -EINVAL;
  return cloneTask(task, args, (child) => installPidfd(task, child, parentTid));
}

export function clone3(task: Task, address: UserAddress, size: number): number {
  if (size > PAGE_SIZE) return -E2BIG;
  if (size < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  const at = task.memory.in(address, size);
  if (at < 0) return at;
  for (let i = CLONE_ARGS_CGROUP + 8; i < size; i++) if (u8[at + i] !== 0) return -E2BIG;
  const given = readU64(at + CLONE_ARGS_FLAGS);
  const into = given % (2 * CLONE_INTO_CGROUP) >= CLONE_INTO_CGROUP;
  const flags = into ? given - CLONE_INTO_CGROUP : given;
  const cgroup = into ? cgroupOf(task, size >= CLONE_ARGS_CGROUP + 8 ? readU64(at + CLONE_ARGS_CGROUP) : -1) : null;
  if (typeof cgroup === 'number') return cgroup;
  const stack = readU64(at + CLONE_ARGS_STACK);
  const stackSize = readU64(at + CLONE_ARGS_STACK_SIZE);
  const exitSignal = readU64(at + CLONE_ARGS_EXIT_SIGNAL);
  const pidfd = readU64(at + CLONE_ARGS_PIDFD) as UserAddress;
  const setTid = size >= CLONE_ARGS_SIZE_VER1 ? readU64(at + CLONE_ARGS_SET_TID) : 0;
  const setTidSize = size >= CLONE_ARGS_SIZE_VER1 ? readU64(at + CLONE_ARGS_SET_TID_SIZE) : 0;
  if ((flags % 4294967296) & (CLONE_DETACHED | (CSIGNAL & ~0x80)) || flags >= 2 * CLONE_CLEAR_SIGHAND) return -EINVAL;
  if ((stack === 0) !== (stackSize === 0) || exitSignal > 64) return -EINVAL;
  if ((flags % 4294967296) & (CLONE_THREAD | CLONE_PARENT) && exitSignal !== 0) return -EINVAL;
  const args: CloneArguments = {
    flags,
    exitSignal,
    stack: stack + stackSize,
    tls: readU64(at + CLONE_ARGS_TLS),
    parentTid: readU64(at + CLONE_ARGS_PARENT_TID),
    childTid: readU64(at + CLONE_ARGS_CHILD_TID),
  };
  if (setTidSize > MAX_PID_LEVEL || (setTid === 0) !== (setTidSize === 0)) return -EINVAL;
  if (setTidSize > 0) {
    const from = task.memory.in(setTid as UserAddress, 4 * setTidSize);
    if (from < 0) return from;
    args.setTid = [...i32.subarray(from >>> 2, (from >>> 2) + setTidSize)];
  }
  const wantsPidfd = ((flags % 4294967296) & CLONE_PIDFD) !== 0;
  if (!wantsPidfd && !cgroup) return cloneTask(task, args);
  return cloneTask(task, args, (child) => {
    if (cgroup) moveProcess(cgroup, child.group, kernel.groups.values());
    return wantsPidfd ? installPidfd(task, child, pidfd) : 0;
  });
}

/** The cgroup whose directory a descriptor is of (CLONE_INTO_CGROUP), or -errno. */
function cgroupOf(task: Task, fd: number): Cgroup | number {
  if (fd < 0 || fd > 0x7fffffff) return -EINVAL;
  const inode = task.files.get(fd as Fd)?.inode;
  if (!inode) return -EBADF;
  if (!(inode instanceof CgroupDirectory)) return -EBADF;
  const { cgroup } = inode;
  if (cgroup.removed) return -ENODEV;
  if (cgroup.enabled.size > 0 && cgroup.parent) return -EBUSY;
  const procs = inode.lookup('cgroup.procs');
  return typeof procs === 'number' ? procs : checkAccess(procs, task.credentials, MAY_WRITE) || cgroup;
}

export function execve(task: Task, path: UserAddress, argv: UserAddress, envp: UserAddress): number {
  return executeAt(task, AT_FDCWD as Fd, path, argv, envp, 0);
}

export function execveat(
  task: Task,
  dirfd: Fd,
  path: UserAddress,
  argv: UserAddress,
  envp: UserAddress,
  flags: number,
): number {
  if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) return -EINVAL;
  return executeAt(task, dirfd, path, argv, envp, flags);
}

function executeAt(
  task: Task,
  dirfd: Fd,
  pathAddress: UserAddress,
  argv: UserAddress,
  envp: UserAddress,
  flags: number,
) {
  const name = task.memory.string(pathAddress);
  if (typeof name === 'number') return name;
  const walk = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
  const path = resolve(task, dirfd, name, walk);
  if (typeof path === 'number') return path;
  if (path.dentry.inode?.isSymlink) return -ELOOP;
  const strings = readStringArrays(task.memory, [argv, envp]);
  if (typeof strings === 'number') return strings;
  const [args, environment] = strings;
  const shown = dirfd === AT_FDCWD || name.startsWith('/') ? name : `/dev/fd/${dirfd}${name ? `/${name}` : ''}`;
  const r = execTask(task, path, shown, args, environment);
  return r < 0 ? r : ANSWERED;
}

export function exit(task: Task, status: number): number {
  return exitThread(task, (status & 0xff) << 8);
}

export function exit_group(task: Task, status: number): number {
  return exitGroup(task, (status & 0xff) << 8);
}

export function wait4(task: Task, pid: number, status: UserAddress, options: number, usage: UserAddress): number {
  if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL)) return -EINVAL;
  if (pid === -(2 ** 31)) return -ESRCH;
  if (usage !== 0) wantChildUsage();
  const target = pid === -1 ? null : pid > 0 ? findProcess(task, pid) : findProcessGroup(task, -pid);
  const event = waitForChild(task, target, options | WEXITED);
  if (typeof event === 'number') return event;
  if (status !== 0) {
    const at = task.memory.out(status, 4);
    if (at < 0) return -EFAULT;
    i32[at >>> 2] = event.status;
  }
  const { group } = event;
  if (!group) return 0;
  if (usage !== 0) writeGroupUsage(task, group, usage);
  return numberIn(task.pidNamespace, event.who);
}

export function waitid(
  task: Task,
  type: number,
  id: number,
  info: UserAddress,
  options: number,
  usage: UserAddress,
): number {
  if (options & ~(WNOHANG | WNOWAIT | WEXITED | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
    return -EINVAL;
  if (!(options & (WEXITED | WUNTRACED | WCONTINUED))) return -EINVAL;
  if (usage !== 0) wantChildUsage();
  let target: Named = null;
  let impatient = false;
  if (type !== P_PID && type !== P_PIDFD && type !== P_PGID && type !== P_ALL) return -EINVAL;
  if (type === P_PID && id <= 0) return -EINVAL;
  if (type === P_PGID && id < 0) return -EINVAL;
  if (type === P_PID) target = findProcess(task, id);
  if (type === P_PGID) target = findProcessGroup(task, id);
  if (type === P_PIDFD) {
    const found = pidfdGroup(task, id as Fd);
    if (typeof found === 'number') return found;
    if (task.files.get(id as Fd)?.nonblocking) impatient = true;
    target = found;
  }
  const event =
    impatient && !(options & WNOHANG) ? pollChild(task, target, options) : waitForChild(task, target, options);
  if (typeof event === 'number' && event < 0) return event;
  return writeChildInfo(task, event, info, usage);
}

function writeChildInfo(task: Task, event: ChildEvent | number, info: UserAddress, usage: UserAddress): number {
  const group = typeof event === 'number' ? null : event.group;
  if (info !== 0) {
    const at = task.memory.out(info, 128);
    if (at < 0) return at;
    u8.fill(0, at, at + 128);
    if (group && typeof event !== 'number') {
      i32[at >>> 2] = SIGCHLD;
      i32[(at + 8) >>> 2] = event.code;
      i32[(at + 16) >>> 2] = numberIn(task.pidNamespace, event.who);
      u32[(at + 20) >>> 2] = uidSeen(task, group.leader.credentials.uid);
      i32[(at + 24) >>> 2] = event.value;
    }
  }
  if (group && usage !== 0) writeGroupUsage(task, group, usage);
  return 0;
}

/** Whom a wait is for; undefined for a number that nobody has. */
type Named = Waited | undefined;

/** A process, or a thread that the caller's process traces, which may have ended. */
function findProcess(task: Task, pid: number): Named {
  const { groups } = task.pidNamespace;
  const group = groups.get(pid as Pid);
  if (group) return group;
  for (const thread of task.group.threads) {
    if (thread.tracees === null) continue;
    for (const tracee of thread.tracees) if (numberIn(task.pidNamespace, tracee) === pid) return tracee;
  }
  return undefined;
}

/** 0 is the caller's own. */
function findProcessGroup(task: Task, id: number): Named {
  return id === 0 ? task.group.processGroup : task.pidNamespace.processGroups.get(id as Pid);
}

/** The event, or a number to return: 0 for WNOHANG, WAIT, or -errno. */
function waitForChild(task: Task, target: Named, options: number): ChildEvent | number {
  const found = target === undefined ? -ECHILD : findChildEvent(task, target, options);
  if (found !== null) return found;
  if (options & WNOHANG) return 0;
  return block(task, task.group.childQueue, 1);
}

/** As a nonblocking pidfd is waited for: -EAGAIN when nothing has happened. */
function pollChild(task: Task, target: Named, options: number): ChildEvent | number {
  return target === undefined ? -ECHILD : (findChildEvent(task, target, options) ?? -EAGAIN);
}

export function set_tid_address(task: Task, address: UserAddress): number {
  // The host kernel clears the word and wakes its futex when the host thread ends; the number is ours.
  order(task.memory.slot, ORDER_SYSCALL, SYS_SET_TID_ADDRESS, address);
  return task.localTid;
}

/** Only the base of fs may be set and is told, as the stub has seen it: gs belongs to the stub. CPUID never faults here. */
export function arch_prctl(task: Task, option: number, address: number): number {
  if (option === ARCH_GET_CPUID) return 1;
  if (option === ARCH_SET_CPUID) return -ENODEV;
  if (option === ARCH_GET_FS) return tellBase(task, address as UserAddress);
  if (option !== ARCH_SET_FS) return -EINVAL;
  if (!(address >= 0 && address < 0x7ffffffff000)) return -EPERM;
  order(task.memory.slot, ORDER_BASES, address, 0, 1);
  complete(task, 0, ACT_ORDER_RETURN);
  return ANSWERED;
}

function tellBase(task: Task, address: UserAddress): number {
  const base = readU64(task.memory.slot * SLOT_SIZE + 4 * H_FS_BASE);
  // Where the processor does not let the stub read it.
  if (base === 0) return -EINVAL;
  const at = task.memory.out(address, 8);
  if (at >= 0) writeU64(at, base);
  return Math.min(at, 0);
}
