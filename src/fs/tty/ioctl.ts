// ioctl(2) of terminals (ioctl_tty(2)), for both sides of a pair: most requests on a master mean its slave.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EBUSY, EINVAL, EIO, ENOTTY, EPERM } from '../../abi/errno.ts';
import {
  CLOCAL,
  FIONREAD,
  TCFLSH,
  TCGETA,
  TCGETS,
  TCGETS2,
  TCIFLUSH,
  TCIOFF,
  TCIOFLUSH,
  TCION,
  TCOFLUSH,
  TCOOFF,
  TCOON,
  TCSBRK,
  TCSBRKP,
  TCSETA,
  TCSETAF,
  TCSETAW,
  TCSETS,
  TCSETS2,
  TCSETSF,
  TCSETSF2,
  TCSETSW,
  TCSETSW2,
  TCXONC,
  TIOCCBRK,
  TIOCCONS,
  TIOCEXCL,
  TIOCGDEV,
  TIOCGETD,
  TIOCGEXCL,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGSOFTCAR,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSBRK,
  TIOCSCTTY,
  TIOCSETD,
  TIOCSPGRP,
  TIOCSSOFTCAR,
  TIOCSTI,
  TIOCSWINSZ,
  TIOCVHANGUP,
  VSTART,
  VSTOP,
  WINSIZE_SIZE,
} from '../../abi/ioctl.ts';
import { SIGTTOU } from '../../abi/signal.ts';
import type { UserAddress } from '../../base/brands.ts';
import { capable } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, u16, u32 } from '../../platform/arena.ts';
import {
  checkForeground,
  foregroundGroup,
  renounceTerminal,
  setControllingTerminal,
  setForegroundGroup,
  terminalSession,
} from './job-control.ts';
import { TERMIO_SIZE, TERMIOS_SIZE, TERMIOS2_SIZE, type Termios } from './termios.ts';
import type { Tty } from './tty.ts';

const N_TTY = 0;
const DISABLED = 0;

/** Stores a 32-bit result at a user address. */
export function putInt(task: Task, address: UserAddress, value: number): number {
  const at = task.memory.out(address, 4);
  if (at < 0) return at;
  i32[at >> 2] = value;
  return 0;
}

/** Reads a 32-bit argument from a user address into `result`. 0 or -errno. */
export function takeInt(task: Task, address: UserAddress, result: { value: number }): number {
  const at = task.memory.in(address, 4);
  if (at < 0) return at;
  result.value = i32[at >> 2];
  return 0;
}

/** How a terminal's ioctl was reached. */
export interface TtySide {
  readonly master: boolean;
  readonly readable: boolean;
}

/** Serves a terminal's request. -ENOTTY for those that are not for terminals. */
export function terminalIoctl(task: Task, tty: Tty, side: TtySide, command: number, argument: UserAddress): number {
  switch (command) {
    case TCGETS:
    case TCGETS2:
    case TCGETA:
      return getTermios(task, tty, command, argument);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
      return setTermios(task, tty, side, command, argument);
    case TIOCGWINSZ:
      return getSize(task, tty, argument);
    case TIOCSWINSZ:
      return setSize(task, tty, argument);
    case TIOCGPGRP: {
      const group = foregroundGroup(task, tty, side.master);
      return group < 0 ? group : putInt(task, argument, group);
    }
    case TIOCSPGRP:
      return setGroup(task, tty, argument);
    case TIOCGSID: {
      const session = terminalSession(task, tty, side.master);
      return session < 0 ? session : putInt(task, argument, session);
    }
    case TIOCSCTTY:
      return setControllingTerminal(task, tty, side.readable, (argument as number) === 1);
    case TIOCNOTTY:
      return side.master ? -ENOTTY : renounceTerminal(task, tty);
    case FIONREAD:
      return putInt(task, argument, side.master ? tty.output.length : tty.discipline.countable);
    case TIOCOUTQ:
      return putInt(task, argument, 0);
    case TCFLSH:
      return flush(task, tty, side, argument as number);
    case TCXONC:
      return flow(task, tty, side, argument as number);
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
      // A pseudo-terminal has no line to hold low; what is left is the wait for output, which is always out.
      return side.master ? 0 : checkForeground(task, tty, SIGTTOU);
    default:
      return rareIoctl(task, tty, side, command, argument);
  }
}

