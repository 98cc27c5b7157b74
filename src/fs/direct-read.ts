// Reads of much at once, made by the thread's own stub: the file is mapped in a window of the stub's, and copied from there
// to the program's buffer. One copy in place of two, and none in the sentry.

import { IN_ACCESS } from '../abi/misc.ts';
import { MAP_FIXED, MAP_SHARED, PROT_READ } from '../abi/mman.ts';
import type { HostFd } from '../base/brands.ts';
import { complete } from '../kernel/answer.ts';
import { outOfBounds } from '../kernel/host-memory.ts';
import { installDescriptor } from '../kernel/installed-file.ts';
import { seesEveryCall } from '../kernel/own-answers.ts';
import { keepUnsent } from '../kernel/sent-descriptor.ts';
import { hasDeliverableSignal } from '../kernel/signal-state.ts';
import type { Task } from '../kernel/task.ts';
import { order } from '../platform/answer.ts';
import { MAX_WINDOWS, mappingFd, ORDER_READ, ORDER_SYSCALL, WINDOW_SIZE, WINDOWS_ADDR } from '../platform/layout.ts';
import { notifyFile } from '../vfs/notify.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const SYS_MMAP = 9;

/** Smaller reads fit the slot. */
export const DIRECT_LEAST = 48 << 10;
/** So much must be left of a file for it to be mapped, which takes a ring. */
const DIRECT_FIRST = 256 << 10;

/**
 * Has the stub read up to `total` bytes from `start` on, where the file is such that it can. Only what is surely there is
 * read so; if there is less after all (the buffer is not all there, or somebody truncates the file), or nothing can be
 * mapped, the stub asks, and the call is made over again, here. Whether it was answered.
 */
export function readDirectly(
  task: Task,
  file: OpenFile,
  address: number,
  total: number,
  start: number,
  own: boolean,
): boolean {
  if (task.directRead > 0) {
    if (own && file.position === start + task.directRead) file.position = start;
    task.directRead = 0;
    return false;
  }
  if (task.resumed || task.block >= MAX_WINDOWS || seesEveryCall(task) || hasDeliverableSignal(task)) return false;
  const { window } = task;
  if (file.readsZeros) {
    if (outOfBounds(address, total)) return false;
    order(task.memory.slot, ORDER_READ, address, 0, total);
    return answer(task, file, start, total, own);
  }
  const extent = file.sourceExtent;
  const length = Math.min(total, extent - start);
  if (!(length >= DIRECT_LEAST) || outOfBounds(address, length) || window.refused === file) return false;
  const fd = file.readSource() as HostFd;
  if (fd < 0) return false;
  const base = WINDOWS_ADDR + task.block * WINDOW_SIZE;
  if (!window.has(file, fd, start, start + length)) {
    if (extent - start < DIRECT_FIRST || !window.place(file, fd, start, start + length)) return false;
    installDescriptor(task, file, fd);
    const size = window.end - window.start;
    const flags = MAP_SHARED | MAP_FIXED;
    order(task.memory.slot, ORDER_SYSCALL, SYS_MMAP, base, size, PROT_READ, flags, mappingFd(task.block), window.start);
  }
  order(task.memory.slot, ORDER_READ, address, base + (start - window.start), length);
  return answer(task, file, start, length, own);
}

function answer(task: Task, file: OpenFile, start: number, length: number, own: boolean): true {
  task.directRead = length;
  if (own) file.position = start + length;
  notifyFile(file, IN_ACCESS);
  complete(task, 0, 0);
  keepUnsent(task);
  return true;
}
