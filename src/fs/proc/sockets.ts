// Rows of /proc/net/tcp, udp, unix and their like: the sockets that some task has a descriptor for. (Those that only
// wait in a listener's backlog are nobody's yet and do not show.)

import {
  AF_INET,
  type AF_INET6,
  AF_UNIX,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_TCP,
  TCP_INFO,
} from '../../abi/socket.ts';
import { ROOT } from '../../base/credentials.ts';
import { shownId } from '../../base/user-namespace.ts';
import { kernel } from '../../kernel/kernel.ts';
import { type Endpoint, parseEndpoint } from '../../net/inet/address.ts';
import { InetSocket } from '../../net/inet/socket.ts';
import type { Network } from '../../net/network.ts';
import { Socket } from '../../net/socket.ts';
import { UnixSocket } from '../../net/unix/socket.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../../platform/arena.ts';

const TCP_INFO_SIZE = 256;
const TCP_ESTABLISHED = 1;
const TCP_CLOSE = 7;
/** Width of a row of /proc/net/tcp without its newline. */
const TCP_WIDTH = 149;
const TCP_TAIL = ' 100 0 0 10 0';
const UDP_WIDTH = 127;
/** Where the kernel shows an address of its own, which nobody may know. */
const NO_ADDRESS = '0'.repeat(16);
/** Families in a sockaddr_un come before its path. */
const PATH_START = 2;

/** The sockets of a network by family and type, each once. */
function openSockets(network: Network, family: number, type: number | null): Socket[] {
  const found = new Set<Socket>();
  for (const files of new Set([...kernel.tasks.values()].map((task) => task.files))) {
    for (const file of files.files) {
      if (!(file instanceof Socket) || file.network !== network) continue;
      if (file.family === family && (type === null || file.type === type)) found.add(file);
    }
  }
  return [...found];
}

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

/** State of a TCP socket by the numbers of the tables. */
function tcpState(socket: Socket): number {
  const mark = markScratch();
  const at = allocateScratch(TCP_INFO_SIZE);
  const state = at >= 0 && socket.getProtocolOption(SOL_TCP, TCP_INFO, at, TCP_INFO_SIZE) > 0 ? u8[at] : TCP_CLOSE;
  releaseScratch(mark);
  return state;
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