function rareIoctl(task: Task, tty: Tty, side: TtySide, command: number, argument: UserAddress): number {
  const administrator = capable(task.credentials, CAP_SYS_ADMIN);
  switch (command) {
    case TIOCEXCL:
      tty.exclusive = true;
      return 0;
    case TIOCNXCL:
      tty.exclusive = false;
      return 0;
    case TIOCGEXCL:
      return putInt(task, argument, tty.exclusive ? 1 : 0);
    case TIOCGETD:
      return putInt(task, argument, N_TTY);
    case TIOCSETD: {
      const wanted = { value: 0 };
      const r = takeInt(task, argument, wanted);
      if (r < 0) return r;
      return wanted.value === N_TTY ? 0 : -EINVAL;
    }
    case TIOCGDEV:
      return putInt(task, argument, tty.rdev);
    case TIOCGSOFTCAR:
      return putInt(task, argument, tty.termios.cflag & CLOCAL ? 1 : 0);
    case TIOCSSOFTCAR: {
      const on = { value: 0 };
      const r = takeInt(task, argument, on);
      if (r < 0) return r;
      const wanted = tty.termios.copy();
      wanted.cflag = on.value ? wanted.cflag | CLOCAL : wanted.cflag & ~CLOCAL;
      tty.setTermios(wanted);
      return 0;
    }
    case TIOCVHANGUP:
      if (!administrator) return -EPERM;
      tty.hangUp();
      return 0;
    case TIOCSTI:
      // Typing into a terminal from a program was a way out of many a sandbox: off, as dev.tty.legacy_tiocsti says.
      return -EIO;
    case TIOCCONS:
      return administrator ? (side.master ? -EINVAL : -EBUSY) : -EPERM;
    default:
      return -ENOTTY;
  }
}

// ---- settings ----

function getTermios(task: Task, tty: Tty, command: number, argument: UserAddress): number {
  const size = command === TCGETS2 ? TERMIOS2_SIZE : command === TCGETS ? TERMIOS_SIZE : TERMIO_SIZE;
  const at = task.memory.out(argument, size);
  if (at < 0) return at;
  if (command === TCGETA) tty.termios.writeOld(at);
  else tty.termios.write(at, command === TCGETS2);
  return 0;
}

function isOneOf(command: number, ...commands: number[]): boolean {
  return commands.includes(command);
}

function setTermios(task: Task, tty: Tty, side: TtySide, command: number, argument: UserAddress): number {
  if (!side.master) {
    const denied = checkForeground(task, tty, SIGTTOU);
    if (denied < 0) return denied;
  }
  const wanted = tty.termios.copy();
  const r = takeTermios(task, wanted, command, argument);
  if (r < 0) return r;
  wanted.line = N_TTY;
  if (isOneOf(command, TCSETSF, TCSETSF2, TCSETAF)) tty.flushInput();
  tty.setTermios(wanted);
  return 0;
}

function takeTermios(task: Task, wanted: Termios, command: number, argument: UserAddress): number {
  const old = isOneOf(command, TCSETA, TCSETAW, TCSETAF);
  const speeds = isOneOf(command, TCSETS2, TCSETSW2, TCSETSF2);
  const at = task.memory.in(argument, old ? TERMIO_SIZE : speeds ? TERMIOS2_SIZE : TERMIOS_SIZE);
  if (at < 0) return at;
  if (old) wanted.readOld(at);
  else wanted.read(at, speeds);
  return 0;
}

function getSize(task: Task, tty: Tty, argument: UserAddress): number {
  const at = task.memory.out(argument, WINSIZE_SIZE);
  if (at < 0) return at;
  const half = at >> 1;
  u16[half] = tty.rows;
  u16[half + 1] = tty.columns;
  u16[half + 2] = tty.xPixels;
  u16[half + 3] = tty.yPixels;
  return 0;
}

function setSize(task: Task, tty: Tty, argument: UserAddress): number {
  const at = task.memory.in(argument, WINSIZE_SIZE);
  if (at < 0) return at;
  const low = u32[at >> 2];
  const high = u32[(at >> 2) + 1];
  tty.resize(low & 0xffff, low >>> 16, high & 0xffff, high >>> 16);
  return 0;
}

function setGroup(task: Task, tty: Tty, argument: UserAddress): number {
  const denied = checkForeground(task, tty, SIGTTOU);
  if (denied < 0) return denied === -EIO ? -ENOTTY : denied;
  const id = { value: 0 };
  const r = takeInt(task, argument, id);
  return r < 0 ? r : setForegroundGroup(task, tty, id.value);
}

// ---- queues and flow ----

function flush(task: Task, tty: Tty, side: TtySide, which: number): number {
  if (which !== TCIFLUSH && which !== TCOFLUSH && which !== TCIOFLUSH) return -EINVAL;
  if (!side.master) {
    const denied = checkForeground(task, tty, SIGTTOU);
    if (denied < 0) return denied;
  }
  // What one side reads is what the other writes.
  const input = side.master ? TCOFLUSH : TCIFLUSH;
  if (which === input || which === TCIOFLUSH) tty.flushInput();
  if (which !== input) {
    if (side.master) {
      tty.output.truncate(0);
      tty.outputTaken();
    } else tty.flushOutput();
  }
  return 0;
}

function flow(task: Task, tty: Tty, side: TtySide, action: number): number {
  if (side.master) return -EINVAL;
  const denied = checkForeground(task, tty, SIGTTOU);
  if (denied < 0) return denied;
  switch (action) {
    case TCOOFF:
    case TCOON:
      tty.discipline.suspendOutput(action === TCOOFF);
      if (action === TCOON) tty.announceOutput();
      return 0;
    case TCIOFF:
    case TCION: {
      const character = tty.termios.cc[action === TCIOFF ? VSTOP : VSTART];
      if (character !== DISABLED) tty.sendUrgent(character);
      return 0;
    }
    default:
      return -EINVAL;
  }
}
