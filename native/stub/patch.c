// Patched call sites. The sentry orders a site that has trapped often to be patched (ORDER_PATCH): the five-byte
// instruction before its syscall becomes a jump through the jump table, whose address bytes are the syscall itself, so
// that code which jumps straight to the syscall still finds it. The table's entry leads to a trampoline that makes up
// for the replaced instruction and enters the stub without a signal.

struct jump_table {
  u64 target[MAX_SITES];
};

struct trampoline {
  u8 code[32];
};

/** Calls that the host serves for some arguments, and sigreturn: at a patched site they are made there after all. */
static int stays_native(u64 nr) {
  return (nr >= 9 && nr <= 12) || nr == SYS_rt_sigreturn || nr == 24 || nr == 25 || nr == SYS_madvise ||
         nr == SYS_futex || nr == SYS_membarrier || nr == SYS_futex_wake || nr == SYS_futex_requeue || nr == SYS_mseal;
}

/** Back from a patched call to the handler: with the promotion's reason, as a SIGSYS, all registers in memory. */
static void promote_patched(struct thread *thread, u32 reason) {
  thread->promoted = reason;
  promote();
}

/** The whole of a patched call. The program's registers are in thread->reg; rax is its result. */
USED void patched_call(void) {
  struct thread *thread = self();
  volatile u32 *slot = thread->slot;
  u64 nr = thread->reg[RAX];
  if (answer_alone(slot, nr, &thread->reg[RAX])) return;
  if (stays_native(nr) || nr >= PLAN_COUNT) {
    // Executed at its site: the instruction before the return address is the syscall.
    thread->reg[RIP] -= 2;
    return;
  }
  marshal(slot, nr, thread->reg);
  slot[H_FLAGS] = FLAG_PATCHED;
  ring_call(thread);
  if (slot[H_NORD] || (slot[H_ACT] & ~ACT_SET_RETURN)) promote_patched(thread, PROMOTED_ANSWER);
  s64 result = read64(slot, H_RET);
  u32 act = slot[H_ACT];
  if (slot[H_NOUT] && copy_results(slot)) result = -EFAULT;
  if (act & ACT_SET_RETURN) thread->reg[RAX] = result;
}

/** From the exit window: an interrupt came while the stub was at work. */
USED NORETURN void patched_interrupt(void) {
  promote_patched(self(), PROMOTED_INTERRUPT);
  die(EXIT_STUB_FAULT);
}

static int table_ready(void) {
  // MAP_FIXED_NOREPLACE: a program that is mapped there is not patched. Already mapped by us: EEXIST.
  const u64 flags = 0x104022;
  long table = sys(SYS_mmap, JUMP_TABLE_ADDR, sizeof(struct jump_table), 3, flags, -1, 0);
  if (!failed(table) && (u64)table != JUMP_TABLE_ADDR) sys(SYS_munmap, table, sizeof(struct jump_table));
  if (failed(table) || (u64)table != JUMP_TABLE_ADDR) return 0;
  long code = sys(SYS_mmap, TRAMPOLINES_ADDR, MAX_SITES * sizeof(struct trampoline), 7, flags, -1, 0);
  return (u64)code == TRAMPOLINES_ADDR;
}

/** A site's trampoline: the replaced instruction, r11 = where to go on, and the way into the stub. */
static struct trampoline make_trampoline(const u8 *replaced, u64 next) {
  struct trampoline trampoline;
  u8 *p = trampoline.code;
  __builtin_memcpy(p, replaced, 5);
  p[5] = 0x49, p[6] = 0xbb; // movabs $next, %r11
  __builtin_memcpy(p + 7, &next, 8);
  p[15] = 0xff, p[16] = 0x25; // jmp *3(%rip)
  p[17] = 3, p[18] = p[19] = p[20] = 0;
  u64 entry = (u64)patched_entry;
  p[21] = p[22] = p[23] = 0xcc;
  __builtin_memcpy(p + 24, &entry, 8);
  return trampoline;
}

/** mov $imm32,%eax; mov 8(%rsp),%r9 (libc's syscall()); mov 8(%rsp),%rax: they mean the same anywhere. */
static int may_move(const u8 *instruction) {
  if (instruction[0] == 0xb8) return 1;
  u32 head;
  __builtin_memcpy(&head, instruction, 4);
  return instruction[4] == 8 && (head == 0x244c8b4c || head == 0x24448b48);
}

/**
 * ORDER_PATCH: next is the instruction after a syscall that trapped, index the site's place in the tables, first
 * whether these are to be made. What cannot be patched is left as it is.
 */
static void patch_site(u64 next, u32 index, u32 first, int solo) {
  u64 site = next - 7;
  u8 code[7];
  if (index >= MAX_SITES || (site & 4095) > 4096 - 8) return;
  if (first && !table_ready()) return;
  if (copy_user(code, (void *)site, sizeof code) || code[5] != 0x0f || code[6] != 0x05 || !may_move(code)) return;
  // In one aligned word it is one store, which other threads see whole or not at all.
  u32 skip = site & 7;
  if (skip > 3 && !solo) return;
  struct trampoline trampoline = make_trampoline(code, next);
  u64 entry = JUMP_TABLE_ADDR + 8ul * index, target = TRAMPOLINES_ADDR + index * sizeof trampoline;
  // The trampolines are only there if the table could be made.
  if (copy_user((void *)target, &trampoline, sizeof trampoline)) return;
  if (copy_user((void *)entry, &target, sizeof target)) return;
  u8 jump[5] = {0xff, 0x24, 0x25, (u8)entry, (u8)(entry >> 8)}; // jmp *abs32, whose upper half is the syscall
  u64 page = site & ~4095ul;
  if (sys(SYS_mprotect, page, 4096, 7)) return;
  if (skip <= 3) {
    // Another thread that patches this page may have made it read-only again: then the site stays as it is.
    u64 *word = (u64 *)(site & ~7ul), value;
    if (copy_user(&value, word, sizeof value)) return;
    __builtin_memcpy((u8 *)&value + skip, jump, sizeof jump);
    store_user(word, value);
  } else {
    __builtin_memcpy((void *)site, jump, sizeof jump);
  }
  sys(SYS_mprotect, page, 4096, 5);
}
