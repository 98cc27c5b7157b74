// Makes every use of seccomp(2) and prctl(PR_SET_SECCOMP), also with filters that the kernel refuses, and prints what
// came of it. Each check runs in a process of its own. What it prints in a sandbox must be what it prints on the host,
// so it keeps to calls that come to the sandbox (the host runs mmap, brk, futex and the like there).

#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(array)         (sizeof(array) / sizeof *(array))
#define LOAD(field)           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(value)            BPF_STMT(BPF_RET | BPF_K, value)
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)

static long seccomp(unsigned operation, unsigned flags, void *args) {
  return syscall(SYS_seccomp, operation, flags, args);
}

static void report(const char *what, long result) {
  if (result < 0) printf("%s: %ld %s\n", what, result, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
  fflush(stdout);
}

static long load(struct sock_filter *filter, unsigned length, unsigned flags) {
  struct sock_fprog program = {length, filter};
  return seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

/** One action for one call, everything else allowed. */
static long forbid(unsigned nr, unsigned action, unsigned flags) {
  struct sock_filter filter[] = {LOAD(nr), EQUAL(nr, 0, 1), RET(action), RET(SECCOMP_RET_ALLOW)};
  return load(filter, LENGTH(filter), flags);
}

static void no_new_privileges(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) perror("prctl");
}

static void in_child(const char *name, void (*check)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    no_new_privileges();
    check();
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("%s: killed by %d\n", name, WTERMSIG(status));
  else printf("%s: exit %d\n", name, WEXITSTATUS(status));
}

// ---- actions ----

static void on_trap(int signal, siginfo_t *info, void *context) {
  greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
  printf("signal %d code %d errno %d syscall %d arch %x at rip %d rax %lld\n", signal, info->si_code, info->si_errno,
         info->si_syscall, info->si_arch, (long long)info->si_call_addr == reg[REG_RIP], (long long)reg[REG_RAX]);
  reg[REG_RAX] = 4711;
}

static void trap_action(void) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  report("install", forbid(SYS_getppid, SECCOMP_RET_TRAP | 77, 0));
  report("getppid", syscall(SYS_getppid));
  for (int i = 0; i < 20; i++)
    if (syscall(SYS_getppid) != 4711) report("again", i);
}

static void trap_blocked(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  sigprocmask(SIG_BLOCK, &set, NULL);
  forbid(SYS_getppid, SECCOMP_RET_TRAP, 0);
  report("getppid", syscall(SYS_getppid));
}

static void trap_ignored(void) {
  signal(SIGSYS, SIG_IGN);
  forbid(SYS_getppid, SECCOMP_RET_TRAP, 0);
  report("getppid", syscall(SYS_getppid));
}

static void errno_action(void) {
  forbid(SYS_getppid, SECCOMP_RET_ERRNO | ELOOP, 0);
  report("getppid", syscall(SYS_getppid));
  forbid(SYS_getuid, SECCOMP_RET_ERRNO | 0, 0);
  report("getuid", syscall(SYS_getuid));
  forbid(SYS_getgid, SECCOMP_RET_ERRNO | 0xffff, 0);
  report("getgid", syscall(SYS_getgid));
  forbid(SYS_getegid, SECCOMP_RET_TRACE | 5, 0);
  report("getegid", syscall(SYS_getegid));
  forbid(900, SECCOMP_RET_ERRNO | EXDEV, 0);
  report("call 900", syscall(900));
  report("call 901", syscall(901));
  forbid(SYS_getpgrp, SECCOMP_RET_LOG, SECCOMP_FILTER_FLAG_LOG);
  report("getpgrp", syscall(SYS_getpgrp) > 0);
}

static void kill_process(void) {
  forbid(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);
  report("getppid", syscall(SYS_getppid));
}

static void kill_thread_alone(void) {
  forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
  report("getppid", syscall(SYS_getppid));
}

static void unknown_action(void) {
  forbid(SYS_getppid, 0x12340000, 0);
  report("getppid", syscall(SYS_getppid));
}

static void *dies(void *unused) {
  syscall(SYS_getppid);
  report("still there", 1);
  return unused;
}

static void kill_one_thread(void) {
  forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, dies, NULL);
  pthread_join(thread, NULL);
  report("the other goes on", 0);
}

static void kill_whole_process(void) {
  forbid(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, dies, NULL);
  pthread_join(thread, NULL);
  report("the other goes on", 0);
}

