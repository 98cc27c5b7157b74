// Waits until the farthest time there is: each by itself, in a child that nothing else wakes. The parent looks on
// without a call (the clock is the vDSO's) until no nearer deadline is left in the kernel, then kills it: it must have
// waited.

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec far = {INT64_MAX, 999999999};

static void select_far(void) {
  struct timeval t = {INT64_MAX, 999999};
  select(0, NULL, NULL, NULL, &t);
}
static void select_both_far(void) {
  struct timeval t = {INT64_MAX, INT64_MAX};
  select(0, NULL, NULL, NULL, &t);
}
static void pselect_far(void) { pselect(0, NULL, NULL, NULL, &far, NULL); }
static void ppoll_far(void) { ppoll(NULL, 0, &far, NULL); }
static void nanosleep_far(void) { nanosleep(&far, NULL); }
static void clock_nanosleep_far(void) { clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &far, NULL); }
static void sigtimedwait_far(void) {
  sigset_t set;
  sigemptyset(&set);
  sigtimedwait(&set, NULL, &far);
}
static void timerfd_far(void) {
  struct itimerspec when = {far, far};
  int fd = timerfd_create(CLOCK_REALTIME, 0);
  timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
  uint64_t ticks;
  (void)!read(fd, &ticks, sizeof ticks);
}
static void timerfd_interval_far(void) {
  struct itimerspec when = {far, {0, 1}};
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  timerfd_settime(fd, 0, &when, NULL);
  uint64_t ticks;
  while (read(fd, &ticks, sizeof ticks) == sizeof ticks)
    ;
}
static void timer_far(void) {
  struct itimerspec when = {far, {0, 1}};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  timer_settime(timer, 0, &when, NULL);
  for (;;) pause();
}
static void itimer_far(void) {
  struct itimerval when = {{INT64_MAX, 0}, {0, 1}};
  signal(SIGALRM, SIG_IGN);
  setitimer(ITIMER_REAL, &when, NULL);
  for (;;) pause();
}
static void receive_far(void) {
  struct timeval t = {INT64_MAX, 999999};
  int pair[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  char byte;
  (void)!read(pair[0], &byte, 1);
}
static void epoll_far(void) {
  int epoll = syscall(SYS_epoll_create1, 0);
  char events[12];
  syscall(SYS_epoll_pwait2, epoll, events, 1, &far, NULL, 8);
}
static void aio_far(void) {
  unsigned long context = 0;
  char events[32];
  syscall(SYS_io_setup, 1, &context);
  syscall(SYS_io_getevents, context, 1, 1, events, &far);
}

static void waits(const char *name, void (*wait_far)(void)) {
  pid_t child = fork();
  if (child == 0) {
    wait_far();
    _exit(7);
  }
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 150000000L);
  kill(child, SIGKILL);
  int status;
  waitpid(child, &status, 0);
  printf("%s: %s\n", name, WIFSIGNALED(status) ? "waited" : WEXITSTATUS(status) == 7 ? "returned" : "ended");
}
#define WAITS(name) waits(#name, name)

int main(void) {
  WAITS(select_far);
  WAITS(select_both_far);
  WAITS(pselect_far);
  WAITS(ppoll_far);
  WAITS(nanosleep_far);
  WAITS(clock_nanosleep_far);
  WAITS(sigtimedwait_far);
  WAITS(timerfd_far);
  WAITS(timerfd_interval_far);
  WAITS(timer_far);
  WAITS(itimer_far);
  WAITS(receive_far);
  WAITS(epoll_far);
  WAITS(aio_far);
  return 0;
}
