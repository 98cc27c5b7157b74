// How long the event loop is kept by one piece of work: the longest by what was done, and how much of that the sentry's
// thread ran (the rest it waited for the host, or for a CPU), for --stats. While one guest is
// served all others of the sandbox wait, so nothing should take more than a few milliseconds.

import { TABLE } from '../../syscall-tables/table.ts';
import { monotonicNow } from '../base/clock.ts';
import { host } from '../host/calls.ts';
import { u32 } from '../platform/arena.ts';
import { H_KIND, H_NR, KIND_SYSCALL, SLOT_SIZE } from '../platform/layout.ts';

const SHOWN = 12;
const CLOCK_THREAD_CPUTIME = 3;

const milliseconds = (ns: number): string => (ns / 1e6).toFixed(2);

export class Turns {
  private readonly longest = new Map<string, { readonly took: number; readonly ran: number }>();

  measure(what: string, work: () => void): void {
    const begin = monotonicNow();
    const before = host.clock_gettime(CLOCK_THREAD_CPUTIME);
    work();
    const ran = host.clock_gettime(CLOCK_THREAD_CPUTIME) - before;
    const took = monotonicNow() - begin;
    if (ran > (this.longest.get(what)?.ran ?? 0)) this.longest.set(what, { took, ran });
  }

  /** The longest pieces of work, a line. */
  report(): string {
    const sorted = [...this.longest].sort((a, b) => b[1].ran - a[1].ran).slice(0, SHOWN);
    return sorted.map(([what, { took, ran }]) => `${what} ${milliseconds(ran)} of ${milliseconds(took)}`).join(', ');
  }
}

export const callName = (nr: number): string => TABLE[nr]?.name ?? String(nr);

/** What a ring is about. */
export function ringName(slot: number): string {
  const header = (slot * SLOT_SIZE) >>> 2;
  if (header + H_NR >= u32.length) return 'late ring';
  return u32[header + H_KIND] === KIND_SYSCALL ? callName(u32[header + H_NR]) : 'report';
}
