// What must always hold of the kernel's own data. Production never asks; tests have it asked every so many turns of the
// loop and at the end (CLOISTER_CHECK, sentry/invariants.ts). A module that keeps something to itself adds what only it
// can look at.

/** Says of each thing that does not hold what it is. */
export type Invariant = (fail: (what: string) => void) => void;

const invariants: Invariant[] = [];

export function addInvariant(invariant: Invariant): void {
  invariants.push(invariant);
}

/** Whatever does not hold now. */
export function violations(): string[] {
  const found: string[] = [];
  for (const invariant of invariants) invariant((what) => found.push(what));
  return found;
}
