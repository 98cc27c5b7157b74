// ptrace(2): requests, options, events, and the structs that carry registers.

export const PTRACE_TRACEME = 0;
export const PTRACE_PEEKTEXT = 1;
export const PTRACE_PEEKDATA = 2;
export const PTRACE_PEEKUSER = 3;
export const PTRACE_POKETEXT = 4;
export const PTRACE_POKEDATA = 5;
export const PTRACE_POKEUSER = 6;
export const PTRACE_CONT = 7;
export const PTRACE_KILL = 8;
export const PTRACE_SINGLESTEP = 9;
export const PTRACE_GETREGS = 12;
export const PTRACE_SETREGS = 13;
export const PTRACE_GETFPREGS = 14;
export const PTRACE_SETFPREGS = 15;
export const PTRACE_ATTACH = 16;
export const PTRACE_DETACH = 17;
export const PTRACE_OLDSETOPTIONS = 21;
export const PTRACE_SYSCALL = 24;
export const PTRACE_ARCH_PRCTL = 30;
export const PTRACE_SYSEMU = 31;
export const PTRACE_SYSEMU_SINGLESTEP = 32;
export const PTRACE_SETOPTIONS = 0x4200;
export const PTRACE_GETEVENTMSG = 0x4201;
export const PTRACE_GETSIGINFO = 0x4202;
export const PTRACE_SETSIGINFO = 0x4203;
export const PTRACE_GETREGSET = 0x4204;
export const PTRACE_SETREGSET = 0x4205;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;
export const PTRACE_LISTEN = 0x4208;
export const PTRACE_PEEKSIGINFO = 0x4209;
export const PTRACE_GETSIGMASK = 0x420a;
export const PTRACE_SETSIGMASK = 0x420b;
export const PTRACE_GET_SYSCALL_INFO = 0x420e;
export const PTRACE_GET_RSEQ_CONFIGURATION = 0x420f;
export const PTRACE_SET_SYSCALL_INFO = 0x4212;

export const PTRACE_O_TRACESYSGOOD = 0x1;
export const PTRACE_O_TRACEFORK = 0x2;
export const PTRACE_O_TRACEVFORK = 0x4;
export const PTRACE_O_TRACECLONE = 0x8;
export const PTRACE_O_TRACEEXEC = 0x10;
export const PTRACE_O_TRACEVFORKDONE = 0x20;
export const PTRACE_O_TRACEEXIT = 0x40;
export const PTRACE_O_TRACESECCOMP = 0x80;
export const PTRACE_O_EXITKILL = 0x100000;

export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_VFORK = 2;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_EXEC = 4;
export const PTRACE_EVENT_VFORK_DONE = 5;
export const PTRACE_EVENT_EXIT = 6;
export const PTRACE_EVENT_SECCOMP = 7;
export const PTRACE_EVENT_STOP = 128;

export const PTRACE_EVENTMSG_SYSCALL_ENTRY = 1;
export const PTRACE_EVENTMSG_SYSCALL_EXIT = 2;

export const PTRACE_PEEKSIGINFO_SHARED = 1;
export const PEEKSIGINFO_ARGS_SIZE = 16;

// struct ptrace_syscall_info: u8 op, u32 arch at 4, ip at 8, sp at 16, then by op from 24.
export const PTRACE_SYSCALL_INFO_NONE = 0;
export const PTRACE_SYSCALL_INFO_ENTRY = 1;
export const PTRACE_SYSCALL_INFO_EXIT = 2;
export const PTRACE_SYSCALL_INFO_SECCOMP = 3;
export const SYSCALL_INFO_SIZE = 88;
/** How much of it says something, by op. */
export const SYSCALL_INFO_USED = [24, 80, 33, 84];

export const RSEQ_CONFIGURATION_SIZE = 24;

// Register sets of PTRACE_GETREGSET.
export const NT_PRSTATUS = 1;
export const NT_PRFPREG = 2;
export const NT_X86_XSTATE = 0x202;

// struct user_regs_struct: 27 words of 8 bytes.
export const USER_REGS = 27;
export const REG_R15 = 0;
export const REG_R14 = 1;
export const REG_R13 = 2;
export const REG_R12 = 3;
export const REG_RBP = 4;
export const REG_RBX = 5;
export const REG_R11 = 6;
export const REG_R10 = 7;
export const REG_R9 = 8;
export const REG_R8 = 9;
export const REG_RAX = 10;
export const REG_RCX = 11;
export const REG_RDX = 12;
export const REG_RSI = 13;
export const REG_RDI = 14;
export const REG_ORIG_RAX = 15;
export const REG_RIP = 16;
export const REG_CS = 17;
export const REG_EFLAGS = 18;
export const REG_RSP = 19;
export const REG_SS = 20;
export const REG_FS_BASE = 21;
export const REG_GS_BASE = 22;
export const REG_DS = 23;
export const REG_ES = 24;
export const REG_FS = 25;
export const REG_GS = 26;

/** The kernel's sizeof(struct user), which has two words more than the C library's, and where its debug registers lie. */
export const USER_SIZE = 928;
export const USER_DEBUGREG = 848;

/** struct user_fpregs_struct: the FXSAVE area. */
export const FPREGS_SIZE = 512;

export const EFLAGS_TF = 0x100;
/** Flags that a tracer may set: what a program can change by itself, and the trap flag. */
export const EFLAGS_SETTABLE = 0x54dd5;
