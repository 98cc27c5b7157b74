// Sockets, pipes, epoll and the other files one waits for, under random calls with random arguments over random
// memory: every call answers a number, and nothing is thrown. The seed is printed when it fails.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fd } from '../../src/base/brands.ts';
import { cancelWaits, WAIT } from '../../src/kernel/block.ts';
import { kernel } from '../../src/kernel/kernel.ts';
import type { Task } from '../../src/kernel/task.ts';
import * as descriptor from '../../src/syscalls/descriptor.ts';
import * as epoll from '../../src/syscalls/epoll.ts';
import * as eventfd from '../../src/syscalls/eventfd.ts';
import * as file from '../../src/syscalls/file.ts';
import * as pidfd from '../../src/syscalls/pidfd.ts';
import * as pipe from '../../src/syscalls/pipe.ts';
import * as poll from '../../src/syscalls/poll.ts';
import * as signalfd from '../../src/syscalls/signalfd.ts';
import * as socket from '../../src/syscalls/socket.ts';
import * as socketMessage from '../../src/syscalls/socket-message.ts';
import * as timerfd from '../../src/syscalls/timerfd.ts';
import { drop } from '../../src/vfs/open-file.ts';
import { entryByName } from '../../syscall-tables/table.ts';
import { DECODE_S32, DECODE_S64, DECODE_U32 } from '../../syscall-tables/types.ts';
import { call, retry } from '../support/fake-guest.ts';
import { Guest, memoryTree, setUpHost } from '../support/file-tree.ts';

type Handler = (task: Task, ...args: never[]) => number;

const FAMILIES = { epoll, eventfd, pidfd, pipe, poll, signalfd, socket, socketMessage, timerfd };
const CALLS = 60_000;
const ARENA = 0x40000;

/** A small generator, so that a failure can be repeated. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}

const WORDS = [0, 1, 2, 3, 4, 8, 10, 16, 17, 28, 56, 64, 110, 0x800, 0x80000, 0x7fffffff, 0x80000000, 0xffffffff];

function handlers(): [string, Handler][] {
  const all = Object.values(FAMILIES).flatMap((family) => Object.entries(family)) as [string, Handler][];
  const { read, readv, write, writev } = file;
  const { dup, ioctl } = descriptor;
  for (const [name, handler] of Object.entries({ dup, ioctl, read, readv, write, writev })) all.push([name, handler]);
  // A real process would be needed to be killed.
  return all.filter(([name]) => name !== 'pidfd_send_signal');
}

test('random calls', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  const random = generator(seed);
  setUpHost();
  const guest = new Guest(memoryTree());
  const { task } = guest;
  const { memory } = task;
  const base = memory.allocate(ARENA);
  task.maskLow = task.maskHigh = -1;
  const all = handlers();
  const pick = <T>(list: readonly T[]): T => list[random(list.length)];

  const scribble = (): void => {
    for (let i = 0; i < 64; i++) {
      const at = base + 4 * random(ARENA / 4);
      const kind = random(4);
      const value = kind === 0 ? base + random(ARENA) : kind === 1 ? random(40) : pick(WORDS);
      memory.view.setUint32(at, value, true);
      if (kind === 0) memory.view.setUint32(at + 4 < base + ARENA ? at + 4 : at, 0, true);
    }
    // A name that can be bound or connected to, somewhere.
    const at = base + 8 * random(ARENA / 8 - 16);
    const family = pick([1, 2, 10, 16, 0]);
    memory.bytes.set([family, 0, 0x12, random(4), 127, 0, 0, 1, 0, 0, 0, 0], at);
    if (family === 1) memory.bytes.set([pick([0, 47]), 97 + random(3), 0], at + 2);
  };

  const argument = (name: string, index: number): number => {
    const spec = entryByName(name).args[index];
    const kind = random(12);
    let value: number;
    if (spec?.kind === 'fd') value = kind < 10 ? random(40) : pick([-1, 1000, -2147483648]);
    else if (kind < 5) value = base + 8 * random(ARENA / 8);
    else if (kind < 8) value = pick(WORDS);
    else if (kind < 11) value = random(200);
    else value = pick([2 ** 47, 2 ** 63, 2 ** 64 - 4096, 5]);
    if (spec?.decode === DECODE_S32) return value | 0;
    if (spec?.decode === DECODE_U32) return (value % 4294967296) >>> 0;
    if (spec?.decode === DECODE_S64 && value >= 2 ** 63) return value - 2 ** 64;
    return value;
  };

  const seen = new Map<number, number>();
  for (let n = 0; n < CALLS; n++) {
    if (n % 8 === 0) scribble();
    if (n % 97 === 0) {
      const fd = random(60) as Fd;
      const gone = task.files.remove(fd);
      kernel.current = task;
      if (gone) drop(gone);
    }
    const [name, handler] = pick(all);
    const args = Array.from({ length: 6 }, (_, i) => argument(name, i));
    const what = `seed ${seed}, call ${n}: ${name}(${args.join(', ')})`;
    try {
      let result = call(task, handler, ...args);
      if (result === WAIT && random(2) === 0) result = retry(task, handler, ...args);
      if (result === WAIT) cancelWaits(task);
      assert.ok(Number.isInteger(result), `${what} = ${result}`);
      seen.set(result, (seen.get(result) ?? 0) + 1);
    } catch (error) {
      throw new Error(what, { cause: error });
    }
    task.pending.discard(-1, -1);
    task.group.pending.discard(-1, -1);
  }
  assert.ok(seen.size > 25, `only ${seen.size} different results`);
  kernel.current = task;
  for (const gone of task.files.takeForClose(true)) drop(gone);
});
