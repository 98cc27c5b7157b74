// Asynchronous I/O by the bare calls: what they answer and what stands in the events.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static aio_context_t ctx;

static void say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}
#define SAY(call) say(#call, (long)(call))

static long setup(unsigned events, aio_context_t *id) { return syscall(SYS_io_setup, events, id); }
static long destroy(aio_context_t id) { return syscall(SYS_io_destroy, id); }
static long cancel(struct iocb *cb) { return syscall(SYS_io_cancel, ctx, cb, NULL); }

static long submit(struct iocb *a, struct iocb *b) {
  struct iocb *list[] = {a, b};
  return syscall(SYS_io_submit, ctx, b ? 2l : 1l, list);
}

static long events(long min, long max, long nanoseconds) {
  struct io_event event[8] = {0};
  struct timespec timeout = {0, nanoseconds};
  long n = syscall(SYS_io_getevents, ctx, min, max, event, nanoseconds < 0 ? NULL : &timeout);
  for (long i = 0; i < n; i++)
    printf("  data %llx object %d result %lld %lld\n", event[i].data, event[i].obj != 0, event[i].res, event[i].res2);
  return n;
}

static struct iocb prepare(int opcode, int fd, void *buffer, unsigned long bytes, long offset) {
  struct iocb cb = {.aio_data = 0x123456789abcdef0, .aio_key = 77, .aio_lio_opcode = opcode, .aio_fildes = fd};
  cb.aio_buf = (uintptr_t)buffer;
  cb.aio_nbytes = bytes;
  cb.aio_offset = offset;
  return cb;
}

static int file(void) { return memfd_create("file", 0); }

