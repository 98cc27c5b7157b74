// What a tmpfs with `tmpcopyup` starts with: the contents of the directory that it is mounted on, copied.

import { ENOENT } from '../abi/errno.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import { ROOT } from '../base/credentials.ts';
import { copyData } from '../fs/overlay/layers.ts';
import { allocateScratch, IO_CHUNK, markScratch, releaseScratch } from '../platform/arena.ts';
import { unuseInode } from '../vfs/dentry-cache.ts';
import type { Inode } from '../vfs/inode.ts';

/** Copies everything below a directory into another, with owners, modes and times. 0 or -errno. */
export function copyTree(from: Inode, to: Inode): number {
  const names: string[] = [];
  const listed = from.readdir(0, (name) => names.push(name) > 0);
  if (listed < 0) return listed;
  for (const name of names) {
    const r = copyEntry(from, to, name);
    if (r < 0 && r !== -ENOENT) return r;
  }
  const { uid, gid, atime, mtime } = from;
  return to.setattr({ uid, gid, atime: { ...atime }, mtime: { ...mtime } });
}

function copyEntry(from: Inode, to: Inode, name: string): number {
  const source = from.lookup(name);
  if (typeof source === 'number') return source;
  source.uses++;
  const made = makeLike(source, to, name);
  if (typeof made === 'number') {
    unuseInode(source);
    return made;
  }
  made.uses++;
  let r = 0;
  const type = source.mode & S_IFMT;
  if (type === S_IFDIR) r = copyTree(source, made);
  else if (type === S_IFREG) r = copyFile(source, made);
  const { uid, gid, mode, atime, mtime } = source;
  const times = { atime: { ...atime }, mtime: { ...mtime } };
  if (r === 0) r = made.setattr(type === S_IFLNK ? { uid, gid, ...times } : { uid, gid, mode, ...times });
  unuseInode(made);
  unuseInode(source);
  return r;
}

function makeLike(source: Inode, directory: Inode, name: string): Inode | number {
  const { mode, rdev } = source;
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return directory.mkdir(name, mode, ROOT);
    case S_IFREG:
      return directory.create(name, mode, ROOT);
    case S_IFLNK: {
      const target = source.readlink();
      return typeof target === 'number' ? target : directory.symlink(name, target, ROOT);
    }
    default:
      return directory.mknod(name, mode, rdev, ROOT);
  }
}

function copyFile(from: Inode, to: Inode): number {
  const mark = markScratch();
  const at = allocateScratch(IO_CHUNK);
  let r = from.openData(false);
  if (r === 0) {
    r = to.openData(true);
    if (r === 0) {
      r = copyData(from, to, at);
      if (r === 0) r = to.setattr({ size: from.size });
      to.closeData(true);
    }
    from.closeData(false);
  }
  releaseScratch(mark);
  return r;
}
