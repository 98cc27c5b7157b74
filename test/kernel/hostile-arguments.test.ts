// The calls on a process's attributes with hostile arguments: whatever they get, they answer with a number that is an
// errno or a result, and never throw.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ANSWERED, ASKED, WAIT } from '../../src/kernel/block.ts';
import { deletePosixTimers } from '../../src/kernel/posix-timers.ts';
import { startSession } from '../../src/kernel/sessions.ts';
import type { Task } from '../../src/kernel/task.ts';
import { AddressSpace } from '../../src/mm/address-space.ts';
import * as aio from '../../src/syscalls/aio.ts';
import * as capability from '../../src/syscalls/capability.ts';
import * as credentials from '../../src/syscalls/credentials.ts';
import * as futex from '../../src/syscalls/futex.ts';
import * as intervalTimer from '../../src/syscalls/interval-timer.ts';
import * as keys from '../../src/syscalls/keys.ts';
import * as limits from '../../src/syscalls/limits.ts';
import * as lsm from '../../src/syscalls/lsm.ts';
import * as memoryPolicy from '../../src/syscalls/memory-policy.ts';
import * as posixTimer from '../../src/syscalls/posix-timer.ts';
import * as prctl from '../../src/syscalls/prctl.ts';
import * as random from '../../src/syscalls/random.ts';
import * as schedule from '../../src/syscalls/schedule.ts';
import * as session from '../../src/syscalls/session.ts';
import * as system from '../../src/syscalls/system.ts';
import * as time from '../../src/syscalls/time.ts';
import { entryByName } from '../../syscall-tables/table.ts';
import { DECODE_S32, DECODE_S64, DECODE_U32 } from '../../syscall-tables/types.ts';
import { call, newTask } from '../support/fake-guest.ts';

const FAMILIES = {
  aio,
  capability,
  credentials,
  futex,
  intervalTimer,
  keys,
  limits,
  lsm,
  memoryPolicy,
  posixTimer,
  prctl,
  random,
  schedule,
  session,
  system,
  time,
};

const EDGES = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  15,
  16,
  24,
  38,
  47,
  48,
  56,
  64,
  65,
  100,
  4096,
  4097,
  65536,
  65537,
  0x10000,
  0x100000,
  0x3ffff0,
  0x400000,
  0x41555856,
  0x19980330,
  0x20080522,
  0x7fffffff,
  0x80000000,
  0xffffffff,
  2 ** 32,
  2 ** 47,
  2 ** 53,
  2 ** 63,
  2 ** 64,
  -1,
  -2,
  -8,
  -16,
  -4096,
];

let seed = 42;
function below(limit: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return Math.floor(((seed >>> 0) / 4294967296) * limit);
}

/** A value as the dispatcher could have decoded it. */
function decoded(kind: number): number {
  const value = below(3) === 0 ? below(2 ** 32) : (EDGES[below(EDGES.length)] as number);
  if (kind === DECODE_S32) return value | 0;
  if (kind === DECODE_U32) return value >>> 0;
  if (kind === DECODE_S64) return value >= 2 ** 63 ? value - 2 ** 64 : value;
  return value < 0 ? value + 2 ** 64 : value;
}

type Handler = (task: Task, ...args: never[]) => number;

for (const [family, handlers] of Object.entries(FAMILIES)) {
  test(family, () => {
    const task = newTask();
    task.mm = new AddressSpace();
    task.mm.tasks.add(task);
    startSession(task.group);
    after(() => {
      deletePosixTimers(task.group);
      task.group.intervalTimers?.cancel();
    });
    for (let i = 0; i < 0x4000; i += 4) task.memory.view.setUint32(0x1000 + i, below(2 ** 32));
    for (const [name, handler] of Object.entries(handlers)) {
      const { args } = entryByName(name);
      for (let round = 0; round < 400; round++) {
        const values = args.map(({ decode }) => decoded(decode));
        // Some rounds with memory that can be read, and with small numbers in it.
        if (below(2) === 0)
          values.forEach((value, k) => {
            if (value > 0x10000) values[k] = 0x1000 + 8 * below(256);
          });
        if (below(4) === 0)
          for (let k = 0; k < 64; k++) task.memory.view.setUint32(0x1000 + 4 * below(1024), below(8), true);
        const label = `${name}(${values.join(', ')})`;
        const result = call(task, handler as Handler, ...values);
        assert.equal(typeof result, 'number', label);
        assert.ok(!Number.isNaN(result), label);
        if (result !== WAIT && result !== ANSWERED && result !== ASKED && result < 0)
          assert.ok(result > -600, `${label} = ${result}`);
      }
    }
  });
}
