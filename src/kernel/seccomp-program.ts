// The classic BPF of seccomp filters (seccomp(2)): checked as the kernel checks it, and run over the words of struct
// seccomp_data. A program that passes the check always ends: jumps go forward only, and the last instruction returns.

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
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_NR,
  SECCOMP_DATA_SIZE,
  SECCOMP_RET_ALLOW,
} from '../abi/seccomp.ts';

/** Instructions as columns: `code`, `jt` and `jf`, `k` of struct sock_filter. */
export interface SeccompProgram {
  readonly length: number;
  readonly codes: Uint16Array;
  readonly jumpsTrue: Uint8Array;
  readonly jumpsFalse: Uint8Array;
  readonly constants: Uint32Array;
}

// The instructions there are; every other code is refused.
const LD_DATA = BPF_LD | BPF_W | BPF_ABS;
const LD_LEN = BPF_LD | BPF_W | BPF_LEN;
const LD_IMM = BPF_LD | BPF_IMM;
const LD_MEM = BPF_LD | BPF_MEM;
const LDX_LEN = BPF_LDX | BPF_W | BPF_LEN;
const LDX_IMM = BPF_LDX | BPF_IMM;
const LDX_MEM = BPF_LDX | BPF_MEM;
const RET_K = BPF_RET | BPF_K;
const RET_A = BPF_RET | BPF_A;
const JUMP = BPF_JMP | BPF_JA;
const JEQ_K = BPF_JMP | BPF_JEQ | BPF_K;
const JEQ_X = BPF_JMP | BPF_JEQ | BPF_X;
const JGT_K = BPF_JMP | BPF_JGT | BPF_K;
const JGT_X = BPF_JMP | BPF_JGT | BPF_X;
const JGE_K = BPF_JMP | BPF_JGE | BPF_K;
const JGE_X = BPF_JMP | BPF_JGE | BPF_X;
const JSET_K = BPF_JMP | BPF_JSET | BPF_K;
const JSET_X = BPF_JMP | BPF_JSET | BPF_X;
const ADD_K = BPF_ALU | BPF_ADD | BPF_K;
const ADD_X = BPF_ALU | BPF_ADD | BPF_X;
const SUB_K = BPF_ALU | BPF_SUB | BPF_K;
const SUB_X = BPF_ALU | BPF_SUB | BPF_X;
const MUL_K = BPF_ALU | BPF_MUL | BPF_K;
const MUL_X = BPF_ALU | BPF_MUL | BPF_X;
const DIV_K = BPF_ALU | BPF_DIV | BPF_K;
const DIV_X = BPF_ALU | BPF_DIV | BPF_X;
const AND_K = BPF_ALU | BPF_AND | BPF_K;
const AND_X = BPF_ALU | BPF_AND | BPF_X;
const OR_K = BPF_ALU | BPF_OR | BPF_K;
const OR_X = BPF_ALU | BPF_OR | BPF_X;
const XOR_K = BPF_ALU | BPF_XOR | BPF_K;
const XOR_X = BPF_ALU | BPF_XOR | BPF_X;
const LSH_K = BPF_ALU | BPF_LSH | BPF_K;
const LSH_X = BPF_ALU | BPF_LSH | BPF_X;
const RSH_K = BPF_ALU | BPF_RSH | BPF_K;
const RSH_X = BPF_ALU | BPF_RSH | BPF_X;
const NEGATE = BPF_ALU | BPF_NEG;
const TAX = BPF_MISC | BPF_TAX;
const TXA = BPF_MISC | BPF_TXA;

const PLAIN = new Set([LD_LEN, LD_IMM, LDX_LEN, LDX_IMM, RET_K, RET_A, TAX, TXA, NEGATE]);
for (const operation of [BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH]) {
  PLAIN.add(BPF_ALU | operation | BPF_K).add(BPF_ALU | operation | BPF_X);
}
const CONDITIONAL = new Set([JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X]);
const SCRATCH = new Set([LD_MEM, LDX_MEM, BPF_ST, BPF_STX]);

/** A checked program from `length` instructions of struct sock_filter at `at` of `bytes`, or -EINVAL. */
export function parseSeccompProgram(bytes: Uint8Array, at: number, length: number): SeccompProgram | number {
  if (length < 1 || length > BPF_MAXINSNS) return -EINVAL;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8 * length);
  const program: SeccompProgram = {
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
  for (let i = 0; i < length; i++) if (!isValid(program, i)) return -EINVAL;
  const last = program.codes[length - 1];
  if (last !== RET_K && last !== RET_A) return -EINVAL;
  return readsOnlyWhatItWrote(program) ? program : -EINVAL;
}

