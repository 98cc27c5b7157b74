// /proc/locks: the locks that are held (proc_locks(5)).

import { F_WRLCK } from '../../abi/fcntl.ts';
import type { Pid } from '../../base/brands.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, numberIn } from '../../kernel/pid-namespaces.ts';
import type { Inode } from '../../vfs/inode.ts';
import { lockedInodes } from '../../vfs/locks.ts';

/** The text of /proc/locks. */
export function heldLocks(): string {
  const lines: string[] = [];
  for (const inode of lockedInodes()) {
    const { whole = [], ranges = [] } = inode.locks ?? {};
    for (const { pid, exclusive } of whole) lines.push(line('FLOCK ', exclusive, shown(pid), inode, '0 EOF'));
    for (const { pid, type, start, end } of ranges) {
      const kind = pid < 0 ? 'OFDLCK' : 'POSIX ';
      lines.push(line(kind, type === F_WRLCK, shown(pid), inode, `${start} ${end === Infinity ? 'EOF' : end}`));
    }
  }
  return lines.map((text, index) => `${index + 1}: ${text}\n`).join('');
}

/** The holder's number for the reader, 0 for one that it cannot see. */
function shown(pid: Pid): number {
  const namespace = kernel.current?.pidNamespace ?? initialPids;
  return namespace === initialPids || pid < 0 ? pid : numberIn(namespace, kernel.groups.get(pid));
}

function line(kind: string, exclusive: boolean, pid: number, inode: Inode, range: string): string {
  const { device, ino } = inode;
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) + Math.floor(device / 0x100000) * 0x100;
  const place = `${hex(major)}:${hex(minor)}:${ino}`;
  return `${kind} ADVISORY  ${exclusive ? 'WRITE' : 'READ'} ${pid} ${place} ${range}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
