// epoll: levels, edges, one-shots, nesting, and what happens to closed files.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EBADF, EEXIST, EINTR, EINVAL, ELOOP, ENOENT, EPERM } from '../../src/abi/errno.ts';
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  POLLIN,
} from '../../src/abi/poll.ts';
import { SI_USER, SIGUSR1 } from '../../src/abi/signal.ts';
import type { Fd } from '../../src/base/brands.ts';
import { WAIT } from '../../src/kernel/block.ts';
import { signalInfo } from '../../src/kernel/signal-state.ts';
import { SCRATCH, u32 } from '../../src/platform/arena.ts';
import { epoll_create1, epoll_ctl, epoll_pwait, epoll_wait } from '../../src/syscalls/epoll.ts';
import { eventfd2 } from '../../src/syscalls/eventfd.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import { drop, retain } from '../../src/vfs/open-file.ts';
import { call, type FakeTask, isWoken, newTask, passTime, retry } from '../support/fake-guest.ts';

const AT = SCRATCH + (8 << 20);

interface Event {
  events: number;
  low: number;
  high: number;
}

class Poller {
  readonly task: FakeTask;
  readonly epfd: number;
  readonly at: number;

  constructor(task: FakeTask) {
    this.task = task;
    this.epfd = call(task, epoll_create1, 0);
    this.at = task.memory.allocate(12 * 64);
  }

  ctl(op: number, fd: number, events: number, low = fd, high = 0): number {
    const { view } = this.task.memory;
    view.setUint32(this.at, events >>> 0, true);
    view.setUint32(this.at + 4, low, true);
    view.setUint32(this.at + 8, high, true);
    return call(this.task, epoll_ctl, this.epfd, op, fd, this.at);
  }

  /** Ready events without waiting. */
  wait(max = 64): Event[] {
    return this.events(call(this.task, epoll_wait, this.epfd, this.at, max, 0));
  }

  events(count: number): Event[] {
    assert.ok(count >= 0, `epoll_wait: ${count}`);
    const { view } = this.task.memory;
    return Array.from({ length: count }, (_, i) => ({
      events: view.getUint32(this.at + 12 * i, true),
      low: view.getUint32(this.at + 12 * i + 4, true),
      high: view.getUint32(this.at + 12 * i + 8, true),
    }));
  }

  fds(max = 64): number[] {
    return this.wait(max).map((event) => event.low);
  }
}

function makePipe(task: FakeTask): [number, number] {
  const at = task.memory.allocate(8);
  assert.equal(call(task, pipe2, at, 0), 0);
  return [task.memory.view.getInt32(at, true), task.memory.view.getInt32(at + 4, true)];
}

function write(task: FakeTask, fd: number, n = 1): number {
  return task.files.get(fd as Fd)?.write(AT, n, 0) ?? -EBADF;
}

function read(task: FakeTask, fd: number, n = 1): number {
  return task.files.get(fd as Fd)?.read(AT, n, 0) ?? -EBADF;
}

function add(task: FakeTask, fd: number): void {
  u32[AT >> 2] = 1;
  u32[(AT >> 2) + 1] = 0;
  assert.equal(task.files.get(fd as Fd)?.write(AT, 8, 0), 8);
}

function close(task: FakeTask, fd: number): void {
  const file = task.files.remove(fd as Fd);
  assert.ok(file);
  drop(file);
}

test('levels are reported again and again, with the data as it came', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const [r, w] = makePipe(task);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, r, EPOLLIN, 0xdeadbeef, 0xfff80000), 0);
  assert.deepEqual(epoll.wait(), []);
  write(task, w, 2);
  const seen = { events: EPOLLIN, low: 0xdeadbeef, high: 0xfff80000 };
  assert.deepEqual(epoll.wait(), [seen]);
  read(task, r);
  assert.deepEqual(epoll.wait(), [seen]);
  read(task, r);
  assert.deepEqual(epoll.wait(), []);
  close(task, w);
  assert.deepEqual(epoll.wait(), [{ ...seen, events: EPOLLHUP }]);
});

