// Timers of a process without a guest: when they are wound up again, what counts as an overrun, what is withdrawn.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOCK_MONOTONIC, CLOCK_REALTIME, ITIMER_REAL } from '../../src/abi/time.ts';
import { monotonicNow } from '../../src/base/clock.ts';
import { type Clock, ClockWatch, findClock, monotonicClock, readClock } from '../../src/kernel/clocks.ts';
import { intervalTimerValue, setIntervalTimer } from '../../src/kernel/interval-timers.ts';
import {
  createPosixTimer,
  deletePosixTimer,
  deletePosixTimers,
  PosixTimer,
  type TimerEvent,
} from '../../src/kernel/posix-timers.ts';
import { Scheduling } from '../../src/kernel/scheduling.ts';
import { dequeueSignal } from '../../src/kernel/signals.ts';
import { fireTimers, nextDeadline } from '../../src/kernel/timers.ts';
import { type FakeTask, newTask } from '../support/fake-guest.ts';

const MS = 1e6;
const SIGALRM = 14;
const SIGRT = 34;

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A process that blocks every signal, so that what is sent stays pending. */
function blockingTask(): FakeTask {
  const task = newTask();
  task.maskLow = task.maskHigh = -1;
  return task;
}

function makeTimer(task: FakeTask, event: Partial<TimerEvent> = {}, clock: Clock = monotonicClock): PosixTimer {
  const timer = createPosixTimer(
    task.group,
    clock,
    { signo: SIGRT, valueLow: 7, valueHigh: 0, thread: null, ...event },
    0,
  );
  assert.ok(timer instanceof PosixTimer);
  return timer;
}

test('a periodic timer queues one signal and counts the periods that pass until it is taken', () => {
  const task = blockingTask();
  const timer = makeTimer(task);
  timer.set(10 * MS, 10 * MS, false);
  sleep(55);
  fireTimers(monotonicNow());
  fireTimers(monotonicNow());
  assert.equal(task.group.pending.queue.length, 1);
  assert.ok(!timer.timer.armed, 'not wound up before the signal is taken');
  assert.ok(timer.remaining() > 0 && timer.remaining() <= 10 * MS);
  const info = dequeueSignal(task, 0, 0);
  assert.equal(info?.signo, SIGRT);
  assert.equal(info?.valueLow, 7);
  assert.ok(timer.lastOverruns >= 4, `overruns ${timer.lastOverruns}`);
  assert.equal(info?.stime, timer.lastOverruns);
  assert.ok(timer.timer.armed);
  deletePosixTimer(timer);
  assert.equal(task.group.posixTimers.size, 0);
});

test('setting or deleting a timer withdraws its signal', () => {
  const task = blockingTask();
  const timer = makeTimer(task);
  timer.set(1, 0, false);
  fireTimers(monotonicNow());
  assert.ok(task.group.pending.has(SIGRT));
  timer.set(1000 * MS, 0, false);
  assert.ok(!task.group.pending.has(SIGRT));
  timer.set(1, 0, false);
  fireTimers(monotonicNow());
  deletePosixTimers(task.group);
  assert.ok(!task.group.pending.has(SIGRT));
  assert.equal(nextDeadline(), Number.POSITIVE_INFINITY);
});

test('a single shot is off once its signal was taken', () => {
  const task = blockingTask();
  const timer = makeTimer(task);
  timer.set(1, 0, false);
  fireTimers(monotonicNow());
  assert.equal(timer.remaining(), 1, 'due, not yet taken');
  dequeueSignal(task, 0, 0);
  assert.equal(timer.remaining(), 0);
  assert.equal(timer.lastOverruns, 0);
});

test('a timer without a signal is read by arithmetic alone', () => {
  const task = blockingTask();
  const timer = makeTimer(task, { signo: 0 });
  timer.set(5 * MS, 20 * MS, false);
  assert.ok(!timer.timer.armed);
  sleep(30);
  const left = timer.remaining();
  assert.ok(left > 0 && left <= 20 * MS);
});

