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
  /** Its place in the tables, or -1 before it was ordered to be patched. It keeps that if other text comes to lie there. */
  place: number;
  isOrdered: boolean;
}

/** Text ranges, counted sites and places in the tables: when they run out, it is looked what is still there. */
const MAX_TEXTS = 1024;
/** Calls that found none left before it is looked again; twice as many each time that nothing was found. */
const REFUSALS = 64;

/** So far before the end of its system call a site begins at most. */
const PATCH_LONGEST = 9;
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

/** What is left of a range of text: nothing, a part, or two. */
function without(text: TextRange, start: number, end: number): TextRange[] {
  const parts = [
    { ...text, end: Math.min(text.end, start) },
    { ...text, start: Math.max(text.start, end), offset: text.offset + Math.max(end - text.start, 0) },
  ];
  return parts.filter((part) => part.start < part.end);
}

export class CallSites {
  /** Executable file mappings at addresses that the sentry chose. Shared by fork until one side maps more. */
  private texts: readonly TextRange[] = [];
  private sites = new Map<number, Site>();
  /** The instruction after each site that was ordered to be patched, by place in the jump table; 0 for a free place. */
  ordered: number[] = [];
  private freePlaces: number[] = [];
  private refusals = 0;
  private refusalsMost = REFUSALS;

  /** An executable file mapping was ordered at a fixed address: `length` bytes of the file from `offset` on. */
  addText(start: number, length: number, name: string, offset: number): void {
    this.forget(start, start + length);
    if (this.texts.length < MAX_TEXTS) this.texts = [...this.texts, { start, end: start + length, name, offset }];
    else this.refusals++;
  }

  /** What lies from `start` to `end` is something else from now on, and no text of ours. */
  forget(start: number, end: number): void {
    const touches = (text: TextRange): boolean => text.start < end && text.end > start;
    if (!this.texts.some(touches)) return;
    this.texts = this.texts.flatMap((text) => (touches(text) ? without(text, start, end) : [text]));
    for (const [next, site] of this.sites) {
      if (next <= start || next - PATCH_LONGEST >= end) continue;
      if (site.place < 0) this.sites.delete(next);
      site.traps = 0;
      site.isOrdered = false;
    }
  }

  /** Whether anything is patched, or may come to be. */
  get isIdle(): boolean {
    return this.texts.length === 0 && this.ordered.length === 0;
  }

  /**
   * Counts a trap at the instruction before `next`. The site's place in the tables when it is to be patched, or -1. The
   * stub does not patch what it finds to be something else than unchanged text of a file.
   */
  countTrap(next: number): number {
    let site = this.sites.get(next);
    if (!site) {
      if (this.sites.size >= MAX_COUNTED) return this.refuse();
      site = { traps: 0, place: -1, isOrdered: false };
      this.sites.set(next, site);
    }
    site.traps++;
    if (site.isOrdered) return AGAIN.has(site.traps) ? site.place : -1;
    if (site.traps < TRAPS_BEFORE_PATCH || !this.textAt(next)) return -1;
    if (site.place < 0) site.place = this.takePlace(next);
    if (site.place < 0) return this.refuse();
    site.isOrdered = true;
    return site.place;
  }

  private refuse(): -1 {
    this.refusals++;
    return -1;
  }

  private takePlace(next: number): number {
    const free = this.freePlaces.pop();
    if (free !== undefined) this.ordered[free] = next;
    else if (this.ordered.length < MAX_SITES) this.ordered.push(next);
    else return -1;
    return free ?? this.ordered.length - 1;
  }

  /** There was no room so often that it is worth looking for what is gone. */
  get isCrowded(): boolean {
    return this.refusals >= this.refusalsMost;
  }

  /**
   * Keeps the ranges of text of which `isThere` says so, and the sites in them. Sites elsewhere give their place away if
   * `mayGive` allows it.
   */
  sweep(isThere: (start: number, end: number) => boolean, mayGive: (place: number, next: number) => boolean): void {
    this.texts = this.texts.filter(({ start, end }) => isThere(start, end));
    const before = this.sites.size;
    for (const [next, site] of this.sites) if (site.place < 0 && !this.textAt(next)) this.sites.delete(next);
    for (const [place, next] of this.ordered.entries()) {
      if (next === 0 || this.textAt(next) || !mayGive(place, next)) continue;
      this.ordered[place] = 0;
      this.freePlaces.push(place);
      this.sites.delete(next);
    }
    this.refusals = 0;
    this.refusalsMost = this.sites.size < before ? REFUSALS : this.refusalsMost * 2;
  }

  /** Whether the memory from `start` to `end` may have been made writable, for a while, by patching. */
  patchedIn(start: number, end: number): boolean {
    return this.ordered.some((next) => next !== 0 && next + PATCH_REACH > start && next - PATCH_REACH < end);
  }

  /** A child has its parent's patched sites in its copy of the memory, and counts the others anew. */
  copy(): CallSites {
    const copy = new CallSites();
    copy.texts = this.texts;
    copy.ordered = this.ordered.slice();
    copy.freePlaces = this.freePlaces.slice();
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
