// What tests have the sentry look at (base/invariants.ts) is seen when it does not hold.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fd } from '../../src/base/brands.ts';
import { violations } from '../../src/base/invariants.ts';
import { cancelWaits, waitOn } from '../../src/kernel/block.ts';
import { startSession } from '../../src/kernel/sessions.ts';
import { signalInfo } from '../../src/kernel/signal-state.ts';
import { armTimer, cancelTimer, Timer } from '../../src/kernel/timers.ts';
import { AddressSpace } from '../../src/mm/address-space.ts';
import { Checker } from '../../src/sentry/invariants.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import { Dentry, FsContext, type Mount } from '../../src/vfs/dentry.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { call, endTask, type FakeTask, newTask } from '../support/fake-guest.ts';

/** A process that has all that one has. */
function process(): FakeTask {
  const task = newTask();
  const path = { mount: { namespace: null } as Mount, dentry: new Dentry('', null, null) };
  task.mm = new AddressSpace();
  task.mm.tasks.add(task);
  task.fs = new FsContext(path, path, 0);
  startSession(task.group);
  assert.deepEqual(violations(), []);
  return task;
}

/** What is said when something was spoilt. */
function found(spoil: () => void, mend: () => void): string {
  spoil();
  const after = violations();
  mend();
  assert.deepEqual(violations(), []);
  return after.join('\n');
}

test('timers that are not in order', () => {
  const timers = [1, 2, 3].map((deadline) => {
    const timer = new Timer({ expire() {} });
    armTimer(timer, 1e15 + deadline);
    return timer;
  });
  const [first] = timers as [Timer];
  const late = found(
    () => (first.deadline += 100),
    () => (first.deadline -= 100),
  );
  assert.match(late, /is due before the one above it/);
  for (const timer of timers) cancelTimer(timer);
});

test('tasks, processes and descriptors that are not what others take them for', () => {
  const task = process();
  const { pending, files, mm, group } = task;
  pending.add(signalInfo(10, 0));
  const unqueued = found(
    () => (pending.low = 0),
    () => (pending.low = 1 << 9),
  );
  assert.match(unqueued, /the pending set is not what is queued/);
  const shared = found(
    () => (files.users = 2),
    () => (files.users = 1),
  );
  assert.match(shared, /a table of descriptors has 1 users, counted 2/);
  const strange = found(
    () => mm.tasks.delete(task),
    () => mm.tasks.add(task),
  );
  assert.match(strange, /is not in its address space/);
  const orphan = found(
    () => group.processGroup.members.delete(group),
    () => group.processGroup.members.add(group),
  );
  assert.match(orphan, /is not in its process group/);
  assert.equal(call(task, pipe2, 0x2000, 0), 0);
  assert.deepEqual(violations(), []);
  const file = files.get(0 as Fd) as OpenFile;
  const forgotten = found(
    () => (file.descriptors = 0),
    () => (file.descriptors = 1),
  );
  assert.match(forgotten, /has 1 descriptors, counted 0/);
  const waiting = found(
    () => waitOn(task, group.childQueue, 1),
    () => cancelWaits(task),
  );
  assert.match(waiting, /waits for 1 queues in state 1/);
  endTask(task);
});

test('Checker reports with what was done last', () => {
  const reports: string[] = [];
  const checker = new Checker(2, (report) => {
    reports.push(report);
    throw new Error('the end');
  });
  const task = process();
  checker.turn('one');
  task.pending.low = 4;
  assert.throws(() => checker.turn('two'), /the end/);
  assert.match(reports[0] ?? '', /invariant: .*pending.*\nafter one, two$/s);
  endTask(task);
});
