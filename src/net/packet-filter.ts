// Packet filters of sockets (SO_ATTACH_FILTER of socket(7)): programs of classic BPF that say how much of a datagram a
// socket takes, 0 for nothing. They are run over the bytes that Linux would show them: of UDP with its header, of a raw
// IPv4 socket with that of IP, of others as they are received.

import { EFAULT, EINVAL, ENOENT, EPERM } from '../abi/errno.ts';
import {
  BPF_ABS,
  BPF_B,
  BPF_H,
  BPF_IND,
  BPF_LD,
  BPF_LDX,
  BPF_MAXINSNS,
  BPF_MEMWORDS,
  BPF_MSH,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_X,
  SOCK_FILTER_SIZE,
  SOCK_FPROG_SIZE,
} from '../abi/seccomp.ts';
import type { UserAddress } from '../base/brands.ts';
import {
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
} from '../kernel/classic-bpf.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, readU64, u8, u16 } from '../platform/arena.ts';

const ABSOLUTE = [BPF_LD | BPF_ABS | BPF_W, BPF_LD | BPF_ABS | BPF_H, BPF_LD | BPF_ABS | BPF_B];
const INDIRECT = [BPF_LD | BPF_IND | BPF_W, BPF_LD | BPF_IND | BPF_H, BPF_LD | BPF_IND | BPF_B];
const SIZES = [4, 2, 1];
/** Four times the low half of a byte: the length of a header of IPv4. */
const HEADER_LENGTH = BPF_LDX | BPF_MSH | BPF_B;

/** Offsets from here on name what is known of a packet besides its bytes (SKF_AD_OFF and others): none of it is here. */
const BEYOND = 0x80000000;

/** A checked program from `length` instructions at `at` of `bytes`, or -EINVAL. */
export function parsePacketFilter(bytes: Uint8Array, at: number, length: number): BpfProgram | number {
  return parseBpf(bytes, at, length, (code, k) => {
    if (ABSOLUTE.includes(code) || code === HEADER_LENGTH) return k < BEYOND;
    return INDIRECT.includes(code);
  });
}

const memory = new Int32Array(BPF_MEMWORDS);

/**
 * How many bytes of a packet the program takes. A loop of its own beside that of seccomp filters, which are run for every
 * call and whose loads are words of an array.
 */
export function runPacketFilter({ codes, jumpsTrue, jumpsFalse, constants }: BpfProgram, packet: Buffer): number {
  let a = 0;
  let x = 0;
  for (let i = 0; ; i++) {
    const k = constants[i];
    const code = codes[i];
    switch (code) {
      case RET_K:
        return k;
      case RET_A:
        return a >>> 0;
      case JUMP:
        i += k;
        continue;
      case LD_LEN:
        a = packet.length;
        continue;
      case LD_IMM:
        a = k | 0;
        continue;
      case LD_MEM:
        a = memory[k];
        continue;
      case LDX_LEN:
        x = packet.length;
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
      case HEADER_LENGTH:
        if (k >= packet.length) return 0;
        x = 4 * (packet[k] & 15);
        continue;
      case DIV_X:
        if (x === 0) return 0;
    }
    const load = ABSOLUTE.indexOf(code) + INDIRECT.indexOf(code) + 1;
    if (load >= 0) {
      const from = INDIRECT.includes(code) ? (x + k) >>> 0 : k;
      // Who reads beyond its end takes nothing of the packet.
      if (from + SIZES[load] > packet.length) return 0;
      a = packet.readUIntBE(from, SIZES[load]) | 0;
      continue;
    }
    const operand = code & BPF_X ? x : k | 0;
    const taken = compare(code, a, operand);
    if (taken === null) a = calculate(code, a, operand);
    else i += taken ? jumpsTrue[i] : jumpsFalse[i];
  }
}

/** Whether a conditional jump is taken; null for other instructions. */
function compare(code: number, a: number, operand: number): boolean | null {
  switch (code) {
    case JEQ_K:
    case JEQ_X:
      return a === operand;
    case JGT_K:
    case JGT_X:
      return a >>> 0 > operand >>> 0;
    case JGE_K:
    case JGE_X:
      return a >>> 0 >= operand >>> 0;
    case JSET_K:
    case JSET_X:
      return (a & operand) !== 0;
    default:
      return null;
  }
}

/** The filter of one socket. */
export class SocketFilter {
  private program: BpfProgram | null = null;
  private locked = false;

  get isSet(): boolean {
    return this.program !== null;
  }
  get isLocked(): boolean {
    return this.locked;
  }

  /** SO_ATTACH_FILTER with a struct sock_fprog of `length` bytes at an arena offset. 0 or -errno. */
  attach(task: Task, at: number, length: number): number {
    if (length !== SOCK_FPROG_SIZE) return -EINVAL;
    const count = u16[at >> 1];
    const instructions = readU64(at + 8) as UserAddress;
    if (this.locked) return -EPERM;
    if (count === 0 || count > BPF_MAXINSNS) return -EINVAL;
    const copy = allocateScratch(count * SOCK_FILTER_SIZE);
    if (copy < 0) return copy;
    if (task.memory.read(instructions, copy, count * SOCK_FILTER_SIZE) < 0) return -EFAULT;
    const program = parsePacketFilter(u8, copy, count);
    if (typeof program === 'number') return program;
    this.program = program;
    return 0;
  }

  /** SO_DETACH_FILTER */
  detach(): number {
    if (this.locked) return -EPERM;
    if (!this.program) return -ENOENT;
    this.program = null;
    return 0;
  }

  /** SO_LOCK_FILTER: for good. */
  lock(on: boolean): number {
    if (this.locked && !on) return -EPERM;
    this.locked = on;
    return 0;
  }

  /** How many bytes of a datagram are taken; -1: it is not. */
  taken(packet: Buffer): number {
    if (!this.program) return packet.length;
    const most = runPacketFilter(this.program, packet);
    return most === 0 ? -1 : Math.min(most, packet.length);
  }
}
