// Patched call sites of a process that is traced: a debugger must find the program's own instructions there, and a call
// that is made at its site can be made to trap. They are put back, and that address space is not patched again. What was
// put into the padding between functions stays there: nothing leads to it any more, but a thread may just be on its way.

import type { UserAddress } from '../../base/brands.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import { writeForced } from '../../mm/forced-memory.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../../platform/arena.ts';
import { MAX_SITES, TRAMPOLINES_ADDR } from '../../platform/layout.ts';
import { native } from '../../platform/native.ts';

const TRAMPOLINE_SIZE = 32;
const WORD = 8;
const SYSCALL_LENGTH = 2;
/** The jump, and the shortest and the longest instruction that give way to one. */
const JUMP_LENGTH = 5;
const SHORT = 2;
const LONGEST = 7;

/** Puts the original instructions back wherever a site may have been patched. */
export function unpatch(mm: AddressSpace): void {
  const { sites } = mm;
  if (sites === null) return;
  mm.sites = null;
  for (const [index, next] of sites.ordered.entries()) restore(mm, index, next);
  forgetTraps(mm, sites.ordered.length);
}

/** An int3 that stands at such a place from now on is the debugger's (behind_int3 in native/stub/patch.c). */
function forgetTraps(mm: AddressSpace, count: number): void {
  const mark = markScratch();
  const zeros = allocateScratch(count * WORD);
  if (zeros >= 0) {
    u8.fill(0, zeros, zeros + count * WORD);
    native.vmWrite(mm.hostPid, TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * MAX_SITES, zeros, count * WORD);
  }
  releaseScratch(mark);
}

/** `next`: the instruction after the system call. The trampoline begins with the instruction that was replaced. */
function restore(mm: AddressSpace, index: number, next: number): void {
  const site = next - LONGEST - SYSCALL_LENGTH;
  const start = site - (site % WORD);
  const length = Math.ceil((next - start) / WORD) * WORD;
  const mark = markScratch();
  const code = allocateScratch(length);
  const trampoline = allocateScratch(TRAMPOLINE_SIZE);
  const { memory } = [...mm.tasks][0] ?? {};
  const from = TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * index;
  if (
    memory &&
    code >= 0 &&
    trampoline >= 0 &&
    native.vmRead(mm.hostPid, start, code, length) === length &&
    native.vmRead(mm.hostPid, from, trampoline, TRAMPOLINE_SIZE) === TRAMPOLINE_SIZE
  ) {
    const replaced = replacedLength(trampoline);
    const at = code + (next - start) - SYSCALL_LENGTH - replaced;
    if (isChanged(at, replaced)) {
      u8.copyWithin(at, trampoline, trampoline + replaced);
      writeForced(memory, start as UserAddress, code, length);
    }
  }
  releaseScratch(mark);
}

/** Behind the instruction that was replaced stands movabs $next, %r11. */
function replacedLength(trampoline: number): number {
  let length = SHORT;
  while (length < LONGEST && !(u8[trampoline + length] === 0x49 && u8[trampoline + length + 1] === 0xbb)) length++;
  return length;
}

/**
 * A short jump, or an int3 on the way to a jump, or jmp *abs32 through the jump table, whose addresses end in the system
 * call; prefixes before it where there was more room.
 */
function isChanged(at: number, replaced: number): boolean {
  if (u8[at] === 0xeb || u8[at] === 0xcc) return true;
  const jump = at + replaced - JUMP_LENGTH;
  return replaced >= JUMP_LENGTH && u8[jump] === 0xff && u8[jump + 1] === 0x24 && u8[jump + 2] === 0x25;
}
