// What keeps others from a file, printed so that two runs can be compared: leases, directory notification, and the
// flags that make a file immutable or append-only.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SHOW(call) show(#call, (errno = 0, (long)(call)))

static void show(const char *what, long result) {
  printf("%s = %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}

static volatile int signals, last_fd, last_code;

static void count(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  signals++;
  last_fd = info->si_fd;
  last_code = info->si_code;
}

static void expect(int signo) {
  struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
  sigaction(signo, &action, NULL);
}

static void put(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (write(fd, "text", 4) < 0) perror(path);
  close(fd);
}

static void pause_ms(int ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
  while (nanosleep(&left, &left) < 0 && errno == EINTR) continue;
}

static void leases(void) {
  expect(SIGIO);
  expect(SIGUSR1);
  put("file");
  int fd = open("file", O_RDONLY);
  SHOW(fcntl(fd, F_GETLEASE));
  SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
  SHOW(fcntl(fd, F_SETLEASE, 77));
  SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
  SHOW(fcntl(fd, F_GETLEASE));
  SHOW(open("file", O_RDONLY));
  printf("signals %d\n", signals);
  SHOW(open("file", O_WRONLY | O_NONBLOCK));
  printf("signals %d\n", signals);
  SHOW(fcntl(fd, F_GETLEASE));
  SHOW(open("file", O_RDWR | O_NONBLOCK));
  printf("signals %d\n", signals);
  SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
  SHOW(fcntl(fd, F_SETLEASE, F_WRLCK)); // the other reader is still there
  close(4);
  SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
  SHOW(fcntl(fd, F_SETSIG, SIGUSR1));
  fflush(stdout);
  for (int writes = 0; writes < 2; writes++) {
    signals = 0;
    SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      close(fd);
      _exit(open("file", writes ? O_WRONLY : O_RDONLY) < 0 ? errno : 0);
    }
    while (signals == 0) pause_ms(5);
    printf("signalled: fd %d, code %d, becomes %d\n", last_fd == fd, last_code, fcntl(fd, F_GETLEASE));
    pause_ms(30);
    printf("waits: %d\n", waitpid(child, NULL, WNOHANG) == 0);
    SHOW(fcntl(fd, F_SETLEASE, writes ? F_UNLCK : F_RDLCK));
    int status;
    waitpid(child, &status, 0);
    printf("opened: %d\n", WEXITSTATUS(status));
    SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
  }
  int writer = open("file", O_RDWR);
  SHOW(fcntl(writer, F_SETLEASE, F_RDLCK));
  SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
  close(writer);
  SHOW(fcntl(open(".", O_RDONLY), F_SETLEASE, F_RDLCK));
  SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
  SHOW(unlink("file")); // a name is not what the lease is on
  close(fd);
  if (setuid(1000) < 0) return;
  SHOW(fcntl(open("/bin/sh", O_RDONLY), F_SETLEASE, F_RDLCK));
}

static void told(const char *what) {
  pause_ms(5);
  printf("%s: %d\n", what, signals);
  signals = 0;
}

static void notices(void) {
  expect(SIGIO);
  expect(SIGRTMIN);
  put("file");
  mkdir("dir", 0755);
  int fd = open(".", O_RDONLY);
  SHOW(fcntl(fd, F_NOTIFY, DN_CREATE));
  put("one");
  put("two");
  told("once"); // and then no more
  SHOW(fcntl(fd, F_SETSIG, SIGRTMIN));
  SHOW(fcntl(fd, F_NOTIFY, DN_RENAME | DN_ATTRIB | DN_MULTISHOT));
  chmod("one", 0600);
  told("attributes");
  printf("fd %d, code %d\n", last_fd == fd, last_code);
  rename("one", "three");
  told("renamed");
  rename("three", "dir/three");
  told("moved away");
  chmod("dir", 0700);
  told("a directory");
  SHOW(fcntl(fd, F_NOTIFY, DN_DELETE | DN_MODIFY | DN_ACCESS | DN_MULTISHOT));
  unlink("two");
  told("removed");
  SHOW(fcntl(fd, F_NOTIFY, 0));
  chmod("file", 0600);
  told("ended");
  SHOW(fcntl(open("file", O_RDONLY), F_NOTIFY, DN_ATTRIB));
}

static void set(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  int now = -1;
  SHOW(ioctl(fd, FS_IOC_SETFLAGS, &flags));
  if (ioctl(fd, FS_IOC_GETFLAGS, &now) == 0) printf("flags of %s: %x\n", path, now & ~0x80000);
  struct fsxattr attributes = {0};
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) printf("xflags %x\n", attributes.fsx_xflags);
  struct statx status;
  statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &status);
  printf("attributes %llx\n", (unsigned long long)status.stx_attributes & 0x70);
  close(fd);
}

