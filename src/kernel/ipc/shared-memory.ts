// System V shared memory segments (shmop(2)): a memfd each, mapped into the guest's process like a file. Who has one
// attached the host knows best: its maps of the processes are asked, for a mapping may go without a call to us.

import {
  SHM_DEST,
  SHMID_ATIME,
  SHMID_CPID,
  SHMID_CTIME,
  SHMID_DTIME,
  SHMID_LPID,
  SHMID_NATTCH,
  SHMID_SEGSZ,
  SHMID_SIZE,
} from '../../abi/ipc.ts';
import { S_IFREG, STAT_BLOCKS, STAT_SIZE } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import type { Credentials } from '../../base/credentials.ts';
import { host } from '../../host/calls.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import { hostMappings } from '../../mm/host-maps.ts';
import { keyOfDescriptor, rememberFile } from '../../mm/mapped-files.ts';
import { allocateScratch, i32, markScratch, readU64, releaseScratch, u8, writeU64 } from '../../platform/arena.ts';
import { descriptorLimit } from '../../platform/descriptor-limit.ts';
import { reopenReadonly } from '../../platform/host-proc.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import type { Path } from '../../vfs/dentry.ts';
import { giveBack } from '../give-back.ts';
import { kernel } from '../kernel.ts';
import { type Numbered, numberIn } from '../pid-namespaces.ts';
import type { Task } from '../task.ts';
import { DEAD } from '../task.ts';
import { IpcObject, type IpcTable, nowSeconds } from './ids.ts';

/** Segments in all namespaces: each keeps one or two of the sentry's descriptors. */
let segmentsInAll = 0;
const SEGMENTS_MOST = 16384;
const DESCRIPTORS_PART = 3;

export function tooManySegments(): boolean {
  return segmentsInAll >= 64 && segmentsInAll >= Math.min(SEGMENTS_MOST, descriptorLimit() / DESCRIPTORS_PART);
}

export class SharedMemory extends IpcObject {
  readonly size: number;
  readonly backing: HostFd;
  private readonlyBacking = -1 as HostFd;
  /** How the host's maps call the backing: device and inode. */
  readonly mappingKey: string;
  private readonly path: Path;
  readonly creator: Numbered;
  lastUser: Numbered | null = null;
  attachTime = 0;
  detachTime = 0;

  constructor(key: number, mode: number, owner: Credentials, size: number, backing: HostFd, creator: Numbered) {
    super(key, mode, owner);
    segmentsInAll++;
    this.size = size;
    this.backing = backing;
    this.creator = creator;
    const name = `SYSV${(key >>> 0).toString(16).padStart(8, '0')}`;
    this.path = anonymousPath(name, new AnonymousInode(S_IFREG | this.mode, owner));
    this.path.dentry.unlinked = true;
    this.mappingKey = keyOfDescriptor(backing);
  }

  /** It is about to be mapped into an address space. */
  attachedTo(mm: AddressSpace, by: Numbered): void {
    rememberFile(mm, this.mappingKey, this.path);
    this.attachTime = nowSeconds();
    this.lastUser = by;
  }

  /**
   * What a process is given to map it: whoever may only read gets a descriptor that cannot be written through, for what it
   * makes of its mapping, or of the descriptor, never comes to us. Or -errno.
   */
  descriptorFor(readonly: boolean): HostFd | number {
    if (!readonly || this.readonlyBacking >= 0) return readonly ? this.readonlyBacking : this.backing;
    const fd = reopenReadonly(this.backing) as HostFd;
    if (fd >= 0) this.readonlyBacking = fd;
    return fd;
  }

  /** Nobody has it attached any more. */
  free(): void {
    segmentsInAll--;
    giveBack(this.backing, this.size);
    if (this.readonlyBacking >= 0) host.close(this.readonlyBacking);
  }

  /** Mappings of it in all processes. */
  countAttached(): number {
    let count = 0;
    for (const mm of addressSpaces()) {
      if (mm.mappedFiles.has(this.mappingKey)) count += hostMappings(mm, this.mappingKey).length;
    }
    return count;
  }

  /** Pages that are in memory. */
  resident(): number {
    const mark = markScratch();
    const at = allocateScratch(STAT_SIZE);
    const blocks = at >= 0 && host.fstat(this.backing, at) === 0 ? readU64(at + STAT_BLOCKS) : 0;
    releaseScratch(mark);
    return blocks / 8;
  }

  /** Lays down a struct shmid64_ds. */
  put(at: number, viewer: Task): void {
    u8.fill(0, at, at + SHMID_SIZE);
    this.putPermissions(at, viewer);
    writeU64(at + SHMID_SEGSZ, this.size);
    writeU64(at + SHMID_ATIME, this.attachTime);
    writeU64(at + SHMID_DTIME, this.detachTime);
    writeU64(at + SHMID_CTIME, this.changeTime);
    i32[(at + SHMID_CPID) >>> 2] = numberIn(viewer.pidNamespace, this.creator);
    i32[(at + SHMID_LPID) >>> 2] = numberIn(viewer.pidNamespace, this.lastUser);
    writeU64(at + SHMID_NATTCH, this.countAttached());
  }
}

function addressSpaces(): Set<AddressSpace> {
  const found = new Set<AddressSpace>();
  for (const task of kernel.tasks.values()) if (task.state !== DEAD) found.add(task.mm);
  return found;
}

/** Bytes in all segments, in whole pages. */
export function segmentPages(segments: IpcTable<SharedMemory>): number {
  return segments.objects.reduce((sum, segment) => sum + Math.ceil((segment?.size ?? 0) / 4096), 0);
}

/** IPC_RMID: it goes when nobody has it attached any more; until then it keeps its identifier, but not its key. */
export function removeSegment(segments: IpcTable<SharedMemory>, segment: SharedMemory): void {
  segments.forgetKey(segment);
  segment.mode |= SHM_DEST;
  collectSegments(segments);
}

/** Lets go of removed segments that nobody has attached. */
export function collectSegments(segments: IpcTable<SharedMemory>): void {
  for (const segment of segments.objects) {
    if (segment === null || !(segment.mode & SHM_DEST) || segment.countAttached() > 0) continue;
    segments.remove(segment);
    segment.free();
  }
}
