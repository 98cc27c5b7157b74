// When the timers of a process end: POSIX timers with its program, all of them with the process.

import { execHooks } from './exec.ts';
import { groupExitHooks } from './exit-hooks.ts';
import { deletePosixTimers } from './posix-timers.ts';

/** Hooks the ends of programs and processes. Called once, at boot. */
export function installTimerHooks(): void {
  execHooks.push((task) => deletePosixTimers(task.group));
  groupExitHooks.push((group) => {
    deletePosixTimers(group);
    group.intervalTimers?.cancel();
  });
}
