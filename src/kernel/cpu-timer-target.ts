// Who takes the signal of a timer that counts a process's CPU time (setitimer(2), timer_create(2)): on Linux the thread
// that was on the CPU when it expired, which profilers rely on. Here the one that has used most since it took one last.

import { type Clock, PROCESS_CPU, PROCESS_USER } from './clocks.ts';
import { isMasked } from './signals.ts';
import { RUNNING, type Task, type ThreadGroup } from './task.ts';
import { threadCpuTime } from './usage.ts';

/** Of so many threads the times are looked up; in a process with more, any takes the signal. */
const MAX_THREADS = 64;

export class CpuTimerTarget {
  private readonly clock: Clock;
  /** CPU time of a thread, in ns, when it was chosen last. */
  private readonly taken = new WeakMap<Task, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The thread that is to take the signal, or null where it makes no difference. */
  choose(group: ThreadGroup, signo: number): Task | null {
    if (this.clock.kind !== PROCESS_CPU && this.clock.kind !== PROCESS_USER) return null;
    // Another process's clock tells nothing of our threads.
    if (this.clock.group !== group || group.threads.size === 1 || group.threads.size > MAX_THREADS) return null;
    let chosen: Task | null = null;
    let most = 0;
    let time = 0;
    for (const task of group.threads) {
      if (task.state !== RUNNING || isMasked(task, signo)) continue;
      const now = threadCpuTime(task);
      const used = now - (this.taken.get(task) ?? 0);
      if (used <= most) continue;
      [chosen, most, time] = [task, used, now];
    }
    if (chosen) this.taken.set(chosen, time);
    return chosen;
  }
}
