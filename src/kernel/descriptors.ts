// Giving new files descriptor numbers within the task's limit, and closing what a process leaves.

import type { Fd } from '../base/brands.ts';
import { drop, type OpenFile } from '../vfs/open-file.ts';
import { finishLater } from './leftovers.ts';
import { descriptorLimit } from './limits.ts';
import type { Task } from './task.ts';
import { turnIsOver } from './turns.ts';

/** So many files are closed at once, whatever the time. */
const CLOSED_AT_ONCE = 1024;

/** Closes files that were taken out of a task's table: of very many, the rest when others have been served. */
export function closeFiles(task: Task, files: readonly OpenFile[]): void {
  let next = 0;
  const closeSome = (): boolean => {
    const least = next + CLOSED_AT_ONCE;
    while (next < files.length) {
      const file = files[next++];
      file.flush(task);
      drop(file);
      if (next >= least && (next & 63) === 0 && turnIsOver()) return false;
    }
    return true;
  };
  if (!closeSome()) finishLater(closeSome);
}

/**
 * The lowest free descriptor for a file, whose reference passes to the table; -EMFILE, -ENFILE or -ENOMEM, and the file is
 * dropped.
 */
export function installFile(task: Task, file: OpenFile, closeOnExec: boolean): Fd | number {
  file.opener ??= task.credentials;
  const fd = task.files.install(file, closeOnExec, descriptorLimit(task));
  if (fd < 0) drop(file);
  return fd;
}

/** Takes a descriptor that was just installed back out, as if it had never been. */
export function uninstallFile(task: Task, fd: Fd): void {
  const file = task.files.remove(fd);
  if (file) drop(file);
}
