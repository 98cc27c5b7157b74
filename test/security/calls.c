// Every system call with random and boundary arguments: calls SEED SECONDS PROCESSES DIRECTORY USER [LOG]. Children
// that end (by whatever they called) are replaced until the time is over, or on a busy machine a little longer, until
// they have made LEAST calls. They work in the directory, as nobody or as root. Half of the calls have arguments of the
// types that the table gives them (calls-table.h), in sequences that are about one descriptor; what calls returned is
// used by later ones, of all threads. LOG is a file, shared with whoever started the sandbox, in which the last calls
// of each thread stay: "NUMBER ARGUMENTS" in hex, a line each.
#define _GNU_SOURCE
#include <arpa/inet.h>
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
#include <sys/uio.h>
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
    memcpy(arena + (below(ARENA - 64) & ~15ull), name, strlen(name) + 1);
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

#include "calls-table.h"

#define TYPED_CALLS (sizeof TYPED / sizeof *TYPED)
#define RESULTS     64

/** What calls returned of late: descriptors, ids, keys, addresses. All threads take from it. */
static volatile uint64_t results[RESULTS];

static uint64_t recent(void) { return results[below(RESULTS)]; }

static uint8_t *place(void) { return arena + (below(ARENA - 4096) & ~7ull); }

/** A path, or a name that is no path. */
static uint64_t path_argument(void) {
  static const char *const MORE[] = {"fuzz/a",   "fuzz/b",     "fuzz/c",         "fuzz/d",
                                     "fuzz/d/e", "/dev/shm/f", "/proc/self/fd/3"};
  if (below(3)) return (uint64_t)MORE[below(sizeof MORE / sizeof *MORE)];
  return (uint64_t)NAMES[below(sizeof NAMES / sizeof *NAMES)];
}

static uint64_t vector_argument(void) {
  struct iovec *vector = (void *)place();
  for (int i = 0; i < 8; i++) vector[i] = (struct iovec){place(), below(6) ? below(5000) : word()};
  return (uint64_t)vector;
}

static uint64_t address_argument(void) {
  uint16_t *address = (void *)place();
  static const uint16_t FAMILIES[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNSPEC};
  memset(address, 0, 32);
  address[0] = FAMILIES[below(6)];
  if (address[0] == AF_UNIX) strcpy((char *)(address + 1), below(2) ? "fuzz/socket" : "fuzz/other");
  else address[1] = htons(below(4) + 4000), address[2] = htons(0x7f00), address[3] = htons(1);
  if (address[0] == AF_INET6) address[2] = address[3] = 0, address[11] = htons(below(2));
  return (uint64_t)address;
}

static uint64_t message_argument(void) {
  struct msghdr *message = (void *)place();
  struct cmsghdr *control = (void *)place();
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = below(4) ? SCM_RIGHTS : below(8);
  control->cmsg_len = below(6) ? CMSG_LEN(4 * (1 + below(3))) : word();
  for (int i = 0; i < 4; i++) ((int *)CMSG_DATA(control))[i] = below(24);
  *message = (struct msghdr){.msg_iov = (void *)vector_argument(), .msg_iovlen = below(9), .msg_control = control};
  message->msg_controllen = below(4) ? CMSG_SPACE(16) : below(200);
  if (below(3) == 0) message->msg_name = (void *)address_argument(), message->msg_namelen = below(40);
  return (uint64_t)message;
}

static uint64_t time_argument(void) {
  struct timespec *times = (void *)place();
  for (int i = 0; i < 4; i++) times[i] = (struct timespec){below(20) ? 0 : word(), below(8) ? below(2000000) : word()};
  return (uint64_t)times;
}

static uint64_t flags_of(const struct argument *type) {
  uint64_t flags = 0;
  for (int i = below(4); i > 0 && type->count; i--) flags |= SETS[type->from + below(type->count)];
  return type->count ? flags : below(2) ? 0644 : below(010000);
}

