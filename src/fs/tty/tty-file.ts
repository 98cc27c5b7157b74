// The slave side of a terminal as an open file: /dev/pts/N, /dev/tty, /dev/console, and a program's standard streams on
// them.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EBUSY, EIO, ENOTTY, ENXIO } from '../../abi/errno.ts';
import { TIOCSPGRP, TOSTOP } from '../../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { SIGTTIN, SIGTTOU } from '../../abi/signal.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import type { UserAddress } from '../../base/brands.ts';
import { capable } from '../../base/credentials.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import type { Path } from '../../vfs/dentry.ts';
import { registerDevice } from '../../vfs/devices.ts';
import type { Inode } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { type TtySide, terminalIoctl } from './ioctl.ts';
import { acquireOnOpen, checkForeground, controllingTerminal } from './job-control.ts';
import type { Tty, TtyOpen } from './tty.ts';

const HUNG_UP = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;

export class TtyFile extends OpenFile implements TtyOpen, TtySide {
  readonly tty: Tty;
  readonly master = false;
  hungUp = false;

  constructor(path: Path, inode: Inode, flags: number, tty: Tty) {
    super(path, inode, flags);
    this.tty = tty;
    tty.slaveOpened(this);
  }

  override read(at: number, length: number, _offset: number): number {
    const { tty } = this;
    // A reader that was waiting when the other side went sees that as an error, later ones as an end.
    if (this.hungUp) return tty.peerClosed && kernel.current?.resumed ? -EIO : 0;
    const denied = checkForeground(kernel.current, tty, SIGTTIN);
    return denied < 0 ? denied : tty.read(at, length, this.nonblocking);
  }

  override write(at: number, length: number, _offset: number): number {
    if (this.hungUp || this.tty.peerClosed) return -EIO;
    const { tty } = this;
    if (tty.termios.lflag & TOSTOP) {
      const denied = checkForeground(kernel.current, tty, SIGTTOU);
      if (denied < 0) return denied;
    }
    return tty.write(at, length);
  }

  override poll(): number {
    return this.hungUp ? HUNG_UP : this.tty.poll();
  }

  override get waitQueue(): WaitQueue | null {
    return this.tty.queue;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    if (this.hungUp) return command === TIOCSPGRP ? -ENOTTY : -EIO;
    return terminalIoctl(task, this.tty, this, command, argument);
  }

  override release(): void {
    this.tty.slaveReleased(this);
  }
}

/** Opens the slave side. -EIO while it is locked or cut off, -EBUSY in exclusive mode. */
export function openTty(path: Path, inode: Inode, flags: number, tty: Tty): TtyFile | number {
  if (tty.locked || tty.peerClosed) return -EIO;
  const task = kernel.current;
  if (tty.exclusive && tty.opens.size > 0 && task && !capable(task.credentials, CAP_SYS_ADMIN)) return -EBUSY;
  const file = new TtyFile(path, inode, flags, tty);
  acquireOnOpen(task, tty, flags, file.readable);
  return file;
}

/** Puts /dev/tty (the opener's controlling terminal) behind its number, once, at boot. */
export function registerTtyDevice(): void {
  registerDevice(S_IFCHR, 5, 0, (path, inode, flags) => {
    const tty = kernel.current && controllingTerminal(kernel.current.group);
    return tty ? new TtyFile(path, inode, flags, tty) : -ENXIO;
  });
}
