// The host calls that the sentry makes besides Node's own: a table, one trampoline, no generic syscall().
// Each stands in the sentry's allow-list in syscall-tables/ under the same name.
//
// A signature says what JavaScript passes, letter by letter, and how it becomes a register:
//   i  int (32 bits)                 l  64 bits
//   s  byte string (latin1) -> NUL-terminated, at most PATH_MAX
//   p  arena offset -> pointer to a structure of at most ARENA_GUARD bytes; -1 is NULL
//   b  arena offset and length -> pointer, length (two registers)
//   k  nothing: the next constant of the entry
// The result is what the host returned, or -errno; -EINVAL also for arguments of the wrong kind or range.
#include "addon.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// Younger than the headers of the oldest supported distribution.
enum {
  NR_cachestat = 451,
  NR_fchmodat2 = 452,
  NR_setxattrat = 463,
  NR_getxattrat = 464,
  NR_listxattrat = 465,
  NR_removexattrat = 466
};

struct host_call {
  const char *name;
  u32 nr;
  const char *signature;
  s64 constant[2];
};

static const struct host_call CALLS[] = {
    // files by descriptor
    {"read", SYS_read, "ib", {0}},
    {"write", SYS_write, "ib", {0}},
    {"pread64", SYS_pread64, "ibl", {0}},
    {"pwrite64", SYS_pwrite64, "ibl", {0}},
    {"lseek", SYS_lseek, "ili", {0}},
    {"fstat", SYS_fstat, "ip", {0}},
    {"fstatfs", SYS_fstatfs, "ip", {0}},
    {"getdents64", SYS_getdents64, "ib", {0}},
    {"ftruncate", SYS_ftruncate, "il", {0}},
    {"fallocate", SYS_fallocate, "iill", {0}},
    {"fsync", SYS_fsync, "i", {0}},
    {"fdatasync", SYS_fdatasync, "i", {0}},
    {"syncfs", SYS_syncfs, "i", {0}},
    {"sync_file_range", SYS_sync_file_range, "illi", {0}},
    {"cachestat", NR_cachestat, "ippk", {0}},
    {"fchmod", SYS_fchmod, "ii", {0}},
    {"fsetxattr", SYS_fsetxattr, "isbi", {0}},
    {"fgetxattr", SYS_fgetxattr, "isb", {0}},
    {"flistxattr", SYS_flistxattr, "ib", {0}},
    {"fremovexattr", SYS_fremovexattr, "is", {0}},
    {"flock", SYS_flock, "ii", {0}},
    {"fcntl", SYS_fcntl, "iil", {0}},
    {"memfd_create", SYS_memfd_create, "si", {0}},
    // files by directory and name
    {"newfstatat", SYS_newfstatat, "ispi", {0}},
    {"statx", SYS_statx, "isiip", {0}},
    {"readlinkat", SYS_readlinkat, "isb", {0}},
    {"mkdirat", SYS_mkdirat, "isi", {0}},
    {"unlinkat", SYS_unlinkat, "isi", {0}},
    {"mknodat", SYS_mknodat, "isil", {0}},
    {"symlinkat", SYS_symlinkat, "sis", {0}},
    {"linkat", SYS_linkat, "isisi", {0}},
    {"renameat2", SYS_renameat2, "isisi", {0}},
    {"fchmodat2", NR_fchmodat2, "isii", {0}},
    {"fchownat", SYS_fchownat, "isiii", {0}},
    {"utimensat", SYS_utimensat, "ispi", {0}},
    {"utimensat_fd", SYS_utimensat, "ikpk", {0, 0}},
    {"listxattrat", NR_listxattrat, "isib", {0}},
    {"removexattrat", NR_removexattrat, "isis", {0}},
    // processes
    {"pidfd_open", SYS_pidfd_open, "ii", {0}},
    {"pidfd_send_signal", SYS_pidfd_send_signal, "iikk", {0, 0}},
    {"tgkill", SYS_tgkill, "iii", {0}},
    {"sched_getaffinity", SYS_sched_getaffinity, "ilp", {0}},
    // sockets: inherited ones, and those of net.c
    {"recv", SYS_recvfrom, "ibikk", {0, 0}},
    {"send", SYS_sendto, "ibikk", {0, 0}},
    {"shutdown", SYS_shutdown, "ii", {0}},
    {"getsockname", SYS_getsockname, "ipp", {0}},
    {"getpeername", SYS_getpeername, "ipp", {0}},
    {"getsockopt", SYS_getsockopt, "iiipp", {0}},
    {"setsockopt", SYS_setsockopt, "iiib", {0}},
    {"bind", SYS_bind, "ib", {0}},
    {"connect", SYS_connect, "ib", {0}},
    {"listen", SYS_listen, "ii", {0}},
    {"siocoutq", SYS_ioctl, "ikp", {TIOCOUTQ}},
    {"siocatmark", SYS_ioctl, "ikp", {SIOCATMARK}},
    // the control socket
    {"accept4", SYS_accept4, "ikki", {0, 0}},
    // terminals and pipes: single requests, no generic ioctl
    {"tcgets", SYS_ioctl, "ikp", {TCGETS}},
    {"tcsetsw", SYS_ioctl, "ikp", {TCSETSW}},
    {"tiocgwinsz", SYS_ioctl, "ikp", {TIOCGWINSZ}},
    {"fionread", SYS_ioctl, "ikp", {FIONREAD}},
    // the machine
    {"getrandom", SYS_getrandom, "bi", {0}},
    {"clock_getres", SYS_clock_getres, "ip", {0}},
    {"sysinfo", SYS_sysinfo, "p", {0}},
};

