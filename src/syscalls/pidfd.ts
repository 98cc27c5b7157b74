// pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

import { EBADF, EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import {
  PIDFD_NONBLOCK,
  PIDFD_SIGNAL_PROCESS_GROUP,
  PIDFD_SIGNAL_THREAD,
  PIDFD_SIGNAL_THREAD_GROUP,
  PIDFD_THREAD,
} from '../abi/misc.ts';
import { NSIG, SI_TKILL, SI_USER, SIGINFO_SIZE } from '../abi/signal.ts';
import type { Fd, Pid, UserAddress } from '../base/brands.ts';
import { PidFile } from '../fs/pidfd/pidfd.ts';
import { TaskDirectory } from '../fs/proc/task-directory.ts';
import { mayInspect, mayKill } from '../kernel/credentials.ts';
import { installFile } from '../kernel/descriptors.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import { type SignalInfo, signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup, sendSignalToTask } from '../kernel/signals.ts';
import { DEAD, type Task, type ThreadGroup } from '../kernel/task.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { i32, u32 } from '../platform/arena.ts';
import { retain } from '../vfs/open-file.ts';

export function pidfd_open(task: Task, pid: Pid, flags: number): number {
  if (flags & ~(PIDFD_NONBLOCK | PIDFD_THREAD) || pid <= 0) return -EINVAL;
  const { groups, tasks } = task.pidNamespace;
  const group = groups.get(pid);
  const thread = tasks.get(pid);
  if (flags & PIDFD_THREAD && thread) return installFile(task, new PidFile(thread.group, thread, flags), true);
  if (!group) return thread ? -EINVAL : -ESRCH;
  return installFile(task, new PidFile(group, null, flags), true);
}

export function pidfd_send_signal(task: Task, pidfd: Fd, sig: number, info: UserAddress, flags: number): number {
  const scopes = PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP | PIDFD_SIGNAL_PROCESS_GROUP;
  if (flags & ~scopes || (flags & (flags - 1)) !== 0) return -EINVAL;
  const file = signalled(task, pidfd);
  if (!file) return -EBADF;
  const given = info === 0 ? userSignal(task, file, sig) : readSignal(task, sig, info, file);
  if (typeof given === 'number') return given;
  if (sig < 0 || sig > NSIG) return -EINVAL;
  if (file.group.reaped) return -ESRCH;
  if (flags === PIDFD_SIGNAL_PROCESS_GROUP) return signalProcessGroup(task, file, given);
  const target = file.thread ?? file.group.leader;
  if (!mayKill(task, target, sig)) return -EPERM;
  const toThread = flags === PIDFD_SIGNAL_THREAD || (flags === 0 && file.thread !== null);
  if (toThread && target.state === DEAD) return -ESRCH;
  if (sig === 0) return 0;
  if (toThread) sendSignalToTask(target, given);
  else sendSignalToGroup(file.group, given);
  return 0;
}

export function pidfd_getfd(task: Task, pidfd: Fd, targetfd: Fd, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const file = task.files.get(pidfd);
  if (!(file instanceof PidFile)) return -EBADF;
  const target = file.thread ?? file.group.leader;
  if (file.group.status >= 0 || target.state === DEAD) return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  const wanted = target.files.get(targetfd);
  return wanted ? installFile(task, retain(wanted), true) : -EBADF;
}

/** Whom a signal is for: a process, or the one thread of it that is not null. */
interface Signalled {
  readonly group: ThreadGroup;
  readonly thread: Task | null;
}

/** A process by its pidfd or, from before there were any, by its directory in /proc. */
function signalled(task: Task, fd: Fd): Signalled | null {
  const file = task.files.get(fd);
  if (file instanceof PidFile) return file;
  const inode = file?.inode;
  return inode instanceof TaskDirectory && inode.whole ? { group: inode.task.group, thread: null } : null;
}

function userSignal(task: Task, to: Signalled, sig: number): SignalInfo {
  return signalInfo(sig, SI_USER, {
    pid: numberIn(to.group.pidNamespace, task.group),
    uid: uidSeen(to.group.leader, task.credentials.uid),
  });
}

/** The siginfo_t a caller gives; only to itself may it claim to be the kernel or kill(2). */
function readSignal(task: Task, sig: number, address: UserAddress, file: Signalled): SignalInfo | number {
  const at = task.memory.in(address, SIGINFO_SIZE);
  if (at < 0) return at;
  const i = at >> 2;
  const code = i32[i + 2];
  if (i32[i] !== sig) return -EINVAL;
  if (file.group !== task.group && (code >= 0 || code === SI_TKILL)) return -EPERM;
  const fields = { errno: i32[i + 1], pid: i32[i + 4], uid: u32[i + 5], valueLow: u32[i + 6], valueHigh: u32[i + 7] };
  return signalInfo(sig, code, fields);
}

/** -EPERM only if not a single member may be signalled, as kill(2) has it. */
function signalProcessGroup(task: Task, file: Signalled, info: SignalInfo): number {
  let allowed = 0;
  for (const member of [...file.group.processGroup.members]) {
    if (!mayKill(task, member.leader, info.signo)) continue;
    allowed++;
    if (info.signo !== 0) sendSignalToGroup(member, { ...info });
  }
  return allowed > 0 ? 0 : -EPERM;
}