function isValid({ length, codes, jumpsTrue, jumpsFalse, constants }: SeccompProgram, i: number): boolean {
  const code = codes[i];
  const k = constants[i];
  if (code === LD_DATA) return (k & 3) === 0 && k < SECCOMP_DATA_SIZE;
  if (code === DIV_K) return k !== 0;
  if (code === LSH_K || code === RSH_K) return k < 32;
  if (code === JUMP) return k < length - i - 1;
  if (SCRATCH.has(code)) return k < BPF_MEMWORDS;
  if (CONDITIONAL.has(code)) return i + jumpsTrue[i] + 1 < length && i + jumpsFalse[i] + 1 < length;
  return PLAIN.has(code);
}

/** Whether no path reads a scratch word that it has not written: what is in there would be somebody else's. */
function readsOnlyWhatItWrote({ length, codes, jumpsTrue, jumpsFalse, constants }: SeccompProgram): boolean {
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

const memory = new Int32Array(BPF_MEMWORDS);

/** What the program returns for a call; `data` are the words of struct seccomp_data. Unsigned. */
export function runSeccompProgram(program: SeccompProgram, data: Uint32Array): number {
  const { codes, jumpsTrue, jumpsFalse, constants } = program;
  let a = 0;
  let x = 0;
  for (let i = 0; ; i++) {
    const k = constants[i];
    let taken = false;
    switch (codes[i]) {
      case LD_DATA:
        a = data[k >>> 2] | 0;
        continue;
      case JEQ_K:
        taken = a === (k | 0);
        break;
      case JGE_K:
        taken = a >>> 0 >= k;
        break;
      case JGT_K:
        taken = a >>> 0 > k;
        break;
      case JSET_K:
        taken = (a & k) !== 0;
        break;
      case JUMP:
        i += k;
        continue;
      case RET_K:
        return k;
      case RET_A:
        return a >>> 0;
      case JEQ_X:
        taken = a === x;
        break;
      case JGE_X:
        taken = a >>> 0 >= x >>> 0;
        break;
      case JGT_X:
        taken = a >>> 0 > x >>> 0;
        break;
      case JSET_X:
        taken = (a & x) !== 0;
        break;
      case LD_LEN:
        a = SECCOMP_DATA_SIZE;
        continue;
      case LD_IMM:
        a = k | 0;
        continue;
      case LD_MEM:
        a = memory[k];
        continue;
      case LDX_LEN:
        x = SECCOMP_DATA_SIZE;
        continue;
      case LDX_IMM:
        x = k | 0;
        continue;
      case LDX_MEM:
        x = memory[k];
        continue;
      case BPF_ST:
        memory[k] = a;
        continue;
      case BPF_STX:
        memory[k] = x;
        continue;
      case TAX:
        x = a;
        continue;
      case TXA:
        a = x;
        continue;
      case DIV_X:
        // Division by zero ends the program with 0, which is SECCOMP_RET_KILL_THREAD.
        if (x === 0) return 0;
        a = ((a >>> 0) / (x >>> 0)) | 0;
        continue;
      default:
        a = calculate(codes[i], a, (codes[i] & BPF_X) !== 0 ? x : k | 0);
        continue;
    }
    i += taken ? jumpsTrue[i] : jumpsFalse[i];
  }
}

function calculate(code: number, a: number, operand: number): number {
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

/** Whether the program allows a call by its number alone, whatever arguments and instruction pointer are. */
export function allowsAlways(program: SeccompProgram, nr: number, arch: number): boolean {
  const { codes, jumpsTrue, jumpsFalse, constants } = program;
  let a = 0;
  for (let i = 0; ; i++) {
    const k = constants[i];
    let taken: boolean;
    switch (codes[i]) {
      case LD_DATA:
        if (k !== SECCOMP_DATA_NR && k !== SECCOMP_DATA_ARCH) return false;
        a = (k === SECCOMP_DATA_NR ? nr : arch) | 0;
        continue;
      case RET_K:
        return k === SECCOMP_RET_ALLOW;
      case JUMP:
        i += k;
        continue;
      case AND_K:
        a &= k;
        continue;
      case JEQ_K:
        taken = a === (k | 0);
        break;
      case JGE_K:
        taken = a >>> 0 >= k;
        break;
      case JGT_K:
        taken = a >>> 0 > k;
        break;
      case JSET_K:
        taken = (a & k) !== 0;
        break;
      default:
        return false;
    }
    i += taken ? jumpsTrue[i] : jumpsFalse[i];
  }
}
