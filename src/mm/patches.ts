// Patched call sites (native/stub/patch.c) seen from outside: undone where a program comes to change or move its text, and
// in a process that is traced; and not shown to those who look at its memory. What was put into the padding between
// functions stays there: nothing leads to it any more, but a thread may just be on its way.

import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u8, u32, writeU64 } from '../platform/arena.ts';
import { openHostMemory } from '../platform/host-proc.ts';
import { JUMP_TABLE_ADDR, MAX_SITES, TRAMPOLINES_ADDR } from '../platform/layout.ts';
import { native } from '../platform/native.ts';
import type { AddressSpace } from './address-space.ts';
import { type HostMapping, hostMappings } from './host-maps.ts';

const TRAMPOLINE_SIZE = 32;
const WORD = 8;
const SYSCALL_LENGTH = 2;
/** The jump, and the shortest and the longest instruction that give way to one. */
const JUMP_LENGTH = 5;
const SHORT = 2;
const LONGEST = 7;
const INT3 = 0xcc;
const SHORT_JUMP = 0xeb;

/** Entries of the jump table behind the sites' own, in which those of two instructions have theirs (`struct jump_table`). */
const PAIRS = 128;
const PAIR_SIZE = 256;

/** Beside the trampolines: sites with an int3 in them. Of one that was restored the highest bit says so. */
const behindInt3 = (place: number): number => TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * MAX_SITES + WORD * place;
const RESTORED = 0x80000000;

/** A site that is patched now. */
interface Patch {
  readonly address: number;
  /** Bytes that were replaced, and where they lie in the arena. */
  readonly length: number;
  readonly original: number;
  /** Where the bytes that stand there now lie. */
  readonly code: number;
}

/** What became of a site, or null if it is not patched (any more). Scratch is the caller's to give back. */
function patchAt(mm: AddressSpace, place: number, next: number): Patch | null {
  const trampoline = allocateScratch(TRAMPOLINE_SIZE);
  const from = TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * place;
  if (trampoline < 0 || native.vmRead(mm.hostPid, from, trampoline, TRAMPOLINE_SIZE) !== TRAMPOLINE_SIZE) return null;
  const length = replacedLength(trampoline);
  const address = next - SYSCALL_LENGTH - length;
  const code = allocateScratch(length);
  if (code < 0 || native.vmRead(mm.hostPid, address, code, length) !== length) return null;
  return isChanged(code, length) ? { address, length, original: trampoline, code } : null;
}

/** A trampoline begins with the instruction that was replaced; behind it stands movabs $next, %r11. */
function replacedLength(trampoline: number): number {
  let length = SHORT;
  while (length < LONGEST && !(u8[trampoline + length] === 0x49 && u8[trampoline + length + 1] === 0xbb)) length++;
  return length;
}

/**
 * A short jump, or an int3 on the way to a jump, or jmp *abs32 through the jump table, whose addresses end in the system
 * call; prefixes before it where there was more room.
 */
function isChanged(at: number, length: number): boolean {
  if (u8[at] === SHORT_JUMP || u8[at] === INT3) return true;
  const jump = at + length - JUMP_LENGTH;
  return length >= JUMP_LENGTH && u8[jump] === 0xff && u8[jump + 1] === 0x24 && u8[jump + 2] === 0x25;
}

// ---- undoing ----

/** Puts the original instructions back wherever a site may have been patched, and has none patched any more. */
export function unpatch(mm: AddressSpace): void {
  const { sites } = mm;
  if (sites === null) return;
  mm.sites = null;
  for (const [place, next] of sites.ordered.entries()) if (next !== 0) restore(mm, place, next);
}

/**
 * The program is about to change what lies from `start` to `end`, or to move it: there its own instructions are put back,
 * and none are patched any more.
 */
