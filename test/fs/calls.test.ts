// File system calls beyond the plain ones: permissions, openat2's fences, locks, limits, positions, copying between
// descriptors, extended attributes, memfds.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { WAIT } from '../../src/kernel/block.ts';
import * as copy from '../../src/syscalls/copy.ts';
import * as memoryFiles from '../../src/syscalls/memory-files.ts';
import * as pipe from '../../src/syscalls/pipe.ts';
import * as xattr from '../../src/syscalls/xattr.ts';
import { mountAt } from '../../src/vfs/mount.ts';
import { resolve, WALK_FOLLOW } from '../../src/vfs/walk.ts';
import { call, retry } from '../support/fake-guest.ts';
import { AT_FDCWD, Guest, HANDLERS, memoryTree, setUpHost } from '../support/file-tree.ts';

const NOBODY = { low: 0, high: 0 };
const USER = {
  uid: 1000,
  gid: 1000,
  euid: 1000,
  egid: 1000,
  fsuid: 1000,
  fsgid: 1000,
  effective: NOBODY,
  permitted: NOBODY,
};
const [
  EPERM,
  ENOENT,
  EBADF,
  EAGAIN,
  EACCES,
  EEXIST,
  EXDEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  EFBIG,
  ENOSPC,
  ESPIPE,
  EROFS,
  EDEADLK,
  ENAMETOOLONG,
  ELOOP,
  ENODATA,
] = [1, 2, 9, 11, 13, 17, 18, 20, 21, 22, 27, 28, 29, 30, 35, 36, 40, 61].map((n) => -n);

before(setUpHost);

describe('permissions', () => {
  test('owner, group and others; capabilities override', () => {
    const root = new Guest(memoryTree());
    root.put('/secret', 's', 0o600);
    root.put('/open', 'o', 0o644);
    root.call('mkdir', '/closed', 0o700);
    root.put('/closed/f', 'f');
    root.call('mkdir', '/tmp', 0o777);
    root.call('chmod', '/tmp', 0o1777);
    root.put('/tmp/mine', 'root');
    const user = Guest.beside(root, USER);
    assert.equal(user.cat('/secret'), EACCES);
    assert.equal(user.cat('/open'), 'o');
    assert.equal(user.open('/open', 1), EACCES);
    assert.equal(user.cat('/closed/f'), EACCES);
    assert.equal(user.call('unlink', '/open'), EACCES);
    assert.equal(user.call('unlink', '/tmp/mine'), EPERM);
    assert.equal(user.call('rename', '/tmp/mine', '/tmp/yours'), EPERM);
    assert.equal(user.call('chmod', '/open', 0o777), EPERM);
    assert.equal(user.call('chown', '/open', 1000, -1 >>> 0), EPERM);
    user.put('/tmp/own', 'own');
    const own = user.stat('/tmp/own');
    assert.ok(typeof own === 'object');
    assert.deepEqual([own.uid, own.gid], [1000, 1000]);
    assert.equal(user.call('chmod', '/tmp/own', 0), 0);
    assert.equal(user.cat('/tmp/own'), EACCES);
    assert.equal(root.cat('/tmp/own'), 'own');
    assert.equal(user.call('access', '/secret', 4), EACCES);
    assert.equal(user.call('access', '/open', 4), 0);
    assert.equal(root.call('access', '/open', 1), EACCES);
    assert.equal(user.call('access', '/none', 0), ENOENT);
  });

  test('set-group-id directories pass on their group', () => {
    const root = new Guest(memoryTree());
    root.call('mkdir', '/shared', 0o777);
    root.call('chown', '/shared', 0, 77);
    root.call('chmod', '/shared', 0o2777);
    const user = Guest.beside(root, USER);
    user.put('/shared/f', '');
    user.call('mkdir', '/shared/d', 0o755);
    const [f, d] = [user.stat('/shared/f'), user.stat('/shared/d')];
    assert.ok(typeof f === 'object' && typeof d === 'object');
    assert.deepEqual([f.gid, d.gid, d.mode], [77, 77, 0o42755]);
  });

  test('a read-only mount answers EROFS', () => {
    const guest = new Guest(memoryTree());
    guest.put('/f', 'x');
    (guest.namespace.root as { flags: number }).flags |= 1;
    assert.equal(guest.open('/f', 1), EROFS);
    assert.equal(guest.open('/g', 0o101), EROFS);
    for (const [name, ...args] of [
      ['mkdir', '/d', 0o755],
      ['unlink', '/f'],
      ['rename', '/f', '/g'],
      ['link', '/f', '/g'],
      ['symlink', 'f', '/g'],
      ['chmod', '/f', 0],
      ['chown', '/f', 0, 0],
      ['truncate', '/f', 0],
    ] as const) {
      assert.equal(guest.call(name, ...args), EROFS, name);
    }
    assert.equal(guest.call('access', '/f', 2), EROFS);
    assert.equal(guest.cat('/f'), 'x');
  });
});