test('edges are reported once per wake', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const [r, w] = makePipe(task);
  write(task, w);
  epoll.ctl(EPOLL_CTL_ADD, r, EPOLLIN | EPOLLET);
  assert.deepEqual(epoll.fds(), [r]);
  assert.deepEqual(epoll.fds(), []);
  write(task, w);
  assert.deepEqual(epoll.fds(), [r]);
  assert.equal(epoll.ctl(EPOLL_CTL_MOD, r, EPOLLIN | EPOLLET), 0);
  assert.deepEqual(epoll.fds(), [r], 'MOD asks again');
});

test('one-shots rest until they are armed again', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const [r, w] = makePipe(task);
  epoll.ctl(EPOLL_CTL_ADD, r, EPOLLIN | EPOLLONESHOT);
  write(task, w);
  assert.deepEqual(epoll.fds(), [r]);
  write(task, w);
  close(task, w);
  assert.deepEqual(epoll.fds(), []);
  epoll.ctl(EPOLL_CTL_MOD, r, EPOLLIN | EPOLLONESHOT);
  assert.deepEqual(epoll.fds(), [r]);
});

test('level-triggered items take turns', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const fds = [0, 1, 2].map(() => call(task, eventfd2, 1, 0));
  for (const fd of fds) epoll.ctl(EPOLL_CTL_ADD, fd, EPOLLIN);
  assert.deepEqual(epoll.fds(1), [fds[0]]);
  assert.deepEqual(epoll.fds(1), [fds[1]]);
  assert.deepEqual(epoll.fds(2), [fds[2], fds[0]]);
  assert.deepEqual(epoll.fds(3), [fds[1], fds[2], fds[0]]);
});

test('a waiting task is woken, and times out', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const fd = call(task, eventfd2, 0, 0);
  epoll.ctl(EPOLL_CTL_ADD, fd, EPOLLIN);
  const args = [epoll.epfd, epoll.at, 64, 50];
  assert.equal(call(task, epoll_wait, ...args), WAIT);
  assert.ok(!isWoken(task));
  add(task, fd);
  assert.ok(isWoken(task));
  assert.deepEqual(epoll.events(retry(task, epoll_wait, ...args)), [{ events: EPOLLIN, low: fd, high: 0 }]);
  read(task, fd, 8);
  assert.equal(call(task, epoll_wait, ...args), WAIT);
  passTime(51e6);
  assert.ok(isWoken(task));
  task.deadline = 0;
  assert.equal(retry(task, epoll_wait, ...args), 0);
});

test('a signal ends the wait, under the mask of the call', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const mask = task.memory.allocate(8);
  task.maskLow = 1 << (SIGUSR1 - 1);
  task.pending.add(signalInfo(SIGUSR1, SI_USER));
  assert.equal(call(task, epoll_wait, epoll.epfd, epoll.at, 1, -1), WAIT);
  assert.equal(call(task, epoll_pwait, epoll.epfd, epoll.at, 1, -1, mask, 8), -EINTR);
  assert.equal(call(task, epoll_pwait, epoll.epfd, epoll.at, 1, -1, mask, 4), -EINVAL);
  assert.equal(task.maskLow, 1 << (SIGUSR1 - 1));
});

test('registrations end with the file, not with the descriptor', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const [r, w] = makePipe(task);
  epoll.ctl(EPOLL_CTL_ADD, r, EPOLLIN);
  const file = task.files.get(r as Fd)!;
  retain(file);
  close(task, r);
  write(task, w);
  assert.deepEqual(epoll.fds(), [r], 'another reference keeps it');
  const [again] = makePipe(task);
  assert.equal(again, r);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, again, EPOLLIN), 0, 'the same number, another file');
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, again, EPOLLIN), -EEXIST);
  drop(file);
  assert.deepEqual(epoll.fds(), []);
  assert.equal(epoll.ctl(EPOLL_CTL_DEL, again, 0), 0);
  assert.equal(epoll.ctl(EPOLL_CTL_DEL, again, 0), -ENOENT);
});

