// What calls on memory answer: policies on the one node, locking, sealing, barriers, pages of files.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
enum { NR_mseal = 462, NR_lsm_get = 459, NR_lsm_set = 460, NR_lsm_list = 461 };

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}
#define SAY(call) say(#call, (long)(call))
#define CALL(...) syscall(__VA_ARGS__)

static char *map(unsigned long pages) {
  return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void show_policy(void *address, unsigned flags) {
  int mode = -1;
  unsigned long mask[2] = {~0ul, ~0ul};
  long r = CALL(SYS_get_mempolicy, &mode, mask, 128ul, address, (unsigned long)flags);
  if (r < 0) printf("  policy %x: %s\n", flags, strerrorname_np(errno));
  else printf("  policy %x: %d %lx %lx\n", flags, mode, mask[0], mask[1]);
}

static void policies(void) {
  unsigned long none = 0, first = 1, second = 2, both = 3, far[2] = {1, 1};
  char *p = map(8);
  for (int mode = -1; mode < 8; mode++) {
    const unsigned long *masks[] = {NULL, &none, &first, &second, &both};
    for (unsigned i = 0; i < 5; i++) {
      printf("mode %d mask %u\n", mode, i);
      say("  set_mempolicy", CALL(SYS_set_mempolicy, mode, masks[i], masks[i] ? 64 : 0));
      show_policy(NULL, 0);
      say("  mbind", CALL(SYS_mbind, p + PAGE, 2 * PAGE, mode, masks[i], masks[i] ? 64ul : 0ul, 0));
      show_policy(p + PAGE, MAP_PRIVATE);
    }
  }
  for (int flag = 1; flag < 0x10000; flag *= 2) SAY(CALL(SYS_set_mempolicy, 2 | flag, &first, 64ul));
  SAY(CALL(SYS_set_mempolicy, 2 | 0xc000, &first, 64ul));
  SAY(CALL(SYS_set_mempolicy, 1 | 0x8000, NULL, 0ul));
  SAY(CALL(SYS_set_mempolicy, 2, far, 66ul));
  SAY(CALL(SYS_set_mempolicy, 2, &first, 1ul));
  SAY(CALL(SYS_set_mempolicy, 2, &first, 0ul));
  SAY(CALL(SYS_set_mempolicy, 2, &first, 100000ul));
  SAY(CALL(SYS_set_mempolicy, 2, 16ul, 64ul));
  SAY(CALL(SYS_set_mempolicy, 2, &first, 64ul));
  if (!fork()) {
    show_policy(NULL, 0);
    _exit(fflush(stdout));
  }
  wait(NULL);
  p[0] = 1;
  for (unsigned flags = 0; flags < 9; flags++) {
    show_policy(p, flags);
    show_policy(NULL, flags);
  }
  SAY(CALL(SYS_set_mempolicy, 0, NULL, 0ul));
  SAY(CALL(SYS_mbind, p, 4 * PAGE, 2, &first, 64ul, 0));
  SAY(CALL(SYS_mbind, p + PAGE, PAGE, 0, NULL, 0ul, 0));
  for (int i = 0; i < 5; i++) show_policy(p + i * PAGE, 2);
  SAY(CALL(SYS_mbind, p + 1, PAGE, 2, &first, 64ul, 0));
  SAY(CALL(SYS_mbind, p, 0ul, 2, &first, 64ul, 0));
  SAY(CALL(SYS_mbind, p, PAGE, 2, &first, 64ul, 8));
  SAY(CALL(SYS_mbind, p, PAGE, 2, &first, 64ul, 7));
  munmap(p + 2 * PAGE, PAGE);
  SAY(CALL(SYS_mbind, p, 8 * PAGE, 2, &first, 64ul, 0));
  SAY(CALL(450, p, PAGE, 0ul, 0ul));
  SAY(CALL(450, p + PAGE, PAGE, 0ul, 0ul));
  SAY(CALL(450, p, PAGE, 0ul, 1ul));
  SAY(CALL(SYS_migrate_pages, 0, 64ul, &first, &first));
  SAY(CALL(SYS_migrate_pages, 0, 64ul, &first, &none));
  SAY(CALL(SYS_migrate_pages, 0, 0ul, &first, &first));
  SAY(CALL(SYS_migrate_pages, 0, 0ul, NULL, NULL));
  SAY(CALL(SYS_migrate_pages, -1, 64ul, &first, &first));
  SAY(CALL(SYS_migrate_pages, 0, 64ul, -1, -1));
  char *q = map(3);
  q[0] = 1;
  void *pages[] = {q, q + PAGE, p + 2 * PAGE};
  int nodes[] = {0, 0, 0}, status[] = {77, 77, 77};
  SAY(CALL(SYS_move_pages, 0, 3ul, pages, NULL, status, 0));
  printf("%d %d %d\n", status[0], status[1], status[2]);
  SAY(CALL(SYS_move_pages, 0, 3ul, pages, nodes, status, 2));
  printf("%d %d %d\n", status[0], status[1], status[2]);
  nodes[1] = 200;
  SAY(CALL(SYS_move_pages, 0, 3ul, pages, nodes, status, 2));
  SAY(CALL(SYS_move_pages, 0, 0ul, NULL, NULL, NULL, 0));
  SAY(CALL(SYS_move_pages, 0, 3ul, pages, NULL, status, 1));
  SAY(CALL(SYS_move_pages, -5, 3ul, pages, NULL, status, 0));
}

static long locked(void) {
  char line[256];
  long kb = -1;
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f)) sscanf(line, "VmLck: %ld", &kb);
  fclose(f);
  return kb;
}

