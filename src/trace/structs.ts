// Structs of the system call interface in strace's words, by the names that the system call table uses.

import type { StructName } from '../../syscall-tables/types.ts';
import { CAP_LAST_CAP, CAPABILITY_NAMES } from '../abi/capability.ts';
import * as signal from '../abi/signal.ts';
import * as stat from '../abi/stat.ts';
import * as wait from '../abi/wait.ts';
import {
  EPOLL_EVENTS,
  FLAGS,
  formatFlags,
  formatValue,
  POLL_EVENTS,
  RESOLVE_FLAGS,
  SIGACTION_FLAGS,
  SIGALTSTACK_FLAGS,
  STATFS_FLAGS,
} from './flags.ts';
import { type Fields, hex, octalMode, pointer } from './text.ts';

const { signalName } = signal;

/** Formats one struct; `fields` holds at least its size in bytes. */
export type StructFormatter = (fields: Fields) => string;

const timespec = (f: Fields, at = 0): string => `{tv_sec=${f.s64(at)}, tv_nsec=${f.s64(at + 8)}}`;
const timeval = (f: Fields, at = 0): string => `{tv_sec=${f.s64(at)}, tv_usec=${f.s64(at + 8)}}`;
const number = (f: Fields, at = 0): string => `[${f.s32(at)}]`;

function touchTime(f: Fields, at: number): string {
  const nanoseconds = f.s64(at + 8);
  if (nanoseconds === stat.UTIME_NOW) return 'UTIME_NOW';
  return nanoseconds === stat.UTIME_OMIT ? 'UTIME_OMIT' : timespec(f, at);
}

const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [stat.S_IFSOCK, 'S_IFSOCK|'],
  [stat.S_IFLNK, 'S_IFLNK|'],
  [stat.S_IFREG, 'S_IFREG|'],
  [stat.S_IFBLK, 'S_IFBLK|'],
  [stat.S_IFDIR, 'S_IFDIR|'],
  [stat.S_IFCHR, 'S_IFCHR|'],
  [stat.S_IFIFO, 'S_IFIFO|'],
]);

/** A file's type and permissions, e.g. 'S_IFREG|0644'. */
export function formatMode(mode: number): string {
  const special = [
    (mode & stat.S_ISUID) !== 0 ? 'S_ISUID|' : '',
    (mode & stat.S_ISGID) !== 0 ? 'S_ISGID|' : '',
    (mode & stat.S_ISVTX) !== 0 ? 'S_ISVTX|' : '',
  ].join('');
  return `${FILE_TYPES.get(mode & stat.S_IFMT) ?? ''}${special}${octalMode(mode & stat.S_IRWXUGO)}`;
}

/** A signal set, e.g. '[INT CHLD]', or its complement, '~[KILL STOP]', where that is shorter. */
export function formatSigset(low: number, high: number): string {
  const inside: string[] = [];
  const outside: string[] = [];
  for (let number = 1; number <= signal.NSIG; number++) {
    const word = number <= 32 ? low : high;
    const set = ((word >>> ((number - 1) % 32)) & 1) !== 0;
    (set ? inside : outside).push(signalName(number).replace(/^SIG/, ''));
  }
  return inside.length > signal.NSIG / 2 + 2 ? `~[${outside.join(' ')}]` : `[${inside.join(' ')}]`;
}

/** A wait status (wait(2)). */
export function formatWaitStatus(status: number): string {
  if (wait.WIFEXITED(status)) return `WIFEXITED(s) && WEXITSTATUS(s) == ${wait.WEXITSTATUS(status)}`;
  if (wait.WIFSTOPPED(status)) return `WIFSTOPPED(s) && WSTOPSIG(s) == ${signalName(wait.WSTOPSIG(status))}`;
  if (wait.WIFCONTINUED(status)) return 'WIFCONTINUED(s)';
  const core = wait.WCOREDUMP(status) ? ' && WCOREDUMP(s)' : '';
  return `WIFSIGNALED(s) && WTERMSIG(s) == ${signalName(wait.WTERMSIG(status))}${core}`;
}

const CODES: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  SI: codes('SI_'),
  [signal.SIGCHLD]: codes('CLD_'),
  [signal.SIGSEGV]: codes('SEGV_'),
  [signal.SIGBUS]: codes('BUS_'),
  [signal.SIGFPE]: codes('FPE_'),
  [signal.SIGILL]: codes('ILL_'),
  [signal.SIGTRAP]: codes('TRAP_'),
  [signal.SIGIO]: codes('POLL_'),
  [signal.SIGSYS]: codes('SYS_'),
};

