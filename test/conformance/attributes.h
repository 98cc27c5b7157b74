// What attributes.c and times.c share: calls that are printed with what they answered.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL(...) show(#__VA_ARGS__, errno_of(__VA_ARGS__))
static long errno_of(long r) { return r == -1 ? -errno : r; }
static void show(const char *what, long result) {
  printf("%s = %ld\n", what, result);
  fflush(stdout);
}

static void *const BAD = (void *)8;

struct part {
  const char *name;
  void (*run)(void);
};

/** Runs the part that the first argument names, or all; the table ends with one without a name. */
static int run_parts(int argc, char **argv, const struct part *parts) {
  // A process group of its own; the sandbox's first process has one already.
  setpgid(0, 0);
  for (; parts->name; parts++)
    if (argc < 2 || !strcmp(argv[1], parts->name)) parts->run();
  return 0;
}
