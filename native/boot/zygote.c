// The first guest process: the stub, in namespaces of its own below the sandbox's, with an empty root, no
// capabilities and a single open file, its slot.
#include "boot.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define NOBODY    65534
#define STRANGERS 64 // processes beyond those that can have a slot

static bool is_mapped(const struct id_map *maps, int count, unsigned id) {
  for (int i = 0; i < count; i++)
    if (id >= maps[i].inside && id - maps[i].inside < maps[i].count) return true;
  return false;
}

static void write_child_file(const char *directory, const char *name, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/%s", directory, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0)
    die(NULL, "cannot map the ids of the guests' user namespace (%s)", name);
  close(fd);
}

/**
 * A guest can make host processes that the sentry does not know, by a jump to the stub's clone. They can do nothing,
 * not even ring, but they must not be without number. The count is this user namespace's own.
 */
static void limit_processes(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NPROC, &limit)) die(NULL, "getrlimit");
  const rlim_t most = MAX_SLOTS + STRANGERS;
  if (limit.rlim_max < most) return;
  limit.rlim_cur = limit.rlim_max = most;
  if (setrlimit(RLIMIT_NPROC, &limit)) die(NULL, "setrlimit");
}

/** Each thread of a guest process has two descriptors of its own, by the number of its stub block. */
static void allow_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) die(NULL, "getrlimit");
  const rlim_t wanted = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
  if (limit.rlim_cur == wanted) return;
  limit.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit)) die(NULL, "setrlimit");
}

/** When memory runs out it is the guests' programs that go, as it would be without a sandbox, and not the sentry. */
void raise_oom_score(const char *process, int more) {
  int value = 0;
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/oom_score_adj", process);
  FILE *file = fopen(path, "r+e");
  if (!file) return;
  if (fscanf(file, "%d", &value) == 1) {
    rewind(file);
    fprintf(file, "%d", value > 1000 - more ? 1000 : value + more);
  }
  fclose(file);
}

static void run_zygote(const struct options *options, const struct state *state, int sync) {
  // /proc is still the host's: our number there is what the parent needs to find us.
  char number[32] = "", go;
  if (readlink("/proc/self", number, sizeof number - 1) <= 0)
    die("/proc must be mounted where cloister is started.", "cannot read /proc/self");
  if (write(sync, number, sizeof number) != sizeof number || read(sync, &go, 1) != 1) _exit(125);
  raise_oom_score("self", options->victim);
  become_root();
  enter_empty_root(any_directory());
  reset_signals();
  forbid_core_dumps();
  limit_processes();
  allow_descriptors();
  if (dup2(state->slot0, 3) < 0 || dup3(state->stub, 4, O_CLOEXEC) < 0)
    die(NULL, "cannot place the stub's descriptors");
  close(0);
  close(1);
  if (syscall(SYS_close_range, 5, ~0u, 0)) die(NULL, "cannot close descriptors (close_range)");
  limit_capabilities(0);
  fcntl(2, F_SETFD, FD_CLOEXEC);
  char *argv[] = {"stub", options->traced ? "traced" : NULL, NULL}, *envp[] = {NULL};
  syscall(SYS_execveat, 4, "", argv, envp, AT_EMPTY_PATH);
  die("vm.memfd_noexec=2 forbids it: sysctl vm.memfd_noexec=1", "cannot start the stub");
}

pid_t start_zygote(const struct options *options, const struct state *state) {
  int sync[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync)) die(NULL, "cannot make a socket pair");
  unsigned long namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  pid_t pid = syscall(SYS_clone, SIGCHLD | namespaces, 0, 0, 0, 0);
  if (pid < 0)
    die("user namespaces must nest: sysctl user.max_user_namespaces, user.max_pid_namespaces, user.max_net_namespaces.",
        "cannot make the guests' namespaces");
  if (!pid) {
    close(sync[0]);
    run_zygote(options, state, sync[1]);
  }
  close(sync[1]);
  char number[32];
  if (read(sync[0], number, sizeof number) != sizeof number) {
    errno = 0;
    die(NULL, "the first guest process did not start");
  }
  number[sizeof number - 1] = 0;
  // nobody, where there is such an id: a guest that broke out of everything should own nothing.
  unsigned uid = is_mapped(options->uid_map, options->uid_maps, NOBODY) ? NOBODY : 0;
  unsigned gid = is_mapped(options->gid_map, options->gid_maps, NOBODY) ? NOBODY : 0;
  char map[32];
  write_child_file(number, "setgroups", "deny");
  snprintf(map, sizeof map, "0 %u 1", uid);
  write_child_file(number, "uid_map", map);
  snprintf(map, sizeof map, "0 %u 1", gid);
  write_child_file(number, "gid_map", map);
  if (write(sync[0], "", 1) != 1) die(NULL, "the first guest process did not start");
  close(sync[0]);
  return pid;
}
