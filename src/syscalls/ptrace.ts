// Tracing other tasks (ptrace(2)): one handler per request. Who traces whom is in kernel/ptrace/tracing.ts, how a traced
// task stops and goes on in kernel/ptrace/stops.ts.

import { EFAULT, EINVAL, EIO, ENODEV, EPERM, ERANGE, ESRCH } from '../abi/errno.ts';
import { ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS } from '../abi/prctl.ts';
import {
  FPREGS_SIZE,
  NT_PRFPREG,
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PEEKSIGINFO_ARGS_SIZE,
  PTRACE_ARCH_PRCTL,
  PTRACE_ATTACH,
  PTRACE_CONT,
  PTRACE_DETACH,
  PTRACE_GET_RSEQ_CONFIGURATION,
  PTRACE_GET_SYSCALL_INFO,
  PTRACE_GETEVENTMSG,
  PTRACE_GETFPREGS,
  PTRACE_GETREGS,
  PTRACE_GETREGSET,
  PTRACE_GETSIGINFO,
  PTRACE_GETSIGMASK,
  PTRACE_INTERRUPT,
  PTRACE_KILL,
  PTRACE_LISTEN,
  PTRACE_OLDSETOPTIONS,
  PTRACE_PEEKDATA,
  PTRACE_PEEKSIGINFO,
  PTRACE_PEEKSIGINFO_SHARED,
  PTRACE_PEEKTEXT,
  PTRACE_PEEKUSER,
  PTRACE_POKEDATA,
  PTRACE_POKETEXT,
  PTRACE_POKEUSER,
  PTRACE_SEIZE,
  PTRACE_SET_SYSCALL_INFO,
  PTRACE_SETFPREGS,
  PTRACE_SETOPTIONS,
  PTRACE_SETREGS,
  PTRACE_SETREGSET,
  PTRACE_SETSIGINFO,
  PTRACE_SETSIGMASK,
  PTRACE_SINGLESTEP,
  PTRACE_SYSCALL,
  PTRACE_SYSCALL_INFO_ENTRY,
  PTRACE_SYSCALL_INFO_EXIT,
  PTRACE_SYSCALL_INFO_NONE,
  PTRACE_SYSCALL_INFO_SECCOMP,
  PTRACE_SYSEMU,
  PTRACE_SYSEMU_SINGLESTEP,
  PTRACE_TRACEME,
  REG_FS_BASE,
  REG_GS_BASE,
  REG_ORIG_RAX,
  REG_R8,
  REG_R9,
  REG_R10,
  REG_RAX,
  REG_RDI,
  REG_RDX,
  REG_RIP,
  REG_RSI,
  REG_RSP,
  RSEQ_CONFIGURATION_SIZE,
  SYSCALL_INFO_SIZE,
  SYSCALL_INFO_USED,
  USER_DEBUGREG,
  USER_REGS,
  USER_SIZE,
} from '../abi/ptrace.ts';
import { AUDIT_ARCH_X86_64 } from '../abi/seccomp.ts';
import { SI_KERNEL, SIGKILL } from '../abi/signal.ts';
import type { UserAddress } from '../base/brands.ts';
import { findTask } from '../kernel/pid-namespaces.ts';
import {
  floatingState,
  type Registers,
  registersIn,
  registersOut,
  setFloatingState,
} from '../kernel/ptrace/registers.ts';
import {
  attach,
  detach,
  KNOWN_OPTIONS,
  link,
  resume,
  STOP_ENTER,
  STOP_EXIT,
  STOP_GROUP,
  STOP_SECCOMP,
  type Tracing,
  tracerOf,
  trapSeized,
} from '../kernel/ptrace/tracing.ts';
import { parseSiginfo, writeSiginfo } from '../kernel/signal-delivery.ts';
import { sanitizeMaskLow, signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup } from '../kernel/signals.ts';
import { DEAD, type Task, TRACED } from '../kernel/task.ts';
import { readForced, writeForced } from '../mm/forced-memory.ts';
import { allocateScratch, i32, readU64, u8, u32, writeU64 } from '../platform/arena.ts';
import { H_ARGS, SLOT_SIZE } from '../platform/layout.ts';

const WORD = 8;
const DEBUG_REGISTERS = 8;
/** si_code of a stop at a call: SIGTRAP with the flag of PTRACE_O_TRACESYSGOOD. */
const CALL_STOP = 0x85;
const NSIG = 64;
const SIGINFO_SIZE = 128;
const IOVEC_SIZE = 16;
const DATA_ARGUMENT = 3;
const ARGUMENT_REGISTERS = [REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9];

