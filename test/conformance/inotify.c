// Watches files and directories (inotify(7)) while everything is done to them that has an event, and prints what was
// read. What it prints in a sandbox must be what it prints on the host. Works in the directory it is started in.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int in;

static void check(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
}

static const struct {
  uint32_t bit;
  const char *name;
} NAMES[] = {{IN_ACCESS, "ACCESS"},
             {IN_MODIFY, "MODIFY"},
             {IN_ATTRIB, "ATTRIB"},
             {IN_CLOSE_WRITE, "CLOSE_WRITE"},
             {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
             {IN_OPEN, "OPEN"},
             {IN_MOVED_FROM, "MOVED_FROM"},
             {IN_MOVED_TO, "MOVED_TO"},
             {IN_CREATE, "CREATE"},
             {IN_DELETE, "DELETE"},
             {IN_DELETE_SELF, "DELETE_SELF"},
             {IN_MOVE_SELF, "MOVE_SELF"},
             {IN_UNMOUNT, "UNMOUNT"},
             {IN_Q_OVERFLOW, "Q_OVERFLOW"},
             {IN_IGNORED, "IGNORED"},
             {IN_ISDIR, "ISDIR"}};

/** Prints all that is queued; cookies as whether they are the one before. */
static void events(const char *what) {
  static uint32_t first_cookie;
  char buffer[65536] __attribute__((aligned(8)));
  int pending = 0;
  ioctl(in, FIONREAD, &pending);
  printf("%s, %d bytes\n", what, pending);
  for (;;) {
    ssize_t n = read(in, buffer, sizeof buffer);
    if (n < 0) break;
    for (char *at = buffer; at < buffer + n;) {
      struct inotify_event *event = (struct inotify_event *)at;
      printf("  %d", event->wd);
      uint32_t rest = event->mask;
      for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (event->mask & NAMES[i].bit) {
          printf(" %s", NAMES[i].name);
          rest &= ~NAMES[i].bit;
        }
      if (rest) printf(" +%x", rest);
      if (event->cookie) printf(event->cookie == first_cookie ? " same cookie" : " new cookie");
      if (event->cookie) first_cookie = event->cookie;
      if (event->len) printf(" %s (%u)", event->name, event->len);
      printf("\n");
      at += sizeof *event + event->len;
    }
  }
  fflush(stdout);
}

static int watch(const char *path, uint32_t mask) {
  int wd = inotify_add_watch(in, path, mask);
  printf("watch %s: ", path);
  check("", wd);
  return wd;
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) perror(path);
  close(fd);
}

static void start(void) {
  if (in > 0) close(in);
  in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  mkdir("d", 0755);
}

static void files(void) {
  start();
  watch("d", IN_ALL_EVENTS);
  put("d/file", "hello");
  events("created and written");
  watch("d/file", IN_ALL_EVENTS);
  char buffer[10];
  int fd = open("d/file", O_RDWR);
  if (read(fd, buffer, 3) != 3 || read(fd, buffer, 10) != 2 || read(fd, buffer, 10) != 0) perror("read");
  events("read");
  if (write(fd, "x", 1) != 1 || write(fd, "y", 1) != 1 || pwrite(fd, "z", 1, 0) != 1) perror("write");
  events("written");
  check("ftruncate", ftruncate(fd, 2));
  events("truncated");
  check("fallocate", fallocate(fd, 0, 0, 100));
  events("allocated");
  check("fchmod", fchmod(fd, 0600));
  check("fchown", fchown(fd, 0, 0));
  events("mode and owner");
  check("fchown nothing", fchown(fd, -1, -1));
  events("no owner");
  struct timespec atime[2] = {{1, 0}, {0, UTIME_OMIT}}, mtime[2] = {{0, UTIME_OMIT}, {1, 0}};
  struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  check("atime", futimens(fd, atime));
  events("atime");
  check("mtime", utimensat(AT_FDCWD, "d/file", mtime, 0));
  events("mtime");
  check("both", futimens(fd, NULL));
  events("both times");
  check("none", futimens(fd, none));
  events("no time");
  close(fd);
  events("closed");
  check("truncate", truncate("d/file", 50));
  events("truncated by name");
  fd = open("d/file", O_RDONLY);
  close(fd);
  fd = open("d/file", O_PATH);
  close(fd);
  fd = dup(open("d/file", O_RDONLY));
  close(fd - 1);
  events("one still open");
  close(fd);
  events("opened for nothing");
  check("chmod", chmod("d/file", 0644));
  check("link", link("d/file", "d/link"));
  events("linked");
  check("unlink", unlink("d/link"));
  events("a name removed");
  fd = open("d/file", O_RDONLY);
  check("unlink", unlink("d/file"));
  events("removed while open");
  if (read(fd, buffer, 1) != 1) perror("read");
  events("read while removed");
  close(fd);
  events("gone");
}

