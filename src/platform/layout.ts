// The slot layout and the protocol between the stub and the sentry: the numbers of native/abi.h for TypeScript.
// A test compares the two files; offsets into the header are u32 indices unless the name says bytes.

export const STUB_HI = 0x7e00;
/** The stub's region: no guest mapping touches it. */
export const STUB_START = 0x7e0000000000;
export const STUB_END = 0x7e0100000000;
export const SLOTS_ADDR = 0x7e0020000000;
export const SLOT_SIZE = 0x20000;
export const MAX_SLOTS = 4096;
export const BLOCKS_ADDR = 0x7e0000080000;
export const BLOCK_SIZE = 0x10000;
export const MAX_BLOCKS = 4096;
/** Where a block says which slot its thread has. */
export const BLOCK_SLOT_INDEX = 12;

export const WINDOWS_ADDR = 0x7e0040000000;
export const WINDOW_SIZE = 0x4000000;
export const MAX_WINDOWS = 32;

export const TRAMPOLINES_ADDR = 0x7e0000040000;
export const JUMP_TABLE_ADDR = 0x050f0000;
export const MAX_SITES = 4096;

export const DOORBELL = 1000;
export const PROMOTE = 1001;
export const INTERRUPT_SIGNAL = 16;

export const SLOT_ORDERS = 0x500;
export const MAX_ORDERS = 192;
export const SLOT_PAYLOAD = 0x4000;
export const PAYLOAD_SIZE = SLOT_SIZE - SLOT_PAYLOAD;
export const CAPTURE_MAX = 0x10000;
/** The last 4 KiB of a slot hold the siginfo of signal frames; results end below. */
export const SIGINFO_AREA = SLOT_SIZE - 0x1000;

// Descriptor numbers in guest processes: all a guest process ever has, and useful for nothing but mmap.
export const FD_MAPPING = 10;
export const FD_PROGRAM = 11;
export const FD_INTERPRETER = 12;
export const FD_SLOT = 13;
export const FD_BLANK_SLOTS = 20;

/** Descriptors come and go with the answers to one thread, so each thread of a process has its own numbers for them. */
const THREAD_FDS = 32;
const THREADS_APART = 448;

/** Number of the slot that a thread's clone brings, by the thread's block. */
export function slotFd(block: number): number {
  return block === 0 ? FD_SLOT : THREAD_FDS + (block % THREADS_APART);
}

/** Number of the file that a thread mapped last, by the thread's block. */
export function mappingFd(block: number): number {
  return block === 0 ? FD_MAPPING : THREAD_FDS + THREADS_APART + (block % THREADS_APART);
}

export const H_SEQ = 0;
export const H_KIND = 1;
export const H_NR = 2;
export const H_FLAGS = 3;
export const H_ARGS = 4;
export const H_RIP = 16;
export const H_RSP = 18;
export const H_CPU = 20;
export const H_NIN = 21;
export const H_IN = 24;
export const MAX_IN = 8;
export const H_ACT = 64;
export const H_NOUT = 65;
export const H_RET = 66;
export const H_NORD = 68;
export const H_SOLO = 69;
export const H_GONE = 70;
export const H_OUT = 72;
export const MAX_OUT = 32;
export const H_REGS = 200;
export const H_SPIN = 236;
export const H_DONE = 237;
export const H_PARK = 238;
export const H_ASLEEP = 239;
export const H_LISTENER = 240;
export const H_VDSO = 242;
export const H_MINSIGSTK = 244;
export const H_HWCAP = 245;
export const H_FAST = 246;
export const H_HWCAP2 = 247;
export const H_FS_BASE = 248;
export const H_GS_BASE = 250;
export const H_TRACE_SOCKET = 252;
export const H_TRACE_SECRET = 254;
export const H_OWN = 256;
export const H_OWN_PID = 257;
export const H_OWN_TID = 258;
export const H_OWN_PPID = 259;
export const H_OWN_UID = 260;
export const H_OWN_EUID = 261;
export const H_OWN_GID = 262;
export const H_OWN_EGID = 263;
export const H_OWN_COUNT = 264;
export const H_ROBUST = 266;
export const H_ROBUST_READ = 268;
export const H_ROBUST_HEAD = 270;
export const H_RSEQ = 276;
export const H_MASK = 280;
export const H_MASK_LENT = 282;
export const H_PLAIN = 284;
export const H_RESTORED = 286;
export const H_RESTORER = 288;
export const H_ACTIONS_CHANGED = 290;
export const H_CONTEXT = 292;
export const H_HOST_TID = 294;
export const H_HELLO = 295;

export const FLAG_PATCHED = 1;

export const KIND_SYSCALL = 0;
export const KIND_INTERRUPT = 1;
export const KIND_FAULT = 2;
export const KIND_HELLO = 3;
export const KIND_ORDERS = 4;
export const KIND_ZYGOTE = 5;
export const KIND_SIGNAL_FAIL = 6;
export const KIND_ORDER_FAIL = 7;

export const ACT_SET_RETURN = 1;
export const ACT_RESTART = 2;
export const ACT_ASK_AGAIN = 4;
export const ACT_ORDER_RETURN = 8;
export const ACT_SLOWLY = 16;

export const ORDER_SYSCALL = 1;
export const ORDER_COPY = 2;
export const ORDER_ZERO = 3;
export const ORDER_FORK = 4;
export const ORDER_THREAD = 5;
export const ORDER_FRAME = 6;
export const ORDER_SIGRETURN = 7;
export const ORDER_JUMP = 8;
export const ORDER_EXIT = 9;
export const ORDER_EXIT_GROUP = 10;
export const ORDER_PATCH = 11;
export const ORDER_TRAP_ALL = 12;
export const ORDER_CALL = 13;
export const ORDER_BASES = 14;
export const ORDER_WATCH = 15;
export const ORDER_READ = 16;
export const WATCHES = 4;
export const WATCH_NONE = 0;
export const WATCH_EXECUTE = 1;
export const WATCH_WRITE = 2;
