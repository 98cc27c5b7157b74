// The sockets of a network that some task has a descriptor for, for those who list them (/proc/net, sock_diag). (Those that
// only wait in a listener's backlog are nobody's yet and do not show.)

import { SOL_TCP, TCP_INFO } from '../abi/socket.ts';
import { kernel } from '../kernel/kernel.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../platform/arena.ts';
import type { Network } from './network.ts';
import { Socket } from './socket.ts';

const TCP_INFO_SIZE = 256;
export const TCP_ESTABLISHED = 1;
export const TCP_CLOSE = 7;

/** The sockets of a network by family and type, each once. */
export function openSockets(network: Network, family: number, type: number | null): Socket[] {
  const found = new Set<Socket>();
  for (const files of new Set([...kernel.tasks.values()].map((task) => task.files))) {
    for (const file of files.files) {
      if (!(file instanceof Socket) || file.network !== network) continue;
      if (file.family === family && (type === null || file.type === type)) found.add(file);
    }
  }
  return [...found];
}

/** State of a TCP socket by the numbers of the tables. */
export function tcpState(socket: Socket): number {
  const mark = markScratch();
  const at = allocateScratch(TCP_INFO_SIZE);
  const state = at >= 0 && socket.getProtocolOption(SOL_TCP, TCP_INFO, at, TCP_INFO_SIZE) > 0 ? u8[at] : TCP_CLOSE;
  releaseScratch(mark);
  return state;
}
