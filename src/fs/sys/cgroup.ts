// The cgroup2 filesystem: the sandbox's tree of cgroups (kernel/cgroups.ts). Its root shows the limits that programs size
// themselves by; what those bound is counted in the host's cgroup and shows there. Cgroups that programs make group
// processes, tell their CPU time and memory, bound their number (pids) and end them together. Version 1: cgroup-v1.ts.

import { EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/errno.ts';
import { SIGKILL } from '../../abi/signal.ts';
import { CGROUP2_SUPER_MAGIC } from '../../abi/stat.ts';
import type { HostPid, Pid } from '../../base/brands.ts';
import {
  boundTasks,
  Cgroup,
  cgroupOf,
  countTasks,
  hierarchies,
  isPopulated,
  moveProcess,
  notePopulation,
  populationHooks,
  rootCgroup,
} from '../../kernel/cgroups.ts';
import { detachAll } from '../../kernel/device-programs.ts';
import { killGroup } from '../../kernel/exit.ts';
import { groupExitHooks, reapHooks } from '../../kernel/exit-hooks.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, type Numbered, numberIn } from '../../kernel/pid-namespaces.ts';
import type { ThreadGroup } from '../../kernel/task.ts';
import { groupUsage, Usage } from '../../kernel/usage.ts';
import { hostProcLines } from '../../platform/host-proc.ts';
import type { AttributeChange, DirectorySink, Inode } from '../../vfs/inode.ts';
import { notifyGenerated } from '../../vfs/notify.ts';
import { entryType, VirtualDirectory } from '../virtual/directory.ts';
import { GeneratedFile, type TextSource } from '../virtual/inode.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';

/** Cgroups there may be, and how deep: they are gone through by recursion. */
const CGROUPS_MAX = 10_000;
const DEPTH_MAX = 64;
const MICROSECOND = 1000;
const EVENTS = 'cgroup.events';

/** What bounds a cgroup's children can be given; memory and CPU time are bounded for the sandbox as a whole. */
const CONTROLLERS = ['pids'];
/** Those that a hierarchy of version 1 has are not here. */
const isTaken = (name: string): boolean =>
  [...hierarchies.values()].some(({ controllers }) => controllers.includes(name));
/** Those that the sandbox's own has: programs look here for whether memory is bounded at all. */
const LISTED = ['cpu', 'memory', 'pids'];

export function numbers(things: Iterable<Numbered>): string {
  const namespace = kernel.current?.pidNamespace ?? initialPids;
  return [...things]
    .map((thing) => numberIn(namespace, thing) as number)
    .filter((number) => number > 0)
    .sort((a, b) => a - b)
    .map((number) => `${number}\n`)
    .join('');
}

export function membersOf(cgroup: Cgroup, below = false): ThreadGroup[] {
  const counts = (group: ThreadGroup): boolean => group.status < 0 && (below ? cgroup.holds(group) : cgroup.has(group));
  return [...kernel.groups.values()].filter(counts);
}

export const limitText = (value: number | null): string =>
  value === null || value === Infinity ? 'max' : String(value);

/** The number of tasks that a pids.max or a cgroup.max.* says, or -EINVAL. */
function readLimit(text: string): number {
  const word = text.trim();
  if (word === 'max') return Infinity;
  return /^\d{1,9}$/.test(word) ? Number(word) : -EINVAL;
}

/** cgroup.procs: moves a process here, 0 being the writer's own. */
export function moveHere(cgroup: Cgroup, text: string): number {
  const caller = kernel.current;
  const word = text.trim();
  if (!caller || !/^\d{1,9}$/.test(word)) return -EINVAL;
  // Processes are in the leaves of what is controlled.
  if (cgroup.enabled.size > 0 && cgroup.parent) return -EBUSY;
  const group = word === '0' ? caller.group : caller.pidNamespace.groups.get(Number(word) as Pid);
  if (!group || group.status >= 0) return -ESRCH;
  if (cgroup.hierarchy === null && group.cgroup.top !== cgroup.top) return -ENOENT; // another container's
  moveProcess(cgroup, group, kernel.groups.values());
  return 0;
}

/** cgroup.subtree_control: `+pids -pids` */
function control(cgroup: Cgroup, text: string): number {
  const words = text.split(/\s+/).filter((word) => word !== '');
  for (const word of words) {
    if (!/^[+-][a-z]+$/.test(word)) return -EINVAL;
    const name = word.slice(1);
    if (!LISTED.includes(name)) return -EINVAL;
    if (isTaken(name)) return -ENOENT;
    if (!CONTROLLERS.includes(name) && word[0] === '+') return -EOPNOTSUPP;
    if (word[0] === '+' && cgroup.parent && !cgroup.parent.enabled.has(word.slice(1))) return -ENOENT;
    if (word[0] === '+' && cgroup.parent && membersOf(cgroup).length > 0) return -EBUSY;
    if (word[0] === '-' && [...cgroup.children.values()].some((child) => child.enabled.has(word.slice(1))))
      return -EBUSY;
  }
  for (const word of words) {
    if (word[0] === '+') cgroup.enabled.add(word.slice(1));
    else cgroup.enabled.delete(word.slice(1));
  }
  return 0;
}

/** cgroup.kill: everybody here and below. */
function kill(cgroup: Cgroup, text: string): number {
  if (text.trim() !== '1') return -EINVAL;
  const caller = kernel.current;
  for (const group of [...kernel.groups.values()]) {
    if (group.status < 0 && cgroup.holds(group)) killGroup(group, SIGKILL, caller?.group === group ? caller : null);
  }
  return 0;
}

/** What the processes of a cgroup have used, those that are gone among them. */
export function usageOf(cgroup: Cgroup): Usage {
  const sum = new Usage();
  const one = new Usage();
  addSpent(cgroup, sum);
  for (const group of kernel.groups.values()) {
    if (!cgroup.holds(group)) continue;
    groupUsage(group, one);
    sum.add(one);
  }
  return sum;
}

function addSpent({ spent, children }: Cgroup, sum: Usage): void {
  sum.userTime += spent.user;
  sum.systemTime += spent.system;
  for (const child of children.values()) addSpent(child, sum);
}

reapHooks.push((group) => {
  const { userTime, systemTime } = group.pastUsage;
  group.cgroup.note(userTime, systemTime);
  for (const hierarchy of hierarchies.values()) cgroupOf(group, hierarchy).note(userTime, systemTime);
});

groupExitHooks.push((group) => notePopulation(group.cgroup, kernel.groups.values()));

/** Memory that processes of a cgroup have now, in bytes, as the host counts it: what they share counts for each. */
export function memoryOf(cgroup: Cgroup): Readonly<Record<'anon' | 'file' | 'shmem', number>> {
  const sum = { anon: 0, file: 0, shmem: 0 };
  const spaces = new Set<HostPid>();
  for (const group of membersOf(cgroup, true)) for (const { mm } of group.threads) spaces.add(mm.hostPid);
  for (const pid of spaces) {
    for (const line of hostProcLines(`${pid}/status`)) {
      const bytes = Number.parseInt(line.slice(line.indexOf(':') + 1), 10) * 1024;
      if (line.startsWith('RssAnon:')) sum.anon += bytes;
      else if (line.startsWith('RssFile:')) sum.file += bytes;
      else if (line.startsWith('RssShmem:')) sum.shmem += bytes;
    }
  }
  return sum;
}

function memoryStatistics(cgroup: Cgroup): string {
  const { anon, file, shmem } = memoryOf(cgroup);
  return `anon ${anon}\nfile ${file + shmem}\nshmem ${shmem}\n`;
}

function memoryInAll(cgroup: Cgroup): number {
  const { anon, file, shmem } = memoryOf(cgroup);
  return anon + file + shmem;
}

function cpuStatistics(cgroup: Cgroup): string {
  const sum = usageOf(cgroup);
  const [user, system] = [sum.userTime, sum.systemTime].map((time) => Math.floor(time / MICROSECOND));
  return `usage_usec ${user + system}\nuser_usec ${user}\nsystem_usec ${system}\n`;
}

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

/** What every cgroup has. */
const COMMON: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cgroup.controllers': file(
    ({ parent }) => `${(parent ? [...parent.enabled] : LISTED.filter((name) => !isTaken(name))).join(' ')}\n`,
  ),
  'cgroup.max.depth': file(() => 'max\n'),
  'cgroup.max.descendants': file(() => 'max\n'),
  'cgroup.procs': file((cgroup) => numbers(membersOf(cgroup)), moveHere),
  'cgroup.stat': file((cgroup) => `nr_descendants ${cgroup.descendants}\nnr_dying_descendants 0\n`),
  'cgroup.subtree_control': file((cgroup) => `${[...cgroup.enabled].join(' ')}\n`, control),
  'cgroup.threads': file((cgroup) => numbers(membersOf(cgroup).flatMap(({ threads }) => [...threads]))),
  'cgroup.type': file(() => 'domain\n'),
  [EVENTS]: {
    ...file((cgroup) => `populated ${isPopulated(cgroup, kernel.groups.values()) ? 1 : 0}\nfrozen 0\n`),
    changes: ({ events }) => events,
  },
  'cpu.stat': file(cpuStatistics),
};

