// System calls on ids, limits, scheduling, clocks and timers, each with what it answered. Printed are only things that
// do not depend on the machine or the moment, so that a native run and one in the sandbox print the same.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL(...) show(#__VA_ARGS__, errno_of(__VA_ARGS__))
static long errno_of(long r) { return r == -1 ? -errno : r; }
static void show(const char *what, long result) {
  printf("%s = %ld\n", what, result);
  fflush(stdout);
}

static void *const BAD = (void *)8;

static void sessions(void) {
  CALL(syscall(SYS_setpgid, 0, -1));
  CALL(syscall(SYS_setpgid, 999999, 0));
  CALL(syscall(SYS_setpgid, -5, 0));
  CALL(syscall(SYS_getpgid, 999999));
  CALL(syscall(SYS_getsid, 999999));
  CALL(syscall(SYS_getsid, 0) == getsid(0));
  int go[2], ready[2];
  if (pipe(go) || pipe(ready)) abort();
  pid_t child = fork();
  if (child == 0) {
    char c;
    show("child setpgid", errno_of(setpgid(0, 0)));
    show("child is leader", getpgrp() == getpid());
    show("child setsid", errno_of(setsid()));
    if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1) abort();
    pid_t grandchild = fork();
    if (grandchild == 0) {
      show("grandchild setsid", setsid() == getpid());
      show("grandchild setpgid", errno_of(setpgid(0, 0)));
      show("grandchild getsid", getsid(0) == getpid());
      show("foreign group", errno_of(setpgid(0, getppid())));
      _exit(0);
    }
    waitpid(grandchild, NULL, 0);
    execl("/bin/sleep", "sleep", "1", NULL);
    _exit(1);
  }
  char c;
  if (read(ready[0], &c, 1) != 1) abort();
  show("child back", errno_of(setpgid(child, getpgrp())));
  show("child to nowhere", errno_of(setpgid(child, 999999)));
  if (write(go[1], "x", 1) != 1) abort();
  usleep(300000);
  show("child after exec", errno_of(setpgid(child, 0)));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void limits(void) {
  struct rlimit l = {5, 4};
  CALL(syscall(SYS_setrlimit, RLIMIT_NOFILE, &l));
  CALL(syscall(SYS_setrlimit, 16, &(struct rlimit){1, 1}));
  CALL(syscall(SYS_setrlimit, -1, &(struct rlimit){1, 1}));
  CALL(syscall(SYS_getrlimit, 16, &l));
  CALL(syscall(SYS_getrlimit, 0, BAD));
  CALL(syscall(SYS_setrlimit, 0, BAD));
  CALL(syscall(SYS_prlimit64, 999999, 0, NULL, &l));
  CALL(syscall(SYS_prlimit64, 0, 99, NULL, NULL));
  CALL(syscall(SYS_prlimit64, getpid(), RLIMIT_FSIZE, &(struct rlimit){1000, 2000}, NULL));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, &(struct rlimit){1500, 1800}, &l));
  printf("old fsize %ld %ld\n", (long)l.rlim_cur, (long)l.rlim_max);
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &l));
  printf("fsize %ld %ld\n", (long)l.rlim_cur, (long)l.rlim_max);
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}, NULL));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &l));
  printf("core %lx %lx\n", (long)l.rlim_cur, (long)l.rlim_max);
}

static void priorities(void) {
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(syscall(SYS_getpriority, 3, 0));
  CALL(syscall(SYS_getpriority, -1, 0));
  CALL(syscall(SYS_getpriority, 0, 999999));
  CALL(syscall(SYS_setpriority, 0, 999999, 0));
  CALL(syscall(SYS_setpriority, 0, 0, 100));
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(syscall(SYS_getpriority, 1, getpgrp()));
  CALL(syscall(SYS_setpriority, 0, 0, 7));
  CALL(syscall(SYS_getpriority, 0, 0));
  pid_t child = fork();
  if (child == 0) {
    show("child's", syscall(SYS_getpriority, 0, 0));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_get, 2, 0));
  CALL(syscall(SYS_ioprio_get, 9, 0));
  CALL(syscall(SYS_ioprio_get, 1, 999999));
  CALL(syscall(SYS_ioprio_set, 1, 0, 5 << 13));
  CALL(syscall(SYS_ioprio_set, 1, 0, 3));
  CALL(syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 6));
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_get, 2, 0));
}

