// socket(2), socketpair(2), bind(2), listen(2), accept(2), connect(2), names, options, shutdown(2).

import { EAGAIN, EBADF, ECONNABORTED, EINPROGRESS, EINVAL, ENOTSOCK, ERANGE } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT } from '../abi/poll.ts';
import { SO_PEERGROUPS, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_TYPE_MASK, SOL_SOCKET } from '../abi/socket.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { WAIT } from '../kernel/block.ts';
import { installFile, uninstallFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';
import { createSocket, createSocketPair } from '../net/families.ts';
import { Socket } from '../net/socket.ts';
import { waitForSocket } from '../net/transfer.ts';
import { giveAddress, readAddress } from '../net/user-message.ts';
import { i32 } from '../platform/arena.ts';
import { drop } from '../vfs/open-file.ts';

const LONGEST_OPTION = 4096;

export function socket(task: Task, domain: number, type: number, protocol: number): number {
  if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  const made = createSocket(task, domain, type & SOCK_TYPE_MASK, protocol);
  if (typeof made === 'number') return made;
  made.setNonblocking((type & SOCK_NONBLOCK) !== 0);
  return installFile(task, made, (type & SOCK_CLOEXEC) !== 0);
}

export function socketpair(task: Task, domain: number, type: number, protocol: number, sv: UserAddress): number {
  if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  const at = task.memory.out(sv, 8);
  if (at < 0) return at;
  const pair = createSocketPair(task, domain, type & SOCK_TYPE_MASK, protocol);
  if (typeof pair === 'number') return pair;
  const closeOnExec = (type & SOCK_CLOEXEC) !== 0;
  for (const made of pair) made.setNonblocking((type & SOCK_NONBLOCK) !== 0);
  const first = installFile(task, pair[0], closeOnExec);
  if (first < 0) {
    drop(pair[1]);
    return first;
  }
  const second = installFile(task, pair[1], closeOnExec);
  if (second < 0) {
    uninstallFile(task, first as Fd);
    return second;
  }
  i32[at >> 2] = first;
  i32[(at >> 2) + 1] = second;
  return 0;
}

export function bind(task: Task, sockfd: Fd, addr: UserAddress, addrlen: number): number {
  const file = lookup(task, sockfd);
  if (typeof file === 'number') return file;
  const address = readAddress(task, addr, addrlen);
  return typeof address === 'number' ? address : file.bind(task, address);
}

export function listen(task: Task, sockfd: Fd, backlog: number): number {
  const file = lookup(task, sockfd);
  return typeof file === 'number' ? file : file.listen(task, backlog);
}

export function connect(task: Task, sockfd: Fd, addr: UserAddress, addrlen: number): number {
  const file = lookup(task, sockfd);
  if (typeof file === 'number') return file;
  const address = readAddress(task, addr, addrlen);
  if (typeof address === 'number') return address;
  const result = file.connect(task, address);
  // Datagrams have no connections to wait for: that no port is free is told at once.
  if ((result !== -EAGAIN && result !== -EINPROGRESS) || file.nonblocking || file.type === SOCK_DGRAM) return result;
  const waiting = waitForSocket(task, file, POLLOUT, file.sendTimeout);
  // A connection that is under way when the time is over goes on; one that was not begun is not.
  return waiting === WAIT || waiting !== -EAGAIN ? waiting : result;
}

export function accept(task: Task, sockfd: Fd, addr: UserAddress, addrlen: UserAddress): number {
  return accept4(task, sockfd, addr, addrlen, 0);
}

export function accept4(task: Task, sockfd: Fd, addr: UserAddress, addrlen: UserAddress, flags: number): number {
  if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  const file = lookup(task, sockfd);
  if (typeof file === 'number') return file;
  const room = addr === 0 ? 0 : readLength(task, addrlen);
  if (room < 0) return room;
  const made = file.accept();
  if (typeof made === 'number') {
    if (made !== -EAGAIN || file.nonblocking) return made;
    return waitForSocket(task, file, POLLIN, file.receiveTimeout);
  }
  const name = made.getPeerName();
  if (addr !== 0 && typeof name === 'number') {
    drop(made);
    return -ECONNABORTED;
  }
  made.setNonblocking((flags & SOCK_NONBLOCK) !== 0);
  const fd = installFile(task, made, (flags & SOCK_CLOEXEC) !== 0);
  if (fd < 0 || addr === 0) return fd;
  const failed = giveAddress(task, name as string, addr, room, addrlen, false);
  if (failed < 0) uninstallFile(task, fd as Fd);
  return failed < 0 ? failed : fd;
}

export function getsockname(task: Task, sockfd: Fd, addr: UserAddress, addrlen: UserAddress): number {
  const file = lookup(task, sockfd);
  return typeof file === 'number' ? file : answerName(task, file.getName(), addr, addrlen);
}

export function getpeername(task: Task, sockfd: Fd, addr: UserAddress, addrlen: UserAddress): number {
  const file = lookup(task, sockfd);
  return typeof file === 'number' ? file : answerName(task, file.getPeerName(), addr, addrlen);
}

export function shutdown(task: Task, sockfd: Fd, how: number): number {
  const file = lookup(task, sockfd);
  return typeof file === 'number' ? file : file.shutdown(how);
}

export function setsockopt(
  task: Task,
  sockfd: Fd,
  level: number,
  optname: number,
  optval: UserAddress,
  optlen: number,
): number {
  const file = lookup(task, sockfd);
  if (typeof file === 'number') return file;
  if (optlen < 0) return -EINVAL;
  const length = Math.min(optlen, LONGEST_OPTION);
  const at = task.memory.in(optval, length);
  return at < 0 ? at : file.setOption(task, level, optname, at, length);
}

export function getsockopt(
  task: Task,
  sockfd: Fd,
  level: number,
  optname: number,
  optval: UserAddress,
  optlen: UserAddress,
): number {
  const file = lookup(task, sockfd);
  if (typeof file === 'number') return file;
  const room = readLength(task, optlen);
  if (room < 0) return room;
  const at = task.memory.reserve(LONGEST_OPTION + 8);
  if (at < 0) return at;
  const size = file.getOption(level, optname, at + 8, LONGEST_OPTION);
  if (size < 0) return size;
  const crowded = level === SOL_SOCKET && optname === SO_PEERGROUPS && size > room;
  i32[at >> 2] = crowded ? size : Math.min(size, room);
  task.memory.commit(optlen, at, 4);
  if (crowded) return -ERANGE;
  task.memory.commit(optval, at + 8, Math.min(size, room, LONGEST_OPTION));
  return 0;
}

function lookup(task: Task, fd: Fd): Socket | number {
  const file = task.files.get(fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

/** A value-result length: -EINVAL if negative. */
function readLength(task: Task, address: UserAddress): number {
  const at = task.memory.in(address, 4);
  if (at < 0) return at;
  const length = i32[at >> 2];
  return length < 0 ? -EINVAL : length;
}

function answerName(task: Task, name: string | number, addr: UserAddress, addrlen: UserAddress): number {
  if (typeof name === 'number') return name;
  const room = readLength(task, addrlen);
  return room < 0 ? room : giveAddress(task, name, addr, room, addrlen, false);
}
