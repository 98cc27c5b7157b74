// /proc/net: the network as far as there is one in the sandbox. The tables have their headings and no rows until the
// address families register what they have.

import type { Tree } from '../virtual/directory.ts';
import { text } from './system.ts';

/** Rows of one table of /proc/net, each with its newline; called whenever the table is read. */
export type NetRows = () => string;

const rows = new Map<string, NetRows>();

/** Puts rows below the heading of a table: `unix`, `tcp`, `tcp6`, `udp`, `udp6`, `raw`, `raw6`, `dev`, `route`, … */
export function registerNetRows(table: string, source: NetRows): void {
  rows.set(table, source);
}

const TCP =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n';
const TCP6 =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const UDP =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n';
const RAW =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';
const UDP6 =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';

const HEADINGS: Readonly<Record<string, string>> = {
  arp: 'IP address       HW type     Flags       HW address            Mask     Device\n',
  dev:
    'Inter-|   Receive                                                |  Transmit\n' +
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n',
  if_inet6: '',
  ipv6_route: '',
  netlink: 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n',
  packet: 'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n',
  protocols:
    'protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n',
  raw: RAW,
  raw6: UDP6,
  route:
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n',
  tcp: TCP,
  tcp6: TCP6,
  udp: UDP,
  udp6: UDP6,
  unix: 'Num       RefCount Protocol Flags    Type St Inode Path\n',
};

/** The directory /proc/PID/net. */
export function netTree(): Tree {
  const tree: Record<string, Tree[string]> = {};
  for (const [name, heading] of Object.entries(HEADINGS)) {
    tree[name] = text(() => heading + (rows.get(name)?.() ?? ''));
  }
  return tree;
}
