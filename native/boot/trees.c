// Mounts. A directory descriptor on a host mount is not contained by an empty root: ".." walks out of it.
// So whatever the sentry may see is taken as a detached mount, which has no parent (CAGE.md).
#include "boot.h"

#include <sched.h>
#include <sys/mount.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen   430
#define SYS_fsconfig 431
#define SYS_fsmount  432
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

// linux/mount.h and sys/mount.h exclude each other in some versions of glibc.
enum {
  TREE_CLONE = 1,           // OPEN_TREE_CLONE
  RECURSIVE = 0x8000,       // AT_RECURSIVE
  MOVE_FROM_DESCRIPTOR = 4, // MOVE_MOUNT_F_EMPTY_PATH
  CONFIG_STRING = 1,        // FSCONFIG_SET_STRING
  CONFIG_CREATE = 6,        // FSCONFIG_CMD_CREATE
};
enum { ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, ATTR_NOEXEC = 8, ATTR_IDMAP = 0x100000 };
struct mount_attributes {
  uint64_t set, clear, propagation, userns;
};

#define KERNEL_HINT                                                                                                    \
  "Linux 5.19 or newer is needed, and in a container the right to mount (its seccomp profile must allow it)"

void make_mounts_private(void) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
    die("AppArmor may restrict user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0 or a profile "
        "for cloister",
        "cannot make mounts private");
}

const char *any_directory(void) {
  static const char *const candidates[] = {"/tmp", "/mnt", "/var", "/usr", "/etc", "/home", "/lib", "/bin"};
  for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
    struct stat status;
    if (!lstat(candidates[i], &status) && S_ISDIR(status.st_mode)) return candidates[i];
  }
  errno = ENOENT;
  die(NULL, "no directory to mount on: none of /tmp, /mnt, /var, /usr, /etc exists");
}

static int clone_tree(int directory, const char *path, const char *what, uint64_t attributes) {
  int tree = sys_open_tree(directory, path, TREE_CLONE | O_CLOEXEC | RECURSIVE | AT_EMPTY_PATH);
  if (tree < 0) die(KERNEL_HINT, "cannot take the mount %s (open_tree)", what);
  struct mount_attributes change = {.set = attributes, .propagation = MS_PRIVATE};
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | RECURSIVE, &change, sizeof change))
    die(KERNEL_HINT, "cannot set the attributes of the mount %s (mount_setattr)", what);
  return tree;
}

// ---- what must not be seen through the rootfs ------------------------------------------------------

/** File systems that show the host's kernel or processes rather than files. */
static bool shows_the_host(const char *type) {
  static const char *const types[] = {"proc",     "sysfs",   "devtmpfs",  "devpts",      "cgroup",
                                      "cgroup2",  "debugfs", "tracefs",   "securityfs",  "bpf",
                                      "configfs", "mqueue",  "efivarfs",  "binfmt_misc", "nsfs",
                                      "fusectl",  "pstore",  "selinuxfs", "rpc_pipefs",  "resctrl"};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (!strcmp(type, types[i])) return true;
  return false;
}

/** Is path strictly below directory? */
static bool is_below(const char *path, const char *directory) {
  size_t length = strlen(directory);
  if (length == 1) return path[1] != 0; // "/"
  return !strncmp(path, directory, length) && path[length] == '/';
}

/** mountinfo's octal escapes, in place. */
static void unescape(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    unsigned code;
    if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
      *to++ = (char)code;
      from += 3;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
}

/** Hides a mount point under something empty: a file under `null`, a descriptor of /dev/null. */
static void cover(const char *path, int null) {
  struct stat status;
  if (lstat(path, &status)) return; // hidden under another one already
  if (S_ISDIR(status.st_mode)) {
    if (mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "size=4k,nr_inodes=2,mode=0555"))
      die(KERNEL_HINT, "cannot hide %s from the sandbox", path);
    return;
  }
  int tree = sys_open_tree(null, "", TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
  if (tree < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_FROM_DESCRIPTOR))
    die(KERNEL_HINT, "cannot hide %s from the sandbox", path);
  close(tree);
}

struct cover_list {
  char **path;
  size_t count;
};

static void add_cover(struct cover_list *list, const char *path) {
  for (size_t i = 0; i < list->count; i++)
    if (!strcmp(list->path[i], path) || is_below(path, list->path[i])) return;
  list->path = reallocarray(list->path, list->count + 1, sizeof *list->path);
  if (!list->path || !(list->path[list->count++] = strdup(path))) die(NULL, "out of memory");
}

