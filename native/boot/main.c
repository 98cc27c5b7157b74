// The outer process: takes apart the command line, makes the sandbox's namespaces, and stands for it towards
// the caller from then on.
#include "boot.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

// ---- command line ---------------------------------------------------------------------------------

static void __attribute__((noreturn)) usage(const char *message, const char *argument) {
  errno = 0;
  die("this program is started by cloister itself; see native/boot/main.c for its options.", "boot: %s: %s", message,
      argument);
}

/** The value if argument is --name=value, else NULL. */
static char *option_value(char *argument, const char *name) {
  size_t length = strlen(name);
  return !strncmp(argument, name, length) && argument[length] == '=' ? argument + length + 1 : NULL;
}

static int parse_fd(const char *text) {
  char *end;
  long fd = strtol(text, &end, 10);
  if (*end || end == text || fd < 0 || fcntl((int)fd, F_GETFD) < 0) usage("not an open descriptor", text);
  return (int)fd;
}

/** NAME:SRC[:ro] */
static void parse_bind(struct options *options, char *text) {
  char *colon = strchr(text, ':');
  if (!colon || options->binds == MAX_BINDS) usage("bad --bind, or too many", text);
  struct bind *bind = &options->bind[options->binds++];
  size_t length = strlen(colon + 1);
  bind->name = text;
  bind->source = colon + 1;
  bind->read_only = length > 3 && !strcmp(colon + 1 + length - 3, ":ro");
  if (bind->read_only) colon[1 + length - 3] = 0;
  *colon = 0;
  bind->view = -1;
}

/** NAME:DESTINATION, of a bind that was named before. */
static void parse_destination(struct options *options, char *text) {
  char *colon = strchr(text, ':');
  if (!colon) usage("bad --bind-destination", text);
  *colon = 0;
  for (int i = 0; i < options->binds; i++)
    if (!strcmp(options->bind[i].name, text)) options->bind[i].destination = colon + 1;
}

/** inside:outside:count */
static void parse_map(struct id_map *maps, int *count, const char *text) {
  struct id_map *map = &maps[*count];
  char rest;
  if (*count == MAX_ID_MAPS || sscanf(text, "%u:%u:%u%c", &map->inside, &map->outside, &map->count, &rest) != 3)
    usage("bad id map, or too many", text);
  (*count)++;
}

/** inside:outside:count, with the name of a bind before it, for its ids on disk. */
static struct id_maps *maps_of(struct options *options, char **text) {
  char *colon = strchr(*text, ':');
  if (!colon) usage("bad map of a bind", *text);
  *colon = 0;
  for (int i = 0; i < options->binds; i++) {
    struct bind *bind = &options->bind[i];
    if (strcmp(bind->name, *text)) continue;
    if (!bind->ids && !(bind->ids = calloc(1, sizeof *bind->ids))) die(NULL, "out of memory");
    *text = colon + 1;
    return bind->ids;
  }
  usage("a map of no bind", *text);
}

static void parse_mount_point(struct options *options, const char *path, bool is_directory) {
  if (options->mount_points == MAX_MOUNT_POINTS) usage("too many mount points", path);
  options->mount_point[options->mount_points++] = (struct mount_point){path, is_directory};
}

/** FILE[:DEST]; both are absolute. */
static void parse_runtime(struct options *options, char *text) {
  if (options->runtime_files == MAX_RUNTIME) usage("too many --runtime", text);
  struct runtime_file *file = &options->runtime[options->runtime_files++];
  file->source = file->destination = text;
  for (char *p = text; (p = strstr(p, ":/")); p++) file->destination = p + 1;
  if (file->destination != text) ((char *)file->destination)[-1] = 0;
}

/** INSIDE:FD */
static void parse_passed(struct options *options, char *text) {
  char *colon = strchr(text, ':');
  if (!colon || options->passed_count == MAX_PASSED) usage("bad --pass-fd, or too many", text);
  *colon = 0;
  options->passed[options->passed_count++] = (struct passed){.fd = parse_fd(colon + 1), .inside = atoi(text)};
}

