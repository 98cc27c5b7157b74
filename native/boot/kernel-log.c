// A sentry that its filter killed (SIGSYS) can say nothing any more. But the kernel writes to its log what the call
// was, and those who may read that are told here. Others find it with --debug (init.c says so), which has the sentry
// name the call first.
#include "boot.h"

#include <sys/klog.h>
#include <time.h>

#include "../generated/call_names.h"

#define READ_ALL  3 // SYSLOG_ACTION_READ_ALL
#define RECENTLY  5 // seconds
#define KILL_MARK "audit: type=1326 audit("

/** The number of the call that a filter killed Node for in these last seconds, or -1. */
static long killed_for(void) {
  static char log[1 << 18];
  long number = -1;
  int length = klogctl(READ_ALL, log, sizeof log - 1);
  if (length <= 0) return -1;
  for (char *line = strstr(log, KILL_MARK); line; line = strstr(line + 1, KILL_MARK)) {
    long long second = strtoll(line + strlen(KILL_MARK), NULL, 10);
    char *end = strchr(line, '\n'), *name = strstr(line, "comm=\"node"), *call = strstr(line, " syscall=");
    if (second + RECENTLY < time(NULL) || !end || !name || name > end || !call || call > end) continue;
    number = strtol(call + strlen(" syscall="), NULL, 10);
  }
  return number;
}

/** A program that ended by its own SIGSYS leaves the same exit status, but nothing in the log. */
void name_forbidden_call(void) {
  long number = killed_for();
  if (number < 0) return;
  if (number < (long)(sizeof CALL_NAMES / sizeof *CALL_NAMES) && CALL_NAMES[number])
    say("the sentry made a host call that its filter does not allow: %s", CALL_NAMES[number]);
  else say("the sentry made a host call that its filter does not allow: number %ld", number);
}
