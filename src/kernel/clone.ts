// Making tasks (clone(2), clone3(2), fork(2), vfork(2)). A new address space is a host clone with copy-on-write; a
// thread or a vfork child is one more host thread in the same process. The parent's stub does it, by order; the new
// slot's descriptor travels with that answer, and the child's first ring (its hello) tells its host thread id.

import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EAGAIN, EINVAL, EPERM } from '../abi/errno.ts';
import {
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_CLEAR_SIGHAND,
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  SCHED_DEADLINE,
} from '../abi/sched.ts';
import { SIGSEGV, SS_DISABLE } from '../abi/signal.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { type Credentials, capableIn } from '../base/credentials.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { order } from '../platform/answer.ts';
import { i32 } from '../platform/arena.ts';
import { ACT_ASK_AGAIN, ORDER_BASES, ORDER_FORK, ORDER_THREAD, slotFd } from '../platform/layout.ts';
import { allocateSlot, freeSlot, setOwner, slotDescriptor, slotsLeft } from '../platform/slots.ts';
import { allocateBlock, expectProcess, takeSpareSlot } from './address-spaces.ts';
import { beginAnswer, complete, sendUnsignalled } from './answer.ts';
import { ANSWERED } from './block.ts';
import { changeNamespaces, type PreparedNamespaces, prepareNamespaces } from './enter-namespaces.ts';
import { abandonTask, killGroup } from './exit.ts';
import { USER_LIMIT } from './host-memory.ts';
import { watchCpuLimit } from './interval-timers.ts';
import { kernel } from './kernel.ts';
import { inheritKeys } from './keys/keyrings.ts';
import { checkTableSize, exceedsProcessLimit } from './limits.ts';
import { enterNewNamespace } from './mount-namespaces.ts';
import { discardNamespaces, type NamespaceSet } from './namespaces.ts';
import { forgetShown, lendMask, showOwnAnswers } from './own-answers.ts';
import { allocateNumbers, enlist, type Numbered, numberIn, PID_MAX, type PidNamespace } from './pid-namespaces.ts';
import { holdForChild, letRoam } from './placement.ts';
import { forgetEvent, noteVforkDone, traceChild } from './ptrace/events.ts';
import { stopForVfork } from './ptrace/stops.ts';
import { keepUnsent, sendWithAnswer } from './sent-descriptor.ts';
import { joinProcessGroup } from './sessions.ts';
import { DEAD, NO_RSEQ, RUNNING, Task, WITHHELD } from './task.ts';
import { seesShiftedTime, tellShiftedTime } from './time-namespaces.ts';
import { askForHello } from './unheard.ts';

export interface CloneArguments {
  flags: number;
  exitSignal: number;
  /** Top of the child's stack, 0 to go on with the parent's. */
  stack: number;
  tls: number;
  parentTid: number;
  childTid: number;
  /** Numbers that the child is to have, its own pid namespace's first (clone3(2)). */
  setTid?: readonly number[];
}

const NAMESPACE_FLAGS =
  CLONE_NEWNS |
  CLONE_NEWCGROUP |
  CLONE_NEWUTS |
  CLONE_NEWIPC |
  CLONE_NEWUSER |
  CLONE_NEWPID |
  CLONE_NEWNET |
  CLONE_NEWTIME;
/** What every thread of an address space is on the host: VM | FS | FILES | SIGHAND | THREAD | SYSVSEM. */
const HOST_THREAD_FLAGS = 0x50f00;
/** Slots that are kept for executing programs, whatever tasks there are. */
const RESERVED_SLOTS = 16;

/** What Linux refuses: combinations, and thread pointers that are no user addresses. */
function checkFlags(parent: Task, { flags, exitSignal, tls }: CloneArguments): number {
  if (flags & CLONE_FS && flags & (CLONE_NEWNS | CLONE_NEWUSER)) return -EINVAL;
  if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) return -EINVAL;
  if (flags & CLONE_SIGHAND && !(flags & CLONE_VM)) return -EINVAL;
  if (flags >= CLONE_CLEAR_SIGHAND && flags & CLONE_SIGHAND) return -EINVAL;
  if (flags & CLONE_PARENT && parent.group === parent.pidNamespace.init) return -EINVAL;
  if (flags & CLONE_THREAD) {
    if (flags & (CLONE_NEWUSER | CLONE_NEWPID)) return -EINVAL;
    if (parent.namespaces.pidForChildren !== parent.pidNamespace) return -EINVAL;
  }
  if (flags & CLONE_NEWIPC && flags & CLONE_SYSVSEM) return -EINVAL;
  if (exitSignal > 64) return -EINVAL;
  return flags & CLONE_SETTLS && tls >= USER_LIMIT ? -EPERM : 0;
}