static void precedence(void) {
  forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0);
  forbid(SYS_getppid, SECCOMP_RET_ERRNO | 2, 0);
  report("newest errno", syscall(SYS_getppid));
  forbid(SYS_getppid, SECCOMP_RET_ALLOW, 0);
  report("allow changes nothing", syscall(SYS_getppid));
  forbid(SYS_getppid, SECCOMP_RET_LOG, 0);
  report("log changes nothing", syscall(SYS_getppid));
  forbid(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);
  report("kill wins", syscall(SYS_getppid));
}

static void actions(void) {
  in_child("trap", trap_action);
  in_child("trap blocked", trap_blocked);
  in_child("trap ignored", trap_ignored);
  in_child("errno", errno_action);
  in_child("kill process", kill_process);
  in_child("kill the only thread", kill_thread_alone);
  in_child("kill one thread", kill_one_thread);
  in_child("kill all threads", kill_whole_process);
  in_child("unknown action", unknown_action);
  in_child("precedence", precedence);
}

// ---- strict mode ----

static void strict_allowed(void) {
  report("strict", seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
  syscall(SYS_write, 1, "written\n", 8);
  syscall(SYS_exit, 7);
}

static void strict_violated(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
  syscall(SYS_getppid);
}

static void strict_refused(void) {
  report("flags", seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL));
  report("argument", seccomp(SECCOMP_SET_MODE_STRICT, 0, ""));
  report("mode 5", prctl(PR_SET_SECCOMP, 5, 0, 0, 0));
  report("mode", prctl(PR_GET_SECCOMP));
  forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0);
  report("mode", prctl(PR_GET_SECCOMP));
  report("strict after a filter", seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
}

static void strict(void) {
  in_child("allowed", strict_allowed);
  in_child("violated", strict_violated);
  in_child("refused", strict_refused);
}

// ---- what is taken ----

static void try_filter(const char *name, struct sock_filter *filter, unsigned length) {
  report(name, load(filter, length, 0));
}

#define TRY(name, ...)                                                                                                 \
  do {                                                                                                                 \
    struct sock_filter filter_[] = {__VA_ARGS__};                                                                      \
    try_filter(name, filter_, LENGTH(filter_));                                                                        \
  } while (0)

static void validity(void) {
  const struct sock_filter end = RET(SECCOMP_RET_ALLOW);
  TRY("plain", end);
  TRY("no return", LOAD(nr));
  TRY("return of X", BPF_STMT(BPF_RET | BPF_X, 0));
  TRY("return of A", BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
  TRY("length", BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), EQUAL(64, 0, 1), end, RET(SECCOMP_RET_KILL_PROCESS));
  TRY("length to X", BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), end);
  TRY("load unaligned", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), end);
  TRY("load outside", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), end);
  TRY("load last", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), end);
  TRY("load half", BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), end);
  TRY("load byte", BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), end);
  TRY("load indirect", BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), end);
  TRY("load header length", BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), end);
  TRY("jump", BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0), end);
  TRY("jump too far", BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), end);
  TRY("jump backwards", BPF_JUMP(BPF_JMP | BPF_JA, -1, 0, 0), end);
  TRY("branch too far", EQUAL(0, 1, 0), end);
  TRY("other branch too far", EQUAL(0, 0, 1), end);
  TRY("division", BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3), end);
  TRY("division by 0", BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), end);
  TRY("modulo", BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), end);
  TRY("shift", BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), end);
  TRY("shift by 32", BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), end);
  TRY("shift right by 32", BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), end);
  TRY("negation", BPF_STMT(BPF_ALU | BPF_NEG, 0), end);
  TRY("registers", BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), end);
  TRY("scratch", BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_MEM, 15), end);
  TRY("scratch 16", BPF_STMT(BPF_ST, 16), end);
  TRY("scratch unwritten", BPF_STMT(BPF_LD | BPF_MEM, 1), end);
  TRY("scratch written on one path", EQUAL(0, 0, 1), BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LD | BPF_MEM, 1), end);
  TRY("scratch written on both", BPF_STMT(BPF_STX, 1), EQUAL(0, 0, 1), BPF_STMT(BPF_ST, 1),
      BPF_STMT(BPF_LDX | BPF_MEM, 1), end);
  TRY("unknown", BPF_STMT(0xff, 0), end);
  TRY("wide code", BPF_STMT(0x106, SECCOMP_RET_ALLOW), end);
}

