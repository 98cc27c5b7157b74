// Exercises one filesystem at random, and checks everything against a model.
//
//   exercise data DIRECTORY SECONDS SEED: one file's data, by every call that changes or shows them
//   exercise names DIRECTORY OPERATIONS SEED: names and attributes; prints what calls answered, and the tree at the end
//   exercise list DIRECTORY: prints a tree
//   exercise crowd DIRECTORY SECONDS SEED: several processes at once in one tree, until the time is over
//   exercise many DIRECTORY NUMBER: so many files in one directory: made, listed, asked for, removed
//   exercise commit DIRECTORY SEED: replaces files durably and says so, until it is killed
//   exercise committed DIRECTORY NUMBER: whether all that was said up to there is true
//
// A difference is printed and ends it with status 1.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;
static uint32_t random_below(uint32_t bound) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)((state >> 20) % bound);
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

// ---- data ----

enum { MOST = 600 << 10, LONGEST = 90 << 10, PAGE = 4096 };
static unsigned char model[MOST], bytes[MOST];
static long size;
static int fd = -1;
static const char *path;
static char history[32][96];
static unsigned done;

static void fail(const char *what, long offset) {
  printf("%s at %ld, errno %d, size %ld; the last operations:\n", what, offset, errno, size);
  for (unsigned i = done > 32 ? done - 32 : 0; i < done; i++) printf("  %s\n", history[i % 32]);
  exit(1);
}

static void note(const char *what, long offset, long length) {
  snprintf(history[done++ % 32], 96, "%s %ld+%ld of %ld", what, offset, length, size);
}

static void expect(long got, long wanted, const char *what) {
  if (got != wanted) fail(what, got);
}

static void compare(const unsigned char *got, long offset, long length, const char *what) {
  if (!memcmp(got, model + offset, length)) return;
  long i = 0;
  while (got[i] == model[offset + i]) i++;
  fail(what, offset + i);
}

static void fresh(long length) {
  for (long i = 0; i < length; i++) bytes[i] = 1 + random_below(255);
}

static void wrote(long offset, long length) {
  memcpy(model + offset, bytes, length);
  if (offset + length > size) size = offset + length;
}

static void cut(long length) {
  if (length < size) memset(model + length, 0, size - length);
  size = length;
}

static void do_read(long offset, long length) {
  long there = offset >= size ? 0 : offset + length > size ? size - offset : length;
  switch (random_below(3)) {
  case 0: expect(pread(fd, bytes, length, offset), there, "pread"); break;
  case 1:
    expect(lseek(fd, offset, SEEK_SET), offset, "lseek");
    expect(read(fd, bytes, length), there, "read");
    expect(lseek(fd, 0, SEEK_CUR), offset + there, "position");
    break;
  default: {
    struct iovec parts[2] = {{bytes, length / 3}, {bytes + length / 3, length - length / 3}};
    expect(preadv(fd, parts, 2, offset), there, "preadv");
  }
  }
  compare(bytes, offset, there, "read");
}

static void do_write(long offset, long length) {
  fresh(length);
  switch (random_below(4)) {
  case 0: expect(pwrite(fd, bytes, length, offset), length, "pwrite"); break;
  case 1: {
    struct iovec parts[2] = {{bytes, length / 3}, {bytes + length / 3, length - length / 3}};
    expect(pwritev(fd, parts, 2, offset), length, "pwritev");
    break;
  }
  case 2: {
    int other = open(path, O_WRONLY | O_APPEND | (random_below(8) ? 0 : O_DSYNC));
    if (size + length > MOST) length = MOST - size;
    offset = size;
    expect(write(other, bytes, length), length, "append");
    close(other);
    break;
  }
  default: expect(lseek(fd, offset, SEEK_SET), offset, "lseek"); expect(write(fd, bytes, length), length, "write");
  }
  wrote(offset, length);
}

static void do_map(long offset, long length, int write) {
  if (offset >= size) return;
  if (offset + length > size) length = size - offset;
  long start = offset & ~(PAGE - 1L), span = offset + length - start;
  int private = !write && random_below(2);
  unsigned char *at =
      mmap(0, span, PROT_READ | (write ? PROT_WRITE : 0), private ? MAP_PRIVATE : MAP_SHARED, fd, start);
  if (at == MAP_FAILED) fail("mmap", offset);
  compare(at + offset - start, offset, length, "mapping");
  if (write) {
    fresh(length);
    memcpy(at + offset - start, bytes, length);
    wrote(offset, length);
    if (random_below(4) == 0) expect(msync(at, span, random_below(2) ? MS_SYNC : MS_ASYNC), 0, "msync");
  }
  munmap(at, span);
}

