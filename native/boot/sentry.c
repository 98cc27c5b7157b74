// Starts Node, the sentry, in the first root.
#include "boot.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/**
 * io_uring is gone before Node starts: a ring bypasses seccomp, so it must not exist when the sentry's real
 * filter comes, and libuv aborts if it is refused after it was offered.
 */
static void forbid_io_uring(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
    die("the kernel needs CONFIG_SECCOMP_FILTER.", "cannot install the first filter");
}

#define MAX_ARGV (MAX_BINDS + MAX_NODE_ARG + MAX_PASSED + 24)
struct argv {
  char *value[MAX_ARGV];
  int count;
};

static void add(struct argv *argv, const char *text) {
  if (argv->count + 1 >= MAX_ARGV || !(argv->value[argv->count++] = strdup(text))) die(NULL, "too many arguments");
  argv->value[argv->count] = NULL;
}

/** Takes an argument that names a descriptor at its end, or with -1 one that does not. */
typedef void take_argument(void *to, int fd, const char *text);

/** Appends it to a command line; Node thereby inherits the descriptor. */
static void add_inherited(void *to, int fd, const char *text) {
  char argument[300];
  if (fd < 0) return add(to, text);
  snprintf(argument, sizeof argument, "%s%d", text, fd);
  add(to, argument);
  if (fcntl(fd, F_SETFD, 0)) die(NULL, "%s", argument);
}

#define LATE_TEXT 65536
struct late {
  char text[LATE_TEXT];
  size_t used;
  int fd[MAX_PASSED], count;
};

/** Appends it to a message, with the descriptor beside the text. */
static void add_late(void *to, int fd, const char *text) {
  struct late *late = to;
  size_t length = strlen(text) + 1;
  if (late->used + length > LATE_TEXT || late->count == MAX_PASSED) die(NULL, "too many arguments");
  memcpy(late->text + late->used, text, length);
  late->used += length;
  if (fd >= 0) late->fd[late->count++] = fd;
}

static void take_numbered(take_argument *take, void *to, int fd, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void take_numbered(take_argument *take, void *to, int fd, const char *format, ...) {
  char prefix[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(prefix, sizeof prefix, format, arguments);
  va_end(arguments);
  take(to, fd, prefix);
}

/** What does not depend on what the sandbox is for. */
static void fixed_arguments(const struct options *options, const struct state *state, pid_t zygote, int init_fd,
                            struct argv *argv) {
  char number[32];
  add(argv, options->node);
  for (int i = 0; i < options->node_args; i++) add(argv, options->node_arg[i]);
  add(argv, options->script);
  if (state->proc >= 0) add_inherited(argv, state->proc, "--proc-fd=");
  if (state->memory >= 0) add_inherited(argv, state->memory, "--memory-fd=");
  if (state->sparse >= 0) add_inherited(argv, state->sparse, "--sparse-fd=");
  for (int i = 0; i < MACHINE_FILES; i++)
    if (state->machine[i] >= 0)
      take_numbered(add_inherited, argv, state->machine[i], "--machine-fd=%s:", MACHINE_FILE[i]);
  add_inherited(argv, state->slot0, "--slot0-fd=");
  snprintf(number, sizeof number, "--zygote-pid=%d", zygote);
  add(argv, number);
  add_inherited(argv, init_fd, "--init-fd=");
  if (options->traced) add(argv, "--traced=1");
}

/** What does. */
static void own_arguments(const struct options *options, const struct state *state, take_argument *take, void *to) {
  take(to, state->rootfs_tree, "--rootfs-fd=");
  for (int i = 0; i < options->binds; i++) {
    const struct bind *bind = &options->bind[i];
    take_numbered(take, to, bind->tree, "%s%s:", bind->is_directory ? "--bind-fd=" : "--bind-file-fd=", bind->name);
  }
  take(to, state->control_sentry, "--control-fd=");
  if (state->ports_sentry >= 0) take(to, state->ports_sentry, "--ports-fd=");
  if (state->background) take(to, -1, "--background=1");
  take(to, options->spec_fd, "--spec-fd=");
  if (options->log_fd >= 0) take(to, options->log_fd, "--log-fd=");
  if (options->sync_fd >= 0) take(to, options->sync_fd, "--sync-fd=");
  if (state->listener >= 0) take(to, state->listener, "--listen-fd=");
  for (int i = 0; i < options->passed_count; i++)
    take_numbered(take, to, options->passed[i].fd, "--pass-fd=%d:", options->passed[i].inside);
  for (int i = 0; i < 3; i++)
    if (state->stdio[i] >= 0) take_numbered(take, to, state->stdio[i], "--stdio-fd=%d:", i);
}

void tell_late(const struct options *options, const struct state *state, int socket) {
  static struct late late;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(MAX_PASSED * sizeof(int))];
  } control = {0};
  own_arguments(options, state, add_late, &late);
  struct iovec text = {late.text, late.used};
  size_t size = late.count * sizeof(int);
  struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(&control.header), late.fd, size);
  // The first byte is what the sentry waits for: it cannot wait for descriptors.
  if (send(socket, "", 1, MSG_NOSIGNAL) != 1 || sendmsg(socket, &message, MSG_NOSIGNAL) != (ssize_t)late.used)
    die(NULL, "the sandbox did not start");
  close(socket);
}

static void run_sentry(const struct options *options, const struct state *state, pid_t zygote, int init_fd) {
  static struct argv argv;
  reset_signals();
  forbid_core_dumps();
  fixed_arguments(options, state, zygote, init_fd, &argv);
  if (state->late >= 0) add_inherited(&argv, state->late, "--late-fd=");
  else own_arguments(options, state, add_inherited, &argv);
  // No argument: the spec names it.
  if (options->trace_fd >= 0 && fcntl(options->trace_fd, F_SETFD, 0)) die(NULL, "the descriptor of the trace");
  // Huge pages for what malloc maps: Node reads its snapshot into such memory, twice.
  char *envp[] = {"UV_USE_IO_URING=0", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1", "HOME=/", "PATH=/", NULL};
  limit_capabilities(options->capabilities);
  forbid_io_uring();
  execve(options->node, argv.value, envp);
  die("--runtime must name Node, its ELF interpreter and all its libraries.", "cannot start the sentry (%s)",
      options->node);
}

pid_t start_sentry(const struct options *options, const struct state *state, pid_t zygote, int init_fd) {
  pid_t pid = fork();
  if (pid < 0) die(NULL, "cannot start the sentry");
  if (!pid) run_sentry(options, state, zygote, init_fd);
  return pid;
}
