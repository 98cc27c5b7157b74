// Options of prctl(2) about memory and machine that nobody has set: read, set to what they are, and misused.

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void ask(const char *name, int option, long a, long b, long c, long d) {
  errno = 0;
  long r = prctl(option, a, b, c, d);
  printf("%s(%ld, %ld, %ld, %ld) = %ld %s\n", name, a, b, c, d, r, r < 0 ? strerrorname_np(errno) : "");
}
#define ASK(option, a, b, c, d) ask(#option, option, a, b, c, d)

int main(void) {
  ASK(PR_GET_THP_DISABLE, 0, 0, 0, 0);
  ASK(PR_GET_THP_DISABLE, 1, 0, 0, 0);
  ASK(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  ASK(PR_SET_THP_DISABLE, 0, 0, 1, 0);
  ASK(65 /* PR_SET_MDWE */, 0, 0, 0, 0);
  ASK(65, 2, 0, 0, 0);
  ASK(65, 1, 1, 0, 0);
  ASK(66 /* PR_GET_MDWE */, 0, 0, 0, 0);
  ASK(67 /* PR_SET_MEMORY_MERGE */, 0, 0, 0, 0);
  ASK(68 /* PR_GET_MEMORY_MERGE */, 0, 0, 0, 0);
  ASK(PR_SET_TSC, 3, 0, 0, 0);
  ASK(PR_SET_UNALIGN, 1, 0, 0, 0);
  ASK(PR_SET_FPEMU, 0, 0, 0, 0);
  ASK(PR_GET_ENDIAN, 0, 0, 0, 0);
  ASK(PR_SET_TIMING, 1, 0, 0, 0);
  ASK(99999, 0, 0, 0, 0);
  if (setuid(54321) != 0) return 1;
  ASK(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  ASK(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
  return 0;
}
