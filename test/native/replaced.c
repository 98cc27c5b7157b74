// Text that gives way to other code where call sites in it were patched: unmapped and mapped anew, written to, moved.
// Prints one line for each way, with how many answers, or bytes, were wrong. With an argument: only that part, or one
// of two others.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096
#define EVERY 64             // distance of two sites
#define SITES (PAGE / EVERY) // in a page
#define OFTEN 40             // calls after which a site is patched, if it ever is
#define PLACE ((u8 *)0x600000000000)

typedef unsigned char u8;
typedef long (*call)(long, long);

/** Calls of (1, 0) that everybody is answered, and differently. */
static const struct {
  int number;
  long answer;
} CALLS[] = {{SYS_sched_get_priority_max, 99}, {SYS_sched_get_priority_min, 1}, {SYS_epoll_create1, -22}};
#define KINDS 3

static long wrong;

static void check(int right) { wrong += !right; }

static void tell(const char *name) {
  printf("%s: %ld wrong\n", name, wrong);
  wrong = 0;
}

/** A site: mov $number, %eax; syscall; ret, from an offset on at which its instruction may straddle. */
static void put_site(u8 *at, int number) {
  static const u8 code[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(at, code, sizeof code);
  memcpy(at + 1, &number, sizeof number);
}

/** Every second one straddles. */
static int offset_of(int i) { return i * EVERY + (i & 1 ? 29 : 32); }

static void fill(u8 *page, int kind) {
  memset(page, 0x90, PAGE);
  for (int i = 0; i < SITES; i++) put_site(page + offset_of(i), CALLS[kind].number);
}

static call site(u8 *page, int i) { return (call)(page + offset_of(i)); }

static void use(u8 *page, int kind, int times) {
  for (int n = 0; n < times; n++)
    for (int i = 0; i < 4; i++) check(site(page, i)(1, 0) == CALLS[kind].answer);
}

static int code_file(int pages, int kind) {
  char name[] = "/tmp/replacedXXXXXX";
  u8 page[PAGE];
  int fd = mkstemp(name);
  unlink(name);
  fill(page, kind);
  for (int i = 0; i < pages; i++)
    if (write(fd, page, PAGE) != PAGE) abort();
  return fd;
}

static u8 *map_text(u8 *where, int fd, int pages) {
  u8 *text = mmap(where, pages * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
  if (text != where) abort();
  return text;
}

/** Are these the bytes that the file has? */
static void check_bytes(const u8 *bytes, int kind) {
  u8 page[PAGE];
  fill(page, kind);
  check(memcmp(page, bytes, PAGE) == 0);
}

static void part_mapped_anew(void) {
  int fd[KINDS];
  for (int kind = 0; kind < KINDS; kind++) fd[kind] = code_file(1, kind);
  for (int round = 0; round < 12; round++) {
    u8 *page = map_text(PLACE, fd[round % KINDS], 1);
    use(page, round % KINDS, OFTEN);
    if (round & 1) munmap(page, PAGE);
  }
  tell("mapped anew");
}

/** The program changes the numbers of the calls: in bytes that patching takes. */
static void rewrite(u8 *page, int kind) {
  for (int i = 0; i < SITES; i++) memcpy(page + offset_of(i) + 1, &CALLS[kind].number, 4);
}

static void part_written(void) {
  static const int WRITABLE[] = {PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE};
  int fd = code_file(1, 0);
  for (int way = 0; way < 2; way++) {
    u8 *page = map_text(PLACE, fd, 1);
    for (int round = 0; round < 6; round++) {
      use(page, round % KINDS, OFTEN);
      if (mprotect(page, PAGE, WRITABLE[way])) abort();
      check_bytes(page, round % KINDS);
      rewrite(page, (round + 1) % KINDS);
      if (!way) use(page, (round + 1) % KINDS, OFTEN);
      if (mprotect(page, PAGE, PROT_READ | PROT_EXEC)) abort();
    }
  }
  tell("written");
}

/** By /proc/self/mem, which no protection keeps from it. */
static void part_forced(void) {
  int fd = code_file(1, 0), memory = open("/proc/self/mem", O_RDWR);
  u8 *page = map_text(PLACE, fd, 1), copy[PAGE];
  for (int round = 0; round < 6; round++) {
    use(page, round % KINDS, OFTEN);
    check(pread(memory, copy, PAGE, (long)page) == PAGE);
    check_bytes(copy, round % KINDS);
    rewrite(copy, (round + 1) % KINDS);
    check(pwrite(memory, copy, PAGE, (long)page) == PAGE);
  }
  close(memory);
  tell("forced");
}

/** Others look at it, without tracing: byte by byte, and all at once. */
static void part_looked_at(void) {
  u8 *page = map_text(PLACE, code_file(1, 1), 1), copy[PAGE];
  use(page, 1, OFTEN);
  if (fork() == 0) {
    struct iovec own = {copy, PAGE}, its = {page, PAGE};
    check(process_vm_readv(getppid(), &own, 1, &its, 1, 0) == PAGE);
    check_bytes(copy, 1);
    for (int i = 0; i < 2 * EVERY; i++) {
      own = (struct iovec){copy + i, 1}, its = (struct iovec){page + i, 1};
      check(process_vm_readv(getppid(), &own, 1, &its, 1, 0) == 1);
    }
    check_bytes(copy, 1);
    _exit(wrong != 0);
  }
  int status;
  check(wait(&status) > 0 && status == 0);
  use(page, 1, OFTEN);
  tell("looked at");
}

static void part_moved(void) {
  int fd[2] = {code_file(2, 0), code_file(2, 1)};
  u8 *elsewhere = PLACE + 64 * PAGE;
  for (int round = 0; round < 4; round++) {
    use(map_text(PLACE, fd[0], 2), 0, OFTEN);
    u8 *moved = mremap(PLACE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    check(moved == elsewhere);
    map_text(PLACE, fd[1], 1);
    use(moved, 0, OFTEN);
    check_bytes(moved, 0);
    use(PLACE, 1, OFTEN);
    munmap(moved, PAGE);
  }
  tell("moved");
}

/** Code that is written by one mapping and run by another, where text was before. */
static void part_shared(void) {
  int fd = code_file(1, 0);
  for (int round = 0; round < 4; round++) {
    int own = memfd_create("code", 0);
    if (ftruncate(own, PAGE)) abort();
    u8 *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    use(map_text(PLACE, fd, 1), 0, OFTEN);
    munmap(PLACE, PAGE);
    int fixed = round & 1 ? MAP_FIXED : 0;
    u8 *page = mmap(PLACE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | fixed, own, 0);
    if (page != PLACE) abort();
    for (int kind = 0; kind < KINDS; kind++) {
      fill(writable, kind);
      use(page, kind, OFTEN);
      check_bytes(writable, kind);
    }
    munmap(writable, PAGE);
    close(own);
  }
  tell("shared");
}

/** Bytes of the file, changed before they are made executable. */
static void part_made_text(void) {
  int fd = code_file(1, 0);
  for (int round = 0; round < 4; round++) {
    use(map_text(PLACE, fd, 1), 0, OFTEN);
    munmap(PLACE, PAGE);
    u8 *page = mmap(PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (page != PLACE) abort();
    for (int kind = 0; kind < KINDS; kind++) {
      fill(page, kind);
      if (mprotect(page, PAGE, PROT_READ | PROT_EXEC)) abort();
      use(page, kind, OFTEN);
      check_bytes(page, kind);
      if (mprotect(page, PAGE, PROT_READ | PROT_WRITE)) abort();
    }
  }
  tell("made text");
}

#define CROWD_PAGES 32
#define CROWD_CALLS 16
#define CROWDS      3

/** More sites than there is room for at once, and more pieces of text, of which only the last are still there. */
static void part_crowd(void) {
  int fd = code_file(CROWD_PAGES, 2);
  for (int crowd = 0; crowd < CROWDS; crowd++) {
    u8 *text = map_text(PLACE + crowd * 1024 * PAGE, fd, CROWD_PAGES);
    for (int i = 0; i < CROWD_PAGES * SITES; i++)
      for (int n = 0; n < CROWD_CALLS; n++) check(site(text + i / SITES * PAGE, i % SITES)(1, 0) == -22);
    munmap(text, CROWD_PAGES * PAGE);
  }
  for (int i = 0; i < 1200; i++) munmap(map_text(PLACE + i * 16 * PAGE, fd, 1), PAGE);
  use(map_text(PLACE, fd, 1), 2, 4000);
  tell("crowd");
}

#define FRESH 12
static u8 *volatile current;
static volatile int over;

static void *hammer(void *count) {
  long bad = 0;
  while (!over) {
    u8 *page = current;
    for (int i = 0; i < 4; i++) bad += site(page, i)(1, 0) != 99;
    __atomic_add_fetch((long *)count, 1, __ATOMIC_RELAXED);
  }
  return (void *)bad;
}

/** Patches are undone while other threads run through them. */
static void part_hammered(void) {
  pthread_t thread[4];
  static long count[4];
  u8 *text = map_text(PLACE, code_file(FRESH, 0), FRESH);
  current = text;
  for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, hammer, &count[i]);
  for (int n = 0; n < FRESH; n++) {
    u8 *page = current = text + n * PAGE;
    for (int i = 0; i < 4; i++)
      for (long until = __atomic_load_n(&count[i], __ATOMIC_RELAXED) + OFTEN; count[i] < until;) usleep(50);
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)) abort();
    check_bytes(page, 0);
    if (mprotect(page, PAGE, PROT_READ | PROT_EXEC)) abort();
    for (int i = 0; i < 4; i++)
      for (long until = __atomic_load_n(&count[i], __ATOMIC_RELAXED) + 4; count[i] < until;) usleep(50);
  }
  over = 1;
  for (int i = 0; i < 4; i++) {
    void *bad;
    pthread_join(thread[i], &bad);
    wrong += (long)bad;
  }
  tell("hammered");
}

/** How many sites of a page are not as the program has written them: by this the test knows that it tests something. */
static void part_patched(void) {
  int fd = code_file(1, 0), changed = 0;
  u8 *page = map_text(PLACE, fd, 1), original[PAGE];
  use(page, 0, OFTEN);
  fill(original, 0);
  for (int i = 0; i < SITES; i++) changed += memcmp(original + i * EVERY, page + i * EVERY, EVERY) != 0;
  printf("%d sites are patched\n", changed);
}

static const struct {
  const char *name;
  void (*run)(void);
} PARTS[] = {{"mapped anew", part_mapped_anew}, {"written", part_written},  {"forced", part_forced},
             {"looked at", part_looked_at},     {"moved", part_moved},      {"shared", part_shared},
             {"made text", part_made_text},     {"hammered", part_hammered}};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && !strcmp(argv[1], "patched")) part_patched();
  if (argc > 1 && !strcmp(argv[1], "crowd")) part_crowd();
  for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++)
    if (argc < 2 || !strcmp(argv[1], PARTS[i].name)) PARTS[i].run();
  return 0;
}
