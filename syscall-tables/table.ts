// The system call table by number: what dispatch, strace, the generators and the compatibility report work from.

import { CREDENTIALS } from './amd64/credentials.ts';
import { EVENT } from './amd64/event.ts';
import { FILE } from './amd64/file.ts';
import { IO } from './amd64/io.ts';
import { IPC } from './amd64/ipc.ts';
import { MEMORY } from './amd64/memory.ts';
import { PROCESS } from './amd64/process.ts';
import { SIGNAL } from './amd64/signal.ts';
import { SOCKET } from './amd64/socket.ts';
import { SYSTEM } from './amd64/system.ts';
import { TIME } from './amd64/time.ts';
import { needsHandler, type SyscallEntry } from './types.ts';

const FAMILIES = [IO, FILE, EVENT, MEMORY, PROCESS, CREDENTIALS, SIGNAL, TIME, SOCKET, IPC, SYSTEM];

/** Entries in the order of their numbers. */
export const ENTRIES: readonly SyscallEntry[] = FAMILIES.flat().sort((a, b) => a.nr - b.nr);

/** One more than the highest number. Numbers from here on are ENOSYS, as are the holes. */
export const SYSCALL_COUNT = (ENTRIES[ENTRIES.length - 1] as SyscallEntry).nr + 1;

/** Entry by number; a hole (337 to 423) is undefined. */
export const TABLE: readonly (SyscallEntry | undefined)[] = byNumber();

/** Number by name. */
export const NUMBERS: ReadonlyMap<string, number> = new Map(ENTRIES.map(({ name, nr }) => [name, nr]));

/** How argument i of call nr is decoded: DECODE[nr * 6 + i] is one of the DECODE_ values of types.ts. */
export const DECODE: Uint8Array = decodeClasses();

function byNumber(): (SyscallEntry | undefined)[] {
  const table: (SyscallEntry | undefined)[] = new Array(SYSCALL_COUNT).fill(undefined);
  for (const entry of ENTRIES) {
    if (table[entry.nr] !== undefined) throw new Error(`number ${entry.nr} is in the table twice`);
    table[entry.nr] = entry;
  }
  return table;
}

function decodeClasses(): Uint8Array {
  const decode = new Uint8Array(SYSCALL_COUNT * 6);
  for (const entry of ENTRIES) {
    for (const [index, argument] of entry.args.entries()) decode[entry.nr * 6 + index] = argument.decode;
  }
  return decode;
}

/** Entry by name; throws if there is none. */
export function entryByName(name: string): SyscallEntry {
  const nr = NUMBERS.get(name);
  if (nr === undefined) throw new Error(`no system call ${name} in the table`);
  return TABLE[nr] as SyscallEntry;
}

/** Throws, naming them, if an entry that needs a handler has none, or a handler has no such entry. */
export function checkHandlers(handlers: Readonly<Record<string, unknown>>): void {
  const needed = new Set(ENTRIES.filter(needsHandler).map(({ name }) => name));
  const missing = [...needed].filter((name) => typeof handlers[name] !== 'function');
  const surplus = Object.keys(handlers).filter((name) => !needed.has(name));
  if (missing.length === 0 && surplus.length === 0) return;
  throw new Error(
    'the system call table and the handlers differ' +
      (missing.length > 0 ? `; entries without a handler: ${missing.join(', ')}` : '') +
      (surplus.length > 0 ? `; handlers without an entry: ${surplus.join(', ')}` : ''),
  );
}
