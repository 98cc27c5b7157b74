// The console: the host's terminal behind a terminal of the sandbox. The guest has an ordinary pts with its own line
// discipline; the host's terminal is put into raw mode and bytes are pumped both ways, so that ^C, ^Z, line editing and
// job control happen inside. The host's settings come back at the end and whenever the sandbox as a whole is stopped.

import { EAGAIN } from '../../abi/errno.ts';
import { F_GETFL, O_NOCTTY, O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { ONLCR, TERMIOS_SIZE, WINSIZE_SIZE } from '../../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from '../../abi/poll.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, markScratch, releaseScratch, u8, u16 } from '../../platform/arena.ts';
import { modifyHostFd, unwatchHostFd, watchHostFd } from '../../platform/host-events.ts';
import { anonymousPath } from '../../vfs/anonymous.ts';
import { registerDevice } from '../../vfs/devices.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { resolvePath } from '../../vfs/walk.ts';
import { type DevptsSuperblock, SlaveInode } from '../devpts/devpts.ts';
import { makeRaw, Termios } from '../tty/termios.ts';
import type { Tty, TtyPeer } from '../tty/tty.ts';
import { openTty } from '../tty/tty-file.ts';

const CHUNK = 4096;
/** A terminal that may block is written in pieces of this size, each after poll(2) said there is room. */
const BLOCKING_CHUNK = 1024;
/** How long the end waits for the host's terminal to take what is left, ms. */
const DRAIN_TIME = 2000;
const DRAIN_STEP = 5;

const FOREGROUND = 0;
const BACKGROUND = 1;
/** The sandbox is stopped. */
const SUSPENDED = 2;
/** The host's terminal is gone. */
const LOST = 3;

/** A host descriptor of the console in the native wait, with the events it waits for. */
class Line {
  readonly fd: HostFd;
  private readonly console: HostConsole;
  private armed = 0;

  constructor(fd: HostFd, console: HostConsole) {
    this.fd = fd;
    this.console = console;
  }

  /** Listens for an event (POLLIN or POLLOUT) or no more. */
  listen(event: number, on: boolean): void {
    const wanted = on ? this.armed | event : this.armed & ~event;
    if (wanted === this.armed) return;
    if (wanted === 0) unwatchHostFd(this.fd);
    else if (this.armed !== 0) modifyHostFd(this.fd, wanted);
    else if (watchHostFd(this.fd, wanted, this) < 0) {
      // A file or /dev/null: it never has to be waited for.
      if (event === POLLIN) this.console.pumpInput(POLLIN);
      return;
    }
    this.armed = wanted;
  }

  ready(events: number): void {
    if (this.armed & POLLOUT && events & (POLLOUT | POLLERR | POLLHUP)) this.console.outputAdded();
    if (this.armed & POLLIN && events & (POLLIN | POLLERR | POLLHUP)) this.console.pumpInput(events);
  }
}

/** Whether a host descriptor is a terminal. */
function isTerminal(fd: HostFd): boolean {
  const mark = markScratch();
  const r = host.tcgets(fd, allocateScratch(TERMIOS_SIZE));
  releaseScratch(mark);
  return r === 0;
}

export class HostConsole implements TtyPeer {
  readonly tty: Tty;
  readonly instance: DevptsSuperblock;
  private readonly input: Line;
  private readonly output: Line;
  private readonly mayBlock: boolean;
  /** The host terminal's settings as they were, while it is raw. */
  private saved: Uint8Array | null = null;
  private state = SUSPENDED;
  private readonly isTerminal: boolean;
  private inputEnded = false;
  /** What waits for the last output to be out. */
  private onFinished: (() => void) | null = null;

  constructor(instance: DevptsSuperblock, tty: Tty, inputFd: HostFd, outputFd: HostFd) {
    this.instance = instance;
    this.tty = tty;
    this.input = new Line(inputFd, this);
    this.output = inputFd === outputFd ? this.input : new Line(outputFd, this);
    this.mayBlock = (host.fcntl(outputFd, F_GETFL, 0) & O_NONBLOCK) === 0;
    this.isTerminal = isTerminal(inputFd);
    tty.peer = this;
  }

  // ---- the host terminal's settings ----

