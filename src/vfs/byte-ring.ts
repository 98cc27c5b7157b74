// A byte queue for pipes and stream sockets: a ring of a power of two bytes, made when the first byte comes and given
// back to a pool when the last one goes, so that idle pipes cost nothing and busy ones allocate nothing. Bytes come
// from and go to the arena by offset. Only bytes that were written can be read, so pooled rings need no wiping.

import { buffer, u8 } from '../platform/arena.ts';

const SMALLEST = 4096;
// Up to this many bytes a loop beats the call into memmove.
const LOOP_MAX = 16;
const POOL_BYTES = 4 << 20;

const pools: Buffer[][] = [];
let pooledBytes = 0;
const NONE = Buffer.alloc(0);

/** Bytes of memory that all rings take. */
let inUse = 0;

export function ringMemory(): number {
  return inUse;
}

function take(size: number): Buffer {
  const ring = pools[31 - Math.clz32(size)]?.pop();
  if (!ring) return Buffer.allocUnsafeSlow(size);
  pooledBytes -= size;
  return ring;
}

function giveBack(ring: Buffer): void {
  if (ring.length === 0 || pooledBytes + ring.length > POOL_BYTES) return;
  const order = 31 - Math.clz32(ring.length);
  pools[order] ??= [];
  pools[order].push(ring);
  pooledBytes += ring.length;
}

export class ByteRing {
  /** Most bytes it will hold. */
  capacity: number;
  /** Bytes held. */
  length = 0;
  private data: Buffer = NONE;
  private head = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get free(): number {
    return this.capacity - this.length;
  }

  /** Appends `length` bytes from arena offset `at`; the caller has checked `free`. */
  write(at: number, length: number): void {
    if (length <= 0) return;
    if (this.length + length > this.data.length) this.grow(this.length + length);
    const { data } = this;
    const tail = (this.head + this.length) & (data.length - 1);
    const first = Math.min(length, data.length - tail);
    copyIn(data, tail, at, first);
    if (first < length) copyIn(data, 0, at + first, length - first);
    this.length += length;
  }

  /** Moves `length` bytes (no more than it holds) to arena offset `at`. */
  read(at: number, length: number): void {
    this.peek(at, length, 0);
    this.discard(length);
  }

  /** Copies `length` bytes from `skip` bytes behind the front on to arena offset `at`; they stay in the ring. */
  peek(at: number, length: number, skip: number): void {
    if (length <= 0) return;
    const { data } = this;
    const from = (this.head + skip) & (data.length - 1);
    const first = Math.min(length, data.length - from);
    copyOut(data, from, at, first);
    if (first < length) copyOut(data, 0, at + first, length - first);
  }

  /** Drops `length` bytes from the front. */
  discard(length: number): void {
    this.length -= length;
    if (this.length <= 0) this.clear();
    else this.head = (this.head + length) & (this.data.length - 1);
  }

  /** Drops everything and gives the memory back. */
  clear(): void {
    this.length = 0;
    this.head = 0;
    inUse -= this.data.length;
    if (this.data !== NONE) giveBack(this.data);
    this.data = NONE;
  }

  private grow(needed: number): void {
    const larger = take(needed <= SMALLEST ? SMALLEST : 1 << (32 - Math.clz32(needed - 1)));
    const { data, head, length } = this;
    const first = Math.min(length, data.length - head);
    data.copy(larger, 0, head, head + first);
    if (first < length) data.copy(larger, first, 0, length - first);
    inUse += larger.length - data.length;
    giveBack(data);
    this.data = larger;
    this.head = 0;
  }
}

function copyIn(ring: Buffer, to: number, at: number, length: number): void {
  if (length > LOOP_MAX) {
    buffer.copy(ring, to, at, at + length);
    return;
  }
  const bytes = u8;
  for (let i = 0; i < length; i++) ring[to + i] = bytes[at + i];
}

function copyOut(ring: Buffer, from: number, at: number, length: number): void {
  if (length > LOOP_MAX) {
    ring.copy(buffer, at, from, from + length);
    return;
  }
  const bytes = u8;
  for (let i = 0; i < length; i++) bytes[at + i] = ring[from + i];
}
