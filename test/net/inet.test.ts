// TCP and UDP over the loopback through the system call handlers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EDESTADDRREQ,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENETUNREACH,
  ENOTCONN,
  EPIPE,
} from '../../src/abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from '../../src/abi/poll.ts';
import { SIGPIPE } from '../../src/abi/signal.ts';
import {
  AF_INET,
  AF_INET6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_OOB,
  SHUT_WR,
  SO_ERROR,
  SO_OOBINLINE,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_TCP,
  SOL_UDP,
  TCP_CORK,
  TCP_NODELAY,
  UDP_CORK,
} from '../../src/abi/socket.ts';
import type { Fd } from '../../src/base/brands.ts';
import { WAIT } from '../../src/kernel/block.ts';
import * as sockets from '../../src/syscalls/socket.ts';
import * as messages from '../../src/syscalls/socket-message.ts';
import { drop, type OpenFile } from '../../src/vfs/open-file.ts';
import { call, type FakeTask, isWoken, newTask, passTime, retry } from '../support/fake-guest.ts';

type Address = [at: number, length: number];

function v4(task: FakeTask, host: string, port: number): Address {
  const bytes = host.split('.').map(Number);
  return [task.memory.put(String.fromCharCode(2, 0, port >> 8, port & 255, ...bytes, 0, 0, 0, 0, 0, 0, 0, 0)), 16];
}

function v6(task: FakeTask, last: number[], port: number): Address {
  const host = [...new Array(16 - last.length).fill(0), ...last];
  return [task.memory.put(String.fromCharCode(10, 0, port >> 8, port & 255, 0, 0, 0, 0, ...host, 0, 0, 0, 0)), 28];
}

function make(task: FakeTask, type = SOCK_STREAM, family = AF_INET): number {
  const fd = call(task, sockets.socket, family, type, 0);
  assert.ok(fd >= 0);
  return fd;
}

function file(task: FakeTask, fd: number): OpenFile {
  return task.files.get(fd as Fd)!;
}

function close(task: FakeTask, fd: number): void {
  drop(task.files.remove(fd as Fd)!);
}

/** The name or the peer's name of a socket, as a byte string. */
function nameOf(task: FakeTask, fd: number, handler = sockets.getsockname): string | number {
  const at = task.memory.allocate(128);
  const length = task.memory.allocate(4);
  task.memory.view.setUint32(length, 128, true);
  const r = call(task, handler, fd, at, length);
  return r < 0 ? r : task.memory.get(at, task.memory.view.getUint32(length, true));
}

function portOf(task: FakeTask, fd: number): number {
  const name = nameOf(task, fd) as string;
  return name.charCodeAt(2) * 256 + name.charCodeAt(3);
}

function listen(task: FakeTask, backlog = 5, address = v4(task, '127.0.0.1', 0)): [fd: number, port: number] {
  const fd = make(task);
  assert.equal(call(task, sockets.bind, fd, ...address), 0);
  assert.equal(call(task, sockets.listen, fd, backlog), 0);
  return [fd, portOf(task, fd)];
}

function connected(task: FakeTask): [client: number, server: number, listener: number] {
  const [listener, port] = listen(task);
  const client = make(task);
  assert.equal(call(task, sockets.connect, client, ...v4(task, '127.0.0.1', port)), 0);
  const server = call(task, sockets.accept, listener, 0, 0);
  return [client, server, listener];
}

function send(task: FakeTask, fd: number, text: string, to: Address | [0, 0] = [0, 0]): number {
  return call(task, messages.sendto, fd, task.memory.put(text), text.length, MSG_NOSIGNAL, ...to);
}

function receive(task: FakeTask, fd: number, length = 100): string | number {
  const at = task.memory.allocate(length);
  const n = call(task, messages.recvfrom, fd, at, length, MSG_DONTWAIT, 0, 0);
  return n < 0 ? n : task.memory.get(at, n);
}

function setOption(task: FakeTask, fd: number, level: number, which: number, value: number): number {
  const at = task.memory.allocate(4);
  task.memory.view.setInt32(at, value, true);
  return call(task, sockets.setsockopt, fd, level, which, at, 4);
}

function option(task: FakeTask, fd: number, level: number, which: number): number {
  const at = task.memory.allocate(8);
  task.memory.view.setUint32(at + 4, 4, true);
  const r = call(task, sockets.getsockopt, fd, level, which, at, at + 4);
  return r < 0 ? r : task.memory.view.getInt32(at, true);
}

