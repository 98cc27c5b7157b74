// Core dumps (core(5)): what a process was when a signal killed it, written through the sandbox's own filesystem by its
// own rights. The thread that took the signal stands first; others are in it if they wait in a call: one that computes
// at that moment has its registers where nobody can read them at once.

import { AT_FDCWD, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } from '../../abi/fcntl.ts';
import { REG_ORIG_RAX } from '../../abi/ptrace.ts';
import { RLIMIT_CORE } from '../../abi/resource.ts';
import { S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { Fd, UserAddress } from '../../base/brands.ts';
import { monotonicNow } from '../../base/clock.ts';
import { setCoreDumper } from '../../kernel/exit.ts';
import { recallMask } from '../../kernel/own-answers.ts';
import { floatingState, Registers } from '../../kernel/ptrace/registers.ts';
import { writeSiginfo } from '../../kernel/signal-delivery.ts';
import { type SignalInfo, signalInfo } from '../../kernel/signal-state.ts';
import { DEAD, RUNNING, type Task, type ThreadGroup } from '../../kernel/task.ts';
import { armTimer, Timer, type TimerTarget } from '../../kernel/timers.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { readPagemap } from '../../mm/host-maps.ts';
import { showOriginals } from '../../mm/patches.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch, u8, u32 } from '../../platform/arena.ts';
import { hostProcLines } from '../../platform/host-proc.ts';
import { removeName } from '../../vfs/names.ts';
import { beginOpen, finishOpen } from '../../vfs/open.ts';
import { drop, type OpenFile } from '../../vfs/open-file.ts';
import { corePattern } from '../proc/core-pattern.ts';
import { guestMapLine } from '../proc/maps.ts';
import {
  coreHead,
  NT_AUXV,
  NT_FILE,
  NT_PRFPREG,
  NT_PRPSINFO,
  NT_PRSTATUS,
  NT_SIGINFO,
  NT_X86_XSTATE,
  note,
  PRPSINFO_SIZE,
  PRSTATUS_REGISTERS,
  PRSTATUS_SIZE,
  type Segment,
} from './elf-core.ts';

const PAGE = 4096;
const CHUNK = 256 << 10;
/** Of so much it is asked first whether any of it is there. */
const DESERT = 16 << 20;
const SIGINFO_SIZE = 128;
const CWD = AT_FDCWD as Fd;

/** Writes the core file of a process. Whether there is one now, or null: `finished` will be told. */
function dumpCore(
  group: ThreadGroup,
  signo: number,
  self: Task,
  info: SignalInfo | null,
  finished: (dumped: boolean) => void,
): boolean | null {
  const limit = group.limits.soft[RLIMIT_CORE];
  const path = coreName(group, signo, self);
  // It is never written into a file that is there, nor through a link.
  removeName(self, CWD, path);
  const begun = beginOpen(self, CWD, path, O_CREAT | O_WRONLY | O_EXCL | O_NOFOLLOW, 0o600);
  const file = typeof begun === 'number' ? begun : finishOpen(begun, O_WRONLY);
  if (typeof file === 'number') return false;
  const mark = markScratch();
  const isPlain = (file.inode.mode & S_IFMT) === S_IFREG;
  const parts = isPlain ? writeCore(file, group, self, info ?? signalInfo(signo, 0), limit) : null;
  releaseScratch(mark);
  if (parts === null) {
    drop(file);
    return false;
  }
  return new Dump(file, self, parts, finished).goOn() ? true : null;
}

/** A core file that is being written, in turns: memory may be large, or a wide desert. */
class Dump implements TimerTarget {
  private readonly file: OpenFile;
  private readonly self: Task;
  private readonly parts: Generator<void>;
  private readonly finished: (dumped: boolean) => void;
  private readonly timer = new Timer(this);

  constructor(file: OpenFile, self: Task, parts: Generator<void>, finished: (dumped: boolean) => void) {
    this.file = file;
    this.self = self;
    this.parts = parts;
    this.finished = finished;
  }

  /** Writes until the turn is over. True when that was all. */
  goOn(): boolean {
    do {
      if (this.parts.next().done) {
        drop(this.file);
        return true;
      }
    } while (!turnIsOver());
    armTimer(this.timer, monotonicNow());
    return false;
  }

  expire(): void {
    // SIGKILL ends that, too.
    if (this.self.state === DEAD) drop(this.file);
    else if (this.goOn()) this.finished(true);
  }
}

/** From now on core files are written. */
export function enableCoreDumps(): void {
  setCoreDumper(dumpCore);
}

/** The pattern with its %-specifiers filled in (core(5)). */
function coreName(group: ThreadGroup, signo: number, self: Task): string {
  const { credentials } = self;
  const values: Readonly<Record<string, string | number>> = {
    '%': '%',
    p: group.leader.localTid,
    P: group.pid,
    i: self.localTid,
    I: self.tid,
    u: credentials.uid,
    g: credentials.gid,
    d: 1,
    s: signo,
    t: Math.floor(Date.now() / 1000),
    h: self.namespaces.uts.hostname,
    e: self.name.replaceAll('/', '!'),
    f: self.name.replaceAll('/', '!'),
    E: (self.mm.executable?.dentry.name ?? '').replaceAll('/', '!'),
    c: group.limits.soft[RLIMIT_CORE] === Number.POSITIVE_INFINITY ? -1 : group.limits.soft[RLIMIT_CORE],
  };
  const name = corePattern().replace(/%(.?)/g, (_whole, letter: string) => String(values[letter] ?? ''));
  return name === '' ? 'core' : name;
}

interface Mapped extends Segment {
  /** Memory without a file: pages that were never touched are holes. */
  readonly anonymous: boolean;
  /** Some of its pages are there. */
  readonly touched: boolean;
  readonly offset: number;
  readonly name: string;
}

const ELF_MAGIC = 0x464c457f;
const HEADER = /^[0-9a-f]+-[0-9a-f]+ /;
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ (\d+) *(.*)$/;

function mappings(task: Task): Mapped[] {
  const found: Mapped[] = [];
  let parts: RegExpExecArray | null = null;
  let changed = false;
  let touched = false;
  for (const line of hostProcLines(`${task.mm.hostPid}/smaps`)) {
    if (line.startsWith('Anonymous:')) changed = Number.parseInt(line.slice(10), 10) > 0;
    else if (line.startsWith('Rss:')) touched = Number.parseInt(line.slice(4), 10) > 0;
    else if (line.startsWith('Swap:')) touched ||= Number.parseInt(line.slice(5), 10) > 0;
    else if (line.startsWith('VmFlags:')) {
      if (parts && parts[6] !== '[vsyscall]') found.push(mapped(task, parts, changed, touched, line.includes(' dd')));
      parts = null;
    } else if (HEADER.test(line)) parts = LINE.exec(guestMapLine(line, task.mm, task.fs.root) ?? '');
  }
  return found;
}

// Bits of /proc/PID/coredump_filter (core(5)).
const ANONYMOUS_PRIVATE = 1;
const ANONYMOUS_SHARED = 2;
const FILE_PRIVATE = 4;
const FILE_SHARED = 8;
const ELF_HEADERS = 16;

/** `changed`: pages of it are the process's own; `forbidden`: by MADV_DONTDUMP. */
function mapped(task: Task, parts: RegExpExecArray, changed: boolean, touched: boolean, forbidden: boolean): Mapped {
  const [start, end, offset] = [parts[1], parts[2], parts[4]].map((digits) => Number.parseInt(digits, 16));
  const [readable, writable, executable, type] = parts[3];
  const flags = (readable === 'r' ? 4 : 0) | (writable === 'w' ? 2 : 0) | (executable === 'x' ? 1 : 0);
  const anonymous = parts[5] === '0';
  const name = parts[6];
  const { coreFilter } = task.group;
  const kept = (): number => {
    const whole = end - start;
    if (name === '[vdso]') return whole;
    if (forbidden || readable !== 'r' || name.startsWith('[vvar')) return 0;
    if (type === 's') {
      return coreFilter & (anonymous || name.endsWith(' (deleted)') ? ANONYMOUS_SHARED : FILE_SHARED) ? whole : 0;
    }
    // Of code pages are the process's own because call sites in them are patched: the file has the original.
    const own = anonymous || writable === 'w' || (changed && executable !== 'x');
    if (own && coreFilter & ANONYMOUS_PRIVATE) return whole;
    if (anonymous) return 0;
    if (coreFilter & FILE_PRIVATE) return whole;
    return coreFilter & ELF_HEADERS && offset === 0 && isElf(task, start) ? PAGE : 0;
  };
  return { start, end, flags, kept: kept(), anonymous, touched, offset, name };
}

function isElf(task: Task, address: number): boolean {
  const mark = markScratch();
  const at = allocateScratch(4);
  const is = at >= 0 && task.memory.read(address as UserAddress, at, 4) === 0 && u32[at >>> 2] === ELF_MAGIC;
  releaseScratch(mark);
  return is;
}

/** Writes the head, and gives what writes the memory part by part; null if nothing can be written. */
function writeCore(
  file: OpenFile,
  group: ThreadGroup,
  self: Task,
  info: SignalInfo,
  limit: number,
): Generator<void> | null {
  const segments = mappings(self);
  const { head, offsets, size } = coreHead(makeNotes(group, self, info, segments), segments);
  return writeBytesAt(file, head, limit) ? writeMemory(file, self, segments, offsets, Math.min(size, limit)) : null;
}

function* writeMemory(
  file: OpenFile,
  self: Task,
  segments: readonly Mapped[],
  offsets: readonly number[],
  end: number,
): Generator<void> {
  for (let i = 0; i < segments.length; i++) {
    if (segments[i].anonymous && !segments[i].touched) continue;
    for (let done = 0; done < segments[i].kept && offsets[i] + done < end; done += CHUNK) {
      if (isDesert(self, segments[i], done)) done += DESERT - CHUNK;
      else writePart(file, self, segments[i], done, offsets[i] + done, end);
      yield;
    }
  }
  file.truncate(end);
}

function writeBytesAt(file: OpenFile, bytes: Buffer, limit: number): boolean {
  const mark = markScratch();
  const at = allocateScratch(CHUNK);
  if (at < 0) return false;
  for (let done = 0; done < Math.min(bytes.length, limit); done += CHUNK) {
    const length = Math.min(CHUNK, bytes.length - done, limit - done);
    u8.set(bytes.subarray(done, done + length), at);
    if (file.write(at, length, done) !== length) return false;
  }
  releaseScratch(mark);
  return true;
}

/** Whether nothing is there in the next piece of a wide mapping. */
function isDesert(task: Task, { start, kept, anonymous }: Mapped, done: number): boolean {
  if (!anonymous || done % DESERT !== 0 || done + DESERT > kept) return false;
  const mark = markScratch();
  const at = allocateScratch((8 * DESERT) / PAGE);
  const is = at >= 0 && !anyPresent(task, start + done, DESERT / PAGE, at);
  releaseScratch(mark);
  return is;
}

/** Copies what is there of a part of a mapping; the rest stays a hole. */
function writePart(file: OpenFile, task: Task, segment: Mapped, done: number, offset: number, end: number): void {
  const mark = markScratch();
  const at = allocateScratch(CHUNK);
  const mapAt = allocateScratch((8 * CHUNK) / PAGE);
  const length = Math.min(CHUNK, segment.kept - done);
  const address = segment.start + done;
  if (at >= 0 && mapAt >= 0 && !(segment.anonymous && !anyPresent(task, address, length / PAGE, mapAt))) {
    const n = task.memory.readSome(address as UserAddress, at, length);
    showOriginals(task.mm, address, at, n);
    if (n > 0) file.write(at, Math.min(n, end - offset), offset);
  }
  releaseScratch(mark);
}

const PRESENT_OR_SWAPPED = 0xc0000000;

function anyPresent(task: Task, address: number, pages: number, at: number): boolean {
  const n = readPagemap(task.mm, address, at, pages);
  if (n < 0) return true;
  for (let i = 0; i < n; i++) if (u32[(at >>> 2) + 2 * i + 1] & PRESENT_OR_SWAPPED) return true;
  return false;
}

// ---- notes ----

function makeNotes(group: ThreadGroup, self: Task, info: SignalInfo, segments: readonly Mapped[]): Buffer {
  const notes = [...threadNotes(self, info)];
  notes.splice(1, 0, note('CORE', NT_PRPSINFO, processInfo(group, self)));
  notes.splice(2, 0, note('CORE', NT_SIGINFO, signalBytes(info)));
  notes.splice(3, 0, note('CORE', NT_AUXV, self.mm.auxv));
  notes.splice(4, 0, note('CORE', NT_FILE, fileTable(segments)));
  for (const task of group.threads) {
    if (task !== self && task.state !== RUNNING && task.state !== DEAD) notes.push(...threadNotes(task, info));
  }
  return Buffer.concat(notes);
}

function signalBytes(info: SignalInfo): Uint8Array {
  const mark = markScratch();
  const at = allocateScratch(SIGINFO_SIZE);
  if (at < 0) return new Uint8Array(SIGINFO_SIZE);
  writeSiginfo(at, info);
  const bytes = u8.slice(at, at + SIGINFO_SIZE);
  releaseScratch(mark);
  return bytes;
}

/** struct elf_prstatus, and the vector state where it can be had. */
function threadNotes(task: Task, info: SignalInfo): Buffer[] {
  const status = Buffer.alloc(PRSTATUS_SIZE);
  recallMask(task);
  status.writeInt32LE(info.signo, 0);
  status.writeInt32LE(info.code, 4);
  status.writeInt32LE(info.errno, 8);
  status.writeInt16LE(info.signo, 12);
  status.writeUInt32LE(task.pending.low >>> 0, 16);
  status.writeUInt32LE(task.maskLow >>> 0, 24);
  status.writeUInt32LE(task.maskHigh >>> 0, 28);
  status.writeInt32LE(task.localTid, 32);
  const registers = new Registers();
  if (!registers.load(task)) return [note('CORE', NT_PRSTATUS, status)];
  registers.put(REG_ORIG_RAX, BigInt(-1));
  const { words } = registers;
  status.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), PRSTATUS_REGISTERS);
  const notes = [];
  const plain = floatingState(task, registers, false);
  const extended = floatingState(task, registers, true);
  if (typeof plain !== 'number') {
    status.writeInt32LE(1, 328);
    notes.push(note('CORE', NT_PRFPREG, plain));
  }
  if (typeof extended !== 'number') notes.push(note('LINUX', NT_X86_XSTATE, extended));
  return [note('CORE', NT_PRSTATUS, status), ...notes];
}

