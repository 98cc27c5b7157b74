// The host's vDSO in guest processes: clock_gettime(2) without a call. In a time namespace whose clocks are not the
// host's, its entries for clocks are overwritten with plain system calls, which come to the sentry. Where they are is
// read from the sentry's own vDSO: it is the same code in every process, and no guest can have changed it there.

import type { UserAddress } from '../base/brands.ts';
import { allocateScratch, buffer, markScratch, readBytes, releaseScratch } from '../platform/arena.ts';
import { readHostProc, readHostProcAt } from '../platform/host-proc.ts';
import { writeForced } from './forced-memory.ts';
import type { UserMemory } from './user-memory.ts';

const PAGE = 4096;
const PT_DYNAMIC = 2;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const SYMBOL_SIZE = 24;
/** Entries to be overwritten, with the number of the call. */
const CALLS: Readonly<Record<string, number>> = { __vdso_clock_gettime: 228 };
/** mov $number, %eax; syscall; ret */
const STUB = [0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3];

interface Entry {
  readonly offset: number;
  readonly call: number;
}

let entries: readonly Entry[] | null = null;

/** Has the clocks of a process told by the sentry. `vdso` is where the image begins there, 0 for none. */
export function divertClocks(memory: UserMemory, vdso: number): void {
  if (vdso === 0) return;
  entries ??= findEntries();
  const mark = markScratch();
  const at = allocateScratch(STUB.length);
  for (const { offset, call } of entries) {
    if (at < 0) break;
    buffer.set(STUB, at);
    buffer[at + 1] = call & 0xff;
    writeForced(memory, (vdso + offset) as UserAddress, at, STUB.length);
  }
  releaseScratch(mark);
}

/** The entries in the sentry's own vDSO, by their offsets from its beginning; none if it cannot be read. */
function findEntries(): Entry[] {
  const maps = readHostProc(`${process.pid}/maps`);
  const line = typeof maps === 'string' ? /^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$/m.exec(maps) : null;
  if (!line) return [];
  const [start, end] = [Number.parseInt(line[1], 16), Number.parseInt(line[2], 16)];
  const mark = markScratch();
  const at = allocateScratch(end - start);
  const n = at < 0 || end - start > 16 * PAGE ? -1 : readHostProcAt(`${process.pid}/mem`, at, end - start, start);
  const image = n === end - start ? Buffer.from(readBytes(at, n), 'latin1') : null;
  releaseScratch(mark);
  return image ? parse(image) : [];
}

/** Symbols of an ELF image as it lies in memory; addresses in it count from its beginning. */
function parse(image: Buffer): Entry[] {
  const word = (offset: number): number => Number(image.readBigUInt64LE(offset));
  const headers = word(32);
  const [size, count] = [image.readUInt16LE(54), image.readUInt16LE(56)];
  const dynamic = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const header = headers + i * size;
    if (image.readUInt32LE(header) !== PT_DYNAMIC) continue;
    const [start, length] = [word(header + 16), word(header + 40)];
    for (let offset = start; offset < start + length; offset += 16) dynamic.set(word(offset), word(offset + 8));
  }
  const symbols = dynamic.get(DT_SYMTAB) ?? 0;
  const names = dynamic.get(DT_STRTAB) ?? 0;
  // The symbol table ends where the names begin, also when there is no old-style hash table to count by.
  const hash = dynamic.get(DT_HASH);
  const total = hash === undefined ? Math.floor((names - symbols) / SYMBOL_SIZE) : image.readUInt32LE(hash + 4);
  const found: Entry[] = [];
  for (let i = 0; i < total; i++) {
    const symbol = symbols + i * SYMBOL_SIZE;
    const name = names + image.readUInt32LE(symbol);
    const call = CALLS[image.toString('latin1', name, image.indexOf(0, name))];
    if (call !== undefined) found.push({ offset: word(symbol + 8), call });
  }
  return found;
}
