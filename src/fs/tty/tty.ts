// A terminal: settings, line discipline, the bytes on their way in both directions, and its part in job control. Every
// terminal of the sandbox is the slave side of a pair; the other side (TtyPeer) is a program with the master open, or
// the host's terminal behind the console.

import { EAGAIN } from '../../abi/errno.ts';
import {
  EXTPROC,
  IXON,
  TIOCPKT_DATA,
  TIOCPKT_DOSTOP,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_IOCTL,
  TIOCPKT_NOSTOP,
  TIOCPKT_START,
  TIOCPKT_STOP,
  VMIN,
  VSTART,
  VSTOP,
  VTIME,
} from '../../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { SI_KERNEL, SIGCONT, SIGHUP, SIGWINCH } from '../../abi/signal.ts';
import { monotonicNow } from '../../base/clock.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { ControllingTerminal, ProcessGroup, Session } from '../../kernel/sessions.ts';
import { signalInfo } from '../../kernel/signal-state.ts';
import { sendSignalToGroup, sendSignalToProcessGroup } from '../../kernel/signals.ts';
import type { ThreadGroup } from '../../kernel/task.ts';
import { armTimer, cancelTimer, Timer, type TimerTarget } from '../../kernel/timers.ts';
import { u8 } from '../../platform/arena.ts';
import { ByteQueue } from './byte-queue.ts';
import { type DisciplineHost, LineDiscipline } from './line-discipline.ts';
import { Termios } from './termios.ts';

/** Bytes on their way to the other side: what programs may fill, and what echoes may use beyond. */
const OUTPUT_SIZE = 32768;
const OUTPUT_ROOM = 16384;
/** Bytes from the other side that the line discipline has not taken yet. */
const ARRIVED_SIZE = 8192;
/** Writers are woken when there is room for so much. */
const WRITE_AGAIN = 4096;
/** Of the output under way this much counts as received by the other side: flushing does not take it back. */
const OUTPUT_DELIVERED = 4096;
/** VTIME counts tenths of a second. */
const TENTH = 1e8;

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;

/** The other side of a terminal. */
export interface TtyPeer {
  /** There is output to take, or news of the packet mode. */
  outputAdded(): void;
  /** The line discipline has taken input: there is room for more. */
  inputTaken(): void;
  /** A reader waits for input. */
  inputWanted(): void;
}

/** An open file that a hang-up cuts off. */
export interface TtyOpen {
  hungUp: boolean;
}

export class Tty implements ControllingTerminal, DisciplineHost, TimerTarget {
  readonly rdev: number;
  /** Number below /dev/pts. */
  readonly index: number;
  readonly termios = new Termios();
  readonly discipline: LineDiscipline;
  readonly queue = new WaitQueue();
  readonly output = new ByteQueue(OUTPUT_SIZE);
  readonly arrived = new ByteQueue(ARRIVED_SIZE);
  peer: TtyPeer | null = null;

  // ---- job control ----
  session: Session | null = null;
  foreground: ProcessGroup | null = null;
  /** Processes of the session that have let go of the terminal by TIOCNOTTY. */
  readonly renounced = new Set<ThreadGroup>();

  // ---- sides and files ----
  readonly opens = new Set<TtyOpen>();
  /** Every slave descriptor was closed again: the master reads an end. False while it was never opened. */
  slaveClosed = false;
  /** The other side is gone for good. */
  peerClosed = false;
  /** TIOCSPTLCK: the slave cannot be opened. */
  locked = false;
  /** TIOCEXCL. */
  exclusive = false;
  /** Packet mode of the other side, and what it has to be told. */
  packet = false;
  packetStatus = 0;
  rows = 0;
  columns = 0;
  xPixels = 0;
  yPixels = 0;

  /** For VTIME: when the reader that waits began, and when input last came. */
  private readSince = 0;
  private inputAt = 0;
  /** Output that was on its way before the input under work came: a signal character does not take it back. */
  private outputBefore = 0;
  private readonly readTimer: Timer;

  constructor(rdev: number, index: number) {
    this.rdev = rdev;
    this.index = index;
    this.termios.forcePty();
    this.readTimer = new Timer(this);
    this.discipline = new LineDiscipline(this.termios, this);
  }

  // ---- what the line discipline asks ----

  outputRoom(): number {
    if (this.discipline.stopped || this.peerClosed) return 0;
    return Math.max(0, OUTPUT_ROOM - this.output.length);
  }

  putOutput(byte: number): void {
    this.output.put(byte);
  }

  appendOutput(at: number, length: number): void {
    this.output.append(at, length);
  }

  signal(signo: number): void {
    this.announceOutput();
    if (this.foreground) sendSignalToProcessGroup(this.foreground, signalInfo(signo, SI_KERNEL));
  }

