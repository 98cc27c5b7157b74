// Locked memory (mlock(2)): the host locks the pages, and how many they are is read from it. Here are the limit that
// RLIMIT_MEMLOCK sets and the count without what mlockall(2) locked of the stub.

import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { ENOMEM, EPERM } from '../abi/errno.ts';
import { RLIMIT_MEMLOCK } from '../abi/resource.ts';
import { capable } from '../base/credentials.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { hostProcLines } from '../platform/host-proc.ts';
import type { Task } from './task.ts';

/** The stub's region in smaps: 7e00 and eight more digits. */
const STUB_LINE = /^7e00[0-9a-f]{8}-([0-9a-f]+) /;
const MAPPING_LINE = /^([0-9a-f]+)-([0-9a-f]+) /;

/** Bytes of an address space that are locked, as VmLck has it. */
export function lockedMemory(mm: AddressSpace): number {
  for (const line of hostProcLines(`${mm.hostPid}/status`)) {
    if (!line.startsWith('VmLck:')) continue;
    const bytes = Number.parseInt(line.slice(6), 10) * 1024;
    return mm.lockedAll && bytes > 0 ? bytes - lockedStub(mm) : bytes;
  }
  return 0;
}

function lockedStub(mm: AddressSpace): number {
  let bytes = 0;
  let size = 0;
  for (const line of hostProcLines(`${mm.hostPid}/smaps`)) {
    const range = MAPPING_LINE.exec(line);
    if (range) size = STUB_LINE.test(line) ? Number.parseInt(range[2], 16) - Number.parseInt(range[1], 16) : 0;
    else if (size > 0 && line.startsWith('VmFlags:') && line.includes(' lo')) bytes += size;
  }
  return bytes;
}

/** Whether the task may lock so many bytes more: 0, -EPERM, or -ENOMEM beyond its limit. */
export function mayLock(task: Task, length: number): number {
  if (capable(task.credentials, CAP_IPC_LOCK)) return 0;
  const limit = task.group.limits.soft[RLIMIT_MEMLOCK];
  if (limit === 0) return -EPERM;
  return length > limit || lockedMemory(task.mm) + length > limit ? -ENOMEM : 0;
}
