// A stopped thread's registers. They lie in the signal frame in which its stub waits, in its own memory: the slot says
// where (H_CONTEXT), they are read from there when the thread stops, and written back before it goes on. What a tracer
// stores is only what the program could load into its registers by itself: the host's rt_sigreturn checks the flags and
// the vector state again, segment selectors cannot be changed, and the bases stay below the kernel's half.

import { EFAULT, EINVAL, EIO } from '../../abi/errno.ts';
import {
  EFLAGS_SETTABLE,
  EFLAGS_TF,
  FPREGS_SIZE,
  REG_CS,
  REG_DS,
  REG_EFLAGS,
  REG_ES,
  REG_FS,
  REG_FS_BASE,
  REG_GS,
  REG_GS_BASE,
  REG_R8,
  REG_R9,
  REG_R10,
  REG_R11,
  REG_R12,
  REG_R13,
  REG_R14,
  REG_R15,
  REG_RAX,
  REG_RBP,
  REG_RBX,
  REG_RCX,
  REG_RDI,
  REG_RDX,
  REG_RIP,
  REG_RSI,
  REG_RSP,
  REG_SS,
  USER_REGS,
} from '../../abi/ptrace.ts';
import { allocateScratch, markScratch, readU64, releaseScratch, u8, u32 } from '../../platform/arena.ts';
import {
  BLOCK_SIZE,
  BLOCKS_ADDR,
  H_CONTEXT,
  H_FS_BASE,
  H_GS_BASE,
  MAX_BLOCKS,
  SLOT_SIZE,
} from '../../platform/layout.ts';
import { native } from '../../platform/native.ts';
import type { Task } from '../task.ts';

/** struct ucontext: the order of the registers from byte 40 on. */
const FRAME_ORDER = [
  REG_R8,
  REG_R9,
  REG_R10,
  REG_R11,
  REG_R12,
  REG_R13,
  REG_R14,
  REG_R15,
  REG_RDI,
  REG_RSI,
  REG_RBP,
  REG_RBX,
  REG_RDX,
  REG_RAX,
  REG_RCX,
  REG_RSP,
  REG_RIP,
  REG_EFLAGS,
];
const FRAME_REGISTERS = 40;
const FRAME_SEGMENTS = 18 * 8;
const FRAME_FPSTATE = 224 - FRAME_REGISTERS;
const FRAME_BYTES = FRAME_FPSTATE + 8;
const SEGMENTS = [REG_CS, REG_SS, REG_DS, REG_ES, REG_FS, REG_GS];

const TASK_SIZE = 0x7ffffffff000n;
const RESERVED_FLAG = 2n;

export class Registers {
  readonly words = new BigUint64Array(USER_REGS);
  /** They were changed since they were read. */
  dirty = false;
  basesDirty = false;
  /** User address of the frame, and of the floating point state in it. */
  frame = 0;
  fpstate = 0;

  /** Reads the registers of a thread whose stub waits in signal context. False if they are not where they must be. */
  load(task: Task): boolean {
    const header = (task.memory.slot * SLOT_SIZE) >>> 2;
    const frame = readU64(4 * (header + H_CONTEXT));
    if (frame < BLOCKS_ADDR || frame >= BLOCKS_ADDR + BLOCK_SIZE * MAX_BLOCKS) return false;
    const mark = markScratch();
    const at = allocateScratch(FRAME_BYTES);
    const ok = at >= 0 && native.vmRead(task.memory.hostPid, frame + FRAME_REGISTERS, at, FRAME_BYTES) === FRAME_BYTES;
    if (ok) this.take(at, header);
    releaseScratch(mark);
    this.frame = frame;
    return ok;
  }

