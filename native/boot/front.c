// Before the command line: for `do` and `run` this process is there first, has the command line as a child, and becomes
// the launcher when that says what to launch. So nobody waits until the host has taken the command line's memory apart,
// and the sandbox has a head start: while Node reads the configuration, its namespaces are made and the sentry's Node
// starts.
//
// What the head start needs to know beforehand is guessed, from the arguments and by a glance at config.json: nothing
// depends on a guess being right. When the command line has its say, all is compared, and what does not fit is thrown
// away: the sandbox is then made as if there had been no head start. Guessed cgroups are ones that were not there
// before, so they are ours to remove.
#include "boot.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FRONT_DESCRIPTOR 900 // far from those that a caller may want to pass on
#define MAX_CONFIG       (1 << 20)
#define MAX_HANDED       (4 << 20)

struct head_start head_start;

// ---- guesses --------------------------------------------------------------------------------------

static bool starts_with(const char *text, const char *start) { return !strncmp(text, start, strlen(start)); }

/** Whether one of these is among the arguments, alone or with a value. */
static bool has_argument(char **arguments, const char *const *names) {
  for (; *arguments; arguments++)
    for (const char *const *name = names; *name; name++)
      if (starts_with(*arguments, *name)) return true;
  return false;
}

static char *read_text(const char *path, size_t most) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return NULL;
  char *text = malloc(most + 1);
  ssize_t length, used = 0;
  while (text && (length = read(fd, text + used, most - used)) > 0) used += length;
  close(fd);
  if (text) text[used] = 0;
  return text;
}

/** The value of the first member of that name that is a string without escapes, in a copy; NULL: there is none. */
static char *string_member(const char *json, const char *name) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  const char *at = strstr(json, quoted);
  if (!at) return NULL;
  at += strlen(quoted);
  at += strspn(at, " \t\r\n:");
  if (*at++ != '"') return NULL;
  size_t length = strcspn(at, "\"\\");
  return at[length] == '"' ? strndup(at, length) : NULL;
}

/** A network namespace is named, and none by its path: it is to be a new one. */
static bool wants_own_network(const char *json) {
  const char *name = strstr(json, "\"network\"");
  if (!name) return false;
  const char *end = strchr(name, '}'), *begin = name;
  while (begin > json && *begin != '{') begin--;
  const char *path = strstr(begin, "\"path\"");
  return end && memmem(begin, name - begin, "\"type\"", 6) && (!path || path > end);
}

/** How the bundle's directory and the container's name stand among the arguments of `run`; false if not plainly. */
static bool find_bundle(char **arguments, const char **bundle, const char **id) {
  *bundle = ".";
  *id = NULL;
  for (; *arguments; arguments++) {
    if (!strcmp(*arguments, "-b") || !strcmp(*arguments, "--bundle") || !strcmp(*arguments, "--pid-file")) {
      if (!arguments[1]) return false;
      if (strcmp(*arguments, "--pid-file")) *bundle = arguments[1];
      arguments++;
    } else if (starts_with(*arguments, "--bundle=")) {
      *bundle = *arguments + strlen("--bundle=");
    } else if (**arguments != '-') {
      if (*id) return false;
      *id = *arguments;
    }
  }
  return *id && !strchr(*id, '/') && strcmp(*id, ".") && strcmp(*id, "..");
}

/** Whether this is the machine's root: others have no cgroups, and may not mount before they have namespaces. */
static bool is_root(void) {
  char *map = read_text("/proc/self/uid_map", 4096);
  unsigned inside, outside;
  bool whole = map && sscanf(map, "%u %u", &inside, &outside) == 2 && !inside && !outside;
  free(map);
  return whole && !geteuid() && can_mount();
}

// ---- guessed cgroups ------------------------------------------------------------------------------

static bool is_among(const char *cgroup, const struct options *options) {
  for (int i = 0; options && i < options->cgroups; i++)
    if (!strcmp(cgroup, options->cgroup[i])) return true;
  return false;
}

/** All but those that the options have. */
static void forget_cgroups(const struct options *options) {
  for (int i = 0; i < head_start.cgroups; i++)
    if (!is_among(head_start.cgroup[i], options)) rmdir(head_start.cgroup[i]);
  head_start.cgroups = 0;
}