/** What the child is to be: its namespaces and its numbers in them. */
interface Birth {
  readonly identity: Numbered;
  readonly namespaces: PreparedNamespaces;
}

/** Settles namespaces and numbers: -EPERM, -ENOSPC and the like, with nothing done. */
function prepareBirth(parent: Task, { flags, setTid }: CloneArguments): Birth | number {
  const namespaces = prepareNamespaces(parent, flags & NAMESPACE_FLAGS);
  if (typeof namespaces === 'number') return namespaces;
  const set = namespaces.set ?? parent.namespaces;
  const refused = setTid ? mayChooseNumbers(set.pidForChildren, setTid, namespaces.credentials) : 0;
  const identity = refused < 0 ? refused : allocateNumbers(set.pidForChildren, setTid);
  if (typeof identity !== 'number') return { identity, namespaces };
  if (namespaces.set) discardNamespaces(namespaces.set);
  return identity;
}

/** Whether a child's numbers may be given (clone3's set_tid), for each level up from its own. */
function mayChooseNumbers(pids: PidNamespace, setTid: readonly number[], credentials: Credentials): number {
  if (setTid.length > pids.level + 1) return -EINVAL;
  let at: PidNamespace | null = pids;
  for (const number of setTid) {
    if (at === null || number < 1 || number >= PID_MAX) return -EINVAL;
    const may = [CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE].some((one) =>
      capableIn((at as PidNamespace).owner, credentials, one),
    );
    if (!may) return -EPERM;
    at = at.parent;
  }
  return 0;
}

/**
 * Makes a child task and orders its host thread. Returns ANSWERED, or -errno with nothing done. `prepared` is told of
 * the child before the answer goes out: clone3's pidfd is made there; -errno from it undoes the clone.
 */
export function cloneTask(parent: Task, args: CloneArguments, prepared?: (child: Task) => number): number {
  const r = checkFlags(parent, args);
  if (r < 0) return r;
  if (exceedsProcessLimit(parent)) return -EAGAIN;
  const tooMany = args.flags & CLONE_FILES ? 0 : checkTableSize(parent.files);
  if (tooMany < 0) return tooMany;
  const { policy, resetOnFork } = parent.scheduling;
  if (policy === SCHED_DEADLINE && !resetOnFork) return -EAGAIN;
  const sharesMemory = (args.flags & CLONE_VM) !== 0;
  let slot = sharesMemory ? takeSpareSlot(parent.mm) : -1;
  const fresh = slot < 0;
  if (fresh) slot = slotsLeft() > RESERVED_SLOTS ? allocateSlot() : -EAGAIN;
  if (slot < 0) return -EAGAIN;
  const birth = prepareBirth(parent, args);
  if (typeof birth === 'number') {
    if (fresh) freeSlot(slot);
    else parent.mm.spareSlots.push(slot);
    return birth;
  }
  const child = makeChild(parent, args, birth);
  child.memory.slot = slot;
  child.mm.slots.add(slot);
  setOwner(slot, child, 0);
  child.block = sharesMemory ? allocateBlock(child.mm) : onlyBlock(child.mm, parent.block);
  let refused =
    child.block < 0 ? -EAGAIN : args.flags & CLONE_NEWNS ? enterNewNamespace(child.fs, child.credentials) : 0;
  if (refused === 0 && prepared) refused = prepared(child);
  if (refused < 0) {
    abandonTask(child);
    return refused;
  }
  showOwnAnswers(child);
  child.robustList = 0 as UserAddress;
  forgetShown(child);
  child.rseq = sharesMemory ? NO_RSEQ : parent.rseq;
  if (parent.tracing !== null) traceChild(parent, child, args);
  writeTids(parent, child, args);
  beginLife(child, args);
  if (sharesMemory) orderThread(parent, child, args, fresh);
  else orderFork(parent, child, args);
  if (fresh) sendWithAnswer(parent, slotDescriptor(slot), slotFd(parent.block));
  parent.pendingObject = child;
  // Threads are there to run side by side: the host spreads them as it does its own.
  if (args.flags & CLONE_THREAD) letRoam(parent);
  else holdForChild(parent, child);
  if (!(args.flags & CLONE_VFORK)) {
    complete(parent, seenBy(parent, child));
    keepUnsent(parent);
    return ANSWERED;
  }
  // No signals now: the thread comes back with KIND_ORDERS before its program goes on.
  child.vforkParent = parent;
  sendUnsignalled(parent, seenBy(parent, child), ACT_ASK_AGAIN);
  keepUnsent(parent);
  return ANSWERED;
}

