// Signal-driven I/O (fcntl(2): F_SETOWN, F_SETSIG, O_ASYNC): whoever owns a file is sent SIGIO, or another signal, when
// the file becomes readable or writable. An owner stands on the file's wait queue like an epoll item does.

import { EINVAL, ENOTTY, ESRCH } from '../abi/errno.ts';
import {
  F_GETOWN,
  F_GETOWN_EX,
  F_GETSIG,
  F_OWNER_PGRP,
  F_OWNER_PID,
  F_OWNER_TID,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETSIG,
  O_ASYNC,
} from '../abi/fcntl.ts';
import { FIOGETOWN, FIOSETOWN, SIOCGPGRP, SIOCSPGRP } from '../abi/ioctl.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLMSG,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '../abi/poll.ts';
import { NSIG, POLL_ERR, POLL_HUP, POLL_IN, POLL_MSG, POLL_OUT, POLL_PRI, SI_KERNEL, SIGIO } from '../abi/signal.ts';
import type { Fd, Pid, UserAddress } from '../base/brands.ts';
import { WaitEntry, type Waiter } from '../base/wait-queue.ts';
import { kernel } from '../kernel/kernel.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import type { ProcessGroup } from '../kernel/sessions.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup, sendSignalToTask } from '../kernel/signals.ts';
import { Task, ThreadGroup } from '../kernel/task.ts';
import { i32 } from '../platform/arena.ts';
import type { FileWatch, OpenFile } from '../vfs/open-file.ts';

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;
/** No readiness, but news: what si_band says then. */
const MESSAGE = POLLIN | POLLRDNORM | POLLMSG;
const LOWEST = -(2 ** 31);

/** Who is told about a file, and how. */
export class FileOwner implements Waiter, FileWatch {
  readonly file: OpenFile;
  private target: Task | ThreadGroup | ProcessGroup | null = null;
  /** Of whoever set the owner: only those it might signal are. */
  private uid = 0;
  private euid = 0;
  private signo = 0;
  private fd = -1;
  private readonly entry = new WaitEntry(this);

  constructor(file: OpenFile) {
    this.file = file;
  }

  /** Sets the target by F_OWNER_* and its id; 0 is nobody. 0, -ESRCH or -EINVAL. */
  setTarget(type: number, id: number, task: Task): number {
    const { tasks, groups, processGroups } = task.pidNamespace;
    const { credentials } = task;
    let target: typeof this.target | undefined = null;
    if (id !== 0) {
      if (type === F_OWNER_TID) target = tasks.get(id as Pid);
      else if (type === F_OWNER_PID) target = groups.get(id as Pid);
      else if (type === F_OWNER_PGRP) target = processGroups.get(id as Pid);
      else return -EINVAL;
    }
    if (target === undefined) return -ESRCH;
    this.target = target;
    this.uid = credentials.uid;
    this.euid = credentials.euid;
    return 0;
  }

  get hasTarget(): boolean {
    return this.target !== null;
  }

  /** Makes the task's process the target. */
  targetProcess(task: Task): void {
    this.target = task.group;
    this.uid = task.credentials.uid;
    this.euid = task.credentials.euid;
  }

  get type(): number {
    if (this.target instanceof Task) return F_OWNER_TID;
    return this.target instanceof ThreadGroup || this.target === null ? F_OWNER_PID : F_OWNER_PGRP;
  }

  /** The target's number for the task, 0 for nobody or somebody who is gone. */
  idFor({ pidNamespace }: Task): number {
    const { target } = this;
    if (target instanceof Task) return kernel.tasks.get(target.tid) === target ? numberIn(pidNamespace, target) : 0;
    if (target instanceof ThreadGroup) return target.reaped ? 0 : numberIn(pidNamespace, target);
    return target === null || target.members.size === 0 ? 0 : numberIn(pidNamespace, target);
  }

  get signal(): number {
    return this.signo;
  }

  setSignal(signo: number): number {
    if (!(signo >= 0 && signo <= NSIG)) return -EINVAL;
    this.signo = signo;
    return 0;
  }

  /** O_ASYNC was set (under this descriptor number) or cleared. */
  arm(on: boolean, fd: Fd): void {
    const { file, entry } = this;
    entry.queue?.remove(entry);
    file.watches?.delete(this);
    const queue = on ? file.waitQueue : null;
    if (!queue) return;
    this.fd = fd;
    file.watches ??= new Set();
    file.watches.add(this);
    queue.add(entry, (file.readable ? READABLE | POLLPRI : 0) | (file.writable ? WRITABLE : 0));
  }

  wake(events: number): void {
    const { target } = this;
    if (target instanceof Task) this.send(target, events);
    else if (target instanceof ThreadGroup) this.send(target.leader, events);
    else if (target) for (const member of [...target.members]) this.send(member.leader, events);
  }

  /** Tells the owner of something else than readiness: a lease to be given up, a change in a directory (POLL_MSG). */
  message(): void {
    this.wake(MESSAGE);
  }

  /** The descriptor number that signals tell of. */
  set number(fd: Fd) {
    this.fd = fd;
  }

