// A tracer that asks for everything with any arguments, and sets its tracees' registers and memory (the stub's and the
// slot's included) to anything: the sentry must live on. `tracer SEED SECONDS` prints how it went.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;

static uint64_t draw(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static uint64_t below(uint64_t n) { return draw() % n; }

static const int REQUESTS[] = {
    // but PTRACE_TRACEME: its own tracer would not let it go on
    1,      2,      3,      4,      5,      6,      7,      7,      7,      8,      9,      9,
    12,     13,     14,     15,     16,     17,     21,     24,     24,     24,     25,     26,
    30,     31,     32,     33,     0x4200, 0x4201, 0x4202, 0x4203, 0x4204, 0x4205, 0x4206, 0x4207,
    0x4208, 0x4209, 0x420a, 0x420b, 0x420c, 0x420d, 0x420e, 0x420f, 0x4210, 0x4211, 0x4212, 0x4213,
};

static char buffer[16384] __attribute__((aligned(64)));

/** Values that mean something to somebody. */
static uint64_t value(void) {
  switch (below(12)) {
  case 0: return below(16);
  case 1: return below(1024) * 8;
  case 2: return (uint64_t)buffer + below(64) * 8;
  case 3: return -1 - below(600);
  case 4: return 0x7e0000000000 + below(0x40000000);
  case 5: return 0x7e0020000000 + below(64) * 0x20000 + below(1100) * 4;
  case 6: return draw();
  case 7: return 1ull << below(64);
  case 8: return below(70);
  case 9: return 0x7fffffffe000 + below(0x4000);
  case 10: return (uint64_t)&draw + below(64);
  default: return 0;
  }
}

static void *turn(void *argument) {
  for (int i = 0; i < 50; i++) {
    getppid();
    syscall(SYS_sched_yield);
    usleep(10);
  }
  return argument;
}

static void be_traced(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  for (;;) {
    pthread_t thread;
    turn(NULL);
    if (pthread_create(&thread, NULL, turn, NULL) == 0) pthread_join(thread, NULL);
    if (fork() == 0) _exit(1);
    waitpid(-1, NULL, WNOHANG);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, 4096);
  }
}

static pid_t start(void) {
  pid_t pid;
  while ((pid = fork()) < 0) usleep(1000);
  if (pid == 0) be_traced();
  return pid;
}

static void scribble(pid_t pid) {
  char path[64];
  uint64_t word = value();
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR);
  if (fd >= 0 && pwrite(fd, &word, 8, value()) < 0) word = 0;
  if (fd >= 0) close(fd);
  struct iovec own = {&word, 8}, its = {(void *)value(), 8};
  process_vm_writev(pid, &own, 1, &its, 1, 0);
}

static void change_registers(pid_t pid) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers)) return;
  for (uint64_t i = 1 + below(4); i > 0; i--) ((uint64_t *)&registers)[below(27)] = value();
  // Mostly it should live on for a while.
  if (below(4)) ptrace(PTRACE_SETREGS, pid, 0, &registers);
  else ptrace(PTRACE_POKEUSER, pid, below(120) * 8, value());
}

int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], NULL, 0) * 2654435761u + 1 : 1;
  time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 3);
  pid_t pid = start();
  unsigned long asked = 0, tracees = 1, answered = 0;
  while (time(NULL) < end) {
    int status;
    pid_t stopped = waitpid(-1, &status, __WALL | WNOHANG);
    if (stopped == pid && !WIFSTOPPED(status)) {
      pid = start();
      tracees++;
    }
    pid_t target = stopped > 0 && below(4) ? stopped : pid;
    for (size_t i = 0; i < sizeof buffer && below(8) == 0; i += 8) *(uint64_t *)(buffer + i) = value();
    for (int i = 0; i < 3; i++, asked++) {
      uint64_t data = below(2) ? (uint64_t)buffer : value();
      int request = REQUESTS[below(sizeof REQUESTS / sizeof REQUESTS[0])];
      if (request == 8 && below(10)) continue;
      answered += syscall(SYS_ptrace, request, (long)target, below(2) ? 0 : value(), data) >= 0;
    }
    if (below(10) == 0) change_registers(target);
    if (below(40) == 0) scribble(target);
    if (below(3) == 0) ptrace(below(2) ? PTRACE_SYSCALL : PTRACE_CONT, target, 0, 0);
    if (below(50) == 0) kill(pid, below(2) ? SIGCONT : SIGUSR1);
    if (below(500) == 0) kill(pid, SIGKILL);
  }
  kill(pid, SIGKILL);
  fprintf(stderr, "%lu requests, %lu answered, %lu tracees\n", asked, answered, tracees);
  printf("done\n");
  return answered > 100 && tracees > 1 ? 0 : 1;
}
