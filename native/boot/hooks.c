// The time of the hooks: the container's own namespaces are there, nothing has been taken into the sandbox yet. Hooks
// may change the network of this process, and mount below the root file system in its mount namespace (by nsenter, or
// as createContainer hooks); what they mount is taken along.
#include "boot.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

void own_namespaces(const struct options *options) {
  if (!options->control_directory || !can_mount()) return;
  // Whoever joins "the container's" namespaces by this process must not land in the host's.
  if (unshare(CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)) die(NULL, "cannot make namespaces");
  if (sethostname(options->hostname, strlen(options->hostname)))
    die(NULL, "cannot set the host name %s", options->hostname);
}

static const struct namespace_kind {
  const char *name;
  int flag;
} KINDS[] = {{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}};

void join_namespaces(const struct options *options) {
  for (int i = 0; i < options->joined_count; i++) {
    const char *colon = strchr(options->joined[i], ':');
    for (size_t k = 0; colon && k < sizeof KINDS / sizeof *KINDS; k++) {
      if (strncmp(KINDS[k].name, options->joined[i], colon - options->joined[i])) continue;
      int fd = colon[1] ? open(colon + 1, O_RDONLY | O_CLOEXEC) : -1;
      if (colon[1] ? fd < 0 || setns(fd, KINDS[k].flag) : unshare(KINDS[k].flag))
        die("the container whose namespace it is must run.", "cannot join the namespace %s", options->joined[i]);
      if (fd >= 0) close(fd);
    }
  }
}

void wait_for_hooks(const struct options *options) {
  if (!options->hooks) return;
  if (can_mount()) {
    if (unshare(CLONE_NEWNS)) die(NULL, "cannot make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)) die(NULL, "cannot part from the host's mounts");
  }
  static const char text[] = "namespaces\n";
  char answer[8];
  if (write(options->sync_fd, text, sizeof text - 1) != sizeof text - 1 ||
      read(options->sync_fd, answer, sizeof answer) <= 0)
    _exit(125); // a hook has failed, and whoever ran it says so
}

static void enter_one(int process, const char *name, int kind) {
  char path[32];
  snprintf(path, sizeof path, "ns/%s", name);
  int fd = openat(process, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, kind)) die(NULL, "cannot enter the container's %s namespace", name);
  close(fd);
}

void enter_and_execute(char **argv) {
  char path[64];
  if (!argv[0] || !argv[1] || !argv[2] || !argv[3]) die(NULL, "boot: --enter PID DIRECTORY PROGRAM ARGUMENTS");
  snprintf(path, sizeof path, "/proc/%s", argv[0]);
  int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (process < 0) die(NULL, "%s", path);
  if (can_mount()) {
    static const char *const names[] = {"net", "ipc", "uts", "cgroup", "mnt"};
    static const int kinds[] = {CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWNS};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) enter_one(process, names[i], kinds[i]);
  }
  if (chdir(argv[1])) die(NULL, "%s", argv[1]);
  execv(argv[2], argv + 3);
  die(NULL, "%s", argv[2]);
}

void send_datagram(char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!argv[0] || !argv[1]) die(NULL, "boot: --datagram SOCKET TEXT");
  size_t length = strlen(argv[0]);
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    die(NULL, "%s", argv[0]);
  }
  memcpy(address.sun_path, argv[0], length);
  if (argv[0][0] == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + length;
  if (fd < 0 || sendto(fd, argv[1], strlen(argv[1]), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
    die(NULL, "%s", argv[0]);
  _exit(0);
}
