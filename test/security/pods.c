// Two containers of one sandbox that share nothing but its kernel: `pods victim TOKEN` has secrets in every corner,
// `pods attacker TOKEN` looks for them as root with all capabilities, and signals whoever it can name. Says what it
// found.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY       0x5ec12e7
#define NS_PARENT _IO(0xb7, 2)

static const char *token;

static void escaped(const char *how) {
  printf("ESCAPED: %s\n", how);
  fflush(stdout);
}

static void check(int fd, const char *how) {
  char text[4096];
  if (fd < 0) return;
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n > 0 && memmem(text, n, token, strlen(token))) escaped(how);
  close(fd);
}

static void put(const char *name) {
  int fd = open(name, O_RDWR | O_CREAT, 0666);
  if (write(fd, token, strlen(token)) < 0) perror(name);
  close(fd);
}

static socklen_t abstract(struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  return offsetof(struct sockaddr_un, sun_path) + 1 + sprintf(address->sun_path + 1, "abstract %s", token);
}

static void victim(void) {
  struct sockaddr_un address;
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + 128];
  } u = {.handle = {.handle_bytes = 128}};
  int mount_id;
  put("/secret");
  put("/tmp/secret");
  name_to_handle_at(AT_FDCWD, "/secret", &u.handle, &mount_id, 0);
  u.handle.handle_bytes = 128;
  name_to_handle_at(AT_FDCWD, "/tmp/secret", &u.handle, &mount_id, 0);
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(server, (void *)&address, abstract(&address));
  listen(server, 5);
  int segment = shmget(KEY, 4096, 0666 | IPC_CREAT);
  strcpy(shmat(segment, NULL, 0), token);
  mqd_t queue = mq_open("/secret", O_RDWR | O_CREAT, 0666, NULL);
  mq_send(queue, token, strlen(token), 0);
  int file = memfd_create("secret", 0), locked = open("/tmp/locked", O_RDWR | O_CREAT, 0666);
  flock(locked, LOCK_EX);
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    // Somebody who watches is told of this.
    if (pwrite(file, token, strlen(token), 0) < 0) break;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    close(open(name, O_RDONLY));
    close(open("/tmp/secret", O_RDONLY));
    close(open("/secret", O_RDONLY));
    usleep(5000);
  }
}

/** Whoever has a number is of this container; and there is nobody else to be found. */
static void processes(void) {
  char byte, name[64];
  struct iovec local = {&byte, 1}, remote = {(void *)&token, 1};
  for (pid_t pid = 1; pid < 33000; pid++) {
    if (pid == getpid()) continue;
    if (kill(pid, 0) == 0 || errno != ESRCH) printf("process %d\n", pid);
    kill(pid, SIGKILL);
    syscall(SYS_tkill, pid, SIGKILL);
    if (syscall(SYS_pidfd_open, pid, 0) >= 0) printf("a pidfd of %d\n", pid);
    if (pid > 300) continue;
    if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) == 1) escaped("memory");
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) escaped("ptrace");
    snprintf(name, sizeof name, "/proc/%d/root/secret", pid);
    check(open(name, O_RDONLY), name);
  }
  kill(-1, SIGKILL);
  DIR *proc = opendir("/proc");
  for (struct dirent *entry; (entry = readdir(proc));)
    if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid()) printf("/proc/%s\n", entry->d_name);
  closedir(proc);
  mkdir("/tmp/proc", 0755);
  if (mount("proc", "/tmp/proc", "proc", 0, NULL) == 0) {
    proc = opendir("/tmp/proc");
    for (struct dirent *entry; (entry = readdir(proc));)
      if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid()) printf("/tmp/proc/%s\n", entry->d_name);
    closedir(proc);
  }
}

/** File handles are small numbers: all there can be, on all that is mounted here. */
static void handles(void) {
  static const char *const places[] = {"/", "/tmp", "/dev", "/proc", "/proc/self/ns/mnt"};
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + 128];
  } u;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    int mount_id, fd = open(places[i], O_RDONLY);
    u.handle.handle_bytes = 128;
    int known = name_to_handle_at(AT_FDCWD, places[i], &u.handle, &mount_id, 0) == 0;
    unsigned long own = 0;
    if (known) memcpy(&own, u.handle.f_handle + 4, 8);
    for (unsigned generation = 0; generation < 30; generation++) {
      for (long near = -40; near < 40; near++) {
        unsigned long inode = own + near;
        u.handle.handle_bytes = 12;
        u.handle.handle_type = 1;
        memcpy(u.handle.f_handle, &generation, 4);
        memcpy(u.handle.f_handle + 4, &inode, 8);
        check(open_by_handle_at(fd, &u.handle, O_RDONLY | O_NONBLOCK), "a handle");
      }
    }
    close(fd);
  }
}

