// Signal mask and default actions, which the stub changes by itself: every signal is handled once, none while it is
// blocked, whoever sends it and whatever the threads do meanwhile; and a mask is what it was across fork, threads,
// handlers and exec.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIGNALS 2000
#define ROUNDS  200

static atomic_int handled, wrong, done;
static __thread volatile sig_atomic_t blocked;

static void count(int signal) {
  (void)signal;
  handled++;
  if (blocked) wrong++;
}

static sigset_t set_of(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

/** Blocks and lets through, over and over, until every signal has come. */
static void *toggle(void *argument) {
  sigset_t set = set_of(SIGRTMIN), old;
  while (!done) {
    pthread_sigmask(SIG_BLOCK, &set, &old);
    if (sigismember(&old, SIGRTMIN)) wrong++;
    blocked = 1;
    for (volatile int i = 0; i < 300; i++) continue;
    blocked = 0;
    pthread_sigmask(rand() % 2 ? SIG_UNBLOCK : SIG_SETMASK, &set, &old);
    if (!sigismember(&old, SIGRTMIN)) wrong++;
    sigemptyset(&old);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (handled >= SIGNALS) done = 1;
  }
  return argument;
}

static void storm(const char *when, int threads, int to_thread) {
  pid_t first = getpid(), thread_id = gettid();
  handled = wrong = done = 0;
  pid_t sender = fork();
  if (!sender) {
    for (int i = 0; i < SIGNALS; i++) {
      while ((to_thread ? syscall(SYS_tgkill, first, thread_id, SIGRTMIN) : kill(first, SIGRTMIN)) && errno == EAGAIN)
        usleep(100);
      if (i % 16 == 0) usleep(20);
    }
    _exit(0);
  }
  pthread_t thread[4];
  for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, toggle, NULL);
  toggle(NULL);
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  waitpid(sender, NULL, 0);
  printf("%s: %d handled, %d wrong\n", when, handled, wrong);
}

static void show(const char *when) {
  unsigned long mask = 0, shown = 0;
  char line[256];
  for (int i = 0; i < ROUNDS; i++) {
    unsigned long now;
    if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8)) printf("%s: no answer\n", when);
    if (i && now != mask) printf("%s: changed in round %d\n", when, i);
    mask = now;
  }
  FILE *status = fopen("/proc/thread-self/status", "r");
  while (fgets(line, sizeof line, status)) sscanf(line, "SigBlk: %lx", &shown);
  fclose(status);
  printf("%s: %lx %lx\n", when, mask, shown);
  fflush(stdout);
}

static void *in_thread(void *argument) {
  show("thread");
  sigset_t set = set_of(SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
  show("thread with its own");
  return argument;
}

static void in_handler(int signal) {
  (void)signal;
  show("handler");
}

static sigjmp_buf back;
static void jump_out(int signal) { siglongjmp(back, signal); }

static void results(void) {
  unsigned long all = ~0ul, old = 1;
  printf("%ld", syscall(SYS_rt_sigprocmask, 9, &all, NULL, 8));
  printf(" %d", errno);
  printf(" %ld", syscall(SYS_rt_sigprocmask, 9, NULL, &old, 8));
  printf(" %ld", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 4));
  printf(" %d", errno);
  printf(" %ld", syscall(SYS_rt_sigprocmask, SIG_SETMASK, 8, NULL, 8));
  printf(" %d", errno);
  printf(" %ld", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, 8, 8));
  printf(" %d\n", errno);
  show("after a result that could not be written");
}

struct action {
  unsigned long handler, flags, restorer, mask;
};

static long act(int signal, const struct action *set, struct action *old) {
  return syscall(SYS_rt_sigaction, signal, set, old, 8);
}

/** Every signal's action, its restorer only as one that is there. */
static void show_actions(const char *when) {
  printf("%s:", when);
  for (int signal = 1; signal <= 64; signal++) {
    struct action action = {9, 9, 9, 9};
    for (int i = 0; i < 20; i++)
      if (act(signal, NULL, &action)) printf(" none");
    if (action.handler > 1) action.handler = 2;
    if (action.handler || action.flags || action.restorer || action.mask)
      printf(" %d(%lx %lx %d %lx)", signal, action.handler, action.flags, action.restorer != 0, action.mask);
  }
  puts("");
  fflush(stdout);
}

static void *actions_in_thread(void *argument) {
  show_actions("in a thread");
  signal(SIGWINCH, SIG_IGN);
  signal(SIGURG, SIG_DFL);
  return argument;
}