export function releaseText(mm: AddressSpace, start: number, end: number): void {
  const { sites } = mm;
  if (sites === null || sites.isIdle) return;
  for (const [place, next] of sites.ordered.entries())
    if (next > start && next - SYSCALL_LENGTH - LONGEST < end) restore(mm, place, next);
  sites.forget(start, end);
}

/**
 * Threads may be running through the site. As in patching, an int3 comes first, which sends them to the trampoline, and
 * the first byte comes last; and of two instructions the first byte of the second before it.
 */
function restore(mm: AddressSpace, place: number, next: number): void {
  const mark = markScratch();
  const patch = patchAt(mm, place, next);
  const known = allocateScratch(WORD);
  const fd = patch && known >= 0 ? openHostMemory(mm.hostPid) : -1;
  if (patch && fd >= 0) {
    const { address, length, original, code } = patch;
    writeU64(known, address);
    native.vmWrite(mm.hostPid, behindInt3(place), known, WORD);
    u8[code] = INT3;
    const put = (from: number, offset: number, count: number): void => {
      if (count > 0) host.pwrite64(fd as HostFd, from + offset, count, address + offset);
    };
    put(code, 0, 1);
    const second = length - SYSCALL_LENGTH;
    const isPair = second > 0 && u8[code + second] === INT3;
    put(original, 1, isPair ? second - 1 : length - 1);
    if (isPair) {
      put(original, second + 1, 1);
      put(original, second, 1);
    }
    put(original, 0, 1);
    host.close(fd as HostFd);
    u32[(known >>> 2) + 1] |= RESTORED;
    native.vmWrite(mm.hostPid, behindInt3(place), known, WORD);
  }
  releaseScratch(mark);
}

// ---- looking ----

/** `length` bytes of the program's memory from `address` on were copied to `at`: the program's own, not what we made of them. */
export function showOriginals(mm: AddressSpace, address: number, at: number, length: number): void {
  const { sites } = mm;
  if (sites === null) return;
  for (const [place, next] of sites.ordered.entries()) {
    if (next <= address || next - SYSCALL_LENGTH - LONGEST >= address + length) continue;
    const mark = markScratch();
    const patch = patchAt(mm, place, next);
    for (let i = 0; patch && i < patch.length; i++) {
      const offset = patch.address + i - address;
      if (offset >= 0 && offset < length) u8[at + offset] = u8[patch.original + i];
    }
    releaseScratch(mark);
  }
}

// ---- room ----

/**
 * Forgets text that is no longer mapped, which the host alone knows, and gives places in the tables to others. Only in a
 * process of one task: another thread might just be in a trampoline.
 */
export function sweepSites(mm: AddressSpace): void {
  const texts = hostMappings(mm, null).filter(({ permissions, key }) => permissions === 'r-xp' && !key.endsWith(' 0'));
  const isThere = (start: number, end: number): boolean =>
    texts.some((text: HostMapping) => text.start < end && text.end > start);
  mm.sites?.sweep(isThere, (place, next) => mm.tasks.size === 1 && emptyPlace(mm, place, next));
}

/** Whether nothing leads to the trampoline at this place any more; its other traces are removed. */
function emptyPlace(mm: AddressSpace, place: number, next: number): boolean {
  const mark = markScratch();
  const word = allocateScratch(WORD);
  const isEmpty = word >= 0 && patchAt(mm, place, next) === null;
  if (isEmpty) {
    const pair = JUMP_TABLE_ADDR + WORD * MAX_SITES + PAIR_SIZE * (place % PAIRS) + INT3;
    const isOurs =
      native.vmRead(mm.hostPid, pair, word, WORD) === WORD &&
      readU64(word) === TRAMPOLINES_ADDR + TRAMPOLINE_SIZE * place;
    writeU64(word, 0);
    if (isOurs) native.vmWrite(mm.hostPid, pair, word, WORD);
    native.vmWrite(mm.hostPid, behindInt3(place), word, WORD);
  }
  releaseScratch(mark);
  return isEmpty;
}
