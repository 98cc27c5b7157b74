// devpts(5): the filesystem of pseudo-terminals. Each instance has its own numbers and its own ptmx; opening ptmx makes
// a pair, whose slave appears in the directory for as long as the master is open.

import { ENODEV, ENOENT, ENOSPC } from '../../abi/errno.ts';
import { DT_CHR } from '../../abi/fcntl.ts';
import { DEVPTS_SUPER_MAGIC, makeDevice, S_IFCHR, S_IFMT } from '../../abi/stat.ts';
import { stampNow } from '../../base/clock.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Path } from '../../vfs/dentry.ts';
import { registerDevice } from '../../vfs/devices.ts';
import type { AttributeChange, DirectorySink, Inode } from '../../vfs/inode.ts';
import { mountedOn } from '../../vfs/mount.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { Tty } from '../tty/tty.ts';
import { openTty } from '../tty/tty-file.ts';
import { VirtualDirectory } from '../virtual/directory.ts';
import { VirtualInode } from '../virtual/inode.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';
import { PtyMaster } from './master.ts';

const PTMX_INO = 2;
/** Inode number of slave 0. */
const FIRST_INO = 3;
const PTS_MAJOR = 136;
const MINORS = 256;
const DEFAULT_MAX = 4096;

interface DevptsOptions {
  mode: number;
  ptmxMode: number;
  /** Owner of new slaves; -1: whoever opens the master. */
  uid: number;
  gid: number;
  max: number;
}

/** Mount options: mode, ptmxmode, uid, gid, max; others (newinstance) are accepted as they are. */
export function parseDevptsOptions(options: readonly string[]): DevptsOptions {
  const parsed: DevptsOptions = { mode: 0o600, ptmxMode: 0, uid: -1, gid: -1, max: DEFAULT_MAX };
  for (const option of options) {
    const [name, value = ''] = option.split('=', 2);
    if (name === 'mode') parsed.mode = Number.parseInt(value, 8) & 0o777;
    else if (name === 'ptmxmode') parsed.ptmxMode = Number.parseInt(value, 8) & 0o777;
    else if (name === 'uid') parsed.uid = Number(value);
    else if (name === 'gid') parsed.gid = Number(value);
    else if (name === 'max') parsed.max = Math.min(Number(value), DEFAULT_MAX);
  }
  return parsed;
}

export class DevptsSuperblock extends VirtualSuperblock {
  readonly typeName = 'devpts';
  readonly root: Inode;
  readonly slaves = new Map<number, SlaveInode>();
  readonly ptmx: PtmxInode;
  readonly settings: DevptsOptions;

  constructor(options: readonly string[]) {
    super();
    this.source = 'devpts';
    this.magic = DEVPTS_SUPER_MAGIC;
    this.settings = parseDevptsOptions(options);
    const { uid, gid, mode, ptmxMode } = this.settings;
    const octal = (value: number): string => value.toString(8).padStart(3, '0');
    this.options = `${uid >= 0 ? `uid=${uid},` : ''}${gid >= 0 ? `gid=${gid},` : ''}mode=${octal(mode)},ptmxmode=${octal(ptmxMode)}`;
    this.ptmx = new PtmxInode(this, ptmxMode);
    this.root = new DevptsRoot(this);
  }

  /** Makes a pair's slave with the lowest free number, locked until its master unlocks it; -ENOSPC at the limit. */
  allocate(locked: boolean): Tty | number {
    let index = 0;
    while (this.slaves.has(index)) index++;
    if (index >= this.settings.max) return -ENOSPC;
    const rdev = makeDevice(PTS_MAJOR + Math.floor(index / MINORS), index % MINORS);
    const tty = new Tty(rdev, index);
    tty.locked = locked;
    this.slaves.set(index, new SlaveInode(this, tty));
    return tty;
  }

  /** The pair is gone: its number is free. */
  free(tty: Tty): void {
    this.slaves.delete(tty.index);
  }
}

class DevptsRoot extends VirtualDirectory {
  declare readonly superblock: DevptsSuperblock;

  constructor(superblock: DevptsSuperblock) {
    super(superblock, ROOT_INO, 0o755);
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    if (name === 'ptmx') return this.superblock.ptmx;
    const known = /^(0|[1-9]\d{0,6})$/.test(name) ? this.superblock.slaves.get(Number(name)) : undefined;
    return known ?? -ENOENT;
  }

  override readdir(_offset: number, sink: DirectorySink): number {
    if (!sink('ptmx', PTMX_INO, DT_CHR, 1)) return 0;
    let next = 1;
    for (const [index, inode] of this.superblock.slaves) {
      if (!sink(String(index), inode.ino, DT_CHR, ++next)) break;
    }
    return 0;
  }
}

/** Nodes of devpts can be given away and locked with chown and chmod, as login(1) and xterm(1) do. */
class DeviceInode extends VirtualInode {
  override setattr(change: AttributeChange): number {
    if (change.size !== undefined && change.mode === undefined) return 0;
    if (change.mode !== undefined) this.mode = (this.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime) Object.assign(this.atime, change.atime);
    if (change.mtime) Object.assign(this.mtime, change.mtime);
    stampNow(this.ctime);
    return 0;
  }
}

export class SlaveInode extends DeviceInode {
  readonly tty: Tty;

  constructor(superblock: DevptsSuperblock, tty: Tty) {
    const { mode, uid, gid } = superblock.settings;
    super(superblock, FIRST_INO + tty.index, S_IFCHR | mode);
    const owner = kernel.current?.credentials;
    this.uid = uid >= 0 ? uid : (owner?.fsuid ?? 0);
    this.gid = gid >= 0 ? gid : (owner?.fsgid ?? 0);
    this.rdev = tty.rdev;
    this.tty = tty;
  }

  override open(path: Path, flags: number): OpenFile | number {
    return openTty(path, this, flags, this.tty);
  }
}

class PtmxInode extends DeviceInode {
  declare readonly superblock: DevptsSuperblock;

  constructor(superblock: DevptsSuperblock, permissions: number) {
    super(superblock, PTMX_INO, S_IFCHR | permissions);
    this.rdev = makeDevice(5, 2);
  }

  override open(path: Path, flags: number): OpenFile | number {
    return openMaster(path, this, flags, this.superblock);
  }
}

/** Makes a pair in an instance and opens its master. */
function openMaster(path: Path, inode: Inode, flags: number, superblock: DevptsSuperblock): OpenFile | number {
  const tty = superblock.allocate(true);
  return typeof tty === 'number' ? tty : new PtyMaster(path, inode, flags, tty, superblock);
}

/** Puts ptmx nodes outside devpts behind their number, once, at boot: they mean the `pts` beside them. */
export function registerPtmxDevice(): void {
  registerDevice(S_IFCHR, 5, 2, (path, inode, flags) => {
    const pts = path.dentry.parent?.children?.get('pts');
    const superblock = pts && mountedOn(path.mount, pts)?.superblock;
    return superblock instanceof DevptsSuperblock ? openMaster(path, inode, flags, superblock) : -ENODEV;
  });
}