void parse_options(struct options *options, char **argv) {
  options->spec_fd = options->log_fd = options->trace_fd = options->sync_fd = -1;
  options->hostname = "cloister";
  options->victim = USUAL_VICTIM;
  options->netns = "none";
  for (int i = 1; argv[i]; i++) {
    char *value;
    if ((value = option_value(argv[i], "--rootfs"))) options->rootfs = value;
    else if ((value = option_value(argv[i], "--rootfs-ro"))) options->rootfs_read_only = !strcmp(value, "1");
    else if ((value = option_value(argv[i], "--bind"))) parse_bind(options, value);
    else if ((value = option_value(argv[i], "--bind-destination"))) parse_destination(options, value);
    else if ((value = option_value(argv[i], "--bind-uidmap"))) {
      struct id_maps *maps = maps_of(options, &value);
      parse_map(maps->uid, &maps->uids, value);
    } else if ((value = option_value(argv[i], "--bind-gidmap"))) {
      struct id_maps *maps = maps_of(options, &value);
      parse_map(maps->gid, &maps->gids, value);
    } else if ((value = option_value(argv[i], "--bind-map-all"))) maps_of(options, &value)->recursive = true;
    else if ((value = option_value(argv[i], "--mount-point"))) parse_mount_point(options, value, true);
    else if ((value = option_value(argv[i], "--mount-point-file"))) parse_mount_point(options, value, false);
    else if ((value = option_value(argv[i], "--runtime"))) parse_runtime(options, value);
    else if ((value = option_value(argv[i], "--stub"))) options->stub = value;
    else if ((value = option_value(argv[i], "--spec-fd"))) options->spec_fd = parse_fd(value);
    else if ((value = option_value(argv[i], "--log-fd"))) options->log_fd = parse_fd(value);
    else if ((value = option_value(argv[i], "--trace-fd"))) options->trace_fd = parse_fd(value);
    else if ((value = option_value(argv[i], "--node"))) options->node = value;
    else if ((value = option_value(argv[i], "--script"))) options->script = value;
    else if ((value = option_value(argv[i], "--hostname"))) options->hostname = value;
    else if ((value = option_value(argv[i], "--netns"))) options->netns = value;
    else if ((value = option_value(argv[i], "--uidmap"))) parse_map(options->uid_map, &options->uid_maps, value);
    else if ((value = option_value(argv[i], "--gidmap"))) parse_map(options->gid_map, &options->gid_maps, value);
    else if ((value = option_value(argv[i], "--caps"))) options->capabilities = strtoull(value, NULL, 16);
    else if ((value = option_value(argv[i], "--control-directory"))) options->control_directory = value;
    else if ((value = option_value(argv[i], "--console-socket"))) options->console_socket = value;
    else if ((value = option_value(argv[i], "--sync-fd"))) options->sync_fd = parse_fd(value);
    else if ((value = option_value(argv[i], "--pass-fd"))) parse_passed(options, value);
    else if ((value = option_value(argv[i], "--launcher"))) options->launcher = atoi(value);
    else if ((value = option_value(argv[i], "--join")) && options->joined_count < MAX_JOINED)
      options->joined[options->joined_count++] = value;
    else if ((value = option_value(argv[i], "--cgroup")) && options->cgroups < MAX_CGROUPS)
      options->cgroup[options->cgroups++] = value;
    else if ((value = option_value(argv[i], "--victim"))) options->victim = atoi(value);
    else if ((value = option_value(argv[i], "--oom-score"))) options->oom_score = value;
    else if (!strcmp(argv[i], "--traced")) options->traced = true;
    else if (!strcmp(argv[i], "--hooks")) options->hooks = true;
    else if (!strcmp(argv[i], "--exec")) options->is_exec = true;
    else if (!strcmp(argv[i], "--remove")) options->remove = true;
    else if (!strcmp(argv[i], "--new-session")) options->new_session = true;
    else if ((value = option_value(argv[i], "--node-arg")) && options->node_args < MAX_NODE_ARG)
      options->node_arg[options->node_args++] = value;
    else usage("unknown option", argv[i]);
  }
}

