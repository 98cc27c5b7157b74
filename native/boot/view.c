// What others see who look at a container through the process that they know: its root, its mount namespace, its
// /proc. Clients copy files that way (podman cp) and list processes (podman top); without it they would reach for the
// host's. And the places in a read-only root that things will be mounted on.
#include "boot.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
enum { FROM_DESCRIPTOR = 4, TO_DESCRIPTOR = 0x40 }; // MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH

/** A path of the container, which may be full of links of its making: none leads out of `root`. */
static int open_inside(int root, const char *path, int flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return syscall(SYS_openat2, root, path, &how, sizeof how);
}

// ---- mount points ---------------------------------------------------------------------------------

/** Makes one component; where that is not possible the mount will fail, and say so. */
static void make_component(int root, char *path, bool is_directory) {
  int found = open_inside(root, path, O_PATH);
  if (found >= 0) {
    close(found);
    return;
  }
  char *slash = strrchr(path, '/');
  *slash = 0;
  int parent = open_inside(root, *path ? path : "/", O_PATH | O_DIRECTORY);
  *slash = '/';
  if (parent < 0) return;
  if (is_directory) mkdirat(parent, slash + 1, 0755);
  else if ((found = openat(parent, slash + 1, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644)) >= 0)
    close(found);
  close(parent);
}

void make_mount_points(const struct options *options, int root) {
  for (int i = 0; i < options->mount_points; i++) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", options->mount_point[i].path) >= (int)sizeof path || path[0] != '/') continue;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
      *slash = 0;
      make_component(root, path, true);
      *slash = '/';
    }
    make_component(root, path, options->mount_point[i].is_directory);
  }
}

// ---- the view -------------------------------------------------------------------------------------

bool wants_view(const struct options *options) {
  return options->control_directory && options->rootfs && !options->remove && can_mount();
}

int keep_view(const struct options *options, const struct state *state, int *keep) {
  if (!wants_view(options)) return 0;
  int count = 0;
  keep[count++] = state->rootfs_view;
  for (int i = 0; i < options->binds; i++) keep[count++] = options->bind[i].view;
  return count;
}

pid_t zygote_of(pid_t init) {
  char path[96], own[64] = "", name[64];
  snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
  if (readlink(path, own, sizeof own - 1) < 0) return 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", init, init);
  FILE *children = fopen(path, "re");
  int child, found = 0;
  while (!found && children && fscanf(children, "%d", &child) == 1) {
    snprintf(path, sizeof path, "/proc/%d/ns/pid", child);
    memset(name, 0, sizeof name);
    if (readlink(path, name, sizeof name - 1) > 0 && strcmp(name, own)) found = child;
  }
  if (children) fclose(children);
  return found;
}

/** A descriptor of the guests' pid namespace, or of init's own. */
static int guests_namespace(pid_t init) {
  char path[64];
  pid_t zygote = zygote_of(init);
  snprintf(path, sizeof path, "/proc/%d/ns/pid", zygote ? zygote : init);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/** Mounts the guests' /proc where the container has a directory for it: only a process of their pid namespace can. */
static void mount_proc(int root, pid_t init) {
  int place = openat(root, "proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (place < 0 || fchdir(place)) return;
  close(place);
  int namespace = guests_namespace(init);
  if (namespace < 0 || setns(namespace, CLONE_NEWPID)) return;
  close(namespace);
  pid_t child = fork();
  if (!child) _exit(mount("proc", ".", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) ? 1 : 0);
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
}

void enter_view(const struct options *options, const struct state *state, pid_t init) {
  if (!wants_view(options)) return;
  const char *place = any_directory();
  if (unshare(CLONE_NEWNS)) die(NULL, "cannot make a mount namespace");
  make_mounts_private();
  if (syscall(SYS_move_mount, state->rootfs_view, "", AT_FDCWD, place, FROM_DESCRIPTOR) || chdir(place))
    die(NULL, "cannot mount the root file system for clients");
  close(state->rootfs_view);
  int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < options->binds; i++) {
    const struct bind *bind = &options->bind[i];
    if (bind->view < 0) continue;
    int target = open_inside(root, bind->destination, O_PATH);
    if (target >= 0) syscall(SYS_move_mount, bind->view, "", target, "", FROM_DESCRIPTOR | TO_DESCRIPTOR);
    close(target);
    close(bind->view);
  }
  mount_proc(root, init);
  if (fchdir(root)) die(NULL, "cannot change to the root for clients");
  close(root);
  if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
    die(NULL, "cannot change the root for clients");
}
