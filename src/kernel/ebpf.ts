// eBPF, the part of it that decides about devices of a cgroup (BPF_PROG_TYPE_CGROUP_DEVICE): arithmetic, jumps forward,
// loads from the context. No memory, no helpers, no maps. A program that passes the check always ends, reads no register
// before it was written, and no byte but those of its context. Registers are BigInts: programs run when a device is
// opened, not in any hot path. See the kernel's Documentation/bpf/standardization/instruction-set.rst.

import {
  BPF_CALL,
  BPF_CLASS_ALU,
  BPF_CLASS_ALU64,
  BPF_CLASS_JMP,
  BPF_CLASS_JMP32,
  BPF_CLASS_LDX,
  BPF_EXIT,
  BPF_JA,
  BPF_LD_IMM_DW,
  BPF_MODE_MEM,
  BPF_OP_MOV,
  BPF_OP_NEG,
  BPF_SIZE_B,
  BPF_SIZE_H,
  BPF_SIZE_W,
  BPF_SOURCE_X,
} from '../abi/bpf.ts';
import { EACCES, EINVAL } from '../abi/errno.ts';

export interface Instruction {
  readonly code: number;
  readonly target: number;
  readonly source: number;
  readonly offset: number;
  readonly constant: number;
}

const REGISTERS = 10;
const CLASS = 0x07;
const OPERATION = 0xf0;
const WORD = 32;
const DOUBLE = 64;

type Operation = (a: bigint, b: bigint, width: number) => bigint;

/** What ALU operations answer, before it is cut to the width; shifts count within it. */
const ARITHMETIC = new Map<number, Operation>([
  [0x00, (a, b) => a + b],
  [0x10, (a, b) => a - b],
  [0x20, (a, b) => a * b],
  [0x30, (a, b) => (b === 0n ? 0n : a / b)],
  [0x40, (a, b) => a | b],
  [0x50, (a, b) => a & b],
  [0x60, (a, b, width) => a << (b & BigInt(width - 1))],
  [0x70, (a, b, width) => a >> (b & BigInt(width - 1))],
  [BPF_OP_NEG, (a) => -a],
  [0x90, (a, b) => (b === 0n ? a : a % b)],
  [0xa0, (a, b) => a ^ b],
  [BPF_OP_MOV, (_a, b) => b],
  [0xc0, (a, b, width) => BigInt.asIntN(width, a) >> (b & BigInt(width - 1))],
]);

type Comparison = (a: bigint, b: bigint, width: number) => boolean;

const signed = (compare: (a: bigint, b: bigint) => boolean): Comparison => {
  return (a, b, width) => compare(BigInt.asIntN(width, a), BigInt.asIntN(width, b));
};

const COMPARISONS = new Map<number, Comparison>([
  [0x10, (a, b) => a === b],
  [0x20, (a, b) => a > b],
  [0x30, (a, b) => a >= b],
  [0x40, (a, b) => (a & b) !== 0n],
  [0x50, (a, b) => a !== b],
  [0x60, signed((a, b) => a > b)],
  [0x70, signed((a, b) => a >= b)],
  [0xa0, (a, b) => a < b],
  [0xb0, (a, b) => a <= b],
  [0xc0, signed((a, b) => a < b)],
  [0xd0, signed((a, b) => a <= b)],
]);

/** What is known of a register when an instruction is come to. */
const UNKNOWN = 0;
const NUMBER = 1;
const CONTEXT = 2;

const SIZES = new Map([
  [BPF_SIZE_W, 4],
  [BPF_SIZE_H, 2],
  [BPF_SIZE_B, 1],
]);

/**
 * Checks a program: every way through it ends with a number in r0. 0, -EINVAL for what is no instruction here, -EACCES
 * for a register or a place that must not be read. The context has `contextSize` bytes, in words of which only the
 * first is read in parts.
 */
export function checkProgram(program: readonly Instruction[], contextSize: number): number {
  const states: (Uint8Array | null)[] = program.map(() => null);
  const begin = new Uint8Array(REGISTERS);
  begin[1] = CONTEXT;
  states[0] = begin;
  for (let at = 0; at < program.length; at++) {
    const state = states[at];
    // What is never come to must not be there; the second half of a long constant is no instruction by itself.
    if (state === null) return -EINVAL;
    const next = checkInstruction(program, at, state, contextSize);
    if (typeof next === 'number') return next;
    for (const to of next) {
      if (to <= at || to >= program.length) return -EINVAL;
      states[to] = states[to]?.map((kind, i) => (kind === state[i] ? kind : UNKNOWN)) ?? state.slice();
    }
    if (program[at].code === BPF_LD_IMM_DW) at++;
  }
  return 0;
}