static void transfers(void) {
  int fd = file(), counter = eventfd(0, EFD_NONBLOCK);
  char out[64] = "hello, world", in[64] = "", big[200000];
  memset(big, 'b', sizeof big);
  struct iocb w = prepare(IOCB_CMD_PWRITE, fd, out, 12, 3), r = prepare(IOCB_CMD_PREAD, fd, in, 64, 0);
  w.aio_flags = IOCB_FLAG_RESFD;
  w.aio_resfd = counter;
  SAY(submit(&w, &r));
  printf("key %u\n", w.aio_key);
  SAY(events(2, 8, -1));
  printf("%s\n", in + 3);
  uint64_t count = 0;
  SAY(read(counter, &count, 8));
  printf("%lu\n", count);
  struct iovec parts[] = {{out, 5}, {out + 7, 5}};
  struct iocb wv = prepare(IOCB_CMD_PWRITEV, fd, parts, 2, 100), rv = prepare(IOCB_CMD_PREADV, fd, parts, 2, 101);
  SAY(submit(&wv, &rv));
  SAY(events(1, 8, 0));
  printf("%.12s\n", out);
  wv = prepare(IOCB_CMD_PWRITE, fd, big, sizeof big, 0);
  rv = prepare(IOCB_CMD_PREAD, fd, big, sizeof big, 100000);
  SAY(submit(&wv, &rv));
  SAY(events(1, 1, 0));
  SAY(events(1, 8, 0));
  rv = prepare(IOCB_CMD_PREAD, fd, (void *)16, 10, 0);
  SAY(submit(&rv, NULL));
  rv = prepare(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
  wv = prepare(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
  SAY(submit(&rv, &wv));
  SAY(events(3, 8, -1));
  wv = prepare(IOCB_CMD_PWRITE, fd, out, 1, 0);
  wv.aio_rw_flags = RWF_APPEND;
  SAY(submit(&wv, NULL));
  SAY(lseek(fd, 0, SEEK_END));
  wv.aio_rw_flags = 0x10000;
  SAY(submit(&wv, NULL));
  SAY(events(0, 8, 0));
  int pipes[2];
  if (pipe(pipes)) return;
  w = prepare(IOCB_CMD_PWRITE, pipes[1], out, 5, 0);
  r = prepare(IOCB_CMD_PREAD, pipes[0], in, 5, 0);
  SAY(submit(&w, &r));
  SAY(events(0, 8, 0));
  printf("%.5s\n", in);
  if (!fork()) {
    usleep(100000);
    _exit(write(pipes[1], "later", 5) != 5);
  }
  SAY(submit(&r, &w));
  SAY(events(0, 8, 0));
  wait(NULL);
  printf("%.5s\n", in);
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  SAY(submit(&r, &r));
  SAY(events(0, 8, 0));
  signal(SIGPIPE, SIG_IGN);
  close(pipes[0]);
  SAY(submit(&w, NULL));
  SAY(events(0, 8, 0));
}

static void polls(void) {
  int pipes[2], fd = file();
  if (pipe(pipes)) return;
  struct iocb a = prepare(IOCB_CMD_POLL, pipes[0], (void *)POLLIN, 0, 0);
  struct iocb b = prepare(IOCB_CMD_POLL, pipes[1], (void *)POLLOUT, 0, 0);
  SAY(submit(&a, &b));
  SAY(events(1, 8, 0));
  SAY(events(1, 8, 1000000));
  SAY(cancel(&b));
  if (!fork()) {
    usleep(50000);
    _exit(write(pipes[1], "x", 1) != 1);
  }
  SAY(events(1, 8, -1));
  wait(NULL);
  SAY(read(pipes[0], &fd, 1));
  SAY(submit(&a, NULL));
  a.aio_key = 1;
  SAY(cancel(&a));
  a.aio_key = 0;
  SAY(cancel(&a));
  SAY(events(1, 8, 100000000));
  SAY(cancel(&a));
  SAY(submit(&a, NULL));
  close(pipes[1]);
  SAY(events(1, 8, 100000000));
  b = prepare(IOCB_CMD_POLL, file(), (void *)POLLIN, 0, 0);
  SAY(submit(&b, NULL));
  SAY(events(1, 8, 0));
  b = prepare(IOCB_CMD_POLL, pipes[0], (void *)0x10001, 0, 0);
  SAY(submit(&b, NULL));
  b = prepare(IOCB_CMD_POLL, pipes[0], (void *)POLLIN, 1, 0);
  SAY(submit(&b, NULL));
}

static void refusals(void) {
  aio_context_t other = 0;
  int fd = file(), readonly = open("/dev/null", O_RDONLY), path = open("/", O_PATH);
  char buffer[16];
  SAY(setup(0, &other));
  SAY(setup(-1u, &other));
  SAY(setup(1, NULL));
  SAY(setup(1, &other));
  SAY(setup(1, &other));
  SAY(destroy(other));
  SAY(destroy(other));
  SAY(destroy(0));
  struct iocb cb = prepare(IOCB_CMD_PREAD, fd, buffer, 16, 0);
  SAY(syscall(SYS_io_submit, 0ul, 1l, NULL));
  SAY(syscall(SYS_io_submit, ctx, -1l, NULL));
  SAY(syscall(SYS_io_submit, ctx, 0l, NULL));
  SAY(syscall(SYS_io_submit, ctx, 1l, NULL));
  SAY(submit(NULL, NULL));
  SAY(submit(&cb, (void *)1));
  cb.aio_fildes = -1;
  SAY(submit(&cb, NULL));
  cb.aio_fildes = path;
  SAY(submit(&cb, NULL));
  cb = prepare(IOCB_CMD_PWRITE, readonly, buffer, 16, 0);
  SAY(submit(&cb, NULL));
  struct iovec far[2] = {{buffer, 1}, {(void *)0xffffffff00000000, 1}};
  cb = prepare(IOCB_CMD_PREADV, fd, far, 2, 0);
  SAY(submit(&cb, NULL));
  cb = prepare(IOCB_CMD_PWRITE, fd, far[1].iov_base, 1, 0);
  SAY(submit(&cb, NULL));
  SAY(readv(fd, far, 2));
  SAY(writev(fd, far, 2));
  far[1].iov_len = 0;
  SAY(readv(fd, far, 2));
  cb = prepare(IOCB_CMD_PREAD, fd, buffer, 16, -1);
  SAY(submit(&cb, NULL));
  cb = prepare(IOCB_CMD_PREAD, fd, buffer, -1ul, 0);
  SAY(submit(&cb, NULL));
  cb = prepare(IOCB_CMD_PREAD, fd, buffer, 16, 0);
  cb.aio_reserved2 = 1;
  SAY(submit(&cb, NULL));
  cb.aio_reserved2 = 0;
  cb.aio_flags = IOCB_FLAG_RESFD;
  cb.aio_resfd = -1;
  SAY(submit(&cb, NULL));
  cb.aio_resfd = fd;
  SAY(submit(&cb, NULL));
  for (int opcode = 4; opcode < 11; opcode++) {
    if (opcode == IOCB_CMD_POLL) continue;
    cb = prepare(opcode, fd, buffer, 0, 0);
    printf("%d ", opcode);
    SAY(submit(&cb, NULL));
  }
  cb = prepare(IOCB_CMD_FSYNC, fd, buffer, 0, 0);
  SAY(submit(&cb, NULL));
  cb = prepare(IOCB_CMD_PREADV, fd, buffer, 2000, 0);
  SAY(submit(&cb, NULL));
  SAY(events(-1, 1, 0));
  SAY(events(2, 1, 0));
  SAY(events(0, 8, 0));
  SAY(syscall(SYS_io_getevents, ctx, 0l, 1l, NULL, NULL));
  SAY(syscall(SYS_io_getevents, 0ul, 0l, 1l, NULL, NULL));
  SAY(syscall(SYS_io_getevents, ctx, 1l, 1l, NULL, 8ul));
  SAY(cancel(NULL));
  SAY(cancel(&cb));
}

static void ring(int signal) { (void)signal; }

static void waiting(void) {
  struct sigaction action = {.sa_handler = ring, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  ualarm(50000, 0);
  SAY(events(1, 1, -1));
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  struct {
    sigset_t *set;
    unsigned long size;
  } masks[] = {{&all, 8}, {&none, 8}, {&all, 7}};
  struct timespec timeout = {0, 100000000};
  struct io_event event;
  ualarm(20000, 0);
  SAY(syscall(SYS_io_pgetevents, ctx, 1l, 1l, &event, &timeout, &masks[0]));
  sigprocmask(SIG_BLOCK, &all, NULL);
  ualarm(20000, 0);
  SAY(syscall(SYS_io_pgetevents, ctx, 1l, 1l, &event, &timeout, &masks[1]));
  SAY(syscall(SYS_io_pgetevents, ctx, 1l, 1l, &event, &timeout, &masks[2]));
  SAY(syscall(SYS_io_pgetevents, ctx, 1l, 1l, &event, &timeout, NULL));
  aio_context_t other = 0;
  setup(4, &other);
  if (!fork()) {
    SAY(syscall(SYS_io_getevents, other, 0l, 1l, &event, NULL));
    _exit(fflush(stdout));
  }
  wait(NULL);
}

int main(int argc, char **argv) {
  setbuf(stdout, NULL);
  const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"transfers", transfers}, {"polls", polls}, {"refusals", refusals}, {"waiting", waiting}};
  if (setup(8, &ctx)) return 1;
  for (unsigned i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++)
    if (!strcmp(argv[1], parts[i].name)) parts[i].run();
  return destroy(ctx) != 0;
}
