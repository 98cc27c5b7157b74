// fanotify(7): a group is a descriptor from which is read what was done to the files, mounts and filesystems it has
// marks on. What happens anywhere comes from vfs/notify.ts; here it is decided which groups want to hear of it.

import { EAGAIN, EBADF, EINVAL, EISDIR, EMFILE, ENOENT, ENOSPC, ENOTTY, EPERM, ESRCH } from '../../abi/errno.ts';
import {
  FAN_ALLOW,
  FAN_CLASS_CONTENT,
  FAN_CLASS_PRE_CONTENT,
  FAN_DENY,
  FAN_EPIDFD,
  FAN_EVENT_METADATA_LEN,
  FAN_MODIFY,
  FAN_NOFD,
  FAN_NONBLOCK,
  FAN_NOPIDFD,
  FAN_ONDIR,
  FAN_Q_OVERFLOW,
  FAN_RENAME,
  FAN_REPORT_FD_ERROR,
  FAN_REPORT_FID,
  FAN_REPORT_PIDFD,
  FAN_REPORT_TID,
  FAN_RESPONSE_SIZE,
  FAN_UNLIMITED_MARKS,
  FAN_UNLIMITED_QUEUE,
} from '../../abi/fanotify.ts';
import { O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import { FIONREAD } from '../../abi/ioctl.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { Fd, UserAddress } from '../../base/brands.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { WAIT } from '../../kernel/block.ts';
import { installFile } from '../../kernel/descriptors.ts';
import { kernel } from '../../kernel/kernel.ts';
import { finishLater } from '../../kernel/leftovers.ts';
import { initialPids, numberIn } from '../../kernel/pid-namespaces.ts';
import type { Task, ThreadGroup } from '../../kernel/task.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { i32, u32, writeBytes } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { Mount } from '../../vfs/dentry.ts';
import { handleOf } from '../../vfs/handles.ts';
import { Inode, type Superblock } from '../../vfs/inode.ts';
import { type FileEvent, setEventListener } from '../../vfs/notify.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { checkWritable } from '../../vfs/walk.ts';
import { mayWriteText } from '../../vfs/write-access.ts';
import { PidFile } from '../pidfd/pidfd.ts';
import { sysctlNumber } from '../proc/sysctl.ts';
import { FID_BITS, HeldPath, mergeable, metadata, pidfdRecord, type QueuedEvent, recordsOf } from './event.ts';
import { anyMarks, attachMark, Mark, type Marked, marksOn, removeMark, voidIgnoreMasks } from './marks.ts';
import { askGroups, type Request } from './permission.ts';

/** Events in all queues, and how many there may be: they take the sentry's memory. */
let queued = 0;
const QUEUED_MAX = 1 << 18;
/** Marks of all groups, too, whatever a group may have. */
let marksInAll = 0;
const MARKS_MOST = 1 << 18;
/** So many are taken off before the clock is looked at. */
const MARKS_AT_ONCE = 64;
/** As far back a new event is compared with those that wait. */
const MERGE_DEPTH = 128;
/** Error numbers that a group of the highest class may refuse with (FAN_DENY_ERRNO). */
const REFUSALS: readonly number[] = [0, 1, 5, 11, 16, 26, 28, 122];

/** How many groups and marks each user has. */
const groupsOf = new Map<number, number>();
const marksOfUser = new Map<number, number>();

function count(table: Map<number, number>, uid: number, change: number): void {
  const now = (table.get(uid) ?? 0) + change;
  if (now > 0) table.set(uid, now);
  else table.delete(uid);
}

export class FanotifyGroup extends OpenFile {
  /** FAN_* of fanotify_init. */
  readonly initFlags: number;
  /** Whoever made it had no rights beyond their own: it may mark inodes only, and sees no one else's process ids. */
  readonly unprivileged: boolean;
  /** Marks by what they are on. */
  readonly marks = new Map<Marked, Mark>();
  private readonly eventFlags: number;
  private readonly uid: number;
  /** Of whoever made it: process ids are told as seen from there. */
  private readonly pidNamespace = kernel.current?.pidNamespace ?? initialPids;
  private readonly queue = new WaitQueue();
  private events: QueuedEvent[] = [];
  /** Nobody reads any more; its marks are being taken off. */
  private closed = false;
  /** Requests that were read and wait for an answer, by the descriptor they were given. */
  private readonly unanswered = new Map<number, Request>();

  constructor(initFlags: number, eventFlags: number, uid: number, unprivileged: boolean) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('[fanotify]', inode), inode, O_RDWR | (initFlags & FAN_NONBLOCK ? O_NONBLOCK : 0));
    this.initFlags = initFlags;
    this.eventFlags = eventFlags;
    this.uid = uid;
    this.unprivileged = unprivileged;
    count(groupsOf, uid, 1);
  }

  /** 2 for those that are asked first, 1 for others that may be asked, 0 for those that are only told. */
  get priority(): number {
    if (this.initFlags & FAN_CLASS_PRE_CONTENT) return 2;
    return this.initFlags & FAN_CLASS_CONTENT ? 1 : 0;
  }

  get reports(): number {
    return this.initFlags & FID_BITS;
  }

  // ---- marks ----

  /** A new mark, or -ENOSPC. */
  addMark(object: Marked, evictable: boolean): Mark | number {
    const most = sysctlNumber('fs.fanotify.max_user_marks', 8192);
    if (marksInAll >= MARKS_MOST) return -ENOSPC;
    if (!(this.initFlags & FAN_UNLIMITED_MARKS) && (marksOfUser.get(this.uid) ?? 0) >= most) return -ENOSPC;
    const mark = new Mark(this, object, evictable);
    marksInAll++;
    count(marksOfUser, this.uid, 1);
    this.marks.set(object, mark);
    attachMark(mark);
    setEventListener(LISTENER);
    return mark;
  }

  /** Takes a mark away. */
  dropMark(mark: Mark): void {
    removeMark(mark);
    this.forgetMark(mark);
  }

  /** A mark is off its object. */
  forgetMark(mark: Mark): void {
    if (!this.marks.delete(mark.object)) return;
    marksInAll--;
    count(marksOfUser, this.uid, -1);
    if (!anyMarks()) setEventListener(null);
  }

  // ---- events ----

  private get limit(): number {
    return this.initFlags & FAN_UNLIMITED_QUEUE ? QUEUED_MAX : sysctlNumber('fs.fanotify.max_queued_events', 16384);
  }

  /** Queues what a mark has asked for. */
  tell(event: FileEvent, mask: number, matched: number): void {
    const { path, inode } = event;
    const held = this.reports === 0 && path && inode ? new HeldPath(path, inode) : null;
    const records = this.reports === 0 ? '' : recordsOf(event, mask, this.reports, matched);
    this.push({ mask, ...this.author(), held, records, request: null });
  }

  /** Queues a question. */
  ask(file: OpenFile, mask: number, request: Request): void {
    const held = new HeldPath(file.path, file.inode);
    if (!this.push({ mask, ...this.author(), held, records: '', request })) request.settle(0);
  }

  /** Whose doing an event is. */
  private author(): { pid: number; process: ThreadGroup | null } {
    const task = kernel.current;
    if (!task) return { pid: 0, process: null };
    const process = this.initFlags & FAN_REPORT_PIDFD ? task.group : null;
    const author = this.initFlags & FAN_REPORT_TID ? task : task.group;
    return { pid: numberIn(this.pidNamespace, author), process };
  }

  /** Queues an event unless it goes with one that waits; false if there is no room. */
  private push(event: QueuedEvent): boolean {
    if (this.closed) {
      event.held?.release();
      return false;
    }
    for (let i = this.events.length - 1; i >= Math.max(0, this.events.length - MERGE_DEPTH); i--) {
      if (!mergeable(this.events[i], event)) continue;
      this.events[i].mask |= event.mask;
      event.held?.release();
      return true;
    }
    const room = this.events.length < this.limit && queued < QUEUED_MAX;
    if (!room) event.held?.release();
    if (!room && this.events.at(-1)?.mask === FAN_Q_OVERFLOW) return false;
    queued++;
    const overflow = { mask: FAN_Q_OVERFLOW, pid: 0, process: null, held: null, records: '', request: null };
    this.events.push(room ? event : overflow);
    this.queue.wake(POLLIN | POLLRDNORM);
    return room;
  }

  // ---- the descriptor ----

  override read(at: number, length: number): number {
    if (this.events.length === 0) return -EAGAIN;
    const task = kernel.current as Task;
    let done = 0;
    let taken = 0;
    let error = 0;
    for (const event of this.events) {
      const size = this.sizeOf(event);
      // Opening a file to write to it may take a while: then there is nothing yet that it would have to wait with.
      if (done > 0 && event.held && this.eventFlags & O_ACCMODE) break;
      if (done + size > length) {
        error = -EINVAL;
        break;
      }
      const text = this.layDown(task, event, size);
      // Its file is being copied up: it is tried again when that has gone on.
      if (text === WAIT) {
        error = WAIT;
        break;
      }
      taken++;
      if (typeof text === 'number') {
        error = text;
        break;
      }
      done += writeBytes(at + done, text);
    }
    this.events.splice(0, taken);
    queued -= taken;
    return done > 0 ? done : error;
  }

  private sizeOf(event: QueuedEvent): number {
    const pidfd = this.initFlags & FAN_REPORT_PIDFD && event.mask !== FAN_Q_OVERFLOW ? 8 : 0;
    return FAN_EVENT_METADATA_LEN + event.records.length + pidfd;
  }

  /** The bytes of an event; its descriptors are the reader's from now on. Or WAIT, or -errno, and the event is gone. */
  private layDown(task: Task, event: QueuedEvent, size: number): string | number {
    const { held, request } = event;
    const tellsErrors = (this.initFlags & FAN_REPORT_FD_ERROR) !== 0;
    let fd = tellsErrors && event.mask === FAN_Q_OVERFLOW ? -EBADF : FAN_NOFD;
    if (held) {
      fd = this.openFor(task, held);
      if (fd === WAIT) return WAIT;
      held.release();
      if (fd < 0) {
        request?.settle(-EPERM);
        if (!tellsErrors) return fd;
      } else if (request) this.unanswered.set(fd, request);
    }
    const foreign = this.unprivileged && event.pid !== numberIn(this.pidNamespace, task.group);
    let records = event.records;
    if (size > FAN_EVENT_METADATA_LEN + records.length) records += pidfdRecord(this.pidfdFor(task, event));
    return metadata(size, event.mask, fd, foreign ? 0 : event.pid) + records;
  }

  /** A descriptor for what an event is about, by which no further events are made; or WAIT or -errno. */
  private openFor(task: Task, held: HeldPath): Fd | number {
    const { path, inode } = held;
    const flags = this.eventFlags & ~O_CLOEXEC;
    if (flags & O_ACCMODE) {
      const writable = inode.isDirectory ? -EISDIR : checkWritable(path.mount) || mayWriteText(inode);
      if (writable < 0) return writable;
    }
    const file = inode.open(path, flags, task);
    if (typeof file === 'number') return file;
    file.flags = flags;
    file.quiet = true;
    return installFile(task, file, (this.eventFlags & O_CLOEXEC) !== 0);
  }

  private pidfdFor(task: Task, event: QueuedEvent): number {
    const { process } = event;
    const tellsErrors = (this.initFlags & FAN_REPORT_FD_ERROR) !== 0;
    if (!process || process.reaped) return tellsErrors ? -ESRCH : FAN_NOPIDFD;
    const fd = installFile(task, new PidFile(process, null, 0), true);
    return fd < 0 && !tellsErrors ? FAN_EPIDFD : fd;
  }

  /** The answer to a question that was read: struct fanotify_response. */
  override write(at: number, length: number): number {
    if (length < FAN_RESPONSE_SIZE) return -EINVAL;
    const fd = i32[at >>> 2];
    const word = u32[(at + 4) >>> 2];
    const errno = word >>> 24;
    const access = word & 0xffffff;
    if (fd < 0 || (access !== FAN_ALLOW && access !== FAN_DENY)) return -EINVAL;
    if (errno !== 0 && (access === FAN_ALLOW || this.priority !== 2 || !REFUSALS.includes(errno))) return -EINVAL;
    const request = this.unanswered.get(fd);
    if (!request) return -ENOENT;
    this.unanswered.delete(fd);
    request.settle(access === FAN_ALLOW ? 0 : errno === 0 ? -EPERM : -errno);
    return FAN_RESPONSE_SIZE;
  }

  override poll(): number {
    return this.events.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  override ioctl(task: Task, command: number, argument: UserAddress): number {
    if (command !== FIONREAD) return -ENOTTY;
    const at = task.memory.out(argument, 4);
    if (at < 0) return at;
    i32[at >>> 2] = this.events.reduce((sum, event) => sum + this.sizeOf(event), 0);
    return 0;
  }

  override release(): void {
    this.closed = true;
    if (!this.dropSome()) finishLater(() => this.dropSome());
    for (const request of this.unanswered.values()) request.settle(0);
    for (const { held, request } of this.events) {
      held?.release();
      request?.settle(0);
    }
    queued -= this.events.length;
    this.events = [];
    count(groupsOf, this.uid, -1);
  }

  /** Drops marks; true when none is left. */
  private dropSome(): boolean {
    let dropped = 0;
    for (const mark of this.marks.values()) {
      this.dropMark(mark);
      if (++dropped % MARKS_AT_ONCE === 0 && turnIsOver()) return false;
    }
    return true;
  }

  override get linkText(): string {
    return 'anon_inode:[fanotify]';
  }

  override get fdinfo(): string {
    const hex = (value: number): string => (value >>> 0).toString(16);
    const head = `fanotify flags:${hex(this.initFlags)} event-flags:${hex(this.eventFlags)}\n`;
    const lines = [...this.marks.values()].map((mark) => {
      const { object } = mark;
      const flags =
        (mark.ignoredSurvives ? 0x40 : 0) | (mark.evictable ? 0x200 : 0) | (mark.ignoresByFlags ? 0x400 : 0);
      const masks = `mflags:${hex(flags)} mask:${hex(mark.mask)} ignored_mask:${hex(mark.ignored)}`;
      if (object instanceof Mount) return `fanotify mnt_id:${hex(object.id)} ${masks} \n`;
      if (!(object instanceof Inode)) return `fanotify sdev:${hex(object.device)} ${masks} \n`;
      const where = `ino:${object.ino.toString(16)} sdev:${hex(object.device)}`;
      return `fanotify ${where} ${masks} ${handleText(object)}\n`;
    });
    return head + lines.join('');
  }
}

