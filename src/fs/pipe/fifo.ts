// FIFOs (fifo(7)): pipes with a name. Any filesystem's inode of type S_IFIFO can be opened here; its pipe lives as
// long as it is open anywhere. Opening waits for the other end, so open(2)'s handler works like this:
//
//   const file = openFifo(path, inode, flags);               // once; -ENXIO: O_WRONLY | O_NONBLOCK without a reader
//   task.pendingObject = file;                               // the half-open end already counts as opened
//   if (fifoOpenPending(file)) return block(task, file.waitQueue, POLLIN | POLLOUT);   // retried: ask again
//   task.pendingObject = null;                               // then install `file`; or drop(file) when `block`
//                                                            // answered that a signal came
//
// The first time round the handler opens; when it is retried (task.pendingObject is a FifoFile) it only asks again. A
// task that is killed meanwhile lets go of the half-open end through the hook below.

import { ENXIO } from '../../abi/errno.ts';
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../abi/fcntl.ts';
import { POLLIN, POLLOUT } from '../../abi/poll.ts';
import { taskExitHooks } from '../../kernel/exit-hooks.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Inode } from '../../vfs/inode.ts';
import { drop, type OpenFile } from '../../vfs/open-file.ts';
import { Pipe, PipeFile } from './pipe.ts';

/** Pipes of the FIFOs that are open now, by inode. */
const openFifos = new Map<Inode, Pipe>();

/** An end of a FIFO. */
export class FifoFile extends PipeFile {
  /** The other side's open count when a blocking open found nobody there; -1 if it need not wait. */
  waitsBeyond = -1;

  override release(): void {
    super.release();
    if (this.pipe.readers === 0 && this.pipe.writers === 0) openFifos.delete(this.inode);
  }
}

/**
 * Opens a FIFO with open(2)'s flags (permissions were checked); the result's refs count is 1. It may still have to
 * wait for the other end: see `fifoOpenPending`. -ENXIO for O_WRONLY | O_NONBLOCK without a reader.
 */
export function openFifo(path: Path, inode: Inode, flags: number): FifoFile | number {
  const access = flags & O_ACCMODE;
  const nonblocking = (flags & O_NONBLOCK) !== 0;
  let pipe = openFifos.get(inode);
  if (access === O_WRONLY && nonblocking && !(pipe && pipe.readers > 0)) return -ENXIO;
  if (!pipe) {
    pipe = new Pipe();
    openFifos.set(inode, pipe);
  }
  const file = new FifoFile(path, inode, flags, pipe);
  if (access === O_RDONLY && pipe.writers === 0) {
    if (nonblocking) file.hangupAfter = pipe.writerOpens;
    else file.waitsBeyond = pipe.writerOpens;
  } else if (access === O_WRONLY && pipe.readers === 0) {
    file.waitsBeyond = pipe.readerOpens;
  }
  // Opens that wait on the other side see the counters change.
  pipe.queue.wake(POLLIN | POLLOUT);
  return file;
}

/** Whether the open still waits for the other end (it need not be there any more: having come suffices). */
export function fifoOpenPending(file: OpenFile): boolean {
  if (!(file instanceof FifoFile) || file.waitsBeyond < 0) return false;
  const { pipe } = file;
  const opens = file.readable ? pipe.writerOpens : pipe.readerOpens;
  if (opens === file.waitsBeyond) return true;
  file.waitsBeyond = -1;
  return false;
}

taskExitHooks.push((task) => {
  if (!(task.pendingObject instanceof FifoFile)) return;
  drop(task.pendingObject);
  task.pendingObject = null;
});
