// Futexes beyond waiting and waking: priority inheritance, robust lists, by the bare call and by pthread mutexes.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PI2 13

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}
#define SAY(call)   say(#call, (long)(call))
#define ERROR(call) printf("%s: %s\n", #call, strerrorname_np(call))

static long futex(uint32_t *word, int op, uint32_t value, const void *timeout, uint32_t *other, uint32_t value3) {
  return syscall(SYS_futex, word, op, value, timeout, other, value3);
}

/** The word with its owner as seen by this thread: our own id is 1. */
static void show(uint32_t word) {
  uint32_t tid = word & FUTEX_TID_MASK;
  printf("  waiters %d died %d owner %s\n", word >> 31, word >> 30 & 1,
         tid == 0                    ? "nobody"
         : tid == (uint32_t)gettid() ? "me"
                                     : "another");
}

static struct timespec after(clockid_t clock, long milliseconds) {
  struct timespec t;
  clock_gettime(clock, &t);
  t.tv_nsec += milliseconds * 1000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static uint32_t words[4];

static void *holder(void *milliseconds) {
  futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  usleep((intptr_t)milliseconds * 1000);
  return (void *)futex(&words[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
}

static void locks(void) {
  SAY(futex(&words[0], FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  show(words[0]);
  SAY(futex(&words[0], FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  SAY(futex(&words[0], FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
  SAY(futex(&words[0], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  show(words[0]);
  SAY(futex(&words[0], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  SAY(futex((uint32_t *)((char *)words + 1), FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  SAY(futex((uint32_t *)((char *)words + 1), FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  SAY(futex((uint32_t *)4096, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  SAY(futex((uint32_t *)4096, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  words[1] = 0x3ffffff0;
  SAY(futex(&words[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  SAY(futex(&words[1], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  words[1] = FUTEX_OWNER_DIED;
  SAY(futex(&words[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  show(words[1]);
  SAY(futex(&words[1], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  show(words[1]);
  SAY(futex(&words[2], FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
  show(words[2]);
  pthread_t thread;
  pthread_create(&thread, NULL, holder, (void *)700);
  usleep(50000);
  SAY(futex(&words[0], FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  struct timespec soon = after(CLOCK_REALTIME, 20), bad = {0, 1000000000}, past = {1, 0};
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, &soon, NULL, 0));
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, &past, NULL, 0));
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, &bad, NULL, 0));
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, (void *)8, NULL, 0));
  soon = after(CLOCK_MONOTONIC, 20);
  SAY(futex(&words[0], LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, &soon, NULL, 0));
  soon = after(CLOCK_REALTIME, 20);
  SAY(futex(&words[0], LOCK_PI2 | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 0));
  SAY(futex(&words[0], FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 0));
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  show(words[0]);
  SAY(futex(&words[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  void *unlocked;
  pthread_join(thread, &unlocked);
  SAY(unlocked);
  show(words[0]);
  SAY(futex(words, FUTEX_FD, 0, NULL, NULL, 0));
  SAY(futex(words, 14, 0, NULL, NULL, 0));
}

static pthread_mutex_t mutex;
static long counter;

static void *adder(void *unused) {
  for (int i = 0; i < 3000; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  return unused;
}

static void ring(int signal) { (void)signal; }

static void make(pthread_mutex_t *at, int robust, int shared) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  if (robust) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (shared) pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ERROR(pthread_mutex_init(at, &attributes));
}

static void mutexes(void) {
  make(&mutex, 0, 0);
  struct sigaction action = {.sa_handler = ring};
  sigaction(SIGALRM, &action, NULL);
  ualarm(2000, 1000);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, adder, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  ualarm(0, 0);
  printf("%ld\n", counter);
  ERROR(pthread_mutex_destroy(&mutex));
}

static void *dier(void *address) {
  pthread_mutex_lock(address);
  return NULL;
}

/** Locks a shared robust mutex in a process that ends in a way of `how`, while another waits. */
static void death(int inherit, int how) {
  pthread_mutex_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (inherit) {
    make(shared, 1, 1);
  } else {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(shared, &attributes);
  }
  printf("inherit %d how %d\n", inherit, how);
  int locked[2];
  char byte = 0;
  if (pipe(locked)) return;
  pid_t child = fork();
  if (!child) {
    pthread_mutex_lock(shared);
    if (write(locked[1], &byte, 1) != 1) _exit(1);
    usleep(50000);
    if (how == 0) _exit(0);
    if (how == 1) kill(getpid(), SIGKILL);
    if (how == 2) execl("/bin/true", "true", NULL);
    if (how == 3) *(volatile int *)8 = 1;
    for (volatile long i = 0;; i++) continue; // killed by the parent
  }
  // However slow the machine is, the other has the lock first.
  if (read(locked[0], &byte, 1) != 1) return;
  close(locked[0]);
  close(locked[1]);
  pid_t killer = how == 4 ? fork() : -1;
  if (!killer) {
    usleep(50000);
    kill(child, SIGKILL);
    _exit(0);
  }
  ERROR(pthread_mutex_lock(shared));
  ERROR(pthread_mutex_consistent(shared));
  ERROR(pthread_mutex_unlock(shared));
  ERROR(pthread_mutex_lock(shared));
  ERROR(pthread_mutex_unlock(shared));
  while (wait(NULL) > 0) continue;
}

static void deaths(void) {
  for (int inherit = 0; inherit < 2; inherit++)
    for (int how = 0; how < 5; how++) death(inherit, how);
  make(&mutex, 1, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, dier, &mutex);
  pthread_join(thread, NULL);
  ERROR(pthread_mutex_trylock(&mutex));
  ERROR(pthread_mutex_unlock(&mutex));
  ERROR(pthread_mutex_lock(&mutex));
}

/** Kills a process that locks and unlocks without a pause, again and again: the mutex is never lost. */
static void hunted(void) {
  for (int inherit = 0; inherit < 2; inherit++) {
    int lost = 0;
    for (int round = 0; round < 60; round++) {
      pthread_mutex_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      pthread_mutexattr_t attributes;
      pthread_mutexattr_init(&attributes);
      if (inherit) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
      pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
      pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
      pthread_mutex_init(shared, &attributes);
      pid_t child = fork();
      while (!child) {
        pthread_mutex_lock(shared);
        pthread_mutex_unlock(shared);
      }
      usleep(500 + 37 * round);
      kill(child, SIGKILL);
      wait(NULL);
      struct timespec soon = after(CLOCK_REALTIME, 200);
      int r = pthread_mutex_timedlock(shared, &soon);
      if (r != 0 && r != EOWNERDEAD) lost++;
      munmap(shared, 4096);
    }
    printf("inherit %d lost %d\n", inherit, lost);
  }
}

static void *requeued(void *unused) {
  long r = futex(&words[0], FUTEX_WAIT_REQUEUE_PI_PRIVATE, 5, NULL, &words[1], 0);
  usleep(20000); // the others have said what they did
  printf("requeued %ld\n", r);
  show(words[1]);
  futex(&words[1], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return unused;
}

#define REQUEUE(wake, most, expected)                                                                                  \
  futex(&words[0], FUTEX_CMP_REQUEUE_PI_PRIVATE, wake, (void *)most, &words[1], expected)

static void moving(void) {
  words[0] = 5;
  struct timespec soon = after(CLOCK_MONOTONIC, 20);
  SAY(futex(&words[0], FUTEX_WAIT_REQUEUE_PI_PRIVATE, 4, NULL, &words[1], 0));
  SAY(futex(&words[0], FUTEX_WAIT_REQUEUE_PI_PRIVATE, 5, NULL, &words[0], 0));
  SAY(futex(&words[0], FUTEX_WAIT_REQUEUE_PI_PRIVATE, 5, &soon, &words[1], 0));
  SAY(REQUEUE(1l, 10l, 5));
  SAY(REQUEUE(2l, 10l, 5));
  SAY(REQUEUE(1l, -1l, 5));
  SAY(REQUEUE(1l, 10l, 6));
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, requeued, NULL);
  usleep(50000);
  SAY(futex(&words[0], FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10l, &words[2], 5));
  SAY(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  SAY(REQUEUE(1l, 1l, 5));
  usleep(50000);
  show(words[1]);
  SAY(futex(&words[1], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  usleep(100000);
  SAY(REQUEUE(1l, 10l, 5));
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  printf("%x\n", words[1] & FUTEX_TID_MASK);
}

struct waiter {
  uint64_t value, address;
  uint32_t flags, reserved;
};

static long waitv(struct waiter *waiters, unsigned count, struct timespec *timeout, int clock) {
  return syscall(449, waiters, count, 0, timeout, clock);
}

static void *waker(void *which) {
  usleep(50000);
  futex(&words[(intptr_t)which], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  return NULL;
}

static void *newer(void *unused) {
  usleep(50000);
  SAY(syscall(454, &words[3], 1ul, 1, 2));
  SAY(syscall(454, &words[3], 2ul, 1, 2));
  return unused;
}

static void several(void) {
  struct waiter waiters[3] = {{0}};
  for (int i = 0; i < 3; i++) waiters[i] = (struct waiter){0, (uintptr_t)&words[i], 2 | 128, 0};
  struct timespec soon = after(CLOCK_MONOTONIC, 20);
  SAY(waitv(waiters, 3, &soon, CLOCK_MONOTONIC));
  SAY(waitv(waiters, 0, &soon, CLOCK_MONOTONIC));
  SAY(waitv(waiters, 200, &soon, CLOCK_MONOTONIC));
  SAY(waitv(NULL, 1, &soon, CLOCK_MONOTONIC));
  SAY(waitv(waiters, 3, &soon, CLOCK_BOOTTIME));
  pthread_t thread;
  pthread_create(&thread, NULL, waker, (void *)1);
  SAY(waitv(waiters, 3, NULL, 0));
  pthread_join(thread, NULL);
  waiters[2].value = 1;
  SAY(waitv(waiters, 3, NULL, 0));
  waiters[2].value = 0;
  struct sigaction action = {.sa_handler = ring};
  sigaction(SIGALRM, &action, NULL);
  ualarm(20000, 0);
  SAY(waitv(waiters, 3, NULL, 0));
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  ualarm(20000, 10000);
  soon = after(CLOCK_REALTIME, 70);
  SAY(waitv(waiters, 3, &soon, CLOCK_REALTIME));
  ualarm(0, 0);
  pthread_create(&thread, NULL, newer, NULL);
  long woken = syscall(455, &words[3], 0ul, 2ul, 2, NULL, 0);
  pthread_join(thread, NULL);
  SAY(woken);
  SAY(syscall(455, &words[3], 1ul, 2ul, 2, NULL, 0));
  SAY(syscall(455, &words[3], 0ul, 0ul, 2, NULL, 0));
  SAY(syscall(456, waiters, 0, 1, 1));
  pid_t child = fork();
  if (!child) waitv(waiters, 3, NULL, 0);
  usleep(50000);
  kill(child, SIGSTOP);
  usleep(20000);
  kill(child, SIGCONT);
  usleep(20000);
  kill(child, SIGTERM);
  int status;
  SAY(wait(&status) == child);
  printf("%x\n", status);
}

static void *chain(void *unused) {
  futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  usleep(30000);
  futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  futex(&words[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  futex(&words[1], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return unused;
}

/** What would be a circle is refused. */
static void chains(void) {
  pthread_t thread;
  SAY(futex(&words[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  pthread_create(&thread, NULL, chain, NULL);
  usleep(100000);
  SAY(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  SAY(futex(&words[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  SAY(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
  setbuf(stdout, NULL);
  const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {
      {"locks", locks},   {"mutexes", mutexes}, {"deaths", deaths}, {"moving", moving},
      {"chains", chains}, {"several", several}, {"hunted", hunted},
  };
  for (unsigned i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++)
    if (!strcmp(argv[1], parts[i].name)) parts[i].run();
}
