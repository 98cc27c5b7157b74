// The guest's seccomp filter, built from the rules of the table and of the stub.
//
// A call comes to one of four ends: the doorbell is notified to the sentry; what the stub may do, made from the stub's
// own code, runs; what the table calls native, made from anywhere else, runs if its rule holds; everything else traps,
// which takes it to the sentry by way of the stub. Nothing is killed by the filter: a death would be silent.

import {
  AUDIT_ARCH_X86_64,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_IP,
  SECCOMP_DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from '../src/abi/seccomp.ts';
import { Assembler, type Instruction } from './bpf.ts';
import { emitCondition, highHalf, lowHalf } from './conditions.ts';
import { DOORBELL, INJECTED, STUB_CALLS, STUB_HIGH } from './stub.ts';
import { ENTRIES, entryByName } from './table.ts';
import type { Rule, SyscallEntry } from './types.ts';

/** 64-bit fields of struct seccomp_data are low half, high half. */
const DATA_IP_HIGH = SECCOMP_DATA_IP + 4;

/** Rules that programs meet most often come first: each one before costs an instruction. */
const OFTEN = ['futex', 'brk', 'mmap', 'munmap', 'mprotect', 'madvise'];

/** Stand in a traced guest's filter for the two halves of a secret, which the zygote puts in their place. */
export const SECRET_LOW = 0x5ec0de01;
export const SECRET_HIGH = 0x5ec0de02;
/** Argument that the secret is in: the last, which none of the calls has. */
const SECRET_ARGUMENT = 5;

export type Transport = 'notify' | 'ptrace';

/** The whole filter of a guest, on a processor that has FSGSBASE or not. */
export function guestFilter(transport: Transport = 'notify', fsgsbase = true): Instruction[] {
  const asm = new Assembler();
  asm.load(SECCOMP_DATA_ARCH);
  asm.ifEqual(AUDIT_ARCH_X86_64, 'amd64', '');
  asm.ret(SECCOMP_RET_TRAP);
  asm.label('amd64');
  asm.load(SECCOMP_DATA_NR);
  asm.ifEqual(DOORBELL, '', 'call');
  asm.ret(transport === 'ptrace' ? SECCOMP_RET_TRACE : SECCOMP_RET_USER_NOTIF);
  asm.label('call');
  if (transport === 'ptrace') emitInjected(asm);
  asm.load(DATA_IP_HIGH);
  asm.ifEqual(STUB_HIGH, 'stub', '');
  asm.jump('program');

  asm.label('stub');
  asm.load(SECCOMP_DATA_NR);
  for (const { name, rule, withoutFsgsbase } of STUB_CALLS) {
    if (!withoutFsgsbase || !fsgsbase) emitRule(asm, entryByName(name), rule);
  }
  asm.ret(SECCOMP_RET_TRAP);

  asm.label('program');
  asm.load(SECCOMP_DATA_NR);
  for (const entry of programCalls()) emitRule(asm, entry, entry.rule as Rule);
  asm.ret(SECCOMP_RET_TRAP);
  return asm.assemble();
}

/**
 * Calls that only the tracer can have made: they bring a descriptor (native/addon/trace.c), and know the secret. A holds
 * the number, before and after.
 */
function emitInjected(asm: Assembler): void {
  for (const name of INJECTED) asm.ifEqual(entryByName(name).nr, 'injected', '');
  asm.jump('not injected');
  asm.label('injected');
  asm.load(lowHalf(SECRET_ARGUMENT));
  asm.ifEqual(SECRET_LOW, '', 'no secret');
  asm.load(highHalf(SECRET_ARGUMENT));
  asm.ifEqual(SECRET_HIGH, '', 'no secret');
  asm.ret(SECCOMP_RET_ALLOW);
  asm.label('no secret');
  asm.load(SECCOMP_DATA_NR);
  asm.label('not injected');
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
