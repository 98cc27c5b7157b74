// pipe(2), pipe2(2).

import { EINVAL } from '../abi/errno.ts';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK } from '../abi/fcntl.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { createPipe } from '../fs/pipe/pipe.ts';
import { installFile, uninstallFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { i32 } from '../platform/arena.ts';
import { drop } from '../vfs/open-file.ts';

export function pipe(task: Task, fds: UserAddress): number {
  return pipe2(task, fds, 0);
}

export function pipe2(task: Task, fds: UserAddress, flags: number): number {
  if (flags & ~(O_CLOEXEC | O_DIRECT | O_NONBLOCK)) return -EINVAL;
  const at = task.memory.out(fds, 8);
  if (at < 0) return at;
  const [readEnd, writeEnd] = createPipe(task.credentials, flags);
  const first = installFile(task, readEnd, (flags & O_CLOEXEC) !== 0);
  if (first < 0) {
    drop(writeEnd);
    return first;
  }
  const second = installFile(task, writeEnd, (flags & O_CLOEXEC) !== 0);
  if (second < 0) {
    uninstallFile(task, first as Fd);
    return second;
  }
  i32[at >> 2] = first;
  i32[(at >> 2) + 1] = second;
  return 0;
}
