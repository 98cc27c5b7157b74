// Call sites: which system call instructions of an address space trap often enough to be patched. Only text that the
// sentry itself mapped from a file is patched, found by trapping, never by scanning; the stub does it (native/stub/
// patch.c) when the sentry orders it.

import { MAX_SITES } from '../platform/layout.ts';

/** Traps of one site before it is patched: programs that make a call once or twice do not pay for it. */
const TRAPS_BEFORE_PATCH = 6;
/** Sites that are counted in one address space; a program with more is left as it is. */
const MAX_COUNTED = 4096;

interface TextRange {
  readonly start: number;
  readonly end: number;
}

export class CallSites {
  /** Executable file mappings at addresses that the sentry chose. Shared by fork until one side maps more. */
  private texts: readonly TextRange[] = [];
  private readonly traps = new Map<number, number>();
  /** The instruction after each site that was ordered to be patched, by place in the jump table. */
  ordered: number[] = [];

  /** An executable file mapping was ordered at a fixed address. */
  addText(start: number, length: number): void {
    this.texts = [...this.texts, { start, end: start + length }];
  }

  /** Counts a trap at the instruction before `next`. The site's place in the tables when it is to be patched, or -1. */
  countTrap(next: number): number {
    const traps = (this.traps.get(next) ?? 0) + 1;
    if (traps > TRAPS_BEFORE_PATCH || this.traps.size >= MAX_COUNTED) return -1;
    this.traps.set(next, traps);
    if (traps < TRAPS_BEFORE_PATCH || this.ordered.length >= MAX_SITES || !this.isText(next)) return -1;
    return this.ordered.push(next) - 1;
  }

  /** A child has its parent's patched sites in its copy of the memory, and counts the others anew. */
  copy(): CallSites {
    const copy = new CallSites();
    copy.texts = this.texts;
    copy.ordered = this.ordered.slice();
    return copy;
  }

  private isText(address: number): boolean {
    for (const { start, end } of this.texts) if (address >= start && address < end) return true;
    return false;
  }
}
