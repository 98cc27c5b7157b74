// Every system call with random and boundary arguments: calls SEED SECONDS PROCESSES DIRECTORY [root]. Children that
// end (by whatever they called) are replaced until the time is over, or on a busy machine a little longer, until they
// have made LEAST calls. They work in the directory, as nobody or as root.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_CALL 470
#define THREADS   3
#define ARENA     0x20000
#define LEAST     3000
#define LONGER    20 // seconds

static uint8_t *arena; // where most pointers point: readable and writable, between two pages that are not
static _Thread_local uint64_t state;

static uint64_t random64(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull;
}
static uint64_t below(uint64_t limit) { return random64() % limit; }

static const uint64_t BOUNDARIES[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      7,
                                      8,
                                      16,
                                      64,
                                      100,
                                      255,
                                      256,
                                      511,
                                      1023,
                                      1024,
                                      4095,
                                      4096,
                                      4097,
                                      65535,
                                      65536,
                                      65537,
                                      0x100000,
                                      0x7fffefff,
                                      0x7ffff000,
                                      0x7fffffff,
                                      0x80000000,
                                      0xfffffffe,
                                      0xffffffff,
                                      0x100000000,
                                      0x7e0000000000,
                                      0x7e0010000000,
                                      0x7e0010020000,
                                      0x7ffffffff000,
                                      0x800000000000,
                                      0x1fffffffffffff,
                                      0x20000000000001,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xfffffffffffff000,
                                      0xfffffffffffffffe,
                                      0xffffffffffffffff};

static const char *const NAMES[] = {"/",
                                    "/tmp",
                                    "c/d",
                                    "../fuzz",
                                    "c",
                                    "a",
                                    "b",
                                    ".",
                                    "..",
                                    "",
                                    "/proc/self/fd",
                                    "/proc/self/maps",
                                    "/dev/null",
                                    "/dev/zero",
                                    "/dev/tty",
                                    "/dev/ptmx",
                                    "/proc/1/root",
                                    "/proc/self/mem",
                                    "/proc",
                                    "/sys",
                                    "/etc/passwd",
                                    "/bin/true",
                                    "../../../../..",
                                    "/dev/shm/fuzz",
                                    "link",
                                    "user.fuzz",
                                    "tmpfs",
                                    "security.capability",
                                    "/proc/self/exe",
                                    "/proc/self/root/tmp",
                                    "/dev/stdin",
                                    "/proc/sys/kernel/hostname"};

/** Something that a structure of this program may well be: fds, small numbers, addresses, names. */
static uint64_t word(void) {
  switch (below(8)) {
  case 0: return BOUNDARIES[below(sizeof BOUNDARIES / 8)];
  case 1: return (uint64_t)arena + below(ARENA);
  case 2: return below(64);
  case 3: return below(64) | below(64) << 32;
  case 4: return 1ull << below(64);
  case 5: return below(0x10000);
  case 6: return 0;
  }
  return random64();
}

static void stir(void) {
  uint8_t *to = arena + (below(ARENA) & ~7ull);
  for (int i = below(64); i > 0 && to + 8 <= arena + ARENA; i--, to += 8) *(uint64_t *)to = word();
  if (below(3) == 0) {
    const char *name = NAMES[below(sizeof NAMES / sizeof *NAMES)];
    uint8_t *place = arena + (below(ARENA - 64) & ~15ull);
    memcpy(place, name, strlen(name) + 1);
  }
}

static uint64_t argument(void) {
  switch (below(12)) {
  case 0: return BOUNDARIES[below(sizeof BOUNDARIES / 8)];
  case 1: return random64();
  case 2:
  case 3: return below(40);                                              // a descriptor, a small enumeration
  case 4: return 1ull << below(32) | (below(2) ? 1ull << below(32) : 0); // flags
  case 5: return (uint64_t)arena + ARENA - below(64);                    // runs off the end
  case 6: return below(4096);
  case 7: return (uint64_t)NAMES[below(sizeof NAMES / sizeof *NAMES)];
  case 8: return (uint64_t)-100; // AT_FDCWD
  }
  return (uint64_t)arena + (below(ARENA) & ~7ull);
}

static long call(uint64_t nr, const uint64_t *a) {
  long result;
  register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static long call32(uint64_t nr, const uint64_t *a) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "0"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                   : "memory");
  return result;
}

/** Calls that would only end the child, or leave it where nobody reaches it, come seldom. */
static int is_seldom(uint64_t nr) {
  return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn || nr == SYS_pause ||
         nr == SYS_rt_sigsuspend || nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill || nr == SYS_munmap ||
         nr == SYS_execve || nr == SYS_brk || nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_mmap ||
         nr == SYS_vfork || nr == SYS_clone || nr == SYS_fork || nr == SYS_clone3 || nr == SYS_execveat ||
         nr == SYS_rt_sigtimedwait || nr == SYS_close_range || nr == SYS_alarm;
}

static const char *directory;
static volatile uint64_t *calls_made;
static time_t deadline;