/**
 * What the child's hello would have brought it, for one that does not say it: it goes to its program by itself, and rings
 * first only if something is to be done for it before that.
 */
function beginLife(child: Task, { flags, tls }: CloneArguments): void {
  child.initialTls = flags & CLONE_SETTLS && !(flags & CLONE_VM) ? tls : 0;
  const needsHello = child.tracing !== null || child.initialTls !== 0 || child.group.stopped || seesShiftedTime(child);
  askForHello(child, needsHello);
  if (!needsHello) lendMask(child);
}

function makeChild(parent: Task, { flags, exitSignal }: CloneArguments, { identity, namespaces }: Birth): Task {
  const sharesMemory = (flags & CLONE_VM) !== 0;
  const mm = sharesMemory ? parent.mm : parent.mm.copy();
  const files = flags & CLONE_FILES ? parent.files : parent.files.copy();
  if (files === parent.files) files.users++;
  const fs = flags & CLONE_FS ? parent.fs : parent.fs.copy();
  if (fs === parent.fs) fs.users++;
  const group = flags & CLONE_THREAD ? parent.group : null;
  const child = new Task(identity, group, mm, files, fs, namespaces.credentials, parent.name);
  if (!sharesMemory) {
    child.installedFile = parent.installedFile;
    child.installedHostFd = parent.installedHostFd;
    child.installedData = parent.installedData;
    child.installedMapped = parent.installedMapped;
    child.window.copy(parent.window);
  }
  mm.tasks.add(child);
  child.group.threads.add(child);
  enlist('tasks', child);
  kernel.forks++;
  child.startTime = monotonicNow();
  child.state = RUNNING;
  child.maskLow = parent.hasSavedMask ? parent.savedMaskLow : parent.maskLow;
  child.maskHigh = parent.hasSavedMask ? parent.savedMaskHigh : parent.maskHigh;
  child.inherit(parent);
  const set = childNamespaces(parent, namespaces.set, flags);
  if (set) changeNamespaces(child, set);
  inheritKeys(child, parent);
  // A thread starts without an alternate stack; a process (also one made by vfork) keeps its parent's.
  if (!sharesMemory || flags & CLONE_VFORK) {
    child.altstackBase = parent.altstackBase;
    child.altstackSize = parent.altstackSize;
    child.altstackFlags = parent.altstackFlags;
  } else {
    child.altstackFlags = SS_DISABLE;
  }
  if (!group) makeGroup(parent, child, flags, exitSignal);
  return child;
}

/** The child is in the pid namespace that was meant for children; a process of its own enters theirs of time, too. */
function childNamespaces(parent: Task, prepared: NamespaceSet | null, flags: number): NamespaceSet | null {
  const set = prepared ?? parent.namespaces;
  if (flags & CLONE_VM || set.time === set.timeForChildren) return prepared;
  set.timeForChildren.frozen = true;
  return { ...set, time: set.timeForChildren };
}

/** Of the parent's threads only the one that forks goes on in the child, on the block it had. */
function onlyBlock(mm: AddressSpace, block: number): number {
  mm.blocks.clear();
  mm.blocks.add(block);
  return block;
}

