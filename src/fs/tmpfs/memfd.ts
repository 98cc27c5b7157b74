// memfd_create(2): a nameless file of a tmpfs that is mounted nowhere, with seals (fcntl(2) F_ADD_SEALS).

import { EBUSY, EINVAL, ENOMEM, EPERM } from '../../abi/errno.ts';
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
import { memoryTotal } from '../../platform/machine.ts';
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

/**
 * The host counts the pages of a memfd for nobody, and guests touch what they have mapped without asking. So a memfd that is
 * mapped for writing counts as a whole for as long as it is open; beyond that its pages are those of who has it mapped. All
 * together may have half of the machine's memory.
 */
const MAPPED_SHARE = 0.5;
let mappedInAll = 0;

class MemfdInode extends TmpfsInode {
  seals: number;
  /** Bytes that count for its being mapped; -1 before it is. */
  private mapped = -1;

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
    if (change.size !== undefined && this.mapped >= 0 && !this.countMapped(change.size)) return -ENOMEM;
    return super.setattr(change);
  }

  /** Counts it as mapped with a size; false if that is too much. */
  private countMapped(size: number): boolean {
    const before = Math.max(this.mapped, 0);
    if (size > before && mappedInAll + size - before > memoryTotal() * MAPPED_SHARE) return false;
    mappedInAll += size - before;
    this.mapped = size;
    return true;
  }

  override evict(): void {
    this.countMapped(0);
    super.evict();
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
    if (mayWrite && !sealed && !this.countMapped(Math.max(this.size, this.mapped))) return -ENOMEM;
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
