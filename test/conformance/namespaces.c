// Namespaces: ids and capabilities, names, ipc, networks, clocks, mounts that are shared, and the files that stand for
// them.
#include "namespaces.h"

// ---- ids ----

static int in_user_namespace(void *with_map) {
  say("unshare", unshare(CLONE_NEWUSER));
  printf("ids %d %d %d\n", getuid(), geteuid(), getgid());
  show_file("/proc/self/status", "CapEff");
  show_file("/proc/self/status", "Uid:");
  show_file("/proc/self/uid_map", "");
  say("setuid", setuid(0));
  say("gid map first", write_file("/proc/self/gid_map", "0 100 1"));
  say("two", write_file("/proc/self/uid_map", "0 100 1\n1 101 1"));
  say("nonsense", write_file("/proc/self/uid_map", "0 100"));
  say("another's", write_file("/proc/self/uid_map", "0 0 1"));
  say("own", write_file("/proc/self/uid_map", "0 100 1"));
  say("once more", write_file("/proc/self/uid_map", "0 100 1"));
  say("deny", write_file("/proc/self/setgroups", "deny"));
  say("gid map", write_file("/proc/self/gid_map", "5 100 1"));
  show_file("/proc/self/setgroups", "");
  say("allow", write_file("/proc/self/setgroups", "allow"));
  show_file("/proc/self/uid_map", "");
  show_file("/proc/self/gid_map", "");
  printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
  gid_t group = 5;
  say("setgroups", setgroups(1, &group));
  say("setuid to none", setuid(17));
  say("chown to none", chown("file", 17, -1));
  struct stat info;
  stat("file", &info);
  printf("file %u %u\n", info.st_uid, info.st_gid);
  stat("/", &info);
  printf("root %u %u\n", info.st_uid, info.st_gid);
  say("chmod of another's", chmod("/etc/passwd", 0600));
  say("hostname", sethostname("x", 1));
  say("mount", mount("none", "/tmp", "tmpfs", 0, 0));
  say("unshare all", unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET));
  say("hostname", sethostname("x", 1));
  say("mount", mount("none", "/mnt", "tmpfs", 0, 0));
  close(open("/mnt/own", O_CREAT | O_WRONLY, 0600));
  stat("/mnt/own", &info);
  printf("own %u %u\n", info.st_uid, info.st_gid);
  say("device", mknod("/mnt/null", S_IFCHR | 0600, 0x103));
  say("remount", mount("none", "/proc", 0, MS_REMOUNT | MS_RDONLY, 0));
  say("signal to another", kill(getppid(), 0));
  say("nice", setpriority(0, 0, -5));
  printf("keeps %d\n", prctl(PR_CAPBSET_READ, 21));
  fflush(stdout);
  return 0;
}

static void ids(void) {
  char directory[] = "/tmp/namespaces-XXXXXX";
  if (!mkdtemp(directory) || chdir(directory)) exit(1);
  chmod(directory, 0777);
  close(open("file", O_CREAT | O_WRONLY, 0666));
  if (chown("file", 100, 100)) exit(1);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, 0) || setgid(100) || setuid(100)) _exit(1);
    // What changed its ids belongs to root until it executes a program.
    prctl(PR_SET_DUMPABLE, 1);
    _exit(in_user_namespace(0));
  }
  finish("user", child);
  // Root maps others, from outside.
  int fds[2];
  char c, path[64];
  if (pipe(fds)) exit(1);
  child = start(CLONE_NEWUSER);
  if (child == 0) {
    close(fds[1]);
    if (read(fds[0], &c, 1) != 0) _exit(1);
    gid_t groups[2] = {1, 2};
    printf("mapped %d %d\n", getuid(), getgid());
    say("setresuid", setresuid(1, 2, 3));
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    printf("%u %u %u\n", r, e, s);
    say("setgroups", setgroups(2, groups));
    show_file("/proc/self/status", "Uid:");
    show_file("/proc/self/status", "Groups:");
    fflush(stdout);
    _exit(0);
  }
  snprintf(path, sizeof path, "/proc/%d/uid_map", child);
  say("overlap", write_file(path, "0 0 10\n5 20 10\n"));
  say("uids", write_file(path, "0 0 1\n1 1000 1000\n"));
  snprintf(path, sizeof path, "/proc/%d/gid_map", child);
  say("gids", write_file(path, "0 0 1\n1 1000 1000\n"));
  close(fds[0]);
  close(fds[1]);
  finish("mapped", child);
  unlink("file");
  if (chdir("/") == 0) rmdir(directory);
}