static void directories(void) {
  start();
  watch("d", IN_ALL_EVENTS);
  check("mkdir", mkdir("d/sub", 0755));
  events("made");
  watch("d/sub", IN_ALL_EVENTS);
  DIR *dir = opendir("d/sub");
  while (readdir(dir)) continue;
  closedir(dir);
  events("listed");
  put("d/sub/f", "x");
  check("symlink", symlink("f", "d/sub/link"));
  check("mknod", mknod("d/sub/fifo", S_IFIFO | 0644, 0));
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {AF_UNIX, "d/sub/socket"};
  check("bind", bind(s, (struct sockaddr *)&address, sizeof address));
  close(s);
  events("all kinds");
  check("chmod", chmod("d/sub", 0700));
  events("mode");
  check("unlink", unlink("d/sub/f"));
  check("unlink", unlink("d/sub/link"));
  check("unlink", unlink("d/sub/fifo"));
  check("unlink", unlink("d/sub/socket"));
  check("unlink nothing", unlink("d/sub/nothing"));
  check("rmdir", rmdir("d/sub"));
  events("removed");
}

static void moves(void) {
  start();
  mkdir("e", 0755);
  put("d/a", "a");
  put("e/b", "b");
  watch("d", IN_ALL_EVENTS);
  watch("e", IN_ALL_EVENTS);
  watch("d/a", IN_ALL_EVENTS);
  watch("e/b", IN_ALL_EVENTS);
  check("rename", rename("d/a", "d/longer-than-sixteen-bytes"));
  events("within");
  check("rename", rename("d/longer-than-sixteen-bytes", "e/a"));
  events("across");
  check("rename", rename("e/a", "e/b"));
  events("over another");
  check("same", rename("e/b", "e/b"));
  events("onto itself");
  put("e/c", "c");
  events("third");
  check("exchange", renameat2(AT_FDCWD, "e/b", AT_FDCWD, "e/c", RENAME_EXCHANGE));
  events("exchanged");
  mkdir("d/dir", 0755);
  watch("d/dir", IN_ALL_EVENTS);
  check("rename", rename("d/dir", "e/dir"));
  events("directory");
  put("e/dir/inside", "x");
  events("still watched");
  unlink("e/dir/inside");
  rmdir("e/dir");
  unlink("e/b");
  unlink("e/c");
  events("removed");
  rmdir("e");
  events("and the directory");
}

