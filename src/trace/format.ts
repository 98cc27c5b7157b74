// strace(1)'s lines, driven by the system call table: `formatCall` when a call comes in, `formatResult` when it is
// answered. Nothing here runs unless tracing is on. All memory is the guest's: it may change or vanish between the two.

import type { FlagSetName } from '../../syscall-tables/types.ts';
import { type Argument, STRUCT_SIZES, type SyscallEntry, type ValueSetName } from '../../syscall-tables/types.ts';
import { errnoName, errnoText } from '../abi/errno.ts';
import { AT_FDCWD, O_CREAT, O_TMPFILE } from '../abi/fcntl.ts';
import { signalName } from '../abi/signal.ts';
import { deviceMajor, deviceMinor, S_IFMT } from '../abi/stat.ts';
import { FLAGS, formatFlags, formatValue, POLL_EVENTS, SOCKET_OPTIONS } from './flags.ts';
import type { GuestMemory } from './guest-memory.ts';
import { ELEMENTS_MAX, formatBuffer, formatIovecs, formatMsghdr } from './iovec.ts';
import { formatSockaddr } from './sockaddr.ts';
import { formatFdSet, formatMode, STRUCTS } from './structs.ts';
import { Fields, hex, octalMode, pointer, quoteString } from './text.ts';
import { describeFcntlResult, formatRequest, formatUntyped } from './untyped.ts';

/** Text of each argument: '' if it is only known after the call, null if it is not printed. */
export type ArgumentTexts = (string | null)[];

/** One call at one moment: on its way in (result null) or answered. */
interface Moment {
  readonly entry: SyscallEntry;
  readonly args: ArrayLike<number>;
  readonly result: number | null;
  readonly memory: GuestMemory;
}

/** Results of short calls stand below each other, as strace has them. */
const column = (call: string): string => call.padEnd(39);

/** The arguments of a call that has just come in, as far as they are known. */
export function formatCall(entry: SyscallEntry, args: ArrayLike<number>, memory: GuestMemory): ArgumentTexts {
  const moment: Moment = { entry, args, result: null, memory };
  return entry.args.map((_, index) => formatArgument(moment, index));
}

/** The whole line, without a newline, of a call whose `before` formatCall made. Errors are negative errno values. */
export function formatResult(
  entry: SyscallEntry,
  args: ArrayLike<number>,
  before: ArgumentTexts,
  result: number,
  memory: GuestMemory,
): string {
  const moment: Moment = { entry, args, result, memory };
  const texts = entry.args.flatMap((argument, index) => {
    const known = before[index] as string | null;
    if (known === null) return [];
    if (result < 0) return [known === '' ? pointer(args[index]) : known];
    if (known !== '') return [argument.kind === 'inout' ? changed(moment, index, known) : known];
    return [formatArgument(moment, index) ?? ''];
  });
  return `${column(`${entry.name}(${texts.join(', ')})`)} = ${formatReturn(moment, result)}`;
}

/** The line of a call that never returns, e.g. 'exit_group(0) = ?'. */
export function formatWithoutResult(entry: SyscallEntry, args: ArrayLike<number>, before: ArgumentTexts): string {
  const texts = before.flatMap((text, index) => (text === null ? [] : [text === '' ? pointer(args[index]) : text]));
  return `${column(`${entry.name}(${texts.join(', ')})`)} = ?`;
}

/** The line of a number that is in no table. */
export function formatUnknown(nr: number, args: ArrayLike<number>, result: number): string {
  const texts = Array.from({ length: Math.min(args.length, 6) }, (_, index) => hex(args[index]));
  return `${column(`syscall_${hex(nr)}(${texts.join(', ')})`)} = ${formatError(result)}`;
}

function formatReturn(moment: Moment, result: number): string {
  const { entry, args } = moment;
  if (entry.returns === 'none') return '?';
  if (result < 0) return formatError(result);
  if (entry.returns === 'addr' || entry.returns === 'hex') return hex(result);
  if (entry.returns === 'octal') return octalMode(result);
  if (entry.name === 'fcntl') {
    const flags = describeFcntlResult(args[1], result);
    return flags === '' ? String(result) : `${hex(result)}${flags}`;
  }
  return `${result}${describeReady(moment, result)}`;
}

function formatError(result: number): string {
  if (result >= 0) return String(result);
  const internal = result <= -512 ? '?' : '-1';
  return `${internal} ${errnoName(result)} (${errnoText(result)})`;
}

/** An argument that the call may have changed: '[0] => [5]'. */
function changed(moment: Moment, index: number, before: string): string {
  if (SEPARATE.has((moment.entry.args[index] as Argument).struct ?? '')) return before;
  const after = formatArgument(moment, index) ?? '';
  return after === before ? before : `${before} => ${after}`;
}
const SEPARATE: ReadonlySet<string> = new Set(['fd_set', 'timespec', 'timeval', 'cap_header']);

