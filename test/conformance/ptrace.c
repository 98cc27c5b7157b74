// What a tracer sees (ptrace(2)): stops in their order, wait statuses, registers, signals. Each part prints lines that
// must be the same natively and in a sandbox; process ids are printed as the order in which they first appear.
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

// ---- names ----

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

// ---- calls ----

static void make_calls(void) {
  static int word;
  syscall(SYS_getppid);
  syscall(SYS_write, -1, "x", 1);
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
  syscall(SYS_sched_yield);
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page, 4096, PROT_READ);
  madvise(page, 4096, MADV_DONTNEED);
  munmap(page, 4096);
  syscall(700, 1, 2, 3, 4, 5, 6);
  _exit(5);
}

static void part_calls(void) {
  pid_t pid = start(make_calls);
  wait_stop(pid);
  SAY(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
  for (;;) {
    if (trace(PTRACE_SYSCALL, pid, 0, 0)) say("SYSCALL", -1);
    int status = wait_stop(pid);
    if (!WIFSTOPPED(status)) break;
    struct user_regs_struct r = registers_of(pid);
    if (r.orig_rax == SYS_mmap || r.orig_rax == SYS_getppid) printf("  nr %ld\n", (long)r.orig_rax);
    else show_call(pid);
  }
}

// ---- changing calls ----

static long answers[8];

static void make_changed_calls(void) {
  answers[0] = syscall(SYS_getppid);           // skipped: -ENOSYS
  answers[1] = syscall(SYS_getppid);           // skipped with a result
  answers[2] = syscall(SYS_getppid);           // becomes getpriority
  answers[3] = syscall(SYS_dup2, 0, 0);        // its argument changes
  answers[4] = syscall(SYS_getpriority, 0, 0); // its result changes
  answers[5] = syscall(SYS_sched_yield);       // a call of the host's that is skipped
  answers[6] = errno;
  raise(SIGUSR1);
  _exit(0);
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

static void part_changes(void) {
  pid_t pid = start(make_changed_calls);
  wait_stop(pid);
  // Out of raise(), which may still be in its call.
  struct user_regs_struct r;
  do r = to_call(pid);
  while (r.orig_rax != SYS_getppid);
  r.orig_rax = -1;
  set(pid, &r);
  r = to_call(pid);
  printf("after a skip: nr %ld rax %ld\n", (long)r.orig_rax, (long)r.rax);
  to_call(pid);
  r = registers_of(pid);
  r.orig_rax = -1;
  r.rax = 77;
  set(pid, &r);
  to_call(pid);
  r = to_call(pid);
  r.orig_rax = SYS_getpriority;
  r.rdi = 0;
  r.rsi = 0;
  set(pid, &r);
  r = to_call(pid);
  printf("another call: nr %ld rax %ld\n", (long)r.orig_rax, (long)r.rax);
  r = to_call(pid);
  r.rdi = 1000;
  set(pid, &r);
  r = to_call(pid);
  printf("another argument: rdi %ld rax %ld\n", (long)r.rdi, (long)r.rax);
  to_call(pid);
  r = to_call(pid);
  r.rax = -EXDEV;
  set(pid, &r);
  r = to_call(pid);
  printf("next: nr %ld\n", (long)r.orig_rax);
  r.orig_rax = -1;
  r.rax = -EDOM;
  set(pid, &r);
  r = to_call(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  for (int i = 0; i < 7; i++) {
    errno = 0;
    long value = ptrace(PTRACE_PEEKDATA, pid, &answers[i], 0);
    printf("answer %d: %ld %d\n", i, value, errno);
  }
  end(pid);
}

// ---- changing calls by what they are said to be (PTRACE_SET_SYSCALL_INFO, Linux 6.16) ----

#define SET_SYSCALL_INFO 0x4212

static void make_two_calls(void) {
  answers[0] = syscall(SYS_getppid);
  answers[1] = syscall(SYS_dup2, 0, 0);
  answers[2] = errno;
  raise(SIGHUP);
}

static struct __ptrace_syscall_info call_info(pid_t pid) {
  struct __ptrace_syscall_info info;
  memset(&info, 0, sizeof info);
  trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, (long)&info);
  return info;
}

static void part_info(void) {
  pid_t pid = start(make_two_calls);
  wait_stop(pid);
  trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  while (to_call(pid).orig_rax != SYS_getppid) continue;
  struct __ptrace_syscall_info info = call_info(pid), bad = info;
  SAY(trace(SET_SYSCALL_INFO, pid, 40, (long)&info));
  bad.op = 2;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof bad, (long)&bad));
  bad = info;
  bad.entry.nr = 0x100000000;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof bad, (long)&bad));
  info.entry.nr = -1;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof info, (long)&info));
  to_call(pid);
  show_call(pid);
  info = call_info(pid);
  info.exit.rval = 77;
  info.exit.is_error = 0;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof info, (long)&info));
  to_call(pid);
  info = call_info(pid);
  info.entry.args[0] = 1000;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof info, (long)&info));
  to_call(pid);
  show_call(pid);
  info = call_info(pid);
  info.exit.rval = -EXDEV;
  SAY(trace(SET_SYSCALL_INFO, pid, sizeof info, (long)&info));
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  for (int i = 0; i < 3; i++) printf("answer %ld\n", ptrace(PTRACE_PEEKDATA, pid, &answers[i], 0));
  end(pid);
}

