// Sockets that reach outside, in hostile hands: through a sandbox, and the host calls themselves.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
} from '../../src/abi/socket.ts';
import type { HostFd } from '../../src/base/brands.ts';
import { host } from '../../src/host/calls.ts';
import { SCRATCH, SCRATCH_SIZE } from '../../src/platform/arena.ts';
import { native } from '../../src/platform/native.ts';
import { CLOISTER } from '../cli/cloister.ts';
import { setUp } from '../support/fake-guest.ts';
import { makeVeth, skipsVeth } from '../support/veth.ts';

const EINVAL = -22;
const EAFNOSUPPORT = -97;

test('a program that misuses them', { skip: skipsVeth }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'outside-hostile-'));
  const veth = makeVeth(3);
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, veth.outside);
  try {
    await once(server, 'listening');
    const program = join(directory, 'hostile');
    execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, 'outside-hostile.c')]);
    const port = String((server.address() as AddressInfo).port);
    const args = ['do', '--network', veth.path, '--', program, veth.outside, port];
    const child = spawn(CLOISTER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), 30000);
    let text = '';
    child.stdout.setEncoding('latin1').on('data', (part: string) => (text += part));
    const [status] = await once(child, 'close');
    clearTimeout(timer);
    assert.deepEqual(text.trimEnd().split('\n'), [
      'short 22',
      'negative 22',
      'long 22',
      'fault 14',
      'rights 0',
      'strange interface 1',
      'too long 90',
      'answer abc',
    ]);
    assert.equal(status, 0);
  } finally {
    server.close();
    veth.remove();
    rmSync(directory, { recursive: true, force: true });
  }
});

test('the host calls take what they are for and nothing else', () => {
  setUp();
  const arena = native.arenaCreate().byteLength;
  assert.equal(arena, SCRATCH + SCRATCH_SIZE);
  const refused = [
    [AF_UNIX, SOCK_STREAM, 0],
    [AF_PACKET, SOCK_RAW, 0],
    [AF_INET, SOCK_RAW, 1],
    [AF_INET, SOCK_DGRAM, 58],
    [AF_INET6, SOCK_RAW, 58],
    [AF_INET, SOCK_STREAM, 132],
    [AF_NETLINK, SOCK_RAW, 9],
  ] as const;
  for (const [family, type, protocol] of refused) assert.equal(host.socket(family, type, protocol), EAFNOSUPPORT);
  const fd = host.socket(AF_INET, SOCK_DGRAM, 17) as HostFd;
  assert.ok(fd >= 0);
  const at = SCRATCH;
  for (const [offset, length] of [
    [-1, 16],
    [arena, 16],
    [arena - 8, 16],
    [at, -1],
    [at, 2 ** 40],
    [Number.NaN, 16],
  ] as const) {
    assert.equal(host.bind(fd, offset, length), EINVAL);
    assert.equal(host.connect(fd, offset, length), EINVAL);
    assert.equal(host.setsockopt(fd, 1, 2, offset, length), EINVAL);
    assert.equal(host.sendmsg(fd, offset, length, 0, 0, 0, 0, 0), EINVAL);
    assert.equal(host.sendmsg(fd, at, 1, 0, offset, length, 0, 0), EINVAL);
    assert.equal(host.sendmsg(fd, at, 1, 0, 0, 0, offset, length), EINVAL);
    assert.equal(host.recvmsg(fd, offset, length, 0, at), EINVAL);
  }
  assert.equal(host.recvmsg(fd, at, 16, 0, arena - 64), EINVAL);
  assert.equal(host.sendmsg(fd, at, 1, 0, at, 129, 0, 0), EINVAL, 'a name longer than any');
  host.close(fd);
});
