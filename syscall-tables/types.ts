// The vocabulary of the system call table: what an argument may be, what a rule may say, what an entry holds.
// An argument is written as a short string, e.g. 'fd', 'path', 'buf-in(count)', 'flags(open)', 'out(stat)'; the
// template types below let the compiler refuse a misspelt one, and `parseArgument` refuses the rest at load time.
// A word in parentheses that is not a struct, flag set or value set names another argument: the length of this one.

/** Sizes in bytes of the structs that arguments point to. */
export const STRUCT_SIZES = {
  cap_data: 24,
  cap_header: 8,
  clone_args: 88,
  epoll_event: 12,
  fd_set: 128,
  flock: 32,
  int: 4,
  int_pair: 8,
  itimerspec: 32,
  itimerval: 32,
  msghdr: 56,
  off: 8,
  open_how: 24,
  pollfd: 8,
  rlimit: 16,
  robust_list_head: 24,
  rusage: 144,
  sched_attr: 56,
  sched_param: 4,
  sigaction: 32,
  sigaltstack: 24,
  sigevent: 64,
  siginfo: 128,
  sigset: 8,
  sigset_pack: 16,
  stat: 144,
  statfs: 120,
  statx: 256,
  sysinfo: 112,
  timespec: 16,
  timespec_pair: 32,
  timeval: 16,
  timeval_pair: 32,
  timezone: 8,
  tms: 32,
  uint: 4,
  utimbuf: 16,
  utsname: 390,
  wait_status: 4,
} as const;
export type StructName = keyof typeof STRUCT_SIZES;

/** Flag words: any number of bits, printed by name. */
export const FLAG_SETS = [
  'access',
  'at',
  'clone',
  'close_range',
  'epoll_create',
  'eventfd',
  'fallocate',
  'getrandom',
  'inotify',
  'memfd',
  'mlockall',
  'mmap',
  'mount',
  'mremap',
  'msg',
  'msync',
  'open',
  'personality',
  'pidfd',
  'pipe',
  'prot',
  'rename',
  'rwf',
  'signalfd',
  'socket',
  'splice',
  'statx_mask',
  'sync_range',
  'timer',
  'timerfd',
  'umount',
  'unlink',
  'wait',
  'xattr',
] as const;
export type FlagSetName = (typeof FLAG_SETS)[number];

/** Words that hold one of several named values. */
export const VALUE_SETS = [
  'advice',
  'arch_prctl',
  'clock',
  'epoll_ctl',
  'family',
  'fcntl',
  'flock',
  'futex',
  'itimer',
  'madvise',
  'membarrier',
  'prctl',
  'priority',
  'resource',
  'rusage',
  'sched',
  'shutdown',
  'sigprocmask',
  'sockopt_level',
  'wait_id',
  'whence',
] as const;
export type ValueSetName = (typeof VALUE_SETS)[number];

/** How the dispatcher turns a 64-bit register into a number. 64-bit ones become doubles, exact up to 2^53. */
export const DECODE_NONE = 0;
export const DECODE_S32 = 1;
export const DECODE_U32 = 2;
export const DECODE_U64 = 3;
export const DECODE_S64 = 4;

/** Arguments that are numbers or opaque addresses, and how they are decoded. */
const SCALARS = {
  int: DECODE_S32,
  uint: DECODE_U32,
  long: DECODE_S64,
  ulong: DECODE_U64,
  size: DECODE_U64,
  off: DECODE_S64,
  fd: DECODE_S32,
  dirfd: DECODE_S32,
  pid: DECODE_S32,
  signal: DECODE_S32,
  uid: DECODE_U32,
  gid: DECODE_U32,
  mode: DECODE_U32,
  dev: DECODE_U32,
  hex: DECODE_U32,
  ioctl: DECODE_U32, // an ioctl request
  addr: DECODE_U64, // an address that the call does not follow, or not as data
  arg: DECODE_S64, // what it is depends on another argument (fcntl, ioctl, prctl)
} as const;
type ScalarName = keyof typeof SCALARS;