static uint64_t typed_argument(const struct argument *type, uint64_t fd) {
  if (below(16) == 0) return argument();
  switch (type->kind) {
  case KIND_FD: return below(5) ? fd : below(3) ? below(32) : recent();
  case KIND_DIRFD: return below(3) ? (uint64_t)-100 : below(2) ? 4 : fd;
  case KIND_PATH: return path_argument();
  case KIND_LENGTH: return below(4) ? below(5000) : type->size ? type->size : word();
  case KIND_FLAGS: return flags_of(type);
  case KIND_VALUE: return type->count ? SETS[type->from + below(type->count)] : below(20);
  case KIND_PID: return below(3) ? 0 : below(2) ? (uint64_t)getpid() : recent();
  case KIND_SIGNAL: return below(4) ? 0 : below(2) ? 10 : 34 + below(5); // none that would only end it
  case KIND_ID: return below(2) ? 65534 : below(3) ? (uint64_t)-1 : 0;
  case KIND_OFFSET: return below(3) ? below(100000) : word();
  case KIND_VECTOR: return vector_argument();
  case KIND_ADDRESS: return address_argument();
  case KIND_MESSAGE: return message_argument();
  case KIND_TIME: return time_argument();
  case KIND_MEMORY: return below(12) ? (uint64_t)place() : below(2) ? 0 : recent();
  }
  return below(3) ? below(64) : below(2) ? recent() : word();
}

/** The last calls of this thread, in the log. */
#define LOGGED      64
#define LOG_THREADS 64
struct logged {
  char line[128];
};
static struct logged *log_of_all;
static _Thread_local struct logged *log_of_thread;
static _Thread_local unsigned log_at;

static void note_call(uint64_t nr, const uint64_t *a) {
  if (!log_of_thread) return;
  char *line = log_of_thread[log_at++ % LOGGED].line;
  int length = snprintf(line, 127, "%lx %lx %lx %lx %lx %lx %lx", nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  memset(line + length, ' ', 127 - length);
  line[127] = '\n';
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

/** Calls with arguments as they should be, mostly, about one descriptor. */
static void typed_sequence(void) {
  uint64_t fd = below(3) ? 3 + below(24) : recent() % 64;
  size_t family = below(TYPED_CALLS);
  for (int i = 0; i < 24; i++) {
    // Neighbours in the table are of one kind.
    size_t row = below(3) ? (family + below(16)) % TYPED_CALLS : below(TYPED_CALLS);
    const struct typed *typed = &TYPED[row];
    uint64_t arguments[6] = {0};
    if (is_seldom(typed->nr) && below(40)) continue;
    for (int k = 0; k < typed->count; k++) arguments[k] = typed_argument(&typed->args[k], fd);
    if (below(4) == 0) stir();
    __atomic_add_fetch(calls_made, 1, __ATOMIC_RELAXED);
    note_call(typed->nr, arguments);
    long result = call(typed->nr, arguments);
    if (result > 2 || result < -4095) results[below(RESULTS)] = result;
    if (result > 2 && result < 64 && below(3) == 0) fd = result;
  }
}

static void fuzz(uint64_t seed) {
  state = seed * 0x9e3779b97f4a7c15ull + 1;
  if (log_of_all) log_of_thread = log_of_all + seed % LOG_THREADS * LOGGED;
  while (time(NULL) <= deadline) {
    typed_sequence(), typed_sequence();
    for (int i = 0; i < 50; i++) {
      uint64_t nr = below(LAST_CALL + 1), arguments[6];
      if (is_seldom(nr) && below(40)) continue;
      for (int k = 0; k < 6; k++) arguments[k] = argument();
      stir();
      int form = below(40);
      __atomic_add_fetch(calls_made, 1, __ATOMIC_RELAXED);
      note_call(nr, arguments);
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
  // In every second process nothing waits that need not.
  for (int fd = 3; getpid() & 1 && fd < 32; fd++) fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void child(uint64_t seed, int privileged) {
  // Loud programs would drown the test; memory is the host's.
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  struct rlimit memory = {1ull << 32, 1ull << 32}, size = {1 << 24, 1 << 24}, processes = {200, 200};
  setrlimit(RLIMIT_AS, &memory);
  setrlimit(RLIMIT_FSIZE, &size);
  setsid();
  uint8_t *around = mmap(NULL, ARENA + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  arena = around + 4096;
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
  int log = argc > 6 ? open(argv[6], O_RDWR) : -1;
  size_t log_size = sizeof(struct logged) * LOGGED * LOG_THREADS;
  if (log >= 0 && !ftruncate(log, log_size)) {
    log_of_all = mmap(NULL, log_size, PROT_READ | PROT_WRITE, MAP_SHARED, log, 0);
    if (log_of_all == MAP_FAILED) log_of_all = NULL;
    close(log);
  }
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
