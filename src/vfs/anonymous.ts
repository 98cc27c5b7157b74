// Anonymous files: pipes, sockets, eventfds, memfds and their kin are opened without a name in any tree. They still
// have an inode and a path, as every open file does: each gets a dentry of its own on one pseudo mount that no walk
// can reach (Linux's pipefs, sockfs and anon_inodefs).

import { ANON_INODE_FS_MAGIC } from '../abi/stat.ts';
import type { Timestamp } from '../base/clock.ts';
import { stampNow } from '../base/clock.ts';
import type { Credentials } from '../base/credentials.ts';
import { Dentry, Mount, type Path } from './dentry.ts';
import { type AttributeChange, Inode, Superblock } from './inode.ts';
import { allocateDevice } from './mount.ts';

class AnonymousSuperblock extends Superblock {
  readonly device = allocateDevice();
  readonly typeName = 'anon_inodefs';
  readonly root: Inode;
  lastIno = 0;

  constructor() {
    super();
    this.magic = ANON_INODE_FS_MAGIC;
    this.root = new AnonymousInode(0o40500, null, this);
  }
}

/** An inode without a name: file type, permission bits and owner are its own; nothing can be looked up in it. */
export class AnonymousInode extends Inode {
  constructor(mode: number, owner: Credentials | null = null, superblock: Superblock = anonymousSuperblock()) {
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

let superblock: AnonymousSuperblock | null = null;
let mount: Mount | null = null;

function anonymousSuperblock(): AnonymousSuperblock {
  superblock ??= new AnonymousSuperblock();
  return superblock;
}

/** The pseudo mount of anonymous files: no name leads there. */
export function anonymousMount(): Mount {
  if (!mount) {
    const block = anonymousSuperblock();
    mount = new Mount(0, block, new Dentry('', null, block.root), 0);
  }
  return mount;
}

/** A path for an open file without a name; `name` is what /proc/PID/fd would fall back to, e.g. "[eventfd]". */
export function anonymousPath(name: string, inode: Inode): Path {
  const pseudo = anonymousMount();
  return { mount: pseudo, dentry: new Dentry(name, pseudo.root, inode) };
}
