// How a sandbox ends: with its first process, by its exit status; and what is said at the end when asked for.

import { writeSync } from 'node:fs';
import { getHeapStatistics, queryObjects } from 'node:v8';
import { TABLE } from '../../syscall-tables/table.ts';
import type { SandboxSpec } from '../base/spec.ts';
import { host } from '../host/calls.ts';
import { setSandboxEndHook } from '../kernel/exit.ts';
import { kernel } from '../kernel/kernel.ts';
import { countSites, type SiteCount } from '../mm/call-sites.ts';
import { INFO_LOSSES, INFO_SPUN, INFO_WATCHES, native } from '../platform/native.ts';
import { countOwnAnswers } from '../platform/slots.ts';
import type { SentryArguments } from './arguments.ts';
import { Checker } from './invariants.ts';
import { checkInvariants, measureTurns, setGuestsGoneHook } from './loop.ts';
import { Turns } from './turns.ts';

const KILLED = 137;
/** An invariant does not hold: EX_SOFTWARE. */
const BROKEN = 70;

/** Run before the sentry exits: the terminal is given back, and the like. */
export const endHooks: (() => void)[] = [];

/** Arranges for the end. */
export function prepareEnd(args: SentryArguments, spec: SandboxSpec): void {
  const hostCounts = spec.stats ? countHostCalls() : null;
  const siteCounts = spec.stats ? countSites() : null;
  const turns = new Turns();
  if (spec.stats) measureTurns(turns);
  endHooks.push(() => {
    if (hostCounts && siteCounts) writeSync(args.log, report(hostCounts, siteCounts, turns));
  });
  if (spec.check > 0) {
    const checker = new Checker(spec.check, (broken) => {
      writeSync(args.log, `cloister: ${broken}\n`);
      return host.exit(BROKEN);
    });
    checkInvariants(checker);
    endHooks.push(() => checker.check());
  }
  setSandboxEndHook((status) => endSandbox(exitStatus(status)));
  setGuestsGoneHook(() => endSandbox(KILLED));
}

/** Ends the sandbox, and whatever is still in it. */
export function endSandbox(code: number): never {
  for (const hook of endHooks.toReversed()) hook();
  return host.exit(code);
}

/** A wait status as shells and container runtimes report it. */
export function exitStatus(status: number): number {
  return status & 0x7f ? 128 + (status & 0x7f) : status >> 8;
}

/** Puts a counter before each host call. Only done for --stats: the calls are a little slower with it. */
function countHostCalls(): Map<string, number> {
  const counts = new Map<string, number>();
  const calls = host as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [name, call] of Object.entries(calls)) {
    if (typeof call !== 'function') continue;
    calls[name] = (...args) => {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return call(...args);
    };
  }
  return counts;
}

/** Sites that trapped most, and no more than these. */
const SITES_SHOWN = 12;

/** How many calls trapped, and where: sites that could not be patched, or have not been called often enough. */
function reportSites(counts: ReadonlyMap<string, SiteCount>): string {
  const all = kernel.callCounts.reduce((sum, count) => sum + count, 0);
  const share = all > 0 ? Math.round((100 * kernel.traps) / all) : 0;
  const sites = [...counts.values()].sort((a, b) => b.traps - a.traps).slice(0, SITES_SHOWN);
  const names = sites.map(({ name, nr, traps }) => `${TABLE[nr]?.name ?? nr} at ${name} ${traps}`);
  return `cloister: of them by a trap: ${kernel.traps} (${share} %)\n  ${names.join(', ')}\n`;
}

/** Spinning for calls (native/addon/spin.c): how many it brought, and how often it was given up for not being worth it. */
function reportSpinning(): string {
  const { info } = native;
  const [spun, watches, losses] = [info[INFO_SPUN], info[INFO_WATCHES], info[INFO_LOSSES]];
  return `cloister: of them without a ring: ${spun}, in ${watches} watches; given up as no gain: ${losses} times\n`;
}

function report(hostCounts: Map<string, number>, siteCounts: ReadonlyMap<string, SiteCount>, turns: Turns): string {
  const served = TABLE.flatMap((entry): [string, number][] =>
    entry && kernel.callCounts[entry.nr] > 0 ? [[entry.name, kernel.callCounts[entry.nr]]] : [],
  );
  return (
    `cloister: guest system calls answered by the sentry: ${list(served)}` +
    reportSites(siteCounts) +
    reportSpinning() +
    `cloister: calls that needed nobody, answered in the programs' own threads: ${countOwnAnswers()}\n` +
    `cloister: calls the sentry made on the host for them: ${list([...hostCounts])}` +
    `cloister: longest turns of the sentry's loop, ms: ${turns.report()}\n` +
    reportLeft()
  );
}

/** What the sentry still has at the end, garbage collected: what grows here with the length of a run leaks. */
function reportLeft(): string {
  // It collects the garbage before it counts.
  const objects = queryObjects(Object, { format: 'count' });
  const { used_heap_size: heap } = getHeapStatistics();
  const { tasks, groups, processGroups, sessions } = kernel;
  return (
    `cloister: left at the end: ${tasks.size} tasks, ${groups.size} processes, ${processGroups.size} process groups, ` +
    `${sessions.size} sessions; ${objects} objects, ${Math.round(heap / 1024)} KiB of heap\n`
  );
}

function list(counts: [string, number][]): string {
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const names = counts.sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`);
  return `${total}\n  ${names.join(', ')}\n`;
}
