// Network interfaces: there is one, the loopback. Here are its properties and the ioctls that ask for them
// (netdevice(7)), which every socket understands.

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
import type { Network } from './network.ts';

export const LOOPBACK_NAME = 'lo';
export const LOOPBACK_INDEX = 1;
export const LOOPBACK_MTU = 65536;
export const LOOPBACK_QUEUE = 1000;
export const ARPHRD_LOOPBACK = 772;

export const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_RUNNING = 0x40;
const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const ADDRESS = '\x7f\0\0\x01';
const NETMASK = '\xff\0\0\0';

/** IFF_* of the loopback. */
export function loopbackFlags(network: Network): number {
  return network.loopbackUp ? IFF_UP | IFF_LOOPBACK | IFF_RUNNING : IFF_LOOPBACK;
}

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

/** Whoever may administer the network may bring the loopback up and down; else only what is so already can be set. */
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
  if (command === SIOCSIFMTU) return i32[value >> 2] === LOOPBACK_MTU ? 0 : -EOPNOTSUPP;
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
  if (command === SIOCGIFNAME) {
    if (index !== LOOPBACK_INDEX) return -ENODEV;
    writeBytes(at, LOOPBACK_NAME);
    i32[(at + IFNAMSIZ) >> 2] = index;
    return 0;
  }
  if (name.slice(0, name.indexOf('\0')) !== LOOPBACK_NAME) return -ENODEV;
  writeBytes(at, LOOPBACK_NAME);
  return putProperty(network, at + IFNAMSIZ, command);
}

/** 0, or -EADDRNOTAVAIL while the loopback has no address. */
function putProperty(network: Network, at: number, command: number): number {
  switch (command) {
    case SIOCGIFINDEX:
      i32[at >> 2] = LOOPBACK_INDEX;
      break;
    case SIOCGIFFLAGS:
      u16[at >> 1] = loopbackFlags(network);
      break;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
      if (!network.loopbackHasAddress) return -EADDRNOTAVAIL;
      putAddress(at, command === SIOCGIFNETMASK ? NETMASK : command === SIOCGIFBRDADDR ? '\0\0\0\0' : ADDRESS);
      break;
    case SIOCGIFMTU:
      i32[at >> 2] = LOOPBACK_MTU;
      break;
    case SIOCGIFHWADDR:
      u16[at >> 1] = ARPHRD_LOOPBACK;
      break;
    case SIOCGIFTXQLEN:
      i32[at >> 2] = LOOPBACK_QUEUE;
      break;
  }
  return 0;
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
  const used = network.loopbackHasAddress && (buffer === 0 || room >= IFREQ_SIZE) ? IFREQ_SIZE : 0;
  const at = task.memory.out(argument, 16);
  if (at < 0) return at;
  i32[at >> 2] = used;
  i32[(at + 4) >> 2] = 0;
  writeU64(at + 8, buffer);
  if (buffer === 0 || used === 0) return 0;
  const entry = task.memory.out(buffer as UserAddress, IFREQ_SIZE);
  if (entry < 0) return entry;
  u8.fill(0, entry, entry + IFREQ_SIZE);
  writeBytes(entry, LOOPBACK_NAME);
  putAddress(entry + IFNAMSIZ, ADDRESS);
  return 0;
}