  private take(at: number, header: number): void {
    const { words } = this;
    for (let i = 0; i < FRAME_ORDER.length; i++) words[FRAME_ORDER[i]] = bigAt(at + 8 * i);
    const segments = (at + FRAME_SEGMENTS) >>> 2;
    words[REG_CS] = BigInt(u32[segments] & 0xffff);
    words[REG_SS] = BigInt(u32[segments + 1] >>> 16);
    words[REG_DS] = words[REG_ES] = words[REG_FS] = words[REG_GS] = 0n;
    // Bases that were set and have not been ordered yet are not in the slot.
    if (!this.basesDirty) {
      words[REG_FS_BASE] = bigAt(4 * (header + H_FS_BASE));
      words[REG_GS_BASE] = bigAt(4 * (header + H_GS_BASE));
    }
    this.fpstate = readU64(at + FRAME_FPSTATE);
    this.dirty = false;
  }

  /** Writes back what was changed. */
  store(task: Task): void {
    if (!this.dirty) return;
    this.dirty = false;
    const mark = markScratch();
    const at = allocateScratch(FRAME_SEGMENTS);
    if (at >= 0) {
      for (let i = 0; i < FRAME_ORDER.length; i++) putBig(at + 8 * i, this.words[FRAME_ORDER[i]]);
      native.vmWrite(task.memory.hostPid, this.frame + FRAME_REGISTERS, at, FRAME_SEGMENTS);
    }
    releaseScratch(mark);
  }

  get(index: number): bigint {
    return this.words[index];
  }

  /** For the kernel itself. */
  put(index: number, value: bigint): void {
    const word = BigInt.asUintN(64, value);
    if (this.words[index] === word) return;
    this.words[index] = word;
    this.dirty = true;
  }

  /** What a tracer stores: 0, or -EIO for what no program may have in that register. */
  set(index: number, value: bigint): number {
    if (SEGMENTS.includes(index)) return (value & 0xffffn) === this.words[index] ? 0 : -EIO;
    if (index === REG_FS_BASE || index === REG_GS_BASE) {
      if (value >= TASK_SIZE) return -EIO;
      if (this.words[index] !== value) this.basesDirty = true;
      this.words[index] = value;
      return 0;
    }
    if (index === REG_EFLAGS) {
      const settable = BigInt(EFLAGS_SETTABLE);
      value = (this.words[index] & ~settable) | (value & settable) | RESERVED_FLAG;
    }
    this.put(index, value);
    return 0;
  }

  get stepping(): boolean {
    return (this.words[REG_EFLAGS] & BigInt(EFLAGS_TF)) !== 0n;
  }

  set stepping(on: boolean) {
    const flags = this.words[REG_EFLAGS] & ~BigInt(EFLAGS_TF);
    this.put(REG_EFLAGS, on ? flags | BigInt(EFLAGS_TF) : flags);
  }
}

function bigAt(at: number): bigint {
  const i = at >>> 2;
  return (BigInt(u32[i + 1]) << 32n) | BigInt(u32[i]);
}

function putBig(at: number, value: bigint): void {
  const i = at >>> 2;
  u32[i] = Number(value & 0xffffffffn);
  u32[i + 1] = Number(value >> 32n);
}

/** Copies whole registers to the arena. */
export function registersOut(registers: Registers, at: number, from: number, count: number): void {
  for (let i = 0; i < count; i++) putBig(at + 8 * i, registers.words[from + i]);
}

/** Takes whole registers from the arena, until one is refused: 0 or -EIO. */
export function registersIn(registers: Registers, at: number, from: number, count: number): number {
  for (let i = 0; i < count; i++) {
    const r = registers.set(from + i, bigAt(at + 8 * i));
    if (r < 0) return r;
  }
  return 0;
}

// ---- floating point and vector state: an XSAVE area, whose legacy part says at 464 how much of it there is ----

const SW_MAGIC = 464;
const SW_XFEATURES = 472;
const SW_XSTATE_SIZE = 480;
const SW_END = 512;
const FP_XSTATE_MAGIC1 = 0x46505853;
const XSTATE_BV = 512;
const XSTATE_HEADER_END = 576;
const XSTATE_MAX = 16384;
const X87 = 1;
const SSE = 2;
const MXCSR = 24;
const MXCSR_MASK = 28;
const DEFAULT_CONTROL_WORD = 0x37f;
const X87_END = 160;
const XMM_END = 416;

