// A tracer that attaches to every thread of a busy process, looks at it, lets it step or make calls, and leaves again,
// over and over. The threads compute, make calls, wait for futexes and each other, map memory and take signals
// meanwhile.
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS  6
#define STEPS    20
#define PATIENCE 50

static long *turns; // shared with the busy process
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int pipe_fds[2];

static void on_signal(int signo) {
  (void)signo;
  __atomic_add_fetch(&turns[THREADS], 1, __ATOMIC_RELAXED);
}

static void *work(void *argument) {
  long which = (long)argument;
  for (;;) {
    turns[which]++;
    char byte = 0;
    switch (which) {
    case 1: getppid(); break;
    case 2:
      pthread_mutex_lock(&mutex);
      pthread_mutex_unlock(&mutex);
      break;
    case 3: usleep(50); break;
    case 4:
      if (write(pipe_fds[1], "x", 1) != 1 || read(pipe_fds[0], &byte, 1) != 1) abort();
      break;
    case 5: {
      char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      page[5] = 1;
      munmap(page, 8192);
      kill(getpid(), SIGUSR1);
    }
    }
  }
  return NULL;
}

static void be_busy(void) {
  pthread_t thread;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  if (pipe(pipe_fds)) abort();
  for (long i = 0; i < THREADS; i++) pthread_create(&thread, NULL, work, (void *)i);
  for (;;) sleep(100);
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int threads_of(pid_t pid, pid_t *tids) {
  char path[64];
  int count = 0;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *directory = opendir(path);
  for (struct dirent *entry; (entry = readdir(directory));)
    if (entry->d_name[0] != '.') tids[count++] = atoi(entry->d_name);
  closedir(directory);
  return count;
}

/** The stop that was asked for; signals that come before it are passed on. */
static void await_stop(pid_t tid, int seized) {
  for (int status;;) {
    if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) fail("wait");
    if (seized ? status >> 16 == 128 : WSTOPSIG(status) == SIGSTOP) return;
    if (ptrace(PTRACE_CONT, tid, 0, status >> 16 ? 0 : WSTOPSIG(status))) fail("cont");
  }
}

/** The signal that is to be delivered with the next resumption. A thread that waits for ever is woken up. */
static int go_on(pid_t pid, pid_t tid, int request, int signo) {
  int status;
  if (ptrace(request, tid, 0, signo)) fail("step");
  for (int i = 0; waitpid(tid, &status, __WALL | WNOHANG) == 0; i++) {
    usleep(200);
    if (i != PATIENCE) continue;
    syscall(SYS_tgkill, pid, tid, SIGUSR1);
    waitpid(tid, &status, __WALL);
    break;
  }
  if (!WIFSTOPPED(status)) {
    printf("ended with %x\n", status);
    exit(1);
  }
  return WSTOPSIG(status) == SIGUSR1 ? SIGUSR1 : 0;
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 8;
  turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) be_busy();
  usleep(50000);
  alarm(60);
  long before[THREADS + 1] = {0};
  for (int round = 0; round < rounds; round++) {
    pid_t tids[64];
    int count = threads_of(pid, tids), seize = round & 2;
    for (int i = 0; i < count; i++) {
      if (ptrace(seize ? PTRACE_SEIZE : PTRACE_ATTACH, tids[i], 0, seize ? PTRACE_O_TRACESYSGOOD : 0)) fail("attach");
      if (seize) ptrace(PTRACE_INTERRUPT, tids[i], 0, 0);
    }
    for (int i = 0; i < count; i++) {
      struct user_regs_struct registers;
      int signo = 0;
      await_stop(tids[i], seize);
      if (ptrace(PTRACE_GETREGS, tids[i], 0, &registers)) fail("registers");
      for (int step = 0; round & 1 && step < STEPS; step++)
        signo = go_on(pid, tids[i], seize ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, signo);
      if (ptrace(PTRACE_DETACH, tids[i], 0, signo)) fail("detach");
    }
    usleep(20000);
  }
  // Nobody was left behind stopped.
  for (int i = 0; i <= THREADS; i++) before[i] = turns[i];
  for (int tries = 0, waiting = 1; waiting && tries < 200; tries++) {
    usleep(50000);
    waiting = 0;
    for (int i = 0; i <= THREADS; i++) waiting += turns[i] == before[i];
  }
  for (int i = 0; i <= THREADS; i++) printf("thread %d %s\n", i, turns[i] > before[i] ? "works" : "hangs");
  kill(pid, SIGKILL);
  int status;
  waitpid(pid, &status, 0);
  printf("%d rounds, then %x\n", rounds, status);
  return 0;
}
