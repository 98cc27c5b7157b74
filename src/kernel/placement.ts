// On which CPU new processes start: on that of their maker. The kernel would put them on the idlest one, from where
// each ring wakes the sentry across CPUs; fork, exit and wait took a third longer that way. The maker's host thread is
// held on its CPU while it makes the child, which inherits that. The child is let go with its first ring, or after a while.
// Its maker may well make more of them: it is let go some time later.

import { monotonicNow } from '../base/clock.ts';
import { native } from '../platform/native.ts';
import { DEAD, type Task } from './task.ts';
import { armTimer, Timer } from './timers.ts';
import { findTask } from './unheard.ts';

/**
 * ns that a task is held after it made a child, at the least; twice as long at the most. A deadline nearer than the
 * host's next tick would have each wait of the sentry's set the CPU's timer, which is dear in a virtual machine.
 */
const HOLD = 20e6;

/** Tasks that were held since the last turn of the timer, and before. */
let held = new Set<Task>();
let heldLonger = new Set<Task>();
const timer = new Timer({ expire: turn });

/** The task, whose ring is pending, makes a child with this answer. */
export function holdForChild(maker: Task, child: Task): void {
  const cpu = native.hold(maker.hostTid, maker.heldOn);
  if (cpu < 0) return;
  maker.heldOn = child.heldOn = cpu;
  heldLonger.delete(maker);
  held.add(maker);
  held.add(child);
  if (!timer.armed) armTimer(timer, monotonicNow() + HOLD);
}

/** The task makes a thread with this answer, and may be kept off the sentry's CPU while that spins. */
export function letRoam(maker: Task): void {
  native.letRoam(maker.memory.slot);
}

/** A held task may run anywhere again. */
export function letGo(task: Task): void {
  task.heldOn = -1;
  held.delete(task);
  heldLonger.delete(task);
  native.letGo(task.hostTid);
}

function turn(): void {
  for (const task of heldLonger) {
    if (task.state === DEAD || task.heldOn < 0) continue;
    if (findTask(task)) letGo(task);
    else held.add(task);
  }
  heldLonger.clear();
  [held, heldLonger] = [heldLonger, held];
  if (heldLonger.size > 0) armTimer(timer, monotonicNow() + HOLD);
}