// ---- emulated calls ----

static void emulated(void) {
  answers[0] = syscall(SYS_getppid);
  answers[1] = syscall(999);
  raise(SIGUSR1);
}

static void part_emulation(void) {
  pid_t pid = start(emulated);
  wait_stop(pid);
  int status;
  struct user_regs_struct r;
  do {
    trace(PTRACE_SYSEMU, pid, 0, 0);
    waitpid(pid, &status, 0);
    r = registers_of(pid);
  } while (r.orig_rax != SYS_getppid);
  printf("emulated: rax %ld\n", (long)r.rax);
  r.rax = 4711;
  set(pid, &r);
  SAY(trace(PTRACE_SYSEMU, pid, 0, 0));
  wait_stop(pid);
  r = registers_of(pid);
  printf("emulated: nr %ld rax %ld\n", (long)r.orig_rax, (long)r.rax);
  r.rax = 4712;
  set(pid, &r);
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  wait_stop(pid);
  printf("answers %ld %ld\n", ptrace(PTRACE_PEEKDATA, pid, &answers[0], 0),
         ptrace(PTRACE_PEEKDATA, pid, &answers[1], 0));
  end(pid);
}

// ---- signals ----

static volatile int handled;
static void handler(int signo) { handled = handled * 10 + signo % 10; }

static void make_signals(void) {
  signal(SIGUSR1, handler);
  signal(SIGUSR2, handler);
  signal(SIGWINCH, SIG_IGN);
  raise(SIGUSR1);  // as it is: 0
  raise(SIGUSR1);  // kept away
  raise(SIGUSR1);  // becomes SIGUSR2: 2
  raise(SIGWINCH); // ignored, and shown
  raise(SIGCHLD);  // ignored by default, and shown
  union sigval value = {.sival_int = 99};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigqueue(getpid(), SIGRTMIN + 3, value);
  sigqueue(getpid(), SIGRTMIN + 3, value);
  raise(SIGURG); // here the queue is looked at
  kill(getpid(), SIGTERM);
  _exit(handled);
}

static void part_signals(void) {
  pid_t pid = start(make_signals);
  wait_stop(pid);
  show_signal(pid);
  int with = 0;
  for (int i = 0;; i++) {
    if (trace(PTRACE_CONT, pid, 0, with)) say("CONT", -1);
    int status = wait_stop(pid);
    if (!WIFSTOPPED(status)) break;
    show_signal(pid);
    with = WSTOPSIG(status);
    if (i == 1) with = 0;
    if (i == 2) with = SIGUSR2;
    if (with == SIGURG) {
      struct {
        uint64_t offset;
        uint32_t flags;
        int32_t count;
      } args = {0, 1, 8};
      siginfo_t infos[8];
      SAY(trace(PTRACE_PEEKSIGINFO, pid, (long)&args, (long)infos));
      for (int k = 0; k < 2; k++)
        printf("  queued %d value %d\n", infos[k].si_signo - SIGRTMIN, infos[k].si_value.sival_int);
      args.flags = 2;
      SAY(trace(PTRACE_PEEKSIGINFO, pid, (long)&args, (long)infos));
      uint64_t mask = 0;
      SAY(trace(PTRACE_GETSIGMASK, pid, 8, (long)&mask));
      printf("  mask %lx\n", mask);
      SAY(trace(PTRACE_GETSIGMASK, pid, 4, (long)&mask));
    }
    if (with == SIGTERM) with = 0;
  }
}

