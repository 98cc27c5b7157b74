// Leases (fcntl(2) F_SETLEASE): the holder of one is signalled when somebody else wants to open or truncate the file,
// and has fs.lease-break-time seconds to give it up or to downgrade it, for which the other waits.

import { CAP_LEASE } from '../abi/capability.ts';
import { EACCES, EAGAIN, EINVAL } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_PATH, O_RDONLY } from '../abi/fcntl.ts';
import { POLLIN } from '../abi/poll.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Fd } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable } from '../base/credentials.ts';
import type { WaitQueue } from '../base/wait-queue.ts';
import { block, timedOut } from '../kernel/block.ts';
import { kernel } from '../kernel/kernel.ts';
import type { Task } from '../kernel/task.ts';
import type { Inode } from '../vfs/inode.ts';
import { changeLease, type Lease, leasesOn, lockQueue } from '../vfs/locks.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { disown, ensureOwner, tellOwner } from './async-signals.ts';
import { sysctlNumber } from './proc/sysctl.ts';

const SECOND = 1e9;
const BREAK_TIME = 45;

/** F_GETLEASE: the kind of lease the file has, or what is left of it once it has to be given up. */
export function getLease(file: OpenFile): number {
  expire(file.inode);
  const lease = leasesOn(file.inode).find((one) => one.file === file);
  if (!lease) return F_UNLCK;
  return lease.breaksTo ?? lease.type;
}

/** F_SETLEASE: 0, -EACCES, -EINVAL, or -EAGAIN when the file is open elsewhere in a way that the lease excludes. */
export function setLease(task: Task, file: OpenFile, fd: Fd, type: number): number {
  const { inode } = file;
  if (inode.uid !== task.credentials.fsuid && !capable(task.credentials, CAP_LEASE)) return -EACCES;
  if ((inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  expire(inode);
  const leases = leasesOn(inode);
  const own = leases.find((one) => one.file === file);
  if (type === F_UNLCK) {
    if (!own) return -EAGAIN;
    changeLease(inode, file, null);
    disown(file);
    return 0;
  }
  if (type !== F_RDLCK && type !== F_WRLCK) return -EINVAL;
  if (type === F_RDLCK && inode.writeCount > 0) return -EAGAIN;
  if (type === F_WRLCK && openElsewhere(file)) return -EAGAIN;
  for (const lease of leases) {
    if (lease !== own && (type === F_WRLCK || lease.breaksTo !== null)) return -EAGAIN;
  }
  // One that has to be given up can only become less.
  if (own?.breaksTo === F_UNLCK || (own?.breaksTo === F_RDLCK && type === F_WRLCK)) return -EAGAIN;
  changeLease(inode, file, { file, type, pid: task.group.pid, breaksTo: null, deadline: Number.POSITIVE_INFINITY });
  ensureOwner(task, file, fd);
  return 0;
}

/** Whether any other open file is of the same inode. */
function openElsewhere(file: OpenFile): boolean {
  const seen = new Set<object>();
  for (const { files } of kernel.tasks.values()) {
    if (seen.has(files)) continue;
    seen.add(files);
    for (const other of files.files) {
      if (other && other !== file && other.inode === file.inode && !(other.flags & O_PATH)) return true;
    }
  }
  return file.inode.writeCount > (file.countsAsWriter ? 1 : 0);
}

/** Leases whose time to be given up has passed are. */
function expire(inode: Inode): void {
  if (!inode.locks) return;
  const now = monotonicNow();
  for (const lease of [...leasesOn(inode)]) if (lease.deadline <= now) settle(inode, lease);
}

function settle(inode: Inode, lease: Lease): void {
  const left = lease.breaksTo === F_RDLCK ? { ...lease, type: F_RDLCK, breaksTo: null } : null;
  changeLease(inode, lease.file, left && { ...left, deadline: Number.POSITIVE_INFINITY });
}

/**
 * Before a file is used as `flags` (of open(2)) have it: leases that exclude that must go. 0, -EAGAIN if that would take
 * waiting and must not, or WAIT.
 */
export function breakLeases(task: Task, inode: Inode, flags: number, nonblocking: boolean): number {
  if (!inode.locks || leasesOn(inode).length === 0) return 0;
  expire(inode);
  const target = (flags & O_ACCMODE) === O_RDONLY ? F_RDLCK : F_UNLCK;
  const inTheWay = leasesOn(inode).filter((lease) => target === F_UNLCK || lease.type === F_WRLCK);
  if (inTheWay.length === 0) return 0;
  for (const lease of inTheWay) startBreaking(lease, target);
  if (nonblocking) return -EAGAIN;
  task.deadline = Math.min(...inTheWay.map((lease) => lease.deadline));
  if (timedOut(task)) return 0;
  return block(task, lockQueue(inode) as WaitQueue, POLLIN);
}

function startBreaking(lease: Lease, target: number): void {
  const known = lease.breaksTo;
  if (known === F_UNLCK || known === target) return;
  lease.breaksTo = target;
  if (known !== null) return;
  const seconds = sysctlNumber('fs.lease-break-time', BREAK_TIME);
  lease.deadline = seconds > 0 ? monotonicNow() + seconds * SECOND : Number.POSITIVE_INFINITY;
  tellOwner(lease.file as OpenFile);
}
