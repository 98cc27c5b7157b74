// Dentries and mounts: the tree of names. A dentry names an inode below its parent (or nothing: a negative dentry);
// a mount joins the root of one superblock onto a dentry of another mount. A Path is the pair, as in Linux.

import type { Inode, Superblock } from './inode.ts';

export class Dentry {
  name: string;
  parent: Dentry | null;
  inode: Inode | null;
  children: Map<string, Dentry> | null = null;
  /** Mounts whose mountpoint is this dentry (in any namespace and on any parent mount). */
  mounts: Mount[] | null = null;
  /** Unlinked or moved away from under its name: /proc shows "(deleted)". */
  unlinked = false;

  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
  }
}

export class Mount {
  readonly id: number;
  readonly superblock: Superblock;
  /** Root of what is visible: the superblock's root, or a subtree's for a bind mount. */
  readonly root: Dentry;
  parent: Mount | null = null;
  mountpoint: Dentry | null = null;
  /** MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, … */
  flags: number;

  constructor(id: number, superblock: Superblock, root: Dentry, flags: number) {
    this.id = id;
    this.superblock = superblock;
    this.root = root;
    this.flags = flags;
  }
}

export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}

/** The file-system view of a task: root, working directory, umask (clone(2) CLONE_FS shares it). */
export class FsContext {
  users = 1;
  root: Path;
  cwd: Path;
  umask: number;

  constructor(root: Path, cwd: Path, umask: number) {
    this.root = root;
    this.cwd = cwd;
    this.umask = umask;
  }

  copy(): FsContext {
    return new FsContext(this.root, this.cwd, this.umask);
  }
}
