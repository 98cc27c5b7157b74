// More of one thing than anybody needs, by ways that the limits of a single process do not see: hoard THING [FILE].
// Says how many there were and which errno ended it.
#define _GNU_SOURCE
#include "hostile.h"

#include <grp.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>

static const char *path;

static void report(const char *name, long count, int error) {
  printf("%s: %ld, %s\n", name, count, error ? strerrorname_np(error) : "enough");
  fflush(stdout);
}

/** Runs `more` in ever more processes, each of which stays, until one is refused: how many times it went well in all.
 */
static long in_children(int most, long (*more)(long at_most), long each, int *error) {
  long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int child = 0; child < most && !shared[1]; child++) {
    int ready[2];
    if (pipe(ready)) break;
    pid_t pid = fork();
    if (pid < 0) {
      shared[1] = errno;
      break;
    }
    if (!pid) {
      close(ready[0]);
      errno = 0;
      long got = more(each);
      shared[0] += got;
      if (got < each) shared[1] = errno;
      close(ready[1]);
      for (;;) pause();
    }
    close(ready[1]);
    char byte;
    if (read(ready[0], &byte, 1) < 0) break;
    close(ready[0]);
  }
  *error = shared[1];
  return shared[0];
}

static void descriptors_limit(void) {
  struct rlimit limit = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &limit);
}

/** Descriptor tables of a million places, by fork. */
static void tables(void) {
  int error;
  if (dup2(0, (1 << 20) - 1) < 0) return report("tables", 0, errno);
  long n = 0;
  pid_t pid = 0;
  while (n < 100 && (pid = fork()) > 0) n++;
  error = errno;
  if (!pid)
    for (;;) pause();
  report("tables", n, pid < 0 ? error : 0);
}

static long event_files(long most) {
  long n = 0;
  while (n < most && eventfd(0, 0) >= 0) n++;
  return n;
}

static void set(const char *name, const char *value) {
  int fd = open(name, O_WRONLY);
  if (write(fd, value, strlen(value)) < 0) printf("%s: %s\n", name, strerrorname_np(errno));
  close(fd);
}

static void files(void) {
  int error;
  set("/proc/sys/fs/file-max", "300000");
  set("/proc/sys/fs/file-max", "10000");
  long n = in_children(20, event_files, 3000, &error);
  report("files", n, error);
}

static int watched[1000];

static long watch_all(long most) {
  int epoll = -1;
  for (long n = 0; n < most; n++) {
    if (n % 1000 == 0) epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {0}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, watched[n % 1000], &event)) return n;
  }
  return most;
}

/** Many instances that watch the same files. */
static void items(void) {
  int error;
  for (int i = 0; i < 1000; i++) watched[i] = eventfd(0, 0);
  set("/proc/sys/fs/epoll/max_user_watches", "300000");
  set("/proc/sys/fs/epoll/max_user_watches", "10000");
  long n = in_children(12, watch_all, 3000, &error);
  report("epoll items", n, error);
}

static void locks(void) {
  long n = 0;
  int error = 0;
  for (int file = 0; file < 80 && !error; file++) {
    char name[32];
    snprintf(name, sizeof name, "/tmp/locked%d", file);
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 512 && !error; i++) {
      struct flock lock = {F_WRLCK, SEEK_SET, 2 * i, 1, 0};
      if (fcntl(fd, F_SETLK, &lock)) error = errno;
      else n++;
    }
  }
  report("locks", n, error);
}

/** Six storeys of keyrings, each with links to all of the next: there are 40^6 ways through them. */
static void keyrings(void) {
  enum { STOREYS = 6, WIDTH = 40 };
  long ring[STOREYS][WIDTH], links = 0;
  char name[32];
  int error = 0;
  for (int storey = 0; storey < STOREYS; storey++) {
    for (int i = 0; i < WIDTH; i++) {
      snprintf(name, sizeof name, "ring %d.%d", storey, i);
      ring[storey][i] = syscall(SYS_add_key, "keyring", name, NULL, 0, KEY_SPEC_PROCESS_KEYRING);
      if (ring[storey][i] < 0) return report("keyrings", storey, errno);
    }
  }
  for (int storey = 1; storey < STOREYS; storey++)
    for (int i = 0; i < WIDTH; i++)
      for (int k = 0; k < WIDTH; k++)
        if (syscall(SYS_keyctl, KEYCTL_LINK, ring[storey][i], ring[storey - 1][k]) == 0) links++;
        else error = errno;
  report("links of keyrings", links, error);
  char text[4096];
  int fd = open("/proc/keys", O_RDONLY);
  long length = 0;
  for (ssize_t n; (n = read(fd, text, sizeof text)) > 0;) length += n;
  printf("%s\n", length > 1000 ? "listed" : "not listed");
}