function formatArgument(moment: Moment, index: number): string | null {
  const { entry, args, memory } = moment;
  const argument = entry.args[index] as Argument;
  const value = args[index];
  switch (argument.kind) {
    case 'uid':
    case 'gid':
      return value === 0xffffffff ? '-1' : String(value);
    case 'dirfd':
      return value === AT_FDCWD ? 'AT_FDCWD' : String(value);
    case 'mode':
      return formatModeArgument(moment, value);
    case 'signal':
      return signalName(value);
    case 'dev':
      return `makedev(${hex(deviceMajor(value))}, ${hex(deviceMinor(value))})`;
    case 'hex':
      return hex(value);
    case 'ioctl':
      return formatRequest(value);
    case 'addr':
      return pointer(value);
    case 'arg':
      return formatUntyped(entry.name, args, index, moment.result !== null, memory);
    case 'off':
      return entry.returns === 'addr' ? hex(value) : String(value);
    case 'flags':
      return formatFlags(FLAGS[argument.set as FlagSetName], value);
    case 'value':
      return formatValue(argument.set as ValueSetName, value);
    case 'path':
    case 'string':
      return formatText(memory, value);
    case 'string-array':
      return argument.name === 'envp' ? formatEnvironment(memory, value) : formatStrings(memory, value);
    case 'int':
      return formatInt(moment, argument, value);
    case 'uint':
    case 'long':
    case 'ulong':
    case 'size':
    case 'fd':
    case 'pid':
      return String(value);
    default:
      return formatPointed(moment, argument, index);
  }
}

function formatInt({ args }: Moment, argument: Argument, value: number): string {
  if (argument.name === 'optname') return SOCKET_OPTIONS.get(args[1])?.get(value) ?? String(value);
  return String(value);
}

/** open's mode is there only if the flags create a file. */
function formatModeArgument({ entry, args }: Moment, mode: number): string | null {
  const flags = entry.args.findIndex((argument) => argument.set === 'open');
  if (flags >= 0 && (args[flags] & O_CREAT) === 0 && (args[flags] & O_TMPFILE) !== O_TMPFILE) return null;
  return (mode & S_IFMT) === 0 ? octalMode(mode) : formatMode(mode);
}

function formatText(memory: GuestMemory, address: number): string {
  if (address === 0) return 'NULL';
  const text = memory.readString(address);
  return text === null ? pointer(address) : quoteString(text);
}

/** Addresses in a NULL-terminated array, at most `max`; null if it cannot be read. */
function readPointers(memory: GuestMemory, address: number, max: number): number[] | null {
  const pointers: number[] = [];
  while (pointers.length < max) {
    const bytes = memory.readMemory(address + 8 * pointers.length, 8);
    if (bytes === null) return pointers.length === 0 ? null : pointers;
    const entry = new Fields(bytes).u64(0);
    if (entry === 0) break;
    pointers.push(entry);
  }
  return pointers;
}

function formatStrings(memory: GuestMemory, address: number): string {
  if (address === 0) return 'NULL';
  const pointers = readPointers(memory, address, ELEMENTS_MAX + 1);
  if (pointers === null) return pointer(address);
  const texts = pointers.slice(0, ELEMENTS_MAX).map((entry) => formatText(memory, entry));
  return `[${texts.join(', ')}${pointers.length > ELEMENTS_MAX ? ', ...' : ''}]`;
}

const ENVIRONMENT_MAX = 1000;

function formatEnvironment(memory: GuestMemory, address: number): string {
  if (address === 0) return 'NULL';
  const pointers = readPointers(memory, address, ENVIRONMENT_MAX);
  if (pointers === null) return pointer(address);
  return `${pointer(address)} /* ${pointers.length} var${pointers.length === 1 ? '' : 's'} */`;
}

/** An argument that points to memory whose layout the table knows. */
function formatPointed(moment: Moment, argument: Argument, index: number): string {
  const { entry, args, memory, result } = moment;
  const address = args[index];
  const { kind } = argument;
  const length = argument.length < 0 ? 0 : args[argument.length];
  if (address === 0) return 'NULL';
  if (result === null && kind.endsWith('out') && kind !== 'inout' && kind !== 'array-inout') return '';
  if (kind === 'out' && result === 0 && entry.name === 'wait4') return pointer(address); // nobody waited for yet
  const filled = result ?? Number.POSITIVE_INFINITY;
  switch (kind) {
    case 'buf-in':
      return formatBuffer(address, length, memory);
    case 'buf-out':
    case 'path-out':
      return formatBuffer(address, Math.min(length, filled), memory);
    case 'iovec-in':
      return formatIovecs(address, length, Number.POSITIVE_INFINITY, memory);
    case 'iovec-out':
      return formatIovecs(address, length, filled, memory);
    case 'dirents-out':
      return `${pointer(address)} /* ${countEntries(moment, address, Math.min(length, filled))} entries */`;
    case 'sockaddr-in':
      return formatAddress(memory, address, length);
    case 'sockaddr-out':
      return formatAddress(memory, address, readLength(memory, length));
    case 'array-in':
    case 'array-out':
    case 'array-inout':
      return formatArray(moment, argument, address, kind === 'array-out' ? Math.min(length, filled) : length);
    case 'sized-in':
    case 'sized-out':
      return formatStruct(moment, argument, address, length);
    default:
      return formatStruct(moment, argument, address, Number.POSITIVE_INFINITY);
  }
}

