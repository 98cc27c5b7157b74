// The zygote: set up once per sandbox, by execveat from the launcher. Every guest process is its descendant.

enum { AT_NULL = 0, AT_HWCAP = 16, AT_HWCAP2 = 26, AT_EXECFN = 31, AT_SYSINFO_EHDR = 33, AT_MINSIGSTKSZ = 51 };

struct auxiliary {
  u64 vdso, minsigstksz, hwcap, hwcap2, execfn;
};

static struct auxiliary read_auxiliary(const u64 *sp) {
  struct auxiliary aux = {0, 0, 0, 0, 0};
  const u64 *p = sp + 1 + *sp + 1;
  while (*p++) continue;
  for (; p[0] != AT_NULL; p += 2) switch (p[0]) {
    case AT_SYSINFO_EHDR: aux.vdso = p[1]; break;
    case AT_MINSIGSTKSZ: aux.minsigstksz = p[1]; break;
    case AT_HWCAP: aux.hwcap = p[1]; break;
    case AT_HWCAP2: aux.hwcap2 = p[1]; break;
    case AT_EXECFN: aux.execfn = p[1]; break;
    }
  return aux;
}

#define FILTER_LENGTH(filter) (sizeof filter / sizeof filter[0])

/** Installs a filter for good, and for all descendants. What seccomp(2) says. */
static long install_filter(const struct sock_filter *filter, u16 count, u64 flags) {
  struct {
    u16 count;
    const struct sock_filter *filter;
  } program = {count, filter};
  long result = sys(SYS_prctl, 38, 1);                                   // PR_SET_NO_NEW_PRIVS
  return failed(result) ? result : sys(SYS_seccomp, 1, flags, &program); // SECCOMP_SET_MODE_FILTER
}

/** User notification: the listener's descriptor, or -errno. */
static long prepare_notify(int has_bases) {
  // SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
  if (!has_bases) return install_filter(OLD_GUEST_FILTER, FILTER_LENGTH(OLD_GUEST_FILTER), 8 | 32);
  return install_filter(GUEST_FILTER, FILTER_LENGTH(GUEST_FILTER), 8 | 32);
}

/** ptrace: one end of a socket whose other end stays with all guests, or -errno. */
static long prepare_trace(volatile u32 *slot) {
  s32 ends[2];
  long result = sys(SYS_socketpair, 1, 5, 0, ends); // AF_UNIX, SOCK_SEQPACKET
  slot[H_TRACE_SOCKET] = ends[0];
  return failed(result) ? result : ends[1];
}

/** Waits until the sentry traces us; then the filter is made with its secret, of which nothing stays in our memory. */
static void finish_trace(volatile u32 *slot) {
  while (!__atomic_load_n(&slot[H_FAST], __ATOMIC_SEQ_CST)) sys(SYS_futex, &slot[H_FAST], 0, 0, 0); // FUTEX_WAIT
  struct sock_filter filter[sizeof TRACED_FILTER / sizeof TRACED_FILTER[0]];
  __builtin_memcpy(filter, TRACED_FILTER, sizeof filter);
  for (u32 i = 0; i < sizeof filter / sizeof filter[0]; i++) {
    if (filter[i].k == SECRET_LOW) filter[i].k = slot[H_TRACE_SECRET];
    else if (filter[i].k == SECRET_HIGH) filter[i].k = slot[H_TRACE_SECRET + 1];
  }
  long result = install_filter(filter, sizeof filter / sizeof filter[0], 0);
  for (volatile u8 *p = (u8 *)filter; p < (u8 *)(filter + sizeof filter / sizeof filter[0]); p++) *p = 0;
  slot[H_TRACE_SECRET] = slot[H_TRACE_SECRET + 1] = 0;
  if (failed(result)) die(EXIT_NO_FILTER);
}

/** The zygote's life, on the stub stack of block 0: the initial stack is given back to the kernel. */
USED NORETURN void zygote(u64 stack_low, u64 stack_high) {
  sys(SYS_munmap, stack_low, stack_high - stack_low);
  for (;;) promote();
}

USED NORETURN void start(const u64 *sp) {
  struct auxiliary aux = read_auxiliary(sp);
  if (!map_slot(0, 3)) die(EXIT_NO_SLOT);
  // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE
  long blocks = sys(SYS_mmap, BLOCKS_ADDR, BLOCK_SIZE * MAX_BLOCKS, 3, 0x4032, -1, 0);
  struct thread *thread = (struct thread *)BLOCKS_ADDR;
  if (failed(blocks)) die(EXIT_NO_SLOT);
  take_slot(thread, 0);
  struct altstack altstack = {BLOCKS_ADDR + BLOCK_ALTSTACK, 0, 0, ALTSTACK_SIZE};
  sys(SYS_sigaltstack, &altstack, 0);
  install_handlers();

  // Three frames may nest: a call's, the fault of a copy, an interrupt on top.
  volatile u32 *slot = thread->slot;
  int traced = *sp > 1; // the launcher said so
  long listener = aux.minsigstksz * 4 > ALTSTACK_SIZE ? -E2BIG
                  : traced                            ? prepare_trace(slot)
                                                      : prepare_notify(aux.hwcap2 & HWCAP2_FSGSBASE);
  write64(slot, H_VDSO, aux.vdso);
  slot[H_MINSIGSTK] = aux.minsigstksz;
  slot[H_HWCAP] = aux.hwcap;
  slot[H_HWCAP2] = aux.hwcap2;
  __atomic_store_n(&slot[H_LISTENER], (u32)(failed(listener) ? listener : listener + 1), __ATOMIC_SEQ_CST);
  sys(SYS_futex, &slot[H_LISTENER], 1, 1); // FUTEX_WAKE
  if (failed(listener)) die(EXIT_NO_FILTER);
  thread->listener = listener + 1;
  if (traced) finish_trace(slot);

  u64 stack_high = (aux.execfn + 4096) & ~4095ul; // the string at the very top of the stack
  u64 stack_low = ((u64)sp & ~4095ul) - 0x40000;
  __asm__ volatile("mov %0, %%rsp\n xor %%ebp, %%ebp\n call zygote\n ud2"
                   :
                   : "r"(BLOCKS_ADDR + BLOCK_ALTSTACK), "D"(stack_low), "S"(stack_high)
                   : "memory");
  __builtin_unreachable();
}
