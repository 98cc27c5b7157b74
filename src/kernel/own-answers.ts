// Answers that the stub gives by itself, without the sentry: ids of tasks and users, which stay the same from one change
// to the next. The sentry writes them into the slot of each thread (H_OWN_*), where the stub finds them. Nothing depends
// on what a guest does to these words: only its own program reads them.

import { u32 } from '../platform/arena.ts';
import {
  H_OWN,
  H_OWN_EGID,
  H_OWN_EUID,
  H_OWN_GID,
  H_OWN_PID,
  H_OWN_PPID,
  H_OWN_TID,
  H_OWN_UID,
  SLOT_SIZE,
} from '../platform/layout.ts';
import type { Task } from './task.ts';

/** Somebody wants to see every call of every task (--strace). */
let allTraced = false;

/** From now on no call is answered outside the sentry. For the start of a sandbox: running tasks do not notice. */
export function traceAll(): void {
  allTraced = true;
}

/**
 * The switch of one task: while `task.everyCall` is set (a tracer that stops it at calls), or filters judge its calls,
 * the sentry gets them all. Call it after a change of one of these, of the task's ids, its parent or its credentials.
 */
export function showOwnAnswers(task: Task): void {
  const { group, credentials } = task;
  if (task.memory.slot < 0) return;
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  if (allTraced || task.everyCall || task.seccomp !== null) {
    u32[header + H_OWN] = 0;
    return;
  }
  u32[header + H_OWN_PID] = group.pid;
  u32[header + H_OWN_TID] = task.tid;
  u32[header + H_OWN_PPID] = group.parent?.pid ?? 0;
  u32[header + H_OWN_UID] = credentials.uid;
  u32[header + H_OWN_EUID] = credentials.euid;
  u32[header + H_OWN_GID] = credentials.gid;
  u32[header + H_OWN_EGID] = credentials.egid;
  u32[header + H_OWN] = 1;
}
