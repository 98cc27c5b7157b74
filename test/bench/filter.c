// What the sentry's filters add to its host calls, in ns: each call without them and with them, in processes of their
// own by turns. Run by hand:
//
//   cc -O2 -o /tmp/filter test/bench/filter.c && /tmp/filter
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../native/generated/sentry_filter.h"

#define ROUNDS 15
#define CALLS  200000

static int fd;

static void call_pread(void) {
  char byte;
  if (pread(fd, &byte, 1, 0) != 1) abort();
}

/** Its arguments are looked at, as those of SECCOMP_IOCTL_NOTIF_RECV and _SEND; without a listener it fails at once. */
static void call_ioctl(void) { ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, NULL); }

static void call_fstat(void) {
  struct stat status;
  if (fstat(fd, &status)) abort();
}

static const struct {
  const char *name;
  void (*make)(void);
} calls[] = {{"pread", call_pread}, {"fstat", call_fstat}, {"ioctl", call_ioctl}};

static double nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void measure(void (*make)(void), bool filtered, double *result) {
  // The launcher's own filter (io_uring) is the shorter one; twice this is the upper bound.
  if (filtered &&
      (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &SENTRY_FILTERS[0])))
    abort();
  double start = nanoseconds();
  for (int i = 0; i < CALLS; i++) make();
  *result = (nanoseconds() - start) / CALLS;
  _exit(0);
}

static int ascending(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : 1; }

int main(int argc, char **argv) {
  (void)argc;
  double *result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  fd = open(argv[0], O_RDONLY);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    double sorted[2][ROUNDS];
    for (int round = 0; round < 2 * ROUNDS; round++) {
      if (!fork()) measure(calls[i].make, round % 2, result);
      int status;
      if (wait(&status) < 0 || status) return 1;
      sorted[round % 2][round / 2] = *result;
    }
    for (int k = 0; k < 2; k++) qsort(sorted[k], ROUNDS, sizeof(double), ascending);
    printf("%s: %.0f without, %.0f with\n", calls[i].name, sorted[0][ROUNDS / 4], sorted[1][ROUNDS / 4]);
  }
  return 0;
}
