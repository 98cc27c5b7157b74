// What single operations cost, in ns: the same static program runs natively and in the sandbox (run.ts compares them).
//
//   micro [-s SCALE] [-f FILE] [-d DIRECTORY] [NAME...]      prints "NAME NANOSECONDS OPERATIONS" for each operation
//
// An operation is measured in BATCHES batches; printed is the lower quartile, so that a neighbour's burst does not
// count. Each runs in a process of its own: one that fails says so, and the next one starts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES     9
#define PAGE        4096
#define FAILED      3
#define COMPUTE_NS  200000.0 // between two calls of a computing thread
#define COMPUTE_RUN 1e9      // how long the computing threads run

static const char *rootfs_file = "/etc/passwd", *directory = "/tmp";
static char data_file[256], self[512];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

/** Ends the operation's process when a call failed. */
static long must(long result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
  _exit(FAILED);
}

static void must_be(int right, const char *what) {
  if (right) return;
  fprintf(stderr, "micro: %s went wrong\n", what);
  _exit(FAILED);
}

// ---- computation, and calls that carry no data ----

static void cpu1000(long n) {
  volatile unsigned long x = 1;
  while (n--)
    for (int k = 0; k < 1000; k++) x = x * 6364136223846793005ul + 1;
}

static void call_getppid(long n) {
  while (n--) syscall(SYS_getppid);
}

static void call_getpgid(long n) {
  while (n--) syscall(SYS_getpgid, 0);
}

static void gettime(long n) {
  struct timespec time;
  while (n--) clock_gettime(CLOCK_MONOTONIC, &time);
}

static void yield(long n) {
  while (n--) sched_yield();
}

// ---- files ----

static void openclose(long n) {
  while (n--) close(must(open(rootfs_file, O_RDONLY), rootfs_file));
}

static void call_stat(long n) {
  struct stat status;
  while (n--) must(stat(rootfs_file, &status), rootfs_file);
}

static void read4k(long n) {
  char page[PAGE];
  int fd = must(open(data_file, O_RDONLY), data_file);
  while (n--) must_be(pread(fd, page, PAGE, 0) == PAGE, "pread");
  close(fd);
}

static void write4k(long n) {
  char page[PAGE];
  memset(page, 7, PAGE);
  int fd = must(open(data_file, O_RDWR), data_file);
  while (n--) must_be(pwrite(fd, page, PAGE, 0) == PAGE, "pwrite");
  close(fd);
}

static void readv2(long n) {
  char page[PAGE];
  struct iovec vector[2] = {{page, PAGE / 2}, {page + PAGE / 2, PAGE / 2}};
  int fd = must(open(data_file, O_RDONLY), data_file);
  while (n--) must_be(preadv(fd, vector, 2, 0) == PAGE, "preadv");
  close(fd);
}

static void sendfile64k(long n) {
  int from = must(open(data_file, O_RDONLY), data_file), to = must(open("/dev/null", O_WRONLY), "/dev/null");
  while (n--) {
    off_t at = 0;
    must_be(sendfile(to, from, &at, 16 * PAGE) == 16 * PAGE, "sendfile");
  }
  close(from), close(to);
}

static void creatunlink(long n) {
  char name[300];
  while (n--) {
    snprintf(name, sizeof name, "%s/micro.%d.%ld", directory, getpid(), n & 7);
    close(must(open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600), name));
    must(unlink(name), "unlink");
  }
}

static void devnull64(long n) {
  char data[64] = {0};
  int fd = must(open("/dev/null", O_WRONLY), "/dev/null");
  while (n--) must_be(write(fd, data, 64) == 64, "write");
  close(fd);
}

// ---- ping-pong: a byte there and one back, between two processes or threads ----

static void play(int from, int to, long n, int first) {
  char byte = 1;
  while (n--) {
    if (first) must_be(write(to, &byte, 1) == 1, "write");
    must_be(read(from, &byte, 1) == 1, "read");
    if (!first) must_be(write(to, &byte, 1) == 1, "write");
  }
}

static void play_with_child(int from, int to, int child_from, int child_to, long n) {
  pid_t child = must(fork(), "fork");
  if (!child) {
    play(child_from, child_to, n, 0);
    _exit(0);
  }
  play(from, to, n, 1);
  must(waitpid(child, NULL, 0), "waitpid");
}

static void pipe_pp(long n) {
  int there[2], back[2];
  must(pipe(there), "pipe");
  must(pipe(back), "pipe");
  play_with_child(back[0], there[1], there[0], back[1], n);
  for (int i = 0; i < 2; i++) close(there[i]), close(back[i]);
}

