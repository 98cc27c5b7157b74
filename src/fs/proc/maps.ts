// /proc/PID/maps, smaps and smaps_rollup: the host's view of the guest process, with the stub taken out and host files
// called by their guest names, and text in one piece that the host has in several because call sites in it were patched.
// Also how much of the host's numbers is the stub's.

import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import type { CallSites } from '../../mm/call-sites.ts';
import { HostProcReader, hostProcLines } from '../../platform/host-proc.ts';
import type { Path } from '../../vfs/dentry.ts';
import { linkName } from '../../vfs/path-name.ts';
import type { TextStream } from '../virtual/inode.ts';

/** The stub's 4 GiB: every address that starts with these digits. */
const STUB_PREFIX = '7e00';
const ADDRESS_DIGITS = 12;
/** Column (from 0) where the name starts. */
const NAME_COLUMN = 73;
const HEADER = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+)\s*(.*)$/;

function isStub(line: string): boolean {
  return line.indexOf('-') === ADDRESS_DIGITS && line.startsWith(STUB_PREFIX);
}

/** A line of maps as the guest sees it. Null for what it may not see. */
export function guestMapLine(line: string, mm: AddressSpace, root: Path): string | null {
  if (isStub(line)) return null;
  const parts = HEADER.exec(line);
  if (!parts) return null;
  const [, start, end, permissions, offset, device, ino, name] = parts;
  const prefix = `${start}-${end} ${permissions}`;
  if (ino === '0') return header(`${prefix} ${offset} 00:00 0 `, specialName(name, start, end, mm));
  const path = mm.mappedFiles.get(`${device} ${ino}`);
  // Host memory without a guest name (a memfd behind shared anonymous memory) is anonymous to the guest.
  if (!path?.dentry.inode) return header(`${prefix} 00000000 00:00 0 `, '');
  const guest = path.dentry.inode;
  const where = `${hex2(deviceMajor(guest.device))}:${hex2(deviceMinor(guest.device))} ${guest.ino}`;
  return header(`${prefix} ${offset} ${where} `, linkName(path, root).replaceAll('\n', '\\012'));
}

/** A mapping in the host's procfs: its line and, in smaps, the lines of numbers that follow it. */
interface Entry {
  readonly header: string;
  readonly numbers: string[];
}

function entry(header: string): Entry {
  return { header, numbers: [] };
}

/**
 * Joins what only our patching has cut: the host keeps a page of text apart that was made writable for a while, even
 * after it has its old protection back.
 */
function joinPatched(all: readonly Entry[], sites: CallSites | null): readonly Entry[] {
  if (!sites || sites.ordered.length === 0) return all;
  const joined: Entry[] = [];
  let before = '';
  for (const next of all) {
    const last = joined.at(-1);
    if (last && wasCut(before, next.header, sites)) joined[joined.length - 1] = join(last, next);
    else joined.push(next);
    before = next.header;
  }
  return joined;
}

/** Whether two lines, one after the other, are pieces of one mapping of text and one of them was patched. */
function wasCut(first: string, second: string, sites: CallSites): boolean {
  if (!first.includes(' r-xp ') || !second.includes(' r-xp ')) return false;
  const [a, b] = [HEADER.exec(first), HEADER.exec(second)];
  if (!a || !b || a[2] !== b[1] || a[5] !== b[5] || a[6] !== b[6] || a[6] === '0') return false;
  const [start, middle, end] = [a[1], b[1], b[2]].map((digits) => Number.parseInt(digits, 16));
  if (Number.parseInt(a[4], 16) + middle - start !== Number.parseInt(b[4], 16)) return false;
  return sites.patchedIn(start, middle) || sites.patchedIn(middle, end);
}

function join(first: Entry, second: Entry): Entry {
  const numbers = first.numbers.map((line, i) => addNumbers(line, second.numbers[i] ?? ''));
  const tail = first.header.slice(first.header.indexOf(' '));
  const start = first.header.slice(0, first.header.indexOf('-'));
  const end = second.header.slice(second.header.indexOf('-') + 1, second.header.indexOf(' '));
  return { header: `${start}-${end}${tail}`, numbers };
}

