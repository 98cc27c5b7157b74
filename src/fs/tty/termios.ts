// Terminal settings (termios(3)): the kernel's struct termios as plain numbers, its defaults, and the way to and from
// the three layouts that programs use (termios, termios2, the old termio).

import {
  B38400,
  CBAUD,
  CREAD,
  CS8,
  CSIZE,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  IUTF8,
  IXON,
  NCCS,
  ONLCR,
  OPOST,
  PARENB,
  TERMIO_SIZE,
  TERMIOS_CC,
  TERMIOS_CFLAG,
  TERMIOS_IFLAG,
  TERMIOS_ISPEED,
  TERMIOS_LFLAG,
  TERMIOS_LINE,
  TERMIOS_OFLAG,
  TERMIOS_OSPEED,
  TERMIOS_SIZE,
  TERMIOS2_SIZE,
  VMIN,
  VTIME,
} from '../../abi/ioctl.ts';
import { u8, u16, u32 } from '../../platform/arena.ts';

export { TERMIO_SIZE, TERMIOS_SIZE, TERMIOS2_SIZE };

/** ^C ^\ ^? ^U ^D 0 1 - ^Q ^S ^Z - ^R ^O ^W ^V - -: INTR QUIT ERASE KILL EOF TIME MIN SWTC START STOP SUSP EOL … */
const DEFAULT_CC = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];

const BOTHER = 0o10000;
const IBSHIFT = 16;
/** Speeds by code: B0 to B38400, then BOTHER + 1 (B57600) and on. */
const SPEEDS = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const FAST_SPEEDS = [
  0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
  3500000, 4000000,
];
/** Old termio had eight control characters. */
const NCC = 8;

export class Termios {
  iflag = ICRNL | IXON;
  oflag = OPOST | ONLCR;
  cflag = B38400 | CS8 | CREAD;
  lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  line = 0;
  readonly cc = Uint8Array.from(DEFAULT_CC);
  ispeed = 38400;
  ospeed = 38400;

  copy(): Termios {
    const copy = new Termios();
    copy.assign(this);
    return copy;
  }

  assign(from: Termios): void {
    this.iflag = from.iflag;
    this.oflag = from.oflag;
    this.cflag = from.cflag;
    this.lflag = from.lflag;
    this.line = from.line;
    this.cc.set(from.cc);
    this.ispeed = from.ispeed;
    this.ospeed = from.ospeed;
  }

  /** What a pseudo-terminal makes of any settings: eight bits, no parity, receiver on. */
  forcePty(): void {
    this.cflag = (this.cflag & ~(CSIZE | PARENB)) | CS8 | CREAD;
  }

  /** Lays down struct termios (or termios2 with `speeds`) at an arena offset. */
  write(at: number, speeds: boolean): void {
    u32[(at + TERMIOS_IFLAG) >> 2] = this.iflag;
    u32[(at + TERMIOS_OFLAG) >> 2] = this.oflag;
    u32[(at + TERMIOS_CFLAG) >> 2] = this.cflag;
    u32[(at + TERMIOS_LFLAG) >> 2] = this.lflag;
    u8[at + TERMIOS_LINE] = this.line;
    u8.set(this.cc, at + TERMIOS_CC);
    if (!speeds) return;
    u32[(at + TERMIOS_ISPEED) >> 2] = this.ispeed;
    u32[(at + TERMIOS_OSPEED) >> 2] = this.ospeed;
  }

  /** Takes struct termios (or termios2) from an arena offset. The line discipline is not changed this way. */
  read(at: number, speeds: boolean): void {
    this.iflag = u32[(at + TERMIOS_IFLAG) >> 2];
    this.oflag = u32[(at + TERMIOS_OFLAG) >> 2];
    this.cflag = u32[(at + TERMIOS_CFLAG) >> 2];
    this.lflag = u32[(at + TERMIOS_LFLAG) >> 2];
    this.line = u8[at + TERMIOS_LINE];
    this.cc.set(u8.subarray(at + TERMIOS_CC, at + TERMIOS_CC + NCCS));
    if (speeds) {
      this.ispeed = u32[(at + TERMIOS_ISPEED) >> 2];
      this.ospeed = u32[(at + TERMIOS_OSPEED) >> 2];
    }
    const output = speedOf(this.cflag);
    if (output >= 0) this.ospeed = output;
    const input = speedOf(this.cflag >>> IBSHIFT);
    if (input >= 0) this.ispeed = input > 0 ? input : this.ospeed;
  }

  /** Lays down the old struct termio. */
  writeOld(at: number): void {
    u16[at >> 1] = this.iflag;
    u16[(at >> 1) + 1] = this.oflag;
    u16[(at >> 1) + 2] = this.cflag;
    u16[(at >> 1) + 3] = this.lflag;
    u8[at + 8] = this.line;
    u8.set(this.cc.subarray(0, NCC), at + 9);
    u8[at + 9 + NCC] = 0;
  }

  /** Takes the old struct termio: the low halves of the modes and the first control characters. */
  readOld(at: number): void {
    this.iflag = (this.iflag & 0xffff0000) | u16[at >> 1];
    this.oflag = (this.oflag & 0xffff0000) | u16[(at >> 1) + 1];
    this.cflag = (this.cflag & 0xffff0000) | u16[(at >> 1) + 2];
    this.lflag = (this.lflag & 0xffff0000) | u16[(at >> 1) + 3];
    this.line = u8[at + 8];
    this.cc.set(u8.subarray(at + 9, at + 9 + NCC));
  }
}

/** Bits per second that a mode word's speed code stands for, -1 for "as given beside" (BOTHER). */
function speedOf(cflag: number): number {
  const code = cflag & CBAUD;
  if (code === BOTHER) return -1;
  return code & BOTHER ? (FAST_SPEEDS[code & 0xf] ?? 0) : SPEEDS[code & 0xf];
}

/** Makes a host terminal pass everything on as it is (cfmakeraw(3)), keeping speeds and size. */
export function makeRaw(termios: Termios): void {
  termios.iflag &= IUTF8;
  termios.oflag &= ~OPOST;
  termios.lflag = 0;
  termios.cc[VMIN] = 1;
  termios.cc[VTIME] = 0;
  termios.cflag = (termios.cflag & ~(CSIZE | PARENB)) | CS8;
}