test('a connection, its names and its ends', () => {
  const task = newTask();
  const [client, server] = connected(task);
  assert.equal(nameOf(task, client), nameOf(task, server, sockets.getpeername));
  assert.equal(nameOf(task, server), nameOf(task, client, sockets.getpeername));
  assert.equal((nameOf(task, client) as string).slice(4, 8), '\x7f\0\0\x01');
  assert.equal(call(task, sockets.connect, client, ...v4(task, '127.0.0.1', 1)), -EISCONN);
  assert.equal(send(task, client, 'request'), 7);
  assert.equal(receive(task, server), 'request');
  assert.equal(call(task, sockets.shutdown, client, SHUT_WR), 0);
  assert.equal(receive(task, server), '');
  assert.equal(file(task, server).poll() & (POLLIN | POLLRDHUP | POLLHUP), POLLIN | POLLRDHUP);
  assert.equal(send(task, server, 'answer'), 6);
  close(task, server);
  assert.equal(receive(task, client), 'answer');
  assert.equal(receive(task, client), '');
  assert.equal(file(task, client).poll() & POLLHUP, POLLHUP);
});

test('resets', () => {
  const task = newTask();
  const [client, server] = connected(task);
  send(task, client, 'unread');
  close(task, server);
  assert.equal(file(task, client).poll() & (POLLERR | POLLHUP), POLLERR | POLLHUP);
  assert.equal(receive(task, client), -ECONNRESET);
  assert.equal(receive(task, client), '');
  assert.equal(nameOf(task, client, sockets.getpeername), -ENOTCONN);

  const [second, gone] = connected(task);
  close(task, gone);
  assert.equal(send(task, second, 'x'), 1, 'goes out');
  assert.equal(send(task, second, 'x'), -EPIPE);
  assert.equal(receive(task, second), '');
  task.maskLow = -1;
  assert.equal(call(task, messages.sendto, second, task.memory.put('x'), 1, 0, 0, 0), -EPIPE);
  assert.ok(task.pending.has(SIGPIPE));
});

test('connections that do not come about', () => {
  const task = newTask();
  const [listener, port] = listen(task);
  close(task, listener);
  const fd = make(task);
  assert.equal(file(task, fd).poll() & (POLLOUT | POLLHUP), POLLOUT | POLLHUP);
  assert.equal(receive(task, fd), -ENOTCONN);
  assert.equal(send(task, fd, 'x'), -EPIPE);
  assert.equal(call(task, sockets.connect, fd, ...v4(task, '127.0.0.1', port)), -ECONNREFUSED);
  assert.equal(call(task, sockets.connect, fd, ...v4(task, '10.0.0.1', port)), -ENETUNREACH);
  assert.equal(call(task, sockets.connect, fd, ...v6(task, [1], port)), -EAFNOSUPPORT);
  assert.equal(call(task, sockets.bind, make(task), ...v4(task, '10.0.0.1', 0)), -EADDRNOTAVAIL);
  const plain = newTask(undefined, { effective: { low: 0, high: 0 } });
  assert.equal(call(plain, sockets.bind, make(plain), ...v4(plain, '0.0.0.0', 80)), -EACCES);
});

