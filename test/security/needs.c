// Makes, by way of ordinary programs' calls, every host call that the two tables have (needs.test.ts counts them):
// needs MODE... in a sandbox. What a call answers does not matter here.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096ul
#define LARGE (5ul << 30) // more than the rules on ranges let pass

static void ignore(long result) { (void)result; }

// ---- files of a tree of the host's ----

static void attributes(const char *name, const char *attribute) {
  char list[256];
  ignore(lsetxattr(name, attribute, "x", 1, 0));
  ignore(lgetxattr(name, attribute, list, sizeof list));
  ignore(llistxattr(name, list, sizeof list));
  ignore(lremovexattr(name, attribute));
}

static void files(const char *directory) {
  char data[PAGE] = {0};
  struct statx status;
  struct statfs fs;
  struct {
    uint64_t offset, length;
  } range = {0, 0};
  uint64_t pages[5];
  if (chdir(directory)) exit(1);
  ignore(mkdir("d", 0755));
  ignore(mknod("fifo", S_IFIFO | 0644, 0));
  ignore(symlink("a", "link"));
  ignore(readlink("link", data, sizeof data));
  int fd = open("a", O_RDWR | O_CREAT, 0644);
  for (int i = 0; i < 40; i++) ignore(pwrite(fd, data, sizeof data, i * sizeof data));
  ignore(pread(fd, data, 100, 0));
  ignore(ftruncate(fd, 1 << 20));
  ignore(fallocate(fd, 0, 0, PAGE));
  ignore(lseek(fd, 0, SEEK_DATA));
  ignore(fsync(fd)), ignore(fdatasync(fd)), ignore(syncfs(fd));
  ignore(sync_file_range(fd, 0, PAGE, SYNC_FILE_RANGE_WRITE));
  ignore(syscall(451 /* cachestat */, fd, &range, pages, 0));
  ignore(fchmod(fd, 0600));
  ignore(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &status));
  ignore(fstatfs(fd, &fs));
  attributes("a", "user.a");
  attributes("fifo", "security.a"); // which is not opened for that
  ignore(link("a", "b")), ignore(rename("b", "c")), ignore(unlink("c"));
  ignore(chmod("fifo", 0600)), ignore(chown("a", 1, 1)), ignore(utimensat(AT_FDCWD, "a", NULL, 0));
  int here = open(".", O_RDONLY | O_DIRECTORY);
  ignore(syscall(SYS_getdents64, here, data, sizeof data));
  close(here);
  int nameless = open(".", O_TMPFILE | O_RDWR, 0600);
  ignore(linkat(nameless, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  close(nameless);
  int memory = memfd_create("m", MFD_ALLOW_SEALING);
  for (int i = 0; i < 64; i++) ignore(write(memory, data, sizeof data));
  ignore(fallocate(memory, 0, 1 << 20, PAGE));
  ignore(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE));
  close(memory), close(fd);
}

// ---- what the host knows, and how the sentry waits ----

static void *many_calls(void *n) {
  for (long i = 0; i < (long)n; i++) ignore(syscall(SYS_getpgid, 0));
  return NULL;
}

static void on_signal(int signal) { (void)signal; }

static void *compute(void *stop) {
  while (!*(volatile int *)stop) {}
  return NULL;
}

/** Maps two files by turns: their descriptors have to come into the process. */
static void *map_files(void *stop) {
  int fds[2] = {open("/proc/self/exe", O_RDONLY), open("/dev/shm/mapped", O_RDWR | O_CREAT, 0600)};
  for (unsigned turn = 0; !*(volatile int *)stop; turn++)
    ignore(munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[turn % 2], 0), PAGE));
  close(fds[0]), close(fds[1]);
  return NULL;
}

/** Signals for a thread at whatever it does. */
static void interrupt(void *(*work)(void *), int times) {
  volatile int stop = 0;
  pthread_t thread;
  signal(SIGUSR1, on_signal);
  pthread_create(&thread, NULL, work, (void *)&stop);
  usleep(2000);
  for (int i = 0; i < times; i++) pthread_kill(thread, SIGUSR1), sched_yield();
  stop = 1;
  pthread_join(thread, NULL);
}

