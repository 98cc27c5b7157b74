// Handing a pidfd to a parent together with its new child (clone(2), clone3(2) with CLONE_PIDFD), and finding the
// process a pidfd stands for (waitid(2) with P_PIDFD).

import { EBADF } from '../../abi/errno.ts';
import type { Fd, UserAddress } from '../../base/brands.ts';
import { installFile } from '../../kernel/descriptors.ts';
import type { Task, ThreadGroup } from '../../kernel/task.ts';
import { i32 } from '../../platform/arena.ts';
import { PidFile } from './pidfd.ts';

/** Installs a pidfd of the child in the parent and has its number written at `address`. 0 or -errno. */
export function installPidfd(parent: Task, child: Task, address: UserAddress): number {
  const fd = installFile(parent, new PidFile(child.group, null, 0), true);
  if (fd < 0) return fd;
  const at = parent.memory.out(address, 4);
  if (at < 0) return at;
  i32[at >>> 2] = fd;
  return 0;
}

/** The process that a descriptor stands for, or -EBADF. */
export function pidfdGroup(task: Task, fd: Fd): ThreadGroup | number {
  const file = task.files.get(fd);
  return file instanceof PidFile ? file.group : -EBADF;
}
