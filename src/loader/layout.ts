// Where a program goes in its fresh address space, and the orders that put it there. Everything is randomized per
// exec as Linux does it (PIE base, interpreter, stack, heap gap); what the program maps natively later is placed by
// the host below its own stack.

import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_STACK,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { order } from '../platform/answer.ts';
import { ORDER_SYSCALL, ORDER_ZERO } from '../platform/layout.ts';
import { type ElfImage, PAGE_SIZE, pageDown, pageUp, type Segment } from './elf.ts';

const PIE_BASE = 0x555555554000;
const PIE_RANDOM_PAGES = 2 ** 28;
const INTERPRETER_BASE = 0x7d8000000000;
const INTERPRETER_RANDOM_PAGES = 2 ** 26;
const STACK_TOP = 0x7df000000000;
const STACK_RANDOM_PAGES = 2 ** 22;
const HEAP_RANDOM_PAGES = 2 ** 13;
const SYS_MMAP = 9;

/** Random page counts from 32-bit random words. */
export interface Placement {
  programBase: number;
  interpreterBase: number;
  stackTop: number;
  heapGap: number;
}

/** Draws a placement from at least 16 random bytes. */
export function choosePlacement(random: Uint32Array, program: ElfImage): Placement {
  return {
    programBase: program.fixed ? 0 : PIE_BASE + PAGE_SIZE * (random[0] % PIE_RANDOM_PAGES) - program.low,
    interpreterBase: INTERPRETER_BASE + PAGE_SIZE * (random[1] % INTERPRETER_RANDOM_PAGES),
    stackTop: STACK_TOP - PAGE_SIZE * (random[2] % STACK_RANDOM_PAGES),
    heapGap: PAGE_SIZE * (1 + (random[3] % HEAP_RANDOM_PAGES)),
  };
}

/** Orders the mappings of an image whose file is installed as `fd` in the blank. */
export function orderImage(slot: number, image: ElfImage, base: number, fd: number): void {
  for (const segment of image.segments) orderSegment(slot, segment, base, fd);
}

function orderSegment(slot: number, segment: Segment, base: number, fd: number): void {
  const start = pageDown(base + segment.address);
  const fileEnd = base + segment.address + segment.fileSize;
  const memoryEnd = base + segment.address + segment.memorySize;
  const mappedEnd = segment.fileSize > 0 ? pageUp(fileEnd) : start;
  if (segment.fileSize > 0) {
    const flags = MAP_PRIVATE | MAP_FIXED;
    order(
      slot,
      ORDER_SYSCALL,
      SYS_MMAP,
      start,
      mappedEnd - start,
      segment.protection,
      flags,
      fd,
      pageDown(segment.fileOffset),
    );
  }
  if (memoryEnd <= fileEnd) return;
  // The rest of the last file page must read as zero; a read-only segment keeps what the file has there, as in Linux.
  if (segment.fileSize > 0 && fileEnd < mappedEnd && segment.protection & PROT_WRITE) {
    order(slot, ORDER_ZERO, fileEnd, Math.min(mappedEnd, pageUp(memoryEnd)) - fileEnd);
  }
  if (pageUp(memoryEnd) > mappedEnd) {
    // What is not in the file can be written, whatever the segment says.
    const protection = PROT_READ | PROT_WRITE | (segment.protection & PROT_EXEC);
    const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
    order(slot, ORDER_SYSCALL, SYS_MMAP, mappedEnd, pageUp(memoryEnd) - mappedEnd, protection, flags, -1, 0);
  }
}

export function orderStack(slot: number, top: number, size: number, executable: boolean): void {
  const protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
  const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  order(slot, ORDER_SYSCALL, SYS_MMAP, top - size, size, protection, flags, -1, 0);
}