/** Covers all mounts strictly below directory that show the host; of the host's own root also /run. */
static void cover_host(const char *directory) {
  struct cover_list list = {NULL, 0};
  FILE *info = fopen("/proc/self/mountinfo", "re");
  if (!info) die("/proc must be mounted where cloister is started.", "cannot read /proc/self/mountinfo");
  if (!strcmp(directory, "/") && !access("/run", F_OK)) add_cover(&list, "/run");
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, info) > 0) {
    char *point = NULL, *type = strstr(line, " - ");
    if (!type || sscanf(line, "%*s %*s %*s %*s %ms", &point) != 1) continue;
    type += 3;
    type[strcspn(type, " \n")] = 0;
    unescape(point);
    if (shows_the_host(type) && is_below(point, directory)) add_cover(&list, point);
    free(point);
  }
  free(line);
  fclose(info);
  // /dev itself may be among what is covered.
  int null = open("/dev/null", O_PATH | O_CLOEXEC);
  for (size_t i = 0; i < list.count; i++) {
    cover(list.path[i], null);
    free(list.path[i]);
  }
  free(list.path);
  if (null >= 0) close(null);
}

// ---- rootfs, binds, runtime files -----------------------------------------------------------------

/** An O_PATH descriptor, its canonical path in `canonical`. */
static int find(const char *path, const char *what, char canonical[PATH_MAX]) {
  if (!realpath(path, canonical)) die(NULL, "%s %s", what, path);
  int fd = open(canonical, O_PATH | O_CLOEXEC);
  if (fd < 0) die(NULL, "%s %s", what, path);
  return fd;
}

static bool is_directory(int fd) {
  struct stat status;
  return !fstat(fd, &status) && S_ISDIR(status.st_mode);
}

/**
 * A detached directory with the single entry "file", on which the tree of one file is mounted: a detached
 * file cannot be opened by name, and the sentry has no other way to open anything.
 */
static int wrap_file(int tree, const char *what) {
  const char *place = any_directory();
  if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=4,mode=0755"))
    die(KERNEL_HINT, "cannot mount a tmpfs for %s", what);
  int directory = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int file = directory < 0 ? -1 : openat(directory, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0 || close(file)) die(NULL, "cannot make a place for %s", what);
  if (syscall(SYS_move_mount, tree, "", directory, "file", MOVE_FROM_DESCRIPTOR))
    die(KERNEL_HINT, "cannot mount %s (move_mount)", what);
  int wrapped = sys_open_tree(directory, "", TREE_CLONE | O_CLOEXEC | RECURSIVE | AT_EMPTY_PATH);
  struct mount_attributes change = {.set = ATTR_RDONLY};
  if (wrapped < 0 || syscall(SYS_mount_setattr, wrapped, "", AT_EMPTY_PATH, &change, sizeof change))
    die(KERNEL_HINT, "cannot take the mount %s (open_tree)", what);
  close(directory);
  close(tree);
  if (umount2(place, MNT_DETACH)) die(NULL, "cannot unmount %s", place);
  return wrapped;
}

/** The files of a detached mount get other ids. */
static void map_ids(int tree, const struct bind *bind) {
  if (!bind->ids) return;
  struct mount_attributes change = {.set = ATTR_IDMAP, .userns = bind->ids->user_namespace};
  int flags = AT_EMPTY_PATH | (bind->ids->recursive ? RECURSIVE : 0);
  if (syscall(SYS_mount_setattr, tree, "", flags, &change, sizeof change))
    die("it takes root of the machine, Linux 5.12 or newer and a file system that knows id-mapped mounts.",
        "cannot map the ids of %s (mount_setattr)", bind->source);
}

static void clone_runtime(struct options *options) {
  char path[PATH_MAX];
  for (int i = 0; i < options->runtime_files; i++) {
    struct runtime_file *file = &options->runtime[i];
    int fd = find(file->source, "a file that the sentry needs,", path);
    file->tree = clone_tree(fd, "", file->source, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV);
    close(fd);
  }
}

static void take_all(struct options *options, struct state *state) {
  char rootfs[PATH_MAX], source[MAX_BINDS][PATH_MAX];
  int found[MAX_BINDS];
  // Found before anything is covered or mounted, cloned after.
  int root = find(options->rootfs, "the root file system", rootfs);
  if (!is_directory(root)) {
    errno = ENOTDIR;
    die(NULL, "the root file system %s", options->rootfs);
  }
  for (int i = 0; i < options->binds; i++)
    found[i] = find(options->bind[i].source, "the source of a bind mount,", source[i]);
  clone_runtime(options);
  // /proc may be covered with the rest.
  for (int i = 0; i < options->binds; i++)
    if (options->bind[i].ids) options->bind[i].ids->user_namespace = mapped_namespace(options->bind[i].ids);
  for (int i = 0; i < options->binds; i++) cover_host(source[i]);
  cover_host(rootfs);
  make_mount_points(options, root);
  if (wants_view(options)) state->rootfs_view = clone_tree(root, "", options->rootfs, ATTR_NOSUID | ATTR_NODEV);

  state->rootfs_tree =
      clone_tree(root, "", options->rootfs, ATTR_NOSUID | ATTR_NODEV | (options->rootfs_read_only ? ATTR_RDONLY : 0));
  close(root);
  for (int i = 0; i < options->binds; i++) {
    struct bind *bind = &options->bind[i];
    bind->is_directory = is_directory(found[i]);
    if (wants_view(options) && bind->destination) {
      bind->view = clone_tree(found[i], "", bind->source, ATTR_NOSUID | ATTR_NODEV);
      map_ids(bind->view, bind);
    }
    bind->tree = clone_tree(found[i], "", bind->source, ATTR_NOSUID | ATTR_NODEV | (bind->read_only ? ATTR_RDONLY : 0));
    map_ids(bind->tree, bind);
    if (bind->ids) close(bind->ids->user_namespace);
    if (!bind->is_directory) bind->tree = wrap_file(bind->tree, bind->source);
    close(found[i]);
  }
}

