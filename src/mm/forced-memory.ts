// Memory as a debugger sees it: also pages that the program itself may not read or write, by the host's /proc/PID/mem.
// Text is private to its address space, so a breakpoint in it changes no file. The stub's own pages are not shown.

import { EIO } from '../abi/errno.ts';
import type { UserAddress } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { openHostMemory } from '../platform/host-proc.ts';
import { STUB_END, STUB_START } from '../platform/layout.ts';
import type { UserMemory } from './user-memory.ts';

/** How many of the bytes up to `address + length` lie before the stub's region; 0 inside of it. */
function shown(address: number, length: number): number {
  if (address >= STUB_END || address + length <= STUB_START) return length;
  return Math.max(0, STUB_START - address);
}

/** Bytes read to an arena offset, fewer before a page that is not there, or -EIO for none. */
export function readForced(memory: UserMemory, address: UserAddress, at: number, length: number): number {
  const wanted = shown(address, length);
  if (wanted === 0) return -EIO;
  const n = memory.readSome(address, at, wanted);
  if (n === wanted) return n;
  const fd = openHostMemory(memory.hostPid);
  if (fd < 0) return n > 0 ? n : -EIO;
  const forced = host.pread64(fd, at, wanted, address);
  host.close(fd);
  return forced > 0 ? forced : n > 0 ? n : -EIO;
}

/** Bytes written from an arena offset, fewer before a page that is not there, or -EIO for none. */
export function writeForced(memory: UserMemory, address: UserAddress, at: number, length: number): number {
  const wanted = shown(address, length);
  if (wanted === 0) return -EIO;
  if (wanted === length && memory.write(address, at, length) === 0) return length;
  const fd = openHostMemory(memory.hostPid);
  if (fd < 0) return -EIO;
  const written = host.pwrite64(fd, at, wanted, address);
  host.close(fd);
  return written > 0 ? written : -EIO;
}
