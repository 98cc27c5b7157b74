// On which CPU new processes start: on that of their maker. The kernel would put them on the idlest one, from where
// each ring wakes the sentry across CPUs; fork, exit and wait took a third longer that way. The maker's host thread is
// held on its CPU while it makes the child, which inherits that; both are let go when the child has said hello.

import { native } from '../platform/native.ts';
import type { Task } from './task.ts';

/** The task, whose ring is pending, makes a child with this answer. */
export function holdForChild(maker: Task, child: Task): void {
  if (native.place(maker.hostTid, true) < 0) return;
  maker.held = true;
  child.held = true;
  child.maker = maker;
}

/** A held task has rung: it may run anywhere again, and so may its maker. */
export function letGo(task: Task): void {
  task.held = false;
  native.place(task.hostTid, false);
  const { maker } = task;
  task.maker = null;
  if (maker?.held) letGo(maker);
}
