// The handler of all host signals that reach a guest process. SIGSYS carries its system calls, the fault
// signals its faults, INTERRUPT_SIGNAL the sentry's wish to hear from a thread that runs natively.

#define TRAP_TRACE      2 // si_code of a single step
#define TRAP_BREAKPOINT 3 // the CPU's number of an int3

static int in_stub(u64 ip) { return ip >= STUB_TEXT && ip < TRAMPOLINES_ADDR; }

/** A fault in one of the copy routines: they return how far they came. */
static int fix_copy_fault(u64 *reg) {
  u64 ip = reg[RIP];
  if (ip >= (u64)copy_user_begin && ip < (u64)copy_user_end) reg[RIP] = (u64)copy_user_fault;
  else if (ip >= (u64)zero_user_begin && ip < (u64)zero_user_end) reg[RIP] = (u64)zero_user_fault;
  else if (ip == (u64)patched_probe) reg[RIP] = (u64)patched_foreign;
  else if (ip >= (u64)store16_user_begin && ip < (u64)store16_user_end) reg[RIP] = (u64)store16_user_fault;
  else if (ip >= (u64)copy_string_begin && ip < (u64)copy_string_end) reg[RIP] = (u64)copy_string_fault;
  else return 0;
  return 1;
}

/** An interrupt while the stub itself runs: remember it; in the exit window go back to where it is checked. */
static void defer_interrupt(struct thread *thread, u64 *reg) {
  thread->interrupted = 1;
  if (reg[RIP] >= (u64)exit_check && reg[RIP] < (u64)exit_end) {
    reg[RIP] = (u64)exit_check;
    reg[RSP] = thread->exit_stack;
  } else if (reg[RIP] >= (u64)patched_check && reg[RIP] < (u64)patched_end) {
    reg[RIP] = (u64)patched_check;
    reg[RSP] = thread->stack;
  } else if (reg[RIP] >= (u64)call_check && reg[RIP] < (u64)call_made) {
    reg[RIP] = (u64)call_interrupted;
  }
}

static void put_interrupt(volatile u32 *slot, const u64 *reg) {
  put_arguments(slot, reg);
  put_registers(slot, reg);
  slot[H_KIND] = KIND_INTERRUPT;
  slot[H_NR] = (u32)-1;
  slot[H_NIN] = 0;
}

/** Was a native futex wait cut short? The sentry then decides whether it is made again. */
static void put_futex(volatile u32 *slot, const u64 *reg) {
  u16 instruction = 0;
  if (reg[RAX] != (u64)-EINTR || reg[RCX] != reg[RIP]) return;
  if (copy_user(&instruction, (void *)(reg[RIP] - 2), 2) || instruction != 0x050f) return;
  slot[H_NR] = SYS_futex;
}

static void put_fault(volatile u32 *slot, s32 signal, const struct siginfo *info, const struct ucontext *context) {
  put_arguments(slot, context->reg);
  put_registers(slot, context->reg);
  slot[H_KIND] = KIND_FAULT;
  slot[H_NR] = signal;
  slot[H_NIN] = 0;
  write64(slot, H_ARGS, (s64)info->code);
  write64(slot, H_ARGS + 2, info->address);
  write64(slot, H_ARGS + 4, context->trap);
  write64(slot, H_ARGS + 6, context->reg[RIP]);
  write64(slot, H_ARGS + 8, in_stub(context->reg[RIP]));
  write64(slot, H_ARGS + 10, context->error);
}

static void put_call(volatile u32 *slot, const struct siginfo *info, const u64 *reg) {
  u32 nr = info->arch == AUDIT_ARCH_X86_64 ? (u32)reg[RAX] : (u32)-1;
  marshal(slot, nr, reg);
  if (nr == SYS_rt_sigreturn) put_frame_head(slot, reg);
}

/** One trap in so many goes to the sentry all the same: it counts traps to find the sites that are worth patching. A
 * prime, so that in a round of always the same calls each has its turn. */
#define TRAPS_SHOWN 13

/** The call of a trap is answered here. */
static int answer_trap(struct thread *thread, const struct siginfo *info, u64 *reg) {
  if (info->arch != AUDIT_ARCH_X86_64) return 0;
  u64 result;
  if (++thread->traps % TRAPS_SHOWN == 0 || !answer_alone(thread, reg, &result)) return 0;
  reg[RAX] = result;
  return 1;
}

/** May this handler leave by xrstor and a jump? Only a plain number in rax, nothing out of the ordinary. */
static u64 may_leave_fast(struct thread *thread, const struct ucontext *context, u32 act, u32 orders) {
  return thread->fast_exit && !orders && !(act & ~ACT_SET_RETURN) && context->cs == USER_CS &&
         !(context->reg[FLAGS] & (FLAG_TRAP | FLAG_ALIGNMENT)) &&
         *(u32 *)(context->fpstate + FPSTATE_MAGIC) == FP_XSTATE_MAGIC1 && read_gs_base() == (u64)thread;
}

