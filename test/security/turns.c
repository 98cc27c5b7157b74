// Long calls, one after the other: what they answer and what they moved is printed. turns DIRECTORY
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE  (96l << 20)
#define PARTS 512

static unsigned char *memory, *copy;

static unsigned long digest(const unsigned char *data, long length) {
  unsigned long sum = 1;
  for (long i = 0; i < length; i += 8) sum = (sum ^ *(const unsigned long *)(data + i)) * 0x100000001b3;
  return sum;
}

static void say(const char *what, long result) {
  printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}

static int open_file(const char *directory, const char *name, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int fd = open(path, O_RDWR | O_CREAT | flags, 0600);
  if (flags & O_TRUNC) unlink(path);
  return fd;
}

static void check(const char *what, int fd) {
  memset(copy, 0, SIZE);
  say(what, pread(fd, copy, SIZE, 0));
  printf("  %lx\n", digest(copy, SIZE));
}

static void vectors(int fd) {
  struct iovec parts[PARTS];
  for (int i = 0; i < PARTS; i++) parts[i] = (struct iovec){memory + i * (SIZE / PARTS), SIZE / PARTS};
  say("pwritev", pwritev(fd, parts, PARTS, 0));
  check("read after pwritev", fd);
  for (int i = 0; i < PARTS; i++) parts[i].iov_base = copy + (PARTS - 1 - i) * (SIZE / PARTS);
  say("preadv", preadv(fd, parts, PARTS, 12345));
  printf("  %lx\n", digest(copy, SIZE));
}

static void between_files(int from, int to) {
  off_t offset = 0, target = 0;
  lseek(from, 0, SEEK_SET);
  say("sendfile", sendfile(to, from, NULL, SIZE));
  check("read after sendfile", to);
  say("ftruncate", ftruncate(to, 0));
  say("copy_file_range", copy_file_range(from, &offset, to, &target, 2 * SIZE, 0));
  printf("  %ld %ld\n", (long)offset, (long)target);
  check("read after copy_file_range", to);
}

static void sizes(int fd) {
  struct stat status;
  say("fallocate", fallocate(fd, 0, 0, 2 * SIZE));
  say("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, SIZE - 4096));
  check("read after punch", fd);
  say("shrink", ftruncate(fd, 5000));
  fstat(fd, &status);
  printf("  %ld\n", (long)status.st_size);
  say("a hole", ftruncate(fd, 1l << 40));
  say("no hole", ftruncate(fd, 0));
}

static void append(const char *directory) {
  int fd = open_file(directory, "appended", O_TRUNC | O_APPEND);
  say("append", write(fd, memory, SIZE / 2));
  say("append", write(fd, memory + SIZE / 2, SIZE / 2));
  check("read after append", fd);
  close(fd);
}

/** A child that is killed in the midst of a long call ends soon. */
static void killed(int fd) {
  pid_t child = fork();
  if (!child) {
    for (;;) pwrite(fd, memory, SIZE, 0);
  }
  usleep(100000);
  kill(child, SIGTERM);
  int status;
  waitpid(child, &status, 0);
  printf("killed by %d\n", WTERMSIG(status));
}

static void on_alarm(int signal) { (void)signal; }

/** A handler does not break off what is done to a file. */
static void interrupted(int fd) {
  struct sigaction action = {.sa_handler = on_alarm};
  struct itimerspec often = {{0, 3000000}, {0, 3000000}};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  timer_t timer;
  sigaction(SIGALRM, &action, NULL);
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  timer_settime(timer, 0, &often, NULL);
  long written = pwrite(fd, memory, SIZE, 0), read_back = pread(fd, copy, SIZE, 0);
  timer_delete(timer);
  say("write under signals", written);
  say("read under signals", read_back);
  printf("  %lx\n", digest(copy, SIZE));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  copy = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long i = 0; i < SIZE; i += 8) *(unsigned long *)(memory + i) = i * 0x9e3779b97f4a7c15;
  int a = open_file(argv[1], "a", O_TRUNC), b = open_file(argv[1], "b", O_TRUNC);
  say("write", write(a, memory, SIZE));
  say("position", lseek(a, 0, SEEK_CUR));
  check("read after write", a);
  vectors(a);
  between_files(a, b);
  interrupted(a);
  append(argv[1]);
  killed(a);
  sizes(b);
  say("getrandom", getrandom(copy, SIZE, 0));
  return 0;
}
