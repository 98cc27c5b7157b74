// AF_UNIX streams: each half has a ring of the bytes that it has not received yet, filled by its peer. Rights and
// credentials belong to stretches of the stream (`marks`); a plain stream has none and takes the short way.
//
// As in Linux a receive ends behind a stretch with rights, so that they are not mixed with the next, and, for those
// who want credentials, where the sender changes. A writer is called writable again when a quarter of its buffer is
// left to be received, so that both sides work in large pieces.

import { EAGAIN, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPIPE } from '../../abi/errno.ts';
import { MSG_OOB, MSG_PEEK, SO_PASSCRED, SOCK_STREAM } from '../../abi/socket.ts';
import type { Credentials } from '../../base/credentials.ts';
import type { Numbered } from '../../kernel/pid-namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import { type OpenFile, retain } from '../../vfs/open-file.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { usable } from '../pressure.ts';
import { carriers, discardRights, landRights, launchRights } from '../rights.ts';
import { CONNECTED, READABLE, RECEIVE_SHUT, SEND_SHUT, UnixSocket, WRITABLE } from './socket.ts';

/** What a stretch with rights or credentials costs of the sender's buffer besides its bytes. */
const MARK_COST = 512;
const UNBOUNDED = 1 << 30;

/** A stretch of the stream, in bytes since its beginning. */
interface Mark {
  readonly start: number;
  end: number;
  rights: OpenFile[] | null;
  readonly pid: Numbered | null;
  readonly uid: number;
  readonly gid: number;
}

export class UnixStream extends UnixSocket {
  private readonly ring = new ByteRing(UNBOUNDED);
  private readonly marks: Mark[] = [];
  /** Bytes received since the beginning. */
  private received = 0;

  constructor(owner: Credentials | null, network: Network) {
    super(SOCK_STREAM, owner, network);
  }

  protected createHalf(): UnixSocket {
    return new UnixStream(null, this.network);
  }

  get streaming(): boolean {
    return true;
  }

  get readableBytes(): number {
    return this.ring.length;
  }

  get unsentBytes(): number {
    return this.peer instanceof UnixStream ? this.peer.ring.length : 0;
  }

  override write(at: number, length: number): number {
    const peer = this.peer as UnixStream | null;
    if (this.state !== CONNECTED || !peer) return -ENOTCONN;
    if (peer.wantsCredentials || this.wantsCredentials) return super.write(at, length);
    return this.push(peer, at, length);
  }

  override read(at: number, length: number): number {
    if (this.marks.length > 0 || this.state !== CONNECTED) return super.read(at, length);
    if (length === 0) return 0;
    const { ring } = this;
    if (ring.length === 0) return this.atEnd();
    const before = this.charge;
    const n = Math.min(length, ring.length);
    ring.read(at, n);
    this.received += n;
    this.drained(before);
    return n;
  }

  override get writeRoom(): number {
    const peer = this.peer as UnixStream | null;
    return peer ? Math.max(1, usable(this.sendBuffer) - peer.charge) : 1;
  }

  send(task: Task, message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const peer = this.peer as UnixStream | null;
    if (message.address !== null) return this.state === CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (this.state !== CONNECTED || !peer) return -ENOTCONN;
    const start = peer.received + peer.ring.length;
    const n = this.push(peer, message.at, message.length);
    if (n > 0 && (message.rights || message.hasCredentials || peer.wantsCredentials || this.wantsCredentials)) {
      peer.noteStretch(start, n, task, message);
    }
    return n;
  }

  receive(message: Message): number {
    if (this.state !== CONNECTED) return -EINVAL;
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const { ring } = this;
    if (ring.length === 0) return this.atEnd();
    const peek = (message.flags & MSG_PEEK) !== 0;
    const before = this.charge;
    const n = Math.min(message.length, ring.length, this.marks.length > 0 ? this.takeMarks(message, peek) : UNBOUNDED);
    if (peek) {
      ring.peek(message.at, n, 0);
    } else {
      ring.read(message.at, n);
      this.received += n;
      this.forgetMarks();
      this.drained(before);
    }
    message.copied = n;
    // A sender without a name is told as no address at all.
    if (this.peer?.name) message.address = this.peer.getName();
    return n;
  }

  override *queuedRights(): Iterable<OpenFile> {
    for (const mark of this.marks) if (mark.rights) yield* mark.rights;
  }