/** Reads argument `index` as a byte string into buffer. 0, -EINVAL or -ENAMETOOLONG. */
static int get_string(napi_env env, const struct arguments *a, size_t index, char buffer[PATH_MAX + 2]) {
  size_t length;
  if (napi_get_value_string_latin1(env, a->value[index], buffer, PATH_MAX + 2, &length) != napi_ok) return -EINVAL;
  if (length >= PATH_MAX) return -ENAMETOOLONG;
  return memchr(buffer, 0, length) ? -EINVAL : 0;
}

/** Arena offset in argument `index`, for a structure that the guard behind the arena can hold. */
static bool get_pointer(napi_env env, const struct arguments *a, size_t index, void **pointer) {
  s64 offset;
  if (!get_number(env, a, index, &offset)) return false;
  *pointer = offset == -1 ? NULL : arena_range(offset, 1);
  return offset == -1 || *pointer;
}

/** Offset in argument `index`, length in the next. */
static bool get_range(napi_env env, const struct arguments *a, size_t index, void **pointer, s64 *length) {
  s64 offset;
  if (!get_number(env, a, index, &offset) || !get_number(env, a, index + 1, length)) return false;
  *pointer = offset == -1 && *length == 0 ? NULL : arena_range(offset, *length);
  return *pointer || (offset == -1 && *length == 0);
}

/** Interrupted calls are made again: a signal here is only the doorbell's tick. */
static s64 retry(u32 nr, const u64 *r) {
  s64 result;
  do { result = result_of(syscall(nr, r[0], r[1], r[2], r[3], r[4], r[5])); } while (result == -EINTR);
  return result;
}

static s64 make_call(napi_env env, const struct host_call *call, const struct arguments *a) {
  char strings[2][PATH_MAX + 2];
  u64 reg[8] = {0};
  size_t argument = 0, used_strings = 0, used_constants = 0, n = 0;
  for (const char *letter = call->signature; *letter; letter++) {
    s64 number;
    void *pointer;
    int result;
    switch (*letter) {
    case 'i':
      if (!get_int(env, a, argument++, &number)) return -EINVAL;
      reg[n++] = number;
      break;
    case 'l':
      if (!get_number(env, a, argument++, &number)) return -EINVAL;
      reg[n++] = number;
      break;
    case 's':
      result = get_string(env, a, argument++, strings[used_strings]);
      if (result) return result;
      reg[n++] = (u64)strings[used_strings++];
      break;
    case 'p':
      if (!get_pointer(env, a, argument++, &pointer)) return -EINVAL;
      reg[n++] = (u64)pointer;
      break;
    case 'b':
      if (!get_range(env, a, argument, &pointer, &number)) return -EINVAL;
      argument += 2;
      reg[n++] = (u64)pointer;
      reg[n++] = number;
      break;
    case 'k': reg[n++] = call->constant[used_constants++]; break;
    }
  }
  return retry(call->nr, reg);
}

static napi_value trampoline(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  return number_value(env, make_call(env, a.data, &a));
}

// ---- calls that need more than a row of the table ----

/** openat2(dirfd, path, flags, mode, resolve): O_CLOEXEC is always added. */
static napi_value host_openat2(napi_env env, napi_callback_info info) {
  struct arguments a;
  char path[PATH_MAX + 2];
  s64 dirfd, flags, mode, resolve;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &dirfd) || !get_number(env, &a, 2, &flags) || !get_number(env, &a, 3, &mode) ||
      !get_number(env, &a, 4, &resolve))
    return number_value(env, -EINVAL);
  int bad = get_string(env, &a, 1, path);
  if (bad) return number_value(env, bad);
  struct open_how how = {.flags = (u64)flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
  return number_value(env, retry(SYS_openat2, (u64[6]){dirfd, (u64)path, (u64)&how, sizeof how}));
}

/** close(fd): not repeated when interrupted, the descriptor is gone all the same. */
static napi_value host_close(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd)) return number_value(env, -EINVAL);
  s64 result = result_of(syscall(SYS_close, (int)fd));
  return number_value(env, result == -EINTR ? 0 : result);
}

