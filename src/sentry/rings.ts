// What a ring means: whose it is and what it reports. Calls go to the dispatcher; interrupts, faults, hellos and the
// end of order lists are handled here.

import { ERESTART_RESTARTBLOCK, ERESTARTSYS } from '../abi/errno.ts';
import { SI_KERNEL, SIGSEGV } from '../abi/signal.ts';
import type { HostPid } from '../base/brands.ts';
import { watchAddressSpace } from '../kernel/address-spaces.ts';
import { beginAnswer, complete, completeWithSignal, sendWithDescriptor } from '../kernel/answer.ts';
import { childSaidHello, cloneFailed, vforkOrdersDone } from '../kernel/clone.ts';
import { execStackMapped, isPreparedExec, refuseWaitingExecs, serveWaitingExecs } from '../kernel/exec.ts';
import { exitDoomed, killGroup } from '../kernel/exit.ts';
import { takeMaskBack } from '../kernel/own-answers.ts';
import { letGo } from '../kernel/placement.ts';
import { reportArrived, tracedOrdersDone } from '../kernel/ptrace/stops.ts';
import { sanitizeMaskLow, signalInfo } from '../kernel/signal-state.ts';
import { RUNNING, SERVING, Task } from '../kernel/task.ts';
import { noteNumbers } from '../kernel/unheard.ts';
import { readU64, resetScratch, u32 } from '../platform/arena.ts';
import {
  ACT_SET_RETURN,
  H_ARGS,
  H_KIND,
  H_NR,
  H_RIP,
  H_RSP,
  KIND_FAULT,
  KIND_HELLO,
  KIND_INTERRUPT,
  KIND_ORDER_FAIL,
  KIND_ORDERS,
  KIND_SIGNAL_FAIL,
  KIND_SYSCALL,
  MAX_ORDERS,
  ORDER_FRAME,
  SLOT_ORDERS,
  SLOT_SIZE,
} from '../platform/layout.ts';
import { INFO_PID, LATE_RING, native } from '../platform/native.ts';
import { ownerOf } from '../platform/slots.ts';
import { Blank, firstZygote, Zygote } from '../platform/zygote.ts';
import { continueCall, dispatchCall } from '../syscalls/dispatch.ts';

const ZYGOTE_SLOT = 0;
const SYS_FUTEX = 202;

/** Serves the ring of a slot. The addon has checked that it is the slot's own thread that rang. */
export function serveRing(slot: number): void {
  if (slot === ZYGOTE_SLOT) return serveZygote(firstZygote, slot);
  if (slot >= LATE_RING) return serveLateRing(slot - LATE_RING);
  const owner = ownerOf(slot);
  if (owner instanceof Task) return serveTask(owner, u32[((slot * SLOT_SIZE) >>> 2) + H_KIND]);
  if (owner instanceof Blank) {
    owner.zygote.blankArrived(owner, native.info[INFO_PID] as HostPid);
    return serveWaitingExecs(owner.zygote);
  }
  if (owner instanceof Zygote) serveZygote(owner, slot);
}

/** A zygote's slot is mapped nowhere but in the zygote, which runs nothing but the stub. */
function serveZygote(zygote: Zygote, slot: number): void {
  const header = (slot * SLOT_SIZE) >>> 2;
  if (u32[header + H_KIND] === KIND_ORDER_FAIL) {
    zygote.blanksRefused(u32[header + H_ARGS]);
    refuseWaitingExecs(zygote);
  }
  zygote.rang();
}

/** The answer is written; now it can take its descriptor along. */
function serveLateRing(slot: number): void {
  const owner = ownerOf(slot);
  if (owner instanceof Task && owner.sentDescriptor >= 0) sendWithDescriptor(owner);
}

function serveTask(task: Task, kind: number): void {
  if (task.knownTid !== native.expected[task.memory.slot] && !meetThread(task)) return;
  // An honest thread asks one thing at a time.
  if (task.state !== RUNNING) return killGroup(task.group, SIGSEGV, null);
  task.interrupting = false;
  if (task.maskLent) takeMaskBack(task);
  if (kind === KIND_SYSCALL && !task.doomed && !task.asked) return dispatchCall(task);
  task.state = SERVING;
  resetScratch();
  if (kind !== KIND_ORDERS) beginAnswer(task);
  if (task.doomed) return exitDoomed(task);
  if (task.asked) {
    task.asked = false;
    // An honest stub reports the end of its orders now, and nothing else.
    return kind === KIND_ORDERS ? continueCall(task) : killGroup(task.group, SIGSEGV, task);
  }
  serveReport(task, kind);
}

