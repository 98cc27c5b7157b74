// System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).

import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { EINVAL, ENOMEM, ENOSPC, EPERM } from '../abi/errno.ts';
import {
  IPC_INFO,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  SHM_EXEC,
  SHM_HUGETLB,
  SHM_INFO,
  SHM_INFO_SIZE,
  SHM_LOCK,
  SHM_LOCKED,
  SHM_RDONLY,
  SHM_REMAP,
  SHM_RND,
  SHM_STAT,
  SHM_STAT_ANY,
  SHM_UNLOCK,
  SHMID_SIZE,
  SHMINFO_SIZE,
  SHMMNI,
} from '../abi/ipc.ts';
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { RLIMIT_MEMLOCK } from '../abi/resource.ts';
import type { HostFd, UserAddress } from '../base/brands.ts';
import { capableIn } from '../base/credentials.ts';
import { sysctlNumber } from '../fs/proc/sysctl.ts';
import { host } from '../host/calls.ts';
import { complete } from '../kernel/answer.ts';
import { ANSWERED } from '../kernel/block.ts';
import { forgetDescriptor } from '../kernel/installed-file.ts';
import type { IpcTable } from '../kernel/ipc/ids.ts';
import { MAY_READ_IPC, MAY_WRITE_IPC, nowSeconds } from '../kernel/ipc/ids.ts';
import { allSegments, objectsOf } from '../kernel/ipc/objects.ts';
import {
  collectSegments,
  removeSegment,
  SharedMemory,
  segmentPages,
  tooManySegments,
} from '../kernel/ipc/shared-memory.ts';
import { keepUnsent, sendWithAnswer } from '../kernel/sent-descriptor.ts';
import type { Task } from '../kernel/task.ts';
import { hostMappings } from '../mm/host-maps.ts';
import { order } from '../platform/answer.ts';
import { i32, u8, u32, writeU64 } from '../platform/arena.ts';
import { ACT_ORDER_RETURN, mappingFd, ORDER_SYSCALL, STUB_END, STUB_START } from '../platform/layout.ts';
import { createSparseFile } from '../platform/memory-file.ts';

const SYS_MMAP = 9;
const SYS_MUNMAP = 11;
const PAGE = 4096;
const USER_LIMIT = 0x7ffffffff000;
/** Orders that fit one answer beside those for signals. */
const MAX_UNMAPS = 8;

/** shmget(2) */
export function shmget(task: Task, key: number, size: number, flags: number): number {
  const { credentials } = task;
  const make = (): SharedMemory | number => {
    if (!(size >= 1 && size <= Number.MAX_SAFE_INTEGER)) return -EINVAL;
    if (flags & SHM_HUGETLB) return -ENOMEM;
    if (size > USER_LIMIT) return -ENOMEM;
    if (tooManySegments()) return -ENOSPC;
    const backing = createSparseFile() as HostFd;
    if (backing < 0) return -ENOSPC;
    const r = host.ftruncate(backing, Math.ceil(size / PAGE) * PAGE);
    if (r === 0) return new SharedMemory(key | 0, flags, credentials, size, backing, task.group.identity);
    host.close(backing);
    return -ENOMEM;
  };
  const fits = (segment: SharedMemory): number => (size > segment.size ? -EINVAL : 0);
  return objectsOf(task).segments.get(key | 0, flags, credentials, sysctlNumber('kernel.shmmni', SHMMNI), make, fits);
}

