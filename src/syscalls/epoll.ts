// epoll_create(2), epoll_ctl(2), epoll_wait(2) and their variants.

import { EBADF, EINTR, EINVAL, EPERM } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLL_EVENT_SIZE, POLLIN } from '../abi/poll.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { EpollFile } from '../fs/epoll/epoll.ts';
import { block, setTimeoutOnce, timedOut } from '../kernel/block.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { borrowMask, readTimeout, returnMask } from '../kernel/wait-arguments.ts';
import { u32 } from '../platform/arena.ts';

const MAX_EVENTS = Math.floor(0x7fffffff / EPOLL_EVENT_SIZE);
const MILLISECOND = 1e6;

export function epoll_create(task: Task, size: number): number {
  return size <= 0 ? -EINVAL : epoll_create1(task, 0);
}

export function epoll_create1(task: Task, flags: number): number {
  if (flags & ~EPOLL_CLOEXEC) return -EINVAL;
  return installFile(task, new EpollFile(), (flags & EPOLL_CLOEXEC) !== 0);
}

export function epoll_ctl(task: Task, epfd: Fd, op: number, fd: Fd, event: UserAddress): number {
  let events = 0;
  let dataLow = 0;
  let dataHigh = 0;
  if (op !== EPOLL_CTL_DEL) {
    const at = task.memory.in(event, EPOLL_EVENT_SIZE);
    if (at < 0) return at;
    events = u32[at >> 2];
    dataLow = u32[(at >> 2) + 1];
    dataHigh = u32[(at >> 2) + 2];
  }
  const epoll = task.files.get(epfd);
  const file = task.files.get(fd);
  if (!epoll || !file || (epoll.flags | file.flags) & O_PATH) return -EBADF;
  if (!file.waitQueue) return -EPERM;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  switch (op) {
    case EPOLL_CTL_ADD:
      return epoll.add(fd, file, events, dataLow, dataHigh);
    case EPOLL_CTL_MOD:
      return epoll.modify(fd, file, events, dataLow, dataHigh);
    case EPOLL_CTL_DEL:
      return epoll.remove(fd, file);
    default:
      return -EINVAL;
  }
}

export function epoll_wait(task: Task, epfd: Fd, events: UserAddress, maxevents: number, timeout: number): number {
  return wait(task, epfd, events, maxevents, timeout < 0 ? Number.POSITIVE_INFINITY : timeout * MILLISECOND);
}

export function epoll_pwait(
  task: Task,
  epfd: Fd,
  events: UserAddress,
  maxevents: number,
  timeout: number,
  sigmask: UserAddress,
  sigsetsize: number,
): number {
  const refused = borrowMask(task, sigmask, sigsetsize);
  if (refused < 0) return refused;
  return returnMask(task, epoll_wait(task, epfd, events, maxevents, timeout), EINTR);
}

export function epoll_pwait2(
  task: Task,
  epfd: Fd,
  events: UserAddress,
  maxevents: number,
  timeout: UserAddress,
  sigmask: UserAddress,
  sigsetsize: number,
): number {
  const nanoseconds = readTimeout(task, timeout);
  if (nanoseconds < 0) return nanoseconds;
  const refused = borrowMask(task, sigmask, sigsetsize);
  if (refused < 0) return refused;
  return returnMask(task, wait(task, epfd, events, maxevents, nanoseconds), EINTR);
}

/** Reports ready events or waits for them, `timeout` in ns. Never restarted after a signal (signal(7)). */
function wait(task: Task, epfd: Fd, events: UserAddress, max: number, timeout: number): number {
  if (max <= 0 || max > MAX_EVENTS) return -EINVAL;
  const epoll = task.files.get(epfd);
  if (!epoll) return -EBADF;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  if (epoll.readyCount > 0) {
    const room = Math.min(max, epoll.readyCount);
    const at = task.memory.reserve(room * EPOLL_EVENT_SIZE);
    if (at < 0) return at;
    const count = epoll.collect(at, room);
    if (count > 0) {
      task.memory.commit(events, at, count * EPOLL_EVENT_SIZE);
      return count;
    }
  }
  if (timeout === 0) return 0;
  setTimeoutOnce(task, timeout);
  if (timedOut(task)) return 0;
  return block(task, epoll.queue, POLLIN, EINTR);
}
