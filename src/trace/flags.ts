// Names of flag words and of values, for every flag set and value set of the system call table (and a few that only
// structs hold). The values come from src/abi; a set without names here does not compile.

import type { FlagSetName, ValueSetName } from '../../syscall-tables/types.ts';
import * as fcntl from '../abi/fcntl.ts';
import * as futex from '../abi/futex.ts';
import * as misc from '../abi/misc.ts';
import * as mman from '../abi/mman.ts';
import * as mount from '../abi/mount.ts';
import * as poll from '../abi/poll.ts';
import * as prctl from '../abi/prctl.ts';
import * as resource from '../abi/resource.ts';
import * as sched from '../abi/sched.ts';
import * as signal from '../abi/signal.ts';
import * as socket from '../abi/socket.ts';
import * as stat from '../abi/stat.ts';
import * as time from '../abi/time.ts';
import * as wait from '../abi/wait.ts';

/** Value and name. */
type Named = readonly [value: number, name: string];

/** A flag word: fields of several bits that hold a value, then single bits. */
export interface FlagSet {
  readonly zero: string; // what 0 is printed as
  readonly fields: readonly { readonly mask: number; readonly values: readonly Named[] }[];
  readonly bits: readonly Named[];
}

/** Picks constants of a module of src/abi by name; a misspelt name does not compile. */
function pick<M extends object>(module: M, names: readonly (string & keyof M)[]) {
  return names.map((name): Named => [Number(module[name]), name]);
}

const bits = (named: readonly Named[], zero = '0'): FlagSet => ({ zero, fields: [], bits: named });

const OPEN: FlagSet = {
  zero: 'O_RDONLY',
  fields: [{ mask: fcntl.O_ACCMODE, values: pick(fcntl, ['O_RDONLY', 'O_WRONLY', 'O_RDWR']) }],
  bits: pick(fcntl, [
    'O_CREAT',
    'O_EXCL',
    'O_NOCTTY',
    'O_TRUNC',
    'O_APPEND',
    'O_NONBLOCK',
    'O_SYNC',
    'O_DSYNC',
    'O_ASYNC',
    'O_DIRECT',
    'O_LARGEFILE',
    'O_TMPFILE',
    'O_DIRECTORY',
    'O_NOFOLLOW',
    'O_NOATIME',
    'O_CLOEXEC',
    'O_PATH',
  ]),
};

const PROT = bits(
  pick(mman, ['PROT_READ', 'PROT_WRITE', 'PROT_EXEC', 'PROT_SEM', 'PROT_GROWSDOWN', 'PROT_GROWSUP']),
  'PROT_NONE',
);

const FD = pick(fcntl, ['O_CLOEXEC', 'O_NONBLOCK']);

const AT = pick(fcntl, ['AT_SYMLINK_NOFOLLOW', 'AT_EACCESS', 'AT_SYMLINK_FOLLOW', 'AT_NO_AUTOMOUNT', 'AT_EMPTY_PATH']);

