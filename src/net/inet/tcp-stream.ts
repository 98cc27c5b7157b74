// The stream of a TCP connection over the loopback: the two ends know each other, and each has a ring of the bytes that it
// has not received yet. What programs can see of the protocol is kept: urgent data and its mark, bytes held back for more
// (MSG_MORE, TCP_CORK), the end of one side (FIN), and that closing with bytes unread or sending to somebody who is gone
// resets the connection.

import { EAGAIN, ECONNRESET, EINVAL, ENOTCONN, EPIPE } from '../../abi/errno.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '../../abi/poll.ts';
import {
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SO_OOBINLINE,
  SOL_TCP,
  TCP_CORK,
} from '../../abi/socket.ts';
import { monotonicNow } from '../../base/clock.ts';
import { armTimer, cancelTimer, Timer, type TimerTarget } from '../../kernel/timers.ts';
import { u8 } from '../../platform/arena.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import type { Message } from '../message.ts';
import { usable } from '../pressure.ts';
import { InetSocket } from './socket.ts';
import { LOOPBACK_SEGMENT } from './tcp-options.ts';

export const READABLE = POLLIN | POLLRDNORM;
export const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;
const UNBOUNDED = 1 << 30;

export const CLOSED = 0;
export const LISTENING = 1;
/** A connect that the listener's backlog has no room for. */
export const CONNECTING = 2;
export const CONNECTED = 3;
/** The connection, or the attempt, is the host's. */
export const OUTSIDE = 4;

export const RECEIVE_SHUT = 1;
export const SEND_SHUT = 2;

/** Longest that bytes are held back for more (MSG_MORE, TCP_CORK), in ns. */
const HOLD = 200e6;

export abstract class TcpStream extends InetSocket implements TimerTarget {
  protected state = CLOSED;
  protected peer: TcpStream | null = null;
  protected readonly ring = new ByteRing(UNBOUNDED);
  protected shut = 0;
  /** The peer has said that nothing more comes. */
  protected ended = false;
  protected dead = false;
  /** Bytes received since the beginning. */
  private received = 0;
  /** Where in the stream the urgent byte stands (out of it, unless SO_OOBINLINE is set); -1 if there is none. */
  private urgentAt = -1;
  /** The urgent byte until it is received, then -1. */
  private urgentByte = -1;
  /** Bytes at the end of the ring that the sender holds back for more to come. */
  private held = 0;
  /** Ends the holding back; made when it is needed first. */
  private holdTimer: Timer | null = null;

  protected get arrivedBytes(): number {
    return this.ring.length - this.held;
  }
  /** Bytes sent that the peer has no room for. */
  protected get sentBytes(): number {
    return this.peer ? Math.max(0, this.peer.ring.length - this.peer.receiveBuffer) : 0;
  }
  /** All before the urgent byte was received. */
  protected get isAtMark(): boolean {
    return this.urgentAt === this.received;
  }

  /** How much a send can take now. */
  protected get streamRoom(): number {
    const { peer } = this;
    return peer ? Math.max(1, usable(this.sendBuffer + peer.receiveBuffer) - peer.ring.length) : 1;
  }

  /** Sends to the peer, the last byte as the urgent one if the flags say so. As send. */
  protected pushMessage(at: number, length: number, flags: number): number {
    if (!(flags & MSG_OOB) || length === 0) return this.push(at, length, (flags & MSG_MORE) !== 0);
    // The last byte is the urgent one.
    if (length > 1) {
      const n = this.push(at, length - 1);
      if (n < length - 1) return n;
    } else {
      const n = this.push(at, 0);
      if (n < 0) return n;
    }
    this.peer?.showAll();
    this.peer?.takeUrgent(at + length - 1);
    return length;
  }

  /** Marks this place of the stream and keeps the byte at an arena offset. */
  protected takeUrgent(at: number): void {
    this.urgentAt = this.received + this.ring.length;
    this.urgentByte = u8[at];
    if (this.hasSwitch(SO_OOBINLINE)) this.ring.write(at, 1);
    this.queue.wake(POLLPRI | READABLE);
  }

  protected receiveUrgent(message: Message): number {
    if (this.hasSwitch(SO_OOBINLINE) || this.urgentByte < 0 || message.length === 0) return -EINVAL;
    u8[message.at] = this.urgentByte;
    message.copied = 1;
    if (!(message.flags & MSG_PEEK)) this.urgentByte = -1;
    return 1;
  }

  /** Bytes up to the mark, so that a reader notices it; what lies at the mark ends it. */
  protected upToMark(length: number, peek: boolean): number {
    if (this.urgentAt < 0) return length;
    const ahead = this.urgentAt - this.received;
    if (ahead > 0) return Math.min(length, ahead);
    if (!peek) this.urgentAt = this.urgentByte = -1;
    return length;
  }

