// What a terminal puts out (the output half of N_TTY): a program's bytes as OPOST and its companions ask, and the echo
// of what is typed. Echoes are queued as operations and carried out when the output has room, because the width of a
// tab, and so of its erasure, is known only then.

import { ECHOCTL, IUTF8, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, XTABS } from '../../abi/ioctl.ts';
import { u8 } from '../../platform/arena.ts';
import type { Termios } from './termios.ts';

const BACKSPACE = 8;
const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const CARET = 94;
const HIGHEST = 255;

// Echo operations: a plain number is a byte to put out; these bits say more.
const OP_CONTROL = 0x100; // show as ^X
const OP_ERASE_TAB = 0x200; // low bits: columns before the tab, 0x80 if they count from another tab
const OP_SET_CANON_COLUMN = 0x400;
const OP_MOVE_BACK = 0x800;
const AFTER_TAB = 0x80;
const ECHO_MAX = 4096;
/** Echoes wait for the end of what came in together, or until so many are queued. */
const ECHO_WATERMARK = 256;

/** Where output goes. */
export interface OutputHost {
  /** How many bytes the output takes now; 0 while it is stopped. */
  outputRoom(): number;
  putOutput(byte: number): void;
  /** Appends bytes from an arena offset; there is room for them. */
  appendOutput(at: number, length: number): void;
}

export function isControl(c: number): boolean {
  return c < 32 || c === 127;
}

function toUpper(c: number): number {
  return (c >= 97 && c <= 122) || (c >= 0xe0 && c !== 0xf7) ? c - 32 : c;
}

/** Whether a byte continues a character of several bytes. */
export function isContinuation(termios: Termios, c: number): boolean {
  return (termios.iflag & IUTF8) !== 0 && (c & 0xc0) === 0x80;
}

export class TtyOutput {
  private readonly termios: Termios;
  private readonly host: OutputHost;
  private column = 0;
  private canonColumn = 0;
  private echoes: number[] = [];

  constructor(termios: Termios, host: OutputHost) {
    this.termios = termios;
    this.host = host;
  }

  // ---- echo ----

  /** Queues the echo of a typed character: control characters show as ^X with ECHOCTL. */
  echo(c: number): void {
    const shown = (this.termios.lflag & ECHOCTL) !== 0 && isControl(c) && c !== TAB;
    this.queueEcho(shown ? c | OP_CONTROL : c);
  }

  queueEcho(operation: number): void {
    if (this.echoes.length < ECHO_MAX) this.echoes.push(operation);
  }

  commitEchoes(): void {
    if (this.echoes.length >= ECHO_WATERMARK) this.processEchoes();
  }

  /** Puts queued echoes out as far as there is room. */
  processEchoes(): void {
    const { echoes } = this;
    if (echoes.length === 0) return;
    let done = 0;
    while (done < echoes.length && this.putEcho(echoes[done])) done++;
    if (done === echoes.length) echoes.length = 0;
    else echoes.splice(0, done);
  }

  private putEcho(operation: number): boolean {
    if (operation === OP_SET_CANON_COLUMN) {
      this.canonColumn = this.column;
      return true;
    }
    if (operation === OP_MOVE_BACK) {
      if (this.column > 0) this.column--;
      return true;
    }
    const room = this.host.outputRoom();
    if (operation & OP_ERASE_TAB) {
      const counted = operation & 0xff;
      const columns = counted & AFTER_TAB ? counted : counted + this.canonColumn;
      const back = 8 - (columns & 7);
      if (room < back) return false;
      for (let i = 0; i < back; i++) {
        this.host.putOutput(BACKSPACE);
        if (this.column > 0) this.column--;
      }
      return true;
    }
    if (operation & OP_CONTROL) {
      if (room < 2) return false;
      this.host.putOutput(CARET);
      this.host.putOutput((operation & 0xff) ^ 0x40);
      this.column += 2;
      return true;
    }
    if (room < 1) return false;
    if (operation === HIGHEST) this.column++;
    else if (this.termios.oflag & OPOST) return this.putProcessed(operation);
    this.host.putOutput(operation);
    return true;
  }

  // ---- output ----

  /** Takes what a program writes from an arena offset, as far as there is room. Returns how many bytes. */
  write(at: number, length: number): number {
    this.processEchoes();
    if (!(this.termios.oflag & OPOST)) {
      const n = Math.min(length, this.host.outputRoom());
      this.host.appendOutput(at, n);
      return n;
    }
    let done = 0;
    while (done < length && this.putProcessed(u8[at + done])) done++;
    return done;
  }

  /** Puts out one byte as OPOST and its companions ask. False when there is no room. */
  private putProcessed(byte: number): boolean {
    const { host } = this;
    const { oflag } = this.termios;
    const room = host.outputRoom();
    if (room < 1) return false;
    let c = byte;
    switch (c) {
      case NEWLINE:
        if (oflag & ONLRET) this.column = 0;
        if (oflag & ONLCR) {
          if (room < 2) return false;
          this.canonColumn = this.column = 0;
          host.putOutput(RETURN);
          break;
        }
        this.canonColumn = this.column;
        break;
      case RETURN:
        if (oflag & ONOCR && this.column === 0) return true;
        if (oflag & OCRNL) {
          c = NEWLINE;
          if (oflag & ONLRET) this.canonColumn = this.column = 0;
          break;
        }
        this.canonColumn = this.column = 0;
        break;
      case TAB: {
        const spaces = 8 - (this.column & 7);
        if ((oflag & TABDLY) === XTABS) {
          if (room < spaces) return false;
          this.column += spaces;
          for (let i = 0; i < spaces; i++) host.putOutput(SPACE);
          return true;
        }
        this.column += spaces;
        break;
      }
      case BACKSPACE:
        if (this.column > 0) this.column--;
        break;
      default:
        if (!isControl(c)) {
          if (oflag & OLCUC) c = toUpper(c);
          if (!isContinuation(this.termios, c)) this.column++;
        }
    }
    host.putOutput(c);
    return true;
  }

  /** The line that is edited starts at the column that is reached now. */
  markStart(): void {
    this.queueEcho(OP_SET_CANON_COLUMN);
  }

  /** The next bytes take no column: they belong to the character before them. */
  moveBack(): void {
    this.queueEcho(OP_MOVE_BACK);
  }

  /** Erases a tab that has `columns` columns of other characters before it, up to the tab before or the start. */
  eraseTab(columns: number, afterTab: boolean): void {
    this.queueEcho(OP_ERASE_TAB | (columns & 7) | (afterTab ? AFTER_TAB : 0));
  }

  dropEchoes(): void {
    this.echoes = [];
  }

  reset(): void {
    this.echoes = [];
    this.column = this.canonColumn = 0;
  }
}
