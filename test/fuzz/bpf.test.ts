// Random filters: the checker refuses what the documentation refuses, and what it lets through returns what a plain
// reading of the documentation returns.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSeccompProgram, runSeccompProgram } from '../../src/kernel/seccomp-program.ts';
import type { Instruction } from '../../syscall-tables/bpf.ts';
import { below, pick, repeatedly, seed, word } from './random.ts';

const OPERATIONS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0];
const CODES = [
  ...OPERATIONS.flatMap((operation) => [0x04 | operation, 0x0c | operation]),
  ...[0x84, 0x20, 0x00, 0x60, 0x80, 0x01, 0x61, 0x81, 0x02, 0x03, 0x07, 0x87, 0x05, 0x06, 0x16],
  ...[0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d],
];

function randomInstruction(left: number): Instruction {
  const code = below(200) === 0 ? below(256) : pick(CODES);
  const isJump = (code & 7) === 5;
  const far = (): number => (below(100) === 0 ? below(256) : below(Math.min(left, 6) + 1));
  const k = code === 0x20 ? 4 * below(17) : code === 0x05 ? far() : (code & 0x0f) < 4 ? below(17) : word();
  return { code, jt: isJump ? far() : 0, jf: isJump ? far() : 0, k: k >>> 0 };
}

const bytesOf = (program: readonly Instruction[]): Uint8Array => {
  const buffer = Buffer.alloc(8 * program.length);
  for (const [i, { code, jt, jf, k }] of program.entries()) {
    buffer.writeUInt16LE(code, 8 * i);
    buffer[8 * i + 2] = jt;
    buffer[8 * i + 3] = jf;
    buffer.writeUInt32LE(k, 8 * i + 4);
  }
  return buffer;
};

/** All arithmetic on BigInts, so that it shares nothing with what is tested. */
function reference(program: readonly Instruction[], data: Uint32Array): number {
  const mask = 0xffff_ffffn;
  const memory: bigint[] = Array(16).fill(0n);
  let a = 0n;
  let x = 0n;
  for (let at = 0; ; at++) {
    const { code, jt, jf, k: constant } = program[at] as Instruction;
    const k = BigInt(constant);
    const operand = code & 8 ? x : k;
    const go = (condition: boolean): void => {
      at += condition ? jt : jf;
    };
    if ((code & 7) === 4) {
      const shift = operand & 31n;
      switch (code & 0xf0) {
        case 0x00:
          a += operand;
          break;
        case 0x10:
          a -= operand;
          break;
        case 0x20:
          a *= operand;
          break;
        case 0x30:
          if (operand === 0n) return 0;
          a /= operand;
          break;
        case 0x40:
          a |= operand;
          break;
        case 0x50:
          a &= operand;
          break;
        case 0x60:
          a <<= shift;
          break;
        case 0x70:
          a >>= shift;
          break;
        case 0x80:
          a = -a;
          break;
        case 0xa0:
          a ^= operand;
          break;
      }
      a &= mask;
      continue;
    }
    switch (code) {
      case 0x20:
        a = BigInt(data[constant / 4] as number);
        break;
      case 0x00:
        a = k;
        break;
      case 0x01:
        x = k;
        break;
      case 0x80:
        a = 64n;
        break;
      case 0x81:
        x = 64n;
        break;
      case 0x60:
        a = memory[constant] as bigint;
        break;
      case 0x61:
        x = memory[constant] as bigint;
        break;
      case 0x02:
        memory[constant] = a;
        break;
      case 0x03:
        memory[constant] = x;
        break;
      case 0x07:
        x = a;
        break;
      case 0x87:
        a = x;
        break;
      case 0x05:
        at += constant;
        break;
      case 0x06:
        return constant;
      case 0x16:
        return Number(a);
      case 0x15:
      case 0x1d:
        go(a === operand);
        break;
      case 0x25:
      case 0x2d:
        go(a > operand);
        break;
      case 0x35:
      case 0x3d:
        go(a >= operand);
        break;
      case 0x45:
      case 0x4d:
        go((a & operand) !== 0n);
        break;
      default:
        throw new Error(`instruction ${code} was let through`);
    }
  }
}

test(`filters of programs (seed ${seed})`, () => {
  let accepted = 0;
  repeatedly(2000, () => {
    const length = 1 + below(24);
    const program = Array.from({ length }, (_, i) => randomInstruction(length - i - 2));
    if (below(10) > 0) program[length - 1] = { code: pick([0x06, 0x16]), jt: 0, jf: 0, k: word() };
    const parsed = parseSeccompProgram(bytesOf(program), 0, length);
    if (typeof parsed === 'number') return;
    accepted++;
    for (let i = 0; i < 4; i++) {
      const data = Uint32Array.from({ length: 16 }, word);
      assert.equal(
        runSeccompProgram(parsed, data),
        reference(program, data),
        `seed ${seed} ${JSON.stringify(program)}`,
      );
    }
  });
  assert.ok(accepted > 100, `only ${accepted} were accepted`);
});
