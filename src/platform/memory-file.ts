// Nameless files in a tmpfs of the sentry's own, which the launcher mounts for it: memory that guests can map, like a
// memfd's, but in large pages where a file is written from front to back. To fill a megabyte of a memfd takes the host 440 us,
// of such a file 25.

import { ENOENT } from '../abi/errno.ts';
import { O_RDWR, O_TMPFILE } from '../abi/fcntl.ts';
import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';

let directory = -1 as HostFd;

/** Passes in the root of that tmpfs; -1 where it could not be mounted. */
export function setMemoryDirectory(fd: HostFd): void {
  directory = fd;
}

/** A new empty file, or -errno. It takes no seals. */
export function createMemoryFile(): HostFd | number {
  return directory < 0 ? -ENOENT : host.openat2(directory, '.', O_TMPFILE | O_RDWR, 0o700, 0);
}
