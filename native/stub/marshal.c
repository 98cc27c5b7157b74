// Captures what a call's arguments point to, by the generated plan, so that the sentry need not read the
// program's memory itself. What does not fit is left out; the sentry then fetches it by process_vm_readv.

struct capture {
  volatile u32 *slot;
  u32 items;
  u32 used; // bytes of the payload
};

struct iovec {
  u64 base, length;
};

static u8 *capture_place(struct capture *capture) { return (u8 *)capture->slot + SLOT_PAYLOAD + capture->used; }

/** Room for length more bytes and one more item? */
INLINE int capture_fits(struct capture *capture, u64 length) {
  return capture->items < MAX_IN && length <= CAPTURE_MAX - capture->used;
}

/** Records the item at the current place: length bytes of the program's memory at address, or -errno. */
static void capture_add(struct capture *capture, u64 address, s64 length) {
  volatile u32 *item = capture->slot + H_IN + 4 * capture->items++;
  write64(item, 0, address);
  item[2] = SLOT_PAYLOAD + capture->used;
  item[3] = (u32)length;
  if (length > 0) capture->used += ((u32)length + 15) & ~15u;
}

static void capture_bytes(struct capture *capture, u64 address, u64 length) {
  if (!address || !length || !capture_fits(capture, length)) return;
  u64 missing = copy_user(capture_place(capture), (void *)address, length);
  capture_add(capture, address, missing ? -EFAULT : (s64)length);
}

static void capture_string(struct capture *capture, u64 address) {
  if (!address || !capture_fits(capture, PLAN_STRING_MAX)) return;
  capture_add(capture, address, copy_string(capture_place(capture), (void *)address, PLAN_STRING_MAX));
}

static void capture_iovec(struct capture *capture, u64 address, u64 count, u32 limit) {
  if (!limit || limit > PLAN_IOVEC_MAX) limit = PLAN_IOVEC_MAX;
  if (count > limit || !capture_fits(capture, count * sizeof(struct iovec))) return;
  const volatile struct iovec *vector = (const volatile struct iovec *)capture_place(capture);
  u32 before = capture->used;
  capture_bytes(capture, address, count * sizeof(struct iovec));
  if (capture->used == before) return;
  for (u32 i = 0; i < count; i++) capture_bytes(capture, vector[i].base, vector[i].length);
}

struct message {
  u64 name;
  u32 name_length, pad;
  u64 vector, count, control, control_length;
  u64 flags;
};

#define MESSAGE_NAME_MAX    128 // of what a message has beside its data longer things are not captured
#define MESSAGE_CONTROL_MAX 1024

static void capture_message(struct capture *capture, u64 address, u32 limit) {
  if (!capture_fits(capture, sizeof(struct message))) return;
  const volatile struct message *message = (const volatile struct message *)capture_place(capture);
  u32 before = capture->used;
  capture_bytes(capture, address, sizeof *message);
  if (capture->used == before) return;
  u64 vector = message->vector, count = message->count;
  if (!limit) {
    if (count <= PLAN_IOVEC_MAX) capture_bytes(capture, vector, count * sizeof(struct iovec));
    return;
  }
  u64 name_length = message->name_length, control_length = message->control_length;
  if (name_length <= MESSAGE_NAME_MAX) capture_bytes(capture, message->name, name_length);
  if (control_length <= MESSAGE_CONTROL_MAX) capture_bytes(capture, message->control, control_length);
  capture_iovec(capture, vector, count, limit);
}

#define ROBUST_LIST_HEAD_SIZE 24

#define ARCH_SET_FS     0x1002
#define USER_END        0x7ffffffff000ul
#define SIGSET_SIZE     8
#define MASK_NEVER      (1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)) // what no mask holds
#define RSEQ_UNREGISTER 1

/**
 * rt_sigprocmask(2). While the mask is lent to us, nothing is pending: who sends a signal takes the mask back first,
 * and looks at it then. So whatever is let through here either came before, and we find the mask taken back, or is
 * seen.
 */
