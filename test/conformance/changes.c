// Generated files whose changes can be waited for: the tables of mounts and the events of a cgroup, by poll(2),
// epoll(7) and inotify(7), and one whose changes cannot be; and what is written to such files, which is a string.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void polled(const char *when, int fd) {
  struct pollfd one = {fd, POLLIN | POLLPRI, 0};
  int r = poll(&one, 1, 0);
  printf("%s: poll %d, events %#x\n", when, r, (unsigned)one.revents);
}

static void waited(const char *when, int epoll) {
  struct epoll_event event = {0};
  int r = epoll_wait(epoll, &event, 1, 0);
  printf("%s: epoll %d, events %#x\n", when, r, event.events);
}

static void watch(const char *name, int epoll, int fd, unsigned events) {
  struct epoll_event event = {.events = events};
  printf("%s: %s\n", name, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? strerrorname_np(errno) : "watched");
}

static void read_all(int fd) {
  char text[65536];
  lseek(fd, 0, SEEK_SET);
  while (read(fd, text, sizeof text) > 0) {}
}

static void mounts(void) {
  char place[] = "/tmp/changes-XXXXXX";
  if (!mkdtemp(place)) exit(1);
  int epoll = epoll_create1(0);
  int info = open("/proc/self/mountinfo", O_RDONLY), old = open("/proc/self/mounts", O_RDONLY);
  watch("mountinfo", epoll, info, EPOLLIN | EPOLLET);
  watch("status", epoll, open("/proc/self/status", O_RDONLY), EPOLLIN);
  polled("mounts at first", old);
  waited("at first", epoll);
  waited("once more", epoll);
  mount("none", place, "tmpfs", 0, NULL);
  waited("mounted", epoll);
  waited("seen", epoll);
  polled("mounts, mounted", old);
  polled("mounts, seen", old);
  read_all(info);
  mount("none", place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
  waited("remounted", epoll);
  umount(place);
  waited("unmounted", epoll);
  polled("mounts, unmounted", old);
  rmdir(place);
}

static void told(const char *when, int watcher, int patience) {
  struct pollfd one = {watcher, POLLIN, 0};
  poll(&one, 1, patience);
  char text[4096] __attribute__((aligned(8)));
  ssize_t length = read(watcher, text, sizeof text);
  printf("%s: inotify", when);
  for (ssize_t at = 0; at < length; at += sizeof(struct inotify_event) + ((struct inotify_event *)(text + at))->len)
    printf(" %#x", ((struct inotify_event *)(text + at))->mask);
  printf("\n");
}

static void put(const char *path, pid_t pid) {
  char text[32];
  int fd = open(path, O_WRONLY);
  snprintf(text, sizeof text, "%d", pid);
  if (write(fd, text, strlen(text)) < 0) printf("%s: %s\n", path, strerrorname_np(errno));
  close(fd);
}

static void cgroups(void) {
  char place[] = "/tmp/changes-XXXXXX", inner[64], path[128];
  if (!mkdtemp(place) || mount("none", place, "cgroup2", 0, NULL)) exit(1);
  snprintf(inner, sizeof inner, "%s/changes-%d", place, getpid());
  mkdir(inner, 0755);
  snprintf(path, sizeof path, "%s/below", inner);
  mkdir(path, 0755);
  snprintf(path, sizeof path, "%s/cgroup.events", inner);
  int events = open(path, O_RDONLY), watcher = inotify_init1(IN_NONBLOCK), epoll = epoll_create1(0);
  inotify_add_watch(watcher, path, IN_MODIFY);
  watch("cgroup.events", epoll, events, EPOLLPRI);
  read_all(events);
  waited("empty", epoll);
  told("empty", watcher, 0);
  pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  snprintf(path, sizeof path, "%s/below/cgroup.procs", inner);
  put(path, child);
  told("populated", watcher, 5000);
  waited("populated", epoll);
  waited("not read", epoll);
  read_all(events);
  waited("read", epoll);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  struct pollfd one = {events, POLLPRI, 0};
  int r = poll(&one, 1, 5000);
  printf("ended: poll %d, events %#x\n", r, (unsigned)one.revents);
  told("ended", watcher, 5000);
  snprintf(path, sizeof path, "%s/below", inner);
  rmdir(path);
  rmdir(inner);
  umount(place);
  rmdir(place);
}

static void strings(void) {
  static const struct {
    const char *path, *text;
    size_t length;
  } writes[] = {
      {"/proc/self/oom_score_adj", "7", 2},       {"/proc/self/oom_score_adj", "8\0009", 3},
      {"/proc/self/oom_score_adj", " 9 \n", 4},   {"/proc/self/oom_score_adj", "\0005", 2},
      {"/proc/self/oom_score_adj", "5x", 2},      {"/proc/self/coredump_filter", "0x33", 5},
      {"/proc/sys/kernel/domainname", "a\0b", 3}, {"/proc/sys/kernel/domainname", "c\n", 2},
  };
  char text[64];
  for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
    int fd = open(writes[i].path, O_RDWR);
    ssize_t r = write(fd, writes[i].text, writes[i].length);
    printf("%s: write %zd %s", writes[i].path, r, r < 0 ? strerrorname_np(errno) : "");
    ssize_t got = pread(fd, text, sizeof text, 0);
    printf(", %.*s", got < 0 ? 0 : (int)got, text);
    close(fd);
  }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "mounts")) mounts();
  if (argc > 1 && !strcmp(argv[1], "cgroups")) cgroups();
  if (argc > 1 && !strcmp(argv[1], "strings")) strings();
  return 0;
}
