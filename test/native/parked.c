// Pairs of processes that wait for each other over pipes, so that calls block and are woken all the time, while timers
// interrupt one side of each with signals. Prints how many bytes came back as they were sent.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 3, ROUNDS = 3000 };

static void on_alarm(int signal) { (void)signal; }

static int get(int fd) {
  unsigned char byte;
  for (;;) {
    ssize_t got = read(fd, &byte, 1);
    if (got == 1) return byte;
    if (got == 0 || errno != EINTR) return -1;
  }
}

static int put(int fd, int value) {
  unsigned char byte = value;
  for (;;) {
    if (write(fd, &byte, 1) == 1) return 0;
    if (errno != EINTR) return -1;
  }
}

/** One side of a pair: its rounds that went well. */
static int serve(int from, int to, int first) {
  int good = 0;
  for (int i = 0; i < ROUNDS; i++) {
    int value = i * 7 & 255;
    if (first && put(to, value)) break;
    int got = get(from);
    if (got < 0 || (!first && put(to, got))) break;
    good += got == value;
  }
  return good;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  int results[2];
  if (pipe(results)) return 1;
  for (int pair = 0; pair < PAIRS; pair++) {
    int there[2], back[2];
    if (pipe(there) || pipe(back)) return 1;
    for (int side = 0; side < 2; side++) {
      if (fork()) continue;
      struct itimerval often = {{0, 300 + 100 * pair}, {0, 300}};
      if (side == 0) setitimer(ITIMER_REAL, &often, NULL);
      int good = side == 0 ? serve(back[0], there[1], 1) : serve(there[0], back[1], 0);
      struct itimerval never = {{0, 0}, {0, 0}};
      setitimer(ITIMER_REAL, &never, NULL);
      _exit(write(results[1], &good, sizeof good) != sizeof good);
    }
    close(there[0]), close(there[1]), close(back[0]), close(back[1]);
  }
  close(results[1]);
  int sum = 0, good;
  while (read(results[0], &good, sizeof good) == sizeof good) sum += good;
  while (wait(NULL) > 0) {}
  printf("%d of %d\n", sum, 2 * PAIRS * ROUNDS);
  return 0;
}
