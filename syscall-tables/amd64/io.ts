// Calls on file descriptors: reading, writing, positions, descriptor flags, copying between descriptors.

import { enosys, kernel, type SyscallEntry } from '../types.ts';

const READ = { fd: 'fd', buf: 'buf-out(count)', count: 'size' } as const;
const WRITE = { fd: 'fd', buf: 'buf-in(count)', count: 'size' } as const;
const READV = { fd: 'fd', iov: 'iovec-out(iovcnt)', iovcnt: 'ulong' } as const;
const WRITEV = { fd: 'fd', iov: 'iovec-in(iovcnt)', iovcnt: 'ulong' } as const;
const AIO = 'kernel-side asynchronous I/O; programs fall back to threads';
const URING = 'io_uring; programs fall back to epoll';

export const IO: readonly SyscallEntry[] = [
  kernel(0, 'read', READ),
  kernel(1, 'write', WRITE),
  kernel(3, 'close', { fd: 'fd' }),
  kernel(8, 'lseek', { fd: 'fd', offset: 'off', whence: 'value(whence)' }),
  kernel(16, 'ioctl', { fd: 'fd', request: 'ioctl', arg: 'arg' }),
  kernel(17, 'pread64', { ...READ, offset: 'off' }),
  kernel(18, 'pwrite64', { ...WRITE, offset: 'off' }),
  kernel(19, 'readv', READV),
  kernel(20, 'writev', WRITEV),
  kernel(22, 'pipe', { fds: 'out(int_pair)' }),
  kernel(32, 'dup', { fd: 'fd' }),
  kernel(33, 'dup2', { oldfd: 'fd', newfd: 'fd' }),
  kernel(40, 'sendfile', { out_fd: 'fd', in_fd: 'fd', offset: 'inout(off)', count: 'size' }),
  kernel(72, 'fcntl', { fd: 'fd', cmd: 'value(fcntl)', arg: 'arg' }),
  kernel(73, 'flock', { fd: 'fd', operation: 'value(flock)' }),
  kernel(74, 'fsync', { fd: 'fd' }),
  kernel(75, 'fdatasync', { fd: 'fd' }),
  kernel(77, 'ftruncate', { fd: 'fd', length: 'off' }),
  kernel(78, 'getdents', { fd: 'fd', dirp: 'dirents-out(count)', count: 'uint' }),
  kernel(162, 'sync', {}),
  kernel(187, 'readahead', { fd: 'fd', offset: 'off', count: 'size' }),
  enosys(206, 'io_setup', { nr_events: 'uint', ctxp: 'addr' }, AIO),
  enosys(207, 'io_destroy', { ctx: 'addr' }, AIO),
  enosys(208, 'io_getevents', { ctx: 'addr', min_nr: 'long', nr: 'long', events: 'addr', timeout: 'addr' }, AIO),
  enosys(209, 'io_submit', { ctx: 'addr', nr: 'long', iocbpp: 'addr' }, AIO),
  enosys(210, 'io_cancel', { ctx: 'addr', iocb: 'addr', result: 'addr' }, AIO),
  kernel(217, 'getdents64', { fd: 'fd', dirp: 'dirents-out(count)', count: 'uint' }),
  kernel(221, 'fadvise64', { fd: 'fd', offset: 'off', len: 'off', advice: 'value(advice)' }),
  kernel(275, 'splice', {
    fd_in: 'fd',
    off_in: 'inout(off)',
    fd_out: 'fd',
    off_out: 'inout(off)',
    len: 'size',
    flags: 'flags(splice)',
  }),
  kernel(276, 'tee', { fd_in: 'fd', fd_out: 'fd', len: 'size', flags: 'flags(splice)' }),
  kernel(277, 'sync_file_range', { fd: 'fd', offset: 'off', nbytes: 'off', flags: 'flags(sync_range)' }),
  kernel(278, 'vmsplice', { ...WRITEV, flags: 'flags(splice)' }),
  kernel(285, 'fallocate', { fd: 'fd', mode: 'flags(fallocate)', offset: 'off', len: 'off' }),
  kernel(292, 'dup3', { oldfd: 'fd', newfd: 'fd', flags: 'flags(open)' }),
  kernel(293, 'pipe2', { fds: 'out(int_pair)', flags: 'flags(pipe)' }),
  kernel(295, 'preadv', { ...READV, offset: 'off' }),
  kernel(296, 'pwritev', { ...WRITEV, offset: 'off' }),
  kernel(306, 'syncfs', { fd: 'fd' }),
  kernel(326, 'copy_file_range', {
    fd_in: 'fd',
    off_in: 'inout(off)',
    fd_out: 'fd',
    off_out: 'inout(off)',
    len: 'size',
    flags: 'uint',
  }),
  kernel(327, 'preadv2', { ...READV, offset: 'off', pos_high: 'ulong', flags: 'flags(rwf)' }),
  kernel(328, 'pwritev2', { ...WRITEV, offset: 'off', pos_high: 'ulong', flags: 'flags(rwf)' }),
  enosys(333, 'io_pgetevents', { ctx: 'addr', min_nr: 'long', nr: 'long', events: 'addr', timeout: 'addr' }, AIO),
  enosys(425, 'io_uring_setup', { entries: 'uint', params: 'addr' }, URING),
  enosys(426, 'io_uring_enter', { fd: 'fd', to_submit: 'uint', min_complete: 'uint', flags: 'hex' }, URING),
  enosys(427, 'io_uring_register', { fd: 'fd', opcode: 'uint', arg: 'addr', nr_args: 'uint' }, URING),
  kernel(436, 'close_range', { first: 'uint', last: 'uint', flags: 'flags(close_range)' }),
  enosys(451, 'cachestat', { fd: 'fd', range: 'addr', stat: 'addr', flags: 'hex' }, 'page cache statistics'),
];
