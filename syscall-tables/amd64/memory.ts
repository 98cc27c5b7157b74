// Calls on memory. Anonymous memory is the host's (an address space here is a host process): those calls run natively
// where their rule lets them, everything with a file or a special flag goes to the kernel.

import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import { type Condition, enosys, eperm, kernel, native, type SyscallEntry } from '../types.ts';

const RANGE: Condition = { range: 'addr', length: 'length' };
/** What a program makes writable in smaller pieces may be its text, of which patches are undone before it changes any. */
const LONG_RANGE = 64 << 10;
const NUMA = 'one memory node: policies are checked, kept and reported; there is nothing to choose';
const LOCKED = 'locked on the host, within our limit and the one the sandbox was started with (ulimit -l)';
const PKEY = 'no memory protection keys, as on a CPU without them';

const ADVICE = [
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
];

export const MEMORY: readonly SyscallEntry[] = [
  native(
    9,
    'mmap',
    { addr: 'addr', length: 'size', prot: 'flags(prot)', flags: 'flags64(mmap)', fd: 'fd', offset: 'off' },
    {
      conditions: [
        { argument: 'flags', any: MAP_ANONYMOUS },
        {
          argument: 'flags',
          only:
            MAP_PRIVATE |
            MAP_SHARED_VALIDATE |
            MAP_FIXED |
            MAP_ANONYMOUS |
            MAP_DENYWRITE |
            MAP_NORESERVE |
            MAP_STACK |
            MAP_FIXED_NOREPLACE,
        },
        RANGE,
      ],
      text: 'anonymous, no special flags, less than 4 GiB, away from the stub',
    },
    { returns: 'addr', note: 'file mappings get a host descriptor of the file installed for the mapping' },
  ),
  native(
    10,
    'mprotect',
    { addr: 'addr', length: 'size', prot: 'flags(prot)' },
    {
      conditions: [
        RANGE,
        { argument: 'prot', only: PROT_READ | PROT_WRITE },
        {
          either: [
            { argument: 'prot', only: PROT_READ },
            { argument: 'length', any: -LONG_RANGE },
          ],
        },
      ],
      text: 'not executable, writable only 64 KiB and more, less than 4 GiB, away from the stub',
    },
  ),
  native(
    11,
    'munmap',
    { addr: 'addr', length: 'size' },
    { conditions: [RANGE], text: 'less than 4 GiB, away from the stub' },
  ),
  native(12, 'brk', { addr: 'addr' }, { conditions: [], text: 'always' }, { returns: 'addr' }),
  native(
    25,
    'mremap',
    { addr: 'addr', length: 'size', new_length: 'size', flags: 'flags64(mremap)', new_addr: 'addr' },
    {
      conditions: [RANGE, { range: 'new_addr', length: 'new_length' }, { argument: 'flags', only: MREMAP_MAYMOVE }],
      text: 'MAYMOVE, less than 4 GiB, away from the stub, before and after',
    },
    { returns: 'addr' },
  ),
  kernel(26, 'msync', { addr: 'addr', length: 'size', flags: 'flags(msync)' }),
  kernel(27, 'mincore', { addr: 'addr', length: 'size', vec: 'addr' }),
  native(
    28,
    'madvise',
    { addr: 'addr', length: 'size', advice: 'value(madvise)' },
    {
      conditions: [RANGE, { argument: 'advice', oneOf: ADVICE }],
      text: 'NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE; less than 4 GiB, away from the stub',
    },
  ),
  kernel(149, 'mlock', { addr: 'addr', length: 'size' }, { note: LOCKED }),
  kernel(150, 'munlock', { addr: 'addr', length: 'size' }),
  kernel(151, 'mlockall', { flags: 'flags(mlockall)' }, { note: LOCKED }),
  kernel(152, 'munlockall', {}),
  kernel(
    216,
    'remap_file_pages',
    { addr: 'addr', size: 'size', prot: 'flags(prot)', pgoff: 'size', flags: 'flags(mmap)' },
    { note: 'of files: not of anonymous shared memory' },
  ),
  kernel(
    237,
    'mbind',
    { addr: 'addr', len: 'size', mode: 'int', nodemask: 'addr', maxnode: 'ulong', flags: 'hex' },
    { note: NUMA },
  ),
  kernel(238, 'set_mempolicy', { mode: 'int', nodemask: 'addr', maxnode: 'ulong' }, { note: NUMA }),
  kernel(239, 'get_mempolicy', { mode: 'addr', nodemask: 'addr', maxnode: 'ulong', addr: 'addr', flags: 'ulong' }),
  kernel(256, 'migrate_pages', { pid: 'pid', maxnode: 'ulong', old_nodes: 'addr', new_nodes: 'addr' }, { note: NUMA }),
  kernel(
    279,
    'move_pages',
    { pid: 'pid', count: 'ulong', pages: 'addr', nodes: 'addr', status: 'addr', flags: 'int' },
    { note: NUMA },
  ),
  kernel(319, 'memfd_create', { name: 'string', flags: 'flags(memfd)' }),
  eperm(323, 'userfaultfd', { flags: 'flags(open)' }, 'as with vm.unprivileged_userfaultfd = 0'),
  kernel(325, 'mlock2', { addr: 'addr', length: 'size', flags: 'int' }, { note: LOCKED }),
  enosys(329, 'pkey_mprotect', { addr: 'addr', length: 'size', prot: 'flags(prot)', pkey: 'int' }, PKEY),
  enosys(330, 'pkey_alloc', { flags: 'hex', access_rights: 'hex' }, PKEY),
  enosys(331, 'pkey_free', { pkey: 'int' }, PKEY),
  enosys(
    440,
    'process_madvise',
    { pidfd: 'fd', iov: 'addr', vlen: 'size', advice: 'value(madvise)', flags: 'hex' },
    'advice to another process',
  ),
  enosys(447, 'memfd_secret', { flags: 'hex' }, 'secret memory, as on a kernel without it'),
  enosys(448, 'process_mrelease', { pidfd: 'fd', flags: 'hex' }, 'reaping another process'),
  kernel(
    450,
    'set_mempolicy_home_node',
    { start: 'addr', len: 'size', home_node: 'ulong', flags: 'ulong' },
    { note: NUMA },
  ),
  enosys(453, 'map_shadow_stack', { addr: 'addr', size: 'size', flags: 'hex' }, 'no shadow stacks'),
  native(
    462,
    'mseal',
    { addr: 'addr', length: 'size', flags: 'ulong' },
    {
      conditions: [RANGE, { argument: 'flags', oneOf: [0] }],
      text: 'no flags; less than 4 GiB, away from the stub',
    },
  ),
];
