// The guest's filter lets through what the table and the stub's rules say, and nothing else.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF } from '../../src/abi/seccomp.ts';
import { guestFilter } from '../../syscall-tables/filter.ts';
import { DOORBELL, STUB_CALLS, STUB_HIGH } from '../../syscall-tables/stub.ts';
import { ENTRIES, entryByName, NUMBERS } from '../../syscall-tables/table.ts';
import { type Call, verdict } from './interpreter.ts';

const FILTER = guestFilter();
const STUB_IP = 0x7e00_0000_1234n;
const PROGRAM_IP = 0x7fff_f7e1_2345n;
const STUB = 0x7e00_0000_0000n;
const GIB4 = 0x1_0000_0000n;
const VERDICTS: Readonly<Record<number, string>> = {
  [SECCOMP_RET_ALLOW]: 'allow',
  [SECCOMP_RET_TRAP]: 'trap',
  [SECCOMP_RET_USER_NOTIF]: 'notify',
};

const judge = (call: Call): string => VERDICTS[verdict(FILTER, call)] ?? 'something else';
const number = (name: string): number => entryByName(name).nr;
const program = (name: string, ...args: readonly bigint[]): string => judge({ nr: number(name), ip: PROGRAM_IP, args });
const stub = (name: string, ...args: readonly bigint[]): string => judge({ nr: number(name), ip: STUB_IP, args });

test('the constants are those of native/abi.h', () => {
  const header = readFileSync(new URL('../../native/abi.h', import.meta.url), 'utf8');
  assert.match(header, new RegExp(`#define STUB_HI +0x${STUB_HIGH.toString(16)}u?\\n`));
  assert.match(header, new RegExp(`#define DOORBELL +${DOORBELL}\\b`));
});

test('the doorbell is notified, from wherever it is rung', () => {
  assert.equal(judge({ nr: DOORBELL, ip: STUB_IP }), 'notify');
  assert.equal(judge({ nr: DOORBELL, ip: PROGRAM_IP }), 'notify');
});

test('promotion, foreign architectures, x32 and unknown numbers trap', () => {
  assert.equal(judge({ nr: 1001, ip: STUB_IP }), 'trap');
  assert.equal(judge({ nr: 3, arch: 0x40000003, ip: STUB_IP }), 'trap'); // i386 read, close here
  assert.equal(judge({ nr: DOORBELL, arch: 0x40000003, ip: STUB_IP }), 'trap');
  assert.equal(judge({ nr: 24, arch: 0xc00000b7 }), 'trap'); // aarch64
  for (const name of ['mmap', 'futex', 'brk', 'exit', 'close']) {
    assert.equal(judge({ nr: number(name) | 0x40000000, ip: STUB_IP }), 'trap', `x32 ${name}`);
  }
  assert.equal(judge({ nr: -1, ip: STUB_IP }), 'trap');
  assert.equal(judge({ nr: 0x7fffffff }), 'trap');
});

test('without arguments that a rule asks for, only the named calls pass', () => {
  const passing = (ip: bigint): string[] =>
    Array.from({ length: 4096 }, (_, nr) => nr).flatMap((nr) =>
      nr !== DOORBELL && judge({ nr, ip, args: [] }) !== 'trap' ? [byNumber(nr)] : [],
    );
  // All arguments 0: futex is FUTEX_WAIT, madvise is MADV_NORMAL, membarrier is MEMBARRIER_CMD_QUERY.
  assert.deepEqual(passing(PROGRAM_IP), [
    'mprotect',
    'munmap',
    'brk',
    'sched_yield',
    'mremap',
    'madvise',
    'futex',
    'membarrier',
    'mseal',
  ]);
  const conditional = ['clone', 'arch_prctl', 'prctl'];
  const old = guestFilter('notify', false);
  const setFs = { nr: number('arch_prctl'), args: [0x1002n, 0n] };
  assert.equal(judge({ ...setFs, ip: STUB_IP }), 'trap');
  assert.equal(verdict(old, { ...setFs, ip: STUB_IP }), SECCOMP_RET_ALLOW);
  assert.equal(verdict(old, { ...setFs, args: [0x1003n, 0n], ip: STUB_IP }), SECCOMP_RET_TRAP);
  assert.equal(verdict(old, { ...setFs, ip: PROGRAM_IP }), SECCOMP_RET_TRAP);
  const always = STUB_CALLS.map(({ name }) => name).filter((name) => !conditional.includes(name));
  assert.deepEqual(passing(STUB_IP).sort(), always.sort());
});

