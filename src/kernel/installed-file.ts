// The one file whose host descriptor a guest thread has, for its process to map it or to read from it (mmap(2), and big
// reads). It is installed together with an answer, and stays until another takes its place.

import type { HostFd } from '../base/brands.ts';
import { mappingFd } from '../platform/layout.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { sendWithAnswer } from './sent-descriptor.ts';
import type { Task } from './task.ts';

/** Whether the thread has this descriptor of the file. */
export function hasDescriptor(task: Task, file: OpenFile, fd: HostFd): boolean {
  return task.installedFile === file && task.installedHostFd === fd && task.installedData === file.inode.dataInode;
}

/**
 * Has it travel with the answer to come, if the thread does not have it; it is `mappingFd(task.block)` there. Call
 * `keepUnsent` after the answer.
 */
export function installDescriptor(task: Task, file: OpenFile, fd: HostFd): void {
  if (hasDescriptor(task, file, fd)) return;
  task.installedFile = file;
  task.installedHostFd = fd;
  task.installedData = file.inode.dataInode;
  task.installedMapped = false;
  sendWithAnswer(task, fd, mappingFd(task.block));
}

/** The thread has another descriptor in its place. */
export function forgetDescriptor(task: Task): void {
  task.installedFile = null;
  task.installedData = null;
}