/** The flag sets that arguments use. */
export const FLAGS: Readonly<Record<FlagSetName, FlagSet>> = {
  access: bits(pick(fcntl, ['R_OK', 'W_OK', 'X_OK']), 'F_OK'),
  at: bits([...AT, ...pick(fcntl, ['AT_STATX_FORCE_SYNC', 'AT_STATX_DONT_SYNC', 'AT_RECURSIVE'])]),
  clone: {
    zero: '0',
    fields: [
      {
        mask: sched.CSIGNAL & ~sched.CLONE_NEWTIME,
        values: signal.SIGNAL_NAMES.slice(1).map((name, index): Named => [index + 1, name]),
      },
    ],
    bits: pick(sched, [
      'CLONE_NEWTIME',
      'CLONE_VM',
      'CLONE_FS',
      'CLONE_FILES',
      'CLONE_SIGHAND',
      'CLONE_PIDFD',
      'CLONE_PTRACE',
      'CLONE_VFORK',
      'CLONE_PARENT',
      'CLONE_THREAD',
      'CLONE_NEWNS',
      'CLONE_SYSVSEM',
      'CLONE_SETTLS',
      'CLONE_PARENT_SETTID',
      'CLONE_CHILD_CLEARTID',
      'CLONE_DETACHED',
      'CLONE_UNTRACED',
      'CLONE_CHILD_SETTID',
      'CLONE_NEWCGROUP',
      'CLONE_NEWUTS',
      'CLONE_NEWIPC',
      'CLONE_NEWUSER',
      'CLONE_NEWPID',
      'CLONE_NEWNET',
      'CLONE_IO',
      'CLONE_CLEAR_SIGHAND',
      'CLONE_INTO_CGROUP',
    ]),
  },
  close_range: bits(pick(misc, ['CLOSE_RANGE_UNSHARE', 'CLOSE_RANGE_CLOEXEC'])),
  epoll_create: bits(pick(poll, ['EPOLL_CLOEXEC'])),
  eventfd: bits(pick(misc, ['EFD_SEMAPHORE', 'EFD_CLOEXEC', 'EFD_NONBLOCK'])),
  fallocate: bits(
    pick(fcntl, [
      'FALLOC_FL_KEEP_SIZE',
      'FALLOC_FL_PUNCH_HOLE',
      'FALLOC_FL_COLLAPSE_RANGE',
      'FALLOC_FL_ZERO_RANGE',
      'FALLOC_FL_INSERT_RANGE',
      'FALLOC_FL_UNSHARE_RANGE',
    ]),
  ),
  getrandom: bits(pick(misc, ['GRND_NONBLOCK', 'GRND_RANDOM', 'GRND_INSECURE'])),
  inotify: bits(
    pick(misc, [
      'IN_ACCESS',
      'IN_MODIFY',
      'IN_ATTRIB',
      'IN_CLOSE_WRITE',
      'IN_CLOSE_NOWRITE',
      'IN_OPEN',
      'IN_MOVED_FROM',
      'IN_MOVED_TO',
      'IN_CREATE',
      'IN_DELETE',
      'IN_DELETE_SELF',
      'IN_MOVE_SELF',
      'IN_NONBLOCK',
      'IN_CLOEXEC',
      'IN_ONLYDIR',
      'IN_DONT_FOLLOW',
      'IN_EXCL_UNLINK',
      'IN_MASK_CREATE',
      'IN_MASK_ADD',
      'IN_ISDIR',
      'IN_ONESHOT',
    ]),
  ),
  memfd: bits(pick(mman, ['MFD_CLOEXEC', 'MFD_ALLOW_SEALING', 'MFD_HUGETLB', 'MFD_NOEXEC_SEAL', 'MFD_EXEC'])),
  mlockall: bits(pick(mman, ['MCL_CURRENT', 'MCL_FUTURE', 'MCL_ONFAULT'])),
  mmap: {
    zero: 'MAP_FILE',
    fields: [
      {
        mask: mman.MAP_TYPE,
        values: pick(mman, ['MAP_SHARED', 'MAP_PRIVATE', 'MAP_SHARED_VALIDATE', 'MAP_DROPPABLE']),
      },
    ],
    bits: pick(mman, [
      'MAP_FIXED',
      'MAP_ANONYMOUS',
      'MAP_32BIT',
      'MAP_ABOVE4G',
      'MAP_GROWSDOWN',
      'MAP_DENYWRITE',
      'MAP_EXECUTABLE',
      'MAP_LOCKED',
      'MAP_NORESERVE',
      'MAP_POPULATE',
      'MAP_NONBLOCK',
      'MAP_STACK',
      'MAP_HUGETLB',
      'MAP_SYNC',
      'MAP_FIXED_NOREPLACE',
    ]),
  },
  mount: bits(
    pick(mount, [
      'MS_RDONLY',
      'MS_NOSUID',
      'MS_NODEV',
      'MS_NOEXEC',
      'MS_SYNCHRONOUS',
      'MS_REMOUNT',
      'MS_MANDLOCK',
      'MS_DIRSYNC',
      'MS_NOSYMFOLLOW',
      'MS_NOATIME',
      'MS_NODIRATIME',
      'MS_BIND',
      'MS_MOVE',
      'MS_REC',
      'MS_SILENT',
      'MS_POSIXACL',
      'MS_UNBINDABLE',
      'MS_PRIVATE',
      'MS_SLAVE',
      'MS_SHARED',
      'MS_RELATIME',
      'MS_I_VERSION',
      'MS_STRICTATIME',
      'MS_LAZYTIME',
    ]),
  ),
  mremap: bits(pick(mman, ['MREMAP_MAYMOVE', 'MREMAP_FIXED', 'MREMAP_DONTUNMAP'])),
  msg: bits(
    pick(socket, [
      'MSG_OOB',
      'MSG_PEEK',
      'MSG_DONTROUTE',
      'MSG_CTRUNC',
      'MSG_TRUNC',
      'MSG_DONTWAIT',
      'MSG_EOR',
      'MSG_WAITALL',
      'MSG_CONFIRM',
      'MSG_ERRQUEUE',
      'MSG_NOSIGNAL',
      'MSG_MORE',
      'MSG_WAITFORONE',
      'MSG_ZEROCOPY',
      'MSG_FASTOPEN',
      'MSG_CMSG_CLOEXEC',
    ]),
  ),
  msync: bits(pick(mman, ['MS_ASYNC', 'MS_INVALIDATE', 'MS_SYNC'])),
  open: OPEN,
  personality: bits(
    pick(misc, [
      'UNAME26',
      'ADDR_NO_RANDOMIZE',
      'FDPIC_FUNCPTRS',
      'MMAP_PAGE_ZERO',
      'ADDR_COMPAT_LAYOUT',
      'READ_IMPLIES_EXEC',
      'ADDR_LIMIT_32BIT',
      'SHORT_INODE',
      'WHOLE_SECONDS',
      'STICKY_TIMEOUTS',
      'ADDR_LIMIT_3GB',
    ]),
    'PER_LINUX',
  ),
  pidfd: bits(pick(misc, ['PIDFD_NONBLOCK', 'PIDFD_THREAD'])),
  pipe: bits([...FD, ...pick(fcntl, ['O_DIRECT'])]),
  prot: PROT,
  rename: bits(pick(fcntl, ['RENAME_NOREPLACE', 'RENAME_EXCHANGE', 'RENAME_WHITEOUT'])),
  rwf: bits(
    pick(fcntl, [
      'RWF_HIPRI',
      'RWF_DSYNC',
      'RWF_SYNC',
      'RWF_NOWAIT',
      'RWF_APPEND',
      'RWF_NOAPPEND',
      'RWF_ATOMIC',
      'RWF_DONTCACHE',
    ]),
  ),
  signalfd: bits(pick(signal, ['SFD_CLOEXEC', 'SFD_NONBLOCK'])),
  socket: {
    zero: '0',
    fields: [
      {
        mask: socket.SOCK_TYPE_MASK,
        values: pick(socket, [
          'SOCK_STREAM',
          'SOCK_DGRAM',
          'SOCK_RAW',
          'SOCK_RDM',
          'SOCK_SEQPACKET',
          'SOCK_DCCP',
          'SOCK_PACKET',
        ]),
      },
    ],
    bits: pick(socket, ['SOCK_NONBLOCK', 'SOCK_CLOEXEC']),
  },
  splice: bits(pick(fcntl, ['SPLICE_F_MOVE', 'SPLICE_F_NONBLOCK', 'SPLICE_F_MORE', 'SPLICE_F_GIFT'])),
  statx_mask: bits(
    pick(stat, [
      'STATX_ALL',
      'STATX_BASIC_STATS',
      'STATX_TYPE',
      'STATX_MODE',
      'STATX_NLINK',
      'STATX_UID',
      'STATX_GID',
      'STATX_ATIME',
      'STATX_MTIME',
      'STATX_CTIME',
      'STATX_INO',
      'STATX_SIZE',
      'STATX_BLOCKS',
      'STATX_BTIME',
      'STATX_MNT_ID',
      'STATX_DIOALIGN',
      'STATX_MNT_ID_UNIQUE',
      'STATX_SUBVOL',
    ]),
  ),
  sync_range: bits(pick(fcntl, ['SYNC_FILE_RANGE_WAIT_BEFORE', 'SYNC_FILE_RANGE_WRITE', 'SYNC_FILE_RANGE_WAIT_AFTER'])),
  timer: bits(pick(time, ['TIMER_ABSTIME'])),
  timerfd: bits(pick(time, ['TFD_TIMER_ABSTIME', 'TFD_TIMER_CANCEL_ON_SET', 'TFD_CLOEXEC', 'TFD_NONBLOCK'])),
  umount: bits(pick(mount, ['MNT_FORCE', 'MNT_DETACH', 'MNT_EXPIRE', 'UMOUNT_NOFOLLOW'])),
  unlink: bits(pick(fcntl, ['AT_REMOVEDIR'])),
  wait: bits(
    pick(wait, ['WNOHANG', 'WUNTRACED', 'WEXITED', 'WCONTINUED', 'WNOWAIT', '__WNOTHREAD', '__WALL', '__WCLONE']),
  ),
  xattr: bits(pick(stat, ['XATTR_CREATE', 'XATTR_REPLACE'])),
};

