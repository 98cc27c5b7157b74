// Patched call sites. The sentry orders a site that has trapped often to be patched (ORDER_PATCH): the instructions of
// five to seven bytes before its syscall become a jump through the jump table, whose address bytes are the syscall
// itself, so that code which jumps straight to the syscall still finds it. The table's entry leads to a trampoline that
// makes up for what was replaced and enters the stub without a signal.

/** Entries of sites whose second instruction has to become an int3: the address of each ends in it. */
#define PAIRS 128
struct jump_table {
  u64 target[MAX_SITES];
  u8 pair[PAIRS][256];
};
_Static_assert(sizeof(struct jump_table) == 0x10000, "as far as the upper half of the addresses is a syscall");
#define INT3 0xcc

#define TRAMPOLINE_ENTRY 24 // where the address of the stub's entry stands
struct trampoline {
  u8 code[32];
};

/** Beside the trampolines: the sites that were patched behind an int3. The sentry restores sites, and says so here. */
#define RESTORED (1ul << 63)
struct trampolines {
  struct trampoline of[MAX_SITES];
  u64 behind_int3[MAX_SITES];
};
_Static_assert(TRAMPOLINES_ADDR + sizeof(struct trampolines) <= BLOCKS_ADDR, "room");

/** Calls that the host serves for some arguments, and sigreturn: at a patched site they are made there after all. */
static int stays_native(u64 nr) {
  return (nr >= 9 && nr <= 12) || nr == SYS_rt_sigreturn || nr == 24 || nr == 25 || nr == SYS_madvise ||
         nr == SYS_futex || nr == SYS_membarrier || nr == SYS_mseal;
}

/** Back from a patched call to the handler: with the promotion's reason, as a SIGSYS, all registers in memory. */
static void promote_patched(struct thread *thread, u32 reason) {
  thread->promoted = reason;
  promote();
}

/** The whole of a patched call. The program's registers are in thread->reg; rax is its result. */
/**
 * An answer that is ORDER_READ and nothing else needs no registers in memory. False: not all could be copied, and the
 * sentry has given another answer.
 */
static int read_patched(struct thread *thread) {
  volatile u32 *slot = thread->slot;
  volatile u64 *order = (volatile u64 *)((u8 *)slot + SLOT_ORDERS);
  u64 copied = read_window(order);
  if (copied == order[3]) {
    thread->reg[RAX] = copied;
    return 1;
  }
  slot[H_KIND] = KIND_ORDERS;
  slot[H_NIN] = 0;
  ring(thread);
  return 0;
}

static int is_read(volatile u32 *slot) {
  return slot[H_NORD] == 1 && !slot[H_ACT] && !slot[H_NOUT] &&
         *(volatile u64 *)((u8 *)slot + SLOT_ORDERS) == ORDER_READ;
}

USED void patched_call(void) {
  struct thread *thread = self();
  volatile u32 *slot = thread->slot;
  u64 nr = thread->reg[RAX];
  if (answer_alone(thread, thread->reg, &thread->reg[RAX])) return;
  if (stays_native(nr) || nr >= PLAN_COUNT) {
    // Executed at its site: the instruction before the return address is the syscall.
    thread->reg[RIP] -= 2;
    return;
  }
  marshal(slot, nr, thread->reg);
  if (nr == SYS_arch_prctl) write64(slot, H_FS_BASE, read_fs_base()); // as show_context() does for a call that traps
  slot[H_FLAGS] = FLAG_PATCHED;
  ring_call(thread);
  if (is_read(slot) && read_patched(thread)) return;
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
  long code = sys(SYS_mmap, TRAMPOLINES_ADDR, sizeof(struct trampolines), 7, flags, -1, 0);
  return (u64)code == TRAMPOLINES_ADDR;
}

/** A site's trampoline: what was replaced, r11 = where to go on, and the way into the stub. */
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

/** jmp *abs32, through an entry of the jump table: seven bytes, of which a site needs five. */
static void make_jump(u8 *code, u64 entry) {
  code[0] = 0xff, code[1] = 0x24, code[2] = 0x25;
  __builtin_memcpy(code + 3, &entry, 4);
}

static void fill_pad(struct pad pad, u64 entry) {
  u8 code[16] = {0xeb, (u8)(pad.length - 2)};
  make_jump(code + (pad.jump - pad.start), entry);
  write_site(pad.start, code, pad.jump - pad.start + LONGEST);
}