static void unix_pp(long n) {
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  play_with_child(pair[0], pair[0], pair[1], pair[1], n);
  close(pair[0]), close(pair[1]);
}

/** A socket that listens on an address of the loopback interface, which goes to *address. */
static int listen_somewhere(struct sockaddr_in *address) {
  int listening = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  socklen_t length = sizeof *address;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  must(bind(listening, (void *)address, length), "bind");
  must(listen(listening, 128), "listen");
  must(getsockname(listening, (void *)address, &length), "getsockname");
  return listening;
}

static int connect_to(const struct sockaddr_in *address) {
  int client = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  must(connect(client, (const void *)address, sizeof *address), "connect");
  return client;
}

static void tcp_pp(long n) {
  struct sockaddr_in address;
  int one = 1, listening = listen_somewhere(&address), client = connect_to(&address);
  int server = must(accept(listening, NULL, NULL), "accept");
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  play_with_child(client, client, server, server, n);
  close(client), close(server), close(listening);
}

/** Connections that a server accepts and closes, and a client opens, sees the end of, and closes. */
static void connect_close(long n) {
  struct sockaddr_in address;
  int listening = listen_somewhere(&address);
  pid_t child = must(fork(), "fork");
  if (!child) {
    for (char byte; n--;) {
      int client = connect_to(&address);
      must_be(read(client, &byte, 1) == 0, "read");
      close(client);
    }
    _exit(0);
  }
  while (n--) close(must(accept(listening, NULL, NULL), "accept"));
  must(waitpid(child, NULL, 0), "waitpid");
  close(listening);
}

/** A message of 64 bytes to ourselves, and back. */
static void sendrecvmsg(long n) {
  int pair[2];
  char data[64] = {0};
  struct iovec vector = {data, sizeof data};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
  while (n--) {
    must_be(sendmsg(pair[0], &message, 0) == sizeof data, "sendmsg");
    must_be(recvmsg(pair[1], &message, 0) == sizeof data, "recvmsg");
  }
  close(pair[0]), close(pair[1]);
}

/** What event loops do: write, see that there is something, read it. */
static void pollread(long n) {
  int ends[2];
  char data[64] = {0};
  must(pipe(ends), "pipe");
  struct pollfd poll_end = {ends[0], POLLIN, 0};
  while (n--) {
    must_be(write(ends[1], data, sizeof data) == sizeof data, "write");
    must_be(poll(&poll_end, 1, -1) == 1, "poll");
    must_be(read(ends[0], data, sizeof data) == sizeof data, "read");
  }
  close(ends[0]), close(ends[1]);
}

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  long rounds;
  int turn;
} ball = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void play_turns(int mine) {
  pthread_mutex_lock(&ball.mutex);
  for (long i = 0; i < ball.rounds; i++) {
    while (ball.turn != mine) pthread_cond_wait(&ball.changed, &ball.mutex);
    ball.turn = !mine;
    pthread_cond_signal(&ball.changed);
  }
  pthread_mutex_unlock(&ball.mutex);
}

static void *play_second(void *nothing) {
  play_turns(1);
  return nothing;
}

static void futex_pp(long n) {
  pthread_t thread;
  ball.rounds = n;
  ball.turn = 0;
  must(-pthread_create(&thread, NULL, play_second, NULL), "pthread_create");
  play_turns(0);
  pthread_join(thread, NULL);
}

// ---- processes, threads, memory ----

static void wait_for(pid_t child) {
  int status;
  must_be(waitpid(child, &status, 0) == child && status == 0, "the child");
}

static void call_fork(long n) {
  while (n--) {
    pid_t child = must(fork(), "fork");
    if (!child) _exit(0);
    wait_for(child);
  }
}

static void forkexec(long n) {
  while (n--) {
    pid_t child = must(fork(), "fork");
    if (!child) {
      execl(self, self, "--nothing", (char *)NULL);
      _exit(FAILED);
    }
    wait_for(child);
  }
}

static void *nothing(void *argument) { return argument; }

static void thread(long n) {
  while (n--) {
    pthread_t created;
    must(-pthread_create(&created, NULL, nothing, NULL), "pthread_create");
    pthread_join(created, NULL);
  }
}

static void mmap1M(long n) {
  const long size = 1 << 20;
  while (n--) {
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory == MAP_FAILED ? -1 : 0, "mmap");
    for (long at = 0; at < size; at += PAGE) memory[at] = 1;
    munmap(memory, size);
  }
}

// ---- computing threads that make calls: how far they keep out of each other's way ----

static double compute_end;