/** Flag sets that only structs hold. */
export const POLL_EVENTS = bits(
  pick(poll, [
    'POLLIN',
    'POLLPRI',
    'POLLOUT',
    'POLLERR',
    'POLLHUP',
    'POLLNVAL',
    'POLLRDNORM',
    'POLLRDBAND',
    'POLLWRNORM',
    'POLLWRBAND',
    'POLLMSG',
    'POLLREMOVE',
    'POLLRDHUP',
  ]),
);
export const EPOLL_EVENTS = bits(
  pick(poll, [
    'EPOLLIN',
    'EPOLLPRI',
    'EPOLLOUT',
    'EPOLLERR',
    'EPOLLHUP',
    'EPOLLRDNORM',
    'EPOLLRDBAND',
    'EPOLLWRNORM',
    'EPOLLWRBAND',
    'EPOLLMSG',
    'EPOLLRDHUP',
    'EPOLLEXCLUSIVE',
    'EPOLLWAKEUP',
    'EPOLLONESHOT',
    'EPOLLET',
  ]),
);
export const SIGACTION_FLAGS = bits(
  pick(signal, [
    'SA_RESTORER',
    'SA_ONSTACK',
    'SA_RESTART',
    'SA_NODEFER',
    'SA_RESETHAND',
    'SA_SIGINFO',
    'SA_NOCLDSTOP',
    'SA_NOCLDWAIT',
    'SA_EXPOSE_TAGBITS',
    'SA_UNSUPPORTED',
  ]),
);
export const SIGALTSTACK_FLAGS = bits(pick(signal, ['SS_ONSTACK', 'SS_DISABLE', 'SS_AUTODISARM']));
export const STATFS_FLAGS = bits(
  pick(stat, [
    'ST_VALID',
    'ST_RDONLY',
    'ST_NOSUID',
    'ST_NODEV',
    'ST_NOEXEC',
    'ST_SYNCHRONOUS',
    'ST_MANDLOCK',
    'ST_NOATIME',
    'ST_NODIRATIME',
    'ST_RELATIME',
    'ST_NOSYMFOLLOW',
  ]),
);
export const RESOLVE_FLAGS = bits(
  pick(fcntl, [
    'RESOLVE_NO_XDEV',
    'RESOLVE_NO_MAGICLINKS',
    'RESOLVE_NO_SYMLINKS',
    'RESOLVE_BENEATH',
    'RESOLVE_IN_ROOT',
    'RESOLVE_CACHED',
  ]),
);
export const FD_FLAGS = bits(pick(fcntl, ['FD_CLOEXEC']));
export const SEAL_FLAGS = bits(
  pick(mman, ['F_SEAL_SEAL', 'F_SEAL_SHRINK', 'F_SEAL_GROW', 'F_SEAL_WRITE', 'F_SEAL_FUTURE_WRITE', 'F_SEAL_EXEC']),
);

