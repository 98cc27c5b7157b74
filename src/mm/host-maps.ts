// Where a guest process has a host file mapped, by the host's own word.

import { hostProcLines, readHostProcAt } from '../platform/host-proc.ts';
import type { AddressSpace } from './address-space.ts';

export interface HostMapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  /** As the host shows it: rwx and s or p. */
  readonly permissions: string;
  /** Of mapped-files.ts. */
  readonly key: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+ \d+)/;

/** The mappings of the file with this key (mapped-files.ts), or with null all there are, in the order of their addresses. */
export function hostMappings(mm: AddressSpace, key: string | null): HostMapping[] {
  return hostProcLines(`${mm.hostPid}/maps`).flatMap((line) => {
    const parts = LINE.exec(line);
    if (!parts || (key !== null && parts[5] !== key)) return [];
    const [start, end, offset] = [parts[1], parts[2], parts[4]].map((digits) => Number.parseInt(digits, 16));
    return [{ start, end, offset, permissions: parts[3], key: parts[5] }];
  });
}

/** The keys of all files that have pages mapped. */
export function mappedKeys(mm: AddressSpace): Set<string> {
  return new Set(hostProcLines(`${mm.hostPid}/maps`).map((line) => LINE.exec(line)?.[5] ?? ''));
}

/** In the upper half of a page's entry: it is in memory. */
export const PAGE_PRESENT = 0x80000000;
const PAGE_SIZE = 4096;

/** Copies the entries (8 bytes each) of `count` pages from /proc/PID/pagemap; how many, or -errno. No page frames are told. */
export function readPagemap(mm: AddressSpace, address: number, at: number, count: number): number {
  const n = readHostProcAt(`${mm.hostPid}/pagemap`, at, 8 * count, 8 * Math.floor(address / PAGE_SIZE));
  return n < 0 ? n : Math.floor(n / 8);
}

const SHARED_WRITABLE = /^(?!7e00[0-9a-f]{8}-)[0-9a-f]+-[0-9a-f]+ .w.s /;

/** Whether it has memory that it may write to and others may see, the stub's slots apart. */
export function hasSharedMemory(mm: AddressSpace): boolean {
  return hostProcLines(`${mm.hostPid}/maps`).some((line) => SHARED_WRITABLE.test(line));
}
