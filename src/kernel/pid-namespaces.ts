// Pid namespaces (pid_namespaces(7)): who has which number where. A task has one number in its own namespace and one in
// each above it; the first of them, in the namespace that the sandbox starts with, is what the kernel itself knows it
// by. Programs name tasks and are told of them by the numbers of their own namespace: they are found in its tables, and
// shown by `numberIn`.

import { EAGAIN, EEXIST, EINVAL, ENOMEM } from '../abi/errno.ts';
import type { Pid } from '../base/brands.ts';
import { Namespace } from '../base/namespace.ts';
import { initialUser, type UserNamespace } from '../base/user-namespace.ts';
import type { ProcessGroup, Session } from './sessions.ts';
import type { Task, ThreadGroup } from './task.ts';

export const PID_MAX = 32768;
/** Where numbers go on after the highest: the low ones belong to what started early. */
const RESERVED_PIDS = 300;
/** Nesting that Linux allows. */
export const MAX_PID_LEVEL = 32;

export class PidNamespace extends Namespace {
  readonly parent: PidNamespace | null;
  readonly level: number;
  /** Everybody in it and in the namespaces below, by the numbers that they have here. */
  readonly tasks = new Map<Pid, Task>();
  readonly groups = new Map<Pid, ThreadGroup>();
  readonly processGroups = new Map<Pid, ProcessGroup>();
  readonly sessions = new Map<Pid, Session>();
  /** Its number 1, from the first process on; what is orphaned in here becomes its child. */
  init: ThreadGroup | null = null;
  /** Its init has ended: nobody can be made in here any more. */
  closed = false;
  /** The number given out last. */
  lastPid = 0;

  constructor(parent: PidNamespace | null, owner: UserNamespace) {
    super('pid', owner);
    this.parent = parent;
    this.level = parent === null ? 0 : parent.level + 1;
  }

  /** Whether this one is the other or lies within it. */
  isWithin(other: PidNamespace): boolean {
    let at: PidNamespace | null = this;
    while (at !== null && at.level > other.level) at = at.parent;
    return at === other;
  }

  isTaken(number: Pid): boolean {
    const { tasks, groups, processGroups, sessions } = this;
    return tasks.has(number) || groups.has(number) || processGroups.has(number) || sessions.has(number);
  }

  /** The next free number, counting up and around as Linux does. */
  next(): Pid {
    do this.lastPid = this.lastPid >= PID_MAX - 1 ? RESERVED_PIDS : this.lastPid + 1;
    while (this.isTaken(this.lastPid as Pid));
    return this.lastPid as Pid;
  }
}

/** The one that the sandbox starts with. */
export const initialPids = new PidNamespace(null, initialUser);

/** What has numbers: tasks and processes, and process groups and sessions, which have those of their first leader. */
export interface Numbered {
  readonly pidNamespace: PidNamespace;
  /** By level, the namespace's own last. */
  readonly numbers: readonly Pid[];
}

/** The number that programs in a namespace see, 0 for what they cannot see. */
export function numberIn(namespace: PidNamespace, thing: Numbered | null | undefined): Pid {
  if (!thing) return 0 as Pid;
  const { level } = namespace;
  if (level === 0 || thing.pidNamespace === namespace) return thing.numbers[level];
  return thing.pidNamespace.isWithin(namespace) ? thing.numbers[level] : (0 as Pid);
}

/**
 * Numbers for a new task of a namespace, by level; `wanted` are those it is to have, its own namespace's first (clone3's
 * set_tid). -EEXIST if one of them is taken, -EINVAL if it cannot be, -ENOMEM when the namespace is closed.
 */
export function allocateNumbers(namespace: PidNamespace, wanted: readonly number[] = []): Numbered | number {
  if (namespace.closed) return -ENOMEM;
  const numbers: Pid[] = [];
  for (let at: PidNamespace | null = namespace; at !== null; at = at.parent) {
    if (at.tasks.size >= PID_MAX - RESERVED_PIDS) return -EAGAIN;
    const asked = wanted[namespace.level - at.level];
    if (asked === undefined) {
      numbers[at.level] = at.next();
      continue;
    }
    if (asked < 1 || asked >= PID_MAX || (asked !== 1 && at.init === null)) return -EINVAL;
    if (at.isTaken(asked as Pid)) return -EEXIST;
    numbers[at.level] = asked as Pid;
  }
  return { pidNamespace: namespace, numbers };
}

type Table = 'tasks' | 'groups' | 'processGroups' | 'sessions';

/** From now on it is found by its numbers. */
export function enlist(table: Table, thing: Numbered): void {
  for (let at: PidNamespace | null = thing.pidNamespace; at !== null; at = at.parent) {
    (at[table] as Map<Pid, Numbered>).set(thing.numbers[at.level], thing);
  }
}

/** Its numbers mean nothing of this kind any more. */
export function strike(table: Table, thing: Numbered): void {
  for (let at: PidNamespace | null = thing.pidNamespace; at !== null; at = at.parent) {
    at[table].delete(thing.numbers[at.level]);
  }
}

/** The thread by a number of the viewer's namespace, or the leader of a process that was not waited for yet. */
export function findTask(viewer: Task, number: number): Task | undefined {
  const { tasks, groups } = viewer.pidNamespace;
  return tasks.get(number as Pid) ?? groups.get(number as Pid)?.leader;
}
