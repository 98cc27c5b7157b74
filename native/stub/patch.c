// Patched call sites. The sentry orders a site that has trapped often to be patched (ORDER_PATCH): the instruction of
// five bytes (or seven) before its syscall becomes a jump through the jump table, whose address bytes are the syscall
// itself, so that code which jumps straight to the syscall still finds it. The table's entry leads to a trampoline that
// makes up for the replaced instruction and enters the stub without a signal.

struct jump_table {
  u64 target[MAX_SITES];
};

#define TRAMPOLINE_ENTRY 24 // where the address of the stub's entry stands
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
static struct trampoline make_trampoline(const u8 *replaced, u32 length, u64 next) {
  struct trampoline trampoline;
  u8 *p = trampoline.code;
  u64 entry = (u64)patched_entry;
  __builtin_memcpy(p, replaced, length);
  p += length;
  p[0] = 0x49, p[1] = 0xbb; // movabs $next, %r11
  __builtin_memcpy(p + 2, &next, 8);
  p[10] = 0xff, p[11] = 0x25; // jmp *entry(%rip)
  p[12] = TRAMPOLINE_ENTRY - (length + 16), p[13] = p[14] = p[15] = 0;
  __builtin_memcpy(trampoline.code + TRAMPOLINE_ENTRY, &entry, 8);
  return trampoline;
}

/** Whether a byte before an instruction could be a prefix that makes another one of it. */
static int is_prefix(u8 byte) {
  switch (byte) {
  case 0x26:
  case 0x2e:
  case 0x36:
  case 0x3e:
  case 0x64:
  case 0x65:
  case 0x66:
  case 0x67:
  case 0xf0:
  case 0xf2:
  case 0xf3: return 1;
  }
  return 0;
}

/**
 * Length of the instruction before the syscall at `end` if we know it, and if it means the same in a trampoline; else
 * 0. It is recognised backwards: for the usual form, mov $number, %eax, the number must be the one that came.
 */
static u32 movable(const u8 *end, u32 nr) {
  const u8 *five = end - 5, *seven = end - 7;
  u32 immediate;
  __builtin_memcpy(&immediate, end - 4, 4);
  // mov $imm32, %r32, not %esp; REX.B before it would make it one of r8 to r15.
  if ((five[0] & 0xf8) == 0xb8 && five[0] != 0xbc)
    return (end[-6] & 0xf9) == 0x41 || (five[0] == 0xb8 && immediate != nr) ? 0 : 5;
  // mov between a register, not %rsp, and disp8(%rsp)
  if ((five[0] & 0xf0) == 0x40 && (five[1] & 0xfd) == 0x89 && (five[2] & 0xc7) == 0x44 && five[3] == 0x24)
    return is_prefix(end[-6]) || (five[2] == 0x64 && !(five[0] & 4)) ? 0 : 5;
  // mov $imm32, %r64, not %rsp
  if (seven[0] == 0x48 && seven[1] == 0xc7 && (seven[2] & 0xf8) == 0xc0 && seven[2] != 0xc4)
    return is_prefix(end[-8]) || (seven[2] == 0xc0 && immediate != nr) ? 0 : 7;
  return 0;
}

/**
 * Whether the page is text of a file that nobody can write to. Programs that write their own code know what they have
 * written; they make no difference between anonymous and other memory, but the advice to wipe on fork does.
 */
static int is_file_text(u64 site) {
  u64 *word = (u64 *)(site & ~15ul), value[2], page = site & ~4095ul;
  if (copy_user(value, word, sizeof value)) return 0;
  if (store16_user(word, value, value) == 0) return 0;    // itself again: it can be written
  if (failed(sys(SYS_madvise, page, 4096, 18))) return 1; // MADV_WIPEONFORK
  sys(SYS_madvise, page, 4096, 19);                       // MADV_KEEPONFORK
  return 0;
}

/** Writes the site's new bytes. In one aligned store other threads see all of them or none. */
static void write_site(u64 site, const u8 *bytes, u32 length) {
  u64 *word = (u64 *)(site & ~15ul), old[2], value[2];
  if ((site & 15) + length > 16) {
    copy_user((void *)site, bytes, length);
    return;
  }
  // Another thread that patches this page may have made it read-only again: then the site stays as it is.
  if (copy_user(old, word, sizeof old)) return;
  __builtin_memcpy(value, old, sizeof value);
  __builtin_memcpy((u8 *)value + (site & 15), bytes, length);
  store16_user(word, old, value);
}

#define LONGEST 7 // bytes of an instruction that we move
#define BEFORE  8 // bytes before the syscall that we look at

/**
 * ORDER_PATCH: next is the instruction after a syscall that trapped for call nr, index the site's place in the tables.
 * What cannot be patched is left as it is.
 */
static void patch_site(u64 next, u32 index, u32 nr, int solo) {
  u8 code[BEFORE + 2], jump[LONGEST] = {0x2e, 0x2e}; // segment prefixes that mean nothing
  const u8 *end = code + BEFORE;
  if (index >= MAX_SITES || copy_user(code, (void *)(next - sizeof code), sizeof code)) return;
  u32 length = end[0] == 0x0f && end[1] == 0x05 ? movable(end, nr) : 0;
  u64 site = next - 2 - length;
  if (!length || ((site & 15) + length > 16 && !solo)) return;
  if (!is_file_text(site) || ((site ^ next) >> 12 && !is_file_text(next))) return;
  struct trampoline trampoline = make_trampoline(end - length, length, next);
  u64 entry = JUMP_TABLE_ADDR + 8ul * index, target = TRAMPOLINES_ADDR + index * sizeof trampoline;
  // The first site of a program finds no tables, and makes them.
  if (copy_user((void *)target, &trampoline, sizeof trampoline) &&
      (!table_ready() || copy_user((void *)target, &trampoline, sizeof trampoline)))
    return;
  if (copy_user((void *)entry, &target, sizeof target)) return;
  u8 *p = jump + length - 5; // jmp *abs32, whose upper half is the syscall
  p[0] = 0xff, p[1] = 0x24, p[2] = 0x25, p[3] = (u8)entry, p[4] = (u8)(entry >> 8);
  u64 page = site & ~4095ul, bytes = ((next - 1) & ~4095ul) + 4096 - page;
  if (sys(SYS_mprotect, page, bytes, 7)) return;
  write_site(site, jump, length);
  sys(SYS_mprotect, page, bytes, 5);
}
