// The host descriptors of host inodes that nobody has open: kept for the next use, the longest unused one closed when
// there are too many. Descriptors of inodes in use are not in this list.

import { descriptorLimit } from '../../platform/descriptor-limit.ts';
import type { HostNode } from './node.ts';

/** So many at most, and no more than a part of what the sentry may open: open files, memfds and sockets need theirs. */
const IDLE_MOST = 8192;
const PART = 4;
/** So few do no harm, whatever the limit is: it is asked for when there are more. */
const IDLE_FEW = 128;

let most = IDLE_FEW;
let asked = false;

/** Finds out how many may be kept. */
function askLimit(): void {
  asked = true;
  most = Math.max(IDLE_FEW, Math.min(IDLE_MOST, Math.floor(descriptorLimit() / PART)));
}

let oldest: HostNode | null = null;
let newest: HostNode | null = null;
let count = 0;

/** Puts an inode with open descriptors at the young end, closing those of the oldest if there are too many. */
export function keepIdle(inode: HostNode): void {
  if (newest === inode) return;
  leaveIdle(inode);
  inode.older = newest;
  if (newest) newest.newer = inode;
  else oldest = inode;
  newest = inode;
  inode.idle = true;
  count++;
  if (count > most && !asked) askLimit();
  if (count > most && oldest) {
    const victim = oldest;
    leaveIdle(victim);
    victim.closeDescriptors();
  }
}

/** Takes an inode off the list: it is in use, or it goes. */
export function leaveIdle(inode: HostNode): void {
  if (!inode.idle) return;
  if (inode.older) inode.older.newer = inode.newer;
  else oldest = inode.newer;
  if (inode.newer) inode.newer.older = inode.older;
  else newest = inode.older;
  inode.older = null;
  inode.newer = null;
  inode.idle = false;
  count--;
}
