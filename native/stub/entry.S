// The parts of the stub that C cannot say: start, copies that may fault, clone with a new stack, and the
// way out of a signal handler, in which an interrupt may strike at any instruction.
#include "offsets.h"

  .text

// The kernel starts us here, with the argument vector at rsp.
  .globl _start
_start:
  mov %rsp, %rdi
  and $-16, %rsp
  call start
  ud2

// ---- copies from and to the program's memory ------------------------------------------------------
// A SIGSEGV or SIGBUS at an address in [x_begin, x_end) is sent on to x_fault by the handler.

// u64 copy_user(void *to, const void *from, u64 length): bytes that were not copied.
  .globl copy_user, copy_user_begin, copy_user_end, copy_user_fault
copy_user:
  mov %rdx, %rcx
copy_user_begin:
  rep movsb
copy_user_end:
copy_user_fault:
  mov %rcx, %rax
  ret

// u64 zero_user(void *to, u64 length): bytes that were not cleared.
  .globl zero_user, zero_user_begin, zero_user_end, zero_user_fault
zero_user:
  mov %rsi, %rcx
  xor %eax, %eax
zero_user_begin:
  rep stosb
zero_user_end:
zero_user_fault:
  mov %rcx, %rax
  ret

// u64 store16_user(u64 *to, const u64 *expected, const u64 *value): 0, or 1 if the aligned 16 bytes at `to` are not those
// expected or cannot be written. One store, seen whole or not at all.
  .globl store16_user, store16_user_begin, store16_user_end, store16_user_fault
store16_user:
  push %rbx
  mov (%rdx), %rbx
  mov 8(%rdx), %rcx
  mov (%rsi), %rax
  mov 8(%rsi), %rdx
store16_user_begin:
  lock cmpxchg16b (%rdi)
store16_user_end:
  setne %al
  movzbl %al, %eax
  pop %rbx
  ret
store16_user_fault:
  mov $1, %eax
  pop %rbx
  ret

// s64 copy_string(void *to, const void *from, u64 limit): length with the NUL, -EFAULT, or -ENAMETOOLONG.
  .globl copy_string, copy_string_begin, copy_string_end, copy_string_fault
copy_string:
  xor %ecx, %ecx
1:
  cmp %rdx, %rcx
  jae 2f
copy_string_begin:
  mov (%rsi,%rcx), %al
copy_string_end:
  mov %al, (%rdi,%rcx)
  inc %rcx
  test %al, %al
  jnz 1b
  mov %rcx, %rax
  ret
2:
  mov $-36, %rax
  ret
copy_string_fault:
  mov $-14, %rax
  ret

// ---- signal handlers ------------------------------------------------------------------------------

// The return address of every handler of ours that returns.
  .globl restorer
restorer:
  mov $15, %eax
  syscall
  ud2

// void promote(void): comes back as a SIGSYS whose saved rip is promote_end. So even the zygote and the
// blanks, which have no program yet, obey orders in signal context: there is one way out for all.
  .globl promote, promote_end
promote:
  mov $PROMOTE_NR, %eax
  syscall
promote_end:
  ret

// void leave_signal(struct ucontext *context, u32 fast): never returns.
//
// An interrupt that lands in [exit_check, exit_end) is sent back to exit_check: nothing in there is
// lost by being done twice, and the check then finds the flag. Once rsp is the program's that is no
// longer possible: the next signal frame overwrites the context. One instruction is left then, and a
// handler that finds its thread at exit_jump finishes the jump by setting rip itself.
//
// fast: leave by xrstor and a jump instead of rt_sigreturn. Needs gs to be this thread's block.
  .globl leave_signal, exit_check, exit_jump, exit_end
leave_signal:
  mov %rsp, %rax
  and $BLOCK_MASK, %rax
  mov %rdi, THREAD_CONTEXT(%rax)
  mov %rsp, THREAD_EXIT_STACK(%rax)
  mov %rsi, THREAD_EXIT_FAST(%rax)
exit_check:
  mov %rsp, %rax
  and $BLOCK_MASK, %rax
  mov THREAD_CONTEXT(%rax), %rdi
  cmpl $0, THREAD_INTERRUPTED(%rax)
  jne exit_interrupted
  cmpl $0, THREAD_EXIT_FAST(%rax)
  je exit_slow
  mov CONTEXT_FPSTATE(%rdi), %rcx
  mov FPSTATE_XFEATURES(%rcx), %eax
  mov FPSTATE_XFEATURES+4(%rcx), %edx
  xrstor64 (%rcx)
  mov CONTEXT_RIP(%rdi), %rcx
  mov %rcx, %gs:THREAD_EXIT_RIP
  mov CONTEXT_RSP(%rdi), %rcx
  mov %rcx, %gs:THREAD_EXIT_RSP
  mov CONTEXT_RDI(%rdi), %rcx
  mov %rcx, %gs:THREAD_EXIT_RDI
  pushq CONTEXT_FLAGS(%rdi)
  popfq
  mov CONTEXT_R8(%rdi), %r8
  mov CONTEXT_R9(%rdi), %r9
  mov CONTEXT_R10(%rdi), %r10
  mov CONTEXT_R11(%rdi), %r11
  mov CONTEXT_R12(%rdi), %r12
  mov CONTEXT_R13(%rdi), %r13
  mov CONTEXT_R14(%rdi), %r14
  mov CONTEXT_R15(%rdi), %r15
  mov CONTEXT_RSI(%rdi), %rsi
  mov CONTEXT_RBP(%rdi), %rbp
  mov CONTEXT_RBX(%rdi), %rbx
  mov CONTEXT_RDX(%rdi), %rdx
  mov CONTEXT_RAX(%rdi), %rax
  mov CONTEXT_RCX(%rdi), %rcx
  mov %gs:THREAD_EXIT_RDI, %rdi
  mov %gs:THREAD_EXIT_RSP, %rsp