static void info_handler(int signo, siginfo_t *info, void *context) {
  (void)context;
  answers[0] = signo;
  answers[1] = info->si_code;
  answers[2] = info->si_value.sival_int;
}

static void take_changed_signal(void) {
  struct sigaction action = {.sa_sigaction = info_handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  raise(SIGHUP);
}

static void part_siginfo(void) {
  pid_t pid = start(take_changed_signal);
  wait_stop(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  siginfo_t info;
  SAY(trace(PTRACE_GETSIGINFO, pid, 0, (long)&info));
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = 4242;
  SAY(trace(PTRACE_SETSIGINFO, pid, 0, (long)&info));
  trace(PTRACE_CONT, pid, 0, SIGUSR1);
  wait_stop(pid);
  for (int i = 0; i < 3; i++) printf("answer %ld\n", ptrace(PTRACE_PEEKDATA, pid, &answers[i], 0));
  end(pid);
}

// ---- steps and breakpoints ----

__attribute__((naked)) static void steps(void) {
  __asm__("mov $1, %eax\n inc %eax\n add $5, %eax\n mov $39, %eax\n syscall\n mov $24, %eax\n syscall\n nop\n nop\n "
          "int3\n nop\n ret");
}

static void step_along(void) {
  steps();
  signal(SIGUSR1, handler);
  raise(SIGUSR1);
}

static void part_steps(void) {
  pid_t pid = start(step_along);
  wait_stop(pid);
  long word = ptrace(PTRACE_PEEKTEXT, pid, steps, 0);
  SAY(ptrace(PTRACE_POKETEXT, pid, steps, (word & ~0xffl) | 0xcc));
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  struct user_regs_struct r = registers_of(pid);
  printf("at %ld\n", (long)r.rip - (long)steps);
  r.rip--;
  set(pid, &r);
  SAY(ptrace(PTRACE_POKETEXT, pid, steps, word));
  for (int i = 0; i < 12; i++) {
    trace(PTRACE_SINGLESTEP, pid, 0, 0);
    wait_stop(pid);
    show_signal(pid);
    r = registers_of(pid);
    printf("step %d: at %ld rax %ld flags %llx\n", i, (long)r.rip - (long)steps, i == 4 || i == 5 ? 0 : (long)r.rax,
           r.eflags & 0x100);
  }
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  // Into the handler: a stop before its first instruction.
  trace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1);
  wait_stop(pid);
  show_signal(pid);
  r = registers_of(pid);
  printf("in the handler: %d %d\n", r.rip == (unsigned long)handler, (int)r.rdi);
  trace(PTRACE_SINGLESTEP, pid, 0, 0);
  wait_stop(pid);
  show_signal(pid);
  follow(pid, PTRACE_CONT, 5);
}

// ---- vector registers ----

static void load_vectors(void) {
  static const double values[2] = {1.5, -2.25};
  __asm__ volatile("movupd %0, %%xmm7\n fld1\n mov $0x1234567812345678, %%r15\n int3" : : "m"(values) : "xmm7", "r15");
  double seen[2];
  __asm__ volatile("movupd %%xmm7, %0" : "=m"(seen));
  _exit(seen[0] == 8.0 && seen[1] == 16.0 ? 42 : 1);
}

static void part_vectors(void) {
  pid_t pid = start(load_vectors);
  wait_stop(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  struct user_fpregs_struct fp;
  SAY(trace(PTRACE_GETFPREGS, pid, 0, (long)&fp));
  double seen[2];
  memcpy(seen, (char *)fp.xmm_space + 7 * 16, 16);
  printf("xmm7 %f %f mxcsr %x cwd %x ftw %x r15 %llx\n", seen[0], seen[1], fp.mxcsr, fp.cwd, fp.ftw,
         registers_of(pid).r15);
  static unsigned char state[16384];
  struct iovec iov = {state, sizeof state};
  SAY(trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (long)&iov) == 0 && iov.iov_len >= 576);
  printf("xcr0 %d same %d\n", *(uint64_t *)(state + 464) != 0, !memcmp(state, &fp, 416));
  double fresh[2] = {8.0, 16.0};
  memcpy(state + 160 + 7 * 16, fresh, 16);
  SAY(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&iov));
  state[520] = 1;
  SAY(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&iov));
  iov = (struct iovec){state, 16};
  SAY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (long)&iov));
  printf("length %zu\n", iov.iov_len);
  iov = (struct iovec){state, sizeof state};
  SAY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (long)&iov));
  printf("length %zu\n", iov.iov_len);
  SAY(trace(PTRACE_GETREGSET, pid, 0x777, (long)&iov));
  SAY(trace(PTRACE_GETFPREGS, pid, 0, (long)&fp));
  memcpy(seen, (char *)fp.xmm_space + 7 * 16, 16);
  printf("xmm7 %f %f\n", seen[0], seen[1]);
  fp.mxcsr = 0xffffffff;
  SAY(trace(PTRACE_SETFPREGS, pid, 0, (long)&fp));
  follow(pid, PTRACE_CONT, 5);
}

