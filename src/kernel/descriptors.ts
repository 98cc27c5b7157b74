// Giving new files descriptor numbers within the task's limit.

import type { Fd } from '../base/brands.ts';
import { drop, type OpenFile } from '../vfs/open-file.ts';
import { descriptorLimit } from './limits.ts';
import type { Task } from './task.ts';

/** The lowest free descriptor for a file, whose reference passes to the table; -EMFILE, and the file is dropped. */
export function installFile(task: Task, file: OpenFile, closeOnExec: boolean): Fd | number {
  const fd = task.files.install(file, closeOnExec, descriptorLimit(task));
  if (fd < 0) drop(file);
  return fd;
}

/** Takes a descriptor that was just installed back out, as if it had never been. */
export function uninstallFile(task: Task, fd: Fd): void {
  const file = task.files.remove(fd);
  if (file) drop(file);
}