/** What a container's own has: the limits that it was given. */
const ROOT: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cpu.max': file(({ limits }) => `${limitText(limits.cpuQuota)} ${limits.cpuPeriod}\n`),
  'memory.current': file((cgroup) => `${memoryInAll(cgroup)}\n`),
  'memory.stat': file(memoryStatistics),
  'memory.max': file(({ limits }) => `${limitText(limits.memory)}\n`),
  'pids.current': file((cgroup) => `${countTasks(cgroup, kernel.groups.values())}\n`),
  'pids.max': file(({ limits }) => `${limitText(limits.pids)}\n`),
};

const BELOW: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cgroup.kill': { ...file(() => '', kill), mode: 0o200 },
};

/** Those of the controller of tasks. */
export const PIDS: Readonly<Record<string, TextSource<Cgroup>>> = {
  'pids.current': file((cgroup) => `${countTasks(cgroup, kernel.groups.values())}\n`),
  'pids.max': file(
    (cgroup) => `${limitText(cgroup.pidsMax)}\n`,
    (cgroup, text) => {
      const limit = readLimit(text);
      if (limit < 0) return limit;
      boundTasks(cgroup, limit);
      return 0;
    },
  ),
};

let count = 0;
/** Directories in all filesystems, each of which has its own for a cgroup, and how many there may be. */
let directoriesInAll = 0;
const DIRECTORIES_MOST = 50_000;

