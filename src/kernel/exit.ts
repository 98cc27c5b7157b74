// Exits: of a thread, of a whole group, by a signal, or because the host process died. Robust futexes are walked here
// (the host kernel cannot: it would compare them with host thread ids), children find a new parent, the parent is told.

import { RLIMIT_CORE } from '../abi/resource.ts';
import {
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  SA_NOCLDWAIT,
  SI_KERNEL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SIGKILL,
} from '../abi/signal.ts';
import { shownId } from '../base/user-namespace.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { hasSharedMemory } from '../mm/host-maps.ts';
import { clearOrders, order, sendExit, writeAnswer } from '../platform/answer.ts';
import { MAX_ORDERS, ORDER_EXIT, ORDER_EXIT_GROUP, ORDER_SYSCALL } from '../platform/layout.ts';
import { buryAddressSpace, buryThread, expectEnd, killAddressSpace } from './address-spaces.ts';
import { ANSWERED, cancelWaits } from './block.ts';
import { vforkReleased } from './clone.ts';
import { closeFiles } from './descriptors.ts';
import { groupExitHooks, reapHooks, taskExitHooks } from './exit-hooks.ts';
import { dropHeldFile } from './held-file.ts';
import { kernel } from './kernel.ts';
import { leaveNamespace } from './mount-namespaces.ts';
import { leaveNamespaces } from './namespaces.ts';
import { showOwnAnswers } from './own-answers.ts';
import { numberIn, type PidNamespace, strike } from './pid-namespaces.ts';
import { noteTracedEnd, tellTracerFirst } from './ptrace/events.ts';
import { reportEnd } from './ptrace/stops.ts';
import { unlink } from './ptrace/tracing.ts';
import { walkRobustList } from './robust-list.ts';
import { isOrphaned, leaveProcessGroup, type ProcessGroup } from './sessions.ts';
import { type SignalInfo, signalInfo } from './signal-state.ts';
import { interruptTask, sendSignalToGroup, sendSignalToProcessGroup } from './signals.ts';
import { DEAD, RUNNING, SERVING, STOPPED, type Task, type ThreadGroup } from './task.ts';
import { closeUsage } from './usage.ts';

const CORE_SIGNALS = new Set([3, 4, 5, 6, 7, 8, 11, 24, 25, 31]);
const WCOREFLAG = 0x80;
/** A limit below a page means no core file. */
const CORE_MIN = 4096;
/** Nanoseconds of a clock tick, in which siginfo_t gives CPU times. */
const CLOCK_TICK = 1e7;
const SYS_FUTEX = 202;
const FUTEX_WAKE = 1;
const MAX_WAKES = MAX_ORDERS - 1;

let onSandboxEnd: (status: number) => void = () => {};
/** The sandbox ends with its first process; `status` is a wait status. */
export function setSandboxEndHook(hook: (status: number) => void): void {
  onSandboxEnd = hook;
}

/** exit_group(2), from a call of `task`. `status` is a wait status. */
export function exitGroup(task: Task, status: number): number {
  if (task.tracing !== null && reportEnd(task, task.tracing, status, true)) return ANSWERED;
  terminate(task.group, status, task);
  return ANSWERED;
}

/**
 * Writes a core file and tells whether there is one; set by fs/core. Null: that takes longer, and `finished` will be told.
 */
type CoreDumper = (
  group: ThreadGroup,
  signo: number,
  self: Task,
  info: SignalInfo | null,
  finished: (dumped: boolean) => void,
) => boolean | null;
let dumpCore: CoreDumper = () => false;

export function setCoreDumper(dumper: CoreDumper): void {
  dumpCore = dumper;
}

/** Whether death by this signal leaves a core file: then a thread has to take it, for its registers. */
export function leavesCore(group: ThreadGroup, signo: number): boolean {
  return CORE_SIGNALS.has(signo) && group.dumpable && group.limits.soft[RLIMIT_CORE] >= CORE_MIN;
}

/**
 * A fatal signal. `self` is the thread in whose turn it was taken (it must be answered), or null; `info` is what the
 * signal carried, for the core file.
 */
