// Ids of processes, process groups and sessions (getpid(2), setpgid(2), setsid(2)).

import { EACCES, EINVAL, EPERM, ESRCH } from '../abi/errno.ts';
import type { Pid } from '../base/brands.ts';
import { kernel } from '../kernel/kernel.ts';
import { ownParent, ownPid, ownTid } from '../kernel/own-answers.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import { isSessionLeader, joinProcessGroup, startProcessGroup, startSession } from '../kernel/sessions.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';

export function getpid(task: Task): number {
  return ownPid(task);
}

export function getppid(task: Task): number {
  return ownParent(task);
}

export function gettid(task: Task): number {
  return ownTid(task);
}

export function getpgrp(task: Task): number {
  return numberIn(task.pidNamespace, task.group.processGroup);
}

export function getpgid(task: Task, pid: number): number {
  const group = find(task, pid);
  return group ? numberIn(task.pidNamespace, group.processGroup) : -ESRCH;
}

export function getsid(task: Task, pid: number): number {
  const group = find(task, pid);
  return group ? numberIn(task.pidNamespace, group.processGroup.session) : -ESRCH;
}

/** The process of a thread id, 0 for the caller's own. Zombies count until they are waited for. */
function find(task: Task, pid: number): ThreadGroup | undefined {
  if (pid === 0) return task.group;
  const { tasks, groups } = task.pidNamespace;
  return tasks.get(pid as Pid)?.group ?? groups.get(pid as Pid);
}

export function setpgid(task: Task, pid: number, pgid: number): number {
  const own = task.group;
  const { tasks, groups, processGroups } = task.pidNamespace;
  if (pid === 0) pid = own.localPid;
  if (pgid === 0) pgid = pid;
  if (pgid < 0) return -EINVAL;
  const group = groups.get(pid as Pid);
  if (!group) return tasks.has(pid as Pid) ? -EINVAL : -ESRCH;
  const { session } = own.processGroup;
  if (group.parent === own) {
    if (group.processGroup.session !== session) return -EPERM;
    if (group.hasExecuted) return -EACCES;
  } else if (group !== own) {
    return -ESRCH;
  }
  if (isSessionLeader(group)) return -EPERM;
  const target = processGroups.get(pgid as Pid);
  if (pgid !== pid) {
    if (target?.session !== session) return -EPERM;
    joinProcessGroup(group, target);
  } else if (!target) {
    startProcessGroup(group, session);
  } else if (target !== group.processGroup) {
    joinProcessGroup(group, target);
  }
  return 0;
}

export function setsid(task: Task): number {
  const { group } = task;
  if (isSessionLeader(group) || kernel.processGroups.has(group.pid)) return -EPERM;
  startSession(group);
  return group.localPid;
}
