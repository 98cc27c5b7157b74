// Calls on the machine as a whole: names, information, randomness, mounts, modules, and what Linux itself dropped.

import { enosys, eperm, kernel, type SyscallEntry } from '../types.ts';

const MACHINE = "the machine is not the sandbox's";
const MODULES = 'kernel modules';
const NEVER = 'Linux does not implement it either';
const PROBES = 'for user probes of the host only';

export const SYSTEM: readonly SyscallEntry[] = [
  kernel(63, 'uname', { buf: 'out(utsname)' }),
  kernel(99, 'sysinfo', { info: 'out(sysinfo)' }),
  kernel(
    103,
    'syslog',
    { type: 'int', bufp: 'addr', len: 'int' },
    { note: 'the log has what programs wrote to /dev/kmsg' },
  ),
  kernel(153, 'vhangup', {}),
  kernel(155, 'pivot_root', { new_root: 'path', put_old: 'path' }),
  enosys(156, '_sysctl', { args: 'addr' }, NEVER),
  eperm(163, 'acct', { filename: 'path' }, MACHINE),
  kernel(
    165,
    'mount',
    { source: 'string', target: 'path', fstype: 'string', flags: 'flags64(mount)', data: 'addr' },
    { note: 'tmpfs, proc, sysfs, devpts, mqueue, cgroup2, overlay, binds, moves, propagation' },
  ),
  kernel(166, 'umount2', { target: 'path', flags: 'flags(umount)' }),
  eperm(167, 'swapon', { path: 'path', flags: 'hex' }, MACHINE),
  eperm(168, 'swapoff', { path: 'path' }, MACHINE),
  kernel(
    169,
    'reboot',
    { magic: 'hex', magic2: 'hex', cmd: 'hex', arg: 'addr' },
    { note: 'ends a pid namespace made inside; the sandbox itself is not rebooted' },
  ),
  kernel(170, 'sethostname', { name: 'buf-in(len)', len: 'int' }),
  kernel(171, 'setdomainname', { name: 'buf-in(len)', len: 'int' }),
  eperm(172, 'iopl', { level: 'uint' }, MACHINE),
  eperm(173, 'ioperm', { from: 'ulong', num: 'ulong', turn_on: 'int' }, MACHINE),
  enosys(174, 'create_module', {}, NEVER),
  eperm(175, 'init_module', { image: 'addr', len: 'ulong', params: 'addr' }, MODULES),
  eperm(176, 'delete_module', { name: 'string', flags: 'hex' }, MODULES),
  enosys(177, 'get_kernel_syms', {}, NEVER),
  enosys(178, 'query_module', {}, NEVER),
  eperm(179, 'quotactl', { cmd: 'hex', special: 'addr', id: 'int', addr: 'addr' }, MACHINE),
  enosys(180, 'nfsservctl', {}, NEVER),
  enosys(181, 'getpmsg', {}, NEVER),
  enosys(182, 'putpmsg', {}, NEVER),
  enosys(183, 'afs_syscall', {}, NEVER),
  enosys(184, 'tuxcall', {}, NEVER),
  enosys(185, 'security', {}, NEVER),
  enosys(236, 'vserver', {}, NEVER),
  eperm(246, 'kexec_load', { entry: 'addr', nr_segments: 'ulong', segments: 'addr', flags: 'ulong' }, MACHINE),
  eperm(
    298,
    'perf_event_open',
    { attr: 'addr', pid: 'pid', cpu: 'int', group_fd: 'fd', flags: 'ulong' },
    'performance counters of the host',
  ),
  eperm(313, 'finit_module', { fd: 'fd', params: 'addr', flags: 'hex' }, MODULES),
  kernel(318, 'getrandom', { buf: 'buf-out(buflen)', buflen: 'size', flags: 'flags(getrandom)' }),
  eperm(
    320,
    'kexec_file_load',
    { kernel_fd: 'fd', initrd_fd: 'fd', cmdline_len: 'ulong', cmdline: 'addr', flags: 'ulong' },
    MACHINE,
  ),
  kernel(
    321,
    'bpf',
    { cmd: 'int', attr: 'addr', size: 'uint' },
    {
      note: 'programs of kind BPF_PROG_TYPE_CGROUP_DEVICE, without maps, helpers and memory; CGROUP_SKB loads but attaches nowhere; others: EINVAL',
    },
  ),
  enosys(335, 'uretprobe', {}, PROBES),
  enosys(336, 'uprobe', {}, PROBES),
  kernel(428, 'open_tree', { dirfd: 'dirfd', path: 'path', flags: 'hex' }),
  kernel(429, 'move_mount', {
    from_dirfd: 'dirfd',
    from_path: 'path',
    to_dirfd: 'dirfd',
    to_path: 'path',
    flags: 'hex',
  }),
  kernel(430, 'fsopen', { fsname: 'string', flags: 'hex' }),
  kernel(431, 'fsconfig', { fd: 'fd', cmd: 'uint', key: 'addr', value: 'addr', aux: 'int' }),
  kernel(432, 'fsmount', { fsfd: 'fd', flags: 'hex', attr_flags: 'hex' }),
  kernel(433, 'fspick', { dirfd: 'dirfd', path: 'path', flags: 'hex' }),
  kernel(442, 'mount_setattr', { dirfd: 'dirfd', path: 'path', flags: 'hex', attr: 'addr', size: 'size' }),
  eperm(443, 'quotactl_fd', { fd: 'fd', cmd: 'hex', id: 'int', addr: 'addr' }, MACHINE),
  kernel(457, 'statmount', { req: 'addr', buf: 'addr', bufsize: 'size', flags: 'hex' }),
  kernel(458, 'listmount', { req: 'addr', ids: 'addr', nr: 'size', flags: 'hex' }),
  kernel(467, 'open_tree_attr', { dirfd: 'dirfd', path: 'path', flags: 'hex', attr: 'addr', size: 'size' }),
];
