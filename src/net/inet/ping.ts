// Ping sockets (icmp(7), IPPROTO_ICMP with SOCK_DGRAM): echo requests and their replies for programs without
// privileges, if their group is one of net.ipv4.ping_group_range. The port of such a socket is the identifier of its
// requests. They reach the loopback only.

import { EINVAL, EMSGSIZE, EOPNOTSUPP } from '../../abi/errno.ts';
import { MSG_OOB, SOCK_DGRAM } from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { readBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { deliverPacket, echoKind, ICMP_HEADER, type Packet, sealIcmp } from './loopback.ts';
import { describeOutgoing } from './packet-info.ts';
import { InetPacketSocket } from './packet-socket.ts';
import type { PortTable } from './ports.ts';

const LONGEST = 65535;
const IDENTIFIER = 4;

export class PingSocket extends InetPacketSocket {
  constructor(family: number, protocol: number, task: Task, network: Network) {
    super(family, SOCK_DGRAM, protocol, task, network);
  }

  protected get table(): PortTable {
    return this.network.ping;
  }
  send(_task: Task, message: Message): number {
    if (message.length > LONGEST) return -EMSGSIZE;
    if (message.length < ICMP_HEADER) return -EINVAL;
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const request = Buffer.from(readBytes(message.at, message.length), 'latin1');
    const target = this.targetOf(message);
    if (typeof target === 'number') return target;
    const echo = echoKind(target.host);
    if (request[0] !== echo.request || request[1] !== 0) return -EINVAL;
    const info = describeOutgoing(this, target.host, message.items);
    if (typeof info === 'number') return info;
    const failed = this.localPort === 0 ? this.bindTo(this.localHost, 0) : 0;
    if (failed < 0) return failed;
    const from = this.sourceFor(target);
    request.writeUInt16BE(this.localPort, IDENTIFIER);
    sealIcmp(request, from, target.host);
    deliverPacket(this.network, { protocol: this.protocol, from, info, payload: request, header: null });
    return message.length;
  }

  /** The reply to one of its requests. */
  take(packet: Packet): void {
    this.keep(packet.payload, packet);
  }
}
