// Makes system calls under a filter, each in a process of its own, and says what became of it.
//
// sentry-filter FILE: the filter is read from FILE, calls come on standard input, "NR A0 .. A5" in hex, with a leading
// 'i' by way of int 0x80. A line each goes out: "killed", "errno N" (0: it worked), or "ended".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter filter[4096];
static struct sock_fprog program = {0, filter};
static volatile long *result; // -1: the call has not come back

static void make_call(int by_interrupt, const unsigned long *a) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) abort();
  long value;
  if (by_interrupt) __asm__ volatile("int $0x80" : "=a"(value) : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]) : "memory");
  else value = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]) == -1 ? -errno : 0;
  *result = value < 0 && value >= -4095 ? -value : 0;
  for (;;) syscall(SYS_exit_group, 0);
}

int main(int argc, char **argv) {
  int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
  program.len = read(fd, filter, sizeof filter) / sizeof *filter;
  close(fd);
  if (!program.len) return 1;
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long a[7];
    int by_interrupt = line[0] == 'i';
    if (sscanf(line + by_interrupt, "%lx %lx %lx %lx %lx %lx %lx", a, a + 1, a + 2, a + 3, a + 4, a + 5, a + 6) != 7)
      return 2;
    *result = -1;
    fflush(stdout);
    pid_t child = fork();
    if (!child) make_call(by_interrupt, a);
    int status;
    if (waitpid(child, &status, 0) != child) return 3;
    if (*result >= 0) printf("errno %ld\n", *result);
    else puts(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "killed" : "ended");
  }
  return 0;
}