struct attr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t min, max;
  uint64_t more;
};

static void scheduling(void) {
  struct sched_param p = {0};
  struct attr a = {0};
  CALL(sched_getscheduler(0));
  CALL(sched_getscheduler(-1));
  CALL(sched_getscheduler(999999));
  CALL(sched_getparam(0, &p));
  CALL(sched_getparam(0, NULL));
  CALL(sched_setscheduler(0, SCHED_BATCH, &p));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &p));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, 42, &p));
  CALL(sched_setscheduler(0, -1, &p));
  p.sched_priority = 1;
  CALL(sched_setscheduler(0, SCHED_OTHER, &p));
  p.sched_priority = 100;
  CALL(sched_setscheduler(0, SCHED_FIFO, &p));
  p.sched_priority = 0;
  CALL(sched_setscheduler(0, SCHED_OTHER, &p));
  CALL(sched_setparam(0, &p));
  CALL(sched_get_priority_max(SCHED_FIFO));
  CALL(sched_get_priority_min(SCHED_FIFO));
  CALL(sched_get_priority_max(SCHED_BATCH));
  CALL(sched_get_priority_max(77));
  struct timespec t;
  CALL(syscall(SYS_sched_rr_get_interval, -1, &t));
  CALL(syscall(SYS_sched_rr_get_interval, 999999, &t));
  CALL(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
  printf("attr %u %u %lx %d %u\n", a.size, a.policy, (long)a.flags, a.nice, a.priority);
  CALL(syscall(SYS_sched_getattr, 0, &a, 47, 0));
  CALL(syscall(SYS_sched_getattr, 0, &a, 48, 1));
  CALL(syscall(SYS_sched_getattr, 0, &a, 5000, 0));
  CALL(syscall(SYS_sched_getattr, 0, &a, 48, 0));
  printf("attr %u\n", a.size);
  memset(&a, 0, sizeof a);
  a.size = 48;
  a.policy = SCHED_BATCH;
  a.nice = 12;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(sched_getscheduler(0));
  a.size = 40;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  printf("wanted %d\n", a.size >= 56);
  a.size = 64;
  a.more = 1;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  a.more = 0;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  a.flags = 1ull << 40;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  unsigned long mask[32] = {0};
  CALL(syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0);
  CALL(mask[0] != 0);
  CALL(syscall(SYS_sched_getaffinity, 0, 4, mask));
  CALL(syscall(SYS_sched_getaffinity, 0, 0, mask));
  CALL(syscall(SYS_sched_getaffinity, 999999, sizeof mask, mask));
  memset(mask, 0, sizeof mask);
  CALL(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  mask[0] = 1;
  CALL(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  mask[0] = ~0ul;
  CALL(syscall(SYS_sched_getaffinity, 0, 8, mask) > 0);
  printf("mask %lx\n", mask[0]);
  unsigned cpu = 99, node = 99;
  CALL(syscall(SYS_getcpu, &cpu, &node, NULL));
  printf("cpu %d node %u\n", cpu < 64, node);
}

static void options(void) {
  int value = 0;
  char name[17] = "x";
  CALL(prctl(PR_SET_NAME, "a name that is too long"));
  CALL(prctl(PR_GET_NAME, name));
  printf("name %s\n", name);
  CALL(prctl(PR_SET_NAME, BAD));
  CALL(prctl(PR_SET_PDEATHSIG, 65));
  CALL(prctl(PR_SET_PDEATHSIG, SIGUSR1));
  CALL(prctl(PR_GET_PDEATHSIG, &value));
  printf("pdeathsig %d\n", value);
  CALL(prctl(PR_SET_PDEATHSIG, 0));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 2));
  CALL(prctl(PR_SET_DUMPABLE, 0));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 1));
  CALL(prctl(PR_SET_KEEPCAPS, 2));
  CALL(prctl(PR_GET_KEEPCAPS));
  CALL(prctl(PR_SET_CHILD_SUBREAPER, 5));
  CALL(prctl(PR_GET_CHILD_SUBREAPER, &value));
  printf("subreaper %d\n", value);
  CALL(prctl(PR_SET_CHILD_SUBREAPER, 0));
  CALL(prctl(PR_SET_TIMERSLACK, 12345));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_TIMERSLACK, 0));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_READ, 41));
  CALL(prctl(PR_CAPBSET_READ, 0));
  CALL(prctl(PR_CAPBSET_DROP, 41));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 41, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, 9, 0, 0, 0));
  CALL(prctl(PR_GET_SECCOMP));
  CALL(prctl(PR_GET_TIMING));
  CALL(prctl(PR_SET_TIMING, 1));
  CALL(prctl(PR_GET_TSC, &value));
  CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL, 1, 1, 0, 0));
  CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL, 1, 9, 0, 0));
  CALL(prctl(PR_MCE_KILL, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
  CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  CALL(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
  CALL(prctl(PR_GET_ENDIAN, &value));
  CALL(prctl(PR_GET_FPEMU, &value));
  CALL(prctl(PR_GET_UNALIGN, &value));
  CALL(prctl(123456, 0, 0, 0, 0));
  CALL(prctl(PR_TASK_PERF_EVENTS_DISABLE));
  char auxv[1024];
  CALL(prctl(0x41555856, auxv, sizeof auxv, 0, 0) > 0);
  CALL(prctl(0x41555856, auxv, sizeof auxv, 1, 0));
  CALL(syscall(SYS_personality, 0xffffffff));
  CALL(syscall(SYS_personality, ADDR_NO_RANDOMIZE));
  CALL(syscall(SYS_personality, PER_LINUX32 | UNAME26));
  struct utsname u;
  CALL(uname(&u));
  printf("%s %.4s %s\n", u.sysname, u.release, u.machine);
  CALL(syscall(SYS_personality, 0));
  CALL(syscall(SYS_uname, BAD));
  struct __user_cap_header_struct header = {0x1234, 0};
  struct __user_cap_data_struct data[2];
  CALL(syscall(SYS_capget, &header, data));
  printf("version %x\n", header.version);
  header.version = 0x1234;
  CALL(syscall(SYS_capget, &header, NULL));
  CALL(syscall(SYS_capget, &header, data));
  header.pid = -1;
  CALL(syscall(SYS_capget, &header, data));
  header.pid = 999999;
  CALL(syscall(SYS_capget, &header, data));
  CALL(syscall(SYS_capset, &header, data));
  header.pid = 0;
  CALL(syscall(SYS_capget, &header, BAD));
  CALL(syscall(SYS_capget, BAD, data));
  CALL(syscall(SYS_set_robust_list, data, 23));
  CALL(syscall(SYS_getgroups, -1, NULL));
  CALL(syscall(SYS_setgroups, 70000, NULL));
  CALL(syscall(SYS_setgroups, 2, BAD));
  CALL(syscall(SYS_setgroups, 3, (gid_t[]){30, 10, 20}));
  gid_t groups[8];
  CALL(syscall(SYS_getgroups, 2, groups));
  CALL(syscall(SYS_getgroups, 8, groups));
  printf("groups %u %u %u\n", groups[0], groups[1], groups[2]);
  CALL(syscall(SYS_getresuid, BAD, &value, &value));
  CALL(syscall(SYS_getrandom, BAD, 4, 0));
  CALL(syscall(SYS_getrandom, groups, 4, 8));
  CALL(syscall(SYS_getrandom, groups, 4, 6));
  CALL(syscall(SYS_getrandom, groups, 4, 1));
  static char big[3 << 20];
  CALL(syscall(SYS_getrandom, big, sizeof big, 0));
  CALL(memcmp(big, big + (1 << 20), 4096) != 0 && memcmp(big + sizeof big - 16, "\0\0\0\0\0\0\0\0", 8) != 0);
  CALL(syscall(SYS_sethostname, "x", -1));
  CALL(syscall(SYS_sethostname, "x", 65));
}

static void clocks(void) {
  struct timespec t;
  for (int id = -1; id < 14; id++) {
    printf("clock %d: get %ld", id, errno_of(syscall(SYS_clock_gettime, id, &t)));
    printf(" res %ld", errno_of(syscall(SYS_clock_getres, id, &t)));
    int timer;
    long r = errno_of(syscall(SYS_timer_create, id, NULL, &timer));
    printf(" timer %ld", r);
    if (r == 0) syscall(SYS_timer_delete, timer);
    if (id != 2) printf(" sleep %ld", errno_of(syscall(SYS_clock_nanosleep, id, 0, &(struct timespec){0, 1}, NULL)));
    printf("\n");
  }
  CALL(syscall(SYS_clock_gettime, 0, BAD));
  CALL(syscall(SYS_clock_getres, 0, NULL));
  CALL(syscall(SYS_clock_gettime, (~getpid() << 3) | 2, &t));
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  CALL(syscall(SYS_clock_gettime, (~child << 3) | 2, &t));
  CALL(syscall(SYS_clock_gettime, (~child << 3) | 6, &t));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  CALL(syscall(SYS_clock_gettime, (~999999 << 3) | 2, &t));
  CALL(syscall(SYS_clock_gettime, (~getpid() << 3) | 6, &t));
  CALL(syscall(SYS_clock_gettime, (~getpid() << 3) | 3, &t));
  CALL(syscall(SYS_nanosleep, &(struct timespec){0, 1000000000}, NULL));
  CALL(syscall(SYS_nanosleep, &(struct timespec){-1, 0}, NULL));
  CALL(syscall(SYS_nanosleep, BAD, NULL));
  CALL(syscall(SYS_nanosleep, &(struct timespec){0, 0}, NULL));
  CALL(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 0}, NULL));
  struct timespec before, after;
  clock_gettime(CLOCK_REALTIME, &before);
  before.tv_sec++;
  CALL(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &before, NULL));
  clock_gettime(CLOCK_REALTIME, &after);
  CALL(after.tv_sec - before.tv_sec);
  CALL(syscall(SYS_time, NULL) - time(NULL));
  struct timeval tv;
  CALL(syscall(SYS_gettimeofday, &tv, NULL));
  CALL(tv.tv_sec - time(NULL));
  CALL(syscall(SYS_adjtimex, BAD));
}

