// Resource limits (getrlimit(2)): sixteen pairs per thread group; Infinity stands for RLIM_INFINITY.

import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EMFILE } from '../abi/errno.ts';
import {
  RLIMIT_CORE,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RTPRIO,
  RLIMIT_STACK,
} from '../abi/resource.ts';
import { capable } from '../base/credentials.ts';
import type { FdTable } from '../vfs/fd-table.ts';
import { countTasks, exceedsCgroupLimit } from './cgroups.ts';
import { kernel } from './kernel.ts';
import type { Task } from './task.ts';

export const RLIMIT_COUNT = 16;
/** No process may have more descriptors than this, whatever its limit says (fs.nr_open). */
export const NR_OPEN = 1048576;
/** The same as it is set now. */
export const openLimit = { most: NR_OPEN };

/** Descriptors of a task are below this. */
export function descriptorLimit(task: Task): number {
  return Math.min(task.group.limits.soft[RLIMIT_NOFILE], openLimit.most);
}

/**
 * Whether a table of descriptors cannot be copied: -EMFILE when it has one that nobody may have any more, -ENOMEM when all
 * tables together are large enough, else 0.
 */
export function checkTableSize(table: FdTable): number {
  const { files } = table;
  for (let fd = openLimit.most; fd < files.length; fd++) if (files[fd]) return -EMFILE;
  return table.checkCopy();
}

export class Limits {
  readonly soft: number[] = new Array(RLIMIT_COUNT).fill(Number.POSITIVE_INFINITY);
  readonly hard: number[] = new Array(RLIMIT_COUNT).fill(Number.POSITIVE_INFINITY);

  /** Linux's defaults for init, with a container's usual descriptor limit. */
  static defaults(): Limits {
    const limits = new Limits();
    limits.set(RLIMIT_STACK, 8 << 20, Number.POSITIVE_INFINITY);
    limits.set(RLIMIT_CORE, 0, Number.POSITIVE_INFINITY);
    limits.set(RLIMIT_NOFILE, 1024, NR_OPEN);
    limits.set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
    limits.set(RLIMIT_MSGQUEUE, 819200, 819200);
    limits.set(RLIMIT_NICE, 0, 0);
    limits.set(RLIMIT_RTPRIO, 0, 0);
    return limits;
  }

  set(resource: number, soft: number, hard: number): void {
    this.soft[resource] = soft;
    this.hard[resource] = hard;
  }

  copy(): Limits {
    const copy = new Limits();
    for (let i = 0; i < RLIMIT_COUNT; i++) copy.set(i, this.soft[i], this.hard[i]);
    return copy;
  }
}

/**
 * Whether a container has as many tasks as its cgroup may, or the task's user as many as RLIMIT_NPROC lets it have.
 * Privileged tasks are not held to the latter.
 */
export function exceedsProcessLimit(task: Task): boolean {
  const { top } = task.group.cgroup;
  const most = top.limits.pids ?? Number.POSITIVE_INFINITY;
  // Counted only where there are so many in all.
  if (kernel.tasks.size >= most && countTasks(top, kernel.groups.values()) >= most) return true;
  if (exceedsCgroupLimit(task.group, kernel.groups.values())) return true;
  const limit = task.group.limits.soft[RLIMIT_NPROC];
  if (kernel.tasks.size < limit) return false;
  const { credentials } = task;
  if (credentials.uid === 0 || capable(credentials, CAP_SYS_RESOURCE) || capable(credentials, CAP_SYS_ADMIN))
    return false;
  let count = 0;
  for (const other of kernel.tasks.values()) if (other.credentials.uid === credentials.uid) count++;
  return count >= limit;
}
