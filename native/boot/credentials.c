// Ids and capabilities: who the sandbox is on the host, and what of root's power is left in it.
#include "boot.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

// ---- id maps --------------------------------------------------------------------------------------

/** Every id that our own user namespace has, as itself. */
static int own_ids(const char *path, struct id_map *maps) {
  FILE *file = fopen(path, "re");
  if (!file) die("/proc must be mounted where cloister is started.", "cannot read %s", path);
  int count = 0;
  struct id_map map;
  while (count < MAX_ID_MAPS && fscanf(file, "%u %*u %u", &map.inside, &map.count) == 2) {
    map.outside = map.inside;
    maps[count++] = map;
  }
  fclose(file);
  return count;
}

void default_maps(struct options *options) {
  bool root = geteuid() == 0;
  if (!options->uid_maps) {
    options->uid_map[0] = (struct id_map){0, geteuid(), 1};
    options->uid_maps = root ? own_ids("/proc/self/uid_map", options->uid_map) : 1;
  }
  if (!options->gid_maps) {
    options->gid_map[0] = (struct id_map){0, getegid(), 1};
    options->gid_maps = root ? own_ids("/proc/self/gid_map", options->gid_map) : 1;
  }
}

/**
 * The number by which /proc knows a child of ours: the caller may be in a pid namespace that has no /proc of its own,
 * as pasta(1) leaves it.
 */
static int number_in_proc(pid_t pid) {
  int numbers[MAX_PID_LEVELS], level = process_numbers("self", numbers) - 1, child;
  if (level <= 0) return pid;
  FILE *children = fopen("/proc/thread-self/children", "re");
  while (children && fscanf(children, "%d", &child) == 1) {
    char name[16];
    snprintf(name, sizeof name, "%d", child);
    if (process_numbers(name, numbers) <= level || numbers[level] != pid) continue;
    fclose(children);
    return child;
  }
  die("unshare --mount-proc", "/proc is of another pid namespace, and does not show the sandbox");
}

static void write_file(pid_t pid, const char *name, const char *text, const char *hint) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", number_in_proc(pid), name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) die(hint, "cannot write %s (%s)", path, text);
  close(fd);
}

static void write_map(pid_t pid, const char *name, const struct id_map *maps, int count) {
  char text[MAX_ID_MAPS * 40];
  size_t used = 0;
  for (int i = 0; i < count; i++)
    used += snprintf(text + used, sizeof text - used, "%u %u %u\n", maps[i].inside, maps[i].outside, maps[i].count);
  write_file(pid, name, text,
             "the ids must exist in the caller's user namespace; an ordinary user needs newuidmap and /etc/subuid for "
             "more than one.");
}

int mapped_namespace(const struct id_maps *maps) {
  pid_t child = syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0);
  if (child < 0) die(NULL, "cannot make a user namespace for a mount");
  if (!child)
    for (;;) pause();
  write_map(child, "uid_map", maps->uid, maps->uids);
  write_map(child, "gid_map", maps->gid, maps->gids);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(NULL, "%s", path);
  kill(child, SIGKILL);
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  return fd;
}

/** newuidmap(1), newgidmap(1): set-user-id helpers that check /etc/subuid and /etc/subgid. */
static void run_helper(const char *helper, pid_t pid, const struct id_map *maps, int count) {
  char number[3 * MAX_ID_MAPS + 1][12];
  char *argv[3 * MAX_ID_MAPS + 3];
  int used = 0;
  argv[used++] = (char *)helper;
  snprintf(number[0], sizeof number[0], "%d", pid);
  argv[used++] = number[0];
  for (int i = 0; i < count; i++) {
    unsigned values[3] = {maps[i].inside, maps[i].outside, maps[i].count};
    for (int k = 0; k < 3; k++) {
      snprintf(number[1 + 3 * i + k], sizeof number[0], "%u", values[k]);
      argv[used++] = number[1 + 3 * i + k];
    }
  }
  argv[used] = NULL;
  pid_t child = fork();
  if (!child) {
    reset_signals();
    execvp(helper, argv);
    die("apt install uidmap, or run with a single id.", "cannot run %s", helper);
  }
  int status;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (child < 0 || status) {
    errno = child < 0 ? errno : 0;
    die("the ranges must be granted to the user in /etc/subuid and /etc/subgid.", "%s failed", helper);
  }
}

void write_maps(const struct options *options, pid_t child) {
  bool single = options->uid_maps == 1 && options->gid_maps == 1 && options->uid_map[0].count == 1 &&
                options->gid_map[0].count == 1;
  if (geteuid() != 0 && !single) {
    run_helper("newuidmap", child, options->uid_map, options->uid_maps);
    run_helper("newgidmap", child, options->gid_map, options->gid_maps);
    return;
  }
  if (geteuid() != 0) write_file(child, "setgroups", "deny", NULL);
  write_map(child, "uid_map", options->uid_map, options->uid_maps);
  write_map(child, "gid_map", options->gid_map, options->gid_maps);
}

void become_root(void) {
  if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
    die("the id maps must have an inside id 0.", "cannot become root in the sandbox");
  // An ordinary user with one id may not drop groups; they are not mapped and so give nothing inside.
  if (setgroups(0, NULL) && errno != EPERM) die(NULL, "cannot drop supplementary groups");
}

// ---- capabilities ---------------------------------------------------------------------------------

static int last_capability(void) {
  int capability = 0;
  while (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0) capability++;
  return capability - 1;
}

/** Root of a user namespace may have been left in the mount namespace of another (unshare -Ur without -m). */
static bool owns_mounts(void) {
  int mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  int owner = mounts < 0 ? -1 : ioctl(mounts, NS_GET_USERNS);
  if (mounts >= 0) close(mounts);
  if (owner >= 0) close(owner);
  return owner >= 0;
}

bool can_mount(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data)) return false;
  return data[0].effective >> CAP_SYS_ADMIN & 1 && owns_mounts();
}

void limit_capabilities(uint64_t keep) {
  int last = last_capability();
  for (int capability = 0; capability <= last; capability++)
    if (!(keep >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
      die(NULL, "cannot drop capability %d", capability);
  // Root's id means nothing any more, and none of this can be changed again.
  unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                       SECBIT_KEEP_CAPS_LOCKED;
  if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0)) die(NULL, "cannot lock the secure bits");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  uint32_t low = keep, high = keep >> 32;
  struct __user_cap_data_struct data[2] = {{low, low, low}, {high, high, high}};
  if (syscall(SYS_capset, &header, data)) die(NULL, "cannot set capabilities");
  for (int capability = 0; capability <= last; capability++)
    if (keep >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
      die(NULL, "cannot keep capability %d", capability);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die(NULL, "cannot set no_new_privs");
}

// ---- what else is inherited -----------------------------------------------------------------------

void reset_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigset_t none;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void forbid_core_dumps(void) {
  struct rlimit limit = {0, 0}; // guest memory must not end in a file on the host
  setrlimit(RLIMIT_CORE, &limit);
}
