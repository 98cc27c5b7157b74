// setitimer(2), getitimer(2), alarm(2).

import { EINVAL } from '../abi/errno.ts';
import { ITIMER_PROF, ITIMER_REAL, ITIMERVAL_SIZE } from '../abi/time.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { intervalTimerInterval, intervalTimerValue, setIntervalTimer } from '../kernel/interval-timers.ts';
import type { Task } from '../kernel/task.ts';
import { putTimeval, timevalAt } from '../kernel/time-arguments.ts';

const SECOND = 1e9;
const INT_MAX = 0x7fffffff;

export function getitimer(task: Task, which: number, address: UserAddress): number {
  if (!isTimer(which)) return -EINVAL;
  return writeTimer(task, address, intervalTimerValue(task.group, which), intervalTimerInterval(task.group, which));
}

/** Without a new value the timer is turned off, as old programs expect. */
export function setitimer(task: Task, which: number, fresh: UserAddress, old: UserAddress): number {
  let value = 0;
  let interval = 0;
  if (fresh !== NULL) {
    const at = task.memory.in(fresh, ITIMERVAL_SIZE);
    if (at < 0) return at;
    interval = timevalAt(at);
    value = timevalAt(at + 16);
  }
  if (value < 0 || interval < 0 || !isTimer(which)) return -EINVAL;
  const oldValue = intervalTimerValue(task.group, which);
  const oldInterval = intervalTimerInterval(task.group, which);
  setIntervalTimer(task.group, which, value, interval);
  return old === NULL ? 0 : writeTimer(task, old, oldValue, oldInterval);
}

/** Answers the rounded seconds that an earlier alarm had left, at least one if there was one. */
export function alarm(task: Task, seconds: number): number {
  const left = intervalTimerValue(task.group, ITIMER_REAL);
  setIntervalTimer(task.group, ITIMER_REAL, Math.min(seconds, INT_MAX) * SECOND, 0);
  return left === 0 ? 0 : Math.max(1, Math.round(left / SECOND));
}

function isTimer(which: number): boolean {
  return which >= ITIMER_REAL && which <= ITIMER_PROF;
}

function writeTimer(task: Task, address: UserAddress, value: number, interval: number): number {
  const at = task.memory.out(address, ITIMERVAL_SIZE);
  if (at < 0) return at;
  putTimeval(at, interval);
  putTimeval(at + 16, value);
  return 0;
}
