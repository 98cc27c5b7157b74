// procfs: the root directory and the superblock. Processes are looked up at every walk; the rest of the tree is fixed.

import { ENOENT } from '../../abi/errno.ts';
import { DT_DIR } from '../../abi/fcntl.ts';
import { PROC_SUPER_MAGIC } from '../../abi/stat.ts';
import { reapHooks, taskExitHooks } from '../../kernel/exit-hooks.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, numberIn, type PidNamespace } from '../../kernel/pid-namespaces.ts';
import type { Task, ThreadGroup } from '../../kernel/task.ts';
import { type Network, networkOf } from '../../net/network.ts';
import type { Dentry } from '../../vfs/dentry.ts';
import { forgetDentry, forgetTree } from '../../vfs/dentry-cache.ts';
import type { DirectorySink, Inode } from '../../vfs/inode.ts';
import { entryType, FixedDirectory, grow, VirtualDirectory } from '../virtual/directory.ts';
import { GeneratedLink, type LinkSource, VirtualSymlink } from '../virtual/inode.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';
import { KERNEL_CONFIG } from './kernel-config.ts';
import { KEY_FILES } from './keys.ts';
import { netFiles } from './net.ts';
import { taskIno } from './numbers.ts';
import { SETTINGS } from './sysctl.ts';
import { SYSTEM_FILES } from './system.ts';
import { SYSVIPC } from './sysvipc.ts';
import { TaskDirectory, taskByName } from './task-directory.ts';

const SELF: LinkSource<ProcSuperblock> = {
  read: ({ pids }) => {
    const pid = numberIn(pids, kernel.current?.group);
    return pid === 0 ? -ENOENT : String(pid);
  },
};

const THREAD_SELF: LinkSource<ProcSuperblock> = {
  read: ({ pids }) => {
    const pid = numberIn(pids, kernel.current?.group);
    return pid === 0 ? -ENOENT : `${pid}/task/${numberIn(pids, kernel.current)}`;
  },
};

/** Those that are mounted. */
const superblocks = new Set<ProcSuperblock>();

export class ProcSuperblock extends VirtualSuperblock {
  readonly typeName = 'proc';
  readonly root: Inode;
  /** Whose processes it shows, by the numbers that they have there. */
  readonly pids: PidNamespace;
  /** The directories that `net` shows, by whose network it is. */
  private readonly networks = new WeakMap<Network, FixedDirectory>();

  constructor(pids: PidNamespace = initialPids) {
    super();
    this.pids = pids;
    this.source = 'proc';
    this.magic = PROC_SUPER_MAGIC;
    this.root = new ProcRoot(this);
  }

  override mounted(): void {
    superblocks.add(this);
  }

  override shutDown(): void {
    superblocks.delete(this);
  }

  netOf(task: Task): FixedDirectory {
    const network = networkOf(task);
    let directory = this.networks.get(network);
    if (!directory) {
      directory = new FixedDirectory(this, this.nextIno());
      grow(directory, netFiles(network));
      this.networks.set(network, directory);
    }
    return directory;
  }
}

// Cached names of a task that is gone would keep all that it had.
reapHooks.push((group) => {
  for (const superblock of superblocks) forget(superblock.rootDentry, numberIn(superblock.pids, group));
});

taskExitHooks.push((task) => {
  const { group } = task;
  if (task === group.leader) return;
  for (const { rootDentry, pids } of superblocks) {
    const number = numberIn(pids, task);
    forget(rootDentry, number);
    forget(rootDentry?.children?.get(String(numberIn(pids, group)))?.children?.get('task'), number);
  }
});

function forget(directory: Dentry | null | undefined, number: number): void {
  const dentry = directory?.children?.get(String(number));
  if (!dentry || carriesMounts(dentry)) return;
  forgetTree(dentry);
  forgetDentry(dentry);
}

function carriesMounts(dentry: Dentry): boolean {
  if (dentry.mounts !== null) return true;
  for (const child of dentry.children?.values() ?? []) if (carriesMounts(child)) return true;
  return false;
}

/** /proc itself. */
class ProcRoot extends VirtualDirectory {
  private readonly pids: PidNamespace;
  private readonly fixed: FixedDirectory;

  constructor(superblock: ProcSuperblock) {
    super(superblock, ROOT_INO);
    this.pids = superblock.pids;
    this.fixed = new FixedDirectory(superblock, ROOT_INO);
    this.fixed.add('self', new GeneratedLink(superblock, superblock.nextIno(), superblock, SELF));
    this.fixed.add('thread-self', new GeneratedLink(superblock, superblock.nextIno(), superblock, THREAD_SELF));
    this.fixed.add('mounts', new VirtualSymlink(superblock, superblock.nextIno(), 'self/mounts'));
    this.fixed.add('net', new VirtualSymlink(superblock, superblock.nextIno(), 'self/net'));
    grow(this.fixed, SYSTEM_FILES);
    grow(this.fixed, KEY_FILES);
    grow(this.fixed, {
      'config.gz': KERNEL_CONFIG,
      sys: SETTINGS,
      fs: {},
      irq: {},
      bus: {},
      driver: {},
      sysvipc: SYSVIPC,
      tty: { driver: {}, ldisc: {} },
    });
  }

  override get cacheable(): boolean {
    return false;
  }

  override refresh(): number {
    this.nlink = this.fixed.nlink + this.pids.groups.size;
    return 0;
  }

  override lookup(name: string): Inode | number {
    const fixed = this.fixed.entries.get(name);
    if (fixed) return fixed;
    const task = taskByName(this.pids, name);
    if (!task) return -ENOENT;
    // A thread's own number leads to its directory, too, although it is not listed.
    return new TaskDirectory(this.superblock, task, task === task.group.leader);
  }

  override readdir(_offset: number, sink: DirectorySink): number {
    let next = 0;
    for (const [name, inode] of this.fixed.entries) {
      if (!sink(name, inode.ino, entryType(inode), ++next)) return 0;
    }
    const { groups } = this.pids;
    for (const pid of [...groups.keys()].sort((a, b) => a - b)) {
      const { leader } = groups.get(pid) as ThreadGroup;
      if (!sink(String(pid), taskIno(leader, false), DT_DIR, ++next)) return 0;
    }
    return 0;
  }
}