/** The modes of fallocate that the filesystem does not have; it is asked for each once. */
static unsigned lacking;

static int allocate(int mode, long offset, long length) {
  if (lacking >> mode & 1) return 0;
  if (fallocate(fd, mode, offset, length) == 0) return 1;
  if (errno != EOPNOTSUPP) fail("fallocate", offset);
  lacking |= 1u << mode;
  return 0;
}

static void do_allocate(long offset, long length) {
  switch (random_below(6)) {
  case 0:
    if (allocate(0, offset, length) && offset + length > size) size = offset + length;
    break;
  case 1: allocate(FALLOC_FL_KEEP_SIZE, offset, length); break;
  case 2:
    if (allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) && offset < size)
      memset(model + offset, 0, offset + length > size ? size - offset : length);
    break;
  case 3:
    if (!allocate(FALLOC_FL_ZERO_RANGE, offset, length)) break;
    memset(model + offset, 0, length);
    if (offset + length > size) size = offset + length;
    break;
  case 4:
    offset &= ~(PAGE - 1L), length = (length & ~(PAGE - 1L)) + PAGE;
    if (offset + length >= size || !allocate(FALLOC_FL_COLLAPSE_RANGE, offset, length)) break;
    memmove(model + offset, model + offset + length, size - offset - length);
    cut(size - length);
    break;
  default:
    offset &= ~(PAGE - 1L), length = (length & ~(PAGE - 1L)) + PAGE;
    if (offset >= size || size + length > MOST || !allocate(FALLOC_FL_INSERT_RANGE, offset, length)) break;
    memmove(model + offset + length, model + offset, size - offset);
    memset(model + offset, 0, length);
    size += length;
  }
}

static void do_copy(long offset, long length) {
  long to = random_below(MOST - length);
  if (offset >= size) return;
  if (offset + length > size) length = size - offset;
  if (to < offset + length && offset < to + length) return;
  if (random_below(2)) {
    off_t in = offset, out = to;
    for (long left = length; left > 0;) {
      ssize_t n = copy_file_range(fd, &in, fd, &out, left, 0);
      if (n <= 0) fail("copy_file_range", offset);
      left -= n;
    }
  } else {
    int other = open(path, O_RDONLY);
    off_t in = offset;
    expect(lseek(fd, to, SEEK_SET), to, "lseek");
    expect(sendfile(fd, other, &in, length), length, "sendfile");
    close(other);
  }
  memmove(bytes, model + offset, length);
  wrote(to, length);
}

