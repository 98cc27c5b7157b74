// Memory mappings (mmap(2) and its family). Anonymous memory is the host's own and mostly never gets here; what the
// filter's rules leave over does: file mappings, for which the guest's process is given a host descriptor, unusual
// flags, and ranges of 4 GiB and more, which are checked here and then carried out by the thread's own stub.

import { EACCES, EAGAIN, EBADF, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW, EPERM } from '../abi/errno.ts';
import { O_ACCMODE, O_PATH, O_RDONLY, O_RDWR } from '../abi/fcntl.ts';
import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_EXECUTABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_TYPE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { MS_NOEXEC } from '../abi/mount.ts';
import type { Fd, HostFd } from '../base/brands.ts';
import { ASKED } from '../kernel/block.ts';
import { TEXT } from '../kernel/exec.ts';
import { askHost, callHost, hostAnswer, outOfBounds, PAGE_SIZE, USER_LIMIT } from '../kernel/host-memory.ts';
import { forgetDescriptor, installDescriptor } from '../kernel/installed-file.ts';
import { mayLock } from '../kernel/locked-memory.ts';
import { keepUnsent, sendWithAnswer } from '../kernel/sent-descriptor.ts';
import type { Task } from '../kernel/task.ts';
import { type HostMapping, hostMappings } from '../mm/host-maps.ts';
import { noteMapping } from '../mm/mapped-files.ts';
import { releaseText, sweepSites } from '../mm/patches.ts';
import { mappingFd } from '../platform/layout.ts';
import type { Inode } from '../vfs/inode.ts';
import { drop, type OpenFile } from '../vfs/open-file.ts';

const SYS_MMAP = 9;
const SYS_MPROTECT = 10;
const SYS_MUNMAP = 11;
const SYS_MREMAP = 25;
const SYS_MSYNC = 26;
const SYS_MINCORE = 27;
const SYS_MADVISE = 28;
const SYS_MSEAL = 462;

/** Flags that are passed on to the host; the others have no effect here (or none in Linux). */
const PASSED =
  MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE | MAP_STACK | MAP_GROWSDOWN | MAP_POPULATE | MAP_32BIT | MAP_LOCKED;
const KNOWN = PASSED | MAP_TYPE | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_NONBLOCK | MAP_HUGETLB;
const ADVICES = new Set([
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
]);

export function mmap(
  task: Task,
  address: number,
  length: number,
  protection: number,
  flags: number,
  fd: Fd,
  offset: number,
): number {
  const type = flags & MAP_TYPE;
  if (!(flags & MAP_ANONYMOUS)) {
    const file = task.files.get(fd);
    if (!file || file.flags & O_PATH) return -EBADF;
  }
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if (length === 0 || offset % PAGE_SIZE !== 0) return -EINVAL;
  if (type === MAP_SHARED_VALIDATE && flags & ~KNOWN) return -EOPNOTSUPP;
  if (flags & MAP_HUGETLB || length > USER_LIMIT) return -ENOMEM;
  const fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
  if (fixed && address % PAGE_SIZE !== 0) return -EINVAL;
  if (fixed && outOfBounds(address, length)) return -ENOMEM;
  if (flags & MAP_LOCKED) {
    const r = mayLock(task, length);
    if (r < 0) return r === -ENOMEM ? -EAGAIN : r;
  }
  const hint = outOfBounds(address, length) ? 0 : address;
  const kind = type === MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
  const passed = (flags & PASSED) | kind;
  if (fixed) task.mm.sites?.forget(address, address + length);
  if (flags & MAP_ANONYMOUS) return callHost(task, SYS_MMAP, hint, length, protection, passed | MAP_ANONYMOUS, -1, 0);
  return mapFile(task, hint, length, protection, passed & ~MAP_GROWSDOWN, fd, offset);
}

/** The guest's process gets a host descriptor of the file's pages; the filter lets it do nothing but map it. */
function mapFile(
  task: Task,
  address: number,
  length: number,
  protection: number,
  flags: number,
  fd: Fd,
  offset: number,
): number {
  const file = task.files.get(fd) as OpenFile;
  if (!(offset >= 0 && offset + length <= Number.MAX_SAFE_INTEGER)) return -EOVERFLOW;
  if (!file.readable) return -EACCES;
  const shared = (flags & MAP_TYPE) === MAP_SHARED;
  if (shared && protection & PROT_WRITE && (file.flags & O_ACCMODE) !== O_RDWR) return -EACCES;
  if (protection & PROT_EXEC && file.path.mount.flags & MS_NOEXEC) return -EPERM;
  const hostFd = file.mapping(protection, flags);
  if (hostFd < 0) return hostFd;
  const { mm } = task;
  installDescriptor(task, file, hostFd as HostFd);
  if (!task.installedMapped) {
    task.installedMapped = true;
    noteMapping(mm, hostFd as HostFd, file.path);
  }
  // Where it comes to lie nobody knows yet; but nothing that is gone by now is to be taken for text there.
  if (shared && protection & PROT_EXEC) sweepSites(mm);
  if (flags & MAP_FIXED && protection === TEXT && !shared)
    mm.sites?.addText(address, length, file.path.dentry.name, offset);
  const answered = callHost(task, SYS_MMAP, address, length, protection, flags, mappingFd(task.block), offset);
  keepUnsent(task);
  return answered;
}

