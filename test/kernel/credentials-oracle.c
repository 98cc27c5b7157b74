// Plays sequences of credential changes on the host's kernel and prints what became of them, so that the test can
// compare them with ours. Usage: credentials-oracle DIR SEQUENCE... where a sequence is words separated by spaces and
// operations by ';'. Each runs in a child; an `exec N` runs DIR/N, a copy of this program, with what is left.
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t ambient(void) {
  uint64_t set = 0;
  for (int c = 0; c < 64; c++)
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1) set |= 1ull << c;
  return set;
}

static uint64_t bounding(void) {
  uint64_t set = 0;
  for (int c = 0; c < 64; c++)
    if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) set |= 1ull << c;
  return set;
}

static void print_state(long result) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  uid_t r, e, s;
  gid_t rg, eg, sg;
  gid_t groups[64];
  syscall(SYS_capget, &header, data);
  syscall(SYS_getresuid, &r, &e, &s);
  syscall(SYS_getresgid, &rg, &eg, &sg);
  int n = (int)syscall(SYS_getgroups, 64, groups);
  printf("%ld %d,%d,%d,%d %d,%d,%d,%d ", result, (int)r, (int)e, (int)s, (int)syscall(SYS_setfsuid, -1), (int)rg,
         (int)eg, (int)sg, (int)syscall(SYS_setfsgid, -1));
  for (int i = 0; i < n; i++) printf("%s%d", i ? "," : "", (int)groups[i]);
  printf(" %08x%08x %08x%08x %08x%08x", data[1].effective, data[0].effective, data[1].permitted, data[0].permitted,
         data[1].inheritable, data[0].inheritable);
  printf(" %016llx %016llx %x %d %d %d\n", (unsigned long long)bounding(), (unsigned long long)ambient(),
         prctl(PR_GET_SECUREBITS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE),
         (int)getauxval(AT_SECURE));
}

static long cap_set(uint64_t e, uint64_t p, uint64_t i) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)e, (uint32_t)p, (uint32_t)i},
      {(uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32)},
  };
  return syscall(SYS_capset, &header, data);
}

static long apply(const char *name, const long *a, int count, char *rest, const char *directory) {
  if (!strcmp(name, "setuid")) return syscall(SYS_setuid, a[0]);
  if (!strcmp(name, "setreuid")) return syscall(SYS_setreuid, a[0], a[1]);
  if (!strcmp(name, "setresuid")) return syscall(SYS_setresuid, a[0], a[1], a[2]);
  if (!strcmp(name, "setfsuid")) return syscall(SYS_setfsuid, a[0]);
  if (!strcmp(name, "setgid")) return syscall(SYS_setgid, a[0]);
  if (!strcmp(name, "setregid")) return syscall(SYS_setregid, a[0], a[1]);
  if (!strcmp(name, "setresgid")) return syscall(SYS_setresgid, a[0], a[1], a[2]);
  if (!strcmp(name, "setfsgid")) return syscall(SYS_setfsgid, a[0]);
  if (!strcmp(name, "setgroups")) {
    gid_t list[8];
    for (int i = 0; i < count; i++) list[i] = (gid_t)a[i];
    return syscall(SYS_setgroups, count, list);
  }
  if (!strcmp(name, "capset")) return cap_set((uint64_t)a[0], (uint64_t)a[1], (uint64_t)a[2]);
  if (!strcmp(name, "keepcaps")) return prctl(PR_SET_KEEPCAPS, a[0], 0, 0, 0);
  if (!strcmp(name, "securebits")) return prctl(PR_SET_SECUREBITS, a[0], 0, 0, 0);
  if (!strcmp(name, "drop")) return prctl(PR_CAPBSET_DROP, a[0], 0, 0, 0);
  if (!strcmp(name, "raise")) return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, a[0], 0, 0);
  if (!strcmp(name, "lower")) return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, a[0], 0, 0);
  if (!strcmp(name, "nnp")) return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (!strcmp(name, "exec")) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%ld", directory, a[0]);
    fflush(stdout);
    char *argv[] = {path, (char *)directory, (char *)"-", rest ? rest : (char *)"", NULL};
    return execv(path, argv);
  }
  abort();
}

static void run(char *sequence, const char *directory) {
  while (sequence && *sequence) {
    char *rest = strchr(sequence, ';');
    if (rest) *rest++ = 0;
    char *save = NULL;
    char *name = strtok_r(sequence, " ", &save);
    long a[8];
    int count = 0;
    for (char *word; (word = strtok_r(NULL, " ", &save)) && count < 8;) a[count++] = strtol(word, NULL, 0);
    errno = 0;
    long result = apply(name, a, count, rest, directory);
    print_state(result < 0 ? -errno : result);
    sequence = rest;
  }
}

int main(int argc, char **argv) {
  if (argc > 3 && !strcmp(argv[2], "-")) {
    print_state(0);
    run(argv[3], argv[1]);
    return 0;
  }
  for (int i = 2; i < argc; i++) {
    printf("# %d\n", i - 2);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      run(argv[i], argv[1]);
      return 0;
    }
    waitpid(pid, NULL, 0);
  }
  return 0;
}