static void actions(void) {
  show_actions("actions");
  for (int i = 1; i <= 20; i++) signal(i, SIG_DFL);
  show_actions("set to their default");
  struct action plain = {0, 0, 0, 0}, flags = {0, 0x10000000, 0, 0}, other = {0, 0x4000000, 77, 0}, old;
  printf("%ld", act(3, &plain, NULL));
  printf(" %ld", act(4, &flags, NULL));
  printf(" %ld", act(5, &other, &old));
  printf(" %ld", act(5, &plain, &old));
  printf(" %ld %d", old.restorer, act(SIGKILL, &plain, NULL) ? errno : 0);
  printf(" %ld", act(65, NULL, &old));
  printf(" %ld\n", act(6, (void *)8, NULL));
  show_actions("changed");
  signal(SIGINT, SIG_IGN);
  struct sigaction once = {.sa_handler = count, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGUSR2, &once, NULL);
  show_actions("ignored and caught");
  raise(SIGUSR2);
  fflush(stdout);
  if (!fork()) {
    show_actions("in a child");
    _exit(0);
  }
  wait(NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, actions_in_thread, NULL);
  pthread_join(thread, NULL);
  show_actions("after a thread");
  signal(SIGCHLD, SIG_DFL);
  if (!fork()) _exit(3);
  int status = 0;
  wait(&status);
  printf("status %x\n", status);
}

/** A handler whose alternate stack cannot be written to does not run: SIGSEGV's does, and nothing is left blocked. */
static void no_stack(void) {
  void *pages = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t stack = {.ss_sp = pages, .ss_size = 65536}, none = {.ss_flags = SS_DISABLE};
  struct sigaction on_stack = {.sa_handler = count, .sa_flags = SA_ONSTACK};
  handled = 0;
  sigaltstack(&stack, NULL);
  sigaction(SIGUSR1, &on_stack, NULL);
  signal(SIGSEGV, in_handler);
  raise(SIGUSR1);
  printf("without a stack: %d handled\n", handled);
  show("after it");
  sigaltstack(&none, NULL);
  signal(SIGSEGV, SIG_DFL);
  munmap(pages, 65536);
}

/** What becomes pending while it is blocked is there, and comes as soon as it may. */
static void pending(void) {
  sigset_t set = set_of(SIGUSR1), waiting;
  for (int i = 0; i < ROUNDS; i++) {
    int before = handled;
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    sigpending(&waiting);
    if (!sigismember(&waiting, SIGUSR1) || handled != before) wrong++;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (handled != before + 1) wrong++;
  }
  printf("pending: %d wrong\n", wrong);
}

static void timer(void) {
  struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
  sigset_t set = set_of(SIGALRM);
  handled = 0;
  setitimer(ITIMER_REAL, &often, NULL);
  while (handled < 500) {
    sigprocmask(SIG_BLOCK, &set, NULL);
    blocked = 1;
    for (volatile int i = 0; i < 1000; i++) continue;
    blocked = 0;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
  }
  setitimer(ITIMER_REAL, &never, NULL);
  printf("timer: %d wrong\n", wrong);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    show("executed");
    show_actions("executed");
    return 0;
  }
  signal(SIGRTMIN, count);
  signal(SIGUSR1, count);
  signal(SIGALRM, count);
  storm("to the process", 0, 0);
  storm("to the process, three threads", 2, 0);
  storm("to one thread of three", 2, 1);
  pending();
  timer();
  show("at first");
  sigset_t set = set_of(SIGHUP);
  sigaddset(&set, SIGKILL);
  sigaddset(&set, SIGRTMAX);
  sigprocmask(SIG_SETMASK, &set, NULL);
  show("set");
  if (!fork()) {
    show("child");
    _exit(0);
  }
  wait(NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, in_thread, NULL);
  pthread_join(thread, NULL);
  show("after the thread");
  struct sigaction action = {.sa_handler = in_handler};
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGUSR2, &action, NULL);
  raise(SIGUSR2);
  show("after the handler");
  signal(SIGUSR2, jump_out);
  if (!sigsetjmp(back, 1)) raise(SIGUSR2);
  show("after the jump");
  no_stack();
  actions();
  results();
  sigprocmask(SIG_SETMASK, &set, NULL);
  fflush(stdout);
  execl("/proc/self/exe", argv[0], "again", NULL);
  return 1;
}
