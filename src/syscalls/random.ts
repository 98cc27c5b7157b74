// getrandom(2): the host's own random numbers.

import { EINVAL, ENOMEM } from '../abi/errno.ts';
import { GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM } from '../abi/misc.ts';
import type { UserAddress } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import type { Task } from '../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../kernel/turns.ts';
import { allocateScratch, IO_CHUNK } from '../platform/arena.ts';

/** Up to this many bytes the result goes by the slot. */
const SMALL = 32 << 10;
/** Most bytes of one call, as on Linux. */
const MAX_COUNT = 0x7ffff000;

export function getrandom(task: Task, buffer: UserAddress, length: number, flags: number): number {
  if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) return -EINVAL;
  if ((flags & (GRND_RANDOM | GRND_INSECURE)) === (GRND_RANDOM | GRND_INSECURE)) return -EINVAL;
  const count = Math.min(length, MAX_COUNT);
  if (count > SMALL) return fill(task, buffer, count, flags);
  const at = task.memory.reserve(count);
  if (at < 0) return at;
  const n = host.getrandom(at, count, flags);
  if (n > 0) task.memory.commit(buffer, at, n);
  return n;
}

/** A long buffer in pieces and turns; a fault after the first piece ends it early. */
function fill(task: Task, buffer: UserAddress, count: number, flags: number): number {
  const at = allocateScratch(Math.min(count, IO_CHUNK));
  if (at < 0) return -ENOMEM;
  let done = task.resumed ? task.progress : 0;
  while (done < count) {
    const n = host.getrandom(at, Math.min(count - done, IO_CHUNK), flags);
    const r = n <= 0 ? n : task.memory.write((buffer + done) as UserAddress, at, n);
    if (r < 0 || n <= 0) return done > 0 ? done : r;
    done += n;
    if (done < count && turnIsOver()) return yieldTurn(task, done);
  }
  return done;
}