test('what cannot be watched', () => {
  const task = newTask();
  const epoll = new Poller(task);
  const fd = call(task, eventfd2, 0, 0);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, epoll.epfd, EPOLLIN), -EINVAL);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, 99, EPOLLIN), -EBADF);
  assert.equal(epoll.ctl(7, fd, EPOLLIN), -EINVAL);
  assert.equal(epoll.ctl(EPOLL_CTL_MOD, fd, EPOLLIN), -ENOENT);
  assert.equal(call(task, epoll_ctl, fd, EPOLL_CTL_ADD, epoll.epfd, epoll.at), -EINVAL);
  assert.equal(call(task, epoll_wait, epoll.epfd, epoll.at, 0, 0), -EINVAL);
  assert.equal(call(task, epoll_wait, fd, epoll.at, 1, 0), -EINVAL);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), -EINVAL);
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE), 0);
  assert.equal(epoll.ctl(EPOLL_CTL_MOD, fd, EPOLLOUT), -EINVAL);
  const regular = Object.create(task.files.get(fd as Fd)!, { waitQueue: { value: null } });
  const number = task.files.install(regular, false, 100) as number;
  assert.equal(epoll.ctl(EPOLL_CTL_ADD, number, EPOLLIN), -EPERM);
});

test('instances watch instances, without cycles and not too deep', () => {
  const task = newTask();
  const chain = Array.from({ length: 6 }, () => new Poller(task));
  for (let i = 0; i < 4; i++) assert.equal(chain[i].ctl(EPOLL_CTL_ADD, chain[i + 1].epfd, EPOLLIN), 0);
  assert.equal(chain[4].ctl(EPOLL_CTL_ADD, chain[5].epfd, EPOLLIN), -ELOOP);
  assert.equal(chain[4].ctl(EPOLL_CTL_ADD, chain[0].epfd, EPOLLIN), -ELOOP);
  assert.equal(chain[1].ctl(EPOLL_CTL_ADD, chain[0].epfd, EPOLLIN), -ELOOP);
  const fd = call(task, eventfd2, 0, 0);
  assert.equal(chain[4].ctl(EPOLL_CTL_ADD, fd, EPOLLIN), 0);
  const outer = task.files.get(chain[0].epfd as Fd)!;
  assert.equal(outer.poll(), 0);
  add(task, fd);
  assert.equal(outer.poll() & POLLIN, POLLIN);
  assert.deepEqual(chain[0].fds(), [chain[1].epfd]);
  read(task, fd, 8);
  assert.deepEqual(chain[0].fds(), []);
});

test('the number of paths for a wake is bounded', () => {
  const task = newTask();
  const fd = call(task, eventfd2, 0, 0);
  const pollers = Array.from({ length: 30 }, () => new Poller(task));
  for (const poller of pollers.slice(0, 15)) assert.equal(poller.ctl(EPOLL_CTL_ADD, fd, EPOLLIN), 0);
  const results = new Set<number>();
  for (const top of pollers.slice(15)) {
    for (const below of pollers.slice(0, 15)) results.add(top.ctl(EPOLL_CTL_ADD, below.epfd, EPOLLIN));
  }
  assert.deepEqual([...results], [0], '225 paths of length two are allowed');
  const roof = new Poller(task);
  const last = pollers.slice(15).map((top) => roof.ctl(EPOLL_CTL_ADD, top.epfd, EPOLLIN));
  assert.equal(last.indexOf(-EINVAL), 6, '15 paths of length three each, 100 allowed');
});

test('of exclusive watchers the first that waits is woken', () => {
  const task = newTask();
  const fd = call(task, eventfd2, 0, 0);
  const waiters = [newTask(task.files), newTask(task.files), newTask(task.files)];
  const pollers = waiters.map((waiter) => new Poller(waiter));
  for (const poller of pollers) poller.ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE);
  for (const i of [1, 2]) {
    assert.equal(call(waiters[i], epoll_wait, pollers[i].epfd, pollers[i].at, 1, -1), WAIT);
  }
  add(task, fd);
  assert.deepEqual(waiters.map(isWoken), [false, true, false], 'the first is busy elsewhere');
});