function codes(prefix: string): ReadonlyMap<number, string> {
  const named = Object.entries(signal).filter(([name, value]) => name.startsWith(prefix) && typeof value === 'number');
  return new Map(named.map(([name, value]) => [value as number, name]));
}

const FAULTS: readonly number[] = [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP];

/** siginfo_t, by what its code says is in it. */
export function formatSiginfo(f: Fields): string {
  const number = f.s32(signal.SIGINFO_SIGNO);
  const code = f.s32(signal.SIGINFO_CODE);
  const named = (code > 0 ? CODES[number]?.get(code) : undefined) ?? CODES.SI?.get(code) ?? String(code);
  const head = `si_signo=${signalName(number)}, si_code=${named}`;
  const sender = `si_pid=${f.s32(signal.SIGINFO_PID)}, si_uid=${f.u32(signal.SIGINFO_UID)}`;
  if (number === 0) return '{}';
  if (code === signal.SI_TIMER) {
    return `{${head}, si_timerid=${f.s32(signal.SIGINFO_TIMERID)}, si_overrun=${f.s32(signal.SIGINFO_OVERRUN)}}`;
  }
  if (code === signal.SI_QUEUE) return `{${head}, ${sender}, si_value=${hexExact(f, signal.SIGINFO_VALUE)}}`;
  if (code <= 0) return `{${head}, ${sender}}`;
  if (number === signal.SIGCHLD) {
    const status = f.s32(signal.SIGINFO_STATUS);
    const times = `si_utime=${f.s64(signal.SIGINFO_UTIME)}, si_stime=${f.s64(signal.SIGINFO_STIME)}`;
    return `{${head}, ${sender}, si_status=${code === signal.CLD_EXITED ? status : signalName(status)}, ${times}}`;
  }
  if (FAULTS.includes(number)) return `{${head}, si_addr=${f.pointer(signal.SIGINFO_ADDR)}}`;
  return `{${head}}`;
}

function hexExact(f: Fields, at: number): string {
  const value = f.exact(at);
  return value === 0n ? '0' : `0x${value.toString(16)}`;
}

function formatStat(f: Fields): string {
  const mode = f.u32(stat.STAT_MODE);
  const device = f.u64(stat.STAT_RDEV);
  const size =
    stat.S_ISCHR(mode) || stat.S_ISBLK(mode)
      ? `st_rdev=makedev(${hex(stat.deviceMajor(device))}, ${hex(stat.deviceMinor(device))})`
      : `st_size=${f.s64(stat.STAT_FILE_SIZE)}`;
  return `{st_mode=${formatMode(mode)}, ${size}, ...}`;
}

function formatStatx(f: Fields): string {
  const mask = formatFlags(FLAGS.statx_mask, f.u32(stat.STATX_MASK_OFFSET));
  const mode = formatMode(f.u16(stat.STATX_MODE_OFFSET));
  const attributes = hex(f.u64(stat.STATX_ATTRIBUTES_OFFSET));
  const size = f.u64(stat.STATX_SIZE_OFFSET);
  return `{stx_mask=${mask}, stx_attributes=${attributes}, stx_mode=${mode}, stx_size=${size}, ...}`;
}

const MAGICS: ReadonlyMap<number, string> = new Map(
  Object.entries(stat).flatMap(([name, value]): [number, string][] =>
    name.endsWith('_MAGIC') ? [[Number(value), name]] : [],
  ),
);

function formatStatfs(f: Fields): string {
  const type = f.u64(stat.STATFS_TYPE);
  const numbers = [
    ['f_bsize', stat.STATFS_BSIZE],
    ['f_blocks', stat.STATFS_BLOCKS],
    ['f_bfree', stat.STATFS_BFREE],
    ['f_bavail', stat.STATFS_BAVAIL],
    ['f_files', stat.STATFS_FILES],
    ['f_ffree', stat.STATFS_FFREE],
  ] as const;
  const middle = numbers.map(([name, at]) => `${name}=${f.u64(at)}`).join(', ');
  const id = `f_fsid={val=[${hex(f.u32(stat.STATFS_FSID))}, ${hex(f.u32(stat.STATFS_FSID + 4))}]}`;
  const tail = `f_namelen=${f.u64(stat.STATFS_NAMELEN)}, f_frsize=${f.u64(stat.STATFS_FRSIZE)}`;
  const flags = formatFlags(STATFS_FLAGS, f.u64(stat.STATFS_FLAGS));
  return `{f_type=${MAGICS.get(type) ?? hex(type)}, ${middle}, ${id}, ${tail}, f_flags=${flags}}`;
}