/** preadv2 and pwritev2 with one buffer: (fd, offset, length, position or -1, RWF_ flags). */
static napi_value host_rwv2(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, length, position, flags;
  void *place;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd) || !get_range(env, &a, 1, &place, &length) || !get_number(env, &a, 3, &position) ||
      !get_number(env, &a, 4, &flags))
    return number_value(env, -EINVAL);
  struct iovec vector = {place, length};
  const struct host_call *call = a.data;
  return number_value(env, retry(call->nr, (u64[6]){fd, (u64)&vector, 1, position, 0, flags}));
}
static const struct host_call PREADV2 = {"preadv2", SYS_preadv2, "", {0}},
                              PWRITEV2 = {"pwritev2", SYS_pwritev2, "", {0}};

struct xattr_arguments {
  u64 value;
  u32 size, flags;
};

/** getxattrat and setxattrat: (dirfd, path, atFlags, name, offset, length[, flags]). */
static napi_value host_xattrat(napi_env env, napi_callback_info info) {
  struct arguments a;
  char path[PATH_MAX + 2], name[PATH_MAX + 2];
  s64 dirfd, at_flags, length, flags = 0;
  void *place;
  get_arguments(env, info, &a);
  const struct host_call *call = a.data;
  if (!get_int(env, &a, 0, &dirfd) || !get_number(env, &a, 2, &at_flags) || !get_range(env, &a, 4, &place, &length) ||
      (call->nr == NR_setxattrat && !get_number(env, &a, 6, &flags)))
    return number_value(env, -EINVAL);
  int bad = get_string(env, &a, 1, path);
  if (!bad) bad = get_string(env, &a, 3, name);
  if (bad) return number_value(env, bad);
  struct xattr_arguments arguments = {(u64)place, length, flags};
  return number_value(
      env, retry(call->nr, (u64[6]){dirfd, (u64)path, at_flags, (u64)name, (u64)&arguments, sizeof arguments}));
}
static const struct host_call GETXATTRAT = {"getxattrat", NR_getxattrat, "", {0}},
                              SETXATTRAT = {"setxattrat", NR_setxattrat, "", {0}};

/** poll(fd, events): what of the events is ready now, without waiting; or -errno. */
static napi_value host_poll(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, events;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd) || !get_number(env, &a, 1, &events)) return number_value(env, -EINVAL);
  struct pollfd entry = {fd, events, 0};
  s64 result = retry(SYS_poll, (u64[6]){(u64)&entry, 1, 0});
  return number_value(env, result < 0 ? result : entry.revents);
}

#define MAX_DESCRIPTORS 253

/**
 * receive(fd, offset, length, descriptors): recvmsg(2) without waiting, with the descriptors that came along. Their
 * number and they themselves (close-on-exec) go to an arena offset with room for 254 s32. Bytes, 0 at the end, -errno.
 */
static napi_value host_receive(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, length, at;
  void *place;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
  } control;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd) || !get_range(env, &a, 1, &place, &length) || !get_number(env, &a, 3, &at))
    return number_value(env, -EINVAL);
  s32 *out = scratch_range(at, (1 + MAX_DESCRIPTORS) * sizeof *out);
  if (!out) return number_value(env, -EINVAL);
  struct iovec vector = {place, length};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  s64 result = retry(SYS_recvmsg, (u64[6]){fd, (u64)&message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC});
  out[0] = 0;
  struct cmsghdr *header = result > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    out[0] = (s32)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(out + 1, CMSG_DATA(header), out[0] * sizeof(int));
  }
  return number_value(env, result);
}

/** clock_gettime(clock): ns, exact up to 2^53, or -EINVAL. */
static napi_value host_clock_gettime(napi_env env, napi_callback_info info) {
  struct arguments a;
  struct timespec time;
  s64 clock;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &clock)) return number_value(env, -EINVAL);
  int result = clock_gettime(clock, &time);
  return number_value(env, result ? -errno : time.tv_sec * 1000000000l + time.tv_nsec);
}

/** exit(status): at once, nothing of Node runs any more. */
static napi_value host_exit(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 status = 1;
  get_arguments(env, info, &a);
  get_number(env, &a, 0, &status);
  _exit(status);
}

void host_exports(napi_env env, napi_value exports) {
  for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
    export_method(env, exports, CALLS[i].name, trampoline, (void *)&CALLS[i]);
  export_method(env, exports, "openat2", host_openat2, NULL);
  export_method(env, exports, "close", host_close, NULL);
  export_method(env, exports, "preadv2", host_rwv2, (void *)&PREADV2);
  export_method(env, exports, "pwritev2", host_rwv2, (void *)&PWRITEV2);
  export_method(env, exports, "getxattrat", host_xattrat, (void *)&GETXATTRAT);
  export_method(env, exports, "setxattrat", host_xattrat, (void *)&SETXATTRAT);
  export_method(env, exports, "poll", host_poll, NULL);
  export_method(env, exports, "receive", host_receive, NULL);
  export_method(env, exports, "clock_gettime", host_clock_gettime, NULL);
  export_method(env, exports, "exit", host_exit, NULL);
  net_exports(env, exports);
}
