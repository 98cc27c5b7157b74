// Limits of nested epoll instances, as Linux sets them: no cycles, chains of at most five instances, and a bounded
// number of paths on which the wake of one file travels, lest a guest make a single write take ages.

import { EINVAL, ELOOP } from '../../abi/errno.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { EpollFile } from './epoll.ts';
import { EpollItem } from './item.ts';

/** Longest chain of instances below a top one. */
const MAX_NESTS = 4;
/** How many paths of each length may lead from a file to instances above it. */
const PATH_LIMITS = [1000, 500, 100, 50, 10];

/** Whether `epoll` may watch `file`: 0, -ELOOP or -EINVAL. */
export function checkNesting(epoll: EpollFile, file: OpenFile): number {
  if (!(file instanceof EpollFile)) {
    // Nothing above the instance: its one new path cannot pass a limit that matters.
    if (!epoll.watches && (file.watches?.size ?? 0) < PATH_LIMITS[0]) return 0;
    return pathsFit([file], epoll, file) ? 0 : -EINVAL;
  }
  const leaves = new Set<OpenFile>();
  const below = depthBelow(file, epoll, leaves, new Map());
  if (below < 0 || below + 1 + heightAbove(epoll, new Map()) > MAX_NESTS) return -ELOOP;
  return pathsFit(leaves, epoll, file) ? 0 : -EINVAL;
}

/** Longest chain of instances under `top`, -1 if `forbidden` is among them or it is too long; collects other files. */
function depthBelow(
  top: EpollFile,
  forbidden: EpollFile,
  leaves: Set<OpenFile>,
  known: Map<EpollFile, number>,
): number {
  if (top === forbidden || known.size > 10 * PATH_LIMITS[0]) return -1;
  const done = known.get(top);
  if (done !== undefined) return done;
  let depth = 0;
  for (let item of top.items.values() as Iterable<EpollItem | null>) {
    for (; item; item = item.sameFd) {
      if (!(item.file instanceof EpollFile)) {
        leaves.add(item.file);
        continue;
      }
      const below = depthBelow(item.file, forbidden, leaves, known);
      if (below < 0) return -1;
      if (below + 1 > depth) depth = below + 1;
    }
  }
  known.set(top, depth);
  return depth;
}

/** Longest chain of instances that watch `epoll`. */
function heightAbove(epoll: EpollFile, known: Map<EpollFile, number>): number {
  const done = known.get(epoll);
  if (done !== undefined) return done;
  let height = 0;
  for (const watch of epoll.watches ?? []) {
    if (watch instanceof EpollItem) height = Math.max(height, 1 + heightAbove(watch.epoll, known));
  }
  known.set(epoll, height);
  return height;
}

/** Whether the paths upwards from each file stay within the limits once `epoll` watches `added`. */
function pathsFit(files: Iterable<OpenFile>, epoll: EpollFile, added: OpenFile): boolean {
  for (const file of files) {
    if (!countPaths(file, epoll, added, 0, [0, 0, 0, 0, 0])) return false;
  }
  return true;
}

function countPaths(file: OpenFile, epoll: EpollFile, added: OpenFile, length: number, counts: number[]): boolean {
  if (length >= PATH_LIMITS.length) return true;
  if (file === added && !climb(epoll, epoll, added, length, counts)) return false;
  for (const watch of file.watches ?? []) {
    if (watch instanceof EpollItem && !climb(watch.epoll, epoll, added, length, counts)) return false;
  }
  return true;
}

/** Counts one more path of this length, and those that go on from the instance it leads to. */
function climb(to: EpollFile, epoll: EpollFile, added: OpenFile, length: number, counts: number[]): boolean {
  if (++counts[length] > PATH_LIMITS[length]) return false;
  return to.watches === null && to !== added ? true : countPaths(to, epoll, added, length + 1, counts);
}
