// Names and trees that are hard to bear: names DIRECTORY tries them all and says what went differently than expected.
// race DIRECTORY TOKEN SECONDS walks paths whose parts others exchange for links that lead out, and says if it got
// there.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 100000
#define FILES 20000

static int wrong;

static void expect(const char *what, long result, int error) {
  int got = result < 0 ? errno : 0;
  if (got == error) return;
  wrong++;
  printf("%s: %s, not %s\n", what, strerrorname_np(got), strerrorname_np(error));
}

static void strange_names(void) {
  const char *names[] = {
      "new\nline", "tab\tand\\back", "\xff\xfe invalid", "\xc3", "\xed\xa0\x80", "\x01\x7f", " ", "-rf", "*", "~"};
  char longest[NAME_MAX + 2];
  memset(longest, 'n', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  expect("a name of 256 bytes", open(longest, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
  longest[NAME_MAX] = 0;
  expect("a name of 255 bytes", open(longest, O_CREAT | O_WRONLY, 0600), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    int fd = open(names[i], O_CREAT | O_EXCL | O_WRONLY, 0600);
    expect("a strange name", fd, 0);
    if (fd >= 0) close(fd);
    char link[64], target[64] = "";
    snprintf(link, sizeof link, "to %zu", i);
    expect("a link to it", symlink(names[i], link), 0);
    expect("reading that", readlink(link, target, sizeof target - 1), 0);
    if (strcmp(target, names[i])) wrong++, printf("a link's target was changed\n");
  }
  DIR *here = opendir(".");
  int found = 0;
  for (struct dirent *entry; (entry = readdir(here));) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) found += strcmp(entry->d_name, names[i]) == 0;
  }
  closedir(here);
  if (found != sizeof names / sizeof *names) wrong++, printf("%d of the names are listed\n", found);
}

static void long_paths(void) {
  char path[PATH_MAX + 16];
  for (int length = PATH_MAX - 2; length <= PATH_MAX + 1; length++) {
    memset(path, '/', length);
    path[length] = 0;
    expect("a path of slashes", access(path, F_OK), length < PATH_MAX ? 0 : ENAMETOOLONG);
    for (int i = 0; i < length; i++) path[i] = i % 2 ? '/' : '.';
    expect("a path of dots", access(path, F_OK), length < PATH_MAX ? 0 : ENAMETOOLONG);
  }
  memset(path, 'x', PATH_MAX);
  path[PATH_MAX] = 0;
  expect("one that is no string", symlink(path, "too-long"), ENAMETOOLONG);
  path[PATH_MAX - 1] = 0;
  expect("a link to a long target", symlink(path, "long-link"), 0);
  expect("following it", open("long-link", O_RDONLY), ENAMETOOLONG);
  expect("a link to itself", symlink("loop", "loop"), 0);
  expect("following that", open("loop", O_RDONLY), ELOOP);
}

static void deep_tree(void) {
  expect("a tmpfs", mkdir("deep", 0700) || mount("deep", "deep", "tmpfs", 0, NULL) || chdir("deep") ? -1 : 0, 0);
  int top = open(".", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < DEPTH; i++) {
    if (mkdir("d", 0700) == 0 && chdir("d") == 0) continue;
    expect("going down", -1, 0);
    break;
  }
  char path[PATH_MAX];
  expect("its name", syscall(SYS_getcwd, path, sizeof path), ENAMETOOLONG);
  int bottom = open("file", O_CREAT | O_WRONLY, 0600);
  expect("a file there", bottom, 0);
  for (int i = 0; i < 100; i++) expect("and up", chdir("../../.."), 0);
  expect("moving the top into it", renameat(top, "d", AT_FDCWD, "d/up"), EINVAL);
  expect("to the top", fchdir(top), 0);
  close(bottom);
  close(top);
  expect("out of it", chdir(".."), 0);
  expect("unmounting it", umount("deep"), 0);
}

static void many_files(void) {
  char name[32];
  expect("a directory", mkdir("many", 0700) || chdir("many") ? -1 : 0, 0);
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "file%d", i);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) expect("one of many files", fd, 0);
    close(fd);
  }
  DIR *here = opendir(".");
  int found = 0;
  // What is removed while it is being listed shows neither twice nor hides others.
  for (struct dirent *entry; (entry = readdir(here));) {
    if (entry->d_name[0] == '.') continue;
    found++;
    if (unlink(entry->d_name) < 0) expect("removing one", -1, 0);
  }
  closedir(here);
  if (found != FILES) wrong++, printf("%d files of %d are listed\n", found, FILES);
  expect("leaving", chdir(".."), 0);
  expect("removing the directory", rmdir("many"), 0);
}

