// Big files in memory are given back piece by piece: the host frees a gigabyte in half a second, in which no guest would be
// served. Only for files that nobody can have mapped.

import type { HostFd } from '../../base/brands.ts';
import { monotonicNow } from '../../base/clock.ts';
import { host } from '../../host/calls.ts';
import { armTimer, Timer } from '../../kernel/timers.ts';

/** Bytes that are freed at a time. */
const PIECE = 8 << 20;

interface Remains {
  readonly fd: HostFd;
  size: number;
}

const remains: Remains[] = [];

const timer = new Timer({
  expire() {
    const [first] = remains;
    if (!first) return;
    // A file that is mostly a hole takes no more steps than others.
    first.size = Math.max(0, first.size - Math.max(PIECE, Math.floor(first.size / 128)));
    if (first.size === 0 || host.ftruncate(first.fd, first.size) < 0) {
      host.close(first.fd);
      remains.shift();
    }
    if (remains.length > 0) armTimer(timer, monotonicNow());
  },
});

/** Closes a memfd and frees its memory, at once if it is small. */
export function giveBack(fd: HostFd, size: number): void {
  if (size <= PIECE) {
    host.close(fd);
    return;
  }
  remains.push({ fd, size });
  if (!timer.armed) armTimer(timer, monotonicNow());
}
