// Processes and what they may see of each other, each call with what it answered. Printed is nothing that depends on
// the machine or the moment.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CALL(...) show(#__VA_ARGS__, errno_of((long)(__VA_ARGS__)))
static long errno_of(long r) { return r == -1 ? -errno : r; }
static void show(const char *what, long result) {
  printf("%s = %ld\n", what, result);
  fflush(stdout);
}

static void *const BAD = (void *)8;

static void waiting(void) {
  CALL(wait4(INT_MIN, NULL, 0, NULL));
  siginfo_t info;
  pid_t child = fork();
  if (child == 0) pause();
  int fd = syscall(SYS_pidfd_open, child, O_NONBLOCK);
  CALL(waitid(P_PIDFD, fd, &info, WEXITED));
  CALL(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
  kill(child, SIGKILL);
  usleep(50000);
  struct rusage used;
  CALL(getrusage(RUSAGE_CHILDREN, &used));
  show("memory of children", used.ru_maxrss);
  pid_t large = fork();
  if (large == 0) _exit(memset(malloc(1 << 19), 1, 1 << 19) == NULL);
  CALL(wait4(large, NULL, 0, &used) == large);
  show("memory", used.ru_maxrss > 256);
  CALL(getrusage(RUSAGE_CHILDREN, &used));
  show("memory of children", used.ru_maxrss > 256);
  struct sched_param param;
  struct rlimit limit;
  CALL(sched_getscheduler(child));
  CALL(sched_getparam(child, &param));
  CALL(getpriority(PRIO_PROCESS, child));
  CALL(prlimit(child, RLIMIT_CORE, NULL, &limit));
  CALL(getpgid(child) == getpgrp());
  CALL(waitid(P_PIDFD, fd, &info, WEXITED));
  CALL(waitid(P_PIDFD, fd, &info, WEXITED));
  CALL(sched_getparam(child, &param));
  char *none[] = {"x", NULL};
  CALL(symlink("/bin/true", "/tmp/tasks-link"));
  CALL(syscall(SYS_execveat, AT_FDCWD, "/tmp/tasks-link", none, none, AT_SYMLINK_NOFOLLOW));
  unlink("/tmp/tasks-link");
}

/** Prints what /proc/self and the auxiliary vector call the program; as a script's interpreter, the script. */
static void named(void) {
  char text[64] = "";
  int fd = open("/proc/self/comm", O_RDONLY);
  CALL(read(fd, text, sizeof text - 1));
  printf("%s%s\n", text, (char *)getauxval(AT_EXECFN));
}

/** A script with a name of its own, run by this program. */
static void scripts(void) {
  char line[PATH_MAX + 64], *argv[] = {"x", NULL};
  ssize_t n = readlink("/proc/self/exe", line + 2, PATH_MAX);
  memcpy(line, "#!", 2);
  strcpy(line + 2 + n, " named\n");
  int fd = open("/tmp/tasks-script", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (write(fd, line, strlen(line)) < 0) abort();
  close(fd);
  pid_t child = fork();
  if (child == 0) {
    CALL(chdir("/tmp"));
    CALL(execv("./tasks-script", argv));
    _exit(1);
  }
  waitpid(child, NULL, 0);
  unlink("/tmp/tasks-script");
}

enum { THERE = 0x20000000, KEPT_OPEN = 50 };

static void put_there(void) {
  char *p = mmap((void *)THERE, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  strcpy(p, "secret");
}

/** A file of memory is of the memory of then: a child has it open while its parent executes another program. */
static void execution(void) {
  char text[8], *argv[] = {"tasks", "executed", NULL};
  int pipes[2], mem = open("/proc/self/mem", O_RDONLY);
  if (pipe(pipes) || dup2(pipes[1], KEPT_OPEN) < 0) abort();
  close(pipes[1]);
  put_there();
  CALL(pread(mem, text, 4, THERE));
  if (fork() == 0) {
    close(KEPT_OPEN);
    (void)!read(pipes[0], text, 1);
    CALL(pread(mem, text, 4, THERE));
    _exit(0);
  }
  execv("/proc/self/exe", argv);
}

static void executed(void) {
  put_there();
  close(KEPT_OPEN);
  wait(NULL);
  scripts();
}

static void cloning(void) {
  unsigned long args[8] = {CLONE_PARENT};
  args[4] = SIGCHLD;
  CALL(syscall(SYS_clone3, args, sizeof args));
  CALL(syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, 0x4141414142424242));
  unsigned long base = 0;
  CALL(syscall(SYS_arch_prctl, 0x1003, &base));
  CALL(base == (unsigned long)pthread_self());
  CALL(syscall(SYS_arch_prctl, 0x1003, BAD));
  CALL(syscall(SYS_arch_prctl, 0x1002, 0x4141414142424242));
}

/** Its end is the death of what its child calls a parent. */
static void *forker(void *child) {
  int pipes[2];
  char c;
  if (pipe(pipes)) abort();
  pid_t pid = *(pid_t *)child = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    close(pipes[1]);
    close(pipes[0]);
    while (pause()) continue;
  }
  close(pipes[1]);
  (void)!read(pipes[0], &c, 1);
  return NULL;
}

static void orphans(void) {
  pthread_t thread;
  pid_t child;
  int status = 0;
  pthread_create(&thread, NULL, forker, &child);
  pthread_join(thread, NULL);
  CALL(waitpid(child, &status, 0) == child);
  show("its end", status);
}

static volatile int faults;

/** Faults again, on the stack it is on; at last it skips the faulting instruction (movl $0, (%rax)). */
static void fault_again(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  if (faults-- > 0) __asm__ volatile("movl $0, (%%rax)" : : "a"(0) : "memory");
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 6;
}

/** Handlers one in another until the alternate stack is full, in the middle of memory that is there. */
static void altstack(void) {
  static char memory[1 << 18];
  stack_t stack = {.ss_sp = memory + sizeof memory / 2, .ss_size = 1 << 16};
  struct sigaction action = {.sa_sigaction = fault_again, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  CALL(sigaltstack(&stack, NULL));
  CALL(sigaction(SIGSEGV, &action, NULL));
  for (int depth = 1; depth < 200; depth += 119) {
    pid_t child = fork();
    if (child == 0) {
      faults = depth;
      __asm__ volatile("movl $0, (%%rax)" : : "a"(0) : "memory");
      _exit(3);
    }
    int status = 0;
    waitpid(child, &status, 0);
    show("status", status & ~0x80);
  }
}

static void *sleeper(void *tid) {
  *(volatile pid_t *)tid = gettid();
  while (pause()) continue;
  return NULL;
}

static void signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  volatile pid_t tid = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, sleeper, (void *)&tid);
  while (!tid) usleep(1000);
  siginfo_t info = {.si_code = SI_QUEUE};
  CALL(syscall(SYS_rt_sigqueueinfo, tid, SIGUSR1, &info));
  CALL(sigwaitinfo(&all, &info));
  CALL(kill(tid, SIGUSR1));
  CALL(sigwaitinfo(&all, &info));
  info.si_code = SI_QUEUE;
  struct rlimit none = {0, 0};
  CALL(setrlimit(RLIMIT_SIGPENDING, &none));
  CALL(syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN));
  CALL(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info));
  CALL(kill(getpid(), SIGUSR2));
}

