// The BPF assembler resolves labels and refuses what the kernel would refuse.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Assembler } from '../../syscall-tables/bpf.ts';

test('labels become distances; an empty one falls through', () => {
  const asm = new Assembler();
  asm.load(0);
  asm.ifEqual(7, 'yes', '');
  asm.jump('no');
  asm.label('yes');
  asm.ret(1);
  asm.label('no');
  asm.and(0xf0);
  asm.ifAnySet(0x80000000, '', 'end');
  asm.ret(2);
  asm.label('end');
  asm.ret(3);
  assert.deepEqual(asm.assemble(), [
    { code: 0x20, jt: 0, jf: 0, k: 0 },
    { code: 0x15, jt: 1, jf: 0, k: 7 },
    { code: 0x05, jt: 0, jf: 0, k: 1 },
    { code: 0x06, jt: 0, jf: 0, k: 1 },
    { code: 0x54, jt: 0, jf: 0, k: 0xf0 },
    { code: 0x45, jt: 0, jf: 1, k: 0x80000000 },
    { code: 0x06, jt: 0, jf: 0, k: 2 },
    { code: 0x06, jt: 0, jf: 0, k: 3 },
  ]);
});

test('unknown labels, labels defined twice, backward jumps and jumps out of the program are refused', () => {
  const unknown = new Assembler();
  unknown.jump('nowhere');
  unknown.ret(0);
  assert.throws(() => unknown.assemble(), /nowhere is not defined/);

  const twice = new Assembler();
  twice.label('here');
  assert.throws(() => twice.label('here'), /defined twice/);

  const backward = new Assembler();
  backward.label('top');
  backward.load(0);
  backward.jump('top');
  assert.throws(() => backward.assemble(), /bad jump/);

  const out = new Assembler();
  out.jump('end');
  out.label('end');
  assert.throws(() => out.assemble(), /bad jump/);
});

test('a conditional jump of more than 255 is refused, an unconditional one is not', () => {
  const build = (emit: (asm: Assembler) => void): Assembler => {
    const asm = new Assembler();
    emit(asm);
    for (let i = 0; i < 300; i++) asm.load(0);
    asm.label('far');
    asm.ret(0);
    return asm;
  };
  assert.throws(() => build((asm) => asm.ifEqual(1, 'far', '')).assemble(), /too far/);
  assert.equal(build((asm) => asm.jump('far')).assemble()[0]?.k, 300);
});