static void sizes(void) {
  static struct sock_filter filter[BPF_MAXINSNS + 1];
  for (unsigned i = 0; i < LENGTH(filter); i++) filter[i] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
  report("length 0", load(filter, 0, 0));
  report("length 4096", load(filter, BPF_MAXINSNS, 0));
  report("length 4097", load(filter, BPF_MAXINSNS + 1, 0));
  report("no program", seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL));
  report("no filter", load(NULL, 1, 0));
  report("bad filter", load((void *)8, 1, 0));
  report("bad flags", load(filter, 1, 0x8000));
  report("speculation", load(filter, 1, SECCOMP_FILTER_FLAG_SPEC_ALLOW));
  report("listener without ESRCH", load(filter, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC));
  report("operation 17", seccomp(17, 0, NULL));
  const unsigned known[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,  SECCOMP_RET_ERRNO,
                            SECCOMP_RET_TRACE,        SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW, 0x12340000,
                            SECCOMP_RET_ERRNO | 1};
  for (unsigned i = 0; i < LENGTH(known); i++) {
    unsigned action = known[i];
    printf("%08x ", action);
    report("available", seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
  }
  report("available, flags", seccomp(SECCOMP_GET_ACTION_AVAIL, 1, (void *)known));
  report("available, bad pointer", seccomp(SECCOMP_GET_ACTION_AVAIL, 0, (void *)8));
}

static void filters(void) {
  in_child("validity", validity);
  in_child("sizes", sizes);
}

// ---- what the programs compute ----

/** Runs a filter on getpriority(a, b): the program leaves an error number in A. */
static void compute(const char *name, struct sock_filter *body, unsigned length, long first, long second) {
  struct sock_filter filter[64] = {LOAD(nr), EQUAL(SYS_getpriority, 1, 0), RET(SECCOMP_RET_ALLOW)};
  memcpy(filter + 3, body, length * sizeof *body);
  const struct sock_filter tail[] = {BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
                                     BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
                                     BPF_STMT(BPF_RET | BPF_A, 0)};
  memcpy(filter + 3 + length, tail, sizeof tail);
  fflush(stdout);
  if (fork()) {
    int status;
    wait(&status);
    if (WIFSIGNALED(status)) printf("%s: killed by %d\n", name, WTERMSIG(status));
    return;
  }
  if (load(filter, length + 6, 0)) report("load", -1);
  long result = syscall(SYS_getpriority, first, second);
  printf("%s: %ld %d\n", name, result, result < 0 ? errno : 0);
  fflush(stdout);
  _exit(0);
}

#define LOW(i)  offsetof(struct seccomp_data, args[i])
#define HIGH(i) (LOW(i) + 4)
#define COMPUTE(first, second, ...)                                                                                    \
  do {                                                                                                                 \
    struct sock_filter body_[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(1)), BPF_STMT(BPF_MISC | BPF_TAX, 0),         \
                                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(0)), __VA_ARGS__};                            \
    compute(#__VA_ARGS__ " of " #first ", " #second, body_, LENGTH(body_), first, second);                             \
  } while (0)
#define ALU(op, source, k) BPF_STMT(BPF_ALU | op | source, k)
#define BRANCH(op, source, k)                                                                                          \
  BPF_JUMP(BPF_JMP | op | source, k, 1, 0), BPF_STMT(BPF_LD | BPF_IMM, 11), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 22)

static void arithmetic(void) {
  COMPUTE(5, 7, ALU(BPF_ADD, BPF_X, 0));
  COMPUTE(5, 7, ALU(BPF_SUB, BPF_X, 0));
  COMPUTE(0xffffffff, 7, ALU(BPF_MUL, BPF_X, 0));
  COMPUTE(0x12345678, 0x9abcdef0, ALU(BPF_MUL, BPF_X, 0), ALU(BPF_RSH, BPF_K, 20));
  COMPUTE(0xfffffff0, 16, ALU(BPF_DIV, BPF_X, 0), ALU(BPF_RSH, BPF_K, 16));
  COMPUTE(100, 0xfffffff0, ALU(BPF_DIV, BPF_X, 0));
  COMPUTE(100, 0, ALU(BPF_DIV, BPF_X, 0));
  COMPUTE(0xfffffff0, 0, ALU(BPF_DIV, BPF_K, 0x80000001));
  COMPUTE(0xff0f, 0xf3, ALU(BPF_AND, BPF_X, 0));
  COMPUTE(0x30f, 0xf0, ALU(BPF_OR, BPF_X, 0));
  COMPUTE(0x30f, 0xf1, ALU(BPF_XOR, BPF_X, 0));
  COMPUTE(3, 4, ALU(BPF_LSH, BPF_X, 0));
  COMPUTE(0x80000000, 27, ALU(BPF_RSH, BPF_X, 0));
  COMPUTE(5, 0, BPF_STMT(BPF_ALU | BPF_NEG, 0));
  COMPUTE(5, 6, BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_STX, 4), BPF_STMT(BPF_LDX | BPF_MEM, 3),
          BPF_STMT(BPF_LD | BPF_MEM, 4), ALU(BPF_LSH, BPF_K, 4), ALU(BPF_ADD, BPF_X, 0));
  COMPUTE(0x700000009, 0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH(0)));
  COMPUTE(0, -1L, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH(1)));
  COMPUTE(0, 0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
  const long values[] = {0, 1, 8, 0x7fffffff, 0x80000000, 0xffffffff};
  for (unsigned i = 0; i < LENGTH(values); i++) {
    for (unsigned j = 0; j < LENGTH(values); j++) {
      printf("%lx %lx\n", values[i], values[j]);
      COMPUTE(values[i], values[j], BRANCH(BPF_JGT, BPF_X, 0));
      COMPUTE(values[i], values[j], BRANCH(BPF_JGE, BPF_X, 0));
      COMPUTE(values[i], values[j], BRANCH(BPF_JEQ, BPF_X, 0));
      COMPUTE(values[i], values[j], BRANCH(BPF_JSET, BPF_X, 0));
    }
    COMPUTE(values[i], 0, BRANCH(BPF_JGT, BPF_K, 0x80000000));
    COMPUTE(values[i], 0, BRANCH(BPF_JGE, BPF_K, 0x80000000));
    COMPUTE(values[i], 0, BRANCH(BPF_JEQ, BPF_K, 0x80000000));
    COMPUTE(values[i], 0, BRANCH(BPF_JSET, BPF_K, 0x80000000));
  }
}