test('absolute times are of the timer’s clock, relative ones of none that can be set', () => {
  const task = blockingTask();
  const clock = findClock(task, CLOCK_REALTIME) as Clock;
  const timer = makeTimer(task, {}, clock);
  timer.set(readClock(clock) + 1000 * MS, 0, true);
  assert.ok(timer.remaining() > 900 * MS && timer.remaining() <= 1000 * MS);
  timer.set(1000 * MS, 0, false);
  assert.ok(timer.expiry < readClock(clock), 'by the monotonic clock');
  assert.ok(timer.remaining() > 900 * MS && timer.remaining() <= 1000 * MS);
  timer.stop();
});

test('ignored signals do not stop a periodic timer, nor make it spin', () => {
  const task = newTask();
  task.group.actions.set(SIGALRM, { handler: 1, flags: 0, restorer: 0, maskLow: 0, maskHigh: 0 });
  setIntervalTimer(task.group, ITIMER_REAL, 1, 1);
  fireTimers(monotonicNow());
  assert.ok(!task.group.pending.has(SIGALRM));
  assert.ok(nextDeadline() - monotonicNow() > 0.5 * MS);
  setIntervalTimer(task.group, ITIMER_REAL, 0, 0);
  assert.equal(nextDeadline(), Number.POSITIVE_INFINITY);
});

test('ITIMER_REAL is wound up when its signal is taken', () => {
  const task = blockingTask();
  setIntervalTimer(task.group, ITIMER_REAL, 1, 10 * MS);
  fireTimers(monotonicNow());
  assert.equal(nextDeadline(), Number.POSITIVE_INFINITY);
  assert.ok(intervalTimerValue(task.group, ITIMER_REAL) > 0, 'due, but on');
  assert.equal(dequeueSignal(task, 0, 0)?.signo, SIGALRM);
  assert.ok(nextDeadline() > monotonicNow() && nextDeadline() <= monotonicNow() + 10 * MS);
  setIntervalTimer(task.group, ITIMER_REAL, 0, 0);
});

test('CPU clocks are looked at as often as they move', () => {
  const task = newTask();
  const clock: Clock = { ...monotonicClock, kind: 1, group: task.group };
  const watch = new ClockWatch(8 * MS);
  const pause = (now: number, target: number) => (watch.nextLook(clock, now, target) - monotonicNow()) / MS;
  const near = (actual: number, wanted: number) => assert.ok(Math.abs(actual - wanted) < 0.9, `${actual} ms`);
  near(pause(0, 50 * MS), 50);
  near(pause(0, 1), 2);
  near(pause(0, 1), 4);
  near(pause(0, 1), 8);
  near(pause(0, 1), 8);
  near(pause(1, 2), 1);
});

test('clock ids', () => {
  const task = newTask();
  assert.equal(findClock(task, 8), -22);
  assert.equal(findClock(task, 99), -22);
  assert.equal((findClock(task, CLOCK_MONOTONIC) as Clock).id, CLOCK_MONOTONIC);
  assert.equal((findClock(task, (~task.tid << 3) | 2) as Clock).group, task.group);
  assert.equal((findClock(task, (~task.tid << 3) | 6) as Clock).thread, task);
  assert.equal(findClock(task, (~task.tid << 3) | 3), -22);
  const other = newTask();
  assert.equal((findClock(task, (~other.tid << 3) | 1) as Clock).group, other.group);
  assert.equal(findClock(task, (~other.tid << 3) | 6), -22, 'a thread of another process');
});

test('a child inherits scheduling unless it is to be reset', () => {
  const parent = new Scheduling();
  Object.assign(parent, { policy: 3, nice: -5, ioPriority: 0x4005, timerSlack: 7 });
  const child = new Scheduling();
  child.inherit(parent);
  assert.deepEqual({ ...child }, { ...parent, defaultTimerSlack: 7 });
  parent.resetOnFork = true;
  const reset = new Scheduling();
  reset.inherit(parent);
  assert.deepEqual([reset.policy, reset.nice, reset.resetOnFork, reset.ioPriority], [0, 0, false, 0x4005]);
});
