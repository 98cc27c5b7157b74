// --strace: one line a call, decoded by the table, like strace(1). Attached to the dispatcher only when asked for.

import { NUMBERS, TABLE } from '../../syscall-tables/table.ts';
import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTSYS } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../platform/arena.ts';
import type { CallTracer } from '../syscalls/dispatch.ts';
import { type ArgumentTexts, formatCall, formatResult, formatUnknown, formatWithoutResult } from '../trace/format.ts';
import type { GuestMemory } from '../trace/guest-memory.ts';

/** Calls that answer by themselves: no result is known when the handler is done. */
const CLONES = new Set(['clone', 'clone3', 'fork', 'vfork'].map((name) => NUMBERS.get(name)));

/** Calls that nobody comes back from, nor the sandbox with its first process: they are shown when they are made. */
const ENDS = new Set(['exit', 'exit_group'].map((name) => NUMBERS.get(name)));

/** Reads a task's memory as its call sees it: results that are about to be copied out first. */
class TaskMemory implements GuestMemory {
  task: Task | null = null;

  readMemory(address: number, length: number): Uint8Array | null {
    const { task } = this;
    if (!task) return null;
    const pending = task.memory.pendingResult(address as UserAddress, length);
    if (pending >= 0) return u8.slice(pending, pending + length);
    const mark = markScratch();
    const at = allocateScratch(length);
    const ok = at >= 0 && task.memory.read(address as UserAddress, at, length) === 0;
    const bytes = ok ? u8.slice(at, at + length) : null;
    releaseScratch(mark);
    return bytes;
  }

  readString(address: number): string | null {
    const { task } = this;
    if (!task) return null;
    const mark = markScratch();
    const text = task.memory.string(address as UserAddress);
    releaseScratch(mark);
    return typeof text === 'string' ? text : null;
  }
}

export class Strace implements CallTracer {
  private readonly write: (line: string) => void;
  private readonly memory = new TaskMemory();
  private readonly pending = new WeakMap<Task, ArgumentTexts>();

  constructor(write: (line: string) => void) {
    this.write = write;
  }

  enter(task: Task): void {
    const entry = TABLE[task.nr];
    this.memory.task = task;
    if (!entry) return;
    const texts = formatCall(entry, task.args, this.memory);
    if (ENDS.has(task.nr)) this.line(task, formatWithoutResult(entry, task.args, texts));
    else this.pending.set(task, texts);
  }

  leave(task: Task, result: number | undefined): void {
    if (ENDS.has(task.nr)) return;
    const entry = TABLE[task.nr];
    this.memory.task = task;
    const before = this.pending.get(task) ?? [];
    if (!entry) this.line(task, formatUnknown(task.nr, task.args, result ?? 0));
    else if (result !== undefined) this.line(task, formatResult(entry, task.args, before, shown(result), this.memory));
    else if (CLONES.has(task.nr))
      this.line(task, `${formatWithoutResult(entry, task.args, before).slice(0, -1)}${childOf(task)}`);
    else this.line(task, formatWithoutResult(entry, task.args, before));
  }

  private line(task: Task, text: string): void {
    this.write(`[${String(task.tid).padStart(5)}] ${text}\n`);
  }
}

/** Restart codes are the kernel's own; a program would see EINTR or nothing at all. */
function shown(result: number): number {
  return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK ? -EINTR : result;
}

function childOf(task: Task): string {
  const child = task.pendingObject as Task | null;
  return child ? String(child.tid) : '?';
}