/** Has this filled the pad? Another thread may have taken it for a site of its own. */
static int owns_pad(struct pad pad, u64 entry) {
  u8 ours[LONGEST], theirs[LONGEST];
  make_jump(ours, entry);
  if (copy_user(theirs, (void *)pad.jump, LONGEST)) return 0;
  for (u32 i = 0; i < LONGEST; i++)
    if (ours[i] != theirs[i]) return 0;
  return 1;
}

/** The entry for a pair, whose address ends in int3; 0 if another site has it. */
static u64 take_pair_entry(u32 index, u64 target) {
  u64 *entry = (u64 *)(((struct jump_table *)JUMP_TABLE_ADDR)->pair[index % PAIRS] + INT3), before = 0;
  __atomic_compare_exchange_n(entry, &before, target, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return before == 0 || before == target ? (u64)entry : 0;
}

/** The trampoline of a site, and the table's entry that leads to it. 0 if there is no room for them. */
static u64 make_entry(u32 index, const u8 *replaced, u32 length, u64 next, int pair) {
  struct trampoline trampoline = make_trampoline(replaced, length, next);
  u64 entry = JUMP_TABLE_ADDR + 8ul * index, target = TRAMPOLINES_ADDR + index * sizeof trampoline;
  // The first site of a program finds no tables, and makes them.
  if (copy_user((void *)target, &trampoline, sizeof trampoline) &&
      (!table_ready() || copy_user((void *)target, &trampoline, sizeof trampoline)))
    return 0;
  if (pair) return take_pair_entry(index, target);
  return copy_user((void *)entry, &target, sizeof target) ? 0 : entry;
}

/** The instructions before a site's syscall become this, which ends in the syscall too. */
static void make_site_jump(u8 jump[LONGEST + 2], u32 length, u64 entry) {
  jump[0] = jump[1] = 0x2e; // segment prefixes that mean nothing
  make_jump(jump + length - 5, entry);
}

/** Puts the jump into the site itself, whose syscall is the upper half of the entry's address. */
static void patch_directly(u64 site, u32 length, u64 entry) {
  u8 jump[LONGEST + 2];
  u64 page = site & ~4095ul, bytes = ((site + length + 1) & ~4095ul) + 4096 - page;
  make_site_jump(jump, length, entry);
  if (sys(SYS_mprotect, page, bytes, 7)) return;
  write_site(site, jump, length);
  sys(SYS_mprotect, page, bytes, 5);
}

/** Puts the jump into a pad, and a short jump to it into the site. */
static void patch_by_pad(u64 site, struct pad pad, u64 entry) {
  u64 page = site & ~4095ul;
  u8 jump[2] = {0xeb, (u8)(pad.jump - (site + 2))};
  if (sys(SYS_mprotect, page, 4096, 7)) return;
  fill_pad(pad, entry);
  if (owns_pad(pad, entry)) write_site(site, jump, sizeof jump);
  sys(SYS_mprotect, page, 4096, 5);
}

/** Writes text, even if another thread that patches the same page makes it read-only meanwhile. */
static int write_text(u64 at, const u8 *bytes, u32 length) {
  for (u32 tries = 0; tries < 16; tries++) {
    if (!copy_user((void *)at, bytes, length)) return 1;
    sys(SYS_mprotect, at & ~4095ul, ((at + length - 1) & ~4095ul) + 4096 - (at & ~4095ul), 7);
  }
  return 0;
}

#define SYNC_CORE          32 // membarrier(2): every thread of the process sees text written before
#define REGISTER_SYNC_CORE 64

/**
 * Patches a site that no single store can change, while other threads run through it: first an int3 in its place, which
 * sends them to the trampoline (pass_int3), then all but the first byte, then that. In a pair the second instruction is
 * an int3 for good, for those who were between the two. In the child of a fork that came in between, the int3 stays.
 */
static void patch_behind_int3(u64 site, u32 length, u64 entry, u32 index) {
  u8 jump[LONGEST + 2], trap = INT3;
  u64 page = site & ~4095ul, bytes = ((site + length + 1) & ~4095ul) + 4096 - page;
  u64 *known = &((struct trampolines *)TRAMPOLINES_ADDR)->behind_int3[index];
  make_site_jump(jump, length, entry);
  int pair = jump[length - 2] == INT3;
  if (copy_user(known, &site, sizeof site) || sys(SYS_mprotect, page, bytes, 7)) return;
  if (write_text(site, &trap, 1) && (!pair || write_text(site + length - 2, &trap, 1)) &&
      !sys(SYS_membarrier, SYNC_CORE, 0) && write_text(site + 1, jump + 1, length - 1) &&
      !sys(SYS_membarrier, SYNC_CORE, 0))
    write_text(site, jump, 1);
  sys(SYS_mprotect, page, bytes, 5);
}

/**
 * The place in the program that stands for one in a trampoline, where signals and tracers find a thread: the
 * instruction that was replaced, or behind it the syscall.
 */
static u64 outside_trampoline(u64 ip) {
  u64 offset = ip - TRAMPOLINES_ADDR, next;
  struct trampoline trampoline;
  if (offset >= MAX_SITES * sizeof trampoline) return ip;
  if (copy_user(&trampoline, (void *)(ip - offset % sizeof trampoline), sizeof trampoline)) return ip;
  u32 length = 2;
  while (length < LONGEST && !(trampoline.code[length] == 0x49 && trampoline.code[length + 1] == 0xbb)) length++;
  __builtin_memcpy(&next, trampoline.code + length + 2, 8);
  u64 done = offset % sizeof trampoline;
  return next - 2 - (done < length ? length - done : 0);
}

/** Is there a syscall where one follows instructions that we moved? */
static int before_syscall(u64 site) {
  u8 code[LONGEST + 2];
  if (copy_user(code, (void *)site, sizeof code)) return 0;
  for (u32 length = 5; length <= LONGEST; length++)
    if (code[length] == 0x0f && code[length + 1] == 0x05) return 1;
  return 0;
}

/**
 * A thread has run into an int3: if it is one of a patched site, the thread goes on in the trampoline; where a site was
 * restored meanwhile, in the site.
 */
static int pass_int3(u64 *reg) {
  const u64 *known = ((struct trampolines *)TRAMPOLINES_ADDR)->behind_int3;
  u64 at = reg[RIP] - 1, some[64];
  u8 now = INT3;
  for (u32 first = 0; first < MAX_SITES; first += 64) {
    if (copy_user(some, known + first, sizeof some)) return 0;
    for (u32 i = 0; i < 64; i++) {
      u64 site = some[i] & ~RESTORED;
      if (!site || at - site >= LONGEST) continue;
      if (some[i] & RESTORED) {
        // One that stands there still, or again, is the program's or its debugger's.
        if (copy_user(&now, (void *)at, 1) || now == INT3) continue;
        reg[RIP] = at;
        return 1;
      }
      if (!before_syscall(site)) continue;
      reg[RIP] = TRAMPOLINES_ADDR + (first + i) * sizeof(struct trampoline) + (at - site);
      return 1;
    }
  }
  return 0;
}

/**
 * ORDER_PATCH: next is the instruction after a syscall that trapped for call nr, index the site's place in the tables.
 * What cannot be patched is left as it is.
 */
static void patch_site(u64 next, u32 index, u32 nr, int solo) {
  u8 code[BEFORE + 2];
  const u8 *end = code + BEFORE;
  if (index >= MAX_SITES || copy_user(code, (void *)(next - sizeof code), sizeof code)) return;
  if (end[0] != 0x0f || end[1] != 0x05) return;
  u32 length = movable(end, nr), pair = 0;
  struct pad pad = {0, 0, 0};
  if (length < 5) {
    if (length && ((next - 2 - length) & 15) != 15) pad = find_pad(next - 2 - length);
    if (!pad.length) pair = length = movable_pair(end, nr);
  }
  u64 site = next - 2 - length;
  if (!length || !is_file_text(site) || ((site ^ next) >> 12 && !is_file_text(next))) return;
  int at_once = !pair && ((site & 15) + length <= 16 || solo);
  if (!pad.length && !at_once && sys(SYS_membarrier, REGISTER_SYNC_CORE, 0)) return;
  u64 entry = make_entry(index, end - length, length, next, pair != 0);
  if (!entry) return;
  if (pad.length) patch_by_pad(site, pad, entry);
  else if (at_once) patch_directly(site, length, entry);
  else patch_behind_int3(site, length, entry, index);
}
