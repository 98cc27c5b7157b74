// PROCMAP_QUERY, the ioctl of /proc/PID/maps that tells of one mapping: it answers from the same lines.

import { E2BIG, EINVAL, ENAMETOOLONG, ENOENT, ENOTTY, ESRCH } from '../../abi/errno.ts';
import type { UserAddress } from '../../base/brands.ts';
import { PAGE_SIZE } from '../../kernel/host-memory.ts';
import type { Task } from '../../kernel/task.ts';
import { readU64, u8, u32, writeBytes, writeU64 } from '../../platform/arena.ts';
import { alive, readerRoot } from './access.ts';
import { mapsText } from './maps.ts';

/** _IOWR('f', 17, struct procmap_query) */
const PROCMAP_QUERY = 0xc0686611;
// struct procmap_query, byte offsets
const SIZE = 104;
const FLAGS = 8;
const ADDRESS = 16;
const START = 24;
const END = 32;
const VMA_FLAGS = 40;
const VMA_PAGE_SIZE = 48;
const OFFSET = 56;
const INODE = 64;
const DEVICE = 72;
const NAME_SIZE = 80;
const BUILD_ID_SIZE = 84;
const NAME_ADDRESS = 88;
const BUILD_ID_ADDRESS = 96;
/** Size, flags and address have to be there. */
const LEAST = 24;

const READABLE = 1;
const WRITABLE = 2;
const EXECUTABLE = 4;
const SHARED = 8;
const PERMISSIONS = READABLE | WRITABLE | EXECUTABLE | SHARED;
const COVERING_OR_NEXT = 16;
const FILE_BACKED = 32;

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$/;

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly fields: RegExpExecArray;
}

function parse(line: string): Mapping | null {
  const fields = LINE.exec(line);
  if (!fields) return null;
  const flags =
    (fields[3] === 'r' ? READABLE : 0) |
    (fields[4] === 'w' ? WRITABLE : 0) |
    (fields[5] === 'x' ? EXECUTABLE : 0) |
    (fields[6] === 's' ? SHARED : 0);
  return { start: Number.parseInt(fields[1], 16), end: Number.parseInt(fields[2], 16), flags, fields };
}

/** The first mapping from an address on that is as asked for, or null. */
function find(text: string, address: number, flags: number): Mapping | null {
  for (const line of text.split('\n')) {
    const mapping = parse(line);
    if (!mapping || mapping.end <= address || mapping.fields[11] === '[vsyscall]') continue;
    const covers = mapping.start <= address || (flags & COVERING_OR_NEXT) !== 0;
    const wanted = flags & PERMISSIONS;
    const fits = (mapping.flags & wanted) === wanted && !(flags & FILE_BACKED && mapping.fields[10] === '0');
    if (covers && fits) return mapping;
    if (!(flags & COVERING_OR_NEXT)) return null;
  }
  return null;
}

/** ioctl(2) on /proc/PID/maps. */
export function mapsIoctl(subject: Task, task: Task, command: number, argument: UserAddress): number {
  if (command !== PROCMAP_QUERY) return -ENOTTY;
  const sizeAt = task.memory.in(argument, 8);
  if (sizeAt < 0) return sizeAt;
  const size = readU64(sizeAt);
  if (size > PAGE_SIZE) return -E2BIG;
  if (size < LEAST) return -EINVAL;
  const from = task.memory.in(argument, size);
  if (from < 0) return from;
  for (let i = SIZE; i < size; i++) if (u8[from + i] !== 0) return -E2BIG;
  const field = (offset: number): number => (offset + 8 <= size ? readU64(from + offset) : 0);
  const word = (offset: number): number => (offset + 4 <= size ? u32[(from + offset) >>> 2] : 0);
  const flags = field(FLAGS);
  if (flags > (PERMISSIONS | COVERING_OR_NEXT | FILE_BACKED)) return -EINVAL;
  const nameAddress = field(NAME_ADDRESS) as UserAddress;
  const room = word(NAME_SIZE);
  if ((room !== 0) !== (nameAddress !== 0)) return -EINVAL;
  if ((word(BUILD_ID_SIZE) !== 0) !== (field(BUILD_ID_ADDRESS) !== 0)) return -EINVAL;
  const living = alive(subject);
  if (!living) return -ESRCH;
  const mapping = find(mapsText(living.mm, readerRoot(living)), field(ADDRESS), flags);
  return mapping ? put(task, argument, Math.min(size, SIZE), from, mapping, nameAddress, room) : -ENOENT;
}

/** Build ids are not read out of files: none is told, as of a file without one. */
function put(
  task: Task,
  address: UserAddress,
  size: number,
  from: number,
  { start, end, flags, fields }: Mapping,
  nameAddress: UserAddress,
  room: number,
): number {
  const name = fields[11];
  if (nameAddress !== 0 && name.length + 1 > room) return -ENAMETOOLONG;
  const full = task.memory.reserve(SIZE);
  if (full < 0) return full;
  u8.fill(0, full, full + SIZE);
  u8.copyWithin(full, from, from + size);
  writeU64(full + START, start);
  writeU64(full + END, end);
  writeU64(full + VMA_FLAGS, flags);
  writeU64(full + VMA_PAGE_SIZE, PAGE_SIZE);
  writeU64(full + OFFSET, Number.parseInt(fields[7], 16));
  writeU64(full + INODE, Number(fields[10]));
  u32[(full + DEVICE) >>> 2] = Number.parseInt(fields[8], 16);
  u32[(full + DEVICE + 4) >>> 2] = Number.parseInt(fields[9], 16);
  u32[(full + NAME_SIZE) >>> 2] = nameAddress !== 0 && name !== '' ? name.length + 1 : 0;
  u32[(full + BUILD_ID_SIZE) >>> 2] = 0;
  if (nameAddress !== 0 && name !== '') {
    const at = task.memory.out(nameAddress, name.length + 1);
    if (at < 0) return at;
    writeBytes(at, `${name}\0`);
  }
  task.memory.commit(address, full, size);
  return 0;
}