static void masks(void) {
  start();
  put("d/f", "1");
  check("no mask", inotify_add_watch(in, "d", 0));
  check("unknown bit", inotify_add_watch(in, "d", 0x10000 | IN_OPEN));
  check("bad descriptor", inotify_add_watch(999, "d", IN_OPEN));
  check("not inotify", inotify_add_watch(1, "d", IN_OPEN));
  check("no file", inotify_add_watch(in, "d/none", IN_OPEN));
  check("bad path", inotify_add_watch(in, (char *)8, IN_OPEN));
  check("not a directory", inotify_add_watch(in, "d/f", IN_OPEN | IN_ONLYDIR));
  check("both", inotify_add_watch(in, "d/f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
  check("bad flags", inotify_init1(1));
  int wd = watch("d/f", IN_OPEN);
  check("again", inotify_add_watch(in, "d/f", IN_MODIFY | IN_MASK_ADD));
  put("d/f", "2");
  events("opened and modified");
  check("replaced", inotify_add_watch(in, "d/f", IN_CLOSE_WRITE));
  put("d/f", "3");
  events("closed");
  check("create", inotify_add_watch(in, "d/f", IN_OPEN | IN_MASK_CREATE));
  check("remove", inotify_rm_watch(in, wd));
  check("remove again", inotify_rm_watch(in, wd));
  check("remove, bad descriptor", inotify_rm_watch(999, wd));
  check("remove, not inotify", inotify_rm_watch(1, wd));
  put("d/f", "4");
  events("ignored");
  watch("d/f", IN_OPEN | IN_MODIFY | IN_ONESHOT);
  put("d/f", "5");
  put("d/f", "6");
  events("once");
  symlink("f", "d/link");
  watch("d/link", IN_ALL_EVENTS);
  wd = watch("d/link", IN_ALL_EVENTS | IN_DONT_FOLLOW);
  put("d/link", "7");
  events("through the link");
  unlink("d/link");
  events("the link itself");
  watch("d", IN_MODIFY | IN_EXCL_UNLINK);
  int fd = open("d/f", O_WRONLY);
  if (write(fd, "8", 1) != 1) perror("write");
  unlink("d/f");
  if (write(fd, "9", 1) != 1) perror("write");
  events("unlinked are excluded");
  close(fd);
  events("gone");
}

static void reading(void) {
  start();
  char buffer[64];
  check("empty", read(in, buffer, sizeof buffer));
  watch("d", IN_CREATE | IN_DELETE);
  mknod("d/f", S_IFREG | 0644, 0);
  check("small", read(in, buffer, 15));
  check("small", read(in, buffer, 31));
  struct pollfd poll_in = {in, POLLIN | POLLOUT, 0};
  check("poll", poll(&poll_in, 1, 0));
  check("events", poll_in.revents);
  check("fits", read(in, buffer, 32));
  check("poll", poll(&poll_in, 1, 0));
  unlink("d/f");
  mknod("d/g", S_IFREG | 0644, 0);
  check("one of two", read(in, buffer, 40));
  check("the other", read(in, buffer, 64));
  unlink("d/g");
  check("write", write(in, "x", 1));
  check("seek", lseek(in, 0, SEEK_SET));
  events("the rest");
  fflush(stdout);
  int blocking = inotify_init();
  inotify_add_watch(blocking, "d", IN_CREATE);
  if (!fork()) {
    usleep(50000);
    mknod("d/late", S_IFREG | 0644, 0);
    _exit(0);
  }
  check("blocks", read(blocking, buffer, sizeof buffer));
  wait(NULL);
  close(blocking);
  unlink("d/late");
  watch("d", IN_ATTRIB | IN_MASK_ADD);
  events("before the flood");
  for (int i = 0; i < 5; i++) chmod("d", 0755);
  events("merged");
  for (int i = 0; i < 20000; i++) {
    if (i % 2) unlink("d/x");
    else mknod("d/x", S_IFREG | 0644, 0);
  }
  static char many[20000 * 32];
  long total = 0, n;
  struct inotify_event last = {0};
  while ((n = read(in, many, sizeof many)) > 0) {
    total += n;
    memcpy(&last, many + n - 16, 16);
  }
  printf("%ld bytes, at the end %d %x %x %u\n", total, last.wd, last.mask, last.cookie, last.len);
  mknod("d/x", S_IFREG | 0644, 0);
  unlink("d/x");
  events("after the flood");
}

static void copies(void) {
  start();
  put("d/from", "0123456789");
  put("d/to", "");
  watch("d", IN_ACCESS | IN_MODIFY);
  int from = open("d/from", O_RDONLY), to = open("d/to", O_RDWR);
  check("sendfile", sendfile(to, from, NULL, 4));
  events("sendfile");
  loff_t zero = 0;
  check("copy", copy_file_range(from, &zero, to, NULL, 4, 0));
  events("copy_file_range");
  check("setxattr", syscall(SYS_fsetxattr, to, "user.x", "y", 1, 0) < 0 ? -1 : 0);
  watch("d", IN_ATTRIB | IN_MASK_ADD);
  syscall(SYS_fsetxattr, to, "user.x", "z", 1, 0);
  syscall(SYS_fremovexattr, to, "user.x");
  events("attributes");
  close(from);
  close(to);
  unlink("d/from");
  unlink("d/to");
}

static void unmounts(void) {
  start();
  check("mount", mount("none", "d", "tmpfs", 0, NULL));
  put("d/f", "1");
  watch("d", IN_ALL_EVENTS);
  watch("d/f", IN_OPEN);
  check("umount", umount("d"));
  events("unmounted");
}

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!strcmp(part, "files")) files();
  else if (!strcmp(part, "directories")) directories();
  else if (!strcmp(part, "moves")) moves();
  else if (!strcmp(part, "masks")) masks();
  else if (!strcmp(part, "reading")) reading();
  else if (!strcmp(part, "copies")) copies();
  else if (!strcmp(part, "unmounts")) unmounts();
  else return 2;
  return 0;
}
