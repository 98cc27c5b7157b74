// The interpreter and the cache of seccomp filters against the interpreter that the guest's own filter is tested with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EINVAL } from '../../src/abi/errno.ts';
import { AUDIT_ARCH_X86_64, SECCOMP_RET_ALLOW } from '../../src/abi/seccomp.ts';
import {
  allowsAlways,
  parseSeccompProgram,
  runSeccompProgram,
  type SeccompProgram,
} from '../../src/kernel/seccomp-program.ts';
import type { Instruction } from '../../syscall-tables/bpf.ts';
import { guestFilter } from '../../syscall-tables/filter.ts';
import { verdict } from '../syscall-tables/interpreter.ts';

/** Instructions as struct sock_filter has them. */
function bytesOf(filter: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(8 * filter.length);
  const view = new DataView(bytes.buffer);
  for (const [index, { code, jt, jf, k }] of filter.entries()) {
    view.setUint16(8 * index, code, true);
    view.setUint8(8 * index + 2, jt);
    view.setUint8(8 * index + 3, jf);
    view.setUint32(8 * index + 4, k, true);
  }
  return bytes;
}

function parse(filter: readonly Instruction[]): SeccompProgram {
  const program = parseSeccompProgram(bytesOf(filter), 0, filter.length);
  assert.ok(typeof program !== 'number');
  return program;
}

const words = new Uint32Array(16);
function run(program: SeccompProgram, nr: number, ip: bigint, args: readonly bigint[]): number {
  const view = new DataView(words.buffer);
  view.setUint32(0, nr, true);
  view.setUint32(4, AUDIT_ARCH_X86_64, true);
  view.setBigUint64(8, ip, true);
  for (let i = 0; i < 6; i++) view.setBigUint64(16 + 8 * i, BigInt.asUintN(64, args[i] ?? 0n), true);
  return runSeccompProgram(program, words);
}

test('a long filter is judged as the reference judges it', () => {
  const filter = guestFilter();
  const program = parse(filter);
  const values = [0n, 1n, 0x22n, 0xffff_ffffn, 0x7e00_0000_0000n, -1n];
  for (let nr = 0; nr < 480; nr++) {
    for (const ip of [0x401000n, 0x7e00_0000_1234n]) {
      for (const value of values) {
        const args = [value, value, value, value, value, value];
        assert.equal(run(program, nr, ip, args), verdict(filter, { nr, ip, args }), `call ${nr} with ${value}`);
      }
    }
  }
});

test('only what is allowed whatever the arguments is cached', () => {
  const filter = guestFilter();
  const program = parse(filter);
  for (let nr = 0; nr < 480; nr++) assert.equal(allowsAlways(program, nr, AUDIT_ARCH_X86_64), false); // looks at ip
  const byNumber = [
    { code: 0x20, jt: 0, jf: 0, k: 0 },
    { code: 0x35, jt: 0, jf: 2, k: 100 },
    { code: 0x20, jt: 0, jf: 0, k: 16 },
    { code: 0x15, jt: 0, jf: 1, k: 7 },
    { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET_ALLOW },
    { code: 0x06, jt: 0, jf: 0, k: 0 },
  ];
  assert.equal(allowsAlways(parse(byNumber), 99, AUDIT_ARCH_X86_64), true);
  assert.equal(allowsAlways(parse(byNumber), 100, AUDIT_ARCH_X86_64), false);
});

test('random bytes are refused or end', () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const codes = [0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x05, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x34, 0x3c];
  codes.push(0x07, 0x87, 0x84, 0x04, 0x0c, 0x64, 0x6c, 0x16);
  let taken = 0;
  for (let round = 0; round < 20000; round++) {
    const length = 1 + random(8);
    const filter: Instruction[] = [];
    for (let i = 1; i < length; i++) {
      filter.push({ code: codes[random(codes.length)], jt: random(4), jf: random(4), k: random(5) });
    }
    filter.push({ code: 0x06, jt: 0, jf: 0, k: 0 });
    const program = parseSeccompProgram(bytesOf(filter), 0, length);
    if (typeof program === 'number') {
      assert.equal(program, -EINVAL);
      continue;
    }
    taken++;
    assert.ok(Number.isInteger(run(program, random(300), 0n, [5n])));
  }
  assert.ok(taken > 1000, `${taken} were taken`);
});
