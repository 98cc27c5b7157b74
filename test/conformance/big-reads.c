// Reads of much at once: what comes, where the position is afterwards, and what happens when there is less than asked
// for.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB    (1 << 20)
#define LENGTH (5 * MIB + 4321)

static unsigned char *buffer;

static unsigned char pattern(long at) { return (at * 2654435761u) >> 13; }

static void make_file(const char *name) {
  unsigned char *data = malloc(LENGTH);
  for (long i = 0; i < LENGTH; i++) data[i] = pattern(i);
  int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  for (long done = 0, n; done < LENGTH; done += n) {
    if ((n = write(fd, data + done, LENGTH - done)) <= 0) perror("write"), exit(1);
  }
  close(fd);
  free(data);
}

/** How many of the bytes are not those of the file from `at` on. */
static long wrong(const unsigned char *data, long at, long length) {
  long count = 0;
  for (long i = 0; i < length; i++) count += data[i] != pattern(at + i);
  return count;
}

static void show(const char *what, int fd, long at, long result) {
  int error = result < 0 ? errno : 0;
  printf("%s: %ld (%d), %ld wrong, now at %ld\n", what, result, error, wrong(buffer, at, result < 0 ? 0 : result),
         (long)lseek(fd, 0, SEEK_CUR));
}

static void whole(void) {
  make_file("f");
  for (int flags = O_RDONLY; flags <= O_RDWR; flags += O_RDWR) {
    int fd = open("f", flags);
    long at = 0, n;
    while ((n = read(fd, buffer, MIB)) > 0) show("read", fd, at, n), at += n;
    show("at the end", fd, at, n);
    show("pread", fd, 12345, pread(fd, buffer, 2 * MIB, 12345));
    show("pread near the end", fd, LENGTH - 100000, pread(fd, buffer, MIB, LENGTH - 100000));
    show("pread behind it", fd, LENGTH, pread(fd, buffer, MIB, LENGTH + 5));
    lseek(fd, 777, SEEK_SET);
    show("all", fd, 777, read(fd, buffer, 8 * MIB));
    struct iovec parts[2] = {{buffer, 300000}, {buffer + 300000, MIB}};
    show("preadv", fd, 99, preadv(fd, parts, 2, 99));
    close(fd);
  }
  int fd = open("f", O_WRONLY);
  show("for writing only", fd, 0, read(fd, buffer, MIB));
}

/** Buffers that are not all there. */
static void faults(void) {
  make_file("f");
  int fd = open("f", O_RDONLY);
  unsigned char *end = buffer + 4 * MIB;
  munmap(end, MIB);
  read(fd, buffer, MIB);
  show("half a buffer", fd, MIB, read(fd, end - MIB, 2 * MIB) < 0 ? -1 : 0);
  lseek(fd, 0, SEEK_SET);
  show("no buffer", fd, 0, read(fd, end, MIB));
  show("no address", fd, 0, read(fd, (void *)0x7fffffff0000, MIB));
  mprotect(buffer, MIB, PROT_READ);
  show("read-only buffer", fd, 0, read(fd, buffer, MIB));
  show("pread", fd, 0, pread(fd, end, MIB, 0));
}

/** The file changes between reads, also that of a lower layer. */
static void changes(void) {
  make_file("f");
  int fd = open("f", O_RDONLY), writer;
  show("before", fd, 0, read(fd, buffer, MIB));
  writer = open("f", O_RDWR);
  pwrite(writer, "changed", 7, 2 * MIB);
  show("after a write", fd, 2 * MIB, pread(fd, buffer, MIB, 2 * MIB));
  printf("%.7s\n", buffer);
  show("by the writer", writer, 2 * MIB, pread(writer, buffer, MIB, 2 * MIB));
  ftruncate(writer, MIB + 65536 + 10);
  show("truncated", fd, MIB, read(fd, buffer, MIB));
  show("and then", fd, 0, read(fd, buffer, MIB));
  ftruncate(writer, 3 * MIB);
  lseek(fd, MIB, SEEK_SET);
  printf("a hole: %zd, ends with %d\n", read(fd, buffer, 2 * MIB), buffer[2 * MIB - 1]);
  struct stat status;
  fstat(fd, &status);
  printf("which stays one: %d\n", status.st_blocks < 2 * MIB / 512);
  unlink("f");
  show("without a name", fd, 0, pread(fd, buffer, MIB, 0));
  int other = open("f", O_CREAT | O_RDWR, 0600);
  show("another file of that name", other, 0, pread(other, buffer, MIB, 0));
  show("the old one", fd, 0, pread(fd, buffer, MIB, 0));
}

static void *read_some(void *argument) {
  unsigned char *own = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long bad = 0;
  for (int i = 0; i < 50; i++) {
    long at = (i % 5) * MIB + (long)argument;
    long n = pread(i % 2 ? 3 : 4, own, 300000, at);
    bad += n < 0 ? 1000000 : wrong(own, at, n);
  }
  return (void *)bad;
}

/** Processes share a position, threads read from the same files by turns. */
static void shared(void) {
  make_file("f");
  make_file("g");
  int fd = open("f", O_RDONLY), other = open("g", O_RDONLY);
  fflush(stdout);
  if (!fork()) {
    show("child", fd, 0, read(fd, buffer, MIB));
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
  show("parent", fd, MIB, read(fd, buffer, MIB));
  int copy = dup(fd);
  show("duplicate", copy, 2 * MIB, read(copy, buffer, MIB));
  printf("%d %d\n", fd, other);
  pthread_t threads[4];
  for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, read_some, (void *)(i * 1000));
  for (int i = 0; i < 4; i++) {
    void *bad;
    pthread_join(threads[i], &bad);
    printf("thread: %ld wrong\n", (long)bad);
  }
}

static volatile int ticks;
static void tick(int signal) { (void)signal, ticks++; }

/** Under a storm of signals. */
static void storm(void) {
  make_file("f");
  struct sigaction action = {.sa_handler = tick};
  struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  int fd = open("f", O_RDONLY);
  long bad = 0, total = 0, n;
  for (int i = 0; i < 12; i++) {
    lseek(fd, 0, SEEK_SET);
    for (long at = 0; (n = read(fd, buffer, MIB)) > 0; at += n) {
      bad += wrong(buffer, at, n);
      total += n;
    }
  }
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%ld bytes, %ld wrong, signals: %d\n", total, bad, ticks > 0);
}

static void devices(void) {
  int zero = open("/dev/zero", O_RDWR);
  memset(buffer, 1, 2 * MIB);
  long n = read(zero, buffer, 2 * MIB), other = 0;
  for (long i = 0; i < n; i++) other += buffer[i] != 0;
  printf("zero: %ld, %ld others\n", n, other);
  char *one = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
  char *two = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
  strcpy(one, "one");
  printf("a second mapping: '%s'\n", two);
  read(zero, buffer, MIB);
  printf("and a read: '%s'\n", (char *)buffer);
  int null = open("/dev/null", O_RDWR);
  printf("null: %zd\n", read(null, buffer, MIB));
  printf("written from nowhere: %zd %zd\n", write(null, (void *)8, MIB), write(zero, (void *)8, 5));
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"whole", whole},   {"faults", faults}, {"changes", changes},
               {"shared", shared}, {"storm", storm},   {"devices", devices}};
  buffer = mmap(0, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (argc == 2 && !strcmp(argv[1], parts[i].name)) parts[i].run();
  }
  return 0;
}
