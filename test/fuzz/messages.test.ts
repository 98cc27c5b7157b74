// Random netlink messages and control messages: they are answered or refused, and nothing throws, hangs or is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AF_INET,
  AF_NETLINK,
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../src/abi/socket.ts';
import type { Fd } from '../../src/base/brands.ts';
import { WAIT } from '../../src/kernel/block.ts';
import { netlinkMessage } from '../../src/net/netlink/messages.ts';
import * as sockets from '../../src/syscalls/socket.ts';
import * as messages from '../../src/syscalls/socket-message.ts';
import { drop } from '../../src/vfs/open-file.ts';
import { call, endTask, newTask } from '../support/fake-guest.ts';
import { below, bytes, pick, repeatedly, seed, word } from './random.ts';

const COUNT_AT = 0x300000;
const isResult = (r: number): boolean => Number.isInteger(r) && (r === WAIT || r >= -4095);

/** NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_GENERIC. */
const PROTOCOLS = [0, 4, 16];

/** Types that somebody understands, mostly, and flags that ask for something. */
const messageType = (): number => (below(8) === 0 ? word() & 0xffff : pick([16, 18, 20, 24, 28, 32, 36]) + below(70));
const messageFlags = (): number => (below(8) === 0 ? word() : 1 | pick([0, 0x300, 4, 0x600, 0x400, 0x200]));

/** Attributes (rtnetlink(7)), lengths that are not true among them. */
function attributes(depth: number): string {
  let text = '';
  for (let n = below(4); n > 0; n--) {
    const value =
      depth > 0 && below(3) === 0 ? attributes(depth - 1) : pick(['lo\0', 'veth0\0', '', bytes(16), bytes(4)]);
    const length = below(10) === 0 ? below(65536) : 4 + value.length;
    const header = Buffer.alloc(4);
    header.writeUInt16LE(length, 0);
    header.writeUInt16LE(below(60) | (below(4) === 0 ? 0x8000 : 0), 2);
    text += header.toString('latin1') + value + '\0'.repeat(-value.length & 3);
  }
  return text;
}

test(`netlink (seed ${seed})`, () => {
  let task = newTask();
  let fd = -1;
  let answered = 0;
  repeatedly(2000, (round) => {
    if (round % 200 === 0) {
      endTask(task); // its memory is large
      task = newTask();
      fd = call(task, sockets.socket, AF_NETLINK, SOCK_RAW, pick(PROTOCOLS));
    }
    const head = String.fromCharCode(pick([0, 2, 10, 17, below(256)])) + bytes(3) + '\0'.repeat(4 * below(4));
    const body = below(4) === 0 ? bytes(64) : `${head}${'\0'.repeat(-head.length & 3)}${attributes(2)}`;
    let text = netlinkMessage(messageType(), messageFlags(), word(), word(), body);
    if (below(3) === 0) text += netlinkMessage(messageType(), messageFlags(), word(), word(), attributes(1));
    if (below(8) === 0) text = text.slice(0, below(text.length + 1)) + bytes(8);
    if (below(8) === 0) text = String.fromCharCode(below(256), below(256), below(2), 0) + text.slice(4);
    const { memory } = task;
    memory.bytes.set(Buffer.from(text, 'latin1'), COUNT_AT);
    const sent = call(task, messages.sendto, fd, COUNT_AT, text.length, 0, 0, 0);
    assert.ok(isResult(sent), `${sent}`);
    for (let i = 0; i < 64; i++) {
      const n = call(task, messages.recvfrom, fd, COUNT_AT, 4096, MSG_DONTWAIT, 0, 0);
      assert.ok(isResult(n));
      if (n < 0) break;
      answered++;
      assert.ok(i < 63, 'the answers never end');
    }
  });
  endTask(task);
  assert.ok(answered > 100, `only ${answered} answers`);
});

test(`control messages (seed ${seed})`, () => {
  const task = newTask();
  const { view, bytes: memory } = task.memory;
  const header = 0x10000;
  const [control, vector, data] = [0x20000, 0x30000, 0x40000];
  const others: number[] = [];
  let received = 0;
  const pairs = [AF_UNIX, AF_INET].flatMap((family) =>
    [SOCK_STREAM, SOCK_DGRAM].map((type) => {
      if (family === AF_INET) return call(task, sockets.socket, family, type, 0);
      assert.equal(call(task, sockets.socketpair, family, type, 0, data), 0);
      others.push(view.getInt32(data + 4, true));
      return view.getInt32(data, true);
    }),
  );
  repeatedly(5000, () => {
    let length = 0;
    for (let i = below(4); i > 0; i--) {
      // Descriptors that are all there, or anything.
      const honest = below(2) === 0;
      const size = honest ? 16 + 4 * (1 + below(4)) : below(3) === 0 ? word() : 16 + below(40);
      view.setBigUint64(control + length, BigInt(size), true);
      view.setInt32(control + length + 8, honest ? SOL_SOCKET : pick([1, 0, 41, word() | 0]), true);
      view.setInt32(control + length + 12, honest ? SCM_RIGHTS : pick([1, 2, 8, 50, 67, word() | 0]), true);
      const values = honest ? pairs : [...pairs, -1, task.group.localPid, 0, word() | 0];
      for (let at = 16; at < 56; at += 4) view.setInt32(control + length + at, pick(values), true);
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
    const from = below(2) === 0 ? on : pick(others);
    assert.ok(isResult(call(task, messages.recvmsg, from, header, MSG_DONTWAIT)));
    // What came along is closed, but for a few, which go on their way in each other's queues.
    for (let fd = task.files.files.length - 1; fd > 20; fd--) {
      const file = task.files.remove(fd as Fd);
      if (file) {
        drop(file);
        received++;
      }
    }
  });
  assert.ok(received > 50, `only ${received} descriptors came`);
});