static void check_options(const struct options *options) {
  if (options->hooks && options->sync_fd < 0) usage("missing option", "--sync-fd");
  if (options->spec_fd < 0) usage("missing option", "--spec-fd");
  if (options->is_exec) {
    if (!options->control_directory) usage("missing option", "--control-directory");
    return;
  }
  if (!options->rootfs) usage("missing option", "--rootfs");
  if (!options->stub) usage("missing option", "--stub");
  if (!options->node) usage("missing option", "--node");
  if (!options->script) usage("missing option", "--script");
}

// ---- descriptors ----------------------------------------------------------------------------------

static void close_between(unsigned first, unsigned last) {
  if (first <= last && syscall(SYS_close_range, first, last, 0)) die("Linux 5.9 or newer is needed.", "close_range");
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/** Closes everything above 2 but these. */
void close_others(const int *keep, size_t count) {
  int sorted[MAX_BINDS + MAX_PASSED];
  unsigned from = 3;
  memcpy(sorted, keep, count * sizeof *keep);
  qsort(sorted, count, sizeof *sorted, by_number);
  for (size_t i = 0; i < count; i++) {
    if (sorted[i] < 3) continue;
    close_between(from, sorted[i] - 1);
    from = sorted[i] + 1;
  }
  close_between(from, ~0u);
}

int open_null(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) die(NULL, "/dev/null");
  return null;
}

void keep_only(int null, const int *keep, size_t count) {
  if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || (message_fd != 2 && dup2(null, 2) < 0))
    die(NULL, "cannot let go of the standard streams");
  close_others(keep, count);
}

/** Nothing that the caller happened to have open may reach the sandbox. */
static void close_strange_descriptors(const struct options *options) {
  int keep[MAX_PASSED + 4] = {options->spec_fd, options->log_fd, options->trace_fd, options->sync_fd}, count = 4;
  for (int i = 0; i < options->passed_count; i++) keep[count++] = options->passed[i].fd;
  close_others(keep, count);
  for (int i = 0; i < count; i++)
    if (keep[i] >= 3 && fcntl(keep[i], F_SETFD, FD_CLOEXEC)) die(NULL, "descriptor %d", keep[i]);
}

/** Standard descriptors that are closed would be taken by something else. */
static void fill_standard_descriptors(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) die(NULL, "/dev/null");
}

/**
 * A non-blocking double of a pipe or terminal. O_NONBLOCK belongs to the open file, which we share with the
 * caller and its other children, so it is opened again.
 */
int double_stream(int fd) {
  struct stat status;
  char path[32];
  if (fstat(fd, &status) || !(S_ISFIFO(status.st_mode) || isatty(fd))) return -1;
  int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY); // -1: somebody else's terminal; the sentry does without
}

#define NR_MFD_EXEC 0x10u // MFD_EXEC, Linux 6.3

int copy_stub(const char *path) {
  int from = open(path, O_RDONLY | O_CLOEXEC);
  if (from < 0) die("build it first: npm run build", "the stub %s", path);
  int to = memfd_create("stub", MFD_CLOEXEC | NR_MFD_EXEC);
  if (to < 0) to = memfd_create("stub", MFD_CLOEXEC);
  if (to < 0) die(NULL, "memfd_create");
  char data[16384];
  ssize_t length;
  while ((length = read(from, data, sizeof data)) > 0)
    if (write(to, data, length) != length) die(NULL, "cannot copy the stub");
  if (length < 0) die(NULL, "cannot read the stub %s", path);
  close(from);
  // A descriptor that was opened for writing cannot be executed.
  char name[32];
  snprintf(name, sizeof name, "/proc/self/fd/%d", to);
  int executable = open(name, O_RDONLY | O_CLOEXEC);
  if (executable < 0) die("/proc must be mounted where cloister is started.", "cannot open the stub");
  close(to);
  return executable;
}

int make_slot0(void) {
  int fd = memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, SLOT_SIZE) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
    die(NULL, "cannot make the first slot");
  return fd;
}

/** Whether the terminal is somebody else's now: a job in the background leaves it alone. */
static bool in_background(int terminal) {
  pid_t foreground = terminal < 0 ? -1 : tcgetpgrp(terminal);
  return foreground > 0 && foreground != getpgrp();
}

