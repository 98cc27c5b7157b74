// linux.seccomp of config.json as the classic BPF that the sandbox installs before the container's first program runs:
// a binary search over the numbers, with the comparisons of arguments where rules have some. What libseccomp and runc
// do where the specification is silent, this does too.

import { Assembler, type Instruction } from '../../syscall-tables/bpf.ts';
import { NUMBERS } from '../../syscall-tables/table.ts';
import { ENOSYS, EPERM } from '../abi/errno.ts';
import {
  AUDIT_ARCH_X86_64,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
} from '../abi/seccomp.ts';
import type { OciSeccomp } from './config.ts';
import { LaunchError } from './launch-error.ts';

type Rule = NonNullable<OciSeccomp['syscalls']>[number];
type Condition = NonNullable<Rule['args']>[number];

/** What becomes of one number: the first alternative that holds decides, else the last word. */
interface Verdict {
  readonly alternatives: { readonly conditions: readonly Condition[]; readonly action: number }[];
  /** Null: no rule without conditions, so the default. */
  otherwise: number | null;
}

/** Numbers from `start` on, as far as the next interval. */
interface Interval {
  readonly start: number;
  readonly verdict: Verdict;
}

/** Calls of the x32 ABI have this bit. */
const X32_BIT = 0x40000000;
/** The number of a call by the 32-bit convention, or of one that a tracer has cancelled. */
const NO_NUMBER = 0xffffffff;
const KNOWN_FLAGS = [
  'SECCOMP_FILTER_FLAG_TSYNC',
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
];

function refuse(field: string, reason: string): never {
  throw new LaunchError(`config.json: linux.seccomp${field}: ${reason}`);
}

/** The filter as base64 of its struct sock_filter instructions. Throws a LaunchError that names the field at fault. */
export function compileSeccomp(profile: OciSeccomp): string {
  for (const flag of profile.flags ?? []) if (!KNOWN_FLAGS.includes(flag)) refuse('.flags', `${flag} is not known`);
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet, '.defaultAction');
  const intervals = intervalsOf(profile, verdictsOf(profile), fallback);
  const asm = new Assembler();
  asm.load(SECCOMP_DATA_ARCH);
  asm.ifEqual(AUDIT_ARCH_X86_64, 'amd64', '');
  asm.ret(SECCOMP_RET_KILL_THREAD);
  asm.label('amd64');
  asm.load(SECCOMP_DATA_NR);
  emitSearch(asm, intervals, fallback);
  try {
    return encode(asm.assemble());
  } catch (error) {
    refuse('', error instanceof Error ? error.message : String(error));
  }
}

function encode(filter: readonly Instruction[]): string {
  const bytes = Buffer.alloc(8 * filter.length);
  for (const [index, { code, jt, jf, k }] of filter.entries()) {
    bytes.writeUInt16LE(code, 8 * index);
    bytes.writeUInt8(jt, 8 * index + 2);
    bytes.writeUInt8(jf, 8 * index + 3);
    bytes.writeUInt32LE(k, 8 * index + 4);
  }
  return bytes.toString('base64');
}

function actionOf(action: Rule['action'], errno: number | undefined, field: string): number {
  const data = (errno ?? EPERM) & 0xffff;
  switch (action) {
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return SECCOMP_RET_KILL_THREAD;
    case 'SCMP_ACT_KILL_PROCESS':
      return SECCOMP_RET_KILL_PROCESS;
    case 'SCMP_ACT_TRAP':
      return SECCOMP_RET_TRAP;
    case 'SCMP_ACT_ERRNO':
      return SECCOMP_RET_ERRNO | data;
    case 'SCMP_ACT_TRACE':
      return SECCOMP_RET_TRACE | data;
    case 'SCMP_ACT_ALLOW':
      return SECCOMP_RET_ALLOW;
    case 'SCMP_ACT_LOG':
      return SECCOMP_RET_LOG;
    case 'SCMP_ACT_NOTIFY':
      return refuse(field, 'there are no listeners (SCMP_ACT_NOTIFY) here');
  }
}

/** What the rules say, by number. Names that this machine's calls do not have are other machines'. */
function verdictsOf(profile: OciSeccomp): Map<number, Verdict> {
  const verdicts = new Map<number, Verdict>();
  for (const [index, rule] of (profile.syscalls ?? []).entries()) {
    const action = actionOf(rule.action, rule.errnoRet, `.syscalls[${index}].action`);
    for (const name of rule.names) {
      const nr = NUMBERS.get(name);
      if (nr === undefined) continue;
      const verdict: Verdict = verdicts.get(nr) ?? { alternatives: [], otherwise: null };
      verdicts.set(nr, verdict);
      const alternatives = alternativesOf(rule.args ?? []);
      if (alternatives.length === 0) verdict.otherwise ??= action;
      for (const conditions of alternatives) verdict.alternatives.push({ conditions, action });
    }
  }
  return verdicts;
}

/** Conditions of a rule hold together; but where an argument has two, each is a rule of its own, as in runc. */
function alternativesOf(conditions: readonly Condition[]): (readonly Condition[])[] {
  if (conditions.length === 0) return [];
  const distinct = new Set(conditions.map(({ index }) => index));
  return distinct.size === conditions.length ? [conditions] : conditions.map((condition) => [condition]);
}

