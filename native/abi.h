// The contract between the stub (native/stub, in the guest), the addon (native/addon, in the sentry)
// and src/platform/layout.ts, which repeats these numbers for TypeScript (a test compares the two).
//
// One slot per guest thread: a memfd of its own, mapped at SLOTS_ADDR + index * SLOT_SIZE in the
// guest process that owns it and at the same offset of the sentry's arena. Both sides may write every
// byte of it at any time; the sentry reads each field once and validates what it read.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef int s32;
typedef long s64;

// ---- the stub's region: every address in it has the same high 32 bits, which the filter tests ----
#define STUB_HI 0x7e00u
// All of it lies in one GiB, and text, trampolines and the first blocks in its first 2 MiB: each page of page tables
// is one more to be made and freed by every fork.
#define STUB_TEXT        0x7e0000000000ul // the static stub is linked here
#define BLOCKS_ADDR      0x7e0000080000ul // private: one block per thread of this process
#define BLOCK_SIZE       0x10000ul        // [0,4K) struct thread, [4K,16K) stub stack, [16K,64K) sigaltstack
#define MAX_BLOCKS       4096
#define BLOCK_SLOT_INDEX 12               // the thread's slot, u32
#define SLOTS_ADDR       0x7e0020000000ul // slots, shared with the sentry, one memfd each
#define SLOT_SIZE        0x20000ul        // 128 KiB
#define MAX_SLOTS        4096

// Where files are mapped for reads of much at once: a window for each of the first threads' blocks.
#define WINDOWS_ADDR 0x7e0040000000ul
#define WINDOW_SIZE  0x4000000ul // 64 MiB
#define MAX_WINDOWS  32

#define TRAMPOLINES_ADDR 0x7e0000040000ul // private: one trampoline of 32 bytes per patched site
// The jump table of patched sites. It lies low, because the upper half of its entries' addresses must read 0f 05,
// which is the syscall instruction that a patched site keeps.
#define JUMP_TABLE_ADDR 0x050f0000ul
#define MAX_SITES       4096

#define DOORBELL         1000 // the notified system call: (slot index, sequence number)
#define PROMOTE          1001 // trapped inside the stub: re-enter by SIGSYS to have all registers in memory
#define INTERRUPT_SIGNAL 16   // SIGSTKFLT, "report in". Real-time signals would queue and fill the altstack

// ---- control channel: a signal's number to the sentry, a request to the launcher's outer process ----
#define CONTROL_BACKGROUND 0x80 // with SIGCONT: continued, but not in the foreground of the terminal
#define CONTROL_STOP       'S'  // stop as the sandbox's job has
#define CONTROL_TERMINAL   'T'  // the terminal is wanted
#define CONTROL_READY      'R'  // the container is there, its program still to come

// ---- slot: byte offsets of its parts ----
// Orders start on the header's page: a short list costs no page of its own.
#define SLOT_ORDERS  0x500u // up to MAX_ORDERS orders of 64 bytes: u64 opcode, u64 argument[7]
#define MAX_ORDERS   192
#define SLOT_PAYLOAD 0x4000u // captured arguments from the front; the sentry's data where it likes
#define PAYLOAD_SIZE (SLOT_SIZE - SLOT_PAYLOAD)
#define CAPTURE_MAX  0x10000u // the stub captures at most this much in all; longer buffers are not captured

// ---- slot header, as u32 indices (64-bit fields take two) ----
enum {
  H_SEQ = 0,   // sequence number of this ring; unchanged when a doorbell is rung again
  H_KIND = 1,  // enum kind
  H_NR = 2,    // system call number (0xffffffff: a foreign architecture's call)
  H_FLAGS = 3, // 1: came from a patched site
  H_ARGS = 4,  // u64[6]
  H_RIP = 16,  // u64, the instruction after the call
  H_RSP = 18,  // u64
  H_CPU = 20,  // the CPU it rang from
  H_NIN = 21,  // captured items
  H_IN = 24,   // items of 4 words: u64 user address, u32 offset in slot, s32 length or -errno
  MAX_IN = 8,
  H_ACT = 64,  // enum act, flags
  H_NOUT = 65, // copies to user memory
  H_RET = 66,  // s64
  H_NORD = 68, // orders
  H_SOLO = 69, // this address space has one task only
  H_GONE = 70, // 1: this thread's last store; its host thread touches no memory any more
  H_OUT = 72,  // items of 4 words: u64 user address, u32 offset in slot, u32 length
  MAX_OUT = 32,
  H_REGS = 200, // u64[18] in sigcontext order (r8..r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags), for KIND_INTERRUPT
                // and KIND_FAULT
  H_SPIN = 236, // set by the sentry while it watches this slot: the stub waits for H_DONE before it rings
  H_DONE = 237, // sequence number of the last call that was answered without a ring
  H_PARK = 238, // sequence number of a call that was taken without a ring and is answered later: a futex of the stub's
  H_ASLEEP = 239, // set by the stub while it may sleep there
  // of a ring from signal context: where the program's registers lie (struct ucontext), and what is not in there
  H_FS_BASE = 248, // u64
  H_GS_BASE = 250, // u64
  // slot 0 only, at boot
  H_LISTENER = 240, // listener fd in the zygote + 1, or -errno
  H_VDSO = 242,     // u64
  H_MINSIGSTK = 244,
  H_HWCAP = 245,
  H_FAST = 246, // set by the sentry: leave SIGSYS by xrstor and a jump
  H_HWCAP2 = 247,
  H_TRACE_SOCKET = 252, // under ptrace: the guests' end of the socket by which they get descriptors
  H_TRACE_SECRET = 254, // u64: for the filter; the zygote wipes it
  // What the stub answers by itself, kept by the sentry (src/kernel/own-answers.ts)
  H_OWN = 256, // 1: the words below are the answers; 0: every call must reach the sentry
  H_OWN_PID = 257,
  H_OWN_TID = 258,
  H_OWN_PPID = 259,
  H_OWN_UID = 260,
  H_OWN_EUID = 261,
  H_OWN_GID = 262,
  H_OWN_EGID = 263,
  H_OWN_COUNT = 264, // how many calls it has answered so, for --stats
  H_ROBUST = 266,    // u64, set_robust_list(2): noted by the stub, read when the thread ends
  // With exit(2) and exit_group(2): 1 if the list's head was read, and the head, u64[3]
  H_ROBUST_READ = 268,
  H_ROBUST_HEAD = 270,
  H_RSEQ = 276, // u64, u32, u32, rseq(2): address, length and signature of what the stub has registered on the host
  // The signal mask (u64), and 1 while the stub may change it by itself: nothing is pending that it could let through
  H_MASK = 280,
  H_MASK_LENT = 282,
  // As long as the mask is lent: signals whose action is the default (u64), those that have the restorer below with it
  // (u64), the restorer (u64), and 1 when the stub has changed one for the other
  H_PLAIN = 284,
  H_RESTORED = 286,
  H_RESTORER = 288,
  H_ACTIONS_CHANGED = 290,
  H_CONTEXT = 292, // u64, see above
  // A new thread says here which host thread it is, and then goes on to its program without a ring unless it is asked
  // for one
  H_HOST_TID = 294,
  H_HELLO = 295, // 1: it rings KIND_HELLO first
};

