// Timers as files (timerfd_create(2)): read answers how often the timer has expired. As in Linux an interval timer is
// only armed again when somebody looks, and the expirations in between are counted then, so that a timer nobody reads
// wakes nobody, and the intervals never drift.
//
// All clocks are turned into CLOCK_MONOTONIC deadlines when the timer is set. TFD_TIMER_CANCEL_ON_SET is accepted and
// kept; a step of the host's clock is not noticed.

import { EAGAIN, EINVAL } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  TFD_NONBLOCK,
  TFD_TIMER_ABSTIME,
} from '../../abi/time.ts';
import { monotonicNow } from '../../base/clock.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { host } from '../../host/calls.ts';
import { armTimer, cancelTimer, Timer, type TimerTarget } from '../../kernel/timers.ts';
import { writeU64 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

const SECOND = 1e9;

export class TimerFile extends OpenFile implements TimerTarget {
  readonly queue = new WaitQueue();
  readonly clock: number;
  private readonly timer = new Timer(this);
  /** Monotonic time of the next expiration, or of the last one if it has expired; ns. */
  private deadline = 0;
  /** ns; 0 for a timer that expires once. */
  private interval = 0;
  /** Flags of the last timerfd_settime, as /proc/PID/fdinfo shows them. */
  private settings = 0;
  private ticks = 0;
  /** It has expired and is not armed: intervals since then are still to be counted. */
  private expired = false;

  constructor(clock: number, flags: number) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[timerfd]', inode), inode, O_RDWR | (flags & TFD_NONBLOCK ? O_NONBLOCK : 0));
    this.clock = clock;
  }

  /** Arms the timer: `value` (0 disarms) and `interval` in ns, TFD_TIMER_* flags; `ahead`: what the caller's clock is. */
  set(value: number, interval: number, flags: number, ahead: number): void {
    cancelTimer(this.timer);
    this.expired = false;
    this.ticks = 0;
    this.interval = interval;
    this.settings = flags;
    if (value === 0) {
      this.interval = 0;
      return;
    }
    const now = monotonicNow();
    const delay = flags & TFD_TIMER_ABSTIME ? value - ahead - this.clockNow(now) : value;
    this.deadline = now + Math.max(0, delay);
    armTimer(this.timer, this.deadline);
  }

  /** Time until the next expiration in ns, 0 when disarmed. */
  remaining(): number {
    this.catchUp();
    return this.timer.armed ? Math.max(1, this.deadline - monotonicNow()) : 0;
  }

  get period(): number {
    return this.interval;
  }

  expire(): void {
    this.expired = true;
    this.ticks++;
    this.queue.wake(POLLIN | POLLRDNORM);
  }

  override read(at: number, length: number): number {
    if (length < 8) return -EINVAL;
    if (this.ticks === 0) return -EAGAIN;
    this.catchUp();
    writeU64(at, this.ticks);
    this.ticks = 0;
    return 8;
  }

  override poll(): number {
    return this.ticks > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  override release(): void {
    cancelTimer(this.timer);
  }

  override get linkText(): string {
    return 'anon_inode:[timerfd]';
  }

  override get fdinfo(): string {
    const time = (ns: number): string => `(${Math.floor(ns / SECOND)}, ${Math.floor(ns % SECOND)})`;
    const left = this.timer.armed ? Math.max(1, this.deadline - monotonicNow()) : 0;
    return (
      `clockid: ${this.clock}\nticks: ${this.ticks}\nsettime flags: 0${this.settings.toString(8)}\n` +
      `it_value: ${time(left)}\nit_interval: ${time(this.interval)}\n`
    );
  }

  /** Counts the intervals that went by since it expired and arms it for the next. */
  private catchUp(): void {
    if (!this.expired || this.interval === 0) return;
    this.expired = false;
    const periods = Math.floor((monotonicNow() - this.deadline) / this.interval) + 1;
    this.ticks += periods - 1;
    this.deadline += periods * this.interval;
    armTimer(this.timer, this.deadline);
  }

  private clockNow(monotonic: number): number {
    return this.clock === CLOCK_MONOTONIC ? monotonic : host.clock_gettime(hostClock(this.clock));
  }
}

/** The alarm clocks tell the time of the ordinary ones; nothing here wakes a machine. */
function hostClock(clock: number): number {
  if (clock === CLOCK_REALTIME_ALARM) return CLOCK_REALTIME;
  return clock === CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock;
}
