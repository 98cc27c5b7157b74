// Programs whose core file would take long: an address space of nothing, much memory in several threads, and one that
// is killed while it is written. The core files are in the working directory.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *wait_for_ever(void *unused) {
  pause();
  return unused;
}

static void *count_for_ever(void *unused) {
  for (volatile long i = 0;; i++) continue;
  return unused;
}

static pid_t die(long size, int touch, int threads) {
  pid_t pid = fork();
  if (pid) return pid;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) _exit(1);
  if (touch) memset(memory, 'x', size);
  else memory[size / 2] = 'x';
  pthread_t thread;
  for (int i = 0; i < threads; i++) pthread_create(&thread, NULL, i & 1 ? wait_for_ever : count_for_ever, NULL);
  usleep(10000);
  abort();
}

static void report(const char *what, pid_t pid, long size) {
  int status;
  struct stat file = {0};
  char name[64];
  waitpid(pid, &status, 0);
  snprintf(name, sizeof name, "core.%d", pid);
  stat(name, &file);
  printf("%s: signal %d, %s\n", what, WTERMSIG(status),
         !WCOREDUMP(status)     ? "no core"
         : file.st_size >= size ? "all"
                                : "cut");
  fflush(stdout);
  unlink(name);
}

int main(void) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &limit);
  report("a desert", die(64l << 30, 0, 0), 64l << 30);
  report("much", die(200l << 20, 1, 0), 200l << 20);
  report("several threads", die(100l << 20, 1, 4), 100l << 20);
  pid_t pid = die(8000l << 30, 0, 2);
  usleep(60000);
  kill(pid, SIGSTOP);
  kill(pid, SIGCONT);
  kill(pid, SIGKILL);
  report("killed", pid, 0);
  return 0;
}
