// Writing to programs that run, running what is written to (ETXTBSY), and /proc/locks; prints what came of each.
// Works in the directory it is started in.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, result);
  fflush(stdout);
}

static void copy_self(const char *to) {
  char buffer[4096];
  int from = open("/proc/self/exe", O_RDONLY), fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;)
    if (write(fd, buffer, n) != n) abort();
  close(from);
  close(fd);
}

static long run(const char *program, const char *argument) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    execl(program, program, argument, NULL);
    check("exec", -1);
    _exit(9);
  }
  int status;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

static void try_to_write(const char *path) {
  int fd = open(path, O_WRONLY);
  check("for writing", fd < 0 ? fd : 0);
  if (fd >= 0) close(fd);
  check("both", open(path, O_RDWR));
  check("truncating", open(path, O_WRONLY | O_TRUNC));
  check("truncating to read", open(path, O_RDONLY | O_TRUNC));
  check("by name", truncate(path, 0));
  fd = open(path, O_RDONLY);
  check("for reading", fd < 0 ? fd : 0);
  close(fd);
  check("chmod", chmod(path, 0755));
}

static void running(void) {
  int ready[2], go[2];
  copy_self("program");
  if (pipe(ready) || pipe(go)) abort();
  pid_t child = fork();
  if (!child) {
    dup2(ready[1], 1);
    dup2(go[0], 0);
    close(go[1]);
    execl("./program", "program", "wait", NULL);
    _exit(9);
  }
  char c;
  close(ready[1]);
  if (read(ready[0], &c, 1) != 1) abort();
  try_to_write("program");
  check("rename", rename("program", "renamed"));
  check("a new one", open("program", O_WRONLY | O_CREAT, 0755) < 0);
  check("the old one", open("renamed", O_WRONLY));
  check("link", link("renamed", "linked"));
  check("the link", open("linked", O_WRONLY));
  unlink("linked");
  close(go[1]);
  waitpid(child, NULL, 0);
  int fd = open("renamed", O_WRONLY);
  check("when it has ended", fd < 0 ? fd : 0);
  close(fd);
  check("by name", truncate("renamed", 10));
  unlink("renamed");
  unlink("program");
}

static void executing(void) {
  copy_self("program");
  check("runs", run("./program", "nothing"));
  int fd = open("program", O_WRONLY);
  check("open for writing", run("./program", "nothing"));
  close(fd);
  check("closed", run("./program", "nothing"));
  fd = open("program", O_RDWR);
  void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  int copy = dup(fd);
  close(fd);
  check("a double is open", run("./program", "nothing"));
  close(copy);
  munmap(map, 4096);
  fd = open("program", O_RDONLY);
  check("open for reading", run("./program", "nothing"));
  close(fd);
  fd = open("script", O_WRONLY | O_CREAT, 0755);
  if (write(fd, "#!./program\n", 12) != 12) abort();
  check("script open for writing", run("./script", "nothing"));
  close(fd);
  fd = open("program", O_WRONLY);
  check("its interpreter open for writing", run("./script", "nothing"));
  close(fd);
  unlink("script");
  unlink("program");
  fd = memfd_create("m", 0);
  int from = open("/proc/self/exe", O_RDONLY);
  char buffer[4096];
  for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;)
    if (write(fd, buffer, n) != n) abort();
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  check("memfd", run(path, "nothing"));
}

static void show_locks(const struct stat *of) {
  char line[256], place[64];
  snprintf(place, sizeof place, "%02x:%02x:%lu ", major(of->st_dev), minor(of->st_dev), (long)of->st_ino);
  FILE *file = fopen("/proc/locks", "r");
  while (fgets(line, sizeof line, file)) {
    char kind[8], advisory[16], type[8], range[64];
    int pid;
    char *found = strstr(line, place);
    if (!found) continue;
    sscanf(line, "%*d: %7s %15s %7s %d", kind, advisory, type, &pid);
    sscanf(found + strlen(place), "%63[^\n]", range);
    printf("%s %s %s %s %s\n", kind, advisory, type,
           pid == getpid() ? "mine"
           : pid == -1     ? "nobody's"
                           : "other",
           range);
  }
  fclose(file);
}

static void locks(void) {
  int fd = open("file", O_RDWR | O_CREAT, 0644), other = open("file", O_RDWR);
  struct stat st;
  fstat(fd, &st);
  show_locks(&st);
  flock(fd, LOCK_SH);
  show_locks(&st);
  flock(fd, LOCK_UN);
  struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
  fcntl(fd, F_SETLK, &lock);
  show_locks(&st);
  lock.l_type = F_UNLCK;
  fcntl(fd, F_SETLK, &lock);
  lock = (struct flock){.l_type = F_RDLCK, .l_start = 1};
  fcntl(other, F_OFD_SETLK, &lock);
  show_locks(&st);
  close(other);
  show_locks(&st);
  unlink("file");
}

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "";
  if (!strcmp(part, "wait")) {
    char c;
    if (write(1, "x", 1) != 1) return 1;
    return read(0, &c, 1) != 0;
  }
  if (!strcmp(part, "running")) running();
  else if (!strcmp(part, "executing")) executing();
  else if (!strcmp(part, "locks")) locks();
  return 0;
}
