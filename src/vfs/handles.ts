// File handles (name_to_handle_at(2)): bytes that stand for an inode without a name. An inode that a handle was given
// out for stays in memory, so that the handle can be opened again; of very many the oldest are forgotten, and their
// handles are stale, as are those of inodes that are gone.

import { allocateScratch, markScratch, readBytes, releaseScratch, u32, writeU64 } from '../platform/arena.ts';
import type { Dentry } from './dentry.ts';
import type { Inode, Superblock } from './inode.ts';
import { keepInode, letGoOfInode } from './kept.ts';

/** Length of a handle: u32 generation, u64 inode number. */
export const HANDLE_BYTES = 12;
/** FILEID_INO32_GEN, as tmpfs has it. */
export const HANDLE_TYPE = 1;
const REMEMBERED_MAX = 1 << 16;

interface Remembered {
  readonly inode: Inode;
  /** A name of it, if one was known. */
  dentry: Dentry | null;
}

const byInode = new Map<Inode, Remembered>();
const byGeneration = new Map<number, Remembered>();
/** Tells inodes of the same number apart: one that is gone from one that came after it. */
const generations = new WeakMap<Inode, number>();
let lastGeneration = 0;

const keeper = {
  inodeGone(inode: Inode): void {
    byInode.delete(inode);
    byGeneration.delete(generationOf(inode));
  },
};

function generationOf(inode: Inode): number {
  let generation = generations.get(inode);
  if (generation === undefined) {
    lastGeneration = (lastGeneration + 1) >>> 0;
    generation = lastGeneration;
    generations.set(inode, generation);
  }
  return generation;
}

/** The handle of an inode, as a byte string; `dentry` is a name of it, if one is known. */
export function handleOf(inode: Inode, dentry: Dentry | null): string {
  const known = byInode.get(inode);
  // One that is about to go need not be found any more.
  if (!known && inode.nlink > 0) remember(inode, dentry);
  else if (known && dentry && (known.dentry === null || known.dentry.unlinked)) known.dentry = dentry;
  return encode(generationOf(inode), inode.ino);
}

function remember(inode: Inode, dentry: Dentry | null): void {
  if (byInode.size >= REMEMBERED_MAX) {
    const [oldest] = byInode.keys();
    keeper.inodeGone(oldest);
    letGoOfInode(oldest, keeper);
  }
  const known = { inode, dentry };
  byInode.set(inode, known);
  byGeneration.set(generationOf(inode), known);
  keepInode(inode, keeper);
}

/** The handle of an inode that can only be compared with others (AT_HANDLE_FID on a filesystem without handles). */
export function identifierOf(inode: Inode): string {
  return encode(0, inode.ino);
}

function encode(generation: number, ino: number): string {
  const mark = markScratch();
  const at = allocateScratch(HANDLE_BYTES + 4);
  u32[at >>> 2] = generation;
  writeU64(at + 4, ino);
  const text = readBytes(at, HANDLE_BYTES);
  releaseScratch(mark);
  return text;
}

/** What a handle stands for, or null when it is stale. */
export function findHandle(superblock: Superblock, handle: string): { inode: Inode; dentry: Dentry | null } | null {
  if (handle.length < HANDLE_BYTES) return null;
  const word = (from: number): number =>
    (handle.charCodeAt(from) |
      (handle.charCodeAt(from + 1) << 8) |
      (handle.charCodeAt(from + 2) << 16) |
      (handle.charCodeAt(from + 3) << 24)) >>>
    0;
  const known = byGeneration.get(word(0));
  if (!known || known.inode.superblock !== superblock) return null;
  if (known.inode.ino !== word(4) + word(8) * 4294967296) return null;
  return known;
}
