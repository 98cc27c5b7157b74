// AF_UNIX sockets through the system call handlers: streams, packets, names, rights, credentials, waiting.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EACCES,
  EADDRINUSE,
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  ECONNRESET,
  EDESTADDRREQ,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOENT,
  ENOTCONN,
  ENOTSOCK,
  EPERM,
  EPIPE,
  ETOOMANYREFS,
} from '../../src/abi/errno.ts';
import { O_CREAT, O_NONBLOCK, O_RDWR } from '../../src/abi/fcntl.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM } from '../../src/abi/poll.ts';
import { RLIMIT_NOFILE } from '../../src/abi/resource.ts';
import { SIGPIPE } from '../../src/abi/signal.ts';
import {
  AF_INET,
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SHUT_WR,
  SO_ERROR,
  SO_PASSCRED,
  SO_PEERCRED,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../src/abi/socket.ts';
import type { Fd } from '../../src/base/brands.ts';
import { WaitEntry } from '../../src/base/wait-queue.ts';
import { WAIT } from '../../src/kernel/block.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import * as sockets from '../../src/syscalls/socket.ts';
import * as messages from '../../src/syscalls/socket-message.ts';
import { drop, type OpenFile } from '../../src/vfs/open-file.ts';
import { call, type FakeTask, isWoken, newTask, passTime, retry } from '../support/fake-guest.ts';
import { Guest, memoryTree, setUpHost } from '../support/file-tree.ts';

function pair(task: FakeTask, type: number): [number, number] {
  const at = task.memory.allocate(8);
  assert.equal(call(task, sockets.socketpair, AF_UNIX, type, 0, at), 0);
  return [task.memory.view.getInt32(at, true), task.memory.view.getInt32(at + 4, true)];
}

function file(task: FakeTask, fd: number): OpenFile {
  const found = task.files.get(fd as Fd);
  assert.ok(found);
  return found;
}

function close(task: FakeTask, fd: number): void {
  const found = task.files.remove(fd as Fd);
  assert.ok(found);
  drop(found);
}

function send(task: FakeTask, fd: number, text: string, flags = 0): number {
  return call(task, messages.sendto, fd, task.memory.put(text), text.length, flags, 0, 0);
}

function receive(task: FakeTask, fd: number, length: number, flags = MSG_DONTWAIT): string | number {
  const at = task.memory.allocate(length);
  const n = call(task, messages.recvfrom, fd, at, length, flags, 0, 0);
  return n < 0 ? n : task.memory.get(at, Math.min(n, length));
}

/** sockaddr_un in guest memory: [address, length]. */
function name(task: FakeTask, text: string): [number, number] {
  return [task.memory.put(`\x01\x00${text}`), text.length + 2];
}

interface Header {
  at: number;
  data: number;
  control: number;
  name: number;
}

/** A struct msghdr with two buffers over one piece of memory, a name and a control buffer. */
function header(task: FakeTask, length: number, controlLength: number, nameLength = 0): Header {
  const { memory } = task;
  const at = memory.allocate(56);
  const vector = memory.allocate(32);
  const data = memory.allocate(length);
  const control = memory.allocate(Math.max(1, controlLength));
  const where = memory.allocate(128);
  const set = (address: number, value: number): void => memory.view.setBigUint64(address, BigInt(value), true);
  const first = Math.min(3, length);
  set(vector, data);
  set(vector + 8, first);
  set(vector + 16, data + first);
  set(vector + 24, length - first);
  set(at, nameLength ? where : 0);
  memory.view.setUint32(at + 8, nameLength, true);
  set(at + 16, vector);
  set(at + 24, 2);
  set(at + 32, controlLength ? control : 0);
  set(at + 40, controlLength);
  return { at, data, control, name: where };
}

function controlMessage(task: FakeTask, at: number, type: number, ...words: number[]): void {
  const { view } = task.memory;
  view.setBigUint64(at, BigInt(16 + 4 * words.length), true);
  view.setInt32(at + 8, SOL_SOCKET, true);
  view.setInt32(at + 12, type, true);
  words.forEach((word, i) => {
    view.setInt32(at + 16 + 4 * i, word, true);
  });
}

function sendRights(task: FakeTask, fd: number, text: string, ...fds: number[]): number {
  const msg = header(task, text.length, 16 + 4 * fds.length);
  for (let i = 0; i < text.length; i++) task.memory.bytes[msg.data + i] = text.charCodeAt(i);
  controlMessage(task, msg.control, SCM_RIGHTS, ...fds);
  return call(task, messages.sendmsg, fd, msg.at, 0);
}

interface Received {
  result: number;
  text: string;
  flags: number;
  controlLength: number;
  control: number[];
}

function receiveMessage(
  task: FakeTask,
  fd: number,
  length: number,
  controlLength: number,
  flags = MSG_DONTWAIT,
): Received {
  const msg = header(task, length, controlLength);
  const result = call(task, messages.recvmsg, fd, msg.at, flags);
  const { view } = task.memory;
  const used = Number(view.getBigUint64(msg.at + 40, true));
  const control = Array.from({ length: used >> 2 }, (_, i) => view.getInt32(msg.control + 4 * i, true));
  return {
    result,
    text: task.memory.get(msg.data, Math.max(0, Math.min(result, length))),
    flags: view.getUint32(msg.at + 48, true),
    controlLength: used,
    control,
  };
}

function option(task: FakeTask, fd: number, which: number, words = 1): number[] | number {
  const at = task.memory.allocate(64);
  const length = task.memory.allocate(4);
  task.memory.view.setUint32(length, 64, true);
  const result = call(task, sockets.getsockopt, fd, SOL_SOCKET, which, at, length);
  if (result < 0) return result;
  assert.equal(task.memory.view.getUint32(length, true), 4 * words);
  return Array.from({ length: words }, (_, i) => task.memory.view.getInt32(at + 4 * i, true));
}

function setOption(task: FakeTask, fd: number, which: number, ...words: number[]): number {
  const at = task.memory.allocate(4 * words.length);
  words.forEach((word, i) => {
    task.memory.view.setInt32(at + 4 * i, word, true);
  });
  return call(task, sockets.setsockopt, fd, SOL_SOCKET, which, at, 4 * words.length);
}

test('a stream pair carries bytes both ways', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_STREAM);
  assert.equal(send(task, a, 'hello'), 5);
  assert.equal(send(task, a, ' world'), 6);
  assert.equal(receive(task, b, 4, MSG_PEEK), 'hell');
  assert.equal(receive(task, b, 100), 'hello world');
  assert.equal(receive(task, b, 100), -EAGAIN);
  assert.equal(receive(task, b, 0), -EAGAIN);
  assert.equal(send(task, b, 'back'), 4);
  assert.equal(receive(task, a, 100), 'back');
  assert.equal(file(task, a).poll() & (POLLIN | POLLOUT), POLLOUT);
  assert.deepEqual(option(task, a, SO_TYPE), [SOCK_STREAM]);
  assert.deepEqual(option(task, a, SO_PEERCRED, 3), [task.tid, 0, 0]);
});