export function ptrace(task: Task, request: number, pid: number, address: UserAddress, data: UserAddress): number {
  if (request === PTRACE_TRACEME) return traceMe(task);
  const target = findTask(task, pid);
  if (!target) return -ESRCH;
  if (request === PTRACE_ATTACH) return attach(task, target, request, 0);
  if (request === PTRACE_SEIZE) return seize(task, target, address, data);
  const { tracing } = target;
  if (tracing === null || tracing.tracer !== task || target.state === DEAD) return -ESRCH;
  if (request === PTRACE_KILL) return kill(target);
  if (request === PTRACE_INTERRUPT) {
    if (!tracing.seized) return -EIO;
    trapSeized(target, tracing);
    return 0;
  }
  // Everything else is asked of a stopped thread.
  if (target.state !== TRACED || tracing.listening) return -ESRCH;
  return (
    goOn(target, tracing, request, data) ??
    memoryRequest(task, target, tracing, request, address, data) ??
    registerRequest(task, target, tracing, request, address, data) ??
    signalRequest(task, target, tracing, request, address, data) ??
    otherRequest(task, target, tracing, request, address, data)
  );
}

function traceMe(task: Task): number {
  const { group } = task;
  const { parent } = group;
  if (tracerOf(task) !== null || !parent) return -EPERM;
  let tracer = parent.leader;
  for (const thread of parent.threads) if (thread.tid === group.madeBy) tracer = thread;
  if (tracer.state === DEAD) return -EPERM;
  link(tracer, task, false, 0);
  return 0;
}

function seize(task: Task, target: Task, address: number, options: number): number {
  if (address !== 0 || !(options >= 0 && options < 2 ** 32) || options & ~KNOWN_OPTIONS) return -EIO;
  return attach(task, target, PTRACE_SEIZE, options);
}

function kill(target: Task): number {
  sendSignalToGroup(target.group, signalInfo(SIGKILL, SI_KERNEL));
  return 0;
}

// ---- going on ----

function goOn(target: Task, tracing: Tracing, request: number, signo: number): number | undefined {
  switch (request) {
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case PTRACE_SYSEMU:
    case PTRACE_SYSEMU_SINGLESTEP:
      if (!(signo >= 0 && signo <= NSIG)) return -EIO;
      resume(target, request, signo);
      return 0;
    case PTRACE_DETACH:
      if (!(signo >= 0 && signo <= NSIG)) return -EIO;
      detach(target, signo);
      return 0;
    case PTRACE_LISTEN:
      // Only where a stop of its group was told of, or news of one.
      if (!tracing.seized || tracing.stop !== STOP_GROUP) return -EIO;
      tracing.listening = true;
      // What has happened since is told at once.
      if (tracing.trap) resume(target, tracing.mode, 0);
      return 0;
    default:
      return undefined;
  }
}

// ---- memory ----

/** The word that a request brings, as it is: a double would round it. */
function dataWord(task: Task): [low: number, high: number] {
  const at = ((task.memory.slot * SLOT_SIZE) >>> 2) + H_ARGS + 2 * DATA_ARGUMENT;
  return [u32[at], u32[at + 1]];
}

function memoryRequest(
  task: Task,
  target: Task,
  tracing: Tracing,
  request: number,
  address: UserAddress,
  data: UserAddress,
): number | undefined {
  switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA: {
      const at = task.memory.out(data, WORD);
      if (at < 0) return at;
      return readForced(target.memory, address, at, WORD) === WORD ? 0 : -EIO;
    }
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA: {
      const at = allocateScratch(WORD);
      if (at < 0) return at;
      [u32[at >>> 2], u32[(at >>> 2) + 1]] = dataWord(task);
      return writeForced(target.memory, address, at, WORD) === WORD ? 0 : -EIO;
    }
    case PTRACE_PEEKUSER:
      return peekUser(task, tracing, address, data);
    case PTRACE_POKEUSER:
      return pokeUser(task, tracing, address);
    default:
      return undefined;
  }
}

function isUserWord(offset: number): boolean {
  return offset % WORD === 0 && offset >= 0 && offset < USER_SIZE;
}