static int change_mask(volatile u32 *slot, const u64 *reg, u64 *result) {
  u64 from = reg[RSI], to = reg[RDX], before = read64(slot, H_MASK), mask = before, set;
  if (!slot[H_MASK_LENT] || reg[R10] != SIGSET_SIZE) return 0;
  if (from) {
    if (copy_user(&set, (void *)from, sizeof set)) return 0;
    switch ((u32)reg[RDI]) {
    case SIG_BLOCK: mask |= set; break;
    case SIG_UNBLOCK: mask &= ~set; break;
    case SIG_SETMASK: mask = set; break;
    default: return 0;
    }
  }
  if (to && copy_user((void *)to, &before, sizeof before)) return 0;
  mask &= ~MASK_NEVER;
  write64(slot, H_MASK, mask);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  stall();
  if (before & ~mask && !slot[H_MASK_LENT]) {
    write64(slot, H_MASK, before);
    return 0;
  }
  *result = 0;
  return 1;
}

#define SA_RESTORER 0x04000000ul

/** The kernel's struct sigaction. */
struct action {
  u64 handler, flags, restorer, mask;
};

/**
 * rt_sigaction(2) of a signal that does what it does by default: posix_spawn(3) asks for every one and sets it to just
 * that. C libraries add a restorer, always the same.
 */
static int set_default(volatile u32 *slot, const u64 *reg, u64 *result) {
  u64 number = reg[RDI], from = reg[RSI], to = reg[RDX], restorer = read64(slot, H_RESTORER);
  u64 plain = read64(slot, H_PLAIN), restored = read64(slot, H_RESTORED);
  if (!slot[H_MASK_LENT] || reg[R10] != SIGSET_SIZE || number - 1 >= 64) return 0;
  u64 bit = 1ul << (number - 1);
  if (!((plain | restored) & bit)) return 0;
  struct action before = {0, 0, 0, 0}, action = before;
  if (restored & bit) before.flags = SA_RESTORER, before.restorer = restorer;
  if (from) {
    if (bit & MASK_NEVER || copy_user(&action, (void *)from, sizeof action)) return 0;
    if (action.handler || action.mask) return 0;
    int is_plain = !action.flags && !action.restorer;
    if (!is_plain && (action.flags != SA_RESTORER || !action.restorer || (restorer && action.restorer != restorer)))
      return 0;
    if (to && copy_user((void *)to, &before, sizeof before)) return 0;
    write64(slot, H_PLAIN, is_plain ? plain | bit : plain & ~bit);
    write64(slot, H_RESTORED, is_plain ? restored & ~bit : restored | bit);
    if (!is_plain) write64(slot, H_RESTORER, action.restorer);
    slot[H_ACTIONS_CHANGED] = 1;
  } else if (to && copy_user((void *)to, &before, sizeof before)) return 0;
  *result = 0;
  return 1;
}

/** rseq(2), which is the host's: it has to know where the thread wants to be told. */
static void register_rseq(volatile u32 *slot, const u64 *reg, u64 *result) {
  u64 address = reg[RDI], length = (u32)reg[RSI], flags = (u32)reg[RDX], signature = (u32)reg[R10];
  *result = sys(SYS_rseq, address, length, flags, signature);
  if (*result == 0) {
    int gone = flags == RSEQ_UNREGISTER;
    write64(slot, H_RSEQ, gone ? 0 : address);
    slot[H_RSEQ + 2] = gone ? 0 : length;
    slot[H_RSEQ + 3] = gone ? 0 : signature;
  }
}

/** set_robust_list(2) */
static int note_robust_list(volatile u32 *slot, const u64 *reg, u64 *result) {
  if (reg[RSI] != ROBUST_LIST_HEAD_SIZE) return 0;
  write64(slot, H_ROBUST, reg[RDI]);
  *result = 0;
  return 1;
}

/**
 * A call that needs nobody: its answer was written down by the sentry beforehand, or it is only to be noted. Its result
 * goes to *result. A guest that scribbles over these words in its slot deceives itself alone, as it could by not
 * calling at all.
 */
