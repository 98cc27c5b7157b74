// /proc/PID and /proc/PID/task/TID: the directory of one task. Entries are made anew at each lookup, so that owner and
// contents are those of the moment; nothing of it is cached in dentries.

import { ENOENT } from '../../abi/errno.ts';
import { DT_DIR, DT_LNK, DT_REG } from '../../abi/fcntl.ts';
import { S_IFREG } from '../../abi/stat.ts';
import type { Pid, UserAddress } from '../../base/brands.ts';
import type { Namespace } from '../../base/namespace.ts';
import { namespaceName, namespacePath } from '../../kernel/namespace-files.ts';
import { numberIn, type PidNamespace } from '../../kernel/pid-namespaces.ts';
import { DEAD, type Task } from '../../kernel/task.ts';
import type { AddressSpace } from '../../mm/address-space.ts';
import { readForced, writeForced } from '../../mm/forced-memory.ts';
import { releaseText, showOriginals } from '../../mm/patches.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { DirectorySink, Inode, Superblock } from '../../vfs/inode.ts';
import { OpenFile } from '../../vfs/open-file.ts';
import { linkName } from '../../vfs/path-name.ts';
import { entryType, VirtualDirectory } from '../virtual/directory.ts';
import { GeneratedFile, GeneratedLink, type LinkSource, seekPosition, VirtualInode } from '../virtual/inode.ts';
import { alive, checkPeek, isGone, readerRoot } from './access.ts';
import { FdDirectory, FdInfoDirectory } from './descriptors.ts';
import { DIRECTORY_INO, FILE_INO, taskIno } from './numbers.ts';
import { PagemapInode } from './pagemap.ts';
import type { ProcSuperblock } from './proc.ts';
import { PROCESS_FILES, THREAD_FILES } from './process-files.ts';

/** A magic link to a path that the task has: its program, its directories. */
function taskLink(find: (task: Task) => Path | null): LinkSource<Task> {
  const target = (task: Task): Path | number => {
    const denied = checkPeek(task);
    if (denied < 0) return denied;
    const living = alive(task);
    return (living && find(living)) ?? -ENOENT;
  };
  return {
    follow: target,
    read: (task) => {
      const path = target(task);
      return typeof path === 'number' ? path : linkName(path, readerRoot(task));
    },
  };
}

const LINKS: Readonly<Record<string, LinkSource<Task>>> = {
  cwd: taskLink((task) => task.fs.cwd),
  exe: taskLink((task) => task.mm.executable),
  root: taskLink((task) => task.fs.root),
};

const DIRECTORIES: readonly string[] = ['fd', 'fdinfo', 'net', 'ns'];

/** The files of one namespace of names, with inode numbers by place. */
const PROCESS_NAMES: readonly string[] = Object.keys(PROCESS_FILES);
const THREAD_NAMES: readonly string[] = Object.keys(THREAD_FILES);

export class TaskDirectory extends VirtualDirectory {
  readonly task: Task;
  /** This is /proc/PID (false: a thread below task/). */
  readonly whole: boolean;

  constructor(superblock: Superblock, task: Task, whole: boolean) {
    super(superblock, taskIno(task, !whole));
    this.task = task;
    this.whole = whole;
    this.nlink = whole ? 9 : 7;
    own(this, task);
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    const { task, superblock } = this;
    if (isGone(task)) return -ENOENT;
    const inode = this.make(name, superblock, task);
    if (inode === null) return -ENOENT;
    if (name !== 'net') own(inode, task);
    return inode;
  }

