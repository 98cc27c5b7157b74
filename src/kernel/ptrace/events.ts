// What a tracer hears of besides stops: tasks that its tracees make (and that it traces from then on), programs that they
// execute, their ends. A thread that ended is kept for its tracer's wait; of a process the tracer hears before the parent.

import {
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_EXEC,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_VFORK,
  PTRACE_EVENT_VFORK_DONE,
} from '../../abi/ptrace.ts';
import { CLONE_PTRACE, CLONE_UNTRACED, CLONE_VFORK } from '../../abi/sched.ts';
import {
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  SA_NOCLDSTOP,
  SI_USER,
  SIG_IGN,
  SIGCHLD,
  SIGSTOP,
  SIGTRAP,
} from '../../abi/signal.ts';
import { WCOREFLAG } from '../../abi/wait.ts';
import { ACT_ASK_AGAIN, ACT_SET_RETURN } from '../../platform/layout.ts';
import type { CloneArguments } from '../clone.ts';
import { notifyParent } from '../exit.ts';
import { type Numbered, numberIn } from '../pid-namespaces.ts';
import { signalInfo } from '../signal-state.ts';
import { sendSignalToGroup } from '../signals.ts';
import { DEAD, type Task, type ThreadGroup } from '../task.ts';
import { letTraceesGo, link, PHASE_BEGIN, type Tracing, tracerOf, unlink } from './tracing.ts';

const SYS_EXECVE = 59;
/** A tracer that never waits is not told of more threads that ended: they are kept for it, and nothing else bounds them. */
const MOST_ZOMBIES = 4096;

function isWanted({ tracer, options }: Tracing, event: number): boolean {
  return tracer !== null && (options & (1 << event)) !== 0;
}

/** A traced task made another: its tracer may want to hear of that, and to trace the child from its first instruction. */
export function traceChild(parent: Task, child: Task, { flags, exitSignal }: CloneArguments): void {
  const { tracing } = parent;
  if (tracing === null || tracing.tracer === null || flags & CLONE_UNTRACED) return;
  let event = exitSignal === SIGCHLD ? PTRACE_EVENT_FORK : PTRACE_EVENT_CLONE;
  if (flags & CLONE_VFORK) event = PTRACE_EVENT_VFORK;
  if (isWanted(tracing, event)) {
    tracing.event = event;
    tracing.eventMessage = numberIn(tracing.tracer.pidNamespace, child);
  } else if (!(flags & CLONE_PTRACE)) return;
  const its = link(tracing.tracer, child, tracing.seized, tracing.options);
  if (its.seized) its.trap = true;
  else child.pending.add(signalInfo(SIGSTOP, SI_USER));
}

/** The child of a vfork has given the address space back: PTRACE_EVENT_VFORK_DONE. */
export function noteVforkDone(parent: Task, tracing: Tracing, child: Task): void {
  if (!isWanted(tracing, PTRACE_EVENT_VFORK_DONE) || tracing.tracer === null) return;
  tracing.event = PTRACE_EVENT_VFORK_DONE;
  tracing.eventMessage = numberIn(parent.pidNamespace, child);
}

/** The host could not make the child that was to be told of. */
export function forgetEvent(tracing: Tracing): void {
  tracing.event = 0;
  tracing.awaiting = false;
}

/** A traced task executes a program; `before` are its numbers until now. */
export function noteExec(task: Task, tracing: Tracing, before: Numbered): void {
  tracing.trapsAll = false;
  tracing.registers.basesDirty = false;
  tracing.registers.dirty = false;
  tracing.debug.forget();
  if (isWanted(tracing, PTRACE_EVENT_EXEC) && tracing.tracer !== null) {
    tracing.event = PTRACE_EVENT_EXEC;
    tracing.eventMessage = numberIn(tracing.tracer.pidNamespace, before);
  } else if (tracing.tracer !== null && !tracing.seized) {
    task.pending.add(signalInfo(SIGTRAP, SI_USER, { pid: task.group.localPid, uid: task.credentials.uid }));
  }
}

/** ACT_* for the answer that starts a program: a traced one comes back before its first instruction. */
export function afterExec({ tracing }: Task): number {
  if (tracing === null || tracing.tracer === null) return 0;
  tracing.call = SYS_EXECVE;
  tracing.result = 0;
  tracing.act = ACT_SET_RETURN;
  tracing.onHost = false;
  tracing.phase = PHASE_BEGIN;
  tracing.awaiting = true;
  return ACT_ASK_AGAIN;
}

// ---- ends ----

/** A thread has ended: it traces nobody any more, and its own tracer is told unless it is told of the whole process. */
export function noteTracedEnd(task: Task): void {
  if (task.tracees !== null) letTraceesGo(task, tracerGone);
  const { tracing, group } = task;
  if (tracing === null) return;
  if (tracing.tracer === null) {
    task.tracing = null;
    return;
  }
  tracing.unreported = false;
  if (task === group.leader) return;
  if (tracing.tracer.tracees !== null && tracing.tracer.tracees.size > MOST_ZOMBIES) return unlink(task);
  tracing.zombie = Math.max(group.exitStatus, 0) || tracing.endStatus;
  tellEnd(tracing.tracer, task, tracing.zombie);
}

/** A zombie's tracer has ended before it took note. */
function tracerGone(task: Task): void {
  const { group } = task;
  if (task === group.leader && group.status >= 0 && !group.reaped) notifyParent(group);
}

/** A process has ended: true if its tracer, who is not its parent, hears of it first. */
export function tellTracerFirst(group: ThreadGroup): boolean {
  const tracer = tracerOf(group.leader);
  if (tracer === null || tracer.group === group.parent) return false;
  tellEnd(tracer, group.leader, group.status);
  return true;
}

function tellEnd(tracer: Task, task: Task, status: number): void {
  const signo = status & 0x7f;
  const code = signo === 0 ? CLD_EXITED : status & WCOREFLAG ? CLD_DUMPED : CLD_KILLED;
  const { handler, flags } = tracer.group.actions.get(SIGCHLD);
  if (handler !== SIG_IGN && !(flags & SA_NOCLDSTOP)) {
    const pid = numberIn(tracer.pidNamespace, task);
    const fields = { pid, uid: task.credentials.uid, status: signo === 0 ? status >> 8 : signo };
    sendSignalToGroup(tracer.group, signalInfo(SIGCHLD, code, fields));
  }
  tracer.group.childQueue.wake(1);
}

/** The tracer has waited for what it traced and what has ended: now the parent's turn comes. */
export function tracerTookNote(task: Task): void {
  unlink(task);
  if (task.state === DEAD && task === task.group.leader) notifyParent(task.group);
}
