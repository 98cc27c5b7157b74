// Work that is left over when something ends and that nobody waits for: a table of a hundred thousand files to be closed, as
// many watches to be taken off. It is done in pieces, a turn's worth each, while others are served in between.

import { monotonicNow } from '../base/clock.ts';
import { setLaterHook } from '../vfs/dentry-cache.ts';
import { armTimer, Timer } from './timers.ts';

/** Does a part of the work; true when that was the last. */
type Step = () => boolean;

const steps: Step[] = [];

const timer = new Timer({
  expire() {
    if (steps[0]?.()) steps.shift();
    if (steps.length > 0) armTimer(timer, monotonicNow());
  },
});

/** Has the work done from the loop's next turn on, after what came before it. */
export function finishLater(step: Step): void {
  steps.push(step);
  if (!timer.armed) armTimer(timer, monotonicNow());
}

setLaterHook(finishLater);
