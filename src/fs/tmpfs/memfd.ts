// memfd_create(2): a nameless file of a tmpfs that is mounted nowhere, with seals (fcntl(2) F_ADD_SEALS).

import { EBUSY, EINVAL, EPERM } from '../../abi/errno.ts';
import { F_ADD_SEALS, F_GET_SEALS, FALLOC_FL_PUNCH_HOLE, O_RDWR } from '../../abi/fcntl.ts';
import {
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  PAGE_SIZE,
  PROT_WRITE,
} from '../../abi/mman.ts';
import { S_IFREG, S_IXUGO } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Credentials } from '../../base/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import { anonymousMount } from '../../vfs/anonymous.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import type { AttributeChange } from '../../vfs/inode.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { RegularFile } from '../../vfs/regular-file.ts';
import { TmpfsInode, TmpfsSuperblock } from './tmpfs.ts';

const ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
const NO_WRITES = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

let superblock: TmpfsSuperblock | null = null;

/** The filesystem of all memfds. */
function memfdSuperblock(): TmpfsSuperblock {
  superblock ??= new TmpfsSuperblock({ size: Infinity, inodes: Infinity, mode: 0o1777, uid: 0, gid: 0 }, 'tmpfs', true);
  return superblock;
}

class MemfdInode extends TmpfsInode {
  seals: number;

  constructor(mode: number, owner: Credentials, seals: number) {
    super(memfdSuperblock(), S_IFREG | mode, owner.fsuid, owner.fsgid);
    this.nlink = 0;
    this.seals = seals;
  }

  /** F_ADD_SEALS. 0, -EPERM when sealed against it, -EBUSY while it is mapped for writing. */
  addSeals(seals: number): number {
    if (this.seals & F_SEAL_SEAL) return -EPERM;
    if (seals & F_SEAL_WRITE && !(this.seals & F_SEAL_WRITE) && !this.sealWrites()) return -EBUSY;
    this.seals |= seals;
    // A sealed program stays what it is.
    if (seals & F_SEAL_EXEC && this.mode & S_IXUGO) this.seals |= F_SEAL_SHRINK | F_SEAL_GROW | NO_WRITES;
    return 0;
  }

  override setattr(change: AttributeChange): number {
    if (change.size !== undefined) {
      if (change.size < this.size && this.seals & F_SEAL_SHRINK) return -EPERM;
      if (change.size > this.size && this.seals & F_SEAL_GROW) return -EPERM;
    }
    if (change.mode !== undefined && this.seals & F_SEAL_EXEC && (change.mode ^ this.mode) & S_IXUGO) return -EPERM;
    return super.setattr(change);
  }

  /** Opened once more, by /proc/PID/fd. */
  override open(path: Path, flags: number): OpenFile {
    return new MemfdFile(path, this, flags);
  }

  override writeData(at: number, length: number, offset: number): number {
    if (length === 0) return 0;
    if (this.seals & NO_WRITES) return -EPERM;
    const start = offset < 0 ? this.size : offset;
    const grows = start + length > this.size;
    if (!(this.seals & F_SEAL_GROW) || !grows) return super.writeData(at, length, start);
    // Page by page: one that would make the file grow is not begun.
    const allowed = this.size - (this.size % PAGE_SIZE) - start;
    return allowed > 0 ? super.writeData(at, allowed, start) : -EPERM;
  }

  override allocateData(mode: number, offset: number, length: number): number {
    if (this.seals & NO_WRITES && mode & FALLOC_FL_PUNCH_HOLE) return -EPERM;
    if (this.seals & F_SEAL_GROW && offset + length > this.size) return -EPERM;
    return super.allocateData(mode, offset, length);
  }

  override mapData(protection: number, mayWrite: boolean): HostFd | number {
    const sealed = (this.seals & NO_WRITES) !== 0;
    if (mayWrite && sealed && protection & PROT_WRITE) return -EPERM;
    return super.mapData(protection, mayWrite && !sealed);
  }
}

class MemfdFile extends RegularFile {
  declare readonly inode: MemfdInode;

  override fcntl(_task: Task, command: number, argument: number): number {
    if (command === F_GET_SEALS) return this.inode.seals;
    if (command !== F_ADD_SEALS) return -EINVAL;
    if (argument & ~ALL_SEALS) return -EINVAL;
    return this.writable ? this.inode.addSeals(argument) : -EPERM;
  }

  override get linkText(): string | null {
    return `/${this.path.dentry.name} (deleted)`;
  }
}

/** A new memfd; `executable` gives it mode 0777, else 0666. `sealable`: seals may be added. */
export function createMemfd(name: string, owner: Credentials, sealable: boolean, executable: boolean): OpenFile {
  let seals = sealable ? 0 : F_SEAL_SEAL;
  if (!executable) seals = (seals & ~F_SEAL_SEAL) | F_SEAL_EXEC;
  const inode = new MemfdInode(executable ? 0o777 : 0o666, owner, seals);
  const dentry = new Dentry(`memfd:${name}`, anonymousMount().root, inode);
  inode.uses++;
  dentry.unlinked = true;
  return new MemfdFile(dentry.on(anonymousMount()), inode, O_RDWR);
}
