// Keys and keyrings by the bare calls. Serial numbers are shown as the order in which they were met.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int32_t met[256];
static int count;

static int number(int32_t serial) {
  for (int i = 0; i < count; i++)
    if (met[i] == serial) return i;
  met[count] = serial;
  return count++;
}

static long say(const char *what, long result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else if (result > 1 << 15) printf("%s: key %d\n", what, number(result)); // serial numbers are random
  else printf("%s: %ld\n", what, result);
  return result;
}
#define SAY(call) say(#call, (long)(call))

static long add(const char *type, const char *description, const void *payload, size_t length, int keyring) {
  return syscall(SYS_add_key, type, description, payload, length, keyring);
}
static long request(const char *type, const char *description, const char *info, int keyring) {
  return syscall(SYS_request_key, type, description, info, keyring);
}
static long ctl(int command, long a, long b, long c, long d) { return syscall(SYS_keyctl, command, a, b, c, d); }

enum { THREAD = -1, PROCESS = -2, SESSION = -3, USER = -4, USER_SESSION = -5 };

static void describe(long key) {
  char text[4096] = "";
  long n = ctl(KEYCTL_DESCRIBE, key, (long)text, sizeof text, 0);
  if (n < 0) printf("  describe: %s\n", strerrorname_np(errno));
  else printf("  %ld %s\n", n, text);
}

static void members(long keyring) {
  int32_t serials[64];
  long n = ctl(KEYCTL_READ, keyring, (long)serials, sizeof serials, 0);
  if (n < 0) printf("  read: %s\n", strerrorname_np(errno));
  else printf("  %ld members\n", n / 4);
}

static void adding(void) {
  static char big[1 << 20];
  SAY(add("user", "a", "one", 3, SESSION));
  long key = SAY(add("user", "a", "three", 5, SESSION));
  describe(key);
  char text[16] = "";
  SAY(ctl(KEYCTL_READ, key, (long)text, 3, 0));
  printf("[%s]\n", text);
  SAY(ctl(KEYCTL_READ, key, (long)text, 16, 0));
  printf("[%s]\n", text);
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  SAY(ctl(KEYCTL_READ, key, 8, 16, 0));
  members(SESSION);
  long ring = SAY(add("keyring", "r", NULL, 0, SESSION));
  long again = SAY(add("keyring", "r", NULL, 0, SESSION));
  printf("%d\n", ring != again);
  describe(again);
  members(SESSION);
  long logon = SAY(add("logon", "x:y", "secret", 6, again));
  describe(logon);
  SAY(ctl(KEYCTL_READ, logon, (long)text, 16, 0));
  SAY(add("logon", "xy", "secret", 6, again));
  SAY(add("logon", ":y", "secret", 6, again));
  SAY(add("user", "", "x", 1, again));
  SAY(add("user", NULL, "x", 1, again));
  SAY(add("user", "x", NULL, 0, again));
  SAY(add("user", "x", big, 32767, again));
  SAY(add("user", "x", big, 32768, again));
  SAY(add("user", "x", big, 1 << 20, again));
  SAY(add("user", "x", (void *)8, 10, again));
  SAY(add("keyring", "x", "x", 1, again));
  SAY(add("keyring", ".x", NULL, 0, again));
  SAY(add("user", ".x", "x", 1, again));
  SAY(add(".user", "x", "x", 1, again));
  SAY(add("", "x", "x", 1, again));
  SAY(add("no-such-type", "x", "x", 1, again));
  SAY(add("a-type-with-a-name-that-is-too-long", "x", "x", 1, again));
  SAY(add((void *)8, "x", "x", 1, again));
  SAY(add("user", (void *)8, "x", 1, again));
  SAY(add("user", "x", "x", 1, key));
  SAY(add("user", "x", "x", 1, 0));
  SAY(add("user", "x", "x", 1, -6));
  SAY(add("user", "x", "x", 1, -7));
  SAY(add("user", "x", "x", 1, -9));
  SAY(add("user", "x", "x", 1, 0x7ffffff0));
}