/** Arguments that point to memory and take no parameter. */
const POINTERS = [
  'path', // a NUL-terminated path that the call reads
  'string', // another NUL-terminated string that the call reads
  'string-array', // argv, envp: read by the loader, never captured
] as const;
type PointerName = (typeof POINTERS)[number];

type Direction = 'in' | 'out' | 'inout';

/** An argument as the table spells it. */
export type ArgumentSpec =
  | ScalarName
  | PointerName
  | `flags(${FlagSetName})` // u32
  | `flags64(${FlagSetName})` // the kernel takes all 64 bits of it
  | `value(${ValueSetName})` // s32
  | `${Direction}(${StructName})`
  | `array-${Direction}(${StructName}, ${string})` // struct, the argument that counts them
  | `sized-${'in' | 'out'}(${StructName}, ${string})` // a struct that grows: its size is an argument
  | `buf-${'in' | 'out'}(${string})`
  | `path-out(${string})` // text without a NUL (readlink) or with (getcwd)
  | `dirents-out(${string})`
  | `iovec-in(${string})`
  | `iovec-out(${string})`
  | `sockaddr-in(${string})`
  | `sockaddr-out(${string})`; // its length is itself an inout argument

export type ArgumentKind =
  | ScalarName
  | PointerName
  | 'flags'
  | 'value'
  | Direction
  | `array-${Direction}`
  | 'sized-in'
  | 'sized-out'
  | 'buf-in'
  | 'buf-out'
  | 'path-out'
  | 'dirents-out'
  | 'iovec-in'
  | 'iovec-out'
  | 'sockaddr-in'
  | 'sockaddr-out';

/** A parsed argument. */
export interface Argument {
  readonly name: string;
  readonly spec: ArgumentSpec;
  readonly kind: ArgumentKind;
  readonly decode: number;
  /** The struct it points to. */
  readonly struct: StructName | null;
  /** The flag set or value set it is printed with. */
  readonly set: FlagSetName | ValueSetName | null;
  /** Index of the argument that holds its length or count, -1 if none. */
  readonly length: number;
}

/** What becomes of a call. `native` entries with a rule have a handler too, for what the rule does not let pass. */
export type Disposition = 'kernel' | 'native' | 'enosys' | 'eperm';

/** What a result is printed as. */
export type ResultKind = 'int' | 'addr' | 'octal' | 'hex' | 'none';

/**
 * One condition on the arguments of a call that is to run on the host. Arguments are named; a 32-bit argument is judged
 * by the half that the host kernel looks at, of a 64-bit one (`flags64`, `addr`, `size`) the high half must be zero.
 */
export type Condition =
  | { readonly argument: string; readonly mask?: number; readonly oneOf: readonly number[] } // (argument & mask) is in the list
  | { readonly argument: string; readonly not: number } // it is any other value
  | { readonly argument: string; readonly any: number } // at least one of these bits is set
  | { readonly argument: string; readonly only: number } // no other bit is set
  | { readonly either: readonly Condition[] } // at least one of these holds
  | { readonly range: string; readonly length: string }; // neither in the stub's region nor able to reach it

/** A rule: the call runs on the host if every condition holds. */
export interface Rule {
  readonly conditions: readonly Condition[];
  /** The rule in words, for people. */
  readonly text: string;
}

/** One Linux system call. */
export interface SyscallEntry {
  readonly nr: number;
  readonly name: string;
  readonly args: readonly Argument[];
  readonly disposition: Disposition;
  readonly rule: Rule | null;
  readonly returns: ResultKind;
  /** What is not covered, or why it is refused. */
  readonly note: string;
}

const SPEC = /^([a-z0-9-]+)(?:\(([a-z_0-9]+)(?:, ([a-z_0-9]+))?\))?$/;