static long add_filters(long most) {
  static struct sock_filter code[4096];
  struct sock_fprog program = {4096, code};
  for (int i = 0; i < 4096; i++) code[i] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (long n = 0; n < most; n++)
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return n;
  return most;
}

static void filters(void) {
  int error;
  long n = in_children(400, add_filters, 7, &error);
  report("filters", n, error);
}

static long many_groups(long most) {
  static gid_t list[65536];
  for (int i = 0; i < 65536; i++) list[i] = i + (getpid() & 15);
  return setgroups(65536, list) ? 0 : most;
}

static void groups(void) {
  int error;
  long n = in_children(400, many_groups, 1, &error);
  report("lists of groups", n, error);
}

/** As many operations as there may be in one call, and their events in another. */
static void operations(void) {
  enum { MOST = 60000 };
  static struct iocb block[MOST], *list[MOST];
  static struct io_event events[MOST];
  static char byte;
  aio_context_t context = 0;
  int fd = open("/proc/self/exe", O_RDONLY);
  if (syscall(SYS_io_setup, MOST, &context)) return report("operations", 0, errno);
  for (int i = 0; i < MOST; i++) {
    block[i] = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (u64)&byte, .aio_nbytes = 1, .aio_data = i};
    list[i] = &block[i];
  }
  report("operations", syscall(SYS_io_submit, context, (long)MOST, list), 0);
  long got = syscall(SYS_io_getevents, context, 1l, (long)MOST, events, NULL), wrong = 0;
  for (long i = 0; i < got; i++) wrong += events[i].data != (u64)i || events[i].res != 1;
  report("events", got, 0);
  printf("%ld wrong\n", wrong);
}

/** Signals that kill(2) sends do not fail for want of room, and are not all kept either. */
static void signals(void) {
  sigset_t set;
  struct rlimit limit = {100, 100};
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  setrlimit(RLIMIT_SIGPENDING, &limit);
  long failed = 0, got = 0;
  for (int i = 0; i < 5000; i++) failed += kill(getpid(), SIGRTMIN) != 0;
  struct timespec now = {0, 0};
  while (sigtimedwait(&set, NULL, &now) > 0) got++;
  printf("%ld failed, %s kept\n", failed, got <= 101 ? "not all" : "too many");
}

static void segments(void) {
  long n = 0;
  while (n < 100000 && shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT) >= 0) n++;
  int error = n < 100000 ? errno : 0;
  int fd = open("/proc/self/exe", O_RDONLY); // others have descriptors left
  report("segments", fd < 0 ? -1 : n, error);
}

/** What may be read only stays so, whatever is done with the mapping or with what it was made of. */
static void readonly_segment(void) {
  int id = shmget(IPC_PRIVATE, 4096, 0444 | IPC_CREAT);
  if (id < 0 || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) return report("segment", 0, errno);
  void *writable = shmat(id, NULL, 0);
  report("to be written", writable == (void *)-1, errno);
  char *mapped = shmat(id, NULL, SHM_RDONLY);
  report("to be read", mapped != (void *)-1, 0);
  int r = mprotect(mapped, 4096, PROT_READ | PROT_WRITE);
  report("made writable", r, r ? errno : 0);
  make_raw();
  long written = 0;
  for (int fd = 0; fd < 1024; fd++) {
    long at = RAW(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at < 0 && at > -4096) continue;
    *(volatile char *)at = 'x';
    written += *(volatile char *)mapped == 'x';
  }
  printf("%ld ways to write\n", written);
}