  /** In the foreground: the host's terminal is raw, and all that is typed is the guest's. */
  toForeground(): void {
    if (this.state === FOREGROUND || this.state === LOST) return;
    const mark = markScratch();
    const at = allocateScratch(TERMIOS_SIZE);
    if (host.tcgets(this.input.fd, at) === 0) {
      this.saved = u8.slice(at, at + TERMIOS_SIZE);
      const raw = new Termios();
      raw.read(at, false);
      makeRaw(raw);
      raw.write(at, false);
      host.tcsetsw(this.input.fd, at);
    }
    releaseScratch(mark);
    this.state = FOREGROUND;
    this.resized();
    this.listenForInput();
    this.outputAdded();
  }

  /** In the background: what the guest writes is shown, and the terminal is left alone otherwise. */
  toBackground(): void {
    this.suspend();
    if (this.state === LOST) return;
    this.state = BACKGROUND;
    this.outputAdded();
  }

  /** Gives the guest's terminal the settings that the host's has, before `toForeground` makes that raw. */
  adoptSettings(): void {
    const mark = markScratch();
    const at = allocateScratch(TERMIOS_SIZE);
    if (host.tcgets(this.input.fd, at) === 0) {
      const settings = new Termios();
      settings.read(at, false);
      settings.line = 0;
      this.tty.setTermios(settings);
    }
    releaseScratch(mark);
    // What reads a file or pipe expects lines to end as programs end them.
    if (!isTerminal(this.output.fd)) this.tty.termios.oflag &= ~ONLCR;
  }

  /** Lets go of the host's terminal: everything is out, its settings are as they were. */
  suspend(): void {
    if (this.state === LOST) return;
    this.drain();
    this.state = SUSPENDED;
    this.input.listen(POLLIN, false);
    this.output.listen(POLLOUT, false);
    if (!this.saved) return;
    const mark = markScratch();
    const at = allocateScratch(TERMIOS_SIZE);
    u8.set(this.saved, at);
    this.saved = null;
    host.tcsetsw(this.input.fd, at);
    releaseScratch(mark);
  }

  /** The host's window has (perhaps) another size. */
  resized(): void {
    const mark = markScratch();
    const at = allocateScratch(WINSIZE_SIZE);
    if (host.tiocgwinsz(this.output.fd, at) === 0) {
      const half = at >> 1;
      this.tty.resize(u16[half], u16[half + 1], u16[half + 2], u16[half + 3]);
    }
    releaseScratch(mark);
  }

  // ---- host to guest ----

  inputTaken(): void {
    this.listenForInput();
  }

  private listenForInput(): void {
    this.input.listen(POLLIN, !this.inputEnded && this.state === FOREGROUND && this.tty.arrivedRoom > 0);
  }

  inputWanted(): void {
    if (this.state === BACKGROUND) onWanted();
  }

  /** The host's terminal has something to say. */
  pumpInput(events: number): void {
    const mark = markScratch();
    const at = allocateScratch(CHUNK);
    const n = host.read(this.input.fd, at, Math.min(CHUNK, this.tty.arrivedRoom));
    if (n > 0) this.tty.receive(at, n);
    releaseScratch(mark);
    if (n > 0 || (n === -EAGAIN && !(events & (POLLERR | POLLHUP)))) this.listenForInput();
    else if (this.isTerminal) this.lost();
    else {
      // The end of a file or pipe is not the end of a terminal: nothing more is typed, that is all.
      this.inputEnded = true;
      this.input.listen(POLLIN, false);
    }
  }

  /** The host's terminal is gone: the guest's hangs up. */
  private lost(): void {
    this.state = LOST;
    this.saved = null;
    this.input.listen(POLLIN, false);
    this.output.listen(POLLOUT, false);
    this.instance.free(this.tty);
    this.tty.closePeer();
    this.finished();
  }

  /** The program it was made for has ended: when its last output is out, the host's terminal is let go of for good. */
  finish(done: () => void): void {
    this.onFinished = done;
    if (this.state === LOST) this.finished();
    else this.outputAdded();
  }

  private finished(): void {
    const done = this.onFinished;
    this.onFinished = null;
    done?.();
  }

  // ---- guest to host ----