function peekUser(task: Task, { registers, debug }: Tracing, offset: number, data: UserAddress): number {
  if (!isUserWord(offset)) return -EIO;
  const at = task.memory.out(data, WORD);
  if (at < 0) return at;
  if (offset < USER_REGS * WORD) registersOut(registers, at, offset / WORD, 1);
  else writeU64(at, isDebugRegister(offset) ? Number(debug.get((offset - USER_DEBUGREG) / WORD)) : 0);
  return 0;
}

function isDebugRegister(offset: number): boolean {
  return offset >= USER_DEBUGREG && offset < USER_DEBUGREG + DEBUG_REGISTERS * WORD;
}

function pokeUser(task: Task, { registers, debug }: Tracing, offset: number): number {
  if (!isUserWord(offset)) return -EIO;
  const [low, high] = dataWord(task);
  const value = (BigInt(high) << 32n) | BigInt(low);
  if (offset < USER_REGS * WORD) return registers.set(offset / WORD, value);
  return isDebugRegister(offset) ? debug.set((offset - USER_DEBUGREG) / WORD, value) : -EIO;
}

// ---- registers ----

function registerRequest(
  task: Task,
  target: Task,
  { registers }: Tracing,
  request: number,
  address: number,
  data: UserAddress,
): number | undefined {
  switch (request) {
    case PTRACE_GETREGS:
      return getGeneral(task, registers, data, USER_REGS * WORD);
    case PTRACE_SETREGS:
      return setGeneral(task, registers, data, USER_REGS * WORD);
    case PTRACE_GETFPREGS:
      return Math.min(0, getFloating(task, target, registers, data, FPREGS_SIZE, false));
    case PTRACE_SETFPREGS:
      return setFloating(task, target, registers, data, FPREGS_SIZE, false);
    case PTRACE_GETREGSET:
    case PTRACE_SETREGSET:
      return registerSet(task, target, registers, request === PTRACE_GETREGSET, address, data);
    case PTRACE_ARCH_PRCTL:
      return archPrctl(task, registers, data, address as UserAddress);
    default:
      return undefined;
  }
}

/** `length` bytes of struct user_regs_struct: 0 or -errno. */
function getGeneral(task: Task, registers: Registers, to: UserAddress, length: number): number {
  const at = task.memory.reserve(USER_REGS * WORD);
  if (at < 0) return at;
  registersOut(registers, at, 0, USER_REGS);
  task.memory.commit(to, at, length);
  return 0;
}

function setGeneral(task: Task, registers: Registers, from: UserAddress, length: number): number {
  const at = task.memory.in(from, length);
  return at < 0 ? at : registersIn(registers, at, 0, Math.floor(length / WORD));
}

/** At most `length` bytes of the floating point state; how many there were, or -errno. */
function getFloating(
  task: Task,
  target: Task,
  registers: Registers,
  to: UserAddress,
  length: number,
  extended: boolean,
): number {
  const state = floatingState(target, registers, extended);
  if (typeof state === 'number') return state;
  const used = Math.min(length, state.length);
  const at = task.memory.reserve(used);
  if (at < 0) return at;
  u8.set(state.subarray(0, used), at);
  task.memory.commit(to, at, used);
  return used;
}

function setFloating(
  task: Task,
  target: Task,
  registers: Registers,
  from: UserAddress,
  length: number,
  extended: boolean,
): number {
  const at = task.memory.in(from, length);
  return at < 0 ? at : setFloatingState(target, registers, u8.slice(at, at + length), extended);
}

const MAX_SET = 16384;

/** PTRACE_GETREGSET, PTRACE_SETREGSET: by an iovec, whose length becomes what there was. */
function registerSet(
  task: Task,
  target: Task,
  registers: Registers,
  reads: boolean,
  type: number,
  iovec: UserAddress,
): number {
  const at = task.memory.in(iovec, IOVEC_SIZE);
  if (at < 0) return at;
  const base = readU64(at) as UserAddress;
  const asked = readU64(at + WORD);
  if (type !== NT_PRSTATUS && type !== NT_PRFPREG && type !== NT_X86_XSTATE) return -EINVAL;
  if (asked % WORD !== 0) return -EINVAL;
  const most = type === NT_PRSTATUS ? USER_REGS * WORD : type === NT_PRFPREG ? FPREGS_SIZE : MAX_SET;
  let length = Math.min(asked, most);
  let r: number;
  if (type === NT_PRSTATUS) {
    r = reads ? getGeneral(task, registers, base, length) : setGeneral(task, registers, base, length);
  } else {
    const extended = type === NT_X86_XSTATE;
    r = reads
      ? getFloating(task, target, registers, base, length, extended)
      : setFloating(task, target, registers, base, length, extended);
    if (reads && r >= 0) length = r;
  }
  if (r < 0) return r === -EIO && type === NT_X86_XSTATE ? -ENODEV : r;
  const out = task.memory.out((iovec + WORD) as UserAddress, WORD);
  if (out < 0) return out;
  writeU64(out, length);
  return 0;
}

