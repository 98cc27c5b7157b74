// Programs that turn on the stub, their slot, the doorbell. Each mode is one attack; it says what came of it where that
// is not its death, and the test asks the sandbox afterwards how it feels.
#include "hostile.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void must(int holds, const char *what) {
  if (holds) return;
  printf("FAILED: %s (errno %d)\n", what, errno);
  fflush(stdout);
  _exit(1);
}

/** Runs an attack in a child for at most `ms`, then ends it; its wait status. Whatever it did, SIGKILL must end it. */
static int in_child(void (*attack)(void), int ms) {
  pid_t pid = fork();
  must(pid >= 0, "fork");
  if (!pid) {
    attack();
    _exit(0);
  }
  int status = -1;
  for (int waited = 0; waited < ms + 5000; waited += 5) {
    pid_t ended = waitpid(pid, &status, WNOHANG);
    must(ended >= 0, "waitpid");
    if (ended == pid) return status;
    if (waited >= ms) kill(pid, SIGKILL);
    usleep(5000);
  }
  must(0, "a child can be killed");
  return status;
}

static void report(const char *name, int status) {
  if (WIFSIGNALED(status)) printf("%s: signal %d\n", name, WTERMSIG(status));
  else printf("%s: exit %d\n", name, WEXITSTATUS(status));
  fflush(stdout);
}

// ---- the stub destroyed ----

static void unmap_stub(void) {
  RAW(SYS_munmap, STUB_TEXT, 0x10000);
  getppid();
}
static void overwrite_stub(void) {
  RAW(SYS_mprotect, STUB_TEXT, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC);
  memset((void *)STUB_TEXT, 0xcc, 0x3000);
  getppid();
}
static void garble_stub(void) {
  RAW(SYS_mprotect, STUB_TEXT, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC);
  for (int i = 0; i < 40; i++) ((volatile u8 *)STUB_TEXT)[below(0x2800)] ^= 1 << below(8);
  for (int i = 0; i < 50; i++) getppid();
  _exit(3);
}
static void unmap_slot(void) {
  RAW(SYS_munmap, SLOTS_ADDR, SLOT_SIZE * MAX_SLOTS);
  getppid();
}
static void unmap_blocks(void) {
  RAW(SYS_munmap, BLOCKS_ADDR, BLOCK_SIZE * MAX_BLOCKS);
  getppid();
}
static void garble_block(void) {
  for (int i = 0; i < 64; i++) MAIN_BLOCK[i] = random64();
  getppid();
}
static void unmap_all(void) { RAW(SYS_munmap, 0x10000, STUB_TEXT - 0x10000); }
static void close_all(void) {
  for (int fd = 0; fd < 64; fd++) RAW(SYS_close, fd);
  for (int i = 0; i < 20; i++) {
    pid_t pid = fork();
    if (!pid) _exit(0);
    if (pid > 0) waitpid(pid, NULL, 0);
  }
  void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
  _exit(p == MAP_FAILED ? 4 : 5);
}

static void destroy(void) {
  struct {
    const char *name;
    void (*attack)(void);
  } attacks[] = {
      {"unmap the stub", unmap_stub},       {"overwrite the stub", overwrite_stub}, {"unmap the slot", unmap_slot},
      {"unmap the blocks", unmap_blocks},   {"garble the block", garble_block},     {"unmap everything", unmap_all},
      {"close all descriptors", close_all},
  };
  for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
    random_state += i;
    report(attacks[i].name, in_child(attacks[i].attack, 500));
  }
  for (int i = 0; i < 60; i++) {
    random_state = random_state * 31 + i;
    in_child(garble_stub, 200);
  }
}

// ---- a slot that changes while the sentry reads it ----

static volatile int stop_scribbling;

