// Classic BPF, the language of seccomp filters and of packet filters: its instructions, the check that both share, and
// its arithmetic. A program that passes the check always ends: jumps go forward only, and the last instruction returns.

import { EINVAL } from '../abi/errno.ts';
import {
  BPF_A,
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_DIV,
  BPF_IMM,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_JSET,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MAXINSNS,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RET,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
  BPF_XOR,
} from '../abi/seccomp.ts';

/** Instructions as columns: `code`, `jt` and `jf`, `k` of struct sock_filter. */
export interface BpfProgram {
  readonly length: number;
  readonly codes: Uint16Array;
  readonly jumpsTrue: Uint8Array;
  readonly jumpsFalse: Uint8Array;
  readonly constants: Uint32Array;
}

// The instructions there are; every other code is refused.
export const LD_DATA = BPF_LD | BPF_W | BPF_ABS;
export const LD_LEN = BPF_LD | BPF_W | BPF_LEN;
export const LD_IMM = BPF_LD | BPF_IMM;
export const LD_MEM = BPF_LD | BPF_MEM;
export const LDX_LEN = BPF_LDX | BPF_W | BPF_LEN;
export const LDX_IMM = BPF_LDX | BPF_IMM;
export const LDX_MEM = BPF_LDX | BPF_MEM;
export const RET_K = BPF_RET | BPF_K;
export const RET_A = BPF_RET | BPF_A;
export const JUMP = BPF_JMP | BPF_JA;
export const JEQ_K = BPF_JMP | BPF_JEQ | BPF_K;
export const JEQ_X = BPF_JMP | BPF_JEQ | BPF_X;
export const JGT_K = BPF_JMP | BPF_JGT | BPF_K;
export const JGT_X = BPF_JMP | BPF_JGT | BPF_X;
export const JGE_K = BPF_JMP | BPF_JGE | BPF_K;
export const JGE_X = BPF_JMP | BPF_JGE | BPF_X;
export const JSET_K = BPF_JMP | BPF_JSET | BPF_K;
export const JSET_X = BPF_JMP | BPF_JSET | BPF_X;
export const ADD_K = BPF_ALU | BPF_ADD | BPF_K;
export const ADD_X = BPF_ALU | BPF_ADD | BPF_X;
export const SUB_K = BPF_ALU | BPF_SUB | BPF_K;
export const SUB_X = BPF_ALU | BPF_SUB | BPF_X;
export const MUL_K = BPF_ALU | BPF_MUL | BPF_K;
export const MUL_X = BPF_ALU | BPF_MUL | BPF_X;
export const DIV_K = BPF_ALU | BPF_DIV | BPF_K;
export const DIV_X = BPF_ALU | BPF_DIV | BPF_X;
export const AND_K = BPF_ALU | BPF_AND | BPF_K;
export const AND_X = BPF_ALU | BPF_AND | BPF_X;
export const OR_K = BPF_ALU | BPF_OR | BPF_K;
export const OR_X = BPF_ALU | BPF_OR | BPF_X;
export const XOR_K = BPF_ALU | BPF_XOR | BPF_K;
export const XOR_X = BPF_ALU | BPF_XOR | BPF_X;
export const LSH_K = BPF_ALU | BPF_LSH | BPF_K;
export const LSH_X = BPF_ALU | BPF_LSH | BPF_X;
export const RSH_K = BPF_ALU | BPF_RSH | BPF_K;
export const RSH_X = BPF_ALU | BPF_RSH | BPF_X;
export const NEGATE = BPF_ALU | BPF_NEG;
export const TAX = BPF_MISC | BPF_TAX;
export const TXA = BPF_MISC | BPF_TXA;

const PLAIN = new Set([LD_LEN, LD_IMM, LDX_LEN, LDX_IMM, RET_K, RET_A, TAX, TXA, NEGATE]);
for (const operation of [BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH]) {
  PLAIN.add(BPF_ALU | operation | BPF_K).add(BPF_ALU | operation | BPF_X);
}
const CONDITIONAL = new Set([JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X]);
const SCRATCH = new Set([LD_MEM, LDX_MEM, BPF_ST, BPF_STX]);

