// Random netlink messages and control messages: they are answered or refused, and nothing throws, hangs or is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AF_INET,
  AF_NETLINK,
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
} from '../../src/abi/socket.ts';
import { WAIT } from '../../src/kernel/block.ts';
import { netlinkMessage } from '../../src/net/netlink/messages.ts';
import * as sockets from '../../src/syscalls/socket.ts';
import * as messages from '../../src/syscalls/socket-message.ts';
import { call, type FakeTask, newTask } from '../support/fake-guest.ts';
import { below, bytes, pick, repeatedly, seed, word } from './random.ts';

const COUNT_AT = 0x300000;
const isResult = (r: number): boolean => Number.isInteger(r) && (r === WAIT || r >= -4095);

test(`netlink (seed ${seed})`, () => {
  repeatedly(2000, (round) => {
    const task = round % 200 === 0 ? newTask() : (last ?? newTask());
    last = task;
    if (round % 200 === 0) fd = call(task, sockets.socket, AF_NETLINK, SOCK_RAW, 0);
    const body = bytes(64);
    let text = netlinkMessage(below(3) ? 16 + below(100) : below(65536), word() & 0xffff, word(), word(), body);
    if (below(4) === 0) text = text.slice(0, below(text.length + 1)) + bytes(8);
    if (below(4) === 0) text = String.fromCharCode(below(256), below(256), below(2), 0) + text.slice(4);
    const { memory } = task;
    memory.bytes.set(Buffer.from(text, 'latin1'), COUNT_AT);
    const sent = call(task, messages.sendto, fd, COUNT_AT, text.length, 0, 0, 0);
    assert.ok(isResult(sent), `${sent}`);
    for (let i = 0; i < 64; i++) {
      const n = call(task, messages.recvfrom, fd, COUNT_AT, 4096, MSG_DONTWAIT, 0, 0);
      assert.ok(isResult(n));
      if (n < 0) break;
      assert.ok(i < 63, 'the answers never end');
    }
  });
});
let last: FakeTask | null = null;
let fd = 0;

test(`control messages (seed ${seed})`, () => {
  const task = newTask();
  const { view, bytes: memory } = task.memory;
  const header = 0x10000;
  const [control, vector, data] = [0x20000, 0x30000, 0x40000];
  const pairs = [AF_UNIX, AF_INET].flatMap((family) =>
    [SOCK_STREAM, SOCK_DGRAM].map((type) => {
      if (family === AF_INET) return call(task, sockets.socket, family, type, 0);
      assert.equal(call(task, sockets.socketpair, family, type, 0, data), 0);
      return view.getInt32(data, true);
    }),
  );
  repeatedly(5000, () => {
    let length = 0;
    for (let i = below(4); i > 0; i--) {
      const size = below(3) === 0 ? word() : 16 + below(40);
      view.setBigUint64(control + length, BigInt(size), true);
      view.setInt32(control + length + 8, pick([1, 0, 41, word() | 0]), true);
      view.setInt32(control + length + 12, pick([1, 2, 8, 50, 67, word() | 0]), true);
      for (let at = 16; at < 56; at += 4) view.setInt32(control + length + at, pick([...pairs, -1, word() | 0]), true);
      length += (Math.min(size, 56) + 7) & ~7;
    }
    view.setBigUint64(vector, BigInt(data), true);
    view.setBigUint64(vector + 8, BigInt(below(100)), true);
    memory.fill(0, header, header + 56);
    view.setBigUint64(header + 16, BigInt(vector), true);
    view.setBigUint64(header + 24, BigInt(below(3)), true);
    view.setBigUint64(header + 32, BigInt(control), true);
    view.setBigUint64(header + 40, BigInt(below(8) ? length + below(9) : word()), true);
    const on = pick(pairs);
    assert.ok(isResult(call(task, messages.sendmsg, on, header, MSG_DONTWAIT | MSG_NOSIGNAL)));
    view.setBigUint64(header + 40, BigInt(below(200)), true);
    assert.ok(isResult(call(task, messages.recvmsg, on, header, MSG_DONTWAIT)));
  });
});
