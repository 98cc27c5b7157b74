// Descriptors above 2 that a program inherits: those of --preserve-fds, and the sockets of sd_listen_fds(3) before them.

import { readFileSync } from 'node:fs';

const FIRST = 3;
const O_CLOEXEC = 0o2000000;

/**
 * Which of the `count` descriptors from 3 on the caller left open. Node's own have close-on-exec; where the caller has
 * a hole, the program has one, too.
 */
export function openDescriptors(count: number): number[] {
  return Array.from({ length: count }, (_, index) => FIRST + index).filter(isInherited);
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    return false; // not open at all
  }
}

/** How many sockets a service manager has opened for the program. */
export function listenCount(): number {
  const count = Number(process.env.LISTEN_FDS ?? 0);
  return Number.isInteger(count) && count > 0 ? count : 0;
}

/** What tells the program of them, as `NAME=value`. */
export function listenVariables(): string[] {
  return listenCount() === 0 ? [] : [`LISTEN_FDS=${listenCount()}`, 'LISTEN_PID=1'];
}