/** What is called a hole has nothing in it. */
static void do_seek(void) {
  for (long at = 0; at < size;) {
    long hole = lseek(fd, at, SEEK_HOLE);
    if (hole < at || hole > size) fail("SEEK_HOLE", at);
    if (hole == size) break;
    long data = lseek(fd, hole, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = size;
    if (data <= hole || data > size) fail("SEEK_DATA", hole);
    for (long i = hole; i < data; i++)
      if (model[i]) fail("data in a hole", i);
    at = data;
  }
}

static void check_all(void) {
  struct stat st;
  expect(fstat(fd, &st), 0, "fstat");
  expect(st.st_size, size, "size");
  expect(pread(fd, bytes, MOST, 0), size, "all");
  compare(bytes, 0, size, "all");
}

static int data(double seconds) {
  // What is there already is the overlay's lower layer.
  fd = open(path, O_RDWR | O_CREAT, 0600);
  size = pread(fd, model, MOST / 2, 0);
  if (fd < 0 || size < 0 || ftruncate(fd, size)) fail("open", 0);
  for (double end = now() + seconds; (done & 15) || now() < end;) {
    long offset = random_below(random_below(4) ? (uint32_t)size + 1 : MOST), length = 1 + random_below(LONGEST);
    if (offset + length > MOST) length = MOST - offset;
    if (length == 0) continue;
    uint32_t which = random_below(100);
    if (which < 22) note("read", offset, length), do_read(offset, length);
    else if (which < 44) note("write", offset, length), do_write(offset, length);
    else if (which < 54) note("map", offset, length), do_map(offset, length, 0);
    else if (which < 66) note("map and write", offset, length), do_map(offset, length, 1);
    else if (which < 76) note("allocate", offset, length), do_allocate(offset, length);
    else if (which < 82) note("copy", offset, length), do_copy(offset, length);
    else if (which < 89) {
      note("truncate", offset, 0);
      expect(random_below(2) ? ftruncate(fd, offset) : truncate(path, offset), 0, "truncate");
      cut(offset);
    } else if (which < 92) note("seek", 0, 0), do_seek();
    else if (which < 94) note("sync", 0, 0), expect(random_below(2) ? fsync(fd) : fdatasync(fd), 0, "sync");
    else if (which < 97) {
      note("reopen", 0, 0);
      close(fd);
      fd = open(path, O_RDWR);
      if (fd < 0) fail("open", 0);
    } else note("all", 0, 0), check_all();
  }
  check_all();
  printf("%u operations, no difference\n", done);
  return 0;
}

// ---- names ----

static char names[2][512];

/** A name that may be there: few, so that they meet. */
static const char *some_name(int which) {
  static const char *words[] = {"a", "b", "c", "d", "e\n", "\xff\xfe", "g g", "h"};
  int depth = 1 + random_below(3), length = 0;
  for (int i = 0; i < depth; i++)
    length += snprintf(names[which] + length, 512 - length, "%s%s", i ? "/" : "", words[random_below(8)]);
  return names[which];
}

static long answer(long result) { return result < 0 ? -errno : 0; }

static long make_file(const char *name) {
  int made =
      open(name, O_CREAT | O_WRONLY | (random_below(2) ? O_EXCL : O_TRUNC) | O_NOFOLLOW, 0600 + random_below(64));
  if (made < 0) return answer(-1);
  long n = random_below(9000);
  memset(bytes, 'a' + random_below(26), n);
  long r = write(made, bytes, n) == n ? 0 : -1;
  close(made);
  return answer(r);
}

static long nameless(const char *name) {
  int made = open(".", O_TMPFILE | O_RDWR, 0640);
  if (made < 0) return answer(-1);
  char proc[64];
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", made);
  long r = write(made, name, 1) == 1 ? linkat(AT_FDCWD, proc, AT_FDCWD, name, AT_SYMLINK_FOLLOW) : -1;
  r = answer(r);
  close(made);
  return r;
}

static long attribute(const char *name) {
  char key[32], value[64];
  snprintf(key, sizeof key, "user.%u", random_below(3));
  memset(value, 'v', sizeof value);
  if (random_below(3) == 0) return answer(lremovexattr(name, key));
  return answer(lsetxattr(name, key, value, random_below(64), random_below(3)));
}

static long use_names(const char **what) {
  const char *a = some_name(0), *b = some_name(1);
  switch (random_below(15)) {
  case 0:
  case 1: return *what = "create", make_file(a);
  case 2:
  case 3: return *what = "mkdir", answer(mkdir(a, 0700 + random_below(64)));
  case 4: return *what = "unlink", answer(unlink(a));
  case 5: return *what = "rmdir", answer(rmdir(a));
  case 6: return *what = "rename", answer(rename(a, b));
  case 7: return *what = "exchange", answer(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE));
  case 8: return *what = "move", answer(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE));
  case 9: return *what = "link", answer(link(a, b));
  case 10: return *what = "symlink", answer(symlink(a, b));
  case 11: return *what = "chmod", answer(chmod(a, random_below(0777)));
  case 12: return *what = "truncate", answer(truncate(a, random_below(20000)));
  case 13: return *what = "attribute", attribute(a);
  default: return *what = "nameless", nameless(a);
  }
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void list(int directory, int depth) {
  struct dirent **entries;
  int count = scandirat(directory, ".", &entries, NULL, by_name);
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name;
    struct stat st;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW)) {
      printf("%*s%s: %d\n", depth, "", name, errno);
      continue;
    }
    uint64_t sum = 0;
    int sub = S_ISLNK(st.st_mode) ? -1 : openat(directory, name, O_RDONLY | O_NOFOLLOW);
    if (S_ISLNK(st.st_mode)) {
      ssize_t n = readlinkat(directory, name, (char *)bytes, 4096);
      for (ssize_t j = 0; j < n; j++) sum = sum * 31 + bytes[j];
    } else if (S_ISREG(st.st_mode)) {
      for (ssize_t n; (n = read(sub, bytes, MOST)) > 0;)
        for (ssize_t j = 0; j < n; j++) sum = sum * 31 + bytes[j];
    }
    char keys[256];
    ssize_t attributes = sub < 0 ? 0 : flistxattr(sub, keys, sizeof keys);
    printf("%*s%s %o %ld %ld %lx %zd\n", depth, "", name, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_nlink,
           S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, (long)sum, attributes);
    if (S_ISDIR(st.st_mode)) list(sub, depth + 1);
    if (sub >= 0) close(sub);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
}

static int list_here(void) {
  int here = open(".", O_RDONLY);
  list(here, 0);
  close(here);
  return 0;
}

