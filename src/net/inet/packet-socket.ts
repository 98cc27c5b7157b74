// What raw and ping sockets share: they deal in packets of one version of IP, and have no connections beyond the memory of
// an address. To the outside only echo requests go.

import { EAGAIN, EDESTADDRREQ, ENOTCONN, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../../abi/poll.ts';
import { AF_UNSPEC, MSG_OOB } from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, writeBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import type { Outside } from '../outside/outside.ts';
import { type Endpoint, familyOf, isAny, parseEndpoint } from './address.ts';
import { InetDatagramSocket } from './datagram.ts';
import type { Packet } from './loopback.ts';

const READABLE = POLLIN | POLLRDNORM;

export abstract class InetPacketSocket extends InetDatagramSocket {
  /** What became of a packet that went outside: its payload, where it went, and who has said what. */
  hearError(_payload: string, _to: Endpoint, _said: string): void {}
  /** A packet that concerns it. */
  abstract take(packet: Packet): void;

  /** The outside, for those kinds that get there. */
  protected get reachableOutside(): Outside | null {
    return super.outside;
  }
  protected override get outside(): Outside | null {
    return null;
  }
  override get dualStack(): boolean {
    return false;
  }
  get readableBytes(): number {
    return this.arrived.firstLength;
  }

  connect(_task: Task, address: string): number {
    if (familyOf(address) === AF_UNSPEC && address.length >= 2) {
      this.remote = null;
      return 0;
    }
    const to = parseEndpoint(address, this.family);
    if (typeof to === 'number') return to;
    const target = this.route(to);
    if (typeof target === 'number') return target;
    const failed = this.localPort === 0 ? this.bindTo(this.localHost, 0) : 0;
    if (failed < 0) return failed;
    if (isAny(this.localHost) && !this.outside?.reaches(target)) this.localHost = this.sourceFor(target);
    this.remote = target;
    return 0;
  }

  shutdown(): number {
    return this.remote ? 0 : -ENOTCONN;
  }

  /** Where a message goes. */
  protected targetOf(message: Message): Endpoint | number {
    if (message.address === null) return this.remote ?? -EDESTADDRREQ;
    const to = parseEndpoint(message.address, this.family);
    return typeof to === 'number' ? to : this.route(to);
  }

  /** Queues what a program is to receive of a packet. */
  protected keep(bytes: Buffer, { from, info }: Packet): void {
    const at = allocateScratch(bytes.length);
    if (at < 0) return;
    writeBytes(at, bytes.toString('latin1'));
    this.push(at, bytes.length, { host: from, port: 0 }, info);
  }

  receive(message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    return this.arrived.isEmpty ? -EAGAIN : this.takeArrived(message);
  }

  override poll(): number {
    const always = POLLOUT | POLLWRNORM | POLLWRBAND;
    return always | (this.arrived.isEmpty ? 0 : READABLE) | (this.error !== 0 ? POLLERR : 0);
  }
}
