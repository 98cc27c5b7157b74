// The copy plan: what the stub captures of a system call's arguments before it rings. The table itself,
// PLAN[system call number], is generated from syscall-tables/ into generated/plan.h.
#pragma once
#include "../abi.h"

enum plan_kind {
  PLAN_END = 0,
  PLAN_STRING = 1,  // NUL-terminated, at most PLAN_STRING_MAX bytes with its NUL
  PLAN_FIXED = 2,   // `size` bytes
  PLAN_BUFFER = 3,  // argument[len_arg] * size bytes
  PLAN_IOVEC = 4,   // argument[len_arg] iovecs and then the buffers they name
  PLAN_MESSAGE = 5, // a struct msghdr with its iovecs, and with max_items > 0 also all that it and they name
};

#define PLAN_STRING_MAX 4096
#define PLAN_IOVEC_MAX  16 // longer arrays are not captured

struct plan_item {
  u8 kind, arg, len_arg, max_items; // max_items: for PLAN_IOVEC, a lower bound than PLAN_IOVEC_MAX (0: that one)
  u32 size;
};

struct plan {
  struct plan_item item[4];
};