static void *scribble(void *slot_address) {
  volatile u32 *slot = slot_address;
  static const u32 INTERESTING[] = {0,          1,          7,       8,       0x3fff,     0x4000,     0x13ff8,
                                    0x1fff8,    0x1fffc,    0x1ffff, 0x20000, 0x7fffffff, 0x80000000, 0xffffffff,
                                    0xfffffff0, 0xffffff00, 0x10000, 192,     193,        32,         33};
  u64 state = (u64)slot_address ^ random_state;
  while (!stop_scribbling) {
    for (int burst = 0; burst < 64; burst++) {
      state = state * 6364136223846793005ul + 1442695040888963407ul;
      u32 r = state >> 33;
      u32 value = (r & 3) ? INTERESTING[(r >> 8) % (sizeof INTERESTING / 4)] : (u32)(state >> 20);
      switch ((r >> 2) & 7) {
      case 0:
      case 1:
      case 2: slot[H_IN + (r >> 16) % (4 * MAX_IN)] = value; break; // addresses, offsets, lengths of captured items
      case 3: slot[H_NIN] = value; break;
      case 4: slot[H_ARGS + (r >> 16) % 12] = value; break;
      case 5: slot[H_NR] = (r >> 16) % 470; break;
      case 6:
        slot[(SLOT_PAYLOAD >> 2) + (r >> 12) % 4096] = value;
        // Now and then any word of the header: sequence numbers, the hand-over, orders.
        if (r >> 22 == 0) slot[(r >> 12) % (SLOT_PAYLOAD >> 2)] = value;
        break;
      // The end of the slot without a zero: behind it lies what is not this program's.
      case 7:
        for (u32 k = 0; k < 64; k++) slot[(SLOT_SIZE >> 2) - 1 - k] = 0x41414141;
        break;
      }
    }
    if ((state >> 40) % 16 == 0) sched_yield();
  }
  return NULL;
}

static void many_calls(void) {
  char path[300], buffer[4096];
  struct stat status;
  int pipes[2], epoll = epoll_create1(0), pair[2];
  if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return;
  struct iovec vector[4] = {{buffer, 8}, {buffer + 16, 100}, {path, 16}, {buffer, 4000}};
  struct msghdr message = {.msg_iov = vector, .msg_iovlen = 3};
  for (int i = 0; i < 400; i++) {
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    stat(path, &status);
    stat("/proc/self/status", &status);
    if (writev(pipes[1], vector, 3) > 0 && readv(pipes[0], vector, 4) < 0) continue;
    struct epoll_event event = {EPOLLIN, {0}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event);
    epoll_wait(epoll, &event, 1, 0);
    struct pollfd poll_set[8];
    for (int k = 0; k < 8; k++) poll_set[k] = (struct pollfd){(int)below(12), POLLIN, 0};
    poll(poll_set, 8, 0);
    sendmsg(pair[0], &message, MSG_DONTWAIT);
    recvmsg(pair[1], &message, MSG_DONTWAIT);
    struct timespec time = {0, 1};
    nanosleep(&time, NULL);
    int fd = open("/proc/self/maps", O_RDONLY);
    if (read(fd, buffer, sizeof buffer) >= 0) close(fd);
    if (readlink("/proc/self/exe", buffer, sizeof buffer) < 0) getppid();
  }
}

/** Random calls by root could end the rest of the sandbox quite legitimately. */
static void become_nobody(void) {
  must(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid");
}

static void scribbled(void) {
  become_nobody();
  pthread_t thread;
  if (pthread_create(&thread, NULL, scribble, (void *)block_slot(MAIN_BLOCK))) _exit(9);
  many_calls();
  stop_scribbling = 1;
  pthread_join(thread, NULL);
}

static void scribbles(int rounds) {
  for (int i = 0; i < rounds; i++) {
    random_state = random_state * 31 + i;
    in_child(scribbled, 1500);
  }
  printf("scribbled\n");
}

// ---- rings that nobody is owed ----

static void ring_everywhere(void) {
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  u32 own = block_slot_index(MAIN_BLOCK);
  for (u64 i = 0; i < MAX_SLOTS + 64; i++) {
    if (i == own) continue;
    long result = RAW(DOORBELL, i, slot[H_SEQ]);
    must(result == -ENOSYS, "a ring for another's slot is refused");
  }
  static const u64 strange[] = {MAX_SLOTS, 0xffffffff, 0x100000000, 0x8000000000000000, ~0ul};
  for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
    must(RAW(DOORBELL, strange[i], slot[H_SEQ]) == -ENOSYS, "a ring for no slot is refused");
    must(RAW(DOORBELL, own | (strange[i] & 0xffffffff00000000), slot[H_SEQ] + 1) == -ENOSYS,
         "a wrong number is refused");
  }
  printf("refused everywhere\n");
}

static void replay(void) {
  getppid();
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  for (int i = 0; i < 1000; i++) RAW(DOORBELL, block_slot_index(MAIN_BLOCK), slot[H_SEQ]);
}