// H_FLAGS
#define FLAG_PATCHED 1 // the call came from a patched site
#define FLAG_RINGS   2 // the stub rings for it whatever H_SPIN says: only the ring counts

enum kind {
  KIND_SYSCALL = 0,
  KIND_INTERRUPT = 1,   // answer to the interrupt signal. A native futex wait cut short: NR = 202, ARGS; else NR = -1
  KIND_FAULT = 2,       // NR = signal, ARGS = si_code, si_addr, trapno, rip, in_stub, error code
  KIND_HELLO = 3,       // first ring of a new thread or process that was asked for it by H_HELLO
  KIND_ORDERS = 4,      // orders done (ACT_ASK_AGAIN). Each order's first word now holds its result
  KIND_ZYGOTE = 5,      // the zygote waits for orders
  KIND_SIGNAL_FAIL = 6, // a signal frame could not be written or read. ARGS = index of the order, which one
  KIND_ORDER_FAIL = 7,  // ARGS[0] = index of the order that failed, ARGS[1] = its -errno
};

enum act {              // what to do with the registers, and afterwards
  ACT_SET_RETURN = 1,   // rax = H_RET (-EFAULT if an out copy faulted)
  ACT_RESTART = 2,      // rip -= 2, rax = H_NR: the call is made again
  ACT_ASK_AGAIN = 4,    // after the orders, ring KIND_ORDERS and wait
  ACT_ORDER_RETURN = 8, // rax = result of order 0, also when that failed
  ACT_SLOWLY = 16,      // leave by rt_sigreturn: the sentry has written to the registers where they lie
};

#define WATCHES 4
enum watch_kind {
  WATCH_NONE,
  WATCH_EXECUTE,
  WATCH_WRITE
}; // what ORDER_WATCH looks for: rip at the address, its bytes changed

// An order that fails ends the list and is reported: KIND_SIGNAL_FAIL for frames, KIND_ORDER_FAIL for the others.
// Order 0 under ACT_ORDER_RETURN is the exception: its error is the result, and the list goes on.
enum order {
  ORDER_SYSCALL = 1, // nr, a0..a5
  ORDER_COPY = 2,    // user address, offset in slot, length
  ORDER_ZERO = 3,    // user address, length
  ORDER_FORK = 4,    // slot index, tid, clear_child_tid address or 0, set_child_tid address or 0, slot fd,
                     // stack pointer or 0
  ORDER_THREAD = 5, // slot index, block index, stack pointer or 0, tls, clear_child_tid address or 0, clone flags, slot
                    // fd (0: mapped already)
  ORDER_FRAME = 6,  // signal, handler, restorer, mask, altstack base, altstack size | use << 63, siginfo's slot offset
  ORDER_SIGRETURN = 7, // registers and vector state from the frame at rsp
  ORDER_JUMP = 8,      // rip, rsp: a fresh program
  ORDER_EXIT = 9,
  ORDER_EXIT_GROUP = 10,
  ORDER_PATCH =
      11, // the instruction after a system call that trapped: jump into the stub there from now on. Never fails
  ORDER_TRAP_ALL = 12, // 1: from now on each call of this thread traps, also those that the filter allows; 0: no more
  ORDER_CALL = 13,     // nr, a0..a5: like ORDER_SYSCALL, but an interrupt ends it with EINTR
  ORDER_BASES = 14,    // the bases of fs and gs, and whether gs stays as it is; gs 0: this thread's block
  ORDER_WATCH = 15,    // index below WATCHES, address, length, enum watch_kind: what single steps look for in the stub
  ORDER_READ = 16, // user address, address in the thread's window or 0 for zeros, length: rax = length. If not all can
                   // be copied the stub rings KIND_ORDERS, and the sentry reads by itself
};
