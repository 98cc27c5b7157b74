// Real-time signals, thousands of them, at random moments into tight loops of calls: each is taken exactly once, and no
// call ends in another way than it may. The sender waits now and then, so that the queue does not overflow.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIGNALS = 4000 };

static atomic_int taken, wrong, sum;
static atomic_int *finished;
static uint32_t words[2];

static void take(int signo, siginfo_t *info, void *context) {
  (void)context;
  if (signo != SIGRTMIN || info->si_code != SI_QUEUE || info->si_pid != getppid()) wrong++;
  sum ^= info->si_value.sival_int;
  taken++;
}

static void check(long result, int allowed) {
  if (result < 0 && errno != allowed && errno != EINTR) wrong++;
}

static void patched(void) { check(getppid(), 0); }
static void pipes(void) {
  static int fds[2];
  char byte = 1;
  if (!fds[0] && pipe(fds)) return;
  check(write(fds[1], &byte, 1), 0);
  check(read(fds[0], &byte, 1), 0);
}
static void sleeps(void) {
  struct timespec t = {0, 20000};
  check(nanosleep(&t, NULL), 0);
}
static void waits(void) {
  struct timespec t = {0, 20000};
  check(syscall(SYS_futex, &words[0], FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
}
static void several(void) {
  struct {
    uint64_t value, address;
    uint32_t flags, reserved;
  } waiter = {0, (uintptr_t)&words[0], 2 | 128, 0};
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += 20000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  check(syscall(449, &waiter, 1, 0, &t, CLOCK_MONOTONIC), ETIMEDOUT);
}
static void locks(void) {
  check(syscall(SYS_futex, &words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  check(syscall(SYS_futex, &words[1], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
}
static void maps(void) {
  void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) wrong++;
  *(volatile char *)p = 1;
  check(mlock(p, 4096), ENOMEM);
  check(munmap(p, 8192), 0);
}
static void computes(void) {
  for (volatile int i = 0; i < 2000; i++) continue;
}
static void forks(void) {
  pid_t child = vfork();
  if (!child) _exit(3);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0x300) wrong++;
}

static void *other(void *call) {
  while (taken < SIGNALS) ((void (*)(void))call)();
  return NULL;
}

/** Runs one loop in a process of two threads and sends it the signals. */
static void bombard(const char *name, void (*call)(void), int threads) {
  *finished = 0;
  pid_t child = fork();
  if (!child) {
    struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, NULL);
    pthread_t thread;
    if (threads > 1) pthread_create(&thread, NULL, other, call);
    *finished = 1;
    other(call);
    if (threads > 1) pthread_join(thread, NULL);
    usleep(1000);
    printf("%s: %d taken, %d wrong, sum %d\n", name, taken, wrong, sum);
    _exit(fflush(stdout));
  }
  while (!*finished) sched_yield();
  for (int i = 0; i < SIGNALS; i++) {
    union sigval value = {.sival_int = i * 7919};
    while (sigqueue(child, SIGRTMIN, value) < 0) usleep(200);
    if (i % 16 == 0) usleep(i % 96);
  }
  int status;
  waitpid(child, &status, 0);
  if (status) printf("%s: status %x\n", name, status);
}

int main(void) {
  setbuf(stdout, NULL);
  finished = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const struct {
    const char *name;
    void (*call)(void);
    int threads;
  } loops[] = {
      {"computes", computes, 2}, {"patched", patched, 2}, {"pipes", pipes, 1},
      {"sleeps", sleeps, 2},     {"waits", waits, 2},     {"several", several, 2},
      {"locks", locks, 2},       {"maps", maps, 2},       {"forks", forks, 1},
  };
  for (unsigned i = 0; i < sizeof loops / sizeof *loops; i++) bombard(loops[i].name, loops[i].call, loops[i].threads);
}
