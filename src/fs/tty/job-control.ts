// Job control (tty_ioctl(4), credentials(7)): who may use a terminal now, whose controlling terminal it is, and how it
// becomes and ceases to be one.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS, ESRCH } from '../../abi/errno.ts';
import { O_NOCTTY } from '../../abi/fcntl.ts';
import { SI_KERNEL, SIG_IGN, SIGTTIN } from '../../abi/signal.ts';
import type { Pid } from '../../base/brands.ts';
import { capable } from '../../base/credentials.ts';
import { numberIn } from '../../kernel/pid-namespaces.ts';
import { isOrphaned } from '../../kernel/sessions.ts';
import { bitLow, signalInfo } from '../../kernel/signal-state.ts';
import { sendSignalToProcessGroup } from '../../kernel/signals.ts';
import type { Task, ThreadGroup } from '../../kernel/task.ts';
import { Tty } from './tty.ts';

/** The controlling terminal of a process, or null. */
export function controllingTerminal(group: ThreadGroup): Tty | null {
  const { terminal } = group.processGroup.session;
  return terminal instanceof Tty && !terminal.renounced.has(group) ? terminal : null;
}

function isSessionLeader(group: ThreadGroup): boolean {
  return group.processGroup.session.id === group.pid;
}

/**
 * Whether the task may touch its terminal now. A background process is stopped by `signo` (SIGTTIN or SIGTTOU):
 * -ERESTARTSYS; where that cannot be, reading is -EIO and writing allowed. 0 when nothing is in the way.
 */
export function checkForeground(task: Task | null, tty: Tty, signo: number): number {
  if (!task || controllingTerminal(task.group) !== tty) return 0;
  const own = task.group.processGroup;
  if (!tty.foreground || tty.foreground === own) return 0;
  const ignored = task.group.actions.get(signo).handler === SIG_IGN;
  if (ignored || task.maskLow & bitLow(signo)) return signo === SIGTTIN ? -EIO : 0;
  if (isOrphaned(own)) return -EIO;
  sendSignalToProcessGroup(own, signalInfo(signo, SI_KERNEL));
  return -ERESTARTSYS;
}

/** Opening a terminal makes it the controlling one of a session leader that has none, unless O_NOCTTY says not to. */
export function acquireOnOpen(task: Task | null, tty: Tty, flags: number, readable: boolean): void {
  if (!task || flags & O_NOCTTY || !readable || tty.session) return;
  const { group } = task;
  if (!isSessionLeader(group) || group.processGroup.session.terminal) return;
  tty.attach(group.processGroup.session, group.processGroup);
}

/** TIOCSCTTY. `steal` is the ioctl's argument; it takes CAP_SYS_ADMIN. */
export function setControllingTerminal(task: Task, tty: Tty, readable: boolean, steal: boolean): number {
  const { group } = task;
  const { session } = group.processGroup;
  if (isSessionLeader(group) && tty.session === session) return 0;
  if (!isSessionLeader(group) || session.terminal) return -EPERM;
  const administrator = capable(task.credentials, CAP_SYS_ADMIN);
  if (tty.session) {
    if (!steal || !administrator) return -EPERM;
    tty.steal();
  }
  if (!readable && !administrator) return -EPERM;
  tty.attach(session, group.processGroup);
  return 0;
}

/** TIOCNOTTY: a session leader's lets the whole session go, anybody else's only itself. */
export function renounceTerminal(task: Task, tty: Tty): number {
  if (controllingTerminal(task.group) !== tty) return -ENOTTY;
  if (isSessionLeader(task.group)) tty.disassociate(true);
  else tty.renounced.add(task.group);
  return 0;
}

/** TIOCGPGRP: the foreground process group, 0 for none. Only the master may ask about another's terminal. */
export function foregroundGroup(task: Task, tty: Tty, fromMaster: boolean): number {
  if (!fromMaster && controllingTerminal(task.group) !== tty) return -ENOTTY;
  return numberIn(task.pidNamespace, tty.foreground);
}

/** TIOCGSID: the session, -ENOTTY for none. */
export function terminalSession(task: Task, tty: Tty, fromMaster: boolean): number {
  if (!fromMaster && controllingTerminal(task.group) !== tty) return -ENOTTY;
  return tty.session ? numberIn(task.pidNamespace, tty.session) : -ENOTTY;
}

/** TIOCSPGRP, after the check that a background caller is stopped. */
export function setForegroundGroup(task: Task, tty: Tty, id: number): number {
  if (id < 0) return -EINVAL;
  const { session } = task.group.processGroup;
  if (controllingTerminal(task.group) !== tty || tty.session !== session) return -ENOTTY;
  const target = task.pidNamespace.processGroups.get(id as Pid);
  if (!target) return -ESRCH;
  if (target.session !== session) return -EPERM;
  tty.foreground = target;
  return 0;
}