static void open_all(const struct options *options, struct state *state) {
  state->terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  state->background = in_background(state->terminal);
  for (int fd = 0; fd < 3; fd++) state->stdio[fd] = double_stream(fd);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) die(NULL, "cannot make the control channel");
  state->control_outer = pair[0];
  state->control_sentry = pair[1];
  state->ports_outer = state->ports_sentry = -1;
  if (!strcmp(options->netns, "host")) open_ports(state);
  state->listener = options->control_directory ? listen_control(options->control_directory) : -1;
}

// ---- namespaces -----------------------------------------------------------------------------------

unsigned long network_namespace(const struct options *options, struct state *state) {
  if (!strcmp(options->netns, "host")) return 0;
  if (!strcmp(options->netns, "none")) {
    // Hooks and clients look for a container's network at the process that they know, which is this one.
    if (options->control_directory && can_mount()) {
      if (unshare(CLONE_NEWNET)) die(NULL, "cannot make a network namespace");
      loopback_up();
      free_network();
      return 0;
    }
    state->own_network = true;
    return CLONE_NEWNET;
  }
  struct stat own, joined;
  bool known = !stat("/proc/self/ns/net", &own);
  int fd = open(options->netns, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET))
    die("it must be a network namespace that the caller may join.", "the network namespace %s", options->netns);
  // A container's own one, or its pod's. The caller's stays as it is.
  if (known && !fstat(fd, &joined) && own.st_ino != joined.st_ino) free_network();
  close(fd);
  return 0;
}

pid_t clone_init(unsigned long network) {
  unsigned long namespaces =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | network;
  pid_t pid = syscall(SYS_clone, SIGCHLD | namespaces, 0, 0, 0, 0);
  if (pid >= 0) return pid;
  if (errno == EPERM)
    die("user namespaces are switched off here: sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile; in "
        "a container, its seccomp profile.",
        "cannot make the sandbox's namespaces");
  if (errno == ENOSPC)
    die("too few namespaces are allowed: sysctl user.max_user_namespaces=15000 (also max_mnt_, max_pid_, "
        "max_net_namespaces).",
        "cannot make the sandbox's namespaces");
  if (errno == EINVAL)
    die("the kernel needs user, pid, network, ipc, uts and cgroup namespaces.", "cannot make the sandbox's namespaces");
  die(NULL, "cannot make the sandbox's namespaces");
}

// ---- standing for the sandbox ---------------------------------------------------------------------

/** All signals that can be forwarded; the others kill, stop or report a fault of our own. */
sigset_t forwarded_signals(void) {
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPIPE};
  sigset_t set;
  sigfillset(&set);
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) sigdelset(&set, own[i]);
  return set;
}

static void leave_if_gone(const struct options *options, pid_t init) {
  int status;
  pid_t gone;
  // The command line may have been our child, too.
  while ((gone = waitpid(-1, &status, WNOHANG)) != init)
    if (gone <= 0) return;
  if (options->remove) remove_container(options);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGSYS) name_forbidden_call();
  if (WIFEXITED(status)) exit(WEXITSTATUS(status));
  say("the sandbox was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  exit(128 + WTERMSIG(status));
}

