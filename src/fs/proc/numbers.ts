// Inode numbers of procfs. Those of fixed files are counted up; those of a task's files are computed from its serial number
// and the file's place, so that the same name has the same number at every lookup, and another when the id is used again.

import type { Task } from '../../kernel/task.ts';

/** Numbers of fixed files stay below this. */
const TASKS = 2 ** 24;
/** Room for one task: its own files, then two per descriptor. */
const PER_TASK = 2 ** 22;

/** First number of a task's directory; a thread's view under task/ has numbers of its own. */
export function taskIno(task: Task, asThread: boolean): number {
  return TASKS + (2 * task.serial + (asThread ? 1 : 0)) * PER_TASK;
}

/** Added to the directory's own number: its text files and links, by index. */
export const FILE_INO = 1;
export const DIRECTORY_INO = 0x200;
/** Added to the number of the fd or fdinfo directory. */
export const FD_INO = 0x1000;
export const FDINFO_INO = 0x200000;
