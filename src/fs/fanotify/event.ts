// Events of a fanotify group, from what the VFS tells (vfs/notify.ts): what of it is reported, when two are one, and how
// one is laid down for its reader.

import {
  FAN_ATTRIB,
  FAN_CREATE,
  FAN_DELETE,
  FAN_EVENT_INFO_TYPE_DFID,
  FAN_EVENT_INFO_TYPE_DFID_NAME,
  FAN_EVENT_INFO_TYPE_FID,
  FAN_EVENT_INFO_TYPE_NEW_DFID_NAME,
  FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
  FAN_EVENT_INFO_TYPE_PIDFD,
  FAN_EVENT_METADATA_LEN,
  FAN_MOVED_FROM,
  FAN_MOVED_TO,
  FAN_ONDIR,
  FAN_RENAME,
  FAN_REPORT_DIR_FID,
  FAN_REPORT_FID,
  FAN_REPORT_NAME,
  FAN_REPORT_TARGET_FID,
  FANOTIFY_METADATA_VERSION,
} from '../../abi/fanotify.ts';
import type { ThreadGroup } from '../../kernel/task.ts';
import type { Dentry, Path } from '../../vfs/dentry.ts';
import { closeDentry, unuseInode } from '../../vfs/dentry-cache.ts';
import { HANDLE_TYPE, handleOf, identifierOf } from '../../vfs/handles.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { FileEvent } from '../../vfs/notify.ts';
import type { Request } from './permission.ts';

/** Events that tell of a change to a directory. */
export const ENTRY_EVENTS = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_RENAME;
/** All that happens to an inode rather than to an open file: an event of them has no descriptor. */
export const INODE_EVENTS = ENTRY_EVENTS | FAN_ATTRIB | 0xc00;
export const FID_BITS = FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID;

export interface QueuedEvent {
  mask: number;
  readonly pid: number;
  /** The process of `pid`, for FAN_REPORT_PIDFD. */
  readonly process: ThreadGroup | null;
  /** What a descriptor is to be made for; null in a group that reports handles, and for an overflow. */
  readonly held: HeldPath | null;
  /** The information records. */
  readonly records: string;
  /** Who waits for an answer; null for most. */
  readonly request: Request | null;
}

/** A place in the tree that stays as it is until its event was read. */
export class HeldPath {
  readonly path: Path;
  readonly inode: Inode;

  constructor(path: Path, inode: Inode) {
    this.path = path;
    this.inode = inode;
    path.dentry.opens++;
    inode.uses++;
  }

  release(): void {
    closeDentry(this.path.dentry);
    unuseInode(this.inode);
  }
}

/** Whether two events are reported as one, with the bits of both. */
export function mergeable(old: QueuedEvent, event: QueuedEvent): boolean {
  if (old.request || event.request || old.pid !== event.pid || old.process !== event.process) return false;
  if (old.held !== null || event.held !== null) {
    return old.held?.path.dentry === event.held?.path.dentry && old.held?.path.mount === event.held?.path.mount;
  }
  if ((old.mask ^ event.mask) & (FAN_ONDIR | FAN_RENAME)) return false;
  return old.records === event.records;
}

export const le16 = (value: number): string => String.fromCharCode(value & 255, (value >>> 8) & 255);
export const le32 = (value: number): string => le16(value & 0xffff) + le16(value >>> 16);

/** struct fanotify_event_metadata for an event of `length` bytes in all. */
export function metadata(length: number, mask: number, fd: number, pid: number): string {
  const head = `${le32(length)}${String.fromCharCode(FANOTIFY_METADATA_VERSION)}\0${le16(FAN_EVENT_METADATA_LEN)}`;
  return `${head}${le32(mask >>> 0)}${le32(0)}${le32(fd)}${le32(pid)}`;
}

/** struct fanotify_event_info_pidfd */
export function pidfdRecord(pidfd: number): string {
  return `${String.fromCharCode(FAN_EVENT_INFO_TYPE_PIDFD)}\0${le16(8)}${le32(pidfd)}`;
}

/** struct fanotify_event_info_fid with its handle, and a name if there is one. */
function fidRecord(type: number, inode: Inode, dentry: Dentry | null, name: string | null): string {
  const handle = inode.superblock.hasHandles ? handleOf(inode, dentry) : identifierOf(inode);
  const fsid = le32(inode.superblock.device) + le32(0);
  const body = `${fsid}${le32(handle.length)}${le32(HANDLE_TYPE)}${handle}${name === null ? '' : `${name}\0`}`;
  const length = (4 + body.length + 3) & ~3;
  return `${String.fromCharCode(type)}\0${le16(length)}${body}`.padEnd(length, '\0');
}

/**
 * The records of an event in a group with these FAN_REPORT_* flags. Of a rename `matched` says which directories' marks
 * asked for it: 1 the old one's, 2 the new one's.
 */
export function recordsOf(event: FileEvent, mask: number, reports: number, matched: number): string {
  const onDirectory = (mask & FAN_ONDIR) !== 0;
  const entry = (mask & ENTRY_EVENTS) !== 0;
  const { inode, dentry, directory } = event;
  const ofEntry = entry && directory?.inode && !(reports & FAN_REPORT_TARGET_FID);
  let object = ofEntry ? (directory.inode as Inode) : inode;
  let objectDentry = ofEntry ? directory : dentry;
  const isDirectory = !entry && inode?.isDirectory;
  const from = isDirectory ? dentry : directory;
  let records = '';
  let child = false;
  let ofDirectory = entry || onDirectory;
  if (reports & FAN_REPORT_DIR_FID && (isDirectory ? inode : from?.inode)) {
    const named = reports & FAN_REPORT_NAME && (entry || !onDirectory);
    const tellsChild = entry
      ? (reports & FAN_REPORT_TARGET_FID) !== 0
      : (reports & FAN_REPORT_FID) !== 0 && !onDirectory;
    const of = (isDirectory ? inode : from?.inode) as Inode;
    child = tellsChild && object !== of && object !== null;
    if (mask & FAN_RENAME) {
      if (matched & 1) records += fidRecord(FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, of, from, event.name);
      if (matched & 2 && event.newDirectory?.inode) {
        const to = event.newDirectory;
        records += fidRecord(FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, to.inode as Inode, to, event.newName);
      }
    } else if (named) records += fidRecord(FAN_EVENT_INFO_TYPE_DFID_NAME, of, from, event.name);
    else if (child) records += fidRecord(FAN_EVENT_INFO_TYPE_DFID, of, from, null);
    if (records === '') {
      object = of;
      objectDentry = from;
      ofDirectory = true;
    } else if (!child) return records;
  }
  if (!object) return records;
  if ((reports & FID_BITS) === FAN_REPORT_FID || records !== '') {
    return records + fidRecord(FAN_EVENT_INFO_TYPE_FID, object, objectDentry, null);
  }
  if (reports & FAN_REPORT_NAME && onDirectory)
    return fidRecord(FAN_EVENT_INFO_TYPE_DFID_NAME, object, objectDentry, '.');
  const type = ofDirectory ? FAN_EVENT_INFO_TYPE_DFID : FAN_EVENT_INFO_TYPE_FID;
  return fidRecord(type, object, objectDentry, null);
}