function readLength(memory: GuestMemory, address: number): number {
  const bytes = address === 0 ? null : memory.readMemory(address, 4);
  return bytes === null ? 0 : new Fields(bytes).u32(0);
}

const SOCKADDR_MAX = 128;

function formatAddress(memory: GuestMemory, address: number, length: number): string {
  const bytes = length < 0 ? null : memory.readMemory(address, Math.min(length, SOCKADDR_MAX));
  return bytes === null ? pointer(address) : formatSockaddr(bytes);
}

function formatStruct(moment: Moment, argument: Argument, address: number, given: number): string {
  const { memory, args } = moment;
  const name = argument.struct;
  if (name === null) return pointer(address);
  if (name === 'msghdr') {
    const received = argument.kind === 'inout';
    if (received && moment.result === null) return '';
    return formatMsghdr(address, received ? (moment.result ?? 0) : Number.POSITIVE_INFINITY, memory);
  }
  if (name === 'fd_set') {
    const count = Math.min(Math.max(args[0], 0), 1024);
    const bytes = memory.readMemory(address, Math.ceil(count / 64) * 8);
    return bytes === null ? pointer(address) : formatFdSet(bytes, count);
  }
  // A struct that grows may be shorter than the newest: its missing fields are zero.
  const size = STRUCT_SIZES[name];
  const bytes = memory.readMemory(address, Math.min(size, given));
  if (bytes === null) return pointer(address);
  const whole = new Uint8Array(size);
  whole.set(bytes.subarray(0, size));
  return STRUCTS[name](new Fields(whole));
}

function formatArray(moment: Moment, argument: Argument, address: number, count: number): string {
  const name = argument.struct;
  if (name === null || name === 'fd_set' || name === 'msghdr') return pointer(address);
  if (count <= 0) return '[]';
  const size = STRUCT_SIZES[name];
  const shown = Math.min(count, ELEMENTS_MAX);
  const bytes = moment.memory.readMemory(address, shown * size);
  if (bytes === null) return pointer(address);
  const texts = Array.from({ length: shown }, (_, at) => {
    const text = STRUCTS[name](new Fields(bytes.subarray(at * size, (at + 1) * size)));
    return name === 'uint' ? text.slice(1, -1) : text;
  });
  return `[${texts.join(', ')}${count > shown ? ', ...' : ''}]`;
}

const DIRECTORY_MAX = 10000;

/** Number of directory entries in what getdents returned; d_reclen is at 16 in both of its layouts. */
function countEntries({ memory }: Moment, address: number, length: number): number {
  let count = 0;
  let at = 0;
  while (at + 18 <= length && count < DIRECTORY_MAX) {
    const bytes = memory.readMemory(address + at + 16, 2);
    const size = bytes === null ? 0 : new Fields(bytes).u16(0);
    if (size === 0) break;
    at += size;
    count++;
  }
  return count;
}

/** What poll and select found: ' ([{fd=3, revents=POLLIN}])', ' (in [3], left {tv_sec=1, tv_usec=0})'. */
function describeReady(moment: Moment, result: number): string {
  const { name } = moment.entry;
  if (name === 'poll' || name === 'ppoll') return result === 0 ? ' (Timeout)' : describePoll(moment);
  if (name === 'select' || name === 'pselect6') return result === 0 ? ' (Timeout)' : describeSelect(moment);
  return '';
}

function describePoll({ args, memory }: Moment): string {
  const shown = Math.min(args[1], ELEMENTS_MAX);
  const size = STRUCT_SIZES.pollfd;
  const bytes = memory.readMemory(args[0], shown * size);
  if (bytes === null) return '';
  const f = new Fields(bytes);
  const ready: string[] = [];
  for (let at = 0; at < shown * size; at += size) {
    const events = f.u16(at + 6);
    if (events !== 0) ready.push(`{fd=${f.s32(at)}, revents=${formatFlags(POLL_EVENTS, events)}}`);
  }
  return ` ([${ready.join(', ')}])`;
}

function describeSelect(moment: Moment): string {
  const { args } = moment;
  const parts: string[] = [];
  for (const [index, name] of ['in', 'out', 'except', 'left'].entries()) {
    if (args[index + 1] === 0) continue;
    const text = formatArgument(moment, index + 1);
    if (text !== null && text !== '[]') parts.push(`${name} ${text}`);
  }
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
