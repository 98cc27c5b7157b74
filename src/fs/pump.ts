// Moving data from one open file to another without the guest (sendfile, splice, tee, copy_file_range), through scratch
// memory. Nothing is taken from a pipe before the other side has it; a socket or terminal is read only when the pipe it
// goes to has room.

import { EAGAIN, EPIPE } from '../abi/errno.ts';
import { FAN_ACCESS_PERM } from '../abi/fanotify.ts';
import { IN_ACCESS, IN_MODIFY } from '../abi/misc.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import { SI_USER, SIGPIPE } from '../abi/signal.ts';
import { block, WAIT } from '../kernel/block.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToTask } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { allocateScratch, IO_CHUNK } from '../platform/arena.ts';
import { askPermission, notifyFile } from '../vfs/notify.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { PipeFile } from './pipe/pipe.ts';

export interface Pumping {
  readonly from: OpenFile;
  /** Offset in `from`; of no meaning for streams. */
  readonly fromOffset: number;
  readonly to: OpenFile;
  readonly toOffset: number;
  readonly length: number;
  /** Answer -EAGAIN rather than wait, whatever the files' flags say. */
  readonly nonblocking: boolean;
  /** Go on until everything is moved (sendfile) rather than return what could be moved at once (splice). */
  readonly persistent: boolean;
}

/** Moves data; bytes (0 at the end), -errno or WAIT. File positions are the caller's business. */
export function pump(task: Task, job: Pumping): number {
  const { from, to, length } = job;
  const allowed = askPermission(task, from, FAN_ACCESS_PERM);
  if (allowed !== 0) return allowed;
  const at = allocateScratch(Math.min(IO_CHUNK, length));
  if (at < 0) return at;
  let done = task.resumed ? task.progress : 0;
  while (done < length) {
    const room = roomIn(to, Math.min(IO_CHUNK, length - done));
    if (room < 0) return stop(task, job, to, POLLOUT, room, done);
    const n = take(from, at, room, job.fromOffset + done);
    if (n === 0) break;
    if (n < 0) return stop(task, job, from, POLLIN, n, done);
    const written = to.write(at, n, job.toOffset + done);
    if (written < 0) return stop(task, job, to, POLLOUT, written, done);
    if (from instanceof PipeFile) from.read(at, written);
    done += written;
    if (done < length && turnIsOver()) return yieldTurn(task, done);
  }
  if (done > 0) {
    notifyFile(from, IN_ACCESS);
    notifyFile(to, IN_MODIFY);
  }
  return done;
}

/** How much of `length` can be written without being refused: what a pipe has free. */
function roomIn(to: OpenFile, length: number): number {
  if (!(to instanceof PipeFile)) return length;
  if (to.pipe.readers === 0) return -EPIPE;
  return to.pipe.ring.free === 0 ? -EAGAIN : Math.min(length, to.pipe.ring.free);
}

function take(from: OpenFile, at: number, length: number, offset: number): number {
  return from instanceof PipeFile ? from.pipe.peek(at, length) : from.read(at, length, offset);
}

/** An error or the need to wait, after `done` bytes. */
function stop(task: Task, job: Pumping, file: OpenFile, events: number, error: number, done: number): number {
  if (error === -EPIPE) sendBrokenPipe(task);
  if (error !== -EAGAIN) return done > 0 ? done : error;
  const waits = !job.nonblocking && !file.nonblocking && file.waitQueue !== null;
  if (!waits || (done > 0 && !job.persistent)) return done > 0 ? done : -EAGAIN;
  task.progress = done;
  const r = block(task, file.waitQueue, events);
  return r !== WAIT && done > 0 ? done : r;
}

/** Copies what is in one pipe to another, leaving it there (tee(2)). */
export function duplicate(task: Task, from: PipeFile, to: PipeFile, length: number, nonblocking: boolean): number {
  const at = allocateScratch(Math.min(IO_CHUNK, length));
  if (at < 0) return at;
  const room = roomIn(to, Math.min(IO_CHUNK, length));
  const n = room < 0 ? room : from.pipe.peek(at, room);
  if (n > 0) return to.write(at, n);
  if (n === -EPIPE) sendBrokenPipe(task);
  if (n !== -EAGAIN) return n;
  const file = room < 0 ? to : from;
  if (nonblocking || file.nonblocking) return -EAGAIN;
  return block(task, file.waitQueue, room < 0 ? POLLOUT : POLLIN);
}

function sendBrokenPipe(task: Task): void {
  sendSignalToTask(
    task,
    signalInfo(SIGPIPE, SI_USER, { pid: task.group.localPid, uid: uidSeen(task, task.credentials.uid) }),
  );
}