describe('walking', () => {
  const tree = () => {
    const guest = new Guest(memoryTree());
    guest.call('mkdir', '/a', 0o755);
    guest.call('mkdir', '/a/b', 0o755);
    guest.put('/a/b/f', 'f');
    guest.put('/top', 'top');
    guest.call('symlink', '/top', '/a/absolute');
    guest.call('symlink', '../top', '/a/up');
    guest.call('symlink', 'b/f', '/a/inside');
    return guest;
  };

  const openat2 = (guest: Guest, dirfd: number, path: string, walk: number) => {
    const how = guest.task.memory.allocate(24);
    guest.task.memory.view.setBigUint64(how + 16, BigInt(walk), true);
    return guest.call('openat2', dirfd, path, how, 24);
  };

  test("openat2's fences hold", () => {
    const guest = tree();
    const dir = guest.open('/a', 0o200000);
    assert.equal(openat2(guest, dir, 'absolute', 8), EXDEV);
    assert.equal(openat2(guest, dir, 'up', 8), EXDEV);
    assert.equal(openat2(guest, dir, '../top', 8), EXDEV);
    assert.equal(openat2(guest, dir, '/top', 8), EXDEV);
    assert.ok(openat2(guest, dir, 'inside', 8) >= 0);
    assert.ok(openat2(guest, dir, 'b/../b/f', 8) >= 0);
    assert.equal(openat2(guest, dir, 'absolute', 0x10), ENOENT);
    assert.equal(openat2(guest, dir, '../../top', 0x10), ENOENT);
    assert.ok(openat2(guest, dir, '/b/f', 0x10) >= 0);
    assert.equal(openat2(guest, dir, 'inside', 4), ELOOP);
    assert.equal(openat2(guest, dir, 'b/f', 0x40), EINVAL);
    assert.equal(openat2(guest, dir, 'b/f', 0x18), EINVAL);
  });

  test('long names, trailing slashes, dots', () => {
    const guest = tree();
    assert.equal(guest.open(`/${'x'.repeat(256)}`), ENAMETOOLONG);
    assert.equal(guest.open(`/${'x'.repeat(255)}`), ENOENT);
    assert.equal(guest.open('x/'.repeat(2048)), ENAMETOOLONG);
    assert.equal(guest.open(''), ENOENT);
    assert.equal(guest.cat('/../../a/./b//f'), 'f');
    assert.equal(guest.call('mkdir', '/new/', 0o755), 0);
    assert.equal(guest.open('/file/', 0o101), EISDIR);
    assert.equal(guest.call('unlink', '/top/'), ENOTDIR);
    assert.equal(guest.call('rename', '/top', '/other/'), ENOTDIR);
    assert.equal(guest.call('mkdir', '/', 0o755), EEXIST);
    assert.equal(guest.call('mkdir', '/a/..', 0o755), EEXIST);
    assert.equal(guest.open('relative', 0, 0), ENOENT);
    assert.equal(guest.call('openat', 99, 'f', 0, 0), EBADF);
  });

  test('mounts are crossed both ways', () => {
    const guest = tree();
    const other = new Guest(memoryTree());
    other.put('/inner', 'inner');
    other.call('mkdir', '/dir', 0o755);
    const point = resolve(guest.task, AT_FDCWD, '/a', WALK_FOLLOW);
    assert.ok(typeof point !== 'number');
    const mount = mountAt(guest.namespace, point, other.namespace.root.superblock, 0);
    assert.ok(typeof mount !== 'number');
    assert.deepEqual(guest.list('/a'), ['dir', 'inner']);
    assert.equal(guest.cat('/a/dir/../../top'), 'top');
    assert.equal(guest.call('chdir', '/a/dir'), 0);
    assert.equal(guest.getcwd(), '/a/dir');
    assert.equal(guest.call('rename', '/top', '/a/top'), EXDEV);
    assert.equal(guest.call('link', '/top', '/a/top'), EXDEV);
    assert.equal(guest.call('rmdir', '/a'), -16);
    const dir = guest.open('/', 0o200000);
    assert.equal(openat2(guest, dir, 'a/inner', 1), EXDEV);
    const [outside, inside] = [guest.stat('/top'), guest.stat('/a')];
    assert.ok(typeof outside === 'object' && typeof inside === 'object');
  });

  test('O_PATH descriptors name, but do not read', () => {
    const guest = tree();
    const fd = guest.open('/a/b', 0o10000000);
    assert.equal(guest.read(fd), EBADF);
    assert.equal(guest.call('fchmod', fd, 0), EBADF);
    assert.ok(guest.call('openat', fd, 'f', 0, 0) >= 0);
    assert.equal(guest.call('fchdir', fd), 0);
    assert.equal(guest.getcwd(), '/a/b');
  });
});

