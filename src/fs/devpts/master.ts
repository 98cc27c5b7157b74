// The master side of a pseudo-terminal (pty(7)): what a terminal emulator, script(1) or sshd holds. It reads what
// programs write to the slave and writes what is typed.

import { EAGAIN, EINVAL, EIO, EMFILE } from '../../abi/errno.ts';
import { O_CLOEXEC } from '../../abi/fcntl.ts';
import {
  TIOCGPKT,
  TIOCGPTLCK,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCPKT,
  TIOCPKT_DATA,
  TIOCSIG,
  TIOCSPTLCK,
} from '../../abi/ioctl.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.ts';
import type { UserAddress } from '../../base/brands.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { descriptorLimit } from '../../kernel/limits.ts';
import type { Task } from '../../kernel/task.ts';
import { u8 } from '../../platform/arena.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Inode } from '../../vfs/inode.ts';
import { rootDentry } from '../../vfs/mount.ts';
import { drop, OpenFile } from '../../vfs/open-file.ts';
import { lookupChild } from '../../vfs/walk.ts';
import { putInt, type TtySide, takeInt, terminalIoctl } from '../tty/ioctl.ts';
import type { Tty, TtyPeer } from '../tty/tty.ts';
import type { DevptsSuperblock } from './devpts.ts';

export class PtyMaster extends OpenFile implements TtyPeer, TtySide {
  readonly tty: Tty;
  readonly master = true;
  private readonly instance: DevptsSuperblock;
  private readonly queue = new WaitQueue();

  constructor(path: Path, inode: Inode, flags: number, tty: Tty, instance: DevptsSuperblock) {
    super(path, inode, flags);
    this.tty = tty;
    this.instance = instance;
    tty.peer = this;
  }

  // ---- what the slave side says ----

  outputAdded(): void {
    this.queue.wake(POLLIN | POLLRDNORM | (this.tty.packetStatus ? POLLPRI : 0) | (this.tty.slaveClosed ? POLLHUP : 0));
  }

  inputTaken(): void {
    this.queue.wake(POLLOUT | POLLWRNORM);
  }

  inputWanted(): void {}

  // ---- the file ----

  override read(at: number, length: number, _offset: number): number {
    const { tty } = this;
    if (length === 0) return 0;
    const news = tty.packet && tty.packetStatus !== 0;
    if (news) {
      u8[at] = tty.takePacketStatus();
      return 1;
    }
    if (tty.output.length === 0) return tty.slaveClosed ? -EIO : -EAGAIN;
    const header = tty.packet ? 1 : 0;
    if (header) u8[at] = TIOCPKT_DATA;
    const n = tty.output.peek(at + header, length - header);
    tty.output.discard(n);
    tty.outputTaken();
    return n + header;
  }

  override write(at: number, length: number, _offset: number): number {
    const n = this.tty.receive(at, length);
    return n > 0 || length === 0 ? n : -EAGAIN;
  }

  override poll(): number {
    const { tty } = this;
    let mask = 0;
    if (tty.output.length > 0) mask |= POLLIN | POLLRDNORM;
    if (tty.packet && tty.packetStatus !== 0) mask |= POLLPRI | POLLIN | POLLRDNORM;
    if (tty.arrivedRoom > 0) mask |= POLLOUT | POLLWRNORM;
    if (tty.slaveClosed) mask |= POLLHUP;
    return mask;
  }

  override get waitQueue(): WaitQueue | null {
    return this.queue;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    const { tty } = this;
    switch (command) {
      case TIOCGPTN:
        return putInt(task, argument, tty.index);
      case TIOCSPTLCK: {
        const lock = { value: 0 };
        const r = takeInt(task, argument, lock);
        if (r === 0) tty.locked = lock.value !== 0;
        return r;
      }
      case TIOCGPTLCK:
        return putInt(task, argument, tty.locked ? 1 : 0);
      case TIOCPKT: {
        const on = { value: 0 };
        const r = takeInt(task, argument, on);
        if (r < 0) return r;
        if (on.value !== 0 && !tty.packet) tty.packetStatus = 0;
        tty.packet = on.value !== 0;
        return 0;
      }
      case TIOCGPKT:
        return putInt(task, argument, tty.packet ? 1 : 0);
      case TIOCSIG:
        return this.sendSignal(argument as number);
      case TIOCGPTPEER:
        return this.openPeer(task, argument as number);
      default:
        return terminalIoctl(task, tty, this, command, argument);
    }
  }

  private sendSignal(signo: number): number {
    if (signo !== SIGINT && signo !== SIGQUIT && signo !== SIGTSTP) return -EINVAL;
    this.tty.signal(signo);
    return 0;
  }

  /** TIOCGPTPEER: a descriptor of the slave, without a walk to its name. */
  private openPeer(task: Task, flags: number): number {
    const inode = this.instance.slaves.get(this.tty.index);
    if (!inode) return -EIO;
    const root = rootDentry(this.instance);
    const name = String(this.tty.index);
    const dentry = lookupChild(root, this.instance.root, name);
    if (typeof dentry === 'number') return dentry;
    const { mount } = this.path;
    const file = inode.open(dentry.on(mount), flags & ~O_CLOEXEC);
    if (typeof file === 'number') return file;
    const limit = descriptorLimit(task);
    const fd = task.files.install(file, (flags & O_CLOEXEC) !== 0, limit);
    if (fd < 0) {
      drop(file);
      return -EMFILE;
    }
    return fd;
  }

  override release(): void {
    this.instance.free(this.tty);
    this.tty.closePeer();
  }
}
