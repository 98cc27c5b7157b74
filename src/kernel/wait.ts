// Waiting for children (wait4(2), waitid(2)): which child, which event, and taking note of it once.

import { ECHILD } from '../abi/errno.ts';
import { CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SIGCHLD, SIGCONT } from '../abi/signal.ts';
import { __WALL, __WCLONE, WCONTINUED, WEXITED, WNOWAIT, WSTOPPED } from '../abi/wait.ts';
import { reap } from './exit.ts';
import type { ProcessGroup } from './sessions.ts';
import type { ThreadGroup } from './task.ts';
import { collectChildUsage } from './usage.ts';

/** What a wait found. Reused: valid until the next call of `findChildEvent`. */
export interface ChildEvent {
  group: ThreadGroup | null;
  /** Status as wait4 stores it. */
  status: number;
  /** CLD_* and si_status as waitid stores them. */
  code: number;
  value: number;
}

const event: ChildEvent = { group: null, status: 0, code: 0, value: 0 };

/**
 * Looks for an event of any child, of one, or of those in a process group. Returns it, or null when eligible children exist but nothing has happened, or -ECHILD.
 * Without WNOWAIT the event is consumed: a zombie is reaped, a stop or continue reported.
 */
export function findChildEvent(
  parent: ThreadGroup,
  target: ThreadGroup | ProcessGroup | null,
  options: number,
): ChildEvent | null | number {
  let eligible = false;
  for (const child of parent.children) {
    if (target !== null && target !== child && target !== child.processGroup) continue;
    if (!(options & __WALL) && ((options & __WCLONE) !== 0) !== (child.exitSignal !== SIGCHLD)) continue;
    eligible = true;
    if (checkChild(child, options)) return event;
  }
  return eligible ? null : -ECHILD;
}

function checkChild(child: ThreadGroup, options: number): boolean {
  if (child.status >= 0) {
    if (!(options & WEXITED)) return false;
    const signo = child.status & 0x7f;
    const code = signo === 0 ? CLD_EXITED : child.status & 0x80 ? CLD_DUMPED : CLD_KILLED;
    fill(child, child.status, code, signo === 0 ? child.status >> 8 : signo);
    if (!(options & WNOWAIT)) {
      collectChildUsage(child);
      reap(child);
    }
    return true;
  }
  if (child.stopped && !child.stopReported && options & WSTOPPED) {
    fill(child, (child.stopSignal << 8) | 0x7f, CLD_STOPPED, child.stopSignal);
    if (!(options & WNOWAIT)) child.stopReported = true;
    return true;
  }
  if (!child.stopped && !child.continueReported && options & WCONTINUED) {
    fill(child, 0xffff, CLD_CONTINUED, SIGCONT);
    if (!(options & WNOWAIT)) child.continueReported = true;
    return true;
  }
  return false;
}

function fill(group: ThreadGroup, status: number, code: number, value: number): void {
  event.group = group;
  event.status = status;
  event.code = code;
  event.value = value;
}
