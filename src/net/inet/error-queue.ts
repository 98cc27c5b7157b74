// What became of datagrams that nobody took (IP_RECVERR of ip(7), IPV6_RECVERR of ipv6(7)): a queue that MSG_ERRQUEUE
// reads, of the beginning of each, where it was sent, and what ICMP would have said.

import { EAGAIN, ECONNREFUSED } from '../../abi/errno.ts';
import { AF_INET6, IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE, MSG_TRUNC, SOL_IP, SOL_IPV6 } from '../../abi/socket.ts';
import { writeBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import { u32Bytes } from '../netlink/messages.ts';
import { type Endpoint, formatEndpoint } from './address.ts';

const MOST = 64;
/** As much of a datagram as a message of ICMP or ICMPv6 brings back. */
const QUOTED4 = 520;
export const LONGEST_QUOTED = 1184;
/** SO_EE_ORIGIN_ICMP and type and code of "port unreachable"; the same of ICMPv6. */
const UNREACHABLE4 = '\x02\x03\x03\0';
const UNREACHABLE6 = '\x03\x01\x04\0';

interface QueuedError {
  readonly payload: string;
  readonly to: Endpoint;
  /** struct sock_extended_err, and the address of who has said so. */
  readonly said: string;
}

export class ErrorQueue {
  private readonly errors: QueuedError[] = [];

  get isEmpty(): boolean {
    return this.errors.length === 0;
  }

  /** Nobody has the port that a socket of `family` has sent to. */
  addRefused(payload: string, to: Endpoint, family: number): void {
    const quoted = payload.slice(0, to.host.length === 4 ? QUOTED4 : LONGEST_QUOTED);
    const unreachable = to.host.length === 4 ? UNREACHABLE4 : UNREACHABLE6;
    const said = u32Bytes(ECONNREFUSED) + unreachable + u32Bytes(0) + u32Bytes(0);
    this.add({ payload: quoted, to, said: said + formatEndpoint({ ...to, port: 0 }, family) });
  }

  add(error: QueuedError): void {
    if (this.errors.length < MOST) this.errors.push(error);
  }

  /** The errno of the first one, 0 if there is none. */
  get first(): number {
    return this.errors.length > 0 ? this.errors[0].said.charCodeAt(0) : 0;
  }

  /** The first one into a message of a socket of `family`'s. As recvmsg(2). */
  receive(message: Message, family: number): number {
    const error = this.errors.shift();
    if (!error) return -EAGAIN;
    const { payload, to, said } = error;
    const n = Math.min(message.length, payload.length);
    writeBytes(message.at, payload.slice(0, n));
    message.copied = n;
    message.address = formatEndpoint(to, family);
    message.resultFlags |= MSG_ERRQUEUE | (n < payload.length ? MSG_TRUNC : 0);
    const six = family === AF_INET6;
    message.items = [{ level: six ? SOL_IPV6 : SOL_IP, type: six ? IPV6_RECVERR : IP_RECVERR, data: said }];
    return n;
  }
}