export function killGroup(group: ThreadGroup, signo: number, self: Task | null, info: SignalInfo | null = null): void {
  const first = group.exitStatus < 0 && self !== null && self.state !== DEAD && !self.doomed;
  const dies = (dumped: boolean): void => terminate(group, signo | (dumped ? WCOREFLAG : 0), self);
  const dumped = first && !group.dumping && leavesCore(group, signo) && dumpCore(group, signo, self, info, dies);
  if (dumped !== null) return dies(dumped);
  // The thread is held with its memory, until all of it is written or it is killed for good. The others are in the way.
  group.dumping = true;
  if (self === null) return;
  killOtherThreads(self);
  self.state = STOPPED;
}

/** exit(2) of one thread. */
export function exitThread(task: Task, status: number): number {
  if (task.group.threads.size === 1) return exitGroup(task, status);
  if (task.tracing !== null) {
    if (reportEnd(task, task.tracing, status, false)) return ANSWERED;
    task.tracing.endStatus = status;
  }
  endThread(task, task);
  return ANSWERED;
}

/** Its tracer has seen that it ends: now it does. */
export function endTask(task: Task, status: number, wholeGroup: boolean): void {
  const signo = status & 0x7f;
  if (signo !== 0) killGroup(task.group, signo, task);
  else if (wholeGroup) exitGroup(task, status);
  else exitThread(task, status);
}

/** A doomed thread reported in: its group ended while it ran. */
export function exitDoomed(task: Task): void {
  const wakes = Array.isArray(task.pendingObject) ? (task.pendingObject as number[]) : walkRobustList(task);
  answerExit(task, exitOrder(task), wakes);
  release(task);
}

/** The other threads of the group go: exec(2) leaves only the caller. */
export function killOtherThreads(task: Task): void {
  for (const other of [...task.group.threads]) if (other !== task) endThread(other, null);
}

/** A host process ended by itself or by the host (a fault in the stub, the OOM killer): its groups were killed. */
export function addressSpaceDied(tasks: Iterable<Task>): void {
  for (const task of [...tasks]) {
    if (task.state === DEAD) continue;
    // One that was told to end has nothing more to say; its group may go on elsewhere (exec).
    if (!task.doomed && task.group.exitStatus < 0) terminate(task.group, SIGKILL, null);
    if ((task.state as number) !== DEAD) release(task);
  }
}

function terminate(group: ThreadGroup, status: number, self: Task | null): void {
  if (group.exitStatus >= 0) {
    if (self && self.state !== DEAD) exitDoomed(self);
    return;
  }
  group.exitStatus = status;
  closeUsage(group);
  group.stopped = false;
  askedMemory = null;
  for (const task of [...group.threads]) if (task !== self) endThread(task, null);
  if (self) endThread(self, self);
}

/** The address space that was asked last whether others have a part of its memory, and the answer. */
let askedMemory: AddressSpace | null = null;
let memoryIsShared = false;

/** Whether locks that a running thread may hold are anybody else's business when its whole process goes. */
function mayHoldShared(task: Task): boolean {
  if (task.robustList === 0) return false;
  if (sharedWithOthers(task)) return true;
  if (askedMemory !== task.mm) {
    askedMemory = task.mm;
    memoryIsShared = hasSharedMemory(task.mm);
  }
  return memoryIsShared;
}

/** Takes one thread down: at once if its slot waits for an answer or its whole process goes, else when it reports. */
function endThread(task: Task, self: Task | null): void {
  const { mm } = task;
  if (task.state === RUNNING && task !== self && task.hostTid !== 0 && mayHoldShared(task)) {
    // It goes on taking and giving locks until it reports: only then is it seen which it has.
    task.doomed = true;
    task.pendingObject = null;
    expectEnd(mm);
    return interruptTask(task);
  }
  const wakes = walkRobustList(task);
  if (task === kernel.current && task !== self && task.state === SERVING) {
    // In the midst of its own call (kill(2), SIGPIPE): its handler still uses the slot. It ends with the call.
    task.doomed = true;
    task.pendingObject = wakes;
    return;
  }
  const answered = task === self || (task.state !== RUNNING && task.hostTid !== 0);
  const wholeProcess = task.group.exitStatus >= 0 && !sharedWithOthers(task);
  if (!answered && (!wholeProcess || wakes.length > 0 || task.hostTid === 0)) {
    task.doomed = true;
    task.pendingObject = wakes;
    expectEnd(mm);
    return interruptTask(task);
  }
  if (wholeProcess && task !== self && wakes.length === 0) {
    if (self?.mm !== mm) killAddressSpace(mm);
  } else {
    answerExit(task, wholeProcess && task === self ? ORDER_EXIT_GROUP : exitOrder(task), wakes);
  }
  release(task);
}