function handleText(inode: Inode): string {
  if (!inode.superblock.hasHandles) return '';
  const handle = handleOf(inode, null);
  return `fhandle-bytes:${handle.length.toString(16)} fhandle-type:1 f_handle:${Buffer.from(handle, 'latin1').toString('hex')} `;
}

/** A new group for a user; -EMFILE when there are too many of theirs. */
export function makeGroup(
  initFlags: number,
  eventFlags: number,
  uid: number,
  unprivileged: boolean,
): FanotifyGroup | number {
  if ((groupsOf.get(uid) ?? 0) >= sysctlNumber('fs.fanotify.max_user_groups', 128)) return -EMFILE;
  return new FanotifyGroup(initFlags, eventFlags, uid, unprivileged);
}

/** Marks that an event or a question concerns, and how. */
function relevant(
  event: Omit<FileEvent, 'newName' | 'name'>,
): (readonly [mark: Mark, asParent: boolean, matched: number])[] {
  const found: [Mark, boolean, number][] = [];
  const add = (object: Marked | null | undefined, asParent: boolean, matched: number): void => {
    if (object && event.mask & FAN_MODIFY) voidIgnoreMasks(marksOn(object), asParent);
    for (const mark of (object && marksOn(object)) ?? []) found.push([mark, asParent, matched]);
  };
  const { inode, directory, newDirectory, entry, path } = event;
  const place = entry ? directory?.inode : inode;
  add(place, false, 1);
  if (newDirectory) add(newDirectory.inode, false, 2);
  if (!entry && directory) add(directory.inode, true, 1);
  if (path) add(path.mount, false, 3);
  add(place?.superblock, false, 3);
  return found;
}