/** Pages of memory files that are mapped are counted by the host; the file is a mere hole here. */
static void memory_files(void) {
  const long size = 1l << 45;
  int id = shmget(IPC_PRIVATE, size, 0600 | IPC_CREAT);
  char *segment = shmat(id, NULL, 0);
  int fd = open("/tmp/hole", O_RDWR | O_CREAT, 0600);
  int r = ftruncate(fd, size);
  char *file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  report("holes", (segment != (void *)-1) + (r == 0) + (file != MAP_FAILED), 0);
  for (long i = 0; i < 200; i++) segment[i * (size / 256)] = file[i * (size / 256)] = 1;
  struct stat status;
  fstat(fd, &status);
  struct shmid_ds description;
  printf("%ld bytes, %s\n", (long)status.st_size, shmctl(id, IPC_RMID, &description) ? "not removed" : "removed");
  fflush(stdout);
  for (int i = 0; i < 5; i++) pause();
}

/** A memfd that takes seals is the host's, which counts its pages for nobody. */
static void memfds(void) {
  const long size = 1l << 45;
  int small = memfd_create("small", MFD_ALLOW_SEALING), large = memfd_create("large", MFD_ALLOW_SEALING);
  int r = ftruncate(small, 4096) | ftruncate(large, size);
  report("sizes", r, r ? errno : 0);
  char *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, large, 0);
  report("mapped", mapped != MAP_FAILED, mapped == MAP_FAILED ? errno : 0);
  mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, small, 0);
  report("mapped", mapped != MAP_FAILED, 0);
  r = ftruncate(small, size);
  report("grown", r, r ? errno : 0);
  r = ftruncate(small, 1 << 20);
  report("grown", r, r ? errno : 0);
  mapped[1000000] = 1;
}

/** Whoever is told of a file is given it open for writing, which copies it up. */
static void copied_by_event(void) {
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDWR);
  if (group < 0 || fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE_NOWRITE, AT_FDCWD, path))
    return report("mark", 0, errno);
  close(open(path, O_RDONLY));
  struct fanotify_event_metadata event[8];
  ssize_t n = read(group, event, sizeof event);
  report("bytes of events", n, n < 0 ? errno : 0);
  if (n > 0) report("written", pwrite(event[0].fd, "above", 5, 0), 0);
}

/** Cgroups in cgroups, each with a limit, and processes at their bottom. */
static void cgroups(void) {
  char name[4096] = "/tmp/cgroup";
  int depth = 0;
  mkdir(name, 0755);
  if (mount("cgroup", name, "cgroup2", 0, NULL)) return report("cgroups", 0, errno);
  for (;;) {
    strcat(name, "/cgroup.subtree_control");
    int control = open(name, O_WRONLY);
    *strrchr(name, '/') = 0;
    if (control < 0 || write(control, "+pids", 5) < 0) break;
    close(control);
    strcat(name, "/d");
    if (mkdir(name, 0755)) {
      *strrchr(name, '/') = 0;
      break;
    }
    depth++;
    strcat(name, "/pids.max");
    int limit = open(name, O_WRONLY);
    if (write(limit, "300", 3) < 0) break;
    close(limit);
    *strrchr(name, '/') = 0;
    if (depth == 60) break;
  }
  strcat(name, "/cgroup.procs");
  int procs = open(name, O_WRONLY);
  if (write(procs, "0", 1) < 0) return report("cgroups", depth, errno);
  int n = 0;
  pid_t pid;
  while (n < 1000 && (pid = fork()) > 0) n++;
  if (!pid)
    for (;;) pause();
  report("cgroups", depth, 0);
  report("processes", n, errno);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } all[] = {{"tables", tables},       {"files", files},
             {"items", items},         {"locks", locks},
             {"keyrings", keyrings},   {"filters", filters},
             {"groups", groups},       {"operations", operations},
             {"signals", signals},     {"segment", readonly_segment},
             {"memory", memory_files}, {"memfds", memfds},
             {"segments", segments},   {"copied", copied_by_event},
             {"cgroups", cgroups}};
  if (argc < 2) return 2;
  path = argc > 2 ? argv[2] : NULL;
  setpgid(0, 0);
  descriptors_limit();
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(argv[1], all[i].name)) continue;
    all[i].run();
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (wait(NULL) > 0) continue;
    return 0;
  }
  return 2;
}
