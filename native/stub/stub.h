// Types and primitives of the stub: freestanding C, no libc, general registers only. Nothing here is
// trusted by anybody: the guest can read it all and jump anywhere into it. It is a courier.
#pragma once
#include <stddef.h>

#include "../abi.h"
#include "../stall.h"

#define INLINE   static inline __attribute__((always_inline))
#define NORETURN __attribute__((noreturn))
#define USED     __attribute__((used))

enum { // the host calls that the stub makes by itself
  SYS_close = 3,
  SYS_mmap = 9,
  SYS_mprotect = 10,
  SYS_munmap = 11,
  SYS_rt_sigaction = 13,
  SYS_rt_sigprocmask = 14,
  SYS_rt_sigreturn = 15,
  SYS_madvise = 28,
  SYS_socketpair = 53,
  SYS_clone = 56,
  SYS_fork = 57,
  SYS_vfork = 58,
  SYS_execve = 59,
  SYS_exit = 60,
  SYS_sigaltstack = 131,
  SYS_getpid = 39,
  SYS_getuid = 102,
  SYS_getgid = 104,
  SYS_geteuid = 107,
  SYS_getegid = 108,
  SYS_getppid = 110,
  SYS_prctl = 157,
  SYS_arch_prctl = 158,
  SYS_gettid = 186,
  SYS_futex = 202,
  SYS_set_tid_address = 218,
  SYS_set_robust_list = 273,
  SYS_exit_group = 231,
  SYS_seccomp = 317,
  SYS_membarrier = 324,
  SYS_rseq = 334,
  SYS_clone3 = 435,
  SYS_mseal = 462,
};

enum { E2BIG = 7, EINTR = 4, EFAULT = 14 };

enum {
  SIGILL = 4,
  SIGTRAP = 5,
  SIGBUS = 7,
  SIGFPE = 8,
  SIGKILL = 9,
  SIGSEGV = 11,
  SIGCHLD = 17,
  SIGSTOP = 19,
  SIGSYS = 31
};
enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

// Why the stub ends its process by itself. The sentry sees only the death, by pidfd.
enum { EXIT_NO_SLOT = 97, EXIT_NO_FILTER = 98, EXIT_NO_SENTRY = 99, EXIT_STUB_FAULT = 100 };

// ---- the kernel's signal frame ----

enum { R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP, FLAGS, REGISTERS };

#define FLAG_TRAP      0x100ul
#define FLAG_DIRECTION 0x400ul
#define FLAG_RESUME    0x10000ul
#define FLAG_ALIGNMENT 0x40000ul
#define USER_CS        0x33

struct altstack {
  u64 base;
  u32 flags, pad;
  u64 size;
};

struct ucontext {
  u64 flags, link;
  struct altstack stack;
  u64 reg[REGISTERS];
  u16 cs, gs, fs, ss;
  u64 error, trap, old_mask, cr2;
  u8 *fpstate;
  u64 reserved[8];
  u64 mask;
};

struct siginfo {
  s32 signal, error, code, pad;
  union {
    u64 address;
    struct {
      u64 call_address;
      s32 call;
      u32 arch;
    };
  };
  u64 rest[12];
};

struct frame {
  u64 return_address;
  struct ucontext context;
  struct siginfo info;
};

// The FXSAVE area; its bytes 464.. describe the XSAVE data behind it (struct _fpx_sw_bytes).
#define FPSTATE_MXCSR    24
#define FPSTATE_MAGIC    464
#define FPSTATE_SIZE     468
#define FPSTATE_LEGACY   512 // bytes; XSTATE_BV follows
#define FP_XSTATE_MAGIC1 0x46505853u
#define MXCSR_DEFAULT    0x1f80u
#define XFEATURE_PKRU    (1ul << 9)

/** ORDER_WATCH: a debug register, made of single steps. */
struct watch {
  u64 address, value;
  u32 length, kind;
};

// ---- one thread of this process, at the start of its block ----

