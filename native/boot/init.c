// Pid 1 of the sandbox. It builds what needs privileges, then holds none and only waits for the sentry.
#include "boot.h"

#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

void loopback_up(void) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request)) die(NULL, "cannot bring the loopback interface up");
  close(fd);
}

static bool set_network_setting(const char *path, const char *value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool done = fd >= 0 && write(fd, value, strlen(value)) > 0;
  if (fd >= 0) close(fd);
  errno = 0;
  return done;
}

void free_network(void) {
  static const char pings[] = "/proc/sys/net/ipv4/ping_group_range";
  char range[32] = {0};
  // Where this is not allowed, the program that asks for such a port is told.
  set_network_setting("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  // Nobody may send echo requests without a capability, as a new namespace has it: all may, as docker has it; in a
  // namespace of our own, all groups that there are.
  int fd = open(pings, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  // In a user namespace without the machine's first groups these two are shown as strangers.
  bool is_new = read(fd, range, sizeof range - 1) > 0 && (!strcmp(range, "1\t0\n") || !strcmp(range, "65534\t65534\n"));
  if (is_new && !set_network_setting(pings, "0 2147483647")) set_network_setting(pings, "0 0");
  close(fd);
}

/** The sentry has loaded everything it will ever load: the root under it is emptied, for it and for us. */
static void hand_over(int sentry_fd) {
  char text[16];
  ssize_t length = read(sentry_fd, text, sizeof text);
  if (length <= 0) return; // it is dead; the wait will tell
  enter_empty_root("/empty");
  limit_capabilities(0);
  // The sentry may read and write the memory of whom it could trace: not ours.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) die(NULL, "cannot shield init from the sentry");
  if (write(sentry_fd, "go\n", 3) != 3) return;
}

void run_init(struct options *options, struct state *state) {
  char go;
  if (read(state->sync[0], &go, 1) != 1) _exit(125); // the outer process failed, and said so
  close(state->sync[0]);
  become_root();
  // Another id than the caller's has made us somebody whose /proc files are the host root's: the zygote's maps are
  // ours.
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) die(NULL, "cannot keep our own /proc");
  // After the change of ids, which clears it. The outer process may be dead already: then its socket is closed.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) die(NULL, "cannot tie the sandbox to its launcher");
  char byte;
  int outer = state->late >= 0 ? state->late : state->control_sentry;
  if (recv(outer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) _exit(125);
  if (setsid() < 0) die(NULL, "setsid");
  if (sethostname(options->hostname, strlen(options->hostname)))
    die(NULL, "cannot set the host name %s", options->hostname);
  make_mounts_private();
  state->proc = take_proc();
  state->memory = take_memory(true);
  state->sparse = take_memory(false);
  take_machine_files(state);
  if (!state->trees_taken) take_trees(options, state);
  if (state->own_network) {
    loopback_up();
    free_network();
  }

  pid_t zygote = start_zygote(options, state);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) die(NULL, "cannot make a socket pair");
  int null = open_null();
  enter_first_root(options);
  pid_t sentry = start_sentry(options, state, zygote, pair[1]);
  close(pair[1]);
  if (options->sync_fd >= 0 && options->log_fd >= 0) message_fd = options->log_fd;
  int keep[2] = {pair[0], message_fd};
  keep_only(null, keep, 2);
  hand_over(pair[0]);
  close(pair[0]);

  int status;
  for (;;) {
    pid_t gone = wait(&status);
    if (gone == sentry) break;
    if (gone < 0 && errno != EINTR) die(NULL, "wait");
  }
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  say("the sentry was killed by signal %d (%s); the sandbox is gone with it", WTERMSIG(status),
      strsignal(WTERMSIG(status)));
  if (WTERMSIG(status) == SIGSYS)
    say("it made a host call that its filter does not allow; which it was, --debug says the next time");
  _exit(128 + WTERMSIG(status));
}