test('half-close, close, and what the other side sees', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_STREAM);
  send(task, a, 'last');
  assert.equal(call(task, sockets.shutdown, a, SHUT_WR), 0);
  assert.equal(file(task, b).poll() & (POLLRDHUP | POLLHUP | POLLIN), POLLRDHUP | POLLIN);
  assert.equal(send(task, a, 'x', MSG_NOSIGNAL), -EPIPE);
  assert.ok(!task.pending.has(SIGPIPE));
  assert.equal(receive(task, b, 9), 'last');
  assert.equal(receive(task, b, 9), '');
  assert.equal(send(task, b, 'still'), 5);
  close(task, a);
  assert.equal(file(task, b).poll() & (POLLHUP | POLLIN), POLLHUP | POLLIN);
  assert.equal(receive(task, b, 9), -ECONNRESET, 'it was closed with bytes unread');
  assert.equal(receive(task, b, 9), '');
  task.maskLow = -1;
  assert.equal(send(task, b, 'x'), -EPIPE);
  assert.ok(task.pending.has(SIGPIPE));
});

test('a stream is bounded, and writers go on when it has drained', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_STREAM);
  const big = task.memory.allocate(300000);
  const args = [a, big, 300000, 0, 0, 0];
  assert.equal(call(task, messages.sendto, a, big, 300000, MSG_DONTWAIT, 0, 0), 212992);
  assert.equal(call(task, messages.sendto, ...args), WAIT);
  assert.equal(file(task, a).poll() & POLLOUT, 0);
  assert.equal((receive(task, b, 100000) as string).length, 100000);
  assert.ok(!isWoken(task), 'not before three quarters are gone');
  const reader = newTask(task.files);
  assert.equal((receive(reader, b, 60000) as string).length, 60000);
  assert.equal(file(task, a).poll() & POLLOUT, POLLOUT);

  const writer = newTask(task.files);
  const from = writer.memory.allocate(300000);
  for (let i = 0; i < 300000; i++) writer.memory.bytes[from + i] = i % 253;
  assert.equal(call(writer, messages.sendto, a, from, 300000, 0, 0, 0), WAIT);
  const left = 212992 - 160000;
  receive(reader, b, left);
  let seen = 0;
  while (seen < 300000) {
    const text = receive(reader, b, 65536);
    if (typeof text === 'string') {
      for (let i = 0; i < text.length; i += 997) assert.equal(text.charCodeAt(i), (seen + i) % 253);
      seen += text.length;
    }
    if (isWoken(writer)) {
      const result = retry(writer, messages.sendto, a, from, 300000, 0, 0, 0);
      assert.ok(result === WAIT || result === 300000);
    }
  }
  assert.equal(seen, 300000);
});

