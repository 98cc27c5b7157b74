// Misuses sockets that reach outside: addresses of every length and family, control messages that lie about their
// lengths, options at random, floods. Prints what must be refused, then that all is well. Arguments: the other end's
// IPv4 address, a port there.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in peer;

static void addresses(void) {
  char raw[256];
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++)
    for (int domain = 0; domain < 2; domain++)
      for (int family = 0; family < 46; family++)
        for (int length = 0; length < 140; length += length < 32 ? 1 : 13) {
          int fd = socket(domain ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, 0);
          if (fd < 0) exit(1);
          memset(raw, 0xaa, sizeof raw);
          memcpy(raw, &peer, sizeof peer);
          memcpy(raw, &(short){family}, 2);
          bind(fd, (void *)raw, length);
          if (family != AF_INET) connect(fd, (void *)raw, length);
          sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)raw, length);
          close(fd);
        }
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  printf("short %d\n", connect(fd, (void *)&peer, 8) < 0 ? errno : 0);
  printf("negative %d\n", connect(fd, (void *)&peer, -1) < 0 ? errno : 0);
  printf("long %d\n", connect(fd, (void *)raw, 200) < 0 ? errno : 0);
  printf("fault %d\n", connect(fd, (void *)8, 16) < 0 ? errno : 0);
  close(fd);
}

static int send_control(int fd, void *control, size_t length) {
  struct iovec vector = {"x", 1};
  struct msghdr message = {&peer, sizeof peer, &vector, 1, control, length, 0};
  return sendmsg(fd, &message, 0) < 0 ? errno : 0;
}

static void control(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  union {
    struct cmsghdr header;
    char space[512];
  } c;
  static const size_t lengths[] = {0, 1, 15, 16, 17, 20, 28, 36, 511, 512, 513, 1 << 20, 1ul << 31, ~0ul, ~0ul - 7};
  static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPPROTO_TCP, 255, -1};
  for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
    for (int type = -1; type < 80; type++)
      for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
        memset(&c, 0x41, sizeof c);
        c.header = (struct cmsghdr){lengths[n], levels[l], type};
        if (levels[l] == SOL_SOCKET && type == SCM_RIGHTS) continue;
        send_control(fd, &c, sizeof c);
        send_control(fd, &c, lengths[n]);
      }
  // Descriptors do not travel over a network; the kernel lets them be.
  memset(&c, 0, sizeof c);
  c.header = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS};
  printf("rights %d\n", send_control(fd, &c, CMSG_SPACE(4)));
  c.header = (struct cmsghdr){CMSG_LEN(12), IPPROTO_IP, IP_PKTINFO};
  *(int *)CMSG_DATA(&c.header) = 99999;
  printf("strange interface %d\n", send_control(fd, &c, CMSG_SPACE(12)) != 0);
  close(fd);
}

static void options(void) {
  char value[4096];
  srand(1);
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
    int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = peer.sin_port};
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    memcpy(to.sin6_addr.s6_addr + 12, &peer.sin_addr, 4);
    connect(fd, (void *)&to, sizeof to);
    static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, 263, 270, -1};
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
      for (int name = -1; name < 90; name++)
        for (int round = 0; round < 4; round++) {
          for (size_t i = 0; i < sizeof value; i++) value[i] = round ? rand() : 0xff;
          // A buffer of no size would only make the rest slow.
          setsockopt(fd, levels[l], name, value, (socklen_t[]){4, 0, 8, 4096}[round]);
          socklen_t length = (socklen_t[]){4, 0, 4096, ~0u}[round];
          getsockopt(fd, levels[l], name, value, &length);
        }
    close(fd);
  }
}

/** Connections begun and dropped, listeners closed with a backlog, datagrams that nobody reads. */
static void floods(void) {
  for (int i = 0; i < 2000; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) exit(1);
    connect(fd, (void *)&peer, sizeof peer);
    if (i % 3 == 0) shutdown(fd, SHUT_RDWR);
    close(fd);
  }
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  static char data[65507];
  for (int i = 0; i < 2000; i++) sendto(fd, data, i % 2 ? sizeof data : i % 1400, 0, (void *)&peer, sizeof peer);
  printf("too long %d\n", sendto(fd, data, 65508, 0, (void *)&peer, sizeof peer) < 0 ? errno : 0);
  close(fd);
  // As many as the limit of descriptors lets it have, twice.
  for (int round = 0; round < 2; round++) {
    int last = 0, count = 0;
    for (; count < 4000; count++) {
      int one = socket(AF_INET, SOCK_DGRAM, 0);
      if (one < 0 || connect(one, (void *)&peer, sizeof peer)) break;
      last = one;
    }
    for (int one = 3; one <= last + 1; one++) close(one);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  setvbuf(stdout, NULL, _IONBF, 0);
  peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &peer.sin_addr);
  addresses();
  control();
  options();
  floods();
  // All is as before.
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (void *)&peer, sizeof peer) || write(fd, "abc", 3) != 3) return 1;
  char answer[4] = {0};
  if (recv(fd, answer, 3, MSG_WAITALL) != 3) return 1;
  printf("answer %s\n", answer);
}
