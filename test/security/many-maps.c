// A process with tens of thousands of mappings reads what procfs tells of them: all of it, and the same from any
// position.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAIRS = 25000, PAGE = 4096 };

static char bytes[1 << 20], again[4096];

/** Lines that begin with an address. */
static long mappings(const char *path, size_t piece) {
  int fd = open(path, O_RDONLY);
  long count = 0;
  char last = '\n';
  for (ssize_t n; (n = read(fd, bytes, piece)) > 0;) {
    for (ssize_t i = 0; i < n; last = bytes[i++])
      if (last == '\n' && (bytes[i] < 'A' || bytes[i] > 'Z')) count++;
  }
  close(fd);
  return count;
}

int main(void) {
  char *base = mmap(NULL, 4L * PAIRS * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long i = 0; i < PAIRS; i++) mprotect(base + 4 * i * PAGE, PAGE, PROT_READ | PROT_WRITE);
  const char *files[] = {"/proc/self/maps", "/proc/self/smaps"};
  for (int i = 0; i < 2; i++) {
    long count = mappings(files[i], sizeof bytes);
    printf("%s: %s, %s\n", files[i], count >= 2 * PAIRS && count < 2 * PAIRS + 100 ? "all" : "not all",
           mappings(files[i], 7777) == count ? "the same in small pieces" : "others");
    int fd = open(files[i], O_RDONLY);
    for (long position = 2000000; position > 0; position -= 500001) {
      pread(fd, bytes, sizeof again, position);
      lseek(fd, position - 1000, SEEK_SET);
      read(fd, again, 1000);
      read(fd, again, sizeof again);
      if (memcmp(bytes, again, sizeof again)) printf("it differs at %ld\n", position);
    }
    close(fd);
  }
  return 0;
}
