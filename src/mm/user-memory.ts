// Copy-in and copy-out of guest memory. What a call's arguments point to was mostly captured by the stub into the
// thread's slot; `in` finds it there by address and falls back to process_vm_readv. Results are laid down in the slot
// (or in scratch) and copied to the guest when the call is answered. Everything read is hostile: a guest thread may
// change slot and memory at any time, so each field is read once, into a local.
//
// Both directions give an arena offset (see platform/arena.ts); offsets into scratch die with the call.

import { EFAULT, ENAMETOOLONG, ENOMEM } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { allocateScratch, i32, readBytes, readU64, u8, u32 } from '../platform/arena.ts';
import {
  CAPTURE_MAX,
  H_IN,
  H_NIN,
  H_OUT,
  MAX_IN,
  MAX_OUT,
  SIGINFO_AREA,
  SLOT_PAYLOAD,
  SLOT_SIZE,
} from '../platform/layout.ts';
import { native } from '../platform/native.ts';

export const PATH_MAX = 4096;
const USER_LIMIT = 0x7ffffffff000;
const PAGE = 4096;
// Captured data fill the payload from the front; results start behind the longest capture.
const OUT_START = SLOT_PAYLOAD + CAPTURE_MAX;
/** What is longer is a buffer of mere data, which may change under the handler's hands. */
const STRUCTURE_MAX = 4096;

const NOWHERE = { hostPid: 0 };

/** The guest memory of one thread: its address space, seen through its slot where the slot has it. */
export class UserMemory {
  /** Slot index, or -1 while the thread has none. */
  slot = -1;
  /** Whose host process it is, for process_vm_readv/writev. */
  space: { readonly hostPid: number } = NOWHERE;
  /** Out copies registered in the slot for the pending answer. */
  outCount = 0;
  /** First free byte of the slot for results. */
  private outTop = OUT_START;
  /** Results that did not fit the slot: triples of address, arena offset, length; written by `flush`. */
  private readonly deferred: number[] = [];

  get hostPid(): number {
    return this.space.hostPid;
  }

  /** Forgets results of an earlier answer. */
  beginAnswer(): void {
    this.outCount = 0;
    this.outTop = OUT_START;
    // Setting the length of an array is a call into the engine, even when nothing changes.
    if (this.deferred.length > 0) this.deferred.length = 0;
  }

  /**
   * Arena offset of `length` readable bytes of user memory (8-byte aligned), or -EFAULT/-ENOMEM. Up to STRUCTURE_MAX
   * bytes are a private copy; longer ones may lie in the slot, where the guest can still change them.
   */
  in(address: UserAddress, length: number): number {
    if (length === 0) return allocateScratch(0);
    const captured = this.captured(address, length);
    if (captured < 0 || (captured > 0 && length > STRUCTURE_MAX)) return captured;
    const at = allocateScratch(length);
    if (at < 0) return at;
    if (captured > 0) {
      u8.copyWithin(at, captured, captured + length);
      return at;
    }
    const r = this.read(address, at, length);
    return r < 0 ? r : at;
  }

  /** Copies user memory to an arena offset now. 0 or -EFAULT. */
  read(address: UserAddress, at: number, length: number): number {
    if (!(address > 0 && address + length <= USER_LIMIT)) return length === 0 ? 0 : -EFAULT;
    const captured = this.captured(address, length);
    if (captured > 0) {
      u8.copyWithin(at, captured, captured + length);
      return 0;
    }
    return native.vmRead(this.hostPid, address, at, length) === length ? 0 : -EFAULT;
  }

  /** How many bytes could be read from `address` on to an arena offset: up to `length`, -EFAULT if none. */
  readSome(address: UserAddress, at: number, length: number): number {
    if (!(address > 0 && address <= USER_LIMIT)) return -EFAULT;
    const n = native.vmRead(this.hostPid, address, at, Math.min(length, USER_LIMIT - address));
    return n > 0 ? n : -EFAULT;
  }

  /** Copies arena bytes to user memory now. 0 or -EFAULT. */
  write(address: UserAddress, at: number, length: number): number {
    if (length === 0) return 0;
    if (!(address > 0 && address + length <= USER_LIMIT)) return -EFAULT;
    return native.vmWrite(this.hostPid, address, at, length) === length ? 0 : -EFAULT;
  }

  /** A NUL-terminated byte string (without the NUL), or -EFAULT, or -ENAMETOOLONG when `max` bytes hold no NUL. */
  string(address: UserAddress, max = PATH_MAX): string | number {
    const item = this.capturedItem(address);
    if (item >= 0) {
      const length = i32[item + 3];
      const offset = u32[item + 2];
      if (length < 0) {
        if (length === -ENAMETOOLONG && max > PATH_MAX) return this.farString(address, max);
        return length === -ENAMETOOLONG ? length : -EFAULT;
      }
      if (validItem(offset, length)) {
        const text = readBytes(this.slot * SLOT_SIZE + offset, Math.min(length, max));
        const nul = text.indexOf('\0');
        if (nul >= 0) return text.slice(0, nul);
      }
    }
    return this.farString(address, max);
  }

  /** Unsigned 64-bit value at a user address, or -EFAULT (values of 2^63 and above never occur as addresses). */
  word(address: UserAddress): number {
    const at = this.in(address, 8);
    return at < 0 ? at : readU64(at);
  }

