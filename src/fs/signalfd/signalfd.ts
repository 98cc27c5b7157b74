// Signals as data (signalfd(2)): read takes pending signals of the reader, whoever created the file, and poll tells
// what is pending for the one who asks. So both mean the task whose call is being served, as in Linux.

import { EAGAIN, EINVAL } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import {
  SFD_NONBLOCK,
  SI_TIMER,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGNALFD_SIGINFO_SIZE,
  SIGSEGV,
  SIGTRAP,
} from '../../abi/signal.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { kernel } from '../../kernel/kernel.ts';
import { type SignalInfo, sanitizeMaskLow } from '../../kernel/signal-state.ts';
import { dequeueSignal } from '../../kernel/signals.ts';
import { i32, u32, writeU64 } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

export class SignalFile extends OpenFile {
  private low = 0;
  private high = 0;

  constructor(low: number, high: number, flags: number) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[signalfd]', inode), inode, O_RDWR | (flags & SFD_NONBLOCK ? O_NONBLOCK : 0));
    this.setMask(low, high);
  }

  /** Which signals it takes; SIGKILL and SIGSTOP never. */
  setMask(low: number, high: number): void {
    this.low = sanitizeMaskLow(low);
    this.high = high | 0;
    kernel.current?.group.signalQueue.wake(POLLIN | POLLRDNORM);
  }

  override read(at: number, length: number): number {
    const task = kernel.current;
    if (length < SIGNALFD_SIGINFO_SIZE || !task) return -EINVAL;
    let done = 0;
    while (done + SIGNALFD_SIGINFO_SIZE <= length) {
      const info = dequeueSignal(task, ~this.low, ~this.high);
      if (!info) break;
      describe(at + done, info);
      done += SIGNALFD_SIGINFO_SIZE;
    }
    return done === 0 ? -EAGAIN : done;
  }

  override poll(): number {
    const task = kernel.current;
    if (!task) return 0;
    const shared = task.group.pending;
    const low = (task.pending.low | shared.low) & this.low;
    const high = (task.pending.high | shared.high) & this.high;
    return low !== 0 || high !== 0 ? POLLIN | POLLRDNORM : 0;
  }

  override get waitQueue(): WaitQueue | null {
    return kernel.current?.group.signalQueue ?? null;
  }

  override get linkText(): string {
    return 'anon_inode:[signalfd]';
  }

  override get fdinfo(): string {
    const word = (bits: number): string => (bits >>> 0).toString(16).padStart(8, '0');
    return `sigmask:\t${word(this.high)}${word(this.low)}\n`;
  }
}

/** Lays out struct signalfd_siginfo at an arena offset. */
function describe(at: number, info: SignalInfo): void {
  const i = at >> 2;
  u32.fill(0, i, i + SIGNALFD_SIGINFO_SIZE / 4);
  u32[i] = info.signo;
  i32[i + 1] = info.errno;
  i32[i + 2] = info.code;
  if (info.code === SI_TIMER) {
    u32[i + 6] = info.utime; // timer id
    u32[i + 8] = info.stime; // overrun
    value(i, info);
    return;
  }
  if (info.code > 0 && isFault(info.signo)) {
    u32[i + 18] = info.valueLow;
    u32[i + 19] = info.valueHigh;
    return;
  }
  u32[i + 3] = info.pid;
  u32[i + 4] = info.uid;
  if (info.signo === SIGCHLD && info.code > 0) {
    i32[i + 10] = info.status;
    writeU64(at + 56, info.utime);
    writeU64(at + 64, info.stime);
  } else {
    value(i, info);
  }
}

/** ssi_int and ssi_ptr: the two views of si_value. */
function value(i: number, info: SignalInfo): void {
  u32[i + 11] = info.valueLow;
  u32[i + 12] = info.valueLow;
  u32[i + 13] = info.valueHigh;
}

function isFault(signo: number): boolean {
  return signo === SIGSEGV || signo === SIGBUS || signo === SIGILL || signo === SIGFPE || signo === SIGTRAP;
}