/** shmat(2): the mapping is made by the thread's own stub, and its address is the result. */
export function shmat(task: Task, shmid: number, address: number, flags: number): number {
  if (shmid < 0) return -EINVAL;
  const start = flags & SHM_RND ? address - (address % PAGE) : address;
  if (start % PAGE !== 0) return -EINVAL;
  if (start === 0 && (flags & SHM_REMAP || address !== 0)) return -EINVAL;
  const segment = objectsOf(task).segments.find(shmid);
  if (!segment) return -EINVAL;
  const readonly = (flags & SHM_RDONLY) !== 0;
  const allowed = segment.check(task.credentials, readonly ? MAY_READ_IPC : MAY_READ_IPC | MAY_WRITE_IPC);
  if (allowed < 0) return allowed;
  const length = Math.ceil(segment.size / PAGE) * PAGE;
  if (start !== 0 && (start + length > USER_LIMIT || (start < STUB_END && start + length > STUB_START))) return -EINVAL;
  if (start !== 0 && !(flags & SHM_REMAP) && overlaps(task, start, length)) return -EINVAL;
  const protection = PROT_READ | (readonly ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
  const fixed = start === 0 ? 0 : flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  const fd = segment.descriptorFor(readonly);
  if (fd < 0) return -ENOMEM;
  segment.attachedTo(task.mm, task.group.identity);
  forgetDescriptor(task);
  sendWithAnswer(task, fd, mappingFd(task.block));
  order(
    task.memory.slot,
    ORDER_SYSCALL,
    SYS_MMAP,
    start,
    length,
    protection,
    MAP_SHARED | fixed,
    mappingFd(task.block),
    0,
  );
  complete(task, 0, ACT_ORDER_RETURN);
  keepUnsent(task);
  return ANSWERED;
}

/** Whether something is mapped there already. */
function overlaps(task: Task, start: number, length: number): boolean {
  return hostMappings(task.mm, null).some((mapping) => mapping.start < start + length && mapping.end > start);
}

/** shmdt(2): what is left of the mapping that starts there. */
export function shmdt(task: Task, address: number): number {
  if (address % PAGE !== 0) return -EINVAL;
  for (const segment of allSegments()) {
    if (!task.mm.mappedFiles.has(segment.mappingKey)) continue;
    const parts = hostMappings(task.mm, segment.mappingKey).filter(({ start, offset }) => start - offset === address);
    if (parts.length === 0) continue;
    segment.detachTime = nowSeconds();
    segment.lastUser = task.group.identity;
    for (const { start, end } of parts.slice(0, MAX_UNMAPS)) {
      order(task.memory.slot, ORDER_SYSCALL, SYS_MUNMAP, start, end - start);
    }
    complete(task, 0, ACT_ORDER_RETURN);
    return ANSWERED;
  }
  return -EINVAL;
}

/** shmctl(2) */
export function shmctl(task: Task, shmid: number, command: number, buffer: UserAddress): number {
  if (shmid < 0 || command < 0) return -EINVAL;
  collectSegments(objectsOf(task).segments);
  switch (command) {
    case IPC_INFO:
      return limits(task, buffer);
    case SHM_INFO:
      return usage(task, buffer);
    case SHM_STAT:
    case SHM_STAT_ANY:
    case IPC_STAT:
      return status(task, shmid, command, buffer);
    case IPC_SET:
    case IPC_RMID:
      return manage(task, shmid, command, buffer);
    case SHM_LOCK:
    case SHM_UNLOCK:
      return lock(task, shmid, command === SHM_LOCK);
    default:
      return -EINVAL;
  }
}

/** struct shminfo64: the largest size and the total are ULONG_MAX - 2^24, as Linux has them. */
function limits(task: Task, buffer: UserAddress): number {
  const at = task.memory.out(buffer, SHMINFO_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + SHMINFO_SIZE);
  for (const field of [0, 32]) {
    u32[(at + field) >>> 2] = 0xfeffffff;
    u32[(at + field + 4) >>> 2] = 0xffffffff;
  }
  writeU64(at + 8, 1);
  writeU64(at + 16, SHMMNI);
  writeU64(at + 24, SHMMNI);
  return objectsOf(task).segments.highest;
}

/** struct shm_info */
function usage(task: Task, buffer: UserAddress): number {
  const at = task.memory.out(buffer, SHM_INFO_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + SHM_INFO_SIZE);
  const { segments } = objectsOf(task);
  i32[at >>> 2] = segments.count;
  writeU64(at + 8, segmentPages(segments));
  writeU64(at + 16, residentPages(segments));
  return segments.highest;
}

/** Pages of the segments that are in memory. */
function residentPages(segments: IpcTable<SharedMemory>): number {
  return segments.objects.reduce((sum, segment) => sum + (segment?.resident() ?? 0), 0);
}

function status(task: Task, id: number, command: number, buffer: UserAddress): number {
  const byIndex = command !== IPC_STAT;
  const { segments } = objectsOf(task);
  const segment = byIndex ? segments.at(id) : segments.find(id);
  if (!segment) return -EINVAL;
  const allowed = command === SHM_STAT_ANY ? 0 : segment.check(task.credentials, MAY_READ_IPC);
  if (allowed < 0) return allowed;
  const at = task.memory.out(buffer, SHMID_SIZE);
  if (at < 0) return at;
  segment.put(at, task);
  return byIndex ? segment.id : 0;
}

/** IPC_SET and IPC_RMID, for owners. */
function manage(task: Task, id: number, command: number, buffer: UserAddress): number {
  const at = command === IPC_SET ? task.memory.in(buffer, SHMID_SIZE) : 0;
  if (at < 0) return at;
  const segment = objectsOf(task).segments.find(id);
  if (!segment) return -EINVAL;
  const allowed = segment.checkOwner(task.credentials);
  if (allowed < 0) return allowed;
  if (command === IPC_SET) return segment.setPermissions(at, task);
  removeSegment(objectsOf(task).segments, segment);
  return 0;
}

/** SHM_LOCK and SHM_UNLOCK: memory here is never swapped by the sandbox, so that the mark is all there is to it. */
function lock(task: Task, id: number, on: boolean): number {
  const segment = objectsOf(task).segments.find(id);
  if (!segment) return -EINVAL;
  if (!capableIn(segment.ruler, task.credentials, CAP_IPC_LOCK)) {
    const r = segment.checkOwner(task.credentials);
    if (r < 0) return r;
    if (on && task.group.limits.soft[RLIMIT_MEMLOCK] === 0) return -EPERM;
  }
  segment.mode = on ? segment.mode | SHM_LOCKED : segment.mode & ~SHM_LOCKED;
  return 0;
}