/** The thread's XSAVE area in its standard form, or -errno. Components in their initial state are spelt out. */
function readState(task: Task, registers: Registers): Uint8Array | number {
  const mark = markScratch();
  const at = allocateScratch(XSTATE_MAX);
  const got = at < 0 ? at : native.vmRead(task.memory.hostPid, registers.fpstate, at, XSTATE_MAX);
  const state = got >= FPREGS_SIZE ? u8.slice(at, at + got) : null;
  releaseScratch(mark);
  if (state === null) return -EIO;
  const size = u32At(state, SW_MAGIC) === FP_XSTATE_MAGIC1 ? u32At(state, SW_XSTATE_SIZE) : FPREGS_SIZE;
  if (size < FPREGS_SIZE || size > state.length || (size > FPREGS_SIZE && size < XSTATE_HEADER_END)) return -EIO;
  return state.subarray(0, size);
}

/** What the legacy part is when XRSTOR would not load it from there. */
function spellOutLegacy(state: Uint8Array): void {
  if (state.length === FPREGS_SIZE) return;
  const present = state[XSTATE_BV];
  if (!(present & X87)) {
    state.fill(0, 0, MXCSR);
    state.fill(0, MXCSR + 8, X87_END);
    state[0] = DEFAULT_CONTROL_WORD & 0xff;
    state[1] = DEFAULT_CONTROL_WORD >> 8;
  }
  if (!(present & SSE)) state.fill(0, X87_END, XMM_END);
}

/** PTRACE_GETFPREGS and NT_PRFPREG: 512 bytes; with `extended` NT_X86_XSTATE: as long as the CPU has it. -errno. */
export function floatingState(task: Task, registers: Registers, extended: boolean): Uint8Array | number {
  const state = readState(task, registers);
  if (typeof state === 'number') return state;
  const features = state.slice(SW_XFEATURES, SW_XFEATURES + 8);
  spellOutLegacy(state);
  state.fill(0, SW_MAGIC, SW_END);
  if (!extended) return state.subarray(0, FPREGS_SIZE);
  if (state.length === FPREGS_SIZE) return -EINVAL;
  // Where debuggers look for the set of components: xcr0.
  state.set(features, SW_MAGIC);
  return state;
}

/** The reverse, of as many bytes as `fresh` has: 0, -EINVAL for what XRSTOR would refuse, -EIO, -EFAULT. */
export function setFloatingState(task: Task, registers: Registers, fresh: Uint8Array, extended: boolean): number {
  const state = readState(task, registers);
  if (typeof state === 'number') return state;
  const description = state.slice(SW_MAGIC, SW_END);
  const features = u32At(state, SW_XFEATURES);
  spellOutLegacy(state);
  if (extended && state.length === FPREGS_SIZE) return -EINVAL;
  const known = u32At(state, MXCSR_MASK) || 0xffbf;
  if (extended && fresh.length < state.length) return -EFAULT;
  state.set(fresh.subarray(0, extended ? state.length : FPREGS_SIZE));
  state.set(description, SW_MAGIC);
  if (u32At(state, MXCSR) & ~known) return -EINVAL;
  if (state.length > FPREGS_SIZE) {
    if (!extended) state[XSTATE_BV] |= X87 | SSE;
    else if (u32At(state, XSTATE_BV) & ~features || u32At(state, XSTATE_BV + 4) !== 0) return -EINVAL;
    if (state.subarray(XSTATE_BV + 8, XSTATE_HEADER_END).some((byte) => byte !== 0)) return -EINVAL;
  }
  return writeState(task, registers, state);
}

function writeState(task: Task, registers: Registers, state: Uint8Array): number {
  const mark = markScratch();
  const at = allocateScratch(state.length);
  if (at >= 0) u8.set(state, at);
  const done = at < 0 ? at : native.vmWrite(task.memory.hostPid, registers.fpstate, at, state.length);
  releaseScratch(mark);
  return done === state.length ? 0 : -EIO;
}

function u32At(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
