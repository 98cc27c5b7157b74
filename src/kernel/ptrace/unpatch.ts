// Patched call sites of a process that is traced: a debugger must find the program's own instructions there, and a call
// that is made at its site can be made to trap. They are put back, and that address space is not patched again.

import type { UserAddress } from '../../base/brands.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import { writeForced } from '../../mm/forced-memory.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../../platform/arena.ts';
import { JUMP_TABLE_ADDR, TRAMPOLINES_ADDR } from '../../platform/layout.ts';
import { native } from '../../platform/native.ts';

const TRAMPOLINE_SIZE = 32;
const WORD = 8;
/** The jump and the system call behind it. */
const SITE_LENGTH = 7;
const JUMP_LENGTH = 5;

/** Puts the original instructions back wherever a site may have been patched. */
export function unpatch(mm: AddressSpace): void {
  const { sites } = mm;
  if (sites === null) return;
  mm.sites = null;
  for (const [index, next] of sites.ordered.entries()) restore(mm, index, next);
}

/** `next`: the instruction after the system call. The trampoline begins with the instruction that was replaced. */
function restore(mm: AddressSpace, index: number, next: number): void {
  const site = next - SITE_LENGTH;
  const start = site - (site % WORD);
  const length = Math.ceil((site + SITE_LENGTH - start) / WORD) * WORD;
  const mark = markScratch();
  const code = allocateScratch(length);
  const original = allocateScratch(WORD);
  const { memory } = [...mm.tasks][0] ?? {};
  if (memory && code >= 0 && original >= 0 && native.vmRead(mm.hostPid, start, code, length) === length) {
    const at = code + (site - start);
    const trampoline = TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * index;
    if (isJump(at, index) && native.vmRead(mm.hostPid, trampoline, original, JUMP_LENGTH) === JUMP_LENGTH) {
      u8.copyWithin(at, original, original + JUMP_LENGTH);
      writeForced(memory, start as UserAddress, code, length);
    }
  }
  releaseScratch(mark);
}

/** jmp *abs32 through this entry of the jump table; its address ends in the system call. */
function isJump(at: number, index: number): boolean {
  const entry = JUMP_TABLE_ADDR + 8 * index;
  const bytes = [0xff, 0x24, 0x25, entry & 0xff, (entry >> 8) & 0xff, 0x0f, 0x05];
  return bytes.every((byte, i) => u8[at + i] === byte);
}
