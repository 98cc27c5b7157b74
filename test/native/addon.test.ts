// The addon by itself: whatever JavaScript passes, it answers with an error and never crashes.

import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { HostFd, HostPid } from '../../src/base/brands.ts';
import { loadAddon } from '../../src/host/addon.ts';
import { host } from '../../src/host/calls.ts';
import { H_DONE, MAX_SLOTS, SLOT_SIZE } from '../../src/platform/layout.ts';
import { native } from '../../src/platform/native.ts';

const { EBADF, EFAULT, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTTY, ESRCH, EXDEV } = constants.errno;
const SCRATCH = MAX_SLOTS * SLOT_SIZE;
const SCRATCH_SIZE = 16 << 20;
const END = SCRATCH + SCRATCH_SIZE;
const AT_FDCWD = -100 as HostFd;
const RESOLVE_BENEATH = 8;

let arena: Buffer;
let directory: string;
let dirfd: HostFd;

before(() => {
  loadAddon(join(import.meta.dirname, '../../dist/cloister.node'));
  arena = Buffer.from(native.arenaCreate());
  directory = mkdtempSync(join(tmpdir(), 'cloister-addon-'));
  dirfd = openSync(directory, 'r') as HostFd;
});

after(() => {
  closeSync(dirfd);
  rmSync(directory, { recursive: true });
});

describe('arena and slots', () => {
  test('the arena exists once', () => {
    assert.equal(arena.length, END);
    assert.throws(() => native.arenaCreate(), /exists already/);
  });

  test('a slot is fresh, zeroed and sealed, with a sequence number nobody can guess', () => {
    const fd = native.slotCreate(3);
    assert.ok(fd >= 0);
    const first = arena.readUInt32LE(3 * SLOT_SIZE);
    // The call before the first counts as answered.
    assert.equal(arena.readUInt32LE(3 * SLOT_SIZE + 4 * H_DONE), first);
    arena.writeUInt32LE(0, 3 * SLOT_SIZE + 4 * H_DONE);
    assert.ok(arena.subarray(3 * SLOT_SIZE + 4, 4 * SLOT_SIZE).every((byte) => byte === 0));
    arena.fill(1, 3 * SLOT_SIZE, 4 * SLOT_SIZE);
    assert.ok(host.ftruncate(fd as HostFd, 0) < 0);
    native.expected[3] = 77;
    assert.ok(native.slotCreate(3) >= 0);
    assert.notEqual(arena.readUInt32LE(3 * SLOT_SIZE), first);
    assert.equal(arena[3 * SLOT_SIZE + 5], 0);
    assert.equal(native.expected[3], 0);
    assert.equal(native.slotFd(3), native.slotFd(3));
    assert.equal(native.slotDestroy(3), 0);
    assert.equal(native.slotDestroy(3), 0);
    assert.equal(native.slotFd(3), -EBADF);
  });

  test('slot numbers are checked', () => {
    for (const bad of [-1, MAX_SLOTS, 1e15, Number.NEGATIVE_INFINITY, '1', undefined, null, {}]) {
      const slot = bad as number;
      assert.equal(native.slotCreate(slot), -EINVAL);
      assert.equal(native.slotDestroy(slot), -EINVAL);
      assert.equal(native.slotFd(slot), -EINVAL);
      assert.throws(() => native.reply(slot, false), RangeError);
      assert.throws(() => native.idValid(slot), RangeError);
      assert.throws(() => native.addfd(slot, 0, -1, false), RangeError);
      assert.throws(() => native.next(slot, 0), RangeError);
    }
  });

  test('attach fails on a process that publishes no listener', () => {
    const fd = host.memfd_create('slot', 1) as HostFd;
    host.ftruncate(fd, SLOT_SIZE);
    assert.equal(native.attach(fd, 999999999 as HostPid, false), -ESRCH);
    assert.ok(native.attach(-1 as HostFd, process.pid as HostPid, false) < 0);
  });
});