struct thread {
  volatile u32 *slot;
  u32 interrupted; // an interrupt came while the stub ran; reported on the way out
  u32 slot_index;
  u32 sequence;
  u32 pad;
  u32 fast_exit;   // gs is this block: handlers may leave without rt_sigreturn
  u32 stub_faults; // faults of the stub's own code so far
  // the exit window of entry.S
  struct ucontext *context;
  u64 exit_stack, exit_fast, exit_rip, exit_rsp, exit_rdi;
  u32 listener; // in the zygote until the sentry has answered: descriptor + 1
  u32 promoted; // why a patched call comes back as SIGSYS: enum promotion
  // a patched call: the program's registers in sigcontext order, and what its entry checks
  u64 reg[REGISTERS];
  u64 mark;      // THREAD_MARK_VALUE: gs is this block
  u64 stack;     // top of the stub stack
  u32 traps;     // of calls that the stub could have answered
  u32 has_bases; // the CPU lets programs read and write the bases of fs and gs
  u32 watching;  // watches in use
  struct watch watch[WATCHES];
  u64 clear_tid; // of a new thread: the word that the host clears when it ends
};

enum promotion { PROMOTED_NOT, PROMOTED_ANSWER, PROMOTED_INTERRUPT };

#define BLOCK_STACK    0x1000ul
#define BLOCK_ALTSTACK 0x4000ul
#define ALTSTACK_SIZE  (BLOCK_SIZE - BLOCK_ALTSTACK)

/** This thread's block. By rsp, not by gs: a program can set gs, but our stacks always lie in the block. */
INLINE struct thread *self(void) {
  u64 sp;
  __asm__("mov %%rsp, %0" : "=r"(sp));
  return (struct thread *)(sp & ~(BLOCK_SIZE - 1));
}

// ---- entry.S ----

u64 copy_user(void *to, const void *from, u64 length);
u64 zero_user(void *to, u64 length);
u64 store16_user(u64 *to, const u64 *expected, const u64 *value);
s64 copy_string(void *to, const void *from, u64 limit);
extern char copy_user_begin[], copy_user_end[], copy_user_fault[];
extern char zero_user_begin[], zero_user_end[], zero_user_fault[];
extern char store16_user_begin[], store16_user_end[], store16_user_fault[];
extern char copy_string_begin[], copy_string_end[], copy_string_fault[];
extern char patched_entry[], patched_probe[], patched_foreign[], patched_check[], patched_end[];
extern char call_check[], call_made[], call_interrupted[];
extern char exit_check[], exit_jump[], exit_end[], restorer[], promote_end[];
long interruptible_call(const u64 *call);
void promote(void);
void leave_signal(struct ucontext *context, u64 fast) NORETURN;
long clone_thread(u64 flags, struct frame *frame, u64 tls);

INLINE long sys6(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long result;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#define SYS_SELECT(nr, a, b, c, d, e, f, ...) sys6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))
#define sys(...)                              SYS_SELECT(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

NORETURN INLINE void die(u32 status) {
  for (;;) sys(SYS_exit_group, status);
}

INLINE int failed(long result) { return result < 0 && result > -4096; }

INLINE u64 read64(volatile u32 *slot, u32 index) { return *(volatile u64 *)(slot + index); }

INLINE void write64(volatile u32 *slot, u32 index, u64 value) { *(volatile u64 *)(slot + index) = value; }

INLINE u64 read_gs_base(void) {
  u64 base;
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  return base;
}

#define HWCAP2_FSGSBASE 2
INLINE void write_gs_base(u64 base) { __asm__ volatile("wrgsbase %0" : : "r"(base)); }

INLINE u64 read_fs_base(void) {
  u64 base;
  __asm__ volatile("rdfsbase %0" : "=r"(base));
  return base;
}

INLINE void write_fs_base(u64 base) { __asm__ volatile("wrfsbase %0" : : "r"(base)); }