static long first(pid_t pid, void *local, size_t n, void *remote, size_t m) {
  struct iovec l = {local, n}, r = {remote, m};
  return errno_of(process_vm_readv(pid, &l, 1, &r, 1, 0));
}

static void memory(void) {
  static char source[8192] = "the parent's", target[8192];
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    show("read", first(parent, target, 12, source, 12));
    show(target, 0);
    show("shorter", first(parent, target, 5, source, 4096));
    show("bad there", first(parent, target, 4, BAD, 4));
    show("bad here", first(parent, BAD, 4, source, 4));
    struct iovec l[2] = {{"ab", 2}, {"cd", 2}}, r[3] = {{source, 1}, {source + 2, 2}, {source + 5, 1}};
    CALL(process_vm_writev(parent, l, 2, r, 3, 0));
    CALL(process_vm_writev(parent, l, 2, r, 3, 1));
    CALL(process_vm_writev(parent, l, 2000, r, 3, 0));
    CALL(process_vm_writev(999999, l, 2, r, 3, 0));
    CALL(syscall(SYS_kcmp, parent, getpid(), KCMP_VM, 0, 0) != 0);
    CALL(syscall(SYS_kcmp, parent, getpid(), KCMP_FILE, 1, 1));
    CALL(syscall(SYS_kcmp, parent, getpid(), KCMP_FILE, 1, 99));
    CALL(syscall(SYS_kcmp, parent, getpid(), 99, 1, 1));
    CALL(syscall(SYS_kcmp, 999999, getpid(), KCMP_FS, 1, 1));
    CALL(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILES, 1, 1));
    if (setgid(1000) || setuid(1000)) abort();
    show("of root", first(parent, target, 4, source, 4));
    CALL(syscall(SYS_kcmp, parent, getpid(), KCMP_VM, 0, 0));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  show(source, 0);
}

