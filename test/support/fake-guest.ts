// Tasks for tests of system call handlers without a guest: their memory is a plain array, a call is a call of the
// handler, and a blocked one is retried by hand.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Pid, UserAddress } from '../../src/base/brands.ts';
import { monotonicNow } from '../../src/base/clock.ts';
import type { Credentials } from '../../src/base/credentials.ts';
import { NO_CAPABILITIES } from '../../src/base/credentials.ts';
import { initialUser } from '../../src/base/user-namespace.ts';
import { loadAddon } from '../../src/host/addon.ts';
import { cancelWaits, WAIT } from '../../src/kernel/block.ts';
import { kernel } from '../../src/kernel/kernel.ts';
import { Limits } from '../../src/kernel/limits.ts';
import { enlist, initialPids, strike } from '../../src/kernel/pid-namespaces.ts';
import { SignalActions } from '../../src/kernel/signal-state.ts';
import { restoreMask } from '../../src/kernel/signals.ts';
import { BLOCKED, SERVING, Task } from '../../src/kernel/task.ts';
import { fireTimers } from '../../src/kernel/timers.ts';
import type { AddressSpace } from '../../src/mm/address-space.ts';
import { UserMemory } from '../../src/mm/user-memory.ts';
import { bindArena, resetScratch, SCRATCH, SCRATCH_SIZE, u8 } from '../../src/platform/arena.ts';
import { native } from '../../src/platform/native.ts';
import type { FsContext } from '../../src/vfs/dentry.ts';
import { FdTable } from '../../src/vfs/fd-table.ts';
import { drop } from '../../src/vfs/open-file.ts';

const EFAULT = 14;
const SIZE = 1 << 22;

/** Binds the arena and loads the addon, once a process. */
export function setUp(): void {
  if (u8.length > 0) return;
  bindArena(new ArrayBuffer(SCRATCH + SCRATCH_SIZE));
  loadAddon(join(import.meta.dirname, '../../dist/cloister.node'));
  // No loop has waited yet: a turn lasts as long as a handler likes.
  native.clock[0] = Number.POSITIVE_INFINITY;
}

/** Guest memory from address 0x1000 to 4 MiB, as an array. */
export class FakeMemory extends UserMemory {
  readonly bytes = new Uint8Array(SIZE);
  readonly view = new DataView(this.bytes.buffer);
  private top = 0x1000;

  private valid(address: number, length: number): boolean {
    return address >= 0x1000 && address + length <= SIZE;
  }

  override read(address: UserAddress, at: number, length: number): number {
    if (!this.valid(address, length)) return length === 0 ? 0 : -EFAULT;
    u8.set(this.bytes.subarray(address, address + length), at);
    return 0;
  }

  override readSome(address: UserAddress, at: number, length: number): number {
    const n = Math.min(length, SIZE - address);
    return n <= 0 || this.read(address, at, n) < 0 ? -EFAULT : n;
  }

  override write(address: UserAddress, at: number, length: number): number {
    if (length === 0) return 0;
    if (!this.valid(address, length)) return -EFAULT;
    this.bytes.set(u8.subarray(at, at + length), address);
    return 0;
  }

  /** Room in guest memory. */
  allocate(length: number): UserAddress {
    const address = this.top;
    this.top += (length + 15) & ~15;
    assert.ok(this.top <= SIZE);
    return address as UserAddress;
  }

  /** A byte string in guest memory. */
  put(text: string): UserAddress {
    const address = this.allocate(text.length + 1);
    for (let i = 0; i < text.length; i++) this.bytes[address + i] = text.charCodeAt(i);
    return address;
  }

  get(address: number, length: number): string {
    return Buffer.from(this.bytes.buffer, address, length).toString('latin1');
  }
}

export class FakeTask extends Task {
  override readonly memory: FakeMemory = new FakeMemory();
}

const ROOT: Credentials = {
  uid: 0,
  gid: 0,
  euid: 0,
  egid: 0,
  suid: 0,
  sgid: 0,
  fsuid: 0,
  fsgid: 0,
  groups: [],
  effective: { low: -1, high: -1 },
  permitted: { low: -1, high: -1 },
  inheritable: NO_CAPABILITIES,
  bounding: { low: -1, high: -1 },
  ambient: NO_CAPABILITIES,
  securebits: 0,
  noNewPrivileges: false,
  user: initialUser,
};

let lastPid = 100;

/** A process of one thread, with its own descriptor table unless one is given. */
export function newTask(files = new FdTable(), credentials: Partial<Credentials> = {}): FakeTask {
  setUp();
  const pid = ++lastPid as Pid;
  const task = new FakeTask(
    { pidNamespace: initialPids, numbers: [pid] },
    null,
    null as unknown as AddressSpace,
    files,
    null as unknown as FsContext,
    { ...ROOT, ...credentials },
    'test',
  );
  task.group.limits = Limits.defaults();
  task.group.actions = new SignalActions();
  task.group.threads.add(task);
  enlist('tasks', task);
  enlist('groups', task.group);
  return task;
}

/** The process is gone, with its open files. */
export function endTask(task: FakeTask): void {
  cancelWaits(task);
  for (const file of task.files.takeForClose(true)) drop(file);
  task.files.end();
  strike('tasks', task);
  strike('groups', task.group);
}

type Handler = (task: Task, ...args: never[]) => number;

/** Makes a call; WAIT means that it blocks, to be gone on with by `retry`. */
export function call(task: FakeTask, handler: Handler, ...args: number[]): number {
  task.resumed = false;
  task.progress = 0;
  task.deadline = Number.POSITIVE_INFINITY;
  task.pendingObject = null;
  return serve(task, handler, args);
}

/** Whether something has woken the blocked task. */
export function isWoken(task: FakeTask): boolean {
  return task.queued;
}

/** Retries a blocked call. */
export function retry(task: FakeTask, handler: Handler, ...args: number[]): number {
  task.resumed = true;
  return serve(task, handler, args);
}

/** Lets the clock fire what is due by `ns` from now. */
export function passTime(ns: number): void {
  fireTimers(monotonicNow() + ns);
}

function serve(task: FakeTask, handler: Handler, args: number[]): number {
  cancelWaits(task);
  resetScratch();
  task.memory.beginAnswer();
  task.queued = false;
  task.state = SERVING;
  kernel.current = task;
  const result = handler(task, ...(args as never[]));
  if (result === WAIT) {
    assert.equal(task.state, BLOCKED);
    return result;
  }
  if (task.waitCount > 0) cancelWaits(task);
  restoreMask(task);
  return task.memory.flush() < 0 ? -EFAULT : result;
}
