// What fanotify(7) and file handles answer, printed so that two runs can be compared. Handles are shown as the names
// they belong to, process ids as whose they are.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call) show(#call, (errno = 0, (long)(call)))

static void show(const char *what, long result) {
  printf("%s = %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}

static char here[PATH_MAX];
// A whole mount is watched, on which others are at work as well.
static int only_mine;

// ---- handles ----

static struct known {
  char name[32];
  struct file_handle *handle;
} known[16];
static int known_count;

static struct file_handle *handle_of(const char *path) {
  struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
  int mount;
  handle->handle_bytes = MAX_HANDLE_SZ;
  if (name_to_handle_at(AT_FDCWD, path, handle, &mount, 0) < 0)
    printf("no handle of %s: %s\n", path, strerrorname_np(errno));
  return handle;
}

static void know(const char *path) {
  strcpy(known[known_count].name, path);
  known[known_count++].handle = handle_of(path);
}

static const char *name_of(const struct file_handle *handle) {
  for (int i = 0; i < known_count; i++) {
    struct file_handle *other = known[i].handle;
    if (other->handle_bytes == handle->handle_bytes && other->handle_type == handle->handle_type &&
        memcmp(other->f_handle, handle->f_handle, handle->handle_bytes) == 0)
      return known[i].name;
  }
  return "?";
}

// ---- reading events ----

static void show_event(const struct fanotify_event_metadata *event) {
  if (only_mine && event->pid != getpid()) {
    close(event->fd);
    return;
  }
  printf("  mask %llx by %s", (unsigned long long)event->mask,
         event->pid == getpid() ? "me"
         : event->pid           ? "other"
                                : "0");
  if (event->fd >= 0) {
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", event->fd);
    if (readlink(link, path, sizeof path - 1) < 0) path[0] = 0;
    printf(" fd of %s", strncmp(path, here, strlen(here)) ? path : path + strlen(here));
    close(event->fd);
  }
  const char *at = (const char *)event + event->metadata_len;
  const char *end = (const char *)event + event->event_len;
  while (at < end) {
    const struct fanotify_event_info_header *head = (const void *)at;
    if (head->info_type == FAN_EVENT_INFO_TYPE_PIDFD) {
      int pidfd = ((const struct fanotify_event_info_pidfd *)at)->pidfd;
      printf(" | pidfd %s", pidfd >= 0 ? "open" : pidfd == FAN_NOPIDFD ? "none" : "error");
      if (pidfd >= 0) close(pidfd);
    } else {
      const struct fanotify_event_info_fid *fid = (const void *)at;
      const struct file_handle *handle = (const void *)fid->handle;
      int named = head->info_type != FAN_EVENT_INFO_TYPE_FID && head->info_type != FAN_EVENT_INFO_TYPE_DFID;
      printf(" | %d %s", head->info_type, name_of(handle));
      if (named) printf(" '%s'", (const char *)handle->f_handle + handle->handle_bytes);
    }
    at += head->len;
  }
  printf("\n");
}

static void drain(int group, const char *what) {
  static char buffer[16384] __attribute__((aligned(8)));
  printf("%s:\n", what);
  for (;;) {
    ssize_t n = read(group, buffer, sizeof buffer);
    if (n <= 0) break;
    const struct fanotify_event_metadata *event = (const void *)buffer;
    for (; FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n)) show_event(event);
  }
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (write(fd, text, strlen(text)) < 0) printf("write: %s\n", strerrorname_np(errno));
  close(fd);
}

static void get(const char *path) {
  char text[16];
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof text) < 0) printf("  %s: %s\n", path, strerrorname_np(errno));
  if (fd >= 0) close(fd);
}

#define FILE_EVENTS  (FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_CLOSE)
#define ENTRY_EVENTS (FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_DELETE_SELF | FAN_MOVE_SELF | FAN_ATTRIB)