// ---- events ----

static void *thread_main(void *argument) { return argument; }

static void make_events(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(3);
  waitpid(pid, NULL, 0);
  pid = vfork();
  if (pid == 0) _exit(4);
  waitpid(pid, NULL, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, thread_main, NULL);
  pthread_join(thread, NULL);
  execl("/proc/self/exe", "ptrace", "nothing", (char *)NULL);
}

static void part_events(void) {
  pid_t pid = start(make_events);
  wait_stop(pid);
  SAY(trace(PTRACE_SETOPTIONS, pid, 0, OPTIONS_ALL & ~PTRACE_O_TRACESECCOMP));
  trace(PTRACE_CONT, pid, 0, 0);
  // Of two tracees that stop at the same time either may come first: each is followed on its own.
  pid_t current = pid, main_pid = pid;
  for (int i = 0; i < 60; i++) {
    int status = wait_stop(current);
    if (status == -1) break;
    if (!WIFSTOPPED(status)) {
      if (current == main_pid) break;
      trace(PTRACE_CONT, main_pid, 0, 0);
      current = main_pid;
      continue;
    }
    int event = status >> 16, with = 0;
    unsigned long message = 0;
    trace(PTRACE_GETEVENTMSG, current, 0, (long)&message);
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
      printf("  new %d\n", name_of(message));
      trace(PTRACE_CONT, current, 0, 0);
      // The child's first stop, and its end.
      wait_stop(message);
      trace(PTRACE_CONT, message, 0, 0);
      wait_stop(message);
      unsigned long code = 0;
      trace(PTRACE_GETEVENTMSG, message, 0, (long)&code);
      printf("  ends with %lx\n", code);
      trace(PTRACE_CONT, message, 0, 0);
      wait_stop(message);
      continue;
    }
    if (event == PTRACE_EVENT_VFORK_DONE) printf("  done %d\n", name_of(message));
    if (event == PTRACE_EVENT_EXEC) printf("  was %d\n", name_of(message));
    if (event == PTRACE_EVENT_EXIT) printf("  with %lx\n", message);
    if (!event) with = WSTOPSIG(status);
    if (event == 0) show_signal(current);
    trace(PTRACE_CONT, current, 0, with == SIGCHLD ? 0 : with);
  }
}

// ---- seize ----

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

