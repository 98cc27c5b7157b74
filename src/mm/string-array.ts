// Arrays of strings in guest memory (execve(2)'s argv and envp), read through a window, because they usually lie close
// together and a read of another process costs the same for a byte as for kilobytes.

import { E2BIG, EFAULT } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { allocateScratch, buffer, markScratch, readBytes, readU64, releaseScratch } from '../platform/arena.ts';
import type { UserMemory } from './user-memory.ts';

const WINDOW = 16384;
/** MAX_ARG_STRLEN (32 pages) and a bound on pointers that 6 MiB of arguments cannot exceed. */
const MAX_STRING = 131072;
const MAX_STRINGS = 786432;
const MAX_TOTAL = 6 << 20;

/** What of guest memory lies in scratch: `length` bytes from `start` at arena offset `at`. */
interface Window {
  at: number;
  start: number;
  length: number;
}

interface Windows {
  readonly pointers: Window;
  readonly text: Window;
}

/** The strings of NULL-terminated arrays (NULL itself is an empty one), or -EFAULT or -E2BIG. */
export function readStringArrays(memory: UserMemory, arrays: readonly UserAddress[]): string[][] | number {
  const mark = markScratch();
  const windows: Windows = {
    pointers: { at: allocateScratch(WINDOW), start: 0, length: 0 },
    text: { at: allocateScratch(WINDOW), start: 0, length: 0 },
  };
  const lists: string[][] = [];
  let failed = 0;
  for (const array of arrays) {
    const strings: string[] | number = array === 0 ? [] : readAll(memory, array, windows);
    if (typeof strings === 'number') {
      failed = strings;
      break;
    }
    lists.push(strings);
  }
  releaseScratch(mark);
  return failed < 0 ? failed : lists;
}

function readAll(memory: UserMemory, array: number, windows: Windows): string[] | number {
  const { pointers } = windows;
  const strings: string[] = [];
  let total = 0;
  for (let at = array; ; at += 8) {
    if (strings.length > MAX_STRINGS) return -E2BIG;
    if (!covers(memory, pointers, at, 8)) return -EFAULT;
    const pointer = readU64(pointers.at + (at - pointers.start));
    if (pointer === 0) return strings;
    const string = readString(memory, windows, pointer);
    if (typeof string === 'number') return string;
    total += string.length + 1;
    if (total > MAX_TOTAL) return -E2BIG;
    strings.push(string);
  }
}

/** Strings often lie where pointers do, on the stack: what was read along with those is looked at first. */
function readString(memory: UserMemory, { pointers, text }: Windows, from: number): string | number {
  const near = from - pointers.start;
  if (near >= 0 && near < pointers.length) {
    const nul = buffer.indexOf(0, pointers.at + near);
    if (nul >= 0 && nul < pointers.at + pointers.length) return readBytes(pointers.at + near, nul - pointers.at - near);
  }
  let string = '';
  let at = from;
  while (string.length < MAX_STRING) {
    if (!covers(memory, text, at, 1)) return -EFAULT;
    const offset = text.at + (at - text.start);
    const end = text.at + text.length;
    const nul = buffer.indexOf(0, offset);
    if (nul >= 0 && nul < end) return string + readBytes(offset, nul - offset);
    string += readBytes(offset, end - offset);
    at += end - offset;
  }
  return -E2BIG;
}

/** Whether `length` bytes at `address` are in the window, after moving it there if need be. */
function covers(memory: UserMemory, window: Window, address: number, length: number): boolean {
  // Sums would be wrong for addresses beyond 2^53.
  const skip = address - window.start;
  if (skip >= 0 && skip + length <= window.length) return true;
  // Aligned down so that pointers stay aligned in scratch.
  window.start = address - (address % 8);
  const n = memory.readSome(window.start as UserAddress, window.at, WINDOW);
  window.length = Math.max(n, 0);
  return address - window.start + length <= window.length;
}