/** By group, the bits of the event that its marks want, and the directories of a rename that matched. */
function interested(event: FileEvent): Map<FanotifyGroup, { wants: number; ignores: number; matched: number }> {
  const onDirectory = (event.mask & FAN_ONDIR) !== 0;
  const groups = new Map<FanotifyGroup, { wants: number; ignores: number; matched: number }>();
  for (const [mark, asParent, matched] of relevant(event)) {
    let found = groups.get(mark.group);
    if (!found) {
      found = { wants: 0, ignores: 0, matched: 0 };
      groups.set(mark.group, found);
    }
    found.ignores |= mark.ignores(onDirectory, asParent);
    const wants = mark.wants(onDirectory, asParent);
    found.wants |= wants;
    if (wants !== 0) found.matched |= matched;
  }
  return groups;
}

/** Files and directories are what descriptors are given for. */
function describable(inode: Inode | null): boolean {
  const type = (inode?.mode ?? 0) & S_IFMT;
  return type === S_IFREG || type === S_IFDIR;
}

const LISTENER = {
  event(event: FileEvent): void {
    const onDirectory = (event.mask & FAN_ONDIR) !== 0;
    for (const [group, { wants, ignores, matched }] of interested(event)) {
      const { reports } = group;
      if (reports === 0 && !(event.path && describable(event.inode))) continue;
      if (reports !== 0 && !(reports & FAN_REPORT_FID) && !event.directory && !onDirectory) continue;
      let mask = event.mask & wants & ~ignores;
      if (!(mask & ~FAN_ONDIR)) continue;
      if (reports === 0) mask &= ~FAN_ONDIR;
      group.tell(event, mask, mask & FAN_RENAME ? matched : 3);
    }
  },

  permit(task: Task, file: OpenFile, mask: number): number {
    const { inode, path } = file;
    if (!describable(inode)) return 0;
    const { parent: directory, name } = path.dentry;
    const bits = inode.isDirectory ? mask | FAN_ONDIR : mask;
    const event = {
      mask: bits,
      inode,
      dentry: path.dentry,
      directory,
      name,
      entry: false,
      newDirectory: null,
      newName: '',
      path,
    };
    const asked: FanotifyGroup[] = [];
    for (const [group, { wants, ignores }] of interested(event)) {
      if (group.reports === 0 && mask & wants & ~ignores) asked.push(group);
    }
    if (asked.length === 0) return 0;
    asked.sort((a, b) => b.priority - a.priority);
    return askGroups(task, file, mask, asked);
  },

  unmounted(what: Superblock | Mount): void {
    for (const mark of [...(marksOn(what) ?? [])]) mark.group.dropMark(mark);
  },
};
