// AF_NETLINK sockets (netlink(7)): requests are answered at once into the socket's own receive queue. Of NETLINK_ROUTE
// (rtnetlink(7)) what there is can be listed (links.ts), but nothing changed save the loopback's being up, and nothing
// is announced. NETLINK_SOCK_DIAG lists sockets (diag.ts); NETLINK_GENERIC has no families (generic.ts); on NETLINK_KOBJECT_UEVENT nothing ever comes or goes.

import { CAP_NET_ADMIN } from '../../abi/capability.ts';
import {
  EADDRNOTAVAIL,
  EAGAIN,
  ECONNREFUSED,
  EEXIST,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENODEV,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
} from '../../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SOCKADDR_NL_SIZE,
  SOL_NETLINK,
} from '../../abi/socket.ts';
import { capableIn } from '../../base/credentials.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import { LOOPBACK4 } from '../inet/address.ts';
import {
  addresses,
  IFA_ADDRESS,
  IFA_LOCAL,
  IFF_UP,
  IFLA_IFNAME,
  IFLA_MTU,
  LOOPBACK_INDEX,
  LOOPBACK_NAME,
  linkOf,
  links,
  loopbackFlags,
  neighbours,
  RTA_DST,
  routes,
  routeTo,
  rules,
} from '../links.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import type { RouteObject } from '../outside/host-interfaces.ts';
import { Socket } from '../socket.ts';
import { askSockets } from './diag.ts';
import { askController, GENL_ID_CTRL } from './generic.ts';
import {
  attributeOf,
  attributesOf,
  NETNSA_NSID,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  netlinkMessage,
  objectBody,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETNSID,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_SETLINK,
  u32Bytes,
} from './messages.ts';

