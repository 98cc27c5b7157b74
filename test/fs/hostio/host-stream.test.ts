// Inherited host descriptors as open files: offsets shared with the caller, reads that never block, the last close.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { EACCES, EAGAIN, EPIPE, ESPIPE } from '../../../src/abi/errno.ts';
import { O_RDONLY, O_RDWR, O_WRONLY, SEEK_CUR, SEEK_END, SEEK_SET } from '../../../src/abi/fcntl.ts';
import { POLLIN, POLLOUT } from '../../../src/abi/poll.ts';
import type { HostFd } from '../../../src/base/brands.ts';
import { type HostStream, openHostStream } from '../../../src/fs/hostio/host-stream.ts';
import { readBytes, SCRATCH, writeBytes } from '../../../src/platform/arena.ts';
import { drop } from '../../../src/vfs/open-file.ts';
import { setUpHost } from '../../support/file-tree.ts';

setUpHost();
const AT = SCRATCH + (8 << 20);
const scratch = mkdtempSync(join(tmpdir(), 'cloister-hostio-'));
after(() => rmSync(scratch, { recursive: true }));

function stream(fd: number): HostStream {
  const file = openHostStream(fd as HostFd);
  assert.ok(typeof file !== 'number');
  return file;
}

function read(file: HostStream, length: number, offset = file.position): string | number {
  const n = file.read(AT, length, offset);
  return n < 0 ? n : readBytes(AT, n);
}

function write(file: HostStream, text: string, offset = file.position): number {
  return file.write(AT, writeBytes(AT, text), offset);
}

function regular(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

test('a regular file is read and written at the offset that the caller has, too', () => {
  const path = regular('shared', 'abcdefghij');
  const fd = openSync(path, 'r+');
  readSync(fd, Buffer.alloc(2));
  const file = stream(fd);
  assert.equal(read(file, 3), 'cde');
  const more = Buffer.alloc(1);
  readSync(fd, more);
  assert.equal(more.toString(), 'f');
  assert.equal(read(file, 2, 0), 'ab');
  assert.equal(file.seek(0, SEEK_CUR), 6);
  assert.equal(write(file, 'XY'), 2);
  assert.equal(write(file, 'Z', 0), 1);
  assert.equal(file.seek(-1, SEEK_END), 9);
  assert.equal(read(file, 5), 'j');
  assert.equal(read(file, 5), '');
  assert.equal(file.inode.refresh(), 0);
  assert.deepEqual([file.inode.size, file.inode.ino], [10, fstatSync(fd).ino]);
  drop(file);
  assert.equal(readFileSync(path, 'latin1'), 'ZbcdefXYij');
});

test('opened again it has an offset of its own, and no more rights', () => {
  const path = regular('again', 'abcdef');
  const file = stream(openSync(path, 'r'));
  assert.equal(read(file, 2), 'ab');
  const again = file.inode.open(file.path, O_RDONLY) as HostStream;
  assert.equal(read(again, 2), 'ab');
  again.position = 4;
  assert.equal(read(again, 9), 'ef');
  assert.equal(read(file, 2), 'cd');
  assert.equal(file.inode.open(file.path, O_RDWR), -EACCES);
  assert.equal(file.inode.open(file.path, O_WRONLY), -EACCES);
  drop(file);
  assert.equal(again.seek(1, SEEK_SET), 1);
  assert.equal(read(again, 1), 'b');
  drop(again);
});

test('appending goes to the end', () => {
  const path = regular('append', 'abc');
  const file = stream(openSync(path, 'a'));
  assert.equal(write(file, 'de'), 2);
  drop(file);
  assert.equal(readFileSync(path, 'latin1'), 'abcde');
});

test('an empty pipe says EAGAIN although its descriptor blocks', () => {
  const path = join(scratch, 'fifo');
  execFileSync('mkfifo', [path]);
  const both = stream(openSync(path, constants.O_RDWR));
  assert.equal(read(both, 10), -EAGAIN);
  assert.equal(both.poll() & (POLLIN | POLLOUT), POLLOUT);
  assert.equal(write(both, 'hello'), 5);
  assert.equal(both.poll() & (POLLIN | POLLOUT), POLLIN | POLLOUT);
  assert.equal(read(both, 10), 'hello');
  let total = 0;
  for (let n = 0; n !== -EAGAIN; n = both.write(AT, 60000, 0)) total += n;
  assert.ok(total >= 60000);
  assert.equal(both.seek(0, SEEK_CUR), -ESPIPE);
  assert.match(both.linkText ?? '', /^pipe:\[\d+\]$/);
  drop(both);
});

test('writing without a reader is EPIPE, and the last close closes', () => {
  const path = join(scratch, 'one-way');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const file = stream(openSync(path, constants.O_WRONLY));
  const fd = file.inode.fd;
  closeSync(reader);
  assert.equal(write(file, 'x'), -EPIPE);
  drop(file);
  assert.throws(() => fstatSync(fd), /EBADF/);
});

test('/dev/null is always ready', () => {
  const file = stream(openSync('/dev/null', 'r+'));
  assert.equal(file.waitQueue, null);
  assert.equal(read(file, 10), '');
  assert.equal(write(file, 'x'), 1);
  assert.equal(file.seek(0, SEEK_CUR), 0);
  assert.equal(file.linkText, '/dev/null');
  drop(file);
});
