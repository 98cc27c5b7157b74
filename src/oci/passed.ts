// Descriptors above 2 that a program inherits: those of --preserve-fds, and the sockets of sd_listen_fds(3) before them.

import { readdirSync, readlinkSync } from 'node:fs';

const FIRST = 3;
const NODE_LINK = /^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/;

/**
 * Which of the `count` descriptors from 3 on the caller left open: where the caller has a hole, the program has one, too.
 * Node takes such holes for itself, and sets close-on-exec on everybody's, so its own are known by what they are.
 */
export function openDescriptors(count: number): number[] {
  if (count === 0) return [];
  const links = descriptorLinks();
  const isOwn = (link: string): boolean =>
    NODE_LINK.test(link) ||
    (link.startsWith('pipe:') && [...links.values()].filter((other) => other === link).length > 1);
  return Array.from({ length: count }, (_, index) => FIRST + index).filter((fd) => {
    const link = links.get(fd);
    return link !== undefined && !isOwn(link);
  });
}

function descriptorLinks(): Map<number, string> {
  const links = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      links.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The descriptor that the directory was read with.
    }
  }
  return links;
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
