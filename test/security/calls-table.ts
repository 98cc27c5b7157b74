// The system call table as a C header, for the fuzzer of calls: what kind each argument is of, and the values and flags
// that it has names for.

import * as fcntl from '../../src/abi/fcntl.ts';
import * as ioctl from '../../src/abi/ioctl.ts';
import * as keys from '../../src/abi/keys.ts';
import * as prctl from '../../src/abi/prctl.ts';
import * as socket from '../../src/abi/socket.ts';
import { FLAGS, VALUES } from '../../src/trace/flags.ts';
import { ENTRIES } from '../../syscall-tables/table.ts';
import { type Argument, STRUCT_SIZES } from '../../syscall-tables/types.ts';

/** Kinds that calls.c knows; the others are any number, or any pointer. */
const KINDS = {
  any: 0,
  fd: 1,
  dirfd: 2,
  path: 3,
  memory: 4,
  length: 5,
  flags: 6,
  value: 7,
  pid: 8,
  signal: 9,
  id: 10,
  offset: 11,
  vector: 12,
  address: 13,
  message: 14,
  time: 15,
} as const;

const numbers = (module: object, pattern: RegExp): number[] =>
  Object.entries(module).flatMap(([name, value]) => (pattern.test(name) && typeof value === 'number' ? [value] : []));

/** What says what a call is about, where the type does not: fcntl(2), ioctl(2), prctl(2), keyctl(2), options. */
const COMMANDS: Readonly<Record<string, readonly number[]>> = {
  'ioctl request': numbers(ioctl, /./),
  'fcntl cmd': numbers(fcntl, /^F_/),
  'prctl option': numbers(prctl, /^PR_/),
  'keyctl operation': numbers(keys, /^KEYCTL_/),
  'setsockopt optname': numbers(socket, /^(SO_|IP_|IPV6_|TCP_|UDP_|MCAST_|PACKET_)/),
  'getsockopt optname': numbers(socket, /^(SO_|IP_|IPV6_|TCP_|UDP_|MCAST_|PACKET_)/),
};

const kinds: Partial<Record<Argument['kind'], keyof typeof KINDS>> = {
  fd: 'fd',
  dirfd: 'dirfd',
  path: 'path',
  string: 'path',
  pid: 'pid',
  signal: 'signal',
  uid: 'id',
  gid: 'id',
  mode: 'flags',
  off: 'offset',
  addr: 'memory',
  'iovec-in': 'vector',
  'iovec-out': 'vector',
  'sockaddr-in': 'address',
  flags: 'flags',
  value: 'value',
};

function kindOf(argument: Argument, isLength: boolean, values: readonly number[]): keyof typeof KINDS {
  if (isLength) return 'length';
  if (values.length > 0) return argument.kind === 'flags' ? 'flags' : 'value';
  if (argument.struct === 'msghdr') return 'message';
  if (argument.struct?.startsWith('time') || argument.struct?.startsWith('itimer')) return 'time';
  const kind = kinds[argument.kind];
  if (kind !== undefined) return kind;
  return argument.struct !== null || /^(buf|path|dirents|sockaddr|sized|array|in|out|string)/.test(argument.kind)
    ? 'memory'
    : 'any';
}

function valuesOf(call: string, argument: Argument): readonly number[] {
  const commands = COMMANDS[`${call} ${argument.name}`];
  if (commands) return commands;
  if (argument.set === null) return [];
  if (argument.kind === 'value') return [...(VALUES[argument.set as keyof typeof VALUES]?.keys() ?? [])];
  const { bits, fields } = FLAGS[argument.set as keyof typeof FLAGS];
  return [...bits.map(([value]) => value), ...fields.flatMap((field) => field.values.map(([value]) => value))];
}

/** calls-table.h. */
export function callsHeader(): string {
  const sets: number[] = [];
  const rows = ENTRIES.map(({ nr, name, args }) => {
    const lengths = new Set(args.map(({ length }) => length));
    const columns = args.map((argument, index) => {
      const values = valuesOf(name, argument);
      const from = sets.length;
      sets.push(...values);
      const size = argument.struct === null ? 0 : STRUCT_SIZES[argument.struct];
      return `{${KINDS[kindOf(argument, lengths.has(index), values)]}, ${size}, ${from}, ${values.length}}`;
    });
    return `    {${nr}, ${args.length}, {${columns.join(', ')}}}, // ${name}`;
  });
  return [
    ...Object.entries(KINDS).map(([name, value]) => `#define KIND_${name.toUpperCase()} ${value}`),
    'static const uint32_t SETS[] = {',
    ...sets.map((value) => `    0x${(value >>> 0).toString(16)},`),
    '};',
    'struct argument { uint8_t kind; uint16_t size, from, count; };',
    'static const struct typed { uint16_t nr; uint8_t count; struct argument args[6]; } TYPED[] = {',
    ...rows,
    '};',
    '',
  ].join('\n');
}
