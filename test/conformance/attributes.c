// System calls on ids, limits and scheduling, each with what it answered. Printed are only things that
// do not depend on the machine or the moment, so that a native run and one in the sandbox print the same.
#include "attributes.h"

static void sessions(void) {
  CALL(syscall(SYS_setpgid, 0, -1));
  CALL(syscall(SYS_setpgid, 999999, 0));
  CALL(syscall(SYS_setpgid, -5, 0));
  CALL(syscall(SYS_getpgid, 999999));
  CALL(syscall(SYS_getsid, 999999));
  CALL(syscall(SYS_getsid, 0) == getsid(0));
  int go[2], ready[2];
  if (pipe(go) || pipe(ready)) abort();
  pid_t child = fork();
  if (child == 0) {
    char c;
    show("child setpgid", errno_of(setpgid(0, 0)));
    show("child is leader", getpgrp() == getpid());
    show("child setsid", errno_of(setsid()));
    if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1) abort();
    pid_t grandchild = fork();
    if (grandchild == 0) {
      show("grandchild setsid", setsid() == getpid());
      show("grandchild setpgid", errno_of(setpgid(0, 0)));
      show("grandchild getsid", getsid(0) == getpid());
      show("foreign group", errno_of(setpgid(0, getppid())));
      _exit(0);
    }
    waitpid(grandchild, NULL, 0);
    execl("/bin/sleep", "sleep", "1", NULL);
    _exit(1);
  }
  char c;
  if (read(ready[0], &c, 1) != 1) abort();
  show("child back", errno_of(setpgid(child, getpgrp())));
  show("child to nowhere", errno_of(setpgid(child, 999999)));
  if (write(go[1], "x", 1) != 1) abort();
  usleep(300000);
  show("child after exec", errno_of(setpgid(child, 0)));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void limits(void) {
  struct rlimit l = {5, 4};
  CALL(syscall(SYS_setrlimit, RLIMIT_NOFILE, &l));
  CALL(syscall(SYS_setrlimit, 16, &(struct rlimit){1, 1}));
  CALL(syscall(SYS_setrlimit, -1, &(struct rlimit){1, 1}));
  CALL(syscall(SYS_getrlimit, 16, &l));
  CALL(syscall(SYS_getrlimit, 0, BAD));
  CALL(syscall(SYS_setrlimit, 0, BAD));
  CALL(syscall(SYS_prlimit64, 999999, 0, NULL, &l));
  CALL(syscall(SYS_prlimit64, 0, 99, NULL, NULL));
  CALL(syscall(SYS_prlimit64, getpid(), RLIMIT_FSIZE, &(struct rlimit){1000, 2000}, NULL));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, &(struct rlimit){1500, 1800}, &l));
  printf("old fsize %ld %ld\n", (long)l.rlim_cur, (long)l.rlim_max);
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &l));
  printf("fsize %ld %ld\n", (long)l.rlim_cur, (long)l.rlim_max);
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}, NULL));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &l));
  printf("core %lx %lx\n", (long)l.rlim_cur, (long)l.rlim_max);
}

static void priorities(void) {
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(syscall(SYS_getpriority, 3, 0));
  CALL(syscall(SYS_getpriority, -1, 0));
  CALL(syscall(SYS_getpriority, 0, 999999));
  CALL(syscall(SYS_setpriority, 0, 999999, 0));
  CALL(syscall(SYS_setpriority, 0, 0, 100));
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(syscall(SYS_getpriority, 1, getpgrp()));
  CALL(syscall(SYS_setpriority, 0, 0, 7));
  CALL(syscall(SYS_getpriority, 0, 0));
  pid_t child = fork();
  if (child == 0) {
    show("child's", syscall(SYS_getpriority, 0, 0));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_get, 2, 0));
  CALL(syscall(SYS_ioprio_get, 9, 0));
  CALL(syscall(SYS_ioprio_get, 1, 999999));
  CALL(syscall(SYS_ioprio_set, 1, 0, 5 << 13));
  CALL(syscall(SYS_ioprio_set, 1, 0, 3));
  CALL(syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 6));
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_get, 2, 0));
}

struct attr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t min, max;
  uint64_t more;
};

