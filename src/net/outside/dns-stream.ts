// DNS over TCP under an egress policy with names: each query of the stream is looked at whole before any of it is sent.

import { EAGAIN, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch, writeBytes } from '../../platform/arena.ts';
import type { Endpoint } from '../inet/address.ts';
import type { Asker, Egress, Pending } from './egress.ts';
import type { HostSocket } from './host-socket.ts';

/** A message and its length before it. */
const LONGEST = 65537;

export class DnsStream {
  private readonly egress: Egress;
  private readonly to: Endpoint;
  private readonly pending: Pending = new Set();
  /** The beginning of a query. Byte strings. */
  private begun = '';
  /** Queries that may go, and that the host had no room for. */
  private unsent = '';
  /** The beginning of an answer. */
  private answer = '';

  constructor(egress: Egress, to: Endpoint) {
    this.egress = egress;
    this.to = to;
  }

  /** Takes bytes of the guest's. How many, -EAGAIN, or -EPERM for a query that is refused: the stream is over then. */
  send(asker: Asker, outer: HostSocket, at: number, length: number, flags: number): number {
    if (flags !== 0) return -EOPNOTSUPP;
    const failed = this.flush(outer);
    if (failed < 0) return failed;
    const taken = Math.min(length, LONGEST - this.begun.length);
    this.begun += readBytes(at, taken);
    for (let query = frameOf(this.begun); query !== null; query = frameOf(this.begun)) {
      this.begun = this.begun.slice(query.length);
      const bytes = Buffer.from(query.slice(2), 'latin1');
      if (!this.egress.admitQuery(asker, 'tcp', this.to, bytes, this.pending)) return -EPERM;
      this.unsent += query;
    }
    const stuck = this.flush(outer);
    return stuck < 0 && stuck !== -EAGAIN ? stuck : taken;
  }

  private flush(outer: HostSocket): number {
    const mark = markScratch();
    const at = allocateScratch(this.unsent.length);
    if (at < 0) return at;
    writeBytes(at, this.unsent);
    const sent = this.unsent === '' ? 0 : outer.send(at, this.unsent.length, 0);
    releaseScratch(mark);
    if (sent > 0) this.unsent = this.unsent.slice(sent);
    return sent < 0 ? sent : this.unsent === '' ? 0 : -EAGAIN;
  }

  /** Listens to what was received. */
  hear(at: number, length: number): void {
    this.answer += readBytes(at, length);
    for (let answer = frameOf(this.answer); answer !== null; answer = frameOf(this.answer)) {
      this.answer = this.answer.slice(answer.length);
      this.egress.takeAnswer(Buffer.from(answer.slice(2), 'latin1'), this.pending);
    }
  }
}

/** The first message of a stream with its length before it, if it is all there. */
function frameOf(stream: string): string | null {
  if (stream.length < 2) return null;
  const end = 2 + stream.charCodeAt(0) * 256 + stream.charCodeAt(1);
  return stream.length < end ? null : stream.slice(0, end);
}