static void machine(void) {
  char name[16];
  CALL(syscall(SYS_sysfs, 3) > 0);
  CALL(syscall(SYS_sysfs, 1, "proc") >= 0);
  CALL(syscall(SYS_sysfs, 1, "nonsense"));
  CALL(syscall(SYS_sysfs, 1, BAD));
  CALL(syscall(SYS_sysfs, 2, syscall(SYS_sysfs, 1, "proc"), name));
  show(name, 0);
  CALL(syscall(SYS_sysfs, 2, 1000, name));
  CALL(syscall(SYS_sysfs, 4));
  CALL(syscall(SYS_ustat, 999999, name));
  CALL(syscall(SYS_syslog, 99, NULL, 0));
  CALL(syscall(SYS_syslog, 2, NULL, 0));
  CALL(syscall(SYS_syslog, 3, name, -1));
  CALL(syscall(SYS_syslog, 8, NULL, 9));
  CALL(syscall(SYS_settimeofday, &(struct timeval){-1, 0}, NULL));
  CALL(syscall(SYS_settimeofday, &(struct timeval){0, 1000000}, NULL));
  CALL(syscall(SYS_settimeofday, BAD, NULL));
  CALL(clock_settime(CLOCK_MONOTONIC, &(struct timespec){0, 0}));
  CALL(clock_settime(CLOCK_REALTIME, &(struct timespec){0, -1}));
  CALL(adjtimex(&(struct timex){.modes = 0x8000}));
  CALL(syscall(SYS_arch_prctl, 0x1011, 0));
  CALL(prctl(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0));
  CALL(prctl(PR_GET_SPECULATION_CTRL, 0, 1, 0, 0));
  CALL(prctl(PR_SET_SPECULATION_CTRL, 99, 0, 0, 1));
  CALL(syscall(SYS_personality, 0x4000000));
  struct timeval timeout = {0, 1000};
  CALL(syscall(SYS_select, 0, NULL, NULL, NULL, &timeout));
  show("left of the timeout", timeout.tv_usec);
  CALL(syscall(SYS_personality, 0xffffffff));
  pid_t child = fork();
  if (child == 0) {
    if (setuid(1000)) abort();
    CALL(syscall(SYS_vhangup));
    CALL(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
    CALL(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void *reader(void *fd) {
  char byte = '-';
  long n = read(*(int *)fd, &byte, 1);
  printf("read %ld: %c\n", n, byte);
  return NULL;
}

/* A call that waits keeps its file: when the descriptor is closed, is another file, or a copy is put over it. */
static void files(void) {
  for (int over = 0; over < 2; over++) {
    int waited[2], other[2], fd;
    pthread_t thread;
    if (pipe(waited) || pipe(other)) abort();
    fd = waited[0];
    pthread_create(&thread, NULL, reader, &fd);
    usleep(100000);
    if (over) {
      if (dup2(other[0], waited[0]) != waited[0]) abort();
    } else {
      close(waited[0]);
      if (dup(other[0]) != waited[0]) abort();
    }
    show("to another pipe", write(other[1], "b", 1));
    usleep(100000);
    long written = write(waited[1], "a", 1);
    pthread_join(thread, NULL);
    show("to the pipe", written);
    signal(SIGPIPE, SIG_IGN);
    CALL(write(waited[1], "a", 1));
    close(waited[0]), close(waited[1]), close(other[0]), close(other[1]);
  }
  int pair[2], ends[2];
  char byte;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pipe(ends)) abort();
  CALL(recv(pair[0], &byte, 0, MSG_DONTWAIT));
  CALL(read(pair[0], &byte, 0));
  CALL(write(pair[1], "a", 1));
  CALL(recv(pair[0], &byte, 0, MSG_DONTWAIT));
  struct statfs of;
  CALL(fstatfs(pair[0], &of));
  show("sockets' filesystem", of.f_type);
  CALL(fstatfs(ends[0], &of));
  show("pipes' filesystem", of.f_type);
}

static volatile int *shared_flag;

static void note_signal(int signal) { *shared_flag = signal; }

/** A child that computes without a call, until the handler of a signal has it exit so (0: for ever). */
static pid_t silent_child(int how) {
  shared_flag[0] = shared_flag[1] = 0;
  pid_t child = fork();
  if (child) return child;
  shared_flag[1] = 1;
  while (!shared_flag[0]) continue;
  if (how) _exit(how);
  for (;;) continue;
}

static void *silent_thread(void *begun) {
  *(volatile int *)begun = 1;
  for (;;) continue;
  return NULL;
}

static void *ends_group(void *begun) {
  while (!*(volatile int *)begun) continue;
  _exit(7);
}

/** Those that have made no call yet can be seen, and be signalled, stopped, traced and ended. */
static void silent(void) {
  int status = 0;
  char line[4096] = "";
  shared_flag = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  signal(SIGUSR1, note_signal);

  pid_t child = silent_child(5);
  CALL(kill(child, SIGUSR1)); // at once: it may not have begun
  CALL(waitpid(child, &status, 0) == child);
  show("handled", status);

  child = silent_child(0);
  while (!shared_flag[1]) sched_yield();
  int word = 0;
  struct iovec here = {&word, sizeof word}, there = {(void *)&shared_flag[1], sizeof word};
  CALL(process_vm_readv(child, &here, 1, &there, 1, 0));
  show("read", word);
  snprintf(line, sizeof line, "/proc/%d/maps", child);
  FILE *maps = fopen(line, "r");
  int stacks = 0;
  while (maps && fgets(line, sizeof line, maps)) stacks += strstr(line, "[stack]") != NULL;
  fclose(maps);
  show("stacks", stacks);
  CALL(kill(child, SIGSTOP));
  CALL(waitpid(child, &status, WUNTRACED) == child);
  show("stopped", WIFSTOPPED(status));
  CALL(kill(child, SIGCONT));
  CALL(ptrace(PTRACE_SEIZE, child, 0, 0));
  CALL(ptrace(PTRACE_INTERRUPT, child, 0, 0));
  CALL(waitpid(child, &status, 0) == child);
  CALL(ptrace(PTRACE_DETACH, child, 0, 0));
  CALL(kill(child, SIGKILL));
  CALL(waitpid(child, &status, 0) == child);
  show("killed", status);

  child = silent_child(0);
  usleep(60000); // long enough for the sentry to have looked for it
  CALL(kill(child, SIGTERM));
  CALL(waitpid(child, &status, 0) == child);
  show("ended", status);

  child = fork();
  if (child == 0) {
    int begun = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, silent_thread, &begun);
    while (!begun) sched_yield();
    _exit(6);
  }
  CALL(waitpid(child, &status, 0) == child);
  show("ended with a silent thread", status);
  child = fork();
  if (child == 0) {
    int begun = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, ends_group, &begun);
    silent_thread(&begun);
  }
  CALL(waitpid(child, &status, 0) == child);
  show("ended by a thread", status);
  child = fork();
  if (child == 0) {
    pid_t grandchild = silent_child(0);
    printf("%d\n", grandchild > 0);
    fflush(stdout);
    _exit(grandchild > 0 && !kill(grandchild, SIGKILL) ? 0 : 1);
  }
  CALL(waitpid(child, &status, 0) == child);
  show("its maker ended first", status);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (!strcmp(argv[1], "waiting")) waiting();
  if (!strcmp(argv[1], "signals")) signals();
  if (!strcmp(argv[1], "files")) files();
  if (!strcmp(argv[1], "memory")) memory();
  if (!strcmp(argv[1], "machine")) machine();
  if (!strcmp(argv[1], "cloning")) cloning();
  if (!strcmp(argv[1], "execution")) execution();
  if (!strcmp(argv[1], "executed")) executed();
  if (!strcmp(argv[1], "altstack")) altstack();
  if (!strcmp(argv[1], "orphans")) orphans();
  if (!strcmp(argv[1], "named")) named();
  if (!strcmp(argv[1], "silent")) silent();
  return 0;
}
