// /sys/class/net and /sys/devices/virtual/net: a directory for each interface, which come and go.

import { ENOENT } from '../../abi/errno.ts';
import {
  counter,
  IFLA_ADDRESS,
  IFLA_BROADCAST,
  IFLA_CARRIER,
  IFLA_LINK,
  IFLA_MTU,
  IFLA_OPERSTATE,
  IFLA_TXQLEN,
  type Link,
  linkOf,
  links,
  number,
} from '../../net/links.ts';
import { initialNetwork } from '../../net/network.ts';
import type { DirectorySink, Inode } from '../../vfs/inode.ts';
import { text } from '../proc/system.ts';
import { entryType, FixedDirectory, grow, type Tree, VirtualDirectory } from '../virtual/directory.ts';
import { VirtualSymlink } from '../virtual/inode.ts';
import type { VirtualSuperblock } from '../virtual/superblock.ts';

const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];
const ARPHRD_ETHER = 1;
const IFF_UP = 1;
/** Flags that the file shows: those that can be set. */
const SETTABLE = 0xff9f;
/** Counters of struct rtnl_link_stats64 in its order. */
const COUNTERS = [
  'rx_packets',
  'tx_packets',
  'rx_bytes',
  'tx_bytes',
  'rx_errors',
  'tx_errors',
  'rx_dropped',
  'tx_dropped',
  'multicast',
  'collisions',
  'rx_length_errors',
  'rx_over_errors',
  'rx_crc_errors',
  'rx_frame_errors',
  'rx_fifo_errors',
  'rx_missed_errors',
  'tx_aborted_errors',
  'tx_carrier_errors',
  'tx_fifo_errors',
  'tx_heartbeat_errors',
  'tx_window_errors',
  'rx_compressed',
  'tx_compressed',
  'rx_nohandler',
];

/** One entry for each interface that there is now. */
export class InterfaceDirectory extends VirtualDirectory {
  private readonly made = new Map<string, Inode>();
  private readonly make: (superblock: VirtualSuperblock, name: string) => Inode;

  constructor(superblock: VirtualSuperblock, make: (superblock: VirtualSuperblock, name: string) => Inode) {
    super(superblock, superblock.nextIno());
    this.make = make;
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    return currentLink(name) ? this.entry(name) : -ENOENT;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    const names = links(initialNetwork()).map((object) => linkOf(object).name);
    for (let index = offset; index < names.length; index++) {
      const inode = this.entry(names[index]);
      if (!sink(names[index], inode.ino, entryType(inode), index + 1)) break;
    }
    return 0;
  }

  private entry(name: string): Inode {
    let inode = this.made.get(name);
    if (!inode) {
      inode = this.make(this.superblock as VirtualSuperblock, name);
      this.made.set(name, inode);
    }
    return inode;
  }
}

/** An entry of /sys/class/net. */
export function classEntry(superblock: VirtualSuperblock, name: string): Inode {
  return new VirtualSymlink(superblock, superblock.nextIno(), `../../devices/virtual/net/${name}`);
}

/** A directory of /sys/devices/virtual/net. */
export function deviceEntry(superblock: VirtualSuperblock, name: string): Inode {
  const directory = new FixedDirectory(superblock, superblock.nextIno());
  grow(directory, interfaceTree(name));
  return directory;
}

function currentLink(name: string): Link | undefined {
  return links(initialNetwork())
    .map(linkOf)
    .find((link) => link.name === name);
}

function interfaceTree(name: string): Tree {
  /** A file of one line; empty once the interface is gone. */
  const line = (value: (link: Link) => string | number): Tree[string] =>
    text(() => {
      const link = currentLink(name);
      return link ? `${value(link)}\n` : '';
    });
  const hardware = (type: number) => (link: Link) =>
    [...(link.attributes.get(type) ?? '')].map((c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join(':');
  const byte = (type: number, otherwise: number) => (link: Link) =>
    link.attributes.get(type)?.charCodeAt(0) ?? otherwise;
  const statistics = COUNTERS.map((counted, place) => [counted, line((link) => counter(link, place))] as const);
  return {
    addr_assign_type: line(() => 0),
    addr_len: line((link) => (link.attributes.get(IFLA_ADDRESS) ?? '').length),
    address: line(hardware(IFLA_ADDRESS)),
    broadcast: line(hardware(IFLA_BROADCAST)),
    carrier: line((link) => (link.flags & IFF_UP ? byte(IFLA_CARRIER, 1)(link) : 0)),
    dev_id: line(() => '0x0'),
    dev_port: line(() => 0),
    dormant: line(() => 0),
    flags: line((link) => `0x${(link.flags & SETTABLE).toString(16)}`),
    ifalias: text(() => ''),
    ifindex: line((link) => link.index),
    iflink: line((link) => number(link.attributes, IFLA_LINK) || link.index),
    link_mode: line(() => 0),
    mtu: line((link) => number(link.attributes, IFLA_MTU)),
    netdev_group: line(() => 0),
    operstate: line((link) => OPERSTATES[byte(IFLA_OPERSTATE, 0)(link)] ?? 'unknown'),
    // A veth's, and that of most that containers are given.
    ...(currentLink(name)?.type === ARPHRD_ETHER && { duplex: line(() => 'full'), speed: line(() => 10000) }),
    statistics: Object.fromEntries(statistics),
    subsystem: '../../../../class/net',
    tx_queue_len: line((link) => number(link.attributes, IFLA_TXQLEN)),
    type: line((link) => link.type),
    uevent: text(() => `INTERFACE=${name}\nIFINDEX=${currentLink(name)?.index ?? 0}\n`),
  };
}
