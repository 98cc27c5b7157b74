// Dispatch: from a ring to a handler and from its result to the answer. Arguments are decoded by the table's types
// straight from the slot into the task's argument array; a retried call finds them there.

import { checkHandlers, DECODE, TABLE } from '../../syscall-tables/table.ts';
import { DECODE_NONE, DECODE_S32, DECODE_S64, DECODE_U32 } from '../../syscall-tables/types.ts';
import { EINTR, EIO, ENOSYS, EPERM } from '../abi/errno.ts';
import type { Fd } from '../base/brands.ts';
import { complete, isRestartCode } from '../kernel/answer.ts';
import { ANSWERED, ASKED, cancelWaits, WAIT } from '../kernel/block.ts';
import { dropHeldFile } from '../kernel/held-file.ts';
import { kernel } from '../kernel/kernel.ts';
import { callArrived, setTracedCalls } from '../kernel/ptrace/calls.ts';
import { continueTraced } from '../kernel/ptrace/stops.ts';
import { captureCall, DATA_ARGS_WORD, enforceSeccomp, PASSES, seccompData } from '../kernel/seccomp.ts';
import { BLOCKED, RESUMED, SERVING, type Task } from '../kernel/task.ts';
import { yieldTurn } from '../kernel/turns.ts';
import { noteTrap } from '../mm/call-sites.ts';
import { clearOrders } from '../platform/answer.ts';
import { i32, resetScratch, u32 } from '../platform/arena.ts';
import { FLAG_PATCHED, H_ARGS, H_FLAGS, H_NR, H_RIP, H_RSP, SLOT_SIZE } from '../platform/layout.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { HANDLERS } from './index.ts';
import { callOnHost } from './traced.ts';

type Handler = (task: Task, ...args: number[]) => number;

/** What a tracer wants to know; null when nobody traces. */
export interface CallTracer {
  enter(task: Task): void;
  /** `result` is the call's; undefined when it is not known here (exit, exec, clone). */
  leave(task: Task, result: number | undefined): void;
}

const handlers: (Handler | null)[] = new Array(TABLE.length).fill(null);
/** By number, whether the first argument is a descriptor. */
const takesFd = new Uint8Array(TABLE.length);
const seccompDataSigned = new Int32Array(seccompData.buffer);
let tracer: CallTracer | null = null;
let log: (line: string) => void = () => {};
let unimplemented: (name: string) => void = () => {};

/** Binds numbers to handlers. Throws when table and handlers do not agree: that fails the build's own test. */
export function bindHandlers(): void {
  checkHandlers(HANDLERS);
  setTracedCalls(serve);
  for (const entry of TABLE) {
    if (!entry || !(entry.name in HANDLERS)) continue;
    handlers[entry.nr] = HANDLERS[entry.name] as Handler;
    takesFd[entry.nr] = Number(entry.args[0]?.kind === 'fd');
  }
}

export function setTracer(value: CallTracer | null): void {
  tracer = value;
}

/** Where bugs and missing calls are reported. */
export function setDispatchLog(onBug: (line: string) => void, onMissing: (name: string) => void): void {
  log = onBug;
  unimplemented = onMissing;
}

/** Serves the call that waits in the task's slot. */
export function dispatchCall(task: Task): void {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  const nr = u32[header + H_NR];
  task.state = SERVING;
  task.nr = nr;
  task.rip = u32[header + H_RIP] + u32[header + H_RIP + 1] * 4294967296;
  task.rsp = u32[header + H_RSP] + u32[header + H_RSP + 1] * 4294967296;
  task.trappedAt = u32[header + H_FLAGS] & FLAG_PATCHED ? 0 : task.rip;
  if (task.tracing !== null && callArrived(task, task.tracing, task.trappedAt === 0)) return;
  serve(task);
}