/** Whether a program may have an instruction that loads from what it is run over, by its code and constant. */
export type LoadCheck = (code: number, constant: number) => boolean;

/** A checked program from `length` instructions of struct sock_filter at `at` of `bytes`, or -EINVAL. */
export function parseBpf(bytes: Uint8Array, at: number, length: number, admitsLoad: LoadCheck): BpfProgram | number {
  if (length < 1 || length > BPF_MAXINSNS) return -EINVAL;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8 * length);
  const program: BpfProgram = {
    length,
    codes: new Uint16Array(length),
    jumpsTrue: new Uint8Array(length),
    jumpsFalse: new Uint8Array(length),
    constants: new Uint32Array(length),
  };
  for (let i = 0; i < length; i++) {
    program.codes[i] = view.getUint16(8 * i, true);
    program.jumpsTrue[i] = view.getUint8(8 * i + 2);
    program.jumpsFalse[i] = view.getUint8(8 * i + 3);
    program.constants[i] = view.getUint32(8 * i + 4, true);
  }
  for (let i = 0; i < length; i++) if (!isValid(program, i, admitsLoad)) return -EINVAL;
  const last = program.codes[length - 1];
  if (last !== RET_K && last !== RET_A) return -EINVAL;
  return readsOnlyWhatItWrote(program) ? program : -EINVAL;
}

function isValid(program: BpfProgram, i: number, admitsLoad: LoadCheck): boolean {
  const { length, codes, jumpsTrue, jumpsFalse, constants } = program;
  const code = codes[i];
  const k = constants[i];
  if (code === DIV_K) return k !== 0;
  if (code === LSH_K || code === RSH_K) return k < 32;
  if (code === JUMP) return k < length - i - 1;
  if (SCRATCH.has(code)) return k < BPF_MEMWORDS;
  if (CONDITIONAL.has(code)) return i + jumpsTrue[i] + 1 < length && i + jumpsFalse[i] + 1 < length;
  return PLAIN.has(code) || admitsLoad(code, k);
}

/** Whether no path reads a scratch word that it has not written: what is in there would be somebody else's. */
function readsOnlyWhatItWrote({ length, codes, jumpsTrue, jumpsFalse, constants }: BpfProgram): boolean {
  const written = new Uint16Array(length).fill(0xffff);
  let valid = 0;
  for (let i = 0; i < length; i++) {
    valid &= written[i];
    const code = codes[i];
    const k = constants[i];
    if (code === BPF_ST || code === BPF_STX) valid |= 1 << k;
    else if (code === LD_MEM || code === LDX_MEM) {
      if (!(valid & (1 << k))) return false;
    } else if (code === JUMP) {
      written[i + 1 + k] &= valid;
      valid = 0xffff;
    } else if (CONDITIONAL.has(code)) {
      written[i + 1 + jumpsTrue[i]] &= valid;
      written[i + 1 + jumpsFalse[i]] &= valid;
      valid = 0xffff;
    }
  }
  return true;
}

/** What an instruction of BPF_ALU leaves in the accumulator. */
export function calculate(code: number, a: number, operand: number): number {
  switch (code) {
    case ADD_K:
    case ADD_X:
      return (a + operand) | 0;
    case SUB_K:
    case SUB_X:
      return (a - operand) | 0;
    case MUL_K:
    case MUL_X:
      return Math.imul(a, operand);
    case DIV_K:
      return ((a >>> 0) / (operand >>> 0)) | 0;
    case AND_K:
    case AND_X:
      return a & operand;
    case OR_K:
    case OR_X:
      return a | operand;
    case XOR_K:
    case XOR_X:
      return a ^ operand;
    case LSH_K:
    case LSH_X:
      return a << operand;
    case RSH_K:
    case RSH_X:
      return (a >>> operand) | 0;
    default:
      return -a | 0; // NEGATE: the check has let nothing else pass
  }
}
