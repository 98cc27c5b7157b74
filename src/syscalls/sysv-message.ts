// System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { E2BIG, EAGAIN, EIDRM, EINTR, EINVAL, ENOMSG, EPERM } from '../abi/errno.ts';
import {
  IPC_INFO,
  IPC_NOWAIT,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  MSG_COPY,
  MSG_EXCEPT,
  MSG_INFO,
  MSG_NOERROR,
  MSG_STAT,
  MSG_STAT_ANY,
  MSGINFO_SIZE,
  MSGMAX,
  MSGMNB,
  MSGMNI,
  MSQID_QBYTES,
  MSQID_SIZE,
} from '../abi/ipc.ts';
import type { UserAddress } from '../base/brands.ts';
import { capableIn } from '../base/credentials.ts';
import { sysctlNumber } from '../fs/proc/sysctl.ts';
import { block } from '../kernel/block.ts';
import { MAY_READ_IPC, MAY_WRITE_IPC } from '../kernel/ipc/ids.ts';
import { MessageQueue, removeMessageQueue } from '../kernel/ipc/messages.ts';
import { objectsOf } from '../kernel/ipc/objects.ts';
import type { Task } from '../kernel/task.ts';
import { i32, readBytes, readS64, readU64, u8, u16, writeBytes, writeU64 } from '../platform/arena.ts';

const TYPE_SIZE = 8;

/** msgget(2) */
export function msgget(task: Task, key: number, flags: number): number {
  const { credentials } = task;
  const make = (): MessageQueue => new MessageQueue(key | 0, flags, credentials, sysctlNumber('kernel.msgmnb', MSGMNB));
  return objectsOf(task).messageQueues.get(
    key | 0,
    flags,
    credentials,
    sysctlNumber('kernel.msgmni', MSGMNI),
    make,
    () => 0,
  );
}

/** The queue that a call means: the same as before when it is tried again, which may be gone by now. */
function queueOf(task: Task, id: number, want: number): MessageQueue | number {
  if (task.resumed) {
    const before = task.pendingObject as MessageQueue;
    if (before.removed) return -EIDRM;
  }
  const queue = objectsOf(task).messageQueues.find(id);
  if (!queue) return -EINVAL;
  const allowed = queue.check(task.credentials, want);
  return allowed < 0 ? allowed : queue;
}

/** msgsnd(2): waits for room; not made again after a signal. */
export function msgsnd(task: Task, msqid: number, message: UserAddress, size: number, flags: number): number {
  if (!(size >= 0 && size <= sysctlNumber('kernel.msgmax', MSGMAX)) || msqid < 0) return -EINVAL;
  const at = task.memory.in(message, TYPE_SIZE + size);
  if (at < 0) return at;
  const type = readS64(at);
  if (type < 1) return -EINVAL;
  const queue = queueOf(task, msqid, MAY_WRITE_IPC);
  if (typeof queue === 'number') return queue;
  if (!queue.hasRoom(size)) {
    if (flags & IPC_NOWAIT) return -EAGAIN;
    task.pendingObject = queue;
    return block(task, queue.queue, 1, EINTR);
  }
  queue.send({ type, text: readBytes(at + TYPE_SIZE, size) }, task.group.identity);
  return 0;
}

/** msgrcv(2): waits for a message; not made again after a signal. */
export function msgrcv(
  task: Task,
  msqid: number,
  message: UserAddress,
  size: number,
  type: number,
  flags: number,
): number {
  if (msqid < 0 || !(size >= 0 && size <= Number.MAX_SAFE_INTEGER)) return -EINVAL;
  if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT))) return -EINVAL;
  const queue = queueOf(task, msqid, MAY_READ_IPC);
  if (typeof queue === 'number') return queue;
  const index = queue.select(type, flags);
  if (index < 0) {
    if (flags & IPC_NOWAIT) return -ENOMSG;
    task.pendingObject = queue;
    return block(task, queue.queue, 1, EINTR);
  }
  const { type: own, text } = queue.messages[index];
  if (text.length > size && !(flags & MSG_NOERROR)) return -E2BIG;
  // A copy is of the whole message, or there is none.
  if (text.length > size && flags & MSG_COPY) return -EINVAL;
  const length = Math.min(text.length, size);
  const at = task.memory.out(message, TYPE_SIZE + length);
  if (at < 0) return at;
  writeU64(at, own);
  writeBytes(at + TYPE_SIZE, text.slice(0, length));
  if (!(flags & MSG_COPY)) queue.take(index, task.group.identity);
  return length;
}

