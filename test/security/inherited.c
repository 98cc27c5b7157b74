// Tries to make more of descriptors that it was given than what they were given for: inherited FD... Changes of the
// files' attributes and of those that are open for reading only are never granted; whoever started it looks at the
// files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#define TEXT         "changed by a guest"
#define NR_FCHMODAT2 452 // younger than the headers of the oldest supported distribution

static int report = -1;

/** What succeeded although it must not: everything that is handed to this function is forbidden. */
static void never(long result, int fd, const char *what) {
  if (result >= 0) dprintf(report, "GRANTED: %s of descriptor %d\n", what, fd);
}

static void attributes(int fd) {
  char name[64];
  struct timespec times[2] = {{0, 0}, {0, 0}};
  struct timeval old_times[2] = {{0, 0}, {0, 0}};
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  never(fchmod(fd, 0), fd, "fchmod");
  never(fchown(fd, 65534, 65534), fd, "fchown");
  never(fchownat(fd, "", 65534, 65534, AT_EMPTY_PATH), fd, "fchownat");
  never(syscall(NR_FCHMODAT2, fd, "", 0, AT_EMPTY_PATH), fd, "fchmodat2");
  never(chmod(name, 0), fd, "chmod");
  never(chown(name, 65534, 65534), fd, "chown");
  never(futimens(fd, times), fd, "futimens");
  never(utimensat(fd, "", times, AT_EMPTY_PATH), fd, "utimensat");
  never(utimensat(AT_FDCWD, name, times, 0), fd, "utimensat by name");
  never(futimesat(AT_FDCWD, name, old_times), fd, "futimesat");
  never(fsetxattr(fd, "user.guest", "x", 1, 0), fd, "fsetxattr");
  never(setxattr(name, "user.guest", "x", 1, 0), fd, "setxattr");
  never(fsetxattr(fd, "security.capability", "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0), fd, "a capability");
  never(fremovexattr(fd, "user.host"), fd, "fremovexattr");
  unsigned flags = FS_IMMUTABLE_FL;
  never(ioctl(fd, FS_IOC_SETFLAGS, &flags), fd, "FS_IOC_SETFLAGS");
  struct fsxattr extended = {.fsx_xflags = FS_XFLAG_IMMUTABLE};
  never(ioctl(fd, FS_IOC_FSSETXATTR, &extended), fd, "FS_IOC_FSSETXATTR");
  never(linkat(fd, "", AT_FDCWD, "/tmp/linked", AT_EMPTY_PATH), fd, "linkat");
  never(linkat(AT_FDCWD, name, AT_FDCWD, "/tmp/linked", AT_SYMLINK_FOLLOW), fd, "linkat by name");
  never(rename(name, "/tmp/renamed"), fd, "rename");
  never(unlink(name), fd, "unlink");
  never(truncate("/proc/self/fd", 0), fd, "truncate of the directory");
}

/** Attempts to change the data of what is open for reading only. */
static void data(int fd) {
  char name[64];
  struct stat status;
  int regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  never(write(fd, TEXT, sizeof TEXT), fd, "write");
  never(pwrite(fd, TEXT, sizeof TEXT, 0), fd, "pwrite");
  never(ftruncate(fd, 0), fd, "ftruncate");
  never(truncate(name, 0), fd, "truncate");
  never(fallocate(fd, 0, 0, 1 << 20), fd, "fallocate");
  never(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), fd, "a hole");
  static const int modes[] = {
      O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND, O_RDWR | O_CREAT | O_TRUNC};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (!regular && modes[i] == (O_RDONLY | O_TRUNC)) continue; // a device has nothing to cut off
    int again = open(name, modes[i], 0600);
    never(again, fd, "open for writing");
    if (again >= 0 && write(again, TEXT, sizeof TEXT) > 0) close(again);
    int path = open(name, O_PATH);
    char through[64];
    snprintf(through, sizeof through, "/proc/self/fd/%d", path);
    if (path >= 0) never(open(through, modes[i]), fd, "open for writing through O_PATH");
    close(path);
  }
  if (regular) {
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    never(shared == MAP_FAILED ? -1 : 0, fd, "a shared writable mapping");
    shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    never(shared == MAP_FAILED ? -1 : mprotect(shared, 4096, PROT_READ | PROT_WRITE), fd, "mprotect of a mapping");
    int mem = open("/proc/self/mem", O_RDWR);
    if (shared != MAP_FAILED) never(pwrite(mem, TEXT, sizeof TEXT, (off_t)(long)shared), fd, "/proc/self/mem");
    close(mem);
  }
  int source = open("/etc/passwd", O_RDONLY);
  never(copy_file_range(source, NULL, fd, NULL, 10, 0), fd, "copy_file_range");
  never(ioctl(fd, FICLONE, source), fd, "FICLONE");
  close(source);
}

