// The sentry's own seccomp filter, compiled from syscall-tables/sentry.ts when Cloister was built. Once it is there it
// holds for all threads, for good: what it does not list kills the process.
#include "addon.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../generated/call_names.h"
#include "../generated/sentry_filter.h"

#define VARIANTS    (sizeof SENTRY_FILTERS / sizeof *SENTRY_FILTERS)
#define LONGEST     4096 // BPF_MAXINSNS
#define EXIT_SIGSYS 159  // 128 + SIGSYS, as if it had been killed

static int log_fd = -1;

static size_t append(char *line, size_t used, const char *text) {
  while (*text) line[used++] = *text++;
  return used;
}

/** For those who look for a call that is missing in the list: its name, then the end. */
static void name_call(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  char line[128], digits[12];
  size_t used = append(line, 0, "cloister: the sentry's filter does not allow "), count = 0;
  u32 number = info->si_syscall;
  if (number < sizeof CALL_NAMES / sizeof *CALL_NAMES && CALL_NAMES[number]) {
    used = append(line, used, CALL_NAMES[number]);
  } else {
    used = append(line, used, "system call ");
    do { digits[count++] = '0' + number % 10; } while (number /= 10);
    while (count) line[used++] = digits[--count];
  }
  used = append(line, used, " with these arguments\n");
  if (write(log_fd, line, used) < 0) _exit(EXIT_SIGSYS);
  _exit(EXIT_SIGSYS);
}

/** Instead of being killed in silence the sentry says what it was killed for. */
static int name_instead(struct sock_filter *filter, u32 length) {
  struct sigaction action = {.sa_sigaction = name_call, .sa_flags = SA_SIGINFO};
  for (u32 i = 0; i < length; i++)
    if (filter[i].code == (BPF_RET | BPF_K) && filter[i].k == SECCOMP_RET_KILL_PROCESS) filter[i].k = SECCOMP_RET_TRAP;
  return sigaction(SIGSYS, &action, NULL);
}

/**
 * lockDown(variant, logFd or -1): installs the filter of this choice of optional groups. With a descriptor a call that
 * is not allowed is named there before it ends the sentry. 0, or -errno; -ESRCH if a thread could not be included.
 */
static napi_value lock_down(napi_env env, napi_callback_info info) {
  static struct sock_filter copy[LONGEST];
  struct arguments a;
  s64 variant, fd;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &variant) || !get_int(env, &a, 1, &fd) || variant < 0 || variant >= (s64)VARIANTS)
    return number_value(env, -EINVAL);
  struct sock_fprog program = SENTRY_FILTERS[variant];
  if (fd >= 0) {
    log_fd = fd;
    memcpy(copy, program.filter, program.len * sizeof *copy);
    program.filter = copy;
    if (name_instead(copy, program.len)) return number_value(env, -errno);
  }
  s64 result = result_of(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
  return number_value(env, result > 0 ? -ESRCH : result);
}

void cage_exports(napi_env env, napi_value exports) { export_method(env, exports, "lockDown", lock_down, NULL); }