  fileReleased(): void {
    this.entry.queue?.remove(this.entry);
  }

  private send(to: Task, events: number): void {
    const { uid, suid } = to.credentials;
    const allowed = [suid, uid].includes(this.uid) || [suid, uid].includes(this.euid);
    if (!allowed && this.euid !== 0) return;
    // si_band and si_fd lie where si_pid and si_value do.
    const fields = { pid: bandOf(events), valueLow: this.fd };
    const info = this.signo === 0 ? signalInfo(SIGIO, SI_KERNEL) : signalInfo(this.signo, reasonOf(events), fields);
    if (this.target === to) sendSignalToTask(to, info);
    else sendSignalToGroup(to.group, info);
  }
}

function reasonOf(events: number): number {
  if (events === MESSAGE) return POLL_MSG;
  if (events & READABLE) return POLL_IN;
  if (events & WRITABLE) return POLL_OUT;
  if (events & POLLPRI) return POLL_PRI;
  return events & POLLHUP ? POLL_HUP : POLL_ERR;
}

function bandOf(events: number): number {
  if (events === MESSAGE) return MESSAGE;
  if (events & READABLE) return READABLE;
  if (events & WRITABLE) return WRITABLE;
  return events & (POLLPRI | POLLHUP | POLLERR);
}

function ownerOf(file: OpenFile): FileOwner | null {
  return file.owner instanceof FileOwner ? file.owner : null;
}

function makeOwner(file: OpenFile): FileOwner {
  const owner = ownerOf(file) ?? new FileOwner(file);
  file.owner = owner;
  return owner;
}

/** Whoever sets a lease on a file, or a watch on a directory, becomes its owner unless there is one. */
export function ensureOwner(task: Task, file: OpenFile, fd: Fd): void {
  const known = ownerOf(file);
  const owner = known ?? makeOwner(file);
  owner.number = fd;
  if (!owner.hasTarget) owner.targetProcess(task);
}

/** A file without a lease has neither owner nor signal any more. */
export function disown(file: OpenFile): void {
  ownerOf(file)?.fileReleased();
  file.owner = null;
}

/** Signals the owner of a file, if there is one, about something that is not readiness. */
export function tellOwner(file: OpenFile): void {
  ownerOf(file)?.message();
}

/** O_ASYNC of a file was switched through descriptor `fd`: its owner is told from now on, or no more. */
export function asyncChanged(file: OpenFile, fd: Fd): void {
  const on = (file.flags & O_ASYNC) !== 0;
  if (on || file.owner) makeOwner(file).arm(on, fd);
}

/** The fcntl(2) commands of this file's head; null for all others. */
export function ownerCommand(task: Task, file: OpenFile, command: number, argument: number): number | null {
  switch (command) {
    case F_GETOWN:
      return getOwner(task, file);
    case F_SETOWN:
      return setOwner(task, file, argument | 0);
    case F_GETSIG:
      return ownerOf(file)?.signal ?? 0;
    case F_SETSIG:
      return makeOwner(file).setSignal(argument);
    case F_GETOWN_EX: {
      const at = task.memory.out(argument as UserAddress, 8);
      if (at < 0) return at;
      i32[at >> 2] = ownerOf(file)?.type ?? F_OWNER_PID;
      i32[(at >> 2) + 1] = ownerOf(file)?.idFor(task) ?? 0;
      return 0;
    }
    case F_SETOWN_EX: {
      const at = task.memory.in(argument as UserAddress, 8);
      if (at < 0) return at;
      const type = i32[at >> 2];
      if (type !== F_OWNER_TID && type !== F_OWNER_PID && type !== F_OWNER_PGRP) return -EINVAL;
      return makeOwner(file).setTarget(type, i32[(at >> 2) + 1], task);
    }
    default:
      return null;
  }
}

/** FIOSETOWN, FIOGETOWN and their other names; -ENOTTY for all others. */
export function ownerIoctl(task: Task, file: OpenFile, command: number, argument: UserAddress): number {
  switch (command) {
    case FIOSETOWN:
    case SIOCSPGRP: {
      const at = task.memory.in(argument, 4);
      return at < 0 ? at : setOwner(task, file, i32[at >> 2]);
    }
    case FIOGETOWN:
    case SIOCGPGRP: {
      const at = task.memory.out(argument, 4);
      if (at < 0) return at;
      i32[at >> 2] = getOwner(task, file);
      return 0;
    }
    default:
      return -ENOTTY;
  }
}

/** A process is a positive number, a process group a negative one. */
function getOwner(task: Task, file: OpenFile): number {
  const owner = ownerOf(file);
  if (!owner) return 0;
  const id = owner.idFor(task);
  return owner.type === F_OWNER_PGRP ? -id : id;
}

function setOwner(task: Task, file: OpenFile, id: number): number {
  if (id === LOWEST) return -EINVAL;
  return makeOwner(file).setTarget(id < 0 ? F_OWNER_PGRP : F_OWNER_PID, Math.abs(id), task);
}
