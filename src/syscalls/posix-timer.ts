// timer_create(2), timer_settime(2), timer_gettime(2), timer_getoverrun(2), timer_delete(2).

import { EINVAL } from '../abi/errno.ts';
import { SIGALRM } from '../abi/signal.ts';
import { ITIMERSPEC_SIZE, TIMER_ABSTIME } from '../abi/time.ts';
import { NULL, type Pid, type UserAddress } from '../base/brands.ts';
import { findTimingClock } from '../kernel/clocks.ts';
import { createPosixTimer, deletePosixTimer, type PosixTimer, type TimerEvent } from '../kernel/posix-timers.ts';
import type { Task } from '../kernel/task.ts';
import { putTimespec, timespecAt } from '../kernel/time-arguments.ts';
import { i32, u32 } from '../platform/arena.ts';

// struct sigevent: u64 value, s32 signo, s32 notify, s32 thread id
const SIGEVENT_SIZE = 64;
const SIGEV_SIGNAL = 0;
const SIGEV_NONE = 1;
const SIGEV_THREAD = 2;
const SIGEV_THREAD_ID = 4;
const NSIG = 64;

export function timer_create(task: Task, clockId: number, eventAddress: UserAddress, idAddress: UserAddress): number {
  const clock = findTimingClock(task, clockId);
  if (typeof clock === 'number') return clock;
  const event = eventAddress === NULL ? null : readEvent(task, eventAddress);
  if (typeof event === 'number') return event;
  const timer = createPosixTimer(task.group, clock, event, SIGALRM);
  if (typeof timer === 'number') return timer;
  const at = task.memory.out(idAddress, 4);
  if (at < 0) {
    deletePosixTimer(timer);
    return at;
  }
  i32[at >>> 2] = timer.id;
  return 0;
}

function readEvent(task: Task, address: UserAddress): TimerEvent | number {
  const at = task.memory.in(address, SIGEVENT_SIZE);
  if (at < 0) return at;
  const word = at >>> 2;
  const event: TimerEvent = { signo: 0, valueLow: u32[word], valueHigh: u32[word + 1], thread: null };
  const signo = i32[word + 2];
  const notify = i32[word + 3];
  const tid = i32[word + 4];
  if (notify === SIGEV_NONE) return event;
  if (notify === (SIGEV_SIGNAL | SIGEV_THREAD_ID)) {
    const thread = task.pidNamespace.tasks.get(tid as Pid);
    if (!thread || thread.group !== task.group) return -EINVAL;
    event.thread = thread;
  } else if (notify !== SIGEV_SIGNAL && notify !== SIGEV_THREAD) {
    return -EINVAL;
  }
  if (signo <= 0 || signo > NSIG) return -EINVAL;
  event.signo = signo;
  return event;
}

export function timer_settime(task: Task, id: number, flags: number, fresh: UserAddress, old: UserAddress): number {
  if (fresh === NULL) return -EINVAL;
  const at = task.memory.in(fresh, ITIMERSPEC_SIZE);
  if (at < 0) return at;
  const interval = timespecAt(at);
  const value = timespecAt(at + 16);
  if (interval < 0 || value < 0) return -EINVAL;
  const timer = task.group.posixTimers.get(id);
  if (!timer) return -EINVAL;
  const r = old === NULL ? 0 : writeTimer(task, old, timer);
  if (r < 0) return r;
  timer.set(value, interval, (flags & TIMER_ABSTIME) !== 0);
  return 0;
}

export function timer_gettime(task: Task, id: number, address: UserAddress): number {
  const timer = task.group.posixTimers.get(id);
  return timer ? writeTimer(task, address, timer) : -EINVAL;
}

export function timer_getoverrun(task: Task, id: number): number {
  return task.group.posixTimers.get(id)?.lastOverruns ?? -EINVAL;
}

export function timer_delete(task: Task, id: number): number {
  const timer = task.group.posixTimers.get(id);
  if (!timer) return -EINVAL;
  deletePosixTimer(timer);
  return 0;
}

function writeTimer(task: Task, address: UserAddress, timer: PosixTimer): number {
  const at = task.memory.out(address, ITIMERSPEC_SIZE);
  if (at < 0) return at;
  putTimespec(at, timer.interval);
  putTimespec(at + 16, timer.remaining());
  return 0;
}
