// What a fresh /dev holds: the nodes every program expects, links into /proc, and mount points. The directory itself is
// an ordinary tmpfs; what a node does when it is opened is settled by its device number (devices.ts).

import { makeDevice, S_IFCHR, S_IFDIR, S_IFMT } from '../../abi/stat.ts';
import { ROOT } from '../../base/credentials.ts';
import type { Superblock } from '../../vfs/inode.ts';

const NODES: readonly [name: string, major: number, minor: number, mode: number][] = [
  ['null', 1, 3, 0o666],
  ['zero', 1, 5, 0o666],
  ['full', 1, 7, 0o666],
  ['random', 1, 8, 0o666],
  ['urandom', 1, 9, 0o666],
  ['tty', 5, 0, 0o666],
];

const LINKS: readonly [name: string, target: string][] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
];

const DIRECTORIES: readonly [name: string, mode: number][] = [
  ['pts', 0o755],
  ['shm', 0o1777],
  ['mqueue', 0o1777],
];

/** Fills an empty tmpfs (or any filesystem that can make nodes) as /dev; `console` adds /dev/console. 0 or -errno. */
export function populateDev(superblock: Superblock, console: boolean): number {
  const { root } = superblock;
  for (const [name, major, minor, mode] of NODES) {
    const r = makeNode(superblock, name, S_IFCHR | mode, makeDevice(major, minor), 0, 0);
    if (r < 0) return r;
  }
  if (console) {
    const r = makeNode(superblock, 'console', S_IFCHR | 0o620, makeDevice(5, 1), 0, 5);
    if (r < 0) return r;
  }
  for (const [name, target] of LINKS) {
    const r = root.symlink(name, target, ROOT);
    if (typeof r === 'number') return r;
  }
  for (const [name, mode] of DIRECTORIES) {
    const r = root.mkdir(name, S_IFDIR | mode, ROOT);
    if (typeof r === 'number') return r;
  }
  return 0;
}

/** Makes one node in the root of a /dev filesystem; `mode` with its file type. 0 or -errno. */
export function makeNode(
  superblock: Superblock,
  name: string,
  mode: number,
  rdev: number,
  uid: number,
  gid: number,
): number {
  const inode = superblock.root.mknod(name, mode, rdev, ROOT);
  if (typeof inode === 'number') return inode;
  return inode.setattr({ mode: mode & ~S_IFMT, uid, gid });
}
