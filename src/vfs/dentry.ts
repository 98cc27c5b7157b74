// Dentries and mounts: the tree of names. A dentry names an inode below its parent (or nothing: a negative dentry);
// a mount joins the root of one superblock onto a dentry of another mount. A Path is the pair, as in Linux.
// Dentries are a cache (dentry-cache.ts): unused ones are forgotten, pinned and open ones are not.

import { unpinDentry } from './dentry-cache.ts';
import type { Inode, Superblock } from './inode.ts';
import type { MountNamespace } from './mount.ts';
import type { PeerGroup } from './propagation.ts';

export class Dentry {
  name: string;
  parent: Dentry | null;
  inode: Inode | null;
  children: Map<string, Dentry> | null = null;
  /** Mounts whose mountpoint is this dentry (in any namespace and on any parent mount). */
  mounts: Mount[] | null = null;
  /** Unlinked or moved away from under its name: /proc shows "(deleted)". */
  unlinked = false;
  /** Open files that were opened by this name; while there are any it stays cached. */
  opens = 0;
  /** Mounts that start here, and tasks that have it as their root or working directory: as long it stays cached. */
  pins = 0;
  /** Walked over since the cache's hand last came by. */
  referenced = false;
  /** Place in the cache's ring, -1 when it is not in there. */
  cacheIndex = -1;
  /** The one Path object for this dentry on the mount it is mostly seen on, so that walks allocate none. */
  private path: Path | null = null;

  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
  }

  /** This dentry as seen on a mount. */
  on(mount: Mount): Path {
    if (this.path !== null && this.path.mount === mount) return this.path;
    this.path = { mount, dentry: this };
    return this.path;
  }
}

export class Mount {
  readonly id: number;
  readonly superblock: Superblock;
  /** Root of what is visible: the superblock's root, or a subtree's for a bind mount. */
  readonly root: Dentry;
  parent: Mount | null = null;
  mountpoint: Dentry | null = null;
  readonly children: Mount[] = [];
  /** The tree it is mounted in; null for pseudo mounts and once it is unmounted. */
  namespace: MountNamespace | null = null;
  /** Made when the sandbox started: neither to be unmounted nor to be relieved of restrictions from within. */
  locked = false;
  /** MS_* that cannot be taken off it, though it may be unmounted. */
  lockedFlags = 0;
  /** Those it shares what is mounted on it with, those it receives it from (propagation.ts); nobody binds it. */
  peers: PeerGroup | null = null;
  master: PeerGroup | null = null;
  unbindable = false;
  /** MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, … */
  flags: number;

  constructor(id: number, superblock: Superblock, root: Dentry, flags: number) {
    this.id = id;
    this.superblock = superblock;
    this.root = root;
    this.flags = flags;
    root.pins++;
  }
}

export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}

/** The file-system view of a task: root, working directory, umask (clone(2) CLONE_FS shares it). */
export class FsContext {
  users = 1;
  private rootPath: Path;
  private cwdPath: Path;
  umask: number;

  constructor(root: Path, cwd: Path, umask: number) {
    root.dentry.pins++;
    cwd.dentry.pins++;
    this.rootPath = root;
    this.cwdPath = cwd;
    this.umask = umask;
  }

  get root(): Path {
    return this.rootPath;
  }
  set root(path: Path) {
    path.dentry.pins++;
    unpinDentry(this.rootPath.dentry);
    this.rootPath = path;
  }
  get cwd(): Path {
    return this.cwdPath;
  }
  set cwd(path: Path) {
    path.dentry.pins++;
    unpinDentry(this.cwdPath.dentry);
    this.cwdPath = path;
  }

  /** Its last user is gone. */
  release(): void {
    unpinDentry(this.rootPath.dentry);
    unpinDentry(this.cwdPath.dentry);
  }

  copy(): FsContext {
    return new FsContext(this.root, this.cwd, this.umask);
  }
}
