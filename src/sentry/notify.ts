// sd_notify(3): a datagram socket at which the container's programs say that they are ready. The outside asks for that
// once (`notify` at the control socket) and tells the service manager of the host; nothing else passes.

import { SOCK_DGRAM } from '../abi/socket.ts';
import { WaitEntry } from '../base/wait-queue.ts';
import type { Task } from '../kernel/task.ts';
import { Message } from '../net/message.ts';
import { networkOf } from '../net/network.ts';
import { bindName } from '../net/unix/names.ts';
import { UnixPacketSocket } from '../net/unix/packet.ts';
import { READABLE } from '../net/unix/socket.ts';
import { allocateScratch, buffer, markScratch, releaseScratch } from '../platform/arena.ts';
import { drop } from '../vfs/open-file.ts';

const MAX_LENGTH = 4096;
const ANYBODY = 0o777;

let ready: string | null = null;
const waiting: ((line: string) => void)[] = [];

/** Binds the socket at a path. 0 or -errno. */
export function listenForReady(task: Task, path: string): number {
  const socket = new UnixPacketSocket(SOCK_DGRAM, null, networkOf(task));
  socket.inode.mode |= ANYBODY;
  const r = bindName(task, socket, `${path}\0`);
  if (r < 0) return r;
  if (socket.boundInode) socket.boundInode.mode |= ANYBODY;
  const message = new Message();
  socket.queue.add(new WaitEntry({ wake: () => take(socket, message) }), READABLE);
  return 0;
}

/** All that has come is taken; what says that the container is ready is kept. */
function take(socket: UnixPacketSocket, message: Message): boolean {
  const mark = markScratch();
  const at = allocateScratch(MAX_LENGTH);
  for (;;) {
    const n = socket.receive(message.set(at, MAX_LENGTH, 0));
    if (n < 0) break;
    for (const file of message.rights ?? []) drop(file);
    const lines = buffer.latin1Slice(at, at + n).split('\n');
    const line = lines.find((text) => /^READY=[\x20-\x7e]{0,64}$/.test(text));
    if (line !== undefined && ready === null) tell(line);
  }
  releaseScratch(mark);
  return true;
}

function tell(line: string): void {
  ready = line;
  for (const listener of waiting.splice(0)) listener(line);
}

/** Calls back once, with `READY=1`. */
export function whenReady(listener: (line: string) => void): void {
  if (ready !== null) listener(ready);
  else waiting.push(listener);
}
