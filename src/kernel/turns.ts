// Long calls in turns. While one call is served nobody else in the sandbox is, so a handler with much to do does a part of
// it, and when its turn is over returns what yieldTurn() says: its task waits for nothing, and the handler runs again when
// others have been served, with `task.resumed` set and what it has done in `task.progress`.

import { SIG_DFL, SIGKILL } from '../abi/signal.ts';
import { monotonicNow } from '../base/clock.ts';
import { native } from '../platform/native.ts';
import { WAIT } from './block.ts';
import { makeRunnableLater } from './run-queue.ts';
import { hasDeliverableSignal } from './signal-state.ts';
import { ignoredByDefault } from './signals.ts';
import { isStopSignal } from './stop.ts';
import { BLOCKED, type Task } from './task.ts';

/** How long a turn is, in ns. */
const TURN = 2e6;

/** Whether the work since the loop's last wait has taken long enough. Costs a look at the clock. */
export function turnIsOver(): boolean {
  return monotonicNow() - native.clock[0] > TURN;
}

/** WAIT; or, when a signal is going to end the task anyway, `done`, with which the call is to end. */
export function yieldTurn(task: Task, done: number): number {
  if (hasDeliverableSignal(task) && isFatal(task)) return done;
  task.progress = done;
  task.state = BLOCKED;
  makeRunnableLater(task);
  return WAIT;
}

/** Whether a signal that is pending will kill: as in Linux, others do not break off what is done to a file. */
function isFatal(task: Task): boolean {
  if (task.doomed || task.pending.has(SIGKILL) || task.group.pending.has(SIGKILL)) return true;
  const low = (task.pending.low | task.group.pending.low) & ~task.maskLow;
  for (let signo = 1; signo < 32; signo++) {
    if (!((low >>> (signo - 1)) & 1) || ignoredByDefault(signo) || isStopSignal(signo)) continue;
    if (task.group.actions.get(signo).handler === SIG_DFL) return true;
  }
  return false;
}
