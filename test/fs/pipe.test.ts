// Pipes and FIFOs: capacity, atomicity, packets, ends that go away, blocking opens.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EAGAIN, EBADF, EBUSY, EINVAL, EMFILE, ENOMEM, ENXIO, EPERM, EPIPE } from '../../src/abi/errno.ts';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, PIPE_BUF } from '../../src/abi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../src/abi/poll.ts';
import { RLIMIT_NOFILE } from '../../src/abi/resource.ts';
import { type FifoFile, fifoOpenPending, openFifo } from '../../src/fs/pipe/fifo.ts';
import { createPipe, getPipeSize, type PipeFile, setPipeSize } from '../../src/fs/pipe/pipe.ts';
import { readBytes, SCRATCH, u8, writeBytes } from '../../src/platform/arena.ts';
import { pipe2 } from '../../src/syscalls/pipe.ts';
import { AnonymousInode, anonymousPath } from '../../src/vfs/anonymous.ts';
import { drop, type OpenFile } from '../../src/vfs/open-file.ts';
import { call, newTask, setUp } from '../support/fake-guest.ts';

setUp();
const AT = SCRATCH + (8 << 20);
const READ = POLLIN | POLLRDNORM;
const WRITE = POLLOUT | POLLWRNORM;

function make(flags = 0): [PipeFile, PipeFile] {
  return createPipe(newTask().credentials, flags);
}

function write(file: OpenFile, text: string): number {
  writeBytes(AT, text);
  return file.write(AT, text.length, 0);
}

function read(file: OpenFile, length: number): string | number {
  const n = file.read(AT, length, 0);
  return n < 0 ? n : readBytes(AT, n);
}

test('bytes come out as they went in, at all sizes and over the end of the ring', () => {
  const [r, w] = make();
  let written = 0;
  let checked = 0;
  for (let round = 0; round < 400; round++) {
    const size = (round * 7919) % 9000;
    for (let i = 0; i < size; i++) u8[AT + i] = (written + i) % 251;
    const n = w.write(AT, size);
    if (n > 0) written += n;
    const got = r.read(AT, (round * 104729) % 7000);
    for (let i = 0; i < got; i++) assert.equal(u8[AT + i], checked++ % 251);
  }
  assert.ok(written > 500000);
});

test('a full pipe refuses, and writes of PIPE_BUF are all or nothing', () => {
  const [r, w] = make(O_NONBLOCK);
  assert.equal(w.write(AT, 65536 - 100), 65536 - 100);
  assert.equal(w.write(AT, 101), -EAGAIN);
  assert.equal(w.write(AT, PIPE_BUF), -EAGAIN);
  assert.equal(w.write(AT, PIPE_BUF + 1), 100);
  assert.equal(w.write(AT, 1), -EAGAIN);
  assert.equal(w.poll(), 0);
  assert.equal(r.read(AT, PIPE_BUF - 1), PIPE_BUF - 1);
  assert.equal(w.poll(), 0);
  assert.equal(r.read(AT, 1), 1);
  assert.equal(w.poll(), WRITE);
});

test('ends that go away', () => {
  const [r, w] = make();
  assert.equal(r.poll(), 0);
  assert.equal(read(r, 10), -EAGAIN);
  assert.equal(write(w, 'abc'), 3);
  assert.equal(r.poll(), READ);
  drop(w);
  assert.equal(r.poll(), READ | POLLHUP);
  assert.equal(read(r, 10), 'abc');
  assert.equal(read(r, 10), '');
  assert.equal(r.poll(), POLLHUP);

  const [r2, w2] = make();
  drop(r2);
  assert.equal(write(w2, 'x'), -EPIPE);
  assert.equal(write(w2, ''), 0);
  assert.equal(w2.poll(), WRITE | POLLERR);
});

test('packets keep their borders, and lose what is not read', () => {
  const [r, w] = make(O_DIRECT);
  assert.equal(write(w, 'one'), 3);
  assert.equal(write(w, 'twotwo'), 6);
  assert.equal(read(r, 100), 'one');
  assert.equal(read(r, 3), 'two');
  assert.equal(r.poll(), 0);
  assert.equal(w.write(AT, 5000), 5000);
  assert.equal(r.read(AT, 10000), PIPE_BUF);
  assert.equal(r.read(AT, 10000), 5000 - PIPE_BUF);

  w.flags &= ~O_DIRECT;
  write(w, 'stream');
  write(w, 'more');
  w.flags |= O_DIRECT;
  write(w, 'packet');
  assert.equal(read(r, 8), 'streammo');
  assert.equal(read(r, 100), 're');
  assert.equal(read(r, 100), 'packet');
});