/** The directory of a cgroup. */
export class CgroupDirectory extends VirtualDirectory {
  declare readonly superblock: CgroupSuperblock;
  readonly cgroup: Cgroup;
  private readonly files = new Map<string, Inode>();

  constructor(superblock: CgroupSuperblock, ino: number, cgroup: Cgroup) {
    super(superblock, ino, 0o755);
    this.cgroup = cgroup;
    for (const sources of superblock.filesOf(cgroup)) this.addFiles(sources);
  }

  private addFiles(sources: Readonly<Record<string, TextSource<Cgroup>>>): void {
    const { superblock } = this;
    for (const [name, source] of Object.entries(sources)) {
      this.files.set(name, new OwnedFile(superblock, superblock.nextIno(), this.cgroup, source));
    }
  }

  override get cacheable(): boolean {
    return false;
  }

  /** Tells those that watch cgroup.events, by inotify(7), that it has changed. */
  eventsChanged(): void {
    const file = this.files.get(EVENTS);
    if (file) notifyGenerated(this, EVENTS, file);
  }

  private has(name: string): boolean {
    const { parent, hierarchy } = this.cgroup;
    // In version 2 they are there while the parent has the controller enabled.
    return hierarchy !== null || !(name in PIDS) || !parent || parent.enabled.has('pids');
  }

  override lookup(name: string): Inode | number {
    const below = this.cgroup.children.get(name);
    if (below) return this.superblock.hasRoom(below) ? this.superblock.directoryOf(below) : -ENOMEM;
    return (this.has(name) && this.files.get(name)) || -ENOENT;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    let index = 0;
    const entries: (readonly [string, Inode])[] = [...this.files].filter(([name]) => this.has(name));
    for (const [name, cgroup] of this.cgroup.children) entries.push([name, this.superblock.directoryOf(cgroup)]);
    for (const [name, inode] of entries) {
      if (index++ >= offset && !sink(name, inode.ino, entryType(inode), index)) break;
    }
    return 0;
  }

