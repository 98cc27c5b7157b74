// Call sites: which system call instructions of an address space trap often enough to be patched. Only text that the
// sentry itself mapped from a file is patched, found by trapping, never by scanning; the stub does it (native/stub/
// patch.c) when the sentry orders it.

import { MAX_SITES } from '../platform/layout.ts';

/** Traps of one site before it is patched: programs that make a call once or twice do not pay for it. */
const TRAPS_BEFORE_PATCH = 6;
/** Sites that are counted in one address space; a program with more is left as it is. */
const MAX_COUNTED = 4096;

/** Traps of a site at which its patch is ordered again: that may have failed for other threads being there. */
const AGAIN = new Set([64, 1024, 16384]);

interface TextRange {
  readonly start: number;
  readonly end: number;
  /** What a site in it is called in statistics: the file, and where it begins there. */
  readonly name: string;
  readonly offset: number;
}

interface Site {
  traps: number;
  /** Its place in the tables, or -1 before it was ordered to be patched. */
  place: number;
}

/** How far from the end of a site its patch may reach: a short jump leads to padding near by. */
const PATCH_REACH = 160;

/** Calls of a site, for --stats. */
export interface SiteCount {
  readonly name: string;
  /** Number of the call that trapped there first. */
  readonly nr: number;
  traps: number;
}

/** Traps by site of all address spaces, null when nobody wants to know. */
let statistics: Map<string, SiteCount> | null = null;

/** Counts the traps of each site from now on. */
export function countSites(): ReadonlyMap<string, SiteCount> {
  statistics = new Map();
  return statistics;
}

/** The instruction before `next` has trapped for call `nr`. */
export function noteTrap(sites: CallSites | null, next: number, nr: number): void {
  if (!statistics) return;
  const name = `${sites?.nameOf(next - 2) ?? 'elsewhere'} ${nr}`;
  const known = statistics.get(name);
  if (known) known.traps++;
  else statistics.set(name, { name: name.slice(0, name.lastIndexOf(' ')), nr, traps: 1 });
}

export class CallSites {
  /** Executable file mappings at addresses that the sentry chose. Shared by fork until one side maps more. */
  private texts: readonly TextRange[] = [];
  private readonly sites = new Map<number, Site>();
  /** The instruction after each site that was ordered to be patched, by place in the jump table. */
  ordered: number[] = [];

  /** An executable file mapping was ordered at a fixed address: `length` bytes of the file from `offset` on. */
  addText(start: number, length: number, name: string, offset: number): void {
    this.texts = [...this.texts, { start, end: start + length, name, offset }];
  }

  /**
   * Counts a trap at the instruction before `next`. The site's place in the tables when it is to be patched, or -1. The
   * stub does not patch what it finds to be something else than unchanged text of a file.
   */
  countTrap(next: number): number {
    let site = this.sites.get(next);
    if (!site) {
      if (this.sites.size >= MAX_COUNTED) return -1;
      site = { traps: 0, place: -1 };
      this.sites.set(next, site);
    }
    site.traps++;
    if (site.place >= 0) return AGAIN.has(site.traps) ? site.place : -1;
    if (site.traps < TRAPS_BEFORE_PATCH || this.ordered.length >= MAX_SITES || !this.textAt(next)) return -1;
    site.place = this.ordered.push(next) - 1;
    return site.place;
  }

  /** Whether the memory from `start` to `end` may have been made writable, for a while, by patching. */
  patchedIn(start: number, end: number): boolean {
    return this.ordered.some((next) => next + PATCH_REACH > start && next - PATCH_REACH < end);
  }

  /** A child has its parent's patched sites in its copy of the memory, and counts the others anew. */
  copy(): CallSites {
    const copy = new CallSites();
    copy.texts = this.texts;
    copy.ordered = this.ordered.slice();
    return copy;
  }

  /** File and offset of an instruction, as objdump(1) would show it for a library. */
  nameOf(address: number): string | null {
    const text = this.textAt(address);
    return text ? `${text.name}+0x${(address - text.start + text.offset).toString(16)}` : null;
  }

  private textAt(address: number): TextRange | undefined {
    return this.texts.findLast(({ start, end }) => address >= start && address < end);
  }
}
