// Calls on signals.

import { enosys, kernel, type SyscallEntry } from '../types.ts';

export const SIGNAL: readonly SyscallEntry[] = [
  kernel(13, 'rt_sigaction', {
    signum: 'signal',
    act: 'in(sigaction)',
    oldact: 'out(sigaction)',
    sigsetsize: 'size',
  }),
  kernel(14, 'rt_sigprocmask', {
    how: 'value(sigprocmask)',
    set: 'in(sigset)',
    oldset: 'out(sigset)',
    sigsetsize: 'size',
  }),
  kernel(15, 'rt_sigreturn', {}, { returns: 'none' }),
  kernel(34, 'pause', {}),
  kernel(62, 'kill', { pid: 'pid', sig: 'signal' }),
  kernel(127, 'rt_sigpending', { set: 'out(sigset)', sigsetsize: 'size' }),
  kernel(128, 'rt_sigtimedwait', {
    set: 'in(sigset)',
    info: 'out(siginfo)',
    timeout: 'in(timespec)',
    sigsetsize: 'size',
  }),
  kernel(129, 'rt_sigqueueinfo', { pid: 'pid', sig: 'signal', info: 'in(siginfo)' }),
  kernel(130, 'rt_sigsuspend', { mask: 'in(sigset)', sigsetsize: 'size' }),
  kernel(131, 'sigaltstack', { ss: 'in(sigaltstack)', old_ss: 'out(sigaltstack)' }),
  kernel(200, 'tkill', { tid: 'pid', sig: 'signal' }),
  enosys(219, 'restart_syscall', {}, 'interrupted waits are continued inside the kernel'),
  kernel(234, 'tgkill', { tgid: 'pid', tid: 'pid', sig: 'signal' }),
  kernel(297, 'rt_tgsigqueueinfo', { tgid: 'pid', tid: 'pid', sig: 'signal', info: 'in(siginfo)' }),
  kernel(424, 'pidfd_send_signal', { pidfd: 'fd', sig: 'signal', info: 'in(siginfo)', flags: 'hex' }),
];