/** A cpuset of version 1 takes nobody before it has CPUs and memory. */
static bool fill_cpuset(const char *directory) {
  static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, files[i]) >= (int)sizeof path) return false;
    char *own = read_text(path, 4096);
    bool empty = own && strspn(own, "\n") == strlen(own);
    free(own);
    if (!empty) continue;
    char above[PATH_MAX];
    if (snprintf(above, sizeof above, "%s/../%s", directory, files[i]) >= (int)sizeof above) return false;
    char *text = read_text(above, 4096);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = text && fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    free(text);
    if (!done) return false;
  }
  return true;
}

/** Makes a cgroup that must not have been there. */
static bool make_cgroup(const char *mount_point, const char *own, const char *path, const char *controllers) {
  char directory[PATH_MAX];
  const char *above = *path == '/' ? "" : own;
  const char *gap = *path == '/' || above[strlen(above) - 1] == '/' ? "" : "/";
  if (snprintf(directory, sizeof directory, "%s%s%s%s", mount_point, above, gap, path) >= (int)sizeof directory ||
      head_start.cgroups == MAX_CGROUPS || mkdir(directory, 0755))
    return false;
  if (!(head_start.cgroup[head_start.cgroups] = strdup(directory))) return false;
  head_start.cgroups++;
  return strcmp(controllers, "cpuset") || fill_cpuset(directory);
}

/** Our cgroup in the hierarchy of these controllers, as it is seen below a mount that shows it from `root` on. */
static char *own_cgroup(const char *own, const char *controllers, const char *root) {
  for (const char *line = own; line && *line; line = strchr(line, '\n'), line += line != NULL) {
    const char *name = strchr(line, ':');
    if (!name || !starts_with(name + 1, controllers) || name[1 + strlen(controllers)] != ':') continue;
    const char *path = name + 2 + strlen(controllers);
    size_t length = strcspn(path, "\n"), shown = strcmp(root, "/") ? strlen(root) : 0;
    if (shown && length >= shown && !strncmp(path, root, shown)) path += shown, length -= shown;
    return length ? strndup(path, length) : strdup("/");
  }
  return NULL;
}

/** The command line waits for this. It can remove them if we cannot any more. */
static void tell_cgroups(int socket) {
  send(socket, "\n", 1, MSG_NOSIGNAL);
  for (int i = 0; i < head_start.cgroups; i++) {
    char line[PATH_MAX + 1];
    int length = snprintf(line, sizeof line, "%s\n", head_start.cgroup[i]);
    send(socket, line, length, MSG_NOSIGNAL);
  }
}

/** The container's cgroups in each hierarchy of version 1, all of them new. False, and none, if that is not so. */
static bool make_cgroups(const char *path) {
  char *own = read_text("/proc/self/cgroup", 65536), *line = NULL;
  FILE *mounts = fopen("/proc/self/mountinfo", "re");
  size_t size = 0;
  bool fine = own && mounts && !strstr(path, "..");
  while (fine && getline(&line, &size, mounts) > 0) {
    char *root = NULL, *point = NULL, options[256];
    const char *type = strstr(line, " - cgroup ");
    if (!type || sscanf(type, " - cgroup %*s %255s", options) != 1 ||
        sscanf(line, "%*s %*s %*s %ms %ms", &root, &point) != 2)
      continue;
    char *controllers = options;
    for (const char *skipped = NULL; skipped != controllers;) {
      skipped = controllers;
      if (starts_with(controllers, "rw,")) controllers += 3;
      if (starts_with(controllers, "xattr,")) controllers += 6;
      if (starts_with(controllers, "release_agent="))
        controllers += strcspn(controllers, ","), controllers += *controllers == ',';
    }
    char *where = own_cgroup(own, controllers, root);
    if (where) fine = make_cgroup(point, where, path, controllers);
    free(where);
    free(root);
    free(point);
  }
  free(line);
  free(own);
  if (mounts) fclose(mounts);
  if (!fine || !head_start.cgroups) forget_cgroups(NULL);
  return head_start.cgroups > 0;
}

