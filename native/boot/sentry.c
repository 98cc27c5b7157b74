// Starts Node, the sentry, in the first root.
#include "boot.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>

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

/** Appends an argument that names a descriptor, which Node thereby inherits. */
static void add_fd(struct argv *argv, int fd, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_fd(struct argv *argv, int fd, const char *format, ...) {
  char prefix[256], text[300];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(prefix, sizeof prefix, format, arguments);
  va_end(arguments);
  snprintf(text, sizeof text, "%s%d", prefix, fd);
  add(argv, text);
  if (fcntl(fd, F_SETFD, 0)) die(NULL, "%s", text);
}

static void run_sentry(const struct options *options, const struct state *state, pid_t zygote, int init_fd) {
  static struct argv argv;
  char number[32];
  reset_signals();
  forbid_core_dumps();
  add(&argv, options->node);
  for (int i = 0; i < options->node_args; i++) add(&argv, options->node_arg[i]);
  add(&argv, options->script);
  add_fd(&argv, state->rootfs_tree, "--rootfs-fd=");
  for (int i = 0; i < options->binds; i++) {
    const struct bind *bind = &options->bind[i];
    add_fd(&argv, bind->tree, "%s%s:", bind->is_directory ? "--bind-fd=" : "--bind-file-fd=", bind->name);
  }
  if (state->proc >= 0) add_fd(&argv, state->proc, "--proc-fd=");
  if (state->memory >= 0) add_fd(&argv, state->memory, "--memory-fd=");
  if (state->sparse >= 0) add_fd(&argv, state->sparse, "--sparse-fd=");
  for (int i = 0; i < MACHINE_FILES; i++)
    if (state->machine[i] >= 0) add_fd(&argv, state->machine[i], "--machine-fd=%s:", MACHINE_FILE[i]);
  add_fd(&argv, state->slot0, "--slot0-fd=");
  snprintf(number, sizeof number, "--zygote-pid=%d", zygote);
  add(&argv, number);
  add_fd(&argv, state->control_sentry, "--control-fd=");
  if (state->ports_sentry >= 0) add_fd(&argv, state->ports_sentry, "--ports-fd=");
  if (state->background) add(&argv, "--background=1");
  add_fd(&argv, init_fd, "--init-fd=");
  add_fd(&argv, options->spec_fd, "--spec-fd=");
  if (options->log_fd >= 0) add_fd(&argv, options->log_fd, "--log-fd=");
  if (options->sync_fd >= 0) add_fd(&argv, options->sync_fd, "--sync-fd=");
  if (state->listener >= 0) add_fd(&argv, state->listener, "--listen-fd=");
  for (int i = 0; i < options->passed_count; i++)
    add_fd(&argv, options->passed[i].fd, "--pass-fd=%d:", options->passed[i].inside);
  // No argument: the spec names it.
  if (options->trace_fd >= 0 && fcntl(options->trace_fd, F_SETFD, 0)) die(NULL, "the descriptor of the trace");
  for (int i = 0; i < 3; i++)
    if (state->stdio[i] >= 0) add_fd(&argv, state->stdio[i], "--stdio-fd=%d:", i);
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
