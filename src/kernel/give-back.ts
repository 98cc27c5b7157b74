// Big files in memory are given back piece by piece: the host frees a gigabyte in half a second, in which no guest would be
// served. Only for files that nobody can have mapped.

import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { finishLater } from './leftovers.ts';

/** Bytes that are freed at a time. */
const PIECE = 8 << 20;

/** Closes a memfd and frees its memory, at once if it is small. */
export function giveBack(fd: HostFd, size: number): void {
  if (size <= PIECE) {
    host.close(fd);
    return;
  }
  let left = size;
  finishLater(() => {
    // A file that is mostly a hole takes no more steps than others.
    left = Math.max(0, left - Math.max(PIECE, Math.floor(left / 128)));
    if (left > 0 && host.ftruncate(fd, left) >= 0) return false;
    host.close(fd);
    return true;
  });
}