describe('locks', () => {
  const F_SETLK = 6;
  const F_SETLKW = 7;
  const F_GETLK = 5;
  const lock = (guest: Guest, fd: number, command: number, type: number, start: number, length: number) => {
    const at = guest.task.memory.allocate(32);
    const { view } = guest.task.memory;
    view.setInt16(at, type, true);
    view.setBigInt64(at + 8, BigInt(start), true);
    view.setBigInt64(at + 16, BigInt(length), true);
    const r = guest.call('fcntl', fd, command, at);
    return {
      r,
      at,
      type: view.getInt16(at, true),
      pid: view.getInt32(at + 24, true),
      start: Number(view.getBigInt64(at + 8, true)),
    };
  };

  test('record locks of two processes conflict, of one do not', () => {
    const a = new Guest(memoryTree());
    a.put('/f', 'x');
    const b = Guest.beside(a);
    const [fa, fb] = [a.open('/f', 2), b.open('/f', 2)];
    assert.equal(lock(a, fa, F_SETLK, 1, 10, 10).r, 0);
    assert.equal(lock(b, fb, F_SETLK, 0, 15, 1).r, EAGAIN);
    assert.equal(lock(b, fb, F_SETLK, 1, 20, 0).r, 0);
    const seen = lock(b, fb, F_GETLK, 1, 0, 0);
    assert.deepEqual([seen.type, seen.pid, seen.start], [1, a.task.group.pid, 10]);
    assert.equal(lock(a, fa, F_SETLK, 2, 12, 2).r, 0);
    assert.equal(lock(b, fb, F_SETLK, 1, 12, 2).r, 0);
    assert.equal(lock(b, fb, F_SETLK, 1, 11, 1).r, EAGAIN);
    const waiting = lock(b, fb, F_SETLKW, 1, 0, 30);
    assert.equal(waiting.r, WAIT);
    assert.equal(lock(a, fa, F_SETLKW, 1, 12, 1).r, EDEADLK);
    // Closing any descriptor of the file gives the locks up.
    const second = a.open('/f');
    a.call('close', second);
    assert.ok(b.task.queued);
    assert.equal(retry(b.task, HANDLERS.fcntl as never, fb, F_SETLKW, waiting.at), 0);
  });

  test('flock belongs to the open file', () => {
    const guest = new Guest(memoryTree());
    guest.put('/f', 'x');
    const [a, b] = [guest.open('/f'), guest.open('/f')];
    assert.equal(guest.call('flock', a, 2), 0);
    assert.equal(guest.call('flock', b, 2 | 4), EAGAIN);
    const copy = guest.call('dup', a);
    guest.call('close', a);
    assert.equal(guest.call('flock', b, 1 | 4), EAGAIN);
    guest.call('close', copy);
    assert.equal(guest.call('flock', b, 1 | 4), 0);
  });
});

