// Low ports of a network namespace in which the sandbox has no rights (--network host): the sentry sends a socket and
// an address, the outer process, with the caller's rights, binds the one to the other. It does nothing else with it.
#include "boot.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FIRST_FREE_PORT 1024

void open_ports(struct state *state) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) die(NULL, "cannot make a socket pair");
  state->ports_outer = pair[0];
  state->ports_sentry = pair[1];
}

static int option_of(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) ? -1 : value;
}

/** 0 or -errno. Only TCP and UDP sockets, only ports that need a privilege: for the others nobody needs us. */
static int bind_low(int fd, const struct sockaddr_in6 *address, size_t length) {
  int domain = option_of(fd, SO_DOMAIN), protocol = option_of(fd, SO_PROTOCOL);
  size_t size = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if ((domain != AF_INET && domain != AF_INET6) || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)) return -EPERM;
  if (length != size || address->sin6_family != domain) return -EINVAL;
  int port = ntohs(address->sin6_port); // at the same place in both
  if (port == 0 || port >= FIRST_FREE_PORT) return -EPERM;
  return bind(fd, (const struct sockaddr *)address, length) ? -errno : 0;
}

void bind_port(const struct state *state) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct sockaddr_in6 address;
  struct iovec vector = {&address, sizeof address};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  ssize_t length = recvmsg(state->ports_outer, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int))) return;
  int fd, result;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  result = bind_low(fd, &address, length);
  close(fd);
  send(state->ports_outer, &result, sizeof result, MSG_DONTWAIT | MSG_NOSIGNAL);
}
