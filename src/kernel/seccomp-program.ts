// The classic BPF of seccomp filters (seccomp(2)), run over the words of struct seccomp_data.

import {
  BPF_MEMWORDS,
  BPF_ST,
  BPF_STX,
  BPF_X,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_NR,
  SECCOMP_DATA_SIZE,
  SECCOMP_RET_ALLOW,
} from '../abi/seccomp.ts';
import {
  AND_K,
  type BpfProgram,
  calculate,
  DIV_X,
  JEQ_K,
  JEQ_X,
  JGE_K,
  JGE_X,
  JGT_K,
  JGT_X,
  JSET_K,
  JSET_X,
  JUMP,
  LD_DATA,
  LD_IMM,
  LD_LEN,
  LD_MEM,
  LDX_IMM,
  LDX_LEN,
  LDX_MEM,
  parseBpf,
  RET_A,
  RET_K,
  TAX,
  TXA,
} from './classic-bpf.ts';

export type SeccompProgram = BpfProgram;

/** A checked program from `length` instructions of struct sock_filter at `at` of `bytes`, or -EINVAL. */
export function parseSeccompProgram(bytes: Uint8Array, at: number, length: number): SeccompProgram | number {
  return parseBpf(bytes, at, length, (code, k) => code === LD_DATA && (k & 3) === 0 && k < SECCOMP_DATA_SIZE);
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