describe('limits', () => {
  test('tmpfs sizes', () => {
    const guest = new Guest(memoryTree('size=16k', 'nr_inodes=3'));
    const fd = guest.open('/f', 0o102);
    assert.equal(guest.write(fd, 'x'.repeat(20000)), 16384);
    assert.equal(guest.write(fd, 'x'), ENOSPC);
    guest.put('/g', '');
    assert.equal(guest.open('/h', 0o102), ENOSPC);
    guest.call('close', fd);
    assert.equal(guest.call('unlink', '/f'), 0);
    assert.ok(guest.open('/h', 0o102) >= 0);
  });

  test('RLIMIT_FSIZE', () => {
    const guest = new Guest(memoryTree());
    guest.task.group.limits.soft[1] = 10;
    guest.task.maskLow = 1 << 24; // SIGXFSZ stays pending
    const fd = guest.open('/f', 0o102);
    assert.equal(guest.write(fd, 'x'.repeat(20)), 10);
    assert.equal(guest.write(fd, 'x'), EFBIG);
    assert.equal(guest.call('ftruncate', fd, 11), EFBIG);
    assert.ok(guest.task.pending.has(25));
  });
});

describe('moving data', () => {
  const HANDLER = { ...copy, ...pipe, ...xattr, ...memoryFiles } as unknown as Record<string, never>;
  const run = (guest: Guest, name: string, ...args: (string | number)[]) =>
    call(guest.task, HANDLER[name], ...args.map((arg) => (typeof arg === 'string' ? guest.task.memory.put(arg) : arg)));

  test('vectors are scattered and gathered', () => {
    const guest = new Guest(memoryTree());
    const { memory } = guest.task;
    const fd = guest.open('/f', 0o102);
    const iov = memory.allocate(48);
    const parts = ['one', '', 'three'].map((text) => [memory.put(text), text.length]);
    parts.forEach(([base, length], i) => {
      memory.view.setBigUint64(iov + 16 * i, BigInt(base), true);
      memory.view.setBigUint64(iov + 16 * i + 8, BigInt(length), true);
    });
    assert.equal(guest.call('writev', fd, iov, 3), 8);
    assert.equal(guest.cat('/f'), 'onethree');
    memory.bytes.fill(0, parts[0][0], parts[2][0] + 5);
    assert.equal(guest.call('preadv', fd, iov, 3, 1), 7);
    assert.equal(memory.get(parts[0][0], 3) + memory.get(parts[2][0], 4), 'nethree');
    assert.equal(guest.call('readv', fd, iov, 1025), EINVAL);
  });

  test('sendfile, copy_file_range and splice', () => {
    const guest = new Guest(memoryTree());
    guest.put('/from', 'x'.repeat(3_000_000));
    const from = guest.open('/from');
    const to = guest.open('/to', 0o102);
    assert.equal(run(guest, 'sendfile', to, from, 0, 1000), 1000);
    assert.equal(run(guest, 'copy_file_range', from, 0, to, 0, 5_000_000, 0), 2_999_000);
    const status = guest.stat('/to');
    assert.ok(typeof status === 'object');
    assert.equal(status.size, 3_000_000);
    const fds = guest.task.memory.allocate(8);
    assert.equal(run(guest, 'pipe2', fds, 0), 0);
    const [reader, writer] = [0, 4].map((i) => guest.task.memory.view.getInt32(fds + i, true));
    const offset = guest.task.memory.allocate(8);
    assert.equal(run(guest, 'splice', from, offset, writer, 0, 200_000, 0), 65536);
    assert.equal(run(guest, 'splice', from, offset, writer, 0, 1, 2), EAGAIN);
    assert.equal(run(guest, 'splice', reader, 0, to, 0, 70_000, 0), 65536);
    assert.equal(run(guest, 'splice', reader, offset, to, 0, 1, 0), ESPIPE);
    assert.equal(run(guest, 'splice', from, 0, to, 0, 1, 0), EINVAL);
    assert.equal(run(guest, 'splice', reader, 0, to, 0, 1, 0), WAIT);
  });

  test('extended attributes', () => {
    const guest = new Guest(memoryTree());
    const at = guest.task.memory.allocate(64);
    guest.put('/f', '');
    assert.equal(run(guest, 'setxattr', '/f', 'user.a', 'value', 5, 0), 0);
    assert.equal(run(guest, 'setxattr', '/f', 'user.a', 'value', 5, 1), EEXIST);
    assert.equal(run(guest, 'getxattr', '/f', 'user.a', 0, 0), 5);
    assert.equal(run(guest, 'getxattr', '/f', 'user.a', at, 64), 5);
    assert.equal(guest.task.memory.get(at, 5), 'value');
    assert.equal(run(guest, 'getxattr', '/f', 'user.a', at, 4), -34);
    assert.equal(run(guest, 'listxattr', '/f', at, 64), 7);
    assert.equal(run(guest, 'removexattr', '/f', 'user.a'), 0);
    assert.equal(run(guest, 'removexattr', '/f', 'user.a'), ENODATA);
    assert.equal(run(guest, 'getxattr', '/f', 'system.posix_acl_access', at, 64), ENODATA);
    assert.equal(run(guest, 'getxattr', '/f', 'system.other', at, 64), -95);
  });

  test('memfds and their seals', () => {
    const guest = new Guest(memoryTree());
    const fd = run(guest, 'memfd_create', 'name', 2);
    assert.equal(guest.write(fd, 'sealed'), 6);
    assert.equal(guest.call('fcntl', fd, 1034, 0), 0);
    assert.equal(guest.call('fcntl', fd, 1033, 2 | 4), 0);
    assert.equal(guest.call('ftruncate', fd, 3), EPERM);
    assert.equal(guest.write(fd, 'more'), EPERM);
    assert.equal(guest.call('pwrite64', fd, guest.task.memory.put('S'), 1, 0), 1);
    assert.equal(guest.call('fcntl', fd, 1033, 8), 0);
    assert.equal(guest.call('pwrite64', fd, guest.task.memory.put('S'), 1, 0), EPERM);
    assert.equal(guest.call('fcntl', fd, 1033, 1), 0);
    assert.equal(guest.call('fcntl', fd, 1033, 1), EPERM);
    assert.equal(guest.call('close', fd), 0);
    const unsealable = run(guest, 'memfd_create', 'name', 0);
    assert.equal(guest.call('fcntl', unsealable, 1034, 0), 1);
  });

  test('sparse files in memory', () => {
    const guest = new Guest(memoryTree());
    const fd = guest.open('/f', 0o102);
    assert.equal(guest.call('ftruncate', fd, 1 << 30), 0);
    assert.equal(guest.call('pwrite64', fd, guest.task.memory.put('data'), 4, 1 << 20), 4);
    assert.equal(guest.call('lseek', fd, 0, 3), 1 << 20);
    assert.equal(guest.call('lseek', fd, 1 << 20, 4), (1 << 20) + 4096);
    assert.equal(guest.call('lseek', fd, 1 << 30, 3), -6);
    assert.equal(guest.call('fallocate', fd, 3, 1 << 20, 4096), 0);
    assert.equal(guest.call('lseek', fd, 0, 3), -6);
    assert.equal(guest.call('fallocate', fd, 0x100, 0, 1), -95);
  });
});
