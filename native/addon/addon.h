// The sentry's native side (N-API): slots, doorbell, the one wait, guest memory, host calls. Mechanism only.
// Every number that comes from JavaScript is checked here, so that a wrong one is an error and no crash.
#pragma once
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "../abi.h"
#include "../stall.h"

#define SCRATCH_SIZE (16ul << 20) // the sentry's own, behind the slots
#define ARENA_SIZE   (MAX_SLOTS * SLOT_SIZE + SCRATCH_SIZE)
#define ARENA_GUARD  0x10000ul // no access: a struct at the arena's very end runs into it

/** Shared with JavaScript as an Int32Array. */
extern s32 addon_info[16];
enum {
  INFO_PID = 0,      // thread that sent the last notification, in our pid namespace
  INFO_ERROR = 1,    // errno behind a result of -3
  INFO_SYNC = 2,     // 1: the kernel has SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
  INFO_MOVED = 3,    // immediate replies to threads that rang from another CPU
  INFO_BURSTS = 4,   // times the tick was armed
  INFO_SPUN = 5,     // calls taken and answered without a ring
  INFO_WATCHES = 6,  // times the sentry began to watch a slot
  INFO_UNPARKED = 7, // threads that were woken where they had parked
  INFO_LOSSES = 8,   // times watching was found to bring nothing
};

/** Shared with JavaScript as a Float64Array: [0] CLOCK_MONOTONIC in ns when next() returned last. */
extern double addon_clock[2];

/** Shared with JavaScript as an Int32Array: (token, events) pairs of the last events(). */
#define EVENTS_MAX 64
extern s32 addon_events[2 * EVENTS_MAX];

// ---- arena.c ----
extern u8 *arena;
/** The length bytes at offset of the arena, or NULL if they are not all inside. */
void *arena_range(s64 offset, s64 length);
/** The same in the scratch behind the slots, which is always mapped: for what the addon writes itself. Aligned to 4. */
void *scratch_range(s64 offset, s64 length);
/** Header of a slot that exists, else NULL. */
volatile u32 *slot_header(s64 index);
int slot_attach(u32 index, int fd);
void arena_exports(napi_env env, napi_value exports);

// ---- doorbell.c ----
/**
 * Shared with JavaScript as an Int32Array: the only thread that may ring a slot; 0: the first that does so
 * with the right sequence number becomes it.
 */
extern s32 doorbell_expected[MAX_SLOTS];
/** A slot's pending notification and its thread are forgotten. */
void doorbell_forget(u32 index);
void doorbell_exports(napi_env env, napi_value exports);

// ---- the two ways in which a ring comes: notify.c and trace.c ----
struct ring {
  u64 id;              // to answer it by
  s32 pid;             // the thread that rang, as the kernel has it
  u64 index, sequence; // what it said
};
struct transport {
  /** After the zygote has published H_LISTENER. A descriptor that is readable when a ring waits, or -errno. */
  int (*attach)(pid_t zygote, int pidfd, volatile u32 *slot0);
  /** 0, -EAGAIN (none after all, or a signal came), or the -errno of the end. Without `block` poll(2) said there is
   * one. */
  int (*receive)(struct ring *ring, bool block);
  /** The thread goes on with this result of its ring. `elsewhere`: it is to run on another CPU than ours. 0 or -errno.
   */
  int (*answer)(u64 id, s32 error, bool elsewhere);
  /** Gives the process that rang for slot `index` a descriptor; with `send` that is the answer. Its number or -errno.
   */
  s64 (*addfd)(u64 id, u32 index, int fd, int new_fd, bool send);
  /** 0 while the thread waits for its answer, else -ENOENT. */
  int (*valid)(u64 id);
};
extern const struct transport notify_transport, trace_transport;

// ---- spin.c ----
/** Whether answering and then spinning is worth a try; `now` in ns. */
bool spin_worthwhile(s64 now);
/** The sentry watches the slot from now on; its thread sleeps and must wake up on another CPU than ours. */
void spin_watch(u32 index);
/** Says once, after the slot was watched, that its thread is where it is because of us and may come back. */
bool spin_sent_away(u32 index);
/** Takes the slot off the watch list. */
void spin_unwatch(u32 index);
/** Before the sentry sleeps: nobody is watched any more. */
void spin_stop(void);
/** How often where a thread may run was changed by watching. */
u32 spin_moves(void);
/** Whether any slot is watched, and guest threads keep off our CPU. */
bool spin_on(void);
/** A guest thread is put on our CPU: whoever spins there would only keep it waiting. */
void spin_yield(void);
enum { SPIN_NONE = -1, SPIN_LOOK = -2 };
/**
 * A watched slot with a new call. SPIN_NONE: there was none for long enough, nobody is watched any more.
 * SPIN_LOOK: something else is to be done, or the deadline has come.
 */
int spin_wait(const u32 *served, int listener_fd, s64 deadline);
/** A call was taken, in whatever way. */
void spin_count(s64 now);
/** A burst begins: so many calls came in the last so many ns. */
void spin_begin(s64 now, u32 recent_calls, s64 recent_ns);
/** Called on each tick of a burst: whether watching is worth it, and somebody else wants our CPU. */
void spin_tick(s64 now);
void spin_create(void);
void spin_exports(napi_env env, napi_value exports);

// ---- wait.c ----
/** Creates the epoll instance on first use. -errno on failure. */
int wait_epoll(void);
s64 clock_monotonic(void);
void wait_exports(napi_env env, napi_value exports);

void memory_exports(napi_env env, napi_value exports);
void placement_exports(napi_env env, napi_value exports);
void host_exports(napi_env env, napi_value exports);
void net_exports(napi_env env, napi_value exports);
void cage_exports(napi_env env, napi_value exports);

// ---- arguments and results ----

typedef napi_value method(napi_env, napi_callback_info);
void export_method(napi_env env, napi_value exports, const char *name, method *function, void *data);
void export_memory(napi_env env, napi_value exports, const char *name, void *data, size_t bytes,
                   napi_typedarray_type type, size_t count);

#define MAX_ARGUMENTS 8
struct arguments {
  size_t count;
  void *data;
  napi_value value[MAX_ARGUMENTS];
};

static inline void get_arguments(napi_env env, napi_callback_info info, struct arguments *a) {
  a->count = MAX_ARGUMENTS;
  napi_get_cb_info(env, info, &a->count, a->value, NULL, &a->data);
}

/** False if it is not a number that 64 bits can hold. Fractions are cut off. */
static inline bool get_number(napi_env env, const struct arguments *a, size_t index, s64 *number) {
  double value;
  if (napi_get_value_double(env, a->value[index], &value) != napi_ok) return false;
  if (!(value >= -0x1p63 && value < 0x1p63)) return false;
  *number = (s64)value;
  return true;
}

/** A whole number of 32 bits, with or without a sign: cut down to them, others would come to mean descriptor 0. */
static inline bool get_int(napi_env env, const struct arguments *a, size_t index, s64 *number) {
  double value;
  if (napi_get_value_double(env, a->value[index], &value) != napi_ok) return false;
  if (!(value >= -0x1p31 && value < 0x1p32)) return false;
  *number = (s32)(s64)value;
  return (double)(s64)value == value;
}

static inline napi_value number_value(napi_env env, s64 number) {
  napi_value value;
  if (number == (s32)number) napi_create_int32(env, (s32)number, &value);
  else napi_create_double(env, (double)number, &value);
  return value;
}

/** A host call's -1 becomes -errno. */
static inline s64 result_of(s64 result) { return result == -1 ? -errno : result; }
