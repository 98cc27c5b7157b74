// The program's signal frames: written where the sentry says, and taken apart again by sigreturn. The
// layout is the kernel's struct rt_sigframe, with the full XSAVE area that our own signal frame holds.

/** Bytes of the floating point state with everything behind it (magic number at the end included). */
static u32 fpstate_size(const u8 *fpstate) {
  if (*(const u32 *)(fpstate + FPSTATE_MAGIC) != FP_XSTATE_MAGIC1) return FPSTATE_LEGACY;
  return *(const u32 *)(fpstate + FPSTATE_SIZE);
}

/** All vector and x87 registers to their initial values, protection keys excepted. */
static void fpstate_reset(u8 *fpstate) {
  if (fpstate_size(fpstate) > FPSTATE_LEGACY) {
    *(u64 *)(fpstate + FPSTATE_LEGACY) &= XFEATURE_PKRU;
  } else {
    __builtin_memset(fpstate, 0, FPSTATE_MAGIC);
    *(u16 *)fpstate = 0x37f; // the x87 control word
  }
  *(u32 *)(fpstate + FPSTATE_MXCSR) = MXCSR_DEFAULT;
}

/** ORDER_FRAME. 0, or -EFAULT: the stack cannot be written, or the alternate stack is too small. */
static long write_frame(struct ucontext *context, volatile u64 *order, volatile u32 *slot) {
  u64 signal = order[1], handler = order[2], restore = order[3], mask = order[4];
  u64 altstack = order[5], altsize = order[6] & ~(1ul << 63), use_altstack = order[6] >> 63;
  u32 info_offset = order[7] < SLOT_SIZE - sizeof(struct siginfo) ? order[7] : 0;
  u64 *reg = context->reg;
  u64 top = use_altstack ? altstack + altsize : reg[RSP] - 128; // below the red zone
  u32 size = fpstate_size(context->fpstate);
  u64 fpstate = (top - size) & ~63ul;
  struct frame *to = (struct frame *)(((fpstate - sizeof(struct frame)) & ~15ul) - 8);
  // What does not fit on the alternate stack is not written below it: there lie data.
  int on_altstack = use_altstack || (reg[RSP] > altstack && reg[RSP] - altstack <= altsize);
  if (on_altstack && (u64)to <= altstack) return -EFAULT;

  struct frame frame;
  frame.return_address = restore;
  frame.context = *context;
  frame.context.stack = (struct altstack){altstack, altstack ? 0 : 2, 0, altsize}; // 2: SS_DISABLE
  frame.context.mask = mask;
  frame.context.fpstate = (u8 *)fpstate;
  __builtin_memcpy(&frame.info, (u8 *)slot + info_offset, sizeof frame.info);
  if (copy_user((void *)fpstate, context->fpstate, size) || copy_user(to, &frame, sizeof frame)) return -EFAULT;

  reg[RDI] = signal;
  reg[RSI] = (u64)&to->info;
  reg[RDX] = (u64)&to->context;
  reg[RAX] = 0;
  reg[RSP] = (u64)to;
  reg[RIP] = handler;
  reg[FLAGS] &= ~(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME);
  fpstate_reset(context->fpstate);
  return 0;
}

/** The program's floating point state at `from` becomes ours. The kernel validates it in rt_sigreturn. */
static long read_fpstate(u8 *fpstate, const u8 *from) {
  if (!from) {
    fpstate_reset(fpstate);
    return 0;
  }
  u32 ours = fpstate_size(fpstate), header[2];
  if (copy_user(header, from + FPSTATE_MAGIC, sizeof header)) return -EFAULT;
  if (header[0] == FP_XSTATE_MAGIC1 && header[1] == ours) return copy_user(fpstate, from, ours) ? -EFAULT : 0;
  // A frame that somebody rewrote without the extended state: the legacy part counts, the rest is reset.
  fpstate_reset(fpstate);
  if (copy_user(fpstate, from, FPSTATE_MAGIC)) return -EFAULT;
  if (ours > FPSTATE_LEGACY) *(u64 *)(fpstate + FPSTATE_LEGACY) |= 3; // x87 and SSE
  return 0;
}

/** ORDER_SIGRETURN. 0, or -EFAULT: the frame at rsp cannot be read. */
static long read_frame(struct ucontext *context) {
  struct ucontext saved;
  if (copy_user(&saved, (void *)context->reg[RSP], sizeof saved)) return -EFAULT;
  if (read_fpstate(context->fpstate, saved.fpstate)) return -EFAULT;
  for (u32 i = 0; i < REGISTERS; i++) context->reg[i] = saved.reg[i];
  return 0;
}

/**
 * The part of a frame that is the sentry's business, for rt_sigreturn: mask, alternate stack, and the stack
 * that the program goes on with, on which (or not) the next handler runs.
 */
static void put_frame_head(volatile u32 *slot, const u64 *reg) {
  struct ucontext saved;
  if (copy_user(&saved, (void *)reg[RSP], sizeof saved)) {
    slot[H_KIND] = KIND_SIGNAL_FAIL;
    write64(slot, H_ARGS + 2, ORDER_SIGRETURN);
    return;
  }
  write64(slot, H_ARGS, saved.mask);
  write64(slot, H_ARGS + 2, saved.stack.base);
  write64(slot, H_ARGS + 4, saved.stack.size);
  write64(slot, H_ARGS + 6, saved.stack.flags);
  write64(slot, H_RSP, saved.reg[RSP]);
}
