// Other events than the doorbell: one epoll instance over libuv's backend, pidfds and host descriptors. Its
// descriptor stands beside the listener in doorbell.c's single wait.
#include "addon.h"

#include <sys/epoll.h>
#include <time.h>
#include <uv.h>

static int epoll_fd = -1;

s64 clock_monotonic(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000l + time.tv_nsec;
}

int wait_epoll(void) {
  if (epoll_fd < 0) epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  return epoll_fd < 0 ? -errno : epoll_fd;
}

static s64 control(napi_env env, napi_callback_info info, int operation) {
  struct arguments a;
  s64 fd, events = 0, token = 0;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &fd)) return -EINVAL;
  if (operation != EPOLL_CTL_DEL && (!get_number(env, &a, 1, &events) || !get_number(env, &a, 2, &token)))
    return -EINVAL;
  int epoll = wait_epoll();
  if (epoll < 0) return epoll;
  struct epoll_event event = {.events = (u32)events, .data.u64 = (u32)token};
  return result_of(epoll_ctl(epoll, operation, fd, &event));
}

/** watch(fd, events, token): epoll's events, a token of 32 bits. 0 or -errno (-EEXIST, -EPERM: a plain file). */
static napi_value watch(napi_env env, napi_callback_info info) {
  return number_value(env, control(env, info, EPOLL_CTL_ADD));
}

/** modify(fd, events, token). 0 or -errno. */
static napi_value modify(napi_env env, napi_callback_info info) {
  return number_value(env, control(env, info, EPOLL_CTL_MOD));
}

/** unwatch(fd): before the descriptor is closed. 0 or -errno. */
static napi_value unwatch(napi_env env, napi_callback_info info) {
  return number_value(env, control(env, info, EPOLL_CTL_DEL));
}

/** events(): how many (token, events) pairs now stand in readyTokens; at most EVENTS_MAX. */
static napi_value events(napi_env env, napi_callback_info info) {
  (void)info;
  struct epoll_event ready[EVENTS_MAX];
  int epoll = wait_epoll();
  int count = epoll < 0 ? 0 : epoll_wait(epoll, ready, EVENTS_MAX, 0);
  if (count < 0) count = 0; // EINTR: they are still there next time
  for (int i = 0; i < count; i++) {
    addon_events[2 * i] = (s32)(u32)ready[i].data.u64;
    addon_events[2 * i + 1] = (s32)ready[i].events;
  }
  return number_value(env, count);
}

static uv_loop_t *loop_of(napi_env env) {
  uv_loop_t *loop = NULL;
  napi_get_uv_event_loop(env, &loop);
  return loop;
}

/** uvBackend(): descriptor that is readable when libuv has work. */
static napi_value uv_backend(napi_env env, napi_callback_info info) {
  (void)info;
  return number_value(env, uv_backend_fd(loop_of(env)));
}

/** uvTimeout(): ms until libuv has work without an event; 0 now, -1 never. */
static napi_value uv_timeout(napi_env env, napi_callback_info info) {
  (void)info;
  uv_loop_t *loop = loop_of(env);
  // A loop with nothing to wait for would end: that, too, is said by 0.
  return number_value(env, uv_loop_alive(loop) ? uv_backend_timeout(loop) : -1);
}

void wait_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "watch", watch, NULL);
  export_method(env, exports, "modify", modify, NULL);
  export_method(env, exports, "unwatch", unwatch, NULL);
  export_method(env, exports, "events", events, NULL);
  export_method(env, exports, "uvBackend", uv_backend, NULL);
  export_method(env, exports, "uvTimeout", uv_timeout, NULL);
}