/** msgctl(2) */
export function msgctl(task: Task, msqid: number, command: number, buffer: UserAddress): number {
  if (msqid < 0 || command < 0) return -EINVAL;
  switch (command) {
    case IPC_INFO:
    case MSG_INFO:
      return information(task, command, buffer);
    case MSG_STAT:
    case MSG_STAT_ANY:
    case IPC_STAT:
      return status(task, msqid, command, buffer);
    case IPC_SET:
      return change(task, msqid, buffer);
    case IPC_RMID: {
      const queue = objectsOf(task).messageQueues.find(msqid);
      if (!queue) return -EINVAL;
      const allowed = queue.checkOwner(task.credentials);
      if (allowed === 0) removeMessageQueue(objectsOf(task).messageQueues, queue);
      return allowed;
    }
    default:
      return -EINVAL;
  }
}

/** struct msginfo: limits, or for MSG_INFO what there is. */
function information(task: Task, command: number, buffer: UserAddress): number {
  const at = task.memory.out(buffer, MSGINFO_SIZE);
  if (at < 0) return at;
  const i = at >>> 2;
  u8.fill(0, at, at + MSGINFO_SIZE);
  i32[i + 2] = sysctlNumber('kernel.msgmax', MSGMAX);
  i32[i + 3] = sysctlNumber('kernel.msgmnb', MSGMNB);
  i32[i + 4] = sysctlNumber('kernel.msgmni', MSGMNI);
  i32[i + 5] = 16;
  const { messageQueues } = objectsOf(task);
  if (command === MSG_INFO) {
    const queues = messageQueues.objects.filter((queue) => queue !== null);
    i32[i] = queues.length;
    i32[i + 1] = queues.reduce((sum, queue) => sum + queue.messages.length, 0);
    i32[i + 6] = queues.reduce((sum, queue) => sum + queue.bytes, 0);
  } else {
    i32[i] = (i32[i + 4] * i32[i + 3]) / 1024;
    i32[i + 1] = i32[i + 3];
    i32[i + 6] = i32[i + 3];
  }
  u16[(at + 28) >>> 1] = 0xffff;
  return messageQueues.highest;
}

function status(task: Task, id: number, command: number, buffer: UserAddress): number {
  const byIndex = command !== IPC_STAT;
  const { messageQueues } = objectsOf(task);
  const queue = byIndex ? messageQueues.at(id) : messageQueues.find(id);
  if (!queue) return -EINVAL;
  const allowed = command === MSG_STAT_ANY ? 0 : queue.check(task.credentials, MAY_READ_IPC);
  if (allowed < 0) return allowed;
  const at = task.memory.out(buffer, MSQID_SIZE);
  if (at < 0) return at;
  queue.put(at, task);
  return byIndex ? queue.id : 0;
}

function change(task: Task, id: number, buffer: UserAddress): number {
  const at = task.memory.in(buffer, MSQID_SIZE);
  if (at < 0) return at;
  const queue = objectsOf(task).messageQueues.find(id);
  if (!queue) return -EINVAL;
  const allowed = queue.checkOwner(task.credentials);
  if (allowed < 0) return allowed;
  const bytes = readU64(at + MSQID_QBYTES);
  const beyond = bytes > sysctlNumber('kernel.msgmnb', MSGMNB);
  if (beyond && !capableIn(queue.ruler, task.credentials, CAP_SYS_RESOURCE)) return -EPERM;
  const r = queue.setPermissions(at, task);
  if (r < 0) return r;
  queue.maxBytes = bytes;
  queue.queue.wake(1);
  return 0;
}
