// Seccomp inside the sandbox (seccomp(2)): a program's own filters over its calls. A task holds the newest filter of a
// chain that fork and exec keep and that only grows. Dispatch asks `enforceSeccomp` before a handler runs; numbers that
// a whole chain allows whatever the arguments are cost one look into a bitmap.
//
// Calls that the host kernel runs under the guest's filter (the table's native ones) never come here: what a program
// forbids itself among those is not enforced.

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EACCES, EINVAL, ENOMEM, ENOSYS, ESRCH } from '../abi/errno.ts';
import {
  AUDIT_ARCH_X86_64,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_IP,
  SECCOMP_DATA_SIZE,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_MODE_DISABLED,
  SECCOMP_MODE_FILTER,
  SECCOMP_MODE_STRICT,
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_DATA,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from '../abi/seccomp.ts';
import { SIGKILL, SIGSYS, SYS_SECCOMP } from '../abi/signal.ts';
import { hasCapabilityIn } from '../base/credentials.ts';
import { u32 } from '../platform/arena.ts';
import { completeWithSignal } from './answer.ts';
import { ANSWERED } from './block.ts';
import { exitThread, killGroup } from './exit.ts';
import { taskExitHooks } from './exit-hooks.ts';
import { OWN_CALLS, showOwnAnswers } from './own-answers.ts';
import { numberIn } from './pid-namespaces.ts';
import { stopForSeccomp } from './ptrace/calls.ts';
import { reportsSeccomp } from './ptrace/tracing.ts';
import { allowsAlways, runSeccompProgram, type SeccompProgram } from './seccomp-program.ts';
import { signalInfo } from './signal-state.ts';
import type { Task } from './task.ts';

/** Numbers from here on are not cached: no call has one. */
const CACHED_NUMBERS = 512;
/** Instructions of a whole chain, with four for each filter but the newest (seccomp(2)). */
const MAX_CHAIN_LENGTH = 32768;
const FILTER_PENALTY = 4;
/** What SECCOMP_RET_ERRNO answers at most. */
const MAX_ERRNO = 4095;

/** A filter with all those that were there before it. Never changes. */
export class SeccompFilter {
  readonly program: SeccompProgram;
  readonly previous: SeccompFilter | null;
  /** How many there are, this one included. */
  readonly count: number;
  /** By number, 1 where this filter and all before it allow the call whatever its arguments are. */
  readonly alwaysAllowed = new Uint8Array(CACHED_NUMBERS);
  /** All that the stub answers by itself is allowed: it may go on doing so. */
  readonly allowsOwnCalls: boolean;
  /** Tasks that have it as their newest, and filters that were added to it. */
  private holders = 0;

  constructor(program: SeccompProgram, previous: SeccompFilter | null) {
    this.program = program;
    this.previous = previous;
    this.count = previous ? previous.count + 1 : 1;
    for (let nr = 0; nr < CACHED_NUMBERS; nr++) {
      if (previous && previous.alwaysAllowed[nr] === 0) continue;
      if (allowsAlways(program, nr, AUDIT_ARCH_X86_64)) this.alwaysAllowed[nr] = 1;
    }
    this.allowsOwnCalls = Object.values(OWN_CALLS).every((nr) => this.alwaysAllowed[nr] === 1);
  }

  /** What it takes of the sentry's memory, in instructions. */
  private get cost(): number {
    return this.program.length + FILTER_COST;
  }

  hold(): void {
    if (this.holders++ > 0) return;
    held += this.cost;
    this.previous?.hold();
  }

  letGo(): void {
    for (let at: SeccompFilter | null = this; at && --at.holders === 0; at = at.previous) held -= at.cost;
  }
}

/** What all filters take that some task has, and how much that may be. */
let held = 0;
const HELD_MOST = 1 << 22;
/** Of a filter beside its instructions. */
const FILTER_COST = 128;

/** Gives a task its filters, or strict mode. */
export function setSeccomp(task: Task, seccomp: Seccomp | null): void {
  if (seccomp instanceof SeccompFilter) seccomp.hold();
  if (task.seccomp instanceof SeccompFilter) task.seccomp.letGo();
  task.seccomp = seccomp;
}

taskExitHooks.push((task) => {
  if (task.seccomp instanceof SeccompFilter) task.seccomp.letGo();
});

/** Strict mode: read, write, exit and the return from a signal handler are all that is left. */
export const STRICT = 'strict';
export type Seccomp = SeccompFilter | typeof STRICT;

const SYS_READ = 0;
const SYS_WRITE = 1;
const SYS_RT_SIGRETURN = 15;
const SYS_EXIT = 60;

/** Result of `enforceSeccomp` for a call that may be made. */
export const PASSES = 1;

/** struct seccomp_data of the call being served: read from its slot once, for the filter and for the handler alike. */
export const seccompData = new Uint32Array(SECCOMP_DATA_SIZE / 4);
seccompData[1] = AUDIT_ARCH_X86_64;
export const DATA_ARGS_WORD = SECCOMP_DATA_ARGS / 4;

/** Takes a call's number, address and arguments (six times 64 bits at word `args` of the arena). */
export function captureCall(nr: number, ip: number, args: number): void {
  seccompData[0] = nr;
  seccompData[SECCOMP_DATA_IP / 4] = ip;
  seccompData[SECCOMP_DATA_IP / 4 + 1] = Math.floor(ip / 4294967296);
  for (let i = 0; i < 12; i++) seccompData[DATA_ARGS_WORD + i] = u32[args + i];
}

/** Asks the task's filters about the captured call. PASSES, the call's result, or ANSWERED. */
export function enforceSeccomp(task: Task, seccomp: Seccomp): number {
  const { nr } = task;
  if (seccomp === STRICT) {
    return nr === SYS_READ || nr === SYS_WRITE || nr === SYS_EXIT || nr === SYS_RT_SIGRETURN
      ? PASSES
      : exitThread(task, SIGKILL);
  }
  if (nr < CACHED_NUMBERS && seccomp.alwaysAllowed[nr] === 1) return PASSES;
  return act(task, judge(seccomp));
}

/** What the chain says: the most restrictive action, and of several equal ones the newest filter's. */
function judge(newest: SeccompFilter): number {
  let verdict = SECCOMP_RET_ALLOW;
  for (let filter: SeccompFilter | null = newest; filter; filter = filter.previous) {
    const value = runSeccompProgram(filter.program, seccompData);
    // Actions are ordered as signed numbers: SECCOMP_RET_KILL_PROCESS is the least.
    if ((value & SECCOMP_RET_ACTION_FULL) < (verdict & SECCOMP_RET_ACTION_FULL)) verdict = value;
  }
  return verdict;
}

function act(task: Task, verdict: number): number {
  const action = (verdict & SECCOMP_RET_ACTION_FULL) >>> 0;
  const data = verdict & SECCOMP_RET_DATA;
  switch (action) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
      return PASSES;
    case SECCOMP_RET_ERRNO:
      return -Math.min(data, MAX_ERRNO);
    case SECCOMP_RET_TRACE:
      if (!reportsSeccomp(task)) return -ENOSYS;
      return stopForSeccomp(task, data) ? ANSWERED : PASSES;
    case SECCOMP_RET_USER_NOTIF:
      // Nobody listens.
      return -ENOSYS;
    case SECCOMP_RET_TRAP:
      return trap(task, data);
    case SECCOMP_RET_KILL_THREAD:
      if (task.group.threads.size > 1) return exitThread(task, SIGSYS);
      break;
  }
  killGroup(task.group, SIGSYS, task);
  return ANSWERED;
}