static void fuzz(uint64_t seed) {
  state = seed * 0x9e3779b97f4a7c15ull + 1;
  while (time(NULL) <= deadline) {
    for (int i = 0; i < 50; i++) {
      uint64_t nr = below(LAST_CALL + 1), arguments[6];
      if (is_seldom(nr) && below(40)) continue;
      for (int k = 0; k < 6; k++) arguments[k] = argument();
      stir();
      int form = below(40);
      __atomic_add_fetch(calls_made, 1, __ATOMIC_RELAXED);
      if (form == 0) call(nr | 0x40000000, arguments);
      else if (form == 1) call32(nr, arguments);
      else if (form == 2) call(random64(), arguments);
      else if (form == 3) call(nr | 1ull << 32, arguments);
      else call(nr, arguments);
    }
  }
}

static void *thread_main(void *seed) {
  fuzz((uintptr_t)seed);
  return NULL;
}

/** Descriptors of every kind, so that small numbers mean something. */
static void open_things(void) {
  int pair[2];
  if (chdir(directory)) return;
  open("a", O_RDWR | O_CREAT, 0666);
  open(".", O_RDONLY | O_DIRECTORY);
  if (pipe(pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)) return;
  epoll_create1(0);
  eventfd(0, 0);
  timerfd_create(CLOCK_MONOTONIC, 0);
  socket(AF_INET, SOCK_STREAM, 0);
  socket(AF_INET6, SOCK_DGRAM, 0);
  socket(AF_UNIX, SOCK_DGRAM, 0);
  socket(AF_NETLINK, SOCK_RAW, 0);
  open("/proc/self/status", O_RDONLY);
  open("/dev/null", O_RDWR);
  open("/dev/ptmx", O_RDWR | O_NOCTTY);
  memfd_create("fuzz", MFD_ALLOW_SEALING);
  syscall(SYS_inotify_init1, 0);
  syscall(SYS_signalfd4, -1, BOUNDARIES, 8, 0);
  syscall(SYS_pidfd_open, getpid(), 0);
}

static void child(uint64_t seed, int privileged) {
  // Loud programs would drown the test; memory is the host's.
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  struct rlimit memory = {1ull << 32, 1ull << 32}, size = {1 << 24, 1 << 24}, processes = {200, 200};
  setrlimit(RLIMIT_AS, &memory);
  setrlimit(RLIMIT_FSIZE, &size);
  setsid();
  uint8_t *place = mmap(NULL, ARENA + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  arena = place + 4096;
  mprotect(arena, ARENA, PROT_READ | PROT_WRITE);
  open_things();
  if (!privileged) {
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(3);
    setrlimit(RLIMIT_NPROC, &processes);
  }
  state = seed;
  for (int i = 0; i < 200; i++) stir();
  pthread_t thread;
  for (uint64_t i = 1; i < THREADS; i++) pthread_create(&thread, NULL, thread_main, (void *)(seed * 16 + i));
  fuzz(seed * 16);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  uint64_t seed = strtoull(argv[1], NULL, 0);
  int seconds = atoi(argv[2]), processes = atoi(argv[3]), privileged = argc > 5 && !strcmp(argv[5], "root");
  directory = argv[4];
  if (processes > 16) processes = 16;
  deadline = time(NULL) + seconds;
  time_t latest = deadline + LONGER;
  calls_made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mkdir("c/d", 0777);
  chmod("c/d", 0777);
  pid_t pids[16] = {0};
  time_t births[16] = {0};
  uint64_t born = 0;
  while (time(NULL) <= deadline + 1) {
    if (time(NULL) >= deadline && *calls_made < LEAST && deadline < latest) deadline++;
    for (int i = 0; i < processes; i++) {
      if (pids[i] && time(NULL) - births[i] > 2)
        kill(-pids[i], SIGKILL), kill(pids[i], SIGKILL); // it waits for something
      if (pids[i] && waitpid(pids[i], NULL, WNOHANG) != pids[i]) continue;
      pids[i] = 0;
      if (time(NULL) > deadline) continue;
      births[i] = time(NULL);
      pids[i] = fork();
      if (pids[i] < 0) {
        printf("fork: errno %d\n", errno);
        pids[i] = 0;
      } else if (!pids[i]) {
        child(seed + ++born * 7919 + i, privileged);
      }
      born++;
    }
    usleep(3000);
  }
  // Whatever they left behind, and stopped, of the same user.
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < processes; i++)
      if (pids[i]) kill(pids[i], SIGKILL);
    int left = 0;
    for (int i = 0; i < processes; i++) {
      if (pids[i] && waitpid(pids[i], NULL, WNOHANG) == pids[i]) pids[i] = 0;
      left += pids[i] != 0;
    }
    if (!left) {
      printf("%lu calls by %lu processes\n", *calls_made, born);
      return 0;
    }
    usleep(20000);
  }
  printf("processes that SIGKILL does not end\n");
  return 1;
}
