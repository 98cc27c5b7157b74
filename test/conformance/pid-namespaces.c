// Namespaces of processes: their numbers by level, and ends of inits.
#include "namespaces.h"

// ---- numbers ----

static volatile siginfo_t got;
static void note(int signo, siginfo_t *info, void *context) { got = *info; }

static void numbers(void) {
  int up[2], down[2];
  char c;
  if (pipe(up) || pipe(down)) exit(1);
  pid_t child = start(CLONE_NEWPID | CLONE_NEWNS);
  if (child == 0) {
    printf("pid %d parent %d group %d session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    say("kill parent", kill(getppid() ? getppid() : 2, 0));
    mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    say("mount proc", mount("proc", "/proc", "proc", 0, 0));
    show_file("/proc/self/status", "Pid:");
    show_file("/proc/self/status", "NSpid:");
    show_file("/proc/1/status", "PPid:");
    say("proc 2", access("/proc/2", F_OK));
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    pid_t grandchild = start(CLONE_NEWPID);
    if (grandchild == 0) {
      printf("inner pid %d parent %d\n", getpid(), getppid());
      show_file("/proc/self/status", "NSpid:");
      fflush(stdout);
      _exit(3);
    }
    printf("grandchild %d\n", grandchild);
    finish("grandchild", grandchild);
    if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) != 1) _exit(9);
    printf("signal %d from %d code %d\n", got.si_signo, got.si_pid, got.si_code);
    say("session", setsid());
    _exit(5);
  }
  if (read(up[0], &c, 1) != 1) exit(1);
  say("signal", kill(child, SIGUSR1));
  usleep(50000);
  if (write(down[1], "x", 1) != 1) exit(1);
  finish("child", child);

  pid_t wanted[2] = {42, 0};
  struct clone_args args = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
  args.set_tid = (uintptr_t)wanted;
  args.set_tid_size = 1;
  say("not the first", syscall(SYS_clone3, &args, sizeof args));
  wanted[0] = 1;
  fflush(stdout);
  pid_t chosen = syscall(SYS_clone3, &args, sizeof args);
  if (chosen == 0) {
    wanted[0] = 77;
    args.flags = 0;
    pid_t seventy = syscall(SYS_clone3, &args, sizeof args);
    if (seventy == 0) _exit(getpid());
    printf("chosen %d\n", seventy);
    int status;
    waitpid(seventy, &status, 0);
    printf("it was %d\n", WEXITSTATUS(status));
    args.set_tid_size = 5;
    say("too deep", syscall(SYS_clone3, &args, sizeof args));
    args.set_tid_size = 1;
    wanted[0] = 1;
    say("taken", syscall(SYS_clone3, &args, sizeof args));
    wanted[0] = 0;
    say("zero", syscall(SYS_clone3, &args, sizeof args));
    fflush(stdout);
    _exit(0);
  }
  finish("chosen", chosen);
}

// ---- inits ----

static void inits(void) {
  int fds[2], status;
  char c;
  if (pipe(fds)) exit(1);
  pid_t child = start(CLONE_NEWPID);
  if (child == 0) {
    say("kill itself", kill(getpid(), SIGKILL));
    say("terminate itself", kill(getpid(), SIGTERM));
    for (int i = 0; i < 3; i++) {
      if (fork() == 0) {
        if (i == 2) setsid();
        kill(1, SIGKILL);
        kill(1, SIGTERM);
        pause();
      }
    }
    // An orphan comes to it.
    pid_t middle = fork();
    if (middle == 0) {
      pid_t parent = getpid();
      if (fork() == 0) {
        while (getppid() == parent) usleep(1000);
        printf("orphan of %d\n", getppid());
        fflush(stdout);
        _exit(7);
      }
      _exit(0);
    }
    waitpid(middle, &status, 0);
    wait(&status);
    printf("orphan ended %d\n", WEXITSTATUS(status));
    fflush(stdout);
    _exit(4);
  }
  close(fds[1]);
  finish("init", child);

  // Rebooted: it ends as by a signal.
  static const int commands[] = {RB_AUTOBOOT, RB_POWER_OFF, RB_ENABLE_CAD};
  for (unsigned i = 0; i < 3; i++) {
    pid_t rebooted = start(CLONE_NEWPID);
    if (rebooted == 0) {
      say("reboot", reboot(commands[i]));
      _exit(9);
    }
    finish("rebooted", rebooted);
  }

  // A process that is in but has its parent outside; nothing can be made once the init is gone.
  pid_t second = fork();
  if (second == 0) {
    say("unshare", unshare(CLONE_NEWPID));
    say("again", unshare(CLONE_NEWPID));
    say("thread", syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0));
    fflush(stdout);
    pid_t init = fork();
    if (init == 0) pause();
    pid_t other = fork();
    if (other == 0) {
      printf("other %d parent %d\n", getpid(), getppid());
      fflush(stdout);
      pause();
    }
    usleep(20000);
    kill(init, SIGTERM);
    usleep(20000);
    say("still there", waitpid(init, &status, WNOHANG));
    kill(init, SIGKILL);
    // Its end waits for that of the other to be taken note of.
    usleep(20000);
    say("not yet", waitpid(init, &status, WNOHANG));
    finish("other", other);
    finish("inner", init);
    say("too late", fork());
    fflush(stdout);
    _exit(0);
  }
  finish("second", second);
  if (read(fds[0], &c, 1) != 0) printf("somebody is left\n");
}

int main(int argc, char **argv) {
  static const struct part parts[] = {{"numbers", numbers}, {"inits", inits}, {0}};
  return run_part(argc, argv, parts);
}