test('MSG_WAITALL and timeouts', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_STREAM);
  const at = task.memory.allocate(16);
  const args = [b, at, 10, MSG_WAITALL, 0, 0];
  send(task, a, '12345');
  assert.equal(call(task, messages.recvfrom, ...args), WAIT);
  const other = newTask(task.files);
  send(other, a, '67890abc');
  assert.ok(isWoken(task));
  assert.equal(retry(task, messages.recvfrom, ...args), 10);
  assert.equal(task.memory.get(at, 10), '1234567890');
  assert.equal(setOption(task, b, SO_RCVTIMEO, 0, 0, 50000, 0), 0);
  assert.equal(receive(task, b, 3, 0), 'abc');
  assert.equal(call(task, messages.recvfrom, b, at, 10, 0, 0, 0), WAIT);
  passTime(51e6);
  assert.ok(isWoken(task));
  task.deadline = 0;
  assert.equal(retry(task, messages.recvfrom, b, at, 10, 0, 0, 0), -EAGAIN);
});

test('connections by abstract name', () => {
  const server = newTask();
  const client = newTask(undefined, { euid: 5, egid: 6 });
  const listener = call(server, sockets.socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert.equal(server.files.closeOnExec[listener], true);
  assert.equal(call(server, sockets.listen, listener, 1), -EINVAL, 'not bound');
  assert.equal(call(server, sockets.bind, listener, ...name(server, '\0service')), 0);
  assert.equal(call(server, sockets.bind, listener, ...name(server, '\0other')), -EINVAL);
  const second = call(server, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(call(server, sockets.bind, second, ...name(server, '\0service')), -EADDRINUSE);

  const fd = call(client, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(file(client, fd).poll() & POLLHUP, POLLHUP);
  assert.equal(call(client, sockets.connect, fd, ...name(client, '\0service')), -ECONNREFUSED, 'nobody listens');
  assert.equal(call(client, sockets.connect, fd, ...name(client, '\0nobody')), -ECONNREFUSED);
  assert.equal(call(server, sockets.accept4, listener, 0, 0, 0), -EINVAL);
  assert.equal(call(server, sockets.listen, listener, 1), 0);
  const packet = call(client, sockets.socket, AF_UNIX, SOCK_SEQPACKET, 0);
  assert.equal(call(client, sockets.connect, packet, ...name(client, '\0service')), -ECONNREFUSED, 'of another type');

  assert.equal(call(server, sockets.accept4, listener, 0, 0, 0), WAIT);
  assert.equal(call(client, sockets.connect, fd, ...name(client, '\0service')), 0);
  assert.equal(call(client, sockets.connect, fd, ...name(client, '\0service')), -EISCONN);
  assert.ok(isWoken(server));
  assert.equal(send(client, fd, 'early'), 5, 'before it was accepted');
  const half = retry(server, sockets.accept4, listener, 0, 0, SOCK_NONBLOCK);
  assert.equal(receive(server, half, 9), 'early');
  assert.equal(file(server, half).flags & O_NONBLOCK, O_NONBLOCK);
  assert.deepEqual(option(server, half, SO_PEERCRED, 3), [client.tid, 5, 6]);
  assert.deepEqual(option(client, fd, SO_PEERCRED, 3), [server.tid, 0, 0]);

  const at = client.memory.allocate(128);
  const length = client.memory.allocate(4);
  client.memory.view.setUint32(length, 128, true);
  assert.equal(call(client, sockets.getpeername, fd, at, length), 0);
  assert.equal(client.memory.view.getUint32(length, true), 10);
  assert.equal(client.memory.get(at, 10), '\x01\x00\0service');
  client.memory.view.setUint32(length, 128, true);
  assert.equal(call(client, sockets.getsockname, fd, at, length), 0);
  assert.equal(client.memory.view.getUint32(length, true), 2);
});

test('a full backlog lets clients wait', () => {
  const server = newTask();
  const listener = call(server, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  call(server, sockets.bind, listener, ...name(server, '\0full'));
  call(server, sockets.listen, listener, 0);
  const connect = (client: FakeTask, flags: number): number[] => {
    const fd = call(client, sockets.socket, AF_UNIX, SOCK_STREAM | flags, 0);
    return [fd, ...name(client, '\0full')];
  };
  const first = newTask();
  assert.equal(call(first, sockets.connect, ...connect(first, 0)), 0);
  const impatient = newTask();
  assert.equal(call(impatient, sockets.connect, ...connect(impatient, SOCK_NONBLOCK)), -EAGAIN);
  const patient = newTask();
  const args = connect(patient, 0);
  assert.equal(call(patient, sockets.connect, ...args), WAIT);
  assert.ok(call(server, sockets.accept, listener, 0, 0) >= 0);
  assert.ok(isWoken(patient));
  assert.equal(retry(patient, sockets.connect, ...args), 0);
  const late = newTask();
  const lateArgs = connect(late, 0);
  assert.equal(call(late, sockets.connect, ...lateArgs), WAIT);
  close(server, listener);
  assert.ok(isWoken(late));
  assert.equal(retry(late, sockets.connect, ...lateArgs), -ECONNREFUSED);
  assert.equal(receive(patient, args[0], 1), -ECONNRESET, 'it was never accepted');
});

test('datagrams keep their borders and their senders', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_DGRAM);
  send(task, a, 'one');
  send(task, a, '');
  send(task, a, 'three');
  assert.equal(receive(task, b, 2, MSG_PEEK | MSG_TRUNC), 'on');
  assert.equal(receive(task, b, 2), 'on');
  assert.equal(receive(task, b, 9), '');
  const long = receiveMessage(task, b, 4, 0);
  assert.deepEqual([long.result, long.text, long.flags], [4, 'thre', MSG_TRUNC]);
  assert.equal(call(task, messages.sendto, a, task.memory.allocate(300000), 300000, 0, 0, 0), -EMSGSIZE);

  const receiver = call(task, sockets.socket, AF_UNIX, SOCK_DGRAM, 0);
  const sender = call(task, sockets.socket, AF_UNIX, SOCK_DGRAM, 0);
  call(task, sockets.bind, receiver, ...name(task, '\0to'));
  call(task, sockets.bind, sender, ...name(task, '\0from'));
  assert.equal(send(task, sender, 'x'), -ENOTCONN);
  const text = task.memory.put('data');
  assert.equal(call(task, messages.sendto, sender, text, 4, 0, ...name(task, '\0to')), 4);
  assert.equal(call(task, messages.sendto, sender, text, 4, 0, ...name(task, '\0none')), -ECONNREFUSED);
  assert.equal(call(task, messages.sendto, sender, text, 4, 0, ...name(task, '')), -EDESTADDRREQ);
  const from = task.memory.allocate(128);
  const length = task.memory.allocate(4);
  task.memory.view.setUint32(length, 5, true);
  assert.equal(call(task, messages.recvfrom, receiver, text, 4, 0, from, length), 4);
  assert.equal(task.memory.view.getUint32(length, true), 7);
  assert.equal(task.memory.get(from, 6), '\x01\x00\0fr\0', 'only as much as there was room for');
});

test('a datagram receiver that is full', () => {
  const task = newTask();
  const receiver = call(task, sockets.socket, AF_UNIX, SOCK_DGRAM, 0);
  call(task, sockets.bind, receiver, ...name(task, '\0slow'));
  const sender = call(task, sockets.socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  call(task, sockets.connect, sender, ...name(task, '\0slow'));
  let sent = 0;
  while (send(task, sender, 'x') === 1) sent++;
  assert.equal(sent, 11);
  assert.equal(file(task, sender).poll() & POLLOUT, 0);
  let woken = 0;
  const entry = { wake: () => void woken++ };

  file(task, sender).waitQueue?.add(new WaitEntry(entry), POLLOUT);
  receive(task, receiver, 1);
  assert.equal(woken, 1);
  assert.equal(file(task, sender).poll() & POLLOUT, POLLOUT);
  close(task, receiver);
  assert.equal(send(task, sender, 'x'), -ECONNREFUSED);
  assert.equal(send(task, sender, 'x'), -ENOTCONN);
});

test('a sender that was refused is woken, however large its packets', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_DGRAM);
  const big = task.memory.allocate(200000);
  const args = [a, big, 180000, 0, 0, 0];
  assert.equal(call(task, messages.sendto, a, big, 50000, 0, 0, 0), 50000);
  assert.equal(call(task, messages.sendto, ...args), 180000);
  assert.equal(call(task, messages.sendto, ...args), WAIT);
  const reader = newTask(task.files);
  receive(reader, b, 1);
  receive(reader, b, 1);
  assert.ok(isWoken(task));
  assert.equal(retry(task, messages.sendto, ...args), 180000);
});

test('a connected datagram socket hears only its peer', () => {
  const task = newTask();
  const [a, b, c] = [0, 1, 2].map(() => call(task, sockets.socket, AF_UNIX, SOCK_DGRAM, 0));
  call(task, sockets.bind, a, ...name(task, '\0a'));
  call(task, sockets.bind, b, ...name(task, '\0b'));
  assert.equal(call(task, sockets.connect, a, ...name(task, '\0b')), 0);
  assert.equal(call(task, sockets.connect, c, ...name(task, '\0a')), -EPERM);
  assert.equal(call(task, sockets.connect, b, ...name(task, '\0a')), 0);
  const unspec = task.memory.put('\0\0');
  assert.equal(call(task, sockets.connect, a, unspec, 2), 0);
  assert.equal(send(task, a, 'x'), -ENOTCONN);
});

test('sequenced packets', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_SEQPACKET);
  send(task, a, 'first');
  send(task, a, 'second');
  assert.equal(receive(task, b, 3), 'fir');
  assert.equal(receive(task, b, 30), 'second');
  close(task, a);
  assert.equal(receive(task, b, 3), '');
  task.maskLow = -1;
  assert.equal(send(task, b, 'x'), -EPIPE);
  assert.ok(!task.pending.has(SIGPIPE), 'only streams raise it');
  const lone = call(task, sockets.socket, AF_UNIX, SOCK_SEQPACKET, 0);
  assert.equal(receive(task, lone, 3), -ENOTCONN);
});