static volatile int signals;
static volatile int last_code, last_overrun, last_value;
static void count(int signo, siginfo_t *info, void *context) {
  (void)context;
  (void)signo;
  signals++;
  last_code = info->si_code;
  last_overrun = info->si_overrun;
  last_value = info->si_value.sival_int;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/** Uses so much CPU time of the calling thread, however long that takes on a busy machine. */
static void burn(double time) {
  struct timespec start, now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  do {
    for (volatile int i = 0; i < 200000; i++) continue;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < time);
}

/** Uses CPU time, of the process, until there are so many signals or 5 s have passed. */
static void burn_until(int wanted) {
  for (double end = seconds() + 5; signals < wanted && seconds() < end;) continue;
}

static void interval_timers(void) {
  struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
  struct itimerval v, old;
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGVTALRM, &action, NULL);
  sigaction(SIGPROF, &action, NULL);
  CALL(syscall(SYS_setitimer, 3, &(struct itimerval){{0, 0}, {1, 0}}, NULL));
  CALL(syscall(SYS_setitimer, 0, &(struct itimerval){{0, 0}, {0, 1000000}}, NULL));
  CALL(syscall(SYS_setitimer, 0, &(struct itimerval){{0, -1}, {0, 1}}, NULL));
  CALL(syscall(SYS_setitimer, 0, BAD, NULL));
  CALL(syscall(SYS_getitimer, 5, &v));
  CALL(alarm(100));
  CALL(alarm(50));
  CALL(syscall(SYS_getitimer, 0, &v));
  printf("left %ld, every %ld\n", (long)v.it_value.tv_sec, (long)v.it_interval.tv_sec);
  CALL(alarm(0));
  CALL(alarm(0));
  signals = 0;
  v = (struct itimerval){{0, 10000}, {0, 20000}};
  CALL(syscall(SYS_setitimer, ITIMER_REAL, &v, NULL));
  struct timespec left = {0, 0};
  CALL(syscall(SYS_nanosleep, &(struct timespec){10, 0}, &left));
  CALL(left.tv_sec == 9 && signals == 1 && last_code == SI_KERNEL);
  double start = seconds();
  while (signals < 11) pause();
  double took = seconds() - start;
  CALL(took > 0.09);
  v = (struct itimerval){{0, 0}, {0, 0}};
  CALL(syscall(SYS_setitimer, ITIMER_REAL, &v, &old));
  CALL(old.it_interval.tv_usec);
  int virtuals[2] = {ITIMER_VIRTUAL, ITIMER_PROF};
  for (int i = 0; i < 2; i++) {
    signals = 0;
    v = (struct itimerval){{0, 20000}, {0, 20000}};
    CALL(syscall(SYS_setitimer, virtuals[i], &v, NULL));
    usleep(100000);
    CALL(signals <= 1);
    start = seconds();
    burn_until(5);
    took = seconds() - start;
    CALL(signals >= 5 && took > 0.06);
    v = (struct itimerval){{0, 0}, {0, 0}};
    CALL(syscall(SYS_setitimer, virtuals[i], &v, NULL));
  }
  signals = 0;
  v = (struct itimerval){{0, 0}, {0, 50000}};
  CALL(syscall(SYS_setitimer, ITIMER_REAL, &v, NULL));
  pid_t child = fork();
  if (child == 0) {
    CALL(syscall(SYS_getitimer, 0, &v));
    CALL(v.it_value.tv_usec);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  while (!signals) pause();
  CALL(syscall(SYS_getitimer, 0, &v));
  CALL(v.it_value.tv_usec);
}

static void posix_timers(void) {
  struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value = {.sival_int = 77}};
  struct itimerspec s, old;
  int id = -1, other = -1;
  sigset_t set, empty;
  sigemptyset(&empty);
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  sigaction(SIGRTMIN + 1, &action, NULL);
  event.sigev_notify = 9;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
  event.sigev_notify = SIGEV_THREAD_ID;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = 65;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
  event.sigev_signo = SIGRTMIN + 1;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, BAD, &id));
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, BAD));
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
  CALL(syscall(SYS_timer_gettime, id, &s));
  printf("%ld %ld\n", (long)s.it_value.tv_sec, (long)s.it_value.tv_nsec);
  CALL(syscall(SYS_timer_gettime, id + 1000, &s));
  CALL(syscall(SYS_timer_settime, id, 0, NULL, NULL));
  CALL(syscall(SYS_timer_settime, id + 1000, 0, &s, NULL));
  s = (struct itimerspec){{0, 0}, {0, 1000000000}};
  CALL(syscall(SYS_timer_settime, id, 0, &s, NULL));
  signals = 0;
  s = (struct itimerspec){{0, 0}, {0, 20000000}};
  CALL(syscall(SYS_timer_settime, id, 0, &s, NULL));
  sigprocmask(SIG_BLOCK, &set, NULL);
  while (!signals) sigsuspend(&empty);
  printf("code %d value %d overrun %d\n", last_code, last_value, last_overrun);
  // Ten periods and more while the signal is blocked: one signal, the others are overruns.
  s = (struct itimerspec){{0, 10000000}, {0, 10000000}};
  CALL(syscall(SYS_timer_settime, id, 0, &s, NULL));
  usleep(105000);
  signals = 0;
  sigsuspend(&empty);
  CALL(signals == 1 && last_overrun >= 8);
  CALL(syscall(SYS_timer_getoverrun, id) == last_overrun);
  sigsuspend(&empty);
  CALL(signals == 2);
  CALL(syscall(SYS_timer_settime, id, 0, &(struct itimerspec){{0, 0}, {100, 0}}, &old));
  CALL(old.it_interval.tv_nsec);
  CALL(syscall(SYS_timer_gettime, id, &s));
  CALL(s.it_value.tv_sec);
  // Absolute, and long past.
  signals = 0;
  s = (struct itimerspec){{0, 0}, {1, 0}};
  CALL(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &s, NULL));
  while (!signals) sigsuspend(&empty);
  CALL(syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &other));
  CALL(other - id);
  signals = 0;
  s = (struct itimerspec){{0, 0}, {0, 30000000}};
  CALL(syscall(SYS_timer_settime, other, 0, &s, NULL));
  usleep(60000);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  CALL(signals);
  burn_until(1);
  CALL(signals);
  CALL(syscall(SYS_timer_delete, other));
  CALL(syscall(SYS_timer_delete, other));
  event.sigev_notify = SIGEV_NONE;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &other));
  s = (struct itimerspec){{0, 50000000}, {0, 10000000}};
  CALL(syscall(SYS_timer_settime, other, 0, &s, NULL));
  usleep(30000);
  CALL(syscall(SYS_timer_gettime, other, &s));
  CALL(s.it_value.tv_nsec > 10000000 && s.it_value.tv_nsec < 50000000);
  pid_t child = fork();
  if (child == 0) {
    CALL(syscall(SYS_timer_gettime, id, &s));
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void on_thread(union sigval value) { signals += value.sival_int; }

/** A child that sleeps, is stopped and continued: whether it slept as long as it should have. */
static void stopped_sleep(double sleep, double stop_at, double stopped, double expected) {
  pid_t child = fork();
  if (child == 0) {
    double start = seconds();
    struct timespec t = {(time_t)sleep, (long)((sleep - (time_t)sleep) * 1e9)};
    int r = nanosleep(&t, &t);
    double took = seconds() - start;
    _exit(r == 0 && took > expected - 0.02 ? 0 : 1);
  }
  int status;
  usleep((useconds_t)(stop_at * 1e6));
  kill(child, SIGSTOP);
  waitpid(child, &status, WUNTRACED);
  CALL(WIFSTOPPED(status));
  usleep((useconds_t)(stopped * 1e6));
  kill(child, SIGCONT);
  waitpid(child, &status, 0);
  CALL(status);
}

static void waiting(void) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value = {.sival_int = 1}};
  event.sigev_notify_function = on_thread;
  timer_t timer;
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec s = {{0, 10000000}, {0, 10000000}};
  CALL(timer_settime(timer, 0, &s, NULL));
  for (double end = seconds() + 5; signals < 5 && seconds() < end;) usleep(10000);
  CALL(timer_delete(timer));
  CALL(signals >= 5);
  stopped_sleep(0.5, 0.1, 0.2, 0.5);
  stopped_sleep(0.2, 0.1, 0.5, 0.6);
  signal(SIGUSR1, SIG_IGN);
  pid_t child = fork();
  if (child == 0) {
    usleep(100000);
    kill(getppid(), SIGUSR1);
    _exit(0);
  }
  double start = seconds();
  CALL(nanosleep(&(struct timespec){0, 300000000}, NULL));
  CALL(seconds() - start > 0.29);
  waitpid(child, NULL, 0);
  // Signals that would be ignored, or kill, are taken by whoever waits for them.
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  child = fork();
  if (child == 0) {
    burn(0.3);
    _exit(5);
  }
  CALL(sigwaitinfo(&set, &info));
  CALL(info.si_code == CLD_EXITED && info.si_status == 5 && info.si_pid == child);
  CALL(info.si_utime + info.si_stime >= 25);
  waitpid(child, NULL, 0);
  child = fork();
  if (child == 0) {
    usleep(100000);
    kill(getppid(), SIGTERM);
    _exit(0);
  }
  CALL(sigwaitinfo(&set, &info));
  waitpid(child, NULL, 0);
}

