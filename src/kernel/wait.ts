// Waiting for children and tracees (wait4(2), waitid(2)): which one, which event, and taking note of it once.

import { ECHILD } from '../abi/errno.ts';
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  CLD_TRAPPED,
  SIGCHLD,
  SIGCONT,
} from '../abi/signal.ts';
import { __WALL, __WCLONE, __WNOTHREAD, stoppedStatus, WCONTINUED, WEXITED, WNOWAIT, WSTOPPED } from '../abi/wait.ts';
import { reap } from './exit.ts';
import type { Numbered } from './pid-namespaces.ts';
import { tracerTookNote } from './ptrace/events.ts';
import { tracerOf, unlink } from './ptrace/tracing.ts';
import type { ProcessGroup } from './sessions.ts';
import { type Task, type ThreadGroup, TRACED } from './task.ts';
import { collectChildUsage } from './usage.ts';

/** What a wait found. Reused: valid until the next call of `findChildEvent`. */
export interface ChildEvent {
  group: ThreadGroup | null;
  /** Whose number is told: the process, or a thread that the caller traces. */
  who: Numbered | null;
  /** Status as wait4 stores it. */
  status: number;
  /** CLD_* and si_status as waitid stores them. */
  code: number;
  value: number;
}

const event: ChildEvent = { group: null, who: null, status: 0, code: 0, value: 0 };

/** Whom a wait is for: a process, a traced thread, a process group, or anybody (null). */
export type Waited = ThreadGroup | Task | ProcessGroup | null;

/**
 * Looks for an event of a child, or of a thread that `waiter`'s process traces. Returns it, or null when eligible ones
 * exist but nothing has happened, or -ECHILD. Without WNOWAIT the event is consumed: a zombie is reaped, a stop or
 * continue reported.
 */
export function findChildEvent(waiter: Task, target: Waited, options: number): ChildEvent | null | number {
  const parent = waiter.group;
  let eligible = false;
  for (const child of parent.children) {
    if (target !== null && target !== child && target !== child.processGroup) continue;
    const tracer = tracerOf(child.leader);
    const isClone = child.exitSignal !== SIGCHLD;
    if (tracer?.group !== parent && !(options & __WALL) && ((options & __WCLONE) !== 0) !== isClone) continue;
    eligible = true;
    if (checkChild(child, tracer, options)) return event;
  }
  for (const thread of options & __WNOTHREAD ? [waiter] : parent.threads) {
    if (thread.tracees === null) continue;
    for (const tracee of thread.tracees) {
      const { group } = tracee;
      const isTarget = target === tracee || (target === group && group.leader === tracee);
      if (target !== null && !isTarget && target !== group.processGroup) continue;
      eligible = true;
      if (checkTracee(tracee, options)) return event;
    }
  }
  return eligible ? null : -ECHILD;
}

/** `tracer`: who traces the child's leader. If it is another process, that one takes note of the end first. */
function checkChild(child: ThreadGroup, tracer: Task | null, options: number): boolean {
  const elsewhere = tracer !== null && tracer.group !== child.parent;
  if (child.status >= 0) {
    if (!(options & WEXITED) || elsewhere) return false;
    fillEnd(child, child, child.status);
    if (!(options & WNOWAIT)) {
      collectChildUsage(child);
      if (tracer) unlink(child.leader);
      reap(child);
    }
    return true;
  }
  if (child.stopped && !child.stopReported && options & WSTOPPED && (tracer === null || elsewhere)) {
    fill(child, child, stoppedStatus(child.stopSignal), CLD_STOPPED, child.stopSignal);
    if (!(options & WNOWAIT)) child.stopReported = true;
    return true;
  }
  if (!child.stopped && !child.continueReported && options & WCONTINUED) {
    fill(child, child, 0xffff, CLD_CONTINUED, SIGCONT);
    if (!(options & WNOWAIT)) child.continueReported = true;
    return true;
  }
  return false;
}

/** Stops of a tracee are told whatever the options say; ends unless it is a child, whose turn was before. */
function checkTracee(tracee: Task, options: number): boolean {
  const { tracing, group } = tracee;
  if (tracing === null) return false;
  if (tracee.state === TRACED && tracing.unreported && !tracing.listening) {
    fill(group, tracee, stoppedStatus(tracing.code), CLD_TRAPPED, tracing.code);
    if (!(options & WNOWAIT)) tracing.unreported = false;
    return true;
  }
  if (!(options & WEXITED)) return false;
  if (tracing.zombie >= 0) {
    fillEnd(group, tracee, tracing.zombie);
    if (!(options & WNOWAIT)) unlink(tracee);
    return true;
  }
  if (tracee !== group.leader || group.status < 0 || group.parent === tracing.tracer?.group) return false;
  fillEnd(group, tracee, group.status);
  if (!(options & WNOWAIT)) tracerTookNote(tracee);
  return true;
}

function fillEnd(group: ThreadGroup, who: Numbered, status: number): void {
  const signo = status & 0x7f;
  const code = signo === 0 ? CLD_EXITED : status & 0x80 ? CLD_DUMPED : CLD_KILLED;
  fill(group, who, status, code, signo === 0 ? status >> 8 : signo);
}

function fill(group: ThreadGroup, who: Numbered, status: number, code: number, value: number): void {
  event.group = group;
  event.who = who;
  event.status = status;
  event.code = code;
  event.value = value;
}