static void special(void) {
  for (int id = 0; id >= -9; id--) {
    printf("%d ", id);
    SAY(ctl(KEYCTL_GET_KEYRING_ID, id, 0, 0, 0));
  }
  for (int id = -1; id >= -5; id--) {
    printf("%d ", id);
    SAY(ctl(KEYCTL_GET_KEYRING_ID, id, 1, 0, 0));
    describe(id);
    if (id > -4) members(id);
  }
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"calls-test", 0, 0, 0));
  describe(SESSION);
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"calls-test", 0, 0, 0));
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, (long)".calls", 0, 0, 0));
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, 8, 0, 0, 0));
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0));
  describe(SESSION);
  for (int n = -2; n < 10; n++) {
    printf("%d ", n);
    SAY(ctl(KEYCTL_SET_REQKEY_KEYRING, n, 0, 0, 0));
  }
  SAY(ctl(KEYCTL_ASSUME_AUTHORITY, 0, 0, 0, 0));
  SAY(ctl(KEYCTL_ASSUME_AUTHORITY, 5, 0, 0, 0));
  SAY(ctl(KEYCTL_ASSUME_AUTHORITY, -5, 0, 0, 0));
  SAY(ctl(KEYCTL_INSTANTIATE, 5, 0, 0, 0));
  SAY(ctl(KEYCTL_NEGATE, 5, 0, 0, 0));
  SAY(ctl(100, 5, 0, 0, 0));
  SAY(ctl(KEYCTL_GET_SECURITY, SESSION, 0, 0, 0));
  printf("  inherited\n");
  if (!fork()) {
    SAY(ctl(KEYCTL_GET_KEYRING_ID, THREAD, 0, 0, 0));
    SAY(ctl(KEYCTL_GET_KEYRING_ID, PROCESS, 0, 0, 0));
    SAY(ctl(KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0));
    _exit(fflush(stdout));
  }
  wait(NULL);
}

static void rights(void) {
  long key = SAY(add("user", "k", "x", 1, SESSION));
  SAY(ctl(KEYCTL_SETPERM, key, 0x40000000, 0, 0));
  SAY(ctl(KEYCTL_SETPERM, key, 0x3f000000, 0, 0));
  describe(key);
  SAY(ctl(KEYCTL_SETPERM, key, 0x20000000, 0, 0));
  describe(key);
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  SAY(ctl(KEYCTL_UPDATE, key, (long)"y", 1, 0));
  SAY(request("user", "k", NULL, 0));
  SAY(ctl(KEYCTL_REVOKE, key, 0, 0, 0));
  describe(key);
  key = SAY(add("user", "k", "x", 1, SESSION));
  SAY(ctl(KEYCTL_SETPERM, key, 0x08000000, 0, 0));
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  SAY(ctl(KEYCTL_SETPERM, key, 0x3f3f0000, 0, 0));
  SAY(ctl(KEYCTL_UNLINK, key, SESSION, 0, 0));
  SAY(ctl(KEYCTL_UNLINK, key, SESSION, 0, 0));
  key = SAY(add("user", "l", "x", 1, SESSION));
  SAY(ctl(KEYCTL_CHOWN, key, 1000, 1000, 0));
  describe(key);
  SAY(ctl(KEYCTL_CHOWN, key, -1, -1, 0));
  long ring = SAY(add("keyring", "open", NULL, 0, SESSION));
  SAY(ctl(KEYCTL_SETPERM, ring, 0x3f3f3f3f, 0, 0));
  if (!fork()) {
    // Nobody else's keys count against the quota of this one.
    if (setgid(54321) || setuid(54321)) _exit(1);
    SAY(ctl(KEYCTL_CHOWN, ring, 54321, -1, 0));
    SAY(ctl(KEYCTL_SETPERM, ring, 0, 0, 0));
    describe(key);
    SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
    SAY(ctl(KEYCTL_GET_PERSISTENT, 0, SESSION, 0, 0));
    SAY(ctl(KEYCTL_GET_KEYRING_ID, USER, 0, 0, 0));
    describe(USER);
    char *big = calloc(1, 19000);
    SAY(add("user", "big", big, 19000, PROCESS));
    SAY(add("user", "bigger", big, 19000, PROCESS));
    SAY(add("user", "big", "x", 1, PROCESS));
    SAY(add("user", "bigger", big, 19000, PROCESS));
    int n = 0;
    char name[16];
    while (sprintf(name, "%d", n) && add("keyring", name, NULL, 0, PROCESS) >= 0) n++;
    printf("%d %s\n", n > 10, strerrorname_np(errno));
    _exit(fflush(stdout));
  }
  wait(NULL);
}