static void as_nobody(void) {
  char *p = map(64);
  struct rlimit limit = {16 * PAGE, 16 * PAGE};
  setrlimit(RLIMIT_MEMLOCK, &limit);
  if (setuid(65534)) return;
  SAY(mlock(p, 16 * PAGE));
  SAY(mlock(p + 16 * PAGE, PAGE));
  SAY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0);
  SAY(munlock(p, 16 * PAGE));
  SAY(mlock(p, 17 * PAGE));
  SAY(mlockall(MCL_CURRENT));
  limit.rlim_cur = 0;
  setrlimit(RLIMIT_MEMLOCK, &limit);
  SAY(mlock(p, PAGE));
  SAY(mlockall(MCL_CURRENT));
  SAY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0);
  printf("%ld\n", locked());
}

static void locking(void) {
  char *p = map(16), *hole = map(4);
  munmap(hole + PAGE, PAGE);
  printf("%ld\n", locked());
  SAY(mlock(p + 1, PAGE));
  printf("%ld\n", locked());
  SAY(mlock2(p, 4 * PAGE, MLOCK_ONFAULT));
  SAY(mlock2(p, 4 * PAGE, 2));
  printf("%ld\n", locked());
  SAY(msync(p, PAGE, MS_INVALIDATE));
  SAY(munlock(p, PAGE));
  printf("%ld\n", locked());
  SAY(mlock(hole, 4 * PAGE));
  SAY(mlock((void *)-PAGE, 2 * PAGE));
  SAY(mlock(p, -1ul));
  SAY(munlock(hole, 4 * PAGE));
  char *q = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
  printf("%d %ld\n", q != MAP_FAILED, locked());
  for (int flags = 0; flags < 9; flags++)
    if (!(flags & MCL_CURRENT) || flags > 7) SAY(mlockall(flags));
  q = map(2);
  printf("%d\n", locked() > 0);
  SAY(munlockall());
  printf("%ld\n", locked());
  if (!fork()) {
    as_nobody();
    _exit(fflush(stdout));
  }
  wait(NULL);
}

