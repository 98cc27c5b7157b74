// Rows of /proc/net/tcp, udp, unix and their like, and how many sockets there are.

import { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../../abi/socket.ts';
import { ROOT } from '../../base/credentials.ts';
import { shownId } from '../../base/user-namespace.ts';
import { kernel } from '../../kernel/kernel.ts';
import { type Endpoint, parseEndpoint } from '../../net/inet/address.ts';
import { InetSocket } from '../../net/inet/socket.ts';
import type { Network } from '../../net/network.ts';
import { openSockets, TCP_CLOSE, TCP_ESTABLISHED, tcpState } from '../../net/open-sockets.ts';
import type { Socket } from '../../net/socket.ts';
import { UnixSocket } from '../../net/unix/socket.ts';

/** Width of a row of /proc/net/tcp without its newline. */
const TCP_WIDTH = 149;
const TCP_TAIL = ' 100 0 0 10 0';
const UDP_WIDTH = 127;
/** Where the kernel shows an address of its own, which nobody may know. */
const NO_ADDRESS = '0'.repeat(16);
/** Families in a sockaddr_un come before its path. */
const PATH_START = 2;

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

/** An address as the tables show it: words in the machine's order, then the port. */
function shown(name: string | number, family: number): string {
  const length = family === AF_INET ? 4 : 16;
  const end = typeof name === 'number' ? -1 : parseEndpoint(name, family);
  if (typeof end === 'number') return `${'0'.repeat(2 * length)}:0000`;
  const { host, port }: Endpoint = end;
  const whole = host.length === length ? host : `${'\0'.repeat(10)}\xff\xff${host}`;
  let text = '';
  for (let i = 0; i < length; i += 4) for (let b = 3; b >= 0; b--) text += hex(whole.charCodeAt(i + b), 2);
  return `${text}:${hex(port, 4)}`;
}

function inetRow(socket: Socket, index: number, state: number): string {
  const { family } = socket;
  const queues = `${hex(socket.unsentBytes, 8)}:${hex(socket.listening ? 0 : socket.readableBytes, 8)}`;
  const where = `${shown(socket.getName(), family)} ${shown(socket.getPeerName(), family)}`;
  const { user } = kernel.current?.credentials ?? ROOT;
  const owner = `${String(shownId(user.uidMap, socket.inode.uid)).padStart(5)} ${'0'.padStart(8)} ${socket.inode.ino}`;
  return `${String(index).padStart(4)}: ${where} ${hex(state, 2)} ${queues} 00:00000000 00000000 ${owner} 1 ${NO_ADDRESS}`;
}

/** Rows of tcp and tcp6. */
export function tcpRows(network: Network, family: typeof AF_INET | typeof AF_INET6): string {
  return openSockets(network, family, SOCK_STREAM)
    .map((socket, i) => `${(inetRow(socket, i, tcpState(socket)) + TCP_TAIL).padEnd(TCP_WIDTH)}\n`)
    .join('');
}

/** Rows of udp and udp6: sockets that have a port. */
export function udpRows(network: Network, family: typeof AF_INET | typeof AF_INET6): string {
  return openSockets(network, family, SOCK_DGRAM)
    .filter((socket) => socket instanceof InetSocket && socket.localPort !== 0)
    .map((socket, i) => {
      const state = typeof socket.getPeerName() === 'string' ? TCP_ESTABLISHED : TCP_CLOSE;
      return `${`${inetRow(socket, i, state)} 0`.padEnd(UDP_WIDTH)}\n`;
    })
    .join('');
}

/** Rows of raw and raw6. */
export function rawRows(network: Network, family: typeof AF_INET | typeof AF_INET6): string {
  return openSockets(network, family, SOCK_RAW)
    .map((socket, i) => `${`${inetRow(socket, i, TCP_CLOSE)} 0`.padEnd(UDP_WIDTH)}\n`)
    .join('');
}

const SO_ACCEPTCON = 0x10000;
const SS_UNCONNECTED = 1;
const SS_CONNECTED = 3;

/** Rows of unix. */
export function unixRows(network: Network): string {
  let text = '';
  for (const socket of openSockets(network, AF_UNIX, null)) {
    const connected = socket instanceof UnixSocket && socket.peer !== null;
    const state = connected ? SS_CONNECTED : SS_UNCONNECTED;
    const flags = socket.listening ? SO_ACCEPTCON : 0;
    const path = socket.getName().slice(PATH_START).replace(/^\0/, '@').replace(/\0$/, '');
    const fields = `${hex(connected ? 3 : 2, 8)} 00000000 ${hex(flags, 8)} ${hex(socket.type, 4)} ${hex(state, 2)}`;
    const ino = String(socket.inode.ino).padStart(5);
    text += `${NO_ADDRESS}: ${fields} ${ino}${path === '' ? '' : ` ${path.replaceAll('\0', '@')}`}\n`;
  }
  return text;
}

/** How many sockets of a family and type have a port. */
function count(network: Network, family: number, type: number): number {
  return openSockets(network, family, type).filter((socket) => socket instanceof InetSocket && socket.localPort !== 0)
    .length;
}

/** /proc/net/sockstat */
export function socketCounts(network: Network): string {
  const families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
  const all = families.reduce((sum, family) => sum + openSockets(network, family, null).length, 0);
  const streams =
    openSockets(network, AF_INET, SOCK_STREAM).length + openSockets(network, AF_INET6, SOCK_STREAM).length;
  return (
    `sockets: used ${all}\nTCP: inuse ${count(network, AF_INET, SOCK_STREAM)} orphan 0 tw 0 alloc ${streams} mem 0\n` +
    `UDP: inuse ${count(network, AF_INET, SOCK_DGRAM)} mem 0\nUDPLITE: inuse 0\n` +
    `RAW: inuse ${count(network, AF_INET, SOCK_RAW)}\nFRAG: inuse 0 memory 0\n`
  );
}

/** /proc/net/sockstat6 */
export function socketCounts6(network: Network): string {
  const [tcp, udp, raw] = [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW].map((type) => count(network, AF_INET6, type));
  return `TCP6: inuse ${tcp}\nUDP6: inuse ${udp}\nUDPLITE6: inuse 0\nRAW6: inuse ${raw}\nFRAG6: inuse 0 memory 0\n`;
}

const IP_COUNTERS =
  'Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits';
const ICMP_COUNTERS =
  'InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps';
const TCP_COUNTERS =
  'RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors';
const UDP_COUNTERS =
  'InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors';

/** /proc/net/snmp: settings and the number of connections. No packets are made here, so there are none to count. */
export function protocolCounters(network: Network): string {
  const connected = [AF_INET, AF_INET6].flatMap((family) => openSockets(network, family, SOCK_STREAM));
  const known = new Map([
    ['Forwarding', 2], // not
    ['DefaultTTL', 64],
    ['RtoAlgorithm', 1],
    ['RtoMin', 200],
    ['RtoMax', 120000],
    ['MaxConn', -1],
    ['CurrEstab', connected.filter((socket) => tcpState(socket) === TCP_ESTABLISHED).length],
  ]);
  return [
    ['Ip', IP_COUNTERS],
    ['Icmp', ICMP_COUNTERS],
    ['Tcp', TCP_COUNTERS],
    ['Udp', UDP_COUNTERS],
    ['UdpLite', UDP_COUNTERS],
  ]
    .map(([name = '', counters = '']) => {
      const values = counters.split(' ').map((counter) => known.get(counter) ?? 0);
      return `${name}: ${counters}\n${name}: ${values.join(' ')}\n`;
    })
    .join('');
}
