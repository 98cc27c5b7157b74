// What the sentry may ask of the host once the sandbox is built, each call with its argument rules and its reason.
// Compiled to a filter (sentry-filter.ts) that ships with the build and is installed before the first instruction of
// a guest's program: a sentry that has been taken over can do no more than this. Everything that is not listed kills it.
//
// There is no clone (all threads exist), no execve, no open by an absolute path, no PROT_EXEC (V8 has made its code
// range by then), no mount, no seccomp, no bpf, and no ptrace but where that is the transport.

import { EAFNOSUPPORT, EINVAL, ENOENT, ENOMEM, ENOPROTOOPT, ENOTTY } from '../src/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, F_ADD_SEALS, F_DUPFD_CLOEXEC, F_GETFL } from '../src/abi/fcntl.ts';
import { FUTEX_CMD_MASK, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE } from '../src/abi/futex.ts';
import { FIONREAD, SIOCATMARK, TCGETS, TCSETSW, TIOCGWINSZ, TIOCOUTQ } from '../src/abi/ioctl.ts';
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
} from '../src/abi/mman.ts';
import { PTRACE_CONT, PTRACE_GETREGS, PTRACE_LISTEN, PTRACE_SETREGS, PTRACE_SYSCALL } from '../src/abi/ptrace.ts';
import { SIGKILL } from '../src/abi/signal.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from '../src/abi/socket.ts';
import { OPTION_RULES } from '../src/net/outside/options.ts';
import type { Condition, Rule } from './types.ts';

export interface SentryCall {
  readonly name: string;
  /** The call runs if one of these holds; none: always. */
  readonly rules: readonly Rule[];
  /** What else is answered with this errno; null: it is the death of the sentry. */
  readonly otherwise: number | null;
  readonly reason: string;
}

/** Calls that belong together. A group of its own name in OPTIONAL_GROUPS is there only when it is asked for. */
export interface SentryGroup {
  readonly name: string;
  readonly calls: readonly SentryCall[];
}

const always = (name: string, reason: string): SentryCall => ({ name, rules: [], otherwise: null, reason });

const when = (name: string, text: string, conditions: readonly Condition[], reason: string): SentryCall => ({
  name,
  rules: [{ conditions, text }],
  otherwise: null,
  reason,
});

/** Never, but not deadly. */
const answered = (name: string, errno: number, reason: string): SentryCall => ({
  name,
  rules: [{ conditions: [{ argument: '', oneOf: [] }], text: 'never' }],
  otherwise: errno,
  reason,
});

/** A path below a directory that the sentry has open, never below the working directory. */
const below = (name: string, reason: string, ...directories: readonly string[]): SentryCall => ({
  name,
  rules: [
    {
      conditions: (directories.length > 0 ? directories : ['dirfd']).map((argument) => ({ argument, not: AT_FDCWD })),
      text: 'below an open directory',
    },
  ],
  otherwise: ENOENT,
  reason,
});

/** A call with a rule, which holds for these flags only. */
const withFlags = (call: SentryCall, text: string, flags: readonly number[]): SentryCall => ({
  ...call,
  rules: call.rules.map((rule) => ({
    conditions: [...rule.conditions, { argument: 'flags', oneOf: flags }],
    text: `${rule.text}, flags ${text}`,
  })),
});

const DATA: Condition = { argument: 'prot', only: PROT_READ | PROT_WRITE };
const NOTIFY = [0xc0502100, 0xc0182101, 0x40082102, 0x40182103, 0x40082104]; // RECV SEND ID_VALID ADDFD SET_FLAGS
const FILES = 'a call of a guest on a file of a host tree or in memory';
const TREE = 'a call of a guest on a path of a host tree';
const STREAM = 'a stream or socket that the sandbox was given';

const MEMORY: SentryGroup = {
  name: 'memory',
  calls: [
    when(
      'mmap',
      'read and write; SHARED PRIVATE FIXED ANONYMOUS NORESERVE',
      [
        DATA,
        {
          argument: 'flags',
          only: MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE,
        },
      ],
      "V8's heap, malloc, slots",
    ),
    always('munmap', "V8's heap, malloc"),
    when('mprotect', 'read and write', [DATA], "V8's heap, malloc"),
    {
      name: 'madvise',
      rules: [
        {
          conditions: [{ argument: 'advice', oneOf: [MADV_DONTNEED, MADV_DONTFORK] }],
          text: 'DONTNEED DONTFORK',
        },
      ],
      otherwise: EINVAL, // as a kernel that does not know the advice
      reason: "V8's heap, malloc",
    },
    answered('mremap', ENOMEM, 'realloc, which then copies'),
    always('brk', 'malloc'),
    when(
      'memfd_create',
      'CLOEXEC ALLOW_SEALING',
      [{ argument: 'flags', only: MFD_CLOEXEC | MFD_ALLOW_SEALING }],
      "slots, and files in a guest's memory file systems",
    ),
  ],
};

