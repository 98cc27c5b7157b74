// The arena: one reservation with a place for every slot and the sentry's scratch behind them, which
// JavaScript sees as a single ArrayBuffer. Each slot is a memfd of its own that is mapped at its place:
// shared by all guests, one memfd would let any guest forge any other's calls.
#include "addon.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

u8 *arena;
static int slot_fd[MAX_SLOTS]; // descriptor + 1

// A slot that is given back stays mapped, up to so many of them, until its place is used again: mapping the next one
// there takes the old one away.
#define LINGER_MAX 16
static bool lingers[MAX_SLOTS];
static u32 lingering;

void *arena_range(s64 offset, s64 length) {
  if (!arena || offset < 0 || length < 0 || offset > (s64)ARENA_SIZE || length > (s64)ARENA_SIZE - offset) return NULL;
  return arena + offset;
}

void *scratch_range(s64 offset, s64 length) {
  if (offset < (s64)(MAX_SLOTS * SLOT_SIZE) || offset % sizeof(u32)) return NULL;
  return arena_range(offset, length);
}

volatile u32 *slot_header(s64 index) {
  if (index < 0 || index >= MAX_SLOTS || !slot_fd[index]) return NULL;
  return (volatile u32 *)(arena + index * SLOT_SIZE);
}

int slot_attach(u32 index, int fd) {
  void *place = arena + index * SLOT_SIZE;
  if (mmap(place, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) return -errno;
  if (slot_fd[index]) close(slot_fd[index] - 1);
  lingering -= lingers[index];
  lingers[index] = false;
  slot_fd[index] = fd + 1;
  doorbell_forget(index);
  return fd;
}

/** A number that no guest can guess: false if the host has none. */
static bool random_number(u32 *number) {
  static u32 stock[64], left;
  if (!left) {
    if (getrandom(stock, sizeof stock, 0) != sizeof stock) return false;
    left = sizeof stock / sizeof *stock;
  }
  *number = stock[--left];
  return true;
}

static int slot_create(u32 index) {
  u32 sequence;
  if (!random_number(&sequence)) return -errno;
  int fd = memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  // Sealed: a guest that shrank it would make the sentry's reads fault.
  int result = ftruncate(fd, SLOT_SIZE) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
                   ? -errno
                   : slot_attach(index, fd);
  if (result < 0) {
    close(fd);
    return result;
  }
  // The owner goes on counting from here. A guest that does not have this slot cannot guess it.
  slot_header(index)[H_SEQ] = slot_header(index)[H_DONE] = sequence;
  doorbell_forget(index);
  return fd;
}

/** arenaCreate(): the ArrayBuffer of slots and scratch. Once per process. */
static napi_value arena_create(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value buffer;
  if (arena) {
    napi_throw_error(env, "EEXIST", "the arena exists already");
    return NULL;
  }
  u8 *memory = mmap(NULL, ARENA_SIZE + ARENA_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory + MAX_SLOTS * SLOT_SIZE, SCRATCH_SIZE, PROT_READ | PROT_WRITE)) {
    napi_throw_error(env, "ENOMEM",
                     "cannot reserve address space for the slots (a limit on virtual memory, ulimit -v?)");
    return NULL;
  }
  if (napi_create_external_arraybuffer(env, memory, ARENA_SIZE, NULL, NULL, &buffer) != napi_ok) return NULL;
  arena = memory;
  return buffer;
}

/** The slot index in argument 0, or -1. */
static s64 slot_argument(napi_env env, const struct arguments *a) {
  s64 index;
  if (!arena || !get_number(env, a, 0, &index) || index < 0 || index >= MAX_SLOTS) return -1;
  return index;
}

/** slotCreate(index): a fresh slot, whatever was there before is replaced. Its descriptor or -errno. */
static napi_value slot_create_method(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  return number_value(env, index < 0 ? -EINVAL : slot_create(index));
}

/** slotFd(index): descriptor of the slot's memfd, or -EBADF. */
static napi_value slot_fd_method(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  return number_value(env, index < 0 ? -EINVAL : slot_fd[index] ? slot_fd[index] - 1 : -EBADF);
}

/** slotDestroy(index): gives its memory back. */
static napi_value slot_destroy(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return number_value(env, -EINVAL);
  doorbell_forget(index);
  if (!slot_fd[index]) return number_value(env, 0);
  void *place = arena + index * SLOT_SIZE;
  if (lingering < LINGER_MAX) {
    lingers[index] = true;
    lingering++;
  } else if (mmap(place, SLOT_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
             MAP_FAILED) {
    return number_value(env, -errno);
  }
  close(slot_fd[index] - 1);
  slot_fd[index] = 0;
  return number_value(env, 0);
}

void arena_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "arenaCreate", arena_create, NULL);
  export_method(env, exports, "slotCreate", slot_create_method, NULL);
  export_method(env, exports, "slotFd", slot_fd_method, NULL);
  export_method(env, exports, "slotDestroy", slot_destroy, NULL);
}
