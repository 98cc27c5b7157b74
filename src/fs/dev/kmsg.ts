// /dev/kmsg: a write is one record of the kernel's log, a read gives the next one
// (Documentation/ABI/testing/dev-kmsg).

import { CAP_SYS_ADMIN, CAP_SYSLOG } from '../../abi/capability.ts';
import { EAGAIN, EINVAL, EPERM, EPIPE, ESPIPE } from '../../abi/errno.ts';
import { O_ACCMODE, O_WRONLY, SEEK_DATA, SEEK_END, SEEK_SET } from '../../abi/fcntl.ts';
import { POLLERR, POLLIN, POLLPRI, POLLRDNORM } from '../../abi/poll.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import { capable } from '../../base/credentials.ts';
import type { WaitQueue } from '../../base/wait-queue.ts';
import { appendToLog, firstLogged, firstUncleared, logged, logQueue, nextLogged } from '../../kernel/log.ts';
import type { Task } from '../../kernel/task.ts';
import { readBytes, writeBytes } from '../../platform/arena.ts';
import type { Path } from '../../vfs/dentry.ts';
import { registerDevice } from '../../vfs/devices.ts';
import type { Inode } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';

const RECORD_MAX = 1024;
const LOG_USER = 1;
const DEFAULT_LEVEL = 4;
const PREFIX = /^<(\d{1,10})>/;
/** What would not be a line of text. */
const UNPRINTABLE = /[^ -[\]-~]/g;

class KernelLogFile extends OpenFile {
  /** The record to be read next. */
  private sequence = firstLogged();

  override get seekable(): boolean {
    return true;
  }

  override get takesParts(): boolean {
    return false;
  }

  override read(at: number, length: number): number {
    if (this.sequence < firstLogged()) {
      this.sequence = firstLogged();
      return -EPIPE;
    }
    const record = logged(this.sequence);
    if (record === undefined) return -EAGAIN;
    const text = record.text.replace(UNPRINTABLE, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
    const line = `${record.priority},${record.sequence},${record.time},-;${text}\n`;
    if (line.length > length) return -EINVAL;
    this.sequence++;
    return writeBytes(at, line);
  }

  override write(at: number, length: number): number {
    if (length > RECORD_MAX) return -EINVAL;
    const text = readBytes(at, length);
    const [prefix = '', number] = PREFIX.exec(text) ?? [];
    const given = number === undefined ? DEFAULT_LEVEL : Number(number) >>> 0;
    // Nobody but the kernel speaks as the kernel.
    const facility = (given >>> 3) & 0xff || LOG_USER;
    appendToLog((facility << 3) | (given & 7), text.slice(prefix.length).replace(/\n$/, ''), POLLIN | POLLRDNORM);
    return length;
  }

  override seek(offset: number, whence: number): number {
    if (offset !== 0) return -ESPIPE;
    if (whence === SEEK_SET) this.sequence = firstLogged();
    else if (whence === SEEK_DATA) this.sequence = firstUncleared();
    else if (whence === SEEK_END) this.sequence = nextLogged();
    else return -EINVAL;
    return 0;
  }

  override poll(): number {
    if (this.sequence < firstLogged()) return POLLIN | POLLRDNORM | POLLERR | POLLPRI;
    return this.sequence < nextLogged() ? POLLIN | POLLRDNORM : 0;
  }

  override get waitQueue(): WaitQueue {
    return logQueue;
  }
}

/** Reading is a privilege (kernel.dmesg_restrict), writing is a matter of the node's mode. */
function open(path: Path, inode: Inode, flags: number, task: Task | undefined): OpenFile | number {
  const reads = (flags & O_ACCMODE) !== O_WRONLY;
  if (reads && task && !capable(task.credentials, CAP_SYSLOG) && !capable(task.credentials, CAP_SYS_ADMIN))
    return -EPERM;
  return new KernelLogFile(path, inode, flags);
}

/** Puts the log behind its device number, once, at boot. */
export function registerKernelLog(): void {
  registerDevice(S_IFCHR, 1, 11, open);
}
