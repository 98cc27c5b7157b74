// Arguments whose meaning depends on a command: fcntl(2), ioctl(2), prctl(2).

import * as fcntl from '../abi/fcntl.ts';
import * as ioctl from '../abi/ioctl.ts';
import * as prctl from '../abi/prctl.ts';
import { FD_FLAGS, FLAGS, formatFlags, SEAL_FLAGS } from './flags.ts';
import type { GuestMemory } from './guest-memory.ts';
import { formatTermios, formatWinsize, STRUCTS } from './structs.ts';
import { Fields, hex, pointer, quoteString } from './text.ts';

const REQUESTS: ReadonlyMap<number, string> = new Map(
  Object.entries(ioctl).flatMap(([name, value]): [number, string][] =>
    /^(TC[GSFX]|TIOC(?!M_|PKT_)|FIO|FIB|FIC|FID|FIF|FIG|FIT|FS_|BLK|NS_|SIOC(?!INQ|OUTQ)|KDG)/.test(name)
      ? [[Number(value), name]]
      : [],
  ),
);

/** An ioctl request by name, else taken apart as _IOC does it. */
export function formatRequest(request: number): string {
  const name = REQUESTS.get(request);
  if (name !== undefined) return name;
  const direction = ['_IOC_NONE', '_IOC_WRITE', '_IOC_READ', '_IOC_READ|_IOC_WRITE'][request >>> 30];
  return `_IOC(${direction}, ${hex((request >>> 8) & 0xff)}, ${hex(request & 0xff)}, ${hex((request >>> 16) & 0x3fff)})`;
}

/** How an ioctl's argument is printed, whether it is known before the call, after it, or both. */
interface IoctlArgument {
  readonly size: number;
  readonly when: 'before' | 'after';
  readonly format: (fields: Fields) => string;
}

const int = (f: Fields): string => `[${f.s32(0)}]`;
const get = (size: number, format: (fields: Fields) => string): IoctlArgument => ({ size, when: 'after', format });
const set = (size: number, format: (fields: Fields) => string): IoctlArgument => ({ size, when: 'before', format });

const IOCTLS: ReadonlyMap<number, IoctlArgument> = new Map([
  [ioctl.TCGETS, get(ioctl.TERMIOS_SIZE, formatTermios)],
  [ioctl.TCSETS, set(ioctl.TERMIOS_SIZE, formatTermios)],
  [ioctl.TCSETSW, set(ioctl.TERMIOS_SIZE, formatTermios)],
  [ioctl.TCSETSF, set(ioctl.TERMIOS_SIZE, formatTermios)],
  [ioctl.TCGETS2, get(ioctl.TERMIOS2_SIZE, formatTermios)],
  [ioctl.TCSETS2, set(ioctl.TERMIOS2_SIZE, formatTermios)],
  [ioctl.TCSETSW2, set(ioctl.TERMIOS2_SIZE, formatTermios)],
  [ioctl.TCSETSF2, set(ioctl.TERMIOS2_SIZE, formatTermios)],
  [ioctl.TIOCGWINSZ, get(ioctl.WINSIZE_SIZE, formatWinsize)],
  [ioctl.TIOCSWINSZ, set(ioctl.WINSIZE_SIZE, formatWinsize)],
  [ioctl.TIOCGPGRP, get(4, int)],
  [ioctl.TIOCSPGRP, set(4, int)],
  [ioctl.TIOCGSID, get(4, int)],
  [ioctl.TIOCGPTN, get(4, int)],
  [ioctl.TIOCSPTLCK, set(4, int)],
  [ioctl.TIOCGPTLCK, get(4, int)],
  [ioctl.TIOCOUTQ, get(4, int)],
  [ioctl.FIONREAD, get(4, int)],
  [ioctl.FIONBIO, set(4, int)],
  [ioctl.FIOASYNC, set(4, int)],
]);

function formatIoctl(request: number, arg: number, after: boolean, memory: GuestMemory): string {
  const known = IOCTLS.get(request);
  if (known === undefined || arg === 0) return arg < 0 || arg > 0xffff ? pointer(arg) : hex(arg);
  if (known.when === 'after' && !after) return '';
  const bytes = memory.readMemory(arg, known.size);
  return bytes === null ? pointer(arg) : known.format(new Fields(bytes));
}

const LOCKS: readonly number[] = [
  fcntl.F_GETLK,
  fcntl.F_SETLK,
  fcntl.F_SETLKW,
  fcntl.F_OFD_GETLK,
  fcntl.F_OFD_SETLK,
  fcntl.F_OFD_SETLKW,
];
const WITHOUT_ARGUMENT: readonly number[] = [
  fcntl.F_GETFD,
  fcntl.F_GETFL,
  fcntl.F_GETOWN,
  fcntl.F_GETSIG,
  fcntl.F_GETLEASE,
  fcntl.F_GETPIPE_SZ,
  fcntl.F_GET_SEALS,
];

/** The argument of fcntl, null if the command takes none. */
function formatFcntl(command: number, arg: number, after: boolean, memory: GuestMemory): string | null {
  if (WITHOUT_ARGUMENT.includes(command)) return null;
  if (command === fcntl.F_SETFD) return formatFlags(FD_FLAGS, arg >>> 0);
  if (command === fcntl.F_SETFL) return formatFlags(FLAGS.open, arg >>> 0);
  if (command === fcntl.F_ADD_SEALS) return formatFlags(SEAL_FLAGS, arg >>> 0);
  if (!LOCKS.includes(command)) return String(arg);
  if (!after && (command === fcntl.F_GETLK || command === fcntl.F_OFD_GETLK)) return '';
  const bytes = arg === 0 ? null : memory.readMemory(arg, fcntl.FLOCK_SIZE);
  return bytes === null ? pointer(arg) : STRUCTS.flock(new Fields(bytes));
}

/** What fcntl's result is, besides a number: the flags that it holds. */
export function describeFcntlResult(command: number, result: number): string {
  if (command === fcntl.F_GETFD && result !== 0) return ` (flags ${formatFlags(FD_FLAGS, result)})`;
  if (command === fcntl.F_GETFL) return ` (flags ${formatFlags(FLAGS.open, result)})`;
  if (command === fcntl.F_GET_SEALS && result !== 0) return ` (seals ${formatFlags(SEAL_FLAGS, result)})`;
  return '';
}

function formatPrctl(option: number, arg: number, index: number, memory: GuestMemory): string | null {
  if (option === prctl.PR_SET_NAME) {
    if (index > 1) return null;
    const name = memory.readString(arg);
    return name === null ? pointer(arg) : quoteString(name, prctl.TASK_COMM_LEN - 1);
  }
  return arg < 0 || arg > 0xffff ? pointer(arg) : String(arg);
}

/**
 * Argument `index` of a call that has an argument of type 'arg'. '' if it is only known after the call, null if it is
 * not printed at all.
 */
export function formatUntyped(
  name: string,
  args: ArrayLike<number>,
  index: number,
  after: boolean,
  memory: GuestMemory,
): string | null {
  const arg = args[index];
  if (name === 'ioctl') return formatIoctl(args[1], arg, after, memory);
  if (name === 'fcntl') return formatFcntl(args[1], arg, after, memory);
  if (name === 'prctl') return formatPrctl(args[0], arg, index, memory);
  return hex(arg);
}
