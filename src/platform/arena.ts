// The arena: one array buffer over everything the kernel moves bytes through. The first part is the slots, each a
// memfd shared with one guest process; behind them lies private scratch memory that no guest can see. All I/O inside
// the kernel names its bytes by arena offset, so that no view is made and nothing is allocated on the way of a call.

import { ENOMEM } from '../abi/errno.ts';
import { MAX_SLOTS, SLOT_SIZE } from './layout.ts';

export const SCRATCH = MAX_SLOTS * SLOT_SIZE;
export const SCRATCH_SIZE = 16 << 20;
/** Longest buffer that `allocateScratch` is asked for by read- and write-like calls; longer ones go in pieces. */
export const IO_CHUNK = 1 << 20;

/** Node's byte-string accessors, which its type declarations leave out: they read and write without a view. */
export interface ByteBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number): number;
}

export let u8: Uint8Array = new Uint8Array(0);
export let u16: Uint16Array = new Uint16Array(0);
export let u32: Uint32Array = new Uint32Array(0);
export let i32: Int32Array = new Int32Array(0);
export let buffer = Buffer.alloc(0) as ByteBuffer;

/** Binds the views to the addon's array buffer. Called once, at boot. */
export function bindArena(memory: ArrayBuffer): void {
  u8 = new Uint8Array(memory);
  u16 = new Uint16Array(memory);
  u32 = new Uint32Array(memory);
  i32 = new Int32Array(memory);
  buffer = Buffer.from(memory) as Buffer as ByteBuffer;
}

let scratchTop = SCRATCH;

/** Bytes of private scratch (16-byte aligned) that live until the next call is dispatched, or -ENOMEM. */
export function allocateScratch(length: number): number {
  const at = scratchTop;
  const end = at + ((length + 15) & ~15);
  if (!(length >= 0) || end > SCRATCH + SCRATCH_SIZE) return -ENOMEM;
  scratchTop = end;
  return at;
}

export function resetScratch(): void {
  scratchTop = SCRATCH;
}

/** Position of the scratch allocator, for code that allocates in a loop and gives back with `releaseScratch`. */
export function markScratch(): number {
  return scratchTop;
}

export function releaseScratch(mark: number): void {
  scratchTop = mark;
}

/** Unsigned 64-bit value at an 8-byte-aligned (at least 4) arena offset; exact below 2^53. */
export function readU64(at: number): number {
  const i = at >>> 2;
  return u32[i] + u32[i + 1] * 4294967296;
}

/** Signed 64-bit value at a 4-byte-aligned arena offset; exact within ±2^53. */
export function readS64(at: number): number {
  const i = at >>> 2;
  return u32[i] + i32[i + 1] * 4294967296;
}

/** Stores an integer within ±2^53 as 64 bits (two's complement). */
export function writeU64(at: number, value: number): void {
  const i = at >>> 2;
  u32[i] = value;
  i32[i + 1] = value >= 0 && value < 4294967296 ? 0 : Math.floor(value / 4294967296);
}

/** Bytes of the arena as a byte string (one character a byte). */
export function readBytes(at: number, length: number): string {
  return buffer.latin1Slice(at, at + length);
}

/** Writes a byte string at an arena offset; returns its length. */
export function writeBytes(at: number, text: string): number {
  return buffer.latin1Write(text, at);
}
