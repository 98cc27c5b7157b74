// Nameless files in two tmpfs of the sentry's own, which the launcher mounts for it: memory that guests can map. How much
// there may be of it the host sees to, whoever touches it, and whether or not anybody has the file open: each is half of the
// machine's memory, beyond which a page that is touched is a SIGBUS. In one the host uses large pages where a file is written
// from front to back: to fill a megabyte of a memfd takes it 440 us, of such a file 25. In the other holes stay holes.

import { ENOENT } from '../abi/errno.ts';
import { O_RDWR, O_TMPFILE } from '../abi/fcntl.ts';
import { MFD_CLOEXEC } from '../abi/mman.ts';
import type { HostFd } from '../base/brands.ts';
import { host } from '../host/calls.ts';

let large = -1 as HostFd;
let sparse = -1 as HostFd;

/** Passes in the roots of these tmpfs, with large pages and without; -1 where one could not be mounted. */
export function setMemoryDirectories(largePages: HostFd, smallPages: HostFd): void {
  large = largePages;
  sparse = smallPages;
}

/** A new empty file that is to be written from front to back, or -errno. It takes no seals. */
export function createDenseFile(): HostFd | number {
  return createIn(large);
}

/** A new empty file of which little may come to be used, or -errno. It takes no seals. */
export function createSparseFile(): HostFd | number {
  const fd = createIn(sparse);
  return fd === -ENOENT ? host.memfd_create('memory', MFD_CLOEXEC) : fd;
}

function createIn(directory: HostFd): HostFd | number {
  return directory < 0 ? -ENOENT : host.openat2(directory, '.', O_TMPFILE | O_RDWR, 0o700, 0);
}
