// timerfd_create(2), timerfd_settime(2), timerfd_gettime(2).

import { CAP_WAKE_ALARM } from '../abi/capability.ts';
import { EBADF, EINVAL, EPERM } from '../abi/errno.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  ITIMERSPEC_SIZE,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
  TFD_TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET,
} from '../abi/time.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { TimerFile } from '../fs/timerfd/timerfd.ts';
import { clockOffset } from '../kernel/clocks.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { putTimespec, timespecAt } from '../kernel/time-arguments.ts';

export function timerfd_create(task: Task, clockid: number, flags: number): number {
  if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) return -EINVAL;
  const alarm = clockid === CLOCK_REALTIME_ALARM || clockid === CLOCK_BOOTTIME_ALARM;
  if (!alarm && clockid !== CLOCK_REALTIME && clockid !== CLOCK_MONOTONIC && clockid !== CLOCK_BOOTTIME) return -EINVAL;
  if (alarm && !capable(task.credentials, CAP_WAKE_ALARM)) return -EPERM;
  return installFile(task, new TimerFile(clockid, flags), (flags & TFD_CLOEXEC) !== 0);
}

export function timerfd_settime(
  task: Task,
  fd: Fd,
  flags: number,
  new_value: UserAddress,
  old_value: UserAddress,
): number {
  const at = task.memory.in(new_value, ITIMERSPEC_SIZE);
  if (at < 0) return at;
  const interval = timespecAt(at);
  const value = timespecAt(at + 16);
  if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) || interval < 0 || value < 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  if (old_value !== 0) {
    const failed = report(task, file, old_value);
    if (failed < 0) return failed;
  }
  file.set(value, interval, flags, clockOffset(task.namespaces.time, file.clock));
  return 0;
}

export function timerfd_gettime(task: Task, fd: Fd, curr_value: UserAddress): number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  return report(task, file, curr_value);
}

function report(task: Task, file: TimerFile, address: UserAddress): number {
  const at = task.memory.out(address, ITIMERSPEC_SIZE);
  if (at < 0) return at;
  const left = file.remaining();
  putTimespec(at, file.period);
  putTimespec(at + 16, left);
  return 0;
}
