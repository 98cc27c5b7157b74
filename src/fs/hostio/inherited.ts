// Descriptors that the client outside has as its standard streams become open files: sockets as sockets, everything
// else as a stream.

import { S_IFMT, S_IFSOCK, STAT_MODE, STAT_SIZE } from '../../abi/stat.ts';
import type { HostFd } from '../../base/brands.ts';
import { host } from '../../host/calls.ts';
import { allocateScratch, markScratch, releaseScratch, u32 } from '../../platform/arena.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { openHostSocket } from './host-socket.ts';
import { openHostStream } from './host-stream.ts';

/**
 * Takes over a host descriptor as an open file with the access mode and flags that it has. The descriptor is closed
 * with the last open file on it. -errno when it cannot be used.
 */
export function openInherited(fd: HostFd): OpenFile | number {
  const mark = markScratch();
  const at = allocateScratch(STAT_SIZE);
  const r = at < 0 ? at : host.fstat(fd, at);
  const mode = u32[(at + STAT_MODE) >> 2];
  releaseScratch(mark);
  if (r < 0) return r;
  return (mode & S_IFMT) === S_IFSOCK ? openHostSocket(fd) : openHostStream(fd);
}