/** Where the instruction can lead; `state` becomes what is known after it. Or -errno. */
function checkInstruction(
  program: readonly Instruction[],
  at: number,
  state: Uint8Array,
  contextSize: number,
): number[] | number {
  const { code, target, source, offset } = program[at];
  if (target >= REGISTERS || source >= REGISTERS) return -EINVAL;
  switch (code & CLASS) {
    case BPF_CLASS_ALU:
    case BPF_CLASS_ALU64:
      return checkArithmetic(program[at], state) || [at + 1];
    case BPF_CLASS_LDX: {
      const size = SIZES.get(code & 0x18);
      if (size === undefined || (code & 0xe0) !== BPF_MODE_MEM) return -EINVAL;
      const within = offset >= 0 && offset + size <= contextSize && offset % size === 0;
      if (state[source] !== CONTEXT || !within || (size < 4 && offset >= 4)) return -EACCES;
      state[target] = NUMBER;
      return [at + 1];
    }
    case BPF_CLASS_JMP:
    case BPF_CLASS_JMP32:
      return checkJump(program[at], at, state);
    default:
      return checkLongConstant(program, at, state);
  }
}

function checkArithmetic({ code, target, source }: Instruction, state: Uint8Array): number {
  const operation = code & OPERATION;
  const register = (code & BPF_SOURCE_X) !== 0;
  if (!ARITHMETIC.has(operation) || (operation === BPF_OP_NEG && register)) return -EINVAL;
  if (register && state[source] === UNKNOWN) return -EACCES;
  if (operation === BPF_OP_MOV) {
    const copies = register && (code & CLASS) === BPF_CLASS_ALU64;
    if (register && !copies && state[source] !== NUMBER) return -EACCES;
    state[target] = copies ? state[source] : NUMBER;
    return 0;
  }
  return state[target] === NUMBER && (!register || state[source] === NUMBER) ? 0 : -EACCES;
}

function checkJump({ code, target, source, offset }: Instruction, at: number, state: Uint8Array): number[] | number {
  const operation = code & OPERATION;
  const long = (code & CLASS) === BPF_CLASS_JMP;
  if (long && operation === BPF_EXIT) return state[0] === NUMBER ? [] : state[0] === CONTEXT ? -EINVAL : -EACCES;
  if (long && operation === BPF_JA && (code & BPF_SOURCE_X) === 0) return [at + 1 + offset];
  if (operation === BPF_CALL || !COMPARISONS.has(operation)) return -EINVAL;
  const register = (code & BPF_SOURCE_X) !== 0;
  if (state[target] !== NUMBER || (register && state[source] !== NUMBER)) return -EACCES;
  return [at + 1, at + 1 + offset];
}

function checkLongConstant(program: readonly Instruction[], at: number, state: Uint8Array): number[] | number {
  const { code, source, target } = program[at];
  const second = program.at(at + 1);
  // In a register's place stands what the constant means: the address of a map, which there is none of.
  if (code !== BPF_LD_IMM_DW || source !== 0 || !second || at + 1 >= program.length) return -EINVAL;
  if (second.code !== 0 || second.source !== 0 || second.target !== 0 || second.offset !== 0) return -EINVAL;
  state[target] = NUMBER;
  return [at + 2];
}

/** Runs a checked program with its context of three 32-bit words: the low 32 bits of r0. */
export function runProgram(program: readonly Instruction[], context: Uint32Array): number {
  const registers = new Array<bigint>(REGISTERS).fill(0n);
  const bytes = new DataView(context.buffer, context.byteOffset, context.byteLength);
  for (let at = 0; ; at++) {
    const { code, target, source, offset, constant } = program[at];
    const kind = code & CLASS;
    const width = kind === BPF_CLASS_ALU || kind === BPF_CLASS_JMP32 ? WORD : DOUBLE;
    const left = BigInt.asUintN(width, registers[target]);
    const right = BigInt.asUintN(width, code & BPF_SOURCE_X ? registers[source] : BigInt(constant));
    if (kind === BPF_CLASS_ALU || kind === BPF_CLASS_ALU64) {
      const result = (ARITHMETIC.get(code & OPERATION) as Operation)(left, right, width);
      registers[target] = BigInt.asUintN(width, result);
    } else if (kind === BPF_CLASS_LDX) {
      registers[target] = BigInt(load(bytes, code & 0x18, offset));
    } else if (code === BPF_LD_IMM_DW) {
      at++;
      registers[target] = (BigInt(program[at].constant >>> 0) << 32n) | BigInt(constant >>> 0);
    } else if (kind === BPF_CLASS_JMP && (code & OPERATION) === BPF_EXIT) {
      return Number(BigInt.asUintN(WORD, registers[0]));
    } else if (kind === BPF_CLASS_JMP && (code & OPERATION) === BPF_JA) {
      at += offset;
    } else if ((COMPARISONS.get(code & OPERATION) as Comparison)(left, right, width)) {
      at += offset;
    }
  }
}

function load(bytes: DataView, size: number, offset: number): number {
  if (size === BPF_SIZE_W) return bytes.getUint32(offset, true);
  return size === BPF_SIZE_H ? bytes.getUint16(offset, true) : bytes.getUint8(offset);
}