static int use_tree(long operations) {
  for (long i = 0; i < operations; i++) {
    const char *what;
    long r = use_names(&what);
    printf("%s %ld\n", what, r);
  }
  return list_here();
}

static int crowd(double seconds, uint64_t seed) {
  double end = now() + seconds;
  for (int i = 0; i < 4; i++) {
    if (fork()) continue;
    state = seed + i * 7919;
    const char *what;
    while (now() < end) use_names(&what);
    _exit(0);
  }
  int status, bad = 0;
  while (wait(&status) > 0) bad |= status;
  return bad != 0;
}

// ---- a full directory ----

static int many(long number) {
  char name[32];
  for (long i = 0; i < number; i++) {
    snprintf(name, sizeof name, "%ld", i);
    int made = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (made < 0) return printf("file %ld: %d\n", i, errno), 1;
    close(made);
  }
  char *seen = calloc(1, number);
  DIR *all = opendir(".");
  long listed = 0;
  for (struct dirent *entry; (entry = readdir(all));) {
    if (entry->d_name[0] == '.') continue;
    char *once = &seen[atol(entry->d_name)];
    if (*once) return printf("%s twice\n", entry->d_name), 1;
    *once = 1;
    listed++;
  }
  closedir(all);
  long removed = 0;
  for (long i = number - 1; i >= 0; i--) {
    struct stat st;
    snprintf(name, sizeof name, "%ld", i);
    removed += (i % 97 || stat(name, &st) == 0) && unlink(name) == 0;
  }
  printf("%ld made, %ld listed, %ld removed, %d\n", number, listed, removed, chdir("..") || rmdir("many"));
  return 0;
}

// ---- what has to outlive a crash ----

enum { FILES = 12, COMMITTED = 70000 };

/** Each file is replaced in turn, by rename, by appending, or in its place after it was copied up. */
static int commit(void) {
  for (unsigned number = 1;; number++) {
    char name[32], fresh_name[32];
    snprintf(name, sizeof name, "file%u", number % FILES);
    snprintf(fresh_name, sizeof fresh_name, "new%u", number % FILES);
    memset(bytes, number & 0xff, COMMITTED);
    memcpy(bytes, &number, sizeof number);
    int replace = random_below(3);
    int file = open(replace ? fresh_name : name, O_WRONLY | (replace ? O_CREAT | O_TRUNC : 0), 0644);
    if (file < 0 || pwrite(file, bytes, COMMITTED, 0) != COMMITTED || fsync(file)) return 1;
    close(file);
    if (replace && rename(fresh_name, name)) return 1;
    int directory = open(".", O_RDONLY);
    if (fsync(directory)) return 1;
    close(directory);
    dprintf(1, "%u\n", number);
  }
}

/** Every file holds what was said last, or what was being written after that; from below, or from above. */
static int committed(unsigned last) {
  for (unsigned i = 0; i < FILES; i++) {
    char name[32];
    snprintf(name, sizeof name, "file%u", i);
    int file = open(name, O_RDONLY);
    ssize_t n = read(file, bytes, MOST);
    close(file);
    unsigned number;
    memcpy(&number, bytes, sizeof number);
    unsigned least = last >= i ? last - (last - i) % FILES : 0;
    if (n != COMMITTED) return printf("%s has %zd bytes\n", name, n), 1;
    // The one after the last may have been on its way, in its place too.
    if (i == (last + 1) % FILES) continue;
    if (number < least || number > last + 1 || (number && number % FILES != i))
      return printf("%s has %u, not %u of %u\n", name, number, least, last), 1;
    for (long j = sizeof number; number && j < COMMITTED; j++)
      if (bytes[j] != (number & 0xff)) return printf("%s: %u is torn at %ld\n", name, number, j), 1;
  }
  printf("whole up to %u\n", last);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *what = argv[1];
  setvbuf(stdout, NULL, strcmp(what, "commit") ? _IOFBF : _IOLBF, 1 << 16);
  umask(0);
  mkdir(argv[2], 0700);
  if (chdir(argv[2])) return 2;
  state = 88172645463325252ull + 2654435761u * strtoul(argv[argc - 1], NULL, 10);
  if (!strcmp(what, "list")) return list_here();
  if (argc < 4) return 2;
  if (!strcmp(what, "many")) return many(atol(argv[3]));
  path = "file";
  if (!strcmp(what, "data")) return data(atof(argv[3]));
  if (!strcmp(what, "names")) return use_tree(atol(argv[3]));
  if (!strcmp(what, "crowd")) return crowd(atof(argv[3]), state);
  if (!strcmp(what, "commit")) return commit();
  if (!strcmp(what, "committed")) return committed((unsigned)atol(argv[3]));
  return 2;
}