const RUNTIME: SentryGroup = {
  name: 'runtime',
  calls: [
    when(
      'futex',
      'WAIT, WAKE, WAIT_BITSET',
      [{ argument: 'op', mask: FUTEX_CMD_MASK, oneOf: [FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET] }],
      "locks of Node's threads",
    ),
    always('exit_group', 'the end of the sandbox'),
    always('rt_sigprocmask', 'ADDFD with its signals blocked; locks of V8'),
    always('rt_sigreturn', 'the end of the tick that breaks off a wait'),
    always('restart_syscall', 'a wait that a stop and SIGCONT broke off'),
    always('getpid', 'to signal the own threads'),
    always('gettid', 'a thread of V8 that runs for the first time'),
    always('sched_yield', 'locks of V8'),
    always('clock_nanosleep', 'locks of V8'),
    always('sched_getparam', 'V8 asks for the priority of its threads'),
    always('sched_getscheduler', 'the same'),
    always('sched_getaffinity', 'how many CPUs there are'),
    always('sched_setaffinity', 'guest threads are placed near or away from the sentry'),
    always('getrandom', "getrandom(2) of guests; sequence numbers of slots; Node's hash seeds"),
    always('clock_gettime', 'CPU clocks, and all clocks where the vDSO has none'),
    always('clock_getres', 'clock_getres(2) of guests'),
    always('gettimeofday', 'the date, where the vDSO has none'),
    when('getrusage', 'of the thread', [{ argument: 'who', oneOf: [1] }], 'whether somebody else wants the CPU'),
    always('sysinfo', 'sysinfo(2) of guests'),
    always('timer_settime', 'the tick that breaks off a wait'),
    answered('openat', ENOENT, 'malloc and V8 look for the number of CPUs; the root is empty'),
  ],
};

const LOOP: SentryGroup = {
  name: 'loop',
  calls: [
    always('epoll_ctl', 'what is waited for'),
    always('epoll_wait', 'what has happened'),
    always('epoll_pwait', "libuv's wait"),
    always('poll', 'whether a stream is ready'),
    always('ppoll', 'the one wait'),
    {
      name: 'ioctl',
      rules: [
        {
          conditions: [{ argument: 'request', oneOf: NOTIFY }],
          text: 'SECCOMP_IOCTL_NOTIF_RECV _SEND _ID_VALID _ADDFD _SET_FLAGS',
        },
        {
          conditions: [{ argument: 'request', oneOf: [TCGETS, TCSETSW, TIOCGWINSZ, TIOCOUTQ, FIONREAD, SIOCATMARK] }],
          text: 'TCGETS TCSETSW TIOCGWINSZ TIOCOUTQ FIONREAD SIOCATMARK',
        },
      ],
      otherwise: ENOTTY,
      reason: "the doorbell; the caller's terminal",
    },
  ],
};

const GUESTS: SentryGroup = {
  name: 'guests',
  calls: [
    always('process_vm_readv', "guests' memory"),
    always('process_vm_writev', "guests' memory"),
    when('pidfd_open', 'no flags', [{ argument: 'flags', oneOf: [0] }], 'to hear of the end of a guest process'),
    when(
      'pidfd_send_signal',
      'SIGKILL',
      [
        { argument: 'sig', oneOf: [SIGKILL] },
        { argument: 'flags', oneOf: [0] },
      ],
      'to end a guest process',
    ),
    always('tgkill', 'to have a guest thread report in; to abort'),
  ],
};

const FILE: SentryGroup = {
  name: 'files by descriptor',
  calls: [
    ...['read', 'write', 'pread64', 'pwrite64', 'preadv2', 'pwritev2', 'close', 'lseek', 'fstat', 'fstatfs'].map(
      (name) => always(name, FILES),
    ),
    ...[
      'ftruncate',
      'fallocate',
      'fsync',
      'fdatasync',
      'syncfs',
      'sync_file_range',
      'fchmod',
      'getdents64',
      'cachestat',
    ].map((name) => always(name, FILES)),
    ...['fsetxattr', 'fgetxattr', 'flistxattr', 'fremovexattr'].map((name) => always(name, FILES)),
    when(
      'fcntl',
      'GETFL DUPFD_CLOEXEC ADD_SEALS',
      [{ argument: 'cmd', oneOf: [F_GETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS] }],
      'how a stream was opened; slots and memory files are sealed',
    ),
  ],
};