static void descriptors(void) {
  put("file", "text");
  mkdir("dir", 0755);
  put("dir/inner", "inner");
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FILE_EVENTS, AT_FDCWD, "file"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FILE_EVENTS | FAN_EVENT_ON_CHILD | FAN_ONDIR, AT_FDCWD, "dir"));
  get("file");
  put("file", "more");
  drain(group, "a file");
  get("dir/inner");
  closedir(opendir("dir"));
  drain(group, "a directory and its child");
  if (fork() == 0) {
    get("file");
    _exit(0);
  }
  wait(NULL);
  drain(group, "by another process");
  unlink("file");
  drain(group, "after unlink");
  SHOW(fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "dir"));
  get("dir/inner");
  drain(group, "without FAN_OPEN");
  SHOW(fanotify_mark(group, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
  get("dir/inner");
  drain(group, "after a flush");
  close(group);
}

static void names(void) {
  mkdir("dir", 0755);
  put("kept", "text");
  know(".");
  know("dir");
  know("kept");
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME_TARGET, O_RDONLY);
  int plain = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_FID, O_RDONLY);
  int dirs = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DIR_FID, O_RDONLY);
  SHOW(fanotify_mark(group, FAN_MARK_ADD, ENTRY_EVENTS | FILE_EVENTS | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "."));
  SHOW(fanotify_mark(plain, FAN_MARK_ADD, ENTRY_EVENTS | FAN_ONDIR, AT_FDCWD, "."));
  SHOW(
      fanotify_mark(plain, FAN_MARK_ADD, FILE_EVENTS | FAN_ATTRIB | FAN_MOVE_SELF | FAN_DELETE_SELF, AT_FDCWD, "kept"));
  SHOW(fanotify_mark(dirs, FAN_MARK_ADD, FILE_EVENTS | FAN_CREATE | FAN_DELETE | FAN_EVENT_ON_CHILD, AT_FDCWD, "."));
  get("kept");
  chmod("kept", 0600);
  rename("kept", "dir/moved");
  rename("dir/moved", "back");
  mkdir("sub", 0755);
  rmdir("sub");
  link("back", "second");
  unlink("back");
  drain(group, "names and targets");
  drain(plain, "handles");
  drain(dirs, "directories");
  unlink("second");
  drain(group, "the last name");
  drain(plain, "the last name");
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_RENAME | FAN_ONDIR, AT_FDCWD, "dir"));
  put("dir/a", "a");
  know("dir/a");
  rename("dir/a", "dir/b");
  rename("dir/b", "c");
  drain(group, "renames");
  close(group);
  close(plain);
  close(dirs);
}

static void answer(int group, int allow) {
  struct fanotify_event_metadata event[2];
  ssize_t n = read(group, event, sizeof event);
  if (n < (ssize_t)sizeof event[0]) {
    printf("  no question: %s\n", strerrorname_np(errno));
    return;
  }
  printf("  asked %llx\n", (unsigned long long)event[0].mask);
  struct fanotify_response response = {event[0].fd, allow ? FAN_ALLOW : FAN_DENY};
  SHOW(write(group, &response, sizeof response));
  SHOW(write(group, &response, sizeof response));
  close(event[0].fd);
}

static void permission(void) {
  put("file", "text");
  SHOW(fanotify_mark(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "file"));
  int group = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ACCESS_PERM, AT_FDCWD, "file"));
  fflush(stdout);
  for (int round = 0; round < 3; round++) {
    pid_t child = fork();
    if (child == 0) {
      char text[8];
      close(group);
      int fd = open("file", round == 1 ? O_WRONLY | O_TRUNC : O_RDONLY);
      int code = fd < 0 ? errno : 0;
      if (round != 1 && fd >= 0 && read(fd, text, sizeof text) < 0) code = 100 + errno;
      _exit(code);
    }
    answer(group, round != 1);
    if (round != 1) answer(group, round == 0);
    int status;
    waitpid(child, &status, 0);
    printf("round %d: %d\n", round, WEXITSTATUS(status));
  }
  SHOW(fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN_PERM | FAN_ACCESS_PERM, AT_FDCWD, "file"));
  struct stat before;
  stat("file", &before);
  printf("still %ld bytes\n", (long)before.st_size);
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/proc/self/exe"));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "x", "nothing", NULL);
    _exit(errno);
  }
  answer(group, 0);
  int status;
  waitpid(child, &status, 0);
  printf("exec: %d\n", WEXITSTATUS(status));
  fflush(stdout);
  // Who asks no more lets everybody go on.
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "file"));
  fflush(stdout);
  child = fork();
  if (child == 0) {
    close(group);
    _exit(open("file", O_RDONLY) < 0 ? errno : 0);
  }
  usleep(50000);
  close(group);
  waitpid(child, &status, 0);
  printf("after close: %d\n", WEXITSTATUS(status));
}

