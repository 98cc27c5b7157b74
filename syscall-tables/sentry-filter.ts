// The sentry's own seccomp filter, built from the table in sentry.ts: a binary search over the numbers, then the rules.
// For numbers that always pass the kernel finds out by itself that no argument is looked at, and skips the filter.

import {
  AUDIT_ARCH_X86_64,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
} from '../src/abi/seccomp.ts';
import { Assembler, type Instruction } from './bpf.ts';
import { emitCondition } from './conditions.ts';
import { OPTIONAL_GROUPS, SENTRY_GROUPS, type SentryCall, type SentryGroup } from './sentry.ts';
import { entryByName } from './table.ts';
import type { SyscallEntry } from './types.ts';

interface Leaf {
  readonly call: SentryCall;
  readonly entry: SyscallEntry;
}

/** Every choice of optional groups has a filter: bit i of its index says whether group i is in it. */
export const SENTRY_VARIANTS = 1 << OPTIONAL_GROUPS.length;

/** The groups of a variant. */
export function groupsOf(variant: number): readonly SentryGroup[] {
  return [...SENTRY_GROUPS, ...OPTIONAL_GROUPS.filter((_, index) => (variant >> index) & 1)];
}

/** The whole filter of the sentry. */
export function sentryFilter(variant: number): Instruction[] {
  const leaves = groupsOf(variant)
    .flatMap(({ calls }) => calls)
    .map((call) => ({ call, entry: entryByName(call.name) }))
    .sort((a, b) => a.entry.nr - b.entry.nr);
  const asm = new Assembler();
  asm.load(SECCOMP_DATA_ARCH);
  asm.ifEqual(AUDIT_ARCH_X86_64, 'amd64', '');
  asm.ret(SECCOMP_RET_KILL_PROCESS);
  asm.label('amd64');
  asm.load(SECCOMP_DATA_NR); // x32's numbers are higher than all of ours
  emitSearch(asm, leaves);
  return asm.assemble();
}

function emitSearch(asm: Assembler, leaves: readonly Leaf[]): void {
  if (leaves.length === 1) return emitCall(asm, leaves[0] as Leaf);
  const middle = leaves.length >> 1;
  const lower = asm.fresh();
  const upper = asm.fresh();
  asm.ifAtLeast((leaves[middle] as Leaf).entry.nr, '', lower);
  asm.jump(upper); // which may be too far for a conditional jump
  asm.label(lower);
  emitSearch(asm, leaves.slice(0, middle));
  asm.label(upper);
  emitSearch(asm, leaves.slice(middle));
}

function emitCall(asm: Assembler, { call, entry }: Leaf): void {
  const found = asm.fresh();
  asm.ifEqual(entry.nr, found, '');
  asm.ret(SECCOMP_RET_KILL_PROCESS);
  asm.label(found);
  for (const { conditions } of call.rules) {
    if (conditions.some((condition) => 'oneOf' in condition && condition.oneOf.length === 0)) continue; // never
    const refuse = asm.fresh();
    for (const condition of conditions) emitCondition(asm, entry, condition, refuse);
    asm.ret(SECCOMP_RET_ALLOW);
    asm.label(refuse);
  }
  if (call.rules.length === 0) asm.ret(SECCOMP_RET_ALLOW);
  else asm.ret(call.otherwise === null ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | call.otherwise);
}