/** The bases of fs and gs, as arch_prctl(2) of the thread itself would. */
function archPrctl(task: Task, registers: Registers, option: number, address: UserAddress): number {
  const index = option === ARCH_GET_FS || option === ARCH_SET_FS ? REG_FS_BASE : REG_GS_BASE;
  if (option === ARCH_GET_FS || option === ARCH_GET_GS) {
    const at = task.memory.out(address, WORD);
    if (at < 0) return at;
    registersOut(registers, at, index, 1);
    return 0;
  }
  if (option !== ARCH_SET_FS && option !== ARCH_SET_GS) return -EINVAL;
  return registers.set(index, BigInt(address)) < 0 ? -EPERM : 0;
}

// ---- signals ----

function signalRequest(
  task: Task,
  target: Task,
  tracing: Tracing,
  request: number,
  address: UserAddress,
  data: UserAddress,
): number | undefined {
  switch (request) {
    case PTRACE_GETSIGINFO: {
      if (tracing.info === null) return -EINVAL;
      const at = task.memory.out(data, SIGINFO_SIZE);
      if (at < 0) return at;
      writeSiginfo(at, tracing.info);
      return 0;
    }
    case PTRACE_SETSIGINFO: {
      if (tracing.info === null) return -EINVAL;
      const at = task.memory.in(data, SIGINFO_SIZE);
      if (at < 0) return at;
      tracing.info = parseSiginfo(at);
      return 0;
    }
    case PTRACE_PEEKSIGINFO:
      return peekSiginfo(task, target, address, data);
    case PTRACE_GETSIGMASK: {
      if ((address as number) !== WORD) return -EINVAL;
      const at = task.memory.out(data, WORD);
      if (at < 0) return at;
      u32[at >>> 2] = target.hasSavedMask ? target.savedMaskLow : target.maskLow;
      u32[(at >>> 2) + 1] = target.hasSavedMask ? target.savedMaskHigh : target.maskHigh;
      return 0;
    }
    case PTRACE_SETSIGMASK: {
      if ((address as number) !== WORD) return -EINVAL;
      const at = task.memory.in(data, WORD);
      if (at < 0) return at;
      target.hasSavedMask = false;
      target.maskLow = sanitizeMaskLow(u32[at >>> 2]);
      target.maskHigh = u32[(at >>> 2) + 1] | 0;
      return 0;
    }
    default:
      return undefined;
  }
}

/** Pending signals without taking them: how many were copied. */
function peekSiginfo(task: Task, target: Task, args: UserAddress, data: UserAddress): number {
  const at = task.memory.in(args, PEEKSIGINFO_ARGS_SIZE);
  if (at < 0) return at;
  const offset = readU64(at);
  const flags = u32[(at + 8) >>> 2];
  const count = i32[(at + 12) >>> 2];
  if (flags & ~PTRACE_PEEKSIGINFO_SHARED || count < 0) return -EINVAL;
  const { queue } = flags & PTRACE_PEEKSIGINFO_SHARED ? target.group.pending : target.pending;
  const infos = queue.slice(offset, offset + count);
  for (const [i, info] of infos.entries()) {
    const to = allocateScratch(SIGINFO_SIZE);
    if (to < 0) return to;
    writeSiginfo(to, info);
    if (task.memory.write((data + SIGINFO_SIZE * i) as UserAddress, to, SIGINFO_SIZE) < 0) return i > 0 ? i : -EFAULT;
  }
  return infos.length;
}

// ---- the rest ----

