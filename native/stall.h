// Builds for tests (make STALLS=1) stop for a random while at each stall(), on both sides of the hand-over of a call:
// an order of events that is rarely seen otherwise then happens often.
#pragma once

#ifdef STALLS
static inline __attribute__((always_inline)) void stall(void) {
  unsigned long start = __builtin_ia32_rdtsc(), random = start * 0x9e3779b97f4a7c15ul >> 32;
  unsigned long cycles = random % 2048 == 0 ? random >> 11 & 0x7ffff : random % 32 == 0 ? random >> 5 & 0x1fff : 0;
  while (__builtin_ia32_rdtsc() - start < cycles) __builtin_ia32_pause();
}
#else
static inline void stall(void) {}
#endif