/** The whole range of numbers, cut where the verdict changes. */
function intervalsOf(profile: OciSeccomp, verdicts: Map<number, Verdict>, fallback: number): Interval[] {
  const always = (action: number): Verdict => ({ alternatives: [], otherwise: action });
  const numbers = [...verdicts.keys()].sort((a, b) => a - b);
  const intervals: Interval[] = [{ start: 0, verdict: always(fallback) }];
  const add = (start: number, verdict: Verdict): void => {
    const last = intervals[intervals.length - 1];
    if (last.start === start) intervals.pop();
    intervals.push({ start, verdict });
  };
  for (const nr of numbers) {
    add(nr, verdicts.get(nr) as Verdict);
    add(nr + 1, always(fallback));
  }
  // Calls newer than the profile are not there, so that programs fall back to older ones, as runc has it.
  const allows = [SECCOMP_RET_ALLOW, SECCOMP_RET_LOG].includes(fallback) || profile.defaultAction === 'SCMP_ACT_TRACE';
  const end = (numbers[numbers.length - 1] ?? -1) + 1;
  if (!allows && numbers.length > 0) add(end, always(SECCOMP_RET_ERRNO | ENOSYS));
  const x32 = profile.architectures?.includes('SCMP_ARCH_X32') ?? false;
  add(X32_BIT, always(x32 ? fallback : SECCOMP_RET_KILL_THREAD));
  add(NO_NUMBER, always(fallback));
  return merge(intervals, fallback);
}

function merge(intervals: readonly Interval[], fallback: number): Interval[] {
  const merged: Interval[] = [];
  for (const interval of intervals) {
    const last = merged[merged.length - 1];
    const plain = interval.verdict.alternatives.length === 0 && last?.verdict.alternatives.length === 0;
    if (plain && (last.verdict.otherwise ?? fallback) === (interval.verdict.otherwise ?? fallback)) continue;
    merged.push(interval);
  }
  return merged;
}

/** A holds the number. */
function emitSearch(asm: Assembler, intervals: readonly Interval[], fallback: number): void {
  if (intervals.length === 1) return emitVerdict(asm, intervals[0].verdict, fallback);
  const middle = intervals.length >> 1;
  const below = asm.fresh();
  const above = asm.fresh();
  asm.ifAtLeast(intervals[middle].start, '', below);
  asm.jump(above);
  asm.label(below);
  emitSearch(asm, intervals.slice(0, middle), fallback);
  asm.label(above);
  emitSearch(asm, intervals.slice(middle), fallback);
}

function emitVerdict(asm: Assembler, { alternatives, otherwise }: Verdict, fallback: number): void {
  for (const { conditions, action } of alternatives) {
    const next = asm.fresh();
    for (const condition of conditions) emitCondition(asm, condition, next);
    asm.ret(action);
    asm.label(next);
  }
  asm.ret(otherwise ?? fallback);
}

/** A 64-bit value in two halves. JSON numbers beyond 2^53 are the nearest double; 2^64 stands for 2^64 - 1. */
function halves(value: number): readonly [high: number, low: number] {
  const exact = BigInt.asUintN(64, value >= 2 ** 64 ? -1n : BigInt(value));
  return [Number(exact >> 32n), Number(exact & 0xffffffffn)];
}

/** Goes on if the condition holds, else to `next`. */
function emitCondition(asm: Assembler, { index, value, valueTwo, op }: Condition, next: string): void {
  const [high, low] = halves(value);
  const holds = asm.fresh();
  const loadLow = (): void => asm.load(SECCOMP_DATA_ARGS + 8 * index);
  asm.load(SECCOMP_DATA_ARGS + 8 * index + 4);
  switch (op) {
    case 'SCMP_CMP_EQ':
      asm.ifEqual(high, '', next);
      loadLow();
      asm.ifEqual(low, '', next);
      break;
    case 'SCMP_CMP_NE':
      asm.ifEqual(high, '', holds);
      loadLow();
      asm.ifEqual(low, next, '');
      break;
    case 'SCMP_CMP_GT':
    case 'SCMP_CMP_GE':
      asm.ifGreater(high, holds, '');
      asm.ifEqual(high, '', next);
      loadLow();
      if (op === 'SCMP_CMP_GT') asm.ifGreater(low, '', next);
      else asm.ifAtLeast(low, '', next);
      break;
    case 'SCMP_CMP_LT':
    case 'SCMP_CMP_LE':
      asm.ifGreater(high, next, '');
      asm.ifEqual(high, '', holds);
      loadLow();
      if (op === 'SCMP_CMP_LT') asm.ifAtLeast(low, next, '');
      else asm.ifGreater(low, next, '');
      break;
    case 'SCMP_CMP_MASKED_EQ': {
      const [wantedHigh, wantedLow] = halves(valueTwo ?? 0);
      asm.and(high);
      asm.ifEqual(wantedHigh, '', next);
      loadLow();
      asm.and(low);
      asm.ifEqual(wantedLow, '', next);
      break;
    }
  }
  asm.label(holds);
}