// ---- names and ipc ----

static void names(void) {
  struct utsname name;
  int fd = open("/proc/self/ns/uts", O_RDONLY);
  int ipc = open("/proc/self/ns/ipc", O_RDONLY);
  pid_t child = start(CLONE_NEWUTS | CLONE_NEWIPC);
  if (child == 0) {
    say("sethostname", sethostname("inside", 6));
    uname(&name);
    printf("%s\n", name.nodename);
    show_file("/proc/sys/kernel/hostname", "");
    say("queue", msgget(4711, IPC_CREAT | 0600));
    say("another", msgget(4712, IPC_CREAT | 0600) >= 0);
    say("back", setns(ipc, CLONE_NEWIPC));
    say("queue there", msgget(4711, 0));
    say("wrong kind", setns(fd, CLONE_NEWIPC));
    say("home", setns(fd, 0));
    uname(&name);
    printf("home %d\n", strcmp(name.nodename, "inside") != 0);
    say("no file of one", setns(0, 0));
    fflush(stdout);
    _exit(0);
  }
  finish("names", child);
  say("flags", unshare(CLONE_NEWIPC | 1));
  say("clone", syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0));
  say("clone", syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
  say("clone", syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
}

// ---- files ----

static void same(const char *what, int a, int b) {
  struct stat first, second;
  if (fstat(a, &first) || fstat(b, &second)) {
    say(what, -1);
    return;
  }
  printf("%s: same %d\n", what, first.st_ino == second.st_ino && first.st_dev == second.st_dev);
}

static void files(void) {
  static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  char path[64], text[64];
  int status;
  pid_t child = start(CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWUSER);
  if (child == 0) {
    pause();
    _exit(0);
  }
  for (unsigned i = 0; i < 8; i++) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
    int own = open(path, O_RDONLY);
    ssize_t n = readlink(path, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", child, kinds[i]);
    int its = open(path, O_RDONLY);
    printf("%s %.*s ", kinds[i], (int)strcspn(text, "0123456789"), text);
    same("", own, its);
    printf("type %x\n", ioctl(its, NS_GET_NSTYPE));
    int user = ioctl(its, NS_GET_USERNS);
    say("user", user < 0 ? user : 1);
    int parent = ioctl(its, NS_GET_PARENT);
    say("parent", parent < 0 ? parent : 1);
    uid_t uid = 12345;
    say("owner", ioctl(its, NS_GET_OWNER_UID, &uid));
    printf("%u\n", uid);
    if (parent >= 0) same("is own", own, parent);
    if (i == 4) {
      say("pid in", ioctl(its, NS_GET_PID_IN_PIDNS, child));
      say("pid from", ioctl(its, NS_GET_PID_FROM_PIDNS, 1) == child);
      say("own in", ioctl(its, NS_GET_PID_IN_PIDNS, getpid()));
    }
    say("write", open(path, O_WRONLY));
  }
  // A mount keeps it.
  char place[] = "/tmp/namespaces-XXXXXX";
  close(mkstemp(place));
  snprintf(path, sizeof path, "/proc/%d/ns/uts", child);
  int before = open(path, O_RDONLY);
  say("bind", mount(path, place, 0, MS_BIND, 0));
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  int kept = open(place, O_RDONLY);
  same("kept", before, kept);
  fflush(stdout);
  if (fork() == 0) {
    say("enter", setns(kept, CLONE_NEWUTS));
    fflush(stdout);
    _exit(0);
  }
  wait(&status);
  say("itself", mount("/proc/self/ns/mnt", place, 0, MS_BIND, 0));
  say("in use", umount(place));
  close(kept);
  say("unmount", umount(place));
  unlink(place);
  // Several at once by a pidfd.
  child = start(CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID);
  if (child == 0) {
    sethostname("target", 6);
    pause();
  }
  usleep(50000);
  int pidfd = syscall(SYS_pidfd_open, child, 0);
  fflush(stdout);
  pid_t visitor = fork();
  if (visitor == 0) {
    struct utsname name;
    say("none", setns(pidfd, 0));
    say("own user", setns(pidfd, CLONE_NEWUSER));
    say("enter", setns(pidfd, CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID));
    uname(&name);
    printf("in %s\n", name.nodename);
    fflush(stdout);
    if (fork() == 0) {
      printf("visitor parent %d pid %d\n", getppid(), getpid());
      fflush(stdout);
      _exit(0);
    }
    wait(&status);
    _exit(0);
  }
  waitpid(visitor, &status, 0);
  kill(child, SIGKILL);
  finish("target", child);
}

// ---- networks ----

static void networks(void) {
  pid_t child = start(CLONE_NEWNET);
  if (child == 0) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ioctl(fd, SIOCGIFFLAGS, &request);
    printf("flags %x\n", request.ifr_flags);
    say("address", ioctl(fd, SIOCGIFADDR, &request));
    int early = socket(AF_INET, SOCK_DGRAM, 0);
    say("bind", bind(early, (void *)&address, sizeof address));
    say("connect", connect(fd, (void *)&address, sizeof address));
    request.ifr_flags = IFF_UP;
    say("up", ioctl(fd, SIOCSIFFLAGS, &request));
    ioctl(fd, SIOCGIFFLAGS, &request);
    printf("flags %x\n", request.ifr_flags);
    say("address", ioctl(fd, SIOCGIFADDR, &request));
    say("bind", bind(fd, (void *)&address, sizeof address));
    say("listen", listen(fd, 1));
    int client = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", connect(client, (void *)&address, sizeof address));
    say("accept", accept(fd, 0, 0) >= 0);
    FILE *file = fopen("/proc/net/tcp", "r");
    int lines = 0;
    char line[512];
    while (fgets(line, sizeof line, file)) lines++;
    fclose(file);
    printf("rows %d\n", lines);
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0namespaces"};
    int here = socket(AF_UNIX, SOCK_STREAM, 0);
    say("name", connect(here, (void *)&name, 13));
    fflush(stdout);
    _exit(0);
  }
  finish("network", child);
}

