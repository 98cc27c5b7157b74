// A small byte queue of fixed size for terminals, filled a byte or an arena range at a time.

import { buffer } from '../../platform/arena.ts';

export class ByteQueue {
  readonly data: Buffer;
  private head = 0;
  length = 0;

  /** `size` is a power of two. */
  constructor(size: number) {
    this.data = Buffer.alloc(size);
  }

  get room(): number {
    return this.data.length - this.length;
  }

  /** Appends one byte; the caller has checked the room. */
  put(byte: number): void {
    this.data[(this.head + this.length++) & (this.data.length - 1)] = byte;
  }

  /** Appends bytes from an arena offset; the caller has checked the room. */
  append(at: number, length: number): void {
    const { data } = this;
    const tail = (this.head + this.length) & (data.length - 1);
    const first = Math.min(length, data.length - tail);
    buffer.copy(data, tail, at, at + first);
    if (first < length) buffer.copy(data, 0, at + first, at + length);
    this.length += length;
  }

  /** Copies bytes from the front to an arena offset, as many as there are up to `length`. They stay. */
  peek(at: number, length: number): number {
    const n = Math.min(length, this.length);
    const first = Math.min(n, this.data.length - this.head);
    this.data.copy(buffer, at, this.head, this.head + first);
    if (first < n) this.data.copy(buffer, at + first, 0, n - first);
    return n;
  }

  /** Place and length of the bytes at the front that lie in one piece. */
  get front(): number {
    return this.head;
  }
  get piece(): number {
    return Math.min(this.length, this.data.length - this.head);
  }

  /** Drops bytes from the front. */
  discard(length: number): void {
    this.head = (this.head + length) & (this.data.length - 1);
    this.length -= length;
  }

  /** Drops what is behind the first `keep` bytes. */
  truncate(keep: number): void {
    this.length = Math.min(this.length, keep);
  }
}