static u32 forged_kind;
static void forge(void) {
  become_nobody();
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  if (below(2)) {
    pid_t pid = below(2) ? fork() : vfork(); // a pending object of the right class
    if (!pid) _exit(0);
  }
  if (below(2)) {
    struct timespec time = {0, 1000};
    nanosleep(&time, NULL); // one of a wrong class
  }
  for (int i = 0; i < 12; i++) slot[H_ARGS + i] = below(2) ? (u32)below(70) : (u32)random64();
  slot[H_NIN] = below(12);
  for (int i = 0; i < 8; i++) slot[H_IN + below(32)] = random64();
  forge_ring(forged_kind, below(2) ? (u32)below(480) : (u32)random64());
  forge_ring(forged_kind, below(64));
  RAW(SYS_exit_group, 0);
}

static void forge_all(int rounds) {
  static const u32 KINDS[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7fffffff, 0x80000000, 0xffffffff};
  for (int round = 0; round < rounds; round++) {
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
      forged_kind = KINDS[i];
      random_state = random_state * 31 + i;
      in_child(forge, 1000);
    }
  }
  printf("forged\n");
}

// ---- threads and processes that the sentry has not made ----

static u8 rogue_stack[4][65536] __attribute__((aligned(4096)));
static volatile u32 rogue_rings;
static volatile int rogue_index, rogue_stop;

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

// The child's way out of the raw clone: rsp is its own stack, whose top holds the function's address.
static long raw_thread(void (*function)(void), u8 *stack, size_t size) {
  u64 *top = (u64 *)(stack + size - 64);
  *top = (u64)function;
  return RAW(SYS_clone, THREAD_FLAGS, top, 0, 0, 0);
}

static void rogue_ringer(void) {
  for (;;) {
    for (u32 i = 0; i < 200; i++) {
      volatile u32 *slot = block_slot(MAIN_BLOCK);
      RAW(DOORBELL, i, slot[H_SEQ]);
      RAW(DOORBELL, block_slot_index(MAIN_BLOCK), slot[H_SEQ] + (i & 1));
      rogue_rings++;
    }
    if (rogue_stop) RAW(SYS_exit, 0);
  }
}

static void rogue_threads(void) {
  for (int i = 0; i < 4; i++)
    must(raw_thread(rogue_ringer, rogue_stack[i], sizeof rogue_stack[i]) > 0, "a thread made past the sentry");
  for (int i = 0; i < 3000; i++) must(getppid() > 0, "calls go on beside rogue threads");
  while (rogue_rings < 400) sched_yield();
  rogue_stop = 1;
  printf("rogue threads rang %s\n", rogue_rings >= 400 ? "in vain" : "not");
}

static void rogue_process(void) {
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  RAW(SYS_madvise, (u64)slot, SLOT_SIZE, MADV_DOFORK);
  long pid = RAW(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  must(pid >= 0, "a process made past the sentry");
  if (pid == 0) {
    for (int i = 0; i < 2000; i++) {
      RAW(DOORBELL, block_slot_index(MAIN_BLOCK), slot[H_SEQ]);
      slot[H_SEQ]++;
      RAW(DOORBELL, block_slot_index(MAIN_BLOCK), slot[H_SEQ]);
    }
    RAW(SYS_exit_group, 0);
  }
  for (int i = 0; i < 2000; i++) getppid();
}

static void rogue_bomb(void) {
  u32 count = 0;
  long result;
  u32 *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  while ((result = RAW(SYS_clone, SIGCHLD, 0, 0, 0, 0)) > 0 && count < 20000) count++;
  if (result == 0)
    for (;;) RAW(SYS_futex, word, 0, 0, 0, 0, 0);
  printf("the host refused after %s: %ld\n", count < 10000 ? "some" : "too many", result);
  fflush(stdout);
}

/** Whoever maps the slot of a child before it says hello can speak in its name. */
static void thief(void) {
  static volatile u8 *place = (volatile u8 *)0x200000000000;
  while (!rogue_stop) {
    long at = RAW(SYS_mmap, place, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_SLOT, 0);
    if (at != (long)place) continue;
    volatile u32 *slot = (volatile u32 *)place;
    slot[H_KIND] = KIND_HELLO;
    for (u32 i = 1; i < 64; i++) RAW(DOORBELL, i, slot[H_SEQ]);
  }
  RAW(SYS_exit, 0);
}

static void steal_hellos(void) {
  must(raw_thread(thief, rogue_stack[0], sizeof rogue_stack[0]) > 0, "a thread made past the sentry");
  for (int i = 0; i < 150; i++) {
    pid_t pid = fork();
    if (!pid) _exit(0);
    for (int k = 0; pid > 0 && k < 40; k++) {
      if (waitpid(pid, NULL, WNOHANG) == pid) break;
      usleep(1000);
      if (k == 39) kill(pid, SIGKILL);
    }
  }
  rogue_stop = 1;
}

/** A fork whose orders are not carried out: the child that never comes can be killed and is waited for. */
static void lost_child(void) {
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  memset((void *)(slot + H_ARGS), 0, 48);
  slot[H_NIN] = 0;
  long result = forge_ring(KIND_SYSCALL, SYS_fork);
  pid_t child = (s32)slot[H_RET];
  must(result >= 0 && child > 0, "a forged fork is answered");
  must(kill(child, 0) == 0, "its child has a number");
  must(kill(child, SIGKILL) == 0, "it can be killed");
  int status = 0;
  must(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "and waited for");
  printf("a child that never came: signal %d\n", WTERMSIG(status));
  // And when the parent dies before its child comes, the child does not stay for ever.
  slot[H_NIN] = 0;
  forge_ring(KIND_SYSCALL, SYS_fork);
  printf("left behind: %d\n", (s32)slot[H_RET]);
  fflush(stdout);
  RAW(SYS_exit_group, 0);
}

// ---- deaths by the stub's own calls ----

static void raw_exit_group(void) { RAW(SYS_exit_group, 7); }
static void *raw_exit_thread(void *unused) {
  (void)unused;
  RAW(SYS_exit, 0);
  return NULL;
}
static void thread_gone(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, raw_exit_thread, NULL);
  usleep(20000);
  _exit(5);
}
static void *outlive(void *unused) {
  (void)unused;
  usleep(50000);
  _exit(6);
}
static void leader_gone(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, outlive, NULL);
  RAW(SYS_exit, 0);
}
static void exec_with_thread_gone(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, raw_exit_thread, NULL);
  usleep(20000);
  execl("/bin/true", "true", NULL);
}