static void *compute(void *count) {
  long *calls = count;
  while (now() < compute_end) {
    double next = now() + COMPUTE_NS;
    while (now() < next) {}
    getppid();
    ++*calls;
  }
  return NULL;
}

/** ns per call of all threads together: half of one thread's where they run side by side. */
static double computing_threads(int count) {
  long calls[2] = {0, 0}, sum = 0;
  pthread_t threads[2];
  double start = now();
  compute_end = start + COMPUTE_RUN;
  for (int i = 0; i < count; i++) must(-pthread_create(&threads[i], NULL, compute, &calls[i]), "pthread_create");
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL), sum += calls[i];
  return (now() - start) / sum;
}

static double compute_1(void) { return computing_threads(1); }
static double compute_2(void) { return computing_threads(2); }

// ---- measuring ----

static const struct operation {
  const char *name;
  void (*run)(long n);
  long count;
  double (*whole)(void); // measures itself
} operations[] = {
    {"cpu1000", cpu1000, 20000, NULL},
    {"getppid", call_getppid, 200000, NULL},
    {"getpgid", call_getpgid, 200000, NULL},
    {"clock_gettime", gettime, 1000000, NULL},
    {"openclose", openclose, 20000, NULL},
    {"stat", call_stat, 50000, NULL},
    {"read4k", read4k, 50000, NULL},
    {"write4k", write4k, 50000, NULL},
    {"readv", readv2, 50000, NULL},
    {"sendfile", sendfile64k, 10000, NULL},
    {"creatunlink", creatunlink, 50000, NULL},
    {"devnull64", devnull64, 100000, NULL},
    {"sendrecvmsg", sendrecvmsg, 20000, NULL},
    {"pollread", pollread, 20000, NULL},
    {"pipe_pp", pipe_pp, 10000, NULL},
    {"unix_pp", unix_pp, 10000, NULL},
    {"futex_pp", futex_pp, 10000, NULL},
    {"tcp_pp", tcp_pp, 10000, NULL},
    {"connect", connect_close, 10000, NULL},
    {"yield", yield, 100000, NULL},
    {"fork", call_fork, 500, NULL},
    {"forkexec", forkexec, 200, NULL},
    {"thread", thread, 2000, NULL},
    {"mmap1M", mmap1M, 300, NULL},
    {"compute1", NULL, 1, compute_1},
    {"compute2", NULL, 1, compute_2},
};

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const struct operation *operation, double scale) {
  if (operation->whole) {
    printf("%s %.0f 1\n", operation->name, operation->whole());
    return;
  }
  long n = operation->count * scale / BATCHES;
  if (n < 1) n = 1;
  double batches[BATCHES];
  operation->run(n); // warms caches and compilers
  for (int i = 0; i < BATCHES; i++) {
    double start = now();
    operation->run(n);
    batches[i] = (now() - start) / n;
  }
  qsort(batches, BATCHES, sizeof *batches, by_size);
  printf("%s %.0f %ld\n", operation->name, batches[BATCHES / 4], n * BATCHES);
}

static int run_apart(const struct operation *operation, double scale) {
  int status;
  fflush(stdout);
  pid_t child = must(fork(), "fork");
  if (!child) {
    measure(operation, scale);
    fflush(stdout);
    _exit(0);
  }
  must(waitpid(child, &status, 0), "waitpid");
  if (status) printf("%s FAILED\n", operation->name);
  return status != 0;
}

static void create_data_file(void) {
  char page[PAGE] = {0};
  snprintf(data_file, sizeof data_file, "%s/micro.%d.data", directory, getpid());
  int fd = must(open(data_file, O_CREAT | O_WRONLY | O_TRUNC, 0600), data_file);
  for (int i = 0; i < 16; i++) must_be(write(fd, page, PAGE) == PAGE, "write");
  close(fd);
}

static int wanted(const char *name, char **names) {
  if (!*names) return 1;
  while (*names && strcmp(*names, name)) names++;
  return *names != NULL;
}

int main(int argc, char **argv) {
  double scale = 1;
  int option, failures = 0;
  if (argc > 1 && !strcmp(argv[1], "--nothing")) return 0;
  while ((option = getopt(argc, argv, "s:f:d:")) != -1) {
    if (option == 's') scale = atof(optarg);
    else if (option == 'f') rootfs_file = optarg;
    else if (option == 'd') directory = optarg;
    else return 2;
  }
  must(readlink("/proc/self/exe", self, sizeof self - 1), "/proc/self/exe");
  create_data_file();
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
    if (wanted(operations[i].name, argv + optind)) failures += run_apart(&operations[i], scale);
  }
  unlink(data_file);
  return failures > 0;
}
