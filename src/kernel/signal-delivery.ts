// Delivering signals to a task that is about to go on: default actions, and frames for handlers. The stub builds the
// frame (it has the registers and the XSAVE area at hand) as ORDER_FRAME says; rt_sigreturn(2) takes it apart.

import {
  SA_NODEFER,
  SA_ONSTACK,
  SA_RESETHAND,
  SI_TIMER,
  SIG_DFL,
  SIG_IGN,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
  SS_AUTODISARM,
  SYS_SECCOMP,
} from '../abi/signal.ts';
import { order } from '../platform/answer.ts';
import { i32, u8, u32 } from '../platform/arena.ts';
import { ORDER_FRAME, SIGINFO_AREA, SLOT_ORDERS, SLOT_SIZE } from '../platform/layout.ts';
import { noteHandlerFlags } from './answer.ts';
import { killGroup } from './exit.ts';
import { bitHigh, bitLow, type SignalAction, type SignalInfo, signalInfo } from './signal-state.ts';
import { dequeueSignal, ignoredByDefault, sparesInit } from './signals.ts';
import { isStopSignal, stopGroup } from './stop.ts';
import type { Task } from './task.ts';

export const DELIVERED = 0;
/** The group was killed: there is nobody to answer. */
export const DELIVERED_FATAL = 1;

const SIGINFO_SIZE = 128;
/** More frames than this at once wait for the next report; the siginfo area holds 32. */
const MAX_FRAMES = 16;

let frames = 0;
let onAltstack = false;

export function resetDelivery(): void {
  frames = 0;
  onAltstack = false;
}

export function hasDeliveredFrame(): boolean {
  return frames > 0;
}

/** Takes pending signals until one kills, the group is stopped, or none is left. */
export function deliverSignals(task: Task): number {
  while (frames < MAX_FRAMES && !task.group.stopped) {
    const info = dequeueSignal(task, task.maskLow, task.maskHigh);
    if (!info) break;
    const action = task.group.actions.get(info.signo);
    if (action.handler === SIG_IGN || sparesInit(task.group, info)) continue;
    if (action.handler !== SIG_DFL) {
      pushFrame(task, info, action);
    } else if (isStopSignal(info.signo)) {
      stopGroup(task.group, info.signo);
    } else if (!ignoredByDefault(info.signo)) {
      killGroup(task.group, info.signo, task, info);
      return DELIVERED_FATAL;
    }
  }
  return DELIVERED;
}

export function pushFrame(task: Task, info: SignalInfo, action: SignalAction): void {
  if (frames === 0) noteHandlerFlags(action.flags);
  const base = task.memory.slot * SLOT_SIZE;
  const siginfo = SIGINFO_AREA + SIGINFO_SIZE * frames++;
  writeSiginfo(base + siginfo, info);
  const useAltstack = (action.flags & SA_ONSTACK) !== 0 && task.altstackSize > 0 && !isOnAltstack(task);
  const index = order(task.memory.slot, ORDER_FRAME, info.signo, action.handler, action.restorer);
  const words = (base + SLOT_ORDERS + 64 * index) >>> 2;
  u32[words + 8] = task.hasSavedMask ? task.savedMaskLow : task.maskLow;
  u32[words + 9] = task.hasSavedMask ? task.savedMaskHigh : task.maskHigh;
  u32[words + 10] = task.altstackBase;
  u32[words + 11] = Math.floor(task.altstackBase / 4294967296);
  u32[words + 12] = task.altstackSize;
  u32[words + 13] = Math.floor(task.altstackSize / 4294967296) | (useAltstack ? 0x80000000 : 0);
  u32[words + 14] = siginfo;
  if (useAltstack) onAltstack = true;
  if (task.altstackFlags & SS_AUTODISARM) task.altstackSize = task.altstackBase = task.altstackFlags = 0;
  task.hasSavedMask = false;
  task.maskLow |= action.maskLow;
  task.maskHigh |= action.maskHigh;
  if (!(action.flags & SA_NODEFER)) {
    task.maskLow |= bitLow(info.signo);
    task.maskHigh |= bitHigh(info.signo);
  }
  if (action.flags & SA_RESETHAND) task.group.actions.set(info.signo, { ...action, handler: SIG_DFL });
}

function isOnAltstack(task: Task): boolean {
  if (task.altstackFlags & SS_AUTODISARM) return false;
  return onAltstack || (task.rsp > task.altstackBase && task.rsp <= task.altstackBase + task.altstackSize);
}

/** Lays out siginfo_t (sigaction(2)) for the members that the code says are in use. */
export function writeSiginfo(at: number, info: SignalInfo): void {
  u8.fill(0, at, at + SIGINFO_SIZE);
  const word = at >>> 2;
  i32[word] = info.signo;
  i32[word + 1] = info.errno;
  i32[word + 2] = info.code;
  if (info.code > 0 && isFault(info.signo)) {
    u32[word + 4] = info.valueLow;
    u32[word + 5] = info.valueHigh;
    return;
  }
  if (info.signo === SIGSYS && info.code === SYS_SECCOMP) {
    u32[word + 4] = info.valueLow;
    u32[word + 5] = info.valueHigh;
    i32[word + 6] = info.status;
    u32[word + 7] = info.utime;
    return;
  }
  i32[word + 4] = info.pid;
  u32[word + 5] = info.uid;
  if (info.signo === SIGCHLD && info.code > 0) {
    i32[word + 6] = info.status;
    u32[word + 8] = info.utime;
    u32[word + 10] = info.stime;
    return;
  }
  if (info.code === SI_TIMER) {
    i32[word + 4] = info.utime;
    i32[word + 5] = info.stime;
  }
  u32[word + 6] = info.valueLow;
  u32[word + 7] = info.valueHigh;
}

/** The reverse of `writeSiginfo`. */
export function parseSiginfo(at: number): SignalInfo {
  const word = at >>> 2;
  const [signo, code] = [i32[word], i32[word + 2]];
  const info = signalInfo(signo, code, { errno: i32[word + 1] });
  if (code > 0 && isFault(signo)) {
    info.valueLow = u32[word + 4];
    info.valueHigh = u32[word + 5];
  } else if (signo === SIGSYS && code === SYS_SECCOMP) {
    info.valueLow = u32[word + 4];
    info.valueHigh = u32[word + 5];
    info.status = i32[word + 6];
    info.utime = u32[word + 7];
  } else if (signo === SIGCHLD && code > 0) {
    info.pid = i32[word + 4];
    info.uid = u32[word + 5];
    info.status = i32[word + 6];
    info.utime = u32[word + 8];
    info.stime = u32[word + 10];
  } else {
    info.pid = i32[word + 4];
    info.uid = u32[word + 5];
    info.utime = i32[word + 4];
    info.stime = i32[word + 5];
    info.valueLow = u32[word + 6];
    info.valueHigh = u32[word + 7];
  }
  return info;
}

function isFault(signo: number): boolean {
  return signo === SIGSEGV || signo === SIGBUS || signo === SIGFPE || signo === SIGILL || signo === SIGTRAP;
}