static bool join_guessed(pid_t pid) {
  for (int i = 0; i < head_start.cgroups; i++) {
    char path[PATH_MAX], number[16];
    snprintf(path, sizeof path, "%s/cgroup.procs", head_start.cgroup[i]);
    int length = snprintf(number, sizeof number, "%d", pid), fd = open(path, O_WRONLY | O_CLOEXEC);
    bool joined = fd >= 0 && write(fd, number, length) == length;
    close(fd);
    if (!joined) return false;
  }
  return true;
}

// ---- the head start -------------------------------------------------------------------------------

/** What the sentry is started with whatever it is for: lines of options, made when cloister was built. */
static bool read_fixed_options(struct options *options, const char *directory) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/boot.options", directory);
  char *text = read_text(path, 65536);
  if (!text) return false;
  char *argv[128] = {"boot"}, *rest = NULL;
  int count = 1;
  for (char *line = strtok_r(text, "\n", &rest); line && count < 120; line = strtok_r(NULL, "\n", &rest))
    argv[count++] = line;
  parse_options(options, argv);
  return options->node && options->stub && options->script;
}

/** Nothing that the caller happened to have open may reach the sandbox. */
static void close_all_but(const struct options *options, const struct state *state) {
  int keep[MAX_RUNTIME + 4] = {state->stub, state->slot0, state->sync[0], state->late}, count = 4;
  for (int i = 0; i < options->runtime_files; i++) keep[count++] = options->runtime[i].tree;
  close_others(keep, count);
}

static void end_init(void) {
  if (head_start.init > 0) {
    kill(head_start.init, SIGKILL);
    while (waitpid(head_start.init, NULL, 0) < 0 && errno == EINTR) continue;
    close(head_start.late);
  }
  head_start.init = 0;
}

/** Makes what can be guessed of the sandbox: everything up to its files and what it is to do. */
static void start_ahead(const struct options *wanted, struct state *state, const char *directory) {
  static struct options options;
  if (!read_fixed_options(&options, directory)) return;
  options.control_directory = wanted->control_directory;
  options.capabilities = HEAD_START_CAPABILITIES;
  default_maps(&options);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) || pipe2(state->sync, O_CLOEXEC)) return;
  state->late = pair[1];
  state->stub = copy_stub(options.stub);
  state->slot0 = make_slot0();
  if (options.control_directory) {
    head_start.network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (head_start.network < 0) return;
  }
  unsigned long network = network_namespace(&options, state);
  take_runtime(&options);
  pid_t init = clone_init(network);
  if (!init) {
    before_death = NULL;
    state->trees_taken = true;
    close_all_but(&options, state);
    run_init(&options, state);
  }
  state->own_network = false; // init's; another init may be for another network
  head_start.init = init;
  head_start.late = pair[0];
  close(pair[1]);
  close(state->sync[0]);
  for (int i = 0; i < options.runtime_files; i++) close(options.runtime[i].tree);
  close(state->stub);
  close(state->slot0);
  state->late = state->stub = state->slot0 = -1;
  if (!join_guessed(init)) {
    end_init();
    return;
  }
  write_maps(&options, init);
  if (write(state->sync[1], "", 1) != 1) end_init();
}

void abandon_head_start(const struct options *options) {
  end_init();
  if (head_start.network > 0) {
    if (setns(head_start.network, CLONE_NEWNET)) die(NULL, "cannot go back to the network namespace");
    close(head_start.network);
    head_start.network = 0;
  }
  forget_cgroups(options);
}

static bool same_maps(const struct id_map *a, int a_count, const struct id_map *b, int b_count) {
  return a_count == b_count && !memcmp(a, b, a_count * sizeof *a);
}

static bool same_cgroups(const struct options *options) {
  int same = 0;
  for (int i = 0; i < head_start.cgroups; i++) same += is_among(head_start.cgroup[i], options);
  return same == options->cgroups && same == head_start.cgroups;
}

