// Directories of generated filesystems. A fixed one is a map filled when the filesystem is made; a changing one (the
// processes, a process's descriptors) overrides lookup and readdir and is not cached in dentries.

import { ENOENT, ENOTDIR } from '../../abi/errno.ts';
import { SEEK_END, SEEK_SET } from '../../abi/fcntl.ts';
import { S_IFDIR, S_IFMT } from '../../abi/stat.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirectoryFile } from '../../vfs/directory-file.ts';
import type { DirectorySink, Inode, Superblock } from '../../vfs/inode.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { GeneratedFile, type TextSource, VirtualInode, VirtualSymlink } from './inode.ts';
import type { VirtualSuperblock } from './superblock.ts';

/** Their end, for lseek(2), is where they begin: they have no size. */
class VirtualDirectoryFile extends DirectoryFile {
  override seek(offset: number, whence: number): number {
    return super.seek(offset, whence === SEEK_END ? SEEK_SET : whence);
  }
}

export abstract class VirtualDirectory extends VirtualInode {
  constructor(superblock: Superblock, ino: number, permissions = 0o555) {
    super(superblock, ino, S_IFDIR | permissions);
    this.nlink = 2;
  }

  override open(path: Path, flags: number): OpenFile | number {
    return new VirtualDirectoryFile(path, this, flags);
  }
}

/** Type of an inode as a directory entry shows it (DT_*). */
export function entryType(inode: Inode): number {
  return (inode.mode & S_IFMT) >>> 12;
}

/** A directory whose entries are settled when it is made. */
export class FixedDirectory extends VirtualDirectory {
  readonly entries = new Map<string, Inode>();

  add(name: string, inode: Inode): void {
    this.entries.set(name, inode);
    if (inode.isDirectory) this.nlink++;
  }

  override lookup(name: string): Inode | number {
    return this.entries.get(name) ?? -ENOENT;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    let index = 0;
    for (const [name, inode] of this.entries) {
      if (index++ < offset) continue;
      if (!sink(name, inode.ino, entryType(inode), index)) break;
    }
    return 0;
  }
}

/** A tree as data: a string is a symbolic link's target, an object with `mode` a file, any other a directory. */
export type Tree = { readonly [name: string]: string | TextSource<null> | Tree };

function isFile(node: TextSource<null> | Tree): node is TextSource<null> {
  return typeof (node as TextSource<null>).mode === 'number';
}

/** Fills a directory from a tree; directories that are there already are filled further. */
export function grow(into: FixedDirectory, tree: Tree): void {
  const superblock = into.superblock as VirtualSuperblock;
  for (const [name, node] of Object.entries(tree)) {
    if (typeof node === 'string') {
      into.add(name, new VirtualSymlink(superblock, superblock.nextIno(), node));
    } else if (isFile(node)) {
      into.add(name, new GeneratedFile(superblock, superblock.nextIno(), null, node));
    } else {
      let directory = into.entries.get(name);
      if (!(directory instanceof FixedDirectory)) {
        directory = new FixedDirectory(superblock, superblock.nextIno());
        into.add(name, directory);
      }
      grow(directory as FixedDirectory, node);
    }
  }
}

/** The inode at a path of fixed directories, or -errno. */
export function descend(from: Inode, ...names: string[]): Inode | number {
  let inode = from;
  for (const name of names) {
    if (!inode.isDirectory) return -ENOTDIR;
    const next = inode.lookup(name);
    if (typeof next === 'number') return next;
    inode = next;
  }
  return inode;
}