test('files travel with their bytes', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_STREAM);
  const at = task.memory.allocate(8);
  call(task, pipe2, at, 0);
  const [r, w] = [task.memory.view.getInt32(at, true), task.memory.view.getInt32(at + 4, true)];
  send(task, a, 'ab');
  assert.equal(sendRights(task, a, 'cd', r, w), 2);
  send(task, a, 'ef');
  const pipe = file(task, r);
  close(task, r);
  assert.equal(pipe.refs, 1);
  assert.equal(sendRights(task, a, 'x', 500), -EBADF);
  const peeked = receiveMessage(task, b, 10, 64, MSG_PEEK);
  assert.equal(peeked.text, 'abcd');
  assert.equal(pipe.refs, 2);
  close(task, peeked.control[4]);
  close(task, peeked.control[5]);
  const got = receiveMessage(task, b, 10, 64, MSG_CMSG_CLOEXEC);
  assert.equal(got.text, 'abcd', 'bytes in front join, bytes behind do not');
  assert.equal(got.controlLength, 24);
  assert.equal(got.flags, MSG_CMSG_CLOEXEC);
  assert.deepEqual(got.control.slice(0, 4), [24, 0, SOL_SOCKET, SCM_RIGHTS]);
  assert.equal(file(task, got.control[4]), pipe);
  assert.equal(task.files.closeOnExec[got.control[4]], true);
  assert.equal(receive(task, b, 9), 'ef');

  assert.equal(sendRights(task, a, 'y', w, w), 1);
  const cut = receiveMessage(task, b, 9, 20);
  assert.equal(cut.flags, MSG_CTRUNC);
  assert.equal(cut.controlLength, 20);
  assert.equal(cut.control[0], 20, 'one of the two');
  assert.equal(sendRights(task, a, 'z', w), 1);
  const before = file(task, w).refs;
  assert.equal(receive(task, b, 9), 'z', 'read without room for them');
  assert.equal(file(task, w).refs, before - 1);
});