function otherRequest(
  task: Task,
  target: Task,
  tracing: Tracing,
  request: number,
  address: UserAddress,
  data: UserAddress,
): number {
  switch (request) {
    case PTRACE_SETOPTIONS:
    case PTRACE_OLDSETOPTIONS:
      if (!((data as number) >= 0 && data < 2 ** 32) || data & ~KNOWN_OPTIONS) return -EINVAL;
      tracing.options = data;
      return 0;
    case PTRACE_GETEVENTMSG: {
      const at = task.memory.out(data, WORD);
      if (at < 0) return at;
      writeU64(at, tracing.message);
      return 0;
    }
    case PTRACE_GET_SYSCALL_INFO:
      return getCallInfo(task, tracing, address, data);
    case PTRACE_SET_SYSCALL_INFO:
      return setCallInfo(task, tracing, address, data);
    case PTRACE_GET_RSEQ_CONFIGURATION: {
      if ((address as number) < RSEQ_CONFIGURATION_SIZE) return -EINVAL;
      const at = task.memory.out(data, RSEQ_CONFIGURATION_SIZE);
      if (at < 0) return at;
      u8.fill(0, at, at + RSEQ_CONFIGURATION_SIZE);
      writeU64(at, target.rseq.address);
      u32[(at + 8) >>> 2] = target.rseq.length;
      u32[(at + 12) >>> 2] = target.rseq.signature;
      return RSEQ_CONFIGURATION_SIZE;
    }
    default:
      return -EIO;
  }
}

/** Stops at calls are told from others only by what PTRACE_O_TRACESYSGOOD adds. */
function callOperation({ stop, info }: Tracing): number {
  if (stop === STOP_SECCOMP) return PTRACE_SYSCALL_INFO_SECCOMP;
  if (info === null || info.code !== CALL_STOP) return PTRACE_SYSCALL_INFO_NONE;
  if (stop === STOP_ENTER) return PTRACE_SYSCALL_INFO_ENTRY;
  return stop === STOP_EXIT ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_NONE;
}

const MAX_ERRNO = 4095n;

/** What a call stop is about, as far as `size` goes: how much there is to say. */
function getCallInfo(task: Task, tracing: Tracing, size: number, data: UserAddress): number {
  const { registers, message } = tracing;
  const operation = callOperation(tracing);
  const at = allocateScratch(SYSCALL_INFO_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + SYSCALL_INFO_SIZE);
  u8[at] = operation;
  u32[(at + 4) >>> 2] = AUDIT_ARCH_X86_64;
  registersOut(registers, at + 8, REG_RIP, 1);
  registersOut(registers, at + 16, REG_RSP, 1);
  if (operation === PTRACE_SYSCALL_INFO_EXIT) {
    registersOut(registers, at + 24, REG_RAX, 1);
    u8[at + 32] = BigInt.asUintN(64, -registers.get(REG_RAX) - 1n) < MAX_ERRNO ? 1 : 0;
  } else if (operation !== PTRACE_SYSCALL_INFO_NONE) {
    registersOut(registers, at + 24, REG_ORIG_RAX, 1);
    for (const [i, register] of ARGUMENT_REGISTERS.entries()) registersOut(registers, at + 32 + WORD * i, register, 1);
    if (operation === PTRACE_SYSCALL_INFO_SECCOMP) u32[(at + 80) >>> 2] = message;
  }
  const used = SYSCALL_INFO_USED[operation];
  task.memory.commit(data, at, Math.min(size, used));
  return used;
}

/** Changes the call that is entered, or the result of the one that is left. */
function setCallInfo(task: Task, tracing: Tracing, size: number, data: UserAddress): number {
  const { registers } = tracing;
  if (size < SYSCALL_INFO_SIZE) return -EINVAL;
  const at = task.memory.in(data, SYSCALL_INFO_SIZE);
  if (at < 0) return at;
  const operation = callOperation(tracing);
  // Flags and the place of the call cannot be changed.
  if ((u32[at >>> 2] & 0xffffff00) !== 0 || u8[at] !== operation) return -EINVAL;
  if (operation === PTRACE_SYSCALL_INFO_EXIT) return registersIn(registers, at + 24, REG_RAX, 1);
  if (operation === PTRACE_SYSCALL_INFO_NONE) return -EINVAL;
  if (operation === PTRACE_SYSCALL_INFO_SECCOMP && u32[(at + 84) >>> 2] !== 0) return -EINVAL;
  const number = i32[(at + 24) >>> 2];
  if (i32[(at + 28) >>> 2] !== (number < 0 ? -1 : 0)) return -ERANGE;
  registersIn(registers, at + 24, REG_ORIG_RAX, 1);
  for (const [i, register] of ARGUMENT_REGISTERS.entries()) registersIn(registers, at + 32 + WORD * i, register, 1);
  return 0;
}
