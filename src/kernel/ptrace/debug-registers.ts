// The debug registers of a traced thread (PTRACE_POKEUSER at u_debugreg), without the processor's: while one is in use the
// thread goes on in single steps, and its stub looks after each whether it stands at a watched instruction or a watched
// word has changed (ORDER_WATCH). Reads cannot be watched so, and are refused.

import { EINVAL, EIO, EOPNOTSUPP } from '../../abi/errno.ts';
import type { UserAddress } from '../../base/brands.ts';
import { order } from '../../platform/answer.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch } from '../../platform/arena.ts';
import { ORDER_WATCH, WATCH_EXECUTE, WATCH_NONE, WATCH_WRITE, WATCHES } from '../../platform/layout.ts';
import type { Task } from '../task.ts';

const STATUS = 6;
const CONTROL = 7;
const TASK_SIZE = 0x7ffffffff000n;
/** Bits of the status register that read as one; they are kept turned over. */
const STATUS_RESERVED = 0xffff0ff0n;
const STATUS_STEP = 0x4000n;
/** Per register: two enable bits from bit 0, two of kind and two of length from bit 16. */
const ENABLED = 3n;
const KIND_EXECUTE = 0n;
const KIND_WRITE = 1n;
const LENGTHS = [1, 2, 8, 4];

interface Watch {
  readonly address: number;
  readonly length: number;
  readonly kind: number;
  /** What a watched word held when it was looked at last. */
  value: string;
}

export class DebugRegisters {
  private readonly addresses = new BigUint64Array(WATCHES);
  private status = 0n;
  private control = 0n;
  private watches: (Watch | null)[] = [];
  /** Some are in use: the thread goes on in single steps. */
  active = false;
  /** The stub was told of those in use. */
  private ordered = false;

  get(index: number): bigint {
    if (index < WATCHES) return this.addresses[index];
    if (index === STATUS) return this.status ^ STATUS_RESERVED;
    return index === CONTROL ? this.control : 0n;
  }

  /** 0, -EIO, -EINVAL for what the processor would not take, -EOPNOTSUPP for a watch on reading. */
  set(index: number, value: bigint): number {
    if (index === STATUS) {
      this.status = value ^ STATUS_RESERVED;
      return 0;
    }
    if (index !== CONTROL && index >= WATCHES) return -EIO;
    if (index < WATCHES && value >= TASK_SIZE) return -EINVAL;
    const addresses = this.addresses.slice();
    if (index < WATCHES) addresses[index] = value;
    const control = index === CONTROL ? value : this.control;
    const watches = parseWatches(addresses, control);
    if (typeof watches === 'number') return watches;
    this.addresses.set(addresses);
    this.control = control;
    this.watches = watches;
    this.active = watches.some((watch) => watch !== null);
    return 0;
  }

  clear(): void {
    this.addresses.fill(0n);
    this.status = this.control = 0n;
    this.watches = [];
    this.active = false;
  }

  /** A new program: its stub knows of none. */
  forget(): void {
    this.clear();
    this.ordered = false;
  }

  /** With the answer that lets the thread go on; `steps`: its tracer sees each step, the stub has nothing to look for. */
  orderWatches(task: Task, steps: boolean): void {
    const wanted = this.active && !steps;
    if (!wanted && !this.ordered) return;
    this.ordered = wanted;
    for (let i = 0; i < WATCHES; i++) {
      const watch = wanted ? this.watches[i] : null;
      if (watch) {
        if (watch.kind === WATCH_WRITE) watch.value = valueAt(task, watch);
        order(task.memory.slot, ORDER_WATCH, i, watch.address, watch.length, watch.kind);
      } else order(task.memory.slot, ORDER_WATCH, i, 0, 0, WATCH_NONE);
    }
  }

  /** After a step, or a call: whether the thread stands where it is to stop, or what it must not change was changed. */
  isHit(task: Task, ip: number, step: boolean): boolean {
    let hit = false;
    for (const [i, watch] of this.watches.entries()) {
      if (watch === null || !happened(task, watch, ip)) continue;
      this.status |= 1n << BigInt(i);
      hit = true;
    }
    if (step) this.status |= STATUS_STEP;
    return hit;
  }
}

function happened(task: Task, watch: Watch, ip: number): boolean {
  if (watch.kind === WATCH_EXECUTE) return watch.address === ip;
  const before = watch.value;
  watch.value = valueAt(task, watch);
  return before !== watch.value;
}

function valueAt(task: Task, { address, length }: Watch): string {
  const mark = markScratch();
  const at = allocateScratch(length);
  const ok = at >= 0 && task.memory.readSome(address as UserAddress, at, length) === length;
  const value = ok ? readBytes(at, length) : '';
  releaseScratch(mark);
  return value;
}

function parseWatches(addresses: BigUint64Array, control: bigint): (Watch | null)[] | number {
  const watches: (Watch | null)[] = [];
  for (let i = 0; i < WATCHES; i++) {
    const enabled = (control >> BigInt(2 * i)) & ENABLED;
    const kind = (control >> BigInt(16 + 4 * i)) & 3n;
    const length = LENGTHS[Number((control >> BigInt(18 + 4 * i)) & 3n)];
    if (enabled === 0n) {
      watches.push(null);
      continue;
    }
    const address = Number(addresses[i]);
    if (kind === KIND_EXECUTE ? length !== 1 : address % length !== 0) return -EINVAL;
    if (kind !== KIND_EXECUTE && kind !== KIND_WRITE) return kind === 3n ? -EOPNOTSUPP : -EINVAL;
    watches.push({ address, length, kind: kind === KIND_EXECUTE ? WATCH_EXECUTE : WATCH_WRITE, value: '' });
  }
  return watches;
}