test('files in flight are counted, and cycles collected', () => {
  const task = newTask();
  task.group.limits.soft[RLIMIT_NOFILE] = 16;
  const [a, b] = pair(task, SOCK_STREAM);
  const many = Array.from({ length: 9 }, () => a);
  assert.equal(sendRights(task, a, 'x', ...many), 1);
  assert.equal(sendRights(task, a, 'x', ...many), -ETOOMANYREFS);
  const first = file(task, a);
  const second = file(task, b);
  receive(task, b, 1);
  // Each end in its own queue: nobody could ever receive them.
  assert.equal(sendRights(task, b, 'x', a), 1);
  assert.equal(sendRights(task, a, 'x', b), 1);
  close(task, a);
  close(task, b);
  assert.deepEqual([first.refs, second.refs], [1, 1]);
  const [c, d] = pair(task, SOCK_DGRAM);
  close(task, c);
  assert.deepEqual([first.refs, second.refs], [0, 0]);
  close(task, d);
});

test('credentials', () => {
  const task = newTask(undefined, {
    uid: 7,
    euid: 7,
    suid: 7,
    gid: 8,
    egid: 8,
    sgid: 8,
    effective: { low: 0, high: 0 },
  });
  const [a, b] = pair(task, SOCK_STREAM);
  send(task, a, 'plain');
  assert.equal(setOption(task, b, SO_PASSCRED, 1), 0);
  send(task, a, 'named');
  assert.equal(receive(task, b, 5), 'plain');
  const got = receiveMessage(task, b, 99, 64);
  assert.equal(got.text, 'named');
  assert.deepEqual(got.control, [28, 0, SOL_SOCKET, SCM_CREDENTIALS, task.tid, 7, 8, 0]);
  assert.equal(receiveMessage(task, b, 99, 0).result, -EAGAIN);
  send(task, a, 'x');
  assert.equal(receiveMessage(task, b, 99, 0).flags, MSG_CTRUNC);

  const msg = header(task, 3, 28);
  controlMessage(task, msg.control, SCM_CREDENTIALS, 1, 7, 8);
  assert.equal(call(task, messages.sendmsg, a, msg.at, 0), -EPERM);
  controlMessage(task, msg.control, SCM_CREDENTIALS, task.tid, 7, 8);
  assert.equal(call(task, messages.sendmsg, a, msg.at, 0), 3);
});

