// Ping sockets (icmp(7), IPPROTO_ICMP with SOCK_DGRAM): echo requests and their replies for programs without
// privileges, if their group is one of net.ipv4.ping_group_range. The port of such a socket is the identifier of its
// requests. Those to the outside are sent by a ping socket of the host, if the host lets us have any.

import { EAGAIN, EINVAL, EMSGSIZE, EOPNOTSUPP } from '../../abi/errno.ts';
import { MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, SOCK_DGRAM } from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, readBytes, writeBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { checkOutgoing } from '../outside/control-items.ts';
import type { HostSocket } from '../outside/host-socket.ts';
import type { Outside } from '../outside/outside.ts';
import { type Endpoint, formatEndpoint } from './address.ts';
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
  send(task: Task, message: Message): number {
    if (message.length > LONGEST) return -EMSGSIZE;
    if (message.length < ICMP_HEADER) return -EINVAL;
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const request = Buffer.from(readBytes(message.at, message.length), 'latin1');
    const target = this.targetOf(message);
    if (typeof target === 'number') return target;
    const echo = echoKind(target.host);
    if (request[0] !== echo.request || request[1] !== 0) return -EINVAL;
    if (this.outside?.reaches(target)) return this.sendOutside(task, message, request, target);
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

  protected override get outside(): Outside | null {
    return this.reachableOutside;
  }
  /** Its port is no service that could be anybody's. */
  protected override get privilegedPorts(): boolean {
    return false;
  }
  override get readableBytes(): number {
    return this.arrived.isEmpty ? (this.outer?.readableBytes ?? 0) : super.readableBytes;
  }
  override get receiveBound(): number {
    return this.outer ? LONGEST : this.readableBytes;
  }

  private sendOutside(task: Task, message: Message, request: Buffer, target: Endpoint): number {
    const refused = this.outside?.check(task, 'icmp', { host: target.host, port: 0 }) ?? 0;
    if (refused < 0) return refused;
    const bad = checkOutgoing(message.items);
    if (bad < 0) return bad;
    const outer = this.openForEchoes();
    if (typeof outer === 'number') return outer;
    const at = allocateScratch(request.length);
    if (at < 0) return at;
    writeBytes(at, request.toString('latin1'));
    return outer.sendTo(at, request.length, 0, formatEndpoint({ ...target, port: 0 }, this.family), message.items);
  }

  /** The host's socket, with the identifier that this one has; or one for both. */
  private openForEchoes(): HostSocket | number {
    if (this.outer?.isNamed) return this.outer;
    if (this.localPort === 0) {
      const failed = this.bindAnywhere();
      return failed < 0 ? failed : this.openForSending();
    }
    const opened = this.openForSending();
    if (typeof opened === 'number') return opened;
    const failed = opened.bind(formatEndpoint({ host: this.localHost, port: this.localPort }, this.family));
    return failed < 0 ? failed : opened;
  }

  override receive(message: Message): number {
    if (message.flags & MSG_ERRQUEUE) return this.outer?.receiveMessage(message, MSG_ERRQUEUE) ?? -EAGAIN;
    const n = super.receive(message);
    if (n !== -EAGAIN || !this.outer) return n;
    const received = this.outer.receiveMessage(message, message.flags & (MSG_PEEK | MSG_TRUNC));
    if (received >= 0) this.stampMessage(message);
    return received;
  }

  override takeError(): number {
    const own = super.takeError();
    return own !== 0 || !this.outer ? own : this.outer.takeError();
  }

  override poll(): number {
    return super.poll() | (this.outer?.poll() ?? 0);
  }

  /** The reply to one of its requests. */
  take(packet: Packet): void {
    this.keep(packet.payload, packet);
  }
}