static void part_seize(void) {
  pid_t pid = start_untraced(sleep_for_ever);
  until_asleep(pid);
  SAY(trace(PTRACE_SEIZE, pid, 1, 0));
  SAY(trace(PTRACE_SEIZE, pid, 0, 0x40000000));
  SAY(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
  SAY(trace(PTRACE_SEIZE, pid, 0, 0));
  SAY(trace(PTRACE_ATTACH, pid, 0, 0));
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  SAY(trace(PTRACE_INTERRUPT, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  show_call(pid);
  SAY(trace(PTRACE_LISTEN, pid, 0, 0));
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  SAY(trace(PTRACE_INTERRUPT, pid, 0, 0));
  wait_stop(pid);
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  kill(pid, SIGSTOP);
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_LISTEN, pid, 0, 0));
  trace(PTRACE_CONT, pid, 0, SIGSTOP);
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_LISTEN, pid, 0, 0));
  SAY(waitpid(pid, NULL, __WALL | WNOHANG));
  kill(pid, SIGCONT);
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_DETACH, pid, 0, 0));
  SAY(trace(PTRACE_INTERRUPT, pid, 0, 0));
  // A stopped process is seized as it is.
  kill(pid, SIGSTOP);
  waitpid(pid, NULL, WUNTRACED);
  SAY(trace(PTRACE_SEIZE, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_DETACH, pid, 0, 0));
  SAY(waitpid(pid, NULL, WUNTRACED | WNOHANG) >= 0);
  end(pid);
}

// ---- stops of the whole group ----

static void stop_and_go(void) {
  for (int i = 0; i < 3; i++) getppid();
  kill(getpid(), SIGTSTP);
  for (int i = 0; i < 3; i++) getppid();
  _exit(9);
}

static void part_groups(void) {
  setpgid(0, 0);
  pid_t pid = start(stop_and_go);
  wait_stop(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_CONT, pid, 0, SIGSTOP));
  wait_stop(pid);
  show_signal(pid);
  SAY(trace(PTRACE_LISTEN, pid, 0, 0));
  // It goes on although its group is stopped.
  SAY(trace(PTRACE_SYSCALL, pid, 0, 0));
  wait_stop(pid);
  follow(pid, PTRACE_CONT, 3);
  pid = start(sleep_for_ever);
  wait_stop(pid);
  SAY(trace(PTRACE_CONT, pid, 0, SIGSTOP));
  wait_stop(pid);
  // Let go it is still stopped.
  SAY(trace(PTRACE_DETACH, pid, 0, 0));
  usleep(50000);
  show_status(pid);
  kill(pid, SIGCONT);
  until_asleep(pid);
  show_status(pid);
  end(pid);
}

// ---- attach ----

static int pipe_fds[2];

static void read_pipe(void) {
  char byte;
  long got = read(pipe_fds[0], &byte, 1);
  _exit(got == 1 ? byte : 99);
}

static void spin(void) {
  for (volatile long i = 0;; i++) continue;
}