// ---- clocks ----

static long seconds(clockid_t clock) {
  struct timespec time;
  return clock_gettime(clock, &time) ? -1 : time.tv_sec;
}

static void clocks(void) {
  say("set own", write_file("/proc/self/timens_offsets", "monotonic 1000 0"));
  say("unshare", unshare(CLONE_NEWTIME));
  say("nonsense", write_file("/proc/self/timens_offsets", "monotonic x"));
  say("other", write_file("/proc/self/timens_offsets", "0 1000 0"));
  say("before the boot", write_file("/proc/self/timens_offsets", "monotonic -1000000000 0"));
  say("set", write_file("/proc/self/timens_offsets", "monotonic 100000 0\nboottime 200000 5"));
  show_file("/proc/self/timens_offsets", "");
  long monotonic = seconds(CLOCK_MONOTONIC), boottime = seconds(CLOCK_BOOTTIME), real = seconds(CLOCK_REALTIME);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    printf("ahead %ld %ld %ld\n", (seconds(CLOCK_MONOTONIC) - monotonic) / 100,
           (seconds(CLOCK_BOOTTIME) - boottime) / 100, (seconds(CLOCK_REALTIME) - real) / 100);
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += 10000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    say("sleep", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0));
    say("late", write_file("/proc/self/timens_offsets", "monotonic 5 0"));
    fflush(stdout);
    _exit(0);
  }
  finish("clocks", child);
}

