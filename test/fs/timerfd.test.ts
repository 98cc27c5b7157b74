// timerfd: clocks, absolute times, overruns without drift, and what settime reports.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EAGAIN, EBADF, EINVAL } from '../../src/abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../../src/abi/poll.ts';
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, TFD_TIMER_ABSTIME } from '../../src/abi/time.ts';
import type { Fd } from '../../src/base/brands.ts';
import { monotonicNow } from '../../src/base/clock.ts';
import { host } from '../../src/host/calls.ts';
import { readU64, SCRATCH } from '../../src/platform/arena.ts';
import { eventfd2 } from '../../src/syscalls/eventfd.ts';
import { timerfd_create, timerfd_gettime, timerfd_settime } from '../../src/syscalls/timerfd.ts';
import { drop } from '../../src/vfs/open-file.ts';
import { call, type FakeTask, newTask, passTime } from '../support/fake-guest.ts';

const AT = SCRATCH + (8 << 20);
const MILLISECOND = 1e6;

/** struct itimerspec in guest memory from nanoseconds. */
function spec(task: FakeTask, interval: number, value: number): number {
  const at = task.memory.allocate(32);
  [interval, value].forEach((ns, i) => {
    task.memory.view.setBigInt64(at + 16 * i, BigInt(Math.floor(ns / 1e9)), true);
    task.memory.view.setBigInt64(at + 16 * i + 8, BigInt(Math.floor(ns % 1e9)), true);
  });
  return at;
}

function times(task: FakeTask, at: number): [interval: number, value: number] {
  const { view } = task.memory;
  const ns = (from: number): number =>
    Number(view.getBigInt64(from, true)) * 1e9 + Number(view.getBigInt64(from + 8, true));
  return [ns(at), ns(at + 16)];
}

function read(task: FakeTask, fd: number): number {
  const n = task.files.get(fd as Fd)!.read(AT, 8, 0);
  return n < 0 ? n : readU64(AT);
}

function sleep(milliseconds: number): void {
  const end = monotonicNow() + milliseconds * MILLISECOND;
  while (monotonicNow() < end);
  passTime(0);
}

test('expires once, and rests', () => {
  const task = newTask();
  const fd = call(task, timerfd_create, CLOCK_MONOTONIC, 0);
  const file = task.files.get(fd as Fd)!;
  assert.equal(call(task, timerfd_settime, fd, 0, spec(task, 0, 5 * MILLISECOND), 0), 0);
  assert.equal(read(task, fd), -EAGAIN);
  const now = task.memory.allocate(32);
  assert.equal(call(task, timerfd_gettime, fd, now), 0);
  const [interval, left] = times(task, now);
  assert.equal(interval, 0);
  assert.ok(left > 0 && left <= 5 * MILLISECOND);
  sleep(6);
  assert.equal(file.poll(), POLLIN | POLLRDNORM);
  assert.equal(read(task, fd), 1);
  assert.equal(read(task, fd), -EAGAIN);
  call(task, timerfd_gettime, fd, now);
  assert.deepEqual(times(task, now), [0, 0]);
  assert.equal(file.read(AT, 4, 0), -EINVAL);
});

test('counts the intervals nobody looked at, and keeps their rhythm', () => {
  const task = newTask();
  const fd = call(task, timerfd_create, CLOCK_MONOTONIC, 0);
  const start = monotonicNow();
  call(task, timerfd_settime, fd, 0, spec(task, 2 * MILLISECOND, 2 * MILLISECOND), 0);
  sleep(11);
  const ticks = read(task, fd);
  const elapsed = (monotonicNow() - start) / (2 * MILLISECOND);
  assert.ok(ticks >= 5 && ticks <= elapsed, `${ticks} ticks in ${elapsed}`);
  const now = task.memory.allocate(32);
  call(task, timerfd_gettime, fd, now);
  const next = monotonicNow() + times(task, now)[1] - start;
  const off = next % (2 * MILLISECOND);
  assert.ok(Math.min(off, 2 * MILLISECOND - off) < 0.2 * MILLISECOND, `next expiration is ${off} ns off`);
  const old = task.memory.allocate(32);
  assert.equal(call(task, timerfd_settime, fd, 0, spec(task, 0, 0), old), 0);
  assert.equal(times(task, old)[0], 2 * MILLISECOND);
  sleep(3);
  assert.equal(read(task, fd), -EAGAIN);
});

test('absolute times of every clock, also past ones', () => {
  const task = newTask();
  for (const clock of [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME]) {
    const fd = call(task, timerfd_create, clock, 0);
    const at = host.clock_gettime(clock) + 20 * MILLISECOND;
    call(task, timerfd_settime, fd, TFD_TIMER_ABSTIME, spec(task, 0, at), 0);
    const now = task.memory.allocate(32);
    call(task, timerfd_gettime, fd, now);
    const left = times(task, now)[1];
    assert.ok(left > 10 * MILLISECOND && left <= 20.01 * MILLISECOND, `clock ${clock}: ${left}`);
    call(task, timerfd_settime, fd, TFD_TIMER_ABSTIME, spec(task, 0, 1), 0);
    passTime(0);
    assert.equal(read(task, fd), 1);
    drop(task.files.remove(fd as Fd)!);
  }
});

test('what is refused', () => {
  const task = newTask();
  assert.equal(call(task, timerfd_create, 3, 0), -EINVAL);
  assert.equal(call(task, timerfd_create, CLOCK_MONOTONIC, 1), -EINVAL);
  const fd = call(task, timerfd_create, CLOCK_MONOTONIC, 0);
  assert.equal(call(task, timerfd_settime, fd, 8, spec(task, 0, 1), 0), -EINVAL);
  const bad = spec(task, 0, 1);
  task.memory.view.setBigInt64(bad + 24, 1_000_000_000n, true);
  assert.equal(call(task, timerfd_settime, fd, 0, bad, 0), -EINVAL);
  assert.equal(call(task, timerfd_settime, 77, 0, spec(task, 0, 1), 0), -EBADF);
  const other = call(task, eventfd2, 0, 0);
  assert.equal(call(task, timerfd_settime, other, 0, spec(task, 0, 1), 0), -EINVAL);
});
