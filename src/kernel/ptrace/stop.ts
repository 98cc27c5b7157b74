// One stop of a traced thread: its answer is withheld, its tracer is told. What there is to stop for is in stops.ts and
// calls.ts.

import { REG_FS_BASE, REG_GS_BASE } from '../../abi/ptrace.ts';
import { CLD_TRAPPED, SA_NOCLDSTOP, SIG_IGN, SIGCHLD, SIGKILL, SIGTRAP } from '../../abi/signal.ts';
import { order } from '../../platform/answer.ts';
import { ORDER_BASES, ORDER_TRAP_ALL } from '../../platform/layout.ts';
import { killGroup } from '../exit.ts';
import { numberIn } from '../pid-namespaces.ts';
import { type SignalInfo, signalInfo } from '../signal-state.ts';
import { sendSignalToGroup } from '../signals.ts';
import { type Task, TRACED } from '../task.ts';
import { needsEveryCall, type Tracing } from './tracing.ts';

/** `code` is what wait(2) reports, `info` what PTRACE_GETSIGINFO tells, `message` what PTRACE_GETEVENTMSG does. */
export function stop(
  task: Task,
  tracing: Tracing,
  kind: number,
  code: number,
  info: SignalInfo | null,
  message = 0,
): void {
  tracing.stop = kind;
  tracing.code = code;
  tracing.info = info;
  tracing.message = message;
  tracing.unreported = true;
  tracing.listening = false;
  tracing.injected = 0;
  task.state = TRACED;
  tellTracer(task, tracing, code & 0x7f);
}

function tellTracer(task: Task, { tracer }: Tracing, status: number): void {
  if (tracer === null) return;
  const { handler, flags } = tracer.group.actions.get(SIGCHLD);
  if (handler !== SIG_IGN && !(flags & SA_NOCLDSTOP)) {
    const { uid } = task.credentials;
    sendSignalToGroup(
      tracer.group,
      signalInfo(SIGCHLD, CLD_TRAPPED, { pid: numberIn(tracer.pidNamespace, task), uid, status }),
    );
  }
  tracer.group.childQueue.wake(1);
}

/** A stop that no signal is the cause of: siginfo has the code. */
export function notify(task: Task, tracing: Tracing, kind: number, code: number, signo = SIGTRAP, message = 0): void {
  const info = signalInfo(signo, code, { pid: task.localTid, uid: task.credentials.uid });
  stop(task, tracing, kind, code, info, message);
}

export function stopForEvent(task: Task, tracing: Tracing, kind: number, event: number, message: number): void {
  notify(task, tracing, kind, SIGTRAP | (event << 8), SIGTRAP, message);
}

/** Reads the registers; a thread that hides them is killed. */
export function load(task: Task, tracing: Tracing): boolean {
  if (!tracing.registers.load(task)) {
    killGroup(task.group, SIGKILL, task);
    return false;
  }
  if (tracing.registers.stepping) tracing.registers.stepping = false;
  return true;
}

/** Called before every answer of a task that is traced, or was: what its host thread has to be told. */
export function prepareAnswer(task: Task, tracing: Tracing): void {
  const { registers } = tracing;
  const { slot } = task.memory;
  const every = needsEveryCall(tracing);
  if (every !== tracing.trapsAll) {
    tracing.trapsAll = every;
    order(slot, ORDER_TRAP_ALL, every ? 1 : 0);
  }
  if (registers.basesDirty) {
    registers.basesDirty = false;
    order(slot, ORDER_BASES, Number(registers.get(REG_FS_BASE)), Number(registers.get(REG_GS_BASE)));
  }
  if (tracing.tracer === null && !tracing.awaiting) task.tracing = null;
}
