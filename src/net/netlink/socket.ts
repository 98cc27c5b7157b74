// AF_NETLINK sockets of NETLINK_ROUTE (netlink(7), rtnetlink(7)): requests are answered at once into the socket's own
// receive queue. Links and addresses can be listed; nothing but the loopback's being up can be changed, and nothing is announced.

import { CAP_NET_ADMIN } from '../../abi/capability.ts';
import { EAGAIN, ECONNREFUSED, EINVAL, EMSGSIZE, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { AF_NETLINK, MSG_OOB, MSG_PEEK, MSG_TRUNC, SOCKADDR_NL_SIZE, SOL_NETLINK } from '../../abi/socket.ts';
import { capableIn } from '../../base/credentials.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import { IFF_UP, LOOPBACK_INDEX, loopbackFlags } from '../interfaces.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { Socket } from '../socket.ts';
import {
  addressBodies,
  linkBody,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  netlinkMessage,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_SETLINK,
  u32Bytes,
} from './messages.ts';

const READABLE = POLLIN | POLLRDNORM;
const LONGEST = 32768;
const MAX_QUEUED = 64;
/** Options of SOL_NETLINK that are switches: membership of groups, packet info, acknowledgement formats, strictness. */
const OPTIONS = [1, 2, 3, 4, 5, 10, 11, 12];

export class NetlinkSocket extends Socket {
  private port = 0;
  private groups = 0;
  private connectedPort = 0;
  private readonly answers: string[] = [];
  private readonly options = new Set<number>();

  constructor(type: number, protocol: number, task: Task, network: Network) {
    super(AF_NETLINK, type, protocol, task.credentials, network);
  }

  get streaming(): boolean {
    return false;
  }
  get listening(): boolean {
    return false;
  }
  get readableBytes(): number {
    return this.answers.length > 0 ? this.answers[0].length : 0;
  }
  get unsentBytes(): number {
    return 0;
  }

  bind(task: Task, address: string): number {
    const target = parseAddress(address);
    if (!target) return -EINVAL;
    if (this.port !== 0 && target.port !== 0 && target.port !== this.port) return -EINVAL;
    this.groups = target.groups;
    return this.port === 0 ? this.takePort(task, target.port) : 0;
  }

  listen(): number {
    return -EOPNOTSUPP;
  }

  accept(): Socket | number {
    return -EOPNOTSUPP;
  }

  shutdown(): number {
    return -EOPNOTSUPP;
  }

  connect(task: Task, address: string): number {
    const target = parseAddress(address);
    if (!target) return -EINVAL;
    if (target.groups !== 0) return -EPERM;
    this.connectedPort = target.port;
    return this.port === 0 ? this.takePort(task, 0) : 0;
  }

  send(task: Task, message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    if (message.length > LONGEST) return -EMSGSIZE;
    const target = message.address === null ? null : parseAddress(message.address);
    if (message.address !== null && !target) return -EINVAL;
    if (this.port === 0) this.takePort(task, 0);
    // Only the kernel (port 0) is there to talk to.
    if ((target?.port ?? this.connectedPort) !== 0) return -ECONNREFUSED;
    if (this.answers.length > MAX_QUEUED) return -EAGAIN;
    this.serve(readBytes(message.at, message.length));
    return message.length;
  }

  /** The kernel has something to say: a byte string, as one datagram. */
  deliver(datagram: string): void {
    this.answers.push(datagram);
    this.queue.wake(READABLE);
  }

  receive(message: Message): number {
    if (message.flags & MSG_OOB) return -EOPNOTSUPP;
    const answer = this.answers[0];
    if (answer === undefined) return -EAGAIN;
    const n = Math.min(message.length, answer.length);
    writeBytes(message.at, answer.slice(0, n));
    message.copied = n;
    message.address = formatAddress(0, 0);
    if (n < answer.length) message.resultFlags |= MSG_TRUNC;
    if (!(message.flags & MSG_PEEK)) this.answers.shift();
    return message.flags & MSG_TRUNC ? answer.length : n;
  }

  getName(): string {
    return formatAddress(this.port, this.groups);
  }

  getPeerName(): string {
    return formatAddress(this.connectedPort, 0);
  }

  override poll(): number {
    return POLLOUT | POLLWRNORM | (this.answers.length > 0 ? READABLE : 0);
  }

  override release(): void {
    const { netlinkPorts } = this.network;
    if (netlinkPorts.get(this.port) === this) netlinkPorts.delete(this.port);
  }

  override setProtocolOption(_task: Task, level: number, name: number, at: number, length: number): number {
    if (level !== SOL_NETLINK || !OPTIONS.includes(name)) return -ENOPROTOOPT;
    if (length < 4) return -EINVAL;
    if (i32[at >> 2] !== 0) this.options.add(name);
    else this.options.delete(name);
    return 0;
  }

  override getProtocolOption(level: number, name: number, at: number, _length: number): number {
    if (level !== SOL_NETLINK || !OPTIONS.includes(name)) return -ENOPROTOOPT;
    i32[at >> 2] = Number(this.options.has(name));
    return 4;
  }

  private takePort(task: Task, wanted: number): number {
    const { network } = this;
    let port = wanted === 0 ? task.group.localPid : wanted;
    if (network.netlinkPorts.has(port)) {
      if (wanted !== 0) return -EINVAL;
      while (network.netlinkPorts.has(network.nextNetlinkPort)) network.nextNetlinkPort--;
      port = network.nextNetlinkPort;
    }
    network.netlinkPorts.set(port, this);
    this.port = port;
    return 0;
  }

  /** Answers every request in what was sent. */
  private serve(data: string): void {
    const bytes = Buffer.from(data, 'latin1');
    for (let offset = 0; offset + NLMSG_HEADER <= bytes.length; ) {
      const length = bytes.readUInt32LE(offset);
      if (length < NLMSG_HEADER || offset + length > bytes.length) break;
      this.answer(bytes.subarray(offset, offset + length));
      offset += (length + 3) & ~3;
    }
    if (this.answers.length > 0) this.queue.wake(READABLE);
  }

  private answer(request: Buffer): void {
    const type = request.readUInt16LE(4);
    const flags = request.readUInt16LE(6);
    const sequence = request.readUInt32LE(8);
    if (!(flags & NLM_F_REQUEST) || type < RTM_NEWLINK) return;
    const family = request.length > NLMSG_HEADER ? request[NLMSG_HEADER] : 0;
    const dump = (flags & NLM_F_DUMP) !== 0;
    const bodies = this.lookUp(type, family, dump, request);
    if (typeof bodies === 'number') {
      this.acknowledge(request, sequence, bodies);
      return;
    }
    const kind = type === RTM_GETADDR ? RTM_NEWADDR : RTM_NEWLINK;
    const multi = dump ? NLM_F_MULTI : 0;
    const parts = bodies.map((body) => netlinkMessage(kind, multi, sequence, this.port, body));
    if (parts.length > 0) this.answers.push(parts.join(''));
    if (dump) this.answers.push(netlinkMessage(NLMSG_DONE, NLM_F_MULTI, sequence, this.port, u32Bytes(0)));
    else if (flags & NLM_F_ACK) this.acknowledge(request, sequence, 0);
  }

  /** What a request asks for, or -errno. */
  private lookUp(type: number, family: number, dump: boolean, request: Buffer): string[] | number {
    if (type === RTM_GETLINK) {
      if (dump) return [linkBody(this.network)];
      const index = request.length >= NLMSG_HEADER + 8 ? request.readInt32LE(NLMSG_HEADER + 4) : 0;
      return index === LOOPBACK_INDEX ? [linkBody(this.network)] : -ENODEV;
    }
    if (dump && type === RTM_GETADDR) return addressBodies(this.network, family);
    // The main routing table is empty: the loopback needs no route of it.
    if (dump && type === RTM_GETROUTE) return [];
    if (type === RTM_NEWLINK || type === RTM_SETLINK) return this.changeLink(request);
    // Requests to read have numbers of the form 4n + 2; all others would change something.
    return (type & 3) === 2 ? -EOPNOTSUPP : -EPERM;
  }

  /** As "ip link set lo up" asks; of the loopback nothing else can be changed. */
  private changeLink(request: Buffer): string[] | number {
    const task = kernel.current;
    if (!task || !capableIn(this.network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
    if (request.length < NLMSG_HEADER + 16) return -EINVAL;
    if (request.readInt32LE(NLMSG_HEADER + 4) !== LOOPBACK_INDEX) return -ENODEV;
    const flags = request.readUInt32LE(NLMSG_HEADER + 8);
    const change = request.readUInt32LE(NLMSG_HEADER + 12);
    if (request.length !== NLMSG_HEADER + 16 || (flags ^ loopbackFlags(this.network)) & change & ~IFF_UP)
      return -EOPNOTSUPP;
    if (change & IFF_UP) this.network.setLoopback((flags & IFF_UP) !== 0);
    return [];
  }

  /** NLMSG_ERROR: the error (0 for success) and the request's header. */
  private acknowledge(request: Buffer, sequence: number, error: number): void {
    const header = request.subarray(0, NLMSG_HEADER).toString('latin1');
    this.answers.push(netlinkMessage(NLMSG_ERROR, 0, sequence, this.port, u32Bytes(error) + header));
  }
}

function parseAddress(address: string): { port: number; groups: number } | null {
  if (address.length < SOCKADDR_NL_SIZE || address.charCodeAt(0) + 256 * address.charCodeAt(1) !== AF_NETLINK)
    return null;
  const bytes = Buffer.from(address, 'latin1');
  return { port: bytes.readUInt32LE(4), groups: bytes.readUInt32LE(8) };
}

function formatAddress(port: number, groups: number): string {
  return `${String.fromCharCode(AF_NETLINK)}\0\0\0${u32Bytes(port)}${u32Bytes(groups)}`;
}
