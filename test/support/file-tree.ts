// File trees for tests of the file system calls: host directories, tmpfs and overlays as the root of a fake task, and
// calls that take strings.

import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Fd, HostFd, UserAddress } from '../../src/base/brands.ts';
import type { Credentials } from '../../src/base/credentials.ts';
import { HostSuperblock } from '../../src/fs/host/superblock.ts';
import { OverlaySuperblock } from '../../src/fs/overlay/superblock.ts';
import { parseTmpfsOptions } from '../../src/fs/tmpfs/options.ts';
import { TmpfsSuperblock } from '../../src/fs/tmpfs/tmpfs.ts';
import { loadAddon } from '../../src/host/addon.ts';
import type { Task } from '../../src/kernel/task.ts';
import { bindArena, u8 } from '../../src/platform/arena.ts';
import { native } from '../../src/platform/native.ts';
import * as attributes from '../../src/syscalls/attributes.ts';
import * as descriptor from '../../src/syscalls/descriptor.ts';
import * as directory from '../../src/syscalls/directory.ts';
import * as file from '../../src/syscalls/file.ts';
import * as open from '../../src/syscalls/open.ts';
import * as stat from '../../src/syscalls/stat.ts';
import { FsContext } from '../../src/vfs/dentry.ts';
import { FdTable } from '../../src/vfs/fd-table.ts';
import type { Superblock } from '../../src/vfs/inode.ts';
import { MountNamespace } from '../../src/vfs/mount.ts';
import { call, type FakeTask, newTask } from './fake-guest.ts';

export const HANDLERS = { ...attributes, ...descriptor, ...directory, ...file, ...open, ...stat };
export const AT_FDCWD = -100 as Fd;

/** Binds the arena that the addon made, so that host calls work on it. */
export function setUpHost(): void {
  if (u8.length > 0) return;
  loadAddon(join(import.meta.dirname, '../../dist/cloister.node'));
  bindArena(native.arenaCreate());
  // No loop has waited yet: a turn lasts as long as a handler likes.
  native.clock[0] = Number.POSITIVE_INFINITY;
  process.umask(0);
}

/** An empty host directory that goes with the test. */
export function temporaryDirectory(context: { after(fn: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'cloister-fs-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function hostTree(path: string, readonly = false, exclusive = true): HostSuperblock {
  const directory = openSync(path, 'r') as HostFd;
  const tree = HostSuperblock.open({ directory, name: '.', exclusive, readonly, ends: false });
  if (typeof tree === 'number') throw new Error(`errno ${-tree}`);
  return tree;
}

export function memoryTree(...options: string[]): TmpfsSuperblock {
  return new TmpfsSuperblock(parseTmpfsOptions(['mode=755', ...options], 2 ** 30));
}

export const overlayTree = (lower: Superblock, upper: Superblock, persistent: boolean) =>
  new OverlaySuperblock(lower, upper, persistent);

/** A guest on a tree of its own, with calls by strings and numbers. */
export class Guest {
  readonly task: FakeTask;
  readonly namespace: MountNamespace;
  private readonly buffer: UserAddress;

  constructor(tree: Superblock, credentials: Partial<Credentials> = {}) {
    setUpHost();
    this.namespace = new MountNamespace(tree, 0);
    this.task = newTask(new FdTable(), credentials);
    const root = this.namespace.root.root.on(this.namespace.root);
    this.task.fs = new FsContext(root, root, 0o022);
    this.buffer = this.task.memory.allocate(1 << 20);
  }

  /** Another process on the same tree. */
  static beside(guest: Guest, credentials: Partial<Credentials> = {}): Guest {
    const other = Object.create(Guest.prototype) as Guest;
    const task = newTask(new FdTable(), credentials);
    task.fs = new FsContext(guest.task.fs.root, guest.task.fs.cwd, 0o022);
    return Object.assign(other, { namespace: guest.namespace, task, buffer: task.memory.allocate(1 << 20) });
  }

  /** Makes a call; strings become addresses. */
  call(name: keyof typeof HANDLERS, ...args: (string | number)[]): number {
    const { memory } = this.task;
    const numbers = args.map((arg) => (typeof arg === 'string' ? memory.put(arg) : arg));
    return call(this.task, HANDLERS[name] as (task: Task, ...args: never[]) => number, ...numbers);
  }

  open(path: string, flags = 0, mode = 0o644): number {
    return this.call('openat', AT_FDCWD, path, flags, mode);
  }

  write(fd: number, text: string): number {
    return this.call('write', fd, this.task.memory.put(text), text.length);
  }

  /** Reads up to `length` bytes, or the error. */
  read(fd: number, length = 4096): string | number {
    const n = this.call('read', fd, this.buffer, length);
    return n < 0 ? n : this.task.memory.get(this.buffer, n);
  }

  put(path: string, text: string, mode = 0o644): void {
    const fd = this.open(path, 0o1101, mode);
    if (fd < 0) throw new Error(`${path}: errno ${-fd}`);
    this.write(fd, text);
    this.call('close', fd);
  }

  cat(path: string): string | number {
    const fd = this.open(path);
    if (fd < 0) return fd;
    const text = this.read(fd, 1 << 20);
    this.call('close', fd);
    return text;
  }

  stat(path: string, flags = 0x100) {
    const at = this.buffer;
    const r = this.call('newfstatat', AT_FDCWD, path, at, flags);
    return r < 0 ? r : this.statAt(at);
  }

  fstat(fd: number) {
    const r = this.call('fstat', fd, this.buffer);
    return r < 0 ? r : this.statAt(this.buffer);
  }

  private statAt(at: number) {
    const { view } = this.task.memory;
    return {
      ino: Number(view.getBigUint64(at + 8, true)),
      nlink: Number(view.getBigUint64(at + 16, true)),
      mode: view.getUint32(at + 24, true),
      uid: view.getUint32(at + 28, true),
      gid: view.getUint32(at + 32, true),
      size: Number(view.getBigInt64(at + 48, true)),
      mtime: Number(view.getBigInt64(at + 88, true)),
    };
  }

  /** Names in a directory, sorted, without the dots; or the error. */
  list(path: string): string[] | number {
    const fd = this.open(path, 0o200000);
    if (fd < 0) return fd;
    const names: string[] = [];
    for (;;) {
      const n = this.call('getdents64', fd, this.buffer, 512);
      if (n < 0) return n;
      if (n === 0) break;
      const { view } = this.task.memory;
      for (let at = this.buffer as number; at < this.buffer + n; at += view.getUint16(at + 16, true)) {
        const text = this.task.memory.get(at + 19, 256);
        names.push(text.slice(0, text.indexOf('\0')));
      }
    }
    this.call('close', fd);
    return names.filter((name) => name !== '.' && name !== '..').sort();
  }

  readlink(path: string): string | number {
    const n = this.call('readlinkat', AT_FDCWD, path, this.buffer, 4096);
    return n < 0 ? n : this.task.memory.get(this.buffer, n);
  }

  getcwd(): string | number {
    const n = this.call('getcwd', this.buffer, 4096);
    return n < 0 ? n : this.task.memory.get(this.buffer, n - 1);
  }
}