static void deaths(void) {
  report("exit_group in the stub", in_child(raw_exit_group, 5000));
  report("a thread that ends in the stub", in_child(thread_gone, 5000));
  report("a leader that ends in the stub", in_child(leader_gone, 5000));
  report("exec beside it", in_child(exec_with_thread_gone, 5000));
}

/** All host signals blocked by a forged frame, a robust list, and no end: SIGKILL must still end it. */
static void deaf(void) {
  struct {
    u64 flags, link, stack[3], reg[18];
    u16 cs, gs, fs, ss;
    u64 error, trap, old_mask, cr2, fpstate, reserved[8], mask;
  } context;
  static pthread_mutex_t mutex;
  pthread_mutexattr_t attribute;
  pthread_mutexattr_init(&attribute);
  pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &attribute);
  pthread_mutex_lock(&mutex);
  memset(&context, 0, sizeof context);
  static u8 stack[4096];
  static const u8 spin[] = {0xeb, 0xfe};
  u8 *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, spin, sizeof spin);
  context.reg[15] = (u64)(stack + sizeof stack - 64);
  context.reg[16] = (u64)code;
  context.reg[17] = 0x202;
  context.cs = 0x33;
  context.ss = 0x2b;
  context.mask = ~0ul;
  context.stack[1] = 2;
  printf("deaf\n");
  fflush(stdout);
  __asm__ volatile("mov %0, %%rsp\n mov $15, %%edi\n jmp *%1" : : "r"(&context), "r"(raw) : "memory");
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  random_state = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
  int rounds = argc > 3 ? atoi(argv[3]) : 10;
  make_raw();
  if (!strcmp(mode, "destroy")) destroy();
  else if (!strcmp(mode, "scribble")) scribbles(rounds);
  else if (!strcmp(mode, "rings")) ring_everywhere();
  else if (!strcmp(mode, "replay")) report("replayed rings", in_child(replay, 5000));
  else if (!strcmp(mode, "forge")) forge_all(rounds);
  else if (!strcmp(mode, "rogue-threads")) rogue_threads();
  else if (!strcmp(mode, "rogue-process")) report("a rogue process beside", in_child(rogue_process, 5000));
  else if (!strcmp(mode, "rogue-bomb")) rogue_bomb();
  else if (!strcmp(mode, "steal")) report("stolen hellos", in_child(steal_hellos, 8000));
  else if (!strcmp(mode, "lost-child")) lost_child();
  else if (!strcmp(mode, "deaths")) deaths();
  else if (!strcmp(mode, "deaf")) deaf();
  else return 2;
  return 0;
}