static void wait_on_futex(void) {
  static int word;
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void sleep_long(void) {
  struct timespec time = {0, 500000000};
  _exit(nanosleep(&time, NULL) == 0 ? 6 : 7);
}

static void attach_to(const char *what, void (*child)(void), int request) {
  printf("%s\n", what);
  if (pipe(pipe_fds)) return;
  pid_t pid = start_untraced(child);
  if (child == spin) usleep(100000);
  else until_asleep(pid);
  SAY(trace(PTRACE_ATTACH, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  struct user_regs_struct r = registers_of(pid);
  printf("  nr %ld\n", (long)r.orig_rax);
  if (r.orig_rax != -1ul) printf("  rax %ld\n", (long)r.rax);
  trace(request, pid, 0, 0);
  if (request == PTRACE_SYSCALL) {
    wait_stop(pid);
    show_call(pid);
    trace(PTRACE_CONT, pid, 0, 0);
  }
  if (child == read_pipe && write(pipe_fds[1], "A", 1) != 1) return;
  if (child == spin || child == wait_on_futex) kill(pid, SIGKILL);
  wait_stop(pid);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

static void part_attach(void) {
  attach_to("read", read_pipe, PTRACE_CONT);
  attach_to("read", read_pipe, PTRACE_SYSCALL);
  attach_to("read", read_pipe, PTRACE_DETACH);
  attach_to("spin", spin, PTRACE_CONT);
  attach_to("futex", wait_on_futex, PTRACE_CONT);
  attach_to("futex", wait_on_futex, PTRACE_SYSCALL);
  attach_to("sleep", sleep_long, PTRACE_CONT);
  attach_to("sleep", sleep_long, PTRACE_SYSCALL);
}

// ---- calls that signals break off ----

static void wait_with_handler(void) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_flags = 0;
  sigaction(SIGUSR2, &action, NULL);
  char byte;
  long got = read(pipe_fds[0], &byte, 1);
  answers[0] = got == 1 ? 1 : errno;
  got = read(pipe_fds[0], &byte, 1);
  answers[1] = got == 1 ? 1 : errno;
  raise(SIGHUP);
}

static void part_restarts(void) {
  if (pipe(pipe_fds)) return;
  pid_t pid = start(wait_with_handler);
  wait_stop(pid);
  struct user_regs_struct r;
  do r = to_call(pid);
  while (r.orig_rax != SYS_read);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  until_asleep(pid);
  kill(pid, SIGUSR1);
  wait_stop(pid);
  show_call(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  wait_stop(pid);
  show_signal(pid);
  show_call(pid);
  trace(PTRACE_SYSCALL, pid, 0, SIGUSR1);
  wait_stop(pid); // rt_sigreturn
  show_call(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  wait_stop(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  wait_stop(pid); // read again
  show_call(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  until_asleep(pid);
  kill(pid, SIGWINCH);
  wait_stop(pid);
  show_call(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  wait_stop(pid);
  trace(PTRACE_SYSCALL, pid, 0, 0);
  wait_stop(pid); // and again, without a handler
  show_call(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  if (write(pipe_fds[1], "A", 1) != 1) return;
  until_asleep(pid);
  kill(pid, SIGUSR2);
  wait_stop(pid);
  trace(PTRACE_CONT, pid, 0, SIGUSR2);
  wait_stop(pid);
  for (int i = 0; i < 2; i++) printf("answer %ld\n", ptrace(PTRACE_PEEKDATA, pid, &answers[i], 0));
  end(pid);
}

// ---- ends ----

static void tracer_that_goes(int options, pid_t victim) {
  pid_t tracer = fork();
  if (tracer == 0) {
    if (trace(PTRACE_SEIZE, victim, 0, options)) _exit(1);
    trace(PTRACE_INTERRUPT, victim, 0, 0);
    waitpid(victim, NULL, __WALL);
    _exit(0);
  }
  int status;
  waitpid(tracer, &status, 0);
  printf("tracer %x\n", status);
}

static void part_ends(void) {
  if (pipe(pipe_fds)) return;
  pid_t pid = start_untraced(read_pipe);
  tracer_that_goes(0, pid);
  if (write(pipe_fds[1], "B", 1) != 1) return;
  wait_stop(pid);
  pid = start_untraced(read_pipe);
  tracer_that_goes(PTRACE_O_EXITKILL, pid);
  wait_stop(pid);
  pid = start(sleep_for_ever);
  wait_stop(pid);
  SAY(trace(PTRACE_KILL, pid, 0, 0));
  wait_stop(pid);
  SAY(trace(PTRACE_KILL, pid, 0, 0));
  pid = start(sleep_for_ever);
  wait_stop(pid);
  SAY(trace(PTRACE_DETACH, pid, 0, SIGTERM));
  wait_stop(pid);
  pid = start(sleep_for_ever);
  wait_stop(pid);
  SAY(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
  trace(PTRACE_CONT, pid, 0, SIGTERM);
  int status = wait_stop(pid);
  unsigned long message = 0;
  SAY(trace(PTRACE_GETEVENTMSG, pid, 0, (long)&message));
  printf("event %d message %lx\n", status >> 16, message);
  follow(pid, PTRACE_CONT, 4);
  // Somebody else's child: its tracer waits first, then its parent.
  pid = start_untraced(read_pipe);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    if (trace(PTRACE_SEIZE, pid, 0, 0)) _exit(1);
    kill(pid, SIGKILL);
    siginfo_t info;
    memset(&info, 0, sizeof info);
    _exit(waitid(P_PID, pid, &info, WEXITED | __WALL) == 0 && info.si_code == CLD_KILLED ? 5 : 6);
  }
  waitpid(tracer, &status, 0);
  printf("tracer %x\n", status);
  wait_stop(pid);
}

// ---- errors ----

static void part_errors(void) {
  pid_t pid = start(sleep_for_ever);
  wait_stop(pid);
  SAY(trace(PTRACE_ATTACH, getpid(), 0, 0));
  SAY(trace(PTRACE_ATTACH, 99999, 0, 0));
  SAY(trace(PTRACE_CONT, 99999, 0, 0));
  SAY(trace(PTRACE_CONT, getppid(), 0, 0));
  SAY(trace(PTRACE_CONT, pid, 0, 65));
  SAY(trace(PTRACE_SETOPTIONS, pid, 0, 0x10000000));
  SAY(trace(PTRACE_PEEKUSER, pid, 1, 0));
  SAY(trace(PTRACE_PEEKUSER, pid, sizeof(struct user), 0));
  SAY(trace(PTRACE_PEEKTEXT, pid, 16, (long)known));
  SAY(trace(PTRACE_PEEKTEXT, pid, (long)known, 16));
  SAY(trace(PTRACE_POKETEXT, pid, 16, 0));
  SAY(trace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, cs), 0));
  SAY(trace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, fs_base), -1));
  SAY(trace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, eflags), -1));
  struct user_regs_struct r = registers_of(pid);
  printf("eflags %llx\n", r.eflags);
  SAY(trace(PTRACE_GETREGS, pid, 0, 16));
  SAY(trace(PTRACE_SETREGS, pid, 0, 16));
  SAY(trace(PTRACE_GETSIGINFO, pid, 0, 16));
  SAY(trace(PTRACE_INTERRUPT, pid, 0, 0));
  SAY(trace(PTRACE_LISTEN, pid, 0, 0));
  SAY(trace(0x4299, pid, 0, 0));
  SAY(trace(PTRACE_GET_SYSCALL_INFO, pid, 0, 0));
  end(pid);
  SAY(trace(PTRACE_CONT, pid, 0, 0));
}

// ---- filters ----

static void make_filtered_calls(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 123),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof code[0], code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  syscall(SYS_getppid);
  answers[0] = syscall(SYS_getppid);
  answers[1] = errno;
  answers[2] = syscall(SYS_getppid);
  raise(SIGHUP);
}

static void part_filters(void) {
  pid_t pid = start(make_filtered_calls);
  wait_stop(pid);
  SAY(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP));
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  show_call(pid);
  unsigned long message = 0;
  trace(PTRACE_GETEVENTMSG, pid, 0, (long)&message);
  printf("message %lu\n", message);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  struct user_regs_struct r = registers_of(pid);
  r.orig_rax = SYS_getpriority;
  set(pid, &r);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  r = registers_of(pid);
  r.orig_rax = -1;
  r.rax = 31;
  set(pid, &r);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  for (int i = 0; i < 3; i++) printf("answer %ld\n", ptrace(PTRACE_PEEKDATA, pid, &answers[i], 0));
  end(pid);
}

// ---- debug registers ----

static volatile long watched, other;

__attribute__((noinline)) static long landmark(long n) {
  __asm__ volatile("");
  return n + 1;
}

static void touch_watched(void) {
  other = landmark(1);
  watched = 5;
  syscall(SYS_getppid);
  other = landmark(2);
  if (fork() == 0) {
    watched = 6; // nobody watches here
    _exit(landmark(0));
  }
  waitpid(-1, NULL, 0);
  watched = 7;
  _exit(8);
}

static long debug_register(int index) { return offsetof(struct user, u_debugreg) + 8 * index; }

static void part_watches(void) {
  pid_t pid = start(touch_watched);
  wait_stop(pid);
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(0), (long)&watched));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(1), (long)landmark));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(2), -4096));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(4), 0));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x20001));  // input and output
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x400004)); // an instruction of two bytes
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x90005));  // 8 bytes written, an instruction
  for (int i = 0; i < 10; i++) {
    trace(PTRACE_CONT, pid, 0, 0);
    int status = wait_stop(pid);
    if (!WIFSTOPPED(status)) break;
    show_signal(pid);
    struct user_regs_struct r = registers_of(pid);
    printf("  status %lx control %lx here %d watched %ld\n", ptrace(PTRACE_PEEKUSER, pid, debug_register(6), 0) & 0xf,
           ptrace(PTRACE_PEEKUSER, pid, debug_register(7), 0), r.rip == (unsigned long)landmark,
           ptrace(PTRACE_PEEKDATA, pid, &watched, 0));
    trace(PTRACE_POKEUSER, pid, debug_register(6), 0);
  }
}