/** SIGSYS with the call's registers as they were: rax is the number. */
function trap(task: Task, data: number): number {
  const info = signalInfo(SIGSYS, SYS_SECCOMP, {
    errno: data,
    valueLow: seccompData[SECCOMP_DATA_IP / 4],
    valueHigh: seccompData[SECCOMP_DATA_IP / 4 + 1],
    status: task.nr | 0,
    utime: AUDIT_ARCH_X86_64,
  });
  completeWithSignal(task, info);
  return ANSWERED;
}

/** Mode as prctl(PR_GET_SECCOMP) and /proc/PID/status show it. */
export function seccompMode({ seccomp }: Task): number {
  if (seccomp === null) return SECCOMP_MODE_DISABLED;
  return seccomp === STRICT ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
}

export function seccompFilterCount({ seccomp }: Task): number {
  return seccomp instanceof SeccompFilter ? seccomp.count : 0;
}

/** Enters strict mode. 0, or -EINVAL if there are filters. */
export function enterStrictMode(task: Task): number {
  if (task.seccomp instanceof SeccompFilter) return -EINVAL;
  task.seccomp = STRICT;
  showOwnAnswers(task);
  return 0;
}

/**
 * Adds a filter to the task's, with SECCOMP_FILTER_FLAG_TSYNC to those of its whole process. 0, -errno, or the thread id
 * of one that has filters of its own.
 */
export function addSeccompFilter(task: Task, program: SeccompProgram, flags: number): number {
  const previous = task.seccomp;
  if (previous === STRICT) return -EINVAL;
  if (chainLength(program, previous) > MAX_CHAIN_LENGTH) return -ENOMEM;
  if (flags & SECCOMP_FILTER_FLAG_TSYNC) {
    for (const thread of task.group.threads) {
      if (thread === task || isOlder(thread.seccomp, previous)) continue;
      return flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : numberIn(task.pidNamespace, thread);
    }
  }
  if (held + program.length + FILTER_COST > HELD_MOST) return -ENOMEM;
  const filter = new SeccompFilter(program, previous);
  setSeccomp(task, filter);
  showOwnAnswers(task);
  if (flags & SECCOMP_FILTER_FLAG_TSYNC) {
    const { noNewPrivileges } = task.credentials;
    for (const thread of task.group.threads) {
      setSeccomp(thread, filter);
      showOwnAnswers(thread);
      if (noNewPrivileges && !thread.credentials.noNewPrivileges) {
        thread.credentials = { ...thread.credentials, noNewPrivileges };
      }
    }
  }
  return 0;
}

function chainLength(program: SeccompProgram, previous: SeccompFilter | null): number {
  let { length } = program;
  for (let filter = previous; filter; filter = filter.previous) length += filter.program.length + FILTER_PENALTY;
  return length;
}

/** Whether a thread's filters are some of the caller's: then it can be given the caller's. */
function isOlder(theirs: Seccomp | null, ours: SeccompFilter | null): boolean {
  if (theirs === null) return true;
  for (let filter = ours; filter; filter = filter.previous) if (filter === theirs) return true;
  return false;
}

/** Who may add a filter: one who gains nothing by what it makes set-user-id programs do. 0 or -EACCES. */
export function mayAddSeccompFilter({ credentials }: Task): number {
  return credentials.noNewPrivileges || hasCapabilityIn(credentials.effective, CAP_SYS_ADMIN) ? 0 : -EACCES;
}
