// What the programs that test ptrace(2) share: process ids are printed as the order in which they first appear.
#pragma once
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS_ALL 0xff
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

static pid_t known[64];
static int known_count;

static int name_of(pid_t pid) {
  for (int i = 0; i < known_count; i++)
    if (known[i] == pid) return i;
  known[known_count] = pid;
  return known_count++;
}

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

#define SAY(call) say(#call, (long)(call))

static long trace(int request, pid_t pid, long address, long data) {
  return syscall(SYS_ptrace, request, (long)pid, address, data);
}

static int wait_stop(pid_t pid) {
  int status = -1;
  pid_t got = waitpid(pid, &status, __WALL);
  if (got < 0) {
    printf("wait: %s\n", strerrorname_np(errno));
    return -1;
  }
  printf("[%d] ", name_of(got));
  if (WIFEXITED(status)) printf("exited %d\n", WEXITSTATUS(status));
  else if (WIFSIGNALED(status)) printf("killed %d\n", WTERMSIG(status));
  else if (WIFCONTINUED(status)) printf("continued\n");
  else printf("stop %d flags %x event %d\n", WSTOPSIG(status) & 0x7f, WSTOPSIG(status) & 0x80, status >> 16);
  return status;
}

static struct user_regs_struct registers_of(pid_t pid) {
  struct user_regs_struct registers;
  memset(&registers, 0x55, sizeof registers);
  if (trace(PTRACE_GETREGS, pid, 0, (long)&registers)) say("GETREGS", -1);
  return registers;
}

static void show_call(pid_t pid) {
  struct user_regs_struct r = registers_of(pid);
  struct __ptrace_syscall_info info;
  memset(&info, 0, sizeof info);
  long got = trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, (long)&info);
  printf("  nr %ld rax %ld info %ld op %d arch %x ip %d sp %d", (long)r.orig_rax, (long)r.rax, got, info.op, info.arch,
         info.instruction_pointer == r.rip, info.stack_pointer == r.rsp);
  if (info.op == 1) printf(" entry %lu %d", (long)info.entry.nr, info.entry.args[2] == r.rdx);
  if (info.op == 2) printf(" exit %ld %d", (long)info.exit.rval, info.exit.is_error);
  if (info.op == 3) printf(" seccomp %ld %u", (long)info.seccomp.nr, info.seccomp.ret_data);
  printf("\n");
}

static void show_signal(pid_t pid) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (trace(PTRACE_GETSIGINFO, pid, 0, (long)&info)) {
    say("  GETSIGINFO", -1);
    return;
  }
  printf("  signo %d code %x\n", info.si_signo, info.si_code);
}

/** Until the tracee sleeps in its call. */
static void until_asleep(pid_t pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  for (int i = 0; i < 2000; i++) {
    usleep(5000);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[length] = 0;
    char *state = strrchr(text, ')');
    if (state && state[2] == 'S') return;
  }
}

static pid_t start(void (*child)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid) {
    name_of(pid);
    return pid;
  }
  trace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  child();
  _exit(0);
}

static void end(pid_t pid) {
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, __WALL) == pid) continue;
}

/** Goes on by the request until the tracee ends, showing every stop. */
static void follow(pid_t pid, int request, int most) {
  for (int i = 0; i < most; i++) {
    if (trace(request, pid, 0, 0)) say("resume", -1);
    int status = wait_stop(pid);
    if (status == -1 || !WIFSTOPPED(status)) return;
    if (request == PTRACE_SYSCALL) show_call(pid);
    else show_signal(pid);
  }
  end(pid);
}

static void show_status(pid_t pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    int tracer;
    if (!strncmp(line, "State:", 6)) printf("%s", line);
    if (sscanf(line, "TracerPid: %d", &tracer) == 1)
      printf("tracer: %s\n", tracer == getpid() ? "me" : tracer ? "another" : "none");
  }
  if (file) fclose(file);
}

static struct user_regs_struct to_call(pid_t pid) {
  trace(PTRACE_SYSCALL, pid, 0, 0);
  int status;
  waitpid(pid, &status, 0);
  return registers_of(pid);
}

static void set(pid_t pid, struct user_regs_struct *r) {
  if (trace(PTRACE_SETREGS, pid, 0, (long)r)) say("SETREGS", -1);
}

static long answers[8]; // of calls that a tracee made
static int pipe_fds[2];

static volatile int handled;
static void handler(int signo) { handled = handled * 10 + signo % 10; }

static void sleep_for_ever(void) {
  for (;;) pause();
}

static pid_t start_untraced(void (*child)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    child();
    _exit(0);
  }
  name_of(pid);
  return pid;
}

struct part {
  const char *name;
  void (*run)(void);
};

/** Runs the part that the first argument names; the table ends with one without a name. */
static int run_part(int argc, char **argv, const struct part *parts) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(20);
  for (; argc > 1 && parts->name; parts++)
    if (!strcmp(argv[1], parts->name)) parts->run();
  return 0;
}
