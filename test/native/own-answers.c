// Ids that the stub answers by itself, asked for often enough that the sites are patched, then across everything that
// changes them: fork, the parent's end, other credentials, threads, exec, a filter over getppid.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 200

static pid_t first;

/** All ids, relative to the first process's, so that they are the same everywhere. */
static void show(const char *when) {
  long ids[7];
  for (int i = 0; i < ROUNDS; i++) {
    const long now[7] = {getpid(), syscall(SYS_gettid), getppid(), getuid(), geteuid(), getgid(), getegid()};
    if (i && memcmp(now, ids, sizeof ids)) printf("%s: changed in round %d\n", when, i);
    memcpy(ids, now, sizeof ids);
  }
  // Pids themselves depend on who else forks: what must hold is how they hang together.
  printf("%s: pid %s tid %s ppid %s ids %ld %ld %ld %ld\n", when, ids[0] == first ? "first" : "other",
         ids[1] == ids[0] ? "pid" : "other", ids[2] == first ? "first" : "other", ids[3], ids[4], ids[5], ids[6]);
  fflush(stdout);
}

static void *in_thread(void *when) {
  show(when);
  // The bare call changes this thread only.
  syscall(SYS_setresuid, -1, 77, -1);
  show("thread with another user");
  return NULL;
}

static void in_child(void (*what)(void)) {
  pid_t child = fork();
  if (!child) {
    what();
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  while (wait(NULL) > 0) continue;
  printf("status %x\n", status);
  fflush(stdout);
}

static void plain_child(void) { show("child"); }

static void orphan(void) {
  int gate[2];
  char byte;
  if (pipe(gate)) return;
  pid_t middle = getpid();
  if (!fork()) {
    for (int i = 0; i < ROUNDS; i++) getppid();
    printf("before: parent %s\n", getppid() == middle ? "is there" : "is another");
    fflush(stdout);
    close(gate[0]);
    if (write(gate[1], "", 1) != 1) return;
    close(gate[1]);
    while (getppid() == middle) usleep(1000);
    printf("orphaned: parent %s\n", getppid() == first ? "is the reaper" : "is another");
    fflush(stdout);
    _exit(0);
  }
  close(gate[1]);
  if (read(gate[0], &byte, 1) != 1) return;
}

static void other_user(void) {
  syscall(SYS_setresgid, 12, 13, 14);
  show("other groups");
  syscall(SYS_setresuid, 22, 23, 24);
  show("other users");
}

/** From now on this call fails. */
static int refuse(unsigned call) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 99),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void filtered(void) {
  show("before the filters");
  if (refuse(SYS_chroot)) return;
  show("under a filter of something else");
  if (refuse(SYS_getppid)) return;
  for (int i = 0; i < ROUNDS; i++)
    if (syscall(SYS_getppid) != -1) printf("getppid came by the filter\n");
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "filter")) {
    if (refuse(SYS_chroot)) return 1;
    for (int i = 0; i < 10; i++) show("filtered");
    return 0;
  }
  if (argc > 1) {
    show("executed");
    return 0;
  }
  first = getpid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  show("at first");
  in_child(plain_child);
  in_child(orphan);
  in_child(other_user);
  in_child(filtered);
  pthread_t thread;
  pthread_create(&thread, NULL, in_thread, "thread");
  pthread_join(thread, NULL);
  show("after all");
  execl("/proc/self/exe", argv[0], "again", NULL);
  return 1;
}
