// Guest memory that did not travel in a slot: process_vm_readv(2) and process_vm_writev(2).
#include "addon.h"

#include <sys/uio.h>

static s64 transfer(napi_env env, napi_callback_info info,
                    ssize_t (*call)(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long,
                                    unsigned long)) {
  struct arguments a;
  s64 pid, address, offset, length;
  get_arguments(env, info, &a);
  if (!get_int(env, &a, 0, &pid) || !get_number(env, &a, 1, &address) || !get_number(env, &a, 2, &offset) ||
      !get_number(env, &a, 3, &length))
    return -EINVAL;
  void *place = arena_range(offset, length);
  if (!place) return -EINVAL;
  struct iovec local = {place, length}, remote = {(void *)address, length};
  return result_of(call(pid, &local, 1, &remote, 1, 0));
}

/** vmRead(pid, userAddress, arenaOffset, length): bytes read, fewer at the first fault, or -errno. */
static napi_value vm_read(napi_env env, napi_callback_info info) {
  return number_value(env, transfer(env, info, process_vm_readv));
}

/** vmWrite(pid, userAddress, arenaOffset, length): bytes written, fewer at the first fault, or -errno. */
static napi_value vm_write(napi_env env, napi_callback_info info) {
  return number_value(env, transfer(env, info, process_vm_writev));
}

void memory_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "vmRead", vm_read, NULL);
  export_method(env, exports, "vmWrite", vm_write, NULL);
}
