// Watches which host calls a sandbox makes under its filters: host-calls [-gstv] RULES OUTPUT COMMAND...
//
// Follows the command and all it starts by ptrace(2). Of the sentry's threads, and with -g of the guests', each call
// that a filter has let through is written to OUTPUT, once: "PLACE NUMBER A0 .. A5" in hex; PLACE is "sentry", "stub"
// or "program", by where in a guest the call was made. RULES says which arguments matter, "NUMBER MASK" a line; others
// are 0. -s: the sentry's first thread runs at its own speed, but for some calls after each signal that it gets. -t:
// the command's input and output are a terminal, where a line was typed. -v: the sentry finds no vDSO, as if the host's
// clock could not be read without a system call.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIDS       (1 << 22) // PID_MAX_LIMIT
#define CALLS      1024
#define RECORDS    (1 << 16)
#define CALLS_SEEN 40 // after a signal; each stops twice
#define STUB_HIGH  0x7e00
#define OPTIONS                                                                                                        \
  (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD |       \
   PTRACE_O_EXITKILL)

enum role { UNSEEN, OTHER, SENTRY, GUEST };
enum place { NOWHERE, BY_SENTRY, BY_STUB, BY_PROGRAM };
static const char *const PLACES[] = {"", "sentry", "stub", "program"};

struct record {
  uint64_t place, nr, args[6];
};

/** A thread; `filtered` is its process's, kept with the leader. */
static struct {
  int role, leader, filtered;
  struct record last; // made, or about to be made; written when no SIGSYS says that a filter was against it
} threads[PIDS];

static int follow_guests, by_signals, with_terminal, without_vdso;
static int left = 1 << 30; // of the sentry's calls are to be seen, until a signal comes
static uint8_t interest[CALLS];
static struct record written[RECORDS];
static FILE *output;

static void fail(const char *what) {
  perror(what);
  exit(99);
}

static void write_once(const struct record *record) {
  uint64_t hash = record->place * 31 + record->nr;
  for (int i = 0; i < 6; i++) hash = (hash ^ record->args[i]) * 0x9e3779b97f4a7c15ul;
  size_t at = hash >> 40;
  for (size_t tries = 0; tries < 64; tries++, at++) {
    struct record *old = &written[at % RECORDS];
    if (!memcmp(old, record, sizeof *old)) return;
    if (old->place) continue;
    *old = *record;
    const uint64_t *a = record->args;
    fprintf(output, "%s %lx %lx %lx %lx %lx %lx %lx\n", PLACES[record->place], record->nr, a[0], a[1], a[2], a[3], a[4],
            a[5]);
    return;
  }
}

/** A file or link of /proc/TID, as text. */
static const char *about(pid_t tid, const char *name, int is_link) {
  static char text[4096];
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
  int fd = is_link ? -1 : open(path, O_RDONLY);
  ssize_t length = is_link ? readlink(path, text, sizeof text - 1) : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length < 0 ? 0 : length] = 0;
  return text;
}

static void classify(pid_t tid) {
  const char *leader = strstr(about(tid, "status", 0), "\nTgid:\t");
  threads[tid].leader = leader ? atoi(leader + 7) : tid;
  threads[tid].role = OTHER;
  if (!strncmp(about(tid, "cmdline", 0), "/node", 5)) threads[tid].role = SENTRY;
  else if (!strncmp(about(tid, "exe", 1), "/memfd:stub", 11)) threads[tid].role = GUEST;
}

/** Takes AT_SYSINFO_EHDR out of the auxiliary vector of a program that has just been executed. */
static void hide_vdso(pid_t tid) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, tid, 0, &regs)) fail("PTRACE_GETREGS");
  uint64_t at = regs.rsp + 8;
  for (int vectors = 0; vectors < 2; at += 8)
    if (!ptrace(PTRACE_PEEKDATA, tid, at, 0)) vectors++;
  for (;; at += 16) {
    uint64_t type = ptrace(PTRACE_PEEKDATA, tid, at, 0);
    if (type == AT_NULL) return;
    if (type == AT_SYSINFO_EHDR) ptrace(PTRACE_POKEDATA, tid, at, AT_IGNORE);
  }
}

static int is_filtered(pid_t tid) {
  // Guests but the first are forks of one that had its filter.
  return threads[threads[tid].leader].filtered || (threads[tid].role == GUEST && threads[tid].filtered);
}

