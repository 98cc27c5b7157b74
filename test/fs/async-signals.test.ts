// Signal-driven I/O: owners of files, the signals they are sent, and who may be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EINVAL, ESRCH } from '../../src/abi/errno.ts';
import {
  F_GETOWN,
  F_GETOWN_EX,
  F_GETSIG,
  F_OWNER_TID,
  F_SETFL,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETSIG,
  O_ASYNC,
} from '../../src/abi/fcntl.ts';
import { POLL_IN, SIGIO } from '../../src/abi/signal.ts';
import type { Fd } from '../../src/base/brands.ts';
import { SCRATCH } from '../../src/platform/arena.ts';
import { fcntl } from '../../src/syscalls/descriptor.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import { drop } from '../../src/vfs/open-file.ts';
import { call, newTask } from '../support/fake-guest.ts';

const AT = SCRATCH + (8 << 20);

test('the owner of a pipe hears of bytes', () => {
  const task = newTask();
  task.maskLow = task.maskHigh = -1;
  call(task, pipe2, task.memory.allocate(8), 0);
  const [r, w] = [task.files.get(0 as Fd)!, task.files.get(1 as Fd)!];
  assert.equal(call(task, fcntl, 0, F_GETOWN, 0), 0);
  assert.equal(call(task, fcntl, 0, F_SETOWN, 31999), -ESRCH);
  assert.equal(call(task, fcntl, 0, F_SETOWN, task.tid), 0);
  assert.equal(call(task, fcntl, 0, F_GETOWN, 0), task.tid);
  w.write(AT, 1, 0);
  assert.ok(!task.group.pending.has(SIGIO), 'not without O_ASYNC');
  call(task, fcntl, 0, F_SETFL, O_ASYNC);
  w.write(AT, 1, 0);
  assert.ok(task.group.pending.take(SIGIO));
  r.read(AT, 2, 0);
  assert.ok(!task.group.pending.has(SIGIO), 'a reader does not care for room');

  assert.equal(call(task, fcntl, 0, F_SETSIG, 65), -EINVAL);
  assert.equal(call(task, fcntl, 0, F_SETSIG, 40), 0);
  assert.equal(call(task, fcntl, 0, F_GETSIG, 0), 40);
  w.write(AT, 1, 0);
  const info = task.group.pending.take(40);
  assert.deepEqual([info?.code, info?.valueLow], [POLL_IN, 0]);
  call(task, fcntl, 0, F_SETFL, 0);
  w.write(AT, 1, 0);
  assert.ok(!task.group.pending.has(40));
});

test('threads and strangers', () => {
  const task = newTask();
  const stranger = newTask(undefined, { uid: 5, euid: 5, suid: 5 });
  const owner = newTask(task.files, { uid: 7, euid: 7, suid: 7 });
  for (const each of [task, stranger, owner]) each.maskLow = -1;
  call(owner, pipe2, owner.memory.allocate(8), 0);
  const at = owner.memory.allocate(8);
  owner.memory.view.setInt32(at, F_OWNER_TID, true);
  owner.memory.view.setInt32(at + 4, owner.tid, true);
  assert.equal(call(owner, fcntl, 0, F_SETOWN_EX, at), 0);
  owner.memory.view.setInt32(at, 9, true);
  assert.equal(call(owner, fcntl, 0, F_SETOWN_EX, at), -EINVAL);
  assert.equal(call(owner, fcntl, 0, F_GETOWN_EX, at), 0);
  assert.equal(owner.memory.view.getInt32(at, true), F_OWNER_TID);
  call(owner, fcntl, 0, F_SETFL, O_ASYNC);
  const writer = task.files.get(1 as Fd)!;
  writer.write(AT, 1, 0);
  assert.ok(owner.pending.take(SIGIO));
  call(owner, fcntl, 0, F_SETOWN, stranger.tid);
  writer.write(AT, 1, 0);
  assert.ok(!stranger.group.pending.has(SIGIO), 'not by somebody who may not signal it');
  drop(task.files.remove(0 as Fd)!);
  assert.equal(writer.write(AT, 1, 0), -32);
});