static void sealing(void) {
  char *p = map(8);
  SAY(CALL(NR_mseal, p + PAGE, 2 * PAGE, 0ul));
  SAY(mprotect(p + PAGE, PAGE, PROT_READ));
  SAY(munmap(p, 2 * PAGE));
  SAY(mmap(p + PAGE, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
  SAY(madvise(p + PAGE, PAGE, MADV_DONTNEED));
  SAY(CALL(NR_mseal, p + 1, PAGE, 0ul));
  SAY(CALL(NR_mseal, p, PAGE, 1ul));
  SAY(CALL(NR_mseal, p, -1ul, 0ul));
  SAY(CALL(NR_mseal, p, 1ul << 40, 0ul));
  SAY(munmap(p + 4 * PAGE, 4 * PAGE));
  SAY(madvise(0, -PAGE / 2, MADV_DONTFORK));
  SAY(madvise(p, 1ul << 60, MADV_DONTFORK));
  int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
  SAY(ftruncate(fd, 2 * PAGE - 100));
  SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  SAY(pwrite(fd, p, PAGE, PAGE - 50));
  SAY(pwrite(fd, p, PAGE, PAGE));
  SAY(pwrite(fd, p, PAGE - 100, PAGE));
  SAY(pwrite(fd, p, 0, 3 * PAGE));
  SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  SAY(write(fd, p, 0));
  SAY(write(fd, p, 1));
}

static void barriers(void) {
  for (int command = -1; command<2048; command = command> 0 ? command * 2 : command + 1) {
    printf("%d ", command);
    say("membarrier", CALL(SYS_membarrier, command, 0, 0));
  }
  SAY(CALL(SYS_membarrier, 0, 1, 0));
  SAY(CALL(SYS_membarrier, 3, 0, 0));
}

static void sequences(void) {
  static char area[64] __attribute__((aligned(32)));
  // The thread's own, made by libc, may stand in the way: what matters is that both say the same.
  SAY(CALL(SYS_rseq, area + 1, 32, 0, 0x53053053));
  SAY(CALL(SYS_rseq, area, 31, 0, 0x53053053));
  SAY(CALL(SYS_rseq, area, 32, 2, 0x53053053));
  SAY(CALL(SYS_rseq, area, 32, 1, 0x53053053));
  SAY(CALL(SYS_rseq, area, 32, 0, 0x53053053));
}

static void file_pages(void) {
  int fd = memfd_create("pages", 0);
  for (char i = 0; i < 4; i++) {
    char page[PAGE];
    memset(page, 'a' + i, PAGE);
    if (write(fd, page, PAGE) != PAGE) return;
  }
  char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  SAY(remap_file_pages(p, PAGE, 0, 3, 0));
  SAY(remap_file_pages(p + 2 * PAGE, PAGE, 0, 0, 0));
  SAY(remap_file_pages(p, PAGE, PROT_READ, 1, 0));
  printf("%c%c%c%c\n", p[0], p[PAGE], p[2 * PAGE], p[3 * PAGE]);
  SAY(remap_file_pages(map(1), PAGE, 0, 0, 0));
  SAY(remap_file_pages((void *)PAGE, PAGE, 0, 0, 0));
}

static void modules(void) {
  uint64_t ids[32] = {0};
  uint32_t size = sizeof ids, small = 0;
  long n = CALL(NR_lsm_list, ids, &size, 0);
  printf("%d %d %d\n", n >= 1, size == 8 * n, ids[0] >= 100);
  SAY(CALL(NR_lsm_list, ids, &small, 0));
  SAY(CALL(NR_lsm_list, ids, &size, 1));
  SAY(CALL(NR_lsm_list, NULL, &size, 0));
  SAY(CALL(NR_lsm_list, ids, NULL, 0));
  SAY(CALL(NR_lsm_get, 0, ids, &size, 0));
  SAY(CALL(NR_lsm_get, 100, ids, NULL, 0));
  SAY(CALL(NR_lsm_get, 100, ids, &size, 2));
  sequences();
}

int main(int argc, char **argv) {
  setbuf(stdout, NULL);
  const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"policies", policies}, {"locking", locking},       {"sealing", sealing},
               {"barriers", barriers}, {"file_pages", file_pages}, {"modules", modules}};
  for (unsigned i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++)
    if (!strcmp(argv[1], parts[i].name)) parts[i].run();
}
