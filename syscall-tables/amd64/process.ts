// Calls on tasks: creation, exec, exit, waiting, groups and sessions, scheduling, limits, futexes.

import {
  FUTEX_CMD_MASK,
  FUTEX_CMP_REQUEUE,
  FUTEX_REQUEUE,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET,
  FUTEX_WAKE_OP,
} from '../../src/abi/futex.ts';
import {
  MEMBARRIER_CMD_GET_REGISTRATIONS,
  MEMBARRIER_CMD_GLOBAL,
  MEMBARRIER_CMD_GLOBAL_EXPEDITED,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
  MEMBARRIER_CMD_QUERY,
  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
} from '../../src/abi/misc.ts';
import { enosys, kernel, native, type Rule, type SyscallEntry } from '../types.ts';

/** Futex operations without priority inheritance: for those the host kernel would look at host thread ids. */
export const FUTEX_RULE: Rule = {
  conditions: [
    {
      argument: 'op',
      mask: FUTEX_CMD_MASK,
      oneOf: [
        FUTEX_WAIT,
        FUTEX_WAKE,
        FUTEX_REQUEUE,
        FUTEX_CMP_REQUEUE,
        FUTEX_WAKE_OP,
        FUTEX_WAIT_BITSET,
        FUTEX_WAKE_BITSET,
      ],
    },
  ],
  text: 'WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET',
};

export const FUTEX_ARGUMENTS = {
  uaddr: 'addr',
  op: 'value(futex)',
  val: 'uint',
  timeout: 'addr',
  uaddr2: 'addr',
  val3: 'uint',
} as const;

/** What is not Linux's in namespaces. */
const NAMESPACE_NOTE =
  "networks have a loopback only; absolute futex timeouts go by the host's clock in a time namespace";

const CLONE = {
  flags: 'flags64(clone)',
  stack: 'addr',
  parent_tid: 'addr',
  child_tid: 'addr',
  tls: 'addr',
} as const;

const NO_NODES = 'without FUTEX2_NUMA and MPOL';
const KEPT = 'kept and reported; the host schedules the sandbox as a whole';

export const MEMBARRIER_RULE: Rule = {
  conditions: [
    {
      argument: 'cmd',
      oneOf: [
        MEMBARRIER_CMD_QUERY,
        MEMBARRIER_CMD_GLOBAL,
        MEMBARRIER_CMD_GLOBAL_EXPEDITED,
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
        MEMBARRIER_CMD_GET_REGISTRATIONS,
      ],
    },
    { argument: 'flags', oneOf: [0] },
  ],
  text: 'every command, without flags',
};

