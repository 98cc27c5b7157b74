// What handlers of memory calls share: which ranges a program may name, and having the thread's own stub make a call on
// the host's memory map, which is the truth about what is mapped.

import { order } from '../platform/answer.ts';
import { readS64 } from '../platform/arena.ts';
import {
  ACT_ASK_AGAIN,
  ACT_ORDER_RETURN,
  ORDER_CALL,
  ORDER_SYSCALL,
  SLOT_ORDERS,
  SLOT_SIZE,
  STUB_END,
  STUB_START,
} from '../platform/layout.ts';
import { complete, sendUnsignalled } from './answer.ts';
import { ANSWERED, ASKED } from './block.ts';
import type { Task } from './task.ts';

export const PAGE_SIZE = 4096;
export const USER_LIMIT = 0x7ffffffff000;

/** Whether a range touches the stub's region or leaves the address space. */
export function outOfBounds(address: number, length: number): boolean {
  if (!(address >= 0 && length >= 0 && address + length <= USER_LIMIT)) return true;
  return address < STUB_END && address + length > STUB_START;
}

/** Has the thread's stub make the call on the host; its result is the call's. */
export function callHost(task: Task, nr: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  order(task.memory.slot, ORDER_SYSCALL, nr, a, b, c, d, e, f);
  complete(task, 0, ACT_ORDER_RETURN);
  return ANSWERED;
}

/**
 * Has the thread's stub make a call on the host in the midst of the handler's work: the handler returns what this
 * answers and runs again, `task.resumed` set, and finds the result by `hostAnswer`.
 */
export function askHost(task: Task, nr: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  order(task.memory.slot, ORDER_SYSCALL, nr, a, b, c, d, e, f);
  task.asked = true;
  // The program's rax is set for good by the answer to come.
  sendUnsignalled(task, 0, ACT_ORDER_RETURN | ACT_ASK_AGAIN);
  return ASKED;
}

/** The same for a call that waits: an interrupt ends it with EINTR. */
export function waitOnHost(task: Task, nr: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  order(task.memory.slot, ORDER_CALL, nr, a, b, c, d, e, f);
  task.asked = true;
  sendUnsignalled(task, 0, ACT_ORDER_RETURN | ACT_ASK_AGAIN);
  return ASKED;
}

/** What the call ordered by `askHost` returned, or -errno, by the word of the guest's process: anything may stand there. */
export function hostAnswer(task: Task): number {
  return readS64(task.memory.slot * SLOT_SIZE + SLOT_ORDERS);
}