/** struct elf_prpsinfo */
function processInfo(group: ThreadGroup, self: Task): Uint8Array {
  const bytes = Buffer.alloc(PRPSINFO_SIZE);
  bytes.write('R', 1, 'latin1');
  bytes.writeInt8(self.scheduling.nice, 3);
  bytes.writeUInt32LE(self.credentials.uid, 16);
  bytes.writeUInt32LE(self.credentials.gid, 20);
  bytes.writeInt32LE(group.leader.localTid, 24);
  bytes.write(self.name.slice(0, 15), 40, 'latin1');
  bytes.write(argumentsOf(self), 56, 79, 'latin1');
  return bytes;
}

function argumentsOf(task: Task): string {
  const { argStart, argEnd } = task.mm;
  const mark = markScratch();
  const at = allocateScratch(80);
  const n = at < 0 ? at : task.memory.readSome(argStart as UserAddress, at, Math.min(80, argEnd - argStart));
  const text = n > 0 ? readBytes(at, n) : '';
  releaseScratch(mark);
  return text.replaceAll('\0', ' ').trimEnd();
}

/** NT_FILE: how many, the page size, a triple for each, then their names. */
function fileTable(segments: readonly Mapped[]): Uint8Array {
  const files = segments.filter(({ anonymous, name }) => !anonymous && name.startsWith('/'));
  const numbers = new BigUint64Array(2 + 3 * files.length);
  numbers[0] = BigInt(files.length);
  numbers[1] = BigInt(PAGE);
  files.forEach(({ start, end, offset }, i) => {
    numbers.set([BigInt(start), BigInt(end), BigInt(offset / PAGE)], 2 + 3 * i);
  });
  const names = Buffer.from(files.map(({ name }) => `${name}\0`).join(''), 'latin1');
  return Buffer.concat([new Uint8Array(numbers.buffer), names]);
}
