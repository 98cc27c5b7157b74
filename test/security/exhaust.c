// Asks for more and more of one thing until it is refused, or until there are more than anybody needs: exhaust THING.
// Says how many there were and which errno ended it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void report(const char *name, long count, int error) {
  printf("%s: %ld, %s\n", name, count, error ? strerrorname_np(error) : "enough");
  fflush(stdout);
}

static void many_descriptors(void) {
  struct rlimit limit = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void files(void) {
  long n = 0;
  while (n < 200000 && open("/dev/null", O_RDONLY) >= 0) n++;
  report("files", n, n < 200000 ? errno : 0);
}

static void pipes(void) {
  static char page[65536];
  int fds[2];
  long n = 0, filled = 0, error = 0;
  while (n < 20000 && !error) {
    if (pipe2(fds, O_NONBLOCK)) error = errno;
    else n++, filled += write(fds[1], page, sizeof page) > 0;
  }
  report("pipes", n, error);
}

static void socket_pairs(void) {
  static char page[65536];
  int fds[2];
  long n = 0, error = 0;
  while (n < 2000 && !error) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds)) error = errno;
    else {
      n++;
      while (write(fds[1], page, sizeof page) > 0) continue;
    }
  }
  report("socket pairs", n, error);
}

static void epoll_items(void) {
  int epoll = epoll_create1(0);
  long n = 0, error = 0;
  while (n < 150000 && !error) {
    int fd = eventfd(0, 0);
    struct epoll_event event = {EPOLLIN, {0}};
    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) error = errno;
    else n++;
  }
  report("epoll items", n, error);
}

static void timers(void) {
  long n = 0;
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  struct itimerspec time = {{0, 0}, {1000, 0}};
  while (n < 200000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &time, NULL) == 0)
    n++;
  report("timers", n, n < 200000 ? errno : 0);
}

static void signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  long n = 0;
  union sigval value = {0};
  while (n < 200000 && sigqueue(getpid(), SIGRTMIN, value) == 0) n++;
  report("queued signals", n, n < 200000 ? errno : 0);
}

static void processes(void) {
  long n = 0;
  int error = 0;
  while (n < 10000) {
    pid_t pid = fork();
    if (pid < 0) {
      error = errno;
      break;
    }
    if (!pid) {
      pause();
      _exit(0);
    }
    n++;
  }
  report("processes", n, error);
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  while (wait(NULL) > 0) continue;
}

static void bomb(void) {
  // Each child goes on forking; together they are stopped by the limit.
  setpgid(0, 0);
  for (int i = 0; i < 4000; i++) {
    if (fork() < 0) usleep(100000);
  }
  pause();
}

static void arguments(void) {
  static char text[100000];
  memset(text, 'x', sizeof text - 1);
  long n = 0;
  for (int count = 1; count <= 128; count *= 2) {
    char **argv = calloc(count + 2, sizeof *argv);
    argv[0] = "true";
    for (int i = 1; i <= count; i++) argv[i] = text;
    pid_t pid = fork();
    if (!pid) {
      execv("/bin/true", argv);
      _exit(errno);
    }
    int status;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status)) report("arguments", -1, 0);
    if (WEXITSTATUS(status)) {
      report("arguments", n, WEXITSTATUS(status));
      return;
    }
    n = count * (long)sizeof text;
  }
  report("arguments", n, 0);
}

static void deep(void) {
  mkdir("/tmp/deep", 0777);
  long n = 0;
  if (chdir("/tmp/deep")) return;
  while (n < 20000 && mkdir("d", 0777) == 0 && chdir("d") == 0) n++;
  char *name = getcwd(NULL, 0);
  report("deep directories", n, name ? 0 : errno);
}

