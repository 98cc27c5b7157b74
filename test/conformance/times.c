// System calls on clocks, timers and time spent, each with what it answered. Printed are only things that
// do not depend on the machine or the moment, so that a native run and one in the sandbox print the same.
#include "attributes.h"

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
  // The host samples this by its ticks: on a busy machine it is less than what was used.
  CALL(info.si_utime + info.si_stime >= 5);
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
  // How the host divides it between user and system, its ticks decide.
  CALL((u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec > 150000);
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
  static const struct part parts[] = {{"clocks", clocks},
                                      {"interval_timers", interval_timers},
                                      {"posix_timers", posix_timers},
                                      {"waiting", waiting},
                                      {"usage", usage},
                                      {"profiling", profiling},
                                      {0}};
  return run_parts(argc, argv, parts);
}
