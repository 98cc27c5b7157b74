// Calls of a traced thread: the stop at their beginning (PTRACE_SYSCALL, PTRACE_SYSEMU, a filter's SECCOMP_RET_TRACE), and how
// they go on as the tracer has left them in the registers.

import { ENOSYS } from '../../abi/errno.ts';
import {
  PTRACE_EVENT_SECCOMP,
  PTRACE_EVENTMSG_SYSCALL_ENTRY,
  PTRACE_SYSCALL,
  REG_ORIG_RAX,
  REG_R8,
  REG_R9,
  REG_R10,
  REG_RAX,
  REG_RDI,
  REG_RDX,
  REG_RSI,
} from '../../abi/ptrace.ts';
import { SI_KERNEL, SIGTRAP } from '../../abi/signal.ts';
import { u32 } from '../../platform/arena.ts';
import { ACT_RESTART, H_ARGS, H_NIN, H_NR, SLOT_SIZE } from '../../platform/layout.ts';
import { beginAnswer, sendUnsignalled } from '../answer.ts';
import { signalInfo } from '../signal-state.ts';
import { sendSignalToTask } from '../signals.ts';
import { DEAD, type Task } from '../task.ts';
import { load, notify, stopForEvent } from './stop.ts';
import { advance, retry } from './stops.ts';
import {
  callFlag,
  goesInSteps,
  PHASE_EVENT,
  PHASE_IDLE,
  STOP_ENTER,
  STOP_SECCOMP,
  stopsAtCalls,
  type Tracing,
} from './tracing.ts';

const SYS_RT_SIGRETURN = 15;

/** How a call is served once its entry has been reported: the dispatcher's part, bound at boot. */
let serveCall: (task: Task) => void = () => {};
export function setTracedCalls(serve: (task: Task) => void): void {
  serveCall = serve;
}

/** A call has come in. True: it waits for the tracer, or was sent back to be made at its site. */
export function callArrived(task: Task, tracing: Tracing, patched: boolean): boolean {
  tracing.call = task.nr;
  tracing.settled = !patched;
  tracing.phase = PHASE_IDLE;
  tracing.judged = false;
  tracing.restarting = false;
  tracing.onHost = false;
  tracing.awaiting = false;
  if (!patched && goesInSteps(tracing)) {
    // What the call makes of the registers (a child's, a handler's frame) is not to go in steps.
    if (!load(task, tracing)) return true;
    tracing.registers.store(task);
  }
  if (tracing.tracer === null || !stopsAtCalls(tracing.mode) || task.nr === 0xffffffff) return false;
  if (patched) {
    beginAnswer(task);
    sendUnsignalled(task, 0, ACT_RESTART);
    return true;
  }
  if (!load(task, tracing)) return true;
  stopAtEntry(task, tracing, task.nr);
  return true;
}

export function stopAtEntry(task: Task, tracing: Tracing, nr: number): void {
  tracing.emulated = tracing.mode !== PTRACE_SYSCALL;
  const { words } = tracing.registers;
  words[REG_ORIG_RAX] = BigInt(nr);
  words[REG_RAX] = BigInt.asUintN(64, BigInt(-ENOSYS));
  notify(task, tracing, STOP_ENTER, SIGTRAP | callFlag(tracing), SIGTRAP, PTRACE_EVENTMSG_SYSCALL_ENTRY);
}

/** The call of PTRACE_EVENT_SECCOMP: `data` is the filter's. True: it waits for the tracer. */
export function stopForSeccomp(task: Task, data: number): boolean {
  const { tracing } = task;
  if (tracing === null || tracing.judged) return false;
  tracing.judged = true;
  if (!tracing.settled) {
    sendUnsignalled(task, 0, ACT_RESTART);
    return true;
  }
  if (!load(task, tracing)) return true;
  const { words } = tracing.registers;
  words[REG_ORIG_RAX] = BigInt(task.nr);
  words[REG_RAX] = BigInt.asUintN(64, BigInt(-ENOSYS));
  stopForEvent(task, tracing, STOP_SECCOMP, PTRACE_EVENT_SECCOMP, data);
  return true;
}

/** The tracer has let the call go: as it is now in the registers. */
export function continueCall(task: Task, tracing: Tracing): void {
  const { registers } = tracing;
  const nr = Number(BigInt.asIntN(32, registers.get(REG_ORIG_RAX)));
  if (tracing.stop === STOP_ENTER && !inject(task, tracing)) return;
  const emulated = tracing.stop === STOP_ENTER && tracing.emulated;
  const changed = registers.dirty;
  if (tracing.restarting && !changed && nr !== -1) return retry(task, tracing);
  tracing.restarting = false;
  if (nr < 0 || emulated) {
    // Not made: what is in rax is the result.
    registers.dirty = true;
    tracing.act = 0;
    tracing.call = emulated ? -1 : tracing.call;
    tracing.phase = PHASE_EVENT;
    return advance(task, tracing);
  }
  tracing.call = nr;
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  if (changed && nr !== SYS_RT_SIGRETURN) {
    const { words } = registers;
    putWord(header + H_ARGS, words[REG_RDI]);
    putWord(header + H_ARGS + 2, words[REG_RSI]);
    putWord(header + H_ARGS + 4, words[REG_RDX]);
    putWord(header + H_ARGS + 6, words[REG_R10]);
    putWord(header + H_ARGS + 8, words[REG_R8]);
    putWord(header + H_ARGS + 10, words[REG_R9]);
    registers.put(REG_RAX, BigInt(nr));
    tracing.registers.store(task);
  }
  registers.dirty = false;
  // The tracer may have written to what was captured.
  u32[header + H_NIN] = 0;
  u32[header + H_NR] = nr;
  task.nr = nr;
  serveCall(task);
}

function putWord(index: number, value: bigint): void {
  u32[index] = Number(value & 0xffffffffn);
  u32[index + 1] = Number(value >> 32n);
}

/** A signal that came along with a stop at a call is sent like any other. False: it was the end, nobody traces any more. */
export function inject(task: Task, tracing: Tracing): boolean {
  const signo = tracing.injected;
  tracing.injected = 0;
  if (signo > 0) sendSignalToTask(task, signalInfo(signo, SI_KERNEL));
  return task.state !== DEAD;
}
