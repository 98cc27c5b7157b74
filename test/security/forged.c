// Programs that forge what the stub keeps for itself or tells the sentry beside its calls: forged MODE SEED. The words
// of the hand-over, the answers and the mask that it was lent, orders and their results, the window it reads files
// through; and host calls from its addresses by whichever way and thread.
#include "hostile.h"

#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static volatile int stop;

static void become_nobody(void) {
  if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(9);
}

/** Runs an attack as nobody in a child for at most `ms`; SIGKILL must end it whatever it did. */
static int in_child(void (*attack)(void), int ms) {
  pid_t pid = fork();
  if (pid < 0) return -1;
  if (!pid) {
    become_nobody();
    attack();
    _exit(0);
  }
  int status = -1;
  for (int waited = 0; waited < ms + 5000; waited += 5) {
    if (waitpid(pid, &status, WNOHANG) == pid) return status;
    if (waited >= ms) kill(pid, SIGKILL);
    usleep(5000);
  }
  printf("FAILED: a child cannot be killed\n");
  fflush(stdout);
  exit(1);
}

// ---- the words of the hand-over, of own answers, of orders ----

/** One of them at a time, so that the program lives long enough to do harm. */
static u32 word;

static void *scribble(void *slot_address) {
  static const u32 WORDS[] = {H_SEQ,         H_KIND,        H_FLAGS,
                              H_CPU,         H_ACT,         H_NOUT,
                              H_RET,         H_NORD,        H_SOLO,
                              H_SPIN,        H_DONE,        H_PARK,
                              H_ASLEEP,      H_FAST,        H_OWN,
                              H_OWN + 1,     H_OWN_COUNT,   H_ROBUST,
                              H_RSEQ,        H_MASK,        H_MASK + 1,
                              H_MASK_LENT,   H_PLAIN,       H_PLAIN + 1,
                              H_RESTORED,    H_RESTORER,    H_ACTIONS_CHANGED,
                              H_CONTEXT,     H_FS_BASE,     H_GS_BASE,
                              H_ROBUST_READ, H_ROBUST_HEAD, H_RIP,
                              H_RSP};
  volatile u32 *slot = slot_address;
  u64 state = (u64)slot_address ^ random_state;
  for (u32 burst = 0; !stop; burst++) {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    u32 r = state >> 33, which = WORDS[word % (sizeof WORDS / sizeof *WORDS)];
    if (word % 8 == 0) which = (SLOT_ORDERS >> 2) + (r >> 3) % (16 * 16);
    // Mostly next to what is there: numbers that may be taken for right.
    slot[which] = r & 0x80000 ? (u32)state : slot[which] + (r >> 20) % 3 - 1;
    if (burst % 32 == 0) sched_yield();
  }
  return NULL;
}

static u32 futex_word;

static void *sleeper(void *unused) {
  for (int i = 0; i < 200 && !stop; i++) {
    struct timespec time = {0, 100000};
    syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, &time, NULL, 0);
    read(-1, NULL, 0);
  }
  return unused;
}

static char much[1 << 20];

/** Calls of each kind of answer: by itself, in memory, by a ring, later, by a signal, by orders, through the window. */
static void many_calls(void) {
  int fds[2], file = open("/proc/self/exe", O_RDONLY), zero = open("/dev/zero", O_RDONLY);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  if (pipe(fds)) return;
  for (int i = 0; i < 300; i++) {
    getppid(), getpid(), syscall(SYS_gettid), geteuid();
    sigprocmask(SIG_BLOCK, &set, &old);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, i & 1 ? SIG_IGN : SIG_DFL);
    struct timespec none = {0, 0};
    sigtimedwait(&set, NULL, &none);
    if (write(fds[1], "x", 1) == 1 && read(fds[0], much, 1) < 0) break;
    if (i % 16 == 0 && (pread(file, much, sizeof much, 0) < 0 || read(zero, much, sizeof much) < 0)) break;
    if (i % 64 == 0) {
      pid_t pid = fork();
      if (!pid) _exit(0);
      for (int k = 0; pid > 0 && k < 20 && waitpid(pid, NULL, WNOHANG) != pid; k++) usleep(500);
    }
    struct timespec time = {0, 20000};
    nanosleep(&time, NULL);
  }
}