static int answer_alone(struct thread *thread, const u64 *reg, u64 *result) {
  volatile u32 *slot = thread->slot;
  u32 word = 0;
  if (!slot[H_OWN]) return 0;
  switch ((u32)reg[RAX]) {
  case SYS_getpid: word = H_OWN_PID; break;
  case SYS_gettid: word = H_OWN_TID; break;
  case SYS_getppid: word = H_OWN_PPID; break;
  case SYS_getuid: word = H_OWN_UID; break;
  case SYS_geteuid: word = H_OWN_EUID; break;
  case SYS_getgid: word = H_OWN_GID; break;
  case SYS_getegid: word = H_OWN_EGID; break;
  case SYS_set_robust_list:
    if (!note_robust_list(slot, reg, result)) return 0;
    break;
  case SYS_rt_sigprocmask:
    if (!change_mask(slot, reg, result)) return 0;
    break;
  case SYS_set_tid_address:
    // The host clears the word when its thread ends; the number is the sentry's.
    word = H_OWN_TID;
    if (failed(sys(SYS_set_tid_address, reg[RDI]))) return 0;
    break;
  case SYS_arch_prctl:
    if (reg[RDI] != ARCH_SET_FS || !thread->has_bases || reg[RSI] >= USER_END) return 0;
    write_fs_base(reg[RSI]);
    *result = 0;
    break;
  case SYS_rt_sigaction:
    if (!set_default(slot, reg, result)) return 0;
    break;
  case SYS_rseq: register_rseq(slot, reg, result); break;
  default: return 0;
  }
  if (word) *result = slot[word];
  slot[H_OWN_COUNT]++;
  return 1;
}

/** What the sentry wants to know when a thread ends: the head of its list of robust futexes. */
static void capture_robust_list(volatile u32 *slot) {
  u64 head = read64(slot, H_ROBUST);
  slot[H_ROBUST_READ] = head && !copy_user((u8 *)(slot + H_ROBUST_HEAD), (void *)head, ROBUST_LIST_HEAD_SIZE);
}

/** Fills the slot with system call nr, whose registers are reg. */
static void marshal(volatile u32 *slot, u32 nr, const u64 *reg) {
  put_arguments(slot, reg);
  slot[H_KIND] = KIND_SYSCALL;
  slot[H_FLAGS] = 0;
  slot[H_NR] = nr;
  struct capture capture = {slot, 0, 0};
  if (nr < PLAN_COUNT) {
    const u64 argument[6] = {reg[RDI], reg[RSI], reg[RDX], reg[R10], reg[R8], reg[R9]};
    const struct plan_item *item = PLAN[nr].item;
    for (u32 i = 0; i < 4 && item[i].kind != PLAN_END; i++) {
      u64 address = argument[item[i].arg];
      switch (item[i].kind) {
      case PLAN_STRING: capture_string(&capture, address); break;
      case PLAN_FIXED: capture_bytes(&capture, address, item[i].size); break;
      case PLAN_BUFFER:
        if (argument[item[i].len_arg] <= CAPTURE_MAX)
          capture_bytes(&capture, address, argument[item[i].len_arg] * item[i].size);
        break;
      case PLAN_MESSAGE: capture_message(&capture, address, item[i].max_items); break;
      case PLAN_IOVEC: capture_iovec(&capture, address, argument[item[i].len_arg], item[i].max_items); break;
      }
    }
  }
  slot[H_NIN] = capture.items;
  if (nr == SYS_exit || nr == SYS_exit_group) capture_robust_list(slot);
}

/** Copies the sentry's results to the program. 0 or -EFAULT. */
static s64 copy_results(volatile u32 *slot) {
  u32 count = slot[H_NOUT];
  if (count > MAX_OUT) count = MAX_OUT;
  for (u32 i = 0; i < count; i++) {
    volatile u32 *item = slot + H_OUT + 4 * i;
    if (copy_user((void *)read64(item, 0), (u8 *)slot + item[2], item[3])) return -EFAULT;
  }
  return 0;
}

/** ORDER_READ: from a file that the sentry has had us map straight to the program's buffer. How much was copied. */
static u64 read_window(volatile u64 *order) {
  u64 source = order[2], length = order[3];
  return length - (source ? copy_user((void *)order[1], (void *)source, length) : zero_user((void *)order[1], length));
}
