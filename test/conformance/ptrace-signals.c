// Signals of a tracee: seen and changed, stops of its group, calls that they break off. Each part prints lines that
// must be the same natively and in a sandbox.
#include "ptrace.h"

// ---- signals ----

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

int main(int argc, char **argv) {
  static const struct part parts[] = {
      {"signals", part_signals}, {"siginfo", part_siginfo}, {"groups", part_groups}, {"restarts", part_restarts}, {0},
  };
  return run_part(argc, argv, parts);
}
