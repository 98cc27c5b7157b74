// What is put in the place of what: which instructions before a syscall may be executed elsewhere, and where else there
// is room for a jump.

#define LONGEST 7  // bytes of the instructions that we move, and of the jump to their trampoline
#define BEFORE  12 // bytes before the syscall that we look at

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
 * Could this byte be the last one of the instruction before, instead of a REX prefix? Read backwards, code is
 * ambiguous: mov 0x48(%rsp), %rdx; mov 8(%rsp), %edi ends like mov 8(%rsp), %rdi.
 */
static int ends_another(const u8 *byte) {
  u8 last = byte[-1], modrm = byte[-2] & 0xc7, op = byte[-2], op_before_sib = byte[-3];
  if ((last & 0xf0) == 0x70 || last == 0xeb) return 1;                                 // a jump over so much
  if ((last & 0xf8) == 0xb0 || last == 0x6a || last == 0xa8 || last == 0x3c) return 1; // a byte for %al and the like
  if (op == 0x83 && last >= 0xc0) return 1;                                            // add $imm8, %reg
  if ((last & 0xc0) == 0x40 && (op == 0x89 || op == 0x8b || op == 0x8d || op == 0x83)) return 1; // disp8(%reg)
  return modrm == 0x44 &&                                                                        // disp8(%rsp)
         (op_before_sib == 0x89 || op_before_sib == 0x8b || op_before_sib == 0x8d || op_before_sib == 0x83);
}

/** Length of a mov between a register, not %rsp, and disp8(%rsp), or 0. */
static u32 stack_mov(const u8 *end) {
  const u8 *four = end - 4;
  if ((four[0] & 0xfd) != 0x89 || (four[1] & 0xc7) != 0x44 || four[2] != 0x24) return 0;
  int rex = (four[-1] & 0xf0) == 0x40;
  if (rex ? is_prefix(four[-2]) || ends_another(four - 1) : is_prefix(four[-1])) return 0;
  return four[1] == 0x64 && !(rex && four[-1] & 4) ? 0 : 4 + rex;
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
  if (stack_mov(end) == 5) return 5;
  // mov $imm32, %r64, not %rsp
  if (seven[0] == 0x48 && seven[1] == 0xc7 && (seven[2] & 0xf8) == 0xc0 && seven[2] != 0xc4)
    return is_prefix(end[-8]) || (seven[2] == 0xc0 && immediate != nr) ? 0 : 7;
  return movable_short(end, nr);
}

/** Length of a mov from or to the stack with the xor %eax, %eax behind it, which has no room by itself; else 0. */
static u32 movable_pair(const u8 *end, u32 nr) {
  u32 first = nr == 0 && end[-2] == 0x31 && end[-1] == 0xc0 ? stack_mov(end - 2) : 0;
  return first ? first + 2 : 0;
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
