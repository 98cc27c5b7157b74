// What makes a sandbox a container that others look after: its cgroups, its terminal, the socket at which the sentry is
// asked for things.
#include "boot.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

// ---- cgroups --------------------------------------------------------------------------------------

void join_cgroups(const struct options *options, pid_t pid) {
  for (int i = 0; i < options->cgroups; i++) {
    char path[PATH_MAX], number[16];
    snprintf(path, sizeof path, "%s/cgroup.procs", options->cgroup[i]);
    int length = snprintf(number, sizeof number, "%d", pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, number, length) != length) die(NULL, "cannot join the cgroup %s", options->cgroup[i]);
    close(fd);
  }
}

int process_numbers(const char *process, int numbers[MAX_PID_LEVELS]) {
  char path[64], *line = NULL;
  size_t size = 0;
  int count = 0;
  snprintf(path, sizeof path, "/proc/%s/status", process);
  FILE *status = fopen(path, "re");
  while (status && getline(&line, &size, status) > 0) {
    if (strncmp(line, "NSpid:", 6)) continue;
    int used;
    for (char *at = line + 6; count < MAX_PID_LEVELS && sscanf(at, "%d%n", &numbers[count], &used) == 1; at += used)
      count++;
    break;
  }
  free(line);
  if (status) fclose(status);
  return count;
}

/** The number of a process in the pid namespace above its own; 0 if it is gone. */
static int number_above(pid_t pid) {
  char name[16];
  int numbers[MAX_PID_LEVELS];
  snprintf(name, sizeof name, "%d", pid);
  int count = process_numbers(name, numbers);
  return count < 2 ? 0 : numbers[count - 2];
}

/** That it may be lowered is a matter of luck, that it is raised is not. */
static void set_oom_score(pid_t pid, const char *score) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || (write(fd, score, strlen(score)) < 0 && errno != EACCES)) die(NULL, "cannot write %s", path);
  close(fd);
}

void place_guest(const struct options *options, pid_t init, int number) {
  char path[64];
  pid_t zygote = zygote_of(init), found = 0;
  int child;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", zygote, zygote);
  FILE *children = fopen(path, "re");
  while (!found && children && fscanf(children, "%d", &child) == 1)
    if (number_above(child) == number) found = child;
  if (children) fclose(children);
  if (!found) {
    errno = 0;
    die(NULL, "the sandbox's process %d for the container is not there", number);
  }
  join_cgroups(options, found);
  if (options->oom_score) set_oom_score(found, options->oom_score);
}

static void remove_directory(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return;
  for (struct dirent *entry; (entry = readdir(directory));) unlinkat(dirfd(directory), entry->d_name, 0);
  closedir(directory);
  rmdir(path);
}

void remove_container(const struct options *options) {
  for (int i = 0; i < options->cgroups; i++) rmdir(options->cgroup[i]);
  if (options->control_directory) remove_directory(options->control_directory);
}

// ---- sockets --------------------------------------------------------------------------------------

static int unix_socket(struct sockaddr_un *address, const char *path) {
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    die(NULL, "%s", path);
  }
  strcpy(address->sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die(NULL, "cannot make a socket");
  return fd;
}

/** The control socket below an open directory: names of state directories are often too long for an address. */
static int control_socket(struct sockaddr_un *address, const char *directory, int *directory_fd) {
  char path[64];
  *directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*directory_fd < 0) die(NULL, "%s", directory);
  snprintf(path, sizeof path, "/proc/self/fd/%d/control.sock", *directory_fd);
  return unix_socket(address, path);
}

int listen_control(const char *directory) {
  struct sockaddr_un address;
  int directory_fd, fd = control_socket(&address, directory, &directory_fd);
  mode_t mask = umask(077);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 64) || fcntl(fd, F_SETFL, O_NONBLOCK))
    die(NULL, "cannot listen in %s", directory);
  umask(mask);
  close(directory_fd);
  return fd;
}

int connect_control(const char *directory) {
  struct sockaddr_un address;
  int directory_fd, fd = control_socket(&address, directory, &directory_fd);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) die(NULL, "the container does not run");
  close(directory_fd);
  return fd;
}

// ---- the terminal ---------------------------------------------------------------------------------

/** Sends a descriptor with its name, as clients of a console socket expect it. */
static void send_descriptor(int fd, const char *socket_path, int sent, const char *name) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec text = {(void *)name, strlen(name)};
  struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(&control.header), &sent, sizeof sent);
  if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) die(NULL, "cannot send the terminal to %s", socket_path);
}

void open_console(const char *socket_path) {
  struct sockaddr_un address;
  int client = unix_socket(&address, socket_path);
  if (connect(client, (struct sockaddr *)&address, sizeof address))
    die(NULL, "cannot connect to the console socket %s", socket_path);
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  char name[64];
  if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof name))
    die(NULL, "cannot make a pseudo-terminal");
  int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) die(NULL, "%s", name);
  send_descriptor(client, socket_path, master, name);
  close(master);
  close(client);
  setsid();
  // Changes of its size are signalled to the session that it controls.
  if (ioctl(slave, TIOCSCTTY, 0)) die(NULL, "cannot make %s the controlling terminal", name);
  for (int fd = 0; fd < 3; fd++)
    if (dup2(slave, fd) < 0) die(NULL, "cannot place the terminal");
  close(slave);
}