test('the size of a pipe', () => {
  const [r, w] = make();
  assert.equal(getPipeSize(r), 65536);
  assert.equal(setPipeSize(w, 1, false), 4096);
  assert.equal(w.write(AT, 65536), 4096);
  assert.equal(setPipeSize(w, 5000, false), 8192);
  assert.equal(w.write(AT, 65536), 4096);
  assert.equal(setPipeSize(r, 4096, false), -EBUSY);
  assert.equal(setPipeSize(r, 2 << 20, false), -EPERM);
  assert.equal(setPipeSize(r, 2 << 20, true), 2 << 20);
  assert.equal(setPipeSize(r, 0, true), -EBUSY, 'a page');
  assert.equal(setPipeSize(r, 2 ** 31 + 1, true), -EINVAL);
});

test('many pipes are small ones', () => {
  const pipes = Array.from({ length: 1100 }, () => make());
  assert.equal(getPipeSize(pipes[0][0]), 65536);
  const last = pipes[1099][0];
  assert.equal(getPipeSize(last), 8192);
  assert.equal(setPipeSize(last, 2 ** 30, true), -ENOMEM);
  for (const [r, w] of pipes) {
    drop(r);
    drop(w);
  }
  assert.equal(getPipeSize(make()[0]), 65536);
});

test('pipe2 installs both ends or none', () => {
  const task = newTask();
  const at = task.memory.allocate(8);
  assert.equal(call(task, pipe2, at, O_CLOEXEC), 0);
  assert.deepEqual([...new Int32Array(task.memory.bytes.buffer, at, 2)], [0, 1]);
  assert.equal(task.files.closeOnExec[1], true);
  assert.equal(call(task, pipe2, at, 1), -EINVAL);
  assert.equal(call(task, pipe2, 8, 0), -14);
  task.group.limits.soft[RLIMIT_NOFILE] = task.files.files.filter(Boolean).length + 1;
  assert.equal(call(task, pipe2, at, 0), -EMFILE);
  assert.equal(task.files.get(task.group.limits.soft[RLIMIT_NOFILE] as never), null);
});

test('a pipe opened again through /proc', () => {
  const [r, w] = make();
  const again = w.inode.open(w.path, O_WRONLY) as PipeFile;
  drop(w);
  assert.equal(write(again, 'hello'), 5);
  assert.equal(read(again, 1), -EBADF);
  drop(again);
  assert.equal(read(r, 9), 'hello');
  assert.equal(read(r, 9), '');
  assert.match(r.linkText ?? '', /^pipe:\[\d+\]$/);
});

test('a FIFO is opened when the other end comes', () => {
  const inode = new AnonymousInode(0o10644);
  const path = anonymousPath('fifo', inode);
  const open = (flags: number): FifoFile => openFifo(path, inode, flags) as FifoFile;
  assert.equal(openFifo(path, inode, O_WRONLY | O_NONBLOCK), -ENXIO);

  const reader = open(O_RDONLY);
  assert.ok(fifoOpenPending(reader));
  const writer = open(O_WRONLY);
  assert.ok(!fifoOpenPending(writer));
  drop(writer);
  assert.ok(!fifoOpenPending(reader), 'a writer that has come and gone counts');
  assert.equal(reader.poll(), POLLHUP);
  drop(reader);

  const early = open(O_RDONLY | O_NONBLOCK);
  assert.ok(!fifoOpenPending(early));
  assert.equal(early.poll(), 0, 'no hangup before the first writer');
  const both = open(O_RDWR);
  assert.ok(!fifoOpenPending(both));
  assert.equal(write(both, 'x'), 1);
  drop(both);
  assert.equal(early.poll(), READ | POLLHUP);
  assert.equal(read(early, 9), 'x');
  drop(early);

  const lonely = open(O_WRONLY);
  assert.ok(fifoOpenPending(lonely));
  drop(lonely);
  assert.equal(openFifo(path, inode, O_WRONLY | O_NONBLOCK), -ENXIO);
});