/** Parses one argument of a call; `names` are the names of all its arguments, in order. Throws on a bad one. */
export function parseArgument(name: string, spec: ArgumentSpec, names: readonly string[]): Argument {
  const [, word, first, second] = SPEC.exec(spec) ?? [];
  const bad = (): never => {
    throw new Error(`bad argument ${name}: '${spec}'`);
  };
  const struct = (of: string | undefined): StructName =>
    of !== undefined && of in STRUCT_SIZES ? (of as StructName) : bad();
  const length = (of: string | undefined): number =>
    of !== undefined && names.includes(of) ? names.indexOf(of) : bad();
  const argument: Argument = {
    name,
    spec,
    kind: word as ArgumentKind,
    decode: DECODE_U64,
    struct: null,
    set: null,
    length: -1,
  };
  if (word === undefined) return bad();
  if (first === undefined) {
    if ((POINTERS as readonly string[]).includes(word)) return argument;
    return word in SCALARS ? { ...argument, decode: SCALARS[word as ScalarName] } : bad();
  }
  switch (word) {
    case 'flags':
    case 'flags64':
      if (!(FLAG_SETS as readonly string[]).includes(first)) return bad();
      return {
        ...argument,
        kind: 'flags',
        decode: word === 'flags' ? DECODE_U32 : DECODE_U64,
        set: first as FlagSetName,
      };
    case 'value':
      if (!(VALUE_SETS as readonly string[]).includes(first)) return bad();
      return { ...argument, decode: DECODE_S32, set: first as ValueSetName };
    case 'in':
    case 'out':
    case 'inout':
      return { ...argument, struct: struct(first) };
    case 'array-in':
    case 'array-out':
    case 'array-inout':
    case 'sized-in':
    case 'sized-out':
      return { ...argument, struct: struct(first), length: length(second) };
    case 'buf-in':
    case 'buf-out':
    case 'path-out':
    case 'dirents-out':
    case 'iovec-in':
    case 'iovec-out':
    case 'sockaddr-in':
    case 'sockaddr-out':
      return second === undefined ? { ...argument, length: length(first) } : bad();
    default:
      return bad();
  }
}

/** Arguments of an entry by name, in order. */
export type Arguments = Readonly<Record<string, ArgumentSpec>>;

interface Options {
  readonly returns?: ResultKind;
  readonly note?: string;
}

/** The arguments that a condition is about. */
function argumentsOf(condition: Condition): string[] {
  if ('either' in condition) return condition.either.flatMap(argumentsOf);
  return 'range' in condition ? [condition.range, condition.length] : [condition.argument];
}

function entry(
  nr: number,
  name: string,
  args: Arguments,
  disposition: Disposition,
  rule: Rule | null,
  options: Options,
): SyscallEntry {
  const names = Object.keys(args);
  if (names.length > 6) throw new Error(`${name}: more than six arguments`);
  const parsed = names.map((argument) => parseArgument(argument, args[argument] as ArgumentSpec, names));
  for (const argument of rule?.conditions.flatMap(argumentsOf) ?? [])
    if (!names.includes(argument)) throw new Error(`${name}: rule on unknown argument ${argument}`);
  return { nr, name, args: parsed, disposition, rule, returns: options.returns ?? 'int', note: options.note ?? '' };
}

/** A call that a handler in src/syscalls answers. */
export function kernel(nr: number, name: string, args: Arguments, options: Options = {}): SyscallEntry {
  return entry(nr, name, args, 'kernel', null, options);
}

/** A call that the host runs where the rule lets it pass; elsewhere its handler answers. Without conditions: always. */
export function native(nr: number, name: string, args: Arguments, rule: Rule, options: Options = {}): SyscallEntry {
  return entry(nr, name, args, 'native', rule, options);
}

/** A call that is not there, as on a kernel built without it. */
export function enosys(nr: number, name: string, args: Arguments, note: string): SyscallEntry {
  return entry(nr, name, args, 'enosys', null, { note });
}

/** A call that is there, but that nobody in a sandbox may make. */
export function eperm(nr: number, name: string, args: Arguments, note: string): SyscallEntry {
  return entry(nr, name, args, 'eperm', null, { note });
}

/** True if a handler has to exist for this entry. */
export function needsHandler(entry: SyscallEntry): boolean {
  return entry.disposition === 'kernel' || (entry.rule !== null && entry.rule.conditions.length > 0);
}
