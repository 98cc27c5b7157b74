// Anonymous files: pipes, sockets, eventfds, memfds and their kin are opened without a name in any tree. They still
// have an inode and a path, as every open file does: each gets a dentry of its own on a pseudo mount that no walk
// can reach, of pipefs, sockfs or anon_inodefs.

import { ANON_INODE_FS_MAGIC, PIPEFS_MAGIC, S_IFIFO, S_IFMT, S_IFSOCK, SOCKFS_MAGIC } from '../abi/stat.ts';
import type { Timestamp } from '../base/clock.ts';
import { stampNow } from '../base/clock.ts';
import type { Credentials } from '../base/credentials.ts';
import { Dentry, Mount, type Path } from './dentry.ts';
import { type AttributeChange, Inode, Superblock } from './inode.ts';
import { allocateDevice } from './mount.ts';

class AnonymousSuperblock extends Superblock {
  readonly device = allocateDevice();
  readonly typeName: string;
  readonly root: Inode;
  lastIno = 0;
  private pseudo: Mount | null = null;

  constructor(typeName: string, magic: number) {
    super();
    this.typeName = typeName;
    this.magic = magic;
    this.root = new AnonymousInode(0o40500, null, this);
  }

  get mount(): Mount {
    this.pseudo ??= new Mount(0, this, new Dentry('', null, this.root), 0);
    return this.pseudo;
  }
}

/** An inode without a name: file type, permission bits and owner are its own; nothing can be looked up in it. */
export class AnonymousInode extends Inode {
  constructor(mode: number, owner: Credentials | null = null, superblock: Superblock = anonymousSuperblock(mode)) {
    super(superblock);
    this.mode = mode;
    this.ino = ++(superblock as AnonymousSuperblock).lastIno;
    if (owner) {
      this.uid = owner.fsuid;
      this.gid = owner.fsgid;
    }
    stampNow(this.mtime);
    copyTime(this.atime, this.mtime);
    copyTime(this.ctime, this.mtime);
  }

  override setattr(change: AttributeChange): number {
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime) copyTime(this.atime, change.atime);
    if (change.mtime) copyTime(this.mtime, change.mtime);
    stampNow(this.ctime);
    return 0;
  }
}

function copyTime(to: Timestamp, from: Timestamp): void {
  to.seconds = from.seconds;
  to.nanoseconds = from.nanoseconds;
}

let pipes: AnonymousSuperblock | null = null;
let sockets: AnonymousSuperblock | null = null;
let others: AnonymousSuperblock | null = null;

/** Where inodes of a file type lie. */
function anonymousSuperblock(mode: number): AnonymousSuperblock {
  switch (mode & S_IFMT) {
    case S_IFIFO:
      pipes ??= new AnonymousSuperblock('pipefs', PIPEFS_MAGIC);
      return pipes;
    case S_IFSOCK:
      sockets ??= new AnonymousSuperblock('sockfs', SOCKFS_MAGIC);
      return sockets;
    default:
      others ??= new AnonymousSuperblock('anon_inodefs', ANON_INODE_FS_MAGIC);
      return others;
  }
}

/** The pseudo mount of anonymous files that are neither pipes nor sockets: no name leads there. */
export function anonymousMount(): Mount {
  return anonymousSuperblock(0).mount;
}

/** Whether a mount is one that no name leads to. */
export function isAnonymousMount(mount: Mount): boolean {
  return mount.superblock instanceof AnonymousSuperblock;
}

/** A path for an open file without a name; `name` is what /proc/PID/fd would fall back to, e.g. "[eventfd]". */
export function anonymousPath(name: string, inode: Inode): Path {
  const { superblock } = inode;
  const pseudo = superblock instanceof AnonymousSuperblock ? superblock.mount : anonymousMount();
  return { mount: pseudo, dentry: new Dentry(name, pseudo.root, inode) };
}
