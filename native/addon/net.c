// Sockets of the container's network namespace, which the sentry lives in. Only the kinds of the table in
// host_socket() can be made; addresses, options and control messages are laid down in the arena by src/net/outside,
// which builds each of them itself.
#include "addon.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * What may be made, and nothing else: family, type, protocol. ICMP is echo requests only, netlink to list interfaces,
 * addresses and routes.
 */
static const struct {
  int family, type, protocol;
} KINDS[] = {
    {AF_INET, SOCK_STREAM, IPPROTO_TCP},   {AF_INET6, SOCK_STREAM, IPPROTO_TCP}, {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},   {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},  {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
    {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
};

/** socket(family, type, protocol): non-blocking, close-on-exec. -EAFNOSUPPORT for what the sentry does not make. */
static napi_value host_socket(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 family, type, protocol;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &family) || !get_number(env, &a, 1, &type) || !get_number(env, &a, 2, &protocol))
    return number_value(env, -EINVAL);
  for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
    if (KINDS[i].family == family && KINDS[i].type == type && KINDS[i].protocol == protocol)
      return number_value(env, result_of(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)));
  return number_value(env, -EAFNOSUPPORT);
}

/** The bytes at the offset in argument `index`, their length in the next. A length of 0 is NULL. */
static bool get_bytes(napi_env env, const struct arguments *a, size_t index, void **place, s64 *length) {
  s64 offset;
  if (!get_number(env, a, index, &offset) || !get_number(env, a, index + 1, length)) return false;
  *place = *length == 0 ? NULL : arena_range(offset, *length);
  return *length == 0 || *place;
}

/** The same for what the sentry has built itself: it lies in the scratch, where no guest can change it once looked at.
 */
static bool get_own_bytes(napi_env env, const struct arguments *a, size_t index, void **place, s64 *length) {
  s64 offset;
  if (!get_number(env, a, index, &offset) || !get_number(env, a, index + 1, length)) return false;
  *place = *length == 0 ? NULL : scratch_range(offset, *length);
  return *length == 0 || *place;
}

/**
 * sendmsg(fd, data, length, flags, name, nameLength, control, controlLength) with one buffer, never waiting and without
 * SIGPIPE. Control messages that pass descriptors or credentials are none of a network: -EINVAL.
 */
static napi_value host_sendmsg(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, flags, length, name_length, control_length;
  void *data, *name, *control;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd) || !get_bytes(env, &a, 1, &data, &length) || !get_number(env, &a, 3, &flags) ||
      !get_own_bytes(env, &a, 4, &name, &name_length) || !get_own_bytes(env, &a, 6, &control, &control_length) ||
      name_length > (s64)sizeof(struct sockaddr_storage) || (uintptr_t)control % _Alignof(struct cmsghdr) != 0)
    return number_value(env, -EINVAL);
  struct iovec vector = {data, length};
  struct msghdr message = {.msg_name = name,
                           .msg_namelen = name_length,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = control_length};
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET) return number_value(env, -EINVAL);
  s64 result;
  do { result = result_of(sendmsg(fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL)); } while (result == -EINTR);
  return number_value(env, result);
}

/** Where recvmsg() lays down what came with the bytes; src/net/outside/host-socket.ts repeats it. */
struct received {
  u32 name_length, control_length, flags, unused;
  u8 name[128];
  u8 control[1024];
};

/** recvmsg(fd, data, length, flags, received) with one buffer, never waiting. */
static napi_value host_recvmsg(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, flags, length, at;
  void *data;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd) || !get_bytes(env, &a, 1, &data, &length) || !get_number(env, &a, 3, &flags) ||
      !get_number(env, &a, 4, &at))
    return number_value(env, -EINVAL);
  struct received *received = scratch_range(at, sizeof *received);
  if (!received) return number_value(env, -EINVAL);
  struct iovec vector = {data, length};
  struct msghdr message = {.msg_name = received->name,
                           .msg_namelen = sizeof received->name,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = received->control,
                           .msg_controllen = sizeof received->control};
  s64 result;
  do { result = result_of(recvmsg(fd, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC)); } while (result == -EINTR);
  received->name_length = result < 0 ? 0 : message.msg_namelen;
  received->control_length = result < 0 ? 0 : message.msg_controllen;
  received->flags = result < 0 ? 0 : message.msg_flags;
  return number_value(env, result);
}

#define BIND_PATIENCE 2000 // ms

/** bindThrough(channel, fd, address, length): the process at the other end binds the socket. 0 or -errno. */
static napi_value host_bind_through(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 channel, fd, length;
  void *address;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &channel) || !get_int(env, &a, 1, &fd) || !get_bytes(env, &a, 2, &address, &length))
    return number_value(env, -EINVAL);
  memcpy(CMSG_DATA(&control.header), &(int){fd}, sizeof(int));
  struct iovec vector = {address, length};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  int ready, result;
  // An answer that came too late is not to be taken for the next.
  while (recv(channel, &result, sizeof result, MSG_DONTWAIT) > 0) continue;
  result = -EACCES;
  if (sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return number_value(env, -EACCES);
  struct pollfd answer = {channel, POLLIN, 0};
  do { ready = poll(&answer, 1, BIND_PATIENCE); } while (ready < 0 && errno == EINTR);
  if (ready > 0 && recv(channel, &result, sizeof result, MSG_DONTWAIT) != sizeof result) result = -EACCES;
  return number_value(env, result);
}

void net_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "socket", host_socket, NULL);
  export_method(env, exports, "sendmsg", host_sendmsg, NULL);
  export_method(env, exports, "recvmsg", host_recvmsg, NULL);
  export_method(env, exports, "bindThrough", host_bind_through, NULL);
}