bool head_start_fits(const struct options *options) {
  static struct options guessed;
  if (head_start.init <= 0) return false;
  default_maps(&guessed);
  return !strcmp(options->netns, "none") && !options->traced && !options->hooks && !options->is_exec &&
         options->sync_fd < 0 && options->trace_fd < 0 && !options->console_socket && !options->passed_count &&
         !options->new_session && options->binds <= MAX_LATE_BINDS &&
         options->capabilities == HEAD_START_CAPABILITIES && !options->control_directory == !head_start.network &&
         !options->joined_count && same_cgroups(options) &&
         same_maps(options->uid_map, options->uid_maps, guessed.uid_map, guessed.uid_maps) &&
         same_maps(options->gid_map, options->gid_maps, guessed.gid_map, guessed.gid_maps);
}

/** Whether there can be a head start, and of what; makes the cgroups. */
static bool guess(char **all, char **arguments, struct options *wanted) {
  static const char *const unusual[] = {"--network", "--egress",       "--platform", "--strace",  "--console-socket",
                                        "--detach",  "--preserve-fds", "--keep",     "--systemd", NULL};
  static const char *const none[] = {"-h", "--help", "-d", NULL};
  char *verb = *arguments;
  if (!is_root() || getenv("CLOISTER_PLATFORM") || getenv("CLOISTER_NETWORK")) return false;
  if (has_argument(all, unusual)) return false;
  if (!strcmp(verb, "do")) return true;
  const char *bundle, *id;
  if (strcmp(verb, "run") || has_argument(arguments, none) || getenv("NOTIFY_SOCKET") || getenv("LISTEN_FDS") ||
      !find_bundle(arguments + 1, &bundle, &id))
    return false;
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/config.json", bundle);
  char *config = read_text(path, MAX_CONFIG);
  if (!config) return false;
  bool plain = wants_own_network(config) && !strstr(config, "\"hooks\"") && !strstr(config, "Mappings\"");
  char *cgroups = strstr(config, "\"cgroupsPath\"") ? string_member(config, "cgroupsPath") : strdup(id);
  plain = plain && cgroups && *cgroups && make_cgroups(cgroups);
  wanted->control_directory = "guessed";
  free(cgroups);
  free(config);
  return plain;
}

// ---- the command line -----------------------------------------------------------------------------

static pid_t command_line;

/** An error of ours is told by us alone. */
static void end_command_line(void) {
  if (command_line > 0) kill(command_line, SIGKILL);
  forget_cgroups(NULL);
}

static void __attribute__((noreturn)) run_command_line(char **argv, int socket, pid_t self, const sigset_t *mask) {
  int fd = fcntl(socket, F_DUPFD, FRONT_DESCRIPTOR);
  if (fd < 0) fd = dup(socket);
  char text[32];
  snprintf(text, sizeof text, "%d:%d", fd, self);
  setenv("CLOISTER_FRONT", text, 1);
  sigprocmask(SIG_SETMASK, mask, NULL);
  char byte;
  recv(fd, &byte, 1, MSG_PEEK); // not before the cgroups that it will want are there, or nobody makes any
  execv(*argv, argv);
  die(NULL, "cannot run %s", *argv);
}

/** It has ended without anything to launch: so do we, in the same way. */
static void __attribute__((noreturn)) end_as(int status) {
  abandon_head_start(NULL);
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  signal(WTERMSIG(status), SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, WTERMSIG(status));
  kill(getpid(), WTERMSIG(status));
  sigprocmask(SIG_UNBLOCK, &one, NULL);
  _exit(128 + WTERMSIG(status));
}

/** Children that have changed. Returns whether the command line has ended, and how. */
static bool reap(int *ended) {
  int status;
  bool over = false;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
    if (pid == command_line && WIFSTOPPED(status)) {
      kill(getpid(), SIGSTOP);
    } else if (pid == command_line) {
      *ended = status;
      over = true;
    } else if (pid == head_start.init) {
      head_start.init = 0; // whoever removed the container's cgroups has ended it
      close(head_start.late);
    }
  }
  return over;
}

/** What the command line is sent is for it, unless the terminal sent it to all of us. */
static bool pass_signal(int signals, int *ended) {
  struct signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != sizeof info) return false;
  if (info.ssi_signo == SIGCHLD) return reap(ended);
  if (info.ssi_code <= 0 || info.ssi_signo == SIGCONT) kill(command_line, info.ssi_signo);
  return false;
}

