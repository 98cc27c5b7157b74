// Conditions of rules as instructions of a filter.

import { SECCOMP_DATA_ARGS } from '../src/abi/seccomp.ts';
import type { Assembler } from './bpf.ts';
import { STUB_HIGH } from './stub.ts';
import { type Condition, DECODE_S64, DECODE_U64, type SyscallEntry } from './types.ts';

// 64-bit fields of struct seccomp_data are low half, high half.
export const lowHalf = (argument: number): number => SECCOMP_DATA_ARGS + 8 * argument;
export const highHalf = (argument: number): number => SECCOMP_DATA_ARGS + 4 + 8 * argument;

/** Goes on if the condition holds, else to `refuse`. A is lost. */
export function emitCondition(asm: Assembler, entry: SyscallEntry, condition: Condition, refuse: string): void {
  const indexOf = (name: string): number => entry.args.findIndex((argument) => argument.name === name);
  if ('range' in condition) {
    emitRange(asm, indexOf(condition.range), indexOf(condition.length), refuse);
    return;
  }
  if ('either' in condition) {
    emitEither(asm, entry, condition.either, refuse);
    return;
  }
  const index = indexOf(condition.argument);
  if (index < 0) throw new Error(`${entry.name} has no argument ${condition.argument}`);
  const { decode } = entry.args[index] as (typeof entry.args)[number];
  if (decode === DECODE_U64 || decode === DECODE_S64) {
    asm.load(highHalf(index));
    asm.ifEqual(0, '', refuse);
  }
  asm.load(lowHalf(index));
  if ('not' in condition) asm.ifEqual(condition.not, refuse, '');
  else if ('any' in condition) asm.ifAnySet(condition.any, '', refuse);
  else if ('only' in condition) asm.ifAnySet(~condition.only, refuse, '');
  else emitOneOf(asm, condition.mask, condition.oneOf, refuse);
}

function emitEither(asm: Assembler, entry: SyscallEntry, conditions: readonly Condition[], refuse: string): void {
  const accept = asm.fresh();
  for (const [at, condition] of conditions.entries()) {
    const next = asm.fresh();
    emitCondition(asm, entry, condition, at === conditions.length - 1 ? refuse : next);
    asm.jump(accept);
    asm.label(next);
  }
  asm.label(accept);
}

function emitOneOf(asm: Assembler, mask: number | undefined, values: readonly number[], refuse: string): void {
  const accept = asm.fresh();
  if (mask !== undefined) asm.and(mask);
  for (const [at, value] of values.entries()) asm.ifEqual(value, accept, at === values.length - 1 ? refuse : '');
  asm.label(accept);
}

// The stub's region is 4 GiB, aligned. A range shorter than 4 GiB that starts neither in it nor in the 4 GiB below it
// cannot touch it.
function emitRange(asm: Assembler, address: number, length: number, refuse: string): void {
  if (address < 0 || length < 0) throw new Error('a rule on a range names an unknown argument');
  asm.load(highHalf(address));
  asm.ifEqual(STUB_HIGH, refuse, '');
  asm.ifEqual(STUB_HIGH - 1, refuse, '');
  asm.load(highHalf(length));
  asm.ifEqual(0, '', refuse);
}
