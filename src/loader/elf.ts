// Reading ELF executables (elf(5)). Everything in the file is hostile: each number is read once, checked, and only
// then used; what does not hold together is ENOEXEC, as in Linux.

import {
  E_ENTRY,
  E_MACHINE,
  E_PHENTSIZE,
  E_PHNUM,
  E_PHOFF,
  E_TYPE,
  EHDR_SIZE,
  EI_CLASS,
  EI_DATA,
  ELF_MAGIC,
  ELFCLASS64,
  ELFDATA2LSB,
  EM_X86_64,
  ET_DYN,
  ET_EXEC,
  P_FILESZ,
  P_FLAGS,
  P_MEMSZ,
  P_OFFSET,
  P_TYPE,
  P_VADDR,
  PF_R,
  PF_W,
  PF_X,
  PHDR_SIZE,
  PT_GNU_STACK,
  PT_INTERP,
  PT_LOAD,
} from '../abi/elf.ts';
import { ENOEXEC, ENOMEM } from '../abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { allocateScratch, readBytes, readU64, u8, u16, u32 } from '../platform/arena.ts';
import type { OpenFile } from '../vfs/open-file.ts';

export const PAGE_SIZE = 4096;
/** Programs end below the region that belongs to the loader's own placements and the stub. */
const PROGRAM_LIMIT = 0x7d0000000000;
const MMAP_MIN_ADDRESS = 0x10000;
/** Linux allows 64 KiB of program headers. */
const MAX_PROGRAM_HEADERS = 512;
/** Three orders each, for program and interpreter, must fit one answer. */
export const MAX_SEGMENTS = 28;
/** What is linked to go anywhere is at most as large as the room that the loader has for it. */
export const MAX_SPAN = 2 ** 36;
const PATH_MAX = 4096;

export interface Segment {
  address: number;
  fileOffset: number;
  fileSize: number;
  memorySize: number;
  /** PROT_* */
  protection: number;
}

export interface ElfImage {
  file: OpenFile;
  /** Linked at fixed addresses (ET_EXEC) or anywhere (ET_DYN). */
  fixed: boolean;
  entry: number;
  headersOffset: number;
  headerCount: number;
  segments: Segment[];
  /** Lowest page-aligned and highest address of the segments, before relocation. */
  low: number;
  high: number;
  interpreter: string | null;
  executableStack: boolean;
}

/** Rounds down to a page; exact for addresses beyond 32 bits. */
export const pageDown = (value: number): number => value - (value % PAGE_SIZE);
export const pageUp = (value: number): number => pageDown(value + PAGE_SIZE - 1);

/** Parses the headers of an open file whose first bytes said ELF. -ENOEXEC, or -errno of reading. */
export function parseElf(file: OpenFile): ElfImage | number {
  const header = readAt(file, 0, EHDR_SIZE);
  if (header < 0) return header;
  if (u32[header >>> 2] !== ELF_MAGIC || u8[header + EI_CLASS] !== ELFCLASS64) return -ENOEXEC;
  if (u8[header + EI_DATA] !== ELFDATA2LSB || u16[(header + E_MACHINE) >>> 1] !== EM_X86_64) return -ENOEXEC;
  const type = u16[(header + E_TYPE) >>> 1];
  const headerCount = u16[(header + E_PHNUM) >>> 1];
  if ((type !== ET_EXEC && type !== ET_DYN) || u16[(header + E_PHENTSIZE) >>> 1] !== PHDR_SIZE) return -ENOEXEC;
  if (headerCount === 0 || headerCount > MAX_PROGRAM_HEADERS) return -ENOEXEC;
  const image: ElfImage = {
    file,
    fixed: type === ET_EXEC,
    entry: readU64(header + E_ENTRY),
    headersOffset: readU64(header + E_PHOFF),
    headerCount,
    segments: [],
    low: Number.POSITIVE_INFINITY,
    high: 0,
    interpreter: null,
    executableStack: false,
  };
  if (!(image.entry < PROGRAM_LIMIT && image.headersOffset < PROGRAM_LIMIT)) return -ENOEXEC;
  const r = parseProgramHeaders(image);
  return r < 0 ? r : image;
}

function parseProgramHeaders(image: ElfImage): number {
  const table = readAt(image.file, image.headersOffset, image.headerCount * PHDR_SIZE);
  if (table < 0) return table;
  for (let i = 0; i < image.headerCount; i++) {
    const at = table + i * PHDR_SIZE;
    const type = u32[(at + P_TYPE) >>> 2];
    let r = 0;
    if (type === PT_LOAD) r = addSegment(image, at);
    else if (type === PT_INTERP && image.interpreter === null) r = readInterpreter(image, at);
    else if (type === PT_GNU_STACK) image.executableStack = (u32[(at + P_FLAGS) >>> 2] & PF_X) !== 0;
    if (r < 0) return r;
  }
  if (image.segments.length === 0) return -ENOEXEC;
  if (image.fixed && image.low < MMAP_MIN_ADDRESS) return -ENOEXEC;
  if (!image.fixed && image.high - image.low > MAX_SPAN) return -ENOMEM;
  return 0;
}

function addSegment(image: ElfImage, at: number): number {
  const flags = u32[(at + P_FLAGS) >>> 2];
  const address = readU64(at + P_VADDR);
  const fileOffset = readU64(at + P_OFFSET);
  const fileSize = readU64(at + P_FILESZ);
  const memorySize = readU64(at + P_MEMSZ);
  if (fileSize > memorySize || !(address + memorySize <= PROGRAM_LIMIT) || !(fileOffset + fileSize <= PROGRAM_LIMIT)) {
    return -ENOEXEC;
  }
  // What has nothing of the file may lie anywhere.
  const misplaced = fileSize > 0 && address % PAGE_SIZE !== fileOffset % PAGE_SIZE;
  if (misplaced || image.segments.length >= MAX_SEGMENTS) return -ENOEXEC;
  if (memorySize === 0) return 0;
  const protection = (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
  image.segments.push({ address, fileOffset, fileSize, memorySize, protection });
  image.low = Math.min(image.low, pageDown(address));
  image.high = Math.max(image.high, address + memorySize);
  return 0;
}

function readInterpreter(image: ElfImage, at: number): number {
  const length = readU64(at + P_FILESZ);
  if (!(length >= 2 && length <= PATH_MAX)) return -ENOEXEC;
  const text = readAt(image.file, readU64(at + P_OFFSET), length);
  if (text < 0) return text;
  if (u8[text + length - 1] !== 0) return -ENOEXEC;
  image.interpreter = readBytes(text, length - 1).split('\0')[0];
  return 0;
}

/** Scratch with exactly `length` bytes of the file, or -ENOEXEC if it is shorter. */
function readAt(file: OpenFile, offset: number, length: number): number {
  const at = allocateScratch(length);
  if (at < 0) return at;
  const n = file.read(at, length, offset);
  if (n < 0) return n;
  return n === length ? at : -ENOEXEC;
}
