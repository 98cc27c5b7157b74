// Answers: what the sentry writes into a slot before it lets the thread go on. An answer is a set of flags for the
// registers (ACT_*), a return value, copies to user memory (mm/user-memory.ts registers them) and a list of orders
// that the stub carries out one after the other. State is per slot: answering one call may answer others on the way.

import { i32, u32, writeU64 } from './arena.ts';
import { H_ACT, H_NORD, H_NOUT, H_RET, H_SOLO, MAX_ORDERS, MAX_SLOTS, SLOT_ORDERS, SLOT_SIZE } from './layout.ts';
import { native } from './native.ts';

const orderCounts = new Int32Array(MAX_SLOTS);
/** The slot whose answer goes out together with the next wait, or -1. */
let unsent = -1;

export function clearOrders(slot: number): void {
  orderCounts[slot] = 0;
}

export function orderCount(slot: number): number {
  return orderCounts[slot];
}

/** Appends an order; arguments are integers within ±2^53. Returns its index. */
export function order(slot: number, opcode: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0): number {
  const index = orderCounts[slot]++;
  if (index >= MAX_ORDERS) throw new Error(`more than ${MAX_ORDERS} orders in one answer`);
  const at = slot * SLOT_SIZE + SLOT_ORDERS + 64 * index;
  writeU64(at, opcode);
  writeU64(at + 8, a);
  writeU64(at + 16, b);
  writeU64(at + 24, c);
  writeU64(at + 32, d);
  writeU64(at + 40, e);
  writeU64(at + 48, f);
  writeU64(at + 56, g);
  return index;
}

/** Writes the header of an answer. `outs` copies were registered in the slot. */
export function writeAnswer(slot: number, act: number, result: number, outs: number, solo: boolean): void {
  const header = (slot * SLOT_SIZE) >>> 2;
  u32[header + H_ACT] = act;
  u32[header + H_NOUT] = outs;
  u32[header + H_RET] = result;
  i32[header + H_RET + 1] = Math.floor(result / 4294967296);
  u32[header + H_NORD] = orderCounts[slot];
  u32[header + H_SOLO] = solo ? 1 : 0;
}

/** Lets the thread of a slot go on. The last answer of a turn is sent by the native wait itself (one call less). */
export function sendAnswer(slot: number): void {
  if (unsent >= 0) native.reply(unsent, false);
  unsent = slot;
}

/**
 * Lets the thread of a slot go on to its end. To take a whole process apart takes the host's kernel a while, and nobody
 * waits for that; for the end of a single thread somebody may (pthread_join(3)).
 */
export function sendExit(slot: number, wholeProcess: boolean): void {
  flushAnswers();
  native.reply(slot, wholeProcess);
}

/** Sends now what is still unsent: before anything that could take long. */
export function flushAnswers(): void {
  if (unsent >= 0) native.reply(unsent, false);
  unsent = -1;
}

/** The unsent slot for the native wait to send, or -1. */
export function takeUnsent(): number {
  const slot = unsent;
  unsent = -1;
  return slot;
}
