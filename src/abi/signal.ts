// Signals of Linux for amd64: numbers, sigaction flags, siginfo codes and layouts (signal(7), sigaction(2)).
// A signal mask is two u32 words here: signal s is bit (s - 1) % 32 of word 0 (1..32) or word 1 (33..64),
// which is also its layout in a program's memory.

// Signals. SIGRTMIN is the kernel's; libc keeps 32 and 33 for itself.
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGIOT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGXCPU = 24;
export const SIGXFSZ = 25;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGWINCH = 28;
export const SIGIO = 29;
export const SIGPOLL = 29;
export const SIGPWR = 30;
export const SIGSYS = 31;
export const SIGRTMIN = 32;
export const SIGRTMAX = 64;

export const NSIG = 64;
export const SIGSET_SIZE = 8;

// sigaction(2)
export const SA_NOCLDSTOP = 0x1;
export const SA_NOCLDWAIT = 0x2;
export const SA_SIGINFO = 0x4;
export const SA_UNSUPPORTED = 0x400;
export const SA_EXPOSE_TAGBITS = 0x800;
export const SA_RESTORER = 0x4000000;
export const SA_ONSTACK = 0x8000000;
export const SA_RESTART = 0x10000000;
export const SA_NODEFER = 0x40000000;
export const SA_RESETHAND = 0x80000000;

export const SIG_DFL = 0;
export const SIG_IGN = 1;

// struct sigaction as the kernel has it, byte offsets; each field is 64 bits wide.
export const SIGACTION_SIZE = 32;
export const SIGACTION_HANDLER = 0;
export const SIGACTION_FLAGS = 8;
export const SIGACTION_RESTORER = 16;
export const SIGACTION_MASK = 24;

// sigprocmask(2)
export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;

// si_code: positive ones come from the kernel
export const SI_USER = 0;
export const SI_KERNEL = 128;
export const SI_QUEUE = -1;
export const SI_TIMER = -2;
export const SI_MESGQ = -3;
export const SI_ASYNCIO = -4;
export const SI_SIGIO = -5;
export const SI_TKILL = -6;
export const SI_DETHREAD = -7;
export const SI_ASYNCNL = -60;

// SIGCHLD
export const CLD_EXITED = 1;
export const CLD_KILLED = 2;
export const CLD_DUMPED = 3;
export const CLD_TRAPPED = 4;
export const CLD_STOPPED = 5;
export const CLD_CONTINUED = 6;

// SIGSEGV
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const SEGV_BNDERR = 3;
export const SEGV_PKUERR = 4;

// SIGBUS
export const BUS_ADRALN = 1;
export const BUS_ADRERR = 2;
export const BUS_OBJERR = 3;
export const BUS_MCEERR_AR = 4;
export const BUS_MCEERR_AO = 5;

// SIGFPE
export const FPE_INTDIV = 1;
export const FPE_INTOVF = 2;
export const FPE_FLTDIV = 3;
export const FPE_FLTOVF = 4;
export const FPE_FLTUND = 5;
export const FPE_FLTRES = 6;
export const FPE_FLTINV = 7;
export const FPE_FLTSUB = 8;
export const FPE_FLTUNK = 14;

// SIGILL
export const ILL_ILLOPC = 1;
export const ILL_ILLOPN = 2;
export const ILL_ILLADR = 3;
export const ILL_ILLTRP = 4;
export const ILL_PRVOPC = 5;
export const ILL_PRVREG = 6;
export const ILL_COPROC = 7;
export const ILL_BADSTK = 8;

// SIGTRAP
export const TRAP_BRKPT = 1;
export const TRAP_TRACE = 2;
export const TRAP_BRANCH = 3;
export const TRAP_HWBKPT = 4;
export const TRAP_UNK = 5;

// SIGPOLL
export const POLL_IN = 1;
export const POLL_OUT = 2;
export const POLL_MSG = 3;
export const POLL_ERR = 4;
export const POLL_PRI = 5;
export const POLL_HUP = 6;

// SIGSYS
export const SYS_SECCOMP = 1;
export const SYS_USER_DISPATCH = 2;

// sigaltstack(2): stack_t is u64 sp, s32 flags, u64 size
export const SS_ONSTACK = 0x1;
export const SS_DISABLE = 0x2;
export const SS_AUTODISARM = 0x80000000;

export const MINSIGSTKSZ = 2048;
export const STACK_T_SIZE = 24;

// sigevent(7): 64 bytes: u64 value, s32 signo, s32 notify, s32 thread id
export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD = 2;
export const SIGEV_THREAD_ID = 4;
export const SIGEVENT_SIZE = 64;

// signalfd(2)
export const SFD_CLOEXEC = 0x80000;
export const SFD_NONBLOCK = 0x800;
export const SIGNALFD_SIGINFO_SIZE = 0x80;

// siginfo_t, byte offsets; the part from 12 on depends on the code.
export const SIGINFO_SIZE = 128;
export const SIGINFO_SIGNO = 0; // s32
export const SIGINFO_ERRNO = 4; // s32
export const SIGINFO_CODE = 8; // s32
export const SIGINFO_PID = 16; // s32: kill, sigqueue, SIGCHLD
export const SIGINFO_UID = 20; // u32: kill, sigqueue, SIGCHLD
export const SIGINFO_VALUE = 24; // u64: sigqueue, timers
export const SIGINFO_STATUS = 24; // s32: SIGCHLD
export const SIGINFO_UTIME = 32; // s64, clock ticks: SIGCHLD
export const SIGINFO_STIME = 40; // s64, clock ticks: SIGCHLD
export const SIGINFO_TIMERID = 16; // s32: timers
export const SIGINFO_OVERRUN = 20; // s32: timers
export const SIGINFO_ADDR = 16; // u64: faults
export const SIGINFO_ADDR_LSB = 24; // u16: SIGBUS
export const SIGINFO_BAND = 16; // s64: SIGPOLL
export const SIGINFO_FD = 24; // s32: SIGPOLL
export const SIGINFO_CALL_ADDR = 16; // u64: SIGSYS
export const SIGINFO_SYSCALL = 24; // s32: SIGSYS
export const SIGINFO_ARCH = 28; // u32: SIGSYS

/** Names of signals 1 to 31 by number. */
export const SIGNAL_NAMES: readonly string[] = [
  '',
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
];

/** Name of a signal as strace prints it: 'SIGTERM', 'SIGRT_3', or the number if it is none. */
export function signalName(signal: number): string {
  if (signal >= 1 && signal <= 31) return SIGNAL_NAMES[signal] as string;
  if (signal === SIGRTMIN) return 'SIGRTMIN';
  if (signal > SIGRTMIN && signal <= SIGRTMAX) return `SIGRT_${signal - SIGRTMIN}`;
  return String(signal);
}

/** Number of a signal by name ('TERM', 'SIGTERM', 'RTMIN+3') or decimal number; 0 if there is none. */
export function signalNumber(name: string): number {
  if (/^[0-9]+$/.test(name)) {
    const number = Number(name);
    return number <= NSIG ? number : 0;
  }
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  if (full === 'SIGIOT') return SIGIOT;
  if (full === 'SIGPOLL') return SIGPOLL;
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(full);
  if (realTime === null) return Math.max(0, SIGNAL_NAMES.indexOf(full));
  const base = realTime[1] === 'MIN' ? SIGRTMIN + 2 : SIGRTMAX; // as libc counts: its SIGRTMIN is 34
  const number = base + (realTime[2] === '-' ? -1 : 1) * Number(realTime[3] ?? 0);
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : 0;
}