export const PROCESS: readonly SyscallEntry[] = [
  native(24, 'sched_yield', {}, { conditions: [], text: 'always' }),
  kernel(39, 'getpid', {}),
  kernel(56, 'clone', CLONE),
  kernel(57, 'fork', {}),
  kernel(58, 'vfork', {}),
  kernel(59, 'execve', { path: 'path', argv: 'string-array', envp: 'string-array' }),
  kernel(60, 'exit', { status: 'int' }, { returns: 'none' }),
  kernel(61, 'wait4', { pid: 'pid', wstatus: 'out(wait_status)', options: 'flags(wait)', rusage: 'out(rusage)' }),
  kernel(97, 'getrlimit', { resource: 'value(resource)', rlim: 'out(rlimit)' }),
  kernel(98, 'getrusage', { who: 'value(rusage)', usage: 'out(rusage)' }),
  kernel(
    101,
    'ptrace',
    { request: 'long', pid: 'pid', addr: 'addr', data: 'arg' },
    {
      note:
        'debug registers watch by single steps, and no reads (EOPNOTSUPP); no SINGLEBLOCK, SECCOMP_GET_FILTER, SUSPEND_SECCOMP, thread areas; a thread is stopped at ' +
        'calls that the host serves only under SYSCALL, SYSEMU and SINGLESTEP',
    },
  ),
  kernel(109, 'setpgid', { pid: 'pid', pgid: 'pid' }),
  kernel(110, 'getppid', {}),
  kernel(111, 'getpgrp', {}),
  kernel(112, 'setsid', {}),
  kernel(121, 'getpgid', { pid: 'pid' }),
  kernel(124, 'getsid', { pid: 'pid' }),
  enosys(134, 'uselib', { library: 'path' }, 'a.out libraries'),
  kernel(
    135,
    'personality',
    { persona: 'flags(personality)' },
    { returns: 'hex', note: 'PER_LINUX and PER_LINUX32 with ADDR_NO_RANDOMIZE and UNAME26; others EINVAL' },
  ),
  kernel(140, 'getpriority', { which: 'value(priority)', who: 'int' }),
  kernel(141, 'setpriority', { which: 'value(priority)', who: 'int', prio: 'int' }, { note: KEPT }),
  kernel(142, 'sched_setparam', { pid: 'pid', param: 'in(sched_param)' }),
  kernel(143, 'sched_getparam', { pid: 'pid', param: 'out(sched_param)' }),
  kernel(144, 'sched_setscheduler', { pid: 'pid', policy: 'value(sched)', param: 'in(sched_param)' }, { note: KEPT }),
  kernel(145, 'sched_getscheduler', { pid: 'pid' }),
  kernel(146, 'sched_get_priority_max', { policy: 'value(sched)' }),
  kernel(147, 'sched_get_priority_min', { policy: 'value(sched)' }),
  kernel(148, 'sched_rr_get_interval', { pid: 'pid', tp: 'out(timespec)' }),
  enosys(154, 'modify_ldt', { func: 'int', ptr: 'addr', bytecount: 'ulong' }, 'no local descriptor tables'),
  kernel(
    157,
    'prctl',
    { option: 'value(prctl)', arg2: 'arg', arg3: 'arg', arg4: 'arg', arg5: 'arg' },
    {
      note:
        'EINVAL for what would need the host or another processor: SET_MM, SET_VMA, SET_TSC, ' +
        'SET_THP_DISABLE, SET_MDWE and SET_MEMORY_MERGE to anything but 0, SET_IO_FLUSHER, SET_PTRACER, SET_SYSCALL_USER_DISPATCH, ' +
        'SCHED_CORE, GET_TID_ADDRESS',
    },
  ),
  kernel(158, 'arch_prctl', { option: 'value(arch_prctl)', addr: 'addr' }),
  kernel(
    160,
    'setrlimit',
    { resource: 'value(resource)', rlim: 'in(rlimit)' },
    {
      note: 'RLIMIT_AS, RLIMIT_DATA and RLIMIT_RTTIME are kept and not enforced; RLIMIT_STACK is from the next exec on',
    },
  ),
  kernel(186, 'gettid', {}),
  native(202, 'futex', FUTEX_ARGUMENTS, FUTEX_RULE, {
    note: 'those with priority inheritance are served in the order of asking: the host has no real-time threads of ours',
  }),
  kernel(203, 'sched_setaffinity', { pid: 'pid', cpusetsize: 'uint', mask: 'buf-in(cpusetsize)' }, { note: KEPT }),
  kernel(204, 'sched_getaffinity', { pid: 'pid', cpusetsize: 'uint', mask: 'buf-out(cpusetsize)' }),
  enosys(205, 'set_thread_area', { u_info: 'addr' }, 'Linux does not implement it for amd64 either'),
  enosys(211, 'get_thread_area', { u_info: 'addr' }, 'Linux does not implement it for amd64 either'),
  kernel(218, 'set_tid_address', { tidptr: 'addr' }),
  kernel(231, 'exit_group', { status: 'int' }, { returns: 'none' }),
  kernel(247, 'waitid', {
    idtype: 'value(wait_id)',
    id: 'int',
    infop: 'out(siginfo)',
    options: 'flags(wait)',
    rusage: 'out(rusage)',
  }),
  kernel(251, 'ioprio_set', { which: 'int', who: 'int', ioprio: 'hex' }, { note: KEPT }),
  kernel(252, 'ioprio_get', { which: 'int', who: 'int' }, { returns: 'hex' }),
  kernel(272, 'unshare', { flags: 'flags64(clone)' }, { note: NAMESPACE_NOTE }),
  kernel(273, 'set_robust_list', { head: 'addr', len: 'size' }),
  kernel(274, 'get_robust_list', { pid: 'pid', head_ptr: 'addr', len_ptr: 'addr' }),
  kernel(302, 'prlimit64', {
    pid: 'pid',
    resource: 'value(resource)',
    new_limit: 'in(rlimit)',
    old_limit: 'out(rlimit)',
  }),
  kernel(308, 'setns', { fd: 'fd', nstype: 'flags(clone)' }, { note: NAMESPACE_NOTE }),
  kernel(309, 'getcpu', { cpu: 'out(uint)', node: 'out(uint)', tcache: 'addr' }),
  kernel(310, 'process_vm_readv', {
    pid: 'pid',
    local_iov: 'addr',
    liovcnt: 'ulong',
    remote_iov: 'addr',
    riovcnt: 'ulong',
    flags: 'ulong',
  }),
  kernel(311, 'process_vm_writev', {
    pid: 'pid',
    local_iov: 'addr',
    liovcnt: 'ulong',
    remote_iov: 'addr',
    riovcnt: 'ulong',
    flags: 'ulong',
  }),
  kernel(312, 'kcmp', { pid1: 'pid', pid2: 'pid', type: 'int', idx1: 'ulong', idx2: 'ulong' }),
  kernel(314, 'sched_setattr', { pid: 'pid', attr: 'addr', flags: 'hex' }, { note: KEPT }),
  kernel(315, 'sched_getattr', { pid: 'pid', attr: 'sized-out(sched_attr, size)', size: 'uint', flags: 'hex' }),
  kernel(
    317,
    'seccomp',
    { operation: 'uint', flags: 'hex', args: 'addr' },
    {
      note:
        'filters see the calls that come to the sandbox: what the host runs (the native calls here) they cannot ' +
        'refuse; no listener (NEW_LISTENER, GET_NOTIF_SIZES: EINVAL)',
    },
  ),
  kernel(322, 'execveat', {
    dirfd: 'dirfd',
    path: 'path',
    argv: 'string-array',
    envp: 'string-array',
    flags: 'flags(at)',
  }),
  native(324, 'membarrier', { cmd: 'value(membarrier)', flags: 'hex', cpu_id: 'int' }, MEMBARRIER_RULE),
  kernel(
    334,
    'rseq',
    { rseq: 'addr', rseq_len: 'uint', flags: 'int', sig: 'uint' },
    { note: 'registered on the host for the thread; kept, to be found again' },
  ),
  kernel(434, 'pidfd_open', { pid: 'pid', flags: 'flags(pidfd)' }),
  kernel(435, 'clone3', { args: 'sized-in(clone_args, size)', size: 'size' }),
  kernel(438, 'pidfd_getfd', { pidfd: 'fd', targetfd: 'fd', flags: 'hex' }),
  enosys(
    444,
    'landlock_create_ruleset',
    { attr: 'addr', size: 'size', flags: 'hex' },
    'as on a kernel without Landlock',
  ),
  enosys(
    445,
    'landlock_add_rule',
    { ruleset_fd: 'fd', type: 'int', attr: 'addr', flags: 'hex' },
    'as on a kernel without Landlock',
  ),
  enosys(446, 'landlock_restrict_self', { ruleset_fd: 'fd', flags: 'hex' }, 'as on a kernel without Landlock'),
  kernel(449, 'futex_waitv', {
    waiters: 'addr',
    nr_futexes: 'uint',
    flags: 'hex',
    timeout: 'addr',
    clockid: 'value(clock)',
  }),
  kernel(454, 'futex_wake', { uaddr: 'addr', mask: 'ulong', nr: 'int', flags: 'hex' }, { note: NO_NODES }),
  kernel(
    455,
    'futex_wait',
    { uaddr: 'addr', val: 'ulong', mask: 'ulong', flags: 'hex', timeout: 'addr', clockid: 'value(clock)' },
    { note: NO_NODES },
  ),
  kernel(
    456,
    'futex_requeue',
    { waiters: 'addr', flags: 'hex', nr_wake: 'int', nr_requeue: 'int' },
    { note: 'without FUTEX2_NUMA and MPOL; both words private, or both shared' },
  ),
];
