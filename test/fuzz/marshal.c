// The stub's capturing of arguments (native/stub/marshal.c), with arguments and memory made of random bytes, built with
// sanitizers: nothing is written outside the slot, and what is in it is what the program's memory held.
//
// LLVMFuzzerTestOneInput() is for libFuzzer (clang -fsanitize=fuzzer -DLIBFUZZER); else: marshal SEED SECONDS FILE...,
// the files first.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../native/stub/plan_types.h"
#include "../../native/stub/stub.h"

#include "../../native/generated/plan.h"

#define MEMORY (1u << 18)

static u8 *memory; // the program's; the rest of its address space is not mapped

u64 copy_user(void *to, const void *from, u64 length) {
  u64 start = (u64)from - (u64)memory;
  u64 there = start < MEMORY ? MEMORY - start : 0;
  if (there > length) there = length;
  memcpy(to, from, there);
  return length - there;
}

s64 copy_string(void *to, const void *from, u64 limit) {
  for (u64 i = 0; i < limit; i++) {
    if ((u64)from + i - (u64)memory >= MEMORY) return -EFAULT;
    if (!(((u8 *)to)[i] = ((const u8 *)from)[i])) return i + 1;
  }
  return -36;
}

static void put_arguments(volatile u32 *slot, const u64 *reg) { write64(slot, H_ARGS, reg[RDI]); }

#include "../../native/stub/marshal.c"

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

static void check(volatile u32 *slot) {
  u32 count = slot[H_NIN], end = SLOT_PAYLOAD;
  require(count <= MAX_IN, "too many items");
  for (u32 i = 0; i < count; i++) {
    volatile u32 *item = slot + H_IN + 4 * i;
    u64 address = read64(item, 0);
    s32 length = item[3];
    require(item[2] == end && end % 16 == 0, "an item is not behind the one before");
    if (length <= 0) continue;
    require(end + (u32)length <= SLOT_PAYLOAD + CAPTURE_MAX && end + (u32)length <= SLOT_SIZE,
            "an item leaves the slot");
    require(!memcmp((u8 *)slot + end, (void *)address, length), "an item is not what was there");
    end += ((u32)length + 15) & ~15u;
  }
}

/** A number from the input: an address in memory or just beyond it, a small number, or anything. */
static u64 number(const u8 **data, size_t *size) {
  u64 value = 0;
  for (int i = 0; i < 4 && *size; i++, (*size)--) value = value << 8 | *(*data)++;
  switch (value % 8) {
  case 0: return value >> 3;
  case 1: return value >> 3 & 0x3f;
  case 2: return 0;
  case 3: return (u64)memory + MEMORY - (value >> 3 & 0x1f);
  case 4: return value * 0x9e3779b97f4a7c15u;
  default: return (u64)memory + (value >> 3) % MEMORY;
  }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size) {
  static volatile u32 *slot;
  if (!memory) {
    memory = malloc(MEMORY);
    memset(memory, 'x', MEMORY);
    slot = aligned_alloc(4096, SLOT_SIZE);
  }
  void *written[128];
  int count = 0;
  u64 reg[REGISTERS] = {0};
  u32 nr = number(&data, &size) % (PLAN_COUNT + 8);
  static const int registers[] = {RDI, RSI, RDX, R10, R8, R9};
  for (int i = 0; i < 6; i++) reg[registers[i]] = number(&data, &size);
  for (int i = 0; i < 64 && size >= 8; i++) { // vectors, and ends of strings
    u64 place = number(&data, &size) % (MEMORY / 16) * 16;
    u64 pair[2] = {number(&data, &size), number(&data, &size) % (CAPTURE_MAX + 64)};
    memcpy(written[count++] = memory + place, pair, sizeof pair);
    if (i % 4 == 0 && reg[RSI] - (u64)memory < MEMORY - 64)
      memcpy(written[count++] = (void *)(reg[RSI] & ~15ul), pair, sizeof pair);
  }
  memset((void *)slot, 0, SLOT_PAYLOAD);
  marshal(slot, nr, reg);
  check(slot);
  while (count) memset(written[--count], 'x', 16);
  return 0;
}

#ifndef LIBFUZZER
int main(int argc, char **argv) {
  if (argc < 3) return 2;
  for (int i = 3; i < argc; i++) {
    static u8 data[4096];
    FILE *file = fopen(argv[i], "r");
    if (!file) return 2;
    LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
    fclose(file);
  }
  srandom(atoi(argv[1]));
  time_t end = time(NULL) + atoi(argv[2]);
  long rounds = 0;
  do {
    u8 data[1024];
    for (size_t i = 0; i < sizeof data; i++) data[i] = random();
    LLVMFuzzerTestOneInput(data, random() % sizeof data);
    rounds++;
  } while (rounds < 1000 || time(NULL) < end);
  printf("%ld rounds\n", rounds);
  return 0;
}
#endif
