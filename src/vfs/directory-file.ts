// Open directories of any filesystem: a snapshot of the inode's entries, taken whenever reading starts at the front,
// so that positions stay valid however the directory changes (POSIX leaves open whether later changes show). It is given
// up when all of it was read.

import { EINVAL, EISDIR, ENOMEM } from '../abi/errno.ts';
import { DT_DIR, SEEK_CUR, SEEK_SET } from '../abi/fcntl.ts';
import type { Path } from './dentry.ts';
import type { DirectorySink } from './inode.ts';
import type { Listing } from './listing.ts';
import { noteAccess } from './mount.ts';
import { OpenFile } from './open-file.ts';

/** How many positions '.' and '..' take before the inode's own entries. */
const DOTS = 2;
/** Entries in all snapshots together: they are kept on the sentry's heap. */
const HELD_MOST = 4 << 20;
let held = 0;
/** So many are taken before anybody asks for the time. */
const ENTRIES_AT_ONCE = 128;

export class DirectoryFile extends OpenFile {
  private names: string[] = [];
  private inos: number[] = [];
  private types: number[] = [];
  private taken = false;
  /** Where the snapshot is being taken. */
  private listing: Listing | null = null;

  override get seekable(): boolean {
    return true;
  }

  override read(): number {
    return -EISDIR;
  }

  override seek(offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const position = whence === SEEK_SET ? offset : this.position + offset;
    if (position < 0) return -EINVAL;
    // What was read to its end is listed anew.
    if (position === 0 || (position !== this.position && this.names.length === 0 && !this.listing)) this.forget();
    this.position = position;
    return position;
  }

  override readdir(sink: DirectorySink, enough: () => boolean = () => false): number {
    if (this.position === 0) this.forget();
    if (this.position === 0 && !this.give(sink, '.', this.inode.ino, DT_DIR)) return 0;
    if (this.position === 1 && !this.give(sink, '..', parentIno(this.path), DT_DIR)) return 0;
    if (!this.taken) {
      const r = this.take(enough);
      if (r <= 0) return r < 0 ? r : 1;
      noteAccess(this.path.mount, this.inode);
    }
    for (let i = this.position - DOTS; i < this.names.length; i++) {
      if (!this.give(sink, this.names[i], this.inos[i], this.types[i])) return 0;
    }
    this.forget();
    this.taken = true;
    return 0;
  }

  override release(): void {
    this.forget();
  }

  override sync(dataOnly: boolean): number {
    return this.inode.syncData(dataOnly);
  }

  private give(sink: DirectorySink, name: string, ino: number, type: number): boolean {
    const next = this.position + 1;
    if (!sink(name, ino, type, next)) return false;
    this.position = next;
    return true;
  }

  /** 1 when all of it is there, 0 when it was enough for now, -errno. */
  private take(enough: () => boolean): number {
    this.listing ??= this.inode.listing();
    let room = true;
    const r = this.listing.next((name, ino, type) => {
      room = held < HELD_MOST;
      if (!room) return false;
      held++;
      this.names.push(name);
      this.inos.push(ino);
      this.types.push(type);
      return (this.names.length & (ENTRIES_AT_ONCE - 1)) !== 0 || !enough();
    });
    if (r < 0 || !room) {
      this.forget();
      return room ? r : -ENOMEM;
    }
    if (r > 0) {
      this.endListing();
      this.taken = true;
    }
    return r;
  }

  private endListing(): void {
    this.listing?.end();
    this.listing = null;
  }

  private forget(): void {
    this.endListing();
    if (!this.taken && this.names.length === 0) return;
    held -= this.names.length;
    this.names = [];
    this.inos = [];
    this.types = [];
    this.taken = false;
  }
}

/** Inode number of the directory that '..' leads to. */
function parentIno(path: Path): number {
  let { mount, dentry } = path;
  while (dentry === mount.root && mount.parent && mount.mountpoint) {
    dentry = mount.mountpoint;
    mount = mount.parent;
  }
  return (dentry.parent ?? dentry).inode?.ino ?? 1;
}
