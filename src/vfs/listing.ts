// Going through a directory's entries, with pauses: one of a million names takes half a second.

import type { DirectorySink, Inode } from './inode.ts';

/** Takes an entry; false when the rest can wait. */
export type EntryTaker = (name: string, ino: number, type: number) => boolean;

export interface Listing {
  /** Goes on with the entries that were not taken yet. 1 at the end, 0 when the taker wants a pause, -errno. */
  next(take: EntryTaker): number;
  /** It is not needed any more, finished or not. */
  end(): void;
}

/** Of any directory, without pauses. */
export class WholeListing implements Listing {
  private readonly directory: Inode;

  constructor(directory: Inode) {
    this.directory = directory;
  }

  next(take: EntryTaker): number {
    const r = this.directory.readdir(0, (name, ino, type) => {
      take(name, ino, type);
      return true;
    });
    return r < 0 ? r : 1;
  }

  end(): void {}
}

/** Of a directory that is listed from an offset on at no cost. */
export class OffsetListing implements Listing {
  private readonly directory: Inode;
  private offset = 0;

  constructor(directory: Inode) {
    this.directory = directory;
  }

  next(take: EntryTaker): number {
    let goesOn = true;
    const r = this.directory.readdir(this.offset, (name, ino, type, nextOffset) => {
      if (!goesOn) return false;
      this.offset = nextOffset;
      goesOn = take(name, ino, type);
      return goesOn;
    });
    return r < 0 ? r : Number(goesOn);
  }

  end(): void {}
}

/** Inode.readdir() in one go, for directories that are listed otherwise. 0 or -errno. */
export function listFrom(listing: Listing, offset: number, sink: DirectorySink): number {
  let index = 0;
  let wanted = true;
  const r = listing.next((name, ino, type) => {
    if (wanted && index++ >= offset) wanted = sink(name, ino, type, index);
    return wanted;
  });
  listing.end();
  return Math.min(r, 0);
}
