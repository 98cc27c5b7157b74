// Carries out what the sentry answered: results, and a list of orders for all that is more than a number.

static void obey(struct thread *thread, struct ucontext *context);

/** What the entry from a patched site looks for at gs. */
static void prepare_patched(struct thread *thread) {
  thread->promoted = PROMOTED_NOT;
  thread->mark = THREAD_MARK_VALUE;
  thread->stack = (u64)thread + BLOCK_ALTSTACK;
}

/**
 * A new thread goes to its program. Nobody waits for it: which host thread it is stands in the slot, which
 * set_tid_address(2) tells, and only who needs more than that (a signal that came before, a tracer) has it ring. One of
 * the two sees what the other wrote.
 */
static void begin_life(struct thread *thread, struct ucontext *context, u64 clear_tid) {
  volatile u32 *slot = thread->slot;
  slot[H_HOST_TID] = sys(SYS_set_tid_address, clear_tid);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  stall();
  if (!slot[H_HELLO]) return;
  show_context(thread, context);
  ring_kind(thread, KIND_HELLO);
  obey(thread, context);
}

/** ORDER_FORK. In the child `*child` is set; it must not look at its parent's slot, which it does not have. */
static long fork_process(struct thread *thread, struct ucontext *context, volatile u64 *order, int *child) {
  u32 index = order[1], tid = order[2];
  u64 clear_tid = order[3], set_tid = order[4], stack = order[6];
  long fd = order[5], result = sys(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (result != 0) {
    sys(SYS_close, fd);
    return result;
  }
  *child = 1;
  thread->watching = 0;
  thread->interrupted = 0;
  thread->stub_faults = 0;
  if (!map_slot(index, fd)) die(EXIT_NO_SLOT);
  take_slot(thread, index);
  context->reg[RAX] = 0;
  if (stack) context->reg[RSP] = stack;
  if (set_tid) copy_user((void *)set_tid, &tid, sizeof tid);
  begin_life(thread, context, clear_tid);
  return 0;
}

/**
 * ORDER_THREAD. The new thread starts on a copy of this thread's signal frame in its own block and leaves
 * by rt_sigreturn, which loads all registers, the vector state and the alternate stack at once.
 */
static long start_thread(struct thread *thread, struct ucontext *context, volatile u64 *order) {
  u32 index = order[1], fd = order[7];
  u64 block = BLOCKS_ADDR + order[2] * BLOCK_SIZE, sp = order[3];
  if (fd && !map_slot(index, fd)) return -EFAULT;

  u32 size = fpstate_size(context->fpstate);
  u64 fpstate = (block + BLOCK_SIZE - size) & ~63ul;
  struct frame *frame = (struct frame *)(((fpstate - sizeof *frame) & ~15ul) - 8);
  frame->context = *context;
  if (copy_user((void *)fpstate, context->fpstate, size)) return -EFAULT;
  frame->context.fpstate = (u8 *)fpstate;
  frame->context.stack = (struct altstack){block + BLOCK_ALTSTACK, 0, 0, ALTSTACK_SIZE};
  frame->context.mask = 0;
  frame->context.reg[RAX] = 0;
  if (sp) frame->context.reg[RSP] = sp;

  struct thread *child = (struct thread *)block;
  child->interrupted = 0;
  child->stub_faults = 0;
  child->has_bases = thread->has_bases;
  child->watching = 0;
  child->clear_tid = order[5];
  // A program that has set gs for itself keeps it, in its new threads too.
  child->fast_exit = thread->fast_exit && read_gs_base() == (u64)thread;
  prepare_patched(child);
  take_slot(child, index);
  return clone_thread(order[6], frame, order[4]);
}

USED NORETURN void thread_start(struct frame *frame) {
  struct thread *thread = self();
  if (thread->fast_exit) write_gs_base((u64)thread);
  begin_life(thread, &frame->context, thread->clear_tid);
  leave_signal(&frame->context, 0);
}

/** ORDER_JUMP: a fresh program's registers. */
static void set_entry(struct ucontext *context, u64 rip, u64 rsp) {
  for (u32 i = 0; i < REGISTERS; i++) context->reg[i] = 0;
  context->reg[RIP] = rip;
  context->reg[RSP] = rsp;
  context->reg[FLAGS] = 0x202;
  fpstate_reset(context->fpstate);
}

/**
 * The sentry gives this thread's slot and block to another as soon as it reads H_GONE == 1: no memory may
 * be touched after that store.
 */
NORETURN INLINE void leave_for_good(volatile u32 *slot, long nr) {
  __asm__ volatile("movl $1, (%0)\n xor %%edi, %%edi\n syscall\n ud2" : : "r"(slot + H_GONE), "a"(nr) : "memory");
  __builtin_unreachable();
}

#define PR_SET_SYSCALL_USER_DISPATCH 59

/** ORDER_TRAP_ALL: the host kernel sends SIGSYS for every call from outside the stub's text, before the filter looks.
 */
static void trap_all(u64 on) {
  u64 length = on ? TRAMPOLINES_ADDR - STUB_TEXT : 0;
  sys(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, on, on ? STUB_TEXT : 0, length, 0);
}

/** ORDER_CALL */
static long make_call(volatile u64 *order) {
  u64 call[7];
  for (u32 i = 0; i < 7; i++) call[i] = order[1 + i];
  return interruptible_call(call);
}

/** ORDER_BASES */
static void set_bases(struct thread *thread, u64 fs, u64 gs, int fs_only) {
  if (!thread->has_bases) {
    sys(SYS_arch_prctl, ARCH_SET_FS, fs);
    return;
  }
  write_fs_base(fs);
  if (!fs_only) write_gs_base(gs ? gs : thread->fast_exit ? (u64)thread : 0);
}

/** The bytes that a watch is about; 0 for what cannot be read. */
static u64 watched_value(const struct watch *watch) {
  u64 value = 0;
  return copy_user(&value, (void *)watch->address, watch->length) ? 0 : value;
}

/** ORDER_WATCH */
static void set_watch(struct thread *thread, volatile u64 *order) {
  u32 index = order[1] % WATCHES, length = order[3];
  struct watch *watch = &thread->watch[index];
  thread->watching &= ~(1u << index);
  if (order[4] == WATCH_NONE) return;
  *watch = (struct watch){order[2], 0, length > sizeof watch->value ? sizeof watch->value : length, order[4]};
  watch->value = watched_value(watch);
  thread->watching |= 1u << index;
}

/** After a single step: has something happened that a watch is about? */
static int watch_hit(struct thread *thread, u64 rip) {
  int hit = 0;
  for (u32 i = 0; i < WATCHES; i++) {
    struct watch *watch = &thread->watch[i];
    if (!(thread->watching & 1u << i)) continue;
    if (watch->kind == WATCH_EXECUTE) {
      hit |= watch->address == rip;
      continue;
    }
    u64 value = watched_value(watch);
    hit |= value != watch->value;
    watch->value = value;
  }
  return hit;
}

/** One order; *child is set when we are the child it made. Result or -errno. */
static long carry_out(struct thread *thread, struct ucontext *context, volatile u64 *order, int *child) {
  volatile u32 *slot = thread->slot;
  switch (order[0]) {
  case ORDER_SYSCALL: return sys6(order[1], order[2], order[3], order[4], order[5], order[6], order[7]);
  case ORDER_COPY: return copy_user((void *)order[1], (u8 *)slot + order[2], order[3]) ? -EFAULT : 0;
  case ORDER_ZERO: return zero_user((void *)order[1], order[2]) ? -EFAULT : 0;
  case ORDER_FORK: return fork_process(thread, context, order, child);
  case ORDER_THREAD: return start_thread(thread, context, order);
  case ORDER_FRAME: return write_frame(context, order, slot);
  case ORDER_SIGRETURN: return read_frame(context);
  case ORDER_JUMP: set_entry(context, order[1], order[2]); return 0;
  case ORDER_PATCH: patch_site(order[1], order[2], slot[H_NR], slot[H_SOLO]); return 0;
  case ORDER_TRAP_ALL: trap_all(order[1] != 0); return 0;
  case ORDER_CALL: return make_call(order);
  case ORDER_BASES: set_bases(thread, order[1], order[2], order[3] != 0); return 0;
  case ORDER_WATCH: set_watch(thread, order); return 0;
  case ORDER_READ: context->reg[RAX] = read_window(order); return 0;
  case ORDER_EXIT: leave_for_good(slot, SYS_exit);
  case ORDER_EXIT_GROUP: leave_for_good(slot, SYS_exit_group);
  }
  return -22;
}

enum orders_end { ORDERS_DONE, ORDERS_ASK, ORDERS_CHILD };

/** One answer of the sentry. ORDERS_ASK: the slot holds the next question. */
static enum orders_end obey_once(struct thread *thread, struct ucontext *context) {
  volatile u32 *slot = thread->slot;
  u32 act = slot[H_ACT], count = slot[H_NORD];
  s64 value = read64(slot, H_RET);
  if (slot[H_NOUT] && copy_results(slot)) value = -EFAULT;
  if (act & ACT_RESTART) {
    context->reg[RIP] -= 2;
    context->reg[RAX] = slot[H_NR];
  } else if (act & ACT_SET_RETURN) {
    context->reg[RAX] = value;
  }
  // put_futex must not take an answer of EINTR for a native futex wait that was cut short right here.
  if (context->reg[RAX] == (u64)-EINTR && context->reg[RCX] == context->reg[RIP]) context->reg[RCX] = 0;
  if (count > MAX_ORDERS) count = MAX_ORDERS;
  int called = 0, short_read = 0;
  for (u32 i = 0; i < count; i++) {
    volatile u64 *order = (volatile u64 *)((u8 *)slot + SLOT_ORDERS) + 8 * i;
    u64 code = order[0];
    int child = 0;
    long result = carry_out(thread, context, order, &child);
    if (child) return ORDERS_CHILD;
    short_read |= code == ORDER_READ && context->reg[RAX] != order[3];
    order[0] = result;
    int is_result = i == 0 && (act & ACT_ORDER_RETURN);
    if (is_result) context->reg[RAX] = result;
    called |= code == ORDER_CALL;
    if (!failed(result)) continue;
    if (code == ORDER_FRAME || code == ORDER_SIGRETURN) {
      slot[H_KIND] = KIND_SIGNAL_FAIL;
      write64(slot, H_ARGS, i);
      write64(slot, H_ARGS + 2, code);
      return ORDERS_ASK;
    }
    if (is_result) continue;
    slot[H_KIND] = KIND_ORDER_FAIL;
    write64(slot, H_ARGS, i);
    write64(slot, H_ARGS + 2, result);
    return ORDERS_ASK;
  }
  if (!(act & ACT_ASK_AGAIN) && !short_read) return ORDERS_DONE;
  // The question to come is as good as the report that the interrupt asked for; the flag would end the next call too.
  if (called) thread->interrupted = 0;
  slot[H_KIND] = KIND_ORDERS;
  return ORDERS_ASK;
}

static void obey(struct thread *thread, struct ucontext *context) {
  while (obey_once(thread, context) == ORDERS_ASK) {
    thread->slot[H_NIN] = 0;
    ring(thread);
  }
}