static void forward(const struct options *options, const struct state *state, int signals, pid_t init) {
  struct signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGCHLD) {
    leave_if_gone(options, init);
    return;
  }
  unsigned char number = info.ssi_signo;
  if (number == SIGCONT && in_background(state->terminal)) number |= CONTROL_BACKGROUND;
  // A full channel means a sentry that does not listen; then only SIGKILL helps, which needs no forwarding.
  send(state->control_outer, &number, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/** A program reads the terminal. In the background that stops the job, as SIGTTIN would. */
static void want_terminal(const struct state *state) {
  unsigned char number = SIGCONT;
  if (in_background(state->terminal)) kill(getpid(), SIGSTOP); // what comes after it is forwarded
  else send(state->control_outer, &number, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void stand_for_sandbox(const struct options *options, const struct state *state, int signals, pid_t init) {
  struct pollfd poll_set[3] = {
      {signals, POLLIN, 0}, {state->control_outer, POLLIN, 0}, {state->ports_outer, POLLIN, 0}};
  for (;;) {
    if (poll(poll_set, 3, -1) < 0) continue;
    if (poll_set[0].revents) forward(options, state, signals, init);
    if (poll_set[2].revents & POLLIN) bind_port(state);
    else if (poll_set[2].revents) poll_set[2].fd = -1;
    if (!poll_set[1].revents) continue;
    char request;
    ssize_t length = recv(state->control_outer, &request, 1, MSG_DONTWAIT);
    if (length == 1 && request == CONTROL_STOP) kill(getpid(), SIGSTOP); // the sandbox's job was stopped: so are we
    else if (length == 1 && request == CONTROL_TERMINAL) want_terminal(state);
    else if (length == 1 && request == CONTROL_READY) enter_view(options, state, init);
    else if (length == 0) poll_set[1].fd = -1;
  }
}

static struct options options;

static void remove_this_container(void) { remove_container(&options); }

/** The sandbox that was begun ahead gets its files and what else is its own. Returns its init. */
static pid_t complete_head_start(struct state *state) {
  options.runtime_files = 0; // it has them
  take_trees(&options, state);
  if (options.victim > USUAL_VICTIM) {
    char zygote[16];
    snprintf(zygote, sizeof zygote, "%d", zygote_of(head_start.init));
    raise_oom_score(zygote, options.victim - USUAL_VICTIM); // what it forks is still to come
  }
  tell_late(&options, state, head_start.late);
  return head_start.init;
}

static pid_t start_init(struct state *state, unsigned long network) {
  state->stub = copy_stub(options.stub);
  state->slot0 = make_slot0();
  if (pipe2(state->sync, O_CLOEXEC)) die(NULL, "cannot make the control channel");
  // With the caller's own right to mount: an id map that leaves the caller out would close paths to the sandbox's root.
  if (can_mount()) take_trees(&options, state);
  pid_t init = clone_init(network);
  if (!init) {
    before_death = NULL;
    close(state->sync[1]);
    close(state->control_outer);
    if (state->ports_outer >= 0) close(state->ports_outer);
    run_init(&options, state);
  }
  close(state->sync[0]);
  if (options.remove) join_cgroups(&options, init);
  write_maps(&options, init);
  return init;
}

int main(int argc, char **argv) {
  static struct state state;
  state.late = -1;
  if (argc > 1 && !strcmp(argv[1], "--enter")) enter_and_execute(argv + 2);
  if (argc > 1 && !strcmp(argv[1], "--datagram")) send_datagram(argv + 2);
  fill_standard_descriptors();
  if (argc > 3 && !strcmp(argv[1], "--front")) argv = stand_before_command_line(argv + 2, &state);
  parse_options(&options, argv);
  check_options(&options);
  bool ahead = head_start_fits(&options);
  if (!ahead) {
    abandon_head_start(&options);
    close_strange_descriptors(&options);
  }
  umask(022);
  sigset_t forwarded = forwarded_signals();
  sigprocmask(SIG_SETMASK, &forwarded, NULL);
  if (options.sync_fd >= 0) message_fd = options.sync_fd;
  if (options.new_session) setsid(); // whoever made the container goes away
  if (options.remove) before_death = remove_this_container;
  if (options.console_socket) open_console(options.console_socket);
  if (options.is_exec) stand_for_program(&options);
  if (!options.remove) join_cgroups(&options, 0);
  default_maps(&options);
  open_all(&options, &state);
  own_namespaces(&options);
  pid_t init;
  if (ahead) {
    init = complete_head_start(&state);
  } else {
    unsigned long network = network_namespace(&options, &state);
    wait_for_hooks(&options);
    init = start_init(&state, network);
  }
  int signals = signalfd(-1, &forwarded, SFD_CLOEXEC);
  if (signals < 0) die(NULL, "signalfd");
  if (options.log_fd >= 0 && options.sync_fd >= 0) message_fd = options.log_fd;
  int keep[MAX_BINDS + 7] = {state.sync[1], state.control_outer, signals, message_fd, state.terminal}, count = 5;
  keep[count++] = state.ports_outer;
  count += keep_view(&options, &state, keep + count);
  keep_only(open_null(), keep, count);
  if (!ahead && write(state.sync[1], "", 1) != 1) die(NULL, "the sandbox did not start");
  stand_for_sandbox(&options, &state, signals, init);
}