// ---- sharing of mounts ----

static void seen(const char *what, const char *const *places) {
  printf("%s:", what);
  for (; *places; places++) {
    char path[64];
    snprintf(path, sizeof path, "%s/x/mark", *places);
    printf(" %d", access(path, F_OK) == 0);
  }
  printf("\n");
}

static void sharing(void) {
  static const char *const places[] = {"a", "b", "c", "d", "e", 0};
  char directory[] = "/tmp/namespaces-XXXXXX";
  if (!mkdtemp(directory) || chdir(directory)) exit(1);
  mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
  for (int i = 0; places[i]; i++) mkdir(places[i], 0700);
  say("mount", mount("none", "a", "tmpfs", 0, 0));
  mkdir("a/x", 0700);
  say("not a mount", mount("none", "a/x", 0, MS_SHARED, 0));
  say("two types", mount("none", "a", 0, MS_SHARED | MS_PRIVATE, 0));
  say("shared", mount("none", "a", 0, MS_SHARED, 0));
  say("peer", mount("a", "b", 0, MS_BIND, 0));
  say("slave", mount("a", "c", 0, MS_BIND, 0));
  say("slave", mount("none", "c", 0, MS_SLAVE, 0));
  say("private", mount("a", "d", 0, MS_BIND, 0));
  say("private", mount("none", "d", 0, MS_PRIVATE, 0));
  say("shared slave", mount("c", "e", 0, MS_BIND, 0));
  say("shared slave", mount("none", "e", 0, MS_SHARED, 0));
  say("on a", mount("none", "a/x", "tmpfs", 0, 0));
  close(open("a/x/mark", O_CREAT | O_WRONLY, 0600));
  seen("from a", places);
  say("off b", umount("b/x"));
  seen("after", places);
  say("on e", mount("none", "e/x", "tmpfs", 0, 0));
  close(open("e/x/mark", O_CREAT | O_WRONLY, 0600));
  seen("from e", places);
  say("off e", umount("e/x"));
  // Another namespace has the same mounts: peers of its own, or slaves in other hands.
  int fds[2];
  char c;
  for (int user = 0; user < 2; user++) {
    if (pipe(fds)) exit(1);
    pid_t child = start(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0));
    if (child == 0) {
      close(fds[1]);
      if (read(fds[0], &c, 1) != 0) _exit(1);
      seen("elsewhere", places);
      say("off there", umount("b/x"));
      fflush(stdout);
      _exit(0);
    }
    say("on a", mount("none", "a/x", "tmpfs", 0, 0));
    close(open("a/x/mark", O_CREAT | O_WRONLY, 0600));
    close(fds[0]);
    close(fds[1]);
    finish("namespace", child);
    seen("then", places);
    umount("a/x");
  }
  say("unbindable", mount("none", "d", 0, MS_UNBINDABLE, 0));
  say("bind it", mount("d", "e", 0, MS_BIND, 0));
  say("move from shared", mount("none", "a/x", "tmpfs", 0, 0));
  say("move from shared", mount("a/x", "d/x", 0, MS_MOVE, 0));
  umount("a/x");
  for (int i = 4; i >= 0; i--) {
    say("off", umount(places[i]));
    rmdir(places[i]);
  }
  if (chdir("/") == 0) rmdir(directory);
}

int main(int argc, char **argv) {
  static const struct part parts[] = {{"ids", ids},
                                      {"names", names},
                                      {"files", files},
                                      {"networks", networks},
                                      {"clocks", clocks},
                                      {"sharing", sharing},
                                      {0}};
  return run_part(argc, argv, parts);
}
