// inotify(7): a descriptor from which is read what was done to watched inodes. The inodes tell (vfs/notify.ts); here are
// the watches of one instance and its queue.

import { EAGAIN, EINVAL, ENOSPC, ENOTTY } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDONLY } from '../../abi/fcntl.ts';
import { FIONREAD } from '../../abi/ioctl.ts';
import { IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_ONESHOT, IN_Q_OVERFLOW, IN_UNMOUNT } from '../../abi/misc.ts';
import { POLLIN, POLLRDNORM } from '../../abi/poll.ts';
import type { UserAddress } from '../../base/brands.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { finishLater } from '../../kernel/leftovers.ts';
import type { Task } from '../../kernel/task.ts';
import { turnIsOver } from '../../kernel/turns.ts';
import { i32, u8, u32, writeBytes } from '../../platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import type { Inode } from '../../vfs/inode.ts';
import { type InodeWatcher, unwatchInode, watchInode } from '../../vfs/notify.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { sysctlNumber } from '../proc/sysctl.ts';

/** struct inotify_event without its name: s32 wd, u32 mask, u32 cookie, u32 length of the name */
const EVENT_SIZE = 16;
/** Names are padded to a multiple of this. */
const NAME_UNIT = 16;

interface Event {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

/** Events in all queues, and how many there may be: they take the sentry's memory. */
let queued = 0;
const QUEUED_MAX = 1 << 18;

/** Told whatever a watch asks for. */
const ALWAYS = IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;

class Watch implements InodeWatcher {
  readonly wd: number;
  readonly inode: Inode;
  mask: number;
  private readonly instance: InotifyFile;

  constructor(instance: InotifyFile, wd: number, inode: Inode, mask: number) {
    this.instance = instance;
    this.wd = wd;
    this.inode = inode;
    this.mask = mask;
  }

  notify(inode: Inode, mask: number, cookie: number, name: string, unlinked: boolean): void {
    if (!(mask & ~IN_ISDIR & (this.mask | ALWAYS))) return;
    if (unlinked && this.mask & IN_EXCL_UNLINK) return;
    this.instance.push({ wd: this.wd, mask, cookie, name });
    if (this.mask & IN_ONESHOT) {
      unwatchInode(inode, this);
      this.inodeGone();
    }
  }

  inodeGone(): void {
    this.instance.forget(this);
  }
}

function paddedLength(name: string): number {
  return name === '' ? 0 : Math.ceil((name.length + 1) / NAME_UNIT) * NAME_UNIT;
}

/** How many watches each user has. */
const watchesOf = new Map<number, number>();
/** And how many there are and may be in all: root can be many users. */
let watches = 0;
const WATCHES_MOST = 1 << 19;
/** So many are taken off before the clock is looked at. */
const WATCHES_AT_ONCE = 64;

export class InotifyFile extends OpenFile {
  private readonly queue = new WaitQueue();
  private readonly events: Event[] = [];
  private readonly byNumber = new Map<number, Watch>();
  private readonly byInode = new Map<Inode, Watch>();
  private readonly uid: number;
  private lastWd = 0;
  /** Nobody reads any more; its watches are being taken off. */
  private closed = false;

  constructor(flags: number, uid: number) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('inotify', inode), inode, O_RDONLY | (flags & O_NONBLOCK));
    this.uid = uid;
  }

  /** The watch on an inode, if there is one: its number and mask. */
  find(inode: Inode): { readonly wd: number; mask: number } | undefined {
    return this.byInode.get(inode);
  }

  /** A new watch: its number, or -ENOSPC. */
  add(inode: Inode, mask: number): number {
    const count = watchesOf.get(this.uid) ?? 0;
    if (count >= sysctlNumber('fs.inotify.max_user_watches', 65536) || watches >= WATCHES_MOST) return -ENOSPC;
    watches++;
    watchesOf.set(this.uid, count + 1);
    const watch = new Watch(this, ++this.lastWd, inode, mask);
    this.byNumber.set(watch.wd, watch);
    this.byInode.set(inode, watch);
    watchInode(inode, watch);
    return watch.wd;
  }

  /** inotify_rm_watch(2): 0 or -EINVAL */
  remove(wd: number): number {
    const watch = this.byNumber.get(wd);
    if (!watch) return -EINVAL;
    unwatchInode(watch.inode, watch);
    this.forget(watch);
    return 0;
  }

  /** A watch is off its inode. */
  forget(watch: Watch): void {
    if (this.byNumber.delete(watch.wd)) this.discount(1);
    this.byInode.delete(watch.inode);
    this.push({ wd: watch.wd, mask: IN_IGNORED, cookie: 0, name: '' });
  }

  private discount(gone: number): void {
    watches -= gone;
    const rest = (watchesOf.get(this.uid) ?? 0) - gone;
    if (rest > 0) watchesOf.set(this.uid, rest);
    else watchesOf.delete(this.uid);
  }

  /** Queues an event, unless it repeats the last one or there are too many. */
  push(event: Event): void {
    if (this.closed) return;
    const last = this.events.at(-1);
    if (last?.wd === event.wd && last.mask === event.mask && last.name === event.name && last.cookie === event.cookie) {
      return;
    }
    const most = sysctlNumber('fs.inotify.max_queued_events', 16384);
    if (this.events.length > most || queued > QUEUED_MAX) return;
    queued++;
    this.events.push(
      this.events.length === most || queued === QUEUED_MAX
        ? { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: '' }
        : event,
    );
    this.queue.wake(POLLIN | POLLRDNORM);
  }

  override read(at: number, length: number): number {
    if (this.events.length === 0) return -EAGAIN;
    let done = 0;
    let taken = 0;
    for (const { wd, mask, cookie, name } of this.events) {
      const padded = paddedLength(name);
      if (done + EVENT_SIZE + padded > length) break;
      const word = (at + done) >>> 2;
      i32[word] = wd;
      u32[word + 1] = mask;
      u32[word + 2] = cookie;
      u32[word + 3] = padded;
      const start = at + done + EVENT_SIZE;
      u8.fill(0, start, start + padded);
      writeBytes(start, name);
      done += EVENT_SIZE + padded;
      taken++;
    }
    this.events.splice(0, taken);
    queued -= taken;
    return taken === 0 ? -EINVAL : done;
  }

  /** It has a position, but there is nothing to move. */
  override seek(): number {
    return 0;
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
    i32[at >>> 2] = this.events.reduce((sum, { name }) => sum + EVENT_SIZE + paddedLength(name), 0);
    return 0;
  }

  override release(): void {
    queued -= this.events.length;
    this.events.length = 0;
    this.closed = true;
    if (!this.removeSome()) finishLater(() => this.removeSome());
  }

  /** Takes watches off their inodes; true when none is left. */
  private removeSome(): boolean {
    let count = 0;
    for (const [wd, watch] of this.byNumber) {
      unwatchInode(watch.inode, watch);
      this.byNumber.delete(wd);
      this.byInode.delete(watch.inode);
      this.discount(1);
      if (++count % WATCHES_AT_ONCE === 0 && turnIsOver()) return false;
    }
    return true;
  }

  override get linkText(): string {
    return 'anon_inode:inotify';
  }

  override get fdinfo(): string {
    const hex = (value: number): string => (value >>> 0).toString(16);
    return [...this.byNumber.values()]
      .reverse()
      .map(({ wd, inode, mask }) => {
        const where = `ino:${inode.ino.toString(16)} sdev:${hex(inode.device)}`;
        return `inotify wd:${hex(wd)} ${where} mask:${hex(mask)} ignored_mask:0 \n`;
      })
      .join('');
  }
}
