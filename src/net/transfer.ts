// Sending and receiving for system calls: gathering and scattering, waiting for room or for data, SIGPIPE. A call that
// waits is made again from its start; `task.progress` tells how much of it is done (see `Progress`).

import { EAGAIN, EINTR, EMSGSIZE, EPIPE, ERESTARTSYS } from '../abi/errno.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import { SI_USER, SIGPIPE } from '../abi/signal.ts';
import {
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  SOCK_STREAM,
} from '../abi/socket.ts';
import { block, setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToTask } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { IO_CHUNK, markScratch, releaseScratch } from '../platform/arena.ts';
import { Message } from './message.ts';
import { discardRights } from './rights.ts';
import type { Socket } from './socket.ts';
import { type MessageHeader, readControl, type Vectors } from './user-message.ts';

/**
 * `task.progress` of a call with several messages: messages done times this, plus bytes of the one under way. A
 * message is shorter (MAX_RW_COUNT).
 */
export const MESSAGE_STEP = 2 ** 31;

/** Longest datagram that is looked at at all. */
const LONGEST_PACKET = 4 << 20;

/** What was received last, or is being sent. One at a time: no handler runs inside another. */
export const message = new Message();

/** Waits on a socket until it is readable or writable. WAIT, -EAGAIN when `timeout` (ns) is over, or interrupted. */
export function waitForSocket(task: Task, socket: Socket, events: number, timeout: number): number {
  setTimeoutOnce(task, timeout);
  if (timedOut(task)) return -EAGAIN;
  // A call with a timeout is not restarted: it would wait for the whole of it again (signal(7)).
  return block(task, socket.queue, events, timeout === Number.POSITIVE_INFINITY ? ERESTARTSYS : EINTR);
}

/**
 * Sends one message: the buffers in `vectors`, to `address` (null: the peer), with the control messages of `header`.
 * `step` is where this message's part of `task.progress` starts. Bytes sent, WAIT or -errno.
 */
export function sendMessage(
  task: Task,
  socket: Socket,
  vectors: Vectors,
  address: string | null,
  header: MessageHeader | null,
  flags: number,
  step = 0,
): number {
  const { total } = vectors;
  const { streaming } = socket;
  if (!streaming && total > LONGEST_PACKET) return -EMSGSIZE;
  let sent = Math.max(0, task.progress - step);
  for (;;) {
    const scratch = markScratch();
    const length = streaming ? Math.min(total - sent, IO_CHUNK, socket.writeRoom) : total;
    const at = vectors.gather(task, sent, length);
    if (at < 0) return sent > 0 ? sent : at;
    message.set(at, length, flags);
    message.address = address;
    if (header && sent === 0) {
      const failed = readControl(task, header, message);
      if (failed < 0) return failed;
    }
    const n = socket.send(task, message);
    if (message.rights) discardRights(message.rights);
    releaseScratch(scratch);
    if (n >= 0) {
      sent += n;
      if (n === 0 || !streaming || sent >= total) return sent;
    } else if (n === -EAGAIN && !socket.nonblocking && !(flags & MSG_DONTWAIT)) {
      task.progress = step + sent;
      const waiting = waitForSocket(task, socket, POLLOUT, socket.sendTimeout);
      return waiting === WAIT || sent === 0 ? waiting : sent;
    } else {
      if (n === -EPIPE && sent === 0) raisePipe(task, socket, flags);
      return sent > 0 ? sent : n;
    }
  }
}

function raisePipe(task: Task, socket: Socket, flags: number): void {
  if (flags & MSG_NOSIGNAL || socket.type !== SOCK_STREAM) return;
  sendSignalToTask(
    task,
    signalInfo(SIGPIPE, SI_USER, { pid: task.group.localPid, uid: uidSeen(task, task.credentials.uid) }),
  );
}

/**
 * Receives one message into the buffers of `vectors`; what came with it is in `message`. Bytes are handed over with the
 * answer or, if `now`, at once. `step` as for `sendMessage`. The call's result, WAIT or -errno.
 */
export function receiveMessage(
  task: Task,
  socket: Socket,
  vectors: Vectors,
  flags: number,
  now: boolean,
  step = 0,
): number {
  const { total } = vectors;
  let got = Math.max(0, task.progress - step);
  const target = targetOf(socket, flags, total);
  message.set(0, 0, flags);
  for (;;) {
    // An urgent byte lies outside the stream.
    const ready = flags & MSG_OOB ? 1 : socket.receiveBound;
    const room = Math.min(total - got, ready, IO_CHUNK);
    const at = task.memory.reserve(room);
    if (at < 0) return at;
    const n = socket.receive(message.set(at, room, flags));
    // Nobody waits for errors.
    if (n === -EAGAIN && !socket.nonblocking && !(flags & (MSG_DONTWAIT | MSG_ERRQUEUE))) {
      task.progress = step + got;
      const waiting = waitForSocket(task, socket, POLLIN, socket.receiveTimeout);
      return waiting === WAIT || got === 0 ? waiting : got;
    }
    if (n <= 0) {
      if (got === 0) return n;
      if (n < 0 && n !== -EAGAIN) socket.error = -n;
      return got;
    }
    const more = got + n < target && message.rights === null;
    const failed = vectors.scatter(task, got, at, message.copied, now || more);
    if (failed < 0) return failed;
    got += n;
    if (!more) return got;
  }
}

/** How many bytes a receive waits for: all with MSG_WAITALL, else as many as SO_RCVLOWAT says. */
function targetOf(socket: Socket, flags: number, total: number): number {
  if (!socket.streaming || flags & (MSG_PEEK | MSG_OOB)) return 0;
  return flags & MSG_WAITALL ? total : Math.min(total, socket.receiveLowWater);
}
