// Calls that wait for descriptors, and the descriptors made to be waited for.

import { enosys, kernel, type SyscallEntry } from '../types.ts';

const SELECT = {
  nfds: 'int',
  readfds: 'inout(fd_set)',
  writefds: 'inout(fd_set)',
  exceptfds: 'inout(fd_set)',
} as const;

const EPOLL_WAIT = {
  epfd: 'fd',
  events: 'array-out(epoll_event, maxevents)',
  maxevents: 'int',
} as const;

export const EVENT: readonly SyscallEntry[] = [
  kernel(7, 'poll', { fds: 'array-inout(pollfd, nfds)', nfds: 'uint', timeout: 'int' }),
  kernel(23, 'select', { ...SELECT, timeout: 'inout(timeval)' }),
  kernel(213, 'epoll_create', { size: 'int' }),
  enosys(214, 'epoll_ctl_old', {}, 'Linux does not implement it either'),
  enosys(215, 'epoll_wait_old', {}, 'Linux does not implement it either'),
  kernel(232, 'epoll_wait', { ...EPOLL_WAIT, timeout: 'int' }),
  kernel(233, 'epoll_ctl', { epfd: 'fd', op: 'value(epoll_ctl)', fd: 'fd', event: 'in(epoll_event)' }),
  kernel(270, 'pselect6', { ...SELECT, timeout: 'inout(timespec)', sigmask: 'in(sigset_pack)' }),
  kernel(271, 'ppoll', {
    fds: 'array-inout(pollfd, nfds)',
    nfds: 'uint',
    timeout: 'inout(timespec)',
    sigmask: 'in(sigset)',
    sigsetsize: 'size',
  }),
  kernel(281, 'epoll_pwait', { ...EPOLL_WAIT, timeout: 'int', sigmask: 'in(sigset)', sigsetsize: 'size' }),
  kernel(282, 'signalfd', { fd: 'fd', mask: 'in(sigset)', sizemask: 'size' }),
  kernel(283, 'timerfd_create', { clockid: 'value(clock)', flags: 'flags(timerfd)' }),
  kernel(284, 'eventfd', { initval: 'uint' }),
  kernel(
    286,
    'timerfd_settime',
    {
      fd: 'fd',
      flags: 'flags(timerfd)',
      new_value: 'in(itimerspec)',
      old_value: 'out(itimerspec)',
    },
    { note: 'TFD_TIMER_CANCEL_ON_SET is accepted; a step of the clock is not noticed' },
  ),
  kernel(287, 'timerfd_gettime', { fd: 'fd', curr_value: 'out(itimerspec)' }),
  kernel(289, 'signalfd4', { fd: 'fd', mask: 'in(sigset)', sizemask: 'size', flags: 'flags(signalfd)' }),
  kernel(290, 'eventfd2', { initval: 'uint', flags: 'flags(eventfd)' }),
  kernel(291, 'epoll_create1', { flags: 'flags(epoll_create)' }),
  kernel(441, 'epoll_pwait2', {
    ...EPOLL_WAIT,
    timeout: 'in(timespec)',
    sigmask: 'in(sigset)',
    sigsetsize: 'size',
  }),
];