/** A process that maps files is stopped again and again: also while an answer with a descriptor is on its way. */
static void stop_mapping(void) {
  int stop = 0;
  pid_t pid = fork();
  if (!pid) map_files(&stop);
  for (int i = 0; i < 100; i++) {
    usleep(500);
    kill(pid, SIGSTOP), kill(pid, SIGCONT);
  }
  kill(pid, SIGKILL), waitpid(pid, NULL, 0);
}

/** Much of what the sentry keeps in its heap, and nothing of it any more. */
static void objects(void) {
  static char value[60000];
  char name[64];
  memset(value, 'v', sizeof value);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 500; i++) {
      snprintf(name, sizeof name, "/dev/shm/object%d", i);
      close(open(name, O_RDWR | O_CREAT, 0600));
      ignore(setxattr(name, "user.a", value, sizeof value, 0));
    }
    for (int i = 0; i < 500; i++) {
      snprintf(name, sizeof name, "/dev/shm/object%d", i);
      unlink(name);
    }
  }
  usleep(200000);
}

static void runtime(void) {
  struct timespec time;
  struct sysinfo info;
  char data[64];
  for (int clock = 0; clock < 12; clock++) {
    ignore(syscall(SYS_clock_getres, clock, &time));
    ignore(syscall(SYS_clock_gettime, clock, &time));
  }
  ignore(sysinfo(&info));
  ignore(syscall(SYS_getrandom, data, sizeof data, 0));
  for (int i = 0; i < 6; i++) many_calls((void *)500l), usleep(3000); // which the sentry then expects
  int uptime = open("/proc/stat", O_RDONLY);
  ignore(read(uptime, data, sizeof data));
  close(uptime);
  interrupt(compute, 20);
  // Memory that came with no call, and goes back with none.
  char *large = malloc(1 << 20);
  memset(large, 1, 1 << 20);
  int fd = open("/dev/shm/needs", O_RDWR | O_CREAT, 0600);
  ignore(write(fd, large, 1 << 20)), ignore(pread(fd, large, 1 << 18, 0));
  close(fd), unlink("/dev/shm/needs");
  // A process that lives for a while, and is killed.
  pid_t pid = fork();
  if (!pid)
    for (;;) {}
  usleep(100000);
  kill(pid, SIGKILL), waitpid(pid, NULL, 0);
}

// ---- descriptors that the sandbox was given ----

static void inherited(void) {
  char data[64];
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  int value;
  struct termios terminal;
  struct winsize window;
  struct pollfd polled[2] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
  ignore(poll(polled, 2, 0));
  for (int fd = 0; fd < 2; fd++) {
    ignore(fcntl(fd, F_GETFL)), ignore(ioctl(fd, FIONREAD, &value)), ignore(ioctl(fd, TIOCOUTQ, &value));
    if (!tcgetattr(fd, &terminal)) tcsetattr(fd, TCSADRAIN, &terminal);
    ignore(ioctl(fd, TIOCGWINSZ, &window));
    length = sizeof address;
    ignore(getsockname(fd, (void *)&address, &length));
    length = sizeof address;
    ignore(getpeername(fd, (void *)&address, &length));
    length = sizeof value;
    ignore(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length));
  }
  ignore(write(1, "written\n", 8));
  ignore(send(1, "sent\n", 5, 0));
  ignore(recv(0, data, sizeof data, MSG_DONTWAIT));
  ignore(read(0, data, 1));
  ignore(shutdown(0, SHUT_WR));
}

// ---- sockets of an outside network, with options LEVEL:NAME ----

