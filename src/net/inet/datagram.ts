// What sockets of datagrams over IP share (UDP, ping and raw sockets): the queue of what has arrived, and the time of
// its arrival for those who ask (SO_TIMESTAMP, SO_TIMESTAMPNS of socket(7)); their multicast groups.

import { EADDRNOTAVAIL, EINVAL, ENODEV, EOPNOTSUPP } from '../../abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import {
  IP_MULTICAST_IF,
  IPV6_MULTICAST_IF,
  SO_TIMESTAMP,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMPNS,
  SO_TIMESTAMPNS_NEW,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from '../../abi/socket.ts';
import { stampNow, type Timestamp } from '../../base/clock.ts';
import type { Task } from '../../kernel/task.ts';
import { i32, readBytes, writeBytes } from '../../platform/arena.ts';
import { LOOPBACK_INDEX } from '../links.ts';
import type { ControlItem, Message } from '../message.ts';
import type { Network } from '../network.ts';
import { usable } from '../pressure.ts';
import type { Socket } from '../socket.ts';
import { ANY4, type Endpoint, isLoopback, LOOPBACK4 } from './address.ts';
import { DatagramQueue } from './datagram-queue.ts';
import { IP_MREQ_SIZE, IP_MREQN_SIZE, isMembership, isMulticast, Memberships, namesLoopback } from './multicast.ts';
import type { PacketInfo } from './packet-info.ts';
import { InetSocket } from './socket.ts';

const READABLE = POLLIN | POLLRDNORM;
/** In microseconds and in nanoseconds; the younger numbers are the same on a machine of 64 bits. */
const STAMPS: readonly number[] = [SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW];
const IN_NANOSECONDS: readonly number[] = [SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW];

const now: Timestamp = { seconds: 0, nanoseconds: 0 };

export abstract class InetDatagramSocket extends InetSocket {
  protected readonly arrived = new DatagramQueue();
  private readonly memberships: Memberships;
  /** The loopback is the interface for sending to groups (IP_MULTICAST_IF). */
  private groupsOnLoopback = false;
  /** The option by which times of arrival are asked for; 0 for none. */
  private stamp = 0;

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
    const stamped = this.stamp === 0 ? info : { ...info, stamp: this.stampItem() };
    if (this.arrived.push(at, length, from, stamped, usable(this.receiveBuffer))) this.queue.wake(READABLE);
  }

  /** The first of the queue, which must not be empty. */
  protected takeArrived(message: Message): number {
    return this.arrived.receive(this, message);
  }

  /** Says when a message came, if that was asked for: now. */
  protected stampMessage(message: Message): void {
    if (this.stamp !== 0) message.items = [this.stampItem(), ...(message.items ?? [])];
  }

  /** The time as a control message: a timeval or a timespec. */
  private stampItem(): ControlItem {
    stampNow(now);
    const { seconds, nanoseconds } = now;
    const fraction = Math.floor(IN_NANOSECONDS.includes(this.stamp) ? nanoseconds : nanoseconds / 1000);
    const bytes = Buffer.alloc(16);
    bytes.writeUIntLE(seconds, 0, 6);
    bytes.writeUInt32LE(fraction, 8);
    return { level: SOL_SOCKET, type: this.stamp, data: bytes.toString('latin1') };
  }

  override setOption(task: Task, level: number, name: number, at: number, length: number): number {
    if (level !== SOL_SOCKET || !STAMPS.includes(name)) return super.setOption(task, level, name, at, length);
    if (length < 4) return -EINVAL;
    // One at a time: whichever was set last.
    if (i32[at >> 2] !== 0) this.stamp = name;
    else this.stamp = 0;
    return 0;
  }

  override getOption(level: number, name: number, at: number, length: number): number {
    if (level !== SOL_SOCKET || !STAMPS.includes(name)) return super.getOption(level, name, at, length);
    i32[at >> 2] = Number(this.stamp === name);
    return 4;
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