/**
 * The first ring of a thread tells its host thread id, whatever its slot said; of a process, the process to watch. False if
 * it had said that it was another process.
 */
function meetThread(task: Task): boolean {
  const { mm, knownTid } = task;
  task.knownTid = native.expected[task.memory.slot] as HostPid;
  if (knownTid !== 0 && knownTid === mm.knownPid) {
    killGroup(task.group, SIGSEGV, null);
    return false;
  }
  if (mm.knownPid === 0) watchAddressSpace(mm, task.knownTid, task.block);
  noteNumbers(task);
  if (task.heldOn >= 0) letGo(task);
  return true;
}

function serveReport(task: Task, kind: number): void {
  // A stub that reads by itself asks before it reports anything else.
  if (kind !== KIND_ORDERS && kind !== KIND_ORDER_FAIL) task.directRead = 0;
  const { tracing } = task;
  if (tracing !== null) {
    if (kind === KIND_ORDERS && tracing.awaiting) return tracedOrdersDone(task, tracing);
    tracing.awaiting = false;
    if (kind !== KIND_ORDERS) reportArrived(tracing, -1);
  }
  const header = (task.memory.slot * SLOT_SIZE) >>> 2;
  switch (kind) {
    case KIND_HELLO:
      return childSaidHello(task);
    case KIND_INTERRUPT:
      return serveInterrupt(task, header);
    case KIND_FAULT:
      return serveFault(task, header);
    case KIND_ORDERS:
      beginAnswer(task);
      if (task.pendingObject instanceof Task) return vforkOrdersDone(task);
      if (isPreparedExec(task.pendingObject)) return execStackMapped(task);
      if (task.directRead > 0) return continueCall(task);
      return killGroup(task.group, SIGSEGV, task);
    case KIND_ORDER_FAIL:
      if (task.directRead > 0) {
        task.window.refuse();
        return continueCall(task);
      }
      // A clone that the host refused, or a program whose mappings failed past the point of no return.
      return cloneFailed(task);
    case KIND_SIGNAL_FAIL:
      return frameFailed(task, header);
    default:
      // Not something an honest stub says.
      return killGroup(task.group, SIGSEGV, task);
  }
}

/** The thread was told to report in. A native futex wait that this cut short is restarted or ends with EINTR. */
function serveInterrupt(task: Task, header: number): void {
  task.rip = readU64(4 * (header + H_RIP));
  task.rsp = readU64(4 * (header + H_RSP));
  if (u32[header + H_NR] !== SYS_FUTEX) return complete(task, 0, 0);
  task.nr = SYS_FUTEX;
  if (task.tracing !== null) reportArrived(task.tracing, SYS_FUTEX);
  const timeout = readU64(4 * (header + H_ARGS + 6));
  complete(task, timeout === 0 ? -ERESTARTSYS : -ERESTART_RESTARTBLOCK, ACT_SET_RETURN);
}

/**
 * The frame of a handler could not be written, or what sigreturn is to read is not there: SIGSEGV, which a handler of its own
 * may take, unless that was the one.
 */
function frameFailed(task: Task, header: number): void {
  const index = u32[header + H_ARGS];
  if (u32[header + H_ARGS + 2] === ORDER_FRAME && index < MAX_ORDERS) {
    const order = (task.memory.slot * SLOT_SIZE + SLOT_ORDERS + 64 * index) >>> 2;
    if (u32[order + 2] === SIGSEGV) return killGroup(task.group, SIGSEGV, task);
    // The handler does not run, so nothing is blocked for it.
    task.maskLow = sanitizeMaskLow(u32[order + 8]);
    task.maskHigh = u32[order + 9] | 0;
  }
  completeWithSignal(task, signalInfo(SIGSEGV, SI_KERNEL));
}

/** A CPU exception in the program: a signal that cannot be ignored or blocked without ending the process. */
function serveFault(task: Task, header: number): void {
  const signo = u32[header + H_NR];
  task.rip = readU64(4 * (header + H_RIP));
  task.rsp = readU64(4 * (header + H_RSP));
  const args = header + H_ARGS;
  const inStub = u32[args + 8];
  if (signo < 1 || signo > 31) return killGroup(task.group, SIGSEGV, task);
  if (inStub) return killGroup(task.group, signo, task);
  completeWithSignal(task, signalInfo(signo, u32[args] | 0, { valueLow: u32[args + 2], valueHigh: u32[args + 3] }));
}