function formatHandler(handler: number): string {
  if (handler === signal.SIG_DFL) return 'SIG_DFL';
  return handler === signal.SIG_IGN ? 'SIG_IGN' : pointer(handler);
}

function formatSigaction(f: Fields): string {
  const flags = f.u64(signal.SIGACTION_FLAGS);
  const mask = formatSigset(f.u32(signal.SIGACTION_MASK), f.u32(signal.SIGACTION_MASK + 4));
  const restorer = (flags & signal.SA_RESTORER) !== 0 ? `, sa_restorer=${f.pointer(signal.SIGACTION_RESTORER)}` : '';
  const handler = formatHandler(f.u64(signal.SIGACTION_HANDLER));
  return `{sa_handler=${handler}, sa_mask=${mask}, sa_flags=${formatFlags(SIGACTION_FLAGS, flags)}${restorer}}`;
}

function formatLimit(f: Fields, at: number): string {
  const value = f.u64(at);
  if (value >= 2 ** 64 - 1) return 'RLIM64_INFINITY';
  return value > 1024 && value % 1024 === 0 ? `${value / 1024}*1024` : String(value);
}

function formatCapabilities(f: Fields, at: number): string {
  const names: string[] = [];
  for (let number = 0; number <= CAP_LAST_CAP; number++) {
    const word = f.u32(at + (number < 32 ? 0 : 12));
    if (((word >>> (number % 32)) & 1) !== 0) names.push(`1<<${CAPABILITY_NAMES[number]}`);
  }
  return names.length === 0 ? '0' : names.join('|');
}

function formatCloneArgs(f: Fields): string {
  const parts = [`flags=${formatFlags({ ...FLAGS.clone, fields: [] }, f.u64(0))}`];
  const pointers = [
    ['pidfd', 8],
    ['child_tid', 16],
    ['parent_tid', 24],
  ] as const;
  for (const [name, at] of pointers) if (f.u64(at) !== 0) parts.push(`${name}=${f.pointer(at)}`);
  const exitSignal = f.u64(32);
  parts.push(`exit_signal=${exitSignal === 0 ? '0' : signalName(exitSignal)}`);
  parts.push(`stack=${f.pointer(40)}`, `stack_size=${hex(f.u64(48))}`);
  if (f.u64(56) !== 0) parts.push(`tls=${f.pointer(56)}`);
  return `{${parts.join(', ')}}`;
}

function formatSigevent(f: Fields): string {
  const notify = ['SIGEV_SIGNAL', 'SIGEV_NONE', 'SIGEV_THREAD', '', 'SIGEV_THREAD_ID'][f.s32(12)] ?? String(f.s32(12));
  const thread = f.s32(12) === signal.SIGEV_THREAD_ID ? `, sigev_notify_thread_id=${f.s32(16)}` : '';
  const value = `sigev_value=${hexExact(f, 0)}`;
  return `{${value}, sigev_signo=${signalName(f.s32(8))}, sigev_notify=${notify}${thread}}`;
}

function formatUname(f: Fields): string {
  const names = ['sysname', 'nodename', 'release', 'version', 'machine', 'domainname'];
  return `{${names.map((name, index) => `${name}=${f.text(index * 65, 65)}`).join(', ')}}`;
}

function formatSysinfo(f: Fields): string {
  const loads = `loads=[${f.u64(8)}, ${f.u64(16)}, ${f.u64(24)}]`;
  const names = ['totalram', 'freeram', 'sharedram', 'bufferram', 'totalswap', 'freeswap'];
  const memory = names.map((name, index) => `${name}=${f.u64(32 + 8 * index)}`).join(', ');
  const high = `totalhigh=${f.u64(88)}, freehigh=${f.u64(96)}, mem_unit=${f.u32(104)}`;
  return `{uptime=${f.s64(0)}, ${loads}, ${memory}, procs=${f.u16(80)}, ${high}}`;
}