  private make(name: string, superblock: Superblock, task: Task): Inode | null {
    const files = this.whole ? PROCESS_FILES : THREAD_FILES;
    const names = this.whole ? PROCESS_NAMES : THREAD_NAMES;
    if (Object.hasOwn(files, name)) {
      return new GeneratedFile(superblock, this.ino + FILE_INO + names.indexOf(name), task, files[name]);
    }
    const other = this.ino + DIRECTORY_INO;
    if (Object.hasOwn(LINKS, name)) {
      return new GeneratedLink(superblock, other + 16 + Object.keys(LINKS).indexOf(name), task, LINKS[name]);
    }
    if (name === 'fd') return new FdDirectory(superblock, other, task);
    if (name === 'fdinfo') return new FdInfoDirectory(superblock, other + 1, task);
    if (name === 'mem') return new MemoryInode(superblock, other + 2, task);
    if (name === 'pagemap') return new PagemapInode(superblock, other + 5, task);
    if (name === 'net') return (superblock as ProcSuperblock).netOf(task);
    if (name === 'ns') return new NamespaceDirectory(superblock, other + 3, task);
    if (name === 'task' && this.whole) return new ThreadsDirectory(superblock, other + 4, task);
    return null;
  }

  override readdir(_offset: number, sink: DirectorySink): number {
    if (isGone(this.task)) return -ENOENT;
    const files = this.whole ? PROCESS_NAMES : THREAD_NAMES;
    const entries: [string, number][] = [
      ...(this.whole ? ['task'] : []).map((name): [string, number] => [name, DT_DIR]),
      ...DIRECTORIES.map((name): [string, number] => [name, DT_DIR]),
      ...Object.keys(LINKS).map((name): [string, number] => [name, DT_LNK]),
      ...files.map((name): [string, number] => [name, DT_REG]),
      ['mem', DT_REG],
      ['pagemap', DT_REG],
    ];
    for (let i = 0; i < entries.length; i++) {
      const [name, type] = entries[i];
      const inode = this.make(name, this.superblock, this.task);
      if (inode && !sink(name, inode.ino, type, i + 1)) break;
    }
    return 0;
  }
}

/** A task's files belong to its effective user, or to root when it is not dumpable. */
function own(inode: Inode, task: Task): void {
  const { dumpable } = task.group;
  inode.uid = dumpable ? task.credentials.euid : 0;
  inode.gid = dumpable ? task.credentials.egid : 0;
}

/** /proc/PID/task: the threads. */
class ThreadsDirectory extends VirtualDirectory {
  readonly task: Task;

  constructor(superblock: Superblock, ino: number, task: Task) {
    super(superblock, ino);
    this.task = task;
    this.nlink = 2 + task.group.threads.size;
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    const task = taskByName(pidsOf(this), name);
    if (!task || task.group !== this.task.group) return -ENOENT;
    return new TaskDirectory(this.superblock, task, false);
  }

  override readdir(_offset: number, sink: DirectorySink): number {
    const { group } = this.task;
    if (isGone(group.leader)) return -ENOENT;
    const threads = new Set<Task>([group.leader, ...group.threads]);
    const byNumber = [...threads].map((thread) => ({ number: numberIn(pidsOf(this), thread), thread }));
    let next = 0;
    for (const { number, thread } of byNumber.sort((a, b) => a.number - b.number)) {
      if (!sink(String(number), taskIno(thread, true), DT_DIR, ++next)) break;
    }
    return 0;
  }
}

/** Whose numbers the directory's instance of procfs shows. */
function pidsOf(inode: Inode): PidNamespace {
  return (inode.superblock as ProcSuperblock).pids;
}

/** The task that a name of digits stands for (a process's leader also as a zombie), or null. */
export function taskByName(pids: PidNamespace, name: string): Task | null {
  if (!/^[1-9]\d{0,8}$/.test(name)) return null;
  const pid = Number(name) as Pid;
  const task = pids.tasks.get(pid) ?? pids.groups.get(pid)?.leader ?? null;
  return task && !isGone(task) ? task : null;
}

// ---- mem ----

/** /proc/PID/mem: the memory, by address, that the task has when it is opened. */
class MemoryInode extends VirtualInode {
  readonly task: Task;

  constructor(superblock: Superblock, ino: number, task: Task) {
    super(superblock, ino, S_IFREG | 0o600);
    this.task = task;
  }

