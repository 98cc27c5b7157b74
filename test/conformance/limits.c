// Resource limits at work, CPU clocks of others, and who may discipline the clock.

#define _GNU_SOURCE
#include <stdio.h>
#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <signal.h>
#include <fcntl.h>
#include <unistd.h>
#include <mqueue.h>
#include <time.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <sys/stat.h>
static void say(const char *w, long r) { printf("%s: %s\n", w, r < 0 ? strerrorname_np(errno) : "ok"); }
static void lim(int r, long s) {
  struct rlimit l;
  getrlimit(r, &l);
  l.rlim_cur = s;
  if (l.rlim_max != RLIM_INFINITY && s > (long)l.rlim_max) l.rlim_max = s;
  say("setrlimit", setrlimit(r, &l));
}
static void child(const char *n, void (*f)(void)) {
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    f();
    fflush(stdout);
    _exit(0);
  }
  int st;
  waitpid(p, &st, 0);
  printf("%s: exit %d sig %d\n", n, WEXITSTATUS(st), WTERMSIG(st));
}
static void fsize(void) {
  lim(RLIMIT_FSIZE, 1000);
  int f = open("/tmp/lim.f", O_CREAT | O_RDWR | O_TRUNC, 0600);
  unlink("/tmp/lim.f");
  char b[2000] = {0};
  printf("%zd\n", write(f, b, 2000));
  fflush(stdout);
  signal(SIGXFSZ, SIG_IGN);
  say("more", write(f, b, 1));
  say("trunc", ftruncate(f, 2000));
  say("falloc", fallocate(f, 0, 0, 3000));
  say("pw", pwrite(f, b, 10, 995));
  signal(SIGXFSZ, SIG_DFL);
  printf("%zd\n", write(f, b, 1));
}
static void nofile(void) {
  lim(RLIMIT_NOFILE, 5);
  say("open", open("/", 0));
  say("open", open("/", 0));
  say("open", open("/", 0));
  say("dup2", dup2(0, 5));
  say("dupfd", fcntl(0, F_DUPFD, 5));
  int p[2];
  say("pipe", pipe(p));
}
static void cpu(void) {
  lim(RLIMIT_CPU, 1);
  for (;;)
    ;
}
static void msgq(void) {
  lim(RLIMIT_MSGQUEUE, 4096);
  struct mq_attr a = {.mq_maxmsg = 10, .mq_msgsize = 8192};
  say("mq", mq_open("/lim", O_CREAT | O_RDWR, 0600, &a));
  mq_unlink("/lim");
}
static void sigp(void) {
  setgid(54321);
  setuid(54321);
  lim(RLIMIT_SIGPENDING, 3);
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &s, 0);
  union sigval v = {1};
  for (int i = 0; i < 5; i++) say("sigqueue", sigqueue(getpid(), SIGRTMIN, v));
  timer_t t;
  struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  say("timer", timer_create(CLOCK_MONOTONIC, &e, &t));
}
static void nproc(void) {
  lim(RLIMIT_NPROC, 1);
  setgid(54321);
  setuid(54321);
  say("fork", fork() >= 0 ? 0 : -1);
}
static void clocks(void) {
  clockid_t c;
  pid_t p = fork();
  if (!p) {
    pause();
    _exit(0);
  }
  int r = clock_getcpuclockid(p, &c);
  struct timespec t;
  printf("%d\n", r);
  say("gettime", clock_gettime(c, &t));
  say("settime", clock_settime(c, &t));
  kill(p, 9);
  waitpid(p, 0, 0);
  say("gone", clock_gettime(c, &t));
  printf("%d\n", clock_getcpuclockid(p, &c));
  printf("%d\n", clock_getcpuclockid(0, &c));
  say("res", clock_getres(c, &t));
  printf("%ld\n", t.tv_nsec);
  clockid_t th;
  pthread_getcpuclockid(pthread_self(), &th);
  say("thread", clock_gettime(th, &t));
  say("bad", clock_gettime(100, &t));
  say("thr of other", clock_gettime((~1u << 3) | 6, &t));
}
static void adj(void) {
  struct timex x = {0};
  int r = adjtimex(&x);
  printf("%d\n", r >= 0);
  setgid(54321);
  setuid(54321);
  x.modes = ADJ_FREQUENCY;
  say("freq", adjtimex(&x));
  x.modes = ADJ_OFFSET_SS_READ;
  say("ssread", adjtimex(&x) < 0 ? -1 : 0);
  x.modes = ADJ_OFFSET_SINGLESHOT;
  say("ss", adjtimex(&x));
  x.modes = 0x8000;
  say("bad", adjtimex(&x));
  x.modes = ADJ_TICK;
  x.tick = 1;
  say("tick", adjtimex(&x));
  x.modes = 0;
  say("mono", clock_adjtime(CLOCK_MONOTONIC, &x));
  say("bad clock", clock_adjtime(77, &x));
  say("boot", clock_adjtime(CLOCK_BOOTTIME, &x));
  say("tai", clock_adjtime(CLOCK_TAI, &x));
  say("cpu", clock_adjtime(CLOCK_PROCESS_CPUTIME_ID, &x));
  say("null", adjtimex((void *)8));
}

int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  if (argc < 2) return 2;
  if (strcmp(argv[1], "limits") == 0) {
    child("fsize", fsize);
    child("nofile", nofile);
    child("cpu", cpu);
    child("msgq", msgq);
    child("sigp", sigp);
    child("nproc", nproc);
  } else {
    child("clocks", clocks);
    child("adj", adj);
  }
}
