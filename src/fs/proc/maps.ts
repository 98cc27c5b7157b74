// /proc/PID/maps, smaps and smaps_rollup: the host's view of the guest process, with the stub taken out and host files
// called by their guest names. Also how much of the host's numbers is the stub's.

import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import { hostProcLines } from '../../platform/host-proc.ts';
import type { Path } from '../../vfs/dentry.ts';
import { linkName } from '../../vfs/path-name.ts';

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
  for (const line of lines) {
    const shown = guestMapLine(line, mm, root);
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

/** The text of /proc/PID/smaps: each mapping's line, followed by the host's numbers for it. */
export function smapsText(mm: AddressSpace, root: Path): string {
  let text = '';
  let hidden = false;
  for (const line of hostProcLines(`${mm.hostPid}/smaps`)) {
    if (HEADER.test(line)) {
      const shown = guestMapLine(line, mm, root);
      hidden = shown === null;
      if (shown !== null) text += `${shown}\n`;
    } else if (!hidden) text += `${line}\n`;
  }
  return text;
}

const NUMBER_LINE = /^(\w+):\s+(\d+) kB$/;

/** The text of /proc/PID/smaps_rollup: the sums of smaps over what the guest may see. */
export function smapsRollupText(mm: AddressSpace): string {
  const sums = new Map<string, number>();
  let first = '';
  let last = '';
  let hidden = false;
  for (const line of hostProcLines(`${mm.hostPid}/smaps`)) {
    const parts = HEADER.exec(line);
    if (parts) {
      hidden = isStub(line);
      if (hidden || line.endsWith('[vsyscall]')) continue;
      if (first === '') first = parts[1];
      last = parts[2];
      continue;
    }
    if (hidden) continue;
    const number = NUMBER_LINE.exec(line);
    // These describe a mapping and have no sum.
    if (!number || /^(Size|KernelPageSize|MMUPageSize)$/.test(number[1])) continue;
    sums.set(number[1], (sums.get(number[1]) ?? 0) + Number(number[2]));
  }
  if (first === '') return '';
  let text = `${header(`${first}-${last} ---p 00000000 00:00 0 `, '[rollup]')}\n`;
  for (const [name, sum] of sums) text += `${`${name}:`.padEnd(16)}${String(sum).padStart(8)} kB\n`;
  return text;
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