static void names(void) {
  mkdir("/tmp/many", 0777);
  if (chdir("/tmp/many")) return;
  long n = 0;
  for (; n < 100000; n++) {
    char name[32];
    snprintf(name, sizeof name, "%ld", n);
    if (mknod(name, S_IFREG | 0600, 0)) break;
  }
  report("names", n, n < 100000 ? errno : 0);
}

static void watches(void) {
  int fd = inotify_init1(0);
  mkdir("/tmp/watch", 0777);
  if (chdir("/tmp/watch")) return;
  long n = 0;
  for (; n < 100000; n++) {
    char name[32];
    snprintf(name, sizeof name, "%ld", n);
    if (mknod(name, S_IFREG | 0600, 0) || inotify_add_watch(fd, name, IN_ALL_EVENTS) < 0) break;
  }
  report("watches", n, n < 100000 ? errno : 0);
}

/** Datagrams that nobody receives, in more and more sockets. */
static void datagrams(void) {
  static char page[65536];
  int fds[2];
  long n = 0, sent = 0, error = 0;
  while (n < 4000 && !error) {
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds)) error = errno;
    else {
      n++;
      while (send(fds[1], page, sizeof page, 0) > 0) sent += sizeof page;
    }
  }
  report("datagram sockets", n, error);
  printf("%s\n", sent < (600l << 20) ? "bounded" : "unbounded");
}

static void links(void) {
  static char target[4096];
  memset(target, 'x', sizeof target - 2);
  mkdir("/tmp/links", 0777);
  long n = 0;
  for (; n < 100000; n++) {
    char name[32];
    snprintf(name, sizeof name, "/tmp/links/%ld", n);
    if (symlink(target, name)) break;
  }
  report("links", n, n < 100000 ? errno : 0);
}

static void attributes(void) {
  static char value[60000];
  int fd = open("/tmp/attributes", O_RDWR | O_CREAT, 0600);
  long n = 0;
  for (; n < 10000; n++) {
    char name[32];
    snprintf(name, sizeof name, "user.%ld", n);
    if (fsetxattr(fd, name, value, sizeof value, 0)) break;
  }
  report("attributes", n, n < 10000 ? errno : 0);
}

static void mappings(void) {
  long n = 0;
  int fd = open("/bin/true", O_RDONLY);
  while (n < 200000 && mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_NONE, MAP_PRIVATE, fd, 0) != MAP_FAILED) n++;
  report("mappings", n, n < 200000 ? errno : 0);
}

/** Directories that are open, each read to its first entry. */
static void listings(void) {
  names();
  static char entries[512];
  long n = 0;
  int fd, got = 0;
  for (; n < 300; n++) {
    fd = open(".", O_RDONLY | O_DIRECTORY);
    // What lists what "." and ".." do not fill.
    while (fd >= 0 && (got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
      if (lseek(fd, 0, SEEK_CUR) > 4) break;
    if (fd < 0 || got < 0) break;
  }
  report("listings", n, n < 300 ? errno : 0);
}

static void locks(void) {
  int fd = open("/tmp/locked", O_RDWR | O_CREAT, 0600);
  long n = 0;
  for (; n < 5000; n++) {
    struct flock lock = {F_WRLCK, SEEK_SET, 2 * n, 1, 0};
    if (fcntl(fd, F_SETLK, &lock)) break;
  }
  report("locks", n, n < 5000 ? errno : 0);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } all[] = {{"files", files},           {"pipes", pipes},      {"sockets", socket_pairs}, {"epoll", epoll_items},
             {"timers", timers},         {"signals", signals},  {"processes", processes},  {"bomb", bomb},
             {"arguments", arguments},   {"deep", deep},        {"names", names},          {"watches", watches},
             {"mappings", mappings},     {"locks", locks},      {"datagrams", datagrams},  {"links", links},
             {"attributes", attributes}, {"listings", listings}};
  if (argc < 2) return 0;
  setpgid(0, 0);
  many_descriptors();
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(argv[1], all[i].name)) continue;
    all[i].run();
    return 0;
  }
  return 2;
}
