// The host's procfs, for what only the host knows: a guest process's mappings, memory and CPU time, and the machine's
// memory and processors. The launcher mounts a procfs of the sandbox's own pid namespace and passes its directory;
// files are opened by a path below it that the sentry makes up, never the guest.

import { ENOENT } from '../abi/errno.ts';
import { O_RDONLY, O_RDWR, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from '../abi/fcntl.ts';
import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch, u8, u16 } from './arena.ts';

const CHUNK = 64 << 10;
/** Offsets in struct linux_dirent64. */
const DIRENT_LENGTH = 16;
const DIRENT_NAME = 19;
const ZERO = 48;
const NINE = 57;
/** No file of procfs is longer than this; a process with very many mappings is cut off here. */
const LONGEST = 32 << 20;

let directory = -1 as HostFd;

/** Files that tell of the machine (cpuinfo, meminfo, stat, vmstat): the directory holds processes only. */
let machine: ReadonlyMap<string, HostFd> = new Map();

/** Passes in what the launcher opened. Without it, files that need it show what is known otherwise. */
export function setHostProc(processes: HostFd, machineFiles: ReadonlyMap<string, HostFd>): void {
  directory = processes;
  machine = machineFiles;
}

/** The whole text of a host procfs file, as a byte string, or -errno. */
export function readHostProc(path: string): string | number {
  const known = machine.get(path);
  if (known !== undefined) return readAll(known);
  const fd = openProc(path);
  if (fd < 0) return fd;
  const text = readAll(fd);
  host.close(fd);
  return text;
}

function openProc(path: string): HostFd {
  if (directory < 0) return -ENOENT as HostFd;
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return host.openat2(directory, path, O_RDONLY, 0, resolve) as HostFd;
}

/** Bytes of a host procfs file from a position, to an arena offset. How many, or -errno. */
export function readHostProcAt(path: string, at: number, length: number, position: number): number {
  const fd = openProc(path);
  if (fd < 0) return fd;
  const n = host.pread64(fd, at, length, position);
  host.close(fd);
  return n;
}

/**
 * Opens the file behind a descriptor of ours again, for reading only: what is mapped from it then can never be made
 * writable, whatever becomes of the descriptor. -errno when there is no procfs to do it by.
 */
export function reopenReadonly(fd: HostFd): HostFd | number {
  return directory < 0 ? -ENOENT : host.openat2(directory, `self/fd/${fd}`, O_RDONLY, 0, 0);
}

/** The numbers that a directory of the host's procfs has as names: of processes (the path '.'), or threads of one (PID/task). */
export function hostProcNumbers(path: string): number[] {
  const numbers: number[] = [];
  const fd = openProc(path);
  if (fd < 0) return numbers;
  const mark = markScratch();
  const buffer = allocateScratch(CHUNK);
  for (let n = buffer; n > 0; ) {
    n = host.getdents64(fd, buffer, CHUNK);
    for (let at = buffer; at < buffer + n; at += u16[(at + DIRENT_LENGTH) >>> 1]) {
      let number = 0;
      for (let i = at + DIRENT_NAME; u8[i] !== 0; i++) number = 10 * number + u8[i] - ZERO;
      if (number > 0 && u8[at + DIRENT_NAME] <= NINE) numbers.push(number);
    }
  }
  releaseScratch(mark);
  host.close(fd);
  return numbers;
}

/** Everything a file says now, from its start. */
function readAll(fd: HostFd): string | number {
  const mark = markScratch();
  const at = allocateScratch(CHUNK);
  let text = '';
  let n: number = at;
  if (at >= 0) {
    while (text.length < LONGEST) {
      n = host.pread64(fd, at, CHUNK, text.length);
      if (n <= 0) break;
      text += readBytes(at, n);
    }
  }
  releaseScratch(mark);
  return n < 0 && text === '' ? n : text;
}

/** A guest process's memory, to be read and written whatever the protection of its pages is (proc_pid_mem(5)), or -errno. */
export function openHostMemory(hostPid: number): HostFd {
  if (directory < 0) return -ENOENT as HostFd;
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return host.openat2(directory, `${hostPid}/mem`, O_RDWR, 0, resolve) as HostFd;
}

/** Files that are read piece by piece at a time: each keeps a descriptor. */
const READERS_MOST = 64;
let readers = 0;

/** A host procfs file that is read as far as somebody wants it. */
export class HostProcReader {
  private fd: HostFd;
  private position = 0;
  private rest = '';

  private constructor(fd: HostFd) {
    this.fd = fd;
    readers++;
  }

  /** Null when it cannot be opened, or too many are. */
  static open(path: string): HostProcReader | null {
    const fd = readers < READERS_MOST ? openProc(path) : -ENOENT;
    return fd < 0 ? null : new HostProcReader(fd as HostFd);
  }

  /** The lines of the next piece, or null at the end. */
  lines(): string[] | null {
    const mark = markScratch();
    const at = this.fd < 0 ? this.fd : allocateScratch(CHUNK);
    const n = at < 0 ? 0 : host.pread64(this.fd, at, CHUNK, this.position);
    const lines = n > 0 ? (this.rest + readBytes(at, n)).split('\n') : null;
    releaseScratch(mark);
    if (!lines) this.close();
    this.position += Math.max(n, 0);
    this.rest = lines?.pop() ?? '';
    return lines;
  }

  close(): void {
    if (this.fd < 0) return;
    host.close(this.fd);
    this.fd = -1 as HostFd;
    readers--;
  }
}

/** The lines of a host procfs file; none when it cannot be read. */
export function hostProcLines(path: string): string[] {
  const text = readHostProc(path);
  if (typeof text === 'number') return [];
  const lines = text.split('\n');
  if (lines[lines.length - 1] === '') lines.pop();
  return lines;
}

/**
 * The fields of a host /proc/PID[/task/TID]/stat, numbered as in proc(5) from 1; the name (2) is left out. Null when
 * the process is not there.
 */
export function hostStat(path: string): string[] | null {
  const text = readHostProc(path);
  if (typeof text === 'number') return null;
  const end = text.lastIndexOf(')');
  return [
    '',
    '',
    '',
    ...text
      .slice(end + 2)
      .trimEnd()
      .split(' '),
  ];
}