function byNumber(nr: number): string {
  return [...NUMBERS].find(([, value]) => value === nr)?.[0] ?? String(nr);
}

test('mmap of a program: anonymous memory without special flags', () => {
  const mmap = (flags: bigint, address = 0n, length = 4096n): string =>
    program('mmap', address, length, 3n, flags, 0xffffffffn, 0n);
  for (const flags of [0x22n, 0x21n, 0x32n, 0x100022n, 0x20022n, 0x4022n, 0x822n, 0x23n]) {
    assert.equal(mmap(flags), 'allow', flags.toString(16));
  }
  assert.equal(mmap(0x2n), 'trap', 'a file');
  assert.equal(mmap(0x1n), 'trap', 'a shared file');
  for (const bit of [
    0x8, 0x40, 0x80, 0x100, 0x400, 0x1000, 0x2000, 0x8000, 0x10000, 0x40000, 0x80000, 0x200000, 0x80000000,
  ]) {
    assert.equal(mmap(0x22n | BigInt(bit)), 'trap', `flag ${bit.toString(16)}`);
  }
  assert.equal(mmap(GIB4 | 0x22n), 'trap', 'a flag beyond 32 bits');
});

test('ranges of a program stay off the stub', () => {
  const calls: readonly (readonly [string, (address: bigint, length: bigint) => bigint[]])[] = [
    ['mmap', (address, length) => [address, length, 3n, 0x32n, 0xffffffffffffffffn, 0n]],
    ['munmap', (address, length) => [address, length]],
    ['mprotect', (address, length) => [address, length, 1n]],
    ['madvise', (address, length) => [address, length, 4n]],
    ['mremap', (address, length) => [address, length, 4096n, 1n, 0n]],
    ['mremap', (address, length) => [0x10000n, 4096n, length, 1n, address]],
  ];
  for (const [name, args] of calls) {
    const at = (address: bigint, length: bigint): string => program(name, ...args(address, length));
    assert.equal(at(0x10000n, 4096n), 'allow', name);
    assert.equal(at(0x7fff_0000_0000n, 0xffff_ffffn), 'allow', name);
    assert.equal(at(STUB - GIB4 - 4096n, 0xffff_ffffn), 'allow', `${name} as near as it gets`);
    assert.equal(at(STUB - GIB4, 4096n), 'trap', `${name} in the 4 GiB below`);
    assert.equal(at(STUB - 4096n, 8192n), 'trap', `${name} into the stub`);
    assert.equal(at(STUB, 4096n), 'trap', `${name} of the stub`);
    assert.equal(at(STUB + GIB4 - 4096n, 4096n), 'trap', `${name} of the stub's end`);
    assert.equal(at(STUB + GIB4, 4096n), 'allow', `${name} above the stub`);
    assert.equal(at(0x10000n, GIB4), 'trap', `${name} of 4 GiB`);
    assert.equal(at(0x10000n, 0xffff_ffff_ffff_f000n), 'trap', `${name} of everything`);
    assert.equal(at(0xffff_ffff_ffff_f000n, 8192n), 'allow', `${name} beyond user space: the host refuses it`);
  }
});

test('what may change or move text comes to the sentry', () => {
  const mprotect = (protection: bigint, length = 4096n): string => program('mprotect', 0x10000n, length, protection);
  for (const protection of [0n, 1n]) assert.equal(mprotect(protection), 'allow');
  for (const protection of [2n, 3n, 4n, 5n, 7n, 8n, 0x1000001n]) assert.equal(mprotect(protection), 'trap');
  assert.equal(mprotect(3n, 0xf000n), 'trap');
  for (const length of [0x10000n, 0x11000n, 0xff000n]) assert.equal(mprotect(3n, length), 'allow');
  assert.equal(mprotect(5n, 0x100000n), 'trap');
  const mremap = (flags: bigint): string => program('mremap', 0x10000n, 4096n, 8192n, flags, 0x20000n);
  for (const flags of [0n, 1n]) assert.equal(mremap(flags), 'allow');
  for (const flags of [2n, 3n, 5n, 8n, GIB4 | 1n]) assert.equal(mremap(flags), 'trap');
});

