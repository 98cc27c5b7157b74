// What has arrived at a socket of datagrams and was not received yet: the bytes of all of them in one ring, and what
// goes with each. A queue that is full loses what comes.

import { MSG_PEEK, MSG_TRUNC } from '../../abi/socket.ts';
import { ByteRing } from '../../vfs/byte-ring.ts';
import type { Message } from '../message.ts';
import { type Endpoint, formatEndpoint } from './address.ts';
import { describeIncoming, type PacketInfo } from './packet-info.ts';
import type { InetSocket } from './socket.ts';

/** What a datagram costs of the receive buffer besides its bytes. */
const DATAGRAM_COST = 768;
const UNBOUNDED = 1 << 30;

interface Datagram {
  readonly length: number;
  readonly from: Endpoint;
  readonly info: PacketInfo;
}

export class DatagramQueue {
  private readonly ring = new ByteRing(UNBOUNDED);
  private readonly datagrams: Datagram[] = [];

  get isEmpty(): boolean {
    return this.datagrams.length === 0;
  }

  /** Bytes of the first. */
  get firstLength(): number {
    return this.datagrams.length > 0 ? this.datagrams[0].length : 0;
  }

  /** Takes a copy of `length` bytes at an arena offset; false if that is more than `room` bytes in all. */
  push(at: number, length: number, from: Endpoint, info: PacketInfo, room: number): boolean {
    if (this.ring.length + (this.datagrams.length + 1) * DATAGRAM_COST + length > room) return false;
    this.ring.write(at, length);
    this.datagrams.push({ length, from, info });
    return true;
  }

  /** The first one into a message of `socket`'s; the result of recvmsg(2). There must be one. */
  receive(socket: InetSocket, message: Message): number {
    const { length, from, info } = this.datagrams[0];
    const n = Math.min(message.length, length);
    this.ring.peek(message.at, n, 0);
    message.copied = n;
    message.address = formatEndpoint(from, socket.family);
    message.items = describeIncoming(socket, info);
    if (n < length) message.resultFlags |= MSG_TRUNC;
    if (!(message.flags & MSG_PEEK)) {
      this.ring.discard(length);
      this.datagrams.shift();
    }
    return message.flags & MSG_TRUNC ? length : n;
  }

  clear(): void {
    this.ring.clear();
    this.datagrams.length = 0;
  }
}
