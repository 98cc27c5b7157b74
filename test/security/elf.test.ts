// The ELF reader with mutated files: what comes out is an errno, or an image whose every number is one that the loader
// can map without reaching beyond the program's part of the address space. CLOISTER_SEED repeats a run.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ElfImage, MAX_SEGMENTS, parseElf } from '../../src/loader/elf.ts';
import { choosePlacement, orderImage, orderStack } from '../../src/loader/layout.ts';
import { clearOrders, orderCount } from '../../src/platform/answer.ts';
import { readU64, resetScratch, u8 } from '../../src/platform/arena.ts';
import { MAX_ORDERS, SLOT_ORDERS, SLOT_SIZE } from '../../src/platform/layout.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { setUp } from '../support/fake-guest.ts';

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const SLOT = 5;
const SYS_MMAP = 9;
const SYS_CLOSE = 3;
const ORDER_SYSCALL = 1;
const STACK_LOW = 0x7de000000000;
const ROUNDS = 60_000;
/** At the least: a long run goes on for so many seconds. */
const seconds = Number(process.env.CLOISTER_FUZZ_SECONDS ?? 0);

const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 1_000_000);
let state = seed;
function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  let x = state >>> 0;
  x ^= x >>> 15;
  x = Math.imul(x, 0x2c1b3c6d) >>> 0;
  x ^= x >>> 12;
  return Math.floor(((x >>> 0) / 2 ** 32) * limit);
}

const BOUNDARIES = [
  0n,
  1n,
  2n,
  0xfffn,
  0x1000n,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7cffffffffffn,
  0x7d0000000000n,
  0x7e0000000000n,
  0x7e0010000000n,
  0x7fffffffffffn,
  0x800000000000n,
  0x1fffffffffffffn,
  0x20000000000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xfffffffffffff000n,
  0xffffffffffffffffn,
];

/** A file of bytes: all that the reader asks of an open file. */
function fileOf(bytes: Buffer): OpenFile {
  return {
    read(at: number, length: number, offset: number): number {
      if (!(offset >= 0 && offset <= bytes.length)) return 0;
      const part = bytes.subarray(offset, offset + length);
      u8.set(part, at);
      return part.length;
    },
  } as unknown as OpenFile;
}

function mutate(original: Buffer): Buffer {
  const bytes = Buffer.from(original);
  const headers = EHDR_SIZE + PHDR_SIZE * original.readUInt16LE(56);
  for (let i = 1 + below(3); i > 0; i--) {
    const phdr = EHDR_SIZE + PHDR_SIZE * below(original.readUInt16LE(56));
    switch (below(6)) {
      case 0:
        bytes[below(headers)] ^= 1 << below(8);
        break;
      case 1:
        bytes.writeBigUInt64LE(BOUNDARIES[below(BOUNDARIES.length)] as bigint, phdr + 8 * (1 + below(6)));
        break;
      case 2:
        bytes.writeBigUInt64LE(BOUNDARIES[below(BOUNDARIES.length)] as bigint, 24 + 8 * below(3));
        break;
      case 3:
        bytes.writeUInt16LE([0, 1, 2, 27, 28, 29, 40, 512, 513, 0xffff][below(10)] as number, 52 + 2 * below(6));
        break;
      case 4:
        bytes.writeUInt32LE(1, phdr);
        break;
      case 5:
        return bytes.subarray(0, below(2) ? below(headers + 8) : below(bytes.length));
    }
  }
  return bytes;
}

function assertSound(image: ElfImage, label: string): void {
  const random = new Uint32Array(8).map(() => below(2) * 0xffffffff);
  const placement = choosePlacement(random, image);
  assert.ok(image.segments.length > 0 && image.segments.length <= MAX_SEGMENTS, label);
  for (const base of [placement.programBase, ...(image.fixed ? [] : [placement.interpreterBase - image.low])]) {
    clearOrders(SLOT);
    orderImage(SLOT, image, base, 11);
    // As an interpreter once more: the most that one answer must hold.
    if (base === placement.programBase) orderImage(SLOT, image, base, 12);
    orderStack(SLOT, placement.stackTop, 64 << 20, false);
    assert.ok(orderCount(SLOT) < MAX_ORDERS - 8, `${label}: ${orderCount(SLOT)} orders`);
    for (let i = 0; i < orderCount(SLOT) - 1; i++) {
      const at = SLOT * SLOT_SIZE + SLOT_ORDERS + 64 * i;
      const isCall = readU64(at) === ORDER_SYSCALL;
      if (isCall) assert.ok(readU64(at + 8) === SYS_MMAP || readU64(at + 8) === SYS_CLOSE, label);
      const [start, length] = isCall ? [readU64(at + 16), readU64(at + 24)] : [readU64(at + 8), readU64(at + 16)];
      assert.ok(start >= 0x10000 && length >= 0, `${label}: ${start.toString(16)}+${length.toString(16)}`);
      assert.ok(start + length <= STACK_LOW, `${label}: ${start.toString(16)}+${length.toString(16)}`);
      if (isCall) assert.ok(start % 4096 === 0 && length % 4096 === 0 && length > 0, label);
    }
  }
}

test(`mutated headers (seed ${seed})`, () => {
  setUp();
  const originals = ['/bin/true', '/lib64/ld-linux-x86-64.so.2', process.execPath].map((path) =>
    Buffer.from(readFileSync(path).subarray(0, 16384)),
  );
  let images = 0;
  const end = Date.now() + 1000 * seconds;
  for (let round = 0; round < ROUNDS || Date.now() < end; round++) {
    const before = state;
    const bytes = mutate(originals[below(originals.length)] as Buffer);
    resetScratch();
    const image = parseElf(fileOf(bytes));
    const label = `round ${round}, state ${before}`;
    if (typeof image === 'number') {
      assert.ok(Number.isInteger(image) && image < 0 && image > -200, `${label}: ${image}`);
      continue;
    }
    images++;
    assertSound(image, label);
  }
  assert.ok(images > ROUNDS / 100, `only ${images} of the mutants were programs`);
});

test('as many segments as there may be, in program and interpreter, fit one answer', () => {
  setUp();
  for (const count of [MAX_SEGMENTS, MAX_SEGMENTS + 1]) {
    const bytes = Buffer.alloc(EHDR_SIZE + PHDR_SIZE * count);
    readFileSync('/bin/true').copy(bytes, 0, 0, EHDR_SIZE);
    bytes.writeUInt16LE(count, 56);
    for (let i = 0; i < count; i++) {
      const at = EHDR_SIZE + PHDR_SIZE * i;
      bytes.writeUInt32LE(1, at);
      bytes.writeUInt32LE(7, at + 4);
      bytes.writeBigUInt64LE(BigInt(i * 0x10000), at + 16);
      bytes.writeBigUInt64LE(100n, at + 32);
      bytes.writeBigUInt64LE(0x3000n, at + 40);
    }
    bytes.writeBigUInt64LE(64n, 32);
    resetScratch();
    const image = parseElf(fileOf(bytes));
    if (count > MAX_SEGMENTS) assert.equal(image, -8);
    else assertSound(image as ElfImage, 'the most segments');
  }
});
