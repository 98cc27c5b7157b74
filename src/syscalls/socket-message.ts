// send(2) and recv(2) with their relatives: one buffer, a message of many, or many messages.

import { EBADF, EINVAL, ENOTSOCK } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import {
  MMSGHDR_SIZE,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_WAITFORONE,
  MSGHDR_CONTROLLEN,
  MSGHDR_NAMELEN,
  MSGHDR_SIZE,
} from '../abi/socket.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { setTimeoutOnce, timedOut, WAIT } from '../kernel/block.ts';
import type { Task } from '../kernel/task.ts';
import { readTimeout } from '../kernel/wait-arguments.ts';
import { discardRights } from '../net/rights.ts';
import { Socket } from '../net/socket.ts';
import { MESSAGE_STEP, message, receiveMessage, sendMessage } from '../net/transfer.ts';
import { give, giveAddress, giveControl, MessageHeader, readAddress, Vectors } from '../net/user-message.ts';
import { i32, u32, writeU64 } from '../platform/arena.ts';

const MAX_MESSAGES = 1024;

const single = new Vectors();
const header = new MessageHeader();

export function sendto(
  task: Task,
  sockfd: Fd,
  buf: UserAddress,
  len: number,
  flags: number,
  dest_addr: UserAddress,
  addrlen: number,
): number {
  const socket = lookup(task, sockfd);
  if (typeof socket === 'number') return socket;
  const address = dest_addr === 0 ? null : readAddress(task, dest_addr, addrlen);
  if (typeof address === 'number') return address;
  return sendMessage(task, socket, single.setSingle(buf, len), address, null, flags);
}

export function recvfrom(
  task: Task,
  sockfd: Fd,
  buf: UserAddress,
  len: number,
  flags: number,
  src_addr: UserAddress,
  addrlen: UserAddress,
): number {
  const socket = lookup(task, sockfd);
  if (typeof socket === 'number') return socket;
  const result = receiveMessage(task, socket, single.setSingle(buf, len), flags, false);
  if (result < 0) return result;
  if (message.rights) discardRights(message.rights);
  if (src_addr === 0) return result;
  const at = task.memory.in(addrlen, 4);
  if (at < 0) return at;
  const room = i32[at >> 2];
  if (room < 0) return -EINVAL;
  const failed = giveAddress(task, message.address ?? '', src_addr, room, addrlen, false);
  return failed < 0 ? failed : result;
}

export function sendmsg(task: Task, sockfd: Fd, msg: UserAddress, flags: number): number {
  const socket = lookup(task, sockfd);
  return typeof socket === 'number' ? socket : sendHeader(task, socket, msg, flags, 0);
}

export function recvmsg(task: Task, sockfd: Fd, msg: UserAddress, flags: number): number {
  const socket = lookup(task, sockfd);
  return typeof socket === 'number' ? socket : receiveHeader(task, socket, msg, flags, false, 0);
}

export function sendmmsg(task: Task, sockfd: Fd, msgvec: UserAddress, vlen: number, flags: number): number {
  const socket = lookup(task, sockfd);
  if (typeof socket === 'number') return socket;
  const count = Math.min(vlen, MAX_MESSAGES);
  let done = Math.floor(task.progress / MESSAGE_STEP);
  for (; done < count; done++) {
    const step = done * MESSAGE_STEP;
    task.progress = Math.max(task.progress, step);
    const address = (msgvec + done * MMSGHDR_SIZE) as UserAddress;
    const result = sendHeader(task, socket, address, flags, step);
    if (result === WAIT) return WAIT;
    if (result < 0) return done > 0 ? done : result;
    const failed = storeLength(task, address, result);
    if (failed < 0) return failed;
  }
  return done;
}

export function recvmmsg(
  task: Task,
  sockfd: Fd,
  msgvec: UserAddress,
  vlen: number,
  flags: number,
  timeout: UserAddress,
): number {
  const socket = lookup(task, sockfd);
  if (typeof socket === 'number') return socket;
  const nanoseconds = readTimeout(task, timeout);
  if (nanoseconds < 0) return nanoseconds;
  const pending = socket.takeError();
  if (pending < 0) return pending;
  const count = Math.min(vlen, MAX_MESSAGES);
  let done = Math.floor(task.progress / MESSAGE_STEP);
  for (; done < count; done++) {
    const step = done * MESSAGE_STEP;
    task.progress = Math.max(task.progress, step);
    const patient = done === 0 || !(flags & MSG_WAITFORONE);
    const each = (flags & ~MSG_WAITFORONE) | (patient ? 0 : MSG_DONTWAIT);
    const address = (msgvec + done * MMSGHDR_SIZE) as UserAddress;
    const result = receiveHeader(task, socket, address, each, true, step);
    if (result === WAIT) return WAIT;
    if (result < 0) return done > 0 ? done : result;
    const failed = storeLength(task, address, result);
    if (failed < 0) return failed;
    // As documented, the timeout is only looked at after each message.
    if (nanoseconds !== Number.POSITIVE_INFINITY && expired(task, nanoseconds)) return done + 1;
  }
  return done;
}

function lookup(task: Task, fd: Fd): Socket | number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

function sendHeader(task: Task, socket: Socket, msg: UserAddress, flags: number, step: number): number {
  const failed = header.load(task, msg);
  if (failed < 0) return failed;
  const named = header.nameLength > 0;
  const address = named ? readAddress(task, header.name, header.nameLength) : null;
  if (typeof address === 'number') return address;
  return sendMessage(task, socket, header.vectors, address, header, flags, step);
}

/** Receives a message and answers its header; at once if `now`, for calls that may wait once more afterwards. */
function receiveHeader(
  task: Task,
  socket: Socket,
  msg: UserAddress,
  flags: number,
  now: boolean,
  step: number,
): number {
  const failed = header.load(task, msg);
  if (failed < 0) return failed;
  const result = receiveMessage(task, socket, header.vectors, flags, now, step);
  if (result < 0) return result;
  const control = giveControl(task, header, socket, message, now);
  if (header.name !== 0) {
    const lengthAt = (header.address + MSGHDR_NAMELEN) as UserAddress;
    const refused = giveAddress(task, message.address ?? '', header.name, header.nameLength, lengthAt, now);
    if (refused < 0) return refused;
  }
  const at = task.memory.reserve(12);
  if (at < 0) return at;
  // msg_controllen and, right behind it, msg_flags.
  writeU64(at, control);
  u32[(at + 8) >> 2] = message.resultFlags | (flags & MSG_CMSG_CLOEXEC);
  const refused = give(task, header.address + MSGHDR_CONTROLLEN, at, 12, now);
  return refused < 0 ? refused : result;
}

/** msg_len of a struct mmsghdr; at once, as the call may still wait. */
function storeLength(task: Task, address: UserAddress, length: number): number {
  const at = task.memory.reserve(4);
  if (at < 0) return at;
  u32[at >> 2] = length;
  return give(task, address + MSGHDR_SIZE, at, 4, true);
}

function expired(task: Task, timeout: number): boolean {
  if (task.deadline === Number.POSITIVE_INFINITY) setTimeoutOnce(task, timeout);
  return timedOut(task);
}
