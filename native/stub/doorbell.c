// Slots and the doorbell: how the stub shows the sentry what happened and waits for its answer.

/**
 * Maps the slot and closes the descriptor. The slot must not be inherited: a child that saw its parent's
 * slot could forge its calls. False if it cannot be mapped.
 */
static int map_slot(u32 index, long fd) {
  u64 address = SLOTS_ADDR + index * SLOT_SIZE;
  // PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED; MADV_DONTFORK
  long mapped = sys(SYS_mmap, address, SLOT_SIZE, 3, 0x11, fd, 0);
  sys(SYS_close, fd);
  return !failed(mapped) && sys(SYS_madvise, address, SLOT_SIZE, 10) == 0;
}

/**
 * Makes the slot this thread's. Sequence numbers go on from the number found there, which the sentry
 * chose: nobody who does not have the slot mapped can ring in its name.
 */
static void take_slot(struct thread *thread, u32 index) {
  thread->slot_index = index;
  thread->slot = (volatile u32 *)(SLOTS_ADDR + index * SLOT_SIZE);
  thread->sequence = thread->slot[H_SEQ];
}

INLINE u32 current_cpu(void) {
  u32 limit = 0;
  __asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7b)); // the kernel keeps cpu | node << 12 in this segment's limit
  return limit & 0xfff;
}

/** Puts what stands in the slot before the sentry: a sentry that watches the slot sees the new number. */
static void post(struct thread *thread) {
  volatile u32 *slot = thread->slot;
  slot[H_CPU] = current_cpu();
  stall();
  slot[H_SEQ] = ++thread->sequence;
  stall();
}

/**
 * Some 50 us: longer than most calls that are answered at once. A sentry that stops watching ends the wait sooner; one
 * that the host has taken the CPU from cannot, and must not be waited for on a CPU that it may need.
 */
#define SPIN_ROUNDS 2000
#define FUTEX_WAIT  0

/**
 * The sentry has taken the call and cannot answer it yet: sleeps until it has, or wants a ring for it. A futex costs
 * both sides less than the doorbell, and the sentry wakes nobody who has not said that it may sleep.
 */
static void park(struct thread *thread) {
  volatile u32 *slot = thread->slot;
  u32 sequence = thread->sequence;
  slot[H_ASLEEP] = 1;
  stall();
  while (slot[H_PARK] == sequence) sys(SYS_futex, &slot[H_PARK], FUTEX_WAIT, sequence, 0);
  slot[H_ASLEEP] = 0;
}

/**
 * Waits for an answer without the kernel while the sentry watches this slot. False: it does not, or not any
 * more, and the doorbell must be rung. Nothing is lost in between: a ring for a number that was answered
 * meanwhile is answered at once.
 */
static int spin_for_answer(struct thread *thread) {
  volatile u32 *slot = thread->slot;
  u32 sequence = thread->sequence;
  for (u32 i = 0; i < SPIN_ROUNDS && slot[H_SPIN]; i++) {
    if (slot[H_DONE] == sequence) return 1;
    if (slot[H_PARK] == sequence) break;
    stall();
    __asm__ volatile("pause");
  }
  stall();
  if (slot[H_PARK] == sequence) park(thread);
  return slot[H_DONE] == sequence;
}

/** Rings for what was posted and sleeps until the sentry has answered. */
static void ring_posted(struct thread *thread) {
  // A signal that comes before the sentry has picked up the call breaks it: ring again, same number.
  for (;;) {
    stall();
    long result = sys(DOORBELL, thread->slot_index, thread->sequence);
    if (result >= 0) return;
    if (result != -EINTR) die(EXIT_NO_SENTRY);
  }
}

/** Rings and sleeps until the sentry has answered. kind and the rest are already in the slot. */
static void ring(struct thread *thread) {
  thread->slot[H_FLAGS] |= FLAG_RINGS;
  post(thread);
  ring_posted(thread);
}

/** Calls whose answer brings a descriptor, which needs a ring, or that never come back: no use in waiting. */
INLINE int wants_ring(u32 nr) {
  return nr == SYS_mmap || nr == SYS_clone || nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone3 ||
         nr == SYS_execve || nr == SYS_exit || nr == SYS_exit_group;
}

/** A system call: the fast way if the sentry watches, else the doorbell. */
static void ring_call(struct thread *thread) {
  if (wants_ring(thread->slot[H_NR])) {
    ring(thread);
    return;
  }
  post(thread);
  if (!spin_for_answer(thread)) ring_posted(thread);
}

static void ring_kind(struct thread *thread, u32 kind) {
  thread->slot[H_KIND] = kind;
  thread->slot[H_FLAGS] = 0;
  thread->slot[H_NR] = 0;
  thread->slot[H_NIN] = 0;
  ring(thread);
}

/** Where the program's registers lie while the coming ring is served: tracers read and change them there (ptrace(2)).
 */
static void show_context(struct thread *thread, const struct ucontext *context) {
  write64(thread->slot, H_CONTEXT, (u64)context);
  if (!thread->has_bases) return;
  u64 gs = read_gs_base();
  write64(thread->slot, H_FS_BASE, read_fs_base());
  write64(thread->slot, H_GS_BASE, gs == (u64)thread ? 0 : gs); // ours is none of the program's business
}

static void put_registers(volatile u32 *slot, const u64 *reg) {
  for (u32 i = 0; i < REGISTERS; i++) write64(slot, H_REGS + 2 * i, reg[i]);
}

static void put_arguments(volatile u32 *slot, const u64 *reg) {
  write64(slot, H_ARGS, reg[RDI]);
  write64(slot, H_ARGS + 2, reg[RSI]);
  write64(slot, H_ARGS + 4, reg[RDX]);
  write64(slot, H_ARGS + 6, reg[R10]);
  write64(slot, H_ARGS + 8, reg[R8]);
  write64(slot, H_ARGS + 10, reg[R9]);
  write64(slot, H_RIP, reg[RIP]);
  write64(slot, H_RSP, reg[RSP]);
}