/** The sentry has answered for the first time: it has its copy of the listener, and its settings stand in slot 0. */
static void settle_zygote(struct thread *thread) {
  sys(SYS_close, thread->listener - 1); // no descendant may hold one
  thread->listener = 0;
  thread->has_bases = (thread->slot[H_HWCAP2] & HWCAP2_FSGSBASE) != 0;
  if (!thread->slot[H_FAST] || !(thread->slot[H_HWCAP2] & HWCAP2_FSGSBASE)) return;
  thread->fast_exit = 1;
  prepare_patched(thread);
  write_gs_base((u64)thread);
}

static void zygote_orders(struct thread *thread, struct ucontext *context) {
  ring_kind(thread, KIND_ZYGOTE);
  if (thread->listener) settle_zygote(thread);
  obey(thread, context);
  leave_signal(context, 0);
}

USED NORETURN void late_interrupt(struct ucontext *context);

/**
 * A patched call came here for what needs all registers in memory: an answer that is more than a number, or an
 * interrupt on the way out. The vector state in the context is the program's: the stub has not touched it.
 */
static void NORETURN finish_patched(struct thread *thread, struct ucontext *context) {
  u32 reason = thread->promoted;
  thread->promoted = PROMOTED_NOT;
  for (u32 i = 0; i < REGISTERS; i++) context->reg[i] = thread->reg[i];
  if (reason == PROMOTED_INTERRUPT) late_interrupt(context);
  obey(thread, context);
  leave_signal(context, 0);
}

USED void handle_signal(s32 signal, const struct siginfo *info, struct ucontext *context) {
  struct thread *thread = self();
  volatile u32 *slot = thread->slot;
  u64 *reg = context->reg;
  // The program's own alignment check would strike in our code.
  if (reg[FLAGS] & FLAG_ALIGNMENT) __asm__ volatile("pushq $0x202\n popfq" ::: "memory", "cc");
  if (reg[RIP] == (u64)exit_jump) reg[RIP] = thread->exit_rip;
  reg[RIP] = outside_trampoline(reg[RIP]);
  u64 ip = reg[RIP];
  if ((signal == SIGSEGV || signal == SIGBUS) && fix_copy_fault(reg)) return;

  if (signal == SIGTRAP && context->trap == TRAP_BREAKPOINT && pass_int3(reg)) return;

  u64 is_call = signal == SIGSYS && !in_stub(ip);
  if (is_call && answer_trap(thread, info, reg)) leave_signal(context, may_leave_fast(thread, context, 0, 0));
  if (signal == SIGTRAP && thread->watching && info->code == TRAP_TRACE && !watch_hit(thread, ip))
    leave_signal(context, 0);
  if (signal != INTERRUPT_SIGNAL || !in_stub(ip)) show_context(thread, context);
  if (is_call) {
    put_call(slot, info, reg);
  } else if (signal == INTERRUPT_SIGNAL) {
    if (in_stub(ip)) {
      defer_interrupt(thread, reg);
      return;
    }
    put_interrupt(slot, reg);
    put_futex(slot, reg);
  } else if (signal == SIGSYS && ip == (u64)promote_end) {
    if (thread->promoted == PROMOTED_NOT) zygote_orders(thread, context);
    else finish_patched(thread, context);
  } else {
    if (in_stub(ip) && thread->stub_faults++) die(EXIT_STUB_FAULT); // a fault while reporting one
    put_fault(slot, signal, info, context);
  }
  if (is_call) ring_call(thread);
  else ring(thread);
  u64 fast = is_call && may_leave_fast(thread, context, slot[H_ACT], slot[H_NORD]);
  obey(thread, context);
  leave_signal(context, fast);
}

/** From the exit window: an interrupt came while the stub was at work. */
USED NORETURN void late_interrupt(struct ucontext *context) {
  struct thread *thread = self();
  thread->interrupted = 0;
  show_context(thread, context);
  put_interrupt(thread->slot, context->reg);
  ring(thread);
  obey(thread, context);
  leave_signal(context, 0);
}

static void handle(s32 signal, u64 flags) {
  struct {
    void (*handler)(s32, const struct siginfo *, struct ucontext *);
    u64 flags;
    void *restorer;
    u64 mask;
  } action = {handle_signal, flags | 0x04000000, restorer, 0}; // SA_RESTORER
  sys(SYS_rt_sigaction, signal, &action, 0, 8);
}

static void install_handlers(void) {
  const u64 flags = 0x4 | 0x08000000;    // SA_SIGINFO | SA_ONSTACK, no SA_RESTART: EINTR must show
  const u64 nested = flags | 0x40000000; // SA_NODEFER: a blocked SIGSYS or SIGSEGV would kill
  handle(SIGSYS, nested);
  handle(SIGSEGV, nested);
  handle(SIGBUS, nested);
  handle(SIGFPE, nested);
  handle(SIGILL, nested);
  handle(SIGTRAP, nested);
  handle(INTERRUPT_SIGNAL, flags); // masked in itself: one frame of it at a time on the alternate stack
  u64 ignore[4] = {1, 0, 0, 0};
  sys(SYS_rt_sigaction, SIGCHLD, ignore, 0, 8); // the host kernel reaps; the sentry knows deaths by pidfd
}
