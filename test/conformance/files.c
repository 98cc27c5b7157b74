// Files, mappings, mounts and what goes with them, each call with what it answered. Printed is nothing that depends on
// the machine or the moment. Works in a directory of its own.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif

#define CALL(...) show(#__VA_ARGS__, errno_of((long)(__VA_ARGS__)))
static long errno_of(long r) { return r == -1 ? -errno : r; }
static void show(const char *what, long result) {
  printf("%s = %ld\n", what, result);
  fflush(stdout);
}

static void *const BAD = (void *)8;

/** mmap(2) as a number: 0 or -errno. */
static long map(size_t length, int protection, int flags, int fd, void **at) {
  void *p = mmap(NULL, length, protection, flags, fd, 0);
  if (at) *at = p;
  return p == MAP_FAILED ? -errno : 0;
}

static void mappings(void) {
  int both = open("file", O_RDWR | O_CREAT, 0644), reader = open("file", O_RDONLY), path = open("file", O_PATH);
  if (write(both, "hello", 5) != 5) abort();
  char *p, text[6] = "";
  show("shared, read-only", map(4096, PROT_READ, MAP_SHARED, reader, (void **)&p));
  CALL(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  show("shared, writable", map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, NULL));
  show("private, writable", map(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, (void **)&p));
  p[0] = 'x';
  show("made writable later", map(4096, PROT_READ, MAP_SHARED, both, (void **)&p));
  CALL(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  p[0] = 'J';
  CALL(pread(reader, text, 5, 0));
  show(text, 0);
  show("O_PATH", map(4096, PROT_READ, MAP_SHARED, path, NULL));
  show("bad descriptor, no length", map(0, PROT_READ, MAP_SHARED, 99, NULL));
  int zero = open("/dev/zero", O_RDONLY);
  show("/dev/zero", map(4096, PROT_READ, MAP_SHARED, zero, (void **)&p));
  CALL(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
  CALL(ftruncate(sealed, 4096));
  CALL(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
  show("sealed", map(4096, PROT_READ, MAP_SHARED, sealed, (void **)&p));
  CALL(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  CALL(fallocate(sealed, 0, 0, 8192));
  CALL(fallocate(sealed, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", sealed);
  int again = open(name, O_RDONLY);
  CALL(fcntl(again, F_GET_SEALS));
}

static void moving(void) {
  int in = open("in", O_RDWR | O_CREAT, 0644), out = open("out", O_RDWR | O_CREAT, 0644), pipes[2], small[2];
  off_t *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CALL(sendfile(out, in, readonly, 1));
  if (pipe(pipes) || pipe(small)) abort();
  fcntl(pipes[1], F_SETPIPE_SZ, 65536);
  static char buffer[131072] __attribute__((aligned(4096)));
  struct iovec all = {buffer, sizeof buffer};
  CALL(vmsplice(pipes[1], &all, 1, 0));
  CALL(vmsplice(pipes[1], &all, 1, SPLICE_F_NONBLOCK));
  int epoll = epoll_create1(0), event = eventfd(0, 0), directory = open(".", O_RDONLY);
  CALL(splice(pipes[0], NULL, epoll, NULL, 1, 0));
  CALL(splice(small[0], NULL, event, NULL, 1, 0));
  CALL(splice(event, NULL, small[1], NULL, 1, 0));
  CALL(splice(directory, NULL, small[1], NULL, 1, 0));
  CALL(splice(pipes[0], NULL, out, NULL, 10, 0));
  CALL(pread(small[1], buffer, 1, 0));
  CALL(pwrite(small[0], buffer, 1, 0));
  CALL(pwritev2(small[0], &all, 1, 0, 0));
  CALL(fallocate(out, FALLOC_FL_KEEP_SIZE, LLONG_MAX - 1023, 1024));
  off_t end = LLONG_MAX;
  CALL(copy_file_range(directory, NULL, out, NULL, 1, 0));
  CALL(copy_file_range(in, NULL, directory, NULL, 1, 0));
  CALL(copy_file_range(small[0], NULL, out, NULL, 1, 0));
  CALL(copy_file_range(open("in", O_WRONLY), NULL, out, NULL, 1, 0));
  CALL(copy_file_range(in, NULL, out, &end, 100000, 0));
  int fresh = open("fresh", O_RDWR | O_CREAT, 0644);
  CALL(fcntl(fresh, 1028 /* F_CREATED_QUERY */));
  fresh = open("fresh", O_RDWR | O_CREAT, 0644);
  CALL(fcntl(fresh, 1028));
}

static void nodes(void) {
  struct stat s;
  umask(0);
  CALL(mknod("node", S_IFBLK | 0777, makedev(12, 34)));
  CALL(stat("node", &s));
  show("its number", s.st_rdev == makedev(12, 34));
  CALL(open("node", O_RDONLY));
  CALL(mkdir("group", 0777));
  CALL(chown("group", 0, 4242));
  CALL(chmod("group", 02777));
  if (fork() == 0) {
    if (setgid(1000) || setuid(1000)) abort();
    umask(0);
    close(creat("group/a", 02777));
    umask(S_IXGRP);
    close(creat("group/b", 02777));
    CALL(mknod("group/c", S_IFREG | 02777, 0));
    CALL(mknod("group/d", S_IFCHR | 0777, makedev(1, 3)));
    _exit(0);
  }
  wait(NULL);
  CALL(stat("group/a", &s));
  show("mode", s.st_mode);
  CALL(stat("group/b", &s));
  show("mode", s.st_mode);
  CALL(stat("group/c", &s));
  show("mode", s.st_mode);
}

static long times(const char *file) {
  struct stat a, b;
  char c;
  int fd = open(file, O_RDWR | O_CREAT, 0644), quiet = open(file, O_RDONLY | O_NOATIME);
  if (write(fd, "12345678", 8) != 8 || stat(file, &a)) return -1;
  usleep(20000);
  long result = read(quiet, &c, 1) == 1 && !stat(file, &b) && memcmp(&a.st_atim, &b.st_atim, sizeof a.st_atim);
  for (int i = 0; i < 2; i++) {
    stat(file, &a);
    usleep(20000);
    if (pread(fd, &c, 1, 0) != 1 || stat(file, &b)) return -1;
    result = 2 * result + !!memcmp(&a.st_atim, &b.st_atim, sizeof a.st_atim);
  }
  return result;
}

static void mounts(void) {
  struct stat s;
  struct statfs f;
  mkdir("a", 0755), mkdir("b", 0755), mkdir("c", 0755);
  CALL(mount("none", "a", "nonsense", 0, NULL));
  CALL(mount("none", "a", NULL, 0, NULL));
  CALL(mount("none", "missing", "tmpfs", 0, NULL));
  CALL(mount("none", BAD, "tmpfs", 0, NULL));
  CALL(mount("none", "a", "tmpfs", 0, "size=bogus"));
  CALL(mount("none", "a", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m,mode=700"));
  CALL(stat("a", &s));
  show("mode", s.st_mode);
  CALL(statfs("a", &f));
  show("blocks", f.f_blocks);
  show("flags", f.f_flags & (ST_NOSUID | ST_NOEXEC | ST_RDONLY));
  int fd = open("a/file", O_RDWR | O_CREAT, 0644);
  CALL(umount2("a", 0));
  CALL(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
  close(fd);
  CALL(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
  CALL(open("a/other", O_RDWR | O_CREAT, 0644));
  CALL(mount(NULL, "a", NULL, MS_REMOUNT, "size=2m"));
  CALL(mount("a", "b", NULL, MS_BIND, NULL));
  CALL(access("b/file", F_OK));
  CALL(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  CALL(unlink("b/file"));
  CALL(mount("b", "c", NULL, MS_MOVE, NULL));
  CALL(access("b/file", F_OK));
  CALL(access("c/file", F_OK));
  CALL(rmdir("c"));
  CALL(rename("a/file", "c/new"));
  CALL(umount2("c", MNT_EXPIRE | MNT_DETACH));
  CALL(umount2("c", MNT_EXPIRE));
  CALL(umount2("c", MNT_EXPIRE));
  CALL(umount2("c", 0));
  CALL(umount2("a/file", 0));
  CALL(umount2("a", 0x100));
  CALL(chdir("a"));
  CALL(umount2("../a", 0));
  CALL(umount2("../a", MNT_DETACH));
  CALL(access("file", F_OK));
  CALL(chdir(".."));
  CALL(access("a/file", F_OK));
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", open("/proc/self/exe", O_PATH | O_NOFOLLOW));
  CALL(close(creat("plain", 0644)));
  show("on a link of a process", errno_of(mount("plain", link, NULL, MS_BIND, NULL)));
  CALL(mount("none", "a", "tmpfs", 0, NULL));
  show("relatime", times("a/t"));
  CALL(mount(NULL, "a", NULL, MS_REMOUNT | MS_STRICTATIME, NULL));
  show("strictatime", times("a/u"));
  CALL(mount(NULL, "a", NULL, MS_REMOUNT | MS_NOATIME, NULL));
  show("noatime", times("a/v"));
  CALL(umount2("a", 0));
  if (fork() == 0) {
    if (setuid(1000)) abort();
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    CALL(umount2("a", 0));
    CALL(unshare(CLONE_NEWNS));
    _exit(0);
  }
  wait(NULL);
}

/** How many mounts there are whose place contains a text. */
static int count(const char *text) {
  char line[4096];
  int n = 0;
  FILE *f = fopen("/proc/self/mountinfo", "r");
  while (fgets(line, sizeof line, f)) n += strstr(line, text) != NULL;
  fclose(f);
  return n;
}

/** A tree bound into itself: what is copied is what was there before. */
static void recursion(void) {
  mkdir("tree", 0755);
  CALL(mount("none", "tree", "tmpfs", 0, NULL));
  CALL(mkdir("tree/x", 0755));
  for (int i = 0; i < 4; i++) {
    CALL(mount("tree", "tree/x", NULL, MS_BIND | MS_REC, NULL));
    show("mounts", count("/tree"));
  }
  CALL(umount2("tree", 0));
  CALL(umount2("tree", MNT_DETACH));
  show("mounts", count("/tree"));
}

static void namespaces(void) {
  mkdir("a", 0755), mkdir("b", 0755);
  CALL(unshare(-1));
  CALL(unshare(CLONE_THREAD));
  CALL(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  int before = open("/proc/self/ns/mnt", O_RDONLY);
  pid_t child = fork();
  if (child == 0) {
    CALL(unshare(CLONE_NEWNS));
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    CALL(close(creat("a/inside", 0644)));
    CALL(mkdir("a/old", 0755));
    CALL(mkdir("a/dir", 0755));
    CALL(syscall(SYS_pivot_root, "b", "b"));
    CALL(syscall(SYS_pivot_root, "a", "b"));
    CALL(syscall(SYS_pivot_root, "a", "a/old"));
    CALL(access("/inside", F_OK));
    CALL(access("/old/etc", F_OK));
    CALL(umount2("/old", MNT_DETACH));
    CALL(access("/old/etc", F_OK));
    CALL(setns(before, CLONE_NEWPID));
    CALL(setns(99, 0));
    CALL(setns(before, CLONE_NEWNS));
    CALL(access("/inside", F_OK));
    CALL(access("/etc", F_OK));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CALL(access("a/inside", F_OK));
  CALL(setns(open("a", O_RDONLY), 0));
}

static void new_mounts(void) {
  struct stat s;
  struct statfs f;
  struct {
    uint64_t set, clear, propagation, userns;
  } attr = {1, 0, 0, 0};
  mkdir("a", 0755), mkdir("b", 0755);
  CALL(syscall(SYS_fsopen, "nonsense", 0));
  CALL(syscall(SYS_fsopen, "tmpfs", 4));
  int context = syscall(SYS_fsopen, "tmpfs", 1);
  CALL(syscall(SYS_fsconfig, context, 0, "nonsense", NULL, 0));
  CALL(syscall(SYS_fsconfig, context, 1, "size", "bogus", 0));
  CALL(syscall(SYS_fsconfig, context, 1, "size", "1m", 0));
  CALL(syscall(SYS_fsconfig, context, 1, "mode", "700", 0));
  CALL(syscall(SYS_fsconfig, context, 1, "source", "here", 0));
  CALL(syscall(SYS_fsconfig, context, 9, NULL, NULL, 0));
  CALL(syscall(SYS_fsmount, context, 0, 0));
  CALL(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
  CALL(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
  CALL(syscall(SYS_fsmount, context, 0, 0x40));
  int mount = syscall(SYS_fsmount, context, 1, 8);
  CALL(close(openat(mount, "file", O_CREAT | O_RDWR, 0644)) >= 0);
  CALL(syscall(SYS_move_mount, mount, "", AT_FDCWD, "a", 0));
  CALL(syscall(SYS_move_mount, mount, "", AT_FDCWD, "missing", 4));
  CALL(syscall(SYS_move_mount, mount, "", AT_FDCWD, "a", 4));
  CALL(stat("a", &s));
  show("mode", s.st_mode);
  CALL(statfs("a", &f));
  show("flags", f.f_flags & (ST_NOSUID | ST_NOEXEC | ST_RDONLY));
  CALL(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, &attr, sizeof attr));
  CALL(unlink("a/file"));
  CALL(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, &attr, 8));
  attr.clear = 1, attr.set = 0;
  CALL(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, &attr, sizeof attr));
  int tree = syscall(SYS_open_tree, AT_FDCWD, "a", 1);
  CALL(syscall(SYS_move_mount, tree, "", AT_FDCWD, "b", 4));
  CALL(access("b/file", F_OK));
  CALL(syscall(SYS_move_mount, AT_FDCWD, "b", AT_FDCWD, "a", 0));
  CALL(access("b/file", F_OK));
  CALL(umount2("a", 0));
  CALL(close(tree));
  CALL(umount2("a", 0));
  CALL(close(mount));
  CALL(umount2("a", 0));
  CALL(access("a/file", F_OK));
}

static void numbers(void) {
  struct {
    uint32_t size, spare;
    uint64_t id, parameter;
  } request = {24, 0, 0, 0};
  struct {
    uint32_t size, options;
    uint64_t mask;
    uint32_t major, minor;
    uint64_t magic;
    uint32_t flags, type;
    uint64_t numbers[8];
    uint32_t root, point;
    uint64_t rest[50];
    char strings[512];
  } answer;
  struct statx s;
  uint64_t ids[8];
  mkdir("a", 0755);
  mount("source", "a", "tmpfs", MS_RDONLY | MS_NOSUID, NULL);
  mkdir("b", 0755);
  CALL(syscall(SYS_statx, AT_FDCWD, "a", 0, 0x4000 /* STATX_MNT_ID_UNIQUE */, &s));
  show("unique", (s.stx_mask & 0x5000) == 0x4000);
  request.id = ((uint64_t *)&s)[18];
  request.parameter = 0x39;
  CALL(syscall(SYS_statmount, &request, &answer, sizeof answer, 0));
  show("mask", answer.mask);
  show("flags", answer.flags);
  show("magic", answer.magic);
  show(answer.strings + answer.type, 0);
  show(answer.strings + answer.root, 0);
  show(strrchr(answer.strings + answer.point, '/'), 0);
  CALL(syscall(SYS_statmount, &request, &answer, 512, 0));
  CALL(syscall(SYS_statmount, &request, &answer, 512, 1));
  request.parameter = 0;
  CALL(syscall(SYS_statmount, &request, &answer, 100, 0));
  CALL(syscall(SYS_listmount, &request, ids, 8, 0));
  mount("none", "a", "tmpfs", 0, NULL);
  CALL(syscall(SYS_listmount, &request, ids, 8, 0));
  CALL(syscall(SYS_listmount, &request, BAD, 8, 0));
  CALL(syscall(SYS_listmount, &request, ids, 8, 4));
  request.id = -1;
  CALL(syscall(SYS_listmount, &request, ids, 8, 0) > 1);
  CALL(syscall(SYS_statmount, &request, &answer, 512, 0));
  request.size = 8;
  CALL(syscall(SYS_listmount, &request, ids, 8, 0));
  umount("a"), umount("a");
}

/** Reads what an inotify instance has, one line an event; cookies are told apart only as equal or not. */
static void events(const char *what, int fd) {
  char buffer[4096] __attribute__((aligned(8)));
  long n = read(fd, buffer, sizeof buffer);
  printf("%s: %s\n", what, n < 0 ? strerror(errno) : "");
  uint32_t cookie = 0;
  for (char *p = buffer; p < buffer + n;) {
    struct inotify_event *e = (void *)p;
    printf("  %d %x %s %s\n", e->wd, e->mask,
           !e->cookie            ? ""
           : e->cookie == cookie ? "same"
                                 : "fresh",
           e->len ? e->name : "-");
    cookie = e->cookie;
    p += sizeof *e + e->len;
  }
  fflush(stdout);
}

static void watching(void) {
  struct stat s;
  mkdir("d", 0755), mkdir("e", 0755);
  int fd = inotify_init1(IN_NONBLOCK), other = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "missing", IN_ALL_EVENTS));
  CALL(inotify_add_watch(fd, "d", 0));
  CALL(inotify_add_watch(0, "d", IN_OPEN));
  CALL(inotify_add_watch(99, "d", IN_OPEN));
  CALL(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
  CALL(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
  CALL(inotify_add_watch(fd, "d", IN_OPEN | IN_MASK_CREATE));
  CALL(inotify_add_watch(fd, "e", IN_MOVED_TO | IN_MOVED_FROM));
  int file = open("d/f", O_RDWR | O_CREAT, 0644);
  events("created", fd);
  CALL(inotify_add_watch(fd, "d/f", IN_ALL_EVENTS));
  CALL(inotify_add_watch(fd, "d/f", IN_ALL_EVENTS | IN_ONLYDIR));
  if (write(file, "abc", 3) != 3 || write(file, "abc", 3) != 3 || pread(file, &s, 1, 0) != 1) abort();
  ftruncate(file, 1), fchmod(file, 0600), futimens(file, NULL);
  events("used", fd);
  rename("d/f", "e/g"), link("e/g", "d/h"), symlink("x", "d/s"), mkdir("d/dir", 0755), rmdir("d/dir");
  events("renamed", fd);
  close(file);
  unlink("e/g"), unlink("d/h");
  events("gone", fd);
  close(creat("d/a", 0644)), close(creat("d/b", 0644)), rename("d/a", "d/b");
  events("replaced", fd);
  CALL(inotify_add_watch(other, "d/b", IN_DELETE_SELF | IN_ONESHOT));
  CALL(inotify_add_watch(other, "d", IN_EXCL_UNLINK | IN_CLOSE));
  file = open("d/b", O_RDONLY);
  unlink("d/b");
  close(file);
  events("unlinked while open", other);
  int small = read(fd, &s, 10);
  show("small", small == -1 ? -errno : small);
  int bytes;
  CALL(ioctl(other, FIONREAD, &bytes));
  CALL(inotify_rm_watch(fd, 77));
  CALL(inotify_rm_watch(fd, 1));
  DIR *dir = opendir("d");
  while (readdir(dir)) continue;
  closedir(dir);
  events("listed", other);
  rmdir("d");
  unlink("d/s"), rmdir("d");
  events("removed", other);
}

/** Mounts one on another, and a tmpfs that is too small. */
static void bounds(void) {
  struct stat s, later;
  static char buffer[16384];
  mkdir("a", 0755), mkdir("b", 0755);
  CALL(chdir("a"));
  for (int i = 0; i < 2; i++) CALL(mount("none", "../a", "tmpfs", 0, NULL));
  for (int i = 0; i < 3; i++) CALL(umount2(".", MNT_DETACH));
  CALL(chdir(".."));
  CALL(mount("none", "a", "tmpfs", MS_NOATIME | MS_STRICTATIME, "size=2k,mode=755"));
  int fd = open("a/file", O_RDWR | O_CREAT, 0644);
  CALL(pwrite(fd, "abcd", 4, 4094));
  CALL(pwrite(fd, "abcd", 4, 4096));
  CALL(pwrite(fd, "abcd", 4, 2));
  CALL(stat("a/file", &s));
  usleep(20000);
  CALL(pread(fd, buffer, 4, 0));
  CALL(stat("a/file", &later));
  show("read", memcmp(&s.st_atim, &later.st_atim, sizeof s.st_atim) != 0);
  close(fd);
  CALL(mount("none", "b", "tmpfs", 0, "size=3q"));
  CALL(mount("none", "b", "tmpfs", 0, "size=3p"));
  CALL(umount2("b", 0));
  CALL(mount("none", "b", "tmpfs", MS_NODEV | MS_NOEXEC, "nr_blocks=3"));
  fd = open("b/file", O_RDWR | O_CREAT, 0644);
  CALL(pwrite(fd, buffer, 4, 4096));
  CALL(pwrite(fd, buffer, 16384, 4100));
  CALL(pwrite(fd, buffer, 8192, 100));
  CALL(pwrite(fd, buffer, 1, 12288));
  close(fd);
  int context = syscall(SYS_fsopen, "tmpfs", 0);
  CALL(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
  CALL(close(syscall(SYS_fsmount, context, 0, 0)));
  CALL(syscall(SYS_fsmount, context, 0, 0));
  if (fork() == 0) {
    CALL(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    CALL(mount("b", "a", NULL, MS_BIND, NULL));
    CALL(mount(NULL, "a", NULL, MS_BIND | MS_REMOUNT | MS_NODEV, NULL));
    CALL(mount(NULL, "a", NULL, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOEXEC, NULL));
    CALL(mount(NULL, "a", NULL, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL));
    CALL(mount(NULL, "a", NULL, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOEXEC, NULL));
    CALL(umount2("a", MNT_DETACH));
    _exit(0);
  }
  wait(NULL);
  CALL(mount(NULL, "b", NULL, MS_BIND | MS_REMOUNT, NULL));
  umount2("a", MNT_DETACH), umount2("b", MNT_DETACH);
}

/** Capabilities of a file: do they survive? */
static void marked(const char *what) {
  static const uint32_t value[5] = {0x02000000, 1 << 10};
  char text[20];
  CALL(setxattr("file", "security.capability", value, sizeof value, 0));
  int fd = open("file", O_RDWR);
  if (!strcmp(what, "chown")) CALL(chown("file", 77, -1));
  if (!strcmp(what, "chmod")) CALL(chmod("file", 0755));
  if (!strcmp(what, "write")) CALL(write(fd, "x", 1));
  if (!strcmp(what, "ftruncate")) CALL(ftruncate(fd, 10));
  CALL(getxattr("file", "security.capability", text, sizeof text));
}

static void connected(int type) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0files.c"};
  int fd = socket(AF_UNIX, type, 0), other = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  CALL(bind(fd, (struct sockaddr *)&name, 20));
  if (type != SOCK_DGRAM) CALL(listen(fd, 1));
  CALL(connect(other, (struct sockaddr *)&name, 20));
}

/** What is rarely asked for. */
static void corners(void) {
  static char buffer[4096];
  int proc = open("/proc/self/fd", O_RDONLY), sys = open("/sys/kernel", O_RDONLY), event = eventfd(0, EFD_NONBLOCK);
  CALL(lseek(proc, 0, SEEK_END));
  CALL(lseek(sys, 0, SEEK_END));
  CALL(syscall(SYS_getdents64, proc, buffer, 0x80000000u));
  CALL(syscall(SYS_getdents64, proc, buffer, 0xffffffffu));
  CALL(write(event, (uint64_t[2]){1}, 16));
  int neither = open("/dev/null", O_ACCMODE);
  CALL(read(neither, buffer, 1));
  CALL(write(neither, buffer, 1));
  int regular = open("regular", O_ACCMODE | O_CREAT, 0644);
  CALL(read(regular, buffer, 1));
  CALL(write(regular, buffer, 1));
  CALL(fcntl(regular, F_GETFL) & O_ACCMODE);
  close(creat("file", 0644));
  marked("chown"), marked("chmod"), marked("write"), marked("ftruncate");
  connected(SOCK_STREAM), connected(SOCK_DGRAM), connected(SOCK_SEQPACKET);
  int watch = inotify_init1(IN_NONBLOCK), fd = open("file", O_RDWR);
  CALL(inotify_add_watch(watch, "file", IN_OPEN | IN_MODIFY | IN_CLOSE | IN_EXCL_UNLINK));
  close(open("file", O_WRONLY | O_TRUNC));
  events("truncated", watch);
  unlink("file");
  if (write(fd, "x", 1) != 1 || ftruncate(fd, 10)) abort();
  close(fd);
  events("unlinked", watch);
  fd = open(".", O_RDWR | O_TMPFILE, 0644);
  if (fork()) {
    wait(NULL);
    return;
  }
  if (setgid(1000) || setuid(1000)) abort();
  CALL(linkat(fd, "", AT_FDCWD, "link", AT_EMPTY_PATH));
  fd = open("/tmp", O_RDWR | O_TMPFILE, 0644);
  char name[40];
  snprintf(name, sizeof name, "/tmp/files-%d", getpid());
  CALL(linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH));
  unlink(name);
  _exit(0);
}

int main(int argc, char **argv) {
  char directory[] = "/tmp/filesXXXXXX", command[64];
  if (argc < 2 || !mkdtemp(directory) || chmod(directory, 0755) || chdir(directory)) return 2;
  if (!strcmp(argv[1], "mappings")) mappings();
  if (!strcmp(argv[1], "moving")) moving();
  if (!strcmp(argv[1], "nodes")) nodes();
  if (!strcmp(argv[1], "mounts")) mounts();
  if (!strcmp(argv[1], "namespaces")) namespaces();
  if (!strcmp(argv[1], "watching")) watching();
  if (!strcmp(argv[1], "new_mounts")) new_mounts();
  if (!strcmp(argv[1], "numbers")) numbers();
  if (!strcmp(argv[1], "corners")) corners();
  if (!strcmp(argv[1], "bounds")) bounds();
  if (!strcmp(argv[1], "recursion")) recursion();
  if (chdir("/")) return 2;
  snprintf(command, sizeof command, "rm -rf %s", directory);
  return system(command);
}
