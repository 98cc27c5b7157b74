// An interpreter of the classic BPF that seccomp(2) takes, written from the kernel's documentation, not from the
// assembler: it is what the filter is checked against.

import type { Instruction } from '../../syscall-tables/bpf.ts';

/** What struct seccomp_data holds. */
export interface Call {
  readonly nr: number;
  readonly arch?: number;
  readonly ip?: bigint;
  readonly args?: readonly bigint[];
}

const DATA_SIZE = 64;

/** The filter's verdict on a call. Throws where the kernel would have refused the filter. */
export function verdict(filter: readonly Instruction[], call: Call): number {
  const data = new DataView(new ArrayBuffer(DATA_SIZE));
  data.setInt32(0, call.nr | 0, true);
  data.setUint32(4, call.arch ?? 0xc000003e, true);
  data.setBigUint64(8, call.ip ?? 0x401000n, true);
  for (const [index, value] of (call.args ?? []).entries())
    data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, value), true);

  let accumulator = 0;
  for (let at = 0; at < filter.length; at++) {
    const { code, jt, jf, k } = filter[at] as Instruction;
    switch (code) {
      case 0x20: // BPF_LD | BPF_W | BPF_ABS
        if (k % 4 !== 0 || k >= DATA_SIZE) throw new Error(`bad load at ${at}`);
        accumulator = data.getUint32(k, true);
        break;
      case 0x54: // BPF_ALU | BPF_AND | BPF_K
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05: // BPF_JMP | BPF_JA
        at += k;
        break;
      case 0x15: // BPF_JMP | BPF_JEQ | BPF_K
        at += accumulator === k ? jt : jf;
        break;
      case 0x25: // BPF_JMP | BPF_JGT | BPF_K
        at += accumulator > k ? jt : jf;
        break;
      case 0x35: // BPF_JMP | BPF_JGE | BPF_K
        at += accumulator >= k ? jt : jf;
        break;
      case 0x45: // BPF_JMP | BPF_JSET | BPF_K
        at += (accumulator & k) !== 0 ? jt : jf;
        break;
      case 0x06: // BPF_RET | BPF_K
        return k;
      default:
        throw new Error(`unknown instruction at ${at}`);
    }
  }
  throw new Error('ran off the end');
}
