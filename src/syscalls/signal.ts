// Signals: dispositions, masks, pending sets, waiting for them, sending them, returning from handlers.

import { EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EPERM, ERESTARTNOHAND, ESRCH } from '../abi/errno.ts';
import {
  MINSIGSTKSZ,
  SI_TKILL,
  SI_USER,
  SIG_BLOCK,
  SIG_DFL,
  SIG_IGN,
  SIG_SETMASK,
  SIG_UNBLOCK,
  SIGKILL,
  SIGRTMIN,
  SIGSTOP,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
} from '../abi/signal.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { complete } from '../kernel/answer.ts';
import { ANSWERED, commitBlock, setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import { mayKill } from '../kernel/credentials.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import { signalsExhausted } from '../kernel/posix-timers.ts';
import { writeSiginfo } from '../kernel/signal-delivery.ts';
import { bitHigh, bitLow, type SignalInfo, sanitizeMaskLow, signalInfo } from '../kernel/signal-state.ts';
import {
  dequeueSignal,
  ignoredByDefault,
  restoreMask,
  sendSignalToGroup,
  sendSignalToTask,
  setTemporaryMask,
} from '../kernel/signals.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';
import { readTimespec } from '../kernel/time-arguments.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { order } from '../platform/answer.ts';
import { i32, readU64, u32, writeU64 } from '../platform/arena.ts';
import { H_ARGS, ORDER_SIGRETURN, SLOT_SIZE } from '../platform/layout.ts';

const NSIG = 64;
const SIGSET_SIZE = 8;
const ACTION_SIZE = 32;
const STACK_SIZE = 24;
const SIGINFO_SIZE = 128;
const ANY_SIGNAL = 0;

export function rt_sigaction(task: Task, signo: number, fresh: UserAddress, old: UserAddress, setSize: number): number {
  if (setSize !== SIGSET_SIZE || signo < 1 || signo > NSIG) return -EINVAL;
  if (fresh !== 0 && (signo === SIGKILL || signo === SIGSTOP)) return -EINVAL;
  const action = task.group.actions.get(signo);
  const from = fresh === 0 ? 0 : task.memory.in(fresh, ACTION_SIZE);
  if (from < 0) return from;
  if (old !== 0) {
    const to = task.memory.out(old, ACTION_SIZE);
    if (to < 0) return to;
    writeU64(to, action.handler);
    writeU64(to + 8, action.flags);
    writeU64(to + 16, action.restorer);
    u32[(to + 24) >>> 2] = action.maskLow;
    u32[(to + 28) >>> 2] = action.maskHigh;
  }
  if (fresh === 0) return 0;
  const handler = readU64(from);
  task.group.actions.set(signo, {
    handler,
    flags: u32[(from + 8) >>> 2],
    restorer: readU64(from + 16),
    maskLow: sanitizeMaskLow(u32[(from + 24) >>> 2]),
    maskHigh: u32[(from + 28) >>> 2] | 0,
  });
  // Setting a signal to be ignored discards what is pending of it.
  if (handler === SIG_IGN || (handler === SIG_DFL && ignoredByDefault(signo))) {
    discard(task.group, signo);
  }
  return 0;
}

function discard(group: ThreadGroup, signo: number): void {
  group.pending.discard(bitLow(signo), bitHigh(signo));
  for (const thread of group.threads) thread.pending.discard(bitLow(signo), bitHigh(signo));
}

export function rt_sigprocmask(task: Task, how: number, set: UserAddress, old: UserAddress, setSize: number): number {
  if (setSize !== SIGSET_SIZE) return -EINVAL;
  const { maskLow, maskHigh } = task;
  if (set !== 0) {
    const at = task.memory.in(set, SIGSET_SIZE);
    if (at < 0) return at;
    const low = u32[at >>> 2];
    const high = u32[(at >>> 2) + 1];
    if (how === SIG_BLOCK) changeMask(task, maskLow | low, maskHigh | high);
    else if (how === SIG_UNBLOCK) changeMask(task, maskLow & ~low, maskHigh & ~high);
    else if (how === SIG_SETMASK) changeMask(task, low, high);
    else return -EINVAL;
  }
  return old === 0 ? 0 : writeSet(task, old, maskLow, maskHigh);
}

function changeMask(task: Task, low: number, high: number): void {
  task.maskLow = sanitizeMaskLow(low);
  task.maskHigh = high | 0;
}

function writeSet(task: Task, address: UserAddress, low: number, high: number): number {
  const at = task.memory.out(address, SIGSET_SIZE);
  if (at < 0) return at;
  u32[at >>> 2] = low;
  u32[(at >>> 2) + 1] = high;
  return 0;
}

export function rt_sigpending(task: Task, set: UserAddress, setSize: number): number {
  if (setSize > SIGSET_SIZE) return -EINVAL;
  const shared = task.group.pending;
  const low = (task.pending.low | shared.low) & task.maskLow;
  const high = (task.pending.high | shared.high) & task.maskHigh;
  const at = task.memory.out(set, setSize);
  if (at < 0) return at;
  if (setSize >= 4) u32[at >>> 2] = low;
  if (setSize >= 8) u32[(at >>> 2) + 1] = high;
  return 0;
}

export function rt_sigsuspend(task: Task, set: UserAddress, setSize: number): number {
  if (setSize !== SIGSET_SIZE) return -EINVAL;
  if (!task.resumed) {
    const at = task.memory.in(set, SIGSET_SIZE);
    if (at < 0) return at;
    setTemporaryMask(task, u32[at >>> 2], u32[(at >>> 2) + 1] | 0);
  }
  return commitBlock(task, ERESTARTNOHAND);
}

export function pause(task: Task): number {
  return commitBlock(task, ERESTARTNOHAND);
}

export function rt_sigtimedwait(
  task: Task,
  set: UserAddress,
  info: UserAddress,
  timeout: UserAddress,
  setSize: number,
): number {
  if (setSize !== SIGSET_SIZE) return -EINVAL;
  const at = task.memory.in(set, SIGSET_SIZE);
  if (at < 0) return at;
  const low = sanitizeMaskLow(u32[at >>> 2]);
  const high = u32[(at >>> 2) + 1];
  const wait = readTimeout(task, timeout);
  if (wait < 0) return wait;
  const found = dequeueSignal(task, ~low, ~high);
  if (found) {
    restoreMask(task);
    return writeInfo(task, info, found);
  }
  setTimeoutOnce(task, wait);
  if (timedOut(task)) {
    restoreMask(task);
    return -EAGAIN;
  }
  // While it waits, the signals of the set count as unblocked, so that one of them ends the wait.
  setTemporaryMask(task, task.maskLow & ~low, task.maskHigh & ~high);
  const r = commitBlock(task, EINTR);
  if (r < 0 && r !== WAIT) restoreMask(task);
  return r;
}

function readTimeout(task: Task, address: UserAddress): number {
  return address === 0 ? Number.POSITIVE_INFINITY : readTimespec(task, address);
}

function writeInfo(task: Task, address: UserAddress, info: SignalInfo): number {
  if (address === 0) return info.signo;
  const at = task.memory.out(address, SIGINFO_SIZE);
  if (at < 0) return at;
  writeSiginfo(at, info);
  return info.signo;
}

export function sigaltstack(task: Task, fresh: UserAddress, old: UserAddress): number {
  const { altstackBase, altstackSize, altstackFlags } = task;
  const onStack =
    !(altstackFlags & SS_AUTODISARM) && task.rsp > altstackBase && task.rsp <= altstackBase + altstackSize;
  const from = fresh === 0 ? 0 : task.memory.in(fresh, STACK_SIZE);
  if (from < 0) return from;
  if (old !== 0) {
    const at = task.memory.out(old, STACK_SIZE);
    if (at < 0) return at;
    writeU64(at, altstackBase);
    u32[(at + 8) >>> 2] =
      altstackSize === 0 ? SS_DISABLE : (onStack ? SS_ONSTACK : 0) | (altstackFlags & SS_AUTODISARM);
    u32[(at + 12) >>> 2] = 0;
    writeU64(at + 16, altstackSize);
  }
  return fresh === 0 ? 0 : setAltstack(task, onStack, readU64(from), u32[(from + 8) >>> 2], readU64(from + 16));
}

function setAltstack(task: Task, onStack: boolean, base: number, flags: number, size: number): number {
  const mode = flags & ~SS_AUTODISARM;
  if (onStack) return -EPERM;
  if (mode !== 0 && mode !== SS_DISABLE && mode !== SS_ONSTACK) return -EINVAL;
  if (mode === SS_DISABLE) {
    task.altstackBase = task.altstackSize = 0;
    task.altstackFlags = SS_DISABLE;
    return 0;
  }
  if (size < MINSIGSTKSZ) return -ENOMEM;
  task.altstackBase = base;
  task.altstackSize = size;
  task.altstackFlags = flags & SS_AUTODISARM;
  return 0;
}

/** The stub has put the frame's mask and alternate stack into the argument words; it restores the registers itself. */
export function rt_sigreturn(task: Task): number {
  const word = ((task.memory.slot * SLOT_SIZE) >>> 2) + H_ARGS;
  task.maskLow = sanitizeMaskLow(u32[word]);
  task.maskHigh = u32[word + 1] | 0;
  const base = readU64(4 * (word + 2));
  const size = readU64(4 * (word + 4));
  const flags = u32[word + 6];
  setAltstack(task, false, base, flags & ~SS_ONSTACK, size);
  order(task.memory.slot, ORDER_SIGRETURN);
  complete(task, 0, 0);
  return ANSWERED;
}

export function kill(task: Task, pid: number, signo: number): number {
  if (signo < 0 || signo > NSIG) return -EINVAL;
  const { groups, tasks, processGroups } = task.pidNamespace;
  if (pid > 0) {
    // Any thread's id names its process.
    const group = groups.get(pid as Pid) ?? tasks.get(pid as Pid)?.group;
    return group ? killOne(task, group, signo) : -ESRCH;
  }
  if (pid === -1) return killAll(task, everybodyElse(task), signo);
  const processGroup = pid === 0 ? task.group.processGroup : processGroups.get(-pid as Pid);
  const begun = task.resumed && task.pendingObject instanceof Sweep;
  return processGroup || begun ? killAll(task, [...(processGroup?.members ?? [])], signo) : -ESRCH;
}

/** All that it can see but itself and the first process. */
function everybodyElse(task: Task): ThreadGroup[] {
  const { groups, init } = task.pidNamespace;
  return [...groups.values()].filter((group) => group !== task.group && group !== init);
}

/** So many are reached in a turn, however slow: more than can fork in the time of one. */
const LEAST_REACHED = 32;

/** A signal on its way to many. */
class Sweep {
  readonly began = monotonicNow();
  readonly reached = new Set<ThreadGroup>();
  result = -ESRCH;
}

/**
 * In turns. Of those who come to be meanwhile only such signals take notice as nobody can ignore: who is reached by them
 * does not fork any more, so that there is an end to it. The caller comes last: it might not live to see the others reached.
 */
function killAll(task: Task, members: ThreadGroup[], signo: number): number {
  const sweep = task.resumed && task.pendingObject instanceof Sweep ? task.pendingObject : new Sweep();
  const { reached } = sweep;
  const newToo = signo === SIGKILL || signo === SIGSTOP;
  const left = members.filter(
    (group) => group !== task.group && !reached.has(group) && (newToo || group.leader.startTime <= sweep.began),
  );
  if (members.includes(task.group)) left.push(task.group);
  for (const [index, group] of left.entries()) {
    const r = killOne(task, group, signo);
    if (r === 0 || sweep.result === -ESRCH) sweep.result = sweep.result === 0 ? 0 : r;
    reached.add(group);
    if (index < LEAST_REACHED || group === task.group || !turnIsOver()) continue;
    task.pendingObject = sweep;
    if (yieldTurn(task, 0) === WAIT) return WAIT;
  }
  return sweep.result;
}

function killOne(task: Task, group: ThreadGroup, signo: number): number {
  return sendChecked(task, group, userSignal(task, group, signo, SI_USER));
}

function sendChecked(task: Task, group: ThreadGroup, info: SignalInfo): number {
  if (!mayKill(task, group.leader, info.signo)) return -EPERM;
  if (info.signo === ANY_SIGNAL) return 0;
  // kill(2) itself does not fail for want of room: the signal loses what it carries.
  if (info.signo >= SIGRTMIN && signalsExhausted(group)) {
    if (info.code !== SI_USER) return -EAGAIN;
    if (group.pending.has(info.signo)) return 0;
  }
  sendSignalToGroup(group, info);
  return 0;
}

function receiver(to: Task | ThreadGroup): Task {
  return 'leader' in to ? to.leader : to;
}

/** Says who sends it, by the number that the receiver knows it by: 0 if it is from above its namespace. */
function userSignal(task: Task, to: Task | ThreadGroup, signo: number, code: number): SignalInfo {
  return signalInfo(signo, code, {
    pid: numberIn(to.pidNamespace, task.group),
    uid: uidSeen(receiver(to), task.credentials.uid),
  });
}

export function tkill(task: Task, tid: number, signo: number): number {
  return tid <= 0 ? -EINVAL : sendToThread(task, 0, tid, signo, null);
}

export function tgkill(task: Task, pid: number, tid: number, signo: number): number {
  return tid <= 0 || pid <= 0 ? -EINVAL : sendToThread(task, pid, tid, signo, null);
}

/** `pid` 0: whatever process the thread is of. `given`: the siginfo_t that the caller wants sent. */
function sendToThread(task: Task, pid: number, tid: number, signo: number, given: SignalInfo | null): number {
  if (signo < 0 || signo > NSIG) return -EINVAL;
  const { tasks, groups } = task.pidNamespace;
  const target = tasks.get(tid as Pid);
  if (!target || (pid !== 0 && groups.get(pid as Pid) !== target.group)) return -ESRCH;
  const info = given ?? userSignal(task, target, signo, SI_TKILL);
  hideSender(task, target.group, info);
  if (!mayKill(task, target, info.signo)) return -EPERM;
  if (info.signo === ANY_SIGNAL) return 0;
  if (info.signo >= SIGRTMIN && signalsExhausted(target.group)) return -EAGAIN;
  sendSignalToTask(target, info);
  return 0;
}

export function rt_sigqueueinfo(task: Task, pid: number, signo: number, address: UserAddress): number {
  const info = readInfo(task, signo, address);
  if (typeof info === 'number') return info;
  // A thread's number stands for its process.
  const { tasks, groups } = task.pidNamespace;
  const group = groups.get(pid as Pid) ?? tasks.get(pid as Pid)?.group;
  if (!group) return -ESRCH;
  if ((info.code >= 0 || info.code === SI_TKILL) && group !== task.group) return -EPERM;
  if (signo < 0 || signo > NSIG) return -EINVAL;
  hideSender(task, group, info);
  return sendChecked(task, group, info);
}

/** The receiver does not learn the number, however the sender gives it, of one above its namespace. */
function hideSender(task: Task, to: ThreadGroup, info: SignalInfo): void {
  if (numberIn(to.pidNamespace, task.group) === 0) info.pid = 0;
}

export function rt_tgsigqueueinfo(task: Task, pid: number, tid: number, signo: number, address: UserAddress): number {
  if (pid <= 0 || tid <= 0) return -EINVAL;
  const info = readInfo(task, signo, address);
  if (typeof info === 'number') return info;
  if ((info.code >= 0 || info.code === SI_TKILL) && tid !== task.localTid) return -EPERM;
  return sendToThread(task, pid, tid, signo, info);
}

function readInfo(task: Task, signo: number, address: UserAddress): SignalInfo | number {
  const at = task.memory.in(address, SIGINFO_SIZE);
  if (at < 0) return -EFAULT;
  const word = at >>> 2;
  return signalInfo(signo, i32[word + 2], {
    errno: i32[word + 1],
    pid: i32[word + 4],
    uid: u32[word + 5],
    valueLow: u32[word + 6],
    valueHigh: u32[word + 7],
  });
}
