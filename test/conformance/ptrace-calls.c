// System calls of a tracee: seen, changed, emulated, filtered. Each part prints lines that must be the
// same natively and in a sandbox.
#include "ptrace.h"

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

int main(int argc, char **argv) {
  static const struct part parts[] = {
      {"calls", part_calls},         {"changes", part_changes}, {"info", part_info},
      {"emulation", part_emulation}, {"filters", part_filters}, {0},
  };
  return run_part(argc, argv, parts);
}
