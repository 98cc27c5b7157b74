// poll, ppoll, select and pselect6 on pipes: masks, bad descriptors, timeouts that are written back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EBADF, EINVAL, ERESTARTNOHAND } from '../../src/abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../../src/abi/poll.ts';
import { RLIMIT_NOFILE } from '../../src/abi/resource.ts';
import { SI_USER, SIGUSR1 } from '../../src/abi/signal.ts';
import type { Fd } from '../../src/base/brands.ts';
import { WAIT } from '../../src/kernel/block.ts';
import { signalInfo } from '../../src/kernel/signal-state.ts';
import { SCRATCH } from '../../src/platform/arena.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import { poll, ppoll, pselect6, select } from '../../src/syscalls/poll.ts';
import { drop } from '../../src/vfs/open-file.ts';
import { call, type FakeTask, isWoken, newTask, passTime, retry } from '../support/fake-guest.ts';

const AT = SCRATCH + (8 << 20);

function start(): { task: FakeTask; r: number; w: number } {
  const task = newTask();
  const at = task.memory.allocate(8);
  assert.equal(call(task, pipe2, at, 0), 0);
  return { task, r: 0, w: 1 };
}

function pollfds(task: FakeTask, ...fds: [fd: number, events: number][]): number {
  const at = task.memory.allocate(8 * fds.length);
  fds.forEach(([fd, events], i) => {
    task.memory.view.setInt32(at + 8 * i, fd, true);
    task.memory.view.setUint32(at + 8 * i + 4, events | 0xbad00000, true);
  });
  return at;
}

const revents = (task: FakeTask, at: number, i: number): number => task.memory.view.getUint16(at + 8 * i + 6, true);

function timespec(task: FakeTask, seconds: number, nanoseconds: number): number {
  const at = task.memory.allocate(16);
  task.memory.view.setBigInt64(at, BigInt(seconds), true);
  task.memory.view.setBigInt64(at + 8, BigInt(nanoseconds), true);
  return at;
}

function set(task: FakeTask, ...fds: number[]): number {
  const at = task.memory.allocate(128);
  for (const fd of fds) task.memory.bytes[at + (fd >> 3)] |= 1 << (fd & 7);
  return at;
}

test('poll answers per descriptor', () => {
  const { task, r, w } = start();
  const fds = pollfds(task, [r, POLLIN], [w, POLLOUT], [-1, POLLIN], [77, POLLIN]);
  assert.equal(call(task, poll, fds, 4, -1), 2);
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => revents(task, fds, i)),
    [0, POLLOUT, 0, POLLNVAL],
  );
  drop(task.files.remove(w as Fd)!);
  assert.equal(call(task, poll, fds, 1, -1), 1);
  assert.equal(revents(task, fds, 0), POLLHUP);
  assert.equal(call(task, poll, 8, 1, 0), -14);
  task.group.limits.soft[RLIMIT_NOFILE] = 3;
  assert.equal(call(task, poll, fds, 4, 0), -EINVAL);
  assert.equal(call(task, poll, 0, 0, 0), 0);
});

test('poll waits for any of its files, and times out', () => {
  const { task, r, w } = start();
  const fds = pollfds(task, [r, POLLIN], [r, 0]);
  assert.equal(call(task, poll, fds, 2, 100), WAIT);
  task.files.get(w as Fd)!.write(AT, 1, 0);
  assert.ok(isWoken(task));
  assert.equal(retry(task, poll, fds, 2, 100), 1);
  assert.equal(revents(task, fds, 0), POLLIN);
  task.files.get(r as Fd)!.read(AT, 1, 0);
  assert.equal(call(task, poll, fds, 2, 0), 0);
  assert.equal(call(task, poll, fds, 2, 100), WAIT);
  passTime(101e6);
  assert.ok(isWoken(task));
  task.deadline = 0;
  assert.equal(retry(task, poll, fds, 2, 100), 0);
  assert.equal(revents(task, fds, 0), 0);
});

test('ppoll writes the rest of its time back and borrows a mask', () => {
  const { task, r } = start();
  const fds = pollfds(task, [r, POLLIN]);
  const time = timespec(task, 5, 500);
  const empty = task.memory.allocate(8);
  task.maskLow = 1 << (SIGUSR1 - 1);
  assert.equal(call(task, ppoll, fds, 1, time, empty, 8), WAIT);
  assert.equal(task.maskLow, 0);
  task.pending.add(signalInfo(SIGUSR1, SI_USER));
  assert.equal(retry(task, ppoll, fds, 1, time, empty, 8), -ERESTARTNOHAND);
  assert.equal(task.memory.view.getBigInt64(time, true), 4n);
  assert.equal(call(task, ppoll, fds, 1, timespec(task, 1, 1e9), 0, 0), -EINVAL);
  assert.equal(call(task, ppoll, fds, 1, timespec(task, -1, 0), 0, 0), -EINVAL);
  assert.equal(call(task, ppoll, fds, 1, timespec(task, 0, 0), 0, 0), 0);
});

test('select clears what is not ready and counts every bit', () => {
  const { task, r, w } = start();
  const read = set(task, r, w);
  const write = set(task, w);
  task.files.get(w as Fd)!.write(AT, 1, 0);
  assert.equal(call(task, select, 2, read, write, 0, 0), 2);
  assert.equal(task.memory.bytes[read], 1 << r);
  assert.equal(task.memory.bytes[write], 1 << w);
  drop(task.files.remove(r as Fd)!);
  assert.equal(task.files.get(w as Fd)!.poll() & POLLERR, POLLERR);
  assert.equal(call(task, select, 2, set(task, w), 0, 0, timespec(task, 0, 0)), 1);
  assert.equal(call(task, select, 2, set(task, r), 0, 0, 0), -EBADF);
  assert.equal(call(task, select, 1000, set(task, 999), 0, 0, timespec(task, 0, 0)), 0, 'beyond the table');
  assert.equal(call(task, select, -1, 0, 0, 0, 0), -EINVAL);
});

test('select waits, and keeps the sets when a signal comes', () => {
  const { task, r, w } = start();
  const read = set(task, r);
  const time = timespec(task, 3, 1_500_000);
  assert.equal(call(task, select, 1, read, 0, 0, time), WAIT);
  task.pending.add(signalInfo(SIGUSR1, SI_USER));
  assert.equal(retry(task, select, 1, read, 0, 0, time), -ERESTARTNOHAND);
  assert.equal(task.memory.bytes[read], 1 << r);
  assert.equal(task.memory.view.getBigInt64(time, true), 4n, '3 s and 1500000 µs are 4.5 s');
  task.pending.take(SIGUSR1);
  assert.equal(call(task, pselect6, 1, read, 0, 0, 0, 0), WAIT);
  task.files.get(w as Fd)!.write(AT, 1, 0);
  assert.ok(isWoken(task));
  assert.equal(retry(task, pselect6, 1, read, 0, 0, 0, 0), 1);
});
