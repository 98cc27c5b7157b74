// Processes as files (pidfd_open(2)): readable once the process (or, with PIDFD_THREAD, the thread) has ended, hung up
// once it was waited for. It refers to the process itself, never to a later one with the same number.

import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { PIDFD_NONBLOCK } from '../../abi/misc.ts';
import { POLLHUP, POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { taskExitHooks } from '../../kernel/exit.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, numberIn } from '../../kernel/pid-namespaces.ts';
import { DEAD, type Task, type ThreadGroup } from '../../kernel/task.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

export class PidFile extends OpenFile {
  readonly group: ThreadGroup;
  /** The one thread meant (PIDFD_THREAD), or null for the process. */
  readonly thread: Task | null;

  constructor(group: ThreadGroup, thread: Task | null, flags: number) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[pidfd]', inode), inode, O_RDWR | (flags & PIDFD_NONBLOCK ? O_NONBLOCK : 0));
    this.group = group;
    this.thread = thread;
  }

  override poll(): number {
    if (this.group.reaped) return POLLIN | POLLRDNORM | POLLHUP;
    const ended = this.group.status >= 0 || this.thread?.state === DEAD;
    return ended ? POLLIN | POLLRDNORM : 0;
  }

  override get waitQueue(): WaitQueue {
    return this.group.exitQueue;
  }

  override get linkText(): string {
    return 'anon_inode:[pidfd]';
  }

  override get fdinfo(): string {
    const { group, thread } = this;
    if (group.reaped) return 'Pid:\t-1\nNSpid:\t-1\n';
    const namespace = kernel.current?.pidNamespace ?? initialPids;
    const pid = numberIn(namespace, thread ?? group);
    const below = pid === 0 ? [] : (thread ?? group).numbers.slice(namespace.level + 1);
    return `Pid:\t${pid}\nNSpid:\t${[pid, ...below].join('\t')}\n`;
  }
}

// The end of a thread that is not its group's last is news for those who watch it.
taskExitHooks.push((task) => {
  if (task.group.threads.size > 1) task.group.exitQueue.wake(POLLIN | POLLRDNORM);
});