static void ignoring(void) {
  only_mine = 1;
  put("file", "text");
  mkdir("dir", 0755);
  put("dir/inner", "inner");
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN | FAN_CLOSE_WRITE, AT_FDCWD, "."));
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN, AT_FDCWD, "file"));
  get("file");
  drain(group, "ignored");
  put("file", "more");
  get("file");
  drain(group, "until it was modified");
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "dir"));
  put("dir/inner", "more");
  get("dir/inner");
  drain(group, "ignored in a directory");
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_OPEN, AT_FDCWD, "dir"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN, AT_FDCWD, "dir"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_OPEN | FAN_ONDIR, AT_FDCWD, "file"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_OPEN, AT_FDCWD, "file"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "file"));
  close(group);
}

static void flags(void) {
  put("file", "text");
  for (unsigned bit = 1; bit && bit <= 0x2000; bit <<= 1) {
    if (bit == 0x40) continue; // audit
    int group = fanotify_init(bit, O_RDONLY);
    printf("init %x: %s\n", bit, group < 0 ? strerrorname_np(errno) : "ok");
    if (group >= 0) close(group);
  }
  SHOW(close(fanotify_init(FAN_REPORT_FID | FAN_CLASS_CONTENT, O_RDONLY)));
  SHOW(close(fanotify_init(0, 3)));
  SHOW(close(fanotify_init(0, O_CREAT)));
  int group = fanotify_init(FAN_NONBLOCK, O_RDONLY);
  for (unsigned bit = 1; bit; bit <<= 1) {
    int r = fanotify_mark(group, FAN_MARK_ADD, bit, AT_FDCWD, "file");
    printf("mask %x: %s\n", bit, r < 0 ? strerrorname_np(errno) : "ok");
  }
  for (unsigned bit = 1; bit <= 0x8000; bit <<= 1) {
    int r = fanotify_mark(group, bit | FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file");
    printf("flag %x: %s\n", bit, r < 0 ? strerrorname_np(errno) : "ok");
  }
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "none"));
  SHOW(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, -1, "file"));
  SHOW(fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "."));
  SHOW(fanotify_mark(-1, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file"));
  SHOW(fanotify_mark(0, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file"));
  if (setuid(1000) < 0) return;
  SHOW(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
  SHOW(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
  int mine = fanotify_init(FAN_REPORT_FID, O_RDONLY);
  SHOW(fanotify_mark(mine, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file"));
  SHOW(fanotify_mark(mine, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "file"));
}

static void handles(void) {
  put("file", "text");
  mkdir("dir", 0755);
  struct file_handle *file = handle_of("file");
  struct file_handle *dir = handle_of("dir");
  int root = open(".", O_RDONLY | O_DIRECTORY);
  struct file_handle *small = calloc(1, sizeof *small + MAX_HANDLE_SZ);
  int mount;
  SHOW(name_to_handle_at(AT_FDCWD, "file", small, &mount, 0));
  printf("asks for more: %d\n", small->handle_bytes > 0);
  SHOW(name_to_handle_at(AT_FDCWD, "file", small, &mount, 0x8000));
  SHOW(name_to_handle_at(AT_FDCWD, "none", small, &mount, 0));
  SHOW(name_to_handle_at(AT_FDCWD, "", small, &mount, 0));
  small->handle_bytes = 200;
  SHOW(name_to_handle_at(AT_FDCWD, "file", small, &mount, 0));
  rename("file", "dir/moved");
  char text[8] = "";
  int fd = open_by_handle_at(root, file, O_RDONLY);
  if (read(fd, text, 7) < 0) printf("read: %s\n", strerrorname_np(errno));
  printf("by handle: %s\n", text);
  close(fd);
  fd = open_by_handle_at(root, dir, O_RDONLY | O_DIRECTORY);
  SHOW(faccessat(fd, "moved", R_OK, 0));
  close(fd);
  SHOW(open_by_handle_at(root, file, O_RDONLY | O_DIRECTORY));
  SHOW(open_by_handle_at(-1, file, O_RDONLY));
  unlink("dir/moved");
  SHOW(open_by_handle_at(root, file, O_RDONLY));
  file->handle_bytes = 0;
  SHOW(open_by_handle_at(root, file, O_RDONLY));
  if (setuid(1000) < 0) return;
  SHOW(open_by_handle_at(root, dir, O_RDONLY));
}

int main(int argc, char **argv) {
  if (argc < 2 || !getcwd(here, sizeof here)) return 1;
  if (strcmp(argv[1], "descriptors") == 0) descriptors();
  if (strcmp(argv[1], "names") == 0) names();
  if (strcmp(argv[1], "permission") == 0) permission();
  if (strcmp(argv[1], "ignoring") == 0) ignoring();
  if (strcmp(argv[1], "flags") == 0) flags();
  if (strcmp(argv[1], "handles") == 0) handles();
  return 0;
}
