// Random programs of eBPF: what the check lets through ends, after no more steps than it has instructions, and reads
// nothing that is not there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkProgram, type Instruction, runProgram } from '../../src/kernel/ebpf.ts';
import { below, pick, repeatedly, seed, word } from './random.ts';

const OPERATIONS = Array.from({ length: 14 }, (_, i) => 16 * i);
const CLASSES = [4, 4, 7, 7, 7, 5, 6];
const LOADS = [0x61, 0x61, 0x69, 0x71, 0x79];

function randomInstruction(left: number): Instruction {
  const kind = below(12);
  const code =
    kind === 0 ? below(256) : kind < 3 ? pick(LOADS) : pick(CLASSES) | pick(OPERATIONS) | (below(2) ? 0x08 : 0);
  const isJump = (code & 7) === 5 || (code & 7) === 6;
  const offset = isJump ? below(Math.min(left, 5) + 1) : pick([0, 0, 1, 2, 4, 8, 12]);
  return {
    code,
    target: below(60) === 0 ? below(16) : below(4),
    source: (code & 7) === 1 ? pick([1, 1, 1, 2]) : below(4),
    offset: below(60) === 0 ? below(65536) - 32768 : offset,
    constant: word() | 0,
  };
}

/** Reading an instruction is a step; one that is not there is no program's. */
function counted(program: readonly Instruction[], steps: { count: number }): readonly Instruction[] {
  return new Proxy(program, {
    get(target, name, receiver) {
      if (typeof name === 'string' && /^-?\d+$/.test(name)) {
        assert.ok(name in target, `step to ${name}`);
        steps.count++;
      }
      return Reflect.get(target, name, receiver);
    },
  });
}

test(`programs that decide about devices (seed ${seed})`, () => {
  let accepted = 0;
  repeatedly(2000, () => {
    const length = 2 + below(16);
    const program = Array.from({ length }, (_, i) => randomInstruction(length - i - 2));
    for (let register = 0; register < 4; register++) {
      if (register === 1) continue;
      program.unshift({ code: 0xb7, target: register, source: 0, offset: 0, constant: word() | 0 });
    }
    program.push({ code: 0x95, target: 0, source: 0, offset: 0, constant: 0 });
    if (checkProgram(program, 12) < 0) return;
    accepted++;
    const steps = { count: 0 };
    const result = runProgram(counted(program, steps), Uint32Array.from({ length: 3 }, word));
    assert.ok(result >= 0 && result <= 0xffff_ffff && Number.isInteger(result), `seed ${seed}: ${result}`);
    assert.ok(steps.count <= 2 * program.length, `seed ${seed}: ${steps.count} steps`);
  });
  assert.ok(accepted > 100, `only ${accepted} were accepted`);
});