  outputAdded(): void {
    if (this.state !== FOREGROUND && this.state !== BACKGROUND) return;
    const { output } = this.tty;
    const mark = markScratch();
    const at = allocateScratch(CHUNK);
    let taken = 0;
    let n = 0;
    while (output.length > 0) {
      n = this.writeSome(at);
      if (n <= 0) break;
      output.discard(n);
      taken += n;
    }
    releaseScratch(mark);
    if (n < 0 && n !== -EAGAIN) {
      this.lost();
      return;
    }
    this.output.listen(POLLOUT, output.length > 0);
    if (taken > 0) this.tty.outputTaken();
    if (this.onFinished && output.length === 0) {
      this.suspend();
      this.lost();
    }
  }

  private writeSome(at: number): number {
    const { fd } = this.output;
    if (this.mayBlock && !(host.poll(fd, POLLOUT) & (POLLOUT | POLLERR | POLLHUP))) return -EAGAIN;
    const n = this.tty.output.peek(at, this.mayBlock ? BLOCKING_CHUNK : CHUNK);
    return host.write(fd, at, n);
  }

  /** Waits, for a limited time, until the host's terminal has taken everything. */
  private drain(): void {
    if (this.state !== FOREGROUND && this.state !== BACKGROUND) return;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; this.tty.output.length > 0 && waited < DRAIN_TIME; waited += DRAIN_STEP) {
      this.outputAdded();
      if (this.tty.output.length > 0) Atomics.wait(pause, 0, 0, DRAIN_STEP);
    }
  }
}

let console: HostConsole | null = null;
let onWanted: () => void = () => {};

/** What is to happen when a program reads the terminal in the background. */
export function setConsoleWantedHook(hook: () => void): void {
  onWanted = hook;
}

/**
 * Makes the console: a pts of the instance whose other side is the host's terminal on the two descriptors. Opens of /dev/console lead there. -errno if there is no pts.
 */
export function createConsole(
  instance: DevptsSuperblock,
  input: HostFd,
  output: HostFd,
  background: boolean,
): HostConsole | number {
  const tty = instance.allocate(false);
  if (typeof tty === 'number') return tty;
  const made = new HostConsole(instance, tty, input, output);
  if (background) made.toBackground();
  else {
    made.adoptSettings();
    made.toForeground();
  }
  registerDevice(S_IFCHR, 5, 1, (path, inode, flags) => openTty(path, inode, flags | O_NOCTTY, tty));
  console = made;
  return made;
}

/** Makes a terminal like the console for one more program: /dev/console stays what it is. -errno if there is no pts. */
export function createTerminal(instance: DevptsSuperblock, input: HostFd, output: HostFd): HostConsole | number {
  const tty = instance.allocate(false);
  if (typeof tty === 'number') return tty;
  const made = new HostConsole(instance, tty, input, output);
  made.adoptSettings();
  made.toForeground();
  return made;
}

/** Opens the console for a task's standard streams, by its name where the task has one for it. */
export function openConsole(task: Task, made: HostConsole): OpenFile | number {
  const flags = O_RDWR | O_NOCTTY;
  for (const name of [`/dev/pts/${made.tty.index}`, '/dev/console']) {
    const path = resolvePath(task, name);
    if (typeof path === 'number') continue;
    const inode = path.dentry.inode;
    if (inode instanceof SlaveInode && inode.tty === made.tty) return inode.open(path, flags);
    if (inode && name === '/dev/console') return openTty(path, inode, flags, made.tty);
  }
  const inode = new SlaveInode(made.instance, made.tty);
  return inode.open(anonymousPath(`/dev/pts/${made.tty.index}`, inode), flags);
}

/** At the end: what was written is out, and the host's terminal is as it was. */
export function restoreConsole(): void {
  console?.suspend();
  console = null;
}

/** Before the sandbox as a whole stops: the host's terminal is given back. */
export function suspendConsole(): void {
  console?.suspend();
}

/** After it was continued: the terminal is taken again, at its present size, unless it is another job's now. */
export function resumeConsole(background: boolean): void {
  if (background) console?.toBackground();
  else console?.toForeground();
}

/** The host's window was resized. False if there is no console. */
export function resizeConsole(): boolean {
  console?.resized();
  return console !== null;
}
