// The host descriptors of host inodes that nobody has open: kept for the next use, the longest unused one closed when
// there are too many. Descriptors of inodes in use are not in this list.

import type { HostNode } from './node.ts';

/** Well below the sentry's descriptor limit, of which open files, memfds and sockets need their part. */
const IDLE_MAX = 4096;

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
  if (count > IDLE_MAX && oldest) {
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
