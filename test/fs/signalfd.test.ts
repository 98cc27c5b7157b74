// signalfd and pidfd: signals of whoever reads, processes that end, signals and files across processes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EAGAIN, EBADF, EINVAL, EPERM, ESRCH } from '../../src/abi/errno.ts';
import { POLLHUP, POLLIN, POLLRDNORM } from '../../src/abi/poll.ts';
import { CLD_EXITED, SI_QUEUE, SI_USER, SIGCHLD, SIGKILL, SIGUSR1, SIGUSR2 } from '../../src/abi/signal.ts';
import type { Fd } from '../../src/base/brands.ts';
import { kernel } from '../../src/kernel/kernel.ts';
import { signalInfo } from '../../src/kernel/signal-state.ts';
import { sendSignalToGroup, sendSignalToTask } from '../../src/kernel/signals.ts';
import { i32, SCRATCH, u32 } from '../../src/platform/arena.ts';
import { eventfd2 } from '../../src/syscalls/eventfd.ts';
import { pidfd_getfd, pidfd_open, pidfd_send_signal } from '../../src/syscalls/pidfd.ts';
import { signalfd4 } from '../../src/syscalls/signalfd.ts';
import { call, type FakeTask, newTask } from '../support/fake-guest.ts';

const AT = SCRATCH + (8 << 20);
const bit = (signo: number): number => 1 << (signo - 1);

function mask(task: FakeTask, ...signals: number[]): number {
  const at = task.memory.allocate(8);
  for (const signo of signals) task.memory.bytes[at + ((signo - 1) >> 3)] |= 1 << ((signo - 1) & 7);
  return at;
}

test('takes pending signals in order, with what they carry', () => {
  const task = newTask();
  task.maskLow = task.maskHigh = -1;
  const fd = call(task, signalfd4, -1, mask(task, SIGUSR1, SIGCHLD, 40, SIGKILL), 8, 0);
  const file = task.files.get(fd as Fd)!;
  assert.equal(file.read(AT, 128, 0), -EAGAIN);
  const { signalQueue } = task.group;
  assert.equal(file.waitQueue, signalQueue);
  sendSignalToTask(task, signalInfo(SIGUSR2, SI_USER));
  assert.equal(file.poll(), 0, 'not in its mask');
  const fields = { pid: 7, uid: 8, status: 3, utime: 11, stime: 12 };
  sendSignalToGroup(task.group, signalInfo(SIGCHLD, CLD_EXITED, fields));
  sendSignalToTask(task, signalInfo(40, SI_QUEUE, { pid: 9, valueLow: 0x89abcdef, valueHigh: 1 }));
  sendSignalToTask(task, signalInfo(40, SI_QUEUE, { pid: 10 }));
  sendSignalToTask(task, signalInfo(SIGUSR1, SI_USER, { pid: 1, uid: 2 }));
  assert.equal(file.poll(), POLLIN | POLLRDNORM);
  assert.equal(file.read(AT, 127, 0), -EINVAL);
  assert.equal(file.read(AT, 3 * 128 + 5, 0), 3 * 128);
  const at = (i: number): number => (AT + 128 * i) >> 2;
  assert.deepEqual([u32[at(0)], u32[at(0) + 3], u32[at(0) + 4]], [SIGUSR1, 1, 2]);
  const child = [0, 2, 3, 4, 10].map((word) => i32[at(1) + word]);
  assert.deepEqual(child, [SIGCHLD, CLD_EXITED, 7, 8, 3]);
  assert.deepEqual([u32[at(1) + 14], u32[at(1) + 16]], [11, 12]);
  assert.deepEqual([u32[at(2)], u32[at(2) + 3], u32[at(2) + 12], u32[at(2) + 13]], [40, 9, 0x89abcdef, 1]);
  assert.equal(file.read(AT, 1280, 0), 128);
  assert.equal(task.pending.low, bit(SIGUSR2));
  assert.equal(call(task, signalfd4, fd, mask(task, SIGUSR2), 8, 0), fd);
  assert.equal(file.read(AT, 128, 0), 128);
});

