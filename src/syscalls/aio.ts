// Asynchronous I/O: io_setup(2), io_submit(2), io_getevents(2), io_pgetevents(2), io_cancel(2), io_destroy(2).
// See src/fs/aio/context.ts for what is asynchronous about it.

import { EAGAIN, EBADF, EFAULT, EINPROGRESS, EINTR, EINVAL, EOPNOTSUPP, ERESTARTNOHAND } from '../abi/errno.ts';
import { O_PATH, RWF_APPEND, RWF_DSYNC, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC } from '../abi/fcntl.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from '../abi/poll.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { AioContext, AioPoll, IO_EVENT_SIZE, type Operation, reservedEvents } from '../fs/aio/context.ts';
import { EventFile } from '../fs/eventfd/eventfd.ts';
import { sysctlNumber } from '../fs/proc/sysctl.ts';
import {
  loadBuffer,
  loadVector,
  READ_FLAGS,
  RW_MAX,
  readLoadedNow,
  WRITE_FLAGS,
  withAppend,
  writeLoaded,
} from '../fs/transfer.ts';
import { block, setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import { askHost, callHost, hostAnswer, PAGE_SIZE, USER_LIMIT } from '../kernel/host-memory.ts';
import { checkIoPriority } from '../kernel/scheduling.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { borrowMask, returnMask } from '../kernel/wait-arguments.ts';
import {
  allocateScratch,
  i32,
  markScratch,
  readS64,
  readU64,
  releaseScratch,
  u32,
  writeU64,
} from '../platform/arena.ts';
import { type OpenFile, retain } from '../vfs/open-file.ts';

const SYS_MMAP = 9;
const SYS_MUNMAP = 11;
const AIO_MAX_NR = 65536;
/** So many events are handed over before the clock is looked at. */
const EVENTS_AT_ONCE = 64;
/** So many events are too many to count their bytes. */
const EVENTS_MAX = 0x10000000 / IO_EVENT_SIZE;

/** The page that stands for the ring is mapped by the host, and its address is the context's number. */
export function io_setup(task: Task, count: number, address: UserAddress): number {
  const at = task.memory.in(address, 8);
  if (at < 0) return at;
  if (task.resumed) return finishSetup(task, count, address);
  if (readU64(at) !== 0 || count === 0 || count > EVENTS_MAX) return -EINVAL;
  if (reservedEvents() + count > sysctlNumber('fs.aio-max-nr', AIO_MAX_NR)) return -EAGAIN;
  return askHost(task, SYS_MMAP, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

function finishSetup(task: Task, count: number, address: UserAddress): number {
  const ring = hostAnswer(task);
  if (ring < 0) return ring;
  if (task.mm.aioContexts.has(ring)) return -EINVAL;
  const at = task.memory.out(address, 8);
  if (at < 0) return at;
  writeU64(at, ring);
  task.mm.aioContexts.set(ring, new AioContext(count));
  return 0;
}

export function io_destroy(task: Task, id: number): number {
  const context = task.mm.aioContexts.get(id);
  if (!context) return -EINVAL;
  task.mm.aioContexts.delete(id);
  context.end();
  return callHost(task, SYS_MUNMAP, id, PAGE_SIZE);
}

// struct iocb, in u32 words: data 0, key 2, rw_flags 3, opcode and priority 4, descriptor 5, buffer 6, bytes 8,
// offset 10, reserved 12, flags 14, eventfd 15
const IOCB_SIZE = 64;
const IOCB_CMD_PREAD = 0;
const IOCB_CMD_PWRITE = 1;
const IOCB_CMD_FSYNC = 2;
const IOCB_CMD_FDSYNC = 3;
const IOCB_CMD_POLL = 5;
const IOCB_CMD_PREADV = 7;
const IOCB_CMD_PWRITEV = 8;
const IOCB_FLAG_RESFD = 1;
const IOCB_FLAG_IOPRIO = 2;

/** An iocb as it was submitted: read once, for the program may change it. */
interface Request {
  readonly flags: number;
  readonly opcode: number;
  readonly priority: number;
  readonly fd: Fd;
  readonly buffer: number;
  readonly bytes: number;
  readonly offset: number;
}

/** A blocking file makes the submitter wait, as Linux has it; `progress` is how many were submitted by then. */
export function io_submit(task: Task, id: number, count: number, list: UserAddress): number {
  if (count < 0) return -EINVAL;
  const context = task.mm.aioContexts.get(id);
  if (!context) return -EINVAL;
  const limit = Math.min(count, context.capacity);
  let done = task.resumed ? task.progress : 0;
  // Each transfer is tried as one of its own: what is remembered of this call is not theirs.
  task.resumed = false;
  const mark = markScratch();
  for (; done < limit; done++) {
    releaseScratch(mark);
    const r = submitAt(task, context, (list + 8 * done) as UserAddress);
    if (r === WAIT) {
      task.progress = done;
      return WAIT;
    }
    if (r < 0) return done > 0 ? done : r;
    if (done + 1 < limit && turnIsOver()) return yieldTurn(task, done + 1);
  }
  return done;
}

function submitAt(task: Task, context: AioContext, pointer: UserAddress): number {
  const pointerAt = allocateScratch(8);
  const at = allocateScratch(IOCB_SIZE);
  if (pointerAt < 0 || at < 0) return -EAGAIN;
  if (task.memory.read(pointer, pointerAt, 8) < 0) return -EFAULT;
  const address = readU64(pointerAt) as UserAddress;
  if (task.memory.read(address, at, IOCB_SIZE) < 0) return -EFAULT;
  const word = at >>> 2;
  if (readU64(at + 48) !== 0 || readS64(at + 32) < 0) return -EINVAL;
  if (context.full) return -EAGAIN;
  const file = task.files.get(i32[word + 5] as Fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  const flags = u32[word + 14];
  let notify: EventFile | null = null;
  if (flags & IOCB_FLAG_RESFD) {
    const counter = task.files.get(i32[word + 15] as Fd);
    if (!(counter instanceof EventFile)) return counter ? -EINVAL : -EBADF;
    notify = counter;
  }
  const operation = { dataLow: u32[word], dataHigh: u32[word + 1], address, notify };
  const request = {
    flags: u32[word + 3],
    opcode: u32[word + 4] & 0xffff,
    priority: flags & IOCB_FLAG_IOPRIO ? u32[word + 4] >>> 16 : 0,
    fd: i32[word + 5] as Fd,
    buffer: readU64(at + 24),
    bytes: readU64(at + 32),
    offset: readS64(at + 40),
  };
  u32[pointerAt >>> 2] = 0;
  if (task.memory.write((address + 8) as UserAddress, pointerAt, 4) < 0) return -EFAULT;
  return submit(task, context, operation, request, file);
}

function submit(task: Task, context: AioContext, operation: Operation, request: Request, file: OpenFile): number {
  switch (request.opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PREADV:
      return transfer(task, context, operation, request, file, false);
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PWRITEV:
      return transfer(task, context, operation, request, file, true);
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC: {
      if (request.buffer !== 0 || request.bytes !== 0 || request.offset !== 0 || request.flags !== 0) return -EINVAL;
      const r = file.sync(request.opcode === IOCB_CMD_FDSYNC);
      return r === -EINVAL ? r : finish(context, operation, r);
    }
    case IOCB_CMD_POLL:
      return poll(context, operation, request, file);
    default:
      return -EINVAL;
  }
}

function finish(context: AioContext, operation: Operation, result: number): number {
  if (operation.notify) retain(operation.notify);
  context.complete(operation, result);
  return 0;
}

function transfer(
  task: Task,
  context: AioContext,
  operation: Operation,
  request: Request,
  file: OpenFile,
  writes: boolean,
): number {
  const { flags, offset } = request;
  if (request.priority !== 0) {
    const r = checkIoPriority(task, request.priority);
    if (r < 0) return r;
  }
  if (flags & ~(writes ? WRITE_FLAGS : READ_FLAGS)) return -EOPNOTSUPP;
  if (flags & RWF_APPEND && flags & RWF_NOAPPEND) return -EINVAL;
  if (!(writes ? file.writable : file.readable)) return -EBADF;
  if (file.seekable && offset < 0) return -EINVAL;
  if (request.opcode === IOCB_CMD_PREADV || request.opcode === IOCB_CMD_PWRITEV) {
    const r = loadVector(task, request.buffer as UserAddress, request.bytes);
    if (r < 0) return r;
  } else if (request.buffer + Math.min(request.bytes, RW_MAX) > USER_LIMIT) {
    return -EFAULT;
  } else loadBuffer(request.buffer as UserAddress, request.bytes);
  const at = Math.max(offset, 0);
  const n = writes ? withAppend(file, flags, () => writeLoaded(task, file, at, true)) : readLoadedNow(task, file, at);
  if (n === WAIT) return WAIT;
  if (n === -EAGAIN && !file.nonblocking && !(flags & RWF_NOWAIT) && file.waitQueue) {
    if (block(task, file.waitQueue, writes ? POLLOUT : POLLIN) === WAIT) return WAIT;
    // An operation that a signal has cut short is over: it is not made again.
    return finish(context, operation, -EINTR);
  }
  if (n > 0 && flags & (RWF_DSYNC | RWF_SYNC)) file.sync((flags & RWF_SYNC) === 0);
  return finish(context, operation, n);
}

function poll(context: AioContext, operation: Operation, request: Request, file: OpenFile): number {
  if (request.buffer > 0xffff || request.bytes !== 0 || request.offset !== 0 || request.flags !== 0) return -EINVAL;
  const wanted = request.buffer | POLLERR | POLLHUP;
  const ready = file.poll() & wanted;
  const queue = file.waitQueue;
  if (ready !== 0) return finish(context, operation, ready);
  if (!queue) return -EINVAL;
  if (operation.notify) retain(operation.notify);
  new AioPoll(context, operation, file, queue, wanted);
  return 0;
}

/** A poll that is cancelled completes with its event, and this call says that it is on its way. */
export function io_cancel(task: Task, id: number, iocb: UserAddress, _result: UserAddress): number {
  const at = task.memory.in((iocb + 8) as UserAddress, 4);
  if (at < 0) return at;
  if (u32[at >>> 2] !== 0) return -EINVAL;
  const found = task.mm.aioContexts.get(id)?.findPoll(iocb);
  if (!found) return -EINVAL;
  found.finish(0);
  return -EINPROGRESS;
}

export function io_getevents(
  task: Task,
  id: number,
  min: number,
  max: number,
  events: UserAddress,
  timeout: UserAddress,
): number {
  return getEvents(task, id, min, max, events, timeout, EINTR);
}

export function io_pgetevents(
  task: Task,
  id: number,
  min: number,
  max: number,
  events: UserAddress,
  timeout: UserAddress,
  sigmask: UserAddress,
): number {
  if (timeout !== 0 && task.memory.in(timeout, 16) < 0) return -EFAULT;
  if (sigmask !== 0) {
    const at = task.memory.in(sigmask, 16);
    if (at < 0) return at;
    const r = borrowMask(task, readU64(at) as UserAddress, readU64(at + 8));
    if (r < 0) return r;
  }
  return returnMask(task, getEvents(task, id, min, max, events, timeout, ERESTARTNOHAND), ERESTARTNOHAND);
}

/** `progress` is how many events were handed over already. */
function getEvents(
  task: Task,
  id: number,
  min: number,
  max: number,
  events: UserAddress,
  timeout: UserAddress,
  interrupted: number,
): number {
  let wait = Number.POSITIVE_INFINITY;
  if (timeout !== 0) {
    const at = task.memory.in(timeout, 16);
    if (at < 0) return at;
    wait = Math.max(0, readS64(at) * 1e9 + readS64(at + 8));
  }
  const context = task.mm.aioContexts.get(id);
  if (task.resumed && !context) return task.progress > 0 ? task.progress : -EINVAL;
  if (!context || !(min <= max && min >= 0)) return -EINVAL;
  const r = takeEvents(task, context, max, events);
  if (r < 0) return task.progress > 0 ? task.progress : r;
  if (task.progress < max && context.events.length > 0) return yieldTurn(task, task.progress);
  if (task.progress >= min || wait === 0) return task.progress;
  setTimeoutOnce(task, wait);
  if (timedOut(task)) return task.progress;
  const answer = block(task, context.queue, POLLIN, interrupted);
  return answer !== WAIT && task.progress > 0 ? task.progress : answer;
}

/** Moves completed events to the program as far as there is room; 0 or -EFAULT. */
function takeEvents(task: Task, context: AioContext, max: number, events: UserAddress): number {
  const at = allocateScratch(IO_EVENT_SIZE);
  if (at < 0) return at;
  let taken = 0;
  let r = 0;
  while (task.progress < max && taken < context.events.length) {
    const { operation, result } = context.events[taken];
    u32[at >>> 2] = operation.dataLow;
    u32[(at >>> 2) + 1] = operation.dataHigh;
    writeU64(at + 8, operation.address);
    writeU64(at + 16, result);
    writeU64(at + 24, 0);
    const to = (events + IO_EVENT_SIZE * task.progress) as UserAddress;
    r = task.memory.write(to, at, IO_EVENT_SIZE);
    if (r < 0) break;
    taken++;
    task.progress++;
    if (taken % EVENTS_AT_ONCE === 0 && turnIsOver()) break;
  }
  context.events.splice(0, taken);
  return r < 0 ? -EFAULT : 0;
}
