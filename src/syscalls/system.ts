// The machine and its names: uname(2), sethostname(2), setdomainname(2), sysinfo(2), personality(2), syslog(2),
// vhangup(2).

import { CAP_SYS_ADMIN, CAP_SYS_TTY_CONFIG, CAP_SYSLOG } from '../abi/capability.ts';
import { EINVAL, EPERM } from '../abi/errno.ts';
import {
  HOST_NAME_MAX,
  PER_LINUX32,
  PER_MASK,
  READ_IMPLIES_EXEC,
  SYSINFO_PROCS,
  SYSINFO_SIZE,
  SYSINFO_UPTIME,
  SYSLOG_ACTION_CLEAR,
  SYSLOG_ACTION_CONSOLE_LEVEL,
  SYSLOG_ACTION_READ,
  SYSLOG_ACTION_READ_CLEAR,
  SYSLOG_ACTION_SIZE_BUFFER,
  SYSLOG_ACTION_SIZE_UNREAD,
  UNAME26,
  UTSNAME_FIELD,
  UTSNAME_SIZE,
} from '../abi/misc.ts';
import { POLLIN } from '../abi/poll.ts';
import type { UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable, capableIn } from '../base/credentials.ts';
import { controllingTerminal } from '../fs/tty/job-control.ts';
import { host } from '../host/calls.ts';
import { block } from '../kernel/block.ts';
import { kernel } from '../kernel/kernel.ts';
import {
  clearLog,
  firstLogged,
  firstUncleared,
  LOG_SIZE,
  type LogRecord,
  logged,
  logQueue,
  nextLogged,
  syslogLines,
} from '../kernel/log.ts';
import type { Task } from '../kernel/task.ts';
import { OS_RELEASE, OS_TYPE, OS_VERSION } from '../kernel/version.ts';
import { readBytes, u8, u16, writeBytes, writeU64 } from '../platform/arena.ts';

export function uname(task: Task, address: UserAddress): number {
  const at = task.memory.out(address, UTSNAME_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + UTSNAME_SIZE);
  const { uts } = task.namespaces;
  const machine = (task.personality & PER_MASK) === PER_LINUX32 ? 'i686' : 'x86_64';
  const release = task.personality & UNAME26 ? ancientRelease() : OS_RELEASE;
  [OS_TYPE, uts.hostname, release, OS_VERSION, machine, uts.domainname].forEach((text, i) => {
    writeBytes(at + i * UTSNAME_FIELD, text.slice(0, UTSNAME_FIELD - 1));
  });
  return 0;
}

/** For programs that stumble over anything above 2.6: X.Y shows as 2.6.(60 + Y). */
function ancientRelease(): string {
  const [, minor, rest] = /^\d+\.(\d+)(?:\.\d+)?(.*)$/.exec(OS_RELEASE) ?? ['', '0', ''];
  return `2.6.${60 + Number(minor)}${rest}`;
}

export function sethostname(task: Task, address: UserAddress, length: number): number {
  const name = readHostName(task, address, length);
  if (typeof name === 'number') return name;
  task.namespaces.uts.hostname = name;
  return 0;
}

export function setdomainname(task: Task, address: UserAddress, length: number): number {
  const name = readHostName(task, address, length);
  if (typeof name === 'number') return name;
  task.namespaces.uts.domainname = name;
  return 0;
}

