// How long the event loop is kept by one piece of work: the longest by what was done, for --stats. While one guest is
// served all others of the sandbox wait, so nothing should take more than a few milliseconds.

import { TABLE } from '../../syscall-tables/table.ts';
import { monotonicNow } from '../base/clock.ts';
import { u32 } from '../platform/arena.ts';
import { H_KIND, H_NR, KIND_SYSCALL, SLOT_SIZE } from '../platform/layout.ts';

const SHOWN = 12;

export class Turns {
  private readonly longest = new Map<string, number>();

  measure(what: string, work: () => void): void {
    const begin = monotonicNow();
    work();
    const took = monotonicNow() - begin;
    if (took > (this.longest.get(what) ?? 0)) this.longest.set(what, took);
  }

  /** The longest pieces of work, a line. */
  report(): string {
    const sorted = [...this.longest].sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
    return sorted.map(([what, ns]) => `${what} ${(ns / 1e6).toFixed(2)}`).join(', ');
  }
}

export const callName = (nr: number): string => TABLE[nr]?.name ?? String(nr);

/** What a ring is about. */
export function ringName(slot: number): string {
  const header = (slot * SLOT_SIZE) >>> 2;
  if (header + H_NR >= u32.length) return 'late ring';
  return u32[header + H_KIND] === KIND_SYSCALL ? callName(u32[header + H_NR]) : 'report';
}
