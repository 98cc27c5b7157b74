// Random choices that a seed repeats, and how long a fuzzer goes on: CLOISTER_SEED and CLOISTER_FUZZ_SECONDS. A change is
// judged by what it changed, so the short runs of the tests all begin the same way; the long ones look for what is new.
// Seeds that found something once are in corpus/seeds.txt, "FILE SEED" a line, and every short run goes through them.

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const SEED_OF_TESTS = 976313;

export const seed = Number(
  process.env.CLOISTER_SEED ?? (process.env.CLOISTER_FUZZ_SECONDS ? Date.now() % 1_000_000 : SEED_OF_TESTS),
);
const seconds = Number(process.env.CLOISTER_FUZZ_SECONDS ?? 2);

let state = seed | 0;

/** An integer from 0 up to `bound`, exclusive (mulberry32). */
export function below(bound: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let x = Math.imul(state ^ (state >>> 15), 1 | state);
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
  return Math.floor((((x ^ (x >>> 14)) >>> 0) / 4294967296) * bound);
}

export function pick<T>(values: readonly T[]): T {
  return values[below(values.length)] as T;
}

export function word(): number {
  return below(4) === 0 ? pick([0, 1, 2, 3, 4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) : below(4294967296);
}

/** Bytes, mostly small. */
export function bytes(most: number): string {
  return String.fromCharCode(...Array.from({ length: below(most + 1) }, () => (below(2) ? below(256) : below(8))));
}

/** Seeds that this test file is known for. */
const known = readFileSync(join(import.meta.dirname, 'corpus/seeds.txt'), 'latin1')
  .split('\n')
  .flatMap((line) => (line.startsWith(`${basename(process.argv[1] ?? '')} `) ? [Number(line.split(' ')[1])] : []));

/** Runs `work` until the time is over, at least `least` times, and as often for each known seed. How often it ran. */
export function repeatedly(least: number, work: (round: number) => void): number {
  for (const one of process.env.CLOISTER_FUZZ_SECONDS ? [] : known) {
    state = one | 0;
    for (let round = 0; round < least; round++) work(round);
  }
  state = seed | 0;
  const end = Date.now() + seconds * 1000;
  let round = 0;
  while (round < least || Date.now() < end) work(round++);
  return round;
}