static void scheduling(void) {
  struct sched_param p = {0};
  struct attr a = {0};
  CALL(sched_getscheduler(0));
  CALL(sched_getscheduler(-1));
  CALL(sched_getscheduler(999999));
  CALL(sched_getparam(0, &p));
  CALL(sched_getparam(0, NULL));
  CALL(sched_setscheduler(0, SCHED_BATCH, &p));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &p));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, 42, &p));
  CALL(sched_setscheduler(0, -1, &p));
  p.sched_priority = 1;
  CALL(sched_setscheduler(0, SCHED_OTHER, &p));
  p.sched_priority = 100;
  CALL(sched_setscheduler(0, SCHED_FIFO, &p));
  p.sched_priority = 0;
  CALL(sched_setscheduler(0, SCHED_OTHER, &p));
  CALL(sched_setparam(0, &p));
  CALL(sched_get_priority_max(SCHED_FIFO));
  CALL(sched_get_priority_min(SCHED_FIFO));
  CALL(sched_get_priority_max(SCHED_BATCH));
  CALL(sched_get_priority_max(77));
  struct timespec t;
  CALL(syscall(SYS_sched_rr_get_interval, -1, &t));
  CALL(syscall(SYS_sched_rr_get_interval, 999999, &t));
  CALL(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
  printf("attr %u %u %lx %d %u\n", a.size, a.policy, (long)a.flags, a.nice, a.priority);
  CALL(syscall(SYS_sched_getattr, 0, &a, 47, 0));
  CALL(syscall(SYS_sched_getattr, 0, &a, 48, 1));
  CALL(syscall(SYS_sched_getattr, 0, &a, 5000, 0));
  CALL(syscall(SYS_sched_getattr, 0, &a, 48, 0));
  printf("attr %u\n", a.size);
  memset(&a, 0, sizeof a);
  a.size = 48;
  a.policy = SCHED_BATCH;
  a.nice = 12;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  CALL(syscall(SYS_getpriority, 0, 0));
  CALL(sched_getscheduler(0));
  a.size = 40;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  printf("wanted %d\n", a.size >= 56);
  a.size = 64;
  a.more = 1;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  a.more = 0;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  a.flags = 1ull << 40;
  CALL(syscall(SYS_sched_setattr, 0, &a, 0));
  unsigned long mask[32] = {0};
  CALL(syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0);
  CALL(mask[0] != 0);
  CALL(syscall(SYS_sched_getaffinity, 0, 4, mask));
  CALL(syscall(SYS_sched_getaffinity, 0, 0, mask));
  CALL(syscall(SYS_sched_getaffinity, 999999, sizeof mask, mask));
  memset(mask, 0, sizeof mask);
  CALL(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  mask[0] = 1;
  CALL(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  mask[0] = ~0ul;
  CALL(syscall(SYS_sched_getaffinity, 0, 8, mask) > 0);
  printf("mask %lx\n", mask[0]);
  unsigned cpu = 99, node = 99;
  CALL(syscall(SYS_getcpu, &cpu, &node, NULL));
  printf("cpu %d node %u\n", cpu < 64, node);
}

static void options(void) {
  int value = 0;
  char name[17] = "x";
  CALL(prctl(PR_SET_NAME, "a name that is too long"));
  CALL(prctl(PR_GET_NAME, name));
  printf("name %s\n", name);
  CALL(prctl(PR_SET_NAME, BAD));
  CALL(prctl(PR_SET_PDEATHSIG, 65));
  CALL(prctl(PR_SET_PDEATHSIG, SIGUSR1));
  CALL(prctl(PR_GET_PDEATHSIG, &value));
  printf("pdeathsig %d\n", value);
  CALL(prctl(PR_SET_PDEATHSIG, 0));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 2));
  CALL(prctl(PR_SET_DUMPABLE, 0));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 1));
  CALL(prctl(PR_SET_KEEPCAPS, 2));
  CALL(prctl(PR_GET_KEEPCAPS));
  CALL(prctl(PR_SET_CHILD_SUBREAPER, 5));
  CALL(prctl(PR_GET_CHILD_SUBREAPER, &value));
  printf("subreaper %d\n", value);
  CALL(prctl(PR_SET_CHILD_SUBREAPER, 0));
  CALL(prctl(PR_SET_TIMERSLACK, 12345));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_TIMERSLACK, 0));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_READ, 41));
  CALL(prctl(PR_CAPBSET_READ, 0));
  CALL(prctl(PR_CAPBSET_DROP, 41));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 41, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, 9, 0, 0, 0));
  CALL(prctl(PR_GET_SECCOMP));
  CALL(prctl(PR_GET_TIMING));
  CALL(prctl(PR_SET_TIMING, 1));
  CALL(prctl(PR_GET_TSC, &value));
  CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL, 1, 1, 0, 0));
  CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL, 1, 9, 0, 0));
  CALL(prctl(PR_MCE_KILL, 0, 0, 0, 0));
  CALL(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
  CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  CALL(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
  CALL(prctl(PR_GET_ENDIAN, &value));
  CALL(prctl(PR_GET_FPEMU, &value));
  CALL(prctl(PR_GET_UNALIGN, &value));
  CALL(prctl(123456, 0, 0, 0, 0));
  CALL(prctl(PR_TASK_PERF_EVENTS_DISABLE));
  char auxv[1024];
  CALL(prctl(0x41555856, auxv, sizeof auxv, 0, 0) > 0);
  CALL(prctl(0x41555856, auxv, sizeof auxv, 1, 0));
  CALL(syscall(SYS_personality, 0xffffffff));
  CALL(syscall(SYS_personality, ADDR_NO_RANDOMIZE));
  CALL(syscall(SYS_personality, PER_LINUX32 | UNAME26));
  struct utsname u;
  CALL(uname(&u));
  printf("%s %.4s %s\n", u.sysname, u.release, u.machine);
  CALL(syscall(SYS_personality, 0));
  CALL(syscall(SYS_uname, BAD));
  struct __user_cap_header_struct header = {0x1234, 0};
  struct __user_cap_data_struct data[2];
  CALL(syscall(SYS_capget, &header, data));
  printf("version %x\n", header.version);
  header.version = 0x1234;
  CALL(syscall(SYS_capget, &header, NULL));
  CALL(syscall(SYS_capget, &header, data));
  header.pid = -1;
  CALL(syscall(SYS_capget, &header, data));
  header.pid = 999999;
  CALL(syscall(SYS_capget, &header, data));
  CALL(syscall(SYS_capset, &header, data));
  header.pid = 0;
  CALL(syscall(SYS_capget, &header, BAD));
  CALL(syscall(SYS_capget, BAD, data));
  CALL(syscall(SYS_set_robust_list, data, 23));
  CALL(syscall(SYS_getgroups, -1, NULL));
  CALL(syscall(SYS_setgroups, 70000, NULL));
  CALL(syscall(SYS_setgroups, 2, BAD));
  CALL(syscall(SYS_setgroups, 3, (gid_t[]){30, 10, 20}));
  gid_t groups[8];
  CALL(syscall(SYS_getgroups, 2, groups));
  CALL(syscall(SYS_getgroups, 8, groups));
  printf("groups %u %u %u\n", groups[0], groups[1], groups[2]);
  CALL(syscall(SYS_getresuid, BAD, &value, &value));
  CALL(syscall(SYS_getrandom, BAD, 4, 0));
  CALL(syscall(SYS_getrandom, groups, 4, 8));
  CALL(syscall(SYS_getrandom, groups, 4, 6));
  CALL(syscall(SYS_getrandom, groups, 4, 1));
  static char big[3 << 20];
  CALL(syscall(SYS_getrandom, big, sizeof big, 0));
  CALL(memcmp(big, big + (1 << 20), 4096) != 0 && memcmp(big + sizeof big - 16, "\0\0\0\0\0\0\0\0", 8) != 0);
  CALL(syscall(SYS_sethostname, "x", -1));
  CALL(syscall(SYS_sethostname, "x", 65));
}

int main(int argc, char **argv) {
  static const struct part parts[] = {{"sessions", sessions},     {"limits", limits},   {"priorities", priorities},
                                      {"scheduling", scheduling}, {"options", options}, {0}};
  return run_parts(argc, argv, parts);
}
