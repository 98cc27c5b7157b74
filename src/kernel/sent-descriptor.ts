// A host descriptor that travels to a guest's process with an answer (file mappings, slots of children). Mostly the answer
// goes out at once. It may be held up, because the process is stopped or has to ring first, and meanwhile the file may be
// closed and its number be given to another: so what waits is a descriptor of the task's own.

import { F_DUPFD_CLOEXEC } from '../abi/fcntl.ts';
import { SIGKILL } from '../abi/signal.ts';
import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { killGroup } from './exit.ts';
import type { Task } from './task.ts';

/** The descriptor goes with the answer to come, as number `as` of the guest's process. Call `keepUnsent` after that. */
export function sendWithAnswer(task: Task, fd: number, as: number): void {
  task.sentDescriptor = fd;
  task.sentDescriptorAs = as;
}

/** The answer has been made. If it did not go out, the descriptor is kept for it, whatever becomes of the file. */
export function keepUnsent(task: Task): void {
  if (task.sentDescriptor < 0 || task.keepsDescriptor) return;
  const own = host.fcntl(task.sentDescriptor as HostFd, F_DUPFD_CLOEXEC, 0);
  task.sentDescriptor = Math.max(own, -1);
  task.keepsDescriptor = own >= 0;
  // Without it the process would map something else, and not know.
  if (own < 0) killGroup(task.group, SIGKILL, null);
}
