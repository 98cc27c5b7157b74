// A file is closed while the answer to the mmap(2) of it is held up, because its process was stopped just then, and
// others open files meanwhile: what is mapped in the end is the file that was asked for. stale SECONDS
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static struct shared {
  volatile int fd;      // the file that the mapper maps, in the table that it shares with the closer
  volatile int turn;    // of the mapper: goes up with each file
  volatile long mapped; // pages of the right file
  volatile long wrong;
} * shared;

static int make_file(char content) {
  char page[PAGE];
  memset(page, content, sizeof page);
  int fd = memfd_create("file", 0);
  if (write(fd, page, sizeof page) != sizeof page) _exit(4);
  return fd;
}

/** Maps a file of its own, until it is closed; then the next. */
__attribute__((noreturn)) static int mapper(void *unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    shared->fd = make_file('A');
    int fd = shared->fd;
    shared->turn++;
    for (;;) {
      // Mapped once in a while only: a descriptor that the process has already does not travel again.
      int other = make_file('B');
      char *first = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, 0);
      close(other);
      char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
      if (first != MAP_FAILED) munmap(first, PAGE);
      if (page == MAP_FAILED) break;
      if (*page == 'A') shared->mapped++;
      else shared->wrong++;
      munmap(page, PAGE);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  static char stack[1 << 16] __attribute__((aligned(16)));
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  // A process of its own with our descriptors, so that these can be closed while it is stopped.
  pid_t pid = clone(mapper, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL);
  if (pid < 0) return 3;
  time_t end = time(NULL) + atoi(argv[1]);
  long stops = 0;
  while (time(NULL) < end) {
    int turn = shared->turn, status;
    usleep(500 + rand() % 2000);
    kill(pid, SIGSTOP);
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) return 5;
    close(shared->fd);
    pid_t other = fork(); // its descriptors are others
    if (!other) {
      for (int i = 0; i < 16; i++) {
        char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, make_file('V'), 0);
        if (page == MAP_FAILED) _exit(1);
      }
      usleep(10000);
      _exit(0);
    }
    usleep(5000);
    kill(pid, SIGCONT);
    waitpid(other, NULL, 0);
    for (int i = 0; i < 1000 && shared->turn == turn; i++) usleep(1000);
    stops++;
  }
  kill(pid, SIGKILL);
  printf("%s, %s, %ld wrong\n", stops > 3 ? "stopped" : "seldom stopped",
         shared->mapped > 3 ? "mapped" : "seldom mapped", shared->wrong);
  return 0;
}
