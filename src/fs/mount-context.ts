// Descriptors of the newer mount calls: a filesystem that is being put together (fsopen(2), fspick(2)), and a mount that
// is not in any tree yet (fsmount(2), open_tree(2)), which goes with its descriptor unless move_mount(2) has placed it.

import { EBUSY, EINVAL, ENODATA, ENODEV } from '../abi/errno.ts';
import { O_PATH, O_RDONLY, O_RDWR } from '../abi/fcntl.ts';
import { MS_RDONLY, MS_SYNCHRONOUS } from '../abi/mount.ts';
import { mountInUse, writtenTo } from '../kernel/mount-use.ts';
import { AnonymousInode, anonymousPath } from '../vfs/anonymous.ts';
import type { Mount } from '../vfs/dentry.ts';
import type { Inode, Superblock } from '../vfs/inode.ts';
import { unmount } from '../vfs/mount.ts';
import { OpenFile } from '../vfs/open-file.ts';
import { PathFile } from '../vfs/regular-file.ts';
import { checkOption, makeFilesystem } from './filesystems.ts';

/** Keys that every filesystem knows: the flag that each sets or, as null, none that is kept here. */
const SETS: Readonly<Record<string, number | null>> = {
  ro: MS_RDONLY,
  sync: MS_SYNCHRONOUS,
  dirsync: null,
  lazytime: null,
  mand: null,
};
const CLEARS: Readonly<Record<string, number | null>> = {
  rw: MS_RDONLY,
  async: MS_SYNCHRONOUS,
  nolazytime: null,
  nomand: null,
};

export class MountContext extends OpenFile {
  private readonly type: string;
  private readonly options: string[] = [];
  /** MS_* of the filesystem as a whole. */
  private wanted = 0;
  private source = '';
  /** What it has made, until fsmount takes it; or for fspick the mount whose filesystem it changes. */
  superblock: Superblock | null = null;
  /** fsmount has taken it. */
  mounted = false;
  private readonly picked: Mount | null;

  constructor(type: string, picked: Mount | null) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('fscontext', inode), inode, O_RDWR);
    this.type = type;
    this.picked = picked;
    if (picked?.superblock.readonly) this.wanted = MS_RDONLY;
  }

  get mountFlags(): number {
    return this.wanted;
  }

  /** FSCONFIG_SET_*: 0 or -EINVAL; what a filesystem makes of its own keys shows when it is made. */
  setParameter(key: string, value: string | null): number {
    const set = SETS[key];
    const cleared = CLEARS[key];
    if (set !== undefined) this.wanted |= set ?? 0;
    else if (cleared !== undefined) this.wanted &= ~(cleared ?? 0);
    else if (key === 'source') {
      if (value === null || this.source !== '') return -EINVAL;
      this.source = value;
    } else {
      const option = value === null ? key : `${key}=${value}`;
      if (checkOption(this.type, option) < 0) return -EINVAL;
      this.options.push(option);
    }
    return 0;
  }

  /** FSCONFIG_CMD_CREATE */
  create(): number {
    if (this.picked !== null || this.superblock !== null) return -EBUSY;
    const made = makeFilesystem(this.type, this.options);
    if (typeof made === 'number') return made === -ENODEV ? -EINVAL : made;
    made.source = this.source === '' ? 'none' : this.source;
    made.readonly = made.cannotWrite || (this.wanted & MS_RDONLY) !== 0;
    this.superblock = made;
    return 0;
  }

  /** FSCONFIG_CMD_RECONFIGURE */
  reconfigure(): number {
    const { picked } = this;
    if (picked === null) return -EBUSY;
    const readonly = (this.wanted & MS_RDONLY) !== 0;
    if (readonly && !picked.superblock.readonly && writtenTo(picked)) return -EBUSY;
    const r = picked.superblock.reconfigure(this.options);
    if (r === 0 && !picked.locked) picked.superblock.readonly = readonly;
    return r;
  }

  /** Messages for the program: there are none. */
  override read(): number {
    return -ENODATA;
  }

  override get linkText(): string {
    return 'anon_inode:[fscontext]';
  }
}

/** The root of a mount that is in no tree. */
export class DetachedMount extends PathFile {
  constructor(mount: Mount) {
    super(mount.root.on(mount), mount.root.inode as Inode, O_RDONLY | O_PATH);
  }

  override release(): void {
    const { mount } = this.path;
    if (mount.parent === null && mount.namespace?.root === mount) unmount(mount, mountInUse);
  }
}