test('many messages in one call', () => {
  const task = newTask();
  const [a, b] = pair(task, SOCK_DGRAM);
  const { view } = task.memory;
  const vector = task.memory.allocate(64 * 3);
  const fill = (texts: string[]): void => {
    texts.forEach((text, i) => {
      const msg = header(task, text.length, 0);
      task.memory.bytes.copyWithin(vector + 64 * i, msg.at, msg.at + 56);
      for (let k = 0; k < text.length; k++) task.memory.bytes[msg.data + k] = text.charCodeAt(k);
    });
  };
  fill(['aaaa', 'bbbbb', 'cccccc']);
  assert.equal(call(task, messages.sendmmsg, a, vector, 3, 0), 3);
  assert.deepEqual(
    [0, 1, 2].map((i) => view.getUint32(vector + 64 * i + 56, true)),
    [4, 5, 6],
  );
  fill(['????????', '????????', '????????']);
  assert.equal(receive(task, b, 9), 'aaaa');
  assert.equal(call(task, messages.recvmmsg, b, vector, 3, 0, 0), WAIT, 'two are there, it waits for the third');
  send(newTask(task.files), a, 'last');
  assert.ok(isWoken(task));
  assert.equal(retry(task, messages.recvmmsg, b, vector, 3, 0, 0), 3);
  assert.deepEqual(
    [0, 1, 2].map((i) => view.getUint32(vector + 64 * i + 56, true)),
    [5, 6, 4],
  );
  send(task, a, 'only');
  assert.equal(call(task, messages.recvmmsg, b, vector, 3, 0x10000, 0), 1);
});