exit_jump:
  jmp *%gs:THREAD_EXIT_RIP
exit_slow:
  mov %rdi, %rsp
  mov $15, %eax
  syscall
exit_end:
  ud2

// The flags may be the program's already (direction!), rsp is THREAD_EXIT_STACK.
exit_interrupted:
  and $-16, %rsp
  pushq $CLEAN_FLAGS
  popfq
  call late_interrupt
  ud2

// ---- patched call sites ---------------------------------------------------------------------------
// A trampoline (patch.c) comes here with rax = number, r11 = the instruction after the site's syscall, and
// everything else the program's, the flags and the red zone included. rcx and r11 are a system call's to
// destroy. If gs is not this thread's block (the program has set it), the site's syscall is executed after all:
// it traps. A fault of the probe comes to the same.
  .globl patched_entry, patched_probe, patched_foreign, patched_check, patched_end
patched_entry:
patched_probe:
  mov %gs:THREAD_MARK, %rcx
  lea -THREAD_MARK_VALUE(%rcx), %rcx
  jrcxz 1f
patched_foreign:
  lea -2(%r11), %rcx
  jmp *%rcx
1:
  mov %rsp, %gs:THREAD_REG(15)
  mov %r11, %gs:THREAD_REG(16)
  mov %gs:THREAD_STACK, %rsp
  pushfq
  popq %gs:THREAD_REG(17)
  pushq $CLEAN_FLAGS
  popfq
  mov %r8, %gs:THREAD_REG(0)
  mov %r9, %gs:THREAD_REG(1)
  mov %r10, %gs:THREAD_REG(2)
  mov %r11, %gs:THREAD_REG(3)
  mov %r12, %gs:THREAD_REG(4)
  mov %r13, %gs:THREAD_REG(5)
  mov %r14, %gs:THREAD_REG(6)
  mov %r15, %gs:THREAD_REG(7)
  mov %rdi, %gs:THREAD_REG(8)
  mov %rsi, %gs:THREAD_REG(9)
  mov %rbp, %gs:THREAD_REG(10)
  mov %rbx, %gs:THREAD_REG(11)
  mov %rdx, %gs:THREAD_REG(12)
  mov %rax, %gs:THREAD_REG(13)
  mov %r11, %gs:THREAD_REG(14)
  call patched_call
// An interrupt that lands in [patched_check, patched_end) starts over at patched_check with the stub's stack: all that
// is loaded here stands in the block, so nothing is lost by being done twice.
patched_check:
  cmpl $0, %gs:THREAD_INTERRUPTED
  jne patched_interrupted
  pushq %gs:THREAD_REG(17)
  popfq
  mov %gs:THREAD_REG(0), %r8
  mov %gs:THREAD_REG(1), %r9
  mov %gs:THREAD_REG(2), %r10
  mov %gs:THREAD_REG(8), %rdi
  mov %gs:THREAD_REG(9), %rsi
  mov %gs:THREAD_REG(12), %rdx
  mov %gs:THREAD_REG(13), %rax
  mov %gs:THREAD_REG(16), %rcx
  mov %gs:THREAD_REG(15), %rsp
  jmp *%rcx
patched_end:
patched_interrupted:
  call patched_interrupt
  ud2

// ---- calls on the sentry's order that an interrupt can end -----------------------------------------

// long interruptible_call(const u64 call[7]): number and arguments; -EINTR also if an interrupt came before. One that
// lands in [call_check, call_made) is sent to call_interrupted by the handler: the call was not made yet.
  .globl interruptible_call, call_check, call_made, call_interrupted
interruptible_call:
  mov (%rdi), %rax
  mov 16(%rdi), %rsi
  mov 24(%rdi), %rdx
  mov 32(%rdi), %r10
  mov 40(%rdi), %r8
  mov 48(%rdi), %r9
  mov 8(%rdi), %rdi
call_check:
  mov %rsp, %rcx
  and $BLOCK_MASK, %rcx
  cmpl $0, THREAD_INTERRUPTED(%rcx)
  jne call_interrupted
  syscall
call_made:
  ret
call_interrupted:
  mov $-4, %rax
  ret

// ---- clone ----------------------------------------------------------------------------------------

// long clone_thread(u64 flags, struct frame *frame, u64 tls). The child starts with
// rsp at the frame that was prepared in its own block and never returns from thread_start.
  .globl clone_thread
clone_thread:
  mov %rdx, %r8
  xor %edx, %edx
  xor %r10d, %r10d
  mov $56, %eax
  syscall
  test %rax, %rax
  jz 1f
  ret
1:
  xor %ebp, %ebp
  mov %rsp, %rdi
  sub $128, %rsp
  and $-16, %rsp
  call thread_start
  ud2

  .section .note.GNU-stack, "", @progbits
