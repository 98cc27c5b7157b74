// Sessions and process groups (credentials(7), setsid(2)): job control's view of processes. The terminal is known only
// by the small interface it must have.

import type { Pid } from '../base/brands.ts';
import { enlist, type Numbered, type PidNamespace, strike } from './pid-namespaces.ts';
import type { ThreadGroup } from './task.ts';

/** What a session asks of its controlling terminal. */
export interface ControllingTerminal {
  /** tty_nr of /proc/PID/stat. */
  readonly rdev: number;
  session: Session | null;
  foreground: ProcessGroup | null;
  /** The session leader is gone: hang up and let go of the session. */
  disassociate(): void;
}

export class Session implements Numbered {
  readonly numbers: readonly Pid[];
  readonly pidNamespace: PidNamespace;
  terminal: ControllingTerminal | null = null;
  readonly groups = new Map<Pid, ProcessGroup>();

  constructor({ numbers, pidNamespace }: Numbered) {
    this.numbers = numbers;
    this.pidNamespace = pidNamespace;
  }

  /** What the kernel knows it by. */
  get id(): Pid {
    return this.numbers[0];
  }
}

export class ProcessGroup implements Numbered {
  readonly numbers: readonly Pid[];
  readonly pidNamespace: PidNamespace;
  readonly session: Session;
  readonly members = new Set<ThreadGroup>();

  constructor({ numbers, pidNamespace }: Numbered, session: Session) {
    this.numbers = numbers;
    this.pidNamespace = pidNamespace;
    this.session = session;
    session.groups.set(this.id, this);
  }

  /** What the kernel knows it by. */
  get id(): Pid {
    return this.numbers[0];
  }
}

/** setsid(2): a new session and process group of which the thread group is the leader. */
export function startSession(group: ThreadGroup): void {
  const session = new Session(group);
  enlist('sessions', session);
  startProcessGroup(group, session);
}

/** A new process group with the thread group as its only member. */
export function startProcessGroup(group: ThreadGroup, session: Session): void {
  const created = new ProcessGroup(group, session);
  enlist('processGroups', created);
  joinProcessGroup(group, created);
}

/** Whether the thread group leads its session. */
export function isSessionLeader(group: ThreadGroup): boolean {
  return group.processGroup.session.id === group.pid;
}

/** Moves a thread group into a process group, dropping the old one when it is empty. */
export function joinProcessGroup(group: ThreadGroup, target: ProcessGroup): void {
  const old = group.processGroup as ProcessGroup | undefined;
  target.members.add(group);
  group.processGroup = target;
  if (old && old !== target) leave(group, old);
}

export function leaveProcessGroup(group: ThreadGroup): void {
  leave(group, group.processGroup);
}

function leave(group: ThreadGroup, old: ProcessGroup): void {
  old.members.delete(group);
  if (old.members.size === 0) {
    old.session.groups.delete(old.id);
    strike('processGroups', old);
    if (old.session.groups.size === 0) strike('sessions', old.session);
    if (old.session.terminal?.foreground === old) old.session.terminal.foreground = null;
  }
}

/**
 * Whether no member has a parent in another group of the same session (setpgid(2)): stop signals from the terminal
 * are ignored there. The sandbox's first process counts the client outside as such a parent.
 */
export function isOrphaned(group: ProcessGroup): boolean {
  for (const member of group.members) {
    const parent = member.parent;
    if (member.status >= 0) continue;
    if (!parent) return false;
    if (parent.processGroup !== group && parent.processGroup.session === group.session) return false;
  }
  return true;
}