describe('host calls', () => {
  test('reads and writes a file by arena offsets', () => {
    const fd = host.openat2(dirfd, 'file', 0o102, 0o600, RESOLVE_BENEATH) as HostFd;
    assert.ok(fd >= 0);
    arena.write('hello world', SCRATCH, 'latin1');
    assert.equal(host.pwrite64(fd, SCRATCH, 11, 3), 11);
    assert.equal(host.pread64(fd, SCRATCH + 100, 100, 0), 14);
    assert.equal(arena.toString('latin1', SCRATCH + 103, SCRATCH + 114), 'hello world');
    assert.equal(host.preadv2(fd, SCRATCH + 200, 5, 3, 0), 5);
    assert.equal(arena.toString('latin1', SCRATCH + 200, SCRATCH + 205), 'hello');
    assert.equal(host.pwritev2(fd, SCRATCH + 200, 5, 0, 0), 5);
    assert.equal(host.lseek(fd, 2 ** 40, 0), 2 ** 40);
    assert.equal(host.fstat(fd, SCRATCH), 0);
    assert.equal(arena.readBigInt64LE(SCRATCH + 48), 14n);
    assert.equal(host.close(fd), 0);
    assert.equal(host.close(fd), -EBADF);
  });

  test('descriptors are closed on exec', () => {
    const fd = host.openat2(dirfd, '.', 0o200000, 0, 0) as HostFd;
    assert.equal(host.fcntl(fd, 1, 0), 1);
    host.close(fd);
  });

  test('names are bytes, bounded, and without NUL', () => {
    assert.equal(host.mkdirat(dirfd, 'b\xffd', 0o700), 0);
    assert.equal(host.unlinkat(dirfd, 'b\xffd', 0x200), 0);
    assert.equal(host.mkdirat(dirfd, 'a\0b', 0o700), -EINVAL);
    assert.equal(host.mkdirat(dirfd, 'a'.repeat(4096), 0o700), -ENAMETOOLONG);
    assert.equal(host.mkdirat(dirfd, 'a'.repeat(1e6), 0o700), -ENAMETOOLONG);
    assert.equal(host.newfstatat(dirfd, 'none', SCRATCH, 0), -ENOENT);
    assert.equal(host.openat2(dirfd, '../x', 0, 0, RESOLVE_BENEATH), -EXDEV);
  });

  test('links, names and attributes of two paths', () => {
    writeFileSync(join(directory, 'one'), '1');
    assert.equal(host.linkat(dirfd, 'one', dirfd, 'two', 0), 0);
    assert.equal(host.renameat2(dirfd, 'two', dirfd, 'three', 1), 0);
    assert.equal(host.symlinkat('three', dirfd, 'four'), 0);
    assert.equal(host.readlinkat(dirfd, 'four', SCRATCH, 100), 5);
    assert.equal(host.utimensat(dirfd, 'three', -1, 0), 0);
    assert.equal(host.statx(dirfd, 'three', 0, 0xfff, SCRATCH), 0);
    const fd = host.openat2(dirfd, '.', 0o200000, 0, 0) as HostFd;
    assert.ok(host.getdents64(fd, SCRATCH, 4096) > 0);
    host.close(fd);
  });

  test('offsets out of bounds are refused before the host sees them', () => {
    const zero = openSync('/dev/zero', 'r') as HostFd;
    const outside: [number, number][] = [
      [-2, 1],
      [-1, 1],
      [END, 1],
      [END - 1, 2],
      [SCRATCH, SCRATCH_SIZE + 1],
      [SCRATCH, -1],
      [Number.MAX_SAFE_INTEGER, 1],
      [SCRATCH, Number.MAX_SAFE_INTEGER],
      [Number.POSITIVE_INFINITY, 1],
    ];
    for (const [at, length] of outside) {
      assert.equal(host.read(zero, at, length), -EINVAL, `${at} ${length}`);
      assert.equal(native.vmRead(process.pid, 0, at, length), -EINVAL);
      assert.equal(native.vmWrite(process.pid, 0, at, length), -EINVAL);
    }
    for (const at of [-2, END, Number.MAX_SAFE_INTEGER]) assert.equal(host.fstat(zero, at), -EINVAL);
    // A slot that does not exist, and a structure across the arena's end: the kernel finds no memory there.
    assert.equal(host.read(zero, 100 * SLOT_SIZE, 10), -EFAULT);
    assert.equal(host.fstat(zero, END - 8), -EFAULT);
    assert.equal(host.read(zero, SCRATCH, 0), 0);
    closeSync(zero);
  });

  test('arguments of the wrong kind are refused', () => {
    const calls = host as unknown as Record<string, (...args: unknown[]) => number>;
    for (const name of Object.keys(calls)) {
      if (name === 'exit') continue;
      assert.equal(calls[name](), -EINVAL, name);
      assert.equal(calls[name]({}, {}, {}, {}, {}, {}, {}), -EINVAL, name);
    }
  });

  test('clocks, terminals, processes', () => {
    assert.ok(host.clock_gettime(1) > 0);
    assert.equal(host.clock_gettime(9999), -EINVAL);
    assert.equal(host.tcgets(dirfd, SCRATCH), -ENOTTY);
    assert.equal(host.tgkill(999999999 as HostPid, 999999999 as HostPid, 0), -ESRCH);
    assert.equal(host.read(dirfd, SCRATCH, 1), -EISDIR);
    assert.ok(host.sched_getaffinity(0, 128, SCRATCH) > 0);
    assert.equal(host.getrandom(SCRATCH, 16, 0), 16);
    assert.equal(host.openat2(AT_FDCWD, '/dev/null', 0, 0, 0xffff), -EINVAL);
  });
});

describe('guest memory', () => {
  test('own memory can be read, and reading stops at the first hole', () => {
    const fd = native.slotCreate(5);
    assert.ok(fd >= 0);
    assert.equal(native.vmRead(process.pid, 0, SCRATCH, 8), -EFAULT);
    assert.equal(native.vmRead(999999999, 0, SCRATCH, 8), -ESRCH);
    native.slotDestroy(5);
  });
});

describe('the native wait', () => {
  test('tells what is ready, and forgets what is taken out', () => {
    const timer = host.memfd_create('plain', 1) as HostFd;
    assert.ok(native.watch(timer, 1, 1) < 0); // plain files are always ready
    const uv = native.uvBackend();
    assert.equal(native.watch(uv, 1, 42), 0);
    assert.equal(native.modify(uv, 0, 42), 0);
    assert.equal(native.events(), 0);
    assert.equal(native.unwatch(uv), 0);
    assert.equal(native.unwatch(uv), -ENOENT);
    assert.equal(native.watch(-1 as HostFd, 1, 1), -EBADF);
    assert.equal(native.watch(undefined as unknown as HostFd, 1, 1), -EINVAL);
  });
});
