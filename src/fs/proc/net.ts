// /proc/net: the network as it is seen from the sandbox: interfaces (interfaces.ts) and sockets (sockets.ts).

import { AF_INET, AF_INET6 } from '../../abi/socket.ts';
import type { Network } from '../../net/network.ts';
import type { Tree } from '../virtual/directory.ts';
import { addressRows6, deviceRows, neighbourRows, routeRows, routeRows6 } from './interfaces.ts';
import { groupRows, groupRows6 } from './multicast-groups.ts';
import { protocolCounters, rawRows, socketCounts, socketCounts6, tcpRows, udpRows, unixRows } from './sockets.ts';
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
const ROUTE =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n';

/** The directory /proc/PID/net of the processes in a network. */
export const netFiles = (network: Network): Tree => ({
  arp: text(
    () => `IP address       HW type     Flags       HW address            Mask     Device\n${neighbourRows(network)}`,
  ),
  dev: text(() => DEV + deviceRows(network)),
  if_inet6: text(() => addressRows6(network)),
  igmp: text(() => `Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n${groupRows(network)}`),
  igmp6: text(() => groupRows6(network)),
  ipv6_route: text(() => routeRows6(network)),
  netlink: text(() => 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n'),
  packet: text(() => 'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n'),
  raw: text(() => RAW + rawRows(network, AF_INET)),
  raw6: text(() => UDP6 + rawRows(network, AF_INET6)),
  route: text(() => ROUTE + routeRows(network)),
  snmp: text(() => protocolCounters(network)),
  sockstat: text(() => socketCounts(network)),
  sockstat6: text(() => socketCounts6(network)),
  tcp: text(() => TCP + tcpRows(network, AF_INET)),
  tcp6: text(() => TCP6 + tcpRows(network, AF_INET6)),
  udp: text(() => UDP + udpRows(network, AF_INET)),
  udp6: text(() => UDP6 + udpRows(network, AF_INET6)),
  unix: text(() => `Num       RefCount Protocol Flags    Type St Inode Path\n${unixRows(network)}`),
});
