// What sockets of datagrams over IP share (UDP, ping and raw sockets): the queue of what has arrived, and their multicast
// groups.

import { EADDRNOTAVAIL, EINVAL, ENODEV, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MULTICAST_IF,
  SOL_IP,
  SOL_IPV6,
} from '../../abi/socket.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import type { Message } from '../message.ts';
import type { HostSocket } from '../outside/host-socket.ts';
import { usable } from '../pressure.ts';
import type { Socket } from '../socket.ts';
import { stampItem } from '../timestamps.ts';
import { ANY4, type Endpoint, isLoopback, LOOPBACK4 } from './address.ts';
import { DatagramQueue } from './datagram-queue.ts';
import {
  formatRequest,
  type GroupRequest,
  IP_MREQ_SIZE,
  IP_MREQN_SIZE,
  isMulticast,
  namesLoopback,
} from './multicast.ts';
import type { PacketInfo } from './packet-info.ts';
import { InetSocket } from './socket.ts';

const READABLE = POLLIN | POLLRDNORM;
export abstract class InetDatagramSocket extends InetSocket {
  protected readonly arrived = new DatagramQueue();
  /** The interface for sending to groups (IP_MULTICAST_IF). */
  private groupInterface: GroupRequest | null = null;

  get streaming(): boolean {
    return false;
  }
  get listening(): boolean {
    return false;
  }
  /** Two sockets that both allow it (SO_REUSEADDR) may have the same port. */
  override get exclusiveListener(): boolean {
    return false;
  }
  get unsentBytes(): number {
    return 0;
  }

  listen(): number {
    return -EOPNOTSUPP;
  }

  accept(): Socket | number {
    return -EOPNOTSUPP;
  }

  /** A datagram has come for it: `length` bytes at an arena offset. Lost if there is no room. */
  protected push(at: number, length: number, from: Endpoint, info: PacketInfo): void {
    const taken = this.takenOf(at, length, from);
    if (taken < 0) return;
    const stamped = this.stamp === 0 ? info : { ...info, stamp: stampItem(this.stamp) };
    if (this.arrived.push(at, taken, from, stamped, usable(this.receiveBuffer))) this.queue.wake(READABLE);
  }

  /** How many bytes of a datagram its filter takes; -1: not even none. */
  protected takenOf(at: number, length: number, _from: Endpoint): number {
    return this.filtered(readBytes(at, this.isFiltered ? length : 0), length);
  }

  /** The first of the queue, which must not be empty. */
  protected takeArrived(message: Message): number {
    return this.arrived.receive(this, message);
  }

  /** Says when a message came, if that was asked for: now. */
  protected stampMessage(message: Message): void {
    if (this.stamp !== 0) message.items = [stampItem(this.stamp), ...(message.items ?? [])];
  }

  protected override groupIsInside(host: string): boolean {
    if (this.outside?.whole) return false;
    // Linux's loopback has no route to the groups of IPv6.
    return host.length === 4 && isMulticast(host) && (this.groupsOnLoopback || isLoopback(this.localHost));
  }

  override setProtocolOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (isGroupInterface(level, name)) return this.setGroupInterface(level === SOL_IPV6, readBytes(at, length));
    return super.setProtocolOption(task, level, name, at, length);
  }

  /** IP_MULTICAST_IF takes an address, perhaps within a struct ip_mreqn with an index; IPV6_MULTICAST_IF an index. */
  private setGroupInterface(six: boolean, value: string): number {
    if (value.length < 4) return -EINVAL;
    const bytes = Buffer.from(value.slice(0, IP_MREQN_SIZE), 'latin1');
    const index = six ? bytes.readInt32LE(0) : bytes.length === IP_MREQN_SIZE ? bytes.readInt32LE(8) : 0;
    const address = six ? '' : bytes.toString('latin1', ...(bytes.length >= IP_MREQ_SIZE ? [4, 8] : [0, 4]));
    const none = index === 0 && (six || address === ANY4);
    const chosen = none ? null : { group: six ? '' : ANY4, index, address };
    const near = none || (namesLoopback(index, address) && !this.outside?.whole);
    if (!near && !this.outside) return six ? -ENODEV : -EADDRNOTAVAIL;
    const failed = near ? 0 : this.tellGroupInterface(chosen);
    if (failed === 0) this.groupInterface = chosen;
    return failed;
  }

  /** Which interface groups are sent to by, at the host. 0 or -errno. */
  private tellGroupInterface(chosen: GroupRequest | null): number {
    const outer = this.openOuter();
    if (typeof outer === 'number' || !chosen) return typeof outer === 'number' ? outer : 0;
    const [level, name] = chosen.group === '' ? [SOL_IPV6, IPV6_MULTICAST_IF] : [SOL_IP, IP_MULTICAST_IF];
    return outer.setBytes(level, name, formatRequest(chosen));
  }

  protected override tellGroup(request: GroupRequest, joins: boolean): number {
    const task = kernel.current;
    const refused = joins && task ? this.outside?.check(task, 'igmp', { host: request.group, port: 0 }) : 0;
    if (refused) return refused;
    const outer = joins ? this.openOuter() : this.outer;
    if (outer === null || typeof outer === 'number') return outer ?? 0;
    const four = request.group.length === 4;
    const level = four ? SOL_IP : SOL_IPV6;
    const names = four ? [IP_DROP_MEMBERSHIP, IP_ADD_MEMBERSHIP] : [IPV6_LEAVE_GROUP, IPV6_JOIN_GROUP];
    return outer.setBytes(level, names[Number(joins)], formatRequest(request));
  }

  protected override openOuter(): HostSocket | number {
    const isNew = this.outer === null;
    const made = super.openOuter();
    if (isNew && typeof made !== 'number' && this.groupInterface && !this.groupsOnLoopback)
      this.tellGroupInterface(this.groupInterface);
    return made;
  }

  /** Whether the loopback is the interface for sending to groups. */
  private get groupsOnLoopback(): boolean {
    const chosen = this.groupInterface;
    return chosen !== null && namesLoopback(chosen.index, chosen.address);
  }

  override getProtocolOption(level: number, name: number, at: number, length: number): number {
    if (!isGroupInterface(level, name)) return super.getProtocolOption(level, name, at, length);
    if (level === SOL_IPV6) i32[at >> 2] = this.groupInterface?.index ?? 0;
    else if (this.groupsOnLoopback) writeBytes(at, LOOPBACK4);
    else if (this.groupInterface && this.outer) return this.outer.getOption(level, name, at, 4);
    else writeBytes(at, ANY4);
    return 4;
  }

  override release(): void {
    this.arrived.clear();
    this.memberships?.clear();
    this.closeOuter();
    if (this.localPort !== 0) this.table.release(this, this.localPort);
  }
}

function isGroupInterface(level: number, name: number): boolean {
  return (level === SOL_IP && name === IP_MULTICAST_IF) || (level === SOL_IPV6 && name === IPV6_MULTICAST_IF);
}