const PATHS: SentryGroup = {
  name: 'files by directory and name',
  calls: [
    below('openat2', TREE),
    below('newfstatat', TREE),
    below('statx', TREE),
    below('readlinkat', TREE),
    below('mkdirat', TREE),
    below('unlinkat', TREE),
    below('mknodat', TREE),
    below('symlinkat', TREE, 'newdirfd'),
    withFlags(below('linkat', TREE, 'olddirfd', 'newdirfd'), '0 or AT_EMPTY_PATH', [0, AT_EMPTY_PATH]),
    below('renameat2', TREE, 'olddirfd', 'newdirfd'),
    below('fchmodat2', TREE),
    below('fchownat', TREE),
    below('utimensat', TREE),
    below('getxattrat', TREE),
    below('setxattrat', TREE),
    below('listxattrat', TREE),
    below('removexattrat', TREE),
  ],
};

const STREAMS: SentryGroup = {
  name: 'inherited sockets',
  calls: [
    always('recvfrom', STREAM),
    // Not to whomever a socket that is not connected could send to.
    when('sendto', 'to nobody by name', [{ argument: 'dest_addr', oneOf: [0] }], STREAM),
    always('shutdown', STREAM),
    always('getsockname', STREAM),
    always('getpeername', STREAM),
    always('getsockopt', STREAM),
    always('recvmsg', 'requests to a container, with descriptors'),
    always('accept4', 'requests to a container'),
  ],
};

const SOCKET = "a guest's socket towards an outside network";

/** One of the kinds of sockets that native/addon/net.c makes. */
const kind = (families: readonly number[], type: number, protocol: number, text: string): Rule => ({
  conditions: [
    { argument: 'domain', oneOf: families },
    { argument: 'type', mask: ~(SOCK_NONBLOCK | SOCK_CLOEXEC), oneOf: [type] },
    { argument: 'protocol', oneOf: [protocol] },
  ],
  text,
});

/** The options of src/net/outside/options.ts, by level. */
const optionRules = (): Rule[] =>
  [...Map.groupBy(OPTION_RULES, ({ level }) => level)].map(([level, rules]) => ({
    conditions: [
      { argument: 'level', oneOf: [level] },
      { argument: 'optname', oneOf: rules.flatMap(({ names }) => names) },
    ],
    text: `level ${level}: ${rules.reduce((sum, { names }) => sum + names.length, 0)} options`,
  }));

const NETWORK: SentryGroup = {
  name: 'network',
  calls: [
    {
      name: 'socket',
      rules: [
        kind([AF_INET, AF_INET6], SOCK_STREAM, IPPROTO_TCP, 'INET or INET6: TCP'),
        kind([AF_INET, AF_INET6], SOCK_DGRAM, IPPROTO_UDP, 'INET or INET6: UDP'),
        kind([AF_INET], SOCK_DGRAM, IPPROTO_ICMP, 'INET: echo requests'),
        kind([AF_INET6], SOCK_DGRAM, IPPROTO_ICMPV6, 'INET6: echo requests'),
      ],
      otherwise: EAFNOSUPPORT,
      reason: SOCKET,
    },
    always('connect', SOCKET),
    always('bind', SOCKET),
    always('listen', SOCKET),
    always('sendmsg', `${SOCKET}; low ports of the host's network, from the launcher`),
    {
      name: 'setsockopt',
      rules: optionRules(),
      otherwise: ENOPROTOOPT,
      reason: `${SOCKET}: src/net/outside/options.ts`,
    },
  ],
};

/** Groups that every sentry has. */
export const SENTRY_GROUPS: readonly SentryGroup[] = [MEMORY, RUNTIME, LOOP, GUESTS, FILE, PATHS, STREAMS];

const TRACEE = 'rings by ptrace: native/addon/trace.c';

const TRACING: SentryGroup = {
  name: 'guests traced (--platform=ptrace)',
  calls: [
    when(
      'ptrace',
      'CONT GETREGS SETREGS SYSCALL LISTEN',
      [{ argument: 'request', oneOf: [PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SYSCALL, PTRACE_LISTEN] }],
      TRACEE,
    ),
    always('wait4', TRACEE),
    always('tkill', 'signals that came while a thread was made to make a call'),
    always('sendmmsg', 'descriptors for guests'),
  ],
};

/** The bits that lockDown() takes for the optional groups. */
export const LOCK_NETWORK = 1;
export const LOCK_TRACING = 2;

/** Groups that are there when a sandbox needs them, in the order of their bits. */
export const OPTIONAL_GROUPS: readonly SentryGroup[] = [NETWORK, TRACING];