  override mkdir(name: string): Inode | number {
    const { cgroup } = this;
    if (this.files.has(name)) return -EEXIST;
    if (cgroup.removed) return -ENOENT;
    if (name.includes('\n')) return -EINVAL;
    let depth = 0;
    for (let at: Cgroup | null = cgroup; at; at = at.parent) depth++;
    if (count >= CGROUPS_MAX || depth > DEPTH_MAX || directoriesInAll >= DIRECTORIES_MOST) return -EAGAIN;
    count++;
    const made = new Cgroup(cgroup, name);
    cgroup.children.set(name, made);
    this.nlink++;
    return this.superblock.directoryOf(made);
  }

  override rmdir(name: string, target: Inode): number {
    const { cgroup } = target as CgroupDirectory;
    if (!(target instanceof CgroupDirectory)) return -EPERM;
    if (cgroup.children.size > 0 || isPopulated(cgroup, kernel.groups.values())) return -EBUSY;
    // Who has ended and was not waited for yet goes on being counted above.
    for (const group of kernel.groups.values()) if (cgroup.has(group)) this.cgroup.take(group);
    cgroup.removed = true;
    detachAll(cgroup);
    this.cgroup.note(cgroup.spent.user, cgroup.spent.system);
    boundTasks(cgroup, Infinity);
    this.cgroup.children.delete(name);
    this.nlink--;
    target.nlink = 0;
    count--;
    return 0;
  }

  override setattr(change: AttributeChange): number {
    return takeOwner(this, change) ?? super.setattr(change);
  }
}

/** Files of a cgroup can be given away: that is how a part of the tree is delegated. */
class OwnedFile extends GeneratedFile<Cgroup> {
  override setattr(change: AttributeChange): number {
    return takeOwner(this, change) ?? super.setattr(change);
  }
}

function takeOwner(inode: Inode, { mode, uid, gid }: AttributeChange): number | null {
  if (mode === undefined && uid === undefined && gid === undefined) return null;
  if (mode !== undefined) inode.mode = (inode.mode & ~0o7777) | (mode & 0o7777);
  if (uid !== undefined) inode.uid = uid;
  if (gid !== undefined) inode.gid = gid;
  return 0;
}

/** The cgroup filesystems that are mounted, or were. */
const superblocks = new Set<WeakRef<CgroupSuperblock>>();

populationHooks.push((cgroup) => {
  for (const reference of superblocks) {
    const superblock = reference.deref();
    if (superblock) superblock.knownDirectory(cgroup)?.eventsChanged();
    else superblocks.delete(reference);
  }
});

export class CgroupSuperblock extends VirtualSuperblock {
  readonly typeName: string = 'cgroup2';
  readonly root: Inode;
  private readonly directories = new WeakMap<Cgroup, CgroupDirectory>();
  /** How many of these it has made. */
  private made = 0;

  /** What is mounted starts at the root of the mounter's cgroup namespace. */
  constructor(root: Cgroup = rootCgroup) {
    super();
    this.source = 'cgroup';
    this.magic = CGROUP2_SUPER_MAGIC;
    this.root = new CgroupDirectory(this, ROOT_INO, root);
    this.directories.set(root, this.root as CgroupDirectory);
    superblocks.add(new WeakRef(this));
  }

  /** The directory of a cgroup, if anybody has looked there. */
  knownDirectory(cgroup: Cgroup): CgroupDirectory | undefined {
    return this.directories.get(cgroup);
  }

  /** The files that a cgroup may have. */
  filesOf(cgroup: Cgroup): Readonly<Record<string, TextSource<Cgroup>>>[] {
    return cgroup.parent ? [COMMON, BELOW, PIDS] : [COMMON, ROOT];
  }

  /** Whether there is a directory for a cgroup, or may be one more. */
  hasRoom(cgroup: Cgroup): boolean {
    return directoriesInAll < DIRECTORIES_MOST || this.directories.has(cgroup);
  }

  override shutDown(): void {
    directoriesInAll -= this.made;
    this.made = 0;
  }

  directoryOf(cgroup: Cgroup): CgroupDirectory {
    let directory = this.directories.get(cgroup);
    if (!directory) {
      directoriesInAll++;
      this.made++;
      directory = new CgroupDirectory(this, this.nextIno(), cgroup);
      this.directories.set(cgroup, directory);
    }
    return directory;
  }
}