function readHostName(task: Task, address: UserAddress, length: number): string | number {
  if (!capableIn(task.namespaces.uts.owner, task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (length < 0 || length > HOST_NAME_MAX) return -EINVAL;
  const at = task.memory.in(address, length);
  if (at < 0) return at;
  const name = readBytes(at, length);
  const nul = name.indexOf('\0');
  return nul < 0 ? name : name.slice(0, nul);
}

/** Memory and load are the host's; time and tasks the sandbox's own. */
export function sysinfo(task: Task, address: UserAddress): number {
  const at = task.memory.out(address, SYSINFO_SIZE);
  if (at < 0) return at;
  const r = host.sysinfo(at);
  if (r < 0) return r;
  writeU64(
    at + SYSINFO_UPTIME,
    Math.max(0, Math.ceil((monotonicNow() - kernel.bootTime + task.namespaces.time.boottime) / 1e9)),
  );
  u16[(at + SYSINFO_PROCS) >>> 1] = kernel.tasks.size;
  return 0;
}

/** Asks for the present personality without changing it. */
const QUERY = 0xffffffff;

/**
 * personality(2). Domains and most flags mean nothing to 64-bit programs. READ_IMPLIES_EXEC would have to change what
 * every mmap on the host does, and is refused.
 */
export function personality(task: Task, persona: number): number {
  const old = task.personality;
  if (persona === QUERY) return old;
  if (persona & READ_IMPLIES_EXEC) return -EINVAL;
  task.personality = persona;
  return old;
}

const LEVELS = 8;

/** What syslog(2) has given of the log: the next record, and how much of its lines. */
let syslogNext = 0;
let syslogOffset = 0;

/** The log from a record on, as syslog(2) gives it. */
function syslogText(from: number): string {
  let text = '';
  for (let at = Math.max(from, firstLogged()); at < nextLogged(); at++) text += syslogLines(logged(at) as LogRecord);
  return text;
}

/** The start of what has not been read: as many records as there is room for, but at least a part of one. */
function readSyslog(room: number): string {
  if (syslogNext < firstLogged()) {
    syslogNext = firstLogged();
    syslogOffset = 0;
  }
  let text = '';
  while (syslogNext < nextLogged()) {
    const lines = syslogLines(logged(syslogNext) as LogRecord).slice(syslogOffset);
    if (text.length + lines.length > room) {
      if (text !== '') break;
      syslogOffset += room;
      return lines.slice(0, room);
    }
    text += lines;
    syslogOffset = 0;
    syslogNext++;
  }
  return text;
}

/** The last records, for which there is room. */
function tailOfSyslog(room: number): string {
  let from = firstUncleared();
  let text = syslogText(from);
  while (text.length > room) text = text.slice(syslogLines(logged(from++) as LogRecord).length);
  return text;
}

/** syslog(2): the log has what programs wrote to /dev/kmsg. */
export function syslog(task: Task, action: number, buffer: UserAddress, length: number): number {
  const { credentials } = task;
  if (!capable(credentials, CAP_SYSLOG) && !capable(credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (action < 0 || action > SYSLOG_ACTION_SIZE_BUFFER) return -EINVAL;
  if (action >= SYSLOG_ACTION_READ && action <= SYSLOG_ACTION_READ_CLEAR) {
    if (buffer === 0 || length < 0) return -EINVAL;
    return length === 0 ? 0 : giveSyslog(task, action, buffer, length);
  }
  if (action === SYSLOG_ACTION_CONSOLE_LEVEL && (length < 1 || length > LEVELS)) return -EINVAL;
  if (action === SYSLOG_ACTION_CLEAR) clearLog();
  if (action === SYSLOG_ACTION_SIZE_UNREAD)
    return syslogText(syslogNext).length - (syslogNext < firstLogged() ? 0 : syslogOffset);
  return action === SYSLOG_ACTION_SIZE_BUFFER ? LOG_SIZE : 0;
}

/** The actions that read. A reader of what is new waits for it. */
function giveSyslog(task: Task, action: number, buffer: UserAddress, length: number): number {
  const waits = action === SYSLOG_ACTION_READ;
  if (waits && syslogNext >= nextLogged()) return block(task, logQueue, POLLIN);
  const text = waits ? readSyslog(length) : tailOfSyslog(length);
  const at = task.memory.out(buffer, text.length);
  if (at < 0) return at;
  writeBytes(at, text);
  if (action === SYSLOG_ACTION_READ_CLEAR) clearLog();
  return text.length;
}

/** vhangup(2): cuts the line of the controlling terminal. */
export function vhangup(task: Task): number {
  if (!capable(task.credentials, CAP_SYS_TTY_CONFIG)) return -EPERM;
  controllingTerminal(task.group)?.hangUp();
  return 0;
}