test('a non-blocking connect is in progress, and told once', () => {
  const task = newTask();
  const [listener, port] = listen(task);
  const fd = make(task, SOCK_STREAM | SOCK_NONBLOCK);
  const to = v4(task, '127.0.0.1', port);
  assert.equal(call(task, sockets.connect, fd, ...to), -EINPROGRESS);
  assert.equal(file(task, fd).poll() & POLLOUT, POLLOUT);
  assert.equal(call(task, sockets.connect, fd, ...to), 0);
  assert.equal(call(task, sockets.connect, fd, ...to), -EISCONN);
  close(task, listener);
  const refused = make(task, SOCK_STREAM | SOCK_NONBLOCK);
  assert.equal(call(task, sockets.connect, refused, ...to), -EINPROGRESS);
  assert.equal(file(task, refused).poll() & (POLLERR | POLLHUP | POLLOUT), POLLERR | POLLHUP | POLLOUT);
  assert.equal(option(task, refused, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  assert.equal(option(task, refused, SOL_SOCKET, SO_ERROR), 0);
});

test('a full backlog', () => {
  const task = newTask();
  const [listener, port] = listen(task, 0);
  const to = (other: FakeTask): Address => v4(other, '127.0.0.1', port);
  const [first, second, third] = [newTask(), newTask(), newTask()];
  assert.equal(call(first, sockets.connect, make(first), ...to(first)), 0);
  const args = [make(second), ...to(second)];
  assert.equal(call(second, sockets.connect, ...args), WAIT);
  const late = make(third, SOCK_STREAM | SOCK_NONBLOCK);
  assert.equal(call(third, sockets.connect, late, ...to(third)), -EINPROGRESS);
  assert.equal(file(third, late).poll() & POLLOUT, 0);
  assert.ok(call(task, sockets.accept, listener, 0, 0) >= 0);
  assert.ok(isWoken(second));
  assert.equal(retry(second, sockets.connect, ...args), 0);
  close(task, listener);
  assert.equal(option(third, late, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  assert.equal(receive(second, args[0]), -ECONNRESET);
});

test('flow control', () => {
  const task = newTask();
  const [client, server] = connected(task);
  const big = task.memory.allocate(1 << 20);
  const sent = call(task, messages.sendto, client, big, 1 << 20, MSG_DONTWAIT, 0, 0);
  assert.ok(sent > 200000 && sent < 1 << 20);
  assert.equal(call(task, messages.sendto, client, big, 1, MSG_DONTWAIT, 0, 0), -EAGAIN);
  assert.equal(file(task, client).poll() & POLLOUT, 0);
  let got = 0;
  for (let text = receive(task, server, 65536); typeof text === 'string'; text = receive(task, server, 65536)) {
    got += text.length;
  }
  assert.equal(got, sent);
  assert.equal(file(task, client).poll() & POLLOUT, POLLOUT);
});

test('addresses that are taken', () => {
  const task = newTask();
  const [, port] = listen(task);
  const same = (host: string, options: number[] = []): number => {
    const fd = make(task);
    for (const which of options) setOption(task, fd, SOL_SOCKET, which, 1);
    return call(task, sockets.bind, fd, ...v4(task, host, port));
  };
  assert.equal(same('127.0.0.1'), -EADDRINUSE);
  assert.equal(same('0.0.0.0'), -EADDRINUSE);
  assert.equal(same('127.0.0.2'), 0);
  assert.equal(same('127.0.0.1', [SO_REUSEADDR]), -EADDRINUSE);
  const shared = [make(task), make(task)];
  for (const fd of shared) setOption(task, fd, SOL_SOCKET, SO_REUSEPORT, 1);
  assert.equal(call(task, sockets.bind, shared[0], ...v4(task, '127.0.0.1', 5000)), 0);
  assert.equal(call(task, sockets.bind, shared[1], ...v4(task, '127.0.0.1', 5000)), 0);
  for (const fd of shared) assert.equal(call(task, sockets.listen, fd, 5), 0);
  for (const fd of shared) close(task, fd);

  const [one, two] = [make(task), make(task)];
  for (const fd of [one, two]) setOption(task, fd, SOL_SOCKET, SO_REUSEADDR, 1);
  assert.equal(call(task, sockets.bind, one, ...v4(task, '127.0.0.1', 5001)), 0);
  assert.equal(call(task, sockets.bind, two, ...v4(task, '127.0.0.1', 5001)), 0);
  assert.equal(call(task, sockets.listen, one, 5), 0);
  assert.equal(call(task, sockets.listen, two, 5), -EADDRINUSE);
});

test('IPv6, and IPv4 through it', () => {
  const task = newTask();
  const listener = make(task, SOCK_STREAM, AF_INET6);
  assert.equal(call(task, sockets.bind, listener, ...v6(task, [0], 0)), 0);
  assert.equal(call(task, sockets.listen, listener, 5), 0);
  const port = portOf(task, listener);
  const six = make(task, SOCK_STREAM, AF_INET6);
  assert.equal(call(task, sockets.connect, six, ...v6(task, [1], port)), 0);
  const four = make(task);
  assert.equal(call(task, sockets.connect, four, ...v4(task, '127.0.0.1', port)), 0);
  const first = call(task, sockets.accept, listener, 0, 0);
  assert.equal((nameOf(task, first, sockets.getpeername) as string).slice(8, 24), `${'\0'.repeat(15)}\x01`);
  const second = call(task, sockets.accept, listener, 0, 0);
  const mapped = `${'\0'.repeat(10)}\xff\xff\x7f\0\0\x01`;
  assert.equal((nameOf(task, second, sockets.getpeername) as string).slice(8, 24), mapped);
  assert.equal(send(task, four, 'four'), 4);
  assert.equal(receive(task, second), 'four');
  assert.equal(call(task, sockets.bind, make(task), ...v4(task, '0.0.0.0', port)), -EADDRINUSE);
  const only = make(task, SOCK_STREAM, AF_INET6);
  assert.equal(setOption(task, only, SOL_IPV6, IPV6_V6ONLY, 1), 0);
  assert.equal(option(task, only, SOL_IPV6, IPV6_V6ONLY), 1);
  assert.equal(call(task, sockets.bind, only, ...v6(task, [0xff, 0xff, 127, 0, 0, 1], 0)), -EINVAL);
});

test('options of TCP', () => {
  const task = newTask();
  const [client] = connected(task);
  assert.equal(option(task, client, SOL_TCP, TCP_NODELAY), 0);
  assert.equal(setOption(task, client, SOL_TCP, TCP_NODELAY, 7), 0);
  assert.equal(option(task, client, SOL_TCP, TCP_NODELAY), 1);
  assert.equal(option(task, client, SOL_TCP, 999), -92);
});

test('bytes that wait for more', () => {
  const task = newTask();
  const [client, server] = connected(task);
  const more = (): number => call(task, messages.sendto, client, task.memory.put('a'), 1, MSG_MORE, 0, 0);
  assert.equal(more(), 1);
  assert.equal(receive(task, server), -EAGAIN);
  assert.equal(file(task, server).poll() & POLLIN, 0);
  assert.equal(send(task, client, 'b'), 1);
  assert.equal(receive(task, server), 'ab');
  more();
  passTime(201e6);
  assert.equal(receive(task, server), 'a', 'but not for long');
  setOption(task, client, SOL_TCP, TCP_CORK, 1);
  send(task, client, 'x');
  assert.equal(receive(task, server), -EAGAIN);
  setOption(task, client, SOL_TCP, TCP_CORK, 0);
  assert.equal(receive(task, server), 'x');
  more();
  close(task, client);
  assert.equal(receive(task, server), 'a');
  assert.equal(receive(task, server), '');
});

test('an urgent byte', () => {
  const task = newTask();
  const [client, server] = connected(task);
  const text = task.memory.put('abcX');
  const at = task.memory.allocate(4);
  const urgent = (): number => call(task, messages.recvfrom, server, at, 4, MSG_OOB | MSG_DONTWAIT, 0, 0);
  assert.equal(urgent(), -EINVAL);
  assert.equal(call(task, messages.sendto, client, text, 4, MSG_OOB, 0, 0), 4);
  send(task, client, 'def');
  assert.equal(file(task, server).poll() & POLLPRI, POLLPRI);
  assert.equal(receive(task, server), 'abc', 'up to the mark');
  assert.equal(urgent(), 1);
  assert.equal(task.memory.get(at, 1), 'X');
  assert.equal(urgent(), -EINVAL);
  assert.equal(receive(task, server), 'def');
  setOption(task, server, SOL_SOCKET, SO_OOBINLINE, 1);
  assert.equal(call(task, messages.sendto, client, text, 4, MSG_OOB, 0, 0), 4);
  assert.equal(receive(task, server), 'abc');
  assert.equal(urgent(), -EINVAL);
  assert.equal(receive(task, server), 'X');
});

test('what a datagram goes with', () => {
  const task = newTask();
  const [a, b] = [make(task, SOCK_DGRAM, AF_INET6), make(task, SOCK_DGRAM, AF_INET6)];
  assert.equal(call(task, sockets.bind, a, ...v6(task, [1], 0)), 0);
  assert.equal(setOption(task, a, SOL_IPV6, IPV6_RECVHOPLIMIT, 1), 0);
  assert.equal(setOption(task, a, SOL_IPV6, IPV6_RECVPKTINFO, 1), 0);
  assert.equal(setOption(task, b, SOL_IPV6, IPV6_UNICAST_HOPS, 300), -EINVAL);
  assert.equal(setOption(task, b, SOL_IPV6, IPV6_UNICAST_HOPS, 9), 0);
  assert.equal(send(task, b, 'x', v6(task, [1], portOf(task, a))), 1);
  const { memory } = task;
  const msg = memory.allocate(56);
  const control = memory.allocate(64);
  memory.view.setBigUint64(msg + 32, BigInt(control), true);
  memory.view.setBigUint64(msg + 40, 64n, true);
  assert.equal(call(task, messages.recvmsg, a, msg, 0), 0);
  assert.equal(memory.view.getBigUint64(msg + 40, true), 64n);
  const words = Array.from({ length: 16 }, (_, i) => memory.view.getInt32(control + 4 * i, true));
  assert.deepEqual(words.slice(0, 4), [36, 0, SOL_IPV6, IPV6_PKTINFO]);
  assert.deepEqual(words.slice(7, 9), [1 << 24, 1], '::1, on the loopback');
  assert.deepEqual(words.slice(10, 15), [20, 0, SOL_IPV6, IPV6_HOPLIMIT, 9]);
});

test('datagrams', () => {
  const task = newTask();
  const receiver = make(task, SOCK_DGRAM);
  assert.equal(call(task, sockets.bind, receiver, ...v4(task, '0.0.0.0', 0)), 0);
  const port = portOf(task, receiver);
  const sender = make(task, SOCK_DGRAM);
  assert.equal(send(task, sender, 'x'), -EDESTADDRREQ);
  assert.equal(send(task, sender, 'one', v4(task, '127.0.0.1', port)), 3);
  assert.equal(send(task, sender, '', v4(task, '127.0.0.1', port)), 0);
  assert.equal(send(task, sender, 'x', v4(task, '192.168.1.1', port)), -ENETUNREACH);
  const from = task.memory.allocate(16);
  const length = task.memory.allocate(4);
  task.memory.view.setUint32(length, 16, true);
  const at = task.memory.allocate(10);
  assert.equal(call(task, messages.recvfrom, receiver, at, 2, 0, from, length), 2);
  assert.equal(task.memory.get(at, 2), 'on');
  assert.equal(task.memory.view.getUint16(from + 2, false), portOf(task, sender));
  assert.equal(receive(task, receiver), '');
  assert.equal(receive(task, receiver), -EAGAIN);
  const huge = task.memory.allocate(70000);
  assert.equal(call(task, messages.sendto, sender, huge, 70000, 0, ...v4(task, '127.0.0.1', port)), -EMSGSIZE);

  assert.equal(call(task, sockets.connect, sender, ...v4(task, '127.0.0.1', port)), 0);
  assert.equal(send(task, sender, 'two'), 3);
  assert.equal(receive(task, receiver), 'two');
  close(task, receiver);
  assert.equal(send(task, sender, 'lost'), 4);
  assert.equal(file(task, sender).poll() & POLLERR, POLLERR);
  assert.equal(receive(task, sender), -ECONNREFUSED);
  assert.equal(receive(task, sender), -EAGAIN);
});

test('a datagram in parts', () => {
  const task = newTask();
  const [a, b] = [make(task, SOCK_DGRAM), make(task, SOCK_DGRAM)];
  call(task, sockets.bind, a, ...v4(task, '127.0.0.1', 0));
  const to = v4(task, '127.0.0.1', portOf(task, a));
  const more = (text: string): number =>
    call(task, messages.sendto, b, task.memory.put(text), text.length, MSG_MORE, ...to);
  assert.equal(more('one '), 4);
  assert.equal(more('two '), 4);
  assert.equal(receive(task, a), -EAGAIN);
  assert.equal(send(task, b, 'three', to), 5);
  assert.equal(receive(task, a), 'one two three');
  setOption(task, b, SOL_UDP, UDP_CORK, 1);
  send(task, b, 'held', to);
  assert.equal(receive(task, a), -EAGAIN);
  setOption(task, b, SOL_UDP, UDP_CORK, 0);
  assert.equal(receive(task, a), 'held');
});

test('a connected datagram socket hears only its peer, and a full one loses', () => {
  const task = newTask();
  const [a, b, c] = [make(task, SOCK_DGRAM), make(task, SOCK_DGRAM), make(task, SOCK_DGRAM)];
  for (const fd of [a, b, c]) call(task, sockets.bind, fd, ...v4(task, '127.0.0.1', 0));
  const [pa, pb] = [portOf(task, a), portOf(task, b)];
  assert.equal(call(task, sockets.connect, a, ...v4(task, '127.0.0.1', pb)), 0);
  assert.equal(send(task, c, 'stranger', v4(task, '127.0.0.1', pa)), 8);
  assert.equal(receive(task, a), -EAGAIN);
  for (let i = 0; i < 1000; i++) assert.equal(send(task, b, 'x'.repeat(100), v4(task, '127.0.0.1', pa)), 100);
  let got = 0;
  while (typeof receive(task, a) === 'string') got++;
  assert.ok(got > 100 && got < 1000);
});
