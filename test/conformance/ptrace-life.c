// Who traces whom, from the first to the last: attaching, events, ends, errors. Each part prints lines that must be the
// same natively and in a sandbox.
#include "ptrace.h"

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

// ---- attach ----
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

int main(int argc, char **argv) {
  static const struct part parts[] = {
      {"events", part_events},
      {"seize", part_seize},
      {"attach", part_attach},
      {"ends", part_ends},
      {"errors", part_errors},
      {"status", part_status},
      {0},
  };
  return run_part(argc, argv, parts);
}