/** The last thread takes the host process with it. */
function exitOrder(task: Task): number {
  return task.mm.tasks.size === 1 ? ORDER_EXIT_GROUP : ORDER_EXIT;
}

/** Whether a task of another group uses the address space: vfork children and their parents. */
function sharedWithOthers(task: Task): boolean {
  for (const other of task.mm.tasks) if (other.group !== task.group) return true;
  return false;
}

function answerExit(task: Task, opcode: number, wakes: readonly number[]): void {
  const { slot } = task.memory;
  clearOrders(slot);
  for (let i = 0; i < wakes.length && i < MAX_WAKES; i++)
    order(slot, ORDER_SYSCALL, SYS_FUTEX, wakes[i], FUTEX_WAKE, 1);
  order(slot, opcode);
  writeAnswer(slot, 0, 0, 0, false);
  sendExit(slot, opcode === ORDER_EXIT_GROUP);
}

/** Nothing of the thread is left but, if it was the last, its group's zombie. */
function release(task: Task): void {
  const { group, mm } = task;
  task.state = DEAD;
  task.maskLent = false;
  cancelWaits(task);
  task.dropDescriptor();
  dropHeldFile(task);
  for (const hook of taskExitHooks) hook(task);
  group.threads.delete(task);
  strike('tasks', task);
  noteTracedEnd(task);
  leaveNamespaces(task.namespaces);
  mm.tasks.delete(task);
  if (mm.tasks.size === 0) buryAddressSpace(mm);
  else buryThread(task);
  vforkReleased(task);
  releaseFiles(task);
  if (group.threads.size === 0) groupEnded(group);
  else if (group.children.size > 0) passOnChildren(task);
}

/** What a thread has forked is another thread's now. For PR_SET_PDEATHSIG its parent has died. */
function passOnChildren({ group, tid }: Task): void {
  const [heir] = group.threads;
  for (const child of group.children) {
    if (child.madeBy !== tid) continue;
    child.madeBy = heir.tid;
    signalParentDeath(child);
  }
}

function signalParentDeath(child: ThreadGroup): void {
  if (child.parentDeathSignal === 0 || child.status >= 0) return;
  sendSignalToGroup(child, signalInfo(child.parentDeathSignal, SI_KERNEL));
}

/** A child that the host could not make: it goes without a trace. */
export function abandonTask(task: Task): void {
  const { group, mm } = task;
  task.state = DEAD;
  for (const hook of taskExitHooks) hook(task);
  unlink(task);
  strike('tasks', task);
  leaveNamespaces(task.namespaces);
  group.threads.delete(task);
  mm.tasks.delete(task);
  if (mm.tasks.size === 0) buryAddressSpace(mm);
  else buryThread(task);
  releaseFiles(task);
  if (group.leader !== task) return;
  group.status = 0;
  group.parent?.children.delete(group);
  leaveProcessGroup(group);
  strike('groups', group);
  const { pidNamespace } = group;
  if (pidNamespace.init === group) pidNamespace.closed = true;
}

function releaseFiles(task: Task): void {
  if (--task.fs.users === 0) {
    leaveNamespace(task.fs);
    task.fs.release();
  }
  if (--task.files.users > 0) return;
  const files = task.files.takeForClose(true);
  task.files.end();
  closeFiles(task, files);
}

function groupEnded(group: ThreadGroup): void {
  if (group === kernel.init) {
    group.status = Math.max(group.exitStatus, 0);
    return onSandboxEnd(group.status);
  }
  if (!(group.pidNamespace.init === group && awaitsOthers(group))) finishGroup(group);
}

/**
 * The init of a pid namespace has ended: everybody else in there is killed, and its own end shows only after theirs
 * (pid_namespaces(7)). False if that is now; otherwise the last of them sees to it.
 */
function awaitsOthers(init: ThreadGroup): boolean {
  const { pidNamespace } = init;
  pidNamespace.closed = true;
  for (const other of [...pidNamespace.groups.values()]) {
    if (other !== init && other.status < 0) killGroup(other, SIGKILL, null);
  }
  // What it has not waited for goes now; a zombie with its parent outside is still to be waited for there.
  for (const child of [...init.children]) if (child.status >= 0) reap(child);
  return init.status >= 0 || pidNamespace.groups.size > 1;
}

