// What namespaces.c and pid-namespaces.c share.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_GET_USERNS         0xb701
#define NS_GET_PARENT         0xb702
#define NS_GET_NSTYPE         0xb703
#define NS_GET_OWNER_UID      0xb704
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 6, int)
#define NS_GET_PID_IN_PIDNS   _IOR(0xb7, 8, int)

static void say(const char *what, long result) {
  printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
  fflush(stdout);
}

static pid_t start(unsigned long flags) {
  struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
  fflush(stdout);
  return syscall(SYS_clone3, &args, sizeof args);
}

static void finish(const char *what, pid_t pid) {
  int status = -1;
  pid_t got = waitpid(pid, &status, __WALL);
  printf("%s: waited %d status %x\n", what, got == pid, status);
}

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  int n = write(fd, text, strlen(text));
  int saved = errno;
  close(fd);
  errno = saved;
  return n;
}

static void show_file(const char *path, const char *key) {
  char line[512];
  FILE *file = fopen(path, "r");
  if (!file) {
    say(path, -1);
    return;
  }
  while (fgets(line, sizeof line, file))
    if (!*key || strncmp(line, key, strlen(key)) == 0) printf("%s", line);
  fclose(file);
}

struct part {
  const char *name;
  void (*run)(void);
};

/** Runs the part that the first argument names; the table ends with one without a name. */
static int run_part(int argc, char **argv, const struct part *parts) {
  for (; argc > 1 && parts->name; parts++)
    if (strcmp(argv[1], parts->name) == 0) parts->run();
  return 0;
}