function makeGroup(parent: Task, child: Task, flags: number, exitSignal: number): void {
  const { group } = child;
  const source = parent.group;
  group.parent = flags & CLONE_PARENT ? source.parent : source;
  group.parent?.children.add(group);
  group.madeBy = flags & CLONE_PARENT ? source.madeBy : parent.tid;
  if (flags & CLONE_SIGHAND) {
    group.actions = source.actions;
    group.actions.users++;
  } else {
    group.actions = source.actions.copy();
    if (flags >= CLONE_CLEAR_SIGHAND) group.actions.resetHandlers();
  }
  group.limits = source.limits.copy();
  group.exitSignal = flags & CLONE_PARENT ? source.exitSignal : exitSignal;
  group.inherit(source);
  enlist('groups', group);
  const { pidNamespace } = group;
  pidNamespace.init ??= group;
  joinProcessGroup(group, source.processGroup);
  watchCpuLimit(group);
}

/** The child's number for the one that made it. */
function seenBy(parent: Task, child: Task): Pid {
  return numberIn(parent.pidNamespace, child);
}

function writeTids(parent: Task, child: Task, { flags, parentTid, childTid }: CloneArguments): void {
  if (flags & CLONE_PARENT_SETTID) writeTid(parent, parentTid, seenBy(parent, child));
  if (flags & CLONE_CHILD_SETTID && flags & CLONE_VM) writeTid(parent, childTid, child.localTid);
}

function writeTid(parent: Task, address: number, tid: number): void {
  const at = parent.memory.out(address as UserAddress, 4);
  if (at >= 0) i32[at >>> 2] = tid;
}

function orderFork(parent: Task, child: Task, { flags, stack, childTid }: CloneArguments): void {
  const clear = flags & CLONE_CHILD_CLEARTID ? childTid : 0;
  const set = flags & CLONE_CHILD_SETTID ? childTid : 0;
  order(parent.memory.slot, ORDER_FORK, child.memory.slot, child.localTid, clear, set, slotFd(parent.block), stack);
  expectProcess(child.mm, parent.mm);
}

function orderThread(parent: Task, child: Task, args: CloneArguments, fresh: boolean): void {
  const { flags, stack, tls, childTid } = args;
  const hostFlags = HOST_THREAD_FLAGS | (flags & CLONE_SETTLS);
  const clear = flags & CLONE_CHILD_CLEARTID ? childTid : 0;
  const fd = fresh ? slotFd(parent.block) : 0;
  order(parent.memory.slot, ORDER_THREAD, child.memory.slot, child.block, stack, tls, clear, hostFlags, fd);
}

/** The hello of a child that was asked for it: it goes on to its program, which sees 0 (or what the stub has put into rax). */
export function childSaidHello(child: Task): void {
  if (child.initialTls !== 0) {
    order(child.memory.slot, ORDER_BASES, child.initialTls, 0, 1);
    child.initialTls = 0;
  }
  tellShiftedTime(child);
  complete(child, 0, 0);
}

/** The orders of a vfork are done: the parent waits until the child has executed a program or is gone. */
export function vforkOrdersDone(parent: Task): void {
  const child = parent.pendingObject as Task;
  if (parent.tracing !== null && stopForVfork(parent, parent.tracing)) return;
  if (child.vforkParent === parent && child.state !== DEAD) parent.state = WITHHELD;
  else vforkDone(parent, child);
}

/** The child gives its parent's address space back: exec or exit. */
export function vforkReleased(child: Task): void {
  const parent = child.vforkParent;
  if (!parent) return;
  child.vforkParent = null;
  if (parent.state !== WITHHELD) return;
  beginAnswer(parent);
  vforkDone(parent, child);
}

function vforkDone(parent: Task, child: Task): void {
  if (parent.tracing !== null) noteVforkDone(parent, parent.tracing, child);
  complete(parent, seenBy(parent, child));
}

/** The host could not make the child (a limit on processes or memory): it never was, and the call answers EAGAIN. */
export function cloneFailed(parent: Task): void {
  const child = parent.pendingObject;
  parent.pendingObject = null;
  if (parent.tracing !== null) forgetEvent(parent.tracing);
  // The stub of a child that has been heard of, or that was never ordered, does not say this.
  if (!(child instanceof Task) || child.hostTid !== 0) return killGroup(parent.group, SIGSEGV, parent);
  child.vforkParent = null;
  if (child.state !== DEAD) abandonTask(child);
  beginAnswer(parent);
  complete(parent, -EAGAIN);
}
