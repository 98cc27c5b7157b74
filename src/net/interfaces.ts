// The ioctls that ask for properties of network interfaces (netdevice(7)), which every socket understands. What there is
// to be told is in links.ts.

import { CAP_NET_ADMIN } from '../abi/capability.ts';
import { EADDRNOTAVAIL, EINVAL, ENODEV, ENOTTY, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import {
  SIOCETHTOOL,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFCONF,
  SIOCGIFDSTADDR,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMAP,
  SIOCGIFMETRIC,
  SIOCGIFMTU,
  SIOCGIFNAME,
  SIOCGIFNETMASK,
  SIOCGIFTXQLEN,
  SIOCSIFADDR,
  SIOCSIFFLAGS,
  SIOCSIFMTU,
} from '../abi/ioctl.ts';
import { AF_INET } from '../abi/socket.ts';
import type { UserAddress } from '../base/brands.ts';
import { capableIn } from '../base/credentials.ts';
import type { Task } from '../kernel/task.ts';
import { i32, readBytes, readU64, u8, u16, writeBytes, writeU64 } from '../platform/arena.ts';
import {
  addresses,
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_LABEL,
  IFA_LOCAL,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_MTU,
  IFLA_TXQLEN,
  interfaceOf,
  type Link,
  LOOPBACK_NAME,
  linkOf,
  links,
  number,
  textOf,
} from './links.ts';
import type { Network } from './network.ts';
import type { RouteObject } from './outside/host-interfaces.ts';

const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const ADDRESS = '\x7f\0\0\x01';
const NO_ADDRESS = '\0\0\0\0';
/** Bytes of a struct sockaddr behind its family. */
const HARDWARE_ADDRESS = 14;

/** Answers an ioctl on interfaces; -ENOTTY for all others. */
export function interfaceIoctl(task: Task, network: Network, command: number, argument: UserAddress): number {
  switch (command) {
    case SIOCGIFCONF:
      return listInterfaces(task, network, argument);
    case SIOCSIFADDR:
    case SIOCSIFFLAGS:
    case SIOCSIFMTU:
      return changeInterface(task, network, command, argument);
    case SIOCETHTOOL:
      return -EOPNOTSUPP;
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFTXQLEN:
    case SIOCGIFMAP:
      return queryInterface(task, network, command, argument);
    default:
      return -ENOTTY;
  }
}

/** Whoever may administer the network may bring the loopback up and down, and name its MTU; else only what is so already can be set. */
function changeInterface(task: Task, network: Network, command: number, argument: UserAddress): number {
  const at = task.memory.in(argument, IFREQ_SIZE);
  if (at < 0) return at;
  if (!capableIn(network.namespace.owner, task.credentials, CAP_NET_ADMIN)) return -EPERM;
  const name = readBytes(at, IFNAMSIZ);
  if (name.slice(0, name.indexOf('\0')) !== LOOPBACK_NAME) return -ENODEV;
  const value = at + IFNAMSIZ;
  if (command === SIOCSIFFLAGS) {
    network.setLoopback((u16[value >> 1] & IFF_UP) !== 0);
    return 0;
  }
  if (command === SIOCSIFMTU) {
    const mtu = i32[value >> 2];
    if (mtu < 0) return -EINVAL;
    network.loopbackMtu = mtu;
    return 0;
  }
  return readBytes(value + 4, 4) === ADDRESS ? 0 : -EOPNOTSUPP;
}

/** One property of the interface that a struct ifreq names. */
function queryInterface(task: Task, network: Network, command: number, argument: UserAddress): number {
  const from = task.memory.in(argument, IFREQ_SIZE);
  if (from < 0) return from;
  const name = readBytes(from, IFNAMSIZ);
  const index = i32[(from + IFNAMSIZ) >> 2];
  const at = task.memory.out(argument, IFREQ_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + IFREQ_SIZE);
  const wanted = name.replace(/\0.*$/s, '');
  const link = links(network)
    .map(linkOf)
    .find((one) => (command === SIOCGIFNAME ? one.index === index : one.name === wanted));
  if (!link) return -ENODEV;
  writeBytes(at, link.name);
  return putProperty(network, link, at + IFNAMSIZ, command);
}

/** 0, or -EADDRNOTAVAIL for an interface without an IPv4 address. */
function putProperty(network: Network, link: Link, at: number, command: number): number {
  const { attributes } = link;
  switch (command) {
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
      i32[at >> 2] = link.index;
      break;
    case SIOCGIFFLAGS:
      u16[at >> 1] = link.flags;
      break;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK: {
      const own = addresses(network, AF_INET).find((object) => interfaceOf(object) === link.index);
      if (!own) return -EADDRNOTAVAIL;
      putAddress(at, partOfAddress(own, command));
      break;
    }
    case SIOCGIFMTU:
      i32[at >> 2] = number(attributes, IFLA_MTU);
      break;
    case SIOCGIFHWADDR:
      u16[at >> 1] = link.type;
      writeBytes(at + 2, (attributes.get(IFLA_ADDRESS) ?? '').slice(0, HARDWARE_ADDRESS));
      break;
    case SIOCGIFTXQLEN:
      i32[at >> 2] = number(attributes, IFLA_TXQLEN);
      break;
  }
  return 0;
}

function partOfAddress({ head, attributes }: RouteObject, command: number): string {
  const local = attributes.get(IFA_LOCAL) ?? NO_ADDRESS;
  if (command === SIOCGIFADDR) return local;
  if (command === SIOCGIFDSTADDR) return attributes.get(IFA_ADDRESS) ?? local;
  if (command === SIOCGIFBRDADDR) return attributes.get(IFA_BROADCAST) ?? NO_ADDRESS;
  const mask = (0xffffffff << (32 - head.charCodeAt(1))) >>> 0;
  return String.fromCharCode(mask >>> 24, (mask >>> 16) & 255, (mask >>> 8) & 255, mask & 255);
}

function putAddress(at: number, host: string): void {
  u16[at >> 1] = AF_INET;
  writeBytes(at + 4, host);
}

/** SIOCGIFCONF: struct ifconf is a length and a buffer of struct ifreq; without a buffer, the length it would take. */
function listInterfaces(task: Task, network: Network, argument: UserAddress): number {
  const from = task.memory.in(argument, 16);
  if (from < 0) return from;
  const room = i32[from >> 2];
  const buffer = readU64(from + 8);
  if (room < 0) return -EINVAL;
  const all = links(network).map(linkOf);
  const own = addresses(network, AF_INET);
  const fitting = buffer === 0 ? own.length : Math.min(own.length, Math.floor(room / IFREQ_SIZE));
  const at = task.memory.out(argument, 16);
  if (at < 0) return at;
  i32[at >> 2] = fitting * IFREQ_SIZE;
  i32[(at + 4) >> 2] = 0;
  writeU64(at + 8, buffer);
  if (buffer === 0 || fitting === 0) return 0;
  const entries = task.memory.out(buffer as UserAddress, fitting * IFREQ_SIZE);
  if (entries < 0) return entries;
  u8.fill(0, entries, entries + fitting * IFREQ_SIZE);
  for (let k = 0; k < fitting; k++) {
    const label = textOf(own[k].attributes, IFA_LABEL);
    const name = label || all.find((link) => link.index === interfaceOf(own[k]))?.name;
    writeBytes(entries + k * IFREQ_SIZE, (name ?? '').slice(0, IFNAMSIZ - 1));
    putAddress(entries + k * IFREQ_SIZE + IFNAMSIZ, own[k].attributes.get(IFA_LOCAL) ?? NO_ADDRESS);
  }
  return 0;
}
