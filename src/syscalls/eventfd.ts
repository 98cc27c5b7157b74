// eventfd(2), eventfd2(2).

import { EINVAL } from '../abi/errno.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from '../abi/misc.ts';
import { EventFile } from '../fs/eventfd/eventfd.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';

export function eventfd(task: Task, initval: number): number {
  return eventfd2(task, initval, 0);
}

export function eventfd2(task: Task, initval: number, flags: number): number {
  if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) return -EINVAL;
  return installFile(task, new EventFile(initval, flags), (flags & EFD_CLOEXEC) !== 0);
}
