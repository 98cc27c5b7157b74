// The tests' own reading of the argument rules in syscall-tables/.

import { type Condition, DECODE_S64, DECODE_U64, type SyscallEntry } from '../../syscall-tables/types.ts';

export function indexOf(entry: SyscallEntry, argument: string): number {
  return entry.args.findIndex(({ name }) => name === argument);
}

const isWide = (entry: SyscallEntry, index: number): boolean =>
  [DECODE_U64, DECODE_S64].includes(entry.args[index]?.decode ?? 0);

/** Whether a condition holds for these arguments. Of a range nothing is known here. */
export function holds(entry: SyscallEntry, condition: Condition, args: readonly bigint[]): boolean {
  if ('range' in condition) return true;
  if ('either' in condition) return condition.either.some((one) => holds(entry, one, args));
  const index = indexOf(entry, condition.argument);
  const all = BigInt.asUintN(64, args[index] ?? 0n);
  if (isWide(entry, index) && all >> 32n !== 0n) return false;
  const low = Number(BigInt.asUintN(32, all));
  if ('not' in condition) return low !== condition.not >>> 0;
  if ('only' in condition) return (low & ~condition.only) === 0;
  if ('any' in condition) return (low & condition.any) !== 0;
  return condition.oneOf.some((value) => (low & (condition.mask ?? -1)) >>> 0 === value >>> 0);
}
