// Makes and drops things of one kind, many times: leaks KIND COUNT. Afterwards nothing of them may be left.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static void must(long ok, const char *what) {
  if (ok) return;
  printf("%s: %s\n", what, strerror(errno));
  exit(1);
}

static void reap(pid_t pid) {
  int status = -1;
  must(waitpid(pid, &status, 0) > 0 && status == 0, "waitpid");
}

static void *thread(void *argument) { return argument; }

static void *sleeper(void *argument) {
  pause();
  return argument;
}

static void processes(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  reap(pid);
  pid = vfork();
  if (pid == 0) {
    execl(self, self, "nothing", "0", NULL);
    _exit(1);
  }
  reap(pid);
  pid = fork();
  if (pid == 0) {
    setsid();
    pid_t grandchild = fork(); // an orphan
    if (grandchild == 0) _exit(0);
    raise(SIGKILL);
  }
  int status;
  must(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL, "killed");
  reap(-1);
}

static void threads(void) {
  pthread_t ids[3];
  for (int i = 0; i < 3; i++) must(pthread_create(&ids[i], NULL, thread, NULL) == 0, "pthread_create");
  for (int i = 0; i < 3; i++) pthread_join(ids[i], NULL);
  pid_t pid = fork();
  if (pid == 0) {
    // ends while they run
    for (int i = 0; i < 3; i++) pthread_create(&ids[i], NULL, sleeper, NULL);
    _exit(0);
  }
  reap(pid);
}

static void sockets(void) {
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  // A descriptor on its way through a socket that is closed before it is taken out.
  struct iovec bytes = {"x", 1};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {
      .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &pair[1], sizeof(int));
  must(sendmsg(pair[0], &message, 0) == 1, "sendmsg");
  close(pair[0]);
  close(pair[1]);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  must(listen(listener, 4) == 0, "listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
  int server = accept(listener, NULL, NULL);
  must(write(client, "hello", 5) == 5, "write");
  struct linger hard = {1, 0};
  setsockopt(server, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(server);
  close(client);
  close(listener);
  int datagram = socket(AF_INET, SOCK_DGRAM, 0);
  sendto(datagram, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
  close(datagram);
  struct sockaddr_un name = {AF_UNIX, "/tmp/leaks.socket"};
  int named = socket(AF_UNIX, SOCK_DGRAM, 0);
  must(bind(named, (struct sockaddr *)&name, sizeof name) == 0, "bind to a name");
  unlink(name.sun_path);
  close(named);
}

static void pipes(void) {
  int ends[2], events, timer, signals, epoll, watch;
  must(pipe(ends) == 0 && write(ends[1], "unread", 6) == 6, "pipe");
  events = eventfd(1, 0);
  timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec often = {{0, 1000000}, {0, 1000000}};
  timerfd_settime(timer, 0, &often, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  signals = signalfd(-1, &set, 0);
  watch = inotify_init1(0);
  must(inotify_add_watch(watch, "/tmp", IN_ALL_EVENTS) > 0, "inotify_add_watch");
  epoll = epoll_create1(0);
  int all[] = {ends[0], events, timer, signals, watch};
  for (int i = 0; i < 5; i++) {
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, all[i], &event) == 0, "epoll_ctl");
  }
  for (int i = 0; i < 5; i++) close(all[i]);
  close(ends[1]);
  close(epoll);
  timer_t posix;
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  must(timer_create(CLOCK_MONOTONIC, &none, &posix) == 0, "timer_create");
  timer_delete(posix);
}

static void files(void) {
  int file = open("/tmp/leaks.file", O_CREAT | O_RDWR, 0600);
  must(file >= 0 && ftruncate(file, 65536) == 0, "open");
  char *bytes = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  must(bytes != MAP_FAILED, "mmap");
  bytes[0] = 1;
  struct flock lock = {.l_type = F_WRLCK};
  fcntl(file, F_SETLK, &lock);
  munmap(bytes, 65536);
  unlink("/tmp/leaks.file");
  close(file);
  int memory = memfd_create("leaks", 0);
  must(ftruncate(memory, 4096) == 0, "memfd_create");
  bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, 0);
  close(memory);
  munmap(bytes, 4096);
  mkdir("/tmp/leaks.directory", 0700);
  rmdir("/tmp/leaks.directory");
  close(open("/proc/self/status", O_RDONLY));
  close(open("/tmp/leaks.none", O_RDONLY));
}

static void mounts(void) {
  mkdir("/tmp/leaks.mount", 0700);
  must(mount("none", "/tmp/leaks.mount", "tmpfs", 0, NULL) == 0, "mount");
  int file = open("/tmp/leaks.mount/file", O_CREAT | O_RDWR, 0600);
  must(file >= 0 && write(file, "bytes", 5) == 5, "file on a mount");
  must(umount2("/tmp/leaks.mount", MNT_DETACH) == 0, "umount2");
  close(file);
  rmdir("/tmp/leaks.mount");
  pid_t pid = fork();
  if (pid == 0) {
    must(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUSER) == 0,
         "unshare");
    pid_t init = fork();
    if (init == 0) _exit(0);
    waitpid(init, NULL, 0);
    _exit(0);
  }
  reap(pid);
}

static void ipc(void) {
  int queue = msgget(IPC_PRIVATE, 0600), semaphore = semget(IPC_PRIVATE, 3, 0600);
  int memory = shmget(IPC_PRIVATE, 4096, 0600);
  must(queue >= 0 && semaphore >= 0 && memory >= 0, "ipc");
  struct {
    long type;
    char text[8];
  } letter = {1, "letter"};
  msgsnd(queue, &letter, 8, 0);
  struct sembuf up = {0, 1, SEM_UNDO};
  pid_t pid = fork();
  if (pid == 0) _exit(semop(semaphore, &up, 1));
  reap(pid);
  void *at = shmat(memory, NULL, 0);
  shmctl(memory, IPC_RMID, NULL);
  shmdt(at);
  msgctl(queue, IPC_RMID, NULL);
  semctl(semaphore, 0, IPC_RMID);
  mqd_t posix = mq_open("/leaks", O_CREAT | O_RDWR, 0600, NULL);
  must(posix >= 0, "mq_open");
  mq_send(posix, "x", 1, 0);
  mq_close(posix);
  mq_unlink("/leaks");
}

static const struct {
  const char *name;
  void (*cycle)(void);
} kinds[] = {{"processes", processes}, {"threads", threads}, {"sockets", sockets}, {"pipes", pipes},
             {"files", files},         {"mounts", mounts},   {"ipc", ipc}};

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  self = argv[0];
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int count = atoi(argv[2]);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(argv[1], kinds[i].name) != 0 && strcmp(argv[1], "all") != 0) continue;
    for (int n = 0; n < count; n++) kinds[i].cycle();
  }
  return 0;
}