// ---- privilege, inheritance, threads ----

static void unprivileged(void) {
  if (setresuid(1234, 1234, 1234)) perror("setresuid");
  report("without no_new_privs", forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0));
  report("prctl", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
  no_new_privileges();
  report("with it", forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0));
}

static void privilege(void) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    unprivileged();
    _exit(0);
  }
  waitpid(child, NULL, 0);
  child = fork();
  if (!child) {
    report("as administrator", forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0));
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void show_status(void) {
  char line[256];
  FILE *file = fopen("/proc/thread-self/status", "r");
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10)) fputs(line, stdout);
  fclose(file);
  fflush(stdout);
}

static void inherits(void) {
  show_status();
  forbid(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV, 0);
  show_status();
  fflush(stdout);
  if (!fork()) {
    report("in a child", syscall(SYS_getppid));
    forbid(SYS_getuid, SECCOMP_RET_ERRNO | EXDEV, 0);
    show_status();
    execl("/proc/self/exe", "seccomp", "after-exec", NULL);
  }
  wait(NULL);
  report("the parent has its own", syscall(SYS_getuid) >= 0);
  show_status();
}

static pthread_barrier_t barrier;

static void *waits(void *own_filter) {
  if (own_filter) forbid(SYS_getgid, SECCOMP_RET_ERRNO | ENXIO, 0);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  report("in the thread, getppid", syscall(SYS_getppid) > 0 ? 1 : -1);
  show_status();
  return NULL;
}

static void synchronize(void *own_filter, unsigned flags) {
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, waits, own_filter);
  pthread_barrier_wait(&barrier);
  long result = forbid(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV, flags);
  report("synchronize", result > 0 ? 1 : result);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  show_status();
}

static void synchronized(void) { synchronize(NULL, SECCOMP_FILTER_FLAG_TSYNC); }
static void diverged(void) { synchronize("", SECCOMP_FILTER_FLAG_TSYNC); }
static void diverged_error(void) { synchronize("", SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH); }
static void not_synchronized(void) { synchronize(NULL, 0); }

static void chain(void) {
  static struct sock_filter filter[2048];
  for (unsigned i = 0; i < LENGTH(filter); i++) filter[i] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
  long result = 0;
  int count = 0;
  while (count < 100 && !result) {
    result = load(filter, LENGTH(filter), 0);
    count++;
  }
  printf("the chain is limited: %s\n", result < 0 ? strerrorname_np(errno) : "no");
}

static void tasks(void) {
  privilege();
  in_child("inheritance", inherits);
  in_child("synchronized", synchronized);
  in_child("not synchronized", not_synchronized);
  in_child("diverged", diverged);
  in_child("diverged, ESRCH", diverged_error);
  in_child("chain", chain);
}

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "";
  if (!strcmp(part, "actions")) actions();
  else if (!strcmp(part, "strict")) strict();
  else if (!strcmp(part, "filters")) filters();
  else if (!strcmp(part, "arithmetic")) {
    no_new_privileges();
    arithmetic();
  } else if (!strcmp(part, "tasks")) tasks();
  else if (!strcmp(part, "after-exec")) {
    report("after exec", syscall(SYS_getppid));
    report("after exec", syscall(SYS_getuid));
    show_status();
  } else return 2;
  return 0;
}
