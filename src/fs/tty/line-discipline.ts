// The line discipline of terminals (N_TTY, termios(3)): what happens to bytes between the keyboard and a program's
// read(2), and between its write(2) and the screen. It follows Linux's n_tty.c rule by rule, because programs (shells,
// readline, expect) depend on its details: what is echoed and how, what one erase removes, when a line is complete.
//
// Input stands in a ring of 4096 bytes between readTail and readHead. In canonical mode the bytes before canonHead are
// whole lines, each ended by a byte whose place is marked in lineEnds (an end-of-file is a marked NUL); those behind
// it are the line being edited. Echoes are queued as operations and carried out when the output has room, because the
// width of a tab, and so of its erasure, is known only then.

import {
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ECHONL,
  ECHOPRT,
  EXTPROC,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IUCLC,
  IXANY,
  IXON,
  NOFLSH,
  PARMRK,
  VEOF,
  VEOL,
  VEOL2,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VQUIT,
  VREPRINT,
  VSTART,
  VSTOP,
  VSUSP,
  VWERASE,
} from '../../abi/ioctl.ts';
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.ts';
import { u8 } from '../../platform/arena.ts';
import { isContinuation, isControl, type OutputHost, TtyOutput } from './output.ts';
import type { Termios } from './termios.ts';

export const INPUT_SIZE = 4096;
const MASK = INPUT_SIZE - 1;
/** A control character of this value is switched off. */
const DISABLED = 0;

const BACKSPACE = 8;
const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const SLASH = 47;
const BACKSLASH = 92;
const CARET = 94;
const UNDERSCORE = 95;
const HIGHEST = 255;

/** What a line discipline needs of its terminal. */
export interface DisciplineHost extends OutputHost {
  /** A signal character was typed. */
  signal(signo: number): void;
  /** Signal characters drop what is on its way in and out. */
  dropOutput(): void;
  /** The flow of output was stopped or started. */
  flowChanged(stopped: boolean): void;
  /** A line is complete. */
  lineReady(): void;
}

