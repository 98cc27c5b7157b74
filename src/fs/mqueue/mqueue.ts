// POSIX message queues (mq_overview(7)): bounded queues by priority, by names of their own. An open queue is a
// descriptor that can be polled; reading it tells its state.

import { EAGAIN, EMSGSIZE } from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll.ts';
import { S_IFREG } from '../../abi/stat.ts';
import type { Credentials } from '../../base/credentials.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import type { NamedQueue } from '../../kernel/ipc/objects.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, numberIn } from '../../kernel/pid-namespaces.ts';
import type { Task, ThreadGroup } from '../../kernel/task.ts';
import type { NetlinkSocket } from '../../net/netlink/socket.ts';
import { writeBytes } from '../../platform/arena.ts';
import { AnonymousInode } from '../../vfs/anonymous.ts';
import type { Path } from '../../vfs/dentry.ts';
import { OpenFile } from '../../vfs/open-file.ts';

interface Message {
  readonly priority: number;
  /** Byte string. */
  readonly text: string;
}

/** Who is to be told of the next message that comes to an empty queue (mq_notify(3)). */
export interface Notification {
  readonly group: ThreadGroup;
  /** 0: nobody is sent anything, but the place is taken. */
  readonly signo: number;
  readonly valueLow: number;
  readonly valueHigh: number;
  /** For SIGEV_THREAD the C library waits at a netlink socket for the cookie that it gave; null otherwise. */
  readonly socket: NetlinkSocket | null;
  readonly cookie: string;
}

/** Length of a cookie, whose last byte says what has become of the notification. */
export const COOKIE_SIZE = 32;
const NOTIFY_WOKENUP = '\x01';
const NOTIFY_REMOVED = '\x02';

/** Tells who waits at a socket that its message has come; false when that is not how it wants to be told. */
export function wakeByCookie({ socket, cookie }: Notification): boolean {
  socket?.deliver(cookie.slice(0, COOKIE_SIZE - 1) + NOTIFY_WOKENUP);
  return socket !== null;
}

/** Nobody will be notified by this any more. */
export function forgetNotification(queue: MessageQueueInode): void {
  const { notification } = queue;
  queue.notification = null;
  notification?.socket?.deliver(notification.cookie.slice(0, COOKIE_SIZE - 1) + NOTIFY_REMOVED);
}

/** What stat(2) says of every queue's size. */
const STATE_SIZE = 80;
/** What the messages of all queues may take of the sentry's memory, whatever RLIMIT_MSGQUEUE says. */
const TOTAL_MAX = 64 << 20;
/** Each message counts for this beside its text. */
const OVERHEAD = 64;
let total = 0;
/** Queues in all namespaces, those without a name among them. */
let queues = 0;
const QUEUES_MOST = 1 << 16;

export const tooManyQueues = (): boolean => queues >= QUEUES_MOST;

export class MessageQueueInode extends AnonymousInode implements NamedQueue {
  /** Where its name is, until it is unlinked. */
  private readonly names: ReadonlyMap<string, NamedQueue>;
  readonly maxMessages: number;
  readonly messageSize: number;
  /** By priority, highest first, and within one in order of sending. */
  readonly messages: Message[] = [];
  readonly queue = new WaitQueue();
  notification: Notification | null = null;
  readonly name: string;

  constructor(
    names: ReadonlyMap<string, NamedQueue>,
    name: string,
    mode: number,
    owner: Credentials,
    maxMessages: number,
    messageSize: number,
  ) {
    super(S_IFREG | (mode & 0o777), owner);
    this.size = STATE_SIZE;
    this.names = names;
    this.name = name;
    this.maxMessages = maxMessages;
    this.messageSize = messageSize;
    queues++;
  }

  override open(path: Path, flags: number): OpenFile {
    return new MessageQueueFile(path, this, flags);
  }

  /** 0, or -EAGAIN when it is full. Whoever asked is to be notified by the caller: see `takeNotification`. */
  send(text: string, priority: number): number {
    if (this.messages.length >= this.maxMessages || total + text.length + OVERHEAD > TOTAL_MAX) return -EAGAIN;
    total += text.length + OVERHEAD;
    let index = this.messages.length;
    while (index > 0 && this.messages[index - 1].priority < priority) index--;
    this.messages.splice(index, 0, { priority, text });
    this.queue.wake(POLLIN | POLLRDNORM);
    return 0;
  }

  /** The next message, or -EAGAIN when there is none, -EMSGSIZE when less than the largest would be taken. */
  receive(room: number): Message | number {
    if (room < this.messageSize) return -EMSGSIZE;
    const message = this.messages.shift();
    if (!message) return -EAGAIN;
    total -= message.text.length + OVERHEAD;
    this.queue.wake(POLLOUT | POLLWRNORM);
    return message;
  }

  /** Who is to be told that a message came, once: only if it came to an empty queue where nobody waits. */
  takeNotification(): Notification | null {
    if (this.messages.length !== 1 || !this.queue.empty) return null;
    const { notification } = this;
    this.notification = null;
    return notification;
  }

  /** A process that has ended is not notified any more. */
  forget(group: ThreadGroup): void {
    if (this.notification?.group === group) forgetNotification(this);
  }

  /** The queue goes: it has neither a name nor anybody who has it open. */
  override unused(): void {
    if (this.names.get(this.name) === this) return;
    total -= this.bytes + OVERHEAD * this.messages.length;
    this.messages.length = 0;
    queues--;
  }

  get bytes(): number {
    return this.messages.reduce((sum, { text }) => sum + text.length, 0);
  }
}

export class MessageQueueFile extends OpenFile {
  declare readonly inode: MessageQueueInode;

  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    const { notification, bytes } = this.inode;
    const notified = numberIn(kernel.current?.pidNamespace ?? initialPids, notification?.group);
    const cells: [string, number, number][] = [
      ['QSIZE', bytes, 10],
      ['NOTIFY', 0, 5],
      ['SIGNO', notification?.signo ?? 0, 5],
      ['NOTIFY_PID', notified, 6],
    ];
    const text = cells.map(([name, value, width]) => `${name}:${String(value).padEnd(width)}`).join(' ');
    return writeBytes(at, `${text}\n`.slice(offset, offset + length));
  }

  override poll(): number {
    const { messages, maxMessages } = this.inode;
    const readable = messages.length > 0 ? POLLIN | POLLRDNORM : 0;
    return readable | (messages.length < maxMessages ? POLLOUT | POLLWRNORM : 0);
  }

  override get waitQueue(): WaitQueue {
    return this.inode.queue;
  }

  override flush(task: Task): void {
    const { inode } = this;
    if (inode.notification?.group === task.group) forgetNotification(inode);
  }

  /** The flag is the open queue's own, as mq_setattr(3) sets it. */
  setNonblocking(on: boolean): void {
    this.flags = on ? this.flags | O_NONBLOCK : this.flags & ~O_NONBLOCK;
  }

  override get linkText(): string {
    return `/${this.path.dentry.name}`;
  }
}