const NUMBER_LINE = /^(\w+):\s+(\d+) kB$/;
/** These describe a mapping and have no sum. */
const PAGE_SIZES = /^(Kernel|MMU)PageSize$/;

/** The sum of two lines of smaps, where they are amounts of memory. */
function addNumbers(first: string, second: string): string {
  const [a, b] = [NUMBER_LINE.exec(first), NUMBER_LINE.exec(second)];
  if (!a || !b || a[1] !== b[1] || PAGE_SIZES.test(a[1])) return first;
  return numberLine(a[1], Number(a[2]) + Number(b[2]));
}

function numberLine(name: string, kilobytes: number): string {
  return `${`${name}:`.padEnd(16)}${String(kilobytes).padStart(8)} kB`;
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function header(fields: string, name: string): string {
  return name === '' ? fields : fields.padEnd(NAME_COLUMN) + name;
}

/** Names that are no files. The heap and the stack are the guest program's, whatever the host takes for them. */
function specialName(name: string, start: string, end: string, mm: AddressSpace): string {
  if (name !== '' && name !== '[heap]' && name !== '[stack]') return name;
  const from = Number.parseInt(start, 16);
  const to = Number.parseInt(end, 16);
  if (mm.startStack >= from && mm.startStack < to) return '[stack]';
  return name === '[heap]' || (mm.startBrk > 0 && from === mm.startBrk) ? '[heap]' : '';
}

/** The text of /proc/PID/maps. */
export function mapsText(mm: AddressSpace, root: Path): string {
  const lines = hostProcLines(`${mm.hostPid}/maps`);
  if (lines.length === 0) return knownMaps(mm, root);
  let text = '';
  for (const { header } of joinPatched(lines.map(entry), mm.sites)) {
    const shown = guestMapLine(header, mm, root);
    if (shown !== null) text += `${shown}\n`;
  }
  return text;
}

/** What is known without the host's word: the program and its stack. */
function knownMaps(mm: AddressSpace, root: Path): string {
  const inode = mm.executable?.dentry.inode;
  if (!mm.executable || !inode || mm.endCode <= mm.startCode) return '';
  const from = mm.startCode - (mm.startCode % 4096);
  const to = Math.ceil(mm.endCode / 4096) * 4096;
  const device = `${hex2(deviceMajor(inode.device))}:${hex2(deviceMinor(inode.device))}`;
  const fields = `${from.toString(16).padStart(8, '0')}-${to.toString(16).padStart(8, '0')} r-xp 00000000 ${device} ${inode.ino} `;
  return `${header(fields, linkName(mm.executable, root))}\n`;
}

/** /proc/PID/maps or smaps as far as somebody reads it: a process may have tens of thousands of mappings. */
export class MapsStream implements TextStream {
  private readonly reader: HostProcReader;
  private readonly mm: AddressSpace;
  private readonly root: Path;
  /** The mapping whose lines are being read, and the one before, with which it may have to be joined. */
  private current: Entry | null = null;
  private held: Entry | null = null;
  private before = '';

  private constructor(reader: HostProcReader, mm: AddressSpace, root: Path) {
    this.reader = reader;
    this.mm = mm;
    this.root = root;
  }

  static open(file: 'maps' | 'smaps', mm: AddressSpace, root: Path): MapsStream | null {
    const reader = HostProcReader.open(`${mm.hostPid}/${file}`);
    return reader && new MapsStream(reader, mm, root);
  }

  next(): string | null {
    const lines = this.reader.lines();
    let text = '';
    for (const line of lines ?? []) {
      if (isNumberLine(line)) this.current?.numbers.push(line);
      else {
        text += this.advance();
        this.current = entry(line);
      }
    }
    if (lines) return text;
    text = this.advance() + this.advance();
    return text === '' ? null : text;
  }

  /** The current mapping is complete: the text of the one before, unless they are one. */
  private advance(): string {
    const { held, current, mm } = this;
    const joins = held && current && mm.sites?.ordered.length && wasCut(this.before, current.header, mm.sites);
    this.before = current?.header ?? '';
    this.current = null;
    this.held = joins ? join(held, current) : current;
    if (joins || !held) return '';
    const shown = guestMapLine(held.header, mm, this.root);
    return shown === null ? '' : `${[shown, ...held.numbers].join('\n')}\n`;
  }

  close(): void {
    this.reader.close();
  }
}

/** Lines of numbers begin with a word, mappings with an address. */
function isNumberLine(line: string): boolean {
  const first = line.charCodeAt(0);
  return first >= 65 && first <= 90;
}

/** The text of /proc/PID/smaps: each mapping's line, followed by the host's numbers for it. */
export function smapsText(mm: AddressSpace, root: Path): string {
  let text = '';
  for (const { header, numbers } of joinPatched(smapsEntries(mm), mm.sites)) {
    const shown = guestMapLine(header, mm, root);
    if (shown !== null) text += `${[shown, ...numbers].join('\n')}\n`;
  }
  return text;
}

function smapsEntries(mm: AddressSpace): Entry[] {
  const found: Entry[] = [];
  for (const line of hostProcLines(`${mm.hostPid}/smaps`)) {
    if (HEADER.test(line)) found.push(entry(line));
    else found.at(-1)?.numbers.push(line);
  }
  return found;
}

/** The sums of smaps over what the guest may see, line by line. */
class Rollup {
  private readonly sums = new Map<string, number>();
  private first = '';
  private last = '';
  private hidden = false;

  add(line: string): void {
    if (!isNumberLine(line)) {
      const parts = HEADER.exec(line);
      this.hidden = !parts || isStub(line);
      if (!parts || this.hidden || line.endsWith('[vsyscall]')) return;
      if (this.first === '') this.first = parts[1];
      this.last = parts[2];
      return;
    }
    const number = this.hidden ? null : NUMBER_LINE.exec(line);
    if (!number || number[1] === 'Size' || PAGE_SIZES.test(number[1])) return;
    this.sums.set(number[1], (this.sums.get(number[1]) ?? 0) + Number(number[2]));
  }

  /** /proc/PID/smaps_rollup. */
  get text(): string {
    if (this.first === '') return '';
    let text = `${header(`${this.first}-${this.last} ---p 00000000 00:00 0 `, '[rollup]')}\n`;
    for (const [name, sum] of this.sums) text += `${numberLine(name, sum)}\n`;
    return text;
  }
}

/** The text of /proc/PID/smaps_rollup. */
export function smapsRollupText(mm: AddressSpace): string {
  const rollup = new Rollup();
  for (const line of hostProcLines(`${mm.hostPid}/smaps`)) rollup.add(line);
  return rollup.text;
}

/** The same piece by piece: all of it is said at the end. */
export class RollupStream implements TextStream {
  private readonly reader: HostProcReader;
  private readonly rollup = new Rollup();
  private isOver = false;

  private constructor(reader: HostProcReader) {
    this.reader = reader;
  }

  static open(mm: AddressSpace): RollupStream | null {
    const reader = HostProcReader.open(`${mm.hostPid}/smaps`);
    return reader && new RollupStream(reader);
  }

  next(): string | null {
    const lines = this.reader.lines();
    for (const line of lines ?? []) this.rollup.add(line);
    if (lines) return '';
    if (this.isOver) return null;
    this.isOver = true;
    return this.rollup.text;
  }

  close(): void {
    this.reader.close();
  }
}

/** Bytes of address space that are the stub's: all of it, and what counts as private data. */
export function stubSize(mm: AddressSpace): { total: number; data: number } {
  let total = 0;
  let data = 0;
  for (const line of hostProcLines(`${mm.hostPid}/maps`)) {
    if (!isStub(line)) continue;
    const [start, end] = line.split(/[- ]/, 2);
    const size = Number.parseInt(end, 16) - Number.parseInt(start, 16);
    total += size;
    const permissions = line.slice(2 * ADDRESS_DIGITS + 2, 2 * ADDRESS_DIGITS + 6);
    if (permissions[1] === 'w' && permissions[3] === 'p') data += size;
  }
  return { total, data };
}
