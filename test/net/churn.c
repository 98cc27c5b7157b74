// churn SECONDS PROCESSES: processes, half of them with a second thread, make random calls on pipes, sockets and the
// files one waits for, send themselves signals and files, and are killed one after the other and replaced. Prints how
// many ended otherwise than by being killed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES         64
#define MAX_PROCESSES 64
#define BIG           200000

static int files[FILES];
static unsigned state;
static char buffer[BIG];

static unsigned below(unsigned limit) {
  state = state * 1664525 + 1013904223;
  return (state >> 8) % limit;
}

static int any(void) { return files[below(FILES)]; }

static void keep(int fd) {
  int i = below(FILES);
  if (files[i] > 2) close(files[i]);
  files[i] = fd;
}

static void keep_pair(int result, const int *pair) {
  if (result) return;
  keep(pair[0]);
  keep(pair[1]);
}

static void send_file(int socket, int fd) {
  char byte = 'f', control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec vector = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void receive_file(int socket) {
  char bytes[8], control[256];
  struct iovec vector = {bytes, sizeof bytes};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, MSG_DONTWAIT) < 0) return;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_type != SCM_RIGHTS) return;
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  keep(fd);
}

static void make_inet(int type, int port) {
  int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), one = 1;
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (below(2)) connect(fd, (struct sockaddr *)&name, sizeof name);
  else if (!bind(fd, (struct sockaddr *)&name, sizeof name)) listen(fd, below(4));
  keep(fd);
}

static void make_unix(int type) {
  int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = {0, 'c', 'a' + below(20)}};
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 3;
  if (below(2)) connect(fd, (struct sockaddr *)&name, length);
  else if (!bind(fd, (struct sockaddr *)&name, length)) listen(fd, 2);
  keep(fd);
}

static void make_timer(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec each = {{0, 1000000}, {0, 1000000}};
  timerfd_settime(fd, 0, &each, NULL);
  keep(fd);
}

static void make_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  keep(signalfd(-1, &set, SFD_NONBLOCK));
}

static void watch(void) {
  int fd = any();
  struct epoll_event event = {below(2) ? EPOLLIN | EPOLLET : EPOLLIN | EPOLLOUT, {.fd = fd}}, events[8];
  epoll_ctl(any(), 1 + below(3), fd, &event);
  epoll_wait(any(), events, 8, below(3));
}

static void poll_some(void) {
  struct pollfd set[8];
  for (int i = 0; i < 8; i++) set[i] = (struct pollfd){any(), below(65536), 0};
  poll(set, 8, below(3));
}

static void step(void) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  int pair[2];
  switch (below(18)) {
  case 0: keep_pair(pipe2(pair, O_NONBLOCK), pair); break;
  case 1: keep_pair(socketpair(AF_UNIX, types[below(3)] | SOCK_NONBLOCK, 0, pair), pair); break;
  case 2: keep(epoll_create1(0)); break;
  case 3: keep(eventfd(below(3), EFD_NONBLOCK)); break;
  case 4: make_timer(); break;
  case 5: make_signal(); break;
  case 6:
  case 7:
    if (write(any(), buffer, below(below(4) ? 64 : BIG)) < 0) break;
    break;
  case 8:
  case 9:
    if (read(any(), buffer, below(BIG)) < 0) break;
    break;
  case 10: watch(); break;
  case 11: poll_some(); break;
  case 12: send_file(any(), any()); break;
  case 13: receive_file(any()); break;
  case 14: shutdown(any(), below(3)); break;
  case 15: below(2) ? make_inet(types[below(2)], 5000 + below(20)) : make_unix(types[below(2)]); break;
  case 16: keep(accept4(any(), NULL, NULL, SOCK_NONBLOCK)); break;
  case 17: kill(getpid(), SIGUSR1); break;
  }
}

static void *run(void *unused) {
  for (;;) step();
  return unused;
}

static pid_t start(int number) {
  pid_t pid = fork();
  if (pid) return pid;
  pthread_t thread;
  state = number * 7919;
  memset(files, -1, sizeof files);
  if (number & 1) pthread_create(&thread, NULL, run, NULL);
  run(NULL);
  return 0;
}

static void ignore(int signal) { (void)signal; }

int main(int count, char **arguments) {
  int seconds = count > 1 ? atoi(arguments[1]) : 5, processes = count > 2 ? atoi(arguments[2]) : 12;
  pid_t pids[MAX_PROCESSES] = {0};
  int made = 0, bad = 0, status;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, ignore);
  for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
    for (int i = 0; i < processes; i++)
      if (pids[i] == 0 && (pids[i] = start(++made)) < 0) return 1;
    usleep(100000);
    int victim = below(processes);
    kill(pids[victim], SIGKILL);
    waitpid(pids[victim], &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) bad++;
    pids[victim] = 0;
  }
  for (int i = 0; i < processes; i++)
    if (pids[i]) kill(pids[i], SIGKILL);
  printf("%d ended badly\n", bad);
  return 0;
}
