// Where guest threads run. A new process is put by the kernel on the idlest CPU, from where its first calls (its
// hello, the C library's) wake the sentry and its maker across CPUs, at several times the price of a switch on one
// CPU. So it starts where its maker is, and may go where it likes a moment later.
#include "addon.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CPUS  8192 // the kernel's own limit
#define WORD_BITS (8 * sizeof(unsigned long))

static unsigned long everywhere[MAX_CPUS / WORD_BITS];
static long mask_bytes; // as long as the kernel's; 0: not asked yet

/** What the sentry may use was decided outside, by taskset(1) or a cpuset, and is what its guests may use. */
static bool know_everywhere(void) {
  if (mask_bytes == 0) mask_bytes = syscall(SYS_sched_getaffinity, 0, sizeof everywhere, everywhere);
  return mask_bytes > 0;
}

/**
 * hold(hostTid, heldOn): the thread may run only on the CPU we are on; heldOn is where it is held already, or -1. That
 * CPU, or -errno.
 */
static napi_value hold(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 tid, held_on;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &tid) || tid <= 0 || !get_number(env, &a, 1, &held_on)) return number_value(env, -EINVAL);
  if (!know_everywhere()) return number_value(env, -ENOSYS);
  int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= 8 * mask_bytes) return number_value(env, -EINVAL);
  spin_yield();
  // Threads that were watched in between are held no more.
  static u32 moves_before;
  u32 moves = spin_moves();
  if (cpu == held_on && moves == moves_before) return number_value(env, cpu);
  moves_before = moves;
  unsigned long only[MAX_CPUS / WORD_BITS];
  memset(only, 0, mask_bytes);
  only[cpu / WORD_BITS] = 1ul << cpu % WORD_BITS;
  return number_value(env, syscall(SYS_sched_setaffinity, (pid_t)tid, mask_bytes, only) ? -errno : cpu);
}

/** letGo(hostTid): the thread may run wherever the sandbox may. 0 or -errno. */
static napi_value let_go(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 tid;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &tid) || tid <= 0) return number_value(env, -EINVAL);
  if (!know_everywhere()) return number_value(env, -ENOSYS);
  return number_value(env, result_of(syscall(SYS_sched_setaffinity, (pid_t)tid, mask_bytes, everywhere)));
}

void placement_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "hold", hold, NULL);
  export_method(env, exports, "letGo", let_go, NULL);
}