  override open(path: Path, flags: number): OpenFile | number {
    const denied = checkPeek(this.task);
    return denied < 0 ? denied : new MemoryFile(path, this, flags);
  }
}

class MemoryFile extends OpenFile {
  private readonly mm: AddressSpace;

  constructor(path: Path, inode: MemoryInode, flags: number) {
    super(path, inode, flags);
    this.mm = inode.task.mm;
  }

  /** One who still runs in it: after an exec nobody does. */
  private get user(): Task | null {
    for (const task of this.mm.tasks) if (task.state !== DEAD) return task;
    return null;
  }

  override get seekable(): boolean {
    return true;
  }

  override read(at: number, length: number, offset: number): number {
    const { user } = this;
    if (!user || length === 0) return 0;
    const n = readForced(user.memory, offset as UserAddress, at, length);
    showOriginals(this.mm, offset, at, n);
    return n;
  }

  override write(at: number, length: number, offset: number): number {
    const { user } = this;
    if (!user || length === 0) return 0;
    releaseText(this.mm, offset, offset + length);
    return writeForced(user.memory, offset as UserAddress, at, length);
  }

  override seek(offset: number, whence: number): number {
    return seekPosition(this, offset, whence);
  }
}

// ---- ns ----

/** The namespaces of a task by the names of their links; null for one that is not there yet. */
const NAMESPACES: Readonly<Record<string, (task: Task) => Namespace | null>> = {
  cgroup: ({ namespaces }) => namespaces.cgroup,
  ipc: ({ namespaces }) => namespaces.ipc,
  mnt: ({ fs }) => fs.root.mount.namespace,
  net: ({ namespaces }) => namespaces.net,
  pid: ({ pidNamespace }) => pidNamespace,
  // It comes to be with its first process.
  pid_for_children: ({ namespaces }) => (namespaces.pidForChildren.init ? namespaces.pidForChildren : null),
  time: ({ namespaces }) => namespaces.time,
  time_for_children: ({ namespaces }) => namespaces.timeForChildren,
  user: ({ credentials }) => credentials.user,
  uts: ({ namespaces }) => namespaces.uts,
};

/** The namespace that a link leads to, or -errno. */
function namespaceOf({ task, name }: { task: Task; name: string }): Namespace | number {
  const denied = checkPeek(task);
  if (denied < 0) return denied;
  const living = alive(task);
  // One that has ended is in none, but what its number and its ids belong to stays with it.
  if (!living && name !== 'pid' && name !== 'user') return -ENOENT;
  return NAMESPACES[name](living ?? task) ?? -ENOENT;
}

const NAMESPACE_LINK: LinkSource<{ task: Task; name: string }> = {
  read: (link) => {
    const namespace = namespaceOf(link);
    return typeof namespace === 'number' ? namespace : namespaceName(namespace);
  },
  follow: (link) => {
    const namespace = namespaceOf(link);
    return typeof namespace === 'number' ? namespace : namespacePath(namespace);
  },
};

class NamespaceDirectory extends VirtualDirectory {
  readonly task: Task;

  constructor(superblock: Superblock, ino: number, task: Task) {
    super(superblock, ino, 0o511);
    this.task = task;
  }

  override get cacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    if (!Object.hasOwn(NAMESPACES, name)) return -ENOENT;
    const ino = this.ino + 0x40 + Object.keys(NAMESPACES).indexOf(name);
    return new GeneratedLink(this.superblock, ino, { task: this.task, name }, NAMESPACE_LINK);
  }

  override readdir(_offset: number, sink: DirectorySink): number {
    const denied = checkPeek(this.task);
    if (denied < 0) return denied;
    let next = 0;
    for (const name of Object.keys(NAMESPACES)) {
      const inode = this.lookup(name) as Inode;
      if (!sink(name, inode.ino, entryType(inode), ++next)) break;
    }
    return 0;
  }
}
