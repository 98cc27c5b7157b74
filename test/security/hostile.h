// How a hostile program uses the stub against the sandbox: host calls from the stub's addresses, its own slot, rings.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../native/abi.h"

#define UNUSED __attribute__((unused)) // not every program does everything

/** Between the stub's text and the slots: the filter takes what runs here for the stub. */
#define GADGET   0x7e0001000000ul
#define FD_SLOT  13
#define SEQUENCE 0x10 // of struct thread in native/stub/stub.h

static long (*raw)(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);

// The stub's own `syscall; test %rax, %rax; jz; ret`: as good as a function for calls that do not return 0.
static const u8 CLONE_CODE[] = {0x0f, 0x05, 0x48, 0x85, 0xc0, 0x74, 0x01, 0xc3};

// mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov %r9,%r8; mov 8(%rsp),%r9; syscall; ret
static const u8 RAW_CODE[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d,
                              0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3};

/** Makes `raw`: any host call from an address that passes for the stub's. */
UNUSED static void make_raw(void) {
  const u8 *text = (const u8 *)STUB_TEXT;
  const u8 *found = NULL;
  for (u64 i = 0; i < 0x8000 && !found; i++)
    if (!memcmp(text + i, CLONE_CODE, sizeof CLONE_CODE)) found = text + i;
  if (!found) {
    fprintf(stderr, "no syscall instruction found in the stub\n");
    exit(99);
  }
  long page;
  register long r10 __asm__("r10") = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, r8 __asm__("r8") = -1,
                    r9 __asm__("r9") = 0;
  __asm__ volatile("call *%1"
                   : "=a"(page)
                   : "r"(found), "0"((long)SYS_mmap), "D"(GADGET), "S"(0x1000l),
                     "d"((long)(PROT_READ | PROT_WRITE | PROT_EXEC)), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  if (page != (long)GADGET) {
    fprintf(stderr, "mmap from the stub's address: %ld\n", page);
    exit(99);
  }
  memcpy((void *)GADGET, RAW_CODE, sizeof RAW_CODE);
  *(void **)&raw = (void *)GADGET;
}

#define RAW_SELECT(nr, a, b, c, d, e, f, ...) raw(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))
#define RAW(...)                              RAW_SELECT(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/** The stub's block of the main thread of a program that has just been executed. */
#define MAIN_BLOCK ((volatile u8 *)BLOCKS_ADDR)

UNUSED static volatile u32 *block_slot(volatile u8 *block) { return *(volatile u32 *volatile *)block; }
UNUSED static u32 block_slot_index(volatile u8 *block) { return *(volatile u32 *)(block + 12); }

/** Rings on the main thread's slot as the stub would, whatever stands in it. The doorbell's result. */
UNUSED static long forge_ring(u32 kind, u32 nr) {
  volatile u32 *slot = block_slot(MAIN_BLOCK);
  volatile u32 *sequence = (volatile u32 *)(MAIN_BLOCK + SEQUENCE);
  slot[H_KIND] = kind;
  slot[H_NR] = nr;
  slot[H_FLAGS] = 0;
  slot[H_SEQ] = ++*sequence;
  return RAW(DOORBELL, block_slot_index(MAIN_BLOCK), *sequence);
}

UNUSED static u64 random_state = 1;
UNUSED static u64 random64(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state * 0x2545f4914f6cdd1dul;
}
UNUSED static u64 below(u64 limit) { return random64() % limit; }
