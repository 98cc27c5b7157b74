// rtnetlink: listing the loopback and its addresses, refusing everything else; and the ioctls on interfaces.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ECONNREFUSED, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, EPERM } from '../../src/abi/errno.ts';
import { SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFINDEX, SIOCSIFMTU } from '../../src/abi/ioctl.ts';
import { AF_INET, AF_NETLINK, MSG_DONTWAIT, SOCK_DGRAM, SOCK_RAW } from '../../src/abi/socket.ts';
import type { Fd, UserAddress } from '../../src/base/brands.ts';
import { netlinkMessage, RTM_GETADDR, RTM_GETLINK } from '../../src/net/netlink/messages.ts';
import { resetScratch } from '../../src/platform/arena.ts';
import * as sockets from '../../src/syscalls/socket.ts';
import * as messages from '../../src/syscalls/socket-message.ts';
import { call, type FakeTask, newTask } from '../support/fake-guest.ts';

const REQUEST_DUMP = 0x301;

function ask(task: FakeTask, fd: number, type: number, flags: number, body: string): Buffer[] {
  const text = netlinkMessage(type, flags, 77, 0, body);
  assert.equal(call(task, messages.sendto, fd, task.memory.put(text), text.length, 0, 0, 0), text.length);
  const answers: Buffer[] = [];
  const at = task.memory.allocate(4096);
  for (;;) {
    const n = call(task, messages.recvfrom, fd, at, 4096, MSG_DONTWAIT, 0, 0);
    if (n < 0) return answers;
    const bytes = Buffer.from(task.memory.get(at, n), 'latin1');
    for (let from = 0; from < n; from += (bytes.readUInt32LE(from) + 3) & ~3) {
      answers.push(bytes.subarray(from, from + bytes.readUInt32LE(from)));
    }
  }
}

test('dumps', () => {
  const task = newTask();
  const fd = call(task, sockets.socket, AF_NETLINK, SOCK_RAW, 0);
  const links = ask(task, fd, RTM_GETLINK, REQUEST_DUMP, '\0'.repeat(16));
  assert.deepEqual(
    links.map((link) => [link.readUInt16LE(4), link.readUInt32LE(8), link.readUInt32LE(12)]),
    [
      [16, 77, task.tid],
      [3, 77, task.tid],
    ],
  );
  assert.ok(links[0].includes('lo\0'));
  assert.equal(ask(task, fd, RTM_GETADDR, REQUEST_DUMP, '\0'.repeat(8)).length, 3);
  assert.equal(ask(task, fd, RTM_GETADDR, REQUEST_DUMP, `\x02${'\0'.repeat(7)}`).length, 2);
});

test('refusals', () => {
  const task = newTask();
  const fd = call(task, sockets.socket, AF_NETLINK, SOCK_DGRAM, 0);
  const change = ask(task, fd, 24, 5, '\0'.repeat(16));
  assert.deepEqual([change[0].readUInt16LE(4), change[0].readInt32LE(16)], [2, -EPERM]);
  const up = ask(task, fd, 16, 5, `\0\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0`);
  assert.equal(up[0].readInt32LE(16), 0, 'it is up already');
  const address = `\x02\x08\0\0\x01\0\0\0\x08\0\x02\0\x7f\0\0\x01`;
  assert.equal(ask(task, fd, 20, 5, address)[0].readInt32LE(16), -EEXIST, 'the loopback has its address');
  assert.equal(ask(task, fd, 20, 5, address.replace('\x7f', '\x0a'))[0].readInt32LE(16), -EOPNOTSUPP);
  const absent = ask(task, fd, RTM_GETLINK, 1, `\0\0\0\0\x09${'\0'.repeat(11)}`);
  assert.equal(absent[0].readInt32LE(16), -ENODEV);
  const elsewhere = task.memory.put(`\x10\0\0\0\x05\0\0\0\0\0\0\0`);
  assert.equal(call(task, messages.sendto, fd, elsewhere, 4, 0, elsewhere, 12), -ECONNREFUSED);
  assert.equal(call(task, sockets.socket, AF_NETLINK, SOCK_RAW, 9), -93);
});

test('ioctls on interfaces', () => {
  const task = newTask();
  const fd = call(task, sockets.socket, AF_INET, SOCK_DGRAM, 0);
  const { view } = task.memory;
  const ioctl = (command: number, at: number): number => {
    resetScratch();
    task.memory.beginAnswer();
    const r = task.files.get(fd as Fd)!.ioctl(task, command, at as UserAddress);
    return task.memory.flush() < 0 ? -14 : r;
  };
  const request = task.memory.put(`lo${'\0'.repeat(38)}`);
  assert.equal(ioctl(SIOCGIFINDEX, request), 0);
  assert.equal(view.getInt32(request + 16, true), 1);
  assert.equal(ioctl(SIOCGIFFLAGS, request), 0);
  assert.equal(view.getUint16(request + 16, true), 0x49);
  assert.equal(ioctl(SIOCGIFFLAGS, task.memory.put(`eth0${'\0'.repeat(36)}`)), -ENODEV);
  view.setInt32(request + 16, -1, true);
  assert.equal(ioctl(SIOCSIFMTU, request), -EINVAL);
  view.setInt32(request + 16, 65536, true);
  assert.equal(ioctl(SIOCSIFMTU, request), 0);
  const list = task.memory.allocate(16);
  const buffer = task.memory.allocate(80);
  view.setInt32(list, 80, true);
  view.setBigUint64(list + 8, BigInt(buffer), true);
  assert.equal(ioctl(SIOCGIFCONF, list), 0);
  assert.equal(view.getInt32(list, true), 40);
  assert.equal(task.memory.get(buffer, 3), 'lo\0');
});