static void everything(const char *path) {
  struct timespec then[2] = {{1, 0}, {2, 0}};
  int fd;
  SHOW(fd = open(path, O_WRONLY));
  if (fd >= 0) close(fd);
  SHOW(fd = open(path, O_WRONLY | O_APPEND));
  if (fd >= 0) {
    SHOW(write(fd, "x", 1));
    SHOW(ftruncate(fd, 0));
    SHOW(fcntl(fd, F_SETFL, 0));
    SHOW(fallocate(fd, 0, 0, 10));
    close(fd);
  }
  SHOW(open(path, O_RDONLY | O_TRUNC));
  SHOW(truncate(path, 1));
  SHOW(chmod(path, 0600));
  SHOW(chown(path, 5, 5));
  SHOW(utimensat(AT_FDCWD, path, NULL, 0));
  SHOW(utimensat(AT_FDCWD, path, then, 0));
  SHOW(link(path, "other"));
  SHOW(rename(path, "other"));
  SHOW(setxattr(path, "user.a", "b", 1, 0));
  SHOW(access(path, W_OK));
  SHOW(unlink(path));
}

static void flags(void) {
  put("file");
  mkdir("dir", 0755);
  put("dir/inner");
  set("file", FS_IMMUTABLE_FL);
  everything("file");
  set("file", FS_APPEND_FL | FS_NODUMP_FL);
  everything("file");
  set("file", FS_COMPR_FL);
  set("file", 0);
  set("dir", FS_APPEND_FL);
  SHOW(unlink("dir/inner"));
  SHOW(rename("dir/inner", "dir/moved"));
  SHOW(mkdir("dir/made", 0755));
  set("dir", FS_IMMUTABLE_FL);
  SHOW(mkdir("dir/another", 0755));
  SHOW(rmdir("dir"));
  set("dir", FS_NODUMP_FL);
  mkdir("dir/heir", 0755);
  set("dir/heir", FS_NODUMP_FL);
  int size;
  SHOW(ioctl(open("file", O_RDONLY), FIGETBSZ, &size));
  SHOW(ioctl(open("copy", O_RDWR | O_CREAT, 0600), FICLONE, open("file", O_RDONLY)));
  SHOW(chown("file", 1000, 1000));
  if (setuid(1000) < 0) return;
  set("file", FS_IMMUTABLE_FL);
  set("file", FS_NODUMP_FL);
  set("dir", 0);
}

struct xattr_arguments {
  unsigned long value;
  unsigned size, flags;
};

enum { SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };

static void newer(void) {
  char text[64] = "value";
  struct xattr_arguments args = {(unsigned long)text, 5, 0};
  put("file");
  SHOW(symlink("file", "link"));
  SHOW(syscall(SETXATTRAT, AT_FDCWD, "file", 0, "user.x", &args, 16));
  SHOW(syscall(SETXATTRAT, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, "user.x", &args, 16));
  SHOW(syscall(SETXATTRAT, AT_FDCWD, "file", 0, "user.x", &args, 8));
  SHOW(syscall(SETXATTRAT, AT_FDCWD, "file", 77, "user.x", &args, 16));
  args.flags = XATTR_CREATE;
  SHOW(syscall(SETXATTRAT, AT_FDCWD, "file", 0, "user.x", &args, 16));
  args = (struct xattr_arguments){(unsigned long)text, sizeof text, 0};
  SHOW(syscall(GETXATTRAT, AT_FDCWD, "link", 0, "user.x", &args, 16));
  SHOW(syscall(GETXATTRAT, open("file", O_RDONLY), "", AT_EMPTY_PATH, "user.x", &args, 16));
  SHOW(syscall(LISTXATTRAT, AT_FDCWD, "file", 0, text, sizeof text));
  SHOW(syscall(REMOVEXATTRAT, AT_FDCWD, "file", 0, "user.x"));
  SHOW(syscall(REMOVEXATTRAT, AT_FDCWD, "file", 0, "user.x"));
  struct stat status;
  SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "moved", RENAME_WHITEOUT));
  SHOW(stat("file", &status));
  printf("%o %lx\n", status.st_mode, (long)status.st_rdev);
  SHOW(renameat2(AT_FDCWD, "moved", AT_FDCWD, "file", RENAME_WHITEOUT | RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "moved", AT_FDCWD, "file", RENAME_WHITEOUT | RENAME_EXCHANGE));
  struct statx born;
  SHOW(statx(AT_FDCWD, "moved", 0, STATX_BTIME, &born));
  printf("born %d\n", (born.stx_mask & STATX_BTIME) && born.stx_btime.tv_sec > 1700000000);
}

int main(int argc, char **argv) {
  if (argc < 2) return 1;
  if (strcmp(argv[1], "leases") == 0) leases();
  if (strcmp(argv[1], "notices") == 0) notices();
  if (strcmp(argv[1], "flags") == 0) flags();
  if (strcmp(argv[1], "newer") == 0) newer();
  return 0;
}
