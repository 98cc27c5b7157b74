// What sockets of datagrams over IP share (UDP, ping and raw sockets): the queue of what has arrived, and their multicast
// groups.

import { EADDRNOTAVAIL, EINVAL, ENODEV, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import { IP_MULTICAST_IF, IPV6_MULTICAST_IF, SOL_IP, SOL_IPV6 } from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import { LOOPBACK_INDEX } from '../links.ts';
import type { Message } from '../message.ts';
import type { Network } from '../network.ts';
import { usable } from '../pressure.ts';
import type { Socket } from '../socket.ts';
import { stampItem } from '../timestamps.ts';
import { ANY4, type Endpoint, isLoopback, LOOPBACK4 } from './address.ts';
import { DatagramQueue } from './datagram-queue.ts';
import { IP_MREQ_SIZE, IP_MREQN_SIZE, isMembership, isMulticast, Memberships, namesLoopback } from './multicast.ts';
import type { PacketInfo } from './packet-info.ts';
import { InetSocket } from './socket.ts';

const READABLE = POLLIN | POLLRDNORM;
export abstract class InetDatagramSocket extends InetSocket {
  protected readonly arrived = new DatagramQueue();
  private readonly memberships: Memberships;
  /** The loopback is the interface for sending to groups (IP_MULTICAST_IF). */
  private groupsOnLoopback = false;

  constructor(family: number, type: number, protocol: number, task: Task, network: Network) {
    super(family, type, protocol, task, network);
    this.memberships = new Memberships(network);
  }

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
    // Linux's loopback has no route to the groups of IPv6.
    return host.length === 4 && isMulticast(host) && (this.groupsOnLoopback || isLoopback(this.localHost));
  }

  override setProtocolOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (isMembership(level, name)) return this.memberships.change(level, name, readBytes(at, length));
    if (!isGroupInterface(level, name)) return super.setProtocolOption(task, level, name, at, length);
    if (length < 4) return -EINVAL;
    // An index; or an address, perhaps within a struct ip_mreqn.
    const bytes = Buffer.from(readBytes(at, Math.min(length, IP_MREQN_SIZE)), 'latin1');
    const six = level === SOL_IPV6;
    const index = six ? bytes.readInt32LE(0) : bytes.length === IP_MREQN_SIZE ? bytes.readInt32LE(8) : 0;
    const address = six ? '' : bytes.toString('latin1', ...(bytes.length >= IP_MREQ_SIZE ? [4, 8] : [0, 4]));
    const none = index === 0 && (six || address === ANY4);
    if (!none && !namesLoopback(index, address)) return six ? -ENODEV : -EADDRNOTAVAIL;
    this.groupsOnLoopback = !none;
    return 0;
  }

  override getProtocolOption(level: number, name: number, at: number, length: number): number {
    if (!isGroupInterface(level, name)) return super.getProtocolOption(level, name, at, length);
    if (level === SOL_IPV6) i32[at >> 2] = this.groupsOnLoopback ? LOOPBACK_INDEX : 0;
    else writeBytes(at, this.groupsOnLoopback ? LOOPBACK4 : ANY4);
    return 4;
  }

  override release(): void {
    this.arrived.clear();
    this.memberships.clear();
    this.closeOuter();
    if (this.localPort !== 0) this.table.release(this, this.localPort);
  }
}

function isGroupInterface(level: number, name: number): boolean {
  return (level === SOL_IP && name === IP_MULTICAST_IF) || (level === SOL_IPV6 && name === IPV6_MULTICAST_IF);
}
