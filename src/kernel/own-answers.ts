// Answers that the stub gives by itself, without the sentry: ids of tasks and users, which stay the same from one change
// to the next. The sentry writes them into the slot of each thread (H_OWN_*), where the stub finds them. Nothing depends
// on what a guest does to these words: only its own program reads them.

import { shownId } from '../base/user-namespace.ts';
import { readU64, u32, writeU64 } from '../platform/arena.ts';
import {
  H_ACTIONS_CHANGED,
  H_MASK,
  H_MASK_LENT,
  H_OWN,
  H_OWN_EGID,
  H_OWN_EUID,
  H_OWN_GID,
  H_OWN_PID,
  H_OWN_PPID,
  H_OWN_TID,
  H_OWN_UID,
  H_PLAIN,
  H_RESTORED,
  H_RESTORER,
  SLOT_SIZE,
} from '../platform/layout.ts';
import { numberIn } from './pid-namespaces.ts';
import { type DefaultActions, NO_DEFAULTS, sanitizeMaskLow } from './signal-state.ts';
import type { Task } from './task.ts';

// ---- the answers: the handlers of the calls give the same ----

export const ownPid = (task: Task): number => task.group.localPid;
export const ownTid = (task: Task): number => task.localTid;
export const ownParent = (task: Task): number => numberIn(task.pidNamespace, task.group.parent);
export const ownUid = (task: Task): number => shownId(task.credentials.user.uidMap, task.credentials.uid);
export const ownEuid = (task: Task): number => shownId(task.credentials.user.uidMap, task.credentials.euid);
export const ownGid = (task: Task): number => shownId(task.credentials.user.gidMap, task.credentials.gid);
export const ownEgid = (task: Task): number => shownId(task.credentials.user.gidMap, task.credentials.egid);

/** The calls that the stub may answer by itself (answer_alone in native/stub/marshal.c). */
export const OWN_CALLS: Readonly<Record<string, number>> = {
  rt_sigaction: 13,
  rt_sigprocmask: 14,
  getpid: 39,
  getuid: 102,
  getgid: 104,
  geteuid: 107,
  getegid: 108,
  getppid: 110,
  arch_prctl: 158,
  gettid: 186,
  set_tid_address: 218,
  set_robust_list: 273,
  rseq: 334,
};

// ---- the signal mask ----
// It lies in the slot while the thread runs and is *lent*: the stub may change it without telling us. Before a signal
// becomes pending the mask is called back, and only then looked at; the stub looks whether it still has it after it has
// changed it, and if not, makes the call by ringing. One of the two sees what the other did.

/** With each answer. Something pending, or a call that must be seen: then the stub has to ask. */
export function lendMask(task: Task): void {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  const { pending } = task;
  const shared = task.group.pending;
  u32[header + H_MASK] = task.maskLow;
  u32[header + H_MASK + 1] = task.maskHigh;
  task.maskLent = pending.low === 0 && pending.high === 0 && shared.low === 0 && shared.high === 0;
  // Nobody else may know of other dispositions.
  const { actions, threads } = task.group;
  const defaults = actions.users === 1 && threads.size === 1 ? actions.defaults : NO_DEFAULTS;
  if (task.shownDefaults !== defaults) showDefaults(task, header, defaults);
  u32[header + H_MASK_LENT] = task.maskLent ? 1 : 0;
}

/** The thread has rung: mask and dispositions are ours until it is answered. */
export function takeMaskBack(task: Task): void {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  u32[header + H_MASK_LENT] = 0;
  task.maskLent = false;
  task.maskLow = sanitizeMaskLow(u32[header + H_MASK]);
  task.maskHigh = u32[header + H_MASK + 1] | 0;
  if (u32[header + H_ACTIONS_CHANGED] !== 0) takeDefaults(task, header);
}

/** What is lent along with the mask: which signals have their default action, and may be given it again. */
function showDefaults(task: Task, header: number, defaults: DefaultActions): void {
  task.shownDefaults = defaults;
  u32[header + H_PLAIN] = defaults.plainLow;
  u32[header + H_PLAIN + 1] = defaults.plainHigh;
  u32[header + H_RESTORED] = defaults.restoredLow;
  u32[header + H_RESTORED + 1] = defaults.restoredHigh;
  writeU64(4 * (header + H_RESTORER), defaults.restorer);
  u32[header + H_ACTIONS_CHANGED] = 0;
}

function takeDefaults(task: Task, header: number): void {
  if (task.shownDefaults === NO_DEFAULTS) return;
  task.group.actions.adopt({
    plainLow: u32[header + H_PLAIN],
    plainHigh: u32[header + H_PLAIN + 1],
    restoredLow: u32[header + H_RESTORED],
    restoredHigh: u32[header + H_RESTORED + 1],
    restorer: readU64(4 * (header + H_RESTORER)),
  });
}

/** The slot is another: what it says of the thread is to be written anew. */
export function forgetShown(task: Task): void {
  showDefaults(task, (task.memory.slot * SLOT_SIZE) >>> 2, NO_DEFAULTS);
}

/** Before a signal is sent, or the mask of a running thread is shown: it is as it is now, and does not shrink unseen. */
export function recallMask(task: Task): void {
  if (!task.maskLent) return;
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  // A store that all see before the load that follows.
  Atomics.store(u32, header + H_MASK_LENT, 0);
  task.maskLow = sanitizeMaskLow(u32[header + H_MASK]);
  task.maskHigh = u32[header + H_MASK + 1] | 0;
}

/** Somebody wants to see every call of every task (--strace). */
let allTraced = false;

/** From now on no call is answered outside the sentry. For the start of a sandbox: running tasks do not notice. */
export function traceAll(): void {
  allTraced = true;
}

/** Whether somebody looks at all calls of a task and at what comes of them. */
export function seesEveryCall(task: Task): boolean {
  return allTraced || task.everyCall || task.tracing !== null;
}

function judgesOwnCalls({ seccomp }: Task): boolean {
  return seccomp !== null && (seccomp === 'strict' || !seccomp.allowsOwnCalls);
}

/**
 * The switch of one task: while `task.everyCall` is set (a tracer that stops it at calls), or filters judge one of these
 * calls, the sentry gets them all. Call it after a change of one of these, of the task's ids, its parent or its credentials.
 */
export function showOwnAnswers(task: Task): void {
  if (task.memory.slot < 0) return;
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  if (allTraced || task.everyCall || judgesOwnCalls(task)) {
    u32[header + H_OWN] = 0;
    return;
  }
  u32[header + H_OWN_PID] = ownPid(task);
  u32[header + H_OWN_TID] = ownTid(task);
  u32[header + H_OWN_PPID] = ownParent(task);
  u32[header + H_OWN_UID] = ownUid(task);
  u32[header + H_OWN_EUID] = ownEuid(task);
  u32[header + H_OWN_GID] = ownGid(task);
  u32[header + H_OWN_EGID] = ownEgid(task);
  u32[header + H_OWN] = 1;
}
