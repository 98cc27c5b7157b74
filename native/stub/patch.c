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
  if (answer_alone(slot, thread->reg, &thread->reg[RAX])) return;
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

/** The same for instructions in whose place there is only room for a short jump. */
static u32 movable_short(const u8 *end, u32 nr) {
  u8 rex = end[-3], operands = end[-1];
  // xor %eax, %eax
  if (nr == 0 && end[-2] == 0x31 && operands == 0xc0 && (rex & 0xf0) != 0x40) return 2;
  // mov between two registers of 64 bits, not to %rsp
  if ((rex & 0xfa) != 0x48 || operands < 0xc0) return 0;
  if (end[-2] == 0x89) return (operands & 7) == 4 && !(rex & 1) ? 0 : 3;
  if (end[-2] == 0x8b) return (operands >> 3 & 7) == 4 && !(rex & 4) ? 0 : 3;
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
  return movable_short(end, nr);
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

#define LONGEST 7 // bytes of an instruction that we move, and of the jump to its trampoline
#define BEFORE  8 // bytes before the syscall that we look at

/** jmp *abs32, through an entry of the jump table: seven bytes, of which a site needs five. */
static void make_jump(u8 *code, u64 entry) {
  code[0] = 0xff, code[1] = 0x24, code[2] = 0x25;
  __builtin_memcpy(code + 3, &entry, 4);
}

/** Unused room between two functions, in one aligned word of 16 bytes. */
struct pad {
  u64 start, jump; // the jump lies at its start, or behind a jump over it
  u32 length;
};

/** Length of the one long nop that fills the room after a ret, or 0. */
static u32 nop_length(const u8 *code, u32 limit) {
  static const u8 tail[] = {0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
  u32 prefixes = 0;
  while (prefixes < limit && code[prefixes] == 0x66) prefixes++;
  if (prefixes < 1 || prefixes > 6 || prefixes + sizeof tail > limit) return 0;
  for (u32 i = 0; i < sizeof tail; i++)
    if (code[prefixes + i] != tail[i]) return 0;
  return prefixes + sizeof tail;
}

/** A pad at this place of a page? A nop after a ret may be run through after all, if the ret is the end of another
 * instruction: it stays a nop. A row of int3 is never run. */
static struct pad pad_at(const u8 *page, u64 address, u32 at) {
  struct pad pad = {address + at, address + at, 0};
  u32 left = 16 - (at & 15), traps = 0;
  if (at > 0 && page[at - 1] == 0xc3) pad.length = nop_length(page + at, left);
  if (pad.length) {
    pad.jump += 2;
    return pad;
  }
  while (traps < LONGEST && traps < left && page[at + traps] == 0xcc) traps++;
  if (traps == LONGEST) pad.length = LONGEST;
  return pad;
}

/** Room that a short jump from `site` reaches, in the same page; length 0: there is none. */
static struct pad find_pad(u64 site) {
  u8 page[4096];
  u64 address = site & ~4095ul;
  s64 at = site - address;
  struct pad none = {0, 0, 0};
  if (copy_user(page, (void *)address, sizeof page)) return none;
  for (u32 i = 0; i < 240; i++) {
    s64 place = i & 1 ? at + 2 + i / 2 : at - i / 2;
    if (place < 0 || place >= 4096) continue;
    struct pad pad = pad_at(page, address, place);
    s64 distance = pad.jump - (site + 2);
    if (pad.length && distance >= -128 && distance < 128) return pad;
  }
  return none;
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

/** The trampoline of a site, and the table's entry that leads to it. 0 if there is no room for them. */
static u64 make_entry(u32 index, const u8 *replaced, u32 length, u64 next) {
  struct trampoline trampoline = make_trampoline(replaced, length, next);
  u64 entry = JUMP_TABLE_ADDR + 8ul * index, target = TRAMPOLINES_ADDR + index * sizeof trampoline;
  // The first site of a program finds no tables, and makes them.
  if (copy_user((void *)target, &trampoline, sizeof trampoline) &&
      (!table_ready() || copy_user((void *)target, &trampoline, sizeof trampoline)))
    return 0;
  return copy_user((void *)entry, &target, sizeof target) ? 0 : entry;
}

/** Puts the jump into the site itself, whose syscall is the upper half of the entry's address. */
static void patch_directly(u64 site, u32 length, u64 next, u64 entry) {
  u8 jump[LONGEST + 7] = {0x2e, 0x2e}; // segment prefixes that mean nothing
  u64 page = site & ~4095ul, bytes = ((next - 1) & ~4095ul) + 4096 - page;
  make_jump(jump + length - 5, entry);
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

/**
 * ORDER_PATCH: next is the instruction after a syscall that trapped for call nr, index the site's place in the tables.
 * What cannot be patched is left as it is.
 */
static void patch_site(u64 next, u32 index, u32 nr, int solo) {
  u8 code[BEFORE + 2];
  const u8 *end = code + BEFORE;
  if (index >= MAX_SITES || copy_user(code, (void *)(next - sizeof code), sizeof code)) return;
  u32 length = end[0] == 0x0f && end[1] == 0x05 ? movable(end, nr) : 0;
  u64 site = next - 2 - length;
  int direct = length >= 5 && ((site & 15) + length <= 16 || solo);
  if (!length || (!direct && (site & 15) == 15)) return;
  if (!is_file_text(site) || ((site ^ next) >> 12 && !is_file_text(next))) return;
  struct pad pad = {0, 0, 0};
  if (!direct) pad = find_pad(site);
  if (!direct && !pad.length) return;
  u64 entry = make_entry(index, end - length, length, next);
  if (!entry) return;
  if (direct) patch_directly(site, length, next, entry);
  else patch_by_pad(site, pad, entry);
}