// ---- text ----

static void call_often(void) {
  struct timespec time = {0, 1000};
  char bytes[4];
  int fd = open("/dev/zero", O_RDONLY);
  for (;;) {
    getppid();
    lseek(fd, 0, SEEK_SET);
    nanosleep(&time, NULL);
    if (read(fd, bytes, 4) != 4 || pread(fd, bytes, 4, 0) != 4) _exit(1);
  }
}

/** How many system call instructions of a file mapping have something else before them than the file has. */
static int changed_sites(pid_t pid, const char *path, unsigned long start, unsigned long length, off_t offset) {
  unsigned char *memory = malloc(length), *file = malloc(length);
  struct iovec own = {memory, length}, its = {(void *)start, length};
  int fd = open(path, O_RDONLY), changed = 0;
  if (process_vm_readv(pid, &own, 1, &its, 1, 0) != (ssize_t)length) changed = -1;
  ssize_t got = pread(fd, file, length, offset);
  for (ssize_t i = 8; changed >= 0 && i + 2 <= got; i++)
    changed += file[i] == 0x0f && file[i + 1] == 0x05 && memcmp(memory + i - 7, file + i - 7, 9) != 0;
  close(fd);
  free(memory);
  free(file);
  return changed;
}

static void part_text(void) {
  char path[256], line[512];
  int changed = 0;
  pid_t pid = start_untraced(call_often);
  usleep(200000);
  SAY(trace(PTRACE_ATTACH, pid, 0, 0));
  wait_stop(pid);
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "r");
  while (maps && fgets(line, sizeof line, maps)) {
    unsigned long low, high, offset;
    char protection[8];
    if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &low, &high, protection, &offset, path) != 5) continue;
    if (protection[2] != 'x' || !strstr(path, "/libc.so")) continue;
    int here = changed_sites(pid, path, low, high - low, offset);
    if (here < 0) printf("cannot be read\n");
    else changed += here;
  }
  if (maps) fclose(maps);
  printf("changed: %d\n", changed);
  end(pid);
}

// ---- /proc ----

static void part_status(void) {
  pid_t pid = start(sleep_for_ever);
  wait_stop(pid);
  show_status(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  until_asleep(pid);
  show_status(pid);
  trace(PTRACE_KILL, pid, 0, 0);
  wait_stop(pid);
}

static const struct {
  const char *name;
  void (*run)(void);
} PARTS[] = {
    {"calls", part_calls},     {"changes", part_changes}, {"info", part_info},       {"emulation", part_emulation},
    {"signals", part_signals}, {"siginfo", part_siginfo}, {"steps", part_steps},     {"vectors", part_vectors},
    {"events", part_events},   {"seize", part_seize},     {"attach", part_attach},   {"restarts", part_restarts},
    {"ends", part_ends},       {"errors", part_errors},   {"watches", part_watches}, {"filters", part_filters},
    {"groups", part_groups},   {"text", part_text},       {"status", part_status},
};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(20);
  for (size_t i = 0; argc > 1 && i < sizeof PARTS / sizeof PARTS[0]; i++)
    if (!strcmp(argv[1], PARTS[i].name)) PARTS[i].run();
  return 0;
}
