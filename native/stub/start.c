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

/** Installs the guest filter. Listener descriptor, or -errno. */
static long install_filter(void) {
  struct {
    u16 count;
    const struct sock_filter *filter;
  } program = {sizeof GUEST_FILTER / sizeof GUEST_FILTER[0], GUEST_FILTER};
  long result = sys(SYS_prctl, 38, 1); // PR_SET_NO_NEW_PRIVS
  if (failed(result)) return result;
  // SECCOMP_SET_MODE_FILTER; SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
  return sys(SYS_seccomp, 1, 8 | 32, &program);
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
  long listener = aux.minsigstksz * 4 > ALTSTACK_SIZE ? -E2BIG : install_filter();
  volatile u32 *slot = thread->slot;
  write64(slot, H_VDSO, aux.vdso);
  slot[H_MINSIGSTK] = aux.minsigstksz;
  slot[H_HWCAP] = aux.hwcap;
  slot[H_HWCAP2] = aux.hwcap2;
  __atomic_store_n(&slot[H_LISTENER], (u32)(failed(listener) ? listener : listener + 1), __ATOMIC_SEQ_CST);
  sys(SYS_futex, &slot[H_LISTENER], 1, 1); // FUTEX_WAKE
  if (failed(listener)) die(EXIT_NO_FILTER);
  thread->listener = listener + 1;

  u64 stack_high = (aux.execfn + 4096) & ~4095ul; // the string at the very top of the stack
  u64 stack_low = ((u64)sp & ~4095ul) - 0x40000;
  __asm__ volatile("mov %0, %%rsp\n xor %%ebp, %%ebp\n call zygote\n ud2"
                   :
                   : "r"(BLOCKS_ADDR + BLOCK_ALTSTACK), "D"(stack_low), "S"(stack_high)
                   : "memory");
  __builtin_unreachable();
}
