// The file of a call that waits. A call is made again from its start, but it goes on with the file that it began with,
// whatever another thread has done to the descriptor meanwhile: closed it, or put another file there. So whoever takes a
// file out of a shared table gives it to those who wait with that number, and each of their tries finds it there.

import type { Fd } from '../base/brands.ts';
import { drop, type OpenFile, retain } from '../vfs/open-file.ts';
import { BLOCKED, type Task } from './task.ts';

/** A file leaves `fd` of the task's table: threads whose call waits with that descriptor keep it until the call ends. */
export function keepForWaiters(task: Task, fd: Fd, file: OpenFile): void {
  const { files } = task;
  if (files.users === 1) return;
  for (const other of task.group.threads) {
    if (other.state !== BLOCKED || other.files !== files || !other.callHasFd || other.args[0] !== fd) continue;
    other.heldFile ??= retain(file);
  }
}

/** The call has ended, or will never go on. */
export function dropHeldFile(task: Task): void {
  const { heldFile } = task;
  task.heldFile = null;
  if (heldFile !== null) drop(heldFile);
}