static void note_entry(pid_t tid, const struct __ptrace_syscall_info *info) {
  struct record *last = &threads[tid].last;
  memset(last, 0, sizeof *last);
  int is_seccomp = info->entry.nr == SYS_seccomp && info->entry.args[0] == SECCOMP_SET_MODE_FILTER;
  if (!is_filtered(tid)) {
    if (is_seccomp) threads[threads[tid].leader].filtered = 1;
    if (is_seccomp && threads[tid].role == SENTRY && by_signals) left = 0;
    return;
  }
  int is_stub = info->instruction_pointer >> 32 == STUB_HIGH;
  last->place = threads[tid].role == SENTRY ? BY_SENTRY : is_stub ? BY_STUB : BY_PROGRAM;
  last->nr = info->entry.nr;
  for (int i = 0; i < 6 && last->nr < CALLS; i++)
    if (interest[last->nr] >> i & 1) last->args[i] = info->entry.args[i];
}

static void commit(pid_t tid) {
  if (threads[tid].last.place) write_once(&threads[tid].last);
  threads[tid].last.place = NOWHERE;
}

static void resume(pid_t tid, int signal) {
  int watched =
      threads[tid].role == GUEST || (threads[tid].role == SENTRY && (threads[tid].leader != tid || left-- > 0));
  ptrace(watched ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, signal); // fails if it was killed meanwhile
}

static void handle_syscall(pid_t tid) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
  commit(tid);
  note_entry(tid, &info);
}

static void handle_stop(pid_t tid, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  if (threads[tid].role == UNSEEN || event == PTRACE_EVENT_EXEC) {
    classify(tid);
    // A child of a guest: it has the filter that its parent had.
    if (event != PTRACE_EVENT_EXEC && threads[tid].role == GUEST) threads[threads[tid].leader].filtered = 1;
    if (threads[tid].role == SENTRY && event == PTRACE_EVENT_EXEC && without_vdso) hide_vdso(tid);
  }
  if (threads[tid].role == GUEST && !follow_guests) {
    ptrace(PTRACE_DETACH, tid, 0, event == 0 && signal != (SIGTRAP | 0x80) ? signal : 0);
    return;
  }
  if (signal == (SIGTRAP | 0x80)) {
    handle_syscall(tid);
    return resume(tid, 0);
  }
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
    ptrace(PTRACE_LISTEN, tid, 0, 0); // stopped as a process, until SIGCONT
    return;
  }
  if (event) return resume(tid, 0);
  if (by_signals && threads[tid].role == SENTRY && threads[tid].leader == tid) left = CALLS_SEEN;
  siginfo_t info;
  if (signal == SIGSYS && !ptrace(PTRACE_GETSIGINFO, tid, 0, &info) && info.si_code == 1 /* SYS_SECCOMP */)
    threads[tid].last.place = NOWHERE;
  resume(tid, signal);
}

static void handle_end(pid_t tid, int status) {
  uint64_t nr = threads[tid].last.nr;
  if (WIFEXITED(status) && (nr == SYS_exit || nr == SYS_exit_group)) commit(tid);
  memset(&threads[tid], 0, sizeof threads[tid]);
}

static pid_t start(char **argv) {
  int go[2];
  if (pipe2(go, O_CLOEXEC)) fail("pipe2");
  int terminal = with_terminal ? posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
  if (terminal >= 0 && (unlockpt(terminal) || write(terminal, "typed\n", 6) != 6)) fail("terminal");
  pid_t pid = fork();
  if (!pid) {
    char byte;
    close(go[1]);
    if (terminal >= 0 && (setsid() < 0 || dup2(open(ptsname(terminal), O_RDWR), 0) || dup2(0, 1) < 0 || dup2(0, 2) < 0))
      _exit(126);
    if (read(go[0], &byte, 1) == 0) execvp(argv[0], argv);
    _exit(127);
  }
  if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, OPTIONS)) fail("PTRACE_SEIZE");
  close(go[0]);
  close(go[1]);
  return pid;
}

int main(int argc, char **argv) {
  int option;
  while ((option = getopt(argc, argv, "+gstv")) > 0) {
    follow_guests |= option == 'g';
    by_signals |= option == 's';
    with_terminal |= option == 't';
    without_vdso |= option == 'v';
  }
  if (argc - optind < 3) return 98;
  FILE *rules = fopen(argv[optind], "r");
  output = fopen(argv[optind + 1], "w");
  if (!rules || !output) fail("rules or output");
  for (unsigned nr, mask; fscanf(rules, "%u %u", &nr, &mask) == 2;) interest[nr % CALLS] = mask;
  fclose(rules);
  fcntl(fileno(output), F_SETFD, FD_CLOEXEC);
  pid_t first = start(argv + optind + 2), tid;
  int status, result = 97;
  while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
    if (tid < 0) continue;
    if (WIFSTOPPED(status)) {
      handle_stop(tid, status);
      continue;
    }
    if (tid == first) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    handle_end(tid, status);
  }
  fclose(output);
  return result;
}