static void objects(void) {
  struct sockaddr_un address;
  struct shmid_ds description;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t length = abstract(&address);
  if (connect(fd, (void *)&address, length) == 0) escaped("an abstract socket");
  if (shmget(KEY, 0, 0) >= 0) escaped("a segment by its key");
  for (int index = 0; index < 100; index++) {
    if (shmctl(index, SHM_STAT_ANY, &description) >= 0) escaped("a segment by its index");
    if (shmat(index, NULL, SHM_RDONLY) != (void *)-1) escaped("a segment by its number");
  }
  if (mq_open("/secret", O_RDONLY) >= 0) escaped("a message queue");
  mkdir("/tmp/mq", 0755);
  if (mount("mqueue", "/tmp/mq", "mqueue", 0, NULL) == 0) check(open("/tmp/mq/secret", O_RDONLY), "a queue's file");
  static const char *const files[] = {"/proc/net/unix",       "/proc/sysvipc/shm", "/proc/locks",
                                      "/proc/self/mountinfo", "/proc/keys",        "/proc/mounts"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char text[65536];
    int list = open(files[i], O_RDONLY);
    ssize_t n = read(list, text, sizeof text);
    if (n > 0 && memmem(text, n, token, strlen(token))) escaped(files[i]);
    close(list);
  }
}

/** ss(8)'s question. */
static void socket_list(void) {
  struct {
    struct nlmsghdr header;
    struct unix_diag_req request;
  } ask = {{sizeof ask, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
           {.sdiag_family = AF_UNIX, .udiag_states = -1, .udiag_show = UDIAG_SHOW_NAME}};
  char text[65536];
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  if (send(fd, &ask, sizeof ask, 0) < 0) return;
  ssize_t n = recv(fd, text, sizeof text, 0);
  if (n > 0 && memmem(text, n, token, strlen(token))) escaped("the list of sockets");
  close(fd);
}

/** Namespaces by their files, and from one to the next. */
static void namespaces(void) {
  static const char *const kinds[] = {"mnt", "pid", "net", "ipc", "uts", "user", "cgroup"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/ns/%s", kinds[i]);
    int fd = open(name, O_RDONLY), up = ioctl(fd, NS_PARENT);
    if (up >= 0) printf("a parent of %s\n", kinds[i]);
    pid_t pid = fork();
    if (!pid) {
      setns(fd, 0);
      check(open("/secret", O_RDONLY), name);
      for (int other = 0; other < 64; other++)
        if (other != fd && setns(other, 0) == 0) printf("entered %d\n", other);
      _exit(0);
    }
    waitpid(pid, NULL, 0);
    close(fd);
  }
}

/** Whoever watches a whole filesystem is given descriptors of what others do with it: not of those that all share. */
static void watching(void) {
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDWR), files[4], fds[2];
  if (group < 0 || pipe(fds)) return;
  files[0] = memfd_create("own", 0);
  files[1] = fds[0];
  files[2] = socket(AF_UNIX, SOCK_STREAM, 0);
  files[3] = open("/proc/self/ns/mnt", O_RDONLY);
  for (int i = 0; i < 4; i++) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", files[i]);
    const unsigned long events = FAN_MODIFY | FAN_OPEN | FAN_ACCESS | FAN_CLOSE;
    if (!fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, events, AT_FDCWD, name)) printf("marked mount %d\n", i);
    if (!fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, events, AT_FDCWD, name))
      printf("marked filesystem %d\n", i);
  }
  fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY | FAN_OPEN, AT_FDCWD, "/");
  fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY | FAN_OPEN, AT_FDCWD, "/tmp");
  for (int i = 0; i < 100; i++) {
    struct fanotify_event_metadata event[64];
    ssize_t n = read(group, event, sizeof event);
    for (int k = 0; n > 0 && k < n / (ssize_t)sizeof *event; k++) check(event[k].fd, "an event's descriptor");
    usleep(2000);
  }
}

/** Cgroups that are the other's cannot be ended by way of the tree. */
static void cgroups(void) {
  mkdir("/tmp/cgroup", 0755);
  if (mount("cgroup", "/tmp/cgroup", "cgroup2", 0, NULL)) return;
  int fd = open("/tmp/cgroup/cgroup.kill", O_WRONLY);
  if (fd >= 0 && write(fd, "1", 1) == 1) printf("killed a cgroup\n");
  fd = open("/tmp/cgroup/cgroup.procs", O_RDONLY);
  char text[4096] = "";
  if (read(fd, text, sizeof text - 1) > 0 && strchr(text, '\n') != strrchr(text, '\n'))
    printf("in the cgroup: %s", text);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  token = argv[2];
  if (!strcmp(argv[1], "victim")) victim();
  processes();
  handles();
  objects();
  socket_list();
  namespaces();
  watching();
  cgroups();
  printf("held\n");
  return 0;
}