export function munmap(task: Task, address: number, length: number): number {
  if (address % PAGE_SIZE !== 0 || length === 0 || outOfBounds(address, length)) return -EINVAL;
  return callHost(task, SYS_MUNMAP, address, length);
}

export function mprotect(task: Task, address: number, length: number, protection: number): number {
  if (address % PAGE_SIZE !== 0) return -EINVAL;
  if (outOfBounds(address, length)) return -ENOMEM;
  if (protection & (PROT_WRITE | PROT_EXEC)) releaseText(task.mm, address, address + length);
  return callHost(task, SYS_MPROTECT, address, length, protection);
}

export function mremap(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress: number,
): number {
  if (outOfBounds(address, oldLength)) return -EINVAL;
  if (newLength > USER_LIMIT || (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && outOfBounds(newAddress, newLength)))
    return -EINVAL;
  releaseText(task.mm, address, address + oldLength);
  if (flags & MREMAP_FIXED) task.mm.sites?.forget(newAddress, newAddress + newLength);
  return callHost(task, SYS_MREMAP, address, oldLength, newLength, flags, newAddress);
}

export function madvise(task: Task, address: number, length: number, advice: number): number {
  if (!ADVICES.has(advice) || address % PAGE_SIZE !== 0) return -EINVAL;
  if (address + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE >= 2 ** 64) return -EINVAL;
  if (outOfBounds(address, length)) return -ENOMEM;
  return callHost(task, SYS_MADVISE, address, length, advice);
}

export function msync(task: Task, address: number, length: number, flags: number): number {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || address % PAGE_SIZE !== 0) return -EINVAL;
  // An address that rounds to 2^64 was not at the start of a page.
  if ((flags & MS_ASYNC && flags & MS_SYNC) || address >= 2 ** 64) return -EINVAL;
  if (outOfBounds(address, length)) return -ENOMEM;
  return callHost(task, SYS_MSYNC, address, length, flags);
}

/** Which pages are resident, told by the host for the guest's own mapping (mincore(2)). */
export function mincore(task: Task, address: number, length: number, vector: number): number {
  if (address % PAGE_SIZE !== 0) return -EINVAL;
  if (outOfBounds(address, length)) return -ENOMEM;
  if (outOfBounds(vector, Math.ceil(length / PAGE_SIZE))) return -EFAULT;
  return callHost(task, SYS_MINCORE, address, length, vector);
}

/** `progress` of a call whose mapping the stub has been asked to make. */
const MAPPING = 1;

/**
 * Pages of a shared file mapping in place of those that are there, which is a mapping like others (remap_file_pages(2)).
 */
export function remap_file_pages(task: Task, address: number, size: number, protection: number, page: number): number {
  if (task.progress === MAPPING) {
    task.progress = 0;
    return Math.min(0, hostAnswer(task));
  }
  const start = address - (address % PAGE_SIZE);
  const length = size - (size % PAGE_SIZE);
  if (protection !== 0 || length === 0 || outOfBounds(start, length)) return -EINVAL;
  const permissions = sharedPermissions(task, start, start + length);
  const path = permissions && task.mm.mappedFiles.get(permissions.key);
  if (!permissions || !path) return -EINVAL;
  const writes = permissions.protection & PROT_WRITE;
  const file = (path.dentry.inode as Inode).open(path, writes ? O_RDWR : O_RDONLY, task);
  if (typeof file === 'number') return -EINVAL;
  const hostFd = file.mapping(permissions.protection, MAP_SHARED);
  if (hostFd >= 0) {
    task.progress = MAPPING;
    forgetDescriptor(task);
    sendWithAnswer(task, hostFd, mappingFd(task.block));
    const flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    askHost(task, SYS_MMAP, start, length, permissions.protection, flags, mappingFd(task.block), page * PAGE_SIZE);
    keepUnsent(task);
  }
  drop(file);
  return hostFd < 0 ? hostFd : ASKED;
}

/** What one shared mapping, or several of the same kind and file, that lie in all of the range have in common; or null. */
function sharedPermissions(task: Task, start: number, end: number): { protection: number; key: string } | null {
  const parts = hostMappings(task.mm, null).filter((part) => part.end > start && part.start < end);
  const [first] = parts;
  if (first?.permissions[3] !== 's' || first.start > start || (parts.at(-1) as HostMapping).end < end) return null;
  const same = parts.every(
    ({ permissions, key, start: from }, index) =>
      permissions === first.permissions && key === first.key && (index === 0 || parts[index - 1]?.end === from),
  );
  const bit = (letter: string, value: number): number => (first.permissions.includes(letter) ? value : 0);
  return same ? { protection: bit('r', PROT_READ) | bit('w', PROT_WRITE) | bit('x', PROT_EXEC), key: first.key } : null;
}

/** What the filter's rule leaves over (mseal(2)): flags, of which there are none, and large ranges. */
export function mseal(task: Task, address: number, length: number, flags: number): number {
  if (flags !== 0 || address % PAGE_SIZE !== 0) return -EINVAL;
  const end = address + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end >= 2 ** 64) return -EINVAL;
  if (outOfBounds(address, end - address)) return -ENOMEM;
  return callHost(task, SYS_MSEAL, address, length, 0);
}
