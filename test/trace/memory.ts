// A guest's memory for tests: bytes at addresses that the test lays out.

import type { GuestMemory } from '../../src/trace/guest-memory.ts';

/** Memory from BASE on; everything else cannot be read. */
export class TestMemory implements GuestMemory {
  static readonly BASE = 0x10000;
  readonly #bytes = new Uint8Array(0x10000);
  readonly #view = new DataView(this.#bytes.buffer);
  #next = 0;

  readMemory(address: number, length: number): Uint8Array | null {
    const at = address - TestMemory.BASE;
    return at < 0 || length < 0 || at + length > this.#bytes.length ? null : this.#bytes.slice(at, at + length);
  }

  readString(address: number): string | null {
    const at = address - TestMemory.BASE;
    if (at < 0 || at >= this.#bytes.length) return null;
    return Buffer.from(this.#bytes.subarray(at, this.#bytes.indexOf(0, at))).toString('latin1');
  }

  /** Puts bytes (of a byte string, or given) at a fresh address, followed by a NUL. */
  put(data: string | Uint8Array): number {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    const at = this.#next;
    this.#bytes.set(bytes, at);
    this.#next = (at + bytes.length + 16) & ~15;
    return TestMemory.BASE + at;
  }

  /** Puts 64-bit words at a fresh address. */
  words(...values: readonly number[]): number {
    const address = this.put(new Uint8Array(values.length * 8));
    for (const [index, value] of values.entries()) this.setWord(address + 8 * index, value);
    return address;
  }

  /** Puts 32-bit words at a fresh address. */
  halves(...values: readonly number[]): number {
    const address = this.put(new Uint8Array(values.length * 4));
    for (const [index, value] of values.entries())
      this.#view.setUint32(address - TestMemory.BASE + 4 * index, value >>> 0, true);
    return address;
  }

  setWord(address: number, value: number): void {
    this.#view.setBigInt64(address - TestMemory.BASE, BigInt.asIntN(64, BigInt(value)), true);
  }

  setHalf(address: number, value: number): void {
    this.#view.setUint32(address - TestMemory.BASE, value >>> 0, true);
  }

  setShort(address: number, value: number): void {
    this.#view.setUint16(address - TestMemory.BASE, value, true);
  }
}
