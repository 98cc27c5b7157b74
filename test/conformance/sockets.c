// Options of internet sockets on the loopback: what they are, what is made of numbers out of range, what they tell.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int get(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) ? -1000 - errno : value;
}

static void set(const char *what, int fd, int level, int name, int value) {
  int failed = setsockopt(fd, level, name, &value, sizeof value) ? errno : 0;
  printf("%s to %d: %d, now %d\n", what, value, failed, get(fd, level, name));
}
#define SET(fd, level, name, value) set(#name, fd, level, name, value)

static struct sockaddr_in6 here(int fd) {
  struct sockaddr_in6 name;
  socklen_t size = sizeof name;
  if (getsockname(fd, (struct sockaddr *)&name, &size)) abort();
  return name;
}

static void streams(void) {
  int listener = socket(AF_INET6, SOCK_STREAM, 0), fd = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 1)) abort();
  name = here(listener);
  if (connect(fd, (struct sockaddr *)&name, sizeof name)) abort();
  SET(fd, IPPROTO_TCP, TCP_LINGER2, -5);
  SET(fd, IPPROTO_TCP, TCP_LINGER2, 0);
  SET(fd, IPPROTO_TCP, TCP_LINGER2, 7);
  SET(fd, IPPROTO_TCP, TCP_LINGER2, 1000);
  char algorithm[16] = "";
  socklen_t size = sizeof algorithm;
  printf("reno: %d\n", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, &size);
  printf("%s\n", algorithm);
  printf("none such: %d\n", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
  struct tcp_info info;
  size = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  printf("state %d, retries %d, window %d\n", info.tcpi_state, info.tcpi_rto > 0, info.tcpi_snd_cwnd > 0);
}

/* Where a datagram was sent to, as a proxy asks. */
static void destination(int family, const char *to) {
  int fd = socket(AF_INET6, SOCK_DGRAM, 0), sender = socket(family, SOCK_DGRAM, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  if (bind(fd, (struct sockaddr *)&any, sizeof any)) abort();
  SET(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
  SET(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 5);
  struct sockaddr_in6 six = here(fd);
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six.sin6_port};
  inet_pton(family, to, family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr);
  if (family == AF_INET) sendto(sender, "x", 1, 0, (struct sockaddr *)&four, sizeof four);
  if (family == AF_INET6) sendto(sender, "x", 1, 0, (struct sockaddr *)&six, sizeof six);
  char byte, control[256], text[64];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 256};
  printf("received %zd\n", recvmsg(fd, &message, 0));
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    struct sockaddr_in6 *told = (struct sockaddr_in6 *)CMSG_DATA(c);
    const void *host =
        told->sin6_family == AF_INET ? (void *)&((struct sockaddr_in *)told)->sin_addr : &told->sin6_addr;
    printf("level %d, type %d, %zu bytes: ", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
    printf("%s, the port %d\n", inet_ntop(told->sin6_family, host, text, sizeof text),
           told->sin6_port == six.sin6_port);
  }
  close(fd), close(sender);
}

static void datagrams(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  SET(fd, IPPROTO_IP, IP_MULTICAST_TTL, 6);
  SET(fd, IPPROTO_IP, IP_MULTICAST_TTL, -1);
  SET(fd, IPPROTO_IP, IP_MULTICAST_TTL, -2);
  destination(AF_INET, "127.0.0.1");
  destination(AF_INET6, "::1");
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (!strcmp(argv[1], "streams")) streams();
  if (!strcmp(argv[1], "datagrams")) datagrams();
  return 0;
}