  /**
   * Arena offset where the caller lays down `length` bytes for the guest; they are copied to `address` when the call
   * is answered, and a fault there turns the answer into -EFAULT. Returns -ENOMEM when there is no room.
   */
  out(address: UserAddress, length: number): number {
    const at = this.reserve(length);
    if (at >= 0) this.commit(address, at, length);
    return at;
  }

  /** Room for a result whose length is not known yet; `commit` registers what was used of it. */
  reserve(length: number): number {
    const top = this.outTop;
    if (this.slot >= 0 && top + length <= SIGINFO_AREA && this.outCount < MAX_OUT) {
      this.outTop = (top + length + 15) & ~15;
      return this.slot * SLOT_SIZE + top;
    }
    return allocateScratch(length);
  }

  /** Registers a copy of `length` reserved bytes to user memory. Length 0 registers nothing. */
  commit(address: UserAddress, at: number, length: number): void {
    if (length <= 0) return;
    const base = this.slot * SLOT_SIZE;
    if (this.slot >= 0 && at >= base && at < base + SLOT_SIZE && this.outCount < MAX_OUT) {
      const item = (base >>> 2) + H_OUT + 4 * this.outCount++;
      u32[item] = address;
      u32[item + 1] = Math.floor(address / 4294967296);
      u32[item + 2] = at - base;
      u32[item + 3] = length;
    } else {
      this.deferred.push(address, at, length);
    }
  }

  /** Writes the results that did not fit the slot. 0 or -EFAULT. */
  flush(): number {
    const list = this.deferred;
    if (list.length === 0) return 0;
    let result = 0;
    for (let i = 0; i < list.length; i += 3) {
      const r = this.write(list[i] as UserAddress, list[i + 1], list[i + 2]);
      if (r < 0) result = r;
    }
    list.length = 0;
    return result;
  }

  /** Writes all results now, also those that the stub would copy. 0 or -EFAULT. */
  flushAll(): number {
    const base = this.slot * SLOT_SIZE;
    let result = this.flush();
    for (let k = 0; k < this.outCount; k++) {
      const item = (base >>> 2) + H_OUT + 4 * k;
      const [offset, length] = [u32[item + 2], u32[item + 3]];
      if (offset + length > SLOT_SIZE) continue;
      const r = this.write(readU64(4 * item) as UserAddress, base + offset, length);
      if (r < 0) result = r;
    }
    this.outCount = 0;
    return result;
  }

  /** Arena offset of `length` bytes that are to be copied to `address` with the answer, or -1: for tracing. */
  pendingResult(address: UserAddress, length: number): number {
    const base = this.slot * SLOT_SIZE;
    for (let k = 0; k < this.outCount; k++) {
      const item = (base >>> 2) + H_OUT + 4 * k;
      const skip = address - (u32[item] + u32[item + 1] * 4294967296);
      if (skip >= 0 && skip + length <= u32[item + 3]) return base + u32[item + 2] + skip;
    }
    for (let i = 0; i < this.deferred.length; i += 3) {
      const skip = address - this.deferred[i];
      if (skip >= 0 && skip + length <= this.deferred[i + 2]) return this.deferred[i + 1] + skip;
    }
    return -1;
  }

  /** u32 index of the captured item that starts at `address`, or -1. */
  private capturedItem(address: UserAddress): number {
    if (this.slot < 0) return -1;
    const header = (this.slot * SLOT_SIZE) >>> 2;
    const count = Math.min(u32[header + H_NIN], MAX_IN);
    for (let k = 0; k < count; k++) {
      const item = header + H_IN + 4 * k;
      if (u32[item] + u32[item + 1] * 4294967296 === address) return item;
    }
    return -1;
  }

  /** Arena offset of captured bytes, -EFAULT if their capture faulted, 0 if they were not captured. */
  private captured(address: UserAddress, length: number): number {
    if (this.slot < 0) return 0;
    const base = this.slot * SLOT_SIZE;
    const header = base >>> 2;
    const count = Math.min(u32[header + H_NIN], MAX_IN);
    for (let k = 0; k < count; k++) {
      const item = header + H_IN + 4 * k;
      const start = u32[item] + u32[item + 1] * 4294967296;
      const offset = u32[item + 2];
      const size = i32[item + 3];
      if (size < 0) {
        if (start === address) return -EFAULT;
        continue;
      }
      const skip = address - start;
      if (skip < 0 || (skip & 7) !== 0 || skip + length > size || !validItem(offset, size)) continue;
      return base + offset + skip;
    }
    return 0;
  }

  /** A string read page by page, so that an unmapped page behind it does no harm. */
  private farString(address: UserAddress, max: number): string | number {
    let text = '';
    let from = address as number;
    while (text.length < max) {
      const length = Math.min(PAGE - (from % PAGE), max - text.length);
      const at = allocateScratch(length);
      if (at < 0) return -ENOMEM;
      const n = this.readSome(from as UserAddress, at, length);
      if (n < 0) return n;
      const nul = u8.subarray(at, at + n).indexOf(0);
      if (nul >= 0) return text + readBytes(at, nul);
      text += readBytes(at, n);
      from += n;
    }
    return -ENAMETOOLONG;
  }
}

/** Whether a captured item, as the guest wrote it, lies in the payload and is aligned. */
function validItem(offset: number, size: number): boolean {
  return offset >= SLOT_PAYLOAD && (offset & 7) === 0 && offset + size <= SLOT_SIZE;
}
