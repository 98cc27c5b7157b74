// Calls of threads that are traced at their calls (ptrace(2)): also those come in that the host would serve by the
// guest's filter. The thread's stub then makes them, so that the tracer sees their beginning and their end.

import { guestFilter } from '../../syscall-tables/filter.ts';
import { SECCOMP_RET_ALLOW } from '../abi/seccomp.ts';
import { complete, sendUnsignalled } from '../kernel/answer.ts';
import { ANSWERED } from '../kernel/block.ts';
import { needsEveryCall, type Tracing } from '../kernel/ptrace/tracing.ts';
import { captureCall, seccompData } from '../kernel/seccomp.ts';
import { runSeccompProgram, type SeccompProgram } from '../kernel/seccomp-program.ts';
import type { Task } from '../kernel/task.ts';
import { order } from '../platform/answer.ts';
import { u32 } from '../platform/arena.ts';
import {
  ACT_ORDER_RETURN,
  ACT_RESTART,
  H_ARGS,
  ORDER_CALL,
  ORDER_SYSCALL,
  SLOT_ORDERS,
  SLOT_SIZE,
} from '../platform/layout.ts';

const SYS_FUTEX = 202;
const ARGUMENT_WORDS = 12;

let filter: SeccompProgram | null = null;

function filterProgram(): SeccompProgram {
  const instructions = guestFilter();
  return {
    length: instructions.length,
    codes: Uint16Array.from(instructions, ({ code }) => code),
    jumpsTrue: Uint8Array.from(instructions, ({ jt }) => jt),
    jumpsFalse: Uint8Array.from(instructions, ({ jf }) => jf),
    constants: Uint32Array.from(instructions, ({ k }) => k),
  };
}

/** ANSWERED if the host serves the pending call, 0 if it is the sentry's. */
export function callOnHost(task: Task, tracing: Tracing): number {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  captureCall(task.nr, task.rip, header + H_ARGS);
  filter ??= filterProgram();
  if (runSeccompProgram(filter, seccompData) >>> 0 !== SECCOMP_RET_ALLOW) return 0;
  if (!needsEveryCall(tracing)) {
    // It came in all the same, because it was on its way: it is made where it stands.
    sendUnsignalled(task, 0, ACT_RESTART);
    return ANSWERED;
  }
  const { slot } = task.memory;
  const index = order(slot, task.nr === SYS_FUTEX ? ORDER_CALL : ORDER_SYSCALL, task.nr);
  const words = (slot * SLOT_SIZE + SLOT_ORDERS + 64 * index) >>> 2;
  for (let i = 0; i < ARGUMENT_WORDS; i++) u32[words + 4 + i] = u32[header + H_ARGS + i];
  tracing.onHost = task.nr === SYS_FUTEX;
  complete(task, 0, ACT_ORDER_RETURN);
  return ANSWERED;
}
