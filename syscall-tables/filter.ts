// The guest's seccomp filter, built from the rules of the table and of the stub.
//
// A call comes to one of four ends: the doorbell is notified to the sentry; what the stub may do, made from the stub's
// own code, runs; what the table calls native, made from anywhere else, runs if its rule holds; everything else traps,
// which takes it to the sentry by way of the stub. Nothing is killed by the filter: a death would be silent.

import {
  AUDIT_ARCH_X86_64,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_IP,
  SECCOMP_DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from '../src/abi/seccomp.ts';
import { Assembler, type Instruction } from './bpf.ts';
import { DOORBELL, STUB_CALLS, STUB_HIGH } from './stub.ts';
import { ENTRIES, entryByName } from './table.ts';
import { type Condition, DECODE_S64, DECODE_U64, type Rule, type SyscallEntry } from './types.ts';

// 64-bit fields of struct seccomp_data are low half, high half.
const DATA_IP_HIGH = SECCOMP_DATA_IP + 4;
const lowHalf = (argument: number): number => SECCOMP_DATA_ARGS + 8 * argument;
const highHalf = (argument: number): number => SECCOMP_DATA_ARGS + 4 + 8 * argument;

/** Rules that programs meet most often come first: each one before costs an instruction. */
const OFTEN = ['futex', 'brk', 'mmap', 'munmap', 'mprotect', 'madvise'];

/** The whole filter of a guest. */
export function guestFilter(): Instruction[] {
  const asm = new Assembler();
  asm.load(SECCOMP_DATA_ARCH);
  asm.ifEqual(AUDIT_ARCH_X86_64, 'amd64', '');
  asm.ret(SECCOMP_RET_TRAP);
  asm.label('amd64');
  asm.load(SECCOMP_DATA_NR);
  asm.ifEqual(DOORBELL, '', 'call');
  asm.ret(SECCOMP_RET_USER_NOTIF);
  asm.label('call');
  asm.load(DATA_IP_HIGH);
  asm.ifEqual(STUB_HIGH, 'stub', '');
  asm.jump('program');

  asm.label('stub');
  asm.load(SECCOMP_DATA_NR);
  for (const { name, rule } of STUB_CALLS) emitRule(asm, entryByName(name), rule);
  asm.ret(SECCOMP_RET_TRAP);

  asm.label('program');
  asm.load(SECCOMP_DATA_NR);
  for (const entry of programCalls()) emitRule(asm, entry, entry.rule as Rule);
  asm.ret(SECCOMP_RET_TRAP);
  return asm.assemble();
}

/** Entries that programs may run on the host, in the order in which the filter tries them. */
function programCalls(): SyscallEntry[] {
  const rank = ({ name }: SyscallEntry): number => (OFTEN.includes(name) ? OFTEN.indexOf(name) : OFTEN.length);
  return ENTRIES.filter(({ disposition }) => disposition === 'native').sort((a, b) => rank(a) - rank(b));
}

/** A holds the number. If it is this call's, the rule decides; else A is as before after the rule. */
function emitRule(asm: Assembler, entry: SyscallEntry, rule: Rule): void {
  const next = asm.fresh();
  const refuse = asm.fresh();
  asm.ifEqual(entry.nr, '', next);
  for (const condition of rule.conditions) emitCondition(asm, entry, condition, refuse);
  asm.ret(SECCOMP_RET_ALLOW);
  if (rule.conditions.length > 0) {
    asm.label(refuse);
    asm.ret(SECCOMP_RET_TRAP);
  }
  asm.label(next);
}

function emitCondition(asm: Assembler, entry: SyscallEntry, condition: Condition, refuse: string): void {
  const indexOf = (name: string): number => entry.args.findIndex((argument) => argument.name === name);
  if ('range' in condition) {
    emitRange(asm, indexOf(condition.range), indexOf(condition.length), refuse);
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
  if ('any' in condition) asm.ifAnySet(condition.any, '', refuse);
  else if ('only' in condition) asm.ifAnySet(~condition.only, refuse, '');
  else emitOneOf(asm, condition.mask, condition.oneOf, refuse);
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