  dropOutput(): void {
    this.flushOutput(this.outputBefore);
    this.tellPacket(TIOCPKT_FLUSHREAD);
  }

  flowChanged(stopped: boolean): void {
    if (stopped) this.tellPacket(TIOCPKT_STOP, TIOCPKT_START);
    else {
      this.tellPacket(TIOCPKT_START, TIOCPKT_STOP);
      this.queue.wake(WRITABLE);
    }
  }

  lineReady(): void {
    this.queue.wake(READABLE);
  }

  // ---- the other side ----

  /** How many bytes the other side may send now. */
  get arrivedRoom(): number {
    return this.arrived.room;
  }

  /** Takes bytes from the other side (typed, if it is a keyboard). Returns how many. */
  receive(at: number, length: number): number {
    let taken = 0;
    this.outputBefore = this.output.length;
    if (this.arrived.length === 0) taken = this.discipline.receive(u8, at, length);
    const rest = Math.min(length - taken, this.arrived.room);
    this.arrived.append(at + taken, rest);
    this.inputAt = monotonicNow();
    this.received();
    return taken + rest;
  }

  /** Gives the line discipline what has arrived and did not fit before. */
  private takeArrived(): void {
    const { arrived } = this;
    const before = arrived.length;
    this.outputBefore = this.output.length;
    while (arrived.length > 0) {
      const n = this.discipline.receive(arrived.data, arrived.front, arrived.piece);
      if (n === 0) break;
      arrived.discard(n);
    }
    if (arrived.length < before) {
      this.received();
      this.peer?.inputTaken();
    }
  }

  private received(): void {
    if (this.discipline.available > 0) this.queue.wake(READABLE);
    this.announceOutput();
  }

  /** The other side has taken output: writers may go on. */
  outputTaken(): void {
    if (OUTPUT_ROOM - this.output.length < WRITE_AGAIN) return;
    this.discipline.output.processEchoes();
    this.queue.wake(WRITABLE);
  }

  /** Notes a change for a master in packet mode. */
  tellPacket(set: number, clear = 0): void {
    if (!this.packet) return;
    this.packetStatus = (this.packetStatus & ~clear) | set;
    this.peer?.outputAdded();
  }

  /** The byte that a master in packet mode reads before data. */
  takePacketStatus(): number {
    const status = this.packetStatus;
    this.packetStatus = TIOCPKT_DATA;
    return status;
  }

  // ---- reading and writing ----

  /** Reads as the settings ask: a line, or by VMIN and VTIME. -EAGAIN when the reader has to wait. */
  read(at: number, length: number, nonblocking: boolean): number {
    const { discipline } = this;
    if (discipline.available === 0 && !nonblocking) this.peer?.inputWanted();
    if (!discipline.canonical) return this.readBytes(at, length, nonblocking);
    if (discipline.available === 0) return -EAGAIN;
    const n = discipline.readLine(at, length);
    this.takeArrived();
    return n;
  }

  private readBytes(at: number, length: number, nonblocking: boolean): number {
    const { discipline } = this;
    const minimum = this.termios.cc[VMIN];
    const time = this.termios.cc[VTIME] * TENTH;
    const now = time > 0 ? monotonicNow() : 0;
    if (!kernel.current?.resumed) this.readSince = now;
    const { available } = discipline;
    if (available < Math.min(Math.max(minimum, 1), length)) {
      if (minimum === 0 && time === 0) return 0;
      if (nonblocking && available === 0) return -EAGAIN;
      if (!nonblocking) {
        const since = minimum === 0 ? this.readSince : Math.max(this.readSince, this.inputAt);
        const runs = time > 0 && (minimum === 0 || available > 0);
        if (!runs) return -EAGAIN;
        if (now < since + time) {
          armTimer(this.readTimer, since + time);
          return -EAGAIN;
        }
        if (available === 0) return 0;
      }
    }
    const n = discipline.readRaw(at, length);
    this.takeArrived();
    return n;
  }

  /** VTIME has passed: the reader tries again and sees it. */
  expire(): void {
    this.queue.wake(READABLE);
  }

  write(at: number, length: number): number {
    const n = this.discipline.output.write(at, length);
    this.announceOutput();
    return n > 0 || length === 0 ? n : -EAGAIN;
  }

  /** Tells the other side that there may be output. */
  announceOutput(): void {
    if (this.output.length > 0) this.peer?.outputAdded();
  }

  /** Puts a flow-control character out, past whatever stops the output. */
  sendUrgent(byte: number): void {
    if (this.output.room === 0 || this.peerClosed) return;
    this.output.put(byte);
    this.announceOutput();
  }

  /** Poll mask of the slave side. */
  poll(): number {
    const { discipline, termios } = this;
    let mask = 0;
    const enough = !discipline.canonical && termios.cc[VTIME] === 0 ? Math.max(1, termios.cc[VMIN]) : 1;
    if (discipline.available >= enough) mask |= READABLE;
    if (this.outputRoom() > 0) mask |= WRITABLE;
    if (this.peerClosed) mask |= POLLHUP;
    return mask;
  }

