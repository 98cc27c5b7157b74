// Moving data between open files and guest memory, for the read and write families: in pieces where they are big,
// blocking where the file may (kernel/block.ts), with positions, partial results, size limits and SIGPIPE as Linux has
// them. A vector of guest buffers is loaded once (`loadVector`) and then filled or emptied across its seams.

import { EAGAIN, EFAULT, EFBIG, EINTR, EINVAL, EPIPE, ERESTARTSYS } from '../abi/errno.ts';
import { FAN_ACCESS_PERM } from '../abi/fanotify.ts';
import {
  IOV_MAX,
  O_APPEND,
  RWF_APPEND,
  RWF_DONTCACHE,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOAPPEND,
  RWF_NOWAIT,
  RWF_SYNC,
} from '../abi/fcntl.ts';
import { IN_ACCESS, IN_MODIFY } from '../abi/misc.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import { RLIMIT_FSIZE } from '../abi/resource.ts';
import { SI_KERNEL, SI_USER, SIGPIPE, SIGXFSZ } from '../abi/signal.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { UserAddress } from '../base/brands.ts';
import { ANSWERED, block, setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import { USER_LIMIT } from '../kernel/host-memory.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToTask } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { allocateScratch, IO_CHUNK, readU64 } from '../platform/arena.ts';
import { dropSetId } from '../vfs/attributes.ts';
import { askPermission, notifyFile } from '../vfs/notify.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { DIRECT_LEAST, readDirectly } from './direct-read.ts';

/** Most bytes one call moves, as on Linux. */
export const RW_MAX = 0x7ffff000;
/** Offset that means the file's own position. */
export const AT_POSITION = -1;

// The vector of the call being served: guest addresses and lengths, `count` of them, `total` bytes in all.
const bases = new Float64Array(IOV_MAX);
const lengths = new Float64Array(IOV_MAX);
let count = 0;
let total = 0;

/** Loads one buffer as the vector. */
export function loadBuffer(address: UserAddress, length: number): void {
  bases[0] = address;
  lengths[0] = Math.min(length, RW_MAX);
  count = 1;
  total = lengths[0];
}

/** Loads an array of struct iovec. Its total in bytes, or -EINVAL or -EFAULT. */
export function loadVector(task: Task, address: UserAddress, entries: number): number {
  count = 0;
  total = 0;
  if (!(entries >= 0 && entries <= IOV_MAX)) return -EINVAL;
  const at = task.memory.in(address, 16 * entries);
  if (at < 0) return at;
  for (let i = 0; i < entries; i++) {
    const base = readU64(at + 16 * i);
    const length = readU64(at + 16 * i + 8);
    if (length >= 2 ** 63) return -EINVAL;
    if (base + length > USER_LIMIT) return -EFAULT;
    if (length === 0) continue;
    bases[count] = base;
    lengths[count++] = Math.min(length, RW_MAX - total);
    total += lengths[count - 1];
  }
  return total;
}

/** Answers an operation that would have to wait: WAIT, what was done before, or an error. */
function wait(task: Task, file: OpenFile, events: number, done: number, again: boolean): number {
  const queue = file.waitQueue;
  if (again || file.nonblocking || !queue) return done > 0 ? done : -EAGAIN;
  task.progress = done;
  const timeout = events === POLLIN ? file.readTimeout : file.writeTimeout;
  setTimeoutOnce(task, timeout);
  if (timedOut(task)) return done > 0 ? done : -EAGAIN;
  // A wait with a timeout is not restarted after a signal: it would begin anew (signal(7)).
  const r = block(task, queue, events, timeout === Number.POSITIVE_INFINITY ? ERESTARTSYS : EINTR);
  return r !== WAIT && done > 0 ? done : r;
}

/** RWF_* that a read and a write may have. */
export const READ_FLAGS = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_DONTCACHE;
export const WRITE_FLAGS = READ_FLAGS | RWF_APPEND | RWF_NOAPPEND;

/** Runs a write with O_APPEND on or off for this one call. */
export function withAppend(file: OpenFile, flags: number, run: () => number): number {
  const before = file.flags;
  if (flags & RWF_APPEND) file.flags |= O_APPEND;
  if (flags & RWF_NOAPPEND) file.flags &= ~O_APPEND;
  const n = run();
  file.flags = before;
  return n;
}

// ---- reading ----

/** What of a file surely fits the slot. */
const SMALL = DIRECT_LEAST - 4096;

/**
 * Reads from a file into the loaded vector, at `offset` or AT_POSITION. `again`: answer -EAGAIN rather than wait.
 * Bytes, 0 at the end, -errno or WAIT.
 */
export function readLoaded(task: Task, file: OpenFile, offset: number, again = false): number {
  const own = offset === AT_POSITION && file.seekable;
  const start = startOf(task, own ? file.position : Math.max(offset, 0));
  const allowed = askPermission(task, file, FAN_ACCESS_PERM);
  if (allowed !== 0) return allowed;
  if (total >= DIRECT_LEAST && count === 1 && readDirectly(task, file, bases[0], total, start, own)) return ANSWERED;
  const n = readWhole(task, file, start);
  if (n === -EAGAIN) return wait(task, file, POLLIN, 0, again);
  if (n > 0) {
    if (own) file.position = start + n;
    notifyFile(file, IN_ACCESS);
  }
  return n;
}

/** What does not fit the slot is written to the guest at once: a fault must be known before the position moves. */
function readWhole(task: Task, file: OpenFile, start: number): number {
  if (total < (file.seekable ? DIRECT_LEAST : IO_CHUNK)) return readOnce(task, file, start, total);
  const extent = file.seekable ? file.sourceExtent : 0;
  // A small file fits, however much is asked for; unless it has grown.
  if (extent > 0 && extent - start < SMALL && !task.resumed) {
    const n = readOnce(task, file, start, SMALL);
    if (n < SMALL) return n;
    task.memory.beginAnswer();
  }
  return readInTurns(task, file, start);
}

/** The same without waiting, and what was read is in the guest's memory when this returns. */
export function readLoadedNow(task: Task, file: OpenFile, offset: number): number {
  const n = readPieces(task, file, offset, 0, false);
  if (n > 0) notifyFile(file, IN_ACCESS);
  return n;
}

/** What fits one piece goes to the slot or scratch, and to the guest with the answer. */
function readOnce(task: Task, file: OpenFile, offset: number, length: number): number {
  const { memory } = task;
  const at = memory.reserve(length);
  if (at < 0) return at;
  const n = file.read(at, length, offset);
  if (n <= 0) return n;
  let given = 0;
  for (let i = 0; i < count && given < n; i++) {
    const part = Math.min(lengths[i], n - given);
    memory.commit(bases[i] as UserAddress, at + given, part);
    given += part;
  }
  return n;
}

/** A turn of a big read: bytes in all when it is done, -errno, or WAIT. */
function readInTurns(task: Task, file: OpenFile, offset: number): number {
  const before = task.resumed ? task.progress : 0;
  const n = readPieces(task, file, offset, before, true);
  return n === MORE ? yieldTurn(task, piecesDone) : n;
}

/** What readPieces() returns when there is more to read, and how much it has read then. */
const MORE = -65600;
let piecesDone = 0;

/**
 * Big reads go through scratch, buffer by buffer, and are written to the guest at once; the first `before` bytes have been
 * read already. With `inTurns` it stops when its turn is over.
 */
function readPieces(task: Task, file: OpenFile, offset: number, before: number, inTurns: boolean): number {
  const at = allocateScratch(IO_CHUNK);
  if (at < 0) return at;
  let done = before;
  for (let i = 0, passed = 0; i < count; passed += lengths[i++]) {
    for (let filled = Math.max(0, done - passed); filled < lengths[i]; ) {
      const length = Math.min(IO_CHUNK, lengths[i] - filled);
      const n = file.read(at, length, offset + done);
      if (n <= 0) return done > 0 ? done : n;
      const r = task.memory.write((bases[i] + filled) as UserAddress, at, n);
      if (r < 0) return done > 0 ? done : r;
      done += n;
      filled += n;
      if (n < length) return done;
      if (!inTurns || done >= total || !turnIsOver()) continue;
      piecesDone = done;
      return MORE;
    }
  }
  return done;
}

/** Where a transfer began, also when others have moved the file's position since. */
function startOf(task: Task, position: number): number {
  if (!task.resumed || (task.progress === 0 && task.directRead === 0)) task.transferStart = position;
  return task.transferStart;
}

// ---- writing ----

/**
 * Writes the loaded vector to a file, at `offset` or AT_POSITION. Bytes, -errno or WAIT; sends SIGPIPE and SIGXFSZ.
 */
export function writeLoaded(task: Task, file: OpenFile, offset: number, again = false): number {
  const own = offset === AT_POSITION && file.seekable;
  const start = startOf(task, own ? file.position : Math.max(offset, 0));
  const room = checkRegular(task, file, start);
  if (room < 0) return room;
  const n = file.ignoresData ? total : writePieces(task, file, start, Math.min(total, room), again);
  if (n > 0) {
    if (own) file.position = file.flags & O_APPEND ? file.inode.size : start + n;
    notifyFile(file, IN_MODIFY);
  }
  return n;
}

function writePieces(task: Task, file: OpenFile, offset: number, length: number, again: boolean): number {
  let done = task.resumed ? task.progress : 0;
  let scratch = -1;
  do {
    const piece = Math.min(IO_CHUNK, length - done, file.writeRoom);
    let at: number;
    if (count === 1 && done === 0 && length <= IO_CHUNK) {
      at = task.memory.in(bases[0] as UserAddress, piece);
    } else {
      if (scratch < 0) scratch = allocateScratch(Math.min(IO_CHUNK, length));
      at = scratch < 0 ? scratch : gather(task, scratch, done, piece);
    }
    if (at < 0) return done > 0 ? done : at;
    const n = file.write(at, piece, offset + done);
    if (n === -EAGAIN) return wait(task, file, POLLOUT, done, again);
    if (n < 0) {
      if (n === -EPIPE)
        sendSignalToTask(
          task,
          signalInfo(SIGPIPE, SI_USER, { pid: task.group.localPid, uid: uidSeen(task, task.credentials.uid) }),
        );
      return done > 0 ? done : n;
    }
    done += n;
    if (n === 0 || !file.takesParts) break;
    if (done < length && turnIsOver()) return yieldTurn(task, done);
  } while (done < length);
  return done;
}

/** Copies `length` bytes of the vector from byte `skip` on to scratch. The offset, or -EFAULT if none is readable. */
function gather(task: Task, at: number, skip: number, length: number): number {
  let passed = 0;
  let copied = 0;
  for (let i = 0; i < count && copied < length; i++) {
    const from = Math.max(0, skip + copied - passed);
    passed += lengths[i];
    if (from >= lengths[i]) continue;
    const part = Math.min(lengths[i] - from, length - copied);
    const r = task.memory.read((bases[i] + from) as UserAddress, at + copied, part);
    if (r < 0) return -EFAULT;
    copied += part;
  }
  return at;
}

/** Bytes that may be written to a file at an offset, by RLIMIT_FSIZE; also takes set-id bits off a file's mode. */
function checkRegular(task: Task, file: OpenFile, offset: number): number {
  const { inode } = file;
  if ((inode.mode & S_IFMT) !== S_IFREG) return RW_MAX;
  if (total > 0) dropSetId(task, file.path, inode);
  const limit = task.group.limits.soft[RLIMIT_FSIZE];
  // NaN: a file of the host that keeps its position there (hostio), and whose limit is the host's.
  if (limit === Infinity || total === 0 || Number.isNaN(offset)) return RW_MAX;
  const before = task.resumed ? task.progress : 0;
  const room = limit - (file.flags & O_APPEND ? inode.size - before : offset);
  if (room > 0) return room;
  sendSignalToTask(task, signalInfo(SIGXFSZ, SI_KERNEL));
  return -EFBIG;
}