test('madvise of a program: advice about its own pages', () => {
  const allowed = [0, 1, 2, 3, 4, 8, 14, 15];
  for (let advice = 0; advice < 128; advice++) {
    const expected = allowed.includes(advice) ? 'allow' : 'trap';
    assert.equal(program('madvise', 0x10000n, 4096n, BigInt(advice)), expected, String(advice));
  }
  // The kernel looks at 32 bits of it.
  assert.equal(program('madvise', 0x10000n, 4096n, GIB4 | 4n), 'allow');
});

test('futex without priority inheritance, from anywhere', () => {
  const allowed = [0, 1, 3, 4, 5, 9, 10];
  for (let operation = 0; operation < 1024; operation++) {
    const expected = allowed.includes(operation & ~0x180) ? 'allow' : 'trap';
    assert.equal(program('futex', 0x10000n, BigInt(operation)), expected, String(operation));
    assert.equal(stub('futex', 0x10000n, BigInt(operation)), expected, String(operation));
  }
});

test('clone of the stub: fork and thread, exactly', () => {
  const CLEARTID = 0x200000n;
  const SETTLS = 0x80000n;
  for (const base of [17n, 0x50f00n]) {
    for (const extra of [0n, CLEARTID, SETTLS, CLEARTID | SETTLS]) {
      assert.equal(stub('clone', base | extra), 'allow');
      assert.equal(program('clone', base | extra), 'trap');
    }
  }
  assert.equal(stub('clone', 0n), 'trap', 'no exit signal');
  assert.equal(stub('clone', 0x50f11n), 'trap');
  assert.equal(stub('clone', GIB4 | 17n), 'trap');
  for (let bit = 0n; bit < 32n; bit++) {
    const flag = 1n << bit;
    if ((17n & flag) !== 0n || flag === CLEARTID || flag === SETTLS) continue;
    assert.equal(stub('clone', 17n | flag), 'trap', `fork with flag ${flag.toString(16)}`);
    if ((0x50f00n & flag) === 0n)
      assert.equal(stub('clone', 0x50f00n | flag), 'trap', `thread with ${flag.toString(16)}`);
  }
});

test('arch_prctl and prctl of the stub', () => {
  for (const option of [0n, 0x1001n, 0x1002n, 0x1003n, 0x1012n, 0x1023n, 0x5001n])
    assert.equal(stub('arch_prctl', option), 'trap');
  assert.equal(stub('prctl', 35n, 14n), 'allow');
  assert.equal(stub('prctl', 35n, 13n), 'trap', 'not the executable');
  assert.equal(stub('prctl', 35n, GIB4 | 14n), 'trap');
  const [mm, dispatch] = [35n, 59n];
  for (let option = 0n; option < 80n; option++) {
    if (option !== mm && option !== dispatch) assert.equal(stub('prctl', option, 14n), 'trap');
  }
  for (const on of [0n, 1n]) assert.equal(stub('prctl', dispatch, on), 'allow');
  assert.equal(stub('prctl', dispatch, 2n), 'trap');
  assert.equal(program('prctl', 35n, 14n), 'trap');
  assert.equal(program('prctl', dispatch, 1n), 'trap');
});

test('membarrier: every command, without flags, from anywhere', () => {
  for (let bit = 0n; bit < 32n; bit++) {
    const expected = bit < 10n ? 'allow' : 'trap';
    for (const from of [program, stub])
      assert.equal(from('membarrier', 1n << bit, 0n), expected, `command ${1n << bit}`);
  }
  for (const from of [program, stub]) assert.equal(from('membarrier', 32n, 1n), 'trap', 'a flag');
});

test('what a program may make its stub may make for it, when it is traced', () => {
  for (const { name, rule, args, disposition } of ENTRIES) {
    if (disposition !== 'native' || rule === null) continue;
    for (const condition of rule.conditions) {
      if (!('oneOf' in condition)) continue;
      const index = args.findIndex((argument) => argument.name === condition.argument);
      for (const value of condition.oneOf) {
        const given = args.map((_, at) => (at === index ? BigInt(value) : 0n));
        assert.equal(stub(name, ...given), 'allow', `${name} with ${condition.argument} ${value}`);
      }
    }
  }
});

test('madvise of the stub is about the own pages only', () => {
  for (const advice of [4n, 10n, 21n]) assert.equal(stub('madvise', STUB, 4096n, advice), 'allow');
  for (const advice of [9n, 12n, 13n, 24n, 25n, 100n, 101n, 102n, 103n])
    assert.equal(stub('madvise', STUB, 4096n, advice), 'trap');
});