/** Serves the call `task.nr`, whose arguments stand in the slot: it has come in, or its tracer has let it go. */
function serve(task: Task): void {
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  const { nr } = task;
  task.resumed = false;
  task.progress = 0;
  task.pendingObject = null;
  task.directRead = 0;
  task.deadline = Number.POSITIVE_INFINITY;
  task.callHasFd = nr < takesFd.length && takesFd[nr] === 1;
  if (task.heldFile !== null) dropHeldFile(task);
  if (nr < kernel.callCounts.length) kernel.callCounts[nr]++;
  if (task.trappedAt !== 0 && ++kernel.traps) noteTrap(task.mm.sites, task.rip, nr);
  if (task.seccomp === null) {
    decodeArguments(task, u32, i32, header + H_ARGS, nr);
  } else {
    captureCall(nr, task.rip, header + H_ARGS);
    decodeArguments(task, seccompData, seccompDataSigned, DATA_ARGS_WORD, nr);
  }
  if (tracer) tracer.enter(task);
  run(task);
}

/** Tries a blocked call again: something it waits for has happened, or a signal has come. Or a tracer lets a task go on. */
export function retryCall(task: Task): void {
  task.queued = false;
  if (task.state === RESUMED && task.tracing !== null) {
    resetScratch();
    return continueTraced(task, task.tracing);
  }
  if (task.state !== BLOCKED) return;
  cancelWaits(task);
  task.state = SERVING;
  task.resumed = true;
  run(task);
}

/** The stub has done what the handler ordered: the call goes on. */
export function continueCall(task: Task): void {
  task.resumed = true;
  run(task);
}

function run(task: Task): void {
  resetScratch();
  clearOrders(task.memory.slot);
  task.memory.beginAnswer();
  kernel.current = task;
  let result = task.heldFile === null ? call(task) : callWith(task, task.heldFile);
  kernel.current = null;
  // What the call needs of a filesystem takes more than a turn: it is tried again.
  if (result === WAIT && task.state === SERVING && yieldTurn(task, 0) !== WAIT) result = -EINTR;
  if (result === ASKED || result === WAIT) return;
  // Should no handler run after all, a call that was interrupted is tried again.
  if (task.heldFile !== null && !isRestartCode(result)) dropHeldFile(task);
  if (tracer) tracer.leave(task, result === ANSWERED ? undefined : result);
  if (result !== ANSWERED) complete(task, result);
}

function call(task: Task): number {
  if (task.seccomp !== null && !task.resumed) {
    const r = enforceSeccomp(task, task.seccomp);
    if (r !== PASSES) return r;
  }
  if (task.tracing !== null && !task.resumed) {
    const r = callOnHost(task, task.tracing);
    if (r !== 0) return r;
  }
  const handler = task.nr < handlers.length ? handlers[task.nr] : null;
  if (handler === null) return missing(task.nr);
  const a = task.args;
  try {
    return handler(task, a[0], a[1], a[2], a[3], a[4], a[5]);
  } catch (error) {
    // A bug: this call fails, the sandbox lives on.
    const name = TABLE[task.nr]?.name ?? task.nr;
    log(`bug in ${name}: ${error instanceof Error ? error.stack : error}`);
    cancelWaits(task);
    return -EIO;
  }
}

/** Tries a call again with the file it began with, which its descriptor no longer is. */
function callWith(task: Task, held: OpenFile): number {
  const { files } = task;
  const fd = task.args[0] as Fd;
  const shown = files.show(fd, held);
  const result = call(task);
  files.show(fd, shown);
  return result;
}

function missing(nr: number): number {
  const entry = TABLE[nr];
  if (entry?.disposition === 'eperm') return -EPERM;
  unimplemented(entry?.name ?? `system call ${nr}`);
  return -ENOSYS;
}

/** Arguments lie as 64-bit values from word `from` on; signed and unsigned view of the same memory. */
function decodeArguments(task: Task, unsigned: Uint32Array, signed: Int32Array, from: number, nr: number): void {
  const { args } = task;
  const kinds = nr < TABLE.length ? nr * 6 : -1;
  for (let i = 0; i < 6; i++) {
    const word = from + 2 * i;
    const kind = kinds < 0 ? DECODE_NONE : DECODE[kinds + i];
    if (kind === DECODE_S32) args[i] = signed[word];
    else if (kind === DECODE_U32) args[i] = unsigned[word];
    else if (kind === DECODE_S64) args[i] = unsigned[word] + signed[word + 1] * 4294967296;
    else if (kind === DECODE_NONE) args[i] = 0;
    else args[i] = unsigned[word] + unsigned[word + 1] * 4294967296;
  }
}