  // ---- settings ----

  /** Makes new settings take effect. */
  setTermios(wanted: Termios): void {
    const old = this.termios.copy();
    this.termios.assign(wanted);
    this.termios.forcePty();
    this.tellSettings(old);
    this.discipline.settingsChanged(old);
    this.takeArrived();
    this.announceOutput();
    this.queue.wake(READABLE | WRITABLE);
  }

  private tellSettings(old: Termios): void {
    if (!this.packet) return;
    const flows = (t: Termios): boolean => (t.iflag & IXON) !== 0 && t.cc[VSTOP] === 0x13 && t.cc[VSTART] === 0x11;
    const before = flows(old);
    const after = flows(this.termios);
    let status = (old.lflag | this.termios.lflag) & EXTPROC ? TIOCPKT_IOCTL : 0;
    if (before !== after) status |= after ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP;
    if (status !== 0) this.tellPacket(status, before !== after ? TIOCPKT_DOSTOP | TIOCPKT_NOSTOP : 0);
  }

  /** Sets the size in characters and pixels; the foreground group hears of a change. */
  resize(rows: number, columns: number, xPixels: number, yPixels: number): void {
    if (rows === this.rows && columns === this.columns && xPixels === this.xPixels && yPixels === this.yPixels) return;
    this.rows = rows;
    this.columns = columns;
    this.xPixels = xPixels;
    this.yPixels = yPixels;
    this.signal(SIGWINCH);
  }

  /** tcflush: drops what was typed and not read. */
  flushInput(): void {
    this.discipline.flushInput();
    this.arrived.truncate(0);
    this.tellPacket(TIOCPKT_FLUSHREAD);
    this.peer?.inputTaken();
  }

  /** tcflush: drops what was written and is not yet out. */
  flushOutput(delivered = OUTPUT_DELIVERED): void {
    this.output.truncate(Math.min(delivered, OUTPUT_DELIVERED));
    this.tellPacket(TIOCPKT_FLUSHWRITE);
    this.queue.wake(WRITABLE);
  }

  // ---- the slave's files ----

  slaveOpened(file: TtyOpen): void {
    this.opens.add(file);
    this.slaveClosed = false;
  }

  /** The last one to close the slave also takes it from its session. */
  slaveReleased(file: TtyOpen): void {
    this.opens.delete(file);
    if (this.opens.size > 0) return;
    this.slaveClosed = true;
    this.packet = false;
    this.detach();
    this.peer?.outputAdded();
  }

  // ---- sessions ----

  /** Becomes the controlling terminal of a session, with the caller's group in the foreground. */
  attach(session: Session, foreground: ProcessGroup): void {
    this.session = session;
    this.foreground = foreground;
    this.renounced.clear();
    session.terminal = this;
  }

  /** Is nobody's controlling terminal any more. */
  private detach(): void {
    if (this.session) this.session.terminal = null;
    this.session = null;
    this.foreground = null;
    this.renounced.clear();
  }

  /** The session leader is gone (or lets go of the terminal): the foreground group is told. */
  disassociate(letGo = false): void {
    const { foreground } = this;
    this.detach();
    if (!foreground) return;
    sendSignalToProcessGroup(foreground, signalInfo(SIGHUP, SI_KERNEL));
    if (letGo) sendSignalToProcessGroup(foreground, signalInfo(SIGCONT, SI_KERNEL));
  }

  /** Another session takes the terminal over. */
  steal(): void {
    this.detach();
  }

  /** The line is cut: open files answer end-of-file and EIO, the session leader gets SIGHUP and SIGCONT. */
  hangUp(): void {
    const leader = this.session ? kernel.groups.get(this.session.id) : undefined;
    const { foreground } = this;
    for (const file of this.opens) file.hungUp = true;
    this.opens.clear();
    this.detach();
    this.termios.assign(new Termios());
    this.termios.forcePty();
    this.discipline.reset();
    this.arrived.truncate(0);
    this.exclusive = false;
    if (this.readTimer.armed) cancelTimer(this.readTimer);
    if (leader) {
      sendSignalToGroup(leader, signalInfo(SIGHUP, SI_KERNEL));
      sendSignalToGroup(leader, signalInfo(SIGCONT, SI_KERNEL));
    }
    if (foreground) sendSignalToProcessGroup(foreground, signalInfo(SIGHUP, SI_KERNEL));
    this.queue.wake(READABLE | WRITABLE | POLLHUP | POLLERR);
  }

  /** The other side was closed for good. */
  closePeer(): void {
    this.peerClosed = true;
    this.peer = null;
    this.output.truncate(0);
    this.hangUp();
  }
}
