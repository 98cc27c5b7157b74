// /proc/net: the network as far as there is one in the sandbox: the loopback interface and the sockets.

import { AF_INET, AF_INET6 } from '../../abi/socket.ts';
import { LOOPBACK_NAME } from '../../net/interfaces.ts';
import type { Network } from '../../net/network.ts';
import type { Tree } from '../virtual/directory.ts';
import { tcpRows, udpRows, unixRows } from './sockets.ts';
import { text } from './system.ts';

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
const DEV =
  'Inter-|   Receive                                                |  Transmit\n' +
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';
/** The loopback moves bytes from socket to socket; there are no packets to be counted. */
const LOOPBACK_ROW = `${LOOPBACK_NAME.padStart(6)}:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n`;
const ROUTE =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n';

/** The directory /proc/PID/net of the processes in a network. */
export const netFiles = (network: Network): Tree => ({
  arp: text(() => 'IP address       HW type     Flags       HW address            Mask     Device\n'),
  dev: text(() => DEV + LOOPBACK_ROW),
  if_inet6: text(() =>
    network.loopbackUp ? `${'1'.padStart(32, '0')} 01 80 10 80 ${LOOPBACK_NAME.padStart(8)}\n` : '',
  ),
  ipv6_route: text(() => ''),
  netlink: text(() => 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n'),
  packet: text(() => 'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n'),
  raw: text(() => RAW),
  raw6: text(() => UDP6),
  route: text(() => ROUTE),
  tcp: text(() => TCP + tcpRows(network, AF_INET)),
  tcp6: text(() => TCP6 + tcpRows(network, AF_INET6)),
  udp: text(() => UDP + udpRows(network, AF_INET)),
  udp6: text(() => UDP6 + udpRows(network, AF_INET6)),
  unix: text(() => `Num       RefCount Protocol Flags    Type St Inode Path\n${unixRows(network)}`),
});
