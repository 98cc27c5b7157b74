// System V message queues (msgop(2)): messages in order of sending, taken by type.

import { ENOMSG } from '../../abi/errno.ts';
import {
  MSG_COPY,
  MSG_EXCEPT,
  MSQID_CBYTES,
  MSQID_CTIME,
  MSQID_LRPID,
  MSQID_LSPID,
  MSQID_QBYTES,
  MSQID_QNUM,
  MSQID_RTIME,
  MSQID_SIZE,
  MSQID_STIME,
} from '../../abi/ipc.ts';
import type { Credentials } from '../../base/credentials.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { i32, u8, writeU64 } from '../../platform/arena.ts';
import { type Numbered, numberIn } from '../pid-namespaces.ts';
import type { Task } from '../task.ts';
import { IpcObject, type IpcTable, nowSeconds } from './ids.ts';

export interface Message {
  readonly type: number;
  /** Byte string. */
  readonly text: string;
}

/** What the messages of all queues may take of the sentry's memory, whatever the queues' own limits are set to. */
const TOTAL_MAX = 64 << 20;
/** Each message counts for this beside its text. */
const OVERHEAD = 64;
let total = 0;

export class MessageQueue extends IpcObject {
  readonly messages: Message[] = [];
  bytes = 0;
  /** Most bytes it holds. */
  maxBytes: number;
  sendTime = 0;
  receiveTime = 0;
  lastSender: Numbered | null = null;
  lastReceiver: Numbered | null = null;
  /** Woken when a message comes, when room comes, and when the queue goes. */
  readonly queue = new WaitQueue();

  constructor(key: number, mode: number, owner: Credentials, maxBytes: number) {
    super(key, mode, owner);
    this.maxBytes = maxBytes;
  }

  hasRoom(length: number): boolean {
    const fits = this.bytes + length <= this.maxBytes && this.messages.length < this.maxBytes;
    return fits && total + length + OVERHEAD <= TOTAL_MAX;
  }

  send(message: Message, by: Numbered): void {
    this.messages.push(message);
    this.bytes += message.text.length;
    total += message.text.length + OVERHEAD;
    this.sendTime = nowSeconds();
    this.lastSender = by;
    this.queue.wake(1);
  }

  /** Index of the message that msgrcv(2) takes for a type and flags, or -ENOMSG. */
  select(type: number, flags: number): number {
    const { messages } = this;
    if (flags & MSG_COPY) return type >= 0 && type < messages.length ? type : -ENOMSG;
    let found = -ENOMSG;
    for (let index = 0; index < messages.length; index++) {
      const own = messages[index].type;
      if (type === 0) return index;
      if (type > 0) {
        if ((own === type) !== ((flags & MSG_EXCEPT) !== 0)) return index;
      } else if (own <= -type && (found < 0 || own < messages[found].type)) found = index;
    }
    return found;
  }

  take(index: number, by: Numbered): void {
    const [message] = this.messages.splice(index, 1);
    this.bytes -= message.text.length;
    total -= message.text.length + OVERHEAD;
    this.receiveTime = nowSeconds();
    this.lastReceiver = by;
    this.queue.wake(1);
  }

  /** Lays down a struct msqid64_ds. */
  put(at: number, viewer: Task): void {
    u8.fill(0, at, at + MSQID_SIZE);
    this.putPermissions(at, viewer);
    writeU64(at + MSQID_STIME, this.sendTime);
    writeU64(at + MSQID_RTIME, this.receiveTime);
    writeU64(at + MSQID_CTIME, this.changeTime);
    writeU64(at + MSQID_CBYTES, this.bytes);
    writeU64(at + MSQID_QNUM, this.messages.length);
    writeU64(at + MSQID_QBYTES, this.maxBytes);
    i32[(at + MSQID_LSPID) >>> 2] = numberIn(viewer.pidNamespace, this.lastSender);
    i32[(at + MSQID_LRPID) >>> 2] = numberIn(viewer.pidNamespace, this.lastReceiver);
  }
}

/** The queue goes; whoever waits at it is told. */
export function removeMessageQueue(table: IpcTable<MessageQueue>, queue: MessageQueue): void {
  table.remove(queue);
  total -= queue.bytes + OVERHEAD * queue.messages.length;
  queue.queue.wake(1);
}
