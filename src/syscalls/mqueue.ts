// POSIX message queues: mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).

import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import {
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  EMFILE,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ERESTARTSYS,
  ETIMEDOUT,
} from '../abi/errno.ts';
import { NAME_MAX, O_ACCMODE, O_CLOEXEC, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import { RLIMIT_MSGQUEUE } from '../abi/resource.ts';
import { NSIG, SI_MESGQ } from '../abi/signal.ts';
import { CLOCK_REALTIME } from '../abi/time.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable } from '../base/credentials.ts';
import {
  COOKIE_SIZE,
  forgetNotification,
  MessageQueueFile,
  MessageQueueInode,
  type Notification,
  tooManyQueues,
  wakeByCookie,
} from '../fs/mqueue/mqueue.ts';
import { sysctlNumber } from '../fs/proc/sysctl.ts';
import { host } from '../host/calls.ts';
import { block, timedOut } from '../kernel/block.ts';
import { installFile } from '../kernel/descriptors.ts';
import { objectsOf } from '../kernel/ipc/objects.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup } from '../kernel/signals.ts';
import type { Task } from '../kernel/task.ts';
import { readTimespec } from '../kernel/time-arguments.ts';
import { uidSeen } from '../kernel/user-namespaces.ts';
import { NetlinkSocket } from '../net/netlink/socket.ts';
import { i32, readBytes, readS64, readU64, u8, u32, writeBytes, writeU64 } from '../platform/arena.ts';
import { anonymousPath } from '../vfs/anonymous.ts';
import { checkAccess, isOwner, MAY_READ, MAY_WRITE } from '../vfs/permission.ts';

// struct mq_attr: s64 flags, maxmsg, msgsize, curmsgs, and four reserved
const ATTR_SIZE = 64;
const SIGEVENT_SIZE = 64;
const SIGEV_SIGNAL = 0;
const SIGEV_NONE = 1;
const SIGEV_THREAD = 2;
const PRIORITY_MAX = 32768;
const HARD_MESSAGES = 65536;
const HARD_SIZE = 16 << 20;
/** What each message counts for beside its text, as in Linux. */
const MESSAGE_OVERHEAD = 48 + 8;

/** mq_open(2): the C library has taken the slash off the name. */
export function mq_open(task: Task, name: UserAddress, oflag: number, mode: number, attr: UserAddress): number {
  const text = queueName(task, name);
  if (typeof text === 'number') return text;
  const { namedQueues } = objectsOf(task);
  const known = namedQueues.get(text) as MessageQueueInode | undefined;
  if (known) {
    if (oflag & O_CREAT && oflag & O_EXCL) return -EEXIST;
    const access = oflag & O_ACCMODE;
    if (access === O_ACCMODE) return -EINVAL;
    const want = (access !== O_WRONLY ? MAY_READ : 0) | (access !== O_RDONLY ? MAY_WRITE : 0);
    const r = checkAccess(known, task.credentials, want);
    return r < 0 ? r : install(task, text, known, oflag);
  }
  if (!(oflag & O_CREAT)) return -ENOENT;
  const made = makeQueue(task, text, mode, attr);
  if (typeof made === 'number') return made;
  const fd = install(task, text, made, oflag);
  if (fd >= 0) namedQueues.set(text, made);
  return fd;
}

function install(task: Task, name: string, queue: MessageQueueInode, oflag: number): number {
  const file = new MessageQueueFile(anonymousPath(name, queue), queue, oflag & (O_ACCMODE | O_NONBLOCK));
  return installFile(task, file, (oflag & O_CLOEXEC) !== 0);
}

function queueName(task: Task, address: UserAddress): string | number {
  const text = task.memory.string(address);
  if (typeof text === 'number') return text;
  if (text === '') return -ENOENT;
  if (text.length > NAME_MAX) return -ENAMETOOLONG;
  return text.includes('/') || text === '.' || text === '..' ? -EACCES : text;
}

function makeQueue(task: Task, name: string, mode: number, attr: UserAddress): MessageQueueInode | number {
  const { credentials } = task;
  const { namedQueues } = objectsOf(task);
  const privileged = capable(credentials, CAP_SYS_RESOURCE);
  if (namedQueues.size >= sysctlNumber('fs.mqueue.queues_max', 256) && !privileged) return -ENOSPC;
  if (tooManyQueues()) return -ENOSPC;
  let messages = sysctlNumber('fs.mqueue.msg_default', 10);
  let size = sysctlNumber('fs.mqueue.msgsize_default', 8192);
  if (attr !== 0) {
    const at = task.memory.in(attr, ATTR_SIZE);
    if (at < 0) return at;
    messages = readS64(at + 8);
    size = readS64(at + 16);
    const mostMessages = privileged ? HARD_MESSAGES : sysctlNumber('fs.mqueue.msg_max', 10);
    const mostSize = privileged ? HARD_SIZE : sysctlNumber('fs.mqueue.msgsize_max', 8192);
    if (!(messages > 0 && size > 0 && messages <= mostMessages && size <= mostSize)) return -EINVAL;
  }
  if (bytesOfUser(task) + cost(messages, size) > task.group.limits.soft[RLIMIT_MSGQUEUE]) return -EMFILE;
  return new MessageQueueInode(namedQueues, name, mode & ~task.fs.umask, credentials, messages, size);
}

function cost(messages: number, size: number): number {
  return messages * (size + MESSAGE_OVERHEAD);
}

function bytesOfUser(task: Task): number {
  const { uid } = task.credentials;
  let bytes = 0;
  for (const queue of objectsOf(task).namedQueues.values() as Iterable<MessageQueueInode>)
    if (queue.uid === uid) bytes += cost(queue.maxMessages, queue.messageSize);
  return bytes;
}

/** mq_unlink(2): those who have the queue open keep it */
export function mq_unlink(task: Task, name: UserAddress): number {
  const text = queueName(task, name);
  if (typeof text === 'number') return text;
  const { namedQueues } = objectsOf(task);
  const queue = namedQueues.get(text) as MessageQueueInode | undefined;
  if (!queue) return -ENOENT;
  // The directory is everybody's, with the sticky bit.
  if (!isOwner(queue, task.credentials)) return -EACCES;
  namedQueues.delete(text);
  if (queue.uses === 0) queue.unused();
  return 0;
}

function queueFile(task: Task, fd: Fd): MessageQueueFile | number {
  const file = task.files.get(fd);
  return file instanceof MessageQueueFile ? file : -EBADF;
}

/** The deadline of a call: a time of the wall clock. 0 or -errno. */
function setDeadline(task: Task, timeout: UserAddress): number {
  if (timeout === 0) return 0;
  const time = readTimespec(task, timeout);
  if (time < 0) return time;
  if (!task.resumed) task.deadline = monotonicNow() + Math.max(0, time - host.clock_gettime(CLOCK_REALTIME));
  return 0;
}

/** mq_timedsend(2) */
export function mq_timedsend(
  task: Task,
  fd: Fd,
  message: UserAddress,
  length: number,
  priority: number,
  timeout: UserAddress,
): number {
  if (priority >= PRIORITY_MAX) return -EINVAL;
  const r = setDeadline(task, timeout);
  if (r < 0) return r;
  const file = queueFile(task, fd);
  if (typeof file === 'number') return file;
  if (!file.writable) return -EBADF;
  const { inode } = file;
  if (length > inode.messageSize) return -EMSGSIZE;
  const at = task.memory.in(message, length);
  if (at < 0) return at;
  const sent = inode.send(readBytes(at, length), priority);
  if (sent === 0) notify(task, inode);
  if (sent !== -EAGAIN || file.nonblocking) return sent;
  return timedOut(task) ? -ETIMEDOUT : block(task, inode.queue, POLLOUT, ERESTARTSYS);
}

function notify(task: Task, queue: MessageQueueInode): void {
  const wanted = queue.takeNotification();
  if (!wanted || wakeByCookie(wanted) || wanted.signo === 0) return;
  const { valueLow, valueHigh } = wanted;
  const uid = uidSeen(wanted.group.leader, task.credentials.uid);
  sendSignalToGroup(
    wanted.group,
    signalInfo(wanted.signo, SI_MESGQ, {
      pid: numberIn(wanted.group.pidNamespace, task.group),
      uid,
      valueLow,
      valueHigh,
    }),
  );
}

/** mq_timedreceive(2) */
export function mq_timedreceive(
  task: Task,
  fd: Fd,
  buffer: UserAddress,
  length: number,
  priority: UserAddress,
  timeout: UserAddress,
): number {
  const r = setDeadline(task, timeout);
  if (r < 0) return r;
  const file = queueFile(task, fd);
  if (typeof file === 'number') return file;
  if (!file.readable) return -EBADF;
  const { inode } = file;
  const message = inode.receive(length);
  if (message === -EAGAIN && !file.nonblocking) {
    return timedOut(task) ? -ETIMEDOUT : block(task, inode.queue, POLLIN, ERESTARTSYS);
  }
  if (typeof message === 'number') return message;
  const { text } = message;
  const at = task.memory.out(buffer, text.length);
  if (at < 0) return at;
  writeBytes(at, text);
  if (priority !== 0) {
    const word = task.memory.out(priority, 4);
    if (word < 0) return word;
    u32[word >>> 2] = message.priority;
  }
  return text.length;
}

/** mq_notify(2): by signal, by a datagram at the socket where the C library starts threads, or not at all */
export function mq_notify(task: Task, fd: Fd, event: UserAddress): number {
  const wanted = event === 0 ? null : readNotification(task, event);
  if (typeof wanted === 'number') return wanted;
  const file = queueFile(task, fd);
  if (typeof file === 'number') return file;
  const { inode } = file;
  if (wanted === null) {
    if (inode.notification?.group === task.group) forgetNotification(inode);
    return 0;
  }
  if (inode.notification) return -EBUSY;
  inode.notification = wanted;
  return 0;
}

/** A struct sigevent: u64 value, s32 signo, s32 notify */
function readNotification(task: Task, event: UserAddress): Notification | number {
  const at = task.memory.in(event, SIGEVENT_SIZE);
  if (at < 0) return at;
  const word = at >>> 2;
  const [valueLow, valueHigh, signo, kind] = [u32[word], u32[word + 1], i32[word + 2], i32[word + 3]];
  const quiet = { group: task.group, signo: 0, valueLow, valueHigh, socket: null, cookie: '' };
  if (kind === SIGEV_NONE) return quiet;
  if (kind === SIGEV_SIGNAL) return signo <= 0 || signo > NSIG ? -EINVAL : { ...quiet, signo };
  if (kind !== SIGEV_THREAD) return -EINVAL;
  const socket = task.files.get(signo as Fd);
  if (!socket) return -EBADF;
  if (!(socket instanceof NetlinkSocket)) return -EINVAL;
  const from = task.memory.in(readU64(at) as UserAddress, COOKIE_SIZE);
  return from < 0 ? from : { ...quiet, socket, cookie: readBytes(from, COOKIE_SIZE) };
}

/** mq_getsetattr(2) */
export function mq_getsetattr(task: Task, fd: Fd, fresh: UserAddress, old: UserAddress): number {
  const from = fresh === 0 ? 0 : task.memory.in(fresh, ATTR_SIZE);
  if (from < 0) return from;
  const flags = fresh === 0 ? 0 : readS64(from);
  if (fresh !== 0 && flags !== 0 && flags !== O_NONBLOCK) return -EINVAL;
  const file = queueFile(task, fd);
  if (typeof file === 'number') return file;
  if (old !== 0) {
    const at = task.memory.out(old, ATTR_SIZE);
    if (at < 0) return at;
    u8.fill(0, at, at + ATTR_SIZE);
    writeU64(at, file.flags & O_NONBLOCK);
    writeU64(at + 8, file.inode.maxMessages);
    writeU64(at + 16, file.inode.messageSize);
    writeU64(at + 24, file.inode.messages.length);
  }
  if (fresh !== 0) file.setNonblocking(flags !== 0);
  return 0;
}