/** The value sets that arguments use. */
export const VALUES: Readonly<Record<ValueSetName, ReadonlyMap<number, string>>> = {
  advice: byPrefix(fcntl, 'POSIX_FADV_'),
  arch_prctl: byPrefix(prctl, 'ARCH_'),
  clock: byPrefix(time, 'CLOCK_'),
  epoll_ctl: byPrefix(poll, 'EPOLL_CTL_'),
  family: byPrefix(socket, 'AF_'),
  fcntl: new Map(
    Object.entries(fcntl).flatMap(([name, value]): Named[] =>
      /^F_(GET|SET|DUP|OFD|CREATED|CANCEL|ADD|NOTIFY)/.test(name) ? [[Number(value), name]] : [],
    ),
  ),
  flock: new Map(),
  futex: new Map(
    pick(futex, [
      'FUTEX_WAIT',
      'FUTEX_WAKE',
      'FUTEX_FD',
      'FUTEX_REQUEUE',
      'FUTEX_CMP_REQUEUE',
      'FUTEX_WAKE_OP',
      'FUTEX_LOCK_PI',
      'FUTEX_UNLOCK_PI',
      'FUTEX_TRYLOCK_PI',
      'FUTEX_WAIT_BITSET',
      'FUTEX_WAKE_BITSET',
      'FUTEX_WAIT_REQUEUE_PI',
      'FUTEX_CMP_REQUEUE_PI',
      'FUTEX_LOCK_PI2',
    ]),
  ),
  itimer: byPrefix(time, 'ITIMER_'),
  madvise: byPrefix(mman, 'MADV_'),
  membarrier: byPrefix(misc, 'MEMBARRIER_CMD_'),
  prctl: new Map(
    Object.entries(prctl).flatMap(([name, value]): Named[] =>
      /^PR_(?!CAP_AMBIENT_|SET_MM_|SET_VMA_)/.test(name) ? [[Number(value), name]] : [],
    ),
  ),
  priority: byPrefix(sched, 'PRIO_'),
  resource: byPrefix(resource, 'RLIMIT_', 'RLIMIT_SIZE'),
  rusage: new Map(pick(resource, ['RUSAGE_SELF', 'RUSAGE_CHILDREN', 'RUSAGE_BOTH', 'RUSAGE_THREAD'])),
  sched: byPrefix(sched, 'SCHED_', 'SCHED_RESET_ON_FORK'),
  shutdown: byPrefix(socket, 'SHUT_'),
  sigprocmask: new Map(pick(signal, ['SIG_BLOCK', 'SIG_UNBLOCK', 'SIG_SETMASK'])),
  sockopt_level: byPrefix(socket, 'SOL_'),
  wait_id: byPrefix(wait, 'P_'),
  whence: byPrefix(fcntl, 'SEEK_'),
};