static void planted(void) {
  struct sockaddr_un address = {AF_UNIX, "../planted/socket"};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  expect("a socket of the image", connect(fd, (void *)&address, sizeof address), ECONNREFUSED);
  expect("opening it", open("../planted/socket", O_RDONLY), ENXIO);
  expect("a FIFO of the image, to write", open("../planted/fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  expect("a FIFO of the image, to read", open("../planted/fifo", O_RDONLY | O_NONBLOCK), 0);
  expect("a link to another mount", link("../planted/fifo", "/dev/shm/fifo"), EXDEV);
  expect("a link from another mount", link("/proc/version", "version"), EXDEV);
  expect("renaming to another mount", rename("../planted/fifo", "/dev/shm/fifo"), EXDEV);
}

/** Device nodes of the image are the sandbox's own devices, and of the host's there are none. */
static void devices(void) {
  char bytes[8] = "xxxxxxx";
  expect("a disk of the host, to read", open("../planted/disk", O_RDONLY | O_NONBLOCK), ENXIO);
  expect("to write", open("../planted/disk", O_WRONLY | O_NONBLOCK), ENXIO);
  expect("the machine's memory", open("../planted/mem", O_RDONLY | O_NONBLOCK), ENXIO);
  expect("a terminal of the machine", open("../planted/tty1", O_RDWR | O_NONBLOCK | O_NOCTTY), ENXIO);
  int zero = open("../planted/zero", O_RDWR);
  expect("zeros", zero, 0);
  expect("are read", read(zero, bytes, 8) == 8 && memcmp(bytes, "\0\0\0\0\0\0\0", 8) == 0 ? 0 : -1, 0);
  struct stat st;
  expect("what it is", stat("../planted/disk", &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == 0xfe00 ? 0 : -1, 0);
  expect("a disk that is made", mknod("disk", S_IFBLK | 0600, 0xfe00), EPERM);
  expect("a link to it", link("../planted/disk", "linked") ? -1 : open("linked", O_RDONLY), ENXIO);
  expect("removing it", unlink("linked"), 0);
}

static int race(const char *directory, const char *token, int seconds) {
  const char *paths[] = {"swap/inner/../../../secret", "swap/secret",       "swap/../../secret",
                         "swap/inner/../secret",       "swap/inner/secret", "./swap/../swap/../secret"};
  char text[256];
  long tries = 0, escapes = 0;
  time_t end = time(NULL) + seconds;
  if (chdir(directory) < 0) return 1;
  while (time(NULL) < end) {
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
      tries++;
      int fd = open(paths[i], O_RDONLY | O_NONBLOCK);
      if (fd < 0) continue;
      ssize_t n = read(fd, text, sizeof text);
      if (n > 0 && memmem(text, n, token, strlen(token))) {
        escapes++;
        printf("ESCAPED: %s\n", paths[i]);
      }
      close(fd);
    }
    // This one takes part in the exchanging, with a link of its own.
    if (symlink("../..", "mine") == 0 || errno == EEXIST)
      renameat2(AT_FDCWD, "mine", AT_FDCWD, "swap", RENAME_EXCHANGE);
    int parent = open("swap/..", O_RDONLY | O_DIRECTORY);
    int fd = parent < 0 ? -1 : openat(parent, "../secret", O_RDONLY);
    if (fd >= 0 && read(fd, text, sizeof text) > 0 && strstr(text, token)) escapes++, printf("ESCAPED by ..\n");
    if (fd >= 0) close(fd);
    if (parent >= 0) close(parent);
  }
  printf("%s, %ld escapes\n", tries > 100 ? "raced" : "did not race", escapes);
  return escapes != 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "race") == 0) return race(argv[2], argv[3], atoi(argv[4]));
  if (argc != 2 || chdir(argv[1]) < 0) return 1;
  strange_names();
  long_paths();
  deep_tree();
  many_files();
  planted();
  if (access("../planted/disk", F_OK) == 0) devices();
  printf("%d surprises\n", wrong);
  return wrong != 0;
}