static void *burner(void *time) {
  burn(*(double *)time);
  struct rusage u;
  getrusage(RUSAGE_THREAD, &u);
  double used = u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  double clock = t.tv_sec + t.tv_nsec / 1e9;
  show("thread's usage fits its clock", used > clock - 0.05 && used < clock + 0.05);
  return NULL;
}

static void usage(void) {
  struct rusage u;
  struct tms tms;
  struct timespec a, b;
  CALL(syscall(SYS_getrusage, 5, &u));
  CALL(syscall(SYS_getrusage, RUSAGE_SELF, BAD));
  CALL(getrusage(RUSAGE_SELF, &u));
  CALL(u.ru_maxrss > 0 && u.ru_minflt > 0);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
  burn(0.1);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
  double used = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
  CALL(used > 0.09);
  pthread_t thread;
  double time = 0.15;
  pthread_create(&thread, NULL, burner, &time);
  pthread_join(thread, NULL);
  pid_t child = fork();
  if (child == 0) {
    burn(0.2);
    execl("/bin/true", "true", NULL);
  }
  int status;
  wait4(child, &status, 0, &u);
  used = u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  CALL(used > 0.19);
  getrusage(RUSAGE_CHILDREN, &u);
  CALL(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec > 150000);
  CALL(times(&tms) > 0);
  CALL(tms.tms_cutime + tms.tms_cstime >= 15);
  struct rlimit cpu = {1, RLIM_INFINITY};
  child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CPU, &cpu);
    burn(4);
    _exit(0);
  }
  waitpid(child, &status, 0);
  CALL(WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

static volatile int profiling_ends;
static __thread volatile int my_ticks;
static void tick(int signo) {
  (void)signo;
  my_ticks++;
}

/** Threads that compute without a call, or sleep: how many of a CPU timer's signals each of them took. */
static void *computes(void *ticks) {
  while (!profiling_ends) continue;
  *(int *)ticks = my_ticks;
  return NULL;
}
static void *sleeps(void *ticks) {
  while (!profiling_ends) usleep(90000);
  *(int *)ticks = my_ticks;
  return NULL;
}

static void profile(const char *what, int hogs) {
  pthread_t threads[4];
  int ticks[4] = {0};
  profiling_ends = my_ticks = 0;
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, i < hogs ? computes : sleeps, &ticks[i]);
  struct timespec used, start;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  do {
    usleep(60000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (used.tv_sec - start.tv_sec + (used.tv_nsec - start.tv_nsec) / 1e9 < 0.2);
  profiling_ends = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  int all = my_ticks, least = 1000, by_hogs = 0;
  for (int i = 0; i < 4; i++) {
    all += ticks[i];
    if (i >= hogs) continue;
    by_hogs += ticks[i];
    if (ticks[i] < least) least = ticks[i];
  }
  printf("%s, %d threads compute: signals %d, theirs %d, each has a share %d\n", what, hogs, all >= 6,
         by_hogs * 2 >= all, least * hogs * 4 >= by_hogs);
}

static void profiling(void) {
  signal(SIGPROF, tick);
  for (int hogs = 1; hogs <= 2; hogs++) {
    struct itimerval every = {{0, 10000}, {0, 10000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &every, NULL);
    profile("ITIMER_PROF", hogs);
    setitimer(ITIMER_PROF, &off, NULL);
    timer_t id;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    struct itimerspec often = {{0, 10000000}, {0, 10000000}};
    timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &id);
    timer_settime(id, 0, &often, NULL);
    profile("timer of the process's CPU time", hogs);
    timer_delete(id);
  }
}

int main(int argc, char **argv) {
  // A process group of its own; the sandbox's first process has one already.
  setpgid(0, 0);
  static const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {
      {"sessions", sessions},
      {"limits", limits},
      {"priorities", priorities},
      {"scheduling", scheduling},
      {"options", options},
      {"clocks", clocks},
      {"interval_timers", interval_timers},
      {"posix_timers", posix_timers},
      {"waiting", waiting},
      {"usage", usage},
      {"profiling", profiling},
  };
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    if (argc < 2 || !strcmp(argv[1], parts[i].name)) parts[i].run();
  return 0;
}
