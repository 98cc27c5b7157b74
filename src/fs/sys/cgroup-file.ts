// A file of a cgroup: it cannot be opened or written any more when its cgroup is gone.

import { ENODEV } from '../../abi/errno.ts';
import type { Cgroup } from '../../kernel/cgroups.ts';
import type { TextSource } from '../virtual/inode.ts';

export function file(
  read: (cgroup: Cgroup) => string,
  write?: (cgroup: Cgroup, text: string) => number,
): TextSource<Cgroup> {
  const gone = (cgroup: Cgroup): number => (cgroup.removed ? -ENODEV : 0);
  return {
    mode: write ? 0o644 : 0o444,
    read,
    open: gone,
    ...(write && { write: (cgroup, text) => (cgroup.removed ? -ENODEV : write(cgroup, text)) }),
  };
}