/** Does so in a mount namespace of its own, that is thrown away again. */
static void elsewhere(struct options *options, struct state *state,
                      void (*take)(struct options *options, struct state *state)) {
  int before = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  int directory = open(".", O_PATH | O_CLOEXEC);
  if (before < 0) die("/proc must be mounted where cloister is started", "/proc/self/ns/mnt");
  if (unshare(CLONE_NEWNS)) die(KERNEL_HINT, "cannot make a mount namespace");
  make_mounts_private();
  take(options, state);
  if (setns(before, CLONE_NEWNS)) die(NULL, "cannot go back to the mount namespace");
  if (directory >= 0 && fchdir(directory)) die(NULL, "cannot go back to the directory");
  close(before);
  close(directory);
}

void take_trees(struct options *options, struct state *state) {
  elsewhere(options, state, take_all);
  state->trees_taken = true;
}

void take_runtime(struct options *options) { clone_runtime(options); }

int take_proc(void) {
  int context = syscall(SYS_fsopen, "proc", 1 /* FSOPEN_CLOEXEC */);
  if (context < 0) return -1;
  int tree = -1;
  syscall(SYS_fsconfig, context, CONFIG_STRING, "subset", "pid",
          0); // processes only; Linux before 5.8 has no such option
  if (!syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0))
    tree = syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
  close(context);
  return tree;
}

int take_memory(bool large_pages) {
  int context = syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);
  if (context < 0) return -1;
  // Its size is half of the machine's memory, as for any: guests touch pages of what they have mapped without asking.
  // Large pages are as large as what is written, but there are none beyond the end of a file.
  static const char *const options[][2] = {{"nr_inodes", "0"}, {"mode", "0700"}, {"huge", "within_size"}};
  size_t count = sizeof options / sizeof options[0] - !large_pages;
  int tree = -1, failures = 0;
  for (size_t i = 0; i < count; i++)
    failures += syscall(SYS_fsconfig, context, CONFIG_STRING, options[i][0], options[i][1], 0) != 0;
  if (!failures && !syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0))
    tree = syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, ATTR_NOSUID | ATTR_NODEV);
  close(context);
  return tree;
}

const char *const MACHINE_FILE[MACHINE_FILES] = {"cpuinfo", "meminfo", "stat", "vmstat"};

void take_machine_files(struct state *state) {
  for (int i = 0; i < MACHINE_FILES; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s", MACHINE_FILE[i]);
    state->machine[i] = open(path, O_RDONLY | O_CLOEXEC);
  }
}

// ---- roots ----------------------------------------------------------------------------------------

/** The current directory, a mount, becomes the root; the old one goes away. */
static void pivot_here(void) {
  if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
    die(KERNEL_HINT, "cannot change the root (pivot_root)");
}

/** Creates an empty file at a path below the current directory, and the directories above it. */
static void make_file(const char *path) {
  char copy[PATH_MAX];
  if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
    errno = ENAMETOOLONG;
    die(NULL, "%s", path);
  }
  for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(copy, 0755) && errno != EEXIST) die(NULL, "cannot make the directory %s of the sentry's root", copy);
    *slash = '/';
  }
  int file = open(copy, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (file < 0) die(NULL, "cannot make %s in the sentry's root", copy);
  close(file);
}

void enter_first_root(const struct options *options) {
  const char *place = any_directory();
  if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755") || chdir(place))
    die(KERNEL_HINT, "cannot mount the sentry's root");
  for (int i = 0; i < options->runtime_files; i++) {
    const struct runtime_file *file = &options->runtime[i];
    const char *path = file->destination + strspn(file->destination, "/");
    make_file(path);
    if (syscall(SYS_move_mount, file->tree, "", AT_FDCWD, path, MOVE_FROM_DESCRIPTOR))
      die(KERNEL_HINT, "cannot mount %s in the sentry's root", file->source);
    close(file->tree);
  }
  if (mkdir("empty", 0555)) die(NULL, "cannot make a directory in the sentry's root");
  pivot_here();
}

void enter_empty_root(const char *directory) {
  if (mount("none", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555") ||
      chdir(directory))
    die(KERNEL_HINT, "cannot mount an empty root");
  pivot_here();
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
    die(KERNEL_HINT, "cannot make the empty root read-only");
}