  purgeQueue(): void {
    this.received += this.ring.length;
    this.ring.clear();
    carriers.delete(this);
    // Dropping what lies here may release this very socket: it must find nothing any more.
    for (const { rights } of this.marks.splice(0)) {
      if (!rights) continue;
      landRights(rights);
      discardRights(rights);
    }
  }

  protected hasRoom(): boolean {
    const peer = this.peer as UnixStream | null;
    return !peer || 4 * peer.charge <= usable(this.sendBuffer);
  }

  private get wantsCredentials(): boolean {
    return this.hasSwitch(SO_PASSCRED);
  }

  /** What lies here of the peer's send buffer. */
  private get charge(): number {
    return this.ring.length + MARK_COST * this.marks.length;
  }

  /** Appends what fits to the peer's ring. Bytes, -EAGAIN or -EPIPE. */
  private push(peer: UnixStream, at: number, length: number): number {
    if (this.shut & SEND_SHUT || peer.dead || peer.shut & RECEIVE_SHUT) return -EPIPE;
    if (length === 0) return 0;
    const room = usable(this.sendBuffer) - peer.charge;
    if (room <= 0) return -EAGAIN;
    const n = Math.min(length, room);
    peer.ring.write(at, n);
    if (!peer.queue.empty) peer.queue.wake(READABLE);
    return n;
  }

  /** Nothing is there: the reason, or -EAGAIN if something may come. */
  private atEnd(): number {
    if (this.error !== 0) return this.takeError();
    return this.shut & RECEIVE_SHUT ? 0 : -EAGAIN;
  }

  private drained(before: number): void {
    const { peer } = this;
    const { charge } = this;
    // Empty: under pressure less than the mark was all that there was room for.
    if (peer && (charge === 0 || (4 * before > peer.sendBuffer && 4 * charge <= peer.sendBuffer)))
      peer.queue.wake(WRITABLE);
  }

  /** Notes what goes with `length` bytes from `start` on; the last stretch grows if nothing is new. */
  private noteStretch(start: number, length: number, task: Task, message: Message): void {
    const own = task.credentials;
    const pid = message.hasCredentials ? message.pid : task.group.identity;
    const uid = message.hasCredentials ? message.uid : own.uid;
    const gid = message.hasCredentials ? message.gid : own.gid;
    const last = this.marks.at(-1);
    const { rights } = message;
    if (
      last &&
      !rights &&
      !last.rights &&
      last.end === start &&
      last.pid === pid &&
      last.uid === uid &&
      last.gid === gid
    ) {
      last.end += length;
      return;
    }
    this.marks.push({ start, end: start + length, rights, pid, uid, gid });
    if (!rights) return;
    launchRights(rights);
    carriers.add(this);
    message.rights = null;
  }

  /** Fills in what goes with the next bytes; how many bytes may be received together. */
  private takeMarks(message: Message, peek: boolean): number {
    let limit = UNBOUNDED;
    let first: Mark | null = null;
    for (const mark of this.marks) {
      const offset = mark.start - this.received;
      // Files come along even if no byte is wanted.
      if (offset >= Math.max(1, message.length)) break;
      if (this.wantsCredentials) {
        // Bytes in front of the stretch came without credentials.
        if (!first && offset > 0) limit = offset;
        else if (first && !sameSender(first, mark)) limit = offset;
        if (limit !== UNBOUNDED) break;
      }
      first ??= mark;
      if (mark.rights) {
        limit = mark.end - this.received;
        this.takeRights(mark, message, peek);
        break;
      }
    }
    if (first && this.wantsCredentials) {
      message.hasCredentials = true;
      message.pid = first.pid;
      message.uid = first.uid;
      message.gid = first.gid;
    }
    return limit;
  }

  private takeRights(mark: Mark, message: Message, peek: boolean): void {
    const rights = mark.rights as OpenFile[];
    message.rights = rights;
    if (peek) {
      message.rights = rights.map(retain);
      return;
    }
    landRights(rights);
    mark.rights = null;
    if (!this.marks.some((other) => other.rights)) carriers.delete(this);
  }

  private forgetMarks(): void {
    const { marks } = this;
    let gone = 0;
    while (gone < marks.length && marks[gone].end <= this.received) gone++;
    if (gone > 0) marks.splice(0, gone);
  }
}

function sameSender(a: Mark, b: Mark): boolean {
  return a.pid === b.pid && a.uid === b.uid && a.gid === b.gid;
}
