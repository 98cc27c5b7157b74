// Which guest file lies behind a host file that a guest process has mapped: /proc/PID/maps asks by device and inode.

import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { allocateScratch, markScratch, readU64, releaseScratch } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { AddressSpace } from './address-space.ts';

const STAT_SIZE = 144;

/** Remembers that the pages of `fd` are those of the guest file at `path`. */
export function noteMapping(mm: AddressSpace, fd: HostFd, path: Path): void {
  const key = keyOfDescriptor(fd);
  if (key !== '') mm.mappedFiles.set(key, path);
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
