// Who /proc/PID tells of, and who may look inside: the checks that ptrace(2) calls PTRACE_MODE_READ_FSCREDS.

import { CAP_SYS_PTRACE } from '../../abi/capability.ts';
import { EACCES, ESRCH } from '../../abi/errno.ts';
import { capableIn } from '../../base/credentials.ts';
import { kernel } from '../../kernel/kernel.ts';
import { DEAD, type Task } from '../../kernel/task.ts';
import type { Path } from '../../vfs/dentry.ts';

/** Whether nothing is left of a task, not even the zombie of its process. */
export function isGone(task: Task): boolean {
  if (task.state !== DEAD) return false;
  return task.group.leader !== task || task.group.reaped;
}

/** A living thread of the task's process for a leader that has ended, else the task itself; null for a zombie. */
export function alive(task: Task): Task | null {
  if (task.state !== DEAD) return task;
  if (task.group.leader !== task) return null;
  for (const thread of task.group.threads) if (thread.state !== DEAD) return thread;
  return null;
}

/** Whether the task whose call is served may look inside another: 0, -EACCES, or -ESRCH when it is gone. */
export function checkPeek(task: Task): number {
  if (isGone(task)) return -ESRCH;
  const caller = kernel.current;
  if (!caller || caller.group === task.group) return 0;
  const mine = caller.credentials;
  const other = task.credentials;
  if (capableIn(other.user, mine, CAP_SYS_PTRACE)) return 0;
  const sameUser = other.uid === mine.fsuid && other.euid === mine.fsuid && other.suid === mine.fsuid;
  const sameGroup = other.gid === mine.fsgid && other.egid === mine.fsgid && other.sgid === mine.fsgid;
  const beyond = (other.permitted.low & ~mine.permitted.low) | (other.permitted.high & ~mine.permitted.high);
  return sameUser && sameGroup && mine.user === other.user && beyond === 0 && task.group.dumpable ? 0 : -EACCES;
}

/** The root directory that names are shown from: the reader's own. */
export function readerRoot(task: Task): Path {
  return (kernel.current ?? task).fs.root;
}
