// signalfd(2), signalfd4(2).

import { EBADF, EINVAL } from '../abi/errno.ts';
import { SFD_CLOEXEC, SFD_NONBLOCK, SIGSET_SIZE } from '../abi/signal.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { SignalFile } from '../fs/signalfd/signalfd.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { u32 } from '../platform/arena.ts';

export function signalfd(task: Task, fd: Fd, mask: UserAddress, sizemask: number): number {
  return signalfd4(task, fd, mask, sizemask, 0);
}

export function signalfd4(task: Task, fd: Fd, mask: UserAddress, sizemask: number, flags: number): number {
  if (sizemask !== SIGSET_SIZE) return -EINVAL;
  const at = task.memory.in(mask, SIGSET_SIZE);
  if (at < 0) return at;
  if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) return -EINVAL;
  const low = u32[at >> 2];
  const high = u32[(at >> 2) + 1];
  if (fd === -1) return installFile(task, new SignalFile(low, high, flags), (flags & SFD_CLOEXEC) !== 0);
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  if (!(file instanceof SignalFile)) return -EINVAL;
  file.setMask(low, high);
  return fd;
}