/** The launcher's command line in a copy, all of it; NULL: it has nothing for us to launch. */
static char *receive_command(int socket, size_t *length) {
  static char *text;
  static size_t used;
  if (!text && !(text = malloc(MAX_HANDED))) die(NULL, "out of memory");
  for (;;) {
    ssize_t got = recv(socket, text + used, MAX_HANDED - used, MSG_DONTWAIT);
    if (got <= 0) return NULL;
    used += got;
    if (text[used - 1] || (used > 1 && text[used - 2])) continue; // it ends with two
    *length = used;
    return text;
  }
}

/** A descriptor of the command line's becomes ours: `--spec-fd=N`. */
static char *take_descriptor(int process, char *argument) {
  static const char *const names[] = {"--spec-fd=", "--log-fd="};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!starts_with(argument, names[i])) continue;
    int fd = syscall(SYS_pidfd_getfd, process, atoi(argument + strlen(names[i])), 0);
    if (fd < 0)
      die("in a container, its seccomp profile must allow pidfd_getfd.", "cannot take over from the command line");
    char *own = malloc(32);
    if (!own) die(NULL, "out of memory");
    snprintf(own, 32, "%s%d", names[i], fd);
    return own;
  }
  return argument;
}

static char **take_over(char *text, size_t length) {
  static char *argv[4 * MAX_BINDS + 4 * MAX_ID_MAPS + MAX_MOUNT_POINTS + 256] = {"boot"};
  size_t count = 1, most = sizeof argv / sizeof *argv - 1;
  int process = syscall(SYS_pidfd_open, command_line, 0);
  if (process < 0) die(NULL, "cannot take over from the command line");
  for (char *at = text; at < text + length - 1; at += strlen(at) + 1) {
    if (count == most) die(NULL, "too many options of the launcher");
    argv[count++] = take_descriptor(process, at);
  }
  close(process);
  return argv;
}

/** As Node does for itself: what a sandbox's files take is more than shells allow. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

char **stand_before_command_line(char **arguments, struct state *state) {
  static struct options wanted;
  const char *directory = *arguments++;
  char **verb = arguments;
  int pair[2], ended = 0;
  while (*verb && strcmp(*verb, "do") && strcmp(*verb, "run")) verb++;
  sigset_t forwarded = forwarded_signals(), before;
  sigprocmask(SIG_BLOCK, &forwarded, &before);
  if (!*verb || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) die(NULL, "cannot start the command line");
  before_death = end_command_line;
  int signals = signalfd(-1, &forwarded, SFD_CLOEXEC);
  pid_t self = getpid();
  command_line = fork();
  if (command_line < 0 || signals < 0) die(NULL, "cannot start the command line");
  if (!command_line) {
    before_death = NULL;
    close(pair[0]);
    run_command_line(arguments, pair[1], self, &before);
  }
  close(pair[1]);
  raise_descriptor_limit();
  bool begin = guess(arguments, verb, &wanted);
  tell_cgroups(pair[0]);
  if (begin) start_ahead(&wanted, state, directory);
  struct pollfd poll_set[2] = {{signals, POLLIN, 0}, {pair[0], POLLIN, 0}};
  for (;;) {
    if (poll(poll_set, 2, -1) < 0) continue;
    char *text = NULL;
    size_t length = 0;
    if (poll_set[1].revents && !(text = receive_command(pair[0], &length)) && poll_set[1].revents & POLLHUP)
      poll_set[1].fd = -1;
    if (text && length > 2) {
      char **argv = take_over(text, length);
      command_line = 0;
      before_death = NULL;
      if (send(pair[0], "", 1, MSG_NOSIGNAL) != 1) die(NULL, "the command line is gone");
      close(pair[0]);
      close(signals);
      return argv;
    }
    if (text) { // it needs no launcher of us
      abandon_head_start(NULL);
      poll_set[1].fd = -1;
      if (send(pair[0], "", 1, MSG_NOSIGNAL) != 1) continue;
    }
    if (poll_set[0].revents && pass_signal(signals, &ended)) end_as(ended);
  }
}
