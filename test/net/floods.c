// Floods over the loopback: connections begun and dropped, datagrams and streams that nobody reads, all ports taken. Each
// part prints what a program can count on, natively and inside alike; the last one, that all is as before.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in here(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int open_socket(int type) {
  int fd = socket(AF_INET, type, 0);
  if (fd < 0) {
    perror("socket");
    exit(1);
  }
  return fd;
}

/** A socket of a type that is bound to any port; the port goes to `port`. */
static int bound(int type, int *port) {
  struct sockaddr_in name = here(0);
  socklen_t length = sizeof name;
  int fd = open_socket(type);
  if (bind(fd, (void *)&name, length) || getsockname(fd, (void *)&name, &length)) {
    perror("bind");
    exit(1);
  }
  *port = ntohs(name.sin_port);
  return fd;
}

static int connect_to(int fd, int port) {
  struct sockaddr_in name = here(port);
  return connect(fd, (void *)&name, sizeof name) ? errno : 0;
}

/** Connections begun and given up at once, in three ways: the listener's backlog stays what it was made for. */
static void connections(void) {
  int port, listener = bound(SOCK_STREAM | SOCK_NONBLOCK, &port), accepted = 0;
  if (listen(listener, 16)) exit(1);
  for (int i = 0; i < 1500; i++) {
    int fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
    connect_to(fd, port);
    if (i % 3 == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    if (i % 3 == 1) shutdown(fd, SHUT_RDWR);
    close(fd);
  }
  for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; accepted++) {
    char byte;
    if (read(fd, &byte, 1) > 0) puts("something was sent");
    close(fd);
  }
  // Those that were reset may be told of or not.
  printf("connections: %s\n", accepted <= 17 ? "bounded" : "unbounded");
  close(listener);
}

/** More datagrams than anybody keeps: the first are there, the rest are lost, and the sender hears nothing of it. */
static void datagrams(void) {
  int port, receiver = bound(SOCK_DGRAM | SOCK_NONBLOCK, &port), sender = open_socket(SOCK_DGRAM), failed = 0;
  long kept = 0;
  static char data[1400];
  connect_to(sender, port);
  for (int i = 0; i < 6000; i++) {
    memcpy(data, &i, sizeof i);
    if (send(sender, data, i % sizeof data + sizeof i > sizeof data ? sizeof data : i % sizeof data + sizeof i, 0) < 0)
      failed++;
  }
  for (int i = 0; recv(receiver, data, sizeof data, 0) > 0; i++) {
    int number;
    memcpy(&number, data, sizeof number);
    if (number != i) puts("not the first");
    kept++;
  }
  printf("datagrams: %d failed, %s\n", failed, kept > 0 && kept < 5000 ? "bounded" : "unbounded");
  close(receiver);
  close(sender);
}

/** Connections whose other end never reads take so many bytes and no more. */
static void streams(void) {
  enum { COUNT = 50 };
  static char data[65536];
  int port, listener = bound(SOCK_STREAM, &port), ends[COUNT][2];
  long most = 0;
  if (listen(listener, 16)) exit(1);
  for (int i = 0; i < COUNT; i++) {
    ends[i][0] = open_socket(SOCK_STREAM);
    if (connect_to(ends[i][0], port) || (ends[i][1] = accept(listener, NULL, NULL)) < 0) exit(1);
  }
  for (int i = 0; i < COUNT; i++) {
    long sent = 0;
    for (ssize_t n; (n = send(ends[i][0], data, sizeof data, MSG_DONTWAIT)) > 0;) sent += n;
    if (sent > most) most = sent;
  }
  printf("streams: %s\n", most > 4096 && most < 32 << 20 ? "bounded" : "unbounded");
  for (int i = 0; i < COUNT; i++) {
    close(ends[i][0]);
    close(ends[i][1]);
  }
  close(listener);
}

/** All ports of a range, then one more; then they are free again. */
static void ports(void) {
  FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
  if (!range || fprintf(range, "40000 40999") < 0 || fclose(range)) exit(1);
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
    struct sockaddr_in name = here(0);
    int first = open_socket(type), last = first, count = 1;
    if (bind(first, (void *)&name, sizeof name)) exit(1);
    for (int fd;; count++) {
      fd = open_socket(type);
      last = fd;
      if (bind(fd, (void *)&name, sizeof name)) break;
    }
    printf("ports: %s, %s\n", strerrorname_np(errno), count == 1000 ? "all" : "not all");
    // A connection needs a port for itself only when its listener is the same for all.
    printf("connected: %s\n", strerrorname_np(connect_to(last, 9)));
    for (int fd = first; fd <= last; fd++) close(fd);
    int again = open_socket(type);
    socklen_t length = sizeof name;
    printf("free again: %d", bind(again, (void *)&name, sizeof name));
    getsockname(again, (void *)&name, &length);
    puts(ntohs(name.sin_port) / 1000 == 40 ? ", of the range" : ", of no range");
    close(again);
  }
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  connections();
  datagrams();
  streams();
  ports();
  int port, listener = bound(SOCK_STREAM, &port), fd = open_socket(SOCK_STREAM);
  char answer[4] = {0};
  if (listen(listener, 1) || connect_to(fd, port)) return 1;
  int half = accept(listener, NULL, NULL);
  if (write(half, "abc", 3) != 3 || recv(fd, answer, 3, MSG_WAITALL) != 3) return 1;
  printf("as before: %s\n", answer);
}