static void words(void) {
  word = random64();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL); // in all threads
  pthread_t thread, other;
  if (pthread_create(&thread, NULL, scribble, (void *)block_slot(MAIN_BLOCK))) _exit(9);
  if (pthread_create(&other, NULL, sleeper, NULL)) _exit(9);
  many_calls();
  stop = 1;
}

// ---- the window for direct reads ----

static volatile u8 *const window = (volatile u8 *)WINDOWS_ADDR;

/** What the stub is to copy from is not there, is something else, cannot be written, or has been read already, they
 * say. */
static void forge_window(void) {
  int file = open("/proc/self/exe", O_RDONLY);
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  for (int i = 0; i < 60; i++) {
    lseek(file, 0, SEEK_SET);
    switch (below(6)) {
    case 0: RAW(SYS_munmap, window, WINDOW_SIZE); break;
    case 1:
      RAW(SYS_mmap, window, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      break;
    case 2: RAW(SYS_mprotect, window, 1 << 20, PROT_READ | PROT_WRITE); break;
    case 3:
      for (int fd = 3; fd < 64; fd++) RAW(SYS_close, fd);
      break;
    case 4:
      // An order's end that nobody has asked for, with results of no order.
      for (u32 k = 0; k < 64; k++) slot[(SLOT_ORDERS >> 2) + k] = random64();
      forge_ring(below(2) ? KIND_ORDERS : KIND_ORDER_FAIL, below(480));
      break;
    case 5: break;
    }
    ssize_t n = read(file, much, 300000 + below(600000));
    if (n < 0 && errno != EFAULT && errno != EBADF && errno != ENOMEM) printf("read: errno %d\n", errno);
  }
}

/** A window on a file that may only be read is not for writing, by any descriptor that was left for it. */
static void write_window(void) {
  int file = open("/bin/busybox", O_RDONLY);
  if (file < 0) file = open("/bin/sh", O_RDONLY);
  while (pread(file, much, sizeof much, 0) < 0) _exit(9);
  long ways = RAW(SYS_mprotect, window, 4096, PROT_READ | PROT_WRITE) == 0 && (*window ^= 1, 1);
  for (int fd = 0; fd < 1024; fd++) {
    long at = RAW(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    // Slots are for writing; a program begins with its magic number.
    if (at > 0 && *(volatile u32 *)at == 0x464c457f) ways++;
  }
  printf("%ld ways to write\n", ways);
  fflush(stdout);
}

// ---- host calls ----

static int is_end(u32 nr) {
  return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_pause || nr == SYS_rt_sigsuspend || nr == SYS_rt_sigreturn;
}

/** Each number from the stub's addresses, with arguments that mean nothing much, then by the other doors of the kernel.
 */
static void raw_calls(void) {
  for (u32 nr = below(8); nr < 480; nr += 8) {
    if (is_end(nr)) continue;
    RAW(nr, below(8), below(8) * 4096, below(8), below(8), below(8), 0);
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"((u64)nr), "b"(below(4)), "c"(0ul), "d"(0ul) : "memory");
    RAW(nr | 0x40000000, below(8), 0, 0, 0, 0, 0);
    RAW(nr | below(2) << 32, below(8), 0, 0, 0, 0, 0);
  }
}

static void vsyscall(void) {
  for (u64 at = 0xffffffffff600000; at <= 0xffffffffff600800; at += 0x400) ((long (*)(void *, void *))at)(NULL, NULL);
}

static u8 rogue_stack[65536] __attribute__((aligned(4096)));

static void rogue(void) {
  raw_calls();
  RAW(SYS_exit, 0);
}

/** The same from a thread that the sentry has not made. */
static void rogue_calls(void) {
  u64 *top = (u64 *)(rogue_stack + sizeof rogue_stack - 64);
  *top = (u64)rogue;
  RAW(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, top, 0, 0, 0);
  for (int i = 0; i < 300; i++) getppid(), usleep(100);
}

static void repeat(void (*attack)(void), int times, int ms) {
  for (int i = 0; i < times; i++) {
    random_state = random_state * 31 + i;
    in_child(attack, ms);
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  random_state = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
  make_raw();
  if (!strcmp(mode, "words")) repeat(words, 24, 300);
  else if (!strcmp(mode, "window")) repeat(forge_window, 8, 1000), in_child(write_window, 2000);
  else if (!strcmp(mode, "calls")) repeat(raw_calls, 24, 400), repeat(vsyscall, 1, 400), repeat(rogue_calls, 6, 400);
  else return 2;
  printf("forged\n");
  return 0;
}
