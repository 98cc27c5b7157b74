// The stub: what Cloister puts into every guest process. One translation unit, so that everything is
// inlined and there is no writable data: all state lives in the threads' blocks.
//
//   entry.S       start, faulting copies, the exit window, clone with a stack
//   doorbell.c    slots, ringing
//   marshal.c     capture of arguments by the generated plan, results
//   frames.c      the program's signal frames
//   site-forms.c  what can be patched, and where there is room
//   patch.c       call sites that jump here instead of trapping
//   orders.c      fork, threads, exec's jump, host calls on the sentry's behalf
//   signals.c     the one signal handler
//   start.c       the zygote
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "offsets.h"
#include "plan_types.h"
#include "stub.h"

#include "../generated/filter.h"
#include "../generated/plan.h"

#define SAME(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)
SAME(struct thread, slot, THREAD_SLOT);
SAME(struct thread, slot_index, BLOCK_SLOT_INDEX);
SAME(struct thread, interrupted, THREAD_INTERRUPTED);
SAME(struct thread, context, THREAD_CONTEXT);
SAME(struct thread, exit_stack, THREAD_EXIT_STACK);
SAME(struct thread, exit_fast, THREAD_EXIT_FAST);
SAME(struct thread, exit_rip, THREAD_EXIT_RIP);
SAME(struct thread, exit_rsp, THREAD_EXIT_RSP);
SAME(struct thread, exit_rdi, THREAD_EXIT_RDI);
SAME(struct thread, reg, THREAD_REG(0));
SAME(struct thread, mark, THREAD_MARK);
SAME(struct thread, stack, THREAD_STACK);
SAME(struct ucontext, reg[R8], CONTEXT_R8);
SAME(struct ucontext, reg[R15], CONTEXT_R15);
SAME(struct ucontext, reg[RDI], CONTEXT_RDI);
SAME(struct ucontext, reg[RAX], CONTEXT_RAX);
SAME(struct ucontext, reg[RSP], CONTEXT_RSP);
SAME(struct ucontext, reg[RIP], CONTEXT_RIP);
SAME(struct ucontext, reg[FLAGS], CONTEXT_FLAGS);
SAME(struct ucontext, fpstate, CONTEXT_FPSTATE);
SAME(struct siginfo, arch, 28);
_Static_assert(sizeof(struct ucontext) == 304 && sizeof(struct frame) == 440, "the kernel's struct rt_sigframe");
_Static_assert(BLOCK_MASK == -(long)BLOCK_SIZE && PROMOTE_NR == PROMOTE, "entry.S");

#include "doorbell.c"
#include "marshal.c"
#include "frames.c"
#include "site-forms.c"
#include "patch.c"
#include "orders.c"
#include "signals.c"
#include "start.c"

// The compiler calls these by itself.
USED void *memcpy(void *to, const void *from, u64 length) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
  return result;
}

USED void *memset(void *to, int value, u64 length) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
  return result;
}