static void set_option(int fd, int level, int name) {
  if (level == IPPROTO_IP && name == IP_DROP_MEMBERSHIP) set_option(fd, level, IP_ADD_MEMBERSHIP);
  if (level == IPPROTO_IPV6 && name == IPV6_LEAVE_GROUP) set_option(fd, level, IPV6_JOIN_GROUP);
  int one = 1;
  struct linger reset = {1, 0};
  struct ip_mreqn group = {{htonl(0xe00000fb)}, {htonl(INADDR_LOOPBACK)}, 1};
  struct ipv6_mreq group6 = {.ipv6mr_interface = 1};
  inet_pton(AF_INET6, "ff02::fb", &group6.ipv6mr_multiaddr);
  ignore(setsockopt(fd, level, name, &one, sizeof one));
  ignore(setsockopt(fd, level, name, &reset, sizeof reset));
  ignore(setsockopt(fd, level, name, &group, sizeof group));
  ignore(setsockopt(fd, level, name, &group6, sizeof group6));
  ignore(setsockopt(fd, level, name, (int[]){AF_INET}, sizeof one));
}

/** A socket of IPv6 that is connected by IPv4, and becomes one of IPv4. */
static void convert(const struct sockaddr_in *listener) {
  struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = listener->sin_port};
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  inet_pton(AF_INET6, "::ffff:127.0.0.1", &name.sin6_addr);
  if (!connect(fd, (void *)&name, sizeof name)) set_option(fd, IPPROTO_IPV6, IPV6_ADDRFORM);
  close(fd);
}

static void connection(int family) {
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr *name = family == AF_INET ? (void *)&name4 : (void *)&name6;
  socklen_t length = family == AF_INET ? sizeof name4 : sizeof name6;
  int listener = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0), value;
  ignore(bind(listener, name, length)), ignore(listen(listener, 5));
  ignore(getsockname(listener, name, &length));
  if (connect(client, name, length)) return;
  if (family == AF_INET) convert(&name4);
  int server = accept(listener, NULL, NULL);
  char data[16] = "data";
  ignore(send(client, data, 4, 0)), ignore(recv(server, data, sizeof data, 0));
  ignore(ioctl(server, SIOCATMARK, &value)), ignore(ioctl(client, TIOCOUTQ, &value));
  ignore(ioctl(server, FIONREAD, &value)), ignore(shutdown(client, SHUT_WR));
  int datagrams = socket(family, SOCK_DGRAM, 0);
  ignore(sendto(datagrams, data, 4, 0, name, length));
  ignore(recv(datagrams, data, sizeof data, MSG_DONTWAIT));
}

/** To an address that is kept for documentation, as ping(8) does it. */
static void echo_request(int family) {
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6};
  inet_pton(AF_INET6, "2001:db8::1", &name6.sin6_addr);
  int is4 = family == AF_INET, fd = socket(family, SOCK_RAW, is4 ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
  unsigned char request[8] = {is4 ? 8 : 128, 0, is4 ? 0xf7 : 0, is4 ? 0xff : 0};
  if (is4) ignore(sendto(fd, request, sizeof request, 0, (void *)&name4, sizeof name4));
  else ignore(sendto(fd, request, sizeof request, 0, (void *)&name6, sizeof name6));
  close(fd);
}

static void network(char **options) {
  static const struct {
    int family, type, protocol;
  } kinds[] = {{AF_INET, SOCK_STREAM, 0}, {AF_INET6, SOCK_STREAM, 0},          {AF_INET, SOCK_DGRAM, 0},
               {AF_INET6, SOCK_DGRAM, 0}, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}};
  connection(AF_INET), connection(AF_INET6);
  echo_request(AF_INET), echo_request(AF_INET6);
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    for (char **option = options; *option; option++) {
      int fd = socket(kinds[kind].family, kinds[kind].type, kinds[kind].protocol), level, name;
      if (fd < 0 || sscanf(*option, "%d:%d", &level, &name) != 2) break;
      // Before it is one of the host's, and when it is.
      struct sockaddr_in6 any = {.sin6_family = AF_INET6};
      struct sockaddr_in any4 = {.sin_family = AF_INET};
      set_option(fd, level, name);
      if (kinds[kind].family == AF_INET) ignore(bind(fd, (void *)&any4, sizeof any4));
      else ignore(bind(fd, (void *)&any, sizeof any));
      if (kinds[kind].type == SOCK_STREAM) ignore(listen(fd, 1));
      set_option(fd, level, name);
      close(fd);
    }
  }
}

// ---- the program's own memory and threads ----

static void *waiter(void *word) {
  struct timespec second = {1, 0};
  ignore(syscall(SYS_futex, word, FUTEX_WAIT, 0, &second));
  return NULL;
}

