// poll(2), ppoll(2), select(2), pselect6(2): each round asks every file for its readiness; if none has any, the task
// stands on all their queues and the call is retried when one wakes.

import { EBADF, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import { STICKY_TIMEOUTS } from '../abi/misc.ts';
import {
  POLLERR,
  POLLFD_SIZE,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '../abi/poll.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { commitBlock, setTimeoutOnce, timedOut, WAIT, waitOn } from '../kernel/block.ts';
import type { Task } from '../kernel/task.ts';
import { borrowMask, readTimeout, returnMask } from '../kernel/wait-arguments.ts';
import { allocateScratch, i32, readS64, readU64, u32, writeU64 } from '../platform/arena.ts';

const MILLISECOND = 1e6;
const SECOND = 1e9;
const ALWAYS = POLLERR | POLLHUP;
const READ_SET = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL;
const WRITE_SET = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL;
const EXCEPT_SET = POLLPRI | POLLNVAL;

export function poll(task: Task, fds: UserAddress, nfds: number, timeout: number): number {
  const nanoseconds = timeout < 0 ? Number.POSITIVE_INFINITY : timeout * MILLISECOND;
  return pollFds(task, fds, nfds, nanoseconds, ERESTART_RESTARTBLOCK);
}

export function ppoll(
  task: Task,
  fds: UserAddress,
  nfds: number,
  timeout: UserAddress,
  sigmask: UserAddress,
  sigsetsize: number,
): number {
  const nanoseconds = readTimeout(task, timeout);
  if (nanoseconds < 0) return nanoseconds;
  const refused = borrowMask(task, sigmask, sigsetsize);
  if (refused < 0) return refused;
  const result = pollFds(task, fds, nfds, nanoseconds, ERESTARTNOHAND);
  return finish(task, result, timeout, nanoseconds, 1);
}

export function select(
  task: Task,
  nfds: number,
  readfds: UserAddress,
  writefds: UserAddress,
  exceptfds: UserAddress,
  timeout: UserAddress,
): number {
  const nanoseconds = readTimeval(task, timeout);
  if (nanoseconds < 0) return nanoseconds;
  const result = selectFds(task, nfds, readfds, writefds, exceptfds, nanoseconds);
  return finish(task, result, timeout, nanoseconds, 1000);
}

export function pselect6(
  task: Task,
  nfds: number,
  readfds: UserAddress,
  writefds: UserAddress,
  exceptfds: UserAddress,
  timeout: UserAddress,
  sigmask: UserAddress,
): number {
  const nanoseconds = readTimeout(task, timeout);
  if (nanoseconds < 0) return nanoseconds;
  if (sigmask !== 0) {
    // A struct of the mask's address and its size, as six arguments are all there are.
    const at = task.memory.in(sigmask, 16);
    if (at < 0) return at;
    const refused = borrowMask(task, readU64(at) as UserAddress, readU64(at + 8));
    if (refused < 0) return refused;
  }
  const result = selectFds(task, nfds, readfds, writefds, exceptfds, nanoseconds);
  return finish(task, result, timeout, nanoseconds, 1);
}

/** Writes the remaining time back, as Linux does, and ends the borrowed mask. `unit`: ns of the second field's unit. */
function finish(task: Task, result: number, timeout: UserAddress, nanoseconds: number, unit: number): number {
  const sticky = (task.personality & STICKY_TIMEOUTS) !== 0;
  if (result !== WAIT && timeout !== 0 && nanoseconds > 0 && !sticky) {
    const waited = task.deadline !== Number.POSITIVE_INFINITY;
    const left = waited ? Math.max(0, task.deadline - monotonicNow()) : nanoseconds;
    const at = allocateScratch(16);
    if (at >= 0) {
      writeU64(at, Math.floor(left / SECOND));
      writeU64(at + 8, Math.floor((left % SECOND) / unit));
      // At once and not with the answer: a timeout in read-only memory is no error.
      task.memory.write(timeout, at, 16);
    }
  }
  return returnMask(task, result, ERESTARTNOHAND);
}

/** A struct timeval as nanoseconds; microseconds may exceed a second, as select(2) lets them. */
function readTimeval(task: Task, address: UserAddress): number {
  if (address === 0) return Number.POSITIVE_INFINITY;
  const at = task.memory.in(address, 16);
  if (at < 0) return at;
  const seconds = readS64(at);
  const microseconds = readS64(at + 8);
  if (seconds < 0 || microseconds < 0) return -EINVAL;
  return seconds * SECOND + microseconds * 1000;
}

function pollFds(task: Task, fds: UserAddress, nfds: number, timeout: number, restart: number): number {
  if (nfds > task.group.limits.soft[RLIMIT_NOFILE]) return -EINVAL;
  const { memory, files } = task;
  const size = nfds * POLLFD_SIZE;
  const from = memory.in(fds, size);
  if (from < 0) return from;
  // Results go to the slot if they fit; a request too long for that is answered where it lies.
  const room = memory.reserve(size);
  const to = room < 0 ? from : room;
  const shift = (to - from) >> 2;
  const end = (from + size) >> 2;
  let ready = 0;
  for (let i = from >> 2; i < end; i += 2) {
    const fd = i32[i];
    const events = u32[i + 1] & 0xffff;
    let found = 0;
    if (fd >= 0) {
      const file = files.get(fd as Fd);
      found = file && !(file.flags & O_PATH) ? file.poll() & (events | ALWAYS) & 0xffff : POLLNVAL;
    }
    i32[i + shift] = fd;
    u32[i + shift + 1] = events | (found << 16);
    if (found !== 0) ready++;
  }
  if (ready === 0 && timeout !== 0) {
    setTimeoutOnce(task, timeout);
    if (!timedOut(task)) {
      for (let i = from >> 2; i < end; i += 2) {
        const queue = i32[i] < 0 ? null : files.get(i32[i] as Fd)?.waitQueue;
        if (queue) waitOn(task, queue, u32[i + 1] & 0xffff);
      }
      return commitBlock(task, restart);
    }
  }
  memory.commit(fds, to, size);
  return ready;
}

/** How many descriptors select(2) looks at: Linux's tables have 64 slots, then powers of two from 256 on. */
function tableSize(used: number): number {
  if (used <= 64) return 64;
  return Math.max(256, 2 ** Math.ceil(Math.log2(used)));
}

function selectFds(
  task: Task,
  nfds: number,
  readfds: UserAddress,
  writefds: UserAddress,
  exceptfds: UserAddress,
  timeout: number,
): number {
  if (nfds < 0) return -EINVAL;
  const count = Math.min(nfds, tableSize(task.files.files.length));
  const bytes = ((count + 63) >> 6) << 3;
  const wantRead = readSet(task, readfds, bytes);
  const wantWrite = readSet(task, writefds, bytes);
  const wantExcept = readSet(task, exceptfds, bytes);
  if (wantRead < 0 || wantWrite < 0 || wantExcept < 0) return Math.min(wantRead, wantWrite, wantExcept);
  const results = allocateScratch(3 * bytes);
  if (results < 0) return results;
  const ready = scanSets(task, count, wantRead >> 2, wantWrite >> 2, wantExcept >> 2, results >> 2, bytes >> 2);
  if (ready < 0) return ready;
  if (ready === 0 && timeout !== 0) {
    setTimeoutOnce(task, timeout);
    if (!timedOut(task)) {
      waitOnSets(task, count, wantRead >> 2, wantWrite >> 2, wantExcept >> 2);
      return commitBlock(task, ERESTARTNOHAND);
    }
  }
  if (readfds !== 0) answerSet(task, readfds, results, bytes);
  if (writefds !== 0) answerSet(task, writefds, results + bytes, bytes);
  if (exceptfds !== 0) answerSet(task, exceptfds, results + 2 * bytes, bytes);
  return ready;
}

/** A private copy of a set of the guest's, empty for a null pointer. Arena offset or -errno. */
function readSet(task: Task, address: UserAddress, bytes: number): number {
  const at = allocateScratch(bytes);
  if (at < 0) return at;
  if (address !== 0) {
    const failed = task.memory.read(address, at, bytes);
    return failed < 0 ? failed : at;
  }
  u32.fill(0, at >> 2, (at + bytes) >> 2);
  return at;
}

function answerSet(task: Task, address: UserAddress, at: number, bytes: number): void {
  const to = task.memory.reserve(bytes);
  if (to < 0) return;
  for (let i = 0; i < bytes >> 2; i++) u32[(to >> 2) + i] = u32[(at >> 2) + i];
  task.memory.commit(address, to, bytes);
}

/** Fills the three result sets (u32 indices) and counts their bits; -EBADF for a set bit without a file. */
function scanSets(task: Task, count: number, r: number, w: number, x: number, out: number, words: number): number {
  let ready = 0;
  u32.fill(0, out, out + 3 * words);
  for (let word = 0; word << 5 < count; word++) {
    const any = u32[r + word] | u32[w + word] | u32[x + word];
    if (any === 0) continue;
    for (let bit = 0; bit < 32 && (word << 5) + bit < count; bit++) {
      const flag = 1 << bit;
      if ((any & flag) === 0) continue;
      const file = task.files.get(((word << 5) + bit) as Fd);
      if (!file || file.flags & O_PATH) return -EBADF;
      const events = file.poll();
      if (u32[r + word] & flag && events & READ_SET) ready += setBit(out + word, flag);
      if (u32[w + word] & flag && events & WRITE_SET) ready += setBit(out + words + word, flag);
      if (u32[x + word] & flag && events & EXCEPT_SET) ready += setBit(out + 2 * words + word, flag);
    }
  }
  return ready;
}

function setBit(index: number, flag: number): number {
  u32[index] |= flag;
  return 1;
}

function waitOnSets(task: Task, count: number, r: number, w: number, x: number): void {
  for (let word = 0; word << 5 < count; word++) {
    const any = u32[r + word] | u32[w + word] | u32[x + word];
    for (let bit = 0; any !== 0 && bit < 32 && (word << 5) + bit < count; bit++) {
      const flag = 1 << bit;
      const queue = any & flag ? task.files.get(((word << 5) + bit) as Fd)?.waitQueue : null;
      if (!queue) continue;
      const read = u32[r + word] & flag ? READ_SET : 0;
      const write = u32[w + word] & flag ? WRITE_SET : 0;
      waitOn(task, queue, read | write | (u32[x + word] & flag ? EXCEPT_SET : 0));
    }
  }
}
