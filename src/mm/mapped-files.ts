// Which guest file lies behind a host file that a guest process has mapped: /proc/PID/maps asks by device and inode.

import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { AddressSpace } from './address-space.ts';
import { mappedKeys } from './host-maps.ts';

const STAT_SIZE = 144;

/** Remembers that the pages of `fd` are those of the guest file at `path`. */
export function noteMapping(mm: AddressSpace, fd: HostFd, path: Path): void {
  const key = keyOfDescriptor(fd);
  if (key !== '') rememberFile(mm, key, path);
}

/** The least number of files at which those that are no longer mapped are looked for. */
const MANY = 64;
/** The latest may be on their way to the process: they are kept without asking the host. */
const LATEST = 32;

/** Remembers a file by its key. Unmapping is mostly the host's alone, so it is asked now and then what is still there. */
export function rememberFile(mm: AddressSpace, key: string, path: Path): void {
  const files = mm.mappedFiles;
  files.delete(key);
  if (files.size >= mm.mappedFilesLimit) {
    const mapped = mappedKeys(mm);
    // A thread maps the file whose descriptor its process has once more without being noted.
    const installed = new Set([...mm.tasks].map(({ installedFile }) => installedFile?.path));
    for (const [old, its] of [...files].slice(0, -LATEST)) {
      if (!mapped.has(old) && !installed.has(its)) files.delete(old);
    }
    mm.mappedFilesLimit = Math.max(MANY, 2 * files.size);
  }
  files.set(key, path);
}

/** The key of what a host descriptor refers to; '' if the host does not tell. */
export function keyOfDescriptor(fd: HostFd): string {
  const mark = markScratch();
  const at = allocateScratch(STAT_SIZE);
  const key = at >= 0 && host.fstat(fd, at) === 0 ? mappingKey(readU64(at), readU64(at + 8)) : '';
  releaseScratch(mark);
  return key;
}

/** "major:minor inode" as the host's /proc/PID/maps shows it (proc_pid_maps(5)): hexadecimal device, decimal inode. */
export function mappingKey(device: number, inode: number): string {
  const low = device % 4294967296;
  const high = Math.floor(device / 4294967296);
  const major = ((low >>> 8) & 0xfff) | (high & 0xfffff000);
  const minor = (low & 0xff) | ((low >>> 12) & 0xfff00);
  return `${hex(major)}:${hex(minor)} ${inode}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