static void futexes(void) {
  uint32_t words[4] = {0};
  struct timespec soon = {0, 1000000}, past = {0, 0};
  pthread_t thread;
  pthread_create(&thread, NULL, waiter, words);
  usleep(1000);
  for (int op = 0; op < 13; op++) {
    if (op == FUTEX_FD || (op >= FUTEX_LOCK_PI && op != FUTEX_WAIT_BITSET && op != FUTEX_WAKE_BITSET)) continue;
    int waits = op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
    void *timeout = op == FUTEX_WAIT ? &soon : op == FUTEX_WAIT_BITSET ? (void *)&past : (void *)1;
    ignore(syscall(SYS_futex, words + waits, op, 0, timeout, words + 2, waits ? -1 : 0));
  }
  ignore(syscall(SYS_futex, words, FUTEX_WAKE, 1));
  pthread_join(thread, NULL);
  struct {
    uint64_t value, address;
    uint32_t flags, reserved;
  } vector = {1, (uintptr_t)words, 2, 0};
  ignore(syscall(449 /* futex_waitv */, &vector, 1, 0, NULL, 0));
}

static void memory(void) {
  unsigned char resident[32];
  static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
  futexes();
  for (int command = 1 << 9; command; command >>= 1) ignore(syscall(SYS_membarrier, command, 0));
  ignore(syscall(SYS_membarrier, 0, 0));
  for (int large = 0; large < 2; large++) {
    unsigned long size = large ? LARGE : 32 * PAGE;
    char *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (int i = 0; i < 3; i++) ignore(mprotect(place, size, prots[i]));
    for (int advice = 0; advice < 26; advice++) {
      if (large && (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)) continue; // four are enough
      ignore(madvise(place, size, advice));
    }
    if (!large) ignore(mincore(place, size, resident));
    place = mremap(place, size, size + PAGE, MREMAP_MAYMOVE);
    ignore(syscall(462 /* mseal */, place + size, PAGE, 0));
    ignore(syscall(462, place + PAGE, large ? LARGE - PAGE : PAGE, 0));
    ignore(munmap(place, size));
    char *other =
        mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_DENYWRITE | MAP_NORESERVE, -1, 0);
    other = mmap(other, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    ignore(munmap(other, size));
    other = mmap(other, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ignore(munmap(other, PAGE));
  }
  int fd = open("/dev/shm/needs", O_RDWR | O_CREAT, 0600);
  ignore(ftruncate(fd, PAGE));
  char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ignore(msync(shared, PAGE, MS_SYNC));
  ignore(munmap(shared, PAGE)), close(fd);
  ignore(mlock(resident, 1)), ignore(munlock(resident, 1)), ignore(mlockall(MCL_FUTURE)), ignore(munlockall());
  sched_yield();
  ignore(syscall(SYS_brk, 0));
}

/** The same while another process sees every call. */
static void traced_memory(void) {
  pid_t pid = fork();
  int status;
  if (!pid) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    memory();
    raise(SIGSTOP); // and is not traced any more
    many_calls((void *)10l);
    _exit(0);
  }
  waitpid(pid, &status, 0);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  while ((pid = waitpid(-1, &status, __WALL)) > 0)
    if (WIFSTOPPED(status)) ptrace(WSTOPSIG(status) == SIGSTOP ? PTRACE_DETACH : PTRACE_SYSCALL, pid, 0, 0);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "files") && i + 1 < argc) files(argv[++i]);
    else if (!strcmp(argv[i], "runtime")) runtime();
    else if (!strcmp(argv[i], "inherited")) inherited();
    else if (!strcmp(argv[i], "stopped")) stop_mapping();
    else if (!strcmp(argv[i], "objects")) objects();
    else if (!strcmp(argv[i], "mapped")) interrupt(map_files, 150);
    else if (!strcmp(argv[i], "memory")) memory();
    else if (!strcmp(argv[i], "traced-memory")) traced_memory();
    else if (!strcmp(argv[i], "network")) {
      network(argv + i + 1);
      break;
    }
  }
  return 0;
}
