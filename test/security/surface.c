// What of the host's kernel a container reaches: surface TOKEN. For the comparison of runtimes (compare.ts); lines
// `what: yes` or `what: no`, and a key and many open files that an observer on the host looks for until input comes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/klog.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, int yes) { printf("%s: %s\n", what, yes ? "yes" : "no"); }

static void show(const char *what, const char *path) {
  char text[4096] = "";
  int fd = open(path, O_RDONLY);
  if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  text[strcspn(text, "\n")] = 0;
  printf("%s=%s\n", what, text);
  close(fd);
}

int main(int argc, char **argv) {
  static char log[1 << 16];
  struct utsname name;
  if (argc != 2) return 2;
  uname(&name);
  printf("release=%s %s\n", name.release, name.version);
  show("boot", "/proc/sys/kernel/random/boot_id");
  show("command line", "/proc/cmdline");
  show("modules", "/proc/modules");
  int length = klogctl(3, log, sizeof log - 1);
  printf("log=%.*s\n", length > 0 ? (int)strcspn(log, "\n") : 0, log);

  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .exclude_kernel = 1};
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  char parameters[120] = {0};
  tell("io_uring", syscall(SYS_io_uring_setup, 1, parameters) >= 0);
  tell("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map) >= 0);
  tell("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC | 1) >= 0);
  tell("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0);
  long key = syscall(SYS_add_key, "user", argv[1], "x", 1, KEY_SPEC_USER_KEYRING);
  syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 30); // the keyring may be the host's
  struct rlimit limit = {20000, 20000};
  setrlimit(RLIMIT_NOFILE, &limit);
  while (eventfd(0, 0) >= 0) continue;
  printf("ready\n");
  fflush(stdout);
  char byte;
  return read(0, &byte, 1) < 0;
}