test('means whoever reads', () => {
  const task = newTask();
  const other = newTask(task.files);
  task.maskLow = other.maskLow = -1;
  const fd = call(task, signalfd4, -1, mask(task, SIGUSR1), 8, 0);
  sendSignalToTask(other, signalInfo(SIGUSR1, SI_USER));
  const file = task.files.get(fd as Fd)!;
  assert.equal(file.read(AT, 128, 0), -EAGAIN);
  kernel.current = other;
  assert.equal(file.read(AT, 128, 0), 128);
  assert.equal(call(task, signalfd4, 99, mask(task), 8, 0), -EBADF);
  assert.equal(call(task, signalfd4, -1, mask(task), 4, 0), -EINVAL);
  assert.equal(call(task, signalfd4, call(task, eventfd2, 0, 0), mask(task), 8, 0), -EINVAL);
});

test('a pidfd tells the end of a process', () => {
  const task = newTask();
  const other = newTask();
  const fd = call(task, pidfd_open, other.tid, 0);
  assert.equal(task.files.closeOnExec[fd], true);
  const file = task.files.get(fd as Fd)!;
  assert.equal(file.poll(), 0);
  other.group.status = 0;
  assert.equal(file.poll(), POLLIN | POLLRDNORM);
  other.group.reaped = true;
  assert.equal(file.poll(), POLLIN | POLLRDNORM | POLLHUP);
  assert.equal(call(task, pidfd_send_signal, fd, SIGUSR1, 0, 0), -ESRCH);
  assert.equal(call(task, pidfd_open, 30000, 0), -ESRCH);
  assert.equal(call(task, pidfd_open, 0, 0), -EINVAL);
  assert.equal(call(task, pidfd_open, other.tid, 1), -EINVAL);
});

test('signals and files through a pidfd', () => {
  const task = newTask();
  const other = newTask();
  const weak = newTask(undefined, { uid: 5, euid: 5, suid: 5, effective: { low: 0, high: 0 } });
  other.maskLow = -1;
  const fd = call(task, pidfd_open, other.tid, 0);
  assert.equal(call(task, pidfd_send_signal, fd, SIGUSR1, 0, 0), 0);
  assert.equal(other.group.pending.take(SIGUSR1)?.pid, task.tid);
  assert.equal(call(task, pidfd_send_signal, fd, 0, 0, 0), 0);
  assert.equal(call(task, pidfd_send_signal, fd, SIGUSR1, 0, 8), -EINVAL);
  const info = task.memory.allocate(128);
  task.memory.view.setInt32(info, SIGUSR1, true);
  assert.equal(call(task, pidfd_send_signal, fd, SIGUSR1, info, 0), -EPERM, 'SI_USER may not be claimed');
  task.memory.view.setInt32(info + 8, SI_QUEUE, true);
  task.memory.view.setInt32(info + 24, 77, true);
  assert.equal(call(task, pidfd_send_signal, fd, SIGUSR1, info, 0), 0);
  assert.equal(other.group.pending.take(SIGUSR1)?.valueLow, 77);

  const event = call(other, eventfd2, 0, 0);
  const got = call(task, pidfd_getfd, fd, event, 0);
  assert.equal(task.files.get(got as Fd), other.files.get(event as Fd));
  assert.equal(call(task, pidfd_getfd, fd, 99, 0), -EBADF);
  assert.equal(call(task, pidfd_getfd, got, 0, 0), -EBADF);
  const weakFd = call(weak, pidfd_open, other.tid, 0);
  assert.equal(call(weak, pidfd_getfd, weakFd, event, 0), -EPERM);
  assert.equal(call(weak, pidfd_send_signal, weakFd, SIGUSR1, 0, 0), -EPERM);
});