/** A descriptor that was open for writing only tells nothing. */
static void unreadable(int fd) {
  char name[64], byte;
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  never(read(fd, &byte, 1), fd, "read");
  never(open(name, O_RDONLY), fd, "open for reading");
  never(open(name, O_RDWR), fd, "open for reading and writing");
  void *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  never(mapped == MAP_FAILED ? -1 : 0, fd, "mmap");
}

/** A directory leads nowhere. */
static void directory(int fd) {
  char name[64], through[80];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  snprintf(through, sizeof through, "%s/secret", name);
  never(openat(fd, "secret", O_RDONLY), fd, "openat");
  never(openat(fd, "..", O_RDONLY), fd, "openat of ..");
  never(openat(fd, "made", O_WRONLY | O_CREAT, 0600), fd, "openat to create");
  never(mkdirat(fd, "made", 0700), fd, "mkdirat");
  never(unlinkat(fd, "secret", 0), fd, "unlinkat");
  never(symlinkat("x", fd, "made"), fd, "symlinkat");
  never(renameat(fd, "secret", fd, "made"), fd, "renameat");
  never(open(through, O_RDONLY), fd, "open below");
  never(mount(name, "/tmp", NULL, MS_BIND, NULL), fd, "a bind mount");
  never(syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | 1), fd, "open_tree");
  char entries[4096];
  never(syscall(SYS_getdents64, fd, entries, sizeof entries), fd, "getdents64");
  char handle[200] = {120};
  int mount_id;
  never(syscall(SYS_name_to_handle_at, fd, "secret", handle, &mount_id, 0), fd, "name_to_handle_at");
  pid_t pid = fork();
  if (!pid) {
    static const char *const names[] = {"secret", "./secret", "../../etc/passwd", "/etc/passwd"};
    for (int i = 0; i < 2; i++) {
      if (i == 0 ? fchdir(fd) : chroot(name)) continue;
      for (size_t k = 0; k < sizeof names / sizeof *names - (i == 0); k++)
        never(open(names[k], O_RDONLY), fd, i ? "open in a new root" : "open in the working directory");
      never(mkdir("made", 0700), fd, "mkdir");
    }
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static void attack(int fd) {
  struct stat status;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fstat(fd, &status)) {
    dprintf(report, "descriptor %d is not there\n", fd);
    return;
  }
  attributes(fd);
  if (S_ISDIR(status.st_mode)) directory(fd);
  else if ((flags & O_ACCMODE) == O_RDONLY) data(fd);
  else if ((flags & O_ACCMODE) == O_WRONLY && S_ISREG(status.st_mode)) unreadable(fd);
}

int main(int argc, char **argv) {
  report = atoi(argv[1]);
  int user = atoi(argv[2]);
  if (user && (setgid(user) || setuid(user))) return 3;
  for (int i = 3; i < argc; i++) attack(atoi(argv[i]));
  dprintf(report, "done\n");
  return 0;
}
