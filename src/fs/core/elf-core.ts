// The layout of a core file (core(5), elf(5)): an ELF file of type ET_CORE with notes about the process and its threads
// and a segment for each mapping. Only bytes are made here.

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PAGE = 4096;

export const NT_PRSTATUS = 1;
export const NT_PRFPREG = 2;
export const NT_PRPSINFO = 3;
export const NT_AUXV = 6;
export const NT_SIGINFO = 0x53494749;
export const NT_FILE = 0x46494c45;
export const NT_X86_XSTATE = 0x202;
export const PRSTATUS_SIZE = 336;
export const PRSTATUS_REGISTERS = 112;
export const PRPSINFO_SIZE = 136;

export interface Segment {
  readonly start: number;
  readonly end: number;
  /** PROT_* as ELF has it: 4 read, 2 write, 1 execute. */
  readonly flags: number;
  /** Bytes of it that are in the file. */
  readonly kept: number;
}

/** One note, padded. */
export function note(name: string, type: number, data: Uint8Array): Buffer {
  const nameBytes = name.length + 1;
  const dataAt = 12 + align(nameBytes, 4);
  const bytes = Buffer.alloc(dataAt + align(data.length, 4));
  bytes.writeUInt32LE(nameBytes, 0);
  bytes.writeUInt32LE(data.length, 4);
  bytes.writeUInt32LE(type, 8);
  bytes.write(name, 12, 'latin1');
  bytes.set(data, dataAt);
  return bytes;
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** Everything before the memory, and where in the file each segment's bytes go. */
export function coreHead(
  notes: Buffer,
  segments: readonly Segment[],
): { head: Buffer; offsets: number[]; size: number } {
  const count = segments.length + 1;
  const notesAt = EHDR_SIZE + PHDR_SIZE * count;
  const head = Buffer.alloc(notesAt + notes.length);
  head.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  head.writeUInt16LE(4, 16); // ET_CORE
  head.writeUInt16LE(62, 18); // EM_X86_64
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(EHDR_SIZE, 32); // e_phoff
  head.writeUInt16LE(EHDR_SIZE, 52);
  head.writeUInt16LE(PHDR_SIZE, 54);
  head.writeUInt16LE(count, 56);
  notes.copy(head, notesAt);
  programHeader(head, 0, PT_NOTE, 0, notesAt, 0, notes.length, 0);
  let at = align(head.length, PAGE);
  const offsets = segments.map(({ start, end, flags, kept }, i) => {
    programHeader(head, i + 1, PT_LOAD, flags, at, start, kept, end - start);
    at += kept;
    return at - kept;
  });
  return { head, offsets, size: at };
}

function programHeader(
  head: Buffer,
  index: number,
  type: number,
  flags: number,
  offset: number,
  address: number,
  fileSize: number,
  memorySize: number,
): void {
  const at = EHDR_SIZE + PHDR_SIZE * index;
  head.writeUInt32LE(type, at);
  head.writeUInt32LE(flags, at + 4);
  head.writeBigUInt64LE(BigInt(offset), at + 8);
  head.writeBigUInt64LE(BigInt(address), at + 16);
  head.writeBigUInt64LE(BigInt(fileSize), at + 32);
  head.writeBigUInt64LE(BigInt(memorySize), at + 40);
  head.writeBigUInt64LE(BigInt(type === PT_LOAD ? PAGE : 4), at + 48);
}
