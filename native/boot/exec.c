// One more program in a running sandbox, or one more container of a pod, whose files come along. This process takes the
// request and its own standard streams to the sentry, and stands for the program from then on: it forwards signals, and
// exits as the program does. If it is killed, the sentry sees its connection closed and kills the program.
#include "boot.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { CANNOT_EXEC = 255 }; // the program was not started: so say other runtimes, whatever the reason

/** Sends the descriptors with the first byte of the request. */
static void send_descriptors(int connection, const int *fds, int count, const char *first) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE((MAX_PASSED) * sizeof(int))];
  } control = {0};
  struct iovec text = {(void *)first, 1};
  struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
  if (sendmsg(connection, &message, MSG_NOSIGNAL) != 1) die(NULL, "cannot reach the sandbox");
}

static void send_request(const struct options *options, const struct state *trees, int connection) {
  int fds[MAX_PASSED], count = 0;
  for (int fd = 0; fd < 3; fd++) {
    int twin = double_stream(fd);
    fds[count++] = twin < 0 ? fd : twin;
  }
  if (options->rootfs) {
    fds[count++] = trees->rootfs_tree;
    for (int i = 0; i < options->binds && count < MAX_PASSED; i++) fds[count++] = options->bind[i].tree;
  }
  for (int i = 0; i < options->passed_count && count < MAX_PASSED; i++) fds[count++] = options->passed[i].fd;
  char text[16384];
  ssize_t length = pread(options->spec_fd, text, 1, 0);
  if (length != 1) die(NULL, "cannot read the request");
  send_descriptors(connection, fds, count, text);
  for (off_t done = 1; (length = pread(options->spec_fd, text, sizeof text, done)) > 0; done += length)
    if (send(connection, text, length, MSG_NOSIGNAL) != length) die(NULL, "cannot reach the sandbox");
}

/** Pid 1 of a sandbox is its launcher's only child. */
static pid_t init_of(pid_t launcher) {
  char path[64];
  int init = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", launcher, launcher);
  FILE *children = fopen(path, "re");
  if (children && fscanf(children, "%d", &init) != 1) init = 0;
  if (children) fclose(children);
  return init;
}

/** One line of the sentry's: "place PID", "started", "exit STATUS" or "error STATUS TEXT". */
static void obey(const struct options *options, const struct state *trees, int connection, char *line) {
  int status = 0, skip = 0, number = 0;
  if (!strcmp(line, "started")) {
    enter_view(options, trees, init_of(options->launcher));
    if (options->sync_fd < 0) return;
    if (write(options->sync_fd, "created\n", 8) != 8) return;
    message_fd = 2;
  } else if (sscanf(line, "place %d", &number) == 1) {
    static const char placed[] = "{\"verb\":\"placed\"}\n";
    place_guest(options, init_of(options->launcher), number);
    if (send(connection, placed, sizeof placed - 1, MSG_NOSIGNAL) < 0) die(NULL, "cannot reach the sandbox");
  } else if (sscanf(line, "exit %d", &status) == 1) {
    // Whoever started us must be gone first: our status is for the process that we are left to.
    char byte;
    while (options->sync_fd >= 0 && read(options->sync_fd, &byte, 1) > 0) continue;
    _exit(status);
  } else if (sscanf(line, "error %d %n", &status, &skip) == 1) {
    say("%s", line + skip);
    _exit(options->rootfs ? status : CANNOT_EXEC); // a container's maker wants to know
  }
}

static void listen_to(const struct options *options, const struct state *trees, int connection) {
  static char text[PATH_MAX];
  static size_t used;
  ssize_t length = recv(connection, text + used, sizeof text - 1 - used, 0);
  if (length < 0 && errno == EINTR) return;
  if (length <= 0) _exit(137); // the sandbox has ended, and its first process took the others along
  used += length;
  for (char *end; (end = memchr(text, '\n', used));) {
    *end = 0;
    obey(options, trees, connection, text);
    used -= end + 1 - text;
    memmove(text, end + 1, used);
  }
}

void stand_for_program(struct options *options) {
  struct state trees = {0};
  if (options->rootfs) {
    if (!can_mount()) die("containers of a pod need root.", "cannot take the container's files");
    take_trees(options, &trees);
    join_namespaces(options);
  }
  int connection = connect_control(options->control_directory);
  join_cgroups(options, 0);
  send_request(options, &trees, connection);
  sigset_t forwarded = forwarded_signals();
  sigdelset(&forwarded, SIGCHLD); // of a child of our own
  int signals = signalfd(-1, &forwarded, SFD_CLOEXEC);
  if (signals < 0) die(NULL, "signalfd");
  int keep[MAX_BINDS + 4] = {connection, signals, options->sync_fd}, count = 3;
  count += keep_view(options, &trees, keep + count);
  keep_only(open_null(), keep, count);
  struct pollfd poll_set[2] = {{signals, POLLIN, 0}, {connection, POLLIN, 0}};
  for (;;) {
    if (poll(poll_set, 2, -1) < 0) continue;
    struct signalfd_siginfo info;
    if (poll_set[0].revents && read(signals, &info, sizeof info) == sizeof info) {
      char text[64];
      int length = snprintf(text, sizeof text, "{\"verb\":\"signal\",\"signal\":%u}\n", info.ssi_signo);
      send(connection, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (poll_set[1].revents) listen_to(options, &trees, connection);
  }
}
