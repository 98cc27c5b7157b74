// A bound on what the buffers of all sockets take of the sentry's memory, as tcp_mem(5) and udp_mem are on Linux: when they
// hold much in all, each may hold only little.

import { memoryTotal } from '../platform/machine.ts';
import { ringMemory } from '../vfs/byte-ring.ts';

const MOST = 256 << 20;
const LEAST = 4096;
/** A part of the machine's memory. */
const SHARE = 8;

let limit = 0;

/** How much of its buffer's size a socket may use now. */
export function usable(size: number): number {
  if (limit === 0) limit = Math.min(MOST, memoryTotal() / SHARE || MOST);
  return ringMemory() > limit ? Math.min(size, LEAST) : size;
}