  protected push(at: number, length: number, more = false): number {
    if (this.error !== 0) return this.takeError();
    if (this.state === CONNECTING) return -EAGAIN;
    const { peer } = this;
    if (this.shut & SEND_SHUT || this.state !== CONNECTED || !peer) return -EPIPE;
    if (peer.dead) {
      // The bytes go out, and what comes back says that nobody is there.
      this.reset();
      return Math.min(length, this.sendBuffer);
    }
    const n = Math.min(length, usable(this.sendBuffer + peer.receiveBuffer) - peer.ring.length);
    if (n <= 0) return length === 0 ? 0 : -EAGAIN;
    peer.ring.write(at, n);
    if (more || this.numberOf(SOL_TCP, TCP_CORK, 0) !== 0) peer.hold(n);
    else peer.showAll();
    return n;
  }

  /** `n` bytes more have come, whose sender says that others follow: what fills no segment waits for them. */
  protected hold(n: number): void {
    const waiting = this.held + n;
    this.held = waiting % LOOPBACK_SEGMENT;
    this.holdTimer ??= new Timer(this);
    if (!this.holdTimer.armed) armTimer(this.holdTimer, monotonicNow() + HOLD);
    if (this.held < waiting) this.queue.wake(READABLE);
  }

  /** Everything that has come may be received. */
  showAll(): void {
    this.held = 0;
    this.stopHolding();
    if (!this.queue.empty) this.queue.wake(READABLE);
  }

  private stopHolding(): void {
    if (this.holdTimer?.armed) cancelTimer(this.holdTimer);
  }

  /** Nothing has followed in time. */
  expire(): void {
    this.showAll();
  }

  protected atEnd(): number {
    if (this.ended) return 0;
    if (this.error !== 0) return this.takeError();
    if (this.shut & RECEIVE_SHUT) return 0;
    return this.state === CLOSED ? -ENOTCONN : -EAGAIN;
  }

  /** Writable while at least half of what may be under way is free. */
  protected hasRoom(): boolean {
    const { peer } = this;
    return !peer || 2 * peer.ring.length <= usable(this.sendBuffer + peer.receiveBuffer);
  }

  /** The peer has ended its side. */
  end(): void {
    this.showAll();
    this.ended = true;
    this.shut |= RECEIVE_SHUT;
    this.stateChanged();
  }

  /** The peer does not know of the connection any more. */
  reset(): void {
    this.fail(this.ended ? EPIPE : ECONNRESET);
  }

  protected fail(error: number): void {
    this.state = CLOSED;
    this.error = error;
    this.held = 0;
    this.stopHolding();
    this.peer = null;
    this.remote = null;
    this.shut = RECEIVE_SHUT | SEND_SHUT;
    this.stateChanged();
  }

  protected stateChanged(): void {
    this.queue.wake(READABLE | WRITABLE | POLLRDHUP | POLLHUP | POLLERR);
  }

  /** Receives from the ring. As receive. */
  protected pull(message: Message): number {
    if (message.flags & MSG_ERRQUEUE) return -EAGAIN;
    if (message.flags & MSG_OOB) return this.receiveUrgent(message);
    const { ring, peer } = this;
    const ready = this.arrivedBytes;
    if (ready === 0) return this.atEnd();
    const n = this.upToMark(Math.min(message.length, ready), (message.flags & MSG_PEEK) !== 0);
    const discards = (message.flags & MSG_TRUNC) !== 0;
    if (!discards) ring.peek(message.at, n, 0);
    message.copied = discards ? 0 : n;
    if (message.flags & MSG_PEEK) return n;
    const wasFull = peer !== null && !peer.hasRoom();
    ring.discard(n);
    this.received += n;
    // Empty: it may have been full for a bound that no longer holds.
    if (peer && (ring.length === 0 || wasFull) && peer.hasRoom()) peer.queue.wake(WRITABLE);
    return n;
  }

  /** What is ready of the stream. */
  protected pollStream(): number {
    let events = 0;
    if (this.state === CLOSED || this.shut === (RECEIVE_SHUT | SEND_SHUT)) events |= POLLHUP;
    if (this.shut & RECEIVE_SHUT) events |= READABLE | POLLRDHUP;
    if (this.state === CONNECTING) return events;
    if (this.arrivedBytes > 0) events |= READABLE;
    if (this.urgentByte >= 0) events |= POLLPRI;
    if (this.shut & SEND_SHUT || this.hasRoom()) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  /** The socket is closed: what the peer learns of it. */
  protected leavePeer(): void {
    const { peer } = this;
    if (this.state === CONNECTED && peer) {
      const aborts = this.ring.length > 0 || (this.lingers && this.lingerSeconds === 0);
      if (aborts) peer.reset();
      else if (!(this.shut & SEND_SHUT)) peer.end();
    }
  }

  protected override buffersChanged(): void {
    super.buffersChanged();
    this.peer?.queue.wake(WRITABLE);
  }

  /** Forgets what has arrived. */
  protected clearStream(): void {
    this.ring.clear();
    this.stopHolding();
  }
}