/** Formatters by struct. fd_set and msghdr need more than their own bytes and are formatted with the call. */
export const STRUCTS: Readonly<Record<Exclude<StructName, 'fd_set' | 'msghdr'>, StructFormatter>> = {
  cap_data: (f) =>
    `{effective=${formatCapabilities(f, 0)}, permitted=${formatCapabilities(f, 4)}, inheritable=${formatCapabilities(f, 8)}}`,
  cap_header: (f) => `{version=${hex(f.u32(0))}, pid=${f.s32(4)}}`,
  clone_args: formatCloneArgs,
  epoll_event: (f) => `{events=${formatFlags(EPOLL_EVENTS, f.u32(0))}, data={u32=${f.u32(4)}, u64=${f.exact(4)}}}`,
  flock: (f) => {
    const type = ['F_RDLCK', 'F_WRLCK', 'F_UNLCK'][f.s16(0)] ?? String(f.s16(0));
    return `{l_type=${type}, l_whence=${formatValue('whence', f.s16(2))}, l_start=${f.s64(8)}, l_len=${f.s64(16)}}`;
  },
  int: number,
  int_pair: (f) => `[${f.s32(0)}, ${f.s32(4)}]`,
  itimerspec: (f) => `{it_interval=${timespec(f)}, it_value=${timespec(f, 16)}}`,
  itimerval: (f) => `{it_interval=${timeval(f)}, it_value=${timeval(f, 16)}}`,
  off: (f) => `[${f.s64(0)}]`,
  open_how: (f) => {
    const mode = f.u64(8) === 0 ? '' : `, mode=${octalMode(f.u64(8))}`;
    return `{flags=${formatFlags(FLAGS.open, f.u64(0))}${mode}, resolve=${formatFlags(RESOLVE_FLAGS, f.u64(16))}}`;
  },
  pollfd: (f) => `{fd=${f.s32(0)}, events=${formatFlags(POLL_EVENTS, f.u16(4))}}`,
  rlimit: (f) => `{rlim_cur=${formatLimit(f, 0)}, rlim_max=${formatLimit(f, 8)}}`,
  robust_list_head: (f) => `{list=${f.pointer(0)}, futex_offset=${f.s64(8)}, list_op_pending=${f.pointer(16)}}`,
  rusage: (f) => `{ru_utime=${timeval(f)}, ru_stime=${timeval(f, 16)}, ru_maxrss=${f.s64(32)}, ...}`,
  sched_attr: (f) => `{size=${f.u32(0)}, sched_policy=${formatValue('sched', f.s32(4))}, ...}`,
  sched_param: number,
  sigaction: formatSigaction,
  sigaltstack: (f) =>
    `{ss_sp=${f.pointer(0)}, ss_flags=${formatFlags(SIGALTSTACK_FLAGS, f.u32(8))}, ss_size=${f.u64(16)}}`,
  sigevent: formatSigevent,
  siginfo: formatSiginfo,
  sigset: (f) => formatSigset(f.u32(0), f.u32(4)),
  sigset_pack: (f) => `{sigmask=${f.pointer(0)}, sigsetsize=${f.u64(8)}}`,
  stat: formatStat,
  statfs: formatStatfs,
  statx: formatStatx,
  sysinfo: formatSysinfo,
  timespec: (f) => timespec(f),
  timespec_pair: (f) => `[${touchTime(f, 0)}, ${touchTime(f, 16)}]`,
  timeval: (f) => timeval(f),
  timeval_pair: (f) => `[${timeval(f)}, ${timeval(f, 16)}]`,
  timezone: (f) => `{tz_minuteswest=${f.s32(0)}, tz_dsttime=${f.s32(4)}}`,
  tms: (f) => `{tms_utime=${f.s64(0)}, tms_stime=${f.s64(8)}, tms_cutime=${f.s64(16)}, tms_cstime=${f.s64(24)}}`,
  uint: (f) => `[${f.u32(0)}]`,
  utimbuf: (f) => `{actime=${f.s64(0)}, modtime=${f.s64(8)}}`,
  utsname: formatUname,
  wait_status: (f) => `[{${formatWaitStatus(f.s32(0))}}]`,
};

/** The set bits of the first `count` descriptors of an fd_set, e.g. '[0 3]'. */
export function formatFdSet(bytes: Uint8Array, count: number): string {
  const set: number[] = [];
  for (let fd = 0; fd < Math.min(count, bytes.length * 8); fd++) {
    if (((bytes[fd >> 3] >> (fd & 7)) & 1) !== 0) set.push(fd);
  }
  return `[${set.join(' ')}]`;
}

/** Struct termios, its modes in hexadecimal as strace has them. */
export function formatTermios(f: Fields): string {
  const modes = ['c_iflag', 'c_oflag', 'c_cflag', 'c_lflag'].map((name, index) => `${name}=${hex(f.u32(4 * index))}`);
  return `{${modes.join(', ')}, ...}`;
}

/** Struct winsize. */
export function formatWinsize(f: Fields): string {
  return `{ws_row=${f.u16(0)}, ws_col=${f.u16(2)}, ws_xpixel=${f.u16(4)}, ws_ypixel=${f.u16(6)}}`;
}