test('what is refused', () => {
  const task = newTask();
  assert.equal(call(task, sockets.socket, 40, SOCK_STREAM, 0), -97);
  assert.equal(call(task, sockets.socket, AF_UNIX, 7, 0), -94);
  assert.equal(call(task, sockets.socketpair, AF_INET, SOCK_STREAM, 0, 0x2000), -95);
  const at = task.memory.allocate(8);
  call(task, pipe2, at, 0);
  assert.equal(call(task, sockets.listen, task.memory.view.getInt32(at, true), 1), -ENOTSOCK);
  assert.equal(call(task, sockets.listen, 99, 1), -EBADF);
  const [a] = pair(task, SOCK_STREAM);
  assert.equal(setOption(task, a, SO_SNDBUF, 100), 0);
  assert.deepEqual(option(task, a, SO_SNDBUF), [4608]);
  assert.equal(setOption(task, a, SO_SNDBUF, 1 << 30), 0);
  assert.deepEqual(option(task, a, SO_SNDBUF), [425984]);
  assert.deepEqual(option(task, a, SO_ERROR), [0]);
  assert.equal(option(task, a, 9999), -92);
  assert.equal(file(task, a).poll() & POLLRDNORM, 0);
});

test('sockets with a path', () => {
  setUpHost();
  const guest = new Guest(memoryTree());
  const { task } = guest;
  const listener = call(task, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(call(task, sockets.bind, listener, ...name(task, '/none/s')), -ENOENT);
  assert.equal(call(task, sockets.bind, listener, ...name(task, '/s')), 0);
  const mode = task.fs.root.dentry.children?.get('s')?.inode?.mode ?? 0;
  assert.equal(mode, 0o140755, 'with the umask');
  const other = call(task, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(call(task, sockets.bind, other, ...name(task, '/s\0junk')), -EADDRINUSE);
  assert.equal(call(task, sockets.bind, other, ...name(task, `/${'x'.repeat(108)}`)), -EINVAL);
  call(task, sockets.listen, listener, 5);
  assert.equal(call(task, sockets.connect, other, ...name(task, '/absent')), -ENOENT);
  assert.equal(guest.open('/plain', O_CREAT | O_RDWR) >= 0, true);
  assert.equal(call(task, sockets.connect, other, ...name(task, '/plain')), -ECONNREFUSED);

  const weak = Guest.beside(guest, { uid: 5, euid: 5, fsuid: 5, fsgid: 5, effective: { low: 0, high: 0 } }).task;
  const denied = call(weak, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(call(weak, sockets.connect, denied, ...name(weak, '/s')), -EACCES);
  assert.equal(call(weak, sockets.bind, denied, ...name(weak, '/t')), -EACCES);

  assert.equal(call(task, sockets.connect, other, ...name(task, '/s')), 0);
  const at = task.memory.allocate(128);
  const length = task.memory.allocate(4);
  task.memory.view.setUint32(length, 128, true);
  assert.equal(call(task, sockets.getpeername, other, at, length), 0);
  assert.equal(task.memory.get(at, task.memory.view.getUint32(length, true)), '\x01\0/s\0');
  const late = call(task, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  close(task, listener);
  assert.equal(call(task, sockets.connect, late, ...name(task, '/s')), -ECONNREFUSED, 'the name outlives it');
  const again = call(task, sockets.socket, AF_UNIX, SOCK_STREAM, 0);
  assert.equal(call(task, sockets.bind, again, ...name(task, '/s')), -EADDRINUSE);
});
