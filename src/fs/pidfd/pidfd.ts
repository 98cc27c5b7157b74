// Processes as files (pidfd_open(2)): readable once the process (or, with PIDFD_THREAD, the thread) has ended, hung up
// once it was waited for. It refers to the process itself, never to a later one with the same number.

import { EACCES, EINVAL, ENOTTY, ESRCH } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { PIDFD_NONBLOCK } from '../../abi/misc.ts';
import { POLLHUP, POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import type { UserAddress } from '../../base/brands.ts';
import type { Namespace } from '../../base/namespace.ts';
import { shownId } from '../../base/user-namespace.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { mayInspect } from '../../kernel/credentials.ts';
import { taskExitHooks } from '../../kernel/exit-hooks.ts';
import { kernel } from '../../kernel/kernel.ts';
import { openNamespace } from '../../kernel/namespace-files.ts';
import { initialPids, numberIn } from '../../kernel/pid-namespaces.ts';
import { DEAD, type Task, type ThreadGroup } from '../../kernel/task.ts';
import { i32, u8, u32 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

// _IOWR(0xff, 11, struct pidfd_info): u64 mask, cgroupid, u32 pid, tgid, ppid, four pairs of ids, s32 exit_code
const IOC_READ_WRITE = 3;
const PIDFD_GET_INFO_NUMBER = 0xff0b;
const PIDFD_INFO_SIZE_VER0 = 64;
const PIDFD_INFO_PID = 1;
const PIDFD_INFO_CREDS = 2;
const PIDFD_INFO_EXIT = 8;

/** PIDFD_GET_*_NAMESPACE: which namespace of a task each gives a descriptor of. */
const NAMESPACES = new Map<number, (task: Task) => Namespace | null>([
  [0xff01, ({ namespaces }) => namespaces.cgroup],
  [0xff02, ({ namespaces }) => namespaces.ipc],
  [0xff03, ({ fs }) => fs.root.mount.namespace],
  [0xff04, ({ namespaces }) => namespaces.net],
  [0xff05, ({ pidNamespace }) => pidNamespace],
  [0xff06, ({ namespaces }) => namespaces.pidForChildren],
  [0xff07, ({ namespaces }) => namespaces.time],
  [0xff08, ({ namespaces }) => namespaces.timeForChildren],
  [0xff09, ({ credentials }) => credentials.user],
  [0xff0a, ({ namespaces }) => namespaces.uts],
]);

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

  /** PIDFD_GET_INFO and PIDFD_GET_*_NAMESPACE (ioctl_pidfd(2)). */
  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const kind = NAMESPACES.get(command);
    if (kind) return argument === 0 ? this.openNamespace(task, kind) : -EINVAL;
    if (command >>> 30 !== IOC_READ_WRITE || (command & 0xffff) !== PIDFD_GET_INFO_NUMBER) return -ENOTTY;
    const size = (command >>> 16) & 0x3fff;
    if (argument === 0 || size < PIDFD_INFO_SIZE_VER0) return -EINVAL;
    return this.putInfo(task, argument, size);
  }

  private openNamespace(task: Task, find: (task: Task) => Namespace | null): number {
    const subject = this.thread ?? this.group.leader;
    if (this.group.status >= 0 || subject.state === DEAD) return -ESRCH;
    if (!mayInspect(task, subject)) return -EACCES;
    const namespace = find(subject);
    return namespace ? openNamespace(task, namespace) : -ESRCH;
  }

  private putInfo(task: Task, address: UserAddress, size: number): number {
    const maskAt = task.memory.in(address, 8);
    if (maskAt < 0) return maskAt;
    const wanted = u32[maskAt >>> 2];
    const { group } = this;
    if (numberIn(task.pidNamespace, group) === 0) return -ESRCH;
    const at = task.memory.out(address, size);
    if (at < 0) return at;
    u8.fill(0, at, at + size);
    const word = at >>> 2;
    if (wanted & PIDFD_INFO_EXIT && group.reaped && this.thread === null) {
      u32[word] |= PIDFD_INFO_EXIT;
      i32[word + 15] = group.status;
    }
    const subject = this.thread ?? group.leader;
    const gone = group.reaped || (this.thread !== null && this.thread !== group.leader && subject.state === DEAD);
    if (gone) return u32[word] === 0 ? -ESRCH : 0;
    const { pidNamespace } = task;
    const ids: number[] = [subject, group, group.parent].map((whose) => numberIn(pidNamespace, whose));
    if (ids[0] === 0) return -ESRCH;
    u32[word] |= PIDFD_INFO_PID | PIDFD_INFO_CREDS;
    const c = subject.credentials;
    const { user } = task.credentials;
    ids.push(shownId(user.uidMap, c.uid), shownId(user.gidMap, c.gid), shownId(user.uidMap, c.euid));
    ids.push(shownId(user.gidMap, c.egid), shownId(user.uidMap, c.suid), shownId(user.gidMap, c.sgid));
    ids.push(shownId(user.uidMap, c.fsuid), shownId(user.gidMap, c.fsgid));
    for (let i = 0; i < ids.length; i++) u32[word + 4 + i] = ids[i];
    return 0;
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
