// What cleans up after threads and groups that have ended. Imports nothing, so that whoever has something to clean up
// may say so while it is loaded, in whatever order that happens.

import type { Task, ThreadGroup } from './task.ts';

/** Run for each group that has just ended: timers, locks and the like clean up after it. */
export const groupExitHooks: ((group: ThreadGroup) => void)[] = [];
/** Run for each thread that ends. */
export const taskExitHooks: ((task: Task) => void)[] = [];
/** Run for each group that was waited for, while it still has its numbers. */
export const reapHooks: ((group: ThreadGroup) => void)[] = [];
