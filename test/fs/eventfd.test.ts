// eventfd: the counter's arithmetic at its ends, and semaphores.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EAGAIN, EINVAL } from '../../src/abi/errno.ts';
import { EFD_SEMAPHORE } from '../../src/abi/misc.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../src/abi/poll.ts';
import { EventFile } from '../../src/fs/eventfd/eventfd.ts';
import { SCRATCH, u8 } from '../../src/platform/arena.ts';
import { setUp } from '../support/fake-guest.ts';

setUp();
const AT = SCRATCH + (8 << 20);
const view = new DataView(u8.buffer);

function write(file: EventFile, value: bigint): number {
  view.setBigUint64(AT, value, true);
  return file.write(AT, 8);
}

function read(file: EventFile): bigint | number {
  const n = file.read(AT, 8);
  return n < 0 ? n : view.getBigUint64(AT, true);
}

test('adds up, and read takes all', () => {
  const file = new EventFile(3, 0);
  write(file, 4n);
  assert.equal(file.poll(), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
  assert.equal(read(file), 7n);
  assert.equal(read(file), -EAGAIN);
  assert.equal(file.poll(), POLLOUT | POLLWRNORM);
  assert.equal(file.read(AT, 7), -EINVAL);
  assert.equal(file.write(AT, 4), -EINVAL);
  assert.equal(file.write(AT, 16), -EINVAL, 'since Linux 6.9');
});

test('carries into the high word and stops before 2^64 - 1', () => {
  const file = new EventFile(0xffffffff, 0);
  assert.equal(write(file, 0xffffffffffffffffn), -EINVAL);
  assert.equal(write(file, 1n), 8);
  assert.equal(read(file), 1n << 32n);
  assert.equal(write(file, (1n << 64n) - 2n), 8);
  assert.equal(file.poll(), POLLIN | POLLRDNORM);
  assert.equal(write(file, 1n), -EAGAIN);
  assert.equal(write(file, 0n), 8);
  assert.equal(read(file), (1n << 64n) - 2n);
});

test('a semaphore is taken one by one', () => {
  const file = new EventFile(0, EFD_SEMAPHORE);
  write(file, 1n << 32n);
  assert.equal(read(file), 1n);
  file.write(AT, 8);
  for (let i = 0; i < 3; i++) assert.equal(read(file), 1n);
  assert.equal(file.fdinfo.split('\n')[0], 'eventfd-count:         fffffffd');
});
