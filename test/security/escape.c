// Tries to read a file outside the root by every name it can think of: escape PATH TOKEN PORT. Says which ones worked.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UP "../../../../../../../../../../../../../../../.."

static const char *secret, *token;
static int tricks;

static void escaped(const char *how, const char *name) {
  printf("ESCAPED: %s (%s)\n", how, name);
  fflush(stdout);
}

static void check(int fd, const char *how, const char *name) {
  char text[4096];
  tricks++;
  if (fd < 0) return;
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n > 0 && memmem(text, n, token, strlen(token))) escaped(how, name);
  close(fd);
}

static void try(const char *how, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void try(const char *how, const char *format, ...) {
  char name[4096], through[4200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name, sizeof name, format, arguments);
  va_end(arguments);
  check(open(name, O_RDONLY | O_NONBLOCK), how, name);
  int path = open(name, O_PATH);
  if (path >= 0) {
    snprintf(through, sizeof through, "/proc/self/fd/%d", path);
    check(open(through, O_RDONLY | O_NONBLOCK), "an O_PATH descriptor opened again", name);
    close(path);
  }
  struct open_how open_how = {.flags = O_RDONLY | O_NONBLOCK};
  check(syscall(SYS_openat2, AT_FDCWD, name, &open_how, sizeof open_how), how, name);
  unlink("/tmp/here");
  if (symlink(name, "/tmp/here") == 0) check(open("/tmp/here", O_RDONLY | O_NONBLOCK), "a link to it", name);
  unlink("/tmp/hard");
  if (linkat(AT_FDCWD, name, AT_FDCWD, "/tmp/hard", AT_SYMLINK_FOLLOW) == 0)
    check(open("/tmp/hard", O_RDONLY | O_NONBLOCK), "a hard link", name);
}

static void names(void) {
  try("its own name", "%s", secret);
  try("up and down", UP "%s", secret);
  try("slashes and dots", "/./..//.././" UP "//%s", secret);
  for (const char *base = "/\0/tmp\0/proc\0/dev\0/dev/pts\0/sys\0/proc/self\0/proc/1\0/proc/self/task\0/dev/shm\0";
       *base; base += strlen(base) + 1) {
    try("up from a mount point", "%s/" UP "%s", base, secret);
    int fd = open(base, O_RDONLY | O_DIRECTORY), path_fd = open(base, O_PATH | O_DIRECTORY);
    char name[4096];
    snprintf(name, sizeof name, UP "%s", secret);
    check(openat(fd, name, O_RDONLY), "openat", base);
    check(openat(path_fd, name, O_RDONLY), "openat on O_PATH", base);
    try("through a descriptor", "/proc/self/fd/%d/" UP "%s", fd, secret);
    if (fchdir(fd) == 0) try("from a directory", UP "%s", secret);
    close(fd);
    close(path_fd);
  }
  for (int pid = 0; pid < 40; pid++) {
    try("root of a process", "/proc/%d/root%s", pid, secret);
    try("above the root of a process", "/proc/%d/root/" UP "%s", pid, secret);
    try("cwd of a process", "/proc/%d/cwd/" UP "%s", pid, secret);
    for (int fd = 0; fd < 24; fd++) {
      try("descriptor of a process", "/proc/%d/fd/%d", pid, fd);
      try("above a descriptor of a process", "/proc/%d/fd/%d/" UP "%s", pid, fd, secret);
    }
  }
  for (const char *name = "self\0thread-self\0"; *name; name += strlen(name) + 1) {
    try("root", "/proc/%s/root%s", name, secret);
    try("cwd", "/proc/%s/cwd/" UP "%s", name, secret);
    try("exe", "/proc/%s/exe/" UP "%s", name, secret);
    try("map_files", "/proc/%s/map_files/" UP "%s", name, secret);
    try("ns", "/proc/%s/ns/mnt/" UP "%s", name, secret);
  }
}

/** What the host has put into the root beforehand. */
static void planted(void) {
  static const char *const links[] = {"absolute", "relative", "through", "self-root", "init-root"};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    try("a planted link", "/planted/%s", links[i]);
    try("a planted link to a directory", "/planted/%s%s", links[i], secret);
    try("up from a planted link", "/planted/%s/" UP "%s", links[i], secret);
  }
}

