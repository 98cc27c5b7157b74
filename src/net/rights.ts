// Open files on their way between processes (SCM_RIGHTS, unix(7)). Each holds a reference while it lies in a receive
// queue. Sockets that lie in each other's queues and nowhere else would live for ever: a collector, as Linux has one,
// finds sockets all of whose references are in flight and that no other socket's queue leads to, and empties them.

import { ETOOMANYREFS } from '../abi/errno.ts';
import { addInvariant } from '../base/invariants.ts';
import { drop, type OpenFile } from '../vfs/open-file.ts';
import type { Socket } from './socket.ts';

/** Even privileged tasks cannot have more files in flight than this. */
const HARD_LIMIT = 1 << 18;

/** How often each socket is in flight. Other files cannot close a cycle and are only counted. */
const flying = new Map<Socket, number>();
let inFlight = 0;

/** Whether `count` more files may be sent by a task with this RLIMIT_NOFILE: 0 or -ETOOMANYREFS. */
export function checkInFlight(count: number, limit: number): number {
  return inFlight + count > Math.min(limit, HARD_LIMIT) ? -ETOOMANYREFS : 0;
}

/** Files enter a receive queue, references and all. */
export function launchRights(files: readonly OpenFile[]): void {
  inFlight += files.length;
  for (const file of files) if (isSocket(file)) flying.set(file, (flying.get(file) ?? 0) + 1);
}

/** Files have left a receive queue; the references are the taker's. */
export function landRights(files: readonly OpenFile[]): void {
  inFlight -= files.length;
  for (const file of files) {
    if (!isSocket(file)) continue;
    const count = (flying.get(file) ?? 1) - 1;
    if (count > 0) flying.set(file, count);
    else flying.delete(file);
  }
}

const doomed: OpenFile[] = [];
let dropping = false;

/**
 * Drops files that nobody took. One that is released may hold others in its queue: these are dropped after it and not
 * within it, so that a long chain needs no deep stack.
 */
export function discardRights(files: readonly OpenFile[]): void {
  doomed.push(...files);
  if (dropping) return;
  dropping = true;
  for (let file = doomed.pop(); file; file = doomed.pop()) drop(file);
  dropping = false;
}

/** To be called when a socket that can carry files is released. */
export function collectCycles(): void {
  if (flying.size === 0 || dropping) return;
  const garbage = new Set<Socket>();
  for (const [socket, count] of flying) if (socket.refs === count) garbage.add(socket);
  if (garbage.size === 0) return;
  // What a living socket's queue leads to, lives. Sockets that are not in flight are alive by themselves.
  const alive: Socket[] = [];
  for (const socket of carriers) if (!garbage.has(socket)) alive.push(socket);
  for (let socket = alive.pop(); socket; socket = alive.pop()) {
    for (const file of socket.queuedRights()) {
      if (isSocket(file) && garbage.delete(file)) alive.push(file);
    }
  }
  for (const socket of garbage) socket.purgeQueue();
}

/** Sockets whose receive queue holds rights now. */
export const carriers = new Set<Socket>();

function isSocket(file: OpenFile): file is Socket {
  return 'queuedRights' in file;
}

addInvariant((fail) => {
  const counts = new Map<Socket, number>();
  let sum = 0;
  for (const socket of carriers) {
    for (const file of socket.queuedRights()) {
      sum++;
      if (file.refs < 1) fail('a file is on its way and has no reference');
      if (isSocket(file)) counts.set(file, (counts.get(file) ?? 0) + 1);
    }
  }
  if (sum !== inFlight) fail(`${sum} files are on their way, counted ${inFlight}`);
  for (const [socket, count] of flying)
    if (counts.get(socket) !== count) fail(`a socket is on its way ${counts.get(socket) ?? 0} times, counted ${count}`);
});