/** Names of the options of getsockopt(2), by level. */
export const SOCKET_OPTIONS: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map([
  [socket.SOL_SOCKET, byPrefix(socket, 'SO_')],
  [socket.SOL_TCP, byPrefix(socket, 'TCP_')],
  [socket.SOL_IP, byPrefix(socket, 'IP_')],
  [socket.SOL_IPV6, byPrefix(socket, 'IPV6_')],
]);

function byPrefix(module: object, prefix: string, ...except: string[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, value] of Object.entries(module)) {
    if (name.startsWith(prefix) && !except.includes(name) && typeof value === 'number' && !names.has(value)) {
      names.set(value, name);
    }
  }
  return names;
}

// Flag words are up to 64 bits wide (clone3): halves are tested apart, since & is a 32-bit operation.
const high = (value: number): number => Math.floor(value / 2 ** 32);
const contains = (value: number, flag: number): boolean =>
  (value & flag) >>> 0 === flag % 2 ** 32 && (high(value) & high(flag)) === high(flag);
const without = (value: number, flag: number): number =>
  ((value & ~flag) >>> 0) + ((high(value) & ~high(flag)) >>> 0) * 2 ** 32;

/** A flag word by names, e.g. 'O_WRONLY|O_CREAT'; what has no name follows as one hexadecimal number. */
export function formatFlags(set: FlagSet, value: number): string {
  if (value === 0) return set.zero;
  const names: string[] = [];
  let rest = value;
  for (const { mask, values } of set.fields) {
    const field = (rest & mask) >>> 0;
    const name = values.find(([of]) => of === field)?.[1];
    if (name === undefined) continue;
    names.push(name);
    rest = without(rest, mask);
  }
  for (const [flag, name] of set.bits) {
    if (!contains(rest, flag)) continue;
    names.push(name);
    rest = without(rest, flag);
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.join('|');
}

/** A value by name; a number without one in decimal. */
export function formatValue(set: ValueSetName, value: number): string {
  switch (set) {
    case 'futex':
      return formatFutex(value);
    case 'flock':
      return formatFlock(value);
    case 'sched':
      if ((value & sched.SCHED_RESET_ON_FORK) === 0) break;
      return `${formatValue('sched', value & ~sched.SCHED_RESET_ON_FORK)}|SCHED_RESET_ON_FORK`;
  }
  return VALUES[set].get(value) ?? String(value);
}

function formatFutex(operation: number): string {
  const name = VALUES.futex.get(operation & futex.FUTEX_CMD_MASK);
  if (name === undefined) return String(operation);
  const isPrivate = (operation & futex.FUTEX_PRIVATE_FLAG) !== 0 ? '_PRIVATE' : '';
  return `${name}${isPrivate}${(operation & futex.FUTEX_CLOCK_REALTIME) !== 0 ? '|FUTEX_CLOCK_REALTIME' : ''}`;
}

function formatFlock(operation: number): string {
  const names: readonly Named[] = pick(fcntl, ['LOCK_SH', 'LOCK_EX', 'LOCK_UN']);
  const name = names.find(([value]) => value === (operation & ~fcntl.LOCK_NB))?.[1];
  if (name === undefined) return String(operation);
  return (operation & fcntl.LOCK_NB) !== 0 ? `${name}|LOCK_NB` : name;
}