function finishGroup(group: ThreadGroup): void {
  group.status = Math.max(group.exitStatus, 0);
  for (const hook of groupExitHooks) hook(group);
  adoptChildren(group);
  endSession(group);
  hangUpOrphans(group);
  group.exitQueue.wake(1);
  notifyParent(group);
}

/** Children go to the nearest subreaper of the pid namespace, else to its init; their parent-death signals are sent. */
function adoptChildren(group: ThreadGroup): void {
  const { pidNamespace } = group;
  let heir = group.parent;
  while (heir && heir.pidNamespace === pidNamespace && !heir.subreaper && heir !== pidNamespace.init)
    heir = heir.parent;
  if (heir?.pidNamespace !== pidNamespace) heir = pidNamespace.init;
  for (const child of group.children) {
    child.parent = heir;
    for (const thread of child.threads) showOwnAnswers(thread);
    heir?.children.add(child);
    // Nobody is told of a strange child by a signal of the child's choice.
    child.exitSignal = SIGCHLD;
    signalParentDeath(child);
    if (child.status >= 0 && heir) notifyParent(child);
  }
  group.children.clear();
}

function endSession(group: ThreadGroup): void {
  const { session } = group.processGroup;
  if (session.id === group.pid && session.terminal) session.terminal.disassociate();
}

/** Stopped process groups that the exit orphans get SIGHUP and SIGCONT (exit(2)). */
function hangUpOrphans(group: ThreadGroup): void {
  const affected = new Set<ProcessGroup>([group.processGroup]);
  for (const other of kernel.groups.values()) {
    if (other.processGroup.session === group.processGroup.session) affected.add(other.processGroup);
  }
  for (const processGroup of affected) {
    let stopped = false;
    for (const member of processGroup.members) if (member.stopped && member.status < 0) stopped = true;
    if (!stopped || !isOrphaned(processGroup)) continue;
    sendSignalToProcessGroup(processGroup, signalInfo(SIGHUP, SI_KERNEL));
    sendSignalToProcessGroup(processGroup, signalInfo(SIGCONT, SI_KERNEL));
  }
}

/** SIGCHLD (or the child's exit signal) and a wake-up for wait(2); a parent that ignores children reaps at once. */
export function notifyParent(group: ThreadGroup): void {
  if (tellTracerFirst(group)) return;
  const { parent } = group;
  // Started from outside, or left to an init that has ended: nobody waits for it.
  if (!parent || (parent.pidNamespace.closed && parent === parent.pidNamespace.init)) return reap(group);
  const action = parent.actions.get(SIGCHLD);
  const autoReap = group.exitSignal === SIGCHLD && (action.handler === SIG_IGN || (action.flags & SA_NOCLDWAIT) !== 0);
  if (group.exitSignal > 0 && !(autoReap && action.handler === SIG_IGN)) {
    sendSignalToGroup(parent, childSignal(group));
  }
  if (autoReap) reap(group);
  parent.childQueue.wake(1);
}

function childSignal(group: ThreadGroup) {
  const signo = group.status & 0x7f;
  const code = signo === 0 ? CLD_EXITED : group.status & WCOREFLAG ? CLD_DUMPED : CLD_KILLED;
  return signalInfo(group.exitSignal, code, {
    pid: group.parent ? numberIn(group.parent.pidNamespace, group) : 0,
    uid: shownId((group.parent ?? group).leader.credentials.user.uidMap, group.leader.credentials.uid),
    status: signo === 0 ? group.status >> 8 : signo,
    utime: Math.floor(group.pastUsage.userTime / CLOCK_TICK),
    stime: Math.floor(group.pastUsage.systemTime / CLOCK_TICK),
  });
}

/** The zombie was waited for: its pid is free. */
export function reap(group: ThreadGroup): void {
  group.reaped = true;
  group.parent?.children.delete(group);
  leaveProcessGroup(group);
  for (const hook of reapHooks) hook(group);
  strike('groups', group);
  const { session } = group.processGroup;
  if (!session.groups.has(group.processGroup.id)) strike('processGroups', group.processGroup);
  if (session.groups.size === 0) strike('sessions', session);
  for (let at: PidNamespace | null = group.pidNamespace; at !== null; at = at.parent) {
    const { init } = at;
    const waits = at.closed && init !== null && init.status < 0 && init.threads.size === 0;
    if (waits && at.groups.size === 1) finishGroup(init);
  }
}