static void roots(void) {
  mkdir("/tmp/jail", 0755);
  pid_t pid = fork();
  if (pid) {
    waitpid(pid, NULL, 0);
    return;
  }
  // The old way out of a chroot: a directory that is open from before.
  int old = open("/", O_RDONLY | O_DIRECTORY);
  if (chdir("/tmp/jail") == 0 && chroot("/tmp/jail") == 0 && fchdir(old) == 0) {
    for (int i = 0; i < 64; i++)
      if (chdir("..")) break;
    try("out of a chroot", "%s", secret + 1);
    if (chroot(".") == 0) try("out of a chroot, and root there", "%s", secret);
  }
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) try("namespaces of its own", UP "%s", secret);
  mkdir("/tmp/mount", 0755);
  if (mount("/", "/tmp/mount", NULL, MS_BIND | MS_REC, NULL) == 0) {
    try("up from a bind mount", "/tmp/mount/" UP "%s", secret);
    if (umount2("/", MNT_DETACH) == 0) try("without a root", UP "%s", secret);
  }
  if (mount(secret, "/tmp/mount", NULL, MS_BIND, NULL) == 0) try("mounted", "/tmp/mount");
  if (mount("proc", "/tmp/mount", "proc", 0, NULL) == 0) try("another proc", "/tmp/mount/1/root%s", secret);
  if (mount("none", "/tmp/mount", "overlay", 0, "lowerdir=/..:/") == 0) try("an overlay", "/tmp/mount%s", secret);
  if (syscall(SYS_pivot_root, "/tmp/mount", "/tmp/mount") == 0) try("a new root", UP "%s", secret);
  int tree = syscall(SYS_open_tree, AT_FDCWD, "/", 1);
  if (tree >= 0) check(openat(tree, UP, O_RDONLY), "open_tree", "/");
  _exit(0);
}

static volatile int stop;

static void *shuffle(void *unused) {
  while (!stop) {
    rename("/work/a/b", "/work/b");
    rename("/work/b", "/work/a/b");
    renameat2(AT_FDCWD, "/work/a", AT_FDCWD, "/work/c", RENAME_EXCHANGE);
  }
  return unused;
}

/** A directory that is moved while it is walked up from. */
static void races(void) {
  pthread_t thread;
  mkdir("/work", 0777);
  mkdir("/work/a", 0777);
  mkdir("/work/a/b", 0777);
  mkdir("/work/c", 0777);
  if (pthread_create(&thread, NULL, shuffle, NULL)) return;
  char name[4096];
  snprintf(name, sizeof name, "/work/a/b/" UP "%s", secret);
  for (int i = 0; i < 3000; i++) check(open(name, O_RDONLY), "a race", name);
  stop = 1;
  pthread_join(thread, NULL);
}

enum { LOOP_MAJOR = 7 };

/** Whether an open device has anything to read: the sandbox's own loop devices open, but show no file until they get
 * one. */
static int tells(int fd) {
  char byte;
  return fd >= 0 && read(fd, &byte, 1) > 0;
}

static void devices(void) {
  static const struct {
    mode_t type;
    unsigned major, minor;
  } nodes[] = {// not 1:11: /dev/kmsg is a log of the sandbox's own
               {S_IFCHR, 1, 1}, {S_IFCHR, 1, 2}, {S_IFCHR, 1, 4}, {S_IFCHR, 10, 223}, {S_IFCHR, 10, 232},
               {S_IFBLK, 1, 0}, {S_IFBLK, 7, 0}, {S_IFBLK, 8, 0}, {S_IFBLK, 254, 0},  {S_IFBLK, 259, 0}};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    char name[64];
    snprintf(name, sizeof name, "/work/device%zu", i);
    if (mknod(name, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor)) == 0) {
      int fd = open(name, O_RDONLY | O_NONBLOCK);
      tricks++;
      if (fd >= 0 && (nodes[i].major != LOOP_MAJOR || tells(fd))) escaped("a device of the host", name);
    }
    snprintf(name, sizeof name, "/planted/device%zu", i);
    int fd = open(name, O_RDONLY | O_NONBLOCK);
    if (fd >= 0 && (nodes[i].major != LOOP_MAJOR || tells(fd))) escaped("a planted device of the host", name);
  }
  static const char *const files[] = {"/dev/mem",   "/dev/kmem",         "/dev/port",          "/dev/kmsg",
                                      "/dev/sda",   "/dev/vda",          "/dev/loop0",         "/proc/kcore",
                                      "/proc/kmem", "/sys/kernel/debug", "/proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char byte;
    int fd = open(files[i], O_RDONLY | O_NONBLOCK);
    tricks++;
    if (fd >= 0 && read(fd, &byte, 1) == 1) escaped("a window into the host", files[i]);
  }
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + 128];
  } u = {.handle = {.handle_bytes = 128}};
  int mount_id;
  if (name_to_handle_at(AT_FDCWD, "/", &u.handle, &mount_id, 0) == 0) {
    int fd = open_by_handle_at(AT_FDCWD, &u.handle, O_RDONLY);
    if (fd >= 0) check(openat(fd, UP, O_RDONLY), "a handle", "/");
  }
}

static void sockets(int port) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  tricks++;
  if (connect(fd, (void *)&address, sizeof address) == 0) escaped("a socket", "the host's loopback");
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "cloister-%d", port);
  fd = socket(AF_UNIX, SOCK_STREAM, 0);
  tricks++;
  if (connect(fd, (void *)&name, sizeof(sa_family_t) + 1 + length) == 0)
    escaped("a socket", "an abstract one of the host");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  secret = argv[1];
  token = argv[2];
  if (argc > 4) { // outside a sandbox: does it notice?
    check(open(secret, O_RDONLY), "its own name", secret);
    return 0;
  }
  names();
  planted();
  roots();
  races();
  devices();
  sockets(atoi(argv[3]));
  printf("%d tricks\n", tricks);
  return 0;
}