const READABLE = POLLIN | POLLRDNORM;
const LONGEST = 32768;
/** Objects of one datagram: as much as the smallest buffers that programs receive with. */
const LONGEST_ANSWER = 3776;
const MAX_QUEUED = 64;
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_KOBJECT_UEVENT = 15;
export const NETLINK_GENERIC = 16;
/** Each protocol has port numbers of its own. */
const PORTS = 2 ** 32;
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
    this.tell(datagram);
    this.queue.wake(READABLE);
  }

  private tell(datagram: string): void {
    const taken = this.filtered(datagram, datagram.length);
    if (taken >= 0) this.answers.push(datagram.slice(0, taken));
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
    if (netlinkPorts.get(this.key(this.port)) === this) netlinkPorts.delete(this.key(this.port));
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
    if (network.netlinkPorts.has(this.key(port))) {
      if (wanted !== 0) return -EINVAL;
      while (network.netlinkPorts.has(this.key(network.nextNetlinkPort))) network.nextNetlinkPort--;
      port = network.nextNetlinkPort;
    }
    network.netlinkPorts.set(this.key(port), this);
    this.port = port;
    return 0;
  }

  private key(port: number): number {
    return this.protocol * PORTS + port;
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
    const generic = this.protocol === NETLINK_GENERIC;
    const bodies = generic
      ? askController(type, dump, request)
      : this.protocol === NETLINK_SOCK_DIAG
        ? askSockets(this.network, type, dump, request)
        : this.lookUp(type, family, flags, request);
    if (typeof bodies === 'number') {
      this.acknowledge(request, sequence, bodies);
      return;
    }
    const multi = dump ? NLM_F_MULTI : 0;
    // What is told of an object has the number before that of the question.
    const kind = generic ? GENL_ID_CTRL : type === RTM_SETLINK ? RTM_NEWLINK : type & ~3;
    let datagram = '';
    for (const object of bodies) {
      const part = netlinkMessage(kind, multi, sequence, this.port, objectBody(object));
      if (datagram.length + part.length > LONGEST_ANSWER && datagram !== '') {
        this.tell(datagram);
        datagram = '';
      }
      datagram += part;
    }
    if (datagram !== '') this.tell(datagram);
    if (dump) this.tell(netlinkMessage(NLMSG_DONE, NLM_F_MULTI, sequence, this.port, u32Bytes(0)));
    else if (flags & NLM_F_ACK) this.acknowledge(request, sequence, 0);
  }

  /** What a request asks for, or -errno. */
  private lookUp(type: number, family: number, flags: number, request: Buffer): RouteObject[] | number {
    const dump = (flags & NLM_F_DUMP) !== 0;
    // Events are the kernel's to tell.
    if (this.protocol === NETLINK_KOBJECT_UEVENT) return -EPERM;
    if (type === RTM_GETLINK) return dump ? links(this.network) : this.findLink(request);
    if (dump && type === RTM_GETADDR) return addresses(this.network, family);
    if (type === RTM_GETROUTE) return dump ? routes(this.network, family) : this.findRoute(family, request);
    if (dump && type === RTM_GETNEIGH) return neighbours(this.network, family);
    if (dump && type === RTM_GETRULE) return rules(this.network, family);
    if (type === RTM_NEWLINK || type === RTM_SETLINK) return this.changeLink(request, (flags & NLM_F_CREATE) !== 0);
    // Networks have no numbers for each other.
    if (type === RTM_GETNSID) return [{ head: '\0\0\0\0', attributes: new Map([[NETNSA_NSID, u32Bytes(-1)]]) }];
    if (type === RTM_NEWADDR || type === RTM_DELADDR) return this.changeAddress(request, type === RTM_NEWADDR);
    // Requests to read have numbers of the form 4n + 2; all others would change something.
    return (type & 3) === 2 ? -EOPNOTSUPP : -EPERM;
  }

  /** By index, or by name. */
  private findLink(request: Buffer): RouteObject[] | number {
    const index = request.length >= NLMSG_HEADER + 8 ? request.readInt32LE(NLMSG_HEADER + 4) : 0;
    const name = (attributeOf(request, NLMSG_HEADER + 16, IFLA_IFNAME) ?? '').replace(/\0.*$/s, '');
    if (index === 0 && name === '') return -EINVAL;
    const found = links(this.network).find((object) => {
      const link = linkOf(object);
      return index === 0 ? link.name === name : link.index === index;
    });
    return found ? [found] : -ENODEV;
  }

  /** As "ip route get" asks: the way to one address. */
  private findRoute(family: number, request: Buffer): RouteObject[] | number {
    const address = attributeOf(request, NLMSG_HEADER + 12, RTA_DST) ?? '';
    if (address.length !== (family === AF_INET6 ? 16 : 4)) return -EINVAL;
    const found = routeTo(this.network, family, address);
    return found.length > 0 ? found : -ENETUNREACH;
  }

  /** As "ip link set lo up mtu 1500" asks; of the loopback nothing else can be changed, and no interface made. */
  private changeLink(request: Buffer, creates: boolean): RouteObject[] | number {
    const task = kernel.current;
    const { network } = this;
    if (!task || !capableIn(network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
    if (request.length < NLMSG_HEADER + 16) return -EINVAL;
    const index = request.readInt32LE(NLMSG_HEADER + 4);
    const attributes = attributesOf(request, NLMSG_HEADER + 16);
    const name = (attributes.get(IFLA_IFNAME) ?? '').replace(/\0.*$/s, '');
    if (index === 0 && name !== LOOPBACK_NAME) return creates ? -EOPNOTSUPP : -ENODEV;
    if (index !== LOOPBACK_INDEX && index !== 0) return -ENODEV;
    if (creates && request.readUInt16LE(6) & NLM_F_EXCL) return -EEXIST;
    const flags = request.readUInt32LE(NLMSG_HEADER + 8);
    const change = request.readUInt32LE(NLMSG_HEADER + 12);
    const others = [...attributes.keys()].some((type) => type !== IFLA_MTU && type !== IFLA_IFNAME);
    if (others || (name !== '' && name !== LOOPBACK_NAME)) return -EOPNOTSUPP;
    if ((flags ^ loopbackFlags(network)) & change & ~IFF_UP) return -EOPNOTSUPP;
    const mtu = attributes.get(IFLA_MTU);
    if (mtu !== undefined) {
      const wanted = mtu.length < 4 ? -1 : Buffer.from(mtu, 'latin1').readInt32LE(0);
      if (wanted < 0) return -EINVAL;
      network.loopbackMtu = wanted;
    }
    if (change & IFF_UP) network.setLoopback((flags & IFF_UP) !== 0);
    return [];
  }

  /** As "ip addr add 127.0.0.1/8 dev lo" asks; the loopback has no other address, and others are not set up here. */
  private changeAddress(request: Buffer, add: boolean): RouteObject[] | number {
    const task = kernel.current;
    const { network } = this;
    if (!task || !capableIn(network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
    if (request.length < NLMSG_HEADER + 8) return -EINVAL;
    const [family, prefix] = [request[NLMSG_HEADER], request[NLMSG_HEADER + 1]];
    if (request.readInt32LE(NLMSG_HEADER + 4) !== LOOPBACK_INDEX) return -ENODEV;
    const address =
      attributeOf(request, NLMSG_HEADER + 8, IFA_LOCAL) ?? attributeOf(request, NLMSG_HEADER + 8, IFA_ADDRESS);
    if (family !== AF_INET || prefix !== 8 || address !== LOOPBACK4) return -EOPNOTSUPP;
    if (add === network.loopbackHasAddress) return add ? -EEXIST : -EADDRNOTAVAIL;
    network.loopbackHasAddress = add;
    return [];
  }

  /** NLMSG_ERROR: the error (0 for success) and the request's header. */
  private acknowledge(request: Buffer, sequence: number, error: number): void {
    const header = request.subarray(0, NLMSG_HEADER).toString('latin1');
    this.tell(netlinkMessage(NLMSG_ERROR, 0, sequence, this.port, u32Bytes(error) + header));
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