/** Latin-1 letters and digits, as the kernel's isalnum has them. */
function isAlphanumeric(c: number): boolean {
  if (c < 0x80) return (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
  return c >= 0xc0 && c !== 0xd7 && c !== 0xf7;
}

function toLower(c: number): number {
  return (c >= 65 && c <= 90) || (c >= 0xc0 && c <= 0xde && c !== 0xd7) ? c + 32 : c;
}

export class LineDiscipline {
  readonly termios: Termios;
  readonly output: TtyOutput;
  private readonly host: DisciplineHost;

  readonly input = new Uint8Array(INPUT_SIZE);
  private readonly lineEnds = new Uint8Array(INPUT_SIZE);
  private readHead = 0;
  private readTail = 0;
  private canonHead = 0;
  /** The next byte is taken literally. */
  private literal = false;
  /** An ECHOPRT erasure is open: its characters stand between \ and /. */
  private erasing = false;
  private icanon = true;
  /** Bytes that are not just data with the present settings; null when all are. */
  private special: Uint8Array | null = null;

  /** Typed signals. They are sent when all that came in together is echoed: they may be the end of everything. */
  private signals: number[] = [];
  /** Output is stopped, by ^S or by tcflow. */
  stopped = false;
  /** By tcflow(TCOOFF): only tcflow starts it again. */
  private stoppedByCall = false;

  constructor(termios: Termios, host: DisciplineHost) {
    this.termios = termios;
    this.host = host;
    this.output = new TtyOutput(termios, host);
    this.icanon = (termios.lflag & ICANON) !== 0;
    this.mapSpecial();
  }

  // ---- settings ----

  /** The settings were changed from `old` to what `termios` says now. */
  settingsChanged(old: Termios): void {
    const { lflag, iflag } = this.termios;
    if ((old.lflag ^ lflag) & (ICANON | EXTPROC)) {
      this.lineEnds.fill(0);
      if (!(lflag & ICANON) || this.readHead === this.readTail) this.canonHead = this.readTail;
      else {
        // What was typed so far counts as a line.
        this.lineEnds[(this.readHead - 1) & MASK] = 1;
        this.canonHead = this.readHead;
      }
      this.erasing = false;
      this.literal = false;
    }
    this.icanon = (lflag & ICANON) !== 0;
    this.mapSpecial();
    if (!(iflag & IXON) && old.iflag & IXON && !this.stoppedByCall) {
      this.start();
      this.output.processEchoes();
    }
  }

  private mapSpecial(): void {
    const { iflag, lflag, cc } = this.termios;
    const meant = ISTRIP | IUCLC | IGNCR | ICRNL | INLCR | IXON | PARMRK;
    if (!(iflag & meant) && !(lflag & (ICANON | ISIG | ECHO))) {
      this.special = null;
      return;
    }
    const map = new Uint8Array(256);
    if (iflag & (IGNCR | ICRNL)) map[RETURN] = 1;
    if (iflag & INLCR) map[NEWLINE] = 1;
    if (lflag & ICANON) {
      map[NEWLINE] = 1;
      for (const index of [VERASE, VKILL, VEOF, VEOL]) map[cc[index]] = 1;
      if (lflag & IEXTEN) {
        for (const index of [VWERASE, VLNEXT, VEOL2]) map[cc[index]] = 1;
        if (lflag & ECHO) map[cc[VREPRINT]] = 1;
      }
    }
    if (iflag & IXON) map[cc[VSTART]] = map[cc[VSTOP]] = 1;
    if (lflag & ISIG) map[cc[VINTR]] = map[cc[VQUIT]] = map[cc[VSUSP]] = 1;
    map[DISABLED] = 0;
    this.special = map;
  }

  private is(c: number, index: number): boolean {
    return c === this.termios.cc[index];
  }

  // ---- input ----

  /** Takes bytes from the keyboard as far as there is room. Returns how many. */
  receive(source: Uint8Array, from: number, count: number): number {
    let taken = 0;
    while (taken < count) {
      let room = INPUT_SIZE - (this.readHead - this.readTail);
      if (this.termios.iflag & PARMRK) room = Math.ceil(room / 3);
      room--;
      if (room <= 0) {
        // A line that is longer than the buffer: further bytes replace its last one, so that it can still be ended.
        const overflow = this.icanon && this.canonHead === this.readTail;
        if (overflow && room < 0) this.readHead--;
        room = overflow ? 1 : 0;
      }
      const n = Math.min(count - taken, room);
      if (n === 0) break;
      for (let i = 0; i < n; i++) this.receiveByte(source[from + taken + i]);
      taken += n;
    }
    this.output.processEchoes();
    if (this.signals.length > 0) this.sendSignals();
    return taken;
  }

  private sendSignals(): void {
    const { signals } = this;
    this.signals = [];
    for (const signo of signals) this.host.signal(signo);
  }

  private receiveByte(byte: number): void {
    const { special } = this;
    if (special === null) {
      this.put(byte);
      return;
    }
    const { iflag, lflag } = this.termios;
    let c = byte;
    if (iflag & ISTRIP) c &= 0x7f;
    if (iflag & IUCLC && lflag & IEXTEN) c = toLower(c);
    if (this.literal) {
      this.literal = false;
      this.receivePlain(c);
    } else if (lflag & EXTPROC) this.put(c);
    else if (special[c]) this.receiveSpecial(c);
    else this.receivePlain(c);
  }

  private put(c: number): void {
    this.input[this.readHead++ & MASK] = c;
  }

  private putMarked(c: number): void {
    if (c === HIGHEST && this.termios.iflag & PARMRK) this.put(c);
    this.put(c);
  }

  /** IXANY: any key starts the output again. */
  private restartByAnyKey(): void {
    if (!this.stopped || this.stoppedByCall) return;
    const { iflag } = this.termios;
    if (!(iflag & IXON) || !(iflag & IXANY)) return;
    this.start();
    this.output.processEchoes();
  }

  private receivePlain(c: number): void {
    this.restartByAnyKey();
    if (this.termios.lflag & ECHO) {
      this.finishErasing();
      if (this.canonHead === this.readHead) this.output.markStart();
      this.output.echo(c);
      this.output.commitEchoes();
    }
    this.putMarked(c);
  }

  private receiveSpecial(byte: number): void {
    const { iflag, lflag } = this.termios;
    let c = byte;
    if (iflag & IXON && this.controlsFlow(c)) return;
    const signo = lflag & ISIG ? this.signalOf(c) : 0;
    if (signo !== 0) {
      this.receiveSignal(signo, c);
      return;
    }
    this.restartByAnyKey();
    if (c === RETURN) {
      if (iflag & IGNCR) return;
      if (iflag & ICRNL) c = NEWLINE;
    } else if (c === NEWLINE && iflag & INLCR) c = RETURN;
    if (this.icanon && this.receiveEditing(c)) return;
    if (lflag & ECHO) {
      this.finishErasing();
      if (c === NEWLINE) this.output.queueEcho(NEWLINE);
      else {
        if (this.canonHead === this.readHead) this.output.markStart();
        this.output.echo(c);
      }
      this.output.commitEchoes();
    }
    this.putMarked(c);
  }

  private controlsFlow(c: number): boolean {
    if (this.is(c, VSTART)) {
      this.start();
      this.output.processEchoes();
      return true;
    }
    if (!this.is(c, VSTOP)) return false;
    this.stop();
    return true;
  }

  /** The signal that a character stands for, or 0. */
  private signalOf(c: number): number {
    if (this.is(c, VINTR)) return SIGINT;
    if (this.is(c, VQUIT)) return SIGQUIT;
    return this.is(c, VSUSP) ? SIGTSTP : 0;
  }

  private receiveSignal(signo: number, c: number): void {
    const { iflag, lflag } = this.termios;
    this.signals.push(signo);
    if (!(lflag & NOFLSH)) {
      this.output.dropEchoes();
      this.host.dropOutput();
      this.flushInput();
    }
    if (iflag & IXON) this.start();
    if (lflag & ECHO) {
      this.output.echo(c);
      this.output.commitEchoes();
    } else this.output.processEchoes();
  }

  /** The characters that edit or end a line. False if `c` is none of them. */
  private receiveEditing(c: number): boolean {
    const { lflag } = this.termios;
    const extended = (lflag & IEXTEN) !== 0;
    if (this.is(c, VERASE) || this.is(c, VKILL) || (extended && this.is(c, VWERASE))) {
      this.erase(c);
      this.output.commitEchoes();
      return true;
    }
    if (extended && this.is(c, VLNEXT)) {
      this.literal = true;
      if (lflag & ECHO) {
        this.finishErasing();
        if (lflag & ECHOCTL) {
          this.output.queueEcho(CARET);
          this.output.queueEcho(BACKSPACE);
          this.output.commitEchoes();
        }
      }
      return true;
    }
    if (extended && lflag & ECHO && this.is(c, VREPRINT)) {
      this.finishErasing();
      this.output.echo(c);
      this.output.queueEcho(NEWLINE);
      for (let i = this.canonHead; i !== this.readHead; i++) this.output.echo(this.input[i & MASK]);
      this.output.commitEchoes();
      return true;
    }
    if (c === NEWLINE) {
      if (lflag & (ECHO | ECHONL)) {
        this.output.queueEcho(NEWLINE);
        this.output.commitEchoes();
      }
      this.endLine(NEWLINE);
      return true;
    }
    if (this.is(c, VEOF)) {
      this.endLine(DISABLED);
      return true;
    }
    if (this.is(c, VEOL) || (extended && this.is(c, VEOL2))) {
      if (lflag & ECHO) {
        if (this.canonHead === this.readHead) this.output.markStart();
        this.output.echo(c);
        this.output.commitEchoes();
      }
      if (c === HIGHEST && this.termios.iflag & PARMRK) this.put(c);
      this.endLine(c);
      return true;
    }
    return false;
  }

  private endLine(c: number): void {
    this.lineEnds[this.readHead & MASK] = 1;
    this.put(c);
    this.canonHead = this.readHead;
    this.host.lineReady();
  }

  // ---- erasing ----

  private erase(c: number): void {
    if (this.readHead === this.canonHead) return;
    const { lflag } = this.termios;
    const one = this.is(c, VERASE);
    const word = !one && this.is(c, VWERASE);
    if (!one && !word) {
      if (!(lflag & ECHO)) {
        this.readHead = this.canonHead;
        return;
      }
      if (!(lflag & ECHOK) || !(lflag & ECHOKE) || !(lflag & ECHOE)) {
        this.readHead = this.canonHead;
        this.finishErasing();
        this.output.echo(this.termios.cc[VKILL]);
        if (lflag & ECHOK) this.output.queueEcho(NEWLINE);
        return;
      }
    }
    let seenAlphanumeric = false;
    while (this.readHead !== this.canonHead) {
      // One character, which may have several bytes.
      let head = this.readHead;
      let last: number;
      do {
        head--;
        last = this.input[head & MASK];
      } while (isContinuation(this.termios, last) && head !== this.canonHead);
      if (isContinuation(this.termios, last)) break;
      if (word) {
        if (isAlphanumeric(last) || last === UNDERSCORE) seenAlphanumeric = true;
        else if (seenAlphanumeric) break;
      }
      const bytes = this.readHead - head;
      this.readHead = head;
      if (lflag & ECHO) this.echoErasure(last, head, bytes, one);
      if (one) break;
    }
    if (this.readHead === this.canonHead && lflag & ECHO) this.finishErasing();
  }

  private echoErasure(c: number, head: number, bytes: number, one: boolean): void {
    const { lflag } = this.termios;
    if (lflag & ECHOPRT) {
      if (!this.erasing) {
        this.output.queueEcho(BACKSLASH);
        this.erasing = true;
      }
      this.output.echo(c);
      for (let i = 1; i < bytes; i++) {
        this.output.queueEcho(this.input[(head + i) & MASK]);
        this.output.moveBack();
      }
    } else if (one && !(lflag & ECHOE)) {
      this.output.echo(this.termios.cc[VERASE]);
    } else if (c === TAB) {
      this.echoTabErasure();
    } else {
      if (isControl(c) && lflag & ECHOCTL) this.echoRubout();
      if (!isControl(c) || lflag & ECHOCTL) this.echoRubout();
    }
  }

  private echoRubout(): void {
    this.output.queueEcho(BACKSPACE);
    this.output.queueEcho(SPACE);
    this.output.queueEcho(BACKSPACE);
  }

  /** A tab's width depends on the columns since the tab before it, or since the start of the line. */
  private echoTabErasure(): void {
    const { lflag } = this.termios;
    let columns = 0;
    let afterTab = false;
    for (let i = this.readHead; i !== this.canonHead; ) {
      i--;
      const c = this.input[i & MASK];
      if (c === TAB) {
        afterTab = true;
        break;
      }
      if (isControl(c)) {
        if (lflag & ECHOCTL) columns += 2;
      } else if (!isContinuation(this.termios, c)) columns++;
    }
    this.output.eraseTab(columns, afterTab);
  }

  private finishErasing(): void {
    if (!this.erasing) return;
    this.output.queueEcho(SLASH);
    this.erasing = false;
  }

  // ---- flow ----

  private stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.host.flowChanged(true);
  }

  private start(): void {
    if (!this.stopped || this.stoppedByCall) return;
    this.stopped = false;
    this.host.flowChanged(false);
  }

  /** tcflow(TCOOFF and TCOON). */
  suspendOutput(on: boolean): void {
    if (on === this.stoppedByCall) return;
    this.stoppedByCall = on;
    if (on) this.stop();
    else {
      this.start();
      this.output.processEchoes();
    }
  }

  // ---- what readers ask ----

  /** Whether input is read in lines. */
  get canonical(): boolean {
    return this.icanon && !(this.termios.lflag & EXTPROC);
  }

  /** Bytes that can be read, or in canonical mode could be if lines did not matter. */
  get available(): number {
    return (this.canonical ? this.canonHead : this.readHead) - this.readTail;
  }

  /** Bytes as FIONREAD counts them: without the marks of end-of-file. */
  get countable(): number {
    if (!this.canonical) return this.readHead - this.readTail;
    let count = this.canonHead - this.readTail;
    for (let i = this.readTail; i !== this.canonHead; i++) {
      if (this.lineEnds[i & MASK] && this.input[i & MASK] === DISABLED) count--;
    }
    return count;
  }

  /** Room for typed bytes before they are refused. */
  get inputRoom(): number {
    return INPUT_SIZE - 1 - (this.readHead - this.readTail);
  }

  /** Reads at most one line to an arena offset; 0 is an end-of-file. There must be one `available`. */
  readLine(at: number, length: number): number {
    if (length === 0) return 0;
    const limit = Math.min(length, this.canonHead - this.readTail);
    let n = 0;
    let found = false;
    let endOfFile = 0;
    while (n < limit && !found) {
      const place = (this.readTail + n) & MASK;
      found = this.lineEnds[place] !== 0;
      this.lineEnds[place] = 0;
      if (found && this.input[place] === DISABLED) endOfFile = 1;
      else n++;
    }
    this.copy(at, n);
    this.readTail += n + endOfFile;
    // An end-of-file mark right behind a reader's buffer that was exactly filled belongs to the line it ends.
    if (!found && n === length) this.skipEndOfFile();
    return n;
  }

  private skipEndOfFile(): void {
    const place = this.readTail & MASK;
    if (this.readTail === this.canonHead || !this.lineEnds[place] || this.input[place] !== DISABLED) return;
    this.lineEnds[place] = 0;
    this.readTail++;
  }

  /** Reads bytes as they are. */
  readRaw(at: number, length: number): number {
    const n = Math.min(length, this.readHead - this.readTail);
    const single = n === 1 && this.is(this.input[this.readTail & MASK], VEOF);
    this.copy(at, n);
    this.readTail += n;
    return single && this.icanon && this.readHead === this.readTail ? 0 : n;
  }

  private copy(at: number, n: number): void {
    const start = this.readTail & MASK;
    const first = Math.min(n, INPUT_SIZE - start);
    u8.set(this.input.subarray(start, start + first), at);
    if (first < n) u8.set(this.input.subarray(0, n - first), at + first);
  }

  /** Drops everything that was typed. */
  flushInput(): void {
    this.readHead = this.readTail = this.canonHead = 0;
    this.lineEnds.fill(0);
    this.erasing = false;
  }

  /** Back to how a terminal starts: after a hang-up. */
  reset(): void {
    this.flushInput();
    this.output.reset();
    this.literal = false;
    this.stopped = this.stoppedByCall = false;
    this.icanon = (this.termios.lflag & ICANON) !== 0;
    this.mapSpecial();
  }
}
