// The cgroup2 filesystem as the sandbox sees it: one cgroup, the root of its own cgroup namespace. It shows the limits
// that programs size themselves by; what is used is counted in the host's cgroup and shows there.

import { CGROUP2_SUPER_MAGIC } from '../../abi/stat.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { Inode } from '../../vfs/inode.ts';
import { text } from '../proc/system.ts';
import { FixedDirectory, grow, type Tree } from '../virtual/directory.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';

function numbers(ids: Iterable<number>): string {
  return [...ids]
    .sort((a, b) => a - b)
    .map((id) => `${id}\n`)
    .join('');
}

const limitText = (value: number | null): string => (value === null ? 'max' : String(value));

const FILES: Tree = {
  'cgroup.controllers': text(() => 'cpu memory pids\n'),
  'cgroup.events': text(() => 'populated 1\nfrozen 0\n'),
  'cgroup.max.depth': text(() => 'max\n'),
  'cgroup.max.descendants': text(() => 'max\n'),
  'cgroup.procs': text(() => numbers(kernel.groups.keys())),
  'cgroup.stat': text(() => 'nr_descendants 0\nnr_dying_descendants 0\n'),
  'cgroup.subtree_control': text(() => '\n'),
  'cgroup.threads': text(() => numbers(kernel.tasks.keys())),
  'cgroup.type': text(() => 'domain\n'),
  'cpu.max': text(() => `${limitText(kernel.limits.cpuQuota)} ${kernel.limits.cpuPeriod}\n`),
  'memory.max': text(() => `${limitText(kernel.limits.memory)}\n`),
  'pids.current': text(() => `${kernel.tasks.size}\n`),
  'pids.max': text(() => `${limitText(kernel.limits.pids)}\n`),
};

export class CgroupSuperblock extends VirtualSuperblock {
  readonly typeName = 'cgroup2';
  readonly root: Inode;

  constructor() {
    super();
    this.source = 'cgroup';
    this.magic = CGROUP2_SUPER_MAGIC;
    const root = new FixedDirectory(this, ROOT_INO);
    grow(root, FILES);
    this.root = root;
  }
}