static void linking(void) {
  long a = SAY(add("keyring", "a", NULL, 0, SESSION)), b = SAY(add("keyring", "b", NULL, 0, a));
  long key = SAY(add("user", "k", "x", 1, b));
  SAY(ctl(KEYCTL_LINK, a, b, 0, 0));
  SAY(ctl(KEYCTL_LINK, a, a, 0, 0));
  SAY(ctl(KEYCTL_LINK, key, a, 0, 0));
  SAY(ctl(KEYCTL_LINK, key, a, 0, 0));
  SAY(ctl(KEYCTL_LINK, a, key, 0, 0));
  SAY(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"k", 0));
  SAY(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"nothing", 0));
  SAY(ctl(KEYCTL_SEARCH, SESSION, (long)"strange", (long)"k", 0));
  SAY(ctl(KEYCTL_SEARCH, key, (long)"user", (long)"k", 0));
  SAY(ctl(KEYCTL_SEARCH, a, (long)"keyring", (long)"b", PROCESS));
  members(PROCESS);
  SAY(ctl(KEYCTL_MOVE, key, a, SESSION, 0));
  SAY(ctl(KEYCTL_MOVE, key, a, SESSION, 0));
  SAY(ctl(KEYCTL_MOVE, key, b, SESSION, KEYCTL_MOVE_EXCL));
  SAY(ctl(KEYCTL_MOVE, key, b, SESSION, 4));
  SAY(ctl(KEYCTL_CLEAR, a, 0, 0, 0));
  SAY(ctl(KEYCTL_CLEAR, key, 0, 0, 0));
  members(a);
  members(SESSION);
  long chain = a;
  char name[8];
  for (int i = 0; i < 10; i++) {
    sprintf(name, "c%d", i);
    chain = add("keyring", name, NULL, 0, chain);
  }
  add("user", "deep", "x", 1, chain);
  SAY(request("user", "deep", NULL, 0));
  SAY(ctl(KEYCTL_LINK, chain, SESSION, 0, 0));
  SAY(request("user", "deep", NULL, 0));
  SAY(ctl(KEYCTL_RESTRICT_KEYRING, a, 0, 0, 0));
  SAY(add("user", "late", "x", 1, a));
  SAY(ctl(KEYCTL_RESTRICT_KEYRING, a, 0, 0, 0));
  SAY(ctl(KEYCTL_RESTRICT_KEYRING, key, 0, 0, 0));
}

static void dying(void) {
  long key = SAY(add("user", "k", "x", 1, SESSION));
  SAY(ctl(KEYCTL_REVOKE, key, 0, 0, 0));
  describe(key);
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  SAY(request("user", "k", NULL, 0));
  members(SESSION);
  key = SAY(add("user", "k", "x", 1, SESSION));
  members(SESSION);
  SAY(ctl(KEYCTL_SET_TIMEOUT, key, 1, 0, 0));
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  usleep(1200000);
  SAY(ctl(KEYCTL_READ, key, 0, 0, 0));
  describe(key);
  SAY(request("user", "k", NULL, 0));
  SAY(ctl(KEYCTL_SET_TIMEOUT, key, 0, 0, 0));
  key = SAY(add("user", "i", "x", 1, SESSION));
  SAY(ctl(KEYCTL_INVALIDATE, key, 0, 0, 0));
  describe(key);
  SAY(ctl(KEYCTL_REVOKE, SESSION, 0, 0, 0));
  SAY(add("user", "late", "x", 1, SESSION));
  SAY(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0));
  SAY(request("user", "made", NULL, SESSION));
  SAY(request("user", "made", "info", SESSION));
  members(SESSION);
  SAY(request("user", "made", "info", SESSION));
  SAY(add("user", "made", "x", 1, SESSION));
  SAY(request("user", "made", "info", THREAD));
  members(THREAD);
  SAY(request("strange", "x", "info", SESSION));
  SAY(request("user", "x", "info", -6));
}

int main(int argc, char **argv) {
  setbuf(stdout, NULL);
  const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"adding", adding}, {"special", special}, {"rights", rights}, {"linking", linking}, {"dying", dying}};
  ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
  for (unsigned i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++)
    if (!strcmp(argv[1], parts[i].name)) parts[i].run();
}
